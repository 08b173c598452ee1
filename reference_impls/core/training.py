"""The one training loop and the one source of batches that all trained algorithms share.

Recipe   AdamW (Loshchilov and Hutter 2019, arXiv:1711.05101), betas 0.9 and 0.95, weight decay on matrices only,
         gradient norm clipped at 1, linear warm-up, then linear decay to zero.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
from torch import Tensor, nn

from reference_impls.core.language import language_loss


def batches(ids: Tensor, *, batch: int, length: int, generator: torch.Generator) -> Iterator[Tensor]:
    """Endless random windows of a token stream.

    ids: (tokens,), int64. Yields (batch, length), int64: windows whose starts are drawn with replacement from
    `generator`. Raises ValueError where the stream is shorter than one window.
    """
    if len(ids) < length:
        raise ValueError(f"ids hold {len(ids)} tokens; a window needs {length}")

    def windows() -> Iterator[Tensor]:
        while True:
            starts = torch.randint(len(ids) - length + 1, (batch, 1), generator=generator)  # (batch, 1)
            yield ids[starts + torch.arange(length)]                                      # (batch, length)

    return windows()


def train(
    model: nn.Module,
    batches: Iterator[Tensor],
    *,
    steps: int,
    loss: Callable[[nn.Module, Tensor], Tensor] = language_loss,
    learning_rate: float = 3e-3,
    warmup: int | None = None,
    weight_decay: float = 0.1,
    progress: Callable[[int, int], None] | None = None,
) -> list[float]:
    """Train, in place, the parameters of `model` that require a gradient; return the loss of each step.

    batches: one batch a step, as `loss(model, batch) -> scalar` takes it. The `auxiliary_loss` of every module that has
    one (after the forward pass) is added to what is minimized, not to what is returned. warmup: steps until the
    learning rate is reached; None takes a tenth of `steps`, 40 at most. progress(done, steps) is called after each
    step. The model is left in evaluation mode. Raises ValueError where nothing is trainable, where `steps` is negative,
    or where the loss is no longer finite.
    """
    if steps < 0:
        raise ValueError(f"steps is {steps}; it must not be negative")
    parameters = [p for p in model.parameters() if p.requires_grad]
    if not parameters:
        raise ValueError("model has no parameter that requires a gradient")
    warmup = min(40, steps // 10) if warmup is None else warmup
    optimizer = torch.optim.AdamW(
        [
            {"params": [p for p in parameters if p.ndim >= 2], "weight_decay": weight_decay},
            {"params": [p for p in parameters if p.ndim < 2], "weight_decay": 0.0},
        ],
        lr=learning_rate,
        betas=(0.9, 0.95),
    )
    model.train()
    losses = []
    for step in range(steps):
        for group in optimizer.param_groups:
            group["lr"] = learning_rate * rate(step, steps, warmup)
        value = loss(model, next(batches))
        losses.append(value.item())
        if not torch.isfinite(value):
            raise ValueError(f"the loss is {losses[-1]} at step {step + 1}; try a learning_rate below {learning_rate}")
        (value + auxiliary_loss(model)).backward()
        torch.nn.utils.clip_grad_norm_(parameters, 1.0)
        optimizer.step()
        optimizer.zero_grad()
        if progress:
            progress(step + 1, steps)
    model.eval()
    return losses


def train_on_text_first(
    model: nn.Module,
    batches: Iterator[Tensor],
    *,
    steps: int,
    share: float,
    loss: Callable[[nn.Module, Tensor], Tensor],
    learning_rate: float,
) -> None:
    """Two trainings of `steps` steps in all: a share of them, the first ones, on the next token, the rest on `loss`.

    Each has its own warm-up and decay. For methods whose papers start from a fine-tuned model. Raises what `train`
    raises.
    """
    tuned = round(share * steps)
    if tuned:
        train(model, batches, steps=tuned, learning_rate=learning_rate)
    if steps > tuned:
        train(model, batches, steps=steps - tuned, loss=loss, learning_rate=learning_rate)


def rate(step: int, steps: int, warmup: int) -> float:
    """The learning rate of step 0 <= step < steps as a fraction of its peak: up over `warmup` steps, then down to 0."""
    if step < warmup:
        return (step + 1) / warmup
    return (steps - step) / (steps - warmup)


def auxiliary_loss(model: nn.Module) -> Tensor | float:
    """The sum of the `auxiliary_loss` attributes of all modules (a module that is used twice counts once)."""
    return sum(module.auxiliary_loss for module in model.modules() if hasattr(module, "auxiliary_loss"))
