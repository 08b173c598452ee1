"""The formulas of entries for what is kept while generating are the bytes that their implementations keep."""

from __future__ import annotations

import pytest
import torch

from catalog import check
from catalog.formula import Formula
from catalog.storage import values
from reference_impls.architecture.gqa import cache_bytes
from reference_impls.architecture.linear_transformer import linear_transformer
from reference_impls.architecture.mamba import mamba
from reference_impls.architecture.retnet import retnet
from reference_impls.architecture.rwkv import rwkv
from reference_impls.core.transformer import Transformer, TransformerConfig
from reference_impls.execution import flashattention
from reference_impls.quantization.kivi import Cache

CATALOG, _ = check()
CONFIG = TransformerConfig(vocab=32, width=48, layers=3, heads=3, kv_heads=3, ffn=64, context=64)
MODEL = {"hidden": 48, "layers": 3, "heads": 3, "kv_heads": 3, "head_dim": 16, "intermediate": 64}


def kept(id: str, **more: float) -> float:
    entry = CATALOG.algorithms[id]
    options = values({**entry.reference.options, **more}, CATALOG.source.function(entry.reference.code).options)
    return Formula(entry.storage.cache_bits)({**options, **MODEL, **more})


@pytest.mark.parametrize(("bits", "group_size", "residual_length", "tokens"), [
    (2, 8, 16, 1), (2, 8, 16, 15), (2, 8, 16, 16), (2, 8, 16, 17), (2, 8, 16, 50), (4, 16, 16, 64), (4, 32, 32, 70),
])  # fmt: skip
def test_kivi(bits: int, group_size: int, residual_length: int, tokens: int) -> None:
    cache = Cache(bits, group_size, residual_length)
    generator = torch.Generator().manual_seed(0)
    for _ in range(tokens):
        q, k, v = (torch.randn(1, 3, 1, 16, generator=generator).half().float() for _ in range(3))
        cache.step(q.half(), k.half(), v.half())
    formula = kept("kivi", bits=bits, group_size=group_size, residual_length=residual_length, tokens=tokens)
    assert cache.nbytes() * 8 == formula


@pytest.mark.parametrize("groups", [1, 3])
def test_gqa(groups: int) -> None:
    assert 8 * cache_bytes(CONFIG, groups, tokens=40) / CONFIG.layers == kept("gqa", groups=groups, tokens=40)


def numbers(state: object) -> int:
    """How many numbers a state holds; a count of tokens is not kept for each layer and not counted."""
    if isinstance(state, torch.Tensor):
        return state.numel()
    return sum(map(numbers, state)) if isinstance(state, tuple | list) else 0


@pytest.mark.parametrize("tokens", [2, 9])
def test_a_state_does_not_grow(tokens: int) -> None:
    x = torch.randn(1, tokens, CONFIG.width, generator=torch.Generator().manual_seed(0))

    def states(slot: str, made: object) -> list[int]:
        model = Transformer(CONFIG, **{slot: made})
        blocks = [module for module in model.modules() if callable(getattr(module, "read", None))]
        tops = [one for one in blocks if not any(one in set(other.modules()) for other in blocks if other is not one)]
        return [numbers(one.read(x)[1]) for one in tops]

    with torch.no_grad():
        assert {16 * n for n in states("attention", lambda c: linear_transformer(c, feature_map="elu"))} == {
            kept("linear-transformer", tokens=tokens)}
        assert {16 * n for n in states("attention", lambda c: retnet(c, value_factor=2))} == {
            kept("retnet", tokens=tokens, value_factor=2)}
        assert {16 * n for n in states("stack", rwkv)} == {kept("rwkv", tokens=tokens)}
        found = states("stack", lambda c: mamba(c, blocks_per_layer=2, state_size=8))
        assert 16 * sum(found) == CONFIG.layers * kept("mamba", tokens=tokens, blocks_per_layer=2, state_size=8)


def test_flashattention_holds_one_tile_of_scores(monkeypatch: pytest.MonkeyPatch) -> None:
    sizes: list[int] = []
    inner = flashattention.scores

    def seen(*arguments: object) -> torch.Tensor | None:
        found = inner(*arguments)
        sizes.append(0 if found is None else found.numel())
        return found

    monkeypatch.setattr(flashattention, "scores", seen)
    q = torch.randn(1, 3, 40, 16, generator=torch.Generator().manual_seed(0))
    flashattention.flashattention(q, q, q, block_q=8, block_k=16)
    formula = Formula(CATALOG.algorithms["flashattention"].storage.score_values)
    assert max(sizes) == formula({**MODEL, "block_q": 8, "block_k": 16, "tokens": 40})
