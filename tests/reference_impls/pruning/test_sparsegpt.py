"""What makes SparseGPT itself: mask and update of a brute-force twin, and the limits that its formulas imply."""

import pytest
import torch

from reference_impls.core.calibration import LayerInputs
from reference_impls.core.hessian import inverse_cholesky
from reference_impls.core.storage import SemiSparseWeight, SparseWeight
from reference_impls.pruning.magnitude_pruning import magnitude_pruning
from reference_impls.pruning.sparsegpt import prune_columns, sparsegpt
from reference_impls.pruning.wanda import wanda


def damped_hessian(x, damping=0.01):
    hessian = 2 * x.double().T @ x.double() / len(x)
    return hessian + damping * hessian.diagonal().mean() * torch.eye(len(hessian), dtype=torch.float64)


def twin(weight, x, *, share=0.5, n=0, m=0, block=16, damping=0.01, keep=None):
    """Algorithm 1 from its formulas, in float64: every inverse taken afresh, every weight moved on its own."""
    H = damped_hessian(x, damping)
    W = weight.double().clone()
    rows, columns = W.shape
    M = torch.ones(rows, columns, dtype=torch.bool) if keep is None else keep.clone()
    inverses = [torch.linalg.inv(H[j:, j:]) for j in range(columns)]
    for j in range(columns):
        if keep is None and j % (m or block) == 0:
            span = range(j, min(j + (m or block), columns))
            loss = {(i, c): float(W[i, c] ** 2 / inverses[c][0, 0]) for i in range(rows) for c in span}
            if m:
                for i in range(rows):
                    for c in sorted(span, key=lambda c: loss[i, c])[: m - n]:
                        M[i, c] = False
            else:
                for i, c in sorted(loss, key=loss.__getitem__)[: int(share * len(loss) + 1e-9)]:
                    M[i, c] = False
        B = inverses[j]
        for i in range(rows):
            if not M[i, j]:
                W[i, j:] -= W[i, j] / B[0, 0] * B[0]
                W[i, j] = 0
    return W, M


def ours(weight, x, *, sparsity=0.5, pattern="unstructured", block_size=16, damping=0.01, keep=None):
    """Mask and weight before they are stored in 16 bit."""
    U = inverse_cholesky(LayerInputs.of(x).hessian(), damping).float()
    return prune_columns(weight, U, sparsity, pattern, block_size, keep)


@pytest.mark.parametrize(("sparsity", "block"), [(0.3, 16), (0.5, 8), (0.5, 32), (0.7, 16), (0.5, 20), (0.5, 31)])
def test_mask_and_update_equal_a_float64_twin(layer_problem, sparsity, block):
    weight, x, _ = layer_problem(columns=32, rows=12)
    W, M = twin(weight, x, share=sparsity, block=block)
    got, mask = ours(weight, x, sparsity=sparsity, block_size=block)
    assert torch.equal(mask, M)
    torch.testing.assert_close(got.double(), W, rtol=1e-4, atol=2e-5)


def test_what_is_stored_is_the_twin_at_the_declared_options(layer_problem):
    weight, x, _ = layer_problem(columns=32, rows=12)
    W, M = twin(weight, x, share=0.5, block=128, damping=0.01)
    stored = sparsegpt(weight, LayerInputs.of(x))
    assert isinstance(stored, SparseWeight) and torch.equal(stored.mask(), M)
    torch.testing.assert_close(stored.dense().double(), W, rtol=6e-4, atol=6e-5)    # 16 bit
    assert stored.bits_per_weight() == 1 + 16 * 0.5


@pytest.mark.parametrize(("pattern", "block"), [("2:4", 16), ("1:4", 32), ("4:8", 12)])
def test_pattern_equals_a_float64_twin(layer_problem, pattern, block):
    weight, x, _ = layer_problem(columns=32, rows=12)
    n, m = map(int, pattern.split(":"))
    W, M = twin(weight, x, n=n, m=m)
    got, mask = ours(weight, x, sparsity=1 - n / m, pattern=pattern, block_size=block)
    assert torch.equal(mask, M)
    torch.testing.assert_close(got.double(), W, rtol=1e-4, atol=2e-5)


@pytest.mark.parametrize("options", [{"sparsity": 0.6}, {"pattern": "2:4"}])
@pytest.mark.parametrize("method", [magnitude_pruning, wanda])
def test_a_mask_chosen_beforehand_stays_and_the_weights_are_repaired(layer_problem, output_error, method, options):
    weight, x, _ = layer_problem(columns=32, rows=12)
    inputs = LayerInputs.of(x)
    plain = method(weight, inputs, **options)
    W, _ = twin(weight, x, keep=plain.mask())
    name = "wanda" if method is wanda else "magnitude"
    stored = sparsegpt(weight, inputs, mask_selection=name, block_size=16, **options)
    assert torch.equal(stored.mask(), plain.mask()) and type(stored) is type(plain)
    torch.testing.assert_close(stored.dense().double(), W, rtol=6e-4, atol=6e-5)    # 16 bit
    assert output_error(x, weight, stored.dense()) < output_error(x, weight, plain.dense())


def test_what_comes_after_all_removed_columns_is_the_least_squares_solution(layer_problem):
    weight, x, _ = layer_problem(columns=32, rows=12)
    keep = torch.ones(12, 32, dtype=torch.bool)
    keep[:, :10] = False
    H = damped_hessian(x)
    best = weight[:, 10:].double() + weight[:, :10].double() @ H[:10, 10:] @ torch.linalg.inv(H[10:, 10:])
    got, _ = ours(weight, x, keep=keep)
    assert not got[:, :10].any()
    torch.testing.assert_close(got[:, 10:].double(), best, rtol=1e-4, atol=2e-5)


def uncorrelated(scales, tokens=256):
    """Inputs (tokens, in) whose second moment is exactly diagonal."""
    columns = len(scales)
    hadamard = torch.ones(1, 1)
    while len(hadamard) < tokens:
        hadamard = torch.cat([torch.cat([hadamard, hadamard], 1), torch.cat([hadamard, -hadamard], 1)])
    return hadamard[:, :columns] * scales


def test_diagonal_hessian_is_wanda(layer_problem):
    weight, _, _ = layer_problem()
    x = uncorrelated(2.0 ** torch.randint(-3, 4, (64,), generator=torch.Generator().manual_seed(5)))
    inputs = LayerInputs.of(x)
    for pattern in ("2:4", "4:8"):
        stored = sparsegpt(weight, inputs, pattern=pattern, damping=0.0)
        other = wanda(weight, inputs, pattern=pattern)
        assert torch.equal(stored.mask(), other.mask())
        torch.testing.assert_close(stored.dense(), other.dense(), rtol=1e-3, atol=0)
    # One row: the weights compared in a block are then those that Wanda compares in a row.
    stored = sparsegpt(weight[:1], inputs, sparsity=0.6, damping=0.0, block_size=64)
    assert torch.equal(stored.mask(), wanda(weight[:1], inputs, sparsity=0.6).mask())
    # With more rows they are not.
    stored = sparsegpt(weight, inputs, sparsity=0.6, damping=0.0, block_size=64)
    assert not torch.equal(stored.mask(), wanda(weight, inputs, sparsity=0.6).mask())


def test_inputs_without_structure_leave_nothing_to_gain(layer_problem):
    weight, _, _ = layer_problem()
    inputs = LayerInputs.of(uncorrelated(torch.ones(64)))
    by_size = magnitude_pruning(weight, None, sparsity=0.6)
    stored = sparsegpt(weight, inputs, sparsity=0.6, block_size=64)
    assert torch.equal(stored.mask(), by_size.mask())
    torch.testing.assert_close(stored.dense(), by_size.dense(), rtol=1e-3, atol=0)


def test_nearly_equal_inputs_are_solved_in_double_precision(layer_problem):
    weight, x, _ = layer_problem(columns=32, rows=12)
    x[:, 9] = x[:, 3] + x[:, 9] * 2.0**-8    # in float32 the second moment is singular
    W, M = twin(weight, x, share=0.5, damping=0.0)
    stored = sparsegpt(weight, LayerInputs.of(x), block_size=16, damping=0.0)
    assert torch.equal(stored.mask(), M)
    torch.testing.assert_close(stored.dense().double(), W, rtol=2e-3, atol=2e-3)


def test_an_almost_singular_hessian_is_solved_or_refused_in_words():
    refused = 0
    for seed in range(40):
        x = torch.randn(64, 16, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
        x[:, 4:] = x[:, :1] + x[:, 4:] * 2.0**-24
        try:
            assert torch.isfinite(inverse_cholesky(LayerInputs.of(x).hessian(), 0.0)).all()
        except ValueError as problem:    # and no other error, from either of the two factorizations
            assert "not positive definite at damping 0.0" in str(problem)
            refused += 1
    assert 0 < refused < 40


def test_sparsity_zero_returns_the_input(layer_problem):
    weight, x, _ = layer_problem()
    assert torch.equal(sparsegpt(weight, LayerInputs.of(x), sparsity=0.0).dense(), weight)


def test_each_block_meets_the_sparsity_and_a_column_may_not(layer_problem):
    weight, x, _ = layer_problem()
    mask = sparsegpt(weight, LayerInputs.of(x), sparsity=0.5, block_size=16).mask()
    assert [int((~block).sum()) for block in mask.split(16, dim=1)] == [24 * 8] * 4
    assert len(set((~mask).sum(0).tolist())) > 1
    stored = sparsegpt(weight, LayerInputs.of(x), pattern="2:4")
    assert isinstance(stored, SemiSparseWeight) and (stored.mask().reshape(-1, 4).sum(1) == 2).all()


def test_invariances(layer_problem):
    weight, x, _ = layer_problem()
    whole, mask = ours(weight, x)
    pieces = LayerInputs(64)
    for piece in x.split([1, 100, 11, 400]):
        pieces.add(piece)
    again = sparsegpt(weight, pieces, block_size=16)
    assert isinstance(again, SparseWeight) and torch.equal(again.mask(), mask)
    order = torch.randperm(24, generator=torch.Generator().manual_seed(1))
    permuted, permuted_mask = ours(weight[order], x)
    assert torch.equal(permuted_mask, mask[order])
    torch.testing.assert_close(permuted, whole[order], rtol=1e-4, atol=1e-5)
    # The delayed updates are a matter of speed: where the mask does not depend on the block, neither does the result.
    short, long = (ours(weight, x, pattern="2:4", block_size=size)[0] for size in (4, 64))
    torch.testing.assert_close(short, long, rtol=1e-4, atol=1e-5)


def test_output_error_is_below_that_of_wanda_and_magnitude(layer_problem, output_error):
    for seed in range(6):
        weight, x, fresh = layer_problem(seed, columns=128)
        inputs = LayerInputs.of(x)
        for options in ({"sparsity": 0.5}, {"sparsity": 0.7}, {"pattern": "2:4"}):
            # Several blocks, as in a real layer: in a single one the mask is chosen before anything was moved.
            repaired = sparsegpt(weight, inputs, block_size=32, **options).dense()
            for other in (wanda(weight, inputs, **options), magnitude_pruning(weight, None, **options)):
                assert output_error(x, weight, repaired) < output_error(x, weight, other.dense())
                assert output_error(fresh, weight, repaired) < output_error(fresh, weight, other.dense())


def test_a_block_as_wide_as_the_layer_chooses_before_anything_was_moved(layer_problem, output_error):
    for seed in range(6):
        weight, x, _ = layer_problem(seed)
        narrow, wide = (sparsegpt(weight, LayerInputs.of(x), block_size=size).dense() for size in (16, 64))
        assert output_error(x, weight, narrow) < output_error(x, weight, wide)


def test_refuses(layer_problem):
    weight, x, _ = layer_problem()
    inputs = LayerInputs.of(x)
    for options, message in (
        ({"sparsity": 1.0}, "sparsity is 1.0"),
        ({"block_size": 0}, "block_size is 0"),
        ({"damping": -0.01}, "damping is -0.01"),
        ({"pattern": "3:6"}, "6 must divide"),
        ({"mask_selection": "random"}, "mask_selection is 'random'"),
    ):
        with pytest.raises(ValueError, match=message):
            sparsegpt(weight, inputs, **options)
    with pytest.raises(ValueError, match="not positive definite at damping 0.0"):
        sparsegpt(weight, LayerInputs.of(x[:8]), damping=0.0)
