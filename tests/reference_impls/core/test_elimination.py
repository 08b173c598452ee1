"""Elimination: at every step the inverse of what each row has left, computed anew."""

import pytest
import torch

from reference_impls.core import elimination
from reference_impls.core.elimination import Elimination, rows_at_once


def problem(columns: int, dtype=torch.float64):
    x = torch.randn(3 * columns, columns, generator=torch.Generator().manual_seed(columns)).to(dtype)
    hessian = x.T @ x / len(x) + 0.1 * torch.eye(columns, dtype=dtype)
    return hessian, torch.linalg.inv(hessian)


@pytest.mark.parametrize("block", [1, 3, 8, 64])
def test_columns_and_diagonal_are_those_of_the_inverse_of_what_is_left(block):
    hessian, inverse = problem(24)
    orders = torch.stack([torch.randperm(24, generator=torch.Generator().manual_seed(row)) for row in range(5)])
    rows = Elimination(inverse, 5, block)
    for step in range(24):
        diagonal, column = rows.diagonal.clone(), rows.remove(orders[:, step])
        for row, order in enumerate(orders):
            left = order[step:].sort().values
            exact = torch.linalg.inv(hessian[left][:, left])
            torch.testing.assert_close(diagonal[row, left], exact.diagonal(), rtol=1e-10, atol=0)
            of_step = exact[(left == order[step]).nonzero()[0, 0]]
            torch.testing.assert_close(column[row, left], of_step, rtol=1e-8, atol=1e-12)
            assert step == 0 or column[row, order[:step]].abs().max() < 1e-12


def test_what_is_gone_is_taken_out_and_the_inverse_that_came_is_not_touched():
    _, inverse = problem(32)
    before = inverse.clone()
    rows = Elimination(inverse, 2, block=4)
    sizes = set()
    for j in range(31):
        rows.remove(torch.tensor([j, 31 - j]))
        sizes.add(rows._inverse.shape[-1])
    assert torch.equal(inverse, before)
    # Copied where at least a quarter has gone: after 8 of 32, 8 of 24, 4 of 16 and so on.
    assert sizes == {32, 24, 16, 12, 8, 4}


def test_single_precision_stays_close():
    hessian, inverse = problem(96, torch.float32)
    rows = Elimination(inverse, 1, block=16)
    for j in range(80):
        rows.remove(torch.tensor([j]))
    exact = torch.linalg.inv(hessian.double()[80:, 80:])
    assert rows.diagonal.dtype == torch.float32
    torch.testing.assert_close(rows.diagonal[0, 80:].double(), exact.diagonal(), rtol=1e-4, atol=0)


def test_rows_at_once_is_bounded_by_memory_and_at_least_one():
    assert rows_at_once(1 << 20) == 1
    for columns in 16, 576, 1536, 4096:
        assert 1 < rows_at_once(columns) * columns <= elimination._WEIGHTS
        assert rows_at_once(columns) * columns**2 <= elimination._NUMBERS
