"""Longformer's pattern: a window that becomes full attention, gaps, global tokens; banded equals masked."""

import math

import pytest
import torch
from torch import nn

from reference_impls.architecture.longformer import (
    banded_attention,
    longformer,
    masked_attention,
    pattern,
)
from reference_impls.core.contracts import contract_of, options_of
from reference_impls.core.training import batches, train
from reference_impls.core.transformer import Attention, Transformer, TransformerConfig
from tests.reference_impls.drawn import draw, filled, heads

CONFIG = TransformerConfig(vocab=17, width=24, layers=2, heads=4, kv_heads=2, ffn=20, context=64)


def layer(**options) -> nn.Module:
    return filled(longformer(CONFIG, **options))


@pytest.mark.parametrize("causal", [True, False])
@pytest.mark.parametrize("global_tokens", [0, 1, 3, 30])
@pytest.mark.parametrize(
    ("window", "dilation"), [(1, [1, 1, 1, 1]), (3, [1, 1, 2, 3]), (4, [2, 2, 2, 2]), (40, [1, 1, 1, 5])]
)
def test_banded_equals_masked(window, dilation, global_tokens, causal):
    for n in (1, 2, 19):
        args = (heads(n), window, torch.tensor(dilation), global_tokens, causal)
        torch.testing.assert_close(banded_attention(*args), masked_attention(*args), atol=1e-9, rtol=0)


def test_pattern_by_its_definition():
    for causal in (True, False):
        got = pattern(12, 2, torch.tensor([1, 3]), 1, causal)
        for h, d in enumerate((1, 3)):
            for i in range(12):
                window = {i - s * d for s in range(-2, 3)} | {0}
                expected = {j for j in window if 0 <= j < 12 and (j <= i or not causal)}
                assert set(got[h, i].nonzero().flatten().tolist()) == expected


@pytest.mark.parametrize("form", ["masked", "banded"])
@pytest.mark.parametrize("window", [10, 11, 500])
def test_a_window_as_long_as_the_text_is_full_attention(window, form):
    module, x = layer(window=window, form=form), draw(9, 2, 11, 24)
    plain = Attention(CONFIG).double()
    plain.load_state_dict(module.state_dict())
    torch.testing.assert_close(module(x), plain(x), atol=1e-9, rtol=0)
    short = layer(window=9, form=form)  # one position less, and the last token no longer sees the first
    assert (short(x)[:, :10] - plain(x)[:, :10]).abs().max() < 1e-9 < (short(x)[:, 10] - plain(x)[:, 10]).abs().max()


@pytest.mark.parametrize("form", ["masked", "banded"])
def test_what_reaches_a_token_is_its_window(form):
    def reached(token: int, **options) -> list[int]:
        module, x = layer(form=form, **options), draw(9, 1, 20, 24).requires_grad_()
        (gradient,) = torch.autograd.grad(module(x)[0, token].square().sum(), x)
        return gradient[0].abs().sum(-1).nonzero().flatten().tolist()

    assert reached(15, window=3) == [12, 13, 14, 15]
    assert reached(15, window=3, dilation=4, dilated_heads=4) == [3, 7, 11, 15]
    assert reached(15, window=2, dilation=5, dilated_heads=1) == [5, 10, 13, 14, 15]
    assert reached(15, window=2, global_tokens=2) == [0, 1, 13, 14, 15]
    assert reached(1, window=2, global_tokens=2) == [0, 1]


def test_layers_widen_the_receptive_field_by_the_window_each():
    model = Transformer(TransformerConfig(vocab=17, width=24, layers=3, heads=4, kv_heads=2, ffn=20, context=64),
                        attention=lambda c: longformer(c, window=4)).double()  # fmt: skip
    x = draw(3, 1, 40, 24).requires_grad_()
    (gradient,) = torch.autograd.grad(model.blocks(x)[0, 39].sum(), x)
    assert gradient[0].abs().sum(-1).nonzero().flatten().tolist() == list(range(39 - 3 * 4, 40))


@pytest.mark.parametrize("form", ["masked", "banded"])
@pytest.mark.parametrize("options", [{}, {"dilation": 2, "dilated_heads": 2}, {"global_tokens": 3}])
def test_future_tokens_do_not_matter(options, form):
    module, x = layer(window=4, form=form, **options), draw(9, 1, 14, 24)
    before = module(x)
    x[:, 9:] = draw(10, 1, 5, 24)
    after = module(x)
    torch.testing.assert_close(after[:, :9], before[:, :9], atol=1e-12, rtol=0)
    assert (after[:, 9:] - before[:, 9:]).abs().max() > 1e-3


def test_encoder_equals_that_of_transformers():
    modeling = pytest.importorskip("transformers.models.longformer.modeling_longformer")
    from transformers import LongformerConfig

    n, w, first = 16, 4, 2
    config = LongformerConfig(hidden_size=24, num_attention_heads=4, attention_window=[2 * w], num_hidden_layers=1,
                              attention_probs_dropout_prob=0.0)  # fmt: skip
    theirs = modeling.LongformerSelfAttention(config, layer_id=0).double().eval().requires_grad_(False)
    flat = TransformerConfig(vocab=17, width=24, heads=4, kv_heads=4, ffn=20, rope_base=1e30)
    ours = longformer(flat, window=w, global_tokens=first, form="banded").double().requires_grad_(False)
    ours.causal, ours.output = False, nn.Identity()
    for seed, (name, mine) in enumerate((m, part) for m in ("query", "key", "value")
                                        for part in (getattr(ours, m), getattr(ours.for_global, m))):  # fmt: skip
        weight, suffix = draw(seed, 24, 24) / 4, "_global" if mine is getattr(ours.for_global, name) else ""
        if name != "value":  # without rotary positions: theirs are in the input
            mine.weight.zero_()
        mine.weight.copy_(weight)
        getattr(theirs, name + suffix).weight.copy_(weight)
        getattr(theirs, name + suffix).bias.zero_()
    unturned = lambda self, x, start=0: tuple(  # noqa: E731
        part(x).view(*x.shape[:2], 4, 6).transpose(1, 2) for part in (self.query, self.key, self.value)
    )
    ours.project = unturned.__get__(ours)
    ours.for_global.project = unturned.__get__(ours.for_global)
    x = draw(9, 2, n, 24)
    mask = torch.zeros(2, n, dtype=torch.float64)
    mask[:, :first] = 10000.0  # theirs: above zero is global
    expected = theirs(x, attention_mask=mask, is_index_masked=mask < 0, is_index_global_attn=mask > 0,
                      is_global_attn=True)[0]  # fmt: skip
    torch.testing.assert_close(ours(x), expected, atol=1e-6, rtol=0)  # theirs takes the softmax in float32


def test_projections_for_global_tokens_begin_as_copies():
    model = Transformer(CONFIG, attention=lambda c: longformer(c, global_tokens=2))
    attention = model.blocks[1].attention
    for name in ("query", "key", "value"):
        mine, other = getattr(attention, name).weight, getattr(attention.for_global, name).weight
        assert torch.equal(mine, other) and mine is not other
    plain = Transformer(CONFIG, attention=longformer)
    assert all(torch.equal(a, b) for a, b in zip(plain.parameters(), Transformer(CONFIG).parameters(), strict=True))


def test_learns_in_the_bench_transformer():
    ids = torch.arange(400) % 17
    model = Transformer(CONFIG, attention=lambda c: longformer(c, window=3, global_tokens=1))
    windows = batches(ids, batch=4, length=16, generator=torch.Generator().manual_seed(0))
    losses = train(model, windows, steps=60, learning_rate=1e-2)
    assert abs(losses[0] - math.log(17)) < 0.1 and losses[-1] < 0.3


@pytest.mark.parametrize(("option", "message"), [
    ({"window": 0}, "window is 0; allowed is 1 to any number"),
    ({"dilation": 0}, "dilation is 0"),
    ({"dilated_heads": 5}, "dilated_heads is 5; allowed is 0 to 4"),
    ({"global_tokens": -1}, "global_tokens is -1"),
    ({"form": "sparse"}, "form is 'sparse'; allowed are masked, banded"),
])  # fmt: skip
def test_refuses_what_does_not_fit(option, message):
    with pytest.raises(ValueError, match=message):
        longformer(CONFIG, **option)


def test_contract():
    contract = contract_of(longformer)
    assert (contract.kind, contract.slot) == ("architecture", "attention")
    assert list(options_of(longformer)) == ["window", "dilation", "dilated_heads", "global_tokens", "form"]
