"""Exchanging a model's attention: the method gets what it expects, and the same method gives the same logits."""

import pytest
import torch
from torch.nn import functional as F

from reference_impls.bench.attention import CannotReplaceAttention, replace_attention
from reference_impls.core.language import logits
from reference_impls.core.transformer import Transformer, TransformerConfig

from .conftest import SHAPES, tiny


def plain(query, key, value, *, causal, scale, factor: float = 1.0):
    seen.append((tuple(query.shape), tuple(key.shape), causal))
    return factor * F.scaled_dot_product_attention(query, key, value, is_causal=causal, scale=scale)


seen: list = []


@pytest.mark.parametrize("shape", SHAPES)
def test_plain_attention_in_the_place_of_attention_changes_nothing(shape):
    model, ids = tiny(shape).eval(), torch.arange(60).view(2, 30)
    seen.clear()
    with torch.no_grad():
        before = logits(model, ids)
        replace_attention(model, "plain", plain, {})
        assert torch.allclose(logits(model, ids), before, atol=1e-5)
    assert seen == [((2, 2, 30, 16), (2, 2, 30, 16), True)] * 2


def test_options_reach_the_method_and_models_do_not_share_it():
    one, two, ids = tiny("llama").eval(), tiny("llama").eval(), torch.arange(60).view(2, 30)
    with torch.no_grad():
        replace_attention(one, "plain", plain, {"factor": 1.0})
        before = logits(one, ids)
        replace_attention(two, "plain", plain, {"factor": 0.0})
        assert not torch.allclose(logits(two, ids), before)
        assert torch.equal(logits(one, ids), before)


def test_padding_is_refused():
    model = tiny("llama").eval()
    replace_attention(model, "plain", plain, {})
    mask = torch.zeros(1, 1, 5, 5)
    with pytest.raises(CannotReplaceAttention, match="no mask besides the causal one"):
        model(torch.arange(5)[None], attention_mask=mask, use_cache=False)


def test_models_whose_attention_is_fixed_are_refused():
    with pytest.raises(CannotReplaceAttention, match="Transformer is no Hugging Face model"):
        replace_attention(Transformer(TransformerConfig(vocab=8, width=8, heads=2, kv_heads=1)), "plain", plain, {})


def test_sliding_windows_are_refused():
    model = tiny("llama")
    model.config.sliding_window = 4
    with pytest.raises(CannotReplaceAttention, match="sliding window"):
        replace_attention(model, "plain", plain, {})
