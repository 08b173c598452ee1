"""Drawn things that tests of algorithms share: seeded tensors, a small Transformer, and one that learned a cycle."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor, nn

from reference_impls.core.training import batches, train
from reference_impls.core.transformer import Transformer, TransformerConfig

SMALL = TransformerConfig(vocab=16, width=16, layers=1, heads=2, kv_heads=1, ffn=24, context=16)


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def draw(seed: int, *shape: int) -> Tensor:
    """Normal numbers in 64 bit."""
    return torch.randn(*shape, dtype=torch.float64, generator=seeded(seed))


def heads(n: int) -> tuple[Tensor, Tensor, Tensor]:
    """Queries, keys and values (2, 4, n, 6) of n tokens."""
    return draw(0, 2, 4, n, 6), draw(1, 2, 4, n, 6), draw(2, 2, 4, n, 6)


def filled(module: nn.Module) -> nn.Module:
    """The module in 64 bit, every parameter drawn anew and frozen."""
    module = module.double().requires_grad_(False)
    for seed, parameter in enumerate(module.parameters()):
        parameter.copy_(draw(seed, *parameter.shape) / 3)
    return module


def cycle(seed: int = 0) -> Tensor:
    """A text that repeats 16 tokens in an order of its own."""
    return torch.randperm(16, generator=seeded(seed)).repeat(20)


def source(seed: int = 0) -> Iterator[Tensor]:
    """Batches (8, 12) of `cycle`."""
    return batches(cycle(seed), batch=8, length=12, generator=seeded(seed + 7))


def trained(seed: int = 0, steps: int = 60) -> Transformer:
    """A small model that has learned `cycle`."""
    model = Transformer(SMALL, generator=seeded(seed))
    train(model, source(seed), steps=steps, learning_rate=1e-2)
    return model


def sharpened(config: TransformerConfig, seed: int, factor: float) -> Transformer:
    """A model whose matrices are so large that its attention is far from uniform."""
    made = Transformer(config, generator=seeded(seed))
    with torch.no_grad():
        for p in made.parameters():
            if p.ndim == 2:
                p.mul_(factor)
    return made
