"""Groups of works that cite each other more than the rest: Louvain communities of the citation graph."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import networkx

SEED = 20231
OTHER_SEEDS = (1, 2, 3, 4, 5)  # the same again, to see how firm the groups are


@dataclass(frozen=True)
class Community:
    """`works`, those first that most of the others cite; `families` with how many works each has, most frequent first.

    `firm` is the share of pairs of its works that other runs also put together; 1 where there is one work only.
    """

    id: int
    works: list[str]
    families: list[tuple[str, int]]
    firm: float


@dataclass(frozen=True)
class Communities:
    """The largest first. `of[key]` is the number of a work's community; `modularity` says how well they are apart."""

    all: list[Community]
    of: dict[str, int]
    modularity: float


def communities(
    keys: Sequence[str], edges: Sequence[tuple[str, str]], ranks: Mapping[str, float], families: Mapping[str, str]
) -> Communities:
    """Louvain's method with a fixed seed on the graph without directions; works that no edge touches are in none.

    A citation weighs one over the root of the length of its list: a long list says less about each work in it.
    """
    if not edges:
        return Communities([], {}, 0.0)
    # Nodes are numbers, since the order in a set of texts changes from run to run of Python.
    touched = {key for edge in edges for key in edge}
    keys = [key for key in keys if key in touched]
    number = {key: index for index, key in enumerate(keys)}
    length = Counter(source for source, _ in edges)
    weights: Counter[tuple[int, int]] = Counter()
    for source, target in sorted(edges):
        weights[tuple(sorted((number[source], number[target])))] += length[source] ** -0.5
    graph = networkx.Graph()
    graph.add_nodes_from(range(len(keys)))
    graph.add_weighted_edges_from((one, other, weight) for (one, other), weight in sorted(weights.items()))
    parts = _louvain(graph, SEED)
    others = [_numbers(_louvain(graph, seed)) for seed in OTHER_SEEDS]
    modularity = networkx.community.modularity(graph, parts)
    found = []
    parts.sort(key=lambda part: (-len(part), min(keys[index] for index in part)))
    home = _numbers(parts)
    cited = Counter(target for source, target in edges if home[number[source]] == home[number[target]])
    for identifier, part in enumerate(parts):
        works = sorted((keys[index] for index in part), key=lambda key: (-cited[key], -ranks[key], key))
        counts = Counter(families[key] for key in works if key in families)
        ordered = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
        found.append(Community(identifier, works, ordered, _firm(part, others)))
    return Communities(found, {key: part.id for part in found for key in part.works}, modularity)


def _louvain(graph: networkx.Graph, seed: int) -> list[set[int]]:
    return list(networkx.community.louvain_communities(graph, seed=seed))


def _numbers(parts: list[set[int]]) -> dict[int, int]:
    return {node: index for index, part in enumerate(parts) for node in part}


def _firm(part: set[int], others: list[dict[int, int]]) -> float:
    pairs = len(part) * (len(part) - 1) // 2
    if not pairs:
        return 1.0
    together = sum(
        count * (count - 1) // 2 for other in others for count in Counter(other[node] for node in part).values()
    )
    return together / (pairs * len(others))
