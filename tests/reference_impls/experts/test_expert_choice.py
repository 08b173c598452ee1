"""Under expert choice every expert takes exactly its capacity, and a token may be taken by none, some or all."""

import math

import pytest
import torch
from torch import Tensor, nn

from reference_impls.core.contracts import contract_of, options_of
from reference_impls.core.training import auxiliary_loss, batches, train
from reference_impls.core.transformer import FeedForward, Transformer, TransformerConfig
from reference_impls.experts.expert_choice import expert_choice
from tests.reference_impls.drawn import draw

CONFIG = TransformerConfig(vocab=17, width=12, layers=2, heads=2, kv_heads=1, ffn=10, context=32)


def layer(seed: int = 0, **options) -> nn.Module:
    module = expert_choice(CONFIG, **options).double()
    for k, parameter in enumerate(module.parameters()):
        with torch.no_grad():
            parameter.copy_(draw(100 * seed + k, *parameter.shape) / 2)
    return module


def expert_by_expert(module: nn.Module, tokens: Tensor) -> tuple[Tensor, list[list[int]]]:
    """Outputs of one pool of tokens (m, d) by sorting, and the tokens that each expert took."""
    count, outputs, taken = len(module.experts), torch.zeros_like(tokens), []
    k = math.ceil(len(tokens) * module.capacity_factor / count)
    S = []
    for token in tokens:
        exponentials = [math.exp((row @ token).item()) for row in module.router.weight]
        S.append([value / sum(exponentials) for value in exponentials])
    for e, expert in enumerate(module.experts):
        best = sorted(range(len(tokens)), key=lambda t: -S[t][e])[:k]
        for t in best:
            outputs[t] += S[t][e] * expert(tokens[t])
        taken.append(best)
    return outputs, taken


@torch.no_grad()
@pytest.mark.parametrize("experts, capacity_factor", [(1, 1.0), (3, 0.5), (4, 1.0), (5, 5.0)])
@pytest.mark.parametrize("seed", [0, 1])
def test_equals_a_choice_by_sorting(experts, capacity_factor, seed):
    x = draw(seed, 5, 4, 12)
    module = layer(seed, experts=experts, capacity_factor=capacity_factor, pool="batch")
    expected, taken = expert_by_expert(module, x.reshape(20, 12))
    torch.testing.assert_close(module(x), expected.view_as(x), atol=1e-12, rtol=0)
    counts = [sum(t in one for one in taken) for t in range(20)]
    assert module.chosen.flatten().tolist() == counts
    module = layer(seed, experts=experts, capacity_factor=capacity_factor)
    expected = torch.stack([expert_by_expert(module, x[:, t])[0] for t in range(4)], dim=1)
    torch.testing.assert_close(module(x), expected, atol=1e-12, rtol=0)


@pytest.mark.parametrize("pool, pools, m", [("batch", 1, 40), ("position", 5, 8)])
def test_every_expert_takes_exactly_its_capacity_and_tokens_differ(pool, pools, m):
    module, x = layer(experts=4, capacity_factor=1.0, pool=pool), draw(0, 8, 5, 12)
    seen = []
    for expert in module.experts:
        expert.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0].shape[:-1].numel()))
    module(x)
    assert seen == [pools * m // 4] * 4  # 10 of 40 tokens for each, whatever the router says
    assert module.chosen.sum() == 40 and module.chosen.float().mean() == 1
    assert module.chosen.min() == 0 and module.chosen.max() >= 2


def test_a_token_that_nobody_takes_gets_nothing():
    module, x = layer(experts=4, capacity_factor=1.0, pool="batch"), draw(0, 4, 10, 12)
    y = module(x)
    assert (y[module.chosen == 0] == 0).all() and (y[module.chosen > 0].abs().sum(-1) > 0).all()


def test_no_loss_is_needed_for_the_balance():
    module, x = layer(experts=4, capacity_factor=1.0, pool="batch"), draw(0, 1, 1, 12).expand(2, 8, 12)
    module(x)  # sixteen equal tokens, which in token choice would all go to one expert
    assert module.chosen.sum() == 16
    assert auxiliary_loss(module) == 0


def test_one_expert_is_the_dense_feed_forward():
    module, x = layer(experts=1, capacity_factor=1.0), draw(0, 2, 5, 12)
    torch.testing.assert_close(module(x), module.experts[0](x), atol=1e-14, rtol=0)


@pytest.mark.parametrize("pool", ["position", "batch"])
def test_with_room_for_all_it_is_the_mixture_of_all_experts(pool):
    module, x = layer(experts=3, capacity_factor=3.0, pool=pool), draw(0, 4, 5, 12)
    p = (x @ module.router.weight.T).softmax(-1)
    expected = sum(p[..., e, None] * expert(x) for e, expert in enumerate(module.experts))
    torch.testing.assert_close(module(x), expected, atol=1e-12, rtol=0)
    assert (module.chosen == 3).all()


def test_future_tokens_do_not_matter_by_position_and_do_in_the_batch():
    x = draw(0, 4, 12, 12)
    later = x.clone()
    later[:, 8:] = draw(1, 4, 4, 12)
    causal = layer(experts=4, capacity_factor=1.0)
    assert torch.equal(causal(later)[:, :8], causal(x)[:, :8])
    leaking = layer(experts=4, capacity_factor=1.0, pool="batch")
    assert (leaking(later)[:, :8] - leaking(x)[:, :8]).abs().max() > 1e-3


def test_company_matters_and_a_sequence_alone_gets_all_experts():
    module, x = layer(experts=4, capacity_factor=1.0), draw(0, 4, 6, 12)
    together = module(x)[:1]
    other = torch.cat([x[:1], draw(1, 3, 6, 12)])
    assert (module(other)[:1] - together).abs().max() > 1e-3
    module(x[:1])
    assert (module.chosen == 4).all()  # a pool of one token: each expert has to take it


def test_order_of_the_experts_does_not_matter():
    module, x, order = layer(experts=4, pool="batch"), draw(0, 2, 9, 12), [2, 0, 3, 1]
    before = module(x)
    with torch.no_grad():
        module.router.weight.copy_(module.router.weight[order].clone())
    module.experts = nn.ModuleList(module.experts[i] for i in order)
    torch.testing.assert_close(module(x), before, atol=1e-14, rtol=0)


def test_router_learns_through_the_affinities_of_what_was_chosen():
    module, x = layer(experts=3, capacity_factor=1.0, pool="batch"), draw(0, 1, 6, 12)
    upstream = draw(1, 1, 6, 12)
    (gradient,) = torch.autograd.grad((module(x) * upstream).sum(), module.router.weight)
    tokens, S = x[0], (x[0] @ module.router.weight.T).softmax(-1)
    expected = torch.zeros_like(gradient)
    for e, one in enumerate(expert_by_expert(module, tokens)[1]):
        for t in one:
            slope = (upstream[0, t] * module.experts[e](tokens[t])).sum()
            for i in range(3):
                expected[i] += slope * S[t, e] * (float(i == e) - S[t, i]) * tokens[t]
    torch.testing.assert_close(gradient, expected, atol=1e-12, rtol=0)


def test_router_stays_in_float32_when_the_rest_does_not():
    module, x = expert_choice(CONFIG).bfloat16(), draw(0, 2, 8, 12).bfloat16()
    assert module.affinities(x).dtype == torch.float32 and module(x).dtype == torch.bfloat16


def test_weights_of_e_experts_and_work_of_c():
    count = sum(p.numel() for p in FeedForward(CONFIG).parameters())
    module = expert_choice(CONFIG, experts=4, capacity_factor=2.0)
    assert sum(p.numel() for p in module.parameters()) == 4 * count + 4 * 12
    assert [module.capacity(m) for m in (1, 2, 3, 8, 100)] == [1, 1, 2, 4, 50]


def test_learns_in_the_bench_transformer():
    ids = torch.arange(400) % 17  # a cycle: the next token follows from the last one
    model = Transformer(CONFIG, feed_forward=lambda c: expert_choice(c, capacity_factor=1.0),
                        generator=torch.Generator().manual_seed(0))  # fmt: skip
    windows = batches(ids, batch=4, length=16, generator=torch.Generator().manual_seed(0))
    losses = train(model, windows, steps=40, learning_rate=1e-2)
    assert abs(losses[0] - math.log(17)) < 0.2 and losses[-1] < 1.5


@pytest.mark.parametrize("option, message", [
    (dict(experts=0), "experts is 0"),
    (dict(capacity_factor=0.0), "capacity_factor is 0.0"),
    (dict(experts=2, capacity_factor=2.5), "capacity_factor is 2.5"),
    (dict(pool="sequence"), "pool is 'sequence'"),
])  # fmt: skip
def test_refuses_what_does_not_fit(option, message):
    with pytest.raises(ValueError, match=message):
        expert_choice(CONFIG, **option)


def test_contract():
    contract = contract_of(expert_choice)
    assert (contract.kind, contract.slot) == ("architecture", "feed_forward")
    assert list(options_of(expert_choice)) == ["experts", "capacity_factor", "pool"]
