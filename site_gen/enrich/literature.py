"""What the citation graph says beyond counts: similar works, communities, the main path, roots; and implied edges.

All but the last look at citations among methods only (METHODS). Surveys name nearly everything, and nearly everything
names the same models, data sets and benchmarks; with those, everything would be like everything.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from site_gen.enrich import communities, mainpath, similar
from site_gen.enrich.citations import CitationGraph

METHODS = ("algorithm", "foundation")  # roles of works
LEAST_PATH = 3  # works in the main path of a family


@dataclass(frozen=True)
class Implied:
    """An entry of `source` declares `relation` to the method of `target`; no citation between the two is known."""

    source: str
    target: str
    relation: str


@dataclass(frozen=True)
class Literature:
    """All of it, by key of the work. `reading` says how a work's own list was read: whole, part, or "" for not.

    `methods` are the works that are looked at, `citations` those among them; `by_family` are main paths through the
    works of one family, where there is one that is long enough.
    """

    methods: list[str]
    citations: list[tuple[str, str]]
    similar: dict[str, similar.Similar]
    communities: communities.Communities
    main: mainpath.MainPath
    by_family: dict[str, mainpath.MainPath]
    roots: mainpath.Roots
    implied: list[Implied]
    reading: dict[str, str]

    @cached_property
    def implied_of(self) -> dict[str, list[Implied]]:
        """The implied edges from and to a work, by its key."""
        found: dict[str, list[Implied]] = {}
        for edge in self.implied:
            for key in {edge.source, edge.target}:
                found.setdefault(key, []).append(edge)
        return found

    def on_main_path(self, key: str) -> bool:
        return key in self.main.works

    def community(self, key: str) -> communities.Community | None:
        """None for a work that is no method, or that no known citation among methods touches."""
        number = self.communities.of.get(key)
        return None if number is None else self.communities.all[number]


def literature(catalog: Any, graph: CitationGraph, families: Mapping[str, str]) -> Literature:
    """`families[key]` is the family of a work, where it is known."""
    works = catalog.bibliography
    methods = [key for key, work in works.items() if work.role in METHODS]
    known = set(methods)
    citations = [(source, target) for source, target in graph.edges if source in known and target in known]
    dates = {key: works[key].first_public or str(works[key].year) for key in methods}
    ranks = {key: place.rank for key, place in graph.places.items()}
    lists = catalog.citations
    paths = {}
    for family in dict.fromkeys(families.values()):
        members = [key for key in methods if families.get(key) == family]
        inside = [(a, b) for a, b in citations if families.get(a) == family == families.get(b)]
        path = mainpath.main_path(members, inside, dates)
        if len(path.works) >= LEAST_PATH:
            paths[family] = path
    return Literature(
        methods=methods,
        citations=citations,
        similar=similar.similar(methods, citations),
        communities=communities.communities(methods, citations, ranks, families),
        main=mainpath.main_path(methods, citations, dates),
        by_family=paths,
        roots=mainpath.roots(methods, citations),
        implied=implied(catalog, graph.edges),
        reading={
            key: "" if key not in lists else "whole" if lists[key].complete else "part" for key in works
        },
    )


def implied(catalog: Any, edges: Iterable[tuple[str, str]]) -> list[Implied]:
    """Relations between works that entries declare where no citation, either way, is known. They never count as one.

    A relation to or from a method without a paper has no place among works.
    """
    cites = {frozenset(edge) for edge in edges}
    found = set()
    for algorithm in catalog.algorithms.values():
        for relation in algorithm.relations:
            other = catalog.algorithms.get(relation.target)
            target = other.paper if other else relation.target
            source = algorithm.paper
            if source and target in catalog.bibliography and source != target and {source, target} not in cites:
                found.add((source, target, relation.type))
    return [Implied(*item) for item in sorted(found)]
