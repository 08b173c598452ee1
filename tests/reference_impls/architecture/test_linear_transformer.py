"""Linear attention: one operator as a masked product, as a recurrence and, without a mask, as one shared sum."""

import math

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from reference_impls.architecture.linear_transformer import (
    EPSILON,
    elu_map,
    full_attention,
    linear_transformer,
    parallel_attention,
    quadratic_map,
    recurrent_attention,
)
from reference_impls.architecture.retnet import parallel_retention
from reference_impls.core.contracts import contract_of, options_of
from reference_impls.core.training import batches, train
from reference_impls.core.transformer import Transformer, TransformerConfig, rotary_angles, rotate
from tests.reference_impls.drawn import draw

CONFIG = TransformerConfig(vocab=17, width=24, layers=2, heads=4, kv_heads=2, ffn=20, context=64)
MAPS = ("elu", "relu", "quadratic")


def problem(n: int, c: int = 4, m: int = 6) -> tuple[Tensor, Tensor, Tensor]:
    return elu_map(draw(0, 2, 3, n, c)), elu_map(draw(1, 2, 3, n, c)), draw(2, 2, 3, n, m)


def layer(**options) -> nn.Module:
    module = linear_transformer(CONFIG, **options).double()
    for seed, parameter in enumerate(module.parameters()):
        parameter.data = draw(seed, *parameter.shape) / math.sqrt(parameter.shape[1])
    return module


@pytest.mark.parametrize("n", [1, 7, 40])
def test_parallel_equals_recurrent(n):
    Q, K, V = problem(n)
    recurrent, (S, Z) = recurrent_attention(Q, K, V)
    torch.testing.assert_close(parallel_attention(Q, K, V), recurrent, atol=1e-9, rtol=0)
    torch.testing.assert_close(S, torch.einsum("bhnc,bhnm->bhcm", K, V), atol=1e-9, rtol=0)
    torch.testing.assert_close(Z, K.sum(2), atol=1e-9, rtol=0)


@pytest.mark.parametrize("feature_map", MAPS)
def test_both_forms_of_the_layer_agree_in_outputs_and_gradients(feature_map):
    results = []
    for form in ("parallel", "recurrent"):
        module, x = layer(feature_map=feature_map, form=form), draw(9, 2, 12, 24)
        module(x).square().sum().backward()
        results.append([module(x), *(p.grad for p in module.parameters())])
    for a, b in zip(*results, strict=True):
        torch.testing.assert_close(a, b, atol=1e-8, rtol=1e-9)


def test_layer_equals_the_sums_of_equation_8_head_by_head():
    module, x = layer().requires_grad_(False), draw(9, 1, 9, 24)
    cos, sin = rotary_angles(9, 6, CONFIG.rope_base, x)
    heads = []
    for h in range(4):
        g = h // 2  # two query heads share a key-value head
        q = rotate(x @ module.query.weight[6 * h : 6 * h + 6].T, cos, sin)[0]
        k = rotate(x @ module.key.weight[6 * g : 6 * g + 6].T, cos, sin)[0]
        v = (x @ module.value.weight[6 * g : 6 * g + 6].T)[0]
        phi = lambda t: torch.where(t > 0, t + 1, t.exp())  # noqa: E731
        rows = []
        for i in range(9):
            weights = [float(phi(q[i]) @ phi(k[j])) for j in range(i + 1)]
            rows.append(sum(w * v[j] for j, w in enumerate(weights)) / (sum(weights) + EPSILON))
        heads.append(torch.stack(rows))
    expected = torch.cat(heads, -1) @ module.output.weight.T
    torch.testing.assert_close(module(x)[0], expected, atol=1e-9, rtol=0)


def test_without_a_mask_associativity_makes_it_linear():
    Q, K, V = problem(11)
    similarity = Q @ K.mT
    expected = similarity @ V / similarity.sum(-1, keepdim=True)
    torch.testing.assert_close(full_attention(Q, K, V), expected, atol=1e-6, rtol=0)
    # The last token sees everything in either case.
    torch.testing.assert_close(full_attention(Q, K, V)[..., -1, :], parallel_attention(Q, K, V)[..., -1, :],
                               atol=1e-12, rtol=0)  # fmt: skip


def test_outputs_are_averages_of_the_values():
    Q, K, V = problem(15)
    out, slack = parallel_attention(Q, K, V), 1e-5 * V.abs().max()  # EPSILON draws them towards zero
    assert (out <= V.cummax(2).values + slack).all() and (out >= V.cummin(2).values - slack).all()
    ones = parallel_attention(Q, K, torch.ones_like(V))
    torch.testing.assert_close(ones, torch.ones_like(V), atol=1e-5, rtol=0)


def test_quadratic_map_is_the_square_of_the_inner_product():
    q, k, v = draw(0, 1, 1, 8, 5), draw(1, 1, 1, 8, 5), draw(2, 1, 1, 8, 3)
    weights = ((q @ k.mT) ** 2).tril()
    expected = weights @ v / (weights.sum(-1, keepdim=True) + EPSILON)
    torch.testing.assert_close(parallel_attention(quadratic_map(q), quadratic_map(k), v), expected, atol=1e-9, rtol=0)


def test_feature_map_is_positive_and_has_a_gradient_where_relu_has_none():
    x = torch.linspace(-4, 4, 41, dtype=torch.float64, requires_grad=True)
    assert (elu_map(x) > 0).all()
    (gradient,) = torch.autograd.grad(elu_map(x).sum(), x)
    assert (gradient > 0.01).all()
    (gradient,) = torch.autograd.grad(F.relu(x).sum(), x)
    assert (gradient[:20] == 0).all()


def test_is_retention_without_decay_over_its_own_normalizer():
    Q, K, V = problem(10)
    ones = torch.ones(3, dtype=torch.float64)
    total = parallel_retention(Q, K, torch.ones_like(V), ones)
    expected = parallel_retention(Q, K, V, ones) / (total + EPSILON)
    torch.testing.assert_close(parallel_attention(Q, K, V), expected, atol=1e-9, rtol=0)


@pytest.mark.parametrize("feature_map", MAPS)
@pytest.mark.parametrize("form", ["parallel", "recurrent"])
def test_future_tokens_do_not_matter(form, feature_map):
    module, x = layer(form=form, feature_map=feature_map), draw(9, 1, 14, 24)
    before = module(x)
    x[:, 9:] = draw(10, 1, 5, 24)
    after = module(x)
    torch.testing.assert_close(after[:, :9], before[:, :9], atol=1e-12, rtol=0)
    assert (after[:, 9:] - before[:, 9:]).abs().max() > 1e-3


@pytest.mark.parametrize("cuts", [[20], [1] * 20, [3, 12, 5]])
def test_reading_in_pieces_equals_reading_at_once(cuts):
    module, x = layer(), draw(9, 2, 20, 24)
    state, outputs = None, []
    for piece in x.split(cuts, dim=1):
        output, state = module.read(piece, state)
        outputs.append(output)
    (S, Z), seen = state
    assert S.shape == (2, 4, 6, 6) and Z.shape == (2, 4, 6) and seen == 20  # as large after 20 tokens as after one
    torch.testing.assert_close(torch.cat(outputs, 1), module(x), atol=1e-9, rtol=0)


def test_has_the_weights_of_the_softmax_layer_it_replaces():
    ours, plain = (Transformer(CONFIG, attention=slot) for slot in (linear_transformer, None))
    assert {n: p.shape for n, p in ours.named_parameters()} == {n: p.shape for n, p in plain.named_parameters()}
    assert all(torch.equal(a, b) for a, b in zip(ours.parameters(), plain.parameters(), strict=True))


def test_learns_in_the_bench_transformer():
    ids = torch.arange(400) % 17  # a cycle: the next token follows from the last one
    model = Transformer(CONFIG, attention=linear_transformer, generator=torch.Generator().manual_seed(0))
    windows = batches(ids, batch=4, length=16, generator=torch.Generator().manual_seed(0))
    losses = train(model, windows, steps=60, learning_rate=1e-2)
    assert abs(losses[0] - math.log(17)) < 0.1 and losses[-1] < 0.1


def test_contract_and_refusals():
    contract = contract_of(linear_transformer)
    assert (contract.kind, contract.slot) == ("architecture", "attention")
    assert list(options_of(linear_transformer)) == ["feature_map", "form"]
    with pytest.raises(ValueError, match="feature_map is 'exp'; allowed are elu, relu, quadratic"):
        linear_transformer(CONFIG, feature_map="exp")
    with pytest.raises(ValueError, match="form is 'serial'"):
        linear_transformer(CONFIG, form="serial")
