"""What makes magnitude pruning itself: it equals torch's, it looks at nothing but the weights, it compares as asked."""

import pytest
import torch
from torch.nn.utils import prune

from reference_impls.core.storage import SemiSparseWeight, SparseWeight
from reference_impls.pruning.magnitude_pruning import magnitude_pruning


def distinct(rows=24, columns=64):
    """A weight (rows, columns) without two equal magnitudes, so that no order among equals matters; exact in 16 bit."""
    generator = torch.Generator().manual_seed(3)
    sizes = (1 + torch.randperm(rows * columns, generator=generator)) / 512
    signs = torch.where(torch.rand(rows * columns, generator=generator) < 0.5, -1.0, 1.0)
    return (signs * sizes).reshape(rows, columns)


@pytest.mark.parametrize("sparsity", [0.0, 0.1, 0.5, 0.7, 0.93])
@pytest.mark.parametrize("shape", [(24, 64), (7, 13)])
def test_equals_torch_l1_unstructured(sparsity, shape):
    weight = distinct(*shape)
    module = torch.nn.Linear(shape[1], shape[0], bias=False)
    module.weight.data = weight.clone()
    # torch rounds a share to the nearest count and ours goes down, so the count itself is handed over.
    prune.l1_unstructured(module, "weight", amount=int(sparsity * weight.numel() + 1e-9))

    ours = magnitude_pruning(weight, None, sparsity=sparsity)

    assert torch.equal(ours.dense(), module.weight.detach())
    assert torch.equal(ours.mask(), module.weight_mask.bool())


def test_row_group_equals_a_sort_of_every_row():
    weight = distinct()
    ours = magnitude_pruning(weight, None, sparsity=0.6, comparison_group="row").mask()
    for row, kept in zip(weight, ours, strict=True):
        order = sorted(range(len(row)), key=lambda j: abs(float(row[j])))
        assert set(order[:38]) == set((~kept).nonzero().flatten().tolist())    # floor(0.6 * 64) = 38


def test_layer_group_lets_a_row_empty_out_and_row_group_does_not():
    weight = torch.tensor([[0.1, 0.2, 0.3, 0.4], [1.0, 2.0, 3.0, 4.0]])
    assert magnitude_pruning(weight, None, sparsity=0.5).mask().sum(1).tolist() == [0, 4]
    assert magnitude_pruning(weight, None, sparsity=0.5, comparison_group="row").mask().sum(1).tolist() == [2, 2]


@pytest.mark.parametrize("pattern", ["2:4", "4:8", "1:4"])
def test_pattern_keeps_the_n_largest_of_every_m(pattern):
    weight = distinct()
    n, m = map(int, pattern.split(":"))
    stored = magnitude_pruning(weight, None, sparsity=1 - n / m, pattern=pattern)
    assert isinstance(stored, SemiSparseWeight)
    for row, kept in zip(weight, stored.mask(), strict=True):
        for start in range(0, len(row), m):
            largest = sorted(range(start, start + m), key=lambda j: -abs(float(row[j])))[:n]
            assert sorted(largest) == (start + kept[start : start + m].nonzero().flatten()).tolist()


def test_kept_weights_are_unchanged_and_counted():
    weight = distinct()
    stored = magnitude_pruning(weight, None, sparsity=0.75)
    assert isinstance(stored, SparseWeight)
    assert torch.equal(stored.dense(), weight * stored.mask())
    assert stored.bits_per_weight() == 1 + 16 * 0.25
    assert torch.equal(magnitude_pruning(weight, None, sparsity=0.0).dense(), weight)


def test_scaling_the_layer_changes_nothing_and_scaling_a_channel_does():
    weight = distinct()
    mask = magnitude_pruning(weight, None, sparsity=0.5).mask()
    assert torch.equal(mask, magnitude_pruning(weight * 8, None, sparsity=0.5).mask())
    scale = torch.ones(64)
    scale[:4] = 1 / 16    # as if these inputs were 16 times larger: the layer computes the same
    assert not torch.equal(mask, magnitude_pruning(weight * scale, None, sparsity=0.5).mask())


def test_what_16_bit_would_confuse_is_told_apart():
    weight = 1 + torch.randperm(64, generator=torch.Generator().manual_seed(1)).reshape(4, 16) * 2.0**-14
    mask = magnitude_pruning(weight, None, sparsity=0.5).mask()
    assert weight[mask].min() > weight[~mask].max()


def test_of_equal_weights_the_earlier_go():
    assert magnitude_pruning(torch.ones(1, 4), None, sparsity=0.5).mask().tolist() == [[False, False, True, True]]
    assert magnitude_pruning(torch.ones(1, 4), None, pattern="2:4").mask().tolist() == [[False, False, True, True]]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"sparsity": 1.0}, "sparsity is 1.0"),
        ({"sparsity": -0.1}, "sparsity is -0.1"),
        ({"pattern": "4:2"}, "'4:2'"),
        ({"pattern": "half"}, "'half'"),
        ({"pattern": "2:4", "sparsity": 0.7}, "the pattern 2:4 has a sparsity of 0.5"),
        ({"pattern": "3:6"}, "6 must divide"),
        ({"comparison_group": "column"}, "'column'"),
    ],
)
def test_refuses(options, message):
    with pytest.raises(ValueError, match=message):
        magnitude_pruning(distinct(), None, **options)


def test_refuses_weights_that_are_not_finite():
    with pytest.raises(ValueError, match="not finite"):
        magnitude_pruning(torch.tensor([[1.0, float("nan")]]), None)
