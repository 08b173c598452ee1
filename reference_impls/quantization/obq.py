"""OBQ: one weight of a row is rounded at a time, the cheapest first, and the others move to make up for it.

Paper    Frantar, Alistarh. Optimal Brain Compression: A Framework for Accurate Post-Training Quantization and Pruning.
         NeurIPS 2022. arXiv:2208.11580. The Optimal Brain Quantizer.
Symbols  w    (rows, in)       some rows of the weight, each with an order of its own
         H    (in, in)         2/n X^T X of the layer's inputs, plus damping on its diagonal [eq-hessian]
         F                     the weights of a row that are still free; other rows have other ones
         B                     H_F^-1 of every row [eq-inverse], and its diagonal (rows, in)
Differs  from the authors' code: eliminations are carried out on the inverses 64 at a time, and weights that are done
         with leave them: the same numbers, with less to read and write. The Hessian is damped always; theirs adds 1 to
         its diagonal where it cannot be inverted. Scales are rounded to 16 bit before codes are chosen.
"""

from dataclasses import replace
from typing import Literal

import torch
from torch import Tensor

from reference_impls.core.calibration import LayerInputs
from reference_impls.core.contracts import layer
from reference_impls.core.elimination import Elimination, rows_at_once
from reference_impls.core.grid import Grid
from reference_impls.core.grouping import check_group_size
from reference_impls.core.hessian import hessian_of_live_inputs, inverse_cholesky
from reference_impls.core.storage import QuantizedWeight, SparseQuantizedWeight


@layer
def obq(
    weight: Tensor,
    inputs: LayerInputs,
    *,
    bits: int = 4,
    group_size: int = -1,
    symmetric: bool = False,
    damping: float = 0.01,
    order: Literal["greedy", "fixed"] = "greedy",
    outliers_first: bool = True,
    scale_dtype: Literal["float16", "bfloat16", "float32"] = "float16",
    keep: Tensor | None = None,
) -> QuantizedWeight | SparseQuantizedWeight:
    """Quantize one linear layer.

    weight: (out, in), floating point. inputs: the layer's inputs; only their second moment is used.
    group_size: columns that share a scale, which is that of the weight as it came; -1: one grid a row, as in the paper.
    damping: added to the Hessian's diagonal, a share of its mean. order: "greedy", the cheapest weight of each row
    first, or "fixed", from left to right in all rows. outliers_first: a weight that was moved more than half a step off
    its grid is rounded next (greedy order only). keep: (out, in) bool, weights outside it are zero and stay so.
    Returns packed codes with one grid a group. Raises ValueError for options outside their range, where group_size does
    not divide `in`, and for a Hessian that is not positive definite.
    """
    if order not in ("greedy", "fixed"):
        raise ValueError(f"order is {order!r}; allowed are greedy and fixed")
    W = weight.float() if keep is None else torch.where(keep, weight.float(), 0.0)      # (out, in)
    M = torch.ones_like(W, dtype=torch.bool) if keep is None else keep                  # (out, in)
    U = inverse_cholesky(hessian_of_live_inputs(inputs).to(W.device), damping)          # (in, in)  [eq-hessian]
    inverse = (U.T @ U).float()                                                         # (in, in)
    grid = Grid.fit(W, bits=bits, group_size=check_group_size(group_size, W.shape[1]), symmetric=symmetric,
                    dtype=getattr(torch, scale_dtype))
    codes = []
    for some in torch.arange(len(W), device=W.device).split(rows_at_once(W.shape[1])):
        own = replace(grid, scale=grid.scale[some], zero=grid.zero[some])
        codes.append(quantize_rows(W[some], M[some], inverse, own, order == "greedy", outliers_first))
    Q = torch.cat(codes)                                                                # (out, in)
    return QuantizedWeight(Q, grid) if keep is None else SparseQuantizedWeight(Q, grid, keep)


def quantize_rows(
    w: Tensor, keep: Tensor, inverse: Tensor, grid: Grid, greedy: bool, outliers_first: bool
) -> Tensor:
    """Codes (rows, in) of the rows w (rows, in), by the recursion of the paper with one order a row."""
    rows, columns = w.shape
    w, each = w.clone(), torch.arange(rows, device=w.device)
    codes = torch.zeros(w.shape, dtype=torch.int32, device=w.device)
    half = grid.scale.float().repeat_interleave(columns // grid.groups, 1) / 2          # (rows, in)  half a step
    B = Elimination(inverse, rows)
    done = torch.zeros_like(keep)
    for _ in range(columns):
        nearest = grid.quantize(w)                                                      # (rows, in)
        error = w - torch.where(keep, grid.dequantize(nearest), 0.0)                    # (rows, in)
        # Pruned weights leave the problem first: their error is 0, so that nothing has to make up for them.
        cost = torch.where(keep, error.square() / B.diagonal, -1.0).masked_fill(done, torch.inf) # (rows, in)  [eq-cost]
        if greedy:
            least, j = cost.min(1)                                                      # (rows,) each
            if outliers_first:
                far, outlier = (error.abs() - half).masked_fill(done, 0.0).max(1)       # (rows,) each
                j = torch.where((least >= 0) & (far > 0), outlier, j)                   # least < 0: pruned ones first
        else:
            j = (torch.isinf(cost).to(torch.uint8) + 2 * (cost >= 0)).argmin(1)         # pruned, then free, then done
        row = B.remove(j)                                                               # (rows, in)  [eq-inverse]
        codes[each, j] = nearest[each, j]
        w -= (error[each, j] / row[each, j])[:, None] * row                             # [eq-update]
        done[each, j] = True
    return codes
