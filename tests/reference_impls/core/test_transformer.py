"""The bench's Transformer is Llama: equal logits with equal weights; slots, causality, seeds and refusals."""

import pytest
import torch
from torch import nn
from transformers import LlamaConfig, LlamaForCausalLM

from reference_impls.core.language import logits
from reference_impls.core.transformer import Attention, FeedForward, Transformer, TransformerConfig

SMALL = TransformerConfig(vocab=61, width=32, layers=3, heads=4, kv_heads=2, ffn=48, context=24)


def llama(config: TransformerConfig) -> LlamaForCausalLM:
    torch.manual_seed(5)
    shape = LlamaConfig(
        vocab_size=config.vocab, hidden_size=config.width, intermediate_size=config.ffn,
        num_hidden_layers=config.layers, num_attention_heads=config.heads, num_key_value_heads=config.kv_heads,
        max_position_embeddings=config.context, tie_word_embeddings=config.tied, rms_norm_eps=config.norm_epsilon,
        initializer_range=0.3,
    )  # fmt: skip
    model = LlamaForCausalLM._from_config(shape, attn_implementation="sdpa", dtype=torch.float32).eval()
    for parameter in model.parameters():  # norms too, so that a forgotten gain shows
        parameter.data += 0.2 * torch.rand_like(parameter)
    return model


def copy_weights(theirs: LlamaForCausalLM, ours: Transformer) -> None:
    pairs = [(ours.embedding, theirs.model.embed_tokens), (ours.norm, theirs.model.norm), (ours.head, theirs.lm_head)]
    for mine, other in zip(ours.blocks, theirs.model.layers, strict=True):
        pairs += [
            (mine.attention_norm, other.input_layernorm), (mine.feed_forward_norm, other.post_attention_layernorm),
            (mine.attention.query, other.self_attn.q_proj), (mine.attention.key, other.self_attn.k_proj),
            (mine.attention.value, other.self_attn.v_proj), (mine.attention.output, other.self_attn.o_proj),
            (mine.feed_forward.gate, other.mlp.gate_proj), (mine.feed_forward.up, other.mlp.up_proj),
            (mine.feed_forward.down, other.mlp.down_proj),
        ]  # fmt: skip
    for mine, other in pairs:
        mine.weight.data.copy_(other.weight.data)


@pytest.mark.parametrize("tied", [True, False])
def test_equals_hugging_face_llama(tied):
    config = TransformerConfig(vocab=61, width=32, layers=3, heads=4, kv_heads=2, ffn=48, context=24, tied=tied)
    theirs, ours = llama(config), Transformer(config)
    copy_weights(theirs, ours)
    ids = torch.randint(61, (2, 24), generator=torch.Generator().manual_seed(1))
    expected = logits(theirs, ids)
    assert expected.abs().max() > 1
    torch.testing.assert_close(logits(ours, ids), expected, rtol=1e-5, atol=1e-5)


def test_equals_hugging_face_llama_in_float64():
    theirs, ours = llama(SMALL).double(), Transformer(SMALL).double()
    copy_weights(theirs, ours)
    norms = [name for name, module in theirs.named_modules() if name.endswith("norm")]
    for name in norms:  # theirs computes in float32 whatever it is given, so the exact check needs torch's
        theirs_norm = theirs.get_submodule(name)
        exact = nn.RMSNorm(SMALL.width, eps=SMALL.norm_epsilon, dtype=torch.float64)
        exact.weight = theirs_norm.weight
        theirs.set_submodule(name, exact)
    assert len(norms) == 2 * SMALL.layers + 1
    ids = torch.randint(61, (2, 24), generator=torch.Generator().manual_seed(1))
    torch.testing.assert_close(logits(ours, ids), logits(theirs, ids), rtol=1e-9, atol=1e-9)


def test_is_causal():
    model = Transformer(SMALL, generator=torch.Generator().manual_seed(3)).double()
    ids = torch.randint(61, (1, 12), generator=torch.Generator().manual_seed(2))
    changed = ids.clone()
    changed[0, 7] = (changed[0, 7] + 1) % 61
    before, after = model(ids), model(changed)
    torch.testing.assert_close(after[:, :7], before[:, :7], rtol=0, atol=0)
    assert not torch.allclose(after[:, 7:], before[:, 7:])


def test_weights_come_from_the_generator_alone():
    torch.manual_seed(0)
    first = Transformer(SMALL, generator=torch.Generator().manual_seed(9)).state_dict()
    torch.manual_seed(1)
    again = Transformer(SMALL, generator=torch.Generator().manual_seed(9)).state_dict()
    other = Transformer(SMALL, generator=torch.Generator().manual_seed(8)).state_dict()
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert not torch.equal(first["embedding.weight"], other["embedding.weight"])


def test_slots_are_called_once_a_layer_and_used():
    seen = []

    class Nothing(nn.Module):
        def forward(self, x):
            return torch.zeros_like(x)

    def attention(config):
        seen.append(("attention", config))
        return Nothing()

    def feed_forward(config):
        seen.append(("feed_forward", config))
        return Nothing()

    model = Transformer(SMALL, attention=attention, feed_forward=feed_forward)
    assert sorted(kind for kind, _ in seen) == ["attention"] * 3 + ["feed_forward"] * 3
    assert all(config is SMALL for _, config in seen)
    ids = torch.arange(8)[None]
    torch.testing.assert_close(model(ids), model.head(model.norm(model.embedding(ids))))
    plain = Transformer(SMALL, attention=Attention, feed_forward=FeedForward)
    torch.testing.assert_close(plain(ids), Transformer(SMALL)(ids), rtol=0, atol=0)


def test_stack_slot_may_name_its_own_embedding_size():
    class Narrow(nn.Module):
        embedding_size = 8

        def forward(self, x):
            assert x.shape[-1] == 8
            return x

    model = Transformer(SMALL, stack=lambda config: Narrow())
    assert model.embedding.weight.shape == (61, 8) and model.head.weight is model.embedding.weight
    assert model(torch.arange(5)[None]).shape == (1, 5, 61)
    with pytest.raises(ValueError, match="stack replaces all blocks"):
        Transformer(SMALL, stack=lambda config: Narrow(), attention=Attention)


def test_module_may_initialize_itself():
    class Own(nn.Linear):
        def initialize(self, generator):
            nn.init.uniform_(self.weight, 5, 6, generator=generator)

    def feed_forward(config):
        return nn.Sequential(Own(config.width, config.width))

    weight = Transformer(SMALL, feed_forward=feed_forward).blocks[0].feed_forward[0].weight
    assert weight.min() >= 5


@pytest.mark.parametrize(
    "sizes, word",
    [({"heads": 3}, "even width"), ({"kv_heads": 3}, "kv_heads 3"), ({"layers": 0}, "layers is 0")],
)
def test_refuses_sizes_that_do_not_fit(sizes, word):
    with pytest.raises(ValueError, match=word):
        TransformerConfig(**{"vocab": 61, "width": 32, "heads": 4, "kv_heads": 2, **sizes})


def test_refuses_more_tokens_than_its_context():
    with pytest.raises(ValueError, match="25 tokens"):
        Transformer(SMALL)(torch.zeros(1, 25, dtype=torch.int64))
