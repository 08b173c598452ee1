"""AWQ: input channels with large activations are scaled up before rounding, by a strength that a search finds.

Paper    Lin, Tang, Tang, Yang, Chen, Wang, Xiao, Dang, Gan, Han. AWQ: Activation-aware Weight Quantization for LLM
         Compression and Acceleration. MLSys 2024. arXiv:2306.00978. Section 3.2, equations 4 and 5.
Symbols  X    (tokens, in)  the inputs that some layers share; only X^T X and mean magnitudes are kept
         M    (in, in)      1/n X^T X
         W    (out, in)     one of these layers' weights
         s_X  (in,)         mean magnitude of each input channel
         s    (in,)         what the columns of W are multiplied by and X is divided by  [eq-scale]
         Q(.)               rounding on a grid of groups
Code     What the paper leaves open is as in the authors' code: s is divided so that its smallest and largest value are
         inverse to each other; weights are cut group by group, and not those of queries and keys.
Differs  from that code: the error is that of the layers' own outputs, summed over the layers that share an input; for
         queries, keys and values, and for gate and up, the code compares outputs of attention and feed-forward as a
         whole. Strengths go up to 1, in the code to 0.95. A channel without any input is left alone. In models without
         gates the second feed-forward layer is left unscaled.
"""

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor

from reference_impls.core.calibration import Batches
from reference_impls.core.contracts import model as model_method
from reference_impls.core.grid import Grid
from reference_impls.core.grouping import check_group_size, split_groups
from reference_impls.core.model_view import ModelView
from reference_impls.core.storage import QuantizedWeight
from reference_impls.core.views import BlockView, LinearView
from reference_impls.core.walk import walk

STRENGTHS = 20                                          # alpha is 0, 1/20, ..., 1
CLIPS = [1 - i / 20 for i in range(10)]                 # of a group's largest magnitude, as in the authors' code


@model_method(alone={"quantize": True})
def awq(
    model: ModelView,
    calibration: Batches,
    *,
    bits: int = 4,
    group_size: int = 64,
    alpha: float | None = None,
    clip: bool = True,
    quantize: bool = False,
) -> None:
    """Scale the input channels of the model's layers, then quantize the weights or leave that to the next method.

    bits, group_size: the grid of the search and of the weights. alpha: one strength for all, 0: no scaling; None: the
    best for each input. quantize: round the weights; False: only rewrite the model, which leaves its function as it is.
    clip: also search how far to cut the largest weights of each group (only where weights are rounded).
    Changes the model in place. Raises ValueError for options outside their range, where group_size does not divide the
    inputs of a layer, and for an empty calibration.
    """
    if alpha is not None and not 0 <= alpha <= 1:
        raise ValueError(f"alpha is {alpha}; allowed is 0 <= alpha <= 1, or none")
    cut: dict[str, Tensor] = {}
    for step in walk(model, calibration):
        scales: dict[str, Tensor] = {}
        for readers, divide in scalable(step.block):
            inputs = step.inputs[readers[0].name]
            M, s_X = inputs.second_moment.float(), inputs.mean_magnitude().float()
            weights = [linear.weight.float() for linear in readers]
            s = search(weights, M, s_X, bits, group_size) if alpha is None else scaling(s_X, alpha)
            divide(s)                                                           # diag(s)^-1 X   [eq-objective]
            for linear in readers:
                linear.weight = linear.weight * s.to(linear.weight)             # W diag(s)      [eq-objective]
                scales[linear.name] = s
        for linear in step.linears if clip and quantize else []:
            if not makes_scores(step.block, linear):
                M = step.inputs[linear.name].second_moment.float()
                s = scales.get(linear.name, torch.ones(len(M), device=M.device))
                cut[linear.name] = clipped(linear.weight.float(), M / s / s[:, None], bits, group_size)
    # Only now, so that all statistics are those of the unquantized model.
    for linear in model.linears.values() if quantize else []:
        W = cut.get(linear.name, linear.weight.float())
        grid = fit(W, bits, group_size)
        linear.set_storage(QuantizedWeight(grid.quantize(W), grid))


def fit(W: Tensor, bits: int, group_size: int) -> Grid:
    """The grid that weights are rounded on: that of the smallest and largest weight of a group, 0 not included."""
    return Grid.fit(W, bits=bits, group_size=check_group_size(group_size, W.shape[1]), include_zero=False)


def scaling(s_X: Tensor, alpha: float) -> Tensor:
    """s (in,) of mean magnitudes s_X (in,): their power [eq-scale], divided as in the authors' code.

    The smallest and the largest value become inverse to each other. Channels without any input keep 1.
    """
    live = s_X > 0
    if not live.any():
        return torch.ones_like(s_X)
    s = s_X.clamp(min=s_X[live].min()) ** alpha
    return torch.where(live, s / (s.min() * s.max()).sqrt(), 1.0)


def search(weights: list[Tensor], M: Tensor, s_X: Tensor, bits: int, group_size: int) -> Tensor:
    """The s (in,) whose strength leaves the lowest error in all layers that read the input.  [eq-objective]"""
    best, lowest = torch.ones_like(s_X), torch.inf
    for step in range(STRENGTHS + 1):
        s = scaling(s_X, step / STRENGTHS)
        error = sum(float(output_error(fit(W * s, bits, group_size).round(W * s) / s - W, M).sum()) for W in weights)
        if error < lowest:
            best, lowest = s, error
    return best


def output_error(D: Tensor, M: Tensor) -> Tensor:
    """(out,): the mean squared change of each output where the weight changes by D (out, in)."""
    return ((D @ M) * D).sum(1)


def clipped(W: Tensor, M: Tensor, bits: int, group_size: int) -> Tensor:
    """W (out, in) cut, group by group, where rounding then changes the group's share of the output least.  [eq-clip]"""
    size = check_group_size(group_size, W.shape[1]) or W.shape[1]
    G = split_groups(W, size)                                                   # (out, groups, columns)
    inside = torch.stack([M[i : i + size, i : i + size] for i in range(0, len(M), size)])   # (groups, columns, columns)
    largest = G.abs().amax(-1, keepdim=True)                                    # (out, groups, 1)
    best, lowest = G, torch.full_like(largest, torch.inf)
    for ratio in CLIPS:
        C = torch.maximum(torch.minimum(G, ratio * largest), -ratio * largest)
        D = split_groups(fit(C.flatten(1), bits, size).round(C.flatten(1)), size) - G       # (out, groups, columns)
        error = (torch.einsum("rgi,gij->rgj", D, inside) * D).sum(-1, keepdim=True)         # (out, groups, 1)
        best, lowest = torch.where(error < lowest, C, best), torch.minimum(error, lowest)
    return best.flatten(1)


def scalable(block: BlockView) -> list[tuple[list[LinearView], Callable[[Tensor], None]]]:
    """Layers that share an input, and what divides that input by s without changing anything else.

    Norms, the value projection for the layer that reads the heads (not where query heads share values), and the
    ungated half of a gated feed-forward part for the layer that reads it.
    """
    attention, output, hidden, down = block.groups
    found = [(readers, norm.divide) for norm, readers in block.smoothable]
    if len(attention) == 3 and attention[2].shape[0] == output[0].shape[1]:
        found.append((output, partial(divide_rows, attention[2])))
    if len(hidden) == 2:
        found.append((down, partial(divide_rows, hidden[1])))
    return found


def divide_rows(linear: LinearView, s: Tensor) -> None:
    """Divide the outputs of a layer by s (out,)."""
    linear.weight = linear.weight / s[:, None].to(linear.weight)
    if linear.bias is not None:
        linear.bias = linear.bias / s.to(linear.bias)


def makes_scores(block: BlockView, linear: LinearView) -> bool:
    """Whether a layer makes queries or keys, whose products are too sensitive to be clipped, by the authors' code."""
    first = [other.name for other in block.groups[0]]
    return linear.name in (first[:2] if len(first) == 3 else first)
