"""`compzoo serve` while someone writes: a saved entry stands in the open page without a reload by hand, at once by
itself and then with all other pages."""

from __future__ import annotations

import json
import os
import queue
import re
import signal
import sys
import threading
from pathlib import Path

import pytest

from site_gen.build import build
from site_gen.serve import Watcher, serve_and_watch
from site_gen.update import TooMuch, entry_of, update
from tests.site_gen import synthetic

pytestmark = pytest.mark.xdist_group("site_gen")

BUILDER = """
import sys
from pathlib import Path
from site_gen.build import build
build(Path({root!r}), out=Path(sys.argv[1]))
"""


@pytest.fixture(scope="module")
def start(tmp_path_factory) -> tuple[Path, object]:
    """A small repository and what its site was built from."""
    root = synthetic.write(tmp_path_factory.mktemp("live") / "repository")
    return root, build(root).site


@pytest.fixture
def written(start):
    """Writes fields of an entry into its file: written("plain", summary="..."). Puts the files back at the end."""
    root, _ = start
    before: dict[Path, str] = {}

    def write(identifier: str, text: str | None = None, /, **fields: object) -> None:
        path = root / f"catalog/algorithms/quantization/{identifier}.yml"
        before.setdefault(path, path.read_text(encoding="utf-8"))
        content = text if text is not None else json.dumps(json.loads(path.read_text(encoding="utf-8")) | fields)
        beside = path.with_suffix(".new")
        beside.write_text(content, encoding="utf-8")
        os.replace(beside, path)

    yield write
    for path, text in before.items():
        path.write_text(text, encoding="utf-8")


def builder(root: Path) -> list[str]:
    return [sys.executable, "-c", BUILDER.format(root=str(root))]


def test_page_is_the_one_that_a_whole_build_makes(start, written):
    root, site = start
    out, work = root / "site", root / "build"
    written("plain", summary="Rounds each number anew.", idea="Another, see [eq-round], with $z^{17}$.\n",
            family="quantization/rounding", name="Plainer")
    site = update(site, "plain", root, out, work)
    files = [out / f"algorithms/plain{end}" for end in ("/index.html", ".json", ".md", ".py", ".ipynb")]
    first = [file.read_bytes() for file in files]
    assert b"Plainer" in first[0] and b"z^{17}" in first[0]
    build(root)
    assert [file.read_bytes() for file in files] == first
    assert site.entries["plain"].name == "Plainer" and list(site.entries) == ["hostile", "plain"]


def test_what_concerns_more_than_a_page_waits(start, written):
    root, site = start
    file = site.entries["plain"].algorithm.file
    assert entry_of(site, {file}) == "plain"
    for changed in ({file, "catalog/taxonomy.yml"}, {"catalog/references.bib"}, set()):
        with pytest.raises(TooMuch):
            entry_of(site, changed)
    reference = json.loads((root / file).read_text(encoding="utf-8"))["reference"]
    written("plain", reference=reference | {"code": "reference_impls.quantization.hostile:hostile"})
    with pytest.raises(TooMuch):
        update(site, "plain", root, root / "site", root / "build")


def test_saved_entry_appears_in_the_open_page(start, written, browser):
    root, site = start
    said: queue.Queue[str] = queue.Queue()
    stop = threading.Event()
    running = threading.Thread(target=serve_and_watch, args=(root / "site", 0, builder(root), said.put, site, root),
                               kwargs={"stop": stop})
    running.start()
    try:
        address = re.match(r"(http://\S+/) ", said.get(timeout=30))[1]
        context = browser.new_context()
        entry, everything = context.new_page(), context.new_page()
        for page, path in ((entry, "algorithms/plain/"), (everything, "algorithms/")):
            page.set_default_timeout(60_000)
            page.goto(address + path)
        written("plain", summary="Rounds every number in a new way.")
        entry.get_by_text("Rounds every number in a new way.").first.wait_for()
        # The list of all entries follows after the whole build.
        everything.get_by_text("Rounds every number in a new way.").first.wait_for(state="attached")
        written("plain", "name: [")  # a half-written file takes nothing away
        assert "changed" in [said.get(timeout=30) for _ in range(3)][-1]
        entry.reload()
        assert entry.get_by_text("Rounds every number in a new way.").count()
        context.close()
    finally:
        stop.set()
        running.join(30)
    assert not running.is_alive()


def test_change_during_a_build_ends_that_build(start, written, tmp_path):
    """The older build must not lay its pages over the newer one."""
    root, site = start
    slow = [sys.executable, "-c", "import sys, time, pathlib; pathlib.Path(sys.argv[1]).mkdir(); time.sleep(600)"]
    watcher = Watcher(tmp_path / "site", root, root / "build", slow, lambda text: None, site)
    written("plain", summary="First.")
    watcher.turn()
    first = watcher._building
    assert first.poll() is None and (tmp_path / "site/algorithms/plain/index.html").is_file()
    written("plain", summary="Second.")
    watcher.turn()
    assert first.returncode == -signal.SIGKILL and watcher._building.poll() is None
    assert "Second." in (tmp_path / "site/algorithms/plain/index.html").read_text(encoding="utf-8")
    assert watcher.version == 2
    watcher.close()
    assert watcher._building is None and not (tmp_path / ".site.next").exists()
