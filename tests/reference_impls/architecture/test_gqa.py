"""Grouped heads: multi-head and multi-query attention at the ends, and a conversion that is exact for equal heads."""

import math
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from reference_impls.architecture.gqa import cache_bytes, gqa, mean_pool, to_groups
from reference_impls.core.contracts import contract_of, options_of
from reference_impls.core.training import batches, train
from reference_impls.core.transformer import Attention, Transformer, TransformerConfig, rotary_angles, rotate
from tests.reference_impls.drawn import draw

CONFIG = TransformerConfig(vocab=17, width=32, layers=2, heads=4, kv_heads=4, ffn=20, context=64)


def filled(module: Attention) -> Attention:
    module = module.double().requires_grad_(False)
    for seed, parameter in enumerate(module.parameters()):
        parameter.copy_(draw(seed, *parameter.shape) / 4)
    return module


def heads_of(module: Attention, x: Tensor, key_head: list[int]) -> Tensor:
    """Attention written out: query head i reads the key-value head key_head[i]."""
    n, e = x.shape[1], 8
    cos, sin = rotary_angles(n, e, CONFIG.rope_base, x)
    heads = []
    for i, g in enumerate(key_head):
        q = rotate(x @ module.query.weight[e * i : e * i + e].T, cos, sin)
        k = rotate(x @ module.key.weight[e * g : e * g + e].T, cos, sin)
        v = x @ module.value.weight[e * g : e * g + e].T
        future = torch.ones(n, n).triu(1).bool()
        heads.append((q @ k.mT / math.sqrt(e)).masked_fill(future, -math.inf).softmax(-1) @ v)
    return torch.cat(heads, -1) @ module.output.weight.T


@pytest.mark.parametrize(("groups", "key_head"), [(4, [0, 1, 2, 3]), (2, [0, 0, 1, 1]), (1, [0, 0, 0, 0])])
def test_each_query_head_reads_the_head_of_its_group(groups, key_head):
    module, x = filled(gqa(CONFIG, groups=groups)), draw(9, 2, 11, 32)
    assert module.key.weight.shape == module.value.weight.shape == (8 * groups, 32)
    torch.testing.assert_close(module(x), heads_of(module, x, key_head), atol=1e-9, rtol=0)


def test_as_many_groups_as_heads_is_multi_head_attention():
    x = draw(9, 2, 11, 32)
    torch.testing.assert_close(filled(gqa(CONFIG, groups=4))(x), filled(Attention(CONFIG))(x), atol=1e-12, rtol=0)


@pytest.mark.parametrize("groups", [1, 2])
def test_is_multi_head_attention_with_repeated_heads(groups):
    module, x = filled(gqa(CONFIG, groups=groups)), draw(9, 2, 11, 32)
    plain = filled(Attention(CONFIG))
    for name in ("query", "output"):
        getattr(plain, name).weight.copy_(getattr(module, name).weight)
    for name in ("key", "value"):
        weight = getattr(module, name).weight.view(groups, 1, 8, 32).expand(groups, 4 // groups, 8, 32)
        getattr(plain, name).weight.copy_(weight.reshape(32, 32))
    torch.testing.assert_close(plain(x), module(x), atol=1e-9, rtol=0)
    # Converting it back is exact, since the heads of each group are equal.
    torch.testing.assert_close(to_groups(plain, groups)(x), module(x), atol=1e-9, rtol=0)


@pytest.mark.parametrize("groups", [1, 2])
def test_conversion_averages_keys_after_their_rotation_too(groups):
    plain, x = filled(Attention(CONFIG)), draw(9, 1, 7, 32)
    _, keys, values = plain.project(x)
    _, pooled_keys, pooled_values = to_groups(plain, groups).project(x)
    for pooled, single in ((pooled_keys, keys), (pooled_values, values)):
        means = single.unflatten(1, (groups, -1)).mean(2).repeat_interleave(4 // groups, dim=1)
        torch.testing.assert_close(pooled, means, atol=1e-9, rtol=0)


def test_conversion_in_two_steps_equals_one_and_keeps_all_groups_at_the_end():
    plain, x = filled(Attention(CONFIG)), draw(9, 1, 7, 32)
    torch.testing.assert_close(to_groups(to_groups(plain, 2), 1)(x), to_groups(plain, 1)(x), atol=1e-9, rtol=0)
    same = to_groups(plain, 4)
    torch.testing.assert_close(same(x), plain(x), atol=0, rtol=0)
    same.key.weight.data.zero_()
    assert plain.key.weight.any()  # a copy, not a view


def test_mean_is_the_closest_single_head_in_the_weights():
    weight = draw(0, 32, 32)
    pooled = mean_pool(weight, 4, 1)

    def distance(head: Tensor) -> float:
        return (weight.view(4, 8, 32) - head).square().sum().item()

    assert all(distance(pooled) < distance(weight[8 * i : 8 * i + 8]) for i in range(4))
    assert all(distance(pooled) < distance(pooled + 0.01 * draw(seed, 8, 32)) for seed in range(1, 5))


def test_parameters_and_cache_shrink_with_the_groups():
    sizes = [sum(p.numel() for p in gqa(CONFIG, groups=g).parameters()) for g in (1, 2, 4)]
    assert sizes == [2 * 32 * 32 + 2 * g * 8 * 32 for g in (1, 2, 4)]
    # Keys and values of both layers, counted from what the projections give.
    counted = 0
    for _ in range(CONFIG.layers):
        layer = filled(gqa(CONFIG, groups=2))
        counted += sum(2 * part(draw(0, 1, 50, 32)).numel() for part in (layer.key, layer.value))
    assert cache_bytes(CONFIG, 2, tokens=50) == counted
    assert cache_bytes(CONFIG, 4, tokens=50) == 4 * cache_bytes(CONFIG, 1, tokens=50)


@pytest.mark.parametrize("groups", [1, 2, 4])
def test_future_tokens_do_not_matter(groups):
    module, x = filled(gqa(CONFIG, groups=groups)), draw(9, 1, 14, 32)
    before = module(x)
    x[:, 9:] = draw(10, 1, 5, 32)
    after = module(x)
    torch.testing.assert_close(after[:, :9], before[:, :9], atol=1e-12, rtol=0)
    assert (after[:, 9:] - before[:, 9:]).abs().max() > 1e-3


def test_heads_and_groups_of_the_options_win_over_those_of_the_config():
    config = gqa(replace(CONFIG, kv_heads=2), groups=4, heads=8).config
    assert (config.heads, config.kv_heads, config.head_width) == (8, 4, 4)
    assert gqa(CONFIG).config.heads == 4


def test_learns_in_the_bench_transformer():
    ids = torch.arange(400) % 17
    model = Transformer(CONFIG, attention=lambda c: gqa(c, groups=2), generator=torch.Generator().manual_seed(0))
    windows = batches(ids, batch=4, length=16, generator=torch.Generator().manual_seed(0))
    losses = train(model, windows, steps=60, learning_rate=1e-2)
    assert abs(losses[0] - math.log(17)) < 0.1 and losses[-1] < 0.1


def test_contract_and_refusals():
    contract = contract_of(gqa)
    assert (contract.kind, contract.slot) == ("architecture", "attention")
    assert list(options_of(gqa)) == ["groups", "heads"]
    for groups in (0, 3, 8):
        with pytest.raises(ValueError, match=f"groups is {groups}; it must divide the 4 heads"):
            gqa(CONFIG, groups=groups)
    with pytest.raises(ValueError, match="does not give each of 5 heads an even width"):
        gqa(CONFIG, groups=1, heads=5)
    with pytest.raises(ValueError, match="groups is 2; it must divide the 1 key-value heads"):
        to_groups(Attention(replace(CONFIG, kv_heads=1)), 2)
