"""Knowledge distillation: a student learns the teacher's softened probabilities beside the true labels.

Paper    Hinton, Vinyals, Dean. Distilling the Knowledge in a Neural Network. NIPS 2014 Deep Learning Workshop.
         arXiv:1503.02531. Section 2, equations 1 to 4.
Symbols  z  (..., N)   the student's logits, q its probabilities
         v  (..., N)   the teacher's logits, p its probabilities
         N             classes: here the tokens of the vocabulary
         T             the temperature: logits are divided by it before the softmax
         alpha         the weight of the soft targets in the average; 1 - alpha is that of the labels
Differs  from the paper in what a class is: here each position of a text is a case, its label the next token, and the
         text trained on is the transfer set. The paper asks for a weighted average and names no weight for it beyond "a
         relative weight of 0.5" for the labels in its speech experiment (alpha = 2/3 here); alpha and T are options.
"""

from collections.abc import Iterator

import torch
from torch import Tensor, nn

from reference_impls.core.contracts import training
from reference_impls.core.language import logits, next_token_loss
from reference_impls.core.training import train


@training
def knowledge_distillation(student: nn.Module, teacher: nn.Module | None, batches: Iterator[Tensor], *,
                           steps: int = 150, temperature: float = 2.0, alpha: float = 0.9, learning_rate: float = 3e-3,
                           generator: torch.Generator | None = None) -> nn.Module:  # fmt: skip
    """Train `student` on the teacher's probabilities and the labels; it is changed in place and returned.

    student, teacher: causal language models over one vocabulary; the teacher is only read. batches: token ids
    (batch, length). alpha: 0 is plain training on the labels (the baseline), 1 leaves the labels out. generator: not
    used, nothing is drawn here. Raises ValueError without a teacher, for a temperature that is not positive, an alpha
    outside [0, 1], or vocabularies that differ.
    """
    if teacher is None:
        raise ValueError("teacher is None; knowledge distillation needs a model to learn from")
    if not temperature > 0:
        raise ValueError(f"temperature is {temperature}; it must be positive")
    if not 0 <= alpha <= 1:
        raise ValueError(f"alpha is {alpha}; it must lie between 0 and 1")
    teacher.eval()

    def loss(student: nn.Module, ids: Tensor) -> Tensor:
        z = logits(student, ids)                                            # (b, n, N)
        hard = next_token_loss(z, ids)                                      # ()
        if alpha == 0:
            return hard
        with torch.no_grad():
            v = logits(teacher, ids)                                        # (b, n, N)
        soft = soft_target_loss(z[:, :-1], v[:, :-1], temperature)          # ()
        # The gradient of the soft part shrinks as 1 / T^2; T^2 keeps the balance the same at every temperature.
        return alpha * temperature**2 * soft + (1 - alpha) * hard           # ()  [eq-objective]

    train(student, batches, steps=steps, loss=loss, learning_rate=learning_rate)
    return student


def soft_target_loss(z: Tensor, v: Tensor, temperature: float) -> Tensor:
    """Cross-entropy in nats of the student with the soft targets, both at `temperature`, averaged over the cases.

    z, v: logits (..., N) of student and teacher. The gradient with respect to z is (q - p) / T [eq-gradient]; for a
    high temperature and logits of zero mean it is (z - v) / (N T^2) [eq-limit]. Raises ValueError where shapes differ.
    """
    if z.shape != v.shape:
        raise ValueError(f"student logits {tuple(z.shape)} and teacher logits {tuple(v.shape)} differ in shape")
    exact = torch.promote_types(z.dtype, torch.float32)
    p = (v.to(exact) / temperature).softmax(dim=-1)                         # (..., N)  [eq-softmax]
    log_q = (z.to(exact) / temperature).log_softmax(dim=-1)                 # (..., N)  [eq-softmax]
    return -(p * log_q).sum(dim=-1).mean()                                  # ()  [eq-soft]
