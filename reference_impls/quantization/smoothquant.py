"""SmoothQuant: move activation outliers into the weights, then quantize both.

Paper    Xiao, Lin, Seznec, Wu, Demouth, Han. SmoothQuant: Accurate and Efficient Post-Training Quantization for Large
         Language Models. ICML 2023. arXiv:2211.10438. Section 4; the settings O1 to O3 are those of Table 2.
Symbols  X      (tokens, in)  the inputs of linear layers that read one normalization
         W      (out, in)     one such layer's weight (the paper writes it transposed)
         s      (in,)         smoothing factors [eq-factor]
         alpha                migration strength: 0 moves all of the difficulty to X, 1 all of it to W
Differs  from the paper: the batched products inside attention stay in floating point, and integer arithmetic is
         simulated by rounding. From the authors' code: a channel without any input or weight keeps the factor 1, theirs
         bounds the weights' maxima and the factor from below.
"""

from dataclasses import replace
from typing import Literal

import torch
from torch import Tensor

from reference_impls.core.activations import Granularity
from reference_impls.core.calibration import Batches
from reference_impls.core.contracts import model as model_method
from reference_impls.core.grid import Grid
from reference_impls.core.model_view import ModelView
from reference_impls.core.storage import QuantizedWeight
from reference_impls.core.walk import walk


@model_method(alone={"weight_bits": 8})
def smoothquant(
    model: ModelView,
    calibration: Batches,
    *,
    alpha: float | None = 0.5,
    activation_bits: int | None = 8,
    activation_granularity: Granularity = "token",
    weight_bits: int | None = None,
    weight_granularity: Literal["channel", "tensor"] = "tensor",
) -> None:
    """Smooth the inputs of the layers behind each normalization, then quantize inputs and weights of all layers.

    alpha: migration strength, 0 to 1; None: no smoothing, only the quantization.
    activation_bits: of the inputs of every linear layer, rounded at run time; None: left alone.
    activation_granularity: one step a token (O1), a tensor (O2), or a tensor with steps fixed by the calibration (O3).
    weight_bits: None: left to the next method. weight_granularity: one step a tensor, as in the paper, or a row.
    Changes the model in place. Raises ValueError for options outside their range and for an empty calibration.
    """
    if alpha is not None and not 0 <= alpha <= 1:
        raise ValueError(f"alpha is {alpha}; allowed is 0 <= alpha <= 1, or none")
    if weight_granularity not in ("channel", "tensor"):
        raise ValueError(f"weight_granularity is {weight_granularity!r}; allowed are channel and tensor")
    absmax: dict[str, Tensor] = {}    # layer -> max|X_j|, (in,)
    for step in walk(model, calibration, statistics="diagonal"):
        absmax |= {linear.name: step.inputs[linear.name].absmax() for linear in step.linears}
        for norm, readers in step.block.smoothable if alpha is not None else []:
            s = smoothing_factors(absmax[readers[0].name], [linear.weight for linear in readers], alpha)
            norm.divide(s)                                          # X diag(s)^-1  [eq-rewrite]
            for linear in readers:
                linear.weight = linear.weight * s                   # diag(s) W     [eq-rewrite]
                absmax[linear.name] = absmax[linear.name] / s
    # Only now, so that all statistics are those of the unquantized model.
    for linear in model.linears.values():
        if weight_bits is not None:
            linear.set_storage(round_weight(linear.weight, weight_bits, weight_granularity))
        if activation_bits is not None:
            static = float(absmax[linear.name].max()) if activation_granularity == "tensor-static" else None
            linear.set_activation_quantizer(activation_bits, activation_granularity, static)


def smoothing_factors(absmax: Tensor, weights: list[Tensor], alpha: float) -> Tensor:
    """s (in,) for an input with maxima absmax (in,) and the weights (out, in) of all layers that read it."""
    largest = torch.stack([W.abs().amax(0) for W in weights]).amax(0).to(absmax)         # (in,)  max|W_j|
    s = absmax**alpha / largest ** (1 - alpha)                                           # (in,)  [eq-factor]
    return torch.where((absmax > 0) & (largest > 0), s, torch.ones_like(s))


def round_weight(W: Tensor, bits: int, granularity: Literal["channel", "tensor"]) -> QuantizedWeight:
    """Nearest codes on a symmetric grid, one step a row or one for all (stored with every row).  [eq-quantizer]"""
    grid = Grid.fit(W if granularity == "channel" else W.reshape(1, -1), bits=bits, symmetric=True)
    if granularity == "tensor":
        grid = replace(grid, scale=grid.scale.repeat(len(W), 1), zero=grid.zero.repeat(len(W), 1))
    return QuantizedWeight(grid.quantize(W), grid)
