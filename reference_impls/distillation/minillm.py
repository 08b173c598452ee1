"""MiniLLM: a student minimizes its reverse KL divergence from the teacher over whole texts, by policy gradient.

Paper    Gu, Dong, Wei, Huang. MiniLLM: Knowledge Distillation of Large Language Models. ICLR 2024. arXiv:2306.08543.
         Section 2, equations 1 to 6, Algorithm 1.
Symbols  x      (b, m)      prompts: the first tokens of a window of the text
         y      (b, T)      responses, drawn from p~
         q, p   (b, T, v)   next-token distributions of the student and of the teacher
         p~                 alpha p + (1 - alpha) q: what the responses are drawn from  [eq-mixed]
         r_t    (b, T)      log p(y_t) - log q(y_t): the reward of a step
         R_t+1  (b, T)      the rewards of the steps after t, summed, or averaged by length normalization
         w_t    (b, T)      importance weights, q(y_t) / p~(y_t)
Differs  from the paper: one update for each batch of responses, so the ratio of new to old probabilities is 1 and its
         clipping has nothing to do; the authors' code takes several updates and clips. R is divided by the number of
         rewards in it, T - t; equation 6 prints T - t - 1, which is 0 for t = T - 1. Equation 5 calls its estimate
         unbiased; under a mixture it is not, since rewards to come are drawn from the mixture as well (test). All
         responses are equally long. The windows of the batch serve as the text of L_PT. The paper starts from a
         fine-tuned student; here the first share of the steps is that fine-tuning.
"""

from collections.abc import Iterator

import torch
from torch import Tensor, nn

from reference_impls.core.contracts import training
from reference_impls.core.generation import sample
from reference_impls.core.language import language_loss
from reference_impls.core.training import train_on_text_first
from reference_impls.distillation.gkd import kl_divergence, next_log_probabilities


@training
def minillm(student: nn.Module, teacher: nn.Module | None, batches: Iterator[Tensor], *, steps: int = 500,
            teacher_mix: float = 0.2, length_normalization: bool = True, text_weight: float = 1.0,
            fine_tuning: float = 0.7, prompt: int = 32, continuation: int = 16, learning_rate: float = 3e-3,
            generator: torch.Generator | None = None) -> nn.Module:  # fmt: skip
    """Distill `teacher` into `student` on responses drawn from both; it is changed in place and returned.

    student, teacher: causal language models over one vocabulary; the teacher is only read. batches: token ids (batch,
    length). teacher_mix: alpha, the teacher's share in what responses are drawn from. text_weight: of the language loss
    on the text itself. fine_tuning: share of the steps, the first ones, that train on the next token alone. prompt:
    tokens of a window that are x; continuation: T. length_normalization: divide what a response earns later by how much
    of it is left. generator: draws the responses. Raises ValueError without a teacher,
    for shares outside [0, 1], a negative weight, or lengths below 1.
    """
    if teacher is None:
        raise ValueError("teacher is None; MiniLLM draws from one and is rewarded by it")
    for name, value in (("teacher_mix", teacher_mix), ("fine_tuning", fine_tuning)):
        if not 0 <= value <= 1:
            raise ValueError(f"{name} is {value}; it must lie between 0 and 1")
    if text_weight < 0:
        raise ValueError(f"text_weight is {text_weight}; it must not be negative")
    if prompt < 1 or continuation < 1:
        raise ValueError(f"prompt is {prompt} and continuation is {continuation}; both must be at least 1")
    teacher.eval()
    generator = generator or torch.Generator().manual_seed(0)

    def loss(student: nn.Module, ids: Tensor) -> Tensor:
        drawn = sample(student, ids[:, :prompt], continuation, other=teacher, weight=teacher_mix, generator=generator)
        with torch.no_grad():
            log_p = next_log_probabilities(teacher, drawn, prompt)          # (b, T, v)
        log_q = next_log_probabilities(student, drawn, prompt)              # (b, T, v)
        y = drawn[:, prompt:]                                               # (b, T)
        found = surrogate(log_q, log_p, y, teacher_mix, length_normalization).mean() / continuation  # ()
        return found + text_weight * language_loss(student, ids)            # ()  [eq-final]

    train_on_text_first(student, batches, steps=steps, share=fine_tuning, loss=loss, learning_rate=learning_rate)
    return student


def surrogate(log_q: Tensor, log_p: Tensor, y: Tensor, teacher_mix: float = 0.0,
              length_normalization: bool = True) -> Tensor:  # fmt: skip
    """A scalar for each response, (b,), whose gradient estimates that of KL(q || p) over whole responses [eq-reverse].

    log_q, log_p: log-probabilities (b, T, v) of student and teacher at each step of the responses y (b, T), which were
    drawn from the mixture. Without a mixture and without length normalization the expected gradient is exact; the value
    itself is not the divergence. Gradients flow through log_q where the equations differentiate, and nowhere else.
    """
    chosen_q, chosen_p = (log.gather(-1, y[..., None]).squeeze(-1) for log in (log_q, log_p))  # (b, T) each
    q, p = chosen_q.detach(), chosen_p.detach()                             # (b, T) each
    w = q.exp() / (teacher_mix * p.exp() + (1 - teacher_mix) * q.exp())     # (b, T)  [eq-weights]
    single = kl_divergence(log_q, log_p.detach())                           # (b, T): minus E[r_t], exact  [eq-single]
    r = p - q                                                               # (b, T)
    R = r.flip(1).cumsum(dim=1).flip(1) - r                                 # (b, T): from t + 1 on
    if length_normalization:
        later = torch.arange(r.shape[1] - 1, -1, -1, device=r.device)       # (T,): rewards that R sums up
        R = R / later.clamp(min=1)                                          # (b, T)  [eq-length]
    return (w * (single - R * chosen_q)).sum(dim=1)                         # (b,)  [eq-long]

