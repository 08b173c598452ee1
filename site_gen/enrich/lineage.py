"""The lineage of each family: who builds on whom, as entries declare it, over time; and the citations beside that.

A family's picture has its own entries and, as guests, every method that one of them is declared to come from: entries
of other families, and works without an entry. Rows are in the order of a family tree, so that a method stands below
the one that it comes from. Declared relations and citations are kept apart: neither counts as the other.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from site_gen.enrich.site import Entry, WorkView

DESCENT = ("builds_on", "supersedes", "special_case_of")  # lead from a method to one that it comes from, in this order
MUTUAL = ("stacks_with", "alternative_to", "conflicts_with")  # say the same from both sides
CITES = "cites"
MOST = 60  # entries of a family that are drawn; the picture says how many it leaves out


@dataclass(frozen=True)
class Member:
    """A row. `id` is an entry's id or a work's key; `parent` is the row that it hangs below, `by` the relation."""

    id: str
    kind: str  # own | guest (an entry of another family) | work
    date: str  # year, or year-month
    parent: str | None
    by: str


@dataclass(frozen=True)
class Tie:
    """`source` declares `kind` to `target`, or cites it; both are members."""

    source: str
    target: str
    kind: str


@dataclass(frozen=True)
class Lineage:
    """Rows from top to bottom, and all ties between them. `left_out`: own entries that are not drawn."""

    family: str
    members: list[Member]
    ties: list[Tie]
    left_out: list[str]

    @property
    def own(self) -> int:
        return sum(member.kind == "own" for member in self.members)


def lineages(
    catalog: Any, families: Iterable[str], entries: Mapping[str, Entry], works: Mapping[str, WorkView],
    citations: Iterable[tuple[str, str]],
) -> dict[str, Lineage]:  # fmt: skip
    """The lineage of every family that has an entry. `citations` run from the citing to the cited work."""
    by_family: dict[str, list[str]] = {name: [] for name in families}
    for entry in entries.values():
        by_family[entry.algorithm.home].append(entry.id)
    weight = _weights(catalog)
    rows: dict[str, dict[str, Member]] = {}
    ties: dict[str, dict[tuple[str, str, str], Tie]] = {}
    out: dict[str, list[str]] = {}
    papers: dict[str, list[tuple[str, str]]] = {}  # work -> (family, member) wherever it is drawn
    for family, own in by_family.items():
        if not own:
            continue
        ranked = sorted(own, key=lambda key: (-weight[key], catalog.algorithms[key].introduced, key))
        shown, out[family] = set(ranked[:MOST]), sorted(ranked[MOST:])
        rows[family], ties[family] = _family(catalog, family, shown, works)
        for member in rows[family].values():
            algorithm = catalog.algorithms.get(member.id)
            paper = algorithm.paper if algorithm else member.id
            if paper:
                papers.setdefault(paper, []).append((family, member.id))
    for citing, cited in citations:
        for family, source in papers.get(citing, ()):
            for other, target in papers.get(cited, ()):
                if family == other and source != target:
                    ties[family][source, target, CITES] = Tie(source, target, CITES)
    return {
        family: Lineage(family, _ordered(members), sorted(ties[family].values(), key=_key), out[family])
        for family, members in rows.items()
    }


def _key(tie: Tie) -> tuple[str, str, str]:
    return tie.kind, tie.source, tie.target


def _weights(catalog: Any) -> Counter[str]:
    """How many declared relations touch each entry."""
    weight: Counter[str] = Counter()
    for algorithm in catalog.algorithms.values():
        for relation in algorithm.relations:
            weight[algorithm.id] += 1
            weight[relation.target] += 1
    return weight


def _family(
    catalog: Any, family: str, shown: set[str], works: Mapping[str, WorkView]
) -> tuple[dict[str, Member], dict[tuple[str, str, str], Tie]]:
    """The rows of one family, without order, and the declared ties between them."""
    algorithms = catalog.algorithms
    dates = {key: algorithms[key].introduced for key in shown}
    for key in shown:
        for relation in algorithms[key].relations:
            if relation.type in DESCENT and relation.target not in dates:
                other = algorithms.get(relation.target)
                if other is not None and other.home == family:
                    continue  # one of those left out
                if other is not None:
                    dates[relation.target] = other.introduced
                elif relation.target in works:
                    work = works[relation.target].work
                    dates[relation.target] = work.first_public or str(work.year)
    ties: dict[tuple[str, str, str], Tie] = {}
    parents: dict[str, tuple[int, str, str, str]] = {}
    for key in sorted(dates):
        for relation in algorithms[key].relations if key in algorithms else ():
            target, kind = relation.target, relation.type
            if target not in dates or target == key or (kind in MUTUAL and (target, key, kind) in ties):
                continue
            ties[key, target, kind] = Tie(key, target, kind)
            # Only an older method can be one that this one comes from; so the rows are a forest, whatever is declared.
            if kind in DESCENT and (dates[target], target) < (dates[key], key):
                rank = (-DESCENT.index(kind), dates[target], target, kind)
                parents[key] = max(parents.get(key, rank), rank)
    members = {}
    for key, date in dates.items():
        _, _, parent, by = parents.get(key, (0, "", None, ""))
        kind = "own" if key in shown else "guest" if key in algorithms else "work"
        members[key] = Member(key, kind, date, parent, by)
    return members, ties


def _ordered(members: dict[str, Member]) -> list[Member]:
    """Each row below the one that it hangs on, siblings and roots by date."""
    below: dict[str | None, list[Member]] = {}
    for member in members.values():
        below.setdefault(member.parent, []).append(member)
    for siblings in below.values():
        siblings.sort(key=lambda member: (member.date, member.id), reverse=True)
    rows, waiting = [], list(below.get(None, ()))
    while waiting:
        member = waiting.pop()
        rows.append(member)
        waiting += below.get(member.id, ())
    return rows
