"""A Switch layer sends every token to one expert, drops what does not fit, and pays for an uneven load."""

import math

import pytest
import torch
from torch import Tensor, nn

from reference_impls.core.contracts import contract_of, options_of
from reference_impls.core.training import batches, train
from reference_impls.core.transformer import FeedForward, Transformer, TransformerConfig
from reference_impls.experts.switch_transformer import switch_transformer
from tests.reference_impls.drawn import draw

CONFIG = TransformerConfig(vocab=17, width=12, layers=2, heads=2, kv_heads=1, ffn=10, context=32)


def layer(seed: int = 0, **options) -> nn.Module:
    module = switch_transformer(CONFIG, **options).double()
    for k, parameter in enumerate(module.parameters()):
        with torch.no_grad():
            parameter.copy_(draw(100 * seed + k, *parameter.shape) / 2)
    return module


def token_by_token(module: nn.Module, x: Tensor) -> tuple[Tensor, list[int], Tensor]:
    """The layer, one token after the other with a counter for each expert; outputs, loads, and the balancing loss."""
    N, T = len(module.experts), x.shape[0] * x.shape[1]
    capacity = math.ceil(T / N * module.capacity_factor)
    load, sent, probability, outputs = [0] * N, [0] * N, [0.0] * N, []
    for token in x.reshape(T, -1):
        exponentials = [math.exp((module.router.weight[i] @ token).item()) for i in range(N)]
        p = [e / sum(exponentials) for e in exponentials]
        best = p.index(max(p))
        sent[best] += 1
        probability = [a + b for a, b in zip(probability, p, strict=True)]
        if load[best] < capacity:
            load[best] += 1
            outputs.append(p[best] * module.experts[best](token))
        else:
            outputs.append(torch.zeros_like(token))
    balance = sum(s / T * q / T for s, q in zip(sent, probability, strict=True))
    return torch.stack(outputs).view_as(x), load, module.alpha * N * balance


@pytest.mark.parametrize("experts", [1, 2, 5])
@pytest.mark.parametrize("capacity_factor", [0.3, 1.0, 1.25, 100.0])
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_equals_a_loop_over_tokens(experts, capacity_factor, seed):
    module, x = layer(seed, experts=experts, capacity_factor=capacity_factor), draw(seed, 3, 7, 12)
    expected, load, balance = token_by_token(module, x)
    torch.testing.assert_close(module(x), expected, atol=1e-12, rtol=0)
    assert module.auxiliary_loss.item() == pytest.approx(balance, abs=1e-15)
    assert module.dropped == pytest.approx(1 - sum(load) / 21, abs=1e-6)


@pytest.mark.parametrize("capacity_factor", [0.5, 1.0, 4.0])
def test_equals_the_layer_of_transformers(capacity_factor):
    from transformers import SwitchTransformersConfig
    from transformers.models.switch_transformers.modeling_switch_transformers import (
        SwitchTransformersSparseMLP,
        load_balancing_loss_func,
    )

    # Theirs counts a capacity for each sequence, so one sequence is compared.
    ours, x = layer(experts=4, capacity_factor=capacity_factor).float(), draw(5, 1, 22, 12).float()
    capacity = math.ceil(22 / 4 * capacity_factor)
    config = SwitchTransformersConfig(hidden_size=12, num_experts=4, expert_capacity=capacity)
    theirs = SwitchTransformersSparseMLP(config).eval()
    theirs.router.classifier.weight = ours.router.weight
    for name, expert in zip(theirs.experts, ours.experts, strict=True):
        theirs.experts[name] = expert
    torch.testing.assert_close(ours(x), theirs(x), atol=1e-6, rtol=0)
    p = (x @ ours.router.weight.T).softmax(-1)
    expected = 0.01 * load_balancing_loss_func(p, p.argmax(-1))
    torch.testing.assert_close(ours.auxiliary_loss, expected, atol=1e-7, rtol=0)


def test_capacity_is_filled_first_come_first_served():
    # All six tokens want the same expert; there is room for ceil(6 / 2 * 1) = 3.
    module, x = layer(experts=2, capacity_factor=1.0), draw(0, 1, 1, 12).expand(2, 3, 12)
    y = module(x).view(6, 12)
    assert (y[:3].abs().sum(-1) > 0).all() and (y[3:] == 0).all()
    assert module.dropped == 0.5


def test_evaluation_has_room_of_its_own():
    x = draw(0, 1, 1, 12).expand(2, 6, 12)  # twelve tokens for the same one of four experts
    module = layer(experts=4, capacity_factor=1.0, eval_capacity_factor=2.0)
    for training, kept in ((True, 3), (False, 6)):
        y = module.train(training)(x).view(12, 12)
        assert (y[:kept].abs().sum(-1) > 0).all() and (y[kept:] == 0).all()


def test_counter_example_a_small_capacity_changes_the_result():
    x = draw(0, 2, 16, 12)
    roomy, tight = layer(experts=4, capacity_factor=4.0), layer(experts=4, capacity_factor=0.5)
    full, cut = roomy(x), tight(x)
    assert roomy.dropped == 0 and tight.dropped >= 0.5
    kept = cut.abs().sum(-1) > 0
    assert torch.equal(cut[kept], full[kept])  # whoever gets in is treated the same


def test_one_expert_is_the_dense_feed_forward():
    module, x = layer(experts=1, capacity_factor=1.0), draw(0, 2, 5, 12)
    torch.testing.assert_close(module(x), module.experts[0](x), atol=0, rtol=0)  # its gate is 1
    assert module.auxiliary_loss.item() == pytest.approx(0.01)


def test_identical_experts_are_the_dense_feed_forward_times_the_gate():
    module, x = layer(experts=3, capacity_factor=3.0), draw(0, 2, 5, 12)
    for expert in module.experts:
        expert.load_state_dict(module.experts[0].state_dict())
    gate = (x @ module.router.weight.T).softmax(-1).amax(-1, keepdim=True)
    torch.testing.assert_close(module(x), gate * module.experts[0](x), atol=1e-14, rtol=0)


def test_an_even_load_gives_a_loss_of_alpha_and_an_uneven_one_more():
    module = layer(experts=4, alpha=0.01)
    with torch.no_grad():
        module.router.weight.copy_(30 * torch.eye(4, 12))
    even = torch.eye(4, 12, dtype=torch.float64).view(1, 4, 12)  # token i goes to expert i
    module(even)
    assert module.auxiliary_loss.item() == pytest.approx(0.01, rel=1e-9)
    module(even[:, :1].expand(1, 4, 12))  # all to one expert: f = P = 1 there, so alpha * N
    assert module.auxiliary_loss.item() == pytest.approx(0.04, rel=1e-9)


def test_order_of_the_experts_does_not_matter():
    module, x, order = layer(experts=4), draw(0, 2, 9, 12), [2, 0, 3, 1]
    before, loss = module(x), module.auxiliary_loss
    with torch.no_grad():
        module.router.weight.copy_(module.router.weight[order].clone())
    module.experts = nn.ModuleList(module.experts[i] for i in order)
    torch.testing.assert_close(module(x), before, atol=1e-14, rtol=0)
    torch.testing.assert_close(module.auxiliary_loss, loss, atol=1e-16, rtol=0)


def test_router_learns_through_the_gate_and_through_the_loss():
    module, x = layer(experts=3, capacity_factor=3.0), draw(0, 1, 8, 12)
    upstream = draw(1, 1, 8, 12)
    (gradient,) = torch.autograd.grad((module(x) * upstream).sum(), module.router.weight)
    # By the chain rule with the choices held fixed: d p_c / d W_i = p_c (1[i = c] - p_i) x.
    p, tokens = (x @ module.router.weight.T).softmax(-1)[0], x[0]
    expected = torch.zeros_like(gradient)
    for t in range(8):
        c = int(p[t].argmax())
        slope = (upstream[0, t] * module.experts[c](tokens[t])).sum()
        for i in range(3):
            expected[i] += slope * p[t, c] * (float(i == c) - p[t, i]) * tokens[t]
    torch.testing.assert_close(gradient, expected, atol=1e-12, rtol=0)
    module(x)
    (gradient,) = torch.autograd.grad(module.auxiliary_loss, module.router.weight)
    assert gradient.abs().max() > 1e-5


def test_future_tokens_of_a_sequence_do_not_matter():
    module, x = layer(experts=3, capacity_factor=0.7), draw(0, 1, 12, 12)
    before = module(x)
    x[:, 8:] = -x[:, 8:]
    torch.testing.assert_close(module(x)[:, :8], before[:, :8], atol=1e-12, rtol=0)


def test_router_stays_in_float32_when_the_rest_does_not():
    module, x = switch_transformer(CONFIG, experts=4), draw(0, 1, 8, 12).float()
    exact = module.route(x)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(module.route(x), exact)
        assert module(x).shape == x.shape
    assert module.bfloat16().route(x.bfloat16()).dtype == torch.float32


def test_initial_weights_have_a_tenth_of_the_usual_variance_and_no_tails():
    config = TransformerConfig(width=256, heads=4, ffn=512)
    module = switch_transformer(config, experts=2)
    module.initialize(torch.Generator().manual_seed(0))
    for weight, fan_in in ((module.router.weight, 256), (module.experts[0].gate.weight, 256),
                           (module.experts[1].down.weight, 512)):  # fmt: skip
        assert weight.abs().max() <= 2 * math.sqrt(0.1 / fan_in)
        # A normal cut at two standard deviations keeps 0.7737 of its variance.
        assert weight.var().item() == pytest.approx(0.7737 * 0.1 / fan_in, rel=0.1)


def test_active_parameters_are_those_of_the_dense_part_and_the_router():
    count = sum(p.numel() for p in FeedForward(CONFIG).parameters())
    total = sum(p.numel() for p in switch_transformer(CONFIG, experts=4).parameters())
    assert total == 4 * count + 4 * 12


def test_balancing_loss_evens_the_load_in_training():
    # The tokens of the second half of the vocabulary are rare; without the loss one expert may take nearly all.
    generator = torch.Generator().manual_seed(0)
    ids = torch.multinomial(torch.arange(1, 18).double() ** -2, 3000, replacement=True, generator=generator)

    def load(alpha: float) -> tuple[float, list[float]]:
        model = Transformer(CONFIG, feed_forward=lambda c: switch_transformer(c, experts=4, alpha=alpha),
                            generator=torch.Generator().manual_seed(1))  # fmt: skip
        windows = batches(ids, batch=8, length=16, generator=torch.Generator().manual_seed(2))
        losses = train(model, windows, steps=60)
        with torch.no_grad():
            model(ids[:512].view(16, 32))
        imbalance = [block.feed_forward.auxiliary_loss.item() / alpha for block in model.blocks]
        return sum(imbalance) / len(imbalance), losses

    balanced, losses = load(0.1)
    ignored, _ = load(1e-9)
    assert 1.0 <= balanced < 1.2 < ignored
    assert losses[-1] < losses[0]


@pytest.mark.parametrize("option, message", [
    (dict(experts=0), "experts is 0"),
    (dict(capacity_factor=0.0), "^capacity_factor is 0.0"),
    (dict(eval_capacity_factor=0.0), "^eval_capacity_factor is 0.0"),
    (dict(alpha=-1.0), "alpha is -1.0"),
    (dict(init_scale=float("nan")), "init_scale is nan"),
])  # fmt: skip
def test_refuses_what_does_not_fit(option, message):
    with pytest.raises(ValueError, match=message):
        switch_transformer(CONFIG, **option)


def test_contract():
    contract = contract_of(switch_transformer)
    assert (contract.kind, contract.slot) == ("architecture", "feed_forward")
    names = ["experts", "capacity_factor", "eval_capacity_factor", "alpha", "init_scale"]
    assert list(options_of(switch_transformer)) == names
