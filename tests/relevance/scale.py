"""What search costs with more entries: what the browser loads before the first result, and how long a query takes.

Entries beyond the real ones are invented: each field has as many words as that of an entry by chance, drawn one by one
from the words of that field in all entries, and names are made of syllables by chance. Such texts compress worse than
sentences do, so the sizes are upper bounds. The queries are the questions, their first three letters, and the same with
two letters swapped.
"""

from __future__ import annotations

import gzip
import json
import random
import statistics
import tempfile
import threading
from dataclasses import dataclass
from pathlib import Path

from catalog import Catalog
from catalog import search as index
from site_gen import frontend_build
from site_gen.emit import data
from site_gen.serve import server
from tests.install_browser import find
from tests.relevance import measure

SIZES = (400, 10_000)
_SYLLABLES = [a + b for a in "bcdfghklmnprstvz" for b in ("a", "e", "i", "o", "u", "an", "er", "or")]
# Asks in a worker of the real bundle, as the dialog does, and times each question from being sent to being answered.
_ASK = """
async ({index, queries, limit}) => {
  const worker = new Worker("assets/zoo/search-worker.js", {type: "module"});
  const answer = () => new Promise((done, failed) => {
    worker.onmessage = ({data}) => ("problem" in data ? failed(new Error(data.problem)) : done(data.answer));
    worker.onerror = (event) => failed(new Error(event.message));
  });
  await answer();
  const timed = async (question) => {
    const begun = performance.now();
    const found = answer();
    worker.postMessage(question);
    await found;
    return performance.now() - begun;
  };
  const ready = await timed({read: new URL(index, document.baseURI).href});
  const times = [];
  for (const query of queries) times.push(await timed({query, limit}));
  worker.terminate();
  return {ready, times};
}
"""


@dataclass(frozen=True)
class Cost:
    """Of one size: gzipped bytes of the index and of the scripts; milliseconds until it is read, and of each query, by
    the clock and of processor time.
    """

    entries: int
    documents: int
    index: int
    scripts: int
    ready: float
    times: list[float]
    cpu: list[float]

    @property
    def line(self) -> str:
        times = "".join(f" {statistics.median(one):>8.1f} {statistics.quantiles(one, n=20)[-1]:>6.1f} {max(one):>6.1f}"
                        for one in (self.times, self.cpu))  # fmt: skip
        return (f"{self.entries:>7} {self.documents:>10} {self.index / 1000:>10.1f} {self.scripts / 1000:>9.1f}"
                f" {(self.index + self.scripts) / 1000:>7.1f} {self.ready:>10.0f}{times}")


HEAD = ("entries  documents  index, kB  scripts     all  ready, ms  ms a query: median, 95%, max"
        "  of processor time: the same")


def costs(catalog: Catalog, sizes: tuple[int, ...] = SIZES) -> list[Cost]:
    """Measured in headless Chromium, in the worker of the bundle; processor time in node. Raises RuntimeError where no
    Chromium is found.
    """
    from playwright.sync_api import sync_playwright

    chromium = find()
    if chromium is None:
        raise RuntimeError("no Chromium: install one, or set $CHROMIUM")
    file, documents = json.loads(data.search(catalog)), index.all_documents(catalog)
    queries = asked(catalog)
    found = []
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder) / "site"
        bundle = root / "assets" / "zoo"
        frontend_build.bundle(bundle)
        (root / "index.html").write_text("<!doctype html><title>Search</title>", encoding="utf-8")
        running = server(root)
        threading.Thread(target=running.serve_forever, daemon=True).start()
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox", "--disable-gpu"])
            page = browser.new_page()
            page.set_default_timeout(0)
            for size in sizes:
                grown, count = with_entries(catalog, file, documents, size)
                text = json.dumps(grown, ensure_ascii=False, separators=(",", ":"))
                (bundle / "search.json").write_text(text, encoding="utf-8")
                page.goto(f"http://127.0.0.1:{running.server_port}/")
                took = page.evaluate(_ASK, {"index": "assets/zoo/search.json", "queries": queries, "limit": 12})
                scripts = [bundle / "zoo.js", bundle / "search-worker.js", *_imported(bundle / "search-worker.js")]
                found.append(Cost(
                    size, count, len(gzip.compress(text.encode(), 9)),
                    sum(len(gzip.compress(path.read_bytes(), 9)) for path in scripts), took["ready"], took["times"],
                    json.loads(frontend_build.run_node("ask.mjs", input=json.dumps(
                        {"file": grown, "queries": queries, "limit": 12, "cpu": True}))),
                ))
            browser.close()
        running.shutdown()
        running.server_close()
    return found


def with_entries(
    catalog: Catalog, file: dict, documents: list[dict[str, str]], size: int
) -> tuple[dict, int]:
    """What the browser loads with so many entries, the missing ones invented, and how many documents that are."""
    more = [*documents, *invented(documents, size - len(catalog.algorithms))]
    return {**file, "fields": data.columns(more)}, len(more)


def asked(catalog: Catalog) -> list[str]:
    """The questions, their beginnings, and the questions with a slip."""
    chance = random.Random(1)
    queries = [one.query for one in measure.questions(catalog)]
    slips = []
    for query in queries:
        i = chance.randrange(max(len(query) - 1, 1))
        slips.append(query[:i] + query[i + 1 : i + 2] + query[i : i + 1] + query[i + 2 :])
    return [*queries, *(query[:3] for query in queries), *slips]


def invented(documents: list[dict[str, str]], count: int) -> list[dict[str, str]]:
    """So many documents of entries like those that are there."""
    chance = random.Random(0)
    real = [document for document in documents if document["kind"] == "algorithm"]
    words: dict[str, list[str]] = {}
    lengths: dict[str, list[int]] = {}
    for document in real:
        for field, text in document.items():
            if field not in ("id", "kind", "name", "facts", "family"):
                words.setdefault(field, []).extend(text.split())
                lengths.setdefault(field, []).append(len(text.split()))
    found = []
    for number in range(count):
        name = "".join(chance.choice(_SYLLABLES) for _ in range(chance.randrange(2, 5)))
        like = chance.choice(real)
        found.append({
            "id": f"{name}-{number}", "kind": "algorithm", "name": name.capitalize(),
            **{field: like[field] for field in ("facts", "family") if field in like},
            **{field: " ".join(chance.choices(words[field], k=chance.choice(lengths[field]))) for field in words},
        })
    return found


def _imported(script: Path) -> list[Path]:
    """The chunks that a bundled script imports."""
    text = script.read_text(encoding="utf-8")
    return [path for path in sorted((script.parent / "chunks").glob("*.js")) if path.name in text]
