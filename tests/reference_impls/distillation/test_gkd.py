"""GKD: the divergence has its limits, bound and symmetry, and lambda is how often the student writes."""

import copy
import itertools
import math

import pytest
import torch
from torch import nn

from reference_impls.core.contracts import contract_of, options_of
from reference_impls.core.generation import sample
from reference_impls.core.language import logits
from reference_impls.core.training import train
from reference_impls.distillation import gkd as module
from reference_impls.distillation.gkd import generalized_jsd, gkd, kl_divergence, next_log_probabilities
from reference_impls.distillation.knowledge_distillation import knowledge_distillation
from tests.reference_impls.drawn import seeded


class Table(nn.Module):
    """A language model that looks at one token back: logits (b, n, v) are rows of a table (v, v)."""

    def __init__(self, seed: int, size: int = 7) -> None:
        super().__init__()
        self.table = nn.Parameter(1.5 * torch.randn(size, size, generator=seeded(seed)))

    def forward(self, ids):
        return self.table[ids]


def pair(cases: int = 6, tokens: int = 5):
    return (torch.randn(2, cases, tokens, dtype=torch.float64, generator=seeded()) * 2).log_softmax(-1)


IDS = torch.randint(7, (3, 12), generator=seeded(3))


@pytest.mark.parametrize("beta", [0.1, 0.5, 0.8])
def test_jsd_is_the_formula_written_out(beta):
    p, q = pair()
    for case, found in enumerate(generalized_jsd(p, q, beta)):
        total = 0.0
        for a, b in zip(p[case].exp().tolist(), q[case].exp().tolist(), strict=True):
            m = beta * a + (1 - beta) * b
            total += beta * a * math.log(a / m) + (1 - beta) * b * math.log(b / m)
        assert found.item() == pytest.approx(total, rel=1e-9)


def test_jsd_is_symmetric_at_one_half_and_mirrors_elsewhere():
    p, q = pair()
    torch.testing.assert_close(generalized_jsd(p, q, 0.5), generalized_jsd(q, p, 0.5))
    torch.testing.assert_close(generalized_jsd(p, q, 0.2), generalized_jsd(q, p, 0.8))
    assert not torch.allclose(generalized_jsd(p, q, 0.2), generalized_jsd(q, p, 0.2), rtol=0.01)


def test_jsd_tends_to_forward_and_reverse_kl_and_so_do_its_gradients():
    p, q = pair()
    z = q.clone().requires_grad_(True)

    def with_gradient(value):
        return value.detach(), torch.autograd.grad(value.sum(), z)[0]

    for limit, scale, at in ((0, lambda b: b, lambda e: e), (1, lambda b: 1 - b, lambda e: 1 - e)):
        exact = with_gradient(generalized_jsd(p, z.log_softmax(-1), limit))
        errors = []
        for e in (1e-4, 1e-5):
            near = with_gradient(generalized_jsd(p, z.log_softmax(-1), at(e)) / scale(at(e)))
            errors.append([(a - b).abs().max().item() for a, b in zip(near, exact, strict=True)])
        for wide, narrow in zip(*errors, strict=True):
            assert narrow < 1e-2 and wide / narrow > 4
    torch.testing.assert_close(generalized_jsd(p, q, 0), kl_divergence(p, q))
    torch.testing.assert_close(generalized_jsd(p, q, 1), kl_divergence(q, p))


@pytest.mark.parametrize("beta", [0.1, 0.5, 0.9])
def test_jsd_is_bounded_by_the_entropy_of_beta(beta):
    bound = -beta * math.log(beta) - (1 - beta) * math.log(1 - beta)
    p, q = (50 * torch.eye(4, dtype=torch.float64)[[0, 1]]).log_softmax(-1)
    assert generalized_jsd(p, q, beta).item() == pytest.approx(bound, rel=1e-6)
    assert kl_divergence(p, q) > 40  # which has no bound
    one, two = pair(50)
    values = generalized_jsd(one, two, beta)
    assert (values > 0).all() and (values < bound).all()


@pytest.mark.parametrize("beta", [0.0, 0.3, 1.0])
def test_a_student_that_is_the_teacher_has_no_loss_and_no_gradient(beta):
    p, _ = pair()
    z = p.clone().requires_grad_(True)
    value = generalized_jsd(p, z.log_softmax(-1), beta).mean()
    value.backward()
    assert value.abs() < 1e-14 and z.grad.abs().max() < 1e-14


def test_reverse_kl_seeks_a_mode_and_forward_kl_covers_both():
    """A student that can only be one bump, under a teacher of two."""
    place = torch.arange(81.0)
    teacher = torch.logaddexp(-((place - 30) ** 2) / 8, math.log(0.6) - (place - 50) ** 2 / 8).log_softmax(-1)
    widths = {}
    for beta in (0.0, 0.5, 1.0):
        bump = torch.tensor([34.0, math.log(4.0)], requires_grad=True)
        optimizer = torch.optim.Adam([bump], lr=0.1)
        for _ in range(300):
            optimizer.zero_grad()
            student = (-((place - bump[0]) ** 2) / (2 * bump[1].exp() ** 2)).log_softmax(-1)
            generalized_jsd(teacher, student, beta).backward()
            optimizer.step()
        widths[beta] = bump[1].exp().item()
    assert widths[1.0] == pytest.approx(2, rel=0.1) and widths[0.0] == pytest.approx(10, rel=0.1)
    assert widths[1.0] <= widths[0.5] < widths[0.0]


def test_on_the_data_with_forward_kl_it_is_knowledge_distillation():
    teacher, student = Table(1), Table(2)
    twin = copy.deepcopy(student)
    knowledge_distillation(twin, teacher, itertools.repeat(IDS), steps=4, temperature=1.0, alpha=1.0)
    gkd(student, teacher, itertools.repeat(IDS), steps=4, student_fraction=0, beta=0, fine_tuning=0, prompt=1)
    torch.testing.assert_close(student.table, twin.table, rtol=1e-4, atol=1e-6)


def test_on_its_own_text_the_loss_is_that_of_the_text_drawn():
    """One step: the same text drawn beforehand gives the same update, so nothing flows through the drawing."""
    teacher, student = Table(1), Table(2)
    twin = copy.deepcopy(student)
    generator = seeded(5)
    torch.rand((), generator=generator)
    drawn = sample(twin, IDS[:, :4], 6, temperature=0.1, generator=generator)

    def loss(model, _):
        p = logits(teacher, drawn)[:, 3:-1].detach().softmax(-1)
        q = logits(model, drawn)[:, 3:-1].softmax(-1)
        m = (p + q) / 2
        return ((p * (p / m).log() + q * (q / m).log()) / 2).sum(-1).mean()

    train(twin, itertools.repeat(IDS), steps=1, loss=loss)
    gkd(student, teacher, itertools.repeat(IDS), steps=1, student_fraction=1, beta=0.5, fine_tuning=0, prompt=4,
        continuation=6, temperature=0.1, generator=seeded(5))  # fmt: skip
    torch.testing.assert_close(student.table, twin.table, rtol=1e-4, atol=1e-6)


def test_prompts_are_context_only():
    model = Table(1)
    assert torch.equal(next_log_probabilities(model, IDS, 5), model(IDS).log_softmax(-1)[:, 4:-1])
    with pytest.raises(ValueError, match="ids hold 12 tokens a sequence; a prompt of 12"):
        next_log_probabilities(model, IDS, 12)


@pytest.mark.parametrize("fraction", [0.0, 0.3, 1.0])
def test_student_writes_as_often_as_its_fraction_says(monkeypatch, fraction):
    calls = []
    monkeypatch.setattr(module, "sample", lambda model, ids, length, *, temperature, **_: calls.append(
        (ids.shape, length, temperature)) or IDS)  # fmt: skip
    gkd(Table(2), Table(1), itertools.repeat(IDS), steps=300, fine_tuning=1 / 3, student_fraction=fraction, prompt=4,
        continuation=5, temperature=0.7)  # fmt: skip
    assert len(calls) == pytest.approx(200 * fraction, abs=20 * (0 < fraction < 1))
    assert set(calls) <= {((3, 4), 5, 0.7)}


def test_fine_tuning_comes_first():
    student, plain = Table(2), Table(2)
    train(plain, itertools.repeat(IDS), steps=5)
    gkd(student, Table(1), itertools.repeat(IDS), steps=5, fine_tuning=1.0)
    assert torch.equal(student.table, plain.table)


def test_contract_and_refusals():
    assert contract_of(gkd).kind == "training" and contract_of(gkd).student == "small"
    assert list(options_of(gkd)) == ["steps", "student_fraction", "beta", "temperature", "fine_tuning", "prompt",
                                     "continuation", "learning_rate"]  # fmt: skip
    batches, model = itertools.repeat(IDS), Table(1)
    with pytest.raises(ValueError, match="teacher is None"):
        gkd(model, None, batches)
    for options in ({"student_fraction": 1.1}, {"beta": -0.1}, {"fine_tuning": 2}, {"temperature": -1}, {"prompt": 0},
                    {"continuation": 0}):  # fmt: skip
        ((name, value),) = options.items()
        with pytest.raises(ValueError, match=f"{name} is {value}"):
            gkd(model, model, batches, **options)
