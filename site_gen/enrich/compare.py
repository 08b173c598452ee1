"""What entries can be compared with: pairs that belong together, and which measured or reported numbers they share."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from site_gen.enrich.reported import Reported
    from site_gen.enrich.site import Entry
    from site_gen.enrich.terms import Terms
    from site_gen.enrich.together import Plot, Section

MOST = 4  # entries that may stand side by side
PARTNERS = 5  # other entries that an entry offers to be compared with

# Relations that say that two methods belong side by side, the most telling first.
TELLING = ("alternative_to", "conflicts_with", "supersedes", "special_case_of", "builds_on", "stacks_with")
GROUP, TEXT = "group", "text"  # ties that nobody declares: one group of the taxonomy, similar text


@dataclass(frozen=True)
class Pair:
    """Two entries that a declared relation ties. `first` declares it; `type` is that of `relation`.

    `protocols` are the sections of the Measured page that have both, `groups` counts the protocols of reported
    numbers that do, `combined` says whether the bench measured the two together.
    """

    first: str
    second: str
    relation: Any
    protocols: tuple[str, ...]
    groups: int
    combined: bool

    @property
    def type(self) -> str:
        return self.relation.type

    @property
    def shared(self) -> int:
        """How many kinds of numbers the two share."""
        return bool(self.protocols) + bool(self.groups) + self.combined


@dataclass(frozen=True)
class Partner:
    """An entry to compare another with. `tie`: a type of relation, GROUP or TEXT; `declared_here`: by this entry."""

    id: str
    tie: str
    declared_here: bool


@dataclass(frozen=True)
class Comparisons:
    """`pairs`: each unordered pair once, by its most telling relation; `partners` by entry, the nearest first."""

    pairs: list[Pair]
    partners: dict[str, list[Partner]]

    def best(self, of: dict[str, str]) -> list[Pair]:
        """The pair of each family of which most is known; `of`: entry -> family, in the order of the families."""
        found: dict[str, Pair] = {}
        for pair in self.pairs:
            found.setdefault(of[pair.first], pair)
        return [found[family] for family in dict.fromkeys(of.values()) if family in found]


def build(entries: dict[str, Entry], terms: Terms, sections: Sequence[Section], reported: Reported,
          combined: Iterable[tuple[str, str]]) -> Comparisons:  # fmt: skip
    """Pairs and partners of all entries. `combined`: ordered pairs that the bench measured."""
    measured: dict[str, list[str]] = {}
    for section in sections:
        for item in section.items:
            measured.setdefault(item.entry.id, []).append(section.id)
    groups: dict[str, set[str]] = {}
    for group in reported.groups:
        for line in group.lines:
            if line.entry:
                groups.setdefault(line.entry, set()).add(group.id)
    together = {frozenset(pair) for pair in combined}

    def pair(first: str, second: str, relation: Any) -> Pair:
        here = measured.get(first, [])
        return Pair(first, second, relation, tuple(name for name in here if name in measured.get(second, [])),
                    len(groups.get(first, set()) & groups.get(second, set())), frozenset((first, second)) in together)

    found: dict[frozenset[str], Pair] = {}
    for entry in entries.values():
        for relation in entry.algorithm.relations:
            both = frozenset((entry.id, relation.target))
            if relation.target in entries and len(both) == 2:
                known = found.get(both)
                if known is None or TELLING.index(relation.type) < TELLING.index(known.type):
                    found[both] = pair(entry.id, relation.target, relation)
    names = {entry.id: entry.name.casefold() for entry in entries.values()}
    pairs = sorted(found.values(), key=lambda one: (
        TELLING.index(one.type), -one.shared, -len(one.protocols), -one.groups, names[one.first], names[one.second]))
    return Comparisons(pairs, _partners(entries, terms, pairs))


def _partners(entries: dict[str, Entry], terms: Terms, pairs: list[Pair]) -> dict[str, list[Partner]]:
    """Declared ties first, in the order of the pairs; then similar text, of the same group before others; then, for an
    entry that nothing else ties, its neighbours in the group.
    """
    found: dict[str, dict[str, Partner]] = {name: {} for name in entries}
    for one in pairs:
        found[one.first].setdefault(one.second, Partner(one.second, one.type, True))
        found[one.second].setdefault(one.first, Partner(one.first, one.type, False))
    groups: dict[str, list[str]] = {}
    for entry in entries.values():
        groups.setdefault(entry.algorithm.family, []).append(entry.id)
    for members in groups.values():
        for place, name in enumerate(members):
            ties = found[name]
            like = [other.id for other in terms.alike[name] if other.id not in ties]
            for other in sorted(like, key=lambda other: entries[other].algorithm.family
                                != entries[name].algorithm.family):  # stable: then by likeness
                same = entries[other].algorithm.family == entries[name].algorithm.family
                ties.setdefault(other, Partner(other, GROUP if same else TEXT, False))
            if not ties:
                for other in members[max(0, place - 1) : place] + members[place + 1 : place + 2]:
                    ties[other] = Partner(other, GROUP, False)
    return {name: list(ties.values())[:PARTNERS] for name, ties in found.items()}


def why_not_drawn(plot: Plot) -> str:
    """Why an entry that is measured in the section of this plot has no dots in it."""
    if plot.of_work:
        return f"its runs do not count the {plot.x.key.removeprefix('work_')} that are left"
    if plot.x.key == "bits_per_weight":
        return "it stores as many bits for the weights as the uncompressed model"
    return f"its runs give no {plot.x.label}"

