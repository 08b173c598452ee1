"""MiniLLM's gradient, summed over every possible response, is that of the reverse KL divergence of whole responses."""

import copy
import itertools
import math

import pytest
import torch
from torch import nn

from reference_impls.core.contracts import contract_of, options_of
from reference_impls.core.generation import sample
from reference_impls.core.language import language_loss
from reference_impls.core.training import train
from reference_impls.distillation import minillm as module
from reference_impls.distillation.gkd import next_log_probabilities
from reference_impls.distillation.minillm import minillm, surrogate
from tests.reference_impls.drawn import seeded

TOKENS, LENGTH = 3, 4


class Table(nn.Module):
    """A language model that looks at two tokens back: logits (b, n, v) are entries of a table (v, v, v)."""

    def __init__(self, seed: int, size: int = TOKENS) -> None:
        super().__init__()
        self.table = nn.Parameter(torch.randn(size, size, size, generator=seeded(seed), dtype=torch.float64))

    def forward(self, ids):
        before = torch.cat([ids[:, :1], ids[:, :-1]], dim=1)
        return self.table[before, ids]


def everything(length: int = LENGTH) -> torch.Tensor:
    """Every response of `length` tokens to one prompt: ids (v ** length, 2 + length)."""
    responses = torch.tensor(list(itertools.product(range(TOKENS), repeat=length)))
    return torch.cat([torch.tensor([[1, 2]]).expand(len(responses), 2), responses], dim=1)


def chances(model: nn.Module, ids: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Log-probabilities (responses, length, v), and those of the tokens that stand there, (responses, length)."""
    log = next_log_probabilities(model, ids, 2)
    return log, log.gather(-1, ids[:, 2:, None]).squeeze(-1)


def reverse_kl_gradient(student: Table, teacher: Table, length: int = LENGTH) -> torch.Tensor:
    ids = everything(length)
    (_, log_q), (_, log_p) = chances(student, ids), chances(teacher, ids)
    q, p = log_q.sum(1), log_p.sum(1)
    assert q.exp().sum().item() == pytest.approx(1)
    return torch.autograd.grad((q.exp() * (q - p)).sum(), student.table)[0]


def expected_gradient(student: Table, teacher: Table, mix: float, length: int = LENGTH, estimator=surrogate,
                      **options) -> torch.Tensor:  # fmt: skip
    """The estimator's gradient under the mixture, by enumeration."""
    ids = everything(length)
    (log_q, q), (log_p, p) = chances(student, ids), chances(teacher, ids)
    chance = (mix * p.exp() + (1 - mix) * q.exp()).prod(dim=1).detach()
    found = estimator(log_q, log_p, ids[:, 2:], mix, **options)
    return torch.autograd.grad((chance * found).sum(), student.table)[0]


@pytest.mark.parametrize("mix, length", [(0.0, LENGTH), (0.0, 2), (0.2, 1), (0.7, 1), (1.0, 1)])
def test_expected_gradient_is_that_of_the_reverse_kl_of_whole_responses(mix, length):
    """Responses from the student itself, of any length; from a mixture for one token, where the weights are exact."""
    student, teacher = Table(1), Table(2)
    found = expected_gradient(student, teacher, mix, length, length_normalization=False)
    torch.testing.assert_close(found, reverse_kl_gradient(student, teacher, length), rtol=1e-9, atol=1e-12)


def test_products_of_weights_up_to_a_step_are_not_enough_under_a_mixture():
    """Equation 5 with its own weights is biased; each reward weighted by the product up to itself is not."""
    student, teacher, mix = Table(1), Table(2), 0.5
    exact = reverse_kl_gradient(student, teacher)

    def estimator(log_q, log_p, y, mix, up_to_the_reward):
        chosen, p = (log.gather(-1, y[..., None]).squeeze(-1) for log in (log_q, log_p.detach()))
        q = chosen.detach()
        w = (q - (mix * p.exp() + (1 - mix) * q.exp()).log()).cumsum(1).exp()
        single = (log_q.exp() * (log_q - log_p.detach())).sum(-1)
        r = (p - q) * (w if up_to_the_reward else 1)
        later = r.flip(1).cumsum(1).flip(1) - r
        return (w * single - (1 if up_to_the_reward else w) * later * chosen).sum(1)

    for up_to_the_reward in (True, False):
        found = expected_gradient(student, teacher, mix, estimator=estimator, up_to_the_reward=up_to_the_reward)
        distance = (found - exact).norm() / exact.norm()
        assert distance < 1e-12 if up_to_the_reward else 0.05 < distance < 1


def test_weights_of_one_step_and_length_normalization_are_approximations():
    """Without a mixture the weights are 1 and only length normalization is in the way; with one, both are."""
    student, teacher = Table(1), Table(2)
    exact = reverse_kl_gradient(student, teacher)

    def distance(mix, **options):
        return ((expected_gradient(student, teacher, mix, **options) - exact).norm() / exact.norm()).item()

    assert distance(0.0, length_normalization=False) < 1e-12
    assert 0.01 < distance(0.5, length_normalization=False) < 0.5
    assert 0.01 < distance(0.0, length_normalization=True) < 0.7


def test_surrogate_is_equations_5_and_6_written_as_loops():
    student, teacher, mix = Table(1), Table(2), 0.3
    ids = everything()[37:38]
    (log_q, _), (log_p, _) = chances(student, ids), chances(teacher, ids)
    y = ids[0, 2:].tolist()
    for normalized in (True, False):
        objective = 0.0
        q, p = log_q[0].exp(), log_p[0].exp().detach()
        r = [math.log(p[t, y[t]].item() / q[t, y[t]].item()) for t in range(LENGTH)]
        for t in range(LENGTH):
            w = q[t, y[t]].item() / (mix * p[t, y[t]].item() + (1 - mix) * q[t, y[t]].item())
            single = sum(q[t, v] * (p[t, v] / q[t, v]).log() for v in range(TOKENS))
            later = r[t + 1 :]
            R = sum(later) / (max(1, len(later)) if normalized else 1)
            objective = objective - w * (single + R * q[t, y[t]] / q[t, y[t]].item())
        wanted = torch.autograd.grad(objective, student.table, retain_graph=True)[0]
        found = surrogate(log_q, log_p, ids[:, 2:], mix, normalized).sum()
        torch.testing.assert_close(torch.autograd.grad(found, student.table, retain_graph=True)[0], wanted)


def test_single_step_decomposition_lowers_the_variance():
    """Against the plain policy gradient of equation 2, which draws the present step's reward as well."""
    student, teacher, ids = Table(1), Table(2), everything()
    (log_q, q), (log_p, p) = chances(student, ids), chances(teacher, ids)
    chance = q.sum(1).exp().detach()
    R = (p - q).detach().flip(1).cumsum(1).flip(1)
    plain = -((R - 1) * q).sum(1)
    ours = surrogate(log_q, log_p, ids[:, 2:], 0.0, length_normalization=False)
    means, spreads = [], []
    for estimator in (plain, ours):
        rows = [torch.autograd.grad(one, student.table, retain_graph=True)[0].flatten() for one in estimator]
        each = torch.stack(rows)
        means.append(chance @ each)
        spreads.append((chance @ (each - means[-1]).square()).sum().item())
    torch.testing.assert_close(means[0], means[1])
    assert spreads[1] < 0.8 * spreads[0]


def test_a_student_that_is_the_teacher_has_no_gradient_on_any_response():
    student = Table(1)
    teacher = copy.deepcopy(student)
    log_q, log_p = chances(student, everything())[0], chances(teacher, everything())[0]
    for one in surrogate(log_q, log_p, everything()[:, 2:], 0.2)[::9]:
        assert torch.autograd.grad(one, student.table, retain_graph=True)[0].abs().max() < 1e-12


def test_one_step_of_training_is_the_surrogate_a_token_plus_the_text():
    teacher, student = Table(2), Table(1)
    twin = copy.deepcopy(student)
    ids = torch.randint(TOKENS, (4, 8), generator=seeded(3))
    drawn = sample(twin, ids[:, :2], 5, other=teacher, weight=0.4, generator=seeded(5))

    def loss(model, ids):
        log_q, log_p = next_log_probabilities(model, drawn, 2), next_log_probabilities(teacher, drawn, 2)
        return surrogate(log_q, log_p, drawn[:, 2:], 0.4).mean() / 5 + 0.5 * language_loss(model, ids)

    train(twin, iter([ids]), steps=1, loss=loss)
    minillm(student, teacher, iter([ids]), steps=1, teacher_mix=0.4, text_weight=0.5, fine_tuning=0, prompt=2,
            continuation=5, generator=seeded(5))  # fmt: skip
    torch.testing.assert_close(student.table, twin.table)
    assert teacher.table.grad is None


def test_brings_whole_responses_closer():
    """With no text at all: the divergence over all responses, exact by enumeration, falls."""
    teacher, student = Table(2), Table(1)

    def divergence():
        (_, q), (_, p) = chances(student, everything()), chances(teacher, everything())
        return (q.sum(1).exp() * (q - p).sum(1)).sum().item()

    before = divergence()
    prompts = itertools.repeat(torch.tensor([[1, 2]]).expand(16, 2))
    # language_loss sees the two tokens of the prompt only, with weight 0.
    minillm(student, teacher, prompts, steps=60, text_weight=0, fine_tuning=0, prompt=2, continuation=LENGTH,
            learning_rate=0.05, generator=seeded())  # fmt: skip
    assert divergence() < before / 5


def test_fine_tuning_comes_first(monkeypatch):
    ids = torch.randint(TOKENS, (4, 8), generator=seeded(3))
    student, plain = Table(1), Table(1)
    train(plain, itertools.repeat(ids), steps=5)
    minillm(student, Table(2), itertools.repeat(ids), steps=5, fine_tuning=1.0)
    assert torch.equal(student.table, plain.table)
    calls = []
    monkeypatch.setattr(module, "sample", lambda model, start, *_, **__: calls.append(1) or ids)
    minillm(student, Table(2), itertools.repeat(ids), steps=10, fine_tuning=0.7, prompt=2, continuation=6)
    assert len(calls) == 3


def test_contract_and_refusals():
    assert contract_of(minillm).kind == "training" and contract_of(minillm).student == "small"
    assert list(options_of(minillm)) == ["steps", "teacher_mix", "length_normalization", "text_weight", "fine_tuning",
                                         "prompt", "continuation", "learning_rate"]  # fmt: skip
    batches, model = itertools.repeat(torch.zeros(2, 8, dtype=torch.int64)), Table(1)
    with pytest.raises(ValueError, match="teacher is None"):
        minillm(model, None, batches)
    for options in ({"teacher_mix": 1.5}, {"fine_tuning": -1}, {"text_weight": -0.5}, {"prompt": 0},
                    {"continuation": 0}):  # fmt: skip
        ((name, value),) = options.items()
        with pytest.raises(ValueError, match=f"{name} is {value}"):
            minillm(model, model, batches, **options)
