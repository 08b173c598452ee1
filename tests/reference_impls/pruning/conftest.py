"""The layer that the pruning tests share: correlated inputs, a few of them large."""

import pytest
import torch
from torch import Tensor


@pytest.fixture
def layer_problem():
    """Function of (seed, out, in, tokens) -> weight (out, in), inputs (tokens, in) and fresh inputs (tokens, in)."""

    def make(seed: int = 0, rows: int = 24, columns: int = 64, tokens: int = 512) -> tuple[Tensor, Tensor, Tensor]:
        generator = torch.Generator().manual_seed(seed)
        # Values that 16 bit hold exactly, so that what is stored can be compared without a tolerance.
        weight = torch.randn(rows, columns, generator=generator).half().float()
        mix = torch.eye(columns) + 0.3 * torch.randn(columns, columns, generator=generator)
        large = torch.ones(columns)
        large[torch.randperm(columns, generator=generator)[:4]] = 10.0
        x, fresh = (torch.randn(tokens, columns, generator=generator) @ mix * large for _ in range(2))
        return weight, x, fresh

    return make


@pytest.fixture
def output_error():
    """Function of (inputs, weight, other weight) -> relative error of the layer's output."""

    def error(x: Tensor, weight: Tensor, other: Tensor) -> float:
        return (torch.linalg.norm(x @ (weight - other).T) / torch.linalg.norm(x @ weight.T)).item()

    return error
