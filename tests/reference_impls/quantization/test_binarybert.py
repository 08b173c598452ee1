"""BinaryBERT: a ternary weight is two binary ones, exactly; training goes on from there."""

import copy

import pytest
import torch

from reference_impls.core.contracts import contract_of, options_of
from reference_impls.core.language import language_loss
from reference_impls.core.model_view import ModelView
from reference_impls.core.parametrize import parametrized
from reference_impls.core.training import train
from reference_impls.core.transformer import Transformer
from reference_impls.quantization.binarybert import Halves, Ternary, binarybert, scale, signs, split, ternarize
from reference_impls.quantization.llm_qat import distillation_loss
from tests.reference_impls.drawn import SMALL, cycle, seeded, source, trained

WEIGHTS = {
    "normal": torch.randn(12, 20, generator=seeded(0)),
    "shifted": torch.randn(12, 20, generator=seeded(1)) + 0.8,
    "skewed": torch.randn(12, 20, generator=seeded(2)).exp() - 0.5,
    "without zeros": torch.randn(12, 20, generator=seeded(3)).sign() * 0.3,
}


@pytest.mark.parametrize("name", WEIGHTS)
def test_the_halves_sum_to_the_weight_and_their_binary_values_to_the_ternary_one(name):
    w = WEIGHTS[name]
    first, second = split(w)
    torch.testing.assert_close(first + second, w, atol=1e-6, rtol=0)
    betas = [half.double().abs().mean() for half in (first, second)]
    torch.testing.assert_close(betas[0], betas[1], atol=1e-6, rtol=0)
    binary = sum(signs(half) * beta for half, beta in zip((first, second), betas, strict=True))
    torch.testing.assert_close(binary.float(), ternarize(w), atol=1e-6, rtol=0)
    assert (ternarize(w) == 0).any() == (name != "without zeros")


def test_ternary_values_are_those_of_ternary_weight_networks():
    w = torch.tensor([[4.0, -3.0, 1.2, 0.5, -0.3, 3.0]])  # mean magnitude 2, threshold 1.4
    alpha = 10 / 3
    torch.testing.assert_close(ternarize(w), torch.tensor([[alpha, -alpha, 0.0, 0.0, 0.0, alpha]]))
    edge = torch.tensor([[0.0, 0.0]])
    assert torch.equal(ternarize(edge), edge)


def test_a_split_model_is_the_ternary_model():
    model = trained(steps=20)
    view, ids = ModelView(model), cycle()[None, :12]
    with parametrized(view, lambda _: Ternary()):
        ternary = view.logits(ids)
    with parametrized(view, Halves):
        binary = view.logits(ids)
    torch.testing.assert_close(binary, ternary, atol=2e-2, rtol=0)  # scales are rounded to 16 bit
    assert (view.logits(ids) - ternary).abs().max() > 0.2
    stored = ModelView(copy.deepcopy(model))
    binarybert(stored, model, source(), steps=0)
    torch.testing.assert_close(stored.logits(ids), binary, atol=1e-5, rtol=0)


def test_both_stages_train_the_latent_weights_and_what_is_stored_is_what_was_trained():
    teacher = trained(steps=20)
    view, again = (ModelView(copy.deepcopy(teacher)) for _ in range(2))
    binarybert(view, teacher, source(1), steps=5, ternary_share=0.4, learning_rate=1e-2)
    again.model.requires_grad_(True)
    stream = source(1)

    def learn(steps):
        train(again.model, stream, steps=steps, learning_rate=1e-2,
              loss=lambda model, ids: distillation_loss(model, teacher, ids))  # fmt: skip

    before = {name: linear.weight.clone() for name, linear in again.linears.items()}
    with parametrized(again, lambda _: Ternary()):
        learn(2)
    after = {name: linear.weight.clone() for name, linear in again.linears.items()}
    assert all((after[name] != before[name]).any() for name in after)
    with parametrized(again, Halves) as made:
        learn(3)
        logits = again.logits(cycle()[None, :12])
    torch.testing.assert_close(view.logits(cycle()[None, :12]), logits, atol=1e-5, rtol=0)
    for name, linear in view.linears.items():
        assert (made[name].latent[0].detach() - split(after[name])[0]).abs().max() > 1e-3
        scales = sorted(scale(w).item() for w in made[name].latent)
        assert linear.weight.unique().numel() <= 4
        assert linear.weight.abs().max().item() == pytest.approx(sum(scales), rel=1e-3)


def test_two_bits_a_weight_are_stored():
    view = ModelView(trained(steps=1))
    binarybert(view, view.model, source(), steps=0)
    for linear in view.linears.values():
        assert linear.storage.bits_per_weight() == pytest.approx(2 + 32 / linear.shape[1])


def test_gradient_reaches_both_halves_as_if_there_were_no_signs():
    view = ModelView(Transformer(SMALL, generator=seeded(0)).requires_grad_(True))
    with parametrized(view, Halves) as made:
        language_loss(view.model, cycle()[None, :12]).backward()
        for halves in made.values():
            assert halves.latent[0].grad.abs().max() > 0
            assert torch.equal(halves.latent[0].grad, halves.latent[1].grad)


def test_training_makes_up_for_what_the_split_costs():
    base = trained(seed=0, steps=100)
    rough, ours = (ModelView(copy.deepcopy(base)) for _ in range(2))
    binarybert(rough, base, source(), steps=0)
    binarybert(ours, base, source(), steps=40, learning_rate=1e-2)
    held_out = cycle()[:16][None]
    exact, cost, tuned = (language_loss(m, held_out).item() for m in (base, rough.model, ours.model))
    assert cost > 2 * exact and tuned < cost / 2


def test_contract_and_refusals():
    contract = contract_of(binarybert)
    assert (contract.kind, contract.student, contract.text) == ("training", "compressed", "same")
    assert list(options_of(binarybert)) == ["steps", "ternary_share", "learning_rate"]
    for share in (-0.1, 1.1):
        with pytest.raises(ValueError, match=f"ternary_share is {share}"):
            binarybert(ModelView(Transformer(SMALL)), None, source(), ternary_share=share)
