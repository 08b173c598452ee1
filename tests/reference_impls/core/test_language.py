"""Logits of any model kind and the next-token loss, against loops."""

import math

import pytest
import torch
from transformers import GPT2Config, GPT2LMHeadModel

from reference_impls.core.language import language_loss, logits, next_token_loss
from reference_impls.core.transformer import Transformer, TransformerConfig


def test_next_token_loss_equals_a_loop():
    generator = torch.Generator().manual_seed(0)
    scores = torch.randn(2, 5, 7, generator=generator)
    ids = torch.randint(7, (2, 5), generator=generator)
    terms = []
    for sequence in range(2):
        for position in range(4):
            exponentials = [math.exp(value) for value in scores[sequence, position].tolist()]
            terms.append(-math.log(exponentials[ids[sequence, position + 1]] / sum(exponentials)))
    assert next_token_loss(scores, ids).item() == pytest.approx(sum(terms) / len(terms), abs=1e-6)


def test_logits_of_our_own_and_of_hugging_face_models():
    ids = torch.randint(50, (2, 6), generator=torch.Generator().manual_seed(0))
    own = Transformer(TransformerConfig(vocab=50, width=16, layers=1, heads=2, kv_heads=1, ffn=16, context=8))
    theirs = GPT2LMHeadModel(GPT2Config(vocab_size=50, n_positions=8, n_embd=16, n_layer=1, n_head=2)).eval()
    assert torch.equal(logits(own, ids), own(ids))
    torch.testing.assert_close(logits(theirs, ids), theirs(ids).logits)
    torch.testing.assert_close(language_loss(theirs, ids), theirs(ids, labels=ids).loss)


def test_one_token_predicts_nothing():
    with pytest.raises(ValueError, match="at least 2"):
        next_token_loss(torch.zeros(1, 1, 4), torch.zeros(1, 1, dtype=torch.int64))
