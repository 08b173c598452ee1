"""GKD: a student learns from the teacher's judgement of what the student itself has written.

Paper    Agarwal, Vieillard, Zhou, Stanczyk, Ramos Garea, Geist, Bachem. On-Policy Distillation of Language Models:
         Learning from Self-Generated Mistakes. ICLR 2024. arXiv:2306.13649. Section 3, Algorithm 1.
Symbols  x  (b, m)         prompts: the first tokens of a window of the text
         y  (b, l)         what follows them, from the text or drawn from the student
         P, Q (b, l, v)    next-token distributions of teacher and student after x and each beginning of y
         D_JSD(beta)       the generalized Jensen-Shannon divergence of P and Q
         lambda            student data fraction: how likely it is that a step's y is the student's own
Differs  from the paper: beta 0 and 1 mean the forward and the reverse KL divergence, as in TRL; the formula itself is 0
         there, and its limit after division by beta, or by 1 - beta, is the one or the other. The student is first
         trained on the text for a share of the steps, where the paper starts from a fine-tuned one. The mixture with
         a reward is left out.
"""

import math
from collections.abc import Iterator

import torch
from torch import Tensor, nn

from reference_impls.core.contracts import training
from reference_impls.core.generation import sample
from reference_impls.core.language import logits
from reference_impls.core.training import train_on_text_first


@training
def gkd(student: nn.Module, teacher: nn.Module | None, batches: Iterator[Tensor], *, steps: int = 500,
        student_fraction: float = 0.5, beta: float = 0.5, temperature: float = 1.0, fine_tuning: float = 0.5,
        prompt: int = 32, continuation: int = 16, learning_rate: float = 3e-3,
        generator: torch.Generator | None = None) -> nn.Module:  # fmt: skip
    """Distill `teacher` into `student`, in part on the student's own text; it is changed in place and returned.

    student, teacher: causal language models over one vocabulary; the teacher is only read. batches: token ids (batch,
    length). student_fraction: lambda. temperature: at which the student writes. fine_tuning: share of the steps, the
    first ones, that train on the next token alone. prompt: tokens of a window that are x; continuation: tokens that the
    student writes after it. generator: decides whose text a step uses, and draws the student's. Raises ValueError
    without a teacher, for shares or a beta outside [0, 1], a negative temperature, or lengths below 1.
    """
    if teacher is None:
        raise ValueError("teacher is None; GKD needs one to judge what the student writes")
    for name, value in (("student_fraction", student_fraction), ("beta", beta), ("fine_tuning", fine_tuning)):
        if not 0 <= value <= 1:
            raise ValueError(f"{name} is {value}; it must lie between 0 and 1")
    if temperature < 0:
        raise ValueError(f"temperature is {temperature}; it must not be negative")
    if prompt < 1 or continuation < 1:
        raise ValueError(f"prompt is {prompt} and continuation is {continuation}; both must be at least 1")
    teacher.eval()
    generator = generator or torch.Generator().manual_seed(0)

    def loss(student: nn.Module, ids: Tensor) -> Tensor:
        if torch.rand((), generator=generator) < student_fraction:
            # Drawn without gradients: the loss is not differentiated through the choice of y.  [eq-objective]
            ids = sample(student, ids[:, :prompt], continuation, temperature=temperature, generator=generator)
        with torch.no_grad():
            log_p = next_log_probabilities(teacher, ids, prompt)            # (b, l, v)
        log_q = next_log_probabilities(student, ids, prompt)                # (b, l, v)
        return generalized_jsd(log_p, log_q, beta).mean()                   # ()

    train_on_text_first(student, batches, steps=steps, share=fine_tuning, loss=loss, learning_rate=learning_rate)
    return student


def next_log_probabilities(model: nn.Module, ids: Tensor, prompt: int) -> Tensor:
    """Log-probabilities (b, l, v) of every token that follows the first `prompt` of ids (b, prompt + l).

    Raises ValueError where nothing follows the prompt.
    """
    if ids.shape[-1] <= prompt:
        raise ValueError(f"ids hold {ids.shape[-1]} tokens a sequence; a prompt of {prompt} leaves nothing to predict")
    z = logits(model, ids)[:, prompt - 1 : -1]                              # (b, l, v)
    return z.to(torch.promote_types(z.dtype, torch.float32)).log_softmax(dim=-1)


def generalized_jsd(log_p: Tensor, log_q: Tensor, beta: float) -> Tensor:
    """D_JSD(beta)(P || Q) in nats, (...), of log-probabilities (..., v); beta 0 is KL(P || Q), 1 is KL(Q || P).

    Symmetric at 0.5; between the ends at most the entropy of (beta, 1 - beta), which is reached where nothing is likely
    under both.  [eq-jsd]
    """
    if beta == 0:
        return kl_divergence(log_p, log_q)                                  # (...)  [eq-forward]
    if beta == 1:
        return kl_divergence(log_q, log_p)                                  # (...)  [eq-reverse]
    log_m = torch.logaddexp(log_p + math.log(beta), log_q + math.log1p(-beta))  # (..., v): beta P + (1 - beta) Q
    return beta * kl_divergence(log_p, log_m) + (1 - beta) * kl_divergence(log_q, log_m)


def kl_divergence(log_p: Tensor, log_q: Tensor) -> Tensor:
    """KL(p || q) in nats, (...), of log-probabilities (..., v)."""
    return (log_p.exp() * (log_p - log_q)).sum(dim=-1)
