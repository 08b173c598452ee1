"""Q8BERT trains what it stores: the same rounding in training and afterwards, with ranges learned on the way."""

import copy

import pytest
import torch

from reference_impls.core.activations import ActivationQuantizer
from reference_impls.core.contracts import contract_of, options_of
from reference_impls.core.fake_quantization import RoundedWeight, rounded_values
from reference_impls.core.language import language_loss
from reference_impls.core.model_view import ModelView
from reference_impls.core.parametrize import parametrized
from reference_impls.core.training import train
from reference_impls.core.transformer import Transformer
from reference_impls.quantization.q8bert import InputRange, q8bert
from reference_impls.quantization.smoothquant import round_weight
from tests.reference_impls.drawn import SMALL, cycle, seeded, source, trained


def test_stored_equals_fake_quantized_with_the_final_weights_and_ranges():
    view = ModelView(trained(steps=5))
    raw = {}
    q8bert(view, None, source(1), steps=4, bits=4, activation_bits=5, ema_decay=0.5)
    ids = cycle()[:12][None]
    stored = view.logits(ids)
    again = ModelView(trained(steps=5))  # the same run by hand
    ranges = {name: InputRange(5, 0.5) for name in again.linears}
    again.model.requires_grad_(True)
    with (
        parametrized(again, lambda _: RoundedWeight(4, "tensor")),
        rounded_values(again, inputs=lambda linear: ranges[linear.name]),
    ):
        train(again.model, source(1), steps=4, learning_rate=3e-4)
        for r in ranges.values():
            r.decay = 1.0  # from now on the ranges stay
        fake = again.logits(ids)
        raw = {name: linear.weight.clone() for name, linear in again.linears.items()}
    torch.testing.assert_close(stored, fake, atol=1e-6, rtol=1e-5)
    for name, linear in view.linears.items():
        assert torch.equal(linear.weight, raw[name])  # already on the grid that is stored
        assert linear.activation == {"bits": 5, "granularity": "tensor-static", "absmax": ranges[name].absmax}


def test_quantizer_is_the_papers():
    """round(x S) clamped, over S; S is M over the largest magnitude. Below, clipping uses the one code more."""
    x = torch.randn(3, 40, generator=seeded(0))
    threshold = 1.5
    M = 2 ** (4 - 1) - 1
    expected = (x * M / threshold).round().clamp(-M - 1, M) / (M / threshold)
    ours = InputRange(4, 1.0)
    ours.absmax = threshold
    torch.testing.assert_close(ours(x), expected)
    W = torch.randn(6, 8, generator=seeded(1))
    scale = M / W.abs().max()
    torch.testing.assert_close(round_weight(W, 4, "tensor").dense(), (W * scale).round() / scale, atol=2e-3, rtol=0)
    assert RoundedWeight(4, "tensor")(W).unique().numel() <= 2 * M + 1


def test_range_starts_at_the_first_tensor_and_follows_slowly():
    r = InputRange(8, 0.75)
    seen = []
    for largest in (2.0, 4.0, -10.0):
        r(torch.tensor([0.5, largest]))
        seen.append(r.absmax)
    assert seen == pytest.approx([2.0, 2.5, 0.75 * 2.5 + 0.25 * 10])


def test_values_outside_the_range_are_clipped_and_still_get_a_gradient():
    view = ModelView(Transformer(SMALL, generator=seeded(0)).requires_grad_(True))
    linear = next(iter(view.linears.values()))
    narrow = InputRange(8, 1.0)
    narrow.absmax = 1e-3
    x = torch.randn(2, 16, generator=seeded(1), requires_grad=True)
    with rounded_values(view, inputs=lambda _: narrow):
        linear.module(x).sum().backward()
    torch.testing.assert_close(x.grad, linear.weight.sum(0).expand(2, -1))
    assert ActivationQuantizer(8, "tensor-static", 1e-3).round(x.detach()).abs().max() <= 1.01e-3


def test_training_makes_up_for_what_rounding_costs_over_three_seeds():
    for seed in range(3):
        base = trained(seed, steps=100)
        rounded, ours = (ModelView(copy.deepcopy(base)) for _ in range(2))
        for linear in rounded.linears.values():
            linear.set_storage(round_weight(linear.weight, 2, "tensor"))
        q8bert(ours, None, source(seed), steps=40, bits=2, activation_bits=8, ema_decay=0.9, learning_rate=5e-3)
        held_out = cycle(seed)[:16][None]
        exact, cost, trained_ = (language_loss(m, held_out).item() for m in (base, rounded.model, ours.model))
        assert cost > 2 * exact and trained_ < cost / 2


def test_contract_and_refusals():
    contract = contract_of(q8bert)
    assert (contract.kind, contract.student, contract.text) == ("training", "compressed", "same")
    assert list(options_of(q8bert)) == ["steps", "bits", "activation_bits", "ema_decay", "learning_rate"]
    for options, message in (({"steps": 0}, "steps is 0"), ({"ema_decay": 1.1}, "ema_decay is 1.1"),
                             ({"activation_bits": 1}, "bits is 1"), ({"bits": 1}, "bits is 1")):  # fmt: skip
        with pytest.raises(ValueError, match=message):
            q8bert(ModelView(Transformer(SMALL)), None, source(), **({"steps": 1} | options))
