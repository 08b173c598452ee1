"""What makes Wanda itself: weight times input norm, ranked inside each row, and nothing but the mask changes."""

import pytest
import torch

from reference_impls.core.calibration import LayerInputs
from reference_impls.core.storage import SemiSparseWeight
from reference_impls.pruning.magnitude_pruning import magnitude_pruning
from reference_impls.pruning.wanda import wanda


@pytest.mark.parametrize("sparsity", [0.0, 0.1, 0.5, 0.6, 0.7, 0.95])
def test_equals_a_ranking_of_every_row_by_brute_force(layer_problem, sparsity):
    weight, x, _ = layer_problem()
    mask = wanda(weight, LayerInputs.of(x), sparsity=sparsity).mask()
    for row, kept in zip(weight, mask, strict=True):
        score = [abs(float(w)) * sum(float(v) ** 2 for v in x[:, j]) ** 0.5 for j, w in enumerate(row)]
        lowest = sorted(range(64), key=score.__getitem__)[: int(sparsity * 64 + 1e-9)]
        assert sorted(lowest) == (~kept).nonzero().flatten().tolist()


@pytest.mark.parametrize("pattern", ["2:4", "4:8", "1:4"])
def test_pattern_equals_a_ranking_of_every_m_by_brute_force(layer_problem, pattern):
    weight, x, _ = layer_problem()
    n, m = map(int, pattern.split(":"))
    stored = wanda(weight, LayerInputs.of(x), sparsity=1 - n / m, pattern=pattern)
    mask = stored.mask()
    assert isinstance(stored, SemiSparseWeight)    # not a bitmask: the pattern is what hardware reads
    score = weight.double().abs() * x.double().square().sum(0).sqrt()
    for row, kept in zip(score, mask, strict=True):
        for start in range(0, 64, m):
            best = sorted(range(start, start + m), key=lambda j: -float(row[j]))[:n]
            assert sorted(best) == (start + kept[start : start + m].nonzero().flatten()).tolist()


def test_every_row_loses_the_same_number(layer_problem):
    weight, x, _ = layer_problem()
    weight[3] *= 100    # a row that a ranking over the layer would spare
    inputs = LayerInputs.of(x)
    assert (~wanda(weight, inputs, sparsity=0.6).mask()).sum(1).unique().tolist() == [38]
    score = weight.abs() * x.norm(dim=0)
    over_layer = score > score.flatten().sort().values[38 * 24 - 1]
    assert not torch.equal(wanda(weight, inputs, sparsity=0.6).mask(), over_layer)


def test_kept_weights_are_unchanged(layer_problem):
    weight, x, _ = layer_problem()
    stored = wanda(weight, LayerInputs.of(x), sparsity=0.75)
    assert torch.equal(stored.dense(), weight * stored.mask())
    assert stored.bits_per_weight() == 1 + 16 * 0.25
    assert torch.equal(wanda(weight, LayerInputs.of(x), sparsity=0.0).dense(), weight)


def test_invariant_to_how_the_calibration_is_cut_and_to_the_order_of_rows(layer_problem):
    weight, x, _ = layer_problem()
    whole = wanda(weight, LayerInputs.of(x), sparsity=0.5).mask()
    pieces = LayerInputs(64, statistics="diagonal")
    for piece in x.split([1, 100, 11, 400]):
        pieces.add(piece)
    assert torch.equal(whole, wanda(weight, pieces, sparsity=0.5).mask())
    order = torch.randperm(24, generator=torch.Generator().manual_seed(1))
    assert torch.equal(whole[order], wanda(weight[order], LayerInputs.of(x), sparsity=0.5).mask())


def test_function_preserving_rescaling_leaves_the_mask_and_not_that_of_magnitude(layer_problem):
    weight, x, _ = layer_problem()
    scale = 2.0 ** torch.randint(-4, 5, (64,), generator=torch.Generator().manual_seed(2))    # exact in binary
    for options in ({"sparsity": 0.6}, {"pattern": "2:4"}):
        mask = wanda(weight, LayerInputs.of(x), **options).mask()
        rescaled = wanda(weight / scale, LayerInputs.of(x * scale), **options).mask()
        assert torch.equal(mask, rescaled)
    by_size = magnitude_pruning(weight, None, sparsity=0.6, comparison_group="row").mask()
    assert not torch.equal(
        by_size, magnitude_pruning(weight / scale, None, sparsity=0.6, comparison_group="row").mask()
    )


def test_equal_norms_reduce_it_to_magnitude_in_each_row(layer_problem):
    weight, _, _ = layer_problem()
    x = torch.where(torch.randn(512, 64, generator=torch.Generator().manual_seed(4)) > 0, 3.0, -3.0)
    for options in ({"sparsity": 0.6}, {"pattern": "4:8"}):
        by_size = magnitude_pruning(weight, None, comparison_group="row", **options)
        assert torch.equal(wanda(weight, LayerInputs.of(x), **options).mask(), by_size.mask())


def test_output_error_is_below_that_of_magnitude(layer_problem, output_error):
    for seed in range(6):
        weight, x, fresh = layer_problem(seed)
        for options in ({"sparsity": 0.5}, {"sparsity": 0.7}, {"pattern": "2:4"}):
            ours = wanda(weight, LayerInputs.of(x), **options).dense()
            by_size = magnitude_pruning(weight, None, comparison_group="row", **options).dense()
            assert output_error(x, weight, ours) < output_error(x, weight, by_size)
            assert output_error(fresh, weight, ours) < output_error(fresh, weight, by_size)


def test_what_16_bit_would_confuse_is_told_apart():
    norms = 1 + torch.randperm(16, generator=torch.Generator().manual_seed(1)) * 2.0**-14
    mask = wanda(torch.ones(2, 16), LayerInputs.of(norms[None]), sparsity=0.5).mask()
    assert torch.equal(mask, (norms > norms.median()).expand(2, 16))


def test_an_input_that_never_occurs_is_dropped_first():
    weight = torch.tensor([[100.0, 0.1, 0.2, 0.3]])
    x = torch.ones(8, 4)
    x[:, 0] = 0
    assert wanda(weight, LayerInputs.of(x), sparsity=0.25).mask().tolist() == [[False, True, True, True]]


def test_refuses(layer_problem):
    weight, x, _ = layer_problem()
    for options, message in (
        ({"sparsity": 1.0}, "sparsity is 1.0"),
        ({"pattern": "2:5", "sparsity": 0.6}, "5 must divide"),
        ({"pattern": "2:4", "sparsity": 0.6}, "has a sparsity of 0.5"),
    ):
        with pytest.raises(ValueError, match=message):
            wanda(weight, LayerInputs.of(x), **options)
    with pytest.raises(ValueError, match="no inputs were added"):
        wanda(weight, LayerInputs(64))
