"""What the citation graph says beyond counts: similar works, communities, the main path, roots; and implied edges."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from site_gen.enrich import communities, mainpath, similar
from site_gen.enrich.citations import CitationGraph


@dataclass(frozen=True)
class Implied:
    """An entry of `source` declares `relation` to the method of `target`; no list is known in which it cites it."""

    source: str
    target: str
    relation: str


@dataclass(frozen=True)
class Literature:
    """All of it, by key of the work. `reading` says how a work's own list was read: whole, part, or "" for not."""

    similar: dict[str, similar.Similar]
    communities: communities.Communities
    main: mainpath.MainPath
    roots: mainpath.Roots
    implied: list[Implied]
    reading: dict[str, str]

    def on_main_path(self, key: str) -> bool:
        return key in self.main.works

    def community(self, key: str) -> communities.Community | None:
        """None for a work that no known citation touches."""
        number = self.communities.of.get(key)
        return None if number is None else self.communities.all[number]


def literature(catalog: Any, graph: CitationGraph, families: Mapping[str, str]) -> Literature:
    """`families[key]` is the family of a work, where it is known."""
    keys = list(graph.places)
    dates = {key: catalog.bibliography[key].first_public or str(catalog.bibliography[key].year) for key in keys}
    ranks = {key: place.rank for key, place in graph.places.items()}
    lists = catalog.citations
    return Literature(
        similar=similar.similar(catalog.bibliography, graph.edges),
        communities=communities.communities(keys, graph.edges, ranks, families),
        main=mainpath.main_path(keys, graph.edges, dates),
        roots=mainpath.roots(keys, graph.edges),
        implied=implied(catalog, graph.edges),
        reading={
            key: "" if key not in lists else "whole" if lists[key].complete else "part" for key in catalog.bibliography
        },
    )


def implied(catalog: Any, edges: Iterable[tuple[str, str]]) -> list[Implied]:
    """Relations between works that entries declare and no known citation covers. They are never counted as citations.

    A relation to or from a method without a paper has no place among works.
    """
    cites = set(edges)
    found = set()
    for algorithm in catalog.algorithms.values():
        for relation in algorithm.relations:
            other = catalog.algorithms.get(relation.target)
            target = other.paper if other else relation.target
            source = algorithm.paper
            if source and target in catalog.bibliography and source != target and (source, target) not in cites:
                found.add((source, target, relation.type))
    return [Implied(*item) for item in sorted(found)]
