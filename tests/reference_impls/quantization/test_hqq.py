"""HQQ: the closed forms of its two steps, an objective that never rises, and a solver that moves the zero alone."""

import pytest
import torch
from torch import Tensor

from reference_impls.core.calibration import LayerInputs
from reference_impls.core.contracts import contract_of
from reference_impls.core.grid import Grid
from reference_impls.quantization.hqq import hqq, lp_error, shrink, zero_point
from reference_impls.quantization.rtn import rtn

NOTHING = LayerInputs(32, statistics="none")    # the method must not look at it


def heavy_tailed(seed: int, out: int = 24, columns: int = 32) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    weight = torch.randn(out, columns, generator=generator)
    return weight * (1 + 3 * (torch.rand(out, columns, generator=generator) > 0.95))


def free_grid(weight: Tensor, bits: int, group_size: int, dtype: torch.dtype = torch.float16) -> Grid:
    return Grid.fit(weight, bits=bits, group_size=group_size, include_zero=False, zero="float", dtype=dtype)


def by_hand(group: Tensor, bits: int, p: float, beta: float, kappa: float, steps: int, found: float):
    """Scale and lp error of one group, in float64 and weight by weight; then the lp error at the zero that was found.

    Errors and not zeros are compared, because several zeros can share the lowest error (p = 1: a whole interval).
    """
    weights, top = [float(w) for w in group.double()], 2**bits - 1
    scale = (max(weights) - min(weights)) / top
    zero = -min(weights) / scale

    def codes(zero: float) -> list[float]:
        return [min(max(round(w / scale + zero), 0), top) for w in weights]

    def loss(zero: float) -> float:
        return sum(abs(w - scale * (c - zero)) ** p for w, c in zip(weights, codes(zero), strict=True))

    best = zero
    for _ in range(steps):
        total = 0.0
        for w, c in zip(weights, codes(zero), strict=True):
            r = w - scale * (c - zero)
            e = max(abs(r) - (abs(r) ** (p - 1) / beta if r else 0.0), 0.0) * (1 if r > 0 else -1)
            total += c - (w - e) / scale
        zero = total / len(weights)
        beta *= kappa
        best = zero if loss(zero) < loss(best) else best
    return scale, loss(best), loss(found)


@pytest.mark.parametrize("p", [1.0, 0.7])
@pytest.mark.parametrize("bits", [2, 4])
def test_errors_equal_those_of_a_recursion_weight_by_weight_in_float64(p, bits):
    weight = heavy_tailed(0, out=6)
    ours = hqq(weight, NOTHING, bits=bits, group_size=8, lp_norm=p, beta=5.0, kappa=1.05, iterations=15,
               scale_dtype="float32")  # fmt: skip
    for row in range(6):
        for group in range(4):
            part, z = weight[row, 8 * group : 8 * group + 8], float(ours.grid.zero[row, group])
            scale, expected, found = by_hand(part, bits, p, 5.0, 1.05, 15, z)
            assert float(ours.grid.scale[row, group]) == pytest.approx(scale, rel=1e-5)
            assert found == pytest.approx(expected, rel=1e-4)


def test_shrinking_at_p_one_is_the_soft_threshold_and_minimizes_its_part_of_the_splitting():
    r, beta = torch.linspace(-2, 2, 41), 4.0
    e = shrink(r, beta, 1.0)
    torch.testing.assert_close(e, torch.nn.functional.softshrink(r, 1 / beta))
    candidates = torch.linspace(-2, 2, 8001)
    cost = candidates.abs() + beta / 2 * (candidates - r[:, None]).square()
    torch.testing.assert_close(e, candidates[cost.argmin(1)], atol=1e-3, rtol=0)


def test_shrinking_below_p_one_has_its_closed_form_and_moves_large_errors_less():
    r = torch.tensor([0.0, 0.05, -0.5, 2.0])
    e = shrink(r, 10.0, 0.7)
    assert float(e[0]) == 0 and float(e[1]) == 0
    assert float(e[2]) == pytest.approx(-(0.5 - 0.5**-0.3 / 10)) and float(e[3]) == pytest.approx(2 - 2**-0.3 / 10)
    assert float(r[3] - e[3]) < float(e[2] - r[2])


@pytest.mark.parametrize("group_size", [8, None])
def test_the_zero_point_is_the_least_squares_one(group_size):
    weight = heavy_tailed(1)
    grid = free_grid(weight, 3, group_size)
    codes, e = grid.quantize(weight), shrink(weight - grid.round(weight), 10.0, 0.7)
    z = zero_point(weight, codes, e, grid)
    size = group_size or 32

    def cost(z: Tensor) -> Tensor:
        restored = grid.scale.float().repeat_interleave(size, 1) * (codes - z.repeat_interleave(size, 1))
        return (e - (weight - restored)).double().square().reshape(24, -1, size).sum(-1)

    for step in (0.01, -0.01):
        assert (cost(z) < cost(z + step)).all()


@pytest.mark.parametrize("bits", [2, 3, 4])
@pytest.mark.parametrize("p", [1.0, 0.7])
@pytest.mark.parametrize("seed", range(3))
def test_no_group_gets_worse_and_the_matrix_gets_better_in_the_norm_that_is_minimized(bits, p, seed):
    weight = heavy_tailed(seed)
    ours = hqq(weight, NOTHING, bits=bits, group_size=16, lp_norm=p)
    start, end = (lp_error(weight - g.round(weight), 16, p) for g in (free_grid(weight, bits, 16), ours.grid))
    assert (end <= start).all() and float(end.sum()) < 0.99 * float(start.sum())
    # The stored codes are the nearest ones on the stored grid.
    assert torch.equal(ours.dense(), ours.grid.round(weight))


def test_only_the_zero_points_move():
    weight = heavy_tailed(2) + 8    # all on one side of 0, which the grid need not hold
    ours, start = hqq(weight, NOTHING, bits=3, group_size=8), free_grid(weight, 3, 8)
    assert torch.equal(ours.grid.scale, start.scale)
    assert not torch.equal(ours.grid.zero, start.zero) and not ours.grid.integer_zero


@pytest.mark.parametrize("bits", [2, 4])
@pytest.mark.parametrize("group_size", [8, -1])
def test_without_iterations_it_is_rounding_on_a_free_grid(bits, group_size):
    weight = heavy_tailed(3)
    ours = hqq(weight, NOTHING, bits=bits, group_size=group_size, iterations=0)
    plain = rtn(weight, NOTHING, bits=bits, group_size=group_size, include_zero=False, zero="float")
    assert torch.equal(ours.codes(), plain.codes()) and torch.equal(ours.dense(), plain.dense())


def test_groups_do_not_know_of_each_other():
    weight = heavy_tailed(4)
    whole, half = hqq(weight, NOTHING, group_size=8), hqq(weight[5:, 8:24], NOTHING, group_size=8)
    assert torch.equal(whole.dense()[5:, 8:24], half.dense())


@pytest.mark.parametrize("bits", [2, 3, 4, 8])
@pytest.mark.parametrize("group_size", [8, 16])
def test_bits_per_weight_are_those_of_the_entry(bits, group_size):
    assert hqq(heavy_tailed(0), NOTHING, bits=bits, group_size=group_size).bits_per_weight() == bits + 32 / group_size


def test_it_needs_no_data_and_takes_constant_groups():
    assert contract_of(hqq).statistics == "none"
    weight = torch.cat([torch.zeros(2, 8), torch.full((2, 8), 0.5)], 1)
    torch.testing.assert_close(hqq(weight, NOTHING, group_size=8).dense(), weight)


@pytest.mark.parametrize(
    "options", [{"lp_norm": 0}, {"lp_norm": 1.5}, {"beta": 0}, {"kappa": 0.5}, {"iterations": -1}, {"group_size": 5}]
)
def test_what_cannot_be_done_is_refused(options):
    with pytest.raises(ValueError, match=f"{next(iter(options))} is {next(iter(options.values()))};"):
        hqq(heavy_tailed(0), NOTHING, **{"group_size": 8, **options})
