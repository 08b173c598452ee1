"""The Universal Transformer: one block in a loop, coordinates by their formula, and halting against a plain loop."""

import math

import pytest
import torch
from torch import Tensor

from reference_impls.core.contracts import contract_of, options_of
from reference_impls.core.training import batches, train
from reference_impls.core.transformer import Block, Transformer, TransformerConfig
from reference_impls.sharing.albert import albert
from reference_impls.sharing.universal_transformer import (
    EMBEDDING_STD,
    UniversalBlocks,
    sinusoids,
    universal_transformer,
)
from tests.reference_impls.drawn import draw

CONFIG = TransformerConfig(vocab=17, width=16, layers=4, heads=4, kv_heads=2, ffn=20, context=32)


def stack(**options) -> UniversalBlocks:
    module = universal_transformer(CONFIG, **options).double().requires_grad_(False)
    for seed, parameter in enumerate(module.block.parameters()):
        parameter.copy_((parameter.ndim == 1) + draw(seed, *parameter.shape) / 5)
    if module.halt is not None:
        module.halt.unit.weight.copy_(draw(99, 1, 16) / 4)
    return module


@pytest.mark.parametrize("halting", [False, True])
def test_one_step_is_one_block(halting):
    module, H = stack(recurrent_steps=1, halting=halting), draw(7, 2, 9, 16)
    block = Block(CONFIG).double()
    block.load_state_dict(module.block.state_dict())
    P = EMBEDDING_STD * (sinusoids(torch.arange(1, 10), 16) + sinusoids(torch.tensor([1]), 16))
    torch.testing.assert_close(module(H), block(H + P), atol=1e-9, rtol=0)


def test_fixed_steps_are_a_loop_over_one_block():
    module, H = stack(), draw(7, 2, 9, 16)
    expected = H
    for t in (1, 2, 3, 4):
        expected = module.block(expected + module.coordinate(H, t))
    torch.testing.assert_close(module(H), expected, atol=1e-9, rtol=0)
    assert (module(H) - stack(recurrent_steps=3)(H)).abs().max() > 1e-3


def test_without_coordinates_it_is_albert():
    module, H = stack(coordinates="none"), draw(7, 2, 9, 16)
    shared = albert(CONFIG, share="all").double()
    shared[0].load_state_dict(module.block.state_dict())
    torch.testing.assert_close(module(H), shared(H), atol=1e-12, rtol=0)
    assert sum(p.numel() for p in module.parameters()) == sum(p.numel() for p in shared.parameters())


def test_coordinates_are_those_of_equations_6_and_7():
    module = stack()
    for t in (1, 3):
        P = module.coordinate(draw(0, 1, 5, 16), t) / EMBEDDING_STD
        for i in range(1, 6):
            for j in range(8):
                angles = [place / 10000 ** (2 * j / 16) for place in (i, t)]
                assert abs(P[i - 1, 2 * j].item() - sum(map(math.sin, angles))) < 1e-9
                assert abs(P[i - 1, 2 * j + 1].item() - sum(map(math.cos, angles))) < 1e-9
    time = stack(coordinates="time").coordinate(draw(0, 1, 5, 16), 3)
    assert torch.equal(time, time[:1].expand(5, 16)) and time.any()


def halting_loop(module: UniversalBlocks, H: Tensor) -> tuple[Tensor, list[list[float]], float]:
    """ACT, position by position in plain Python: outputs, the weights of each position, the mean of N + R."""
    n, limit = H.shape[1], 1 - module.halt.epsilon
    states = [H[0, i] for i in range(n)]
    weights: list[list[float]] = [[] for _ in range(n)]
    outputs, done, ponder = [torch.zeros(16, dtype=torch.float64) for _ in range(n)], [False] * n, 0.0
    for t in range(1, module.T + 1):
        fed = torch.stack(states)[None] + module.coordinate(H, t)
        new = module.block(fed)[0]
        for i in range(n):
            if done[i]:
                continue
            logit = float(fed[0, i] @ module.halt.unit.weight[0] + module.halt.unit.bias)
            p = 1 / (1 + math.exp(-logit))
            if sum(weights[i]) + p > limit or t == module.T:
                p, done[i] = 1 - sum(weights[i]), True
                ponder += (len(weights[i]) + 1 + p) / n
            weights[i].append(p)
            states[i] = new[i]
            outputs[i] = outputs[i] + p * new[i]
    return torch.stack(outputs), weights, ponder


@pytest.mark.parametrize("bias", [-3.0, -1.0, 0.0, 1.0])
def test_halting_equals_a_plain_loop(bias):
    module, H = stack(halting=True, recurrent_steps=6, halting_bias=bias, ponder_weight=0.5), draw(7, 1, 9, 16)
    expected, weights, ponder = halting_loop(module, H)
    torch.testing.assert_close(module(H)[0], expected, atol=1e-9, rtol=0)
    assert all(abs(sum(w) - 1) < 1e-12 for w in weights)
    assert abs(module.auxiliary_loss.item() - 0.5 * ponder) < 1e-9
    assert abs(module.ponder - sum(map(len, weights)) / 9) < 1e-6
    if bias in (0.0, -1.0):
        assert len(set(map(len, weights))) > 1  # positions differ in their steps


def test_weights_sum_to_one():
    # With an identity for a block and no coordinates, every state is the input, and so is their mean.
    module, H = stack(halting=True, recurrent_steps=5, halting_bias=-1.0, coordinates="none"), draw(7, 3, 9, 16)
    module.step = lambda states, t: states
    torch.testing.assert_close(module(H), H, atol=1e-12, rtol=0)


def test_sure_to_halt_at_once_and_never():
    H = draw(7, 2, 9, 16)
    at_once = stack(halting=True, halting_bias=30.0)
    torch.testing.assert_close(at_once(H), stack(recurrent_steps=1)(H), atol=1e-9, rtol=0)
    assert at_once.ponder == 1 and abs(at_once.auxiliary_loss.item() - 0.01 * 2) < 1e-9
    never = stack(halting=True, halting_bias=-40.0)
    torch.testing.assert_close(never(H), stack()(H), atol=1e-9, rtol=0)
    assert never.ponder == 4


def test_halting_learns_from_the_ponder_loss_alone():
    module = universal_transformer(CONFIG, halting=True, halting_bias=-1.0).double()
    module(draw(7, 2, 9, 16))
    module.auxiliary_loss.backward()
    assert module.halt.unit.bias.grad.item() < 0  # a larger probability means less pondering


@pytest.mark.parametrize("halting", [False, True])
def test_future_tokens_do_not_matter(halting):
    module, H = stack(halting=halting, halting_bias=-1.0), draw(7, 1, 12, 16)
    before = module(H)
    H[:, 8:] = draw(8, 1, 4, 16)
    after = module(H)
    torch.testing.assert_close(after[:, :8], before[:, :8], atol=1e-12, rtol=0)
    assert (after[:, 8:] - before[:, 8:]).abs().max() > 1e-3


def test_parameters_do_not_depend_on_the_steps():
    sizes = {sum(p.numel() for p in universal_transformer(CONFIG, recurrent_steps=T).parameters()) for T in (1, 4, 9)}
    assert sizes == {sum(p.numel() for p in Block(CONFIG).parameters())}


@pytest.mark.parametrize("halting", [False, True])
def test_learns_in_the_bench_transformer(halting):
    ids = torch.arange(400) % 17
    model = Transformer(CONFIG, stack=lambda c: universal_transformer(c, halting=halting))
    if halting:
        assert model.blocks.halt.unit.bias.item() == 1.0
    windows = batches(ids, batch=4, length=16, generator=torch.Generator().manual_seed(0))
    losses = train(model, windows, steps=120, learning_rate=1e-2)
    assert abs(losses[0] - math.log(17)) < 0.1 and losses[-1] < 0.3


def test_contract_and_refusals():
    contract = contract_of(universal_transformer)
    assert (contract.kind, contract.slot) == ("architecture", "stack")
    assert list(options_of(universal_transformer))[:3] == ["recurrent_steps", "halting", "coordinates"]
    refused = [({"recurrent_steps": 0}, "recurrent_steps is 0"), ({"epsilon": 1.0}, "epsilon is 1.0"),
               ({"coordinates": "place"}, "coordinates is 'place'; allowed are both, time, none")]  # fmt: skip
    for option, message in refused:
        with pytest.raises(ValueError, match=message):
            universal_transformer(CONFIG, **option)
