"""The citation graph of the works in the bibliography: counts, PageRank, and a place on the map for each work."""

from __future__ import annotations

import math
import random
from dataclasses import dataclass

import igraph
import networkx

SEED = 20231  # of the layout; any number, but always the same
LAYOUT_STEPS = 600
GRID_FROM = 1000
FAMILY_PULL = 0.3  # an edge of a list with one work pulls 1
REST_PULL = 0.1  # works of no known family hang together loosely
BAND_GAP = 0.15  # between the map, which ends at 1, and the first row of works that no citation touches
BAND_LEAST = 40  # places in a row of them
BAND_SHAPE = 8  # the band is about so many times as wide as high


@dataclass(frozen=True)
class Place:
    """A work in the graph. `x` and `y` lie in [-1, 1]; `rank` is its PageRank, and all of them sum to 1."""

    key: str
    x: float
    y: float
    cited_by: int
    cites: int
    rank: float


@dataclass(frozen=True)
class CitationGraph:
    """`places` by key, in the order of the bibliography; `edges` run from the citing to the cited work.

    `isolated` are works of the bibliography that no known edge touches; `band` gives them places below the map.
    """

    places: dict[str, Place]
    edges: list[tuple[str, str]]
    isolated: list[str]

    @property
    def ranking(self) -> list[str]:
        """Every work, the most cited first; equal counts by PageRank, then by key, and last those without citations."""
        places = sorted(self.places.values(), key=lambda place: (-place.cited_by, -place.rank, place.key))
        return [*(place.key for place in places), *sorted(self.isolated)]

    @property
    def band(self) -> dict[str, tuple[float, float]]:
        """Rows below the map, y > 1, in the order of the bibliography; x in [-1, 1]."""
        count = len(self.isolated)
        across = max(BAND_LEAST, math.ceil(math.sqrt(count * BAND_SHAPE)))
        step = 2 / (across - 1)
        return {
            key: (round(-1 + step * (index % across), 4), round(1 + BAND_GAP + step * (index // across), 4))
            for index, key in enumerate(self.isolated)
        }


def build(works: list[str], cited: dict[str, list[str]], families: dict[str, str]) -> CitationGraph:
    """The graph of the works that an edge touches, with positions in which works of one family lie together.

    `cited[key]` are the works that `key` is known to cite; works outside `works` are left out, as are self-citations.
    `families[key]` is the family of a work, where it is known.
    """
    known = set(works)
    edges = sorted(
        (source, target)
        for source, targets in cited.items()
        for target in set(targets)
        if source in known and target in known and source != target
    )
    touched = {key for edge in edges for key in edge}
    keys = [key for key in works if key in touched]
    graph = networkx.DiGraph()
    graph.add_nodes_from(keys)
    graph.add_edges_from(edges)
    ranks = networkx.pagerank(graph) if keys else {}
    positions = _layout(keys, edges, families)
    places = {
        key: Place(key, x, y, graph.in_degree(key), graph.out_degree(key), ranks[key])
        for key, (x, y) in zip(keys, positions, strict=True)
    }
    return CitationGraph(places, edges, [key for key in works if key not in touched])


def _layout(keys: list[str], edges: list[tuple[str, str]], families: dict[str, str]) -> list[tuple[float, float]]:
    """Fruchterman-Reingold with a fixed seed; every position within [-1, 1].

    An edge pulls the less the longer its citing work's list is, or surveys would draw everything into one star. Each
    family has an invisible point of its own that pulls on its works, so that families become regions of the map.
    """
    if not keys:
        return []
    names = sorted({families.get(key, "") for key in keys})
    number = {node: index for index, node in enumerate([*keys, *(f" {name}" for name in names)])}
    length: dict[str, int] = {}
    for source, _ in edges:
        length[source] = length.get(source, 0) + 1
    pairs = [(number[source], number[target]) for source, target in edges]
    weights = [1 / length[source] ** 0.5 for source, _ in edges]
    for key in keys:
        pairs.append((number[key], number[f" {families.get(key, '')}"]))
        weights.append(FAMILY_PULL if key in families else REST_PULL)
    graph = igraph.Graph(n=len(number), edges=pairs)
    generator = random.Random(SEED)
    # Of more than a thousand works igraph looks at near ones only; they must not all be near each other at the start.
    grid = len(number) > GRID_FROM
    spread = len(number) ** 0.5 / 2 if grid else 1
    start = [(generator.uniform(-spread, spread), generator.uniform(-spread, spread)) for _ in number]
    igraph.set_random_number_generator(generator)
    try:
        layout = graph.layout_fruchterman_reingold(niter=LAYOUT_STEPS, seed=start, weights=weights, grid=grid)
    finally:
        igraph.set_random_number_generator(random)
    placed = layout.coords[: len(keys)]
    left, right = min(x for x, _ in placed), max(x for x, _ in placed)
    top, bottom = min(y for _, y in placed), max(y for _, y in placed)
    reach = max(right - left, bottom - top) / 2 or 1
    return [(round((x - (left + right) / 2) / reach, 4), round((y - (top + bottom) / 2) / reach, 4)) for x, y in placed]
