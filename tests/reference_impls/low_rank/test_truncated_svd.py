"""What makes truncated SVD itself: the error of Eckart and Young, and honest sizes."""

import pytest
import torch

from reference_impls.low_rank.truncated_svd import factors, truncated_svd


def matrix(rows=20, columns=32, seed=0, dtype=torch.float64):
    return torch.randn(rows, columns, generator=torch.Generator().manual_seed(seed), dtype=torch.float64).to(dtype)


@pytest.mark.parametrize("shape", [(20, 32), (32, 20), (16, 16)])
@pytest.mark.parametrize("rank", [1, 5, 15])
def test_error_is_that_of_eckart_and_young(shape, rank):
    W = matrix(*shape)
    left, right = factors(W, rank)
    assert left.shape == (shape[0], rank) and right.shape == (rank, shape[1])
    # Singular values by another way: roots of the eigenvalues of the Gram matrix.
    squares = torch.linalg.eigvalsh(W @ W.T).flip(0).clamp(min=0)
    torch.testing.assert_close((W - left @ right).square().sum(), squares[rank:].sum(), rtol=1e-10, atol=1e-10)
    spectral = torch.linalg.matrix_norm(W - left @ right, 2)
    torch.testing.assert_close(spectral, squares[rank].sqrt(), rtol=1e-8, atol=1e-8)


def test_no_other_factors_come_closer():
    W = matrix()
    left, right = factors(W, 4)
    best = torch.linalg.norm(W - left @ right)
    for seed in range(5):
        other = left + 0.05 * matrix(20, 4, seed + 1)
        # For this left factor the best right factor by least squares.
        assert torch.linalg.norm(W - other @ torch.linalg.lstsq(other, W).solution) > best


def test_full_rank_and_a_matrix_of_that_rank_come_back():
    W = matrix()
    torch.testing.assert_close(torch.matmul(*factors(W, 20)), W, rtol=1e-12, atol=1e-12)
    thin = matrix(20, 3) @ matrix(3, 32, 1)
    torch.testing.assert_close(torch.matmul(*factors(thin, 3)), thin, rtol=1e-12, atol=1e-12)


def test_factors_carry_equal_shares():
    left, right = factors(matrix(), 6)
    torch.testing.assert_close(left.norm(dim=0), right.norm(dim=1))
    gram = left.T @ left
    torch.testing.assert_close(gram, torch.diag(gram.diagonal()), rtol=0, atol=1e-12)


def test_what_is_stored_is_the_product_up_to_16_bit():
    W = matrix(dtype=torch.float32)
    stored = truncated_svd(W, None, rank=6)
    torch.testing.assert_close(stored.dense(), torch.matmul(*factors(W, 6)), rtol=2e-3, atol=2e-3)


@pytest.mark.parametrize(
    ("shape", "ratio", "rank"),
    [((128, 128), 0.5, 32), ((128, 256), 0.5, 42), ((128, 256), 1.0, 85), ((10, 90), 0.9, 8), ((12, 12), 1 / 3, 2),
     ((12, 15), 0.6, 4)],    # 0.6 * 12 * 15 / 27 is 3.9999999999999996 in floating point
)
def test_ratio_sets_the_largest_rank_that_fits(shape, ratio, rank):
    stored = truncated_svd(matrix(*shape, dtype=torch.float32), None, parameter_ratio=ratio)
    assert stored.rank == rank
    parameters = sum(tensor.numel() for tensor in stored.tensors().values())
    assert parameters == rank * sum(shape) <= ratio * shape[0] * shape[1] + 1e-6
    assert (rank + 1) * sum(shape) > ratio * shape[0] * shape[1]


def test_above_the_break_even_rank_the_storage_says_that_it_is_larger():
    W = matrix(32, 32, dtype=torch.float32)
    assert truncated_svd(W, None, rank=16).bits_per_weight() == 16
    assert truncated_svd(W, None, rank=17).bits_per_weight() == 17
    assert truncated_svd(W, None, parameter_ratio=1.0).bits_per_weight() == 16


def test_rows_may_come_in_any_order():
    W = matrix()
    order = torch.randperm(20, generator=torch.Generator().manual_seed(1))
    torch.testing.assert_close(torch.matmul(*factors(W[order], 5)), torch.matmul(*factors(W, 5))[order])


def test_it_is_blind_to_the_inputs():
    # Two inputs that never occur take the whole rank, and the output is lost.
    W = torch.zeros(4, 4)
    W[0, 0] = W[1, 1] = 10.0
    W[2, 2] = W[3, 3] = 1.0
    x = torch.tensor([[0.0, 0.0, 1.0, 0.0], [0.0, 0.0, 0.0, 1.0]])
    assert not (x @ truncated_svd(W, None, rank=2).dense().T).any()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"rank": 0}, "rank is 0"),
        ({"rank": 21}, "allows 1 to 20"),
        ({"parameter_ratio": 0.0}, "parameter_ratio is 0.0"),
        ({"parameter_ratio": 1.1}, "parameter_ratio is 1.1"),
        ({"parameter_ratio": 0.05}, "needs at least 0.08125"),
    ],
)
def test_refuses(options, message):
    with pytest.raises(ValueError, match=message):
        truncated_svd(matrix(dtype=torch.float32), None, **options)
