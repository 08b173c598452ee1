"""Mamba's block is that of the paper's equations and of transformers, in both forms of its recurrence."""

import math

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from reference_impls.architecture.mamba import MambaBlock, discretize, mamba
from reference_impls.core.contracts import contract_of, options_of
from reference_impls.core.training import batches, train
from reference_impls.core.transformer import Transformer, TransformerConfig
from tests.reference_impls.drawn import draw

CONFIG = TransformerConfig(vocab=17, width=20, layers=2, heads=2, kv_heads=1, ffn=20, context=64)


def block(form: str = "recurrent", discretization: str = "zoh", state_size: int = 3) -> MambaBlock:
    module = MambaBlock(20, state_size, 2, form, discretization).double()
    for seed, (name, parameter) in enumerate(module.named_parameters()):
        with torch.no_grad():
            parameter.copy_(draw(seed, *parameter.shape) / (3 if "log_A" in name else 2))
    return module


def by_loops(module: MambaBlock, x: Tensor) -> Tensor:
    """The block for one sequence (n, d): every channel, every number of its state and every token by itself."""
    e, N, n = module.D.numel(), module.state_size, len(x)
    both = x @ module.into.weight.T
    inner, gate = both[:, :e], both[:, e:]
    kernel, shift = module.convolution.weight[:, 0], module.convolution.bias
    local = torch.zeros(n, e, dtype=x.dtype)
    for t in range(n):
        for k in range(4):
            if t - 3 + k >= 0:
                local[t] += kernel[:, k] * inner[t - 3 + k]
        local[t] = (local[t] + shift) * torch.sigmoid(local[t] + shift)
    chosen = local @ module.select.weight.T
    delta = F.softplus(chosen[:, : module.rank] @ module.step.weight.T + module.step.bias)
    B, C = chosen[:, module.rank : module.rank + N], chosen[:, module.rank + N :]
    outputs = torch.zeros(n, e, dtype=x.dtype)
    for c in range(e):
        h = [0.0] * N
        for t in range(n):
            y = module.D[c] * local[t, c]
            for i in range(N):
                A, step = -math.exp(module.log_A[c, i]), float(delta[t, c])
                entering = (math.exp(step * A) - 1) / (step * A) * step * B[t, i]  # equation 4 as it is printed
                h[i] = math.exp(step * A) * h[i] + entering * local[t, c]
                y = y + C[t, i] * h[i]
            outputs[t, c] = y * gate[t, c] * torch.sigmoid(gate[t, c])
    return outputs @ module.out.weight.T


@torch.no_grad()
def test_equals_the_equations_written_out_as_loops():
    module, x = block(), draw(9, 2, 7, 20)
    expected = torch.stack([by_loops(module, row) for row in x])
    torch.testing.assert_close(module(x), expected, atol=1e-10, rtol=0)


def test_equals_the_mixer_of_transformers():
    from transformers import MambaConfig
    from transformers.models.mamba.modeling_mamba import MambaMixer

    ours, x = block(discretization="euler"), draw(9, 2, 15, 20)
    theirs = MambaMixer(MambaConfig(hidden_size=20, state_size=3, conv_kernel=4, expand=2, time_step_rank=2,
                                    use_bias=False, use_conv_bias=True, num_hidden_layers=1), 0).double()  # fmt: skip
    names = {"in_proj": "into", "conv1d": "convolution", "x_proj": "select", "dt_proj": "step", "out_proj": "out",
             "A_log": "log_A", "D": "D"}  # fmt: skip
    weights = ours.state_dict()
    theirs.load_state_dict({name: weights[names[name.split(".")[0]] + name[len(name.split(".")[0]):]]
                            for name in theirs.state_dict()})  # fmt: skip
    # Theirs keeps A and the state in float32.
    torch.testing.assert_close(ours(x), theirs(x), atol=1e-5, rtol=1e-5)
    assert (block(discretization="zoh")(x) - ours(x)).abs().max() > 1e-3


def test_both_forms_agree_and_so_do_their_gradients():
    x, found = draw(9, 2, 21, 20), []
    for form in ("recurrent", "parallel"):
        module = block(form)
        y = module(x)
        y.square().sum().backward()
        found.append((y.detach(), [p.grad for p in module.parameters()]))
    torch.testing.assert_close(found[1][0], found[0][0], atol=1e-10, rtol=0)
    for one, other in zip(found[0][1], found[1][1], strict=True):
        torch.testing.assert_close(other, one, atol=1e-8, rtol=1e-9)


def one_state(delta: Tensor, x: Tensor, rule: str = "zoh", A: float = -1.0) -> tuple[Tensor, Tensor]:
    """Decay and addition of a state of one number, with B = 1: (n,) each."""
    a, u = discretize(delta.view(1, -1, 1), torch.tensor([[A]], dtype=torch.float64),
                      torch.ones(1, len(x), 1, dtype=torch.float64), x.view(1, -1, 1), rule)  # fmt: skip
    return a.flatten(), u.flatten()


def test_theorem_1_with_one_number_and_a_decay_of_one_it_is_a_gated_recurrent_network():
    z, x = draw(0, 30), draw(1, 30)
    g = torch.sigmoid(z)
    a, u = one_state(F.softplus(z), x)
    torch.testing.assert_close(a, 1 - g, atol=1e-14, rtol=0)
    torch.testing.assert_close(u, g * x, atol=1e-14, rtol=0)


def test_a_long_step_forgets_and_takes_the_token_and_a_short_one_ignores_it():
    x = draw(0, 3)
    a, u = one_state(torch.full((3,), 1e3, dtype=torch.float64), x, A=-2.0)
    torch.testing.assert_close(a, torch.zeros_like(a), atol=1e-12, rtol=0)
    torch.testing.assert_close(u, x / 2, atol=1e-12, rtol=0)  # -B x / A: where the input would hold the state for good
    a, u = one_state(torch.full((3,), 1e-9, dtype=torch.float64), x, A=-2.0)
    torch.testing.assert_close(a, torch.ones_like(a), atol=1e-8, rtol=0)
    torch.testing.assert_close(u, torch.zeros_like(u), atol=1e-8, rtol=0)
    # The two rules part only with the second power of the step.
    step = torch.full((3,), 1e-4, dtype=torch.float64)
    difference = (one_state(step, x)[1] - one_state(step, x, "euler")[1]).abs()
    torch.testing.assert_close(difference, 0.5e-8 * x.abs(), atol=1e-12, rtol=1e-3)


@torch.no_grad()
def test_without_selection_it_is_a_convolution():
    # Equation 3: with Delta, B and C the same for all tokens, the kernel is C A^k B.
    module, x = block(), draw(9, 1, 12, 20)
    module.select.weight.zero_()
    N, rank = module.state_size, module.rank
    module.select = nn.Linear(40, rank + 2 * N).double()
    module.select.weight.zero_()
    B, C = module.select.bias[rank : rank + N], module.select.bias[rank + N :]
    delta = F.softplus(module.step(module.select.bias[:rank]))  # (e,)
    A = -module.log_A.exp()
    a = (delta[:, None] * A).exp()
    entering = (a - 1) / A * B
    kernel = torch.stack([(C * a**k * entering).sum(-1) for k in range(12)])  # (n, e)
    inner, gate = module.into(x).chunk(2, dim=-1)
    local = F.silu(module.convolution(F.pad(inner.mT, (3, 0))).mT)
    y = torch.stack([sum(kernel[k] * local[:, t - k] for k in range(t + 1)) for t in range(12)], dim=1)
    expected = module.out((y + module.D * local) * F.silu(gate))
    torch.testing.assert_close(module(x), expected, atol=1e-10, rtol=0)


@pytest.mark.parametrize("form", ["recurrent", "parallel"])
def test_future_tokens_do_not_matter(form):
    module, x = block(form), draw(9, 1, 14, 20)
    before = module(x)
    x[:, 9:] = 5.0
    after = module(x)
    torch.testing.assert_close(after[:, :9], before[:, :9], atol=1e-12, rtol=0)
    assert (after[:, 9] - before[:, 9]).abs().max() > 1e-3


@pytest.mark.parametrize("form", ["recurrent", "parallel"])
@pytest.mark.parametrize("cuts", [[1] * 12, [2, 7, 3]])
def test_reading_in_pieces_equals_reading_at_once(form, cuts):
    module, x = block(form), draw(9, 2, 12, 20)
    state, outputs = None, []
    for piece in x.split(cuts, dim=1):
        output, state = module.read(piece, state)
        outputs.append(output)
        assert (state[0].shape, state[1].shape) == ((2, 40, 3), (2, 40, 3))  # as large after twelve tokens as after one
    torch.testing.assert_close(torch.cat(outputs, 1), block()(x), atol=1e-12, rtol=0)


def test_start_is_that_of_section_3_6():
    module = MambaBlock(64, 16, 2, "recurrent", "zoh")
    module.initialize(torch.Generator().manual_seed(0))
    assert module.rank == 4
    torch.testing.assert_close(-module.log_A.exp(), -torch.arange(1.0, 17).expand(128, 16))
    delta = F.softplus(module.step.bias)
    assert 1e-3 <= delta.min() < 0.01 and 0.096 < delta.max() <= 0.1  # softplus(log(0.1)) would be 0.0953
    assert delta.mean().item() == pytest.approx(0.0505, abs=0.01)


def test_a_stack_has_neither_attention_nor_feed_forward_and_the_weights_of_a_transformer():
    # Two blocks of 3 e d = 6 d^2 weights and a little more, for the 12 d^2 of a Transformer block.
    stack = mamba(TransformerConfig(width=512, layers=3, heads=8))
    assert len(stack) == 6
    matrices = sum(block.mixer.into.weight.numel() + block.mixer.out.weight.numel() for block in stack)
    assert matrices == 3 * 12 * 512**2
    assert sum(p.numel() for p in stack.parameters()) < 1.1 * matrices


def test_learns_in_the_bench_transformer():
    ids = torch.arange(400) % 17  # a cycle: the next token follows from the last one
    model = Transformer(CONFIG, stack=lambda c: mamba(c, blocks_per_layer=1, state_size=4),
                        generator=torch.Generator().manual_seed(0))  # fmt: skip
    again = Transformer(CONFIG, stack=lambda c: mamba(c, blocks_per_layer=1, state_size=4),
                        generator=torch.Generator().manual_seed(0))  # fmt: skip
    assert all(torch.equal(a, b) for a, b in zip(model.parameters(), again.parameters(), strict=True))
    windows = batches(ids, batch=4, length=16, generator=torch.Generator().manual_seed(0))
    losses = train(model, windows, steps=60, learning_rate=1e-2)
    assert abs(losses[0] - math.log(17)) < 0.3 and losses[-1] < 0.5


@pytest.mark.parametrize("option, message", [
    (dict(blocks_per_layer=0), "blocks_per_layer is 0"),
    (dict(state_size=0), "state_size is 0"),
    (dict(expand=0), "expand is 0"),
    (dict(form="serial"), "form is 'serial'"),
    (dict(discretization="bilinear"), "discretization 'bilinear'"),
])  # fmt: skip
def test_refuses_what_does_not_fit(option, message):
    with pytest.raises(ValueError, match=message):
        mamba(CONFIG, **option)


def test_contract():
    contract = contract_of(mamba)
    assert (contract.kind, contract.slot) == ("architecture", "stack")
    assert list(options_of(mamba)) == ["blocks_per_layer", "state_size", "expand", "form", "discretization"]
