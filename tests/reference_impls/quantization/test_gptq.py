"""GPTQ: equal to a brute-force OBQ recursion, and the facts that make it GPTQ and nothing else."""

import pytest
import torch
from torch import Tensor

from reference_impls.core.calibration import LayerInputs
from reference_impls.core.grid import Grid
from reference_impls.core.storage import SparseQuantizedWeight
from reference_impls.quantization.gptq import blocks, gptq
from reference_impls.quantization.rtn import rtn


def problem(seed: int, out: int = 24, columns: int = 32, tokens: int = 256) -> tuple[Tensor, Tensor, Tensor]:
    """Weight (out, in), and correlated calibration and fresh inputs (tokens, in) of one source."""
    generator = torch.Generator().manual_seed(seed)
    weight = torch.randn(out, columns, generator=generator)
    mix = torch.eye(columns) + 1.5 * torch.randn(columns, columns, generator=generator) / columns**0.5
    x = torch.randn(2 * tokens, columns, generator=generator) @ mix
    return weight, x[:tokens], x[tokens:]


def output_error(weight: Tensor, dense: Tensor, x: Tensor) -> float:
    return float((x @ (weight - dense).T).norm() / (x @ weight.T).norm())


def brute_force(weight: Tensor, x: Tensor, bits: int, damping: float = 0.01, keep: Tensor | None = None,
                group_size: int | None = None) -> Tensor:  # fmt: skip
    """Optimal Brain Quantization in float64, left to right: after each column the inverse of what is left is made anew.

    Frantar and Alistarh 2022, without the greedy order; nothing of GPTQ's Cholesky form or its blocks. Codes (out, in).
    """
    W, x = weight.double().clone(), x.double()
    columns = W.shape[1]
    keep = torch.ones_like(W, dtype=torch.bool) if keep is None else keep
    H = 2 / len(x) * x.T @ x
    H += damping * H.diagonal().mean() * torch.eye(columns, dtype=torch.float64)
    codes = torch.zeros(W.shape, dtype=torch.int32)
    for q in range(columns):
        if q % (group_size or columns) == 0:
            window = slice(q, q + (group_size or columns))
            grid = Grid.fit(torch.where(keep[:, window], W[:, window], 0.0), bits=bits)
        inverse = torch.linalg.inv(H[q:, q:])  # of the columns that are still free
        codes[:, q] = grid.quantize(W[:, q : q + 1])[:, 0]
        rounded = torch.where(keep[:, q], grid.dequantize(codes[:, q : q + 1].double())[:, 0], 0.0)
        W[:, q:] -= torch.outer((W[:, q] - rounded) / inverse[0, 0], inverse[0])
    return codes


@pytest.mark.parametrize("bits", [4, 3, 2])
@pytest.mark.parametrize("seed", range(5))
def test_codes_equal_a_brute_force_obq_recursion(bits, seed):
    weight, x, _ = problem(seed, out=64)
    ours = gptq(weight, LayerInputs.of(x), bits=bits, group_size=-1, block_size=10)
    assert torch.equal(ours.codes(), brute_force(weight, x, bits))


@pytest.mark.parametrize("block_size", [5, 16, 128])
def test_codes_of_groups_equal_brute_force_with_grids_from_updated_columns(block_size):
    weight, x, _ = problem(7, out=64)
    ours = gptq(weight, LayerInputs.of(x), bits=3, group_size=8, block_size=block_size)
    assert torch.equal(ours.codes(), brute_force(weight, x, 3, group_size=8))


def test_codes_of_a_pruned_weight_equal_brute_force():
    weight, x, _ = problem(8, out=64)
    keep = torch.rand(weight.shape, generator=torch.Generator().manual_seed(0)) > 0.5
    ours = gptq(weight, LayerInputs.of(x), bits=4, group_size=8, block_size=8, keep=keep)
    expected = brute_force(weight, x, 4, group_size=8, keep=keep)
    assert isinstance(ours, SparseQuantizedWeight) and torch.equal(ours.mask(), keep)
    assert torch.equal(ours.codes()[keep], expected[keep])
    assert (ours.dense()[~keep] == 0).all()
    # The loss of the weights that were cut off is fed forward, not only that of rounding.
    plain = rtn(weight, LayerInputs.of(x), bits=4, group_size=8, keep=keep)
    assert output_error(weight, ours.dense(), x) < 0.97 * output_error(weight, plain.dense(), x)


@pytest.mark.parametrize("bits", [4, 2])
@pytest.mark.parametrize("group_size", [-1, 8])
@pytest.mark.parametrize("symmetric", [False, True])
def test_diagonal_hessian_is_rtn(bits, group_size, symmetric):
    weight, _, _ = problem(1)
    x = torch.eye(32) * torch.linspace(0.5, 3, 32)
    options = {"bits": bits, "group_size": group_size, "symmetric": symmetric}
    ours, plain = gptq(weight, LayerInputs.of(x), **options), rtn(weight, LayerInputs.of(x), **options)
    assert torch.equal(ours.codes(), plain.codes()) and torch.equal(ours.dense(), plain.dense())


@pytest.mark.parametrize(
    "options", [{"scale_dtype": "float32"}, {"scale_dtype": "bfloat16"}, {"symmetric": True, "levels": "full"}]
)
def test_every_option_of_the_grid_reaches_it(options):
    weight, _, _ = problem(1)
    inputs = LayerInputs.of(torch.eye(32) * torch.linspace(0.5, 3, 32))
    ours = gptq(weight, inputs, bits=3, group_size=8, **options)
    plain = rtn(weight, inputs, bits=3, group_size=8, **options)
    assert torch.equal(ours.grid.scale, plain.grid.scale) and torch.equal(ours.dense(), plain.dense())
    default = gptq(weight, inputs, bits=3, group_size=8, symmetric=options.get("symmetric", False))
    assert not torch.equal(ours.dense(), default.dense())


@pytest.mark.parametrize("cuts", [[1, 255], [64] * 4, [100, 56, 100]])
def test_how_the_calibration_batches_are_cut_does_not_matter(cuts):
    weight, x, _ = problem(2)
    inputs = LayerInputs(32)
    for piece in x.split(cuts):
        inputs.add(piece)
    at_once = gptq(weight, LayerInputs.of(x), group_size=8)
    assert torch.equal(gptq(weight, inputs, group_size=8).codes(), at_once.codes())


def test_order_of_tokens_and_scale_of_all_inputs_do_not_matter():
    weight, x, _ = problem(2)
    expected = gptq(weight, LayerInputs.of(x), group_size=8).codes()
    order = torch.randperm(len(x), generator=torch.Generator().manual_seed(0))
    for changed in (x[order], x * 2**-20, x * 2**10):
        assert torch.equal(gptq(weight, LayerInputs.of(changed), group_size=8).codes(), expected)


def test_rows_do_not_know_of_each_other():
    weight, x, _ = problem(3)
    order = torch.randperm(24, generator=torch.Generator().manual_seed(0))
    inputs = LayerInputs.of(x)
    expected = gptq(weight, inputs, group_size=8).codes()[order]
    assert torch.equal(gptq(weight[order], inputs, group_size=8).codes(), expected)


@pytest.mark.parametrize("bits", [4, 3, 2])
@pytest.mark.parametrize("group_size", [-1, 16])
@pytest.mark.parametrize("seed", range(5))
def test_better_than_rtn_on_calibration_and_on_fresh_inputs(bits, group_size, seed):
    weight, x, fresh = problem(seed, out=32, columns=64, tokens=1024)
    inputs = LayerInputs.of(x)
    ours = gptq(weight, inputs, bits=bits, group_size=group_size).dense()
    plain = rtn(weight, inputs, bits=bits, group_size=group_size).dense()
    assert output_error(weight, ours, x) < 0.9 * output_error(weight, plain, x)
    assert output_error(weight, ours, fresh) < 0.9 * output_error(weight, plain, fresh)


@pytest.mark.parametrize("group_size", [-1, 8])
def test_the_block_size_does_not_matter(group_size):
    weight, x, _ = problem(4)
    codes = [gptq(weight, LayerInputs.of(x), bits=3, group_size=group_size, block_size=b).codes() for b in (1, 7, 32)]
    assert torch.equal(codes[0], codes[1]) and torch.equal(codes[0], codes[2])


def test_stale_groups_are_those_of_the_authors_code():
    """Their grids see an update only at block ends: with a block of one group nothing is stale, with a larger it is."""
    weight, x, _ = problem(5)
    inputs = LayerInputs.of(x)

    def run(stale: bool, block_size: int):
        return gptq(weight, inputs, bits=3, group_size=8, block_size=block_size, stale_groups=stale)

    assert torch.equal(run(True, 8).codes(), run(False, 8).codes())
    stale = run(True, 32)
    assert not torch.equal(stale.codes(), run(False, 32).codes())
    # One block: every grid is that of the weight as it came.
    assert torch.equal(stale.grid.scale, rtn(weight, inputs, bits=3, group_size=8).grid.scale)


def test_activation_order_is_gptq_on_permuted_columns():
    weight, x, _ = problem(6)
    x = x * torch.linspace(0.2, 4, 32)[torch.randperm(32, generator=torch.Generator().manual_seed(0))]
    order = x.square().sum(0).argsort(descending=True)
    for group_size in (-1, 8):
        ours = gptq(weight, LayerInputs.of(x), bits=3, group_size=group_size, act_order=True)
        plain = gptq(weight[:, order], LayerInputs.of(x[:, order]), bits=3, group_size=group_size)
        assert torch.equal(ours.dense()[:, order], plain.dense())
        assert (ours.order is None) == (group_size == -1)
    keep = torch.rand(weight.shape, generator=torch.Generator().manual_seed(1)) > 0.5
    masked = gptq(weight, LayerInputs.of(x), bits=3, group_size=8, act_order=True, keep=keep)
    plain = gptq(weight[:, order], LayerInputs.of(x[:, order]), bits=3, group_size=8, keep=keep[:, order])
    assert torch.equal(masked.dense()[:, order], plain.dense()) and torch.equal(masked.mask(), keep)


def test_a_column_without_input_is_rounded_and_passes_nothing_on():
    weight, x, _ = problem(9)
    alive = torch.arange(32) != 11
    x[:, 11] = 0
    for damping in (0.0, 0.01):
        options = {"bits": 4, "group_size": -1, "damping": damping}
        weight[:, 11] = weight[:, 12] / 2  # inside the range of its row, so that it does not change the grid
        ours = gptq(weight, LayerInputs.of(x), **options)
        assert torch.equal(ours.codes()[:, 11], rtn(weight, LayerInputs.of(x), bits=4, group_size=-1).codes()[:, 11])
        without = gptq(weight[:, alive], LayerInputs.of(x[:, alive]), **options)
        assert torch.equal(ours.codes()[:, alive], without.codes())
        # Damping is a share of the mean over the columns that do have inputs, however small those are.
        scaled = gptq(weight, LayerInputs.of(x * 2**-10), **options)
        assert torch.equal(scaled.codes(), ours.codes())
    everywhere = gptq(weight, LayerInputs.of(torch.zeros(4, 32)), group_size=8)
    assert torch.equal(everywhere.codes(), rtn(weight, LayerInputs.of(x), group_size=8).codes())


@pytest.mark.parametrize("bits", [2, 3, 4, 8])
@pytest.mark.parametrize("group_size", [8, 16, 32])
def test_bits_per_weight_are_those_of_the_entry(bits, group_size):
    weight, x, _ = problem(0)
    assert gptq(weight, LayerInputs.of(x), bits=bits, group_size=group_size).bits_per_weight() == (
        bits + (16 + bits) / group_size
    )


def test_blocks_cover_all_columns_and_start_with_every_group():
    assert blocks(10, 4, None) == [(0, 4), (4, 8), (8, 10)]
    assert blocks(12, 8, 6) == [(0, 6), (6, 8), (8, 12)]
    assert blocks(12, 5, 12) == [(0, 5), (5, 10), (10, 12)]


def test_what_cannot_be_done_is_refused():
    weight, x, _ = problem(0)
    inputs = LayerInputs.of(x)
    with pytest.raises(ValueError, match="group_size is 5; it must divide the 32"):
        gptq(weight, inputs, group_size=5)
    with pytest.raises(ValueError, match="block_size is 0"):
        gptq(weight, inputs, group_size=8, block_size=0)
    with pytest.raises(ValueError, match="damping is -1"):
        gptq(weight, inputs, group_size=8, damping=-1)
    with pytest.raises(ValueError, match="not positive definite"):
        gptq(weight, LayerInputs.of(x[:8]), group_size=8, damping=0.0)
    with pytest.raises(ValueError, match="no inputs were added"):
        gptq(weight, LayerInputs(32), group_size=8)


def test_the_weight_that_came_in_is_not_touched():
    weight, x, _ = problem(0)
    before, inputs = weight.clone(), LayerInputs.of(x)
    moment = inputs.second_moment
    gptq(weight, inputs, group_size=8)
    assert torch.equal(weight, before) and torch.equal(inputs.second_moment, moment)
