"""The comparison: which entries one may lay side by side, and the frame that the browser fills with those chosen."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from site_gen.emit import compare_files
from site_gen.enrich.compare import MOST

if TYPE_CHECKING:
    from site_gen.emit.pages import Pages
    from site_gen.enrich.compare import Pair
    from site_gen.enrich.site import Site

LONG = 100  # pairs of a family that the page lists; the entries' own pages have all


@dataclass(frozen=True)
class Suggestion:
    """A pair in words: `phrase` stands between the two names, `shares` are the numbers that both have."""

    pair: Pair
    phrase: str
    shares: list[str]

    @property
    def address(self) -> str:
        return compare_files.address(self.pair.first, self.pair.second)


def pages(maker: Pages) -> dict[str, str]:
    """The one page; it is there even where no two entries are tied."""
    site = maker.site
    homes = {entry.id: entry.algorithm.home for entry in site.entries.values()}
    order = {name: home for family in site.families for name, home in homes.items() if home == family}
    families: dict[str, list[Suggestion]] = {}
    for pair in site.comparisons.pairs:
        families.setdefault(homes[pair.first], []).append(_suggestion(site, pair))
    front = {"description": "Two to four methods side by side: facts, measured curves, reported numbers, code.",
             "filtered": True}
    return {f"{compare_files.ADDRESS}index.md": maker.render(
        "compare.md.jinja", compare_files.ADDRESS, "Compare", front=front, wide=True, most=MOST, long=LONG,
        best=[_suggestion(site, pair) for pair in site.comparisons.best(order)],
        families={name: families[name] for name in site.families if name in families},
        retired={old: new for old, new in site.catalog.retired.items() if new in site.entries},
    )}


def _suggestion(site: Site, pair: Pair) -> Suggestion:
    from site_gen.emit.pages import PHRASES  # pages.py lists this module

    titles: dict[str, Any] = {section.id: section.title for section in site.together}
    shares = []
    if pair.protocols:
        shares.append(f"measured under {compare_files.listed([titles[name] for name in pair.protocols])}")
    if pair.groups:
        shares.append(f"reported under {pair.groups} common protocol{'s' if pair.groups > 1 else ''}")
    if pair.combined:
        shares.append("measured one after the other")
    return Suggestion(pair, PHRASES[pair.type][0], shares)
