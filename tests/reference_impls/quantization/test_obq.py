"""OBQ: equal to the recursion with explicit inverses, to GPTQ in a fixed order, to rounding without correlation."""

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from reference_impls.core import elimination
from reference_impls.core.calibration import LayerInputs
from reference_impls.core.grid import Grid
from reference_impls.core.storage import SparseQuantizedWeight
from reference_impls.quantization.gptq import gptq
from reference_impls.quantization.obq import obq
from reference_impls.quantization.rtn import rtn


def problem(seed: int, out: int = 6, columns: int = 16, tokens: int = 256) -> tuple[Tensor, Tensor, Tensor]:
    """Weight (out, in), and correlated calibration and fresh inputs (tokens, in) of one source."""
    generator = torch.Generator().manual_seed(seed)
    weight = torch.randn(out, columns, generator=generator)
    mix = torch.eye(columns) + 1.5 * torch.randn(columns, columns, generator=generator) / columns**0.5
    x = torch.randn(2 * tokens, columns, generator=generator) @ mix
    return weight, x[:tokens], x[tokens:]


def damped_hessian(x: Tensor, damping: float = 0.01) -> Tensor:
    x = x.double()
    H = 2 / len(x) * x.T @ x
    return H + damping * H.diagonal().mean() * torch.eye(len(H), dtype=torch.float64)


def by_hand(weight: Tensor, x: Tensor, bits: int, outliers_first: bool, keep: Tensor | None = None,
            group_size: int | None = None) -> tuple[Tensor, Tensor]:  # fmt: skip
    """Row by row in float64; the inverse of the free weights is made anew at every step. Codes, and costs a row."""
    W, H = weight.double().clone(), damped_hessian(x)
    grid = Grid.fit(weight if keep is None else torch.where(keep, weight, 0.0), bits=bits, group_size=group_size)
    codes, costs = torch.zeros(W.shape, dtype=torch.int32), torch.zeros(len(W), dtype=torch.float64)
    step = grid.scale.double().repeat_interleave(W.shape[1] // grid.groups, 1)
    for i in range(len(W)):
        free = list(range(W.shape[1])) if keep is None else keep[i].nonzero()[:, 0].tolist()
        own = replace(grid, scale=grid.scale[i : i + 1], zero=grid.zero[i : i + 1])
        while free:
            inverse = torch.linalg.inv(H[free][:, free])
            nearest = own.quantize(W[i : i + 1])
            error = (W[i] - own.dequantize(nearest.double())[0])[free]
            cost = error.square() / inverse.diagonal()
            far = error.abs() - step[i, free] / 2
            at = int(far.argmax()) if outliers_first and float(far.max()) > 0 else int(cost.argmin())
            codes[i, free[at]] = nearest[0, free[at]]
            costs[i] += cost[at]
            W[i, free] -= error[at] / inverse[at, at] * inverse[at]
            del free[at]
    return codes, costs


@pytest.mark.parametrize("bits", [4, 3, 2])
@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize("outliers_first", [True, False])
def test_codes_equal_the_recursion_with_explicit_inverses(bits, seed, outliers_first):
    weight, x, _ = problem(seed)
    ours = obq(weight, LayerInputs.of(x), bits=bits, outliers_first=outliers_first)
    assert torch.equal(ours.codes(), by_hand(weight, x, bits, outliers_first)[0])


def test_codes_of_groups_equal_the_recursion_and_grids_are_those_of_the_weight_as_it_came():
    weight, x, _ = problem(4)
    ours = obq(weight, LayerInputs.of(x), bits=2, group_size=8)
    assert torch.equal(ours.codes(), by_hand(weight, x, 2, True, group_size=8)[0])
    assert torch.equal(ours.grid.scale, rtn(weight, LayerInputs.of(x), bits=2, group_size=8).grid.scale)


def test_of_several_outliers_the_farthest_goes_first():
    """One of the rare draws where several weights are off the grid at once, and where it matters which one is next."""
    generator = torch.Generator().manual_seed(3)
    weight = torch.randn(6, 16, generator=generator)
    mix = torch.eye(16) + 1.5 * torch.randn(16, 16, generator=generator)
    x = torch.randn(64, 16, generator=generator) @ mix
    ours, other = (obq(weight, LayerInputs.of(x), bits=1, outliers_first=rule).codes() for rule in (True, False))
    assert torch.equal(ours, by_hand(weight, x, 1, True)[0])
    assert not torch.equal(ours, other)


@pytest.mark.parametrize("seed", range(3))
def test_the_costs_of_all_steps_add_up_to_the_error_of_the_layer(seed):
    weight, x, _ = problem(seed)
    ours = obq(weight, LayerInputs.of(x), bits=3).dense().double()
    delta, costs = weight.double() - ours, by_hand(weight, x, 3, True)[1]
    torch.testing.assert_close(((delta @ damped_hessian(x)) * delta).sum(1), costs)


@pytest.mark.parametrize("bits", [4, 3, 2])
def test_a_fixed_order_is_gptq(bits):
    weight, x, _ = problem(5, out=24, columns=32)
    ours = obq(weight, LayerInputs.of(x), bits=bits, order="fixed")
    assert torch.equal(ours.codes(), gptq(weight, LayerInputs.of(x), bits=bits, group_size=-1).codes())
    assert not torch.equal(ours.codes(), obq(weight, LayerInputs.of(x), bits=bits).codes())


@pytest.mark.parametrize("group_size", [-1, 8])
@pytest.mark.parametrize("order", ["greedy", "fixed"])
@pytest.mark.parametrize("symmetric", [False, True])
def test_diagonal_hessian_is_rtn(group_size, order, symmetric):
    weight, _, _ = problem(1)
    inputs = LayerInputs.of(torch.eye(16) * torch.linspace(0.5, 3, 16))
    options = {"bits": 3, "group_size": group_size, "symmetric": symmetric}
    ours, plain = obq(weight, inputs, order=order, **options), rtn(weight, inputs, **options)
    assert torch.equal(ours.codes(), plain.codes()) and torch.equal(ours.dense(), plain.dense())


def output_error(weight: Tensor, dense: Tensor, x: Tensor) -> float:
    return float((x @ (weight - dense).T).norm() / (x @ weight.T).norm())


@pytest.mark.parametrize("bits", [4, 3, 2])
def test_better_than_rounding_on_fresh_inputs_and_no_worse_than_gptq_on_average(bits):
    greedy = fixed = 0.0
    for seed in range(5):
        weight, x, fresh = problem(seed, out=24, columns=32, tokens=1024)
        inputs = LayerInputs.of(x)
        ours, plain = (method(weight, inputs, bits=bits, group_size=-1).dense() for method in (obq, rtn))
        assert output_error(weight, ours, fresh) < 0.9 * output_error(weight, plain, fresh)
        greedy += output_error(weight, ours, x)
        fixed += output_error(weight, gptq(weight, inputs, bits=bits, group_size=-1).dense(), x)
    assert greedy < fixed


def test_pruned_weights_stay_zero_and_the_rest_is_the_recursion_without_them():
    weight, x, _ = problem(6)
    keep = torch.rand(weight.shape, generator=torch.Generator().manual_seed(0)) > 0.4
    ours = obq(weight, LayerInputs.of(x), bits=3, keep=keep)
    assert isinstance(ours, SparseQuantizedWeight) and torch.equal(ours.mask(), keep)
    expected, _ = by_hand(torch.where(keep, weight, 0.0), x, 3, True, keep=keep)
    assert torch.equal(ours.codes()[keep], expected[keep]) and (ours.dense()[~keep] == 0).all()


def test_rows_do_not_know_of_each_other_nor_of_how_many_are_worked_on_together(monkeypatch):
    weight, x, _ = problem(3)
    inputs = LayerInputs.of(x)
    whole = obq(weight, inputs, bits=3).codes()
    monkeypatch.setattr(elimination, "_NUMBERS", 3 * 16**2)
    assert torch.equal(obq(weight.flip(0), inputs, bits=3).codes().flip(0), whole)


def test_a_column_without_input_is_rounded_and_passes_nothing_on():
    weight, x, _ = problem(9)
    alive = torch.arange(16) != 11
    x[:, 11] = 0
    weight[:, 11] = weight[:, 12] / 2    # inside the range of its row, so that it does not change the grid
    ours = obq(weight, LayerInputs.of(x), bits=4)
    without = obq(weight[:, alive], LayerInputs.of(x[:, alive]), bits=4)
    assert torch.equal(ours.codes()[:, alive], without.codes())
    assert torch.equal(ours.codes()[:, 11], rtn(weight, LayerInputs.of(x), bits=4, group_size=-1).codes()[:, 11])


@pytest.mark.parametrize("bits", [2, 4])
def test_bits_per_weight_are_those_of_the_entry(bits):
    weight, x, _ = problem(0)
    assert obq(weight, LayerInputs.of(x), bits=bits, group_size=8).bits_per_weight() == bits + (16 + bits) / 8


def test_what_cannot_be_done_is_refused_and_the_weight_that_came_in_is_not_touched():
    weight, x, _ = problem(0)
    before = weight.clone()
    obq(weight, LayerInputs.of(x))
    assert torch.equal(weight, before)
    with pytest.raises(ValueError, match="group_size is 5; it must divide the 16"):
        obq(weight, LayerInputs.of(x), group_size=5)
    with pytest.raises(ValueError, match="order is 'random'"):
        obq(weight, LayerInputs.of(x), order="random")
    with pytest.raises(ValueError, match="not positive definite"):
        obq(weight, LayerInputs.of(x[:8]), damping=0.0)
