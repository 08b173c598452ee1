"""What makes SmoothQuant itself: a rewrite that leaves the function alone, its closed form, and what it is good for."""

import copy

import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM, OPTConfig, OPTForCausalLM

from reference_impls.core.contracts import contract_of
from reference_impls.core.grid import Grid
from reference_impls.core.model_view import ModelView
from reference_impls.core.storage import QuantizedWeight
from reference_impls.quantization.smoothquant import round_weight, smoothing_factors, smoothquant

WIDTH, VOCABULARY = 32, 64


def llama(seed):
    torch.manual_seed(seed)
    config = LlamaConfig(
        vocab_size=VOCABULARY, hidden_size=WIDTH, intermediate_size=48, num_hidden_layers=2, num_attention_heads=4,
        num_key_value_heads=2, max_position_embeddings=32,
    )
    return LlamaForCausalLM(config)


def opt(seed):
    torch.manual_seed(seed)
    config = OPTConfig(
        vocab_size=VOCABULARY, hidden_size=WIDTH, ffn_dim=48, num_hidden_layers=2, num_attention_heads=4,
        max_position_embeddings=32, word_embed_proj_dim=WIDTH,
    )
    return OPTForCausalLM(config)


def lively(model, seed, outliers=0.0):
    """Norms and biases away from their starting values; `outliers`: gain of two channels of every block's norms.

    The weights that read these channels are a tenth of the others, so that the other channels still count.
    """
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in model.parameters():
            noise = torch.randn(parameter.shape, generator=generator, dtype=torch.float32).to(parameter)
            parameter.add_(noise * (0.1 if parameter.ndim == 2 else 0.3))
        for block in ModelView(model).blocks:
            for norm, readers in block.smoothable if outliers else []:
                norm.module.weight[:2] = outliers
                for reader in readers:
                    reader.module.weight[:, :2] /= 10
    return model.eval()


def ids(seed, batches=3):
    generator = torch.Generator().manual_seed(seed)
    return [torch.randint(0, VOCABULARY, (2, 16), generator=generator) for _ in range(batches)]


def smoothed(model, calibration, **options):
    view = ModelView(copy.deepcopy(model))
    smoothquant(view, calibration, **options)
    return view


@pytest.mark.parametrize("build", [llama, opt])
@pytest.mark.parametrize("alpha", [0.0, 0.5, 1.0])
def test_the_rewrite_alone_leaves_the_function_as_it_was(build, alpha):
    model = lively(build(0), 0, outliers=20.0).double()
    view = smoothed(model, ids(0), alpha=alpha, activation_bits=None)
    before = ModelView(model)
    for batch in ids(1):
        torch.testing.assert_close(view.logits(batch), before.logits(batch), rtol=1e-9, atol=1e-9)
    norms = {name: weight for name, weight in before.model.named_parameters() if "norm" in name}
    after = dict(view.model.named_parameters())
    changed = {name for name, weight in norms.items() if (after[name] != weight).any()}
    # Both norms of both blocks are rewritten (gain, and bias where there is one), the last norm is not.
    assert len(changed) == (4 if build is llama else 8) and not any(name.startswith("model.norm") for name in changed)


def test_factors_have_the_closed_form():
    absmax = torch.tensor([4.0, 9.0, 0.0, 16.0])
    weights = [torch.tensor([[1.0, -2.0, 1.0, 0.0]]), torch.tensor([[-0.25, 4.0, 3.0, 0.0], [0.5, 1.0, 0.0, 0.0]])]
    # The largest weight of all readers counts; a channel without input or without weight keeps the factor 1.
    torch.testing.assert_close(
        smoothing_factors(absmax, weights, 0.5), torch.tensor([2.0, 3.0 / 2.0, 1.0, 1.0])
    )
    torch.testing.assert_close(
        smoothing_factors(absmax, weights, 0.75), torch.tensor([4**0.75, 9**0.75 / 4**0.25, 1.0, 1.0])
    )


@pytest.mark.parametrize(("alpha", "flat"), [(1.0, "inputs"), (0.0, "weights"), (0.5, "both alike")])
def test_limits_of_the_migration_strength(alpha, flat):
    model = lively(llama(1), 1, outliers=20.0).double()
    calibration = ids(2)
    view = smoothed(model, calibration, alpha=alpha, activation_bits=None)
    readers = view.blocks[0].smoothable[0][1]
    seen = []
    readers[0].module.register_forward_pre_hook(lambda _, arguments: seen.append(arguments[0].reshape(-1, WIDTH)))
    for batch in calibration:
        view.logits(batch)
    x = torch.cat(seen).abs().amax(0)
    w = torch.stack([reader.weight.abs().amax(0) for reader in readers]).amax(0)
    one = torch.ones(WIDTH, dtype=torch.float64)
    # The norms of Llama work in float32 inside.
    if flat == "inputs":
        torch.testing.assert_close(x, one, rtol=1e-5, atol=0)
    elif flat == "weights":
        torch.testing.assert_close(w, one, rtol=1e-5, atol=0)
    else:
        torch.testing.assert_close(x, w, rtol=1e-5, atol=0)


def test_weights_are_stored_in_8_bit_with_the_step_of_the_equation():
    W = torch.randn(6, 10, generator=torch.Generator().manual_seed(0))
    for granularity, largest in (("tensor", W.abs().max().expand(6, 1)), ("channel", W.abs().amax(1, keepdim=True))):
        stored = round_weight(W, 8, granularity)
        step = (largest / 127).half().float()
        torch.testing.assert_close(stored.dense(), (W / step).round().clamp(-128, 127) * step, rtol=0, atol=0)
        assert stored.bits_per_weight() == 8 + 16 / 10


def test_what_is_quantized():
    view = smoothed(lively(llama(2), 2), ids(0), weight_bits=8, activation_granularity="tensor")
    assert contract_of(smoothquant).alone == {"weight_bits": 8}
    for linear in view.linears.values():
        assert isinstance(linear.storage, QuantizedWeight) and linear.storage.bits == 8
        assert linear.activation == {"bits": 8, "granularity": "tensor", "absmax": None}
    view = smoothed(lively(llama(2), 2), ids(0))
    assert all(linear.storage is None for linear in view.linears.values())
    assert {linear.activation["granularity"] for linear in view.linears.values()} == {"token"}


@pytest.mark.parametrize("granularity", ["tensor", "channel"])
def test_the_weights_get_the_granularity_that_is_asked_for(granularity):
    model = lively(llama(2), 2)
    view = smoothed(model, ids(0), alpha=None, weight_bits=8, weight_granularity=granularity)
    for name, linear in ModelView(model).linears.items():
        expected = round_weight(linear.weight, 8, granularity)
        assert torch.equal(view.linears[name].storage.dense(), expected.dense())
        assert (len(expected.grid.scale.unique()) == 1) == (granularity == "tensor")


def test_fixed_steps_come_from_the_smoothed_inputs_of_the_calibration():
    model, calibration = lively(opt(3), 3, outliers=20.0), ids(3)
    fixed = smoothed(model, calibration, activation_granularity="tensor-static", weight_bits=8)
    free = smoothed(model, calibration, activation_bits=None)
    seen = {}

    def listen(name):
        def hook(_, arguments):
            seen[name] = max(seen.get(name, 0.0), float(arguments[0].abs().max()))

        return hook

    for name, linear in free.linears.items():
        linear.module.register_forward_pre_hook(listen(name))
    for batch in calibration:
        free.logits(batch)
    for name, linear in fixed.linears.items():
        assert linear.activation["absmax"] == pytest.approx(seen[name], rel=1e-4)


def logit_error(model, seed, **options):
    view, before = smoothed(model, ids(seed), weight_bits=8, **options), ModelView(model)
    fresh = ids(seed + 100)
    off = sum((view.logits(batch) - before.logits(batch)).square().sum() for batch in fresh)
    return (off / sum(before.logits(batch).square().sum() for batch in fresh)).sqrt().item()


@pytest.mark.parametrize("build", [llama, opt])
def test_with_outlier_channels_the_error_is_lower_than_without_smoothing(build):
    for seed in range(5):
        model = lively(build(seed), seed, outliers=50.0)
        for granularity in ("token", "tensor", "tensor-static"):
            plain = logit_error(model, seed, alpha=None, activation_granularity=granularity)
            assert logit_error(model, seed, activation_granularity=granularity) < 0.5 * plain


def layer_output_error(x, W, s, weight_bits=8, activation_bits=8):
    """Relative output error of one layer with inputs x / s and weight W s, rounded per tensor."""
    smooth_x, smooth_W = x / s, W * s
    if activation_bits:
        grid = Grid.fit(smooth_x.reshape(1, -1), bits=activation_bits, symmetric=True, dtype=torch.float32)
        smooth_x = grid.round(smooth_x.reshape(1, -1)).reshape(x.shape)
    smooth_W = round_weight(smooth_W, weight_bits, "tensor").dense()
    return (torch.linalg.norm(smooth_x @ smooth_W.T - x @ W.T) / torch.linalg.norm(x @ W.T)).item()


def test_half_way_is_better_than_either_end_where_some_channels_are_large():
    for seed in range(6):
        generator = torch.Generator().manual_seed(seed)
        x, W = torch.randn(256, 64, generator=generator), torch.randn(48, 64, generator=generator)
        x[:, :3] *= 100
        error = {a: layer_output_error(x, W, smoothing_factors(x.abs().amax(0), [W], a)) for a in (0.0, 0.5, 1.0)}
        plain = layer_output_error(x, W, torch.ones(64))
        assert error[0.5] < min(error[0.0], error[1.0], plain)


def test_where_no_channel_stands_out_it_does_nothing():
    generator = torch.Generator().manual_seed(0)
    x, W = torch.randn(256, 64, generator=generator), torch.randn(48, 64, generator=generator)
    x, W = x / x.abs().amax(0), W / W.abs().amax(0)    # every channel has the same maximum
    s = smoothing_factors(x.abs().amax(0), [W], 0.5)
    torch.testing.assert_close(s, torch.ones(64))
    assert layer_output_error(x, W, s) == pytest.approx(layer_output_error(x, W, torch.ones(64)), rel=1e-4)


def test_weights_alone_are_harmed_by_a_channel_that_is_large_only_once():
    for seed in range(5):
        generator = torch.Generator().manual_seed(seed)
        x, W = torch.randn(256, 64, generator=generator), torch.randn(48, 64, generator=generator)
        x[0, :3] *= 100    # a single token: large for the maximum, nothing for the energy
        s = smoothing_factors(x.abs().amax(0), [W], 0.5)
        usual = x[1:]
        smooth = layer_output_error(usual, W, s, weight_bits=4, activation_bits=None)
        assert smooth > layer_output_error(usual, W, torch.ones(64), weight_bits=4, activation_bits=None)


def test_independent_of_how_the_calibration_is_cut():
    model = lively(llama(4), 4, outliers=20.0)
    batches = ids(5)
    one = smoothed(model, batches, weight_bits=8)
    other = smoothed(model, [row[None] for batch in batches for row in batch], weight_bits=8)
    for linear, same in zip(one.linears.values(), other.linears.values(), strict=True):
        torch.testing.assert_close(linear.storage.grid.scale, same.storage.grid.scale, rtol=2e-3, atol=0)
        assert (linear.storage.codes() - same.storage.codes()).abs().max() <= 1


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"alpha": 1.5}, "alpha is 1.5"),
        ({"alpha": -0.1}, "alpha is -0.1"),
        ({"activation_bits": 1}, "activation bits is 1"),
        ({"activation_granularity": "channel"}, "'channel'"),
        ({"weight_bits": 0}, "bits is 0"),
        ({"weight_granularity": "group"}, "'group'"),
    ],
)
def test_refuses(options, message):
    with pytest.raises(ValueError, match=message):
        smoothquant(ModelView(llama(0)), ids(0), **options)


def test_refuses_an_empty_calibration():
    with pytest.raises(ValueError, match="calibration holds no batch"):
        smoothquant(ModelView(llama(0)), [])
