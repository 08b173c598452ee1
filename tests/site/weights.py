"""What pages weigh: python -m tests.site.weights [FOLDER_OF_A_BUILT_SITE]. Every file that a page asks for at its first
view, compressed as a web server would. Fonts and pictures are compressed already and count as they are.
"""

from __future__ import annotations

import gzip
import sys
import threading
from collections import Counter
from pathlib import Path
from urllib.parse import unquote, urlsplit

from playwright.sync_api import Browser, sync_playwright

from site_gen.build import ROOT, build
from site_gen.serve import server
from tests.install_browser import find
from tests.site.conftest import ARGUMENTS

PAGES = (  # one of each kind
    "", "algorithms/", "algorithms/gptq/", "families/quantization/", "measured/", "combinations/", "bibliography/",
    "surveys/wang2024/", "graph/", "trends/", "works/xu2024besa/",
)  # fmt: skip
KINDS = {".html": "HTML", ".css": "styles", ".js": "scripts", ".woff2": "fonts"}  # what else there is: data
PACKED = {".woff2", ".png", ".webp", ".gz"}
LEVEL = 6  # what web servers use unless told otherwise


def requested(browser: Browser, address: str, path: str) -> list[str]:
    """The addresses of all files that a page asks for until the network rests, from the site's root; each once."""
    context = browser.new_context(viewport={"width": 1440, "height": 900})
    page = context.new_page()
    found: dict[str, None] = {}
    page.on("request", lambda sent: found.setdefault(sent.url))
    page.goto(address + path)
    page.wait_for_load_state("networkidle")
    context.close()
    return [unquote(urlsplit(url).path).lstrip("/") for url in found if url.startswith(address)]


def packed(file: Path) -> int:
    """Bytes of a file on the way to the browser."""
    data = file.read_bytes()
    return len(data) if file.suffix in PACKED else len(gzip.compress(data, LEVEL))


def weigh(folder: Path, files: list[str]) -> Counter[str]:
    """Bytes by kind of file, for addresses as `requested` gives them."""
    total: Counter[str] = Counter()
    for name in files:
        file = folder / name / "index.html" if name.endswith("/") or not name else folder / name
        total[KINDS.get(file.suffix, "data")] += packed(file)
    return total


def main(folder: Path) -> None:
    """Prints a table of PAGES in KB (1,000 bytes)."""
    running = server(folder)
    threading.Thread(target=running.serve_forever, daemon=True).start()
    kinds = [*KINDS.values(), "data"]
    print(f"{'page':<24}" + "".join(f"{kind:>9}" for kind in kinds) + f"{'all':>9}")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=find(), args=ARGUMENTS)
        for path in PAGES:
            found = weigh(folder, requested(browser, f"http://127.0.0.1:{running.server_port}/", path))
            numbers = [found[kind] for kind in kinds] + [found.total()]
            print(f"{path or 'home':<24}" + "".join(f"{number / 1000:9.1f}" for number in numbers))
        browser.close()
    running.shutdown()


if __name__ == "__main__":
    if len(sys.argv) > 1:
        main(Path(sys.argv[1]))
    else:
        out = ROOT / "build" / "test-site"
        build(out=out)
        main(out)
