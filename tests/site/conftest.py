"""The real site, built once, served on localhost and opened in headless Chromium. Skipped, and said so, without one."""

from __future__ import annotations

import fcntl
import threading
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

import pytest

pytest.importorskip("mkdocs", reason="the site needs the extra [site]")
sync_api = pytest.importorskip("playwright.sync_api", reason="browser tests need the extra [test]")

from site_gen.build import ROOT, build  # noqa: E402
from site_gen.serve import server  # noqa: E402
from tests.install_browser import find  # noqa: E402

ARGUMENTS = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
]  # fmt: skip


@pytest.fixture(scope="session")
def site_folder(testrun_uid: str) -> Path:
    """The site of the real catalog. One of the processes of a run builds it, the others wait."""
    (ROOT / "build").mkdir(exist_ok=True)
    out, stamp = ROOT / "build" / "test-site", ROOT / "build" / ".test-site"
    with open(ROOT / "build" / ".test-site.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not stamp.exists() or stamp.read_text() != testrun_uid:
            build(out=out)
            stamp.write_text(testrun_uid)
    return out


@pytest.fixture(scope="session")
def address(site_folder: Path) -> Iterator[str]:
    """http://127.0.0.1:PORT/ of the served site."""
    running = server(site_folder)
    threading.Thread(target=running.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{running.server_port}/"
    running.shutdown()
    running.server_close()


@pytest.fixture(scope="session")
def browser() -> Iterator:
    path = find()
    if path is None:
        message = "NO CHROMIUM: the site is not tested in a browser. Install one, or set $CHROMIUM."
        warnings.warn(message, stacklevel=1)
        pytest.skip(message)
    with sync_api.sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=path, args=ARGUMENTS)
        yield running
        running.close()


@dataclass
class Watch:
    """What went wrong on a page: messages of the console, errors of scripts, requests that left or failed."""

    faults: list[str] = field(default_factory=list)


@pytest.fixture
def watch() -> Watch:
    return Watch()


@pytest.fixture
def new_page(browser, address: str, watch: Watch) -> Iterator:
    """Opens a page under watch: new_page("algorithms/gptq/", width=390, scheme="dark"). The test fails on any fault."""
    contexts = []

    def opened(path: str = "", width: int = 1440, height: int = 900, scheme: str = "light", javascript: bool = True):
        context = browser.new_context(
            viewport={"width": width, "height": height}, color_scheme=scheme, java_script_enabled=javascript,
            permissions=["clipboard-read", "clipboard-write"],
        )
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(60_000)  # it ends a hanging test; a machine that does other things is slow
        watch_page(page, address, watch)
        page.goto(address + path)
        if javascript:
            page.locator("html[data-zoo=started]").wait_for(state="attached")
        return page

    yield opened
    for context in contexts:
        context.close()
    assert watch.faults == []


def where(page) -> str:
    """The page's address as its own script sees it: page.url hears of history.replaceState a moment later."""
    return page.evaluate("location.href")


def watch_page(page, address: str, watch: Watch) -> None:
    """Notes console errors and warnings, script errors, failed answers, and requests to anywhere but `address`."""
    home = urlsplit(address).netloc

    def request(sent) -> None:
        parts = urlsplit(sent.url)
        if parts.scheme not in ("data", "blob") and parts.netloc != home:
            watch.faults.append(f"a request left localhost: {sent.url}")

    def answer(received) -> None:
        if received.status >= 400:
            watch.faults.append(f"{received.status}: {received.url}")

    page.on("request", request)
    page.on("response", answer)
    page.on("console", lambda m: watch.faults.append(f"{m.type}: {m.text}") if m.type in ("error", "warning") else None)
    page.on("pageerror", lambda error: watch.faults.append(f"script: {error}"))
