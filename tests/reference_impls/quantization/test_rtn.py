"""RTN: equal to torchao's codes, to the exact nearest grid point, and to the plain rounding of each group."""

import warnings

import pytest
import torch

from reference_impls.core.calibration import LayerInputs
from reference_impls.core.contracts import contract_of
from reference_impls.core.grid import Grid
from reference_impls.core.storage import QuantizedWeight, SparseQuantizedWeight
from reference_impls.quantization.rtn import rtn

W = torch.randn(48, 256, generator=torch.Generator().manual_seed(0))
INPUTS = LayerInputs(256, statistics="none")


@pytest.mark.parametrize("bits", [2, 3, 4, 8])
@pytest.mark.parametrize("seed", range(3))
def test_codes_equal_torchao_intx_asymmetric_groups(bits, seed):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from torchao.quantization import IntxWeightOnlyConfig, PerGroup, quantize_
        from torchao.quantization.quant_primitives import MappingType

        weight = torch.randn(48, 256, generator=torch.Generator().manual_seed(seed)) * 0.02
        linear = torch.nn.Linear(256, 48, bias=False)
        linear.weight.data = weight.clone()
        kind = {2: torch.int2, 3: torch.int3, 4: torch.int4, 8: torch.int8}[bits]
        quantize_(linear, IntxWeightOnlyConfig(kind, PerGroup(64), MappingType.ASYMMETRIC))
    theirs = linear.weight
    ours = rtn(weight, INPUTS, bits=bits, group_size=64, scale_dtype="float32")
    assert torch.equal(ours.codes(), theirs.qdata.int() + 2 ** (bits - 1))
    assert torch.equal(ours.grid.zero.int(), theirs.zero_point.int().reshape(48, 4) + 2 ** (bits - 1))
    torch.testing.assert_close(ours.dense(), theirs.dequantize(), rtol=1e-6, atol=0)


@pytest.mark.parametrize("bits", [2, 3, 4])
def test_no_point_of_the_grid_is_nearer(bits):
    storage = rtn(W, INPUTS, bits=bits, group_size=32)
    codes = torch.arange(2**bits)
    scale = storage.grid.scale.float().repeat_interleave(32, 1)
    zero = storage.grid.zero.repeat_interleave(32, 1)
    points = scale[..., None] * (codes - zero[..., None])  # (out, in, 2^bits)
    nearest = (points - W[..., None]).abs().amin(-1)
    torch.testing.assert_close((storage.dense() - W).abs(), nearest, rtol=1e-5, atol=1e-6)


def test_error_is_at_most_half_a_step_where_nothing_is_clipped():
    storage = rtn(W, INPUTS, bits=8, group_size=64, scale_dtype="float32")
    step = storage.grid.scale.repeat_interleave(64, 1)
    # The rounded zero may push the ends of the range out by half a step more.
    assert ((storage.dense() - W).abs() <= 1.001 * step).all()
    assert ((storage.dense() - W).abs() <= 0.5001 * step).float().mean() > 0.98


def test_weights_on_the_grid_come_back_exactly():
    first = rtn(W, INPUTS, bits=4, group_size=64)
    again = rtn(first.dense(), INPUTS, bits=4, group_size=64)
    torch.testing.assert_close(again.dense(), first.dense(), rtol=1e-3, atol=1e-6)


def test_more_bits_and_smaller_groups_are_nearer():
    errors = [float((rtn(W, INPUTS, bits=bits).dense() - W).norm()) for bits in (2, 3, 4, 8)]
    assert errors == sorted(errors, reverse=True)
    errors = [float((rtn(W, INPUTS, bits=3, group_size=g).dense() - W).norm()) for g in (-1, 128, 64, 16)]
    assert errors == sorted(errors, reverse=True)


def test_rows_do_not_know_of_each_other():
    order = torch.randperm(48, generator=torch.Generator().manual_seed(1))
    assert torch.equal(rtn(W[order], INPUTS).codes(), rtn(W, INPUTS).codes()[order])


@pytest.mark.parametrize("bits", [2, 3, 4, 8])
@pytest.mark.parametrize("group_size", [32, 64, 256])
def test_bits_per_weight_are_those_of_the_entry(bits, group_size):
    storage = rtn(W, INPUTS, bits=bits, group_size=group_size)
    assert storage.bits_per_weight() == bits + (16 + bits) / group_size


def test_masked_weights_are_zero_cost_nothing_and_do_not_widen_the_grid():
    keep = W.abs() < 1
    storage = rtn(W, INPUTS, bits=4, keep=keep)
    assert isinstance(storage, SparseQuantizedWeight) and torch.equal(storage.mask(), keep)
    assert (storage.dense()[~keep] == 0).all()
    assert storage.nbytes() < rtn(W, INPUTS, bits=4).nbytes() * 1.2
    unmasked = rtn(W, INPUTS, bits=4).dense()
    assert (storage.dense() - W)[keep].norm() < 0.7 * (unmasked - W)[keep].norm()


def test_symmetric_grids():
    plain = rtn(W, INPUTS, bits=8, symmetric=True, group_size=-1)
    step = (W.abs().amax(1, keepdim=True) / 127).half().float()
    assert torch.equal(plain.dense(), (W / step).round() * step)
    assert plain.bits_per_weight() == 8 + 16 / 256
    full = rtn(W, INPUTS, bits=4, symmetric=True, levels="full", group_size=-1)
    assert full.codes().min() == 0 and plain.codes().min() > 0


@pytest.mark.parametrize(
    "options",
    [{"clip": 0.8}, {"zero": "float"}, {"include_zero": False}, {"symmetric": True}, {"scale_dtype": "float32"},
     {"symmetric": True, "levels": "full"}],
    ids=lambda options: "-".join(options),
)  # fmt: skip
def test_every_option_of_the_grid_reaches_it(options):
    weight = W + 4    # a range away from 0, which two of the options are about
    grid_options = {name: value for name, value in options.items() if name != "scale_dtype"}
    dtype = torch.float32 if "scale_dtype" in options else torch.float16
    expected = Grid.fit(weight, bits=3, group_size=64, dtype=dtype, **grid_options)
    ours = rtn(weight, INPUTS, bits=3, **options)
    assert torch.equal(ours.grid.scale, expected.scale) and torch.equal(ours.grid.zero, expected.zero)
    assert torch.equal(ours.codes(), expected.quantize(weight))
    others = {name: value for name, value in options.items() if name == "symmetric" and "levels" in options}
    assert not torch.equal(ours.dense(), rtn(weight, INPUTS, bits=3, **others).dense())


def test_at_2_bits_the_choice_of_the_grid_weighs_heavily():
    """A symmetric grid that leaves a code unused has three levels, and errs by nearly half more."""
    for seed in range(3):
        weight = torch.randn(256, 256, generator=torch.Generator().manual_seed(seed))
        asymmetric, symmetric = (
            (rtn(weight, None, bits=2, group_size=-1, symmetric=s).dense() - weight).norm() for s in (False, True)
        )
        assert 1.4 < symmetric / asymmetric < 1.5


def test_options_and_contract():
    assert contract_of(rtn).kind == "layer" and contract_of(rtn).statistics == "none"
    assert isinstance(rtn(W.bfloat16(), INPUTS), QuantizedWeight)
    with pytest.raises(ValueError, match="group_size is 60; it must divide the 256"):
        rtn(W, INPUTS, group_size=60)
    with pytest.raises(ValueError, match="bits is 17"):
        rtn(W, INPUTS, bits=17)
