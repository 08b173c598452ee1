"""A work among those that cite it and those it cites, as a static SVG with links: a row a work, time across.

Places across are shares of the width, so that names keep their size on every screen. Colours come from the style sheet;
each part has a shape too, so that no reader depends on colour.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from html import escape
from itertools import pairwise

from markupsafe import Markup

from site_gen.enrich.site import Site

MOST = 12  # works drawn on each side; the text beside the picture says how many there are, and names all
ROW = 22
TOP, BOTTOM = 14, 30
LEFT, RIGHT = 2.5, 97.5  # per cent of the width
WIDEST = 3  # a year with many works is at most so many times as wide as one with a single work
GAP = 1  # years without a work that the axis shows; of more the rest is left out
NARROW = 300  # the least width in pixels, by which it is decided on which side of its mark a name has room
GLYPH = 6.6  # pixels of a letter, about
TICK = 12.0  # per cent between the labels of years, at least
MARKS = {
    "current": "M-6 0A6 6 0 1 1 6 0A6 6 0 1 1 -6 0Z",
    "citing": "M0 -6L5.8 4.6H-5.8Z",
    "cited": "M-4.6 -4.6H4.6V4.6H-4.6Z",
    "both": "M0 -6.2L6.2 0L0 6.2L-6.2 0Z",
}


@dataclass(frozen=True)
class Ego:
    """Keys of the works around a work, the oldest first; `shown_...` of them are drawn, the most cited ones.

    `both` are among `citing` and among `cited`. `cut` is true where the axis leaves years out. `declared` are works to
    which, or from which, the catalog declares a relation without a known citation: (key, relation, declared by it).
    """

    citing: list[str]
    cited: list[str]
    both: list[str]
    declared: list[tuple[str, str, bool]]
    shown_citing: int
    shown_cited: int
    cut: bool
    svg: Markup


@dataclass(frozen=True)
class _Row:
    key: str
    kind: str
    x: float
    y: float


def around(site: Site, key: str, label: Callable[[str], str], address: Callable[[str], str]) -> Ego:
    """The ego graph of a work; without a picture where no citation touches it."""
    ties = site.ties[key]
    cites = set(ties.cites)
    both = [other for other in ties.cited_by if other in cites]
    citing = _most_cited(site, ties.cited_by)
    cited = _most_cited(site, [other for other in ties.cites if other not in both])
    implied = site.literature.implied_of.get(key, [])
    declared = [(i.target, i.relation, True) for i in implied if i.source == key]
    declared += [(i.source, i.relation, False) for i in implied if i.target == key]
    if not citing and not cited:
        return Ego([], [], [], declared, 0, 0, False, Markup(""))
    axis = TimeAxis([_date(site, other) for other in [key, *citing, *cited]])
    rows = _rows(site, key, citing, cited, set(both), axis)
    drawn = len(cited) + sum(other in citing for other in both)
    title = (f"{label(key)} over time, with {len(citing)} of {len(ties.cited_by)} works that cite it and "
             f"{drawn} of {len(ties.cites)} that it cites")
    svg = _draw(site, rows, axis, title, label, address)
    return Ego(ties.cited_by, ties.cites, both, declared, len(citing), drawn, bool(axis.breaks()), svg)


def _most_cited(site: Site, keys: Sequence[str]) -> list[str]:
    places = site.graph.places
    return sorted(keys, key=lambda key: (-places[key].cited_by, -places[key].rank, key))[:MOST]


def _date(site: Site, key: str) -> float:
    """When a work was first public."""
    work = site.works[key].work
    return moment(work.first_public or str(work.year))


def moment(date: str) -> float:
    """A year or year-month in years: the middle of the month, or of the year where no month is known."""
    year, _, month = date.partition("-")
    return int(year) + ((int(month) - 0.5) / 12 if month else 0.5)


def _rows(site: Site, key: str, citing: list[str], cited: list[str], both: set[str], axis: TimeAxis) -> list[_Row]:
    """From top to bottom: citing works, the oldest on top; the work; cited works, the newest at the bottom.

    So lines that lead further pass behind no name of a row between.
    """
    def row(other: str, kind: str, number: int) -> _Row:
        return _Row(other, kind, axis(_date(site, other)), TOP + ROW * (number + 0.5))

    def age(other: str) -> tuple[float, str]:
        return _date(site, other), other

    above = [row(other, "both" if other in both else "citing", i) for i, other in enumerate(sorted(citing, key=age))]
    below = [row(other, "cited", len(above) + 1 + i) for i, other in enumerate(sorted(cited, key=age))]
    return [*above, row(key, "current", len(above)), *below]


def _draw(
    site: Site, rows: list[_Row], axis: TimeAxis, title: str, label: Callable[[str], str],
    address: Callable[[str], str],
) -> Markup:  # fmt: skip
    bottom = TOP + ROW * len(rows)
    current = next(row for row in rows if row.kind == "current")
    parts = [f'<svg class="zoo-ego" width="100%" height="{bottom + BOTTOM}" role="group" aria-label="{escape(title)}">']
    for year in axis.years:
        parts.append(f'<line class="grid" x1="{axis(year):.1f}%" x2="{axis(year):.1f}%" y1="{TOP}" y2="{bottom}"/>')
    for year, place in axis.labels():
        parts.append(f'<text class="year" x="{place:.1f}%" y="{bottom + 18}" text-anchor="middle">{year}</text>')
    for place in axis.breaks():
        parts.append(f'<svg class="break" x="{place:.1f}%" y="{bottom}"><path d="M-4 5L-1 -5M1 5L4 -5"/></svg>')
    for row in rows:
        if row is not current:
            parts.append(f'<line class="edge {row.kind}" x1="{current.x:.1f}%" y1="{current.y:g}" x2="{row.x:.1f}%" '
                         f'y2="{row.y:g}"/>')
    for row in rows:
        parts.append(_mark(site, row, label(row.key), address(row.key)))
    return Markup("".join([*parts, "</svg>"]))


def _mark(site: Site, row: _Row, name: str, address: str) -> str:
    """The mark of a work and its name, on the side away from the lines where that has room; cut where neither has."""
    room = {"end": row.x / 100 * NARROW, "start": (100 - row.x) / 100 * NARROW}
    side = "end" if row.kind == "cited" else "start"
    if GLYPH * len(name) + 12 > room[side]:
        side = max(room, key=lambda one: (room[one], one))
    letters = int((room[side] - 12) / GLYPH)
    text = name if len(name) <= letters else name[: letters - 1].rstrip() + "…"
    view = site.works[row.key]
    own = " has-entry" if view.entries else ""
    inside = (
        f'<svg x="{row.x:.1f}%" y="{row.y:g}"><path d="{MARKS[row.kind]}"/></svg>'
        f'<text x="{row.x:.1f}%" y="{row.y:g}" dx="{10 if side == "start" else -10}" dy="4" text-anchor="{side}">'
        f"{escape(text)}</text>"
    )
    note = f"<title>{escape(f'{view.work.title}, {view.work.first_public or view.work.year}')}</title>"
    if row.kind == "current":
        return f'<g class="current{own}">{note}{inside}</g>'
    return f'<a class="{row.kind}{own}" href="{escape(address)}">{note}{inside}</a>'


class TimeAxis:
    """Dates to per cent of the width, from `left` to `right`. A year has as many units as the root of its works, at
    most WIDEST. Of years without a work that follow each other, which have one unit each, GAP are kept.
    """

    def __init__(self, dates: list[float], left: float = LEFT, right: float = RIGHT):
        self._left, self._right = left, right
        counts = Counter(int(date) for date in dates)
        self.years = sorted(counts)
        self._widths = {year: min(math.sqrt(counts[year]), WIDEST) for year in self.years}
        self._starts = {self.years[0]: 0.0}
        for earlier, later in pairwise(self.years):
            self._starts[later] = self._starts[earlier] + self._widths[earlier] + min(later - earlier - 1, GAP)
        self._units = self._starts[self.years[-1]] + self._widths[self.years[-1]]

    def __call__(self, date: float) -> float:
        return self._place(self._starts[int(date)] + date % 1 * self._widths[int(date)])

    def _place(self, units: float) -> float:
        return self._left + (self._right - self._left) * units / self._units

    def labels(self, apart: float = TICK) -> list[tuple[int, float]]:
        """The last year and its place, and of the others, from late to early, those that have room for it."""
        kept: list[tuple[int, float]] = []
        for year in reversed(self.years):
            if not kept or kept[-1][1] - self(year + 0.5) >= apart:
                kept.append((year, self(year + 0.5)))
        return kept[::-1]

    def breaks(self) -> list[float]:
        """Where years are left out."""
        return [
            self._place((self._starts[earlier] + self._widths[earlier] + self._starts[later]) / 2)
            for earlier, later in pairwise(self.years) if later - earlier - 1 > GAP
        ]  # fmt: skip
