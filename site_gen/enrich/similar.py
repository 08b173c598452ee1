"""Similar works by citation: cited together by the same lists, or citing the same works; each tie with its reason."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

MOST = 6  # ties that a page shows, each way
ENOUGH_LISTS = 3  # a work that fewer lists cite is compared with none: two lists say too little
ENOUGH_CITED = 5  # the same for a work of which fewer citations are known
SHARED = 2  # one list, or one cited work, in common is chance


@dataclass(frozen=True)
class Tie:
    """Another work, `strength` in (0, 1], and the works that say so, the most telling ones first."""

    key: str
    strength: float
    through: tuple[str, ...]


@dataclass(frozen=True)
class Similar:
    """`together`: cited by the same lists (co-citation). `coupled`: citing the same works (bibliographic coupling).

    `lists` cite the work and `cited` are cited by it; below ENOUGH_LISTS and ENOUGH_CITED there are no ties.
    """

    together: list[Tie]
    coupled: list[Tie]
    lists: int
    cited: int

    @property
    def enough_lists(self) -> bool:
        return self.lists >= ENOUGH_LISTS

    @property
    def enough_cited(self) -> bool:
        return self.cited >= ENOUGH_CITED


def similar(keys: Iterable[str], edges: Iterable[tuple[str, str]]) -> dict[str, Similar]:
    """The ties of every work. `edges` run from the citing to the cited work.

    Strength is Salton's cosine: the number of lists (or cited works) that two works share, over the root of the product
    of how many each has. So a work that everybody cites is not similar to everything. Equal strengths are ordered by
    what is shared, then by key.
    """
    keys = list(keys)
    cites: dict[str, set[str]] = {key: set() for key in keys}
    cited_by: dict[str, set[str]] = {key: set() for key in keys}
    for source, target in edges:
        cites[source].add(target)
        cited_by[target].add(source)
    return {
        key: Similar(
            _ties(key, cited_by, cites, ENOUGH_LISTS), _ties(key, cites, cited_by, ENOUGH_CITED),
            len(cited_by[key]), len(cites[key]),
        )
        for key in keys
    }  # fmt: skip


def _ties(key: str, own: Mapping[str, set[str]], back: Mapping[str, set[str]], enough: int) -> list[Tie]:
    """The strongest ties of `key` to works that share members of `own`; `back` is `own` turned round."""
    mine = own[key]
    if len(mine) < enough:
        return []
    shared = Counter(other for member in mine for other in back[member] if other != key)
    found = [
        (count / math.sqrt(len(mine) * len(own[other])), count, other)
        for other, count in shared.items() if count >= SHARED and len(own[other]) >= enough
    ]  # fmt: skip
    found.sort(key=lambda item: (-item[0], -item[1], item[2]))
    # A member with few works of its own says most: a short list, or a work that few cite.
    return [
        Tie(other, strength, tuple(sorted(mine & own[other], key=lambda member: (len(back[member]), member))))
        for strength, _, other in found[:MOST]
    ]
