"""ALBERT's sharing is exact: function and summed gradients of copied layers, and each weight stored once."""

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_model

from reference_impls.core.contracts import contract_of, options_of
from reference_impls.core.language import language_loss
from reference_impls.core.training import batches, train
from reference_impls.core.transformer import Transformer, TransformerConfig
from reference_impls.sharing.albert import albert
from tests.reference_impls.drawn import seeded

SMALL = TransformerConfig(vocab=40, width=16, layers=4, heads=4, kv_heads=2, ffn=24, context=16)
SHARES = ("all", "attention", "feed-forward", "none")


def model(seed: int = 0, config: TransformerConfig = SMALL, **options) -> Transformer:
    built = Transformer(config, stack=lambda sizes: albert(sizes, **options), generator=seeded(seed)).double()
    for parameter in built.parameters():  # gains too, so that a norm that is not shared shows
        parameter.data += 0.1 * torch.rand(parameter.shape, dtype=torch.float64, generator=seeded(seed))
    return built


def ids() -> torch.Tensor:
    return torch.randint(40, (2, 11), generator=seeded(7))


def part_sizes(config: TransformerConfig) -> tuple[int, int]:
    """Parameters of one layer's attention and feed-forward part, each with its norm."""
    d, e = config.width, config.width // config.heads
    return d * e * (2 * config.heads + 2 * config.kv_heads) + d, 3 * d * config.ffn + d


def unshared_copy(shared: Transformer) -> Transformer:
    """A plain Transformer whose layers hold copies of the shared model's weights."""
    plain = Transformer(SMALL).double()
    with torch.no_grad():
        for mine, theirs in zip(plain.blocks, shared.blocks, strict=True):
            mine.load_state_dict(theirs.state_dict())
        for part in ("embedding", "norm"):
            getattr(plain, part).load_state_dict(getattr(shared, part).state_dict())
    return plain


@pytest.mark.parametrize("groups", [1, 2])
@pytest.mark.parametrize("share", SHARES)
def test_equals_copied_layers_and_sums_their_gradients(share, groups):
    shared = model(share=share, groups=groups)
    plain = unshared_copy(shared)
    torch.testing.assert_close(shared(ids()), plain(ids()), rtol=0, atol=0)
    language_loss(shared, ids()).backward()
    language_loss(plain, ids()).backward()
    tied = {"all": ("",), "attention": ("attention",), "feed-forward": ("feed_forward",), "none": ()}[share]
    size = SMALL.layers // groups
    for layer in range(SMALL.layers):
        group = range(layer // size * size, layer // size * size + size)
        for name, parameter in shared.blocks[layer].named_parameters():
            together = group if any(name.startswith(part) for part in tied) else [layer]
            total = sum(plain.blocks[other].get_parameter(name).grad for other in together)
            assert total.abs().max() > 0
            torch.testing.assert_close(parameter.grad, total, rtol=1e-10, atol=1e-14)


@pytest.mark.parametrize("groups", [1, 2, 4])
@pytest.mark.parametrize("share", SHARES)
@pytest.mark.parametrize("embedding_size", [None, 5])
def test_parameter_count_is_the_closed_form(share, groups, embedding_size, tmp_path):
    attention, feed_forward = part_sizes(SMALL)
    L, V, H, E = SMALL.layers, SMALL.vocab, SMALL.width, embedding_size or SMALL.width
    expected = {
        "all": groups * (attention + feed_forward),
        "attention": groups * attention + L * feed_forward,
        "feed-forward": L * attention + groups * feed_forward,
        "none": L * (attention + feed_forward),
    }[share]
    expected += V * E + E + (2 * E * H if embedding_size else 0)  # embedding, last norm, the two maps
    built = model(share=share, groups=groups, embedding_size=embedding_size)
    assert sum(p.numel() for p in built.parameters()) == expected
    save_model(built, str(tmp_path / "model.safetensors"))
    with safe_open(str(tmp_path / "model.safetensors"), framework="pt") as file:
        assert sum(file.get_tensor(name).numel() for name in file.keys()) == expected


def test_sharing_nothing_is_the_plain_transformer():
    plain = Transformer(SMALL, generator=seeded(5))
    for options in ({"share": "none"}, {"share": "all", "groups": SMALL.layers}):
        same = Transformer(SMALL, stack=lambda sizes, o=options: albert(sizes, **o), generator=seeded(5))
        torch.testing.assert_close(same(ids()), plain(ids()), rtol=0, atol=0)
    assert not torch.allclose(model(share="all")(ids()), model(share="none")(ids()))


def test_blocks_are_indexed_and_shared_as_asked():
    blocks = model(share="all").blocks
    assert len(blocks) == 4 and all(block is blocks[0] for block in blocks)
    blocks = model(share="attention", groups=2).blocks
    assert blocks[0].attention is blocks[1].attention is not blocks[2].attention
    assert blocks[0].attention_norm is blocks[1].attention_norm
    assert len({id(block.feed_forward) for block in blocks}) == len({id(block) for block in blocks}) == 4


def test_factorized_embedding_is_a_plain_model_whose_embedding_is_a_product():
    """E < H: the same logits as an untied model of width H with embedding U W and the two maps folded in."""
    narrow = model(share="all", embedding_size=5)
    stack = narrow.blocks
    x = (narrow.embedding.weight @ stack.widen.weight.T)[ids()]  # (b, n, H)
    assert x.shape[-1] == SMALL.width
    for block in stack:
        x = block(x)
    expected = narrow.norm(x @ stack.narrow.weight.T) @ narrow.embedding.weight.T
    torch.testing.assert_close(narrow(ids()), expected, rtol=1e-11, atol=1e-11)
    assert torch.linalg.matrix_rank(narrow.embedding.weight @ stack.widen.weight.T) == 5


def test_layers_stay_tied_through_training():
    built = model(share="feed-forward", groups=2).float()
    stream = torch.arange(40).repeat(5)
    losses = train(built, batches(stream, batch=4, length=12, generator=seeded(0)), steps=30, learning_rate=1e-2)
    assert losses[-1] < losses[0]
    up = [block.feed_forward.up.weight for block in built.blocks]
    assert torch.equal(up[0], up[1]) and torch.equal(up[2], up[3]) and not torch.equal(up[1], up[2])
    query = [block.attention.query.weight for block in built.blocks]
    assert not torch.equal(query[0], query[1])


def test_depth_that_layers_must_differ_for_is_lost():
    """Counter-example: with all weights shared, layers cannot specialize: swapping two of them changes nothing."""
    for share, differs in (("none", True), ("all", False)):
        built = model(share=share)
        before = built(ids())
        layers = built.blocks.layers
        layers[0], layers[1] = layers[1], layers[0]
        assert torch.equal(built(ids()), before) is not differs


def test_contract_and_refusals():
    contract = contract_of(albert)
    assert (contract.kind, contract.slot) == ("architecture", "stack")
    assert list(options_of(albert)) == ["share", "groups", "embedding_size"]
    with pytest.raises(ValueError, match="share is 'ffn'"):
        albert(SMALL, share="ffn")
    with pytest.raises(ValueError, match="groups is 3; it must divide the 4 layers"):
        albert(SMALL, groups=3)
    with pytest.raises(ValueError, match="embedding_size is 17"):
        albert(SMALL, embedding_size=17)
