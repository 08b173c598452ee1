"""LoRA is what its paper says: equal to peft's layer by layer, merged and not, and no more than rank r."""

import copy
import math

import peft
import pytest
import torch
from torch import nn
from transformers import GPT2Config, GPT2LMHeadModel, LlamaConfig, LlamaForCausalLM

from reference_impls.adaptation.lora import LowRankUpdate, adapt, lora, merge, updates
from reference_impls.core.contracts import contract_of, options_of
from reference_impls.core.language import language_loss, logits
from reference_impls.core.storage import DenseWeight, SumWeight
from reference_impls.core.training import batches, train
from reference_impls.core.transformer import Transformer, TransformerConfig
from reference_impls.core.views import LinearView
from tests.reference_impls.drawn import seeded

SMALL = TransformerConfig(vocab=16, width=16, layers=2, heads=2, kv_heads=1, ffn=24, context=16)
QUERY_VALUE = ("query", "value")


def view(layer: nn.Module) -> LinearView:
    return LinearView("layer", layer)


def filled(model: nn.Module, seed: int = 3) -> nn.Module:
    """Give every update a B that is not zero, so that the update does something."""
    generator = seeded(seed)
    for update in updates(model).values():
        update.B.data.normal_(generator=generator)
    return model


def small_llama() -> LlamaForCausalLM:
    torch.manual_seed(0)
    return LlamaForCausalLM(
        LlamaConfig(vocab_size=48, hidden_size=32, intermediate_size=40, num_hidden_layers=2, num_attention_heads=4,
                    num_key_value_heads=2, max_position_embeddings=32, initializer_range=0.2)
    ).eval()  # fmt: skip


def test_equals_peft_forward_and_merged():
    ours, base = small_llama(), small_llama()
    adapt(ours, rank=4, alpha=12.0, targets=("q_proj", "v_proj", "model.layers.1.mlp.*"), generator=seeded(1))
    filled(ours)
    config = peft.LoraConfig(r=4, lora_alpha=12, target_modules=sorted(updates(ours)), lora_dropout=0.0)
    theirs = peft.get_peft_model(base, config).eval()
    adapted = [name for name, module in theirs.named_modules() if isinstance(module, peft.tuners.lora.Linear)]
    assert [name.removeprefix("base_model.model.") for name in adapted] == list(updates(ours))
    assert len(adapted) == 2 * 2 + 3
    for name, update in updates(ours).items():
        layer = theirs.get_submodule(f"base_model.model.{name}")
        layer.lora_A["default"].weight.data.copy_(update.A.data)
        layer.lora_B["default"].weight.data.copy_(update.B.data)

    ids = torch.randint(48, (2, 10), generator=seeded(2))
    expected = logits(theirs, ids)
    assert (logits(small_llama(), ids) - expected).abs().max() > 0.1
    torch.testing.assert_close(logits(ours, ids), expected, rtol=1e-5, atol=1e-5)

    merged, theirs_merged = merge(ours), theirs.merge_and_unload()
    assert not updates(merged) and sorted(merged.state_dict()) == sorted(small_llama().state_dict())
    for name, weight in merged.state_dict().items():
        torch.testing.assert_close(weight, theirs_merged.state_dict()[name], rtol=1e-6, atol=1e-6)


def test_equals_peft_on_weights_that_are_stored_transposed():
    """GPT-2 keeps (in, out) matrices; the query, key and value projections are one layer there."""
    torch.manual_seed(0)
    ours = GPT2LMHeadModel(GPT2Config(vocab_size=32, n_positions=16, n_embd=16, n_layer=2, n_head=2)).eval()
    base = copy.deepcopy(ours)
    filled(lora(ours, None, iter(()), steps=0, rank=2, alpha=4.0))
    assert list(updates(ours)) == ["transformer.h.0.attn.c_attn", "transformer.h.1.attn.c_attn"]
    config = peft.LoraConfig(r=2, lora_alpha=4, target_modules=["c_attn"], fan_in_fan_out=True)
    theirs = peft.get_peft_model(base, config).eval()
    for name, update in updates(ours).items():
        layer = theirs.get_submodule(f"base_model.model.{name}")
        layer.lora_A["default"].weight.data.copy_(update.A.data)
        layer.lora_B["default"].weight.data.copy_(update.B.data)
    ids = torch.randint(32, (2, 10), generator=seeded(2))
    expected = logits(theirs, ids)
    torch.testing.assert_close(logits(ours, ids), expected, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(logits(merge(ours), ids), expected, rtol=1e-5, atol=1e-5)


def test_starts_as_the_pretrained_model_bit_by_bit():
    model = Transformer(SMALL, generator=seeded(1))
    ids = torch.randint(16, (2, 9), generator=seeded(2))
    before = model(ids)
    adapt(model, rank=3, alpha=100.0, targets=("*",))
    assert len(updates(model)) == 7 * SMALL.layers
    assert torch.equal(model(ids), before)


def test_merged_equals_unmerged():
    model = Transformer(SMALL, generator=seeded(1)).double()
    adapt(model, rank=3, alpha=6.0, targets=QUERY_VALUE)
    filled(model)
    ids = torch.randint(16, (2, 9), generator=seeded(2))
    apart = model(ids)
    torch.testing.assert_close(merge(copy.deepcopy(model))(ids), apart, rtol=1e-11, atol=1e-11)
    assert not torch.allclose(Transformer(SMALL, generator=seeded(1)).double()(ids), apart, atol=1e-3)


def test_forward_is_equation_3_with_the_scale_alpha_over_r():
    layer = nn.Linear(5, 4).double()
    update = LowRankUpdate(view(layer), rank=2, alpha=3.0)
    update.B.data.normal_(generator=seeded(0))
    x = torch.randn(7, 5, dtype=torch.float64, generator=seeded(1))
    W0, bias, A, B = layer.weight, layer.bias, update.A, update.B
    h = torch.stack([W0 @ row + bias + 3.0 / 2 * (B @ (A @ row)) for row in x])
    torch.testing.assert_close(update(x), h, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(update.delta(), 1.5 * B @ A, rtol=1e-12, atol=1e-12)


def test_only_the_factors_have_a_gradient_and_change():
    model = Transformer(SMALL, generator=seeded(1))
    before = copy.deepcopy(model.state_dict())
    stream = torch.randint(16, (200,), generator=seeded(2))
    source = batches(stream, batch=4, length=12, generator=seeded(3))
    assert lora(model, None, source, steps=4, rank=2, alpha=2.0, generator=seeded(4)) is model
    trainable = [name for name, p in model.named_parameters() if p.requires_grad]
    assert len(trainable) == 2 * 2 * SMALL.layers
    assert all(name.rpartition(".")[2] in "AB" for name in trainable)
    after = {name.replace(".base.", "."): value for name, value in model.state_dict().items()}
    assert all(torch.equal(after[name], value) for name, value in before.items())
    assert all(update.B.abs().max() > 0 for update in updates(model).values())


def test_the_first_gradient_reaches_b_alone():
    """B is zero at the start, so the gradient of A, which passes through B, is zero too."""
    model = Transformer(SMALL, generator=seeded(1))
    adapt(model, rank=2, alpha=2.0, targets=QUERY_VALUE)
    language_loss(model, torch.randint(16, (2, 9), generator=seeded(2))).backward()
    for update in updates(model).values():
        assert update.B.grad.abs().max() > 0 and update.A.grad.abs().max() == 0
        assert update.base.weight.grad is None


def test_full_rank_reaches_any_update_and_rank_r_no_update_of_rank_r_plus_1():
    target = torch.randn(6, 9, dtype=torch.float64, generator=seeded(0))
    U, s, Vh = torch.linalg.svd(target, full_matrices=False)
    full = LowRankUpdate(view(nn.Linear(9, 6).double()), rank=6, alpha=12.0)
    full.A.data, full.B.data = Vh, U * s / full.scaling
    torch.testing.assert_close(full.delta(), target, rtol=1e-12, atol=1e-12)

    r = 2
    next_rank = U[:, : r + 1] @ Vh[: r + 1]  # r + 1 singular values of 1
    for seed in range(5):
        update = LowRankUpdate(view(nn.Linear(9, 6).double()), rank=r, alpha=4.0, generator=seeded(seed))
        optimizer = torch.optim.LBFGS([update.A, update.B], max_iter=200, line_search_fn="strong_wolfe")

        def error(update=update, optimizer=optimizer):
            optimizer.zero_grad()
            value = (update.delta() - next_rank).square().sum()
            value.backward()
            return value

        optimizer.step(error)
        assert error().item() == pytest.approx(1, abs=1e-6)  # the singular value left over, squared: Eckart and Young


def test_storage_is_the_update_alone():
    layer = nn.Linear(24, 16, bias=False)
    update = LowRankUpdate(view(layer), rank=3, alpha=6.0)
    update.B.data.normal_(generator=seeded(0))
    stored = update.storage()
    assert stored.nbytes() == 2 * 3 * (16 + 24)
    both = SumWeight(DenseWeight(layer.weight, dtype=torch.bfloat16), stored)
    assert both.bits_per_weight() == pytest.approx(16 + 16 * 3 * (16 + 24) / (16 * 24))
    torch.testing.assert_close(stored.dense(), update.delta().detach(), rtol=0, atol=5e-3)
    expected = merge(nn.Sequential(update))[0].weight.detach()
    torch.testing.assert_close(both.dense(), expected, rtol=0, atol=1e-2)


def test_starts_of_a():
    gaussian = LowRankUpdate(view(nn.Linear(4000, 50)), rank=20, alpha=1.0, generator=seeded(0)).A
    uniform = LowRankUpdate(view(nn.Linear(4000, 50)), 20, 1.0, "uniform", generator=seeded(0)).A
    for A in (gaussian, uniform):
        assert A.var().item() == pytest.approx(1 / (3 * 4000), rel=0.02)
    assert gaussian.abs().max() > 1 / math.sqrt(4000) >= uniform.abs().max()
    kaiming = nn.init.kaiming_uniform_(torch.empty(20, 4000), a=math.sqrt(5), generator=seeded(0))
    torch.testing.assert_close(uniform.detach(), kaiming, rtol=1e-6, atol=1e-9)


def test_seed_decides_and_layers_differ():
    starts = []
    for seed in (0, 0, 1):
        model = Transformer(SMALL)
        adapt(model, rank=2, alpha=2.0, targets=QUERY_VALUE, generator=seeded(seed))
        starts.append([update.A.detach() for update in updates(model).values()])
    assert all(torch.equal(a, b) for a, b in zip(starts[0], starts[1], strict=True))
    assert not torch.equal(starts[0][0], starts[2][0])
    assert not torch.equal(starts[0][0], starts[0][1])


def test_sixteen_bit_base_keeps_exact_factors():
    update = LowRankUpdate(view(nn.Linear(8, 8).bfloat16()), rank=2, alpha=2.0)
    assert update.A.dtype == torch.float32
    assert update(torch.ones(1, 8, dtype=torch.bfloat16)).dtype == torch.bfloat16


def test_adapts_to_a_new_text_over_five_seeds():
    """A model of one cycle learns another by rank 4 updates inside the blocks, most of what full fine-tuning does."""
    for seed in range(5):
        generator = seeded(seed)
        old, new = (torch.randperm(16, generator=generator).repeat(20) for _ in range(2))
        base = Transformer(SMALL, generator=generator)
        train(base, batches(old, batch=8, length=12, generator=generator), steps=60, learning_rate=1e-2)
        held_out = new[:16][None]
        full, low_rank = copy.deepcopy(base), copy.deepcopy(base)
        train(full, batches(new, batch=8, length=12, generator=seeded(9)), steps=60, learning_rate=1e-2)
        lora(low_rank, None, batches(new, batch=8, length=12, generator=seeded(9)), steps=60, rank=4, alpha=4.0,
             targets=("*",), learning_rate=3e-2, generator=generator)  # fmt: skip
        assert language_loss(base, held_out) > 4
        assert language_loss(full, held_out) < 0.15
        assert language_loss(low_rank, held_out) < 0.6


def test_contract_and_refusals():
    assert contract_of(lora).kind == "training"
    assert list(options_of(lora)) == ["steps", "rank", "alpha", "targets", "initialization", "learning_rate"]
    model = Transformer(SMALL)
    with pytest.raises(ValueError, match="they have .*'query'"):
        adapt(model, rank=2, alpha=2.0, targets=("q_proj",))
    with pytest.raises(ValueError, match="rank is 9; a weight of 8 x 16 takes 1 to 8"):
        adapt(model, rank=9, alpha=2.0, targets=("value",))
    with pytest.raises(ValueError, match="rank is 0"):
        LowRankUpdate(view(nn.Linear(4, 4)), rank=0, alpha=1.0)
    with pytest.raises(ValueError, match="'kaiming'"):
        LowRankUpdate(view(nn.Linear(4, 4)), 1, 1.0, "kaiming")
