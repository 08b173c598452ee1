"""BitNet: linear layers of signs, blind to the scale of their input, trained through latent weights."""

import pytest
import torch
from torch import nn

from reference_impls.bench.bench import stored_whole
from reference_impls.core.contracts import contract_of, options_of
from reference_impls.core.language import language_loss
from reference_impls.core.training import batches, train
from reference_impls.core.transformer import Blocks, Transformer, TransformerConfig
from reference_impls.quantization.bitnet import BitLinear, bitnet
from tests.reference_impls.drawn import seeded

SMALL = TransformerConfig(vocab=16, width=16, layers=2, heads=2, kv_heads=1, ffn=24, context=16)


def layer(bits=8, shift=0.3, inputs=12, outputs=10):
    made = BitLinear(inputs, outputs, bits)
    with torch.no_grad():
        made.weight.copy_(torch.randn(outputs, inputs, generator=seeded(0)) + shift)
    return made


def by_the_equations(made, x, per_token):
    """Equations 1 to 5, 11 and 12 in float64, codes rounded."""
    W, x = made.weight.detach().double(), x.double()
    alpha, beta = W.mean(), W.abs().mean()
    signs = torch.where(W - alpha > 0, 1.0, -1.0).double()
    ln = (x - x.mean(-1, keepdim=True)) / (x.var(-1, unbiased=False, keepdim=True) + 1e-5).sqrt()
    Q_b = 2 ** (made.activation_bits - 1)
    gamma = ln.abs().amax(-1, keepdim=True) if per_token else ln.abs().max()
    codes = (ln * Q_b / gamma).round().clamp(-Q_b + 1, Q_b - 1)
    return codes @ signs.T * beta * gamma / Q_b


@pytest.mark.parametrize("bits", [3, 8])
@pytest.mark.parametrize("training", [False, True])
def test_forward_is_equation_11(bits, training):
    made = layer(bits).train(training)
    x = torch.randn(5, 4, 12, generator=seeded(1)) * torch.linspace(0.1, 5, 4)[:, None]
    expected = by_the_equations(made, x, per_token=not training)
    torch.testing.assert_close(made(x).double(), expected, atol=2e-3, rtol=2e-3)
    assert not torch.allclose(expected, by_the_equations(made, x, per_token=training), atol=2e-3, rtol=2e-3)


def test_blind_to_scale_and_offset_of_the_input_and_proportional_to_the_weight():
    made = layer().eval()
    x = torch.randn(6, 12, generator=seeded(1))
    torch.testing.assert_close(made(50 * x + 7), made(x), atol=2e-3, rtol=1e-3)
    before = made(x)
    with torch.no_grad():
        made.weight.mul_(4)
    torch.testing.assert_close(made(x), 4 * before, atol=1e-5, rtol=1e-3)


def test_tokens_do_not_touch_each_other_outside_training():
    made = layer(3).eval()
    x = torch.randn(6, 12, generator=seeded(1))
    torch.testing.assert_close(made(x)[2:3], made(x[2:3]))
    made.train()
    assert not torch.allclose(made(x)[2:3], made(x[2:3]), atol=1e-3)


def test_signs_are_balanced_around_the_mean_and_zero_counts_as_minus():
    made = layer(shift=5.0)
    assert 0.3 < (made.signs() > 0).float().mean() < 0.7
    with torch.no_grad():
        made.weight.fill_(1.0)
    assert (made.signs() == -1).all()


def test_beta_is_the_best_scale_of_signs_of_a_weight_without_mean():
    made = layer(shift=0.0)
    with torch.no_grad():
        made.weight.sub_(made.weight.mean())
    W = made.weight.detach()
    errors = [(W - share * made.beta() * made.signs()).square().sum() for share in (0.99, 1, 1.01)]
    assert errors[1] < errors[0] and errors[1] < errors[2]


def test_gradient_passes_as_if_nothing_were_rounded():
    made = layer()
    x = torch.randn(6, 12, generator=seeded(1), requires_grad=True)
    made(x).sum().backward()
    ln = nn.functional.layer_norm(x.detach(), (12,))
    expected = made.round_input(ln).sum(0).expand(10, -1)
    torch.testing.assert_close(made.weight.grad, expected)
    again = x.detach().clone().requires_grad_(True)
    nn.functional.linear(nn.functional.layer_norm(again, (12,)), made.beta() * made.signs()).sum().backward()
    torch.testing.assert_close(x.grad, again.grad)


def test_one_bit_is_stored_and_what_is_stored_is_what_runs():
    made = layer().eval()
    stored = made.weight_storage()
    assert stored.bits_per_weight() == pytest.approx(8 * (12 * 10 // 8 + 2 * 10) / 120)
    assert stored.dense().unique().numel() == 2
    torch.testing.assert_close(stored.dense(), made.beta() * made.signs())
    model = Transformer(SMALL, stack=bitnet, generator=seeded(0))
    whole = stored_whole(model)
    assert len(whole.linears) == 14 and not any("attention.query" in name for name in whole.rest)
    plain = stored_whole(Transformer(SMALL)).nbytes()
    latent = sum(m.weight.numel() for m in model.modules() if isinstance(m, BitLinear))
    rows = sum(m.out_features for m in model.modules() if isinstance(m, BitLinear))
    assert whole.nbytes() == plain - 2 * latent + latent / 8 + 2 * rows


def test_every_linear_layer_of_the_blocks_and_no_other_has_signs():
    model = Transformer(SMALL, stack=bitnet, generator=seeded(0))
    kinds = {name: type(m) for name, m in model.named_modules() if isinstance(m, nn.Linear)}
    assert kinds.pop("head") is nn.Linear and set(kinds.values()) == {BitLinear} and len(kinds) == 14
    plain = {name: tuple(p.shape) for name, p in Blocks(SMALL).named_parameters()}
    assert {name: tuple(p.shape) for name, p in model.blocks.named_parameters()} == plain


def test_learns_a_cycle_and_its_latent_weights_move():
    cycle = torch.randperm(16, generator=seeded(0)).repeat(20)
    model = Transformer(SMALL, stack=bitnet, generator=seeded(0))
    before = model.blocks[0].attention.value.signs()
    train(model, batches(cycle, batch=8, length=12, generator=seeded(0)), steps=80, learning_rate=1e-2)
    assert language_loss(model, cycle[:16][None]) < 0.8  # log 16 is 2.8
    assert (model.blocks[0].attention.value.signs() != before).any()


def test_contract_and_refusals():
    assert (contract_of(bitnet).kind, contract_of(bitnet).slot) == ("architecture", "stack")
    assert list(options_of(bitnet)) == ["activation_bits"]
    for bits in (1, 17):
        with pytest.raises(ValueError, match=f"activation_bits is {bits}"):
            bitnet(SMALL, activation_bits=bits)
