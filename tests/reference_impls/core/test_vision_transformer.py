"""The vision transformer equals torch's own pre-norm encoder; its halves make the whole; it saves and loads."""

import pytest
import torch
from torch import nn

from reference_impls.core.vision_transformer import Attention, VisionConfig, VisionTransformer


@pytest.fixture
def model() -> VisionTransformer:
    torch.manual_seed(0)
    model = VisionTransformer(VisionConfig(depth=2)).double().eval()
    with torch.no_grad():
        for parameter in model.parameters():  # no norm or bias left at its neutral start
            parameter.add_(0.1 * torch.randn_like(parameter))
    return model


def images() -> torch.Tensor:
    return torch.randn(5, 1, 8, 8, dtype=torch.float64, generator=torch.Generator().manual_seed(1))


def test_each_block_equals_torchs_pre_norm_encoder_layer(model):
    tokens = model.embed(images())
    for block in model.blocks:
        twin = nn.TransformerEncoderLayer(48, 3, 144, 0.0, "gelu", batch_first=True, norm_first=True).double().eval()
        pairs = {
            "self_attn.in_proj_weight": block.attention.qkv.weight,
            "self_attn.in_proj_bias": block.attention.qkv.bias,
            "self_attn.out_proj.weight": block.attention.projection.weight,
            "self_attn.out_proj.bias": block.attention.projection.bias,
            "linear1.weight": block.mlp.up.weight,
            "linear1.bias": block.mlp.up.bias,
            "linear2.weight": block.mlp.down.weight,
            "linear2.bias": block.mlp.down.bias,
            "norm1.weight": block.attention_norm.weight,
            "norm1.bias": block.attention_norm.bias,
            "norm2.weight": block.mlp_norm.weight,
            "norm2.bias": block.mlp_norm.bias,
        }
        twin.load_state_dict(pairs)
        ours = block(tokens)
        torch.testing.assert_close(ours, twin(tokens), rtol=0, atol=1e-12)
        tokens = ours


def test_patches_are_read_row_by_row_after_the_class_token(model):
    x = images()
    tokens = model.embed(x) - model.positions
    assert tokens.shape == (5, 17, 48)
    torch.testing.assert_close(tokens[:, 0], model.class_token[:, 0].expand(5, -1))
    weight = model.patches.weight.reshape(48, 4)
    for row, column in [(0, 0), (0, 3), (2, 1)]:
        patch = x[:, 0, 2 * row : 2 * row + 2, 2 * column : 2 * column + 2].reshape(5, 4)
        torch.testing.assert_close(tokens[:, 1 + 4 * row + column], patch @ weight.T + model.patches.bias)


def test_the_halves_make_the_whole_and_keys_are_the_middle_third(model):
    x = images()
    tokens = model.embed(x)
    for block in model.blocks:
        normalised = block.attention_norm(tokens)
        tokens, keys = block.attend(tokens)
        expected = normalised @ block.attention.qkv.weight[48:96].T + block.attention.qkv.bias[48:96]
        torch.testing.assert_close(keys, expected.view(5, 17, 3, 16).transpose(1, 2))
        tokens = block.transform(tokens)
    torch.testing.assert_close(model.classify(tokens), model(x))


def test_the_bias_counts_a_token_as_often_as_it_stands_for():
    torch.manual_seed(0)
    attention = Attention(12, 3).double()
    tokens = torch.randn(2, 4, 12, dtype=torch.float64)
    doubled = torch.cat([tokens, tokens[:, 3:]], dim=1)
    sizes = torch.tensor([1.0, 1.0, 1.0, 2.0], dtype=torch.float64)
    output, _ = attention(tokens, bias=sizes.log())
    torch.testing.assert_close(output, attention(doubled)[0][:, :4])


def test_it_saves_and_loads(model, tmp_path):
    model.save_pretrained(tmp_path)
    again = VisionTransformer.from_pretrained(tmp_path, dtype=torch.float64)
    assert again.config == model.config and not again.training
    torch.testing.assert_close(again(images()), model(images()), rtol=0, atol=0)


def test_sizes_that_do_not_divide_are_refused(model):
    with pytest.raises(ValueError, match="patch_size 3"):
        VisionConfig(patch_size=3)
    with pytest.raises(ValueError, match="heads 5"):
        VisionConfig(heads=5)
    with pytest.raises(ValueError, match=r"expected shape \(batch, 1, 8, 8\), got \(2, 3, 8, 8\)"):
        model(torch.zeros(2, 3, 8, 8, dtype=torch.float64))


def test_the_class_token_alone_is_classified(model):
    tokens = model.embed(images())
    others_changed = torch.cat([tokens[:, :1], torch.zeros_like(tokens[:, 1:])], dim=1)
    torch.testing.assert_close(model.classify(others_changed), model.classify(tokens), rtol=0, atol=0)
    assert not torch.allclose(model.classify(tokens.roll(1, dims=1)), model.classify(tokens))
