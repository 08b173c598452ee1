"""What makes OBS itself: the order and the weights of a recursion by brute force, and least squares at every step."""

import pytest
import torch

from reference_impls.core import elimination
from reference_impls.core.calibration import LayerInputs
from reference_impls.core.contracts import contract_of
from reference_impls.core.hessian import inverse_cholesky
from reference_impls.core.storage import SemiSparseWeight, SparseWeight
from reference_impls.pruning.optimal_brain_surgeon import kept_in_layer, optimal_brain_surgeon, remove, removed_at_once
from reference_impls.pruning.sparsegpt import prune_columns
from reference_impls.pruning.wanda import wanda


def damped_hessian(x, damping=0.01):
    hessian = 2 * x.double().T @ x.double() / len(x)
    return hessian + damping * hessian.diagonal().mean() * torch.eye(len(hessian), dtype=torch.float64)


def inverse(x, damping=0.01):
    U = inverse_cholesky(LayerInputs.of(x).hessian(), damping)
    return U.T @ U


def cost_of_each(w, H, left):
    """For each weight that is left, the least rise of the error without it, and what the others then do, by solving."""
    found = {}
    for q in left:
        others = [j for j in left if j != q]
        delta = torch.zeros_like(w)
        delta[q] = -w[q]
        if others:
            delta[others] = torch.linalg.solve(H[others][:, others], H[others, q] * w[q])
        found[q] = (float(delta @ H @ delta) / 2, delta)
    return found


def twin(weight, x, total, *, within="layer", n=0, m=0):
    """One weight at a time, every candidate tried; nothing is kept from step to step but the weights."""
    H, W = damped_hessian(x), weight.double().clone()
    left = [list(range(W.shape[1])) for _ in W]
    gone = []
    for _ in range(total):
        trials = []
        for i in range(len(W)):
            if within == "row" and sum(r == i for r, _ in gone) == total // len(W):
                continue
            allowed = [
                q for q in left[i] if not m or sum(r == i and c // m == q // m for r, c in gone) < m - n
            ]
            costs = cost_of_each(W[i], H, left[i])
            trials += [(costs[q][0], i, q, costs[q][1]) for q in allowed]
        _, i, q, delta = min(trials, key=lambda trial: trial[0])
        W[i] += delta
        left[i].remove(q)
        gone.append((i, q))
    return W, gone


@pytest.mark.parametrize("total", [1, 12, 30])
def test_layer_order_and_weights_equal_brute_force(layer_problem, total):
    weight, x, _ = layer_problem(rows=4, columns=10)
    W, gone = twin(weight, x, total)
    keep = kept_in_layer(weight, inverse(x), total)
    assert torch.equal(keep, W != 0)
    _, order, _ = remove(weight, inverse(x), 10)
    for row in range(4):
        assert [q for q in order[row].tolist() if not keep[row, q]] == [q for i, q in gone if i == row]
    torch.testing.assert_close(removed_at_once(weight, inverse(x), keep), W, rtol=1e-8, atol=1e-10)
    stored = optimal_brain_surgeon(weight, LayerInputs.of(x), sparsity=total / 40)
    assert isinstance(stored, SparseWeight) and torch.equal(stored.mask(), W != 0)
    torch.testing.assert_close(stored.dense().double(), W, rtol=6e-4, atol=6e-5)    # 16 bit


def test_a_removal_that_only_becomes_cheap_after_another_waits_for_it():
    """Two weights that cancel on nearly equal inputs: the first is dear, and without it the second costs nothing."""
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(256, 3, generator=generator)
    x[:, 1] = x[:, 0] + 0.5 * x[:, 1]
    weight = torch.tensor([[1.0, -1.0, 5.0], [3.0, 3.0, 0.3]])
    saliency = remove(weight, inverse(x), 3)[2]
    assert saliency[0, 1] < saliency[1, 0] < saliency[0, 0]
    for total in (1, 2, 3):
        assert torch.equal(kept_in_layer(weight, inverse(x), total), twin(weight, x, total)[0] != 0)


def test_row_order_and_weights_equal_brute_force(layer_problem):
    weight, x, _ = layer_problem(rows=4, columns=10)
    W, gone = twin(weight, x, 24, within="row")
    got, order, _ = remove(weight, inverse(x), 6)
    assert order.tolist() == [[q for i, q in gone if i == row] for row in range(4)]
    torch.testing.assert_close(got, W, rtol=1e-8, atol=1e-10)
    stored = optimal_brain_surgeon(weight, LayerInputs.of(x), sparsity=0.6, comparison_group="row")
    assert torch.equal(stored.mask(), W != 0)


@pytest.mark.parametrize("pattern", ["2:4", "1:4", "3:4"])
def test_pattern_equals_brute_force(layer_problem, pattern):
    weight, x, _ = layer_problem(rows=3, columns=8)
    n, m = map(int, pattern.split(":"))
    W, _ = twin(weight, x, 3 * 2 * (m - n), within="row", n=n, m=m)
    stored = optimal_brain_surgeon(weight, LayerInputs.of(x), sparsity=1 - n / m, pattern=pattern)
    assert isinstance(stored, SemiSparseWeight) and (stored.mask().reshape(-1, m).sum(1) == n).all()
    torch.testing.assert_close(stored.dense().double(), W, rtol=6e-4, atol=6e-5)    # 16 bit


@pytest.mark.parametrize("count", [0, 5, 15, 23])
def test_weights_that_stay_are_the_least_squares_solution(layer_problem, count):
    """No damping: the outputs of the dense row, fitted anew with the inputs that are left. One by one or at once."""
    weight, x, _ = layer_problem(rows=6, columns=24)
    B = inverse(x, damping=0.0)
    W, order, _ = remove(weight, B, count)
    at_once = removed_at_once(weight, B, torch.ones(6, 24, dtype=torch.bool).scatter_(1, order, False))
    torch.testing.assert_close(W, at_once, rtol=1e-8, atol=1e-8)
    for row, dense, gone in zip(W, weight.double(), order.tolist(), strict=True):
        left = [q for q in range(24) if q not in gone]
        best = torch.linalg.lstsq(x[:, left].double(), x.double() @ dense).solution
        torch.testing.assert_close(row[left], best, rtol=1e-8, atol=1e-8)
        assert not row[gone].any()


def test_the_weight_that_came_in_is_not_touched(layer_problem):
    weight, x, _ = layer_problem(rows=6, columns=24)
    weight = weight.double()
    before = weight.clone()
    for group in "layer", "row":
        optimal_brain_surgeon(weight, LayerInputs.of(x), sparsity=0.5, comparison_group=group)
    assert torch.equal(weight, before)


def test_saliencies_add_up_to_the_error(layer_problem):
    weight, x, _ = layer_problem(rows=6, columns=24)
    W, _, saliency = remove(weight, inverse(x, damping=0.0), 15)
    error = (x.double() @ (W - weight.double()).T).square().mean(0)
    torch.testing.assert_close(saliency.sum(1), error)


def test_diagonal_hessian_is_wanda(layer_problem):
    weight, _, _ = layer_problem()
    scales = 2.0 ** torch.randint(-3, 4, (64,), generator=torch.Generator().manual_seed(5))
    x = torch.eye(64) * scales
    for options in ({"sparsity": 0.6, "comparison_group": "row"}, {"pattern": "2:4"}):
        stored = optimal_brain_surgeon(weight, LayerInputs.of(x), damping=0.0, **options)
        options.pop("comparison_group", None)
        other = wanda(weight, LayerInputs.of(x), **options)
        assert torch.equal(stored.mask(), other.mask())
        torch.testing.assert_close(stored.dense(), other.dense(), rtol=1e-3, atol=0)


def test_sparsegpt_is_the_same_where_all_that_goes_comes_first(layer_problem):
    """And elsewhere its weights are worse for the same mask, as it moves only what comes later."""
    weight, x, _ = layer_problem(rows=12, columns=32)
    H, U = damped_hessian(x), inverse_cholesky(LayerInputs.of(x).hessian(), 0.01)
    W, order, _ = remove(weight, U.T @ U, 16)
    keep = torch.ones(12, 32, dtype=torch.bool).scatter_(1, order, False)
    other, _ = prune_columns(weight, U.float(), 0.5, "unstructured", 16, keep)
    error, worse = ((((V - weight.double()) @ H) * (V - weight.double())).sum(1) for V in (W, other.double()))
    assert (error < worse).all()
    # Columns in the order of their going, those that stay at the end; a row has an order of its own.
    for row in range(3):
        places = torch.cat([order[row], keep[row].nonzero().flatten()])
        arranged = inverse_cholesky(LayerInputs.of(x[:, places]).hessian(), 0.01).float()
        mask = keep[row : row + 1, places]
        one, _ = prune_columns(weight[row : row + 1, places], arranged, 0.5, "unstructured", 16, mask)
        torch.testing.assert_close(one[0].double(), W[row, places], rtol=1e-3, atol=1e-4)


def test_pieces_of_rows_change_nothing(layer_problem, monkeypatch):
    weight, x, _ = layer_problem()
    whole = optimal_brain_surgeon(weight, LayerInputs.of(x), sparsity=0.5)
    monkeypatch.setattr(elimination, "_NUMBERS", 5 * 64 * 64)
    again = optimal_brain_surgeon(weight, LayerInputs.of(x), sparsity=0.5)
    assert torch.equal(whole.mask(), again.mask())
    torch.testing.assert_close(whole.dense(), again.dense())


def test_rows_compete_in_the_layer_and_lose_the_same_number_by_row(layer_problem):
    weight, x, _ = layer_problem()
    weight[3] *= 10
    by_layer, by_row = (
        optimal_brain_surgeon(weight, LayerInputs.of(x), sparsity=0.6, comparison_group=group).mask()
        for group in ("layer", "row")
    )
    assert (~by_row).sum(1).unique().tolist() == [38]
    assert int((~by_layer).sum()) == int(0.6 * 24 * 64) and int((~by_layer)[3].sum()) < 20


def test_output_error_is_below_that_of_wanda(layer_problem, output_error):
    for seed in range(4):
        weight, x, fresh = layer_problem(seed)
        inputs = LayerInputs.of(x)
        for options in ({"sparsity": 0.5}, {"sparsity": 0.7}, {"pattern": "2:4"}):
            ours, other = optimal_brain_surgeon(weight, inputs, **options), wanda(weight, inputs, **options)
            for inputs_of in (x, fresh):
                assert output_error(inputs_of, weight, ours.dense()) < output_error(inputs_of, weight, other.dense())


def test_the_default_options(layer_problem):
    weight, x, _ = layer_problem()
    inputs = LayerInputs.of(x)
    stated = optimal_brain_surgeon(
        weight, inputs, sparsity=0.5, pattern="unstructured", comparison_group="layer", damping=0.01
    )
    assert torch.equal(optimal_brain_surgeon(weight, inputs).dense(), stated.dense())
    other = optimal_brain_surgeon(weight, inputs, damping=0.02)
    assert not torch.equal(other.dense(), stated.dense())
    assert contract_of(optimal_brain_surgeon).statistics == "full"
    assert torch.equal(optimal_brain_surgeon(weight, inputs, sparsity=0.0).dense(), weight)


def test_refuses(layer_problem):
    weight, x, _ = layer_problem()
    for options, message in (
        ({"sparsity": 1.0}, "sparsity is 1.0"),
        ({"comparison_group": "column"}, "comparison_group is 'column'"),
        ({"pattern": "3:6"}, "6 must divide"),
        ({"damping": -0.01}, "damping is -0.01"),
    ):
        with pytest.raises(ValueError, match=message):
            optimal_brain_surgeon(weight, LayerInputs.of(x), **options)
    with pytest.raises(ValueError, match="not positive definite at damping 0.0"):
        optimal_brain_surgeon(weight, LayerInputs.of(x[:8]), damping=0.0)
