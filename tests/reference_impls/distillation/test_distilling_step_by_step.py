"""Distilling step-by-step is two tasks of one model: without the second it is fine-tuning, and the second teaches."""

import copy
import itertools

import pytest
import torch

from reference_impls.core.contracts import contract_of, options_of
from reference_impls.core.rationales import Explained, answer_loss
from reference_impls.core.training import train
from reference_impls.core.transformer import Transformer, TransformerConfig
from reference_impls.distillation.distilling_step_by_step import distilling_step_by_step
from tests.reference_impls.drawn import seeded

CONFIG = TransformerConfig(vocab=9, width=16, layers=1, heads=2, kv_heads=1, ffn=16, context=16)


def student() -> Transformer:
    return Transformer(CONFIG, generator=seeded(1))


def examples(seed: int = 0, count: int = 8) -> Explained:
    parts = (torch.randint(3, 9, (count, length), generator=seeded(seed + 10 * length)) for length in (3, 1, 2))
    return Explained(*parts)


def same(one: torch.nn.Module, two: torch.nn.Module) -> bool:
    return all(torch.equal(a, b) for a, b in zip(one.parameters(), two.parameters(), strict=True))


def test_without_the_second_task_it_is_fine_tuning_on_labels_step_for_step():
    ours, plain = student(), student()
    source = [examples(i) for i in range(5)]
    train(plain, iter(source), steps=5, loss=lambda model, batch: answer_loss(model, batch, "label"))
    result = distilling_step_by_step(ours, None, iter(source), steps=5, rationale_weight=0.0)
    assert result is ours and same(ours, plain)
    other = student()
    blank = [batch._replace(rationale=torch.full_like(batch.rationale, 3)) for batch in source]
    distilling_step_by_step(other, None, iter(blank), steps=5, rationale_weight=0.0)
    assert same(other, plain)  # rationales are not even looked at


@pytest.mark.parametrize("weight", [0.3, 1.0, 4.0])
def test_the_loss_is_the_weighted_sum_of_both_tasks(weight):
    ours, twin = student(), student()
    source = [examples(i) for i in range(3)]

    def loss(model, batch):
        return answer_loss(model, batch, "label") + weight * answer_loss(model, batch, "rationale")

    train(twin, iter(source), steps=3, loss=loss)
    distilling_step_by_step(ours, None, iter(source), steps=3, rationale_weight=weight)
    for a, b in zip(ours.parameters(), twin.parameters(), strict=True):
        torch.testing.assert_close(a, b)
    assert not same(ours, student())


def test_one_model_learns_both_answers_to_the_same_inputs():
    """Label and rationale begin with different tokens, so only the prefix can tell the tasks apart."""
    batch = examples(count=6)
    batch = batch._replace(label=batch.input[:, :1], rationale=batch.input[:, 1:])
    batch = batch._replace(input=torch.tensor(list(itertools.product([3, 4], [5, 6, 7], [8])))[:6])
    ours = student()
    distilling_step_by_step(ours, None, itertools.repeat(batch), steps=150, learning_rate=2e-2)
    with torch.no_grad():
        assert answer_loss(ours, batch, "label") < 0.1 and answer_loss(ours, batch, "rationale") < 0.1


def test_a_teacher_is_not_needed_and_not_touched():
    teacher = student()
    before = copy.deepcopy(teacher)
    one, two = student(), student()
    distilling_step_by_step(one, teacher, itertools.repeat(examples()), steps=2)
    distilling_step_by_step(two, None, itertools.repeat(examples()), steps=2)
    assert same(one, two) and same(teacher, before)


def test_contract_and_refusals():
    contract = contract_of(distilling_step_by_step)
    assert (contract.kind, contract.student, contract.data) == ("training", "small", "rationales")
    assert list(options_of(distilling_step_by_step)) == ["steps", "rationale_weight", "learning_rate"]
    with pytest.raises(ValueError, match="rationale_weight is -1"):
        distilling_step_by_step(student(), None, itertools.repeat(examples()), rationale_weight=-1)
