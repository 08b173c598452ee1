"""GPTQ: weight quantization that feeds each column's rounding error forward into the columns still to come.

Paper    Frantar, Ashkboos, Hoefler, Alistarh. OPTQ: Accurate Quantization for Generative Pre-trained Transformers.
         ICLR 2023. arXiv:2210.17323. Algorithm 1; groups as in Section 5.
Symbols  W  (out, in)      the layer's weight, one row an output
         X  (tokens, in)   the layer's calibration inputs (the paper writes them as columns)
         H  (in, in)       2/n X^T X, the Hessian of [eq-objective], plus damping on its diagonal
         U  (in, in)       upper Cholesky factor of the inverse of H [eq-hessian]; Algorithm 1 writes it over H^-1
         Q  (out, in)      the quantized weight, as codes on a grid
         E  (out, block)   the scaled rounding errors of one block of columns
Differs  from the authors' code: a group's grid is read when the loop reaches it, from columns that know of all errors
         before them, as the paper says; theirs reads stale columns where a group starts inside a block (stale_groups
         does the same). Columns without any input are rounded like the others; theirs sets them to zero.
         From both: scales are rounded to 16 bit before codes are chosen; weights outside `keep` stay zero.
"""

from typing import Literal

import torch
from torch import Tensor

from reference_impls.core.calibration import LayerInputs
from reference_impls.core.contracts import layer
from reference_impls.core.grid import Grid
from reference_impls.core.grouping import check_group_size
from reference_impls.core.hessian import hessian_of_live_inputs, inverse_cholesky
from reference_impls.core.storage import QuantizedWeight, SparseQuantizedWeight


@layer
def gptq(
    weight: Tensor,
    inputs: LayerInputs,
    *,
    bits: int = 4,
    group_size: int = 64,
    symmetric: bool = False,
    levels: Literal["full", "restricted"] = "restricted",
    damping: float = 0.01,
    block_size: int = 128,
    act_order: bool = False,
    stale_groups: bool = False,
    scale_dtype: Literal["float16", "bfloat16", "float32"] = "float16",
    keep: Tensor | None = None,
) -> QuantizedWeight | SparseQuantizedWeight:
    """Quantize one linear layer.

    weight: (out, in), floating point. inputs: the layer's inputs; only their second moment is used.
    bits, symmetric, levels: the grid, see `Grid.fit`. group_size: columns that share a scale; -1: one grid a row.
    damping: added to the Hessian's diagonal, a share of its mean. block_size: columns whose updates are applied to the
    rest of the matrix together; without groups it does not change the result. act_order: take the columns by falling
    second moment of their input; groups are then cut in that order, which is stored. stale_groups: read a group's grid
    as the authors' code does. keep: (out, in) bool, weights outside it become zero and their loss is fed forward too.
    Returns packed codes with one grid a group. Raises ValueError for options outside their range, where group_size does
    not divide `in`, and for a Hessian that is not positive definite.
    """
    W = weight.float().clone()                                              # (out, in)
    columns = W.shape[1]
    groups = check_group_size(group_size, columns)
    if block_size < 1:
        raise ValueError(f"block_size is {block_size}; allowed is block_size >= 1")
    M = torch.ones_like(W, dtype=torch.bool) if keep is None else keep      # (out, in)

    H = hessian_of_live_inputs(inputs).to(W.device)                         # (in, in)  [eq-objective]
    order = None                                                            # (in,), only with act_order
    if act_order:
        order = H.diagonal().argsort(descending=True, stable=True)
        W, M, H = W[:, order], M[:, order], H[order][:, order]
    U = inverse_cholesky(H, damping).float()                                # (in, in)  [eq-hessian]

    Q = torch.zeros_like(W, dtype=torch.int32)                              # (out, in)
    grids: list[Grid] = []
    for start, stop in blocks(columns, block_size, None if stale_groups else groups):
        B = W[:, start:stop].clone()                                        # (out, block), the block at work
        E = torch.zeros_like(B)                                             # (out, block)
        for q in range(start, stop):
            if q % (groups or columns) == 0:
                # W is behind B inside a block: only a group that starts with its block sees every update.
                group = slice(q, q + (groups or columns))
                grids.append(Grid.fit(torch.where(M[:, group], W[:, group], 0.0), bits=bits, symmetric=symmetric,
                                      levels=levels, dtype=getattr(torch, scale_dtype)))
            w = B[:, q - start]                                             # (out,)
            Q[:, q] = grids[-1].quantize(w[:, None])[:, 0]
            rounded = grids[-1].dequantize(Q[:, q : q + 1])[:, 0]           # (out,)
            error = (w - torch.where(M[:, q], rounded, 0.0)) / U[q, q]      # (out,)
            B[:, q - start :] -= torch.outer(error, U[q, q:stop])           # [eq-update]
            E[:, q - start] = error
        W[:, stop:] -= E @ U[start:stop, stop:]                             # [eq-block-update]

    if order is not None and groups is None:                                # one grid a row serves any order
        Q, order = Q[:, order.argsort()], None
    grid = Grid.join(grids, groups)
    return QuantizedWeight(Q, grid, order=order) if keep is None else SparseQuantizedWeight(Q, grid, keep, order=order)


def blocks(columns: int, block_size: int, group_size: int | None) -> list[tuple[int, int]]:
    """Start and stop of each block of columns; with a group size, every group starts with a block."""
    edges = set(range(0, columns, block_size)) | set(range(0, columns, group_size or columns)) | {columns}
    ordered = sorted(edges)
    return list(zip(ordered[:-1], ordered[1:], strict=True))
