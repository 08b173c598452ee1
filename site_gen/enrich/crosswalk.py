"""Where each survey and our own taxonomy file each work, side by side, and where they disagree.

A section of a survey means at most one family of ours; catalog/surveys/ says which, and an inner section may mean
another than its outer one. A passing mention is no filing. Two sides disagree about an algorithm where both file it
under families and share none.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import combinations
from typing import TYPE_CHECKING, Any

from site_gen.enrich.coverage import is_algorithm

if TYPE_CHECKING:
    from site_gen.enrich.site import Entry, Filing, WorkView

OURS = "ours"


@dataclass(frozen=True)
class Home:
    """Where our taxonomy files a work: the homes of its entry, or the groups that name it as an example."""

    kind: str  # entry | example | ""
    nodes: tuple[str, ...]  # family/group, the home first

    @property
    def families(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(node.partition("/")[0] for node in self.nodes))


@dataclass(frozen=True)
class Cell:
    """What one survey does with a work: every place with evidence, and the families that it files it under."""

    filings: list[Filing]

    @property
    def families(self) -> tuple[str, ...]:
        named = (filing.family for filing in self.filings if filing.leaf.depth != "mentioned")
        return tuple(dict.fromkeys(family for family in named if family))


@dataclass(frozen=True)
class Disagreement:
    """Two sides, a survey's key or `ours`, that file an algorithm under families without a common one."""

    left: str
    right: str
    left_families: tuple[str, ...]
    right_families: tuple[str, ...]


@dataclass(frozen=True)
class Row:
    """One work, or an entry without a paper; `id` is the work's key, or the entry's id."""

    id: str
    name: str
    work: Any | None
    entry: Entry | None
    algorithm: bool  # only these can be disagreed about
    home: Home
    cells: dict[str, Cell]  # by survey, only those that file it
    disagreements: list[Disagreement]

    @property
    def families(self) -> tuple[str, ...]:
        """Every family that any side names, ours first."""
        named = [self.home.families, *(cell.families for cell in self.cells.values())]
        return tuple(dict.fromkeys(family for families in named for family in families))

    @property
    def parties(self) -> set[str]:
        """The sides that some other side disagrees with."""
        return {side for one in self.disagreements for side in (one.left, one.right)}


@dataclass(frozen=True)
class Overlap:
    """How many algorithms two surveys both treat; the same survey twice: how many it treats."""

    both: int
    either: int


@dataclass(frozen=True)
class Crosswalk:
    rows: list[Row]  # those that most surveys treat first, then by name
    overlaps: dict[tuple[str, str], Overlap]  # both orders, and each survey with itself

    @property
    def disputed(self) -> list[Row]:
        return [row for row in self.rows if row.disagreements]


def build(catalog: Any, entries: dict[str, Entry], works: dict[str, WorkView]) -> Crosswalk:
    """All works that any survey files with evidence, and all entries."""
    examples: dict[str, list[str]] = {}
    for node in catalog.taxonomy.nodes() if catalog.taxonomy else ():
        for key in catalog.taxonomy.group(node).examples:
            examples.setdefault(key, []).append(node)
    rows = []
    for view in works.values():
        cells = _cells(view.filings, catalog.surveys)
        about = [entries[name] for name in view.entries] or [None]
        for entry in about if cells or view.entries else ():
            rows.append(_row(view.key, view.work, entry, is_algorithm(view), cells, examples.get(view.key, [])))
    for entry in entries.values():
        if entry.work is None:
            rows.append(_row(entry.id, None, entry, True, {}, []))
    rows.sort(key=lambda row: (-len(row.cells), row.name.casefold(), row.id))
    return Crosswalk(rows, _overlaps(list(catalog.surveys), rows))


def _row(
    identifier: str, work: Any, entry: Entry | None, algorithm: bool, cells: dict[str, Cell], examples: list[str]
) -> Row:
    if entry is not None:
        home = Home("entry", (entry.algorithm.family, *entry.algorithm.also_in))
    else:
        home = Home("example" if examples else "", tuple(examples))
    sides = {OURS: home.families, **{key: cell.families for key, cell in cells.items()}}
    name = entry.name if entry else work.name
    return Row(identifier, name, work, entry, algorithm, home, cells, _disagreements(sides) if algorithm else [])


def _cells(filings: Iterable[Filing], surveys: Iterable[str]) -> dict[str, Cell]:
    seen: dict[str, list[Filing]] = {key: [] for key in surveys}
    for filing in filings:
        if filing.covered:
            seen[filing.survey].append(filing)
    return {key: Cell(found) for key, found in seen.items() if found}


def _disagreements(sides: dict[str, tuple[str, ...]]) -> list[Disagreement]:
    """Every two sides that both name families and have none in common."""
    return [
        Disagreement(left, right, sides[left], sides[right])
        for left, right in combinations(sides, 2)
        if sides[left] and sides[right] and not set(sides[left]) & set(sides[right])
    ]


def _overlaps(surveys: list[str], rows: list[Row]) -> dict[tuple[str, str], Overlap]:
    treated = {key: {row.id for row in rows if row.algorithm and key in row.cells} for key in surveys}
    return {
        (one, other): Overlap(len(treated[one] & treated[other]), len(treated[one] | treated[other]))
        for one in surveys for other in surveys
    }
