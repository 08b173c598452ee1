"""How the field runs through time: the main path of the citation graph, and the works at which its paths begin."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import networkx

MOST_ROOTS = 20


@dataclass(frozen=True)
class Step:
    """From an earlier work to a later one that cites it; `paths` of all paths through the graph go this way."""

    earlier: str
    later: str
    paths: int


@dataclass(frozen=True)
class MainPath:
    """`works` from the oldest to the newest. `paths` is the number of all paths from a first to a last work.

    Left out are the citations `backward` in time, and those `in_rings` of works that all cite each other.
    """

    works: list[str]
    steps: list[Step]
    paths: int
    backward: list[tuple[str, str]]
    in_rings: list[tuple[str, str]]


@dataclass(frozen=True)
class Root:
    """A cited work of which no citation is known: lists that name it, and works that lead to it over any number."""

    key: str
    cited_by: int
    descendants: int


@dataclass(frozen=True)
class Roots:
    """The most cited roots, and the keys of all of them in the same order."""

    first: list[Root]
    keys: list[str]


def main_path(keys: Sequence[str], edges: Iterable[tuple[str, str]], dates: Mapping[str, str]) -> MainPath:
    """The path of the greatest total of search path counts (Hummon and Doreian 1989, Batagelj 2003).

    `edges` run from the citing to the cited work; `dates` are "2022" or "2022-10". A citation is backward in time where
    the citing work was surely public before the cited one. The count of a step is the number of paths, from any work
    that cites none to any work that none cites, that take it. Equal totals go to the key that comes first.
    """
    edges = sorted(edges)
    backward = [(source, target) for source, target in edges if _last(dates[source]) < _first(dates[target])]
    gone = set(backward)
    graph = networkx.DiGraph()
    graph.add_nodes_from(keys)
    graph.add_edges_from((target, source) for source, target in edges if (source, target) not in gone)
    ring = {
        key: number for number, part in enumerate(networkx.strongly_connected_components(graph)) for key in part
    }
    in_rings = sorted((later, earlier) for earlier, later in graph.edges if ring[earlier] == ring[later])
    graph.remove_edges_from([(earlier, later) for later, earlier in in_rings])

    order = list(networkx.lexicographical_topological_sort(graph))
    before: dict[str, int] = {}  # paths from any first work
    after: dict[str, int] = {}  # paths to any last work
    for key in order:
        before[key] = sum(before[other] for other in graph.predecessors(key)) or 1
    for key in reversed(order):
        after[key] = sum(after[other] for other in graph.successors(key)) or 1

    total: dict[str, int] = {}
    came: dict[str, str] = {}
    for key in order:
        total[key] = 0
        for other in sorted(graph.predecessors(key)):
            weight = total[other] + before[other] * after[key]
            if weight > total[key]:
                total[key], came[key] = weight, other
    works: list[str] = []
    last = min(order, key=lambda key: (-total[key], key), default=None)
    if last is not None and total[last]:
        works = [last]
        while works[-1] in came:
            works.append(came[works[-1]])
        works.reverse()
    steps = [Step(a, b, before[a] * after[b]) for a, b in zip(works, works[1:], strict=False)]
    # A work that no citation touches is first and last at once, and no path.
    paths = sum(before[key] for key in order if not graph.out_degree(key) and graph.in_degree(key))
    return MainPath(works, steps, paths, backward, in_rings)


def roots(keys: Iterable[str], edges: Sequence[tuple[str, str]], most: int = MOST_ROOTS) -> Roots:
    """Cited works of which no citation is known, the most cited first; equal counts by key."""
    cites = {source for source, _ in edges}
    graph = networkx.DiGraph(edges)
    found = sorted((key for key in keys if key in graph and key not in cites), key=lambda k: (-graph.in_degree(k), k))
    first = [Root(key, graph.in_degree(key), len(networkx.ancestors(graph, key))) for key in found[:most]]
    return Roots(first, found)


def _first(date: str) -> str:
    return date if len(date) > 4 else f"{date}-01"


def _last(date: str) -> str:
    return date if len(date) > 4 else f"{date}-12"
