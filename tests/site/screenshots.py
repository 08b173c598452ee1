"""Takes the pictures of the README again: python -m tests.site.screenshots. Not a test."""

from __future__ import annotations

import threading
from pathlib import Path

from playwright.sync_api import sync_playwright

from site_gen.build import ROOT, build
from site_gen.serve import server
from tests.install_browser import find
from tests.site.conftest import ARGUMENTS

PICTURES = (  # file, page, width, height, scheme
    ("home.png", "", 1280, 880, "light"),
    ("algorithm.png", "algorithms/gptq/", 390, 1000, "dark"),
)


def take(folder: Path) -> None:
    """Writes PICTURES into `folder`, from a fresh build of the site."""
    out = ROOT / "build" / "test-site"
    build(out=out)
    running = server(out)
    threading.Thread(target=running.serve_forever, daemon=True).start()
    folder.mkdir(parents=True, exist_ok=True)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=find(), args=ARGUMENTS)
        for name, path, width, height, scheme in PICTURES:
            page = browser.new_page(viewport={"width": width, "height": height}, color_scheme=scheme)
            page.goto(f"http://127.0.0.1:{running.server_port}/{path}")
            page.wait_for_load_state("networkidle")
            page.reload()  # a first view may keep the reader's own fonts rather than wait for ours
            page.wait_for_load_state("networkidle")
            page.screenshot(path=folder / name)
        browser.close()
    running.shutdown()


if __name__ == "__main__":
    take(ROOT / "site_gen" / "screenshots")
