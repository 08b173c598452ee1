"""Masks: from a score for each weight to the weights that are kept."""

from itertools import combinations
from typing import Literal

import torch
from torch import Tensor


def keep_highest(score: Tensor, sparsity: float, *, within: Literal["row", "layer"] = "row") -> Tensor:
    """Mask (out, in), True where kept: the lowest scores are dropped, ranked inside each row or over the whole layer.

    Exactly floor(sparsity * n) of the n scores ranked together are dropped; among equal scores the earlier go first.
    Raises ValueError for a sparsity outside 0 <= sparsity < 1 and for scores that are not finite.
    """
    if within not in ("row", "layer"):
        raise ValueError(f"within is {within!r}; allowed are row and layer")
    _check(score)
    ranked = score if within == "row" else score.reshape(1, -1)
    count = drop_count(sparsity, ranked.shape[1])
    if count == 0:
        return torch.ones_like(score, dtype=torch.bool)
    # Selecting one value is several times faster than sorting all; the ties at it are then counted off in order.
    last = ranked.kthvalue(count, dim=1, keepdim=True).values
    lower, equal = ranked < last, ranked == last
    missing = count - lower.sum(1, keepdim=True)
    return ~(lower | (equal & (equal.cumsum(1) <= missing))).reshape(score.shape)


def drop_count(sparsity: float, count: int) -> int:
    """floor(sparsity * count): how many of `count` weights go. Raises ValueError outside 0 <= sparsity < 1."""
    if not 0 <= sparsity < 1:
        raise ValueError(f"sparsity is {sparsity}; allowed is 0 <= sparsity < 1")
    return int(sparsity * count + 1e-9)  # the addition keeps a product like 0.7 * 10 = 6.999... from losing one


def keep_n_of_m(score: Tensor, n: int, m: int) -> Tensor:
    """Mask (out, in), True where kept: the n highest scores of every m consecutive columns of a row.

    Among equal scores the earlier are dropped first. Raises ValueError where the pattern does not fit.
    """
    _check(score)
    check_pattern(n, m, score.shape[1])
    # A score's place is the number of comparisons that it wins; for a small m that is faster than sorting.
    scores = score.reshape(-1, m).unbind(1)
    places = [torch.zeros_like(column, dtype=torch.int16) for column in scores]
    for earlier, later in combinations(range(m), 2):
        later_wins = scores[earlier] <= scores[later]
        places[later] += later_wins
        places[earlier] += ~later_wins
    return (torch.stack(places, 1) >= m - n).reshape(score.shape)


def keep_by_score(
    score: Tensor, sparsity: float, pattern: str = "unstructured", *, within: Literal["row", "layer"] = "row"
) -> Tensor:
    """Mask (out, in), True where kept, by pattern: "unstructured" as `keep_highest`, "n:m" as `keep_n_of_m`.

    An n:m pattern has the sparsity 1 - n/m by itself; ValueError where the sparsity asked for is another.
    """
    if pattern == "unstructured":
        return keep_highest(score, sparsity, within=within)
    n, m = parse_pattern(pattern, sparsity)
    return keep_n_of_m(score, n, m)


def parse_pattern(pattern: str, sparsity: float | None = None) -> tuple[int, int]:
    """"2:4" -> (2, 4): at most n of every m consecutive weights are kept. Raises ValueError for anything else.

    sparsity: what was asked for besides the pattern; ValueError where it is not that of the pattern.
    """
    n, colon, m = pattern.partition(":")
    if not (colon and n.isdecimal() and m.isdecimal() and 1 <= int(n) < int(m)):
        raise ValueError(f'pattern is {pattern!r}; expected "unstructured" or n:m with 1 <= n < m, for example "2:4"')
    own = 1 - int(n) / int(m)
    if sparsity is not None and abs(sparsity - own) > 0.005:
        raise ValueError(f"sparsity is {sparsity}; the pattern {pattern} has a sparsity of {own:.4g}, give the same")
    return int(n), int(m)


def check_pattern(n: int, m: int, columns: int) -> None:
    """Raises ValueError where n:m is no pattern or m does not divide the columns."""
    if not 1 <= n < m:
        raise ValueError(f"the pattern is {n}:{m}; expected 1 <= n < m")
    if columns % m:
        raise ValueError(f"the pattern is {n}:{m}; {m} must divide the {columns} input columns")


def sparsity_of(keep: Tensor) -> float:
    """Share of weights that a mask drops."""
    return 1.0 - keep.float().mean().item()


def _check(score: Tensor) -> None:
    if score.ndim != 2:
        raise ValueError(f"score has shape {tuple(score.shape)}; expected (out, in)")
    if not torch.isfinite(score).all():
        raise ValueError("score holds a value that is not finite")
