"""RetNet's three forms are one operator, and it is the one of the paper's equations."""

import math

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from reference_impls.architecture.retnet import (
    chunkwise_retention,
    parallel_retention,
    recurrent_retention,
    retnet,
)
from reference_impls.core.contracts import contract_of, options_of
from reference_impls.core.training import batches, train
from reference_impls.core.transformer import Transformer, TransformerConfig, rotary_angles, rotate
from tests.reference_impls.drawn import draw

CONFIG = TransformerConfig(vocab=17, width=24, layers=2, heads=3, kv_heads=1, ffn=20, context=64)
GAMMA = torch.tensor([31 / 32, 63 / 64, 127 / 128], dtype=torch.float64)


def problem(n: int, e: int = 4, f: int = 6) -> tuple[Tensor, Tensor, Tensor]:
    return draw(0, 2, 3, n, e), draw(1, 2, 3, n, e), draw(2, 2, 3, n, f)


def layer(**options) -> nn.Module:
    module = retnet(CONFIG, **options).double()
    for seed, parameter in enumerate(module.parameters()):
        with torch.no_grad():
            parameter.copy_(draw(seed, *parameter.shape))
    return module


@pytest.mark.parametrize("n", [1, 7, 24, 50])
@pytest.mark.parametrize("chunk", [1, 5, 8, 64])
def test_three_forms_agree(n, chunk):
    q, k, v = problem(n)
    parallel = parallel_retention(q, k, v, GAMMA)
    recurrent, S = recurrent_retention(q, k, v, GAMMA)
    chunkwise, R = chunkwise_retention(q, k, v, GAMMA, chunk)
    torch.testing.assert_close(recurrent, parallel, atol=1e-9, rtol=0)
    torch.testing.assert_close(chunkwise, parallel, atol=1e-9, rtol=0)
    torch.testing.assert_close(R, S, atol=1e-9, rtol=0)


@pytest.mark.parametrize("value_factor", [1, 2])
def test_three_forms_of_the_layer_agree(value_factor):
    x = draw(9, 2, 30, 24)
    forms = ("parallel", "recurrent", "chunkwise")
    results = [layer(value_factor=value_factor, form=form, chunk=7)(x) for form in forms]
    torch.testing.assert_close(results[1], results[0], atol=1e-9, rtol=0)
    torch.testing.assert_close(results[2], results[0], atol=1e-9, rtol=0)


def test_equals_the_complex_sum_of_equation_4():
    # Every pair (x_i, x_{i + e/2}) as one complex number, turned by n theta; written out as two loops.
    n, e = 9, 6
    q, k, v = draw(0, n, e), draw(1, n, e), draw(2, n, 5)
    gamma = 0.9
    theta = (10000.0 ** -(torch.arange(0, e, 2, dtype=torch.float64) / e)).tolist()
    expected = torch.zeros(n, 5, dtype=torch.float64)
    for a in range(n):
        for b in range(a + 1):
            score = 0.0
            for i, angle in enumerate(theta):
                turned_q = complex(q[a, i], q[a, i + e // 2]) * complex(math.cos(a * angle), math.sin(a * angle))
                turned_k = complex(k[b, i], k[b, i + e // 2]) * complex(math.cos(b * angle), math.sin(b * angle))
                score += (turned_q * turned_k.conjugate()).real
            expected[a] += gamma ** (a - b) * score * v[b]
    cos, sin = rotary_angles(n, e, 10000.0, q)  # angles in float32, so the comparison is to 1e-5
    heads = [x[None, None] for x in (rotate(q, cos, sin), rotate(k, cos, sin), v)]
    ours = parallel_retention(*heads, torch.tensor([gamma], dtype=torch.float64))
    torch.testing.assert_close(ours[0, 0], expected, atol=1e-5, rtol=0)


def test_without_decay_it_is_causal_linear_attention():
    q, k, v = problem(12)
    state = torch.cumsum(k[..., :, None] * v[..., None, :], dim=2)  # (b, h, n, e, f): all keys and values so far
    expected = torch.einsum("bhne,bhnef->bhnf", q, state)
    torch.testing.assert_close(parallel_retention(q, k, v, torch.ones(3)), expected, atol=1e-12, rtol=0)


def test_with_full_decay_a_token_sees_itself_only():
    q, k, v = problem(12)
    expected = (q * k).sum(-1, keepdim=True) * v
    for form in (parallel_retention, lambda *x: recurrent_retention(*x)[0], lambda *x: chunkwise_retention(*x, 5)[0]):
        torch.testing.assert_close(form(q, k, v, torch.zeros(3)), expected, atol=1e-12, rtol=0)


def test_layer_equals_equation_8_head_by_head():
    module, x = layer(value_factor=2), draw(9, 2, 11, 24)
    cos, sin = rotary_angles(11, 8, CONFIG.rope_base, x)
    heads = []
    for h in range(3):
        q = rotate(x @ module.query.weight[8 * h : 8 * h + 8].T, cos, sin)
        k = rotate(x @ module.key.weight[8 * h : 8 * h + 8].T, cos, sin)
        v = x @ module.value.weight[16 * h : 16 * h + 16].T
        steps = torch.arange(11)[:, None] - torch.arange(11)
        D = torch.where(steps >= 0, (1 - 2.0 ** (-5 - h)) ** steps.double(), 0.0)
        head = (q @ k.transpose(1, 2) / math.sqrt(8) * D) @ v
        mean, variance = head.mean(-1, keepdim=True), head.var(-1, keepdim=True, correction=0)
        scale, shift = (p[16 * h : 16 * h + 16] for p in (module.group_norm.weight, module.group_norm.bias))
        heads.append((head - mean) / (variance + CONFIG.norm_epsilon).sqrt() * scale + shift)
    gate = x @ module.gate.weight.T
    expected = (gate * torch.sigmoid(gate) * torch.cat(heads, -1)) @ module.output.weight.T
    torch.testing.assert_close(module(x), expected, atol=1e-10, rtol=0)


def test_decays_are_those_of_equation_8_in_any_precision():
    config = TransformerConfig(width=64, heads=8, kv_heads=8)
    expected = [31 / 32, 63 / 64, 127 / 128, 255 / 256, 511 / 512, 1023 / 1024, 2047 / 2048, 4095 / 4096]
    assert retnet(config).gamma.tolist() == expected
    assert retnet(config).bfloat16().gamma.tolist() == expected


def test_score_normalization_of_section_2_2_changes_nothing_behind_the_norm():
    q, k, v = problem(20, f=8)
    steps = torch.arange(20)[:, None] - torch.arange(20)
    D = torch.where(steps >= 0, GAMMA[:, None, None] ** steps.double(), 0.0)
    D = D / D.sum(-1, keepdim=True).sqrt()
    R = q @ k.mT * D
    R = R / R.sum(-1, keepdim=True).abs().clamp(min=1)
    normalized, plain = (F.layer_norm(x, (8,), eps=1e-20) for x in (R @ v, parallel_retention(q, k, v, GAMMA)))
    torch.testing.assert_close(normalized, plain, atol=1e-9, rtol=0)


@pytest.mark.parametrize("form", ["parallel", "recurrent", "chunkwise"])
def test_future_tokens_do_not_matter(form):
    module, x = layer(form=form, chunk=4), draw(9, 1, 14, 24)
    before = module(x)
    x[:, 9:] = 5.0
    after = module(x)
    torch.testing.assert_close(after[:, :9], before[:, :9], atol=1e-12, rtol=0)
    assert (after[:, 9:] - before[:, 9:]).abs().max() > 1e-3


@pytest.mark.parametrize("form", ["parallel", "recurrent", "chunkwise"])
@pytest.mark.parametrize("cuts", [[30], [1] * 30, [3, 20, 7]])
def test_reading_in_pieces_equals_reading_at_once(form, cuts):
    module, x = layer(form=form, chunk=8), draw(9, 2, 30, 24)
    state, outputs = None, []
    for piece in x.split(cuts, dim=1):
        output, state = module.read(piece, state)
        outputs.append(output)
    assert state[0].shape == (2, 3, 8, 16) and state[1] == 30  # as large after 30 tokens as after one
    torch.testing.assert_close(torch.cat(outputs, 1), layer()(x), atol=1e-9, rtol=0)


def test_only_distances_matter():
    # The same tokens at positions 40 and up, with nothing remembered, give the same outputs.
    module, x = layer(), draw(9, 2, 10, 24)
    later, _ = module.read(x, (torch.zeros(2, 3, 8, 16, dtype=torch.float64), 40))
    torch.testing.assert_close(later, module(x), atol=1e-3, rtol=0)  # the angles are float32


def test_gradients_are_the_same_in_all_forms():
    x = draw(9, 1, 12, 24)
    grads = []
    for form in ("parallel", "recurrent", "chunkwise"):
        module = layer(form=form, chunk=5)
        module(x).square().sum().backward()
        grads.append([p.grad for p in module.parameters()])
    for other in grads[1:]:
        for a, b in zip(grads[0], other, strict=True):
            torch.testing.assert_close(b, a, atol=1e-7, rtol=1e-9)


def test_learns_in_the_bench_transformer():
    ids = torch.arange(400) % 17  # a cycle: the next token follows from the last one
    model = Transformer(CONFIG, attention=retnet, generator=torch.Generator().manual_seed(0))
    windows = batches(ids, batch=4, length=16, generator=torch.Generator().manual_seed(0))
    losses = train(model, windows, steps=60, learning_rate=1e-2)
    assert abs(losses[0] - math.log(17)) < 0.1 and losses[-1] < 0.1


@pytest.mark.parametrize("option, message", [
    (dict(value_factor=0), "value_factor is 0"),
    (dict(chunk=0), "chunk is 0"),
    (dict(form="serial"), "form is 'serial'"),
])  # fmt: skip
def test_refuses_what_does_not_fit(option, message):
    with pytest.raises(ValueError, match=message):
        retnet(CONFIG, **option)


def test_contract():
    contract = contract_of(retnet)
    assert (contract.kind, contract.slot) == ("architecture", "attention")
    assert list(options_of(retnet)) == ["value_factor", "form", "chunk"]
    assert options_of(retnet)["form"].choices == ("parallel", "recurrent", "chunkwise")
