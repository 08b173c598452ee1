"""HQQ: weight quantization without data that moves each group's zero point by half-quadratic splitting.

Source   Badri, Shaji. Half-Quadratic Quantization of Large Machine Learning Models. Mobius Labs, article and code
         (mobiusml/hqq), November 2023. There is no paper.
Symbols  W    (out, in)        the layer's weight
         s, z (out, groups)    scale, which stays as it is, and zero point, a real number
         Q    (out, in)        codes, round(W / s + z)
         R    (out, in)        the error, W - s (Q - z)
         E    (out, in)        the auxiliary variable W_e: the part of the error that is left to outliers
         p, beta               the norm of [eq-objective], and the weight of the splitting in [eq-splitting]
Differs  from the authors' code: each group keeps the zero point whose lp error was the lowest; theirs ends all groups
         together when the mean error of the matrix no longer falls, and keeps the zero point of its last step. Scale
         and zero are rounded to 16 bit at every step, so that what is minimized is what is stored.
"""

from dataclasses import replace
from typing import Literal

import torch
from torch import Tensor

from reference_impls.core.calibration import LayerInputs
from reference_impls.core.contracts import layer
from reference_impls.core.grid import Grid
from reference_impls.core.grouping import check_group_size, split_groups
from reference_impls.core.storage import QuantizedWeight


@layer(statistics="none")
def hqq(
    weight: Tensor,
    inputs: LayerInputs,
    *,
    bits: int = 4,
    group_size: int = 64,
    lp_norm: float = 0.7,
    beta: float = 10.0,
    kappa: float = 1.01,
    iterations: int = 20,
    scale_dtype: Literal["float16", "bfloat16", "float32"] = "float16",
) -> QuantizedWeight:
    """Quantize one linear layer; the inputs are not looked at.

    weight: (out, in), floating point. group_size: columns that share a scale; -1: one grid a row. lp_norm: p, at most
    1. beta, kappa: the weight of the splitting at the first step, and its factor from step to step. iterations: steps
    of the solver; 0: rounding on the grid it starts from.
    Returns packed codes with one grid a group, its zero a real number. Raises ValueError for options outside their
    range, and where group_size does not divide `in`.
    """
    for name, value, right in (
        ("lp_norm", lp_norm, 0 < lp_norm <= 1), ("beta", beta, beta > 0), ("kappa", kappa, kappa >= 1),
        ("iterations", iterations, iterations >= 0),
    ):  # fmt: skip
        if not right:
            allowed = {"lp_norm": "0 < lp_norm <= 1", "beta": "beta > 0", "kappa": "kappa >= 1"}
            raise ValueError(f"{name} is {value}; allowed is {allowed.get(name, 'iterations >= 0')}")
    W, groups = weight.float(), check_group_size(group_size, weight.shape[1])
    grid = Grid.fit(W, bits=bits, group_size=groups, include_zero=False, zero="float",
                    dtype=getattr(torch, scale_dtype))                      # s, z of the smallest and largest weight
    Q = grid.quantize(W)                                                    # (out, in)
    R = W - grid.dequantize(Q)
    best, lowest = grid.zero, lp_error(R, grid.group_size, lp_norm)         # (out, groups)
    for _ in range(iterations):
        E = shrink(R, beta, lp_norm)                                        # (out, in)       [eq-shrink]
        z = zero_point(W, Q, E, grid)                                       # (out, groups)   [eq-zero]
        grid = replace(grid, zero=z.to(grid.zero.dtype))
        beta *= kappa
        Q = grid.quantize(W)
        R = W - grid.dequantize(Q)
        error = lp_error(R, grid.group_size, lp_norm)
        best, lowest = torch.where(error < lowest, grid.zero, best), torch.minimum(error, lowest)
    grid = replace(grid, zero=best)
    return QuantizedWeight(grid.quantize(W), grid)


def shrink(R: Tensor, beta: float, p: float) -> Tensor:
    """The generalized soft threshold of R (any shape); for p = 1 the soft threshold at 1 / beta.  [eq-shrink]"""
    # Where R is 0 and p below 1 the threshold is infinite; 0 times the relu of minus infinity is 0.
    return R.sign() * torch.relu(R.abs() - R.abs().pow(p - 1) / beta)


def zero_point(W: Tensor, Q: Tensor, E: Tensor, grid: Grid) -> Tensor:
    """The zero points (out, groups) that bring s (Q - z) closest to W - E (out, in) in the square.  [eq-zero]"""
    target = split_groups(W - E, grid.group_size) / grid.scale.float()[..., None]     # (out, groups, columns)
    return (split_groups(Q.float(), grid.group_size) - target).mean(-1)


def lp_error(R: Tensor, group_size: int, p: float) -> Tensor:
    """Sum of |R|^p over each group of the error (out, in): (out, groups).  [eq-objective]"""
    return split_groups(R.abs().pow(p), group_size).sum(-1)
