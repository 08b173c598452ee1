"""Linformer: identity projections give full attention, few rows a low rank, and blocks a form that is truly causal."""

import math

import pytest
import torch
from torch import Tensor, nn

from reference_impls.architecture.linformer import causal_projected_attention, linformer, projected_attention
from reference_impls.core.contracts import contract_of, options_of
from reference_impls.core.training import batches, train
from reference_impls.core.transformer import Attention, Transformer, TransformerConfig
from tests.reference_impls.drawn import draw, filled, heads

CONFIG = TransformerConfig(vocab=17, width=24, layers=2, heads=4, kv_heads=2, ffn=20, context=64)


def layer(**options) -> nn.Module:
    return filled(linformer(CONFIG, **options))


def full_attention(q: Tensor, k: Tensor, v: Tensor, causal: bool) -> Tensor:
    n = q.shape[2]
    future = torch.ones(n, n).triu(1).bool() & causal
    return (q @ k.mT / math.sqrt(6)).masked_fill(future, -math.inf).softmax(-1) @ v


def test_identity_with_as_many_rows_as_tokens_is_full_attention():
    q, k, v = heads(9)
    eye = torch.eye(9, dtype=torch.float64)[None]
    torch.testing.assert_close(projected_attention(q, k, v, eye, eye), full_attention(q, k, v, False),
                               atol=1e-12, rtol=0)  # fmt: skip


def test_projected_attention_is_equation_7_head_by_head():
    q, k, v = heads(9)
    E, F = draw(3, 4, 3, 9), draw(4, 4, 3, 9)
    got = projected_attention(q, k, v, E, F)
    for h in range(4):
        scores = q[:, h] @ (E[h] @ k[:, h]).mT / math.sqrt(6)
        assert scores.shape == (2, 9, 3)
        torch.testing.assert_close(got[:, h], scores.softmax(-1) @ (F[h] @ v[:, h]), atol=1e-12, rtol=0)
    shared = projected_attention(q, k, v, E[:1], F[:1])
    torch.testing.assert_close(shared, projected_attention(q, k, v, E[:1].expand(4, 3, 9), F[:1].expand(4, 3, 9)))


def test_what_acts_on_the_values_has_the_rank_of_the_projection():
    q, k, _ = heads(12)
    E, F = draw(3, 1, 3, 12), draw(4, 1, 3, 12)
    eye = torch.eye(12, dtype=torch.float64).expand(2, 4, 12, 12)
    mapping = projected_attention(q, k, eye, E, F)  # what multiplies the values, (n, n)
    assert (torch.linalg.matrix_rank(mapping) == 3).all()
    assert (torch.linalg.matrix_rank(full_attention(q, k, eye, False)) > 3).all()


@pytest.mark.parametrize("block", [1, 4, 5, 11, 30])
def test_identity_blocks_are_full_causal_attention(block):
    q, k, v = heads(11)
    eye = torch.eye(block, dtype=torch.float64)[None]
    torch.testing.assert_close(causal_projected_attention(q, k, v, eye, eye), full_attention(q, k, v, True),
                               atol=1e-9, rtol=0)  # fmt: skip


def test_a_block_as_long_as_the_text_is_full_causal_attention_whatever_the_projection():
    module, x = layer(k=2, block=12), draw(9, 2, 12, 24)
    plain = Attention(CONFIG).double()
    plain.load_state_dict({name: t for name, t in module.state_dict().items() if name not in "EF"})
    torch.testing.assert_close(module(x), plain(x), atol=1e-9, rtol=0)


@pytest.mark.parametrize("n", [1, 4, 13])
@pytest.mark.parametrize("matrices", [1, 4])
def test_every_token_has_a_projection_that_does_not_look_ahead(n, matrices):
    q, k, v = heads(n)
    E, F = draw(3, matrices, 2, 4), draw(4, matrices, 2, 4)
    got = causal_projected_attention(q, k, v, E, F)
    for i in range(n):
        own = i // 4  # complete blocks before: by two rows each; then the tokens of the own block
        rows = {}
        for name, matrix in (("E", E), ("F", F)):
            full = torch.zeros(matrices, 2 * own + i - 4 * own + 1, n, dtype=torch.float64)
            for m in range(own):
                full[:, 2 * m : 2 * m + 2, 4 * m : 4 * m + 4] = matrix
            full[:, 2 * own :, 4 * own : i + 1] = torch.eye(i + 1 - 4 * own)
            assert not full[:, :, i + 1 :].any()
            rows[name] = full
        expected = projected_attention(q[:, :, i : i + 1], k, v, rows["E"], rows["F"])
        torch.testing.assert_close(got[:, :, i : i + 1], expected, atol=1e-9, rtol=0)


@pytest.mark.parametrize("changed", [3, 4, 9, 13])
@pytest.mark.parametrize("share", ["none", "headwise", "key-value"])
def test_future_tokens_do_not_matter(changed, share):
    module, x = layer(k=2, block=4, share=share), draw(9, 1, 14, 24)
    before = module(x)
    x[:, changed:] = draw(10, 1, 14 - changed, 24)
    after = module(x)
    torch.testing.assert_close(after[:, :changed], before[:, :changed], atol=1e-12, rtol=0)
    assert ((after - before)[0, changed:].abs().amax(-1) > 1e-4).all()  # and every later one sees the change


def test_masking_columns_of_a_plain_projection_would_leak():
    # Why the blocks: even if the first token reads only the first projected row, that row holds the last token.
    q, k, v = heads(8)
    E = draw(3, 1, 8, 8)
    masked = (q @ (E @ k).mT).masked_fill(torch.ones(8, 8).triu(1).bool(), -math.inf).softmax(-1) @ (E @ v)
    v[:, :, 7] += 1.0
    leaked = (q @ (E @ k).mT).masked_fill(torch.ones(8, 8).triu(1).bool(), -math.inf).softmax(-1) @ (E @ v)
    assert (leaked - masked)[:, :, 0].abs().max() > 1e-3


def test_sharing_counts_matrices():
    def own(share: str) -> int:
        return sum(p.numel() for name, p in linformer(CONFIG, k=3, block=8, share=share).named_parameters()
                   if name in "EF")  # fmt: skip

    assert [own("none"), own("headwise"), own("key-value")] == [2 * 4 * 24, 2 * 24, 24]
    shared = linformer(CONFIG, share="key-value")
    assert shared.F is shared.E


def test_start_of_the_projections():
    attention = Transformer(CONFIG, attention=lambda c: linformer(c, k=8, block=32, share="none")).blocks[0].attention
    bound = math.sqrt(6 / (8 + 32)) / math.sqrt(2)
    for matrix in (attention.E, attention.F):
        assert 0.98 * bound < matrix.abs().max() <= bound
    assert not torch.equal(attention.E, attention.F) and abs(attention.query.weight.std() - 0.02) < 0.002


def test_learns_in_the_bench_transformer():
    ids = torch.arange(400) % 17
    model = Transformer(CONFIG, attention=lambda c: linformer(c, k=2, block=4))
    windows = batches(ids, batch=4, length=16, generator=torch.Generator().manual_seed(0))
    losses = train(model, windows, steps=60, learning_rate=1e-2)
    assert abs(losses[0] - math.log(17)) < 0.1 and losses[-1] < 0.3


def test_contract_and_refusals():
    contract = contract_of(linformer)
    assert (contract.kind, contract.slot) == ("architecture", "attention")
    assert list(options_of(linformer)) == ["k", "block", "share"]
    for k in (0, 17):
        with pytest.raises(ValueError, match=f"k is {k}; it must lie between 1 and the block, 16"):
            linformer(CONFIG, k=k)
    with pytest.raises(ValueError, match="share is 'layerwise'; allowed are none, headwise, key-value"):
        linformer(CONFIG, share="layerwise")
