"""SparseGPT: prune column by column and let the columns still to come make up for it.

Paper    Frantar, Alistarh. SparseGPT: Massive Language Models Can Be Accurately Pruned in One-Shot. ICML 2023.
         arXiv:2301.00774. Algorithm 1; n:m patterns as in Section 3.3.
Symbols  W    (out, in)     the layer's weight, one row an output
         X    (tokens, in)  the layer's calibration inputs (the paper writes them as columns)
         H    (in, in)      2/n X^T X plus damping on its diagonal, the Hessian of [eq-objective]
         U    (in, in)      upper Cholesky factor of the inverse of H [eq-hessian]
         M    (out, in)     the mask, True where a weight is kept
         E    (out, block)  the scaled losses of one block of columns
Differs  from the authors' code: the number of zeros in a block is exact (theirs drops everything up to and including a
         threshold, one weight a block more), and columns without input are not zeroed beforehand.
         From the paper: one block size for the choice of the mask (its B_s = 128) and for the delayed updates (its B);
         n:m keeps n of m where the paper zeroes n of m, which is the same for 2:4 and 4:8.
"""

from typing import Literal

import torch
from torch import Tensor

from reference_impls.core.calibration import LayerInputs
from reference_impls.core.contracts import layer
from reference_impls.core.hessian import inverse_cholesky
from reference_impls.core.masks import check_pattern, keep_by_score, keep_highest, keep_n_of_m, parse_pattern
from reference_impls.core.storage import Storage, sparse_storage


@layer
def sparsegpt(
    weight: Tensor,
    inputs: LayerInputs,
    *,
    sparsity: float = 0.5,
    pattern: str = "unstructured",
    block_size: int = 128,
    damping: float = 0.01,
    mask_selection: Literal["adaptive", "magnitude", "wanda"] = "adaptive",
) -> Storage:
    """Prune one linear layer and repair the weights that stay.

    weight: (out, in), floating point. inputs: the layer's inputs; only their second moment is used.
    sparsity: share of zeros in every block of columns, 0 <= sparsity < 1. pattern: "unstructured", or "n:m" to keep n
    of every m consecutive weights of a row; its sparsity must agree. block_size: columns whose mask is chosen together
    (in an n:m pattern only the columns whose updates are applied together). damping: added to the Hessian's diagonal, a
    share of its mean.
    mask_selection: "adaptive" chooses while the columns are processed; "magnitude" (over the layer) and "wanda" (inside
    each row) choose beforehand as those methods do, so that only the weights are repaired.
    Raises ValueError for options outside their range and for a Hessian that is not positive definite.
    """
    U = inverse_cholesky(inputs.hessian(), damping).to(weight.device, torch.float32)      # (in, in)  [eq-hessian]
    if mask_selection == "adaptive":
        keep = None
    elif mask_selection == "magnitude":
        keep = keep_by_score(weight.abs(), sparsity, pattern, within="layer")
    elif mask_selection == "wanda":
        keep = keep_by_score(weight.abs() * inputs.norms().to(weight.device), sparsity, pattern, within="row")
    else:
        raise ValueError(f"mask_selection is {mask_selection!r}; allowed are adaptive, magnitude and wanda")
    W, M = prune_columns(weight.float(), U, sparsity, pattern, block_size, keep)
    return sparse_storage(W.to(weight.dtype), M, pattern)


def prune_columns(
    weight: Tensor, U: Tensor, sparsity: float, pattern: str, block_size: int, keep: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """Algorithm 1: pruned weight (out, in) and mask (out, in) from the weight and U (in, in).

    keep: (out, in) bool, a mask chosen beforehand; None: the mask is chosen here.
    """
    W, columns = weight.clone(), weight.shape[1]                                          # (out, in)
    if block_size < 1:
        raise ValueError(f"block_size is {block_size}; allowed is block_size >= 1")
    n, m = (0, 0) if pattern == "unstructured" or keep is not None else parse_pattern(pattern, sparsity)
    if m:
        check_pattern(n, m, columns)
        block_size = -(-block_size // m) * m    # a block holds whole groups of m
    M = torch.ones_like(W, dtype=torch.bool) if keep is None else keep                    # (out, in)
    for start in range(0, columns, block_size):
        stop = min(start + block_size, columns)
        if not m and keep is None:
            M[:, start:stop] = keep_highest(losses(W, U, start, stop), sparsity, within="layer")      # [eq-mask]
        E = torch.zeros_like(W[:, start:stop])                                            # (out, block)
        for j in range(start, stop):
            if m and j % m == 0:
                M[:, j : j + m] = keep_n_of_m(losses(W, U, j, j + m), n, m)               # [eq-mask], inside each row
            E[:, j - start] = torch.where(M[:, j], 0.0, W[:, j] / U[j, j])                # kept: nothing to pass on
            W[:, j:stop] -= torch.outer(E[:, j - start], U[j, j:stop])                    # [eq-update]
        W[:, stop:] -= E @ U[start:stop, stop:]                                           # [eq-update], for the rest
    return W * M, M


def losses(W: Tensor, U: Tensor, start: int, stop: int) -> Tensor:
    """What removing each weight of these columns would cost, (out, stop - start)."""
    return W[:, start:stop].square() / U.diagonal()[start:stop].square()                  # [eq-error]
