"""LLM-QAT writes its own text, learns from its own logits, and stores what it trained with."""

import copy

import pytest
import torch

from reference_impls.core.activations import ActivationQuantizer
from reference_impls.core.contracts import contract_of, options_of
from reference_impls.core.fake_quantization import RoundedWeight, rounded_values
from reference_impls.core.language import language_loss, logits
from reference_impls.core.model_view import ModelView
from reference_impls.core.parametrize import parametrized
from reference_impls.core.training import train
from reference_impls.core.transformer import Transformer
from reference_impls.quantization.llm_qat import distillation_loss, draws, generate, is_cached, llm_qat
from reference_impls.quantization.smoothquant import round_weight
from tests.reference_impls.drawn import SMALL, cycle, seeded, trained

SHORT = {"sequences": 12, "length": 12, "batch_size": 8}


def test_first_tokens_are_the_likeliest_and_the_rest_is_drawn():
    """A third each: 2, 3 and 4 of them after the start token."""
    model = Transformer(SMALL, generator=seeded(0))  # untrained: every draw is nearly uniform
    text = generate(model, 30, 12, seeded(1))
    assert text.shape == (30, 12)
    for rows, greedy in ((text[:10], 3), (text[10:20], 4), (text[20:], 5)):
        for n in range(1, 12):
            likeliest = logits(model, rows[:, :n])[:, -1].argmax(-1)
            share = (rows[:, n] == likeliest).float().mean()
            assert share == 1 if n < greedy else share < 1
    assert not torch.equal(text, generate(model, 30, 12, seeded(2)))
    assert torch.equal(text, generate(model, 30, 12, seeded(1)))
    starts = generate(model, 16, 6, seeded(3))[:, 0]
    assert starts.sort().values.tolist() == list(range(16))  # every token of the vocabulary once


def test_loss_is_least_at_the_teachers_own_distribution_and_differs_from_kl_by_its_entropy():
    (teacher, other), ids = (Transformer(SMALL, generator=seeded(i)) for i in range(2)), cycle()[None, :9]
    p, q = (logits(m, ids).softmax(-1) for m in (teacher, other))
    entropy = -(p * p.log()).sum(-1).mean()
    kl = (p * (p / q).log()).sum(-1).mean()
    torch.testing.assert_close(distillation_loss(teacher, teacher, ids), entropy)
    torch.testing.assert_close(distillation_loss(other, teacher, ids), entropy + kl)
    assert kl > 0


@pytest.mark.parametrize("kv_bits", [3, None])
def test_stored_equals_what_was_trained_with(kv_bits):
    teacher = trained(steps=5)
    view = ModelView(copy.deepcopy(teacher))
    llm_qat(view, teacher, iter(()), steps=3, weight_bits=3, activation_bits=4, kv_bits=kv_bits, generator=seeded(5),
            **SHORT)  # fmt: skip
    again = ModelView(copy.deepcopy(teacher).requires_grad_(True))  # the same run by hand
    generator = seeded(5)
    text = generate(teacher, 12, 12, generator)
    inputs = ActivationQuantizer(4, "token").round
    cache = ActivationQuantizer(kv_bits, "token").round if kv_bits else None
    with (
        parametrized(again, lambda _: RoundedWeight(3, "channel")),
        rounded_values(again, lambda _: inputs, lambda linear: cache if is_cached(linear) else None),
    ):
        train(again.model, draws(text, 8, generator), steps=3, learning_rate=3e-4,
              loss=lambda m, ids: distillation_loss(m, teacher, ids))  # fmt: skip
        fake = again.logits(text)
    torch.testing.assert_close(view.logits(text), fake, atol=1e-6, rtol=1e-5)
    for linear in view.linears.values():
        assert linear.activation == {"bits": 4, "granularity": "token", "absmax": None}
        torch.testing.assert_close(round_weight(linear.weight, 3, "channel").dense(), linear.weight, atol=1e-3, rtol=0)


def test_keys_and_values_lie_on_a_grid_of_each_token():
    teacher = trained(steps=5)
    view = ModelView(copy.deepcopy(teacher))
    llm_qat(view, teacher, iter(()), steps=1, kv_bits=2, **SHORT)
    seen = {}
    for name, linear in view.linears.items():
        linear.module.register_forward_hook(lambda _, __, output, name=name: seen.update({name: output}))
    view.logits(cycle()[None, :8])
    for name, output in seen.items():
        counts = [row.unique().numel() for row in output[0]]
        assert max(counts) <= 3 if name.endswith(("key", "value")) else max(counts) > 3


def test_needs_no_data_and_the_teacher_stays():
    teacher = trained(steps=5)
    before = copy.deepcopy(teacher.state_dict())
    llm_qat(ModelView(copy.deepcopy(teacher)), teacher, iter(()), steps=2, **SHORT)
    assert all(torch.equal(value, before[name]) for name, value in teacher.state_dict().items())


def test_training_on_its_own_text_makes_up_for_what_two_bits_cost():
    seed = 0
    teacher = trained(seed, steps=100)
    rounded, ours = (ModelView(copy.deepcopy(teacher)) for _ in range(2))
    for linear in rounded.linears.values():
        linear.set_storage(round_weight(linear.weight, 2, "channel"))
    llm_qat(ours, teacher, iter(()), steps=40, weight_bits=2, kv_bits=4, learning_rate=1e-2, sequences=16,
            length=14, batch_size=8, generator=seeded(seed))  # fmt: skip
    held_out = cycle(seed)[:16][None]
    exact, cost, tuned = (language_loss(m, held_out).item() for m in (teacher, rounded.model, ours.model))
    assert cost > 2 * exact and tuned < cost / 2


def test_contract_and_refusals(monkeypatch):
    contract = contract_of(llm_qat)
    assert (contract.kind, contract.student, contract.text) == ("training", "compressed", "same")
    assert list(options_of(llm_qat)) == [
        "steps", "weight_bits", "activation_bits", "kv_bits", "sequences", "length", "batch_size", "learning_rate",
    ]  # fmt: skip
    model = Transformer(SMALL)
    for options, message in (({"length": 5}, "length is 5"), ({"sequences": 0}, "sequences is 0"),
                             ({"kv_bits": 1}, "bits is 1"), ({"activation_bits": 1}, "bits is 1")):  # fmt: skip
        with pytest.raises(ValueError, match=message):
            llm_qat(ModelView(model), model, iter(()), steps=1, **(SHORT | options))
    monkeypatch.setattr("reference_impls.quantization.llm_qat.KEYS_AND_VALUES", ("other",))
    with pytest.raises(ValueError, match="no layers named other"):
        llm_qat(ModelView(model), model, iter(()), steps=1, **SHORT)
