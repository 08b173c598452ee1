"""QLoRA is LoRA beside NormalFloat weights: it starts as the quantized model, which nothing changes any more."""

import copy

import pytest
import torch
from transformers import GPT2Config, GPT2LMHeadModel

from reference_impls.adaptation.lora import adapt, updates
from reference_impls.core.contracts import contract_of, options_of
from reference_impls.core.language import language_loss, logits
from reference_impls.core.model_view import ModelView
from reference_impls.core.storage import NormalFloatWeight
from reference_impls.core.training import batches, train
from reference_impls.core.transformer import Transformer, TransformerConfig
from reference_impls.quantization.qlora import merge, qlora, quantize_base
from tests.reference_impls.drawn import seeded

SMALL = TransformerConfig(vocab=16, width=16, layers=2, heads=2, kv_heads=1, ffn=24, context=16)


def ids():
    return torch.randint(16, (2, 9), generator=seeded(2))


def model(seed=1):
    return Transformer(SMALL, generator=seeded(seed))


def text(seed=3):
    return batches(torch.randint(16, (200,), generator=seeded(seed)), batch=4, length=12, generator=seeded(4))


@pytest.mark.parametrize("double", [False, True])
def test_starts_as_the_quantized_model_bit_by_bit(double):
    options = {"bits": 3, "block_size": 32, "double_quantization": double}
    quantized = model()
    for linear in ModelView(quantized).linears.values():
        linear.weight = NormalFloatWeight(linear.weight, bits=3, block_size=32, double=double).dense()
    student = qlora(model(), None, iter(()), steps=0, **options)
    assert torch.equal(student(ids()), quantized(ids()))
    assert (student(ids()) - model()(ids())).abs().max() > 1e-4


def test_every_linear_layer_of_the_blocks_has_an_update_and_only_these_are_trained():
    student = model()
    before = copy.deepcopy(student.state_dict())
    bases = {name: s.dense() for name, s in quantize_base(copy.deepcopy(student)).items()}
    assert qlora(student, None, text(), steps=3, rank=2, alpha=2.0, generator=seeded(5)) is student
    assert len(updates(student)) == 7 * SMALL.layers
    trained = {name for name, p in student.named_parameters() if p.requires_grad}
    assert all(name.rpartition(".")[2] in "AB" for name in trained) and len(trained) == 2 * 7 * SMALL.layers
    after = {name.replace(".base.", "."): value for name, value in student.state_dict().items()}
    for name, value in before.items():
        layer = name.removesuffix(".weight")
        assert torch.equal(after[name], bases.get(layer, value))
    assert all(update.B.abs().max() > 0 for update in updates(student).values())


def test_eight_bits_are_nearly_lora_and_training_is_loras_on_the_quantized_weights():
    student = qlora(model(), None, text(), steps=3, rank=2, alpha=2.0, generator=seeded(5))
    by_hand = model()
    quantize_base(by_hand)
    adapt(by_hand, rank=2, alpha=2.0, targets=("*",), generator=seeded(5))
    train(by_hand, text(), steps=3, learning_rate=1e-2)
    assert torch.equal(student(ids()), by_hand(ids()))
    plain = model()
    adapt(plain, rank=2, alpha=2.0, targets=("*",), generator=seeded(5))
    train(plain, text(), steps=3, learning_rate=1e-2)
    fine = qlora(model(), None, text(), steps=3, bits=8, rank=2, alpha=2.0, generator=seeded(5))
    distances = [(m(ids()) - plain(ids())).abs().max() for m in (student, fine)]
    assert distances[1] < distances[0] / 2


def test_merging_keeps_the_function_and_leaves_the_grid():
    student = qlora(model(), None, text(), steps=3, rank=2, alpha=2.0)
    apart = student(ids())
    merged = merge(student)
    torch.testing.assert_close(merged(ids()), apart, rtol=1e-4, atol=1e-5)
    linear = next(iter(ModelView(merged).linears.values()))
    assert not torch.equal(NormalFloatWeight(linear.weight).dense(), linear.weight)


def test_gradient_of_the_factors_passes_through_the_quantized_weight():
    """The update of an early layer is trained by what the later, quantized layers make of it."""
    student = qlora(model(), None, iter(()), steps=0, bits=2)
    language_loss(student, ids()).backward()
    first = updates(student)["blocks.0.attention.value"]
    assert first.B.grad.abs().max() > 0 and first.base.weight.grad is None


def test_bits_of_the_base_are_reported():
    """One layer of each kind: a mean in 32 bit, a scale for up to 256 blocks, an 8-bit float for each block of 64."""
    student = qlora(model(), None, iter(()), steps=0)
    layers = [m.weight.numel() for m in ModelView(model()).linears.values() for m in [m.module]]
    total = sum(n / 2 + -(-n // 64) + 4 + 4 for n in layers)
    assert student.work["base_bits_per_weight"] == pytest.approx(8 * total / sum(layers))


def test_weights_that_are_stored_transposed_are_quantized_row_by_row_of_outputs():
    torch.manual_seed(0)
    gpt2 = GPT2LMHeadModel(GPT2Config(vocab_size=32, n_positions=16, n_embd=16, n_layer=1, n_head=2)).eval()
    weight = gpt2.transformer.h[0].attn.c_attn.weight.detach().T.clone()
    qlora(gpt2, None, iter(()), steps=0)
    assert torch.equal(gpt2.transformer.h[0].attn.c_attn.base.weight.T, NormalFloatWeight(weight).dense())
    assert logits(gpt2, torch.randint(32, (1, 5))).shape == (1, 5, 32)


def test_recovers_what_two_bits_cost_over_three_seeds():
    """A model of a cycle, put on 2 bits, is brought back by updates of rank 4 on the same text."""
    for seed in range(3):
        generator = seeded(seed)
        cycle = torch.randperm(16, generator=generator).repeat(20)
        base = model(seed)
        train(base, batches(cycle, batch=8, length=12, generator=generator), steps=100, learning_rate=1e-2)
        rough = qlora(copy.deepcopy(base), None, iter(()), steps=0, bits=2)
        source = batches(cycle, batch=8, length=12, generator=generator)
        tuned = qlora(copy.deepcopy(base), None, source, steps=30, bits=2, rank=4, alpha=4.0, learning_rate=3e-2)
        held_out = cycle[:16][None]
        exact, quantized, adapted = (language_loss(m, held_out).item() for m in (base, rough, tuned))
        assert quantized > 1.2 * exact and adapted < exact + (quantized - exact) / 4


def test_contract_and_refusals():
    contract = contract_of(qlora)
    assert contract.kind == "training" and contract.student == "pretrained"
    assert list(options_of(qlora)) == [
        "steps", "bits", "block_size", "double_quantization", "rank", "alpha", "targets", "learning_rate",
    ]  # fmt: skip
    for options, message in (({"bits": 1}, "bits is 1"), ({"rank": 0}, "rank is 0"), ({"targets": ("x",)}, "name no")):
        with pytest.raises(ValueError, match=message):
            qlora(model(), None, iter(()), steps=0, **options)
