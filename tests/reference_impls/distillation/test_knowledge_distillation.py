"""Distillation is what its paper says: its gradients, its limits, and what soft targets teach that labels do not."""

import copy
import itertools
import math

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from reference_impls.core.contracts import contract_of, options_of
from reference_impls.core.language import language_loss, logits
from reference_impls.core.training import batches, train
from reference_impls.core.transformer import Transformer, TransformerConfig
from reference_impls.distillation.knowledge_distillation import knowledge_distillation, soft_target_loss
from tests.reference_impls.drawn import seeded

SMALL = TransformerConfig(vocab=12, width=16, layers=1, heads=2, kv_heads=1, ffn=16, context=16)


class Table(nn.Module):
    """A language model that looks at one token back: logits (b, n, v) are rows of a table (v, v)."""

    def __init__(self, table: torch.Tensor) -> None:
        super().__init__()
        self.table = nn.Parameter(table.clone())

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        return self.table[ids]


def pair(cases: int = 5, classes: int = 7) -> tuple[torch.Tensor, torch.Tensor]:
    generator = seeded(0)
    z, v = (torch.randn(cases, classes, dtype=torch.float64, generator=generator) * 2 for _ in range(2))
    return z.requires_grad_(True), v


def gradient(z: torch.Tensor, v: torch.Tensor, temperature: float) -> torch.Tensor:
    """dC/dz of each case: the loss is a mean over the cases."""
    return torch.autograd.grad(soft_target_loss(z, v, temperature), z)[0] * len(z)


@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.0, 20.0])
def test_gradient_is_equation_2_written_out(temperature):
    z, v = pair()
    expected = torch.empty_like(z)
    for case in range(len(z)):
        q = [math.exp(value / temperature) for value in z[case].tolist()]
        p = [math.exp(value / temperature) for value in v[case].tolist()]
        expected[case] = torch.tensor(
            [(a / sum(q) - b / sum(p)) / temperature for a, b in zip(q, p, strict=True)], dtype=torch.float64
        )
    torch.testing.assert_close(gradient(z, v, temperature), expected, rtol=1e-9, atol=1e-12)


def test_high_temperature_limit_is_the_matching_of_logits():
    """Equation 4: with logits of zero mean, N T^2 dC/dz tends to z - v; the rest falls as 1 / T."""
    z, v = pair()
    z = (z - z.mean(dim=-1, keepdim=True)).detach().requires_grad_(True)
    v = v - v.mean(dim=-1, keepdim=True)
    rests = []
    for temperature in (1e3, 1e4, 1e5):
        scaled = z.shape[-1] * temperature**2 * gradient(z, v, temperature)
        rests.append((scaled - (z - v)).abs().max().item())
    assert rests[2] < 2e-4 and rests[0] / rests[1] == pytest.approx(10, rel=0.01)
    assert rests[1] / rests[2] == pytest.approx(10, rel=0.01)


def test_equals_the_kl_divergence_up_to_the_teachers_entropy():
    z, v = pair()
    p = (v / 3).softmax(dim=-1)
    divergence = F.kl_div((z / 3).log_softmax(dim=-1), p, reduction="batchmean")
    entropy = -(p * p.log()).sum(dim=-1).mean()
    torch.testing.assert_close(soft_target_loss(z, v, 3.0), divergence + entropy, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(gradient(z, v, 3.0), torch.autograd.grad(divergence, z)[0] * len(z))


def test_temperature_squared_keeps_the_size_of_the_gradient():
    z, v = pair()
    plain = {t: gradient(z, v, t).norm().item() for t in (10.0, 20.0, 40.0)}
    for low, high in ((10.0, 20.0), (20.0, 40.0)):
        assert plain[low] / plain[high] == pytest.approx(4, rel=0.25)
        assert low**2 * plain[low] == pytest.approx(high**2 * plain[high], rel=0.25)


@pytest.mark.parametrize("temperature, alpha", [(1.0, 1.0), (2.0, 0.9), (5.0, 0.3)])
def test_training_minimizes_the_weighted_average_with_temperature_squared(temperature, alpha):
    """The whole objective, seen through the parameters after two steps against the same loss written with kl_div."""
    ids = torch.randint(12, (3, 9), generator=seeded(1))
    teacher = Transformer(SMALL, generator=seeded(2))
    teacher.embedding.weight.data *= 20
    student = Transformer(SMALL, generator=seeded(3))
    twin = copy.deepcopy(student)

    def objective(model, ids):
        z, v = model(ids)[:, :-1].flatten(0, 1), teacher(ids)[:, :-1].flatten(0, 1).detach()
        soft = F.kl_div((z / temperature).log_softmax(-1), (v / temperature).softmax(-1), reduction="batchmean")
        return alpha * temperature**2 * soft + (1 - alpha) * F.cross_entropy(z, ids[:, 1:].flatten())

    train(twin, iter([ids, ids]), steps=2, loss=objective, learning_rate=1e-2)
    knowledge_distillation(student, teacher, iter([ids, ids]), steps=2, temperature=temperature, alpha=alpha,
                           learning_rate=1e-2)  # fmt: skip
    for ours, theirs in zip(student.parameters(), twin.parameters(), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-5)


def test_alpha_zero_is_plain_training_step_for_step():
    teacher = Transformer(SMALL, generator=seeded(2))
    student = Transformer(SMALL, generator=seeded(3))
    plain = copy.deepcopy(student)
    stream = torch.randint(12, (100,), generator=seeded(1))
    train(plain, batches(stream, batch=2, length=8, generator=seeded(4)), steps=5)
    same = knowledge_distillation(student, teacher, batches(stream, batch=2, length=8, generator=seeded(4)), steps=5,
                                  alpha=0.0, temperature=7.0)  # fmt: skip
    assert same is student
    assert all(torch.equal(a, b) for a, b in zip(student.parameters(), plain.parameters(), strict=True))


def test_teacher_is_only_read_and_in_evaluation_mode():
    class Watched(Transformer):
        def forward(self, ids):
            assert not self.training and not torch.is_grad_enabled()
            return super().forward(ids)

    teacher = Watched(SMALL, generator=seeded(2)).train()
    before = copy.deepcopy(teacher.state_dict())
    student = Transformer(SMALL, generator=seeded(3))
    source = itertools.repeat(torch.randint(12, (2, 8), generator=seeded(1)))
    knowledge_distillation(student, teacher, source, steps=3)
    assert all(p.grad is None for p in teacher.parameters())
    assert all(torch.equal(value, before[name]) for name, value in teacher.state_dict().items())


def test_a_perfect_student_is_a_fixed_point_of_the_soft_targets():
    z, _ = pair()
    assert gradient(z, z.detach(), 4.0).abs().max() < 1e-15


def test_uniform_teacher_teaches_nothing():
    """Counter-example: the labels are perfectly regular, yet the soft targets alone leave the student at chance."""
    generator = seeded(0)
    teacher, student = Table(torch.zeros(12, 12)), Table(torch.randn(12, 12, generator=generator))
    cycle = torch.arange(12).repeat(20)
    source = batches(cycle, batch=8, length=16, generator=generator)
    knowledge_distillation(student, teacher, source, steps=300, alpha=1.0, learning_rate=0.1)
    assert language_loss(student, cycle[None]).item() == pytest.approx(math.log(12), abs=0.02)
    learned = Table(torch.zeros(12, 12))
    train(learned, source, steps=300, learning_rate=0.1)
    assert language_loss(learned, cycle[None]).item() < 0.5


def test_soft_targets_beat_labels_over_six_seeds():
    """The paper's claim in small: the same student, text and steps; the true process is known, so the loss is exact."""
    for seed in range(6):
        generator = seeded(seed)
        teacher = Table(1.5 * torch.randn(32, 32, generator=generator))
        rows = teacher.table.detach().softmax(dim=-1)
        stream = [0]
        for _ in range(256):
            stream.append(int(torch.multinomial(rows[stream[-1]], 1, generator=generator)))
        losses = []
        for alpha in (0.0, 0.9):
            student = Table(torch.zeros(32, 32))
            source = batches(torch.tensor(stream), batch=8, length=16, generator=seeded(100 + seed))
            knowledge_distillation(student, teacher, source, steps=100, alpha=alpha, learning_rate=0.1)
            losses.append(-(rows * student.table.detach().log_softmax(dim=-1)).sum(dim=-1).mean().item())
        hard, soft = losses
        entropy = -(rows * rows.log()).sum(dim=-1).mean().item()
        assert entropy < soft < hard - 0.3


def test_teaches_tokens_that_never_occur_in_the_text():
    """The paper's omitted digit: no label ever names token 3, the soft targets alone make it likely."""
    teacher = Table(torch.zeros(8, 8))
    teacher.table.data[:, 3] = 1.0
    stream = torch.randint(3, (200,), generator=seeded(0))
    likely = {}
    for alpha in (0.0, 1.0):
        student = Table(torch.zeros(8, 8))
        source = batches(stream, batch=8, length=16, generator=seeded(1))
        knowledge_distillation(student, teacher, source, steps=100, alpha=alpha, learning_rate=0.1)
        likely[alpha] = logits(student, stream[None]).softmax(dim=-1)[..., 3].mean().item()
    assert likely[0.0] < 0.02
    assert likely[1.0] == pytest.approx(math.e / (math.e + 7), abs=0.02)


def test_contract_and_refusals():
    assert contract_of(knowledge_distillation).kind == "training"
    assert list(options_of(knowledge_distillation)) == ["steps", "temperature", "alpha", "learning_rate"]
    student, teacher = Table(torch.zeros(4, 4)), Table(torch.zeros(5, 5))
    ids = itertools.repeat(torch.tensor([[0, 1, 2]]))
    with pytest.raises(ValueError, match="teacher is None"):
        knowledge_distillation(student, None, ids, steps=1)
    with pytest.raises(ValueError, match=r"\(1, 2, 4\) and teacher logits \(1, 2, 5\)"):
        knowledge_distillation(student, teacher, ids, steps=1)
    with pytest.raises(ValueError, match="temperature is 0"):
        knowledge_distillation(student, student, ids, steps=1, temperature=0)
    with pytest.raises(ValueError, match="alpha is 1.5"):
        knowledge_distillation(student, student, ids, steps=1, alpha=1.5)
