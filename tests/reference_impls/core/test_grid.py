"""The shared grid: each choice against a loop over single numbers, and against torchao where it has the same grid."""

import math

import pytest
import torch

from reference_impls.core.grid import Grid

W = torch.randn(6, 32, generator=torch.Generator().manual_seed(0)) + 0.3
CHOICES = [
    {},
    {"include_zero": False},
    {"include_zero": False, "zero": "float"},
    {"zero": "float"},
    {"symmetric": True},
    {"symmetric": True, "levels": "full"},
    {"clip": 0.7},
    {"ties": "up"},
]


def by_hand(row, bits, symmetric=False, levels="restricted", include_zero=True, zero="integer", clip=1.0, ties="even"):
    """Scale, zero and codes of one group, one number at a time, in double precision (scale kept in float32)."""
    rounded = round if ties == "even" else lambda x: math.floor(x + 0.5)
    low, high, top = min(row) * clip, max(row) * clip, 2**bits - 1
    if symmetric:
        steps = top / 2 if levels == "full" else 2 ** (bits - 1) - 1
        scale, offset = max(abs(low), abs(high)) / steps, 2 ** (bits - 1)
    else:
        if include_zero:
            low, high = min(low, 0.0), max(high, 0.0)
        scale = (high - low) / top
        offset = -low / scale if zero == "float" else min(max(rounded(-low / scale), 0), top)
    if zero == "float":
        codes = [rounded(x / scale + offset) for x in row]
    else:
        codes = [rounded(x / scale) + offset for x in row]
    return scale, offset, [min(max(code, 0), top) for code in codes]


@pytest.mark.parametrize("bits", [2, 3, 4, 8])
@pytest.mark.parametrize("choice", CHOICES, ids=str)
def test_every_choice_equals_a_loop_over_numbers(choice, bits):
    grid = Grid.fit(W, bits=bits, group_size=8, dtype=torch.float32, **choice)
    codes, rounded = grid.quantize(W), grid.round(W)
    for row in range(6):
        for group in range(4):
            columns = slice(8 * group, 8 * group + 8)
            scale, zero, expected = by_hand(W[row, columns].tolist(), bits, **choice)
            assert math.isclose(grid.scale[row, group].item(), scale, rel_tol=1e-6)
            assert math.isclose(grid.zero[row, group].item(), zero, rel_tol=1e-5, abs_tol=1e-6)
            values = W[row, columns].tolist()
            for value, code, wanted, back in zip(values, codes[row, columns].tolist(), expected,
                                                 rounded[row, columns].tolist(), strict=True):  # fmt: skip
                # Full levels put the largest magnitude right between two codes: there, and only there, either will do.
                tied = choice.get("levels") == "full" and abs(value) == max(map(abs, values))
                assert code == wanted or (tied and abs(code - wanted) == 1)
                assert math.isclose(back, scale * (code - zero), rel_tol=1e-4, abs_tol=1e-5)


def test_choices_that_disagree_in_the_literature_really_differ():
    errors = {str(c): float((Grid.fit(W, bits=2, **c).round(W) - W).norm()) for c in CHOICES}
    assert len({round(error, 4) for error in errors.values()}) >= 5


def test_ties_go_where_the_option_says():
    values = torch.tensor([[0.0, 0.5, 1.5, 2.5, 15.0]])  # scale 1, zero 0
    even, up = (Grid.fit(values, bits=4, ties=ties, dtype=torch.float32) for ties in ("even", "up"))
    assert even.quantize(values).tolist() == [[0, 0, 2, 2, 15]]
    assert up.quantize(values).tolist() == [[0, 1, 2, 3, 15]]


def test_zero_stays_zero_where_the_range_holds_it():
    values = torch.tensor([[0.0, 1.0, 2.0, 3.3]])
    assert Grid.fit(values, bits=2).round(values)[0, 0] == 0
    shifted = torch.tensor([[2.0, 2.5, 2.9, 3.3]])
    assert Grid.fit(shifted, bits=2, include_zero=False, zero="float").round(shifted).min() > 1.9


def test_scales_are_rounded_to_their_stored_precision_before_codes_are_chosen():
    values = torch.randn(4, 64, generator=torch.Generator().manual_seed(1))
    half, single = (Grid.fit(values, bits=8, dtype=dtype) for dtype in (torch.float16, torch.float32))
    assert half.scale.dtype == torch.float16
    stored = half.scale.float()
    assert torch.equal(half.quantize(values), ((values / stored).round() + half.zero).clamp(0, 255).int())
    assert not torch.equal(half.quantize(values), single.quantize(values))


def test_groups_of_one_value_are_kept():
    for value in (0.0, 2.0, -3.0):
        values = torch.full((1, 4), value)
        for choice in ({}, {"include_zero": False}, {"include_zero": False, "zero": "float"}, {"symmetric": True}):
            torch.testing.assert_close(Grid.fit(values, bits=4, **choice).round(values), values, rtol=1e-3, atol=0)


def test_a_scale_too_small_for_its_precision_does_not_vanish():
    values = torch.tensor([[1e-9, -1e-9]])
    grid = Grid.fit(values, bits=4)
    assert float(grid.scale) > 0 and torch.isfinite(grid.round(values)).all()
    with pytest.raises(ValueError, match="cannot be stored as torch.float16"):
        Grid.fit(torch.tensor([[1e9, -1e9]]), bits=4)


def test_parts_join_to_the_whole():
    whole = Grid.fit(W, bits=3, group_size=8)
    parts = [Grid.fit(W[:, i : i + 8], bits=3) for i in range(0, 32, 8)]
    joined = Grid.join(parts, 8)
    assert torch.equal(joined.scale, whole.scale) and torch.equal(joined.zero, whole.zero)
    assert torch.equal(joined.quantize(W), whole.quantize(W))
    assert torch.equal(whole.group(2).quantize(W[:, 16:24]), whole.quantize(W)[:, 16:24])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"bits": 0}, "bits is 0; allowed are 1 to 16"),
        ({"bits": 1, "symmetric": True}, "needs at least 2"),
        ({"bits": 4, "group_size": 5}, "group_size is 5; it must divide the 32"),
        ({"bits": 4, "group_size": 0}, "group_size is 0"),
        ({"bits": 4, "clip": 0.0}, "clip is 0.0"),
        ({"bits": 4, "ties": "odd"}, "ties is 'odd'"),
        ({"bits": 4, "levels": "all"}, "levels is 'all'"),
        ({"bits": 4, "zero": "half"}, "zero is 'half'"),
    ],
)
def test_options_outside_their_range_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        Grid.fit(W, **options)


def test_values_that_are_no_numbers_are_refused():
    with pytest.raises(ValueError, match="not finite"):
        Grid.fit(torch.tensor([[1.0, float("nan")]]), bits=4)
    with pytest.raises(ValueError, match="expected \\(rows, columns\\)"):
        Grid.fit(torch.zeros(4), bits=4)
