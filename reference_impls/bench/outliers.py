"""The outlier variant: a rewrite that gives a small model the activation outliers of a large one, not another function.

In every block, a few channels of each norm's gain are multiplied by a factor and the columns of the linear layers that
read them are divided by it. Small models have no such channels of their own; methods that quantize activations, or
weigh weights by their inputs, need them to show what they are for. SmoothQuant undoes exactly this rewrite.
"""

from __future__ import annotations

import torch
from torch import nn

from reference_impls.core.model_view import ModelView

CHANNELS = 4
FACTOR = 100


@torch.no_grad()
def add_outliers(model: nn.Module, channels: int = CHANNELS, factor: float = FACTOR) -> None:
    """Rewrite `model` in place; the same evenly spaced channels in every block, as large models have them.

    Raises ValueError where there are fewer channels than asked for, or a norm cannot be rewritten.
    """
    for block in ModelView(model).blocks:
        for norm, readers in block.smoothable:
            width = readers[0].shape[1]
            if not 0 < channels <= width:
                raise ValueError(f"channels is {channels}; the model has {width}")
            scale = torch.ones(width)
            scale[torch.arange(channels) * (width // channels) + width // channels // 2] = factor
            norm.divide(1 / scale)
            for linear in readers:
                linear.weight = linear.weight / scale.to(linear.weight)
