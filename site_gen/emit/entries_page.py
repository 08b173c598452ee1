"""The catalog page, algorithms/: every entry in one table that the browser filters, and the facets to filter by."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from site_gen.emit import icons, links
from site_gen.emit.prose import plain
from site_gen.enrich.facets import Facet, Value
from site_gen.enrich.site import Entry, Site

if TYPE_CHECKING:
    from site_gen.emit.pages import Pages

ADDRESS = "algorithms/"
OPEN = ("family", "compresses", "data")  # facets that stand open at first
LETTERS = {"weights": "W", "activations": "A", "kv-cache": "KV", "embeddings": "E"}  # as in W4A16
# Columns of the table that are facets, and what their heads say.
COLUMNS = {
    "family": "Family", "year": "Year", "compresses": "Compresses", "stage": "Stage", "data": "Data",
    "training": "Training", "bits": "Bits", "needs_for_speed": "For speed", "measured": "State",
}  # fmt: skip
_SENTENCE = re.compile(r"(?<=[.!?])\s+(?=[A-Z\"“(])")
_ENOUGH = 90  # characters of a summary that say what a method does


@dataclass(frozen=True)
class Row:
    """`values`: places of the entry's values among all values of all facets, in the order of the page."""

    entry: Entry
    values: str
    says: str
    group: str
    also: list[str]  # ids of further families
    bits: list[tuple[str, str, str]]  # letter, what it stands for, widths


def pages(maker: Pages) -> dict[str, str]:
    site = maker.site
    facets = site.facets.all
    place = {(facet.id, value.id): number for number, (facet, value) in enumerate(
        (facet, value) for facet in facets.values() for value in facet.values)}
    rows = [row(site, entry, place) for entry in site.entries.values()]
    front = {
        "description": f"All {len(rows)} algorithms, to filter by what they compress, what they need and more.",
        "machine_forms": [["application/json", "algorithms.json", "All entries as JSON"],
                          ["application/json", "assets/zoo/entries.json", "What the entries are filtered by, as JSON"]],
        "filtered": True,
    }
    return {
        f"{ADDRESS}index.md": maker.render(
            "algorithms.md.jinja", ADDRESS, "Algorithms", front=front, wide=True, rows=rows, facets=facets,
            columns=COLUMNS, opened=OPEN, symbols=[icons.symbol(name) for name in site.families],
            about=lambda facet, value: about(site, facet, value), plain=plain,
        )
    }


def row(site: Site, entry: Entry, place: dict[tuple[str, str], int]) -> Row:
    algorithm = entry.algorithm
    home, _, group = algorithm.family.partition("/")
    values = [str(place[name, value]) for name, found in site.facets.of[entry.id].items() for value in found]
    return Row(
        entry, " ".join(values), opening(algorithm.summary), site.families[home].family.groups[group].name,
        [name for name in dict.fromkeys(node.partition("/")[0] for node in algorithm.also_in) if name != home],
        [(LETTERS.get(what, what), what, ", ".join(f"{width:g}" for width in dict.fromkeys(widths)))
         for what, widths in (algorithm.facts.bits or {}).items()],
    )


def opening(summary: str) -> str:
    """The first sentence, and more of them where it is short."""
    text = ""
    for sentence in _SENTENCE.split(plain(summary)):
        text = f"{text} {sentence}".strip()
        if len(text) >= _ENOUGH:
            break
    return text


def about(site: Site, facet: Facet, value: Value) -> str:
    """The page that lists the entries with a value and says what it means; empty where there is none."""
    if facet.id == "family":
        name, _, group = value.id.partition("/")
        return links.family(name) + (f"#{group}" if group else "")
    if facet.id == "survey":
        return links.survey(value.id) if value.id in site.surveys else ""
    known: Any = site.catalog.vocabulary.get(facet.id)
    return links.value(facet.id, value.id) if known and value.id in known.values else ""
