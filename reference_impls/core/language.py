"""Language models as the algorithms see them: token ids in, logits out, and the loss of the next token."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F


def logits(model: nn.Module, ids: Tensor) -> Tensor:
    """Logits (b, n, v) of token ids (b, n), int64: of our own models and of Hugging Face's causal ones alike."""
    # Only Hugging Face's models have this method; without the switch they would build a cache that nobody reads.
    switches = {"use_cache": False} if hasattr(model, "prepare_inputs_for_generation") else {}
    output = model(ids, **switches)
    return output if isinstance(output, Tensor) else output.logits


def next_token_loss(logits: Tensor, ids: Tensor) -> Tensor:
    """Mean cross-entropy in nats, a scalar: logits (b, n, v) at position i against the token ids (b, n) at i + 1.

    The first token is context only and the last logits predict nothing: b * (n - 1) terms. Raises ValueError if n < 2.
    """
    if ids.shape[-1] < 2:
        raise ValueError(f"ids hold {ids.shape[-1]} tokens a sequence; the loss of the next token needs at least 2")
    exact = torch.promote_types(logits.dtype, torch.float32)
    return F.cross_entropy(logits[:, :-1].flatten(0, 1).to(exact), ids[:, 1:].flatten())


def language_loss(model: nn.Module, ids: Tensor) -> Tensor:
    """`next_token_loss` of a model on token ids (b, n)."""
    return next_token_loss(logits(model, ids), ids)
