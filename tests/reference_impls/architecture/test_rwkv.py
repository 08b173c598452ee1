"""RWKV's sums over the past are the weighted means of the paper, in every form, and its parts those of transformers."""

import math

import pytest
import torch
from torch import Tensor, nn

from reference_impls.architecture.rwkv import ChannelMixing, TimeMixing, exponents, mix, rwkv, wkv
from reference_impls.core.contracts import contract_of, options_of
from reference_impls.core.training import batches, train
from reference_impls.core.transformer import Transformer, TransformerConfig
from tests.reference_impls.drawn import draw

CONFIG = TransformerConfig(vocab=17, width=12, layers=3, heads=2, kv_heads=1, ffn=20, context=64)
FORMS = ("recurrent", "parallel")


def randomized(module: nn.Module) -> nn.Module:
    module = module.double()
    for seed, parameter in enumerate(module.parameters()):
        with torch.no_grad():
            parameter.copy_(draw(seed, *parameter.shape) / 2)
    return module


def weighted_mean(w: Tensor, u: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """Equation 14, one token after the other, for one sequence (n, d)."""
    outputs = []
    for t in range(len(k)):
        weights = [torch.exp(-(t - 1 - i) * w + k[i]) for i in range(t)] + [torch.exp(u + k[t])]
        outputs.append(sum(e * v[i] for i, e in enumerate(weights)) / sum(weights))
    return torch.stack(outputs)


@pytest.mark.parametrize("form", FORMS)
def test_equals_the_weighted_mean_of_equation_14(form):
    w, u, k, v = draw(0, 5).exp(), draw(1, 5), draw(2, 2, 13, 5), draw(3, 2, 13, 5)
    expected = torch.stack([weighted_mean(w, u, *rows) for rows in zip(k, v, strict=True)])
    torch.testing.assert_close(wkv(w, u, k, v, form=form)[0], expected, atol=1e-12, rtol=0)


@pytest.mark.parametrize("form", FORMS)
def test_gradients_are_those_of_equation_14(form):
    inputs = [x.requires_grad_() for x in (draw(0, 5).exp(), draw(1, 5), draw(2, 1, 9, 5), draw(3, 1, 9, 5))]
    weight = draw(4, 9, 5)
    ours = torch.autograd.grad((wkv(*inputs, form=form)[0][0] * weight).sum(), inputs)
    w, u, k, v = inputs
    theirs = torch.autograd.grad((weighted_mean(w, u, k[0], v[0]) * weight).sum(), inputs)
    for one, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(one, other, atol=1e-11, rtol=0)


def test_equals_the_time_and_channel_mixing_of_transformers():
    from transformers import RwkvConfig
    from transformers.models.rwkv.modeling_rwkv import RwkvFeedForward, RwkvSelfAttention

    config, x = RwkvConfig(hidden_size=12, attention_hidden_size=12, intermediate_size=20), draw(9, 2, 15, 12)
    names = {"time_mix_receptance": "mu_r", "time_mix_key": "mu_k", "time_mix_value": "mu_v", "time_decay": "log_w",
             "time_first": "u"}  # fmt: skip
    for ours, theirs in ((TimeMixing(CONFIG, 1, "recurrent"), RwkvSelfAttention(config)),
                         (ChannelMixing(CONFIG, 1), RwkvFeedForward(config))):  # fmt: skip
        ours, theirs = randomized(ours), theirs.double()
        weights = ours.state_dict()
        theirs.load_state_dict({name: weights[names.get(name, name)].view_as(tensor)
                                for name, tensor in theirs.state_dict().items()})  # fmt: skip
        # Theirs sums over the past in float32.
        torch.testing.assert_close(ours(x)[0], theirs(x)[0], atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("form", FORMS)
def test_keys_of_any_size_neither_overflow_nor_vanish(form):
    exact = draw(0, 5).exp(), draw(1, 5), 300 * draw(2, 1, 40, 5), draw(3, 1, 40, 5)
    w, u, k, v = (x.float() for x in exact)
    found = wkv(w, u, k, v, form=form)[0]
    assert found.isfinite().all()
    # A mean lies among what it is the mean of; naive exponentials of 300 are infinite in float32.
    assert (found <= v.cummax(1).values + 1e-5).all() and (found >= v.cummin(1).values - 1e-5).all()
    torch.testing.assert_close(found.double(), wkv(*exact, form=form)[0], atol=2e-3, rtol=0)


def test_the_shared_exponent_follows_the_recursion_of_equations_29_and_32():
    w, k = draw(0, 4).exp(), 5 * draw(1, 2, 11, 4)
    p, found = torch.full((2, 4), -1e30, dtype=torch.float64), exponents(w, k, None)
    for t in range(11):
        p = torch.maximum(p - w, k[:, t])
        torch.testing.assert_close(found[:, t + 1], p, atol=1e-12, rtol=0)


@pytest.mark.parametrize("form", FORMS)
def test_limits_of_decay_and_bonus(form):
    k, v = draw(2, 1, 9, 5), draw(3, 1, 9, 5)
    huge, none = torch.full((5,), 60.0, dtype=torch.float64), torch.zeros(5, dtype=torch.float64)
    # A token with a boundless bonus sees itself only.
    torch.testing.assert_close(wkv(none, huge, k, v, form=form)[0], v, atol=1e-12, rtol=0)
    # With neither decay nor bonus it is the mean of all so far, weighted by the softmax of the keys.
    expected = torch.stack([(k[0, : t + 1].softmax(0) * v[0, : t + 1]).sum(0) for t in range(9)])
    torch.testing.assert_close(wkv(none, none, k, v, form=form)[0][0], expected, atol=1e-12, rtol=0)
    # With boundless decay only the token before and the token itself are left.
    both = torch.stack([torch.stack([k[0, :-1], k[0, 1:]]), torch.stack([v[0, :-1], v[0, 1:]])])
    expected = (both[0].softmax(0) * both[1]).sum(0)
    torch.testing.assert_close(wkv(huge, none, k, v, form=form)[0][0, 1:], expected, atol=1e-12, rtol=0)


def test_a_projection_sees_the_token_and_the_one_before():
    x, last, mu = draw(0, 1, 4, 3), draw(1, 1, 4, 3), torch.tensor([1.0, 0.0, 0.25], dtype=torch.float64)
    mixed = mix(x, last, mu)
    assert torch.equal(mixed[..., 0], x[..., 0]) and torch.equal(mixed[..., 1], last[..., 1])
    torch.testing.assert_close(mixed[..., 2], 0.25 * x[..., 2] + 0.75 * last[..., 2])


def test_channel_mixing_is_a_gated_squared_relu():
    module, x = randomized(ChannelMixing(CONFIG, 0)), draw(9, 1, 6, 12)
    last = torch.cat([torch.zeros(1, 1, 12, dtype=torch.float64), x[:, :-1]], 1)
    r = (module.mu_r * x + (1 - module.mu_r) * last) @ module.receptance.weight.T
    k = (module.mu_k * x + (1 - module.mu_k) * last) @ module.key.weight.T
    expected = torch.sigmoid(r) * (torch.clamp(k, min=0) ** 2 @ module.value.weight.T)
    torch.testing.assert_close(module(x)[0], expected, atol=1e-12, rtol=0)


@pytest.mark.parametrize("form", FORMS)
def test_future_tokens_do_not_matter(form):
    stack, x = randomized(rwkv(CONFIG, form=form)), draw(9, 1, 14, 12)
    before = stack(x)
    x[:, 9:] = 5.0
    after = stack(x)
    torch.testing.assert_close(after[:, :9], before[:, :9], atol=1e-12, rtol=0)
    assert (after[:, 9] - before[:, 9]).abs().max() > 1e-3


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("cuts", [[1] * 12, [2, 7, 3]])
def test_reading_in_pieces_equals_reading_at_once(form, cuts):
    block, x = randomized(rwkv(CONFIG, form=form))[1], draw(9, 2, 12, 12)
    state, outputs = None, []
    for piece in x.split(cuts, dim=1):
        output, state = block.read(piece, state)
        outputs.append(output)
        assert [s.numel() for part in state for s in part] == [24] * 5  # as large after twelve tokens as after one
    torch.testing.assert_close(torch.cat(outputs, 1), randomized(rwkv(CONFIG))[1](x), atol=1e-12, rtol=0)


def test_start_is_that_of_the_appendix():
    first, last = TimeMixing(CONFIG, 0, "recurrent"), TimeMixing(CONFIG, 2, "recurrent")
    for module, layer in ((first, 0), (last, 2)):
        for i in range(12):
            share = (i / 12) ** (1 - layer / 3)
            assert module.mu_k[i].item() == pytest.approx(share, abs=1e-6)
            assert module.mu_r[i].item() == pytest.approx(0.5 * share, abs=1e-6)
            assert module.mu_v[i].item() == pytest.approx(share + 0.3 * layer / 2, abs=1e-6)
            decay = -5 + 8 * (i / 11) ** (0.7 + 1.3 * layer / 2)
            assert module.log_w[i].item() == pytest.approx(decay, abs=1e-5)
            assert module.u[i].item() == pytest.approx(0.5 * ((i + 1) % 3 - 1) + math.log(0.3), abs=1e-6)


def test_every_parameter_gets_a_gradient():
    stack = randomized(rwkv(CONFIG))
    stack(draw(9, 2, 7, 12)).square().sum().backward()
    assert all(p.grad.abs().max() > 1e-6 for p in stack.parameters())


def test_learns_in_the_bench_transformer():
    ids = torch.arange(400) % 17  # a cycle: the next token follows from the last one
    model = Transformer(CONFIG, stack=rwkv, generator=torch.Generator().manual_seed(0))
    windows = batches(ids, batch=4, length=16, generator=torch.Generator().manual_seed(0))
    losses = train(model, windows, steps=60, learning_rate=1e-2)
    assert abs(losses[0] - math.log(17)) < 0.3 and losses[-1] < 1.0


def test_refuses_another_form():
    with pytest.raises(ValueError, match="form is 'serial'"):
        rwkv(CONFIG, form="serial")


def test_contract():
    contract = contract_of(rwkv)
    assert (contract.kind, contract.slot) == ("architecture", "stack")
    assert list(options_of(rwkv)) == ["form"]
