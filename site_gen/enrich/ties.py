"""What ties each work of the bibliography to the rest: entries that name it, and works on both ends of citations."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

_MENTION = re.compile(r"\[@([a-z]+[0-9]{4}[a-z0-9]*)")


@dataclass(frozen=True)
class Named:
    """An entry that names a work other than its own paper: `ways` in words, `relations` as the entry declares them."""

    entry: str
    ways: tuple[str, ...]
    relations: tuple[Any, ...]


@dataclass(frozen=True)
class Ties:
    """`cites` and `cited_by` are works of the bibliography, oldest first; `example_of` are nodes of the taxonomy."""

    named_by: list[Named]
    cites: list[str]
    cited_by: list[str]
    example_of: list[str]


def ties(catalog: Any, edges: Iterable[tuple[str, str]]) -> dict[str, Ties]:
    """The ties of every work of the bibliography. `edges` run from the citing to the cited work."""
    found = {key: Ties([], [], [], []) for key in catalog.bibliography}
    for algorithm in catalog.algorithms.values():
        for key, (ways, relations) in _named(algorithm).items():
            if key in found and key != algorithm.paper:
                found[key].named_by.append(Named(algorithm.id, tuple(ways), tuple(relations)))
    entries = {algorithm.paper or algorithm.id: algorithm for algorithm in catalog.algorithms.values()}
    for record in catalog.reported:
        source = record.source.work
        if record.method in entries and source in found and source != record.method:
            _add(found[source].named_by, entries[record.method], "source of numbers")
    for node in catalog.taxonomy.nodes():
        for key in catalog.taxonomy.group(node).examples:
            if key in found:
                found[key].example_of.append(node)
    for source, target in edges:
        found[source].cites.append(target)
        found[target].cited_by.append(source)

    def age(key: str) -> tuple[int, str]:
        return catalog.bibliography[key].year, key

    names = {algorithm.id: algorithm.name.casefold() for algorithm in catalog.algorithms.values()}
    for tie in found.values():
        tie.named_by.sort(key=lambda named: names[named.entry])
        tie.cites.sort(key=age)
        tie.cited_by.sort(key=age)
    return found


def _add(named: list[Named], algorithm: Any, way: str) -> None:
    """Adds a way in which an entry names a work, to the entry's place in the order of names."""
    for i, one in enumerate(named):
        if one.entry == algorithm.id:
            if way not in one.ways:
                named[i] = Named(one.entry, (*one.ways, way), one.relations)
            return
    named.append(Named(algorithm.id, (way,), ()))


def _named(algorithm: Any) -> dict[str, tuple[list[str], list[Any]]]:
    """Work -> how an entry names it, each way once and in a fixed order, and the relations among them."""
    found: dict[str, tuple[list[str], list[Any]]] = {}

    def name(key: str, way: str | None, relation: Any = None) -> None:
        ways, relations = found.setdefault(key, ([], []))
        if way and way not in ways:
            ways.append(way)
        if relation is not None:
            relations.append(relation)

    for relation in algorithm.relations:
        name(relation.target, None, relation)
    for claim in [*algorithm.strengths, *algorithm.limits]:
        if claim.source:
            name(claim.source.work, "source of a claim")
    for key in _MENTION.findall(algorithm.model_dump_json()):
        name(key, "in its text")
    for key in algorithm.further_reading:
        name(key, "further reading")
    return found
