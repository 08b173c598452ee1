"""What makes movement pruning itself: scores are sums of gradient times weight, and what moves away from zero stays."""

import copy

import pytest
import torch
from torch import nn

from reference_impls.core.contracts import contract_of, options_of
from reference_impls.core.language import language_loss
from reference_impls.core.model_view import ModelView
from reference_impls.core.parametrize import parametrized
from reference_impls.core.storage import SparseWeight
from reference_impls.core.training import train
from reference_impls.core.transformer import Transformer
from reference_impls.core.views import LinearView
from reference_impls.pruning.magnitude_pruning import magnitude_pruning
from reference_impls.pruning.movement_pruning import Gate, movement_pruning, remaining
from tests.reference_impls.drawn import SMALL, seeded, source, trained


def gated(seed=0, rows=3, columns=5):
    """A gate before a linear layer, by hand: gate, raw weight, inputs."""
    linear = nn.Linear(columns, rows, bias=False)
    linear.weight.data = torch.randn(rows, columns, generator=seeded(seed))
    return Gate(LinearView("layer", linear)), linear.weight, torch.randn(20, columns, generator=seeded(seed + 1))


def test_scores_are_minus_the_sum_of_gradient_times_weight_also_of_pruned_weights():
    gate, W, x = gated()
    expected = torch.zeros(3, 5)
    for step in range(4):
        gate.set_sparsity(0.2 * step)
        y = torch.randn(20, 3, generator=seeded(step + 10))
        W.grad = None
        effective = gate(W)
        assert torch.equal(effective, W * gate.keep)
        (0.5 * (x @ effective.T - y).square().sum()).backward()
        by_hand = (x @ (W * gate.keep).T - y).T @ x                             # dL/da x^T: of the effective weight
        expected -= (by_hand * W).detach()
        torch.testing.assert_close(gate.scores, expected)
        torch.testing.assert_close(W.grad, by_hand.detach() * gate.keep)
        W.data -= 0.05 * W.grad
        assert step == 0 or not gate.keep.all()


def test_weights_that_move_away_from_zero_stay_and_magnitude_keeps_the_others():
    """Small weights have to grow and large ones to shrink: 12 of each, one gradient step after another."""
    scores = {}
    for name in ("movement", "magnitude"):
        gate, W, _ = gated(rows=4, columns=6)
        W.data = torch.cat([torch.full((4, 3), 0.2), torch.full((4, 3), 1.0)], 1) * torch.tensor([1.0, -1] * 3)
        target = torch.cat([torch.full((4, 3), 0.8), torch.full((4, 3), 0.5)], 1) * torch.tensor([1.0, -1] * 3)
        for _ in range(5):
            W.grad = None
            (0.5 * (gate(W) - target).square().sum()).backward()
            W.data -= 0.05 * W.grad
        scores[name] = gate.scores if name == "movement" else W.detach().abs()
    grows = torch.arange(6).expand(4, 6) < 3
    assert (scores["movement"][grows] > 0).all() and (scores["movement"][~grows] < 0).all()
    assert scores["magnitude"][~grows].min() > scores["magnitude"][grows].max()
    gate.set_sparsity(0.5)
    assert torch.equal(gate.keep, grows)


@pytest.mark.parametrize(("warmup", "cooldown"), [(0.1, 0.3), (0.0, 0.0), (0.25, 0.5)])
def test_schedule_is_the_cube_of_what_is_left(warmup, cooldown):
    steps, final, start = 200, 0.1, 1.0
    before, after = warmup * steps, (1 - cooldown) * steps
    kept = []
    for t in range(steps + 1):
        if t < before:
            share = start
        elif t >= after:
            share = final
        else:
            share = final + (start - final) * (1 - (t - before) / (after - before)) ** 3
        kept.append(1 - 0.9 * (1 - remaining(t / steps, warmup, cooldown)))
        assert kept[-1] == pytest.approx(share)
    assert kept == sorted(kept, reverse=True)


def test_nothing_pruned_is_plain_training():
    model = trained(steps=5)
    plain = copy.deepcopy(model)
    view = ModelView(model)
    movement_pruning(view, None, source(1), steps=6, sparsity=0.0)
    train(plain.requires_grad_(True), source(1), steps=6, learning_rate=1e-3)
    for name, linear in ModelView(plain).linears.items():
        torch.testing.assert_close(view.linears[name].weight, linear.weight, rtol=1e-3, atol=1e-6)    # 16 bit
    assert torch.equal(model.embedding.weight, plain.embedding.weight)


@pytest.mark.parametrize("score", ["movement", "magnitude"])
def test_run_equals_a_loop_by_hand(score):
    """The whole recipe once more: mask, step, mask, step; scores from gradients taken apart from the gates."""
    model = trained(steps=5)
    twin, steps = copy.deepcopy(model).requires_grad_(True), 8
    view = ModelView(model)
    movement_pruning(view, None, source(1), steps=steps, sparsity=0.6, score=score, warmup=0.25, cooldown=0.25)
    linears = ModelView(twin).linears
    S = {name: torch.zeros(linear.shape) for name, linear in linears.items()}
    done, keeps = 0, {}

    class Masked(nn.Module):
        def __init__(self, linear):
            super().__init__()
            self.name = linear.name

        def forward(self, weight):
            effective = weight * keeps[self.name]
            taken = effective.detach().requires_grad_(True)
            taken.register_hook(lambda g, w=weight: S[self.name].sub_(g * w.detach()))
            return taken + (effective - effective.detach())

    def masks(names):
        share = 0.6 * (1 - remaining(done / steps, 0.25, 0.25))
        for name in names:
            linear = linears[name].module
            raw = linear.parametrizations.weight.original.detach()
            ranked = (S[name] if score == "movement" else raw.abs()).flatten().tolist()
            order = sorted(range(len(ranked)), key=ranked.__getitem__)
            gone = torch.tensor(order[: int(share * len(ranked) + 1e-9)], dtype=torch.int64)
            keeps[name] = torch.ones(len(ranked)).index_fill(0, gone, 0).view_as(raw)

    def loss(model, ids):
        nonlocal done
        masks(linears)
        done += 1
        return language_loss(model, ids)

    with parametrized(ModelView(twin), Masked):
        train(twin, source(1), steps=steps, loss=loss, learning_rate=1e-3)
        masks(linears)
    for name, linear in linears.items():
        storage = view.linears[name].storage
        assert isinstance(storage, SparseWeight) and torch.equal(storage.mask(), keeps[name].bool())
        torch.testing.assert_close(storage.dense(), linear.weight * keeps[name], rtol=1e-3, atol=1e-5)


def test_new_text_is_learned_in_spite_of_pruning():
    model = trained()
    ids = next(source(3))
    one_shot = ModelView(copy.deepcopy(model))
    for linear in one_shot.linears.values():
        linear.set_storage(magnitude_pruning(linear.weight, None, sparsity=0.7))
    view = ModelView(model)
    movement_pruning(view, None, source(3), steps=60, sparsity=0.7, learning_rate=1e-2)
    for linear in view.linears.values():
        assert int((~linear.storage.mask()).sum()) == int(0.7 * linear.weight.numel())
    with torch.no_grad():
        assert language_loss(model, ids) < 0.5 < 2 < language_loss(one_shot.model, ids)


def test_every_decoder_shape(decoder, calibration):
    view = ModelView(decoder)
    movement_pruning(view, None, iter(calibration), steps=3, sparsity=0.5, warmup=0.0, cooldown=0.4)
    for linear in view.linears.values():
        assert abs((linear.weight == 0).float().mean().item() - 0.5) < 0.01


def test_contract_and_refusals():
    contract = contract_of(movement_pruning)
    assert (contract.kind, contract.student, contract.text) == ("training", "compressed", "new")
    defaults = {name: option.default for name, option in options_of(movement_pruning).items()}
    assert defaults["score"] == "movement" and (defaults["warmup"], defaults["cooldown"]) == (0.1, 0.3)
    for options, message in (
        ({"sparsity": 1.0}, "sparsity is 1.0"),
        ({"score": "taylor"}, "score is 'taylor'"),
        ({"warmup": 0.6, "cooldown": 0.4}, "must be shares that leave steps"),
        ({"cooldown": -0.1}, "cooldown is -0.1"),
    ):
        with pytest.raises(ValueError, match=message):
            movement_pruning(ModelView(Transformer(SMALL)), None, source(), steps=2, **options)
