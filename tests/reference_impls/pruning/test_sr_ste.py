"""What makes SR-STE itself: n:m in every step, gradients also for what is pruned, and a pull to zero on that alone."""

import copy

import pytest
import torch
from torch.nn import functional as F

from reference_impls.bench.bench import stored_whole
from reference_impls.core.contracts import contract_of, options_of
from reference_impls.core.language import language_loss
from reference_impls.core.storage import SemiSparseWeight
from reference_impls.core.training import train
from reference_impls.core.transformer import Transformer, TransformerConfig
from reference_impls.pruning.magnitude_pruning import magnitude_pruning
from reference_impls.pruning.sr_ste import SparseLinear, SparseRefined, divergence, sr_ste
from tests.reference_impls.drawn import seeded, source

SMALL = TransformerConfig(vocab=16, width=16, layers=2, heads=2, kv_heads=1, ffn=24, context=16)


def model(seed=0, **options):
    return Transformer(SMALL, stack=lambda config: sr_ste(config, **options), generator=seeded(seed))


def layer(n=2, m=4, decay=0.3, seed=0):
    made = SparseLinear(8, 3, n, m, decay)
    made.weight.data = torch.randn(3, 8, generator=seeded(seed))
    return made, torch.randn(20, 8, generator=seeded(seed + 1)), torch.randn(20, 3, generator=seeded(seed + 2))


def masks(of):
    return {name: part.mask() for name, part in of.named_modules() if isinstance(part, SparseLinear)}


@pytest.mark.parametrize(("n", "m"), [(2, 4), (1, 4), (4, 8), (1, 2)])
def test_layer_computes_with_the_n_largest_of_every_m(n, m):
    sparse, x, _ = layer(n, m)
    by_size = magnitude_pruning(sparse.weight.detach(), None, sparsity=1 - n / m, pattern=f"{n}:{m}")
    assert torch.equal(sparse.mask(), by_size.mask())
    torch.testing.assert_close(sparse(x), x @ (sparse.weight * by_size.mask()).T)


@pytest.mark.parametrize("decay", [0.0, 0.3])
def test_gradient_by_hand(decay):
    """[eq-refined] for a squared error, whose gradient in the effective weight is written out."""
    sparse, x, y = layer(decay=decay)
    (0.5 * (sparse(x) - y).square().sum()).backward()
    for i in range(3):
        for j in range(8):
            kept = bool(sparse.mask()[i, j])
            error = [float(x[t] @ (sparse.weight.detach() * sparse.mask())[i] - y[t, i]) for t in range(20)]
            expected = sum(e * float(x[t, j]) for t, e in enumerate(error))
            expected += 0.0 if kept else decay * float(sparse.weight[i, j])
            assert sparse.weight.grad[i, j].item() == pytest.approx(expected, rel=1e-4, abs=1e-4)


def test_lambda_zero_is_the_plain_straight_through_estimator():
    sparse, x, y = layer(decay=0.0)
    (sparse(x) - y).square().sum().backward()
    effective = (sparse.weight * sparse.mask()).detach().requires_grad_(True)
    (F.linear(x, effective) - y).square().sum().backward()
    assert torch.equal(sparse.weight.grad, effective.grad)
    assert sparse.weight.grad[~sparse.mask()].abs().min() > 0               # what is pruned learns too


def test_refining_term_alone_pulls_pruned_weights_to_zero_and_leaves_the_kept():
    weight = torch.randn(2, 8, generator=seeded(3), requires_grad=True)
    mask = layer()[0].mask()[:2]
    (0.0 * SparseRefined.apply(weight, mask, 0.3)).sum().backward()
    stepped = weight.detach() - weight.grad
    torch.testing.assert_close(stepped, torch.where(mask, weight, 0.7 * weight).detach())


def test_divergence_counts_changes_and_a_pull_to_zero_makes_fewer():
    one = torch.tensor([[True, False, True, False]])
    assert divergence({"a": one, "b": one}, {"a": ~one, "b": one}) == 4 and divergence({"a": one}, {"a": one}) == 0
    changes = {}
    for decay in (0.0, 1.0):
        total = 0
        for seed in range(3):
            sparse, x, y = layer(decay=decay, seed=seed)
            noise = seeded(9)
            for _ in range(40):                                             # noisy gradient steps
                before = {"layer": sparse.mask()}
                sparse.weight.grad = None
                batch = torch.randint(20, (4,), generator=noise)
                (0.5 * (sparse(x[batch]) - y[batch]).square().mean()).backward()
                sparse.weight.data -= 0.1 * sparse.weight.grad
                total += divergence(before, {"layer": sparse.mask()})
        changes[decay] = total
    assert 0 < changes[1.0] < changes[0.0]


def test_training_moves_masks_keeps_the_pattern_and_learns():
    sparse = model(pattern="2:4")
    before = masks(sparse)
    losses = train(sparse, source(), steps=60, learning_rate=1e-2)
    after = masks(sparse)
    assert divergence(before, after) > 0
    assert all((mask.reshape(-1, 4).sum(1) == 2).all() for mask in after.values())
    assert losses[-1] < 0.5 < losses[0]


def test_every_linear_layer_of_the_blocks_is_sparse_and_the_start_is_that_of_the_plain_model():
    sparse, plain = model(seed=4), Transformer(SMALL, generator=seeded(4))
    assert len(masks(sparse)) == 7 * SMALL.layers
    for mine, theirs in zip(sparse.parameters(), plain.parameters(), strict=True):
        assert torch.equal(mine, theirs)
    pruned = copy.deepcopy(plain)
    for name, mask in masks(sparse).items():
        pruned.get_submodule(name).weight.data *= mask
    ids = next(source())
    torch.testing.assert_close(sparse(ids), pruned(ids))
    assert (sparse(ids) - plain(ids)).abs().max() > 1e-4


def test_what_is_stored_is_what_was_trained():
    sparse = model(pattern="1:4")
    train(sparse, source(), steps=5, learning_rate=1e-2)
    storage = stored_whole(sparse)
    assert storage.linears.keys() == masks(sparse).keys()
    assert all(isinstance(part, SemiSparseWeight) for part in storage.linears.values())
    plain = Transformer(SMALL)
    plain.load_state_dict(sparse.state_dict())
    for name, part in storage.linears.items():
        plain.get_submodule(name).weight.data = part.dense()
        assert part.bits_per_weight() == (16 + 2) / 4
    ids = next(source())
    with torch.no_grad():
        torch.testing.assert_close(language_loss(plain, ids), language_loss(sparse, ids), rtol=1e-3, atol=0)


def test_contract_and_refusals():
    contract = contract_of(sr_ste)
    assert (contract.kind, contract.slot) == ("architecture", "stack")
    assert {name: option.default for name, option in options_of(sr_ste).items()} == {"pattern": "2:4", "decay": 2e-4}
    for options, message in (
        ({"pattern": "2:5"}, "5 must divide"),
        ({"pattern": "dense"}, "pattern is 'dense'"),
        ({"decay": -1.0}, "decay is -1.0"),
    ):
        with pytest.raises(ValueError, match=message):
            sr_ste(SMALL, **options)
