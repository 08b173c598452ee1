"""DeeBERT's tokens leave at the first off-ramp that is sure enough; the frozen model stays the model that it was."""

import math

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from reference_impls.core.contracts import contract_of, options_of
from reference_impls.core.model_view import ModelView
from reference_impls.core.transformer import Transformer, TransformerConfig
from reference_impls.dynamic.deebert import OffRamps, deebert, entropy, train_off_ramps, windows
from tests.reference_impls.drawn import seeded

CONFIG = TransformerConfig(vocab=31, width=16, layers=3, heads=2, kv_heads=1, ffn=24, context=32)
IDS = torch.arange(60).view(3, 20) * 7 % 31


def made(threshold: float, seed: int = 0) -> OffRamps:
    """A sharp random model with random off-ramps, so that tokens leave everywhere."""
    model = Transformer(CONFIG, generator=seeded(seed))
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(9 if parameter.ndim > 1 else 1)
        model.embedding.weight.mul_(4)
        found = OffRamps(ModelView(model), threshold)
        for i, ramp in enumerate(found.ramps):
            ramp.weight.add_(0.3 * torch.randn(16, 16, generator=seeded(1 + i)))
    return found


@torch.no_grad()
def layer_by_layer(one: OffRamps, ids: Tensor) -> tuple[Tensor, Tensor]:
    """Algorithm 1 for each token by itself: answers (b, n, v), and the layer at which each token left, from 1."""
    model = one.model
    x = model.embedding(ids)
    left = torch.zeros(ids.shape, dtype=torch.int64)
    answers = torch.zeros(*ids.shape, CONFIG.vocab)
    for i, block in enumerate(model.blocks, start=1):
        y = block(x)
        for b in range(ids.shape[0]):
            for t in range(ids.shape[1]):
                if left[b, t]:
                    continue  # its state stays what it was when it left
                x[b, t] = y[b, t]
                state = y[b, t] if i == 3 else one.ramps[i - 1](y[b, t])
                z = model.head(model.norm(state))
                p = z.softmax(-1)
                if i == 3 or -(p * p.log()).sum() < one.threshold:
                    left[b, t], answers[b, t] = i, z
    return answers, left


@pytest.mark.parametrize("threshold", [0.5, 1.0, 1.5])
def test_equals_algorithm_1_token_by_token(threshold):
    one = made(threshold)
    expected, left = layer_by_layer(one, IDS)
    torch.testing.assert_close(one(IDS), expected, atol=1e-4, rtol=1e-4)
    assert one.left == [int((left == i).sum()) for i in (1, 2, 3)]
    assert min(one.left) > 0


@pytest.mark.parametrize("shape", ["llama", "opt", "gpt2", "ours"])
def test_at_threshold_0_it_is_the_full_model(shape, make_decoder):
    view = ModelView(make_decoder(shape))
    ids = torch.arange(24).view(2, 12)
    before = view.logits(ids)
    one = deebert(view, [ids], threshold=0.0, steps=2, batch=2, length=8, generator=seeded())
    torch.testing.assert_close(one(ids), before, atol=1e-6, rtol=0)
    assert one.left == [0, 0, 24]
    assert one.work["expected_saving"] == 0 and one.work["layers_per_token"] == 3
    one.threshold = 100.0  # everything is sure enough: the first off-ramp answers
    one.reset_work()
    one(ids)
    assert one.left == [24, 0, 0] and one.work["expected_saving"] == pytest.approx(2 / 3)


def test_untrained_off_ramps_are_the_models_own_head():
    one = OffRamps(ModelView(Transformer(CONFIG, generator=seeded())), 1.0)
    hidden = torch.randn(2, 5, 16, generator=seeded(1))
    for i in (1, 2, 3):
        assert torch.equal(one.off_ramp(i, hidden), one.model.head(one.model.norm(hidden)))


def test_expected_saving_is_equation_2():
    one = made(1.0)
    one.left = [10, 5, 25]
    assert one.work["expected_saving"] == pytest.approx(1 - (1 * 10 + 2 * 5 + 3 * 25) / (3 * 40))
    assert one.work["layers_per_token"] == pytest.approx(95 / 40)
    assert [one.work[f"left_at_{i}"] for i in (1, 2, 3)] == [0.25, 0.125, 0.625]


def test_a_higher_threshold_uses_fewer_layers():
    used = []
    for threshold in (0.0, 0.5, 1.0, 2.0, 3.5):
        one = made(threshold)
        one(IDS)
        used.append(one.work["layers_per_token"])
    assert used[0] == 3 and used[-1] == 1 and used == sorted(used, reverse=True) and len(set(used)) == 5


def test_training_changes_the_off_ramps_only_and_makes_them_better():
    view = ModelView(Transformer(CONFIG, generator=seeded()))
    weights = {name: p.clone() for name, p in view.model.named_parameters()}
    one = OffRamps(view, 1.0)
    start = [p.clone() for p in one.ramps.parameters()]
    losses = train_off_ramps(one, windows([IDS], 3, 16, seeded()), 40, 1e-1)
    assert losses[-1] < losses[0] - 0.3
    assert losses[0] == pytest.approx(2 * math.log(31), abs=0.2)  # the sum over both off-ramps
    assert all(torch.equal(p, weights[name]) for name, p in view.model.named_parameters())
    assert all(not p.requires_grad for p in view.model.parameters())
    assert all(not torch.equal(p, old) for p, old in zip(one.ramps.parameters(), start, strict=True))
    assert not any(block.module._forward_hooks for block in view.blocks)


def test_dropout_of_the_frozen_model_is_off(make_decoder):
    def trained() -> OffRamps:
        return deebert(ModelView(make_decoder("gpt2")), [IDS], steps=2, batch=2, length=8, generator=seeded())

    torch.manual_seed(1)
    first = trained()
    torch.manual_seed(2)
    for one, other in zip(first.ramps.parameters(), trained().ramps.parameters(), strict=True):
        assert torch.equal(one, other)


def test_future_tokens_do_not_matter():
    one, later = made(1.0), IDS.clone()
    later[:, 12:] = 5
    torch.testing.assert_close(one(later)[:, :12], one(IDS)[:, :12], atol=1e-5, rtol=0)


def test_entropy_lies_between_certainty_and_the_uniform_distribution():
    z = torch.tensor([[0.0, 0.0, 0.0, 0.0], [100.0, 0.0, 0.0, 0.0]])
    torch.testing.assert_close(entropy(z), torch.tensor([math.log(4), 0.0]))
    z = torch.randn(5, 9, generator=seeded())
    p = F.softmax(z, -1)
    torch.testing.assert_close(entropy(z), -(p * p.log()).sum(-1))


def test_windows_are_cut_from_the_calibration_text():
    drawn = windows([IDS[:2], IDS[2:]], 4, 6, seeded())
    for _ in range(20):
        for window in next(drawn).tolist():
            assert any(window == row[i : i + 6] for row in IDS.tolist() for i in range(15))
    assert next(windows([IDS], 2, 500, seeded())).shape == (2, 20)


@pytest.mark.parametrize("option, message", [
    (dict(threshold=-1.0), "threshold is -1"),
    (dict(steps=-1), "steps is -1"),
    (dict(batch=0), "batch is 0"),
    (dict(length=1), "length is 1"),
    (dict(), "calibration holds no batch"),
])  # fmt: skip
def test_refuses_what_does_not_fit(option, message):
    with pytest.raises(ValueError, match=message):
        deebert(ModelView(Transformer(CONFIG)), [], **option)


def test_contract():
    contract = contract_of(deebert)
    assert (contract.kind, contract.target) == ("inference", "language")
    assert list(options_of(deebert)) == ["threshold", "steps", "batch", "length", "learning_rate"]
