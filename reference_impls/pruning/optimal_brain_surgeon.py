"""Optimal brain surgeon: remove the one weight that costs least, let all others make up for it, and begin again.

Paper    Hassibi, Stork, Wolff. Optimal Brain Surgeon and General Network Pruning. ICNN 1993. Here on the problem of one
         layer: for the mean squared error of its outputs the quadratic form is exact, and rows are independent.
Symbols  w    (in,)         one row of the layer's weight W (out, in), the weights of one output
         H    (in, in)      2/n X^T X plus damping on its diagonal: the Hessian of the error in every row [eq-objective]
         B    (in, in)      the inverse of H; in each row, what has become of it after that row's removals
         q    (out,)        the weight that each row loses next
         L_q  (out,)        its saliency [eq-saliency]
Differs  from the paper: the error is that of one layer and not of the network, so that neither its gradient nor terms
         of third order are left out, and H is summed up and inverted at once, not by a recursion over the samples. It
         ends at a given share of zeros, not where the error grows too large; retraining is left out. Removals are
         carried out on B 64 at a time, and what has gone leaves it: the same numbers, with less to read and write.
"""

from typing import Literal

import torch
from torch import Tensor

from reference_impls.core.calibration import LayerInputs
from reference_impls.core.contracts import layer
from reference_impls.core.elimination import Elimination, rows_at_once
from reference_impls.core.hessian import inverse_cholesky
from reference_impls.core.masks import check_pattern, drop_count, parse_pattern
from reference_impls.core.storage import Storage, sparse_storage


@layer
def optimal_brain_surgeon(
    weight: Tensor,
    inputs: LayerInputs,
    *,
    sparsity: float = 0.5,
    pattern: str = "unstructured",
    comparison_group: Literal["layer", "row"] = "layer",
    damping: float = 0.01,
) -> Storage:
    """Prune one linear layer one weight at a time; after each the others of its row are moved to the best values.

    weight: (out, in), floating point. inputs: the layer's inputs; only their second moment is used.
    sparsity: share of zeros, 0 <= sparsity < 1. pattern: "unstructured", or "n:m" to keep n of every m consecutive
    weights of a row; its sparsity must agree. comparison_group: where the next weight is looked for: in the "layer"
    (takes longer: all rows are taken down to nothing), or in each "row", which then all lose the same number.
    damping: added to the Hessian's diagonal, a share of its mean.
    Raises ValueError for options outside their range and for a Hessian that is not positive definite.
    """
    if comparison_group not in ("layer", "row"):
        raise ValueError(f"comparison_group is {comparison_group!r}; allowed are layer and row")
    U = inverse_cholesky(inputs.hessian(), damping).to(weight.device)
    B = U.T @ U                                                                 # (in, in)  H^-1
    rows, columns = weight.shape
    if comparison_group == "layer" and pattern == "unstructured":
        keep = kept_in_layer(weight, B, drop_count(sparsity, rows * columns))
        return sparse_storage(removed_at_once(weight, B, keep).to(weight.dtype), keep, pattern)
    if pattern == "unstructured":
        group, count = None, drop_count(sparsity, columns)
    else:
        group = n, m = parse_pattern(pattern, sparsity)
        check_pattern(n, m, columns)
        count = columns // m * (m - n)
    W, order, _ = remove(weight, B, count, group)
    keep = torch.ones(rows, columns, dtype=torch.bool, device=weight.device).scatter_(1, order, False)
    return sparse_storage(W.to(weight.dtype), keep, pattern)


def kept_in_layer(weight: Tensor, B: Tensor, total: int) -> Tensor:
    """(out, in) bool: what stays when `total` weights go, each time the one of the smallest saliency in the layer.

    Rows do not touch each other: what a row would lose next, and for how much, follows from its own removals. So each
    row is taken down to nothing once. A removal is due when the dearest of those up to it in its row is.
    """
    _, order, saliency = remove(weight, B, weight.shape[1])
    due = saliency.cummax(1).values                                             # (out, in)
    gone = torch.zeros(due.numel(), dtype=torch.bool, device=due.device)
    gone[due.flatten().argsort(stable=True)[:total]] = True
    return torch.empty_like(order, dtype=torch.bool).scatter_(1, order, ~gone.reshape(due.shape))


def removed_at_once(weight: Tensor, B: Tensor, keep: Tensor) -> Tensor:
    """W (out, in), float64, with zeros outside keep, for which the others make up.

    Whatever the order, removals one by one [eq-update] end there: at the least squares of the weights that stay.
    """
    W = weight.to(torch.float64, copy=True)
    for w, gone in zip(W, ~keep, strict=True):
        columns = B[:, gone]                                                    # (in, those that go)
        w -= columns @ torch.cholesky_solve(w[gone, None], torch.linalg.cholesky(columns[gone]))[:, 0]
        w[gone] = 0.0
    return W


def remove(
    weight: Tensor, B: Tensor, count: int, group: tuple[int, int] | None = None
) -> tuple[Tensor, Tensor, Tensor]:
    """Take so many weights out of each row, one after another.

    group: n and m of an n:m pattern, which no row may fall below. Returns W (out, in), order (out, count): the columns
    as they went, and saliency (out, count). W and saliency are float64.
    """
    pieces = [_remove(w, B, count, group) for w in weight.split(rows_at_once(weight.shape[1]))]
    W, order, saliency = (torch.cat(parts) for parts in zip(*pieces, strict=True))
    return W, order, saliency


def _remove(
    weight: Tensor, inverse: Tensor, count: int, group: tuple[int, int] | None
) -> tuple[Tensor, Tensor, Tensor]:
    W, (rows, columns) = weight.to(torch.float64, copy=True), weight.shape
    gone = torch.zeros(rows, columns, dtype=torch.bool, device=W.device)
    B = Elimination(inverse, rows)
    order, saliency = torch.empty(rows, count, dtype=torch.long, device=W.device), W.new_empty(rows, count)
    each = torch.arange(rows, device=W.device)
    for k in range(count):
        L = (W.square() / (2 * B.diagonal)).masked_fill(gone, torch.inf)        # (out, in)  [eq-saliency]
        if group is not None:
            n, m = group
            full = gone.reshape(rows, -1, m).sum(2) == m - n
            L = L.masked_fill(full.repeat_interleave(m, dim=1), torch.inf)
        saliency[:, k], q = L.min(dim=1)                                        # (out,) each
        column = B.remove(q)                                                    # (out, in)  [eq-inverse]
        W.addcmul_((W[each, q] / column[each, q])[:, None], column, value=-1)   # [eq-update]
        gone[each, q], order[:, k] = True, q
    return W.masked_fill(gone, 0.0), order, saliency
