"""Elimination: inverse Hessians of many rows, each of which loses its columns one by one in an order of its own."""

import torch
from torch import Tensor

_NUMBERS, _WEIGHTS = 1 << 25, 1 << 15
"""Of the inverses and of the rows, at a time: 128 MiB in single precision, and what a processor's cache can hold."""


def rows_at_once(columns: int) -> int:
    """How many rows of so many columns are worked on together."""
    return max(1, min(_NUMBERS // columns**2, _WEIGHTS // columns))


class Elimination:
    """H_F^-1 for every row, where F are the columns that the row has left.

    diagonal: (rows, in), that of H_F^-1; of no meaning in the columns that are gone.

    The steps of elimination are kept as rows of V and carried out `block` at a time, as one product: that reads the
    inverses once for many steps. Source of the step: Frantar & Alistarh 2022 (arXiv:2208.11580), Lemma 1.
    """

    def __init__(self, inverse: Tensor, rows: int, block: int = 64) -> None:
        """inverse: (in, in), positive definite, the same for all rows at first; its dtype is that of all results."""
        columns = len(inverse)
        self.diagonal = inverse.diagonal().repeat(rows, 1)                          # (rows, in)
        self._inverse = inverse.repeat(rows, 1, 1)                                  # (rows, n, n)  before V
        self._left = torch.arange(columns, device=inverse.device).repeat(rows, 1)   # (rows, n)  their columns
        self._place = self._left.clone()                                            # (rows, in)  where in these
        self._gone = torch.zeros_like(self._left, dtype=torch.bool)                 # (rows, n)
        self._each = torch.arange(rows, device=inverse.device)
        self._V = inverse.new_empty(rows, block, columns)                           # H_F^-1 = inverse - V^T V
        self._steps = 0

    def remove(self, j: Tensor) -> Tensor:
        """Take column j (rows,) out of F of each row. Returns that column of H_F^-1 as it was before, (rows, in)."""
        at, V = self._place[self._each, j], self._V[:, : self._steps]
        column = self._inverse[self._each, at] - (V[self._each, :, at][:, None] @ V)[:, 0]   # (rows, n)
        pivot = column[self._each, at][:, None]                                              # (rows, 1)
        torch.mul(column, pivot.rsqrt(), out=self._V[:, self._steps])
        whole = torch.zeros_like(self.diagonal).scatter_(1, self._left, column)              # (rows, in)
        self.diagonal.addcdiv_(whole.square(), pivot, value=-1)
        self._gone[self._each, at] = True
        self._steps += 1
        if self._steps == self._V.shape[1]:
            self._carry_out()
        return whole

    def _carry_out(self) -> None:
        self._inverse.baddbmm_(self._V.mT, self._V, alpha=-1)
        self._steps = 0
        rows, n = self._left.shape
        # Every row has lost the same number. To copy what is left pays where that is much less.
        if 4 * int(self._gone[0].sum()) >= n:
            stay = (~self._gone).nonzero()[:, 1].reshape(rows, -1)                           # (rows, fewer)
            self._inverse = self._inverse[self._each[:, None, None], stay[:, :, None], stay[:, None]]
            self._left = self._left.gather(1, stay)
            self._place.scatter_(1, self._left, torch.arange(stay.shape[1], device=stay.device).expand_as(stay))
            self._gone = torch.zeros_like(self._left, dtype=torch.bool)
            self._V = self._V.new_empty(rows, self._V.shape[1], stay.shape[1])
