"""Puts an attention method (query, key, value -> output) in the place of a Hugging Face model's own attention."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from itertools import count
from typing import Any

from torch import Tensor, nn

_COUNT = count()


class CannotReplaceAttention(ValueError):
    """The model's attention is not softmax attention over the whole past, or cannot be exchanged."""


def replace_attention(model: nn.Module, name: str, method: Callable[..., Tensor], options: dict[str, Any]) -> None:
    """From now on every attention layer of `model` computes with method(query, key, value, causal=, scale=, **options).

    query (b, h, n, d), key and value (b, h, m, d); key-value heads that serve several query heads are repeated first.
    Raises CannotReplaceAttention for a model whose attention transformers cannot exchange.
    """
    if not hasattr(model, "set_attn_implementation"):
        raise CannotReplaceAttention(f"{type(model).__name__} is no Hugging Face model; its attention is fixed")
    if getattr(model.config, "sliding_window", None) and getattr(model.config, "use_sliding_window", True):
        raise CannotReplaceAttention(f"{type(model).__name__} attends to a sliding window, {name} to the whole past")
    from transformers import AttentionInterface

    key = f"compzoo-{next(_COUNT)}"  # not the method's name: transformers reads a meaning into names such as flash...
    AttentionInterface.register(key, partial(_attend, method=partial(method, **options), name=name))
    model.set_attn_implementation(key)
    if model.config._attn_implementation != key:
        raise CannotReplaceAttention(f"transformers cannot exchange the attention of {type(model).__name__}")


def _attend(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    *,
    method: Callable[..., Tensor],
    name: str,
    scaling: float | None = None,
    dropout: float = 0.0,
    **_: Any,
) -> tuple[Tensor, None]:
    """As transformers calls an attention function: (b, h, n, d) in, (b, n, h, d) out. No mask means causal."""
    if attention_mask is not None:
        raise CannotReplaceAttention(f"{name} takes no mask besides the causal one; run it on text without padding")
    repeats = query.shape[1] // key.shape[1]
    if repeats > 1:
        key, value = key.repeat_interleave(repeats, dim=1), value.repeat_interleave(repeats, dim=1)
    output = method(query, key, value, causal=query.shape[2] > 1, scale=scaling)  # (b, h, n, d)
    return output.transpose(1, 2).contiguous(), None
