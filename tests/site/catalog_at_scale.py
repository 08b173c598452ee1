"""How heavy and how quick the catalog page is with many entries: python -m tests.site.catalog_at_scale [NUMBER ...]

Entries are drawn from those of the catalog, with the names and records of other works, words of summaries in another
order and facts drawn one by one. Prints what the page weighs and, where there is a Chromium, how long a choice takes:
from the click until the page has been laid out and painted, the median of several.
"""

from __future__ import annotations

import dataclasses
import gzip
import os
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
from pathlib import Path
from urllib.parse import urlsplit

import yaml

from site_gen import frontend_build
from site_gen.build import INTERIM, ROOT
from site_gen.emit import entries_file, entries_page, icons
from site_gen.emit.formulas import Formulas
from site_gen.emit.pages import Pages, Settings
from site_gen.enrich import facets
from site_gen.enrich.site import Site, enrich
from site_gen.load import load
from site_gen.serve import server

CLICK = """([facet, value]) => new Promise(done => {
  const box = document.querySelector(`details[data-facet='${facet}'] li[data-value='${value}'] input`);
  const start = performance.now();
  box.click();
  const script = performance.now() - start;
  requestAnimationFrame(() => { const port = new MessageChannel();
    port.port1.onmessage = () => done([script, performance.now() - start]); port.port2.postMessage(0); });
})"""


def many(site: Site, number: int) -> Site:
    """The site with `number` entries made of its own."""
    draw = random.Random(7)
    known = list(site.entries.values())
    works = [view.work for view in site.works.values()]
    entries = {}
    for i in range(number):
        entry, work = known[i % len(known)], works[i % len(works)]
        facts = entry.algorithm.facts
        given = {name: getattr(draw.choice(known).algorithm.facts, name) for name in type(facts).model_fields}
        words = draw.choice(known).algorithm.summary.split()
        draw.shuffle(words)
        algorithm = entry.algorithm.model_copy(update={
            "id": f"e{i}", "name": f"{work.name[:24]} {i}", "summary": " ".join(words),
            "facts": facts.model_copy(update=given),
            "introduced": f"{draw.randint(2015, 2026)}-01", "family": draw.choice(known).algorithm.family,
        })
        entries[f"e{i}"] = dataclasses.replace(entry, algorithm=algorithm, work=work)
    return dataclasses.replace(site, entries=entries, facets=facets.build(site.catalog, entries, site.surveys))


def build(site: Site, out: Path) -> Path:
    """A site of the catalog page alone."""
    work, docs = out / "work", out / "work" / "docs"
    maker = Pages(site, Formulas(work / "formulas.json"), Settings(), ROOT)
    (docs / "algorithms").mkdir(parents=True)
    (docs / "algorithms/index.md").write_text(entries_page.pages(maker)["algorithms/index.md"], encoding="utf-8")
    (docs / "index.md").write_text("# Home\n", encoding="utf-8")
    frontend_build.bundle(ROOT / "build" / "frontend")
    shutil.copytree(ROOT / "build" / "frontend", docs / INTERIM)
    (docs / INTERIM / "entries.json").write_text(entries_file.entries(site), encoding="utf-8")
    (docs / INTERIM / "logo.svg").write_text(icons.logo_file("#4a65cb"), encoding="utf-8")
    settings = yaml.safe_load((ROOT / "mkdocs.yml").read_text(encoding="utf-8"))
    settings |= {"nav": [{"Home": "index.md"}, {"Algorithms": ["algorithms/index.md"]}], "docs_dir": str(docs),
                 "site_dir": str(out / "site")}
    settings.pop("not_in_nav")
    settings["theme"]["custom_dir"] = str(ROOT / settings["theme"]["custom_dir"])
    (work / "mkdocs.yml").write_text(yaml.safe_dump(settings), encoding="utf-8")
    subprocess.run([sys.executable, "-m", "mkdocs", "build", "-q", "-f", str(work / "mkdocs.yml")], check=True,
                   env={**os.environ, "NO_MKDOCS_2_WARNING": "1"})
    return out / "site"


def packed(path: Path) -> int:
    """Bytes on the way, as a server that compresses sends them."""
    raw = path.read_bytes()
    return len(raw if path.suffix == ".woff2" else gzip.compress(raw, 9))


def browse(folder: Path, times: int = 9) -> None:
    from playwright.sync_api import sync_playwright

    from tests.install_browser import find

    chromium = find()
    if chromium is None:
        print("no Chromium: nothing was clicked")
        return
    running = server(folder)
    threading.Thread(target=running.serve_forever, daemon=True).start()
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox", "--disable-gpu"])
        for view in ("table", "cards"):
            page = browser.new_page(viewport={"width": 1440, "height": 900})
            page.set_default_timeout(120_000)
            loaded: list[Path] = []
            page.on("response", lambda got, to=loaded: to.append(folder / urlsplit(got.url).path.lstrip("/")))
            page.goto(f"http://127.0.0.1:{running.server_port}/algorithms/?view={view}")
            page.locator("[data-list][data-ready]").wait_for()
            page.wait_for_load_state("networkidle")
            if view == "table":
                files = [path / "index.html" if path.is_dir() else path for path in loaded]
                print(f"  loaded at first: {len(files)} files, {sum(map(packed, files)) / 1000:,.0f} kB gzipped")
            ready = page.evaluate("performance.getEntriesByType('navigation')[0].domInteractive")
            print(f"  {view}: HTML read after {ready:,.0f} ms")
            found: dict[str, list[list[float]]] = {"data": [], "family": []}
            for _ in range(times):
                for facet, value in (("data", "none"), ("family", "pruning")):
                    found[facet].append(page.evaluate(CLICK, [facet, value]))
            for facet, pairs in found.items():
                script, painted = (statistics.median(pair[i] for pair in pairs) for i in (0, 1))
                print(f"  {view}: a click in {facet}: script {script:.0f} ms, painted after {painted:.0f} ms")
            page.close()
        browser.close()
    running.shutdown()
    running.server_close()


def main(numbers: list[int]) -> None:
    site = enrich(load(ROOT))
    for number in numbers:
        with tempfile.TemporaryDirectory() as folder:
            out = build(many(site, number), Path(folder))
            print(f"{number:,} entries")
            for name in ("algorithms/index.html", f"{INTERIM}/entries.json"):
                raw = (out / name).stat().st_size
                print(f"  {name}: {raw / 1000:,.0f} kB, {packed(out / name) / 1000:,.1f} kB gzipped")
            browse(out)


if __name__ == "__main__":
    main([int(text) for text in sys.argv[1:]] or [400, 10_000])
