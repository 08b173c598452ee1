"""The training loop does what its recipe says, step by step, and the batches are windows of the stream."""

import itertools

import pytest
import torch
from torch import nn

from reference_impls.core.training import batches, rate, train, train_on_text_first
from reference_impls.core.transformer import Transformer, TransformerConfig

SMALL = TransformerConfig(vocab=16, width=16, layers=1, heads=2, kv_heads=1, ffn=16, context=16)


def test_batches_are_windows_of_the_stream_and_reach_its_ends():
    stream = torch.arange(100, 112)
    source = batches(stream, batch=5, length=4, generator=torch.Generator().manual_seed(0))
    drawn = torch.cat(list(itertools.islice(source, 40)))
    assert drawn.shape == (200, 4) and drawn.dtype == torch.int64
    assert torch.equal(drawn, drawn[:, :1] + torch.arange(4))
    assert set(drawn[:, 0].tolist()) == set(range(100, 109))


def test_batches_follow_the_seed_and_refuse_a_short_stream():
    stream = torch.arange(50)
    draws = [next(batches(stream, batch=3, length=8, generator=torch.Generator().manual_seed(s))) for s in (1, 1, 2)]
    assert torch.equal(draws[0], draws[1]) and not torch.equal(draws[0], draws[2])
    with pytest.raises(ValueError, match="50 tokens"):
        batches(stream, batch=3, length=51, generator=torch.Generator())


def test_rate_climbs_then_falls_linearly():
    rates = [rate(step, 10, 4) for step in range(10)]
    expected = [1 / 4, 2 / 4, 3 / 4, 1, 1, 5 / 6, 4 / 6, 3 / 6, 2 / 6, 1 / 6]
    assert rates == pytest.approx(expected)
    assert [rate(step, 2, 0) for step in range(2)] == [1, 0.5]


def test_two_steps_equal_adamw_written_out():
    """AdamW by hand: clipped gradient, betas 0.9 and 0.95, decay on the matrix and not on the bias."""
    torch.manual_seed(0)
    model = nn.Linear(3, 2).double()
    inputs = [torch.randn(4, 3, dtype=torch.float64) * 5 for _ in range(2)]
    theta = {name: p.detach().clone() for name, p in model.named_parameters()}
    first = {name: torch.zeros_like(p) for name, p in theta.items()}
    second = {name: torch.zeros_like(p) for name, p in theta.items()}
    losses = train(model, iter(inputs), steps=2, warmup=1, learning_rate=0.1, loss=lambda m, x: m(x).square().sum())
    by_hand = []
    for step, x in enumerate(inputs):
        out = x @ theta["weight"].T + theta["bias"]
        by_hand.append(out.square().sum().item())
        gradient = {"weight": 2 * out.T @ x, "bias": 2 * out.sum(0)}
        norm = sum(g.square().sum() for g in gradient.values()).sqrt()
        assert norm > 1  # so that the clip is at work
        for name, g in gradient.items():
            g = g / (norm + 1e-6)
            lr = 0.1 * rate(step, 2, 1)
            theta[name] *= 1 - lr * (0.1 if name == "weight" else 0)
            first[name] = 0.9 * first[name] + 0.1 * g
            second[name] = 0.95 * second[name] + 0.05 * g * g
            corrected = (second[name] / (1 - 0.95 ** (step + 1))).sqrt() + 1e-8
            theta[name] -= lr * first[name] / (1 - 0.9 ** (step + 1)) / corrected
    assert losses == pytest.approx(by_hand)
    for name, parameter in model.named_parameters():
        torch.testing.assert_close(parameter.detach(), theta[name], rtol=1e-9, atol=1e-12)


def test_learns_a_cycle_and_leaves_frozen_weights_alone():
    model = Transformer(SMALL)
    model.norm.weight.requires_grad_(False)
    frozen = model.norm.weight.clone()
    done = []
    source = batches(torch.arange(4).repeat(40), batch=4, length=12, generator=torch.Generator().manual_seed(0))
    losses = train(model, source, steps=40, learning_rate=1e-2, progress=lambda at, of: done.append((at, of)))
    assert losses[0] > 2.5 and losses[-1] < 1.1
    assert torch.equal(model.norm.weight, frozen)
    assert done == [(step, 40) for step in range(1, 41)] and not model.training


def test_auxiliary_losses_are_minimized_but_not_reported():
    class Penalized(nn.Linear):
        def forward(self, x):
            self.auxiliary_loss = 3 * self.weight.sum()
            return super().forward(x)

    model = nn.Sequential(Penalized(2, 1, bias=False), Penalized(1, 1, bias=False))
    before = [p.item() for p in model[1].parameters()]
    zeros = itertools.repeat(torch.zeros(1, 2))
    losses = train(model, zeros, steps=3, weight_decay=0.0, loss=lambda m, x: m(x).square().sum())
    assert losses == [0, 0, 0]
    assert all(p.item() < b for p, b in zip(model[1].parameters(), before, strict=True))
    assert (model[0].weight.grad is None) or not model[0].weight.grad.any()


@pytest.mark.parametrize(("share", "first", "then"), [(0.0, 0, 5), (0.4, 2, 3), (0.5, 2, 3), (1.0, 5, 0)])
def test_a_share_of_the_steps_trains_on_text_and_the_rest_on_the_loss(share, first, then):
    model, taken = Transformer(SMALL), []

    def source():
        for step in itertools.count():
            taken.append(step)
            yield torch.arange(4).repeat(1, 2)

    own = []

    def loss(student, ids):
        own.append(len(taken))
        return student.norm.weight.square().sum()

    train_on_text_first(model, source(), steps=5, share=share, loss=loss, learning_rate=1e-3)
    assert len(taken) == 5 and own == list(range(first + 1, 6)) and len(own) == then


def test_refusals():
    model = Transformer(SMALL)
    with pytest.raises(ValueError, match="learning_rate"):
        train(model, itertools.repeat(torch.zeros(1, 4)), steps=1, loss=lambda m, x: m.norm.weight.sum() * float("inf"))
    with pytest.raises(ValueError, match="negative"):
        train(model, iter(()), steps=-1)
    with pytest.raises(ValueError, match="no parameter"):
        train(model.requires_grad_(False), iter(()), steps=1)
