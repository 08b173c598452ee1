"""MiniLM's loss is its paper's, looks at the last attention alone, and does not ask for equal widths."""

import copy
import itertools
import math

import pytest
import torch

from reference_impls.core.contracts import contract_of, options_of
from reference_impls.core.internals import Recorder
from reference_impls.core.training import train
from reference_impls.core.transformer import Transformer, TransformerConfig
from reference_impls.distillation.minilm import minilm, relation_divergence, transfer_loss
from tests.reference_impls.drawn import seeded, sharpened

WIDE = TransformerConfig(vocab=12, width=32, layers=3, heads=2, kv_heads=1, ffn=24, context=16)
SMALL = TransformerConfig(vocab=12, width=16, layers=2, heads=2, kv_heads=2, ffn=16, context=16)


def model(config: TransformerConfig, seed: int) -> Transformer:
    return sharpened(config, seed, 12)


IDS = torch.randint(12, (2, 7), generator=seeded(0))


def softmax_row(scores: list[float]) -> list[float]:
    exps = [math.exp(score) for score in scores]
    return [e / sum(exps) for e in exps]


def loop(S, T, relations: str) -> float:
    """The two losses of Section 3, number by number."""
    b, heads, n, _ = S.queries[-1].shape

    def row(left, right, i, a, t):
        width = left.shape[-1]
        return softmax_row([(left[i, a, t] @ right[i, a, s]).item() / math.sqrt(width) for s in range(t + 1)])

    total = 0.0
    for i, a, t in itertools.product(range(b), range(heads), range(n)):
        pairs = []
        if relations != "values":
            pairs.append([row(m.queries[-1], m.keys[-1], i, a, t) for m in (T, S)])
        if relations != "attention":
            pairs.append([row(m.values[-1], m.values[-1], i, a, t) for m in (T, S)])
        total += sum(p * math.log(p / q) for teacher, own in pairs for p, q in zip(teacher, own, strict=True))
    return total / (b * heads * n)


@pytest.mark.parametrize("relations", ["both", "attention", "values"])
def test_equals_the_paper_written_as_loops_for_unequal_widths(relations):
    with torch.no_grad():
        S, T = Recorder(model(SMALL, 1).double())(IDS), Recorder(model(WIDE, 2).double())(IDS)
        assert S.values[-1].shape[-1] == 8 and T.values[-1].shape[-1] == 16
        value = transfer_loss(S, T, relations).item()
    assert value > 0.05
    assert value == pytest.approx(loop(S, T, relations), rel=1e-6)


def test_student_that_is_the_teacher_has_no_loss_and_no_gradient():
    teacher = model(WIDE, 2).double()
    student = copy.deepcopy(teacher)
    value = transfer_loss(Recorder(student)(IDS), Recorder(teacher)(IDS))
    value.backward()
    assert value.abs() < 1e-14
    assert all(p.grad is None or p.grad.abs().max() < 1e-12 for p in student.parameters())
    assert student.blocks[-1].attention.value.weight.grad is not None


def test_only_the_last_attention_matters():
    """What stands after the last values, and what a rotation of them changes, is not seen; earlier layers are free."""
    teacher = model(WIDE, 2).double()
    student = copy.deepcopy(teacher)
    with torch.no_grad():
        last = student.blocks[-1]
        last.attention.output.weight.zero_()
        last.feed_forward.down.weight.zero_()
        turned = torch.linalg.qr(torch.randn(16, 16, dtype=torch.float64, generator=seeded(3)))[0]
        last.attention.value.weight.copy_(turned @ last.attention.value.weight)
    value = transfer_loss(Recorder(student)(IDS), Recorder(teacher)(IDS))
    assert value.abs() < 1e-12 and not torch.allclose(student(IDS), teacher(IDS))
    with torch.no_grad():
        last.attention.key.weight.mul_(1.1)
    assert transfer_loss(Recorder(student)(IDS), Recorder(teacher)(IDS)) > 1e-4


def test_divergence_is_of_the_teacher_from_the_student():
    """A row where the teacher is sure and the student is not: log 2, and the other way round it would be far more."""
    student = torch.zeros(1, 1, 2, 2)
    teacher = torch.tensor([[[[0.0, 0.0], [20.0, 0.0]]]])
    assert relation_divergence(student, teacher).item() == pytest.approx(math.log(2) / 2, rel=1e-4)
    assert relation_divergence(teacher, student).item() > 4


def test_tokens_to_come_are_not_seen():
    teacher, student = model(WIDE, 2), model(SMALL, 1)
    both = IDS.clone()
    both[:, 4:] = (both[:, 4:] + 1) % 12
    with torch.no_grad():
        values = []
        for ids in (IDS, both):
            S, T = Recorder(student)(ids), Recorder(teacher)(ids)
            for inside in (S, T):
                for part in (inside.queries, inside.keys, inside.values):
                    part[-1] = part[-1][:, :, :4]
            values.append(transfer_loss(S, T).item())
    assert values[0] == pytest.approx(values[1], rel=1e-5)


def test_training_goes_from_imitation_to_text():
    teacher, student = model(WIDE, 2), model(SMALL, 1)
    before = copy.deepcopy(student)
    frozen = copy.deepcopy(teacher.state_dict())
    with torch.no_grad():
        at_first = transfer_loss(Recorder(student)(IDS), Recorder(teacher)(IDS)).item()
    minilm(student, teacher, itertools.repeat(IDS), steps=40, transfer=1.0)
    with torch.no_grad():
        assert transfer_loss(Recorder(student)(IDS), Recorder(teacher)(IDS)).item() < at_first / 3
    # The parts after the last attention have no gradient from it, so imitation leaves them alone.
    assert torch.equal(student.blocks[-1].feed_forward.down.weight, before.blocks[-1].feed_forward.down.weight)
    assert not torch.equal(student.blocks[0].feed_forward.down.weight, before.blocks[0].feed_forward.down.weight)
    assert all(torch.equal(value, frozen[name]) for name, value in teacher.state_dict().items())


def test_both_stages_are_the_shared_loop_one_after_the_other():
    teacher, student = model(WIDE, 2), model(SMALL, 1)
    plain, staged = copy.deepcopy(student), copy.deepcopy(student)
    train(plain, itertools.repeat(IDS), steps=4)
    minilm(student, teacher, itertools.repeat(IDS), steps=4, transfer=0.0)
    assert all(torch.equal(a, b) for a, b in zip(student.parameters(), plain.parameters(), strict=True))
    again = copy.deepcopy(staged)
    minilm(staged, teacher, itertools.repeat(IDS), steps=5, transfer=0.4, relations="attention")
    minilm(again, teacher, itertools.repeat(IDS), steps=2, transfer=1.0, relations="attention")
    train(again, itertools.repeat(IDS), steps=3)
    assert all(torch.equal(a, b) for a, b in zip(staged.parameters(), again.parameters(), strict=True))


def test_contract_and_refusals():
    assert contract_of(minilm).kind == "training" and contract_of(minilm).student == "small"
    assert list(options_of(minilm)) == ["steps", "transfer", "relations", "learning_rate"]
    student, batches = model(SMALL, 1), itertools.repeat(IDS)
    with pytest.raises(ValueError, match="teacher is None"):
        minilm(student, None, batches)
    with pytest.raises(ValueError, match="transfer is 1.5"):
        minilm(student, student, batches, transfer=1.5)
    other = Transformer(TransformerConfig(vocab=12, width=16, layers=1, heads=4, kv_heads=2, ffn=8, context=16))
    with pytest.raises(ValueError, match="the student has 2 heads, the teacher 4"):
        minilm(student, other, batches, steps=2)
