"""TinyBERT's losses are its paper's, its layers follow an even map, and its second stage is matching of outputs."""

import copy
import itertools

import pytest
import torch

from reference_impls.core.contracts import contract_of, options_of
from reference_impls.core.internals import Recorder
from reference_impls.core.training import train
from reference_impls.core.transformer import Transformer, TransformerConfig
from reference_impls.distillation.knowledge_distillation import knowledge_distillation
from reference_impls.distillation.tinybert import Maps, intermediate_loss, layer_map, tinybert
from tests.reference_impls.drawn import seeded, sharpened

WIDE = TransformerConfig(vocab=12, width=32, layers=4, heads=2, kv_heads=1, ffn=24, context=16)
SMALL = TransformerConfig(vocab=12, width=16, layers=2, heads=2, kv_heads=2, ffn=16, context=16)


def model(config: TransformerConfig, seed: int) -> Transformer:
    return sharpened(config, seed, 8)


IDS = torch.randint(12, (2, 6), generator=seeded(0))


def test_layer_map_is_even_and_ends_at_the_top():
    assert layer_map(4, 12) == [3, 6, 9, 12] and layer_map(6, 12) == [2, 4, 6, 8, 10, 12]
    assert layer_map(3, 3) == [1, 2, 3] and layer_map(1, 5) == [5]
    with pytest.raises(ValueError, match="5 layers, which is no multiple of the student's 2"):
        layer_map(2, 5)


def test_equals_the_paper_written_as_loops():
    student, teacher = model(SMALL, 1).double(), model(WIDE, 2).double()
    maps = Maps(16, 32, seeded(3)).double()
    with torch.no_grad():
        S, T = Recorder(student)(IDS), Recorder(teacher)(IDS)
        W_e, W_h = maps.embedding.weight.T, maps.hidden.weight.T

        def mse(pairs):
            return sum((a - b) ** 2 for a, b in pairs) / len(pairs)

        def flat(a, b):
            return list(zip(a.flatten().tolist(), b.flatten().tolist(), strict=True))

        expected = mse(flat(student.embedding(IDS) @ W_e, teacher.embedding(IDS)))
        for m, g in ((0, 1), (1, 3)):  # counted from 0: layers 1, 2 of the student follow 2, 4 of the teacher
            expected += mse(flat(S.hidden[m] @ W_h, T.hidden[g]))
            scores = []
            for i, h, a, b in itertools.product(range(2), range(2), range(6), range(6)):
                if b <= a:
                    own = S.queries[m][i, h, a] @ S.keys[m][i, h, b] / 8**0.5
                    theirs = T.queries[g][i, h, a] @ T.keys[g][i, h, b] / 16**0.5
                    scores.append((own.item(), theirs.item()))
            expected += mse(scores)
        assert intermediate_loss(S, T, maps).item() == pytest.approx(expected, rel=1e-9)


def test_student_that_is_the_teacher_has_no_loss_and_no_gradient():
    teacher = model(SMALL, 2).double()
    student, maps = copy.deepcopy(teacher), Maps(16, 16).double()
    with torch.no_grad():
        for part in (maps.hidden, maps.embedding):
            part.weight.copy_(torch.eye(16))
    value = intermediate_loss(Recorder(student)(IDS), Recorder(teacher)(IDS), maps)
    value.backward()
    assert value.item() == 0
    assert all(p.grad is None or p.grad.abs().max() == 0 for p in (*student.parameters(), *maps.parameters()))


def test_scores_are_compared_before_the_softmax():
    """A shift of every score of a row leaves its attention alone, and still costs here, unlike in MiniLM."""
    teacher = model(SMALL, 2)
    with torch.no_grad():
        S, T = Recorder(copy.deepcopy(teacher))(IDS), Recorder(teacher)(IDS)
        maps = Maps(16, 16)
        before = intermediate_loss(S, T, maps)
        S.queries[0] = torch.cat([S.queries[0], torch.ones_like(S.queries[0][..., :1])], -1)
        S.keys[0] = torch.cat([S.keys[0], torch.full_like(S.keys[0][..., :1], 3)], -1)
        shifted = intermediate_loss(S, T, maps)
        torch.testing.assert_close(S.scores(0).softmax(-1), T.scores(0).softmax(-1))
    assert (shifted - before).item() == pytest.approx((3 * S.scales[0]) ** 2, rel=1e-3)


def test_first_stage_teaches_the_insides_and_second_the_outputs():
    teacher, student = model(WIDE, 2), model(SMALL, 1)
    frozen = copy.deepcopy(teacher.state_dict())
    early, late = copy.deepcopy(student), copy.deepcopy(student)
    batches = itertools.repeat(IDS)
    tinybert(early, teacher, batches, steps=30, intermediate=1.0, generator=seeded(0))
    with torch.no_grad():
        gap = [(Recorder(s)(IDS).scores(1) - Recorder(teacher)(IDS).scores(3)).tril().norm() for s in (student, early)]
    assert gap[1] < gap[0] / 2
    # Nothing that stands behind the last hidden states has a gradient in the first stage.
    assert torch.equal(early.norm.weight, student.norm.weight)
    tinybert(late, teacher, batches, steps=30, intermediate=0.5, generator=seeded(0))
    assert not torch.equal(late.norm.weight, student.norm.weight)
    assert all(torch.equal(value, frozen[name]) for name, value in teacher.state_dict().items())
    assert not any("maps" in name for name, _ in late.named_parameters())


def test_second_stage_alone_is_distillation_of_outputs_step_for_step():
    teacher, student = model(WIDE, 2), model(SMALL, 1)
    twin = copy.deepcopy(student)
    source = torch.randint(12, (6, 2, 6), generator=seeded(5))
    same = tinybert(student, teacher, iter(source), steps=4, intermediate=0.0, temperature=1.0)
    knowledge_distillation(twin, teacher, iter(source), steps=4, temperature=1.0, alpha=1.0)
    assert same is student
    assert all(torch.equal(a, b) for a, b in zip(student.parameters(), twin.parameters(), strict=True))


def test_outputs_are_matched_at_the_temperature():
    """Against torch's cross-entropy with the teacher's softened probabilities, without a factor T^2."""
    teacher, student = model(WIDE, 2), model(SMALL, 1)
    twin, t = copy.deepcopy(student), 3.0

    def loss(own, ids):
        z = [(m(ids)[:, :-1] / t).flatten(0, 1) for m in (own, teacher)]
        return torch.nn.functional.cross_entropy(z[0], z[1].detach().softmax(-1))

    train(twin, itertools.repeat(IDS), steps=3, loss=loss)
    tinybert(student, teacher, itertools.repeat(IDS), steps=3, intermediate=0.0, temperature=t)
    for a, b in zip(student.parameters(), twin.parameters(), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-3, atol=2e-5)


def test_maps_are_learned_with_the_student_from_their_own_draw(monkeypatch):
    made = []

    class Seen(Maps):
        def __init__(self, *sizes):
            super().__init__(*sizes)
            made.append((copy.deepcopy(self), self))

    monkeypatch.setattr("reference_impls.distillation.tinybert.Maps", Seen)
    for seed in (0, 1):
        models = model(SMALL, 1), model(WIDE, 2)
        tinybert(*models, itertools.repeat(IDS), steps=3, intermediate=1.0, generator=seeded(seed))
    for before, after in made:
        assert all(not torch.equal(a, b) for a, b in zip(before.parameters(), after.parameters(), strict=True))
    assert not torch.equal(made[0][0].hidden.weight, made[1][0].hidden.weight)


def test_each_batch_is_used_once():
    teacher, student = model(WIDE, 2), model(SMALL, 1)
    taken = []
    source = (taken.append(1) or IDS for _ in itertools.count())
    tinybert(student, teacher, source, steps=5, intermediate=0.4)
    assert len(taken) == 5


def test_contract_and_refusals():
    assert contract_of(tinybert).kind == "training" and contract_of(tinybert).student == "small"
    assert list(options_of(tinybert)) == ["steps", "intermediate", "temperature", "learning_rate"]
    student, batches = model(SMALL, 1), itertools.repeat(IDS)
    for options in ({"intermediate": -0.1}, {"temperature": 0}):
        ((name, value),) = options.items()
        with pytest.raises(ValueError, match=f"{name} is {value}"):
            tinybert(student, student, batches, **options)
    with pytest.raises(ValueError, match="teacher is None"):
        tinybert(student, None, batches)
    other = Transformer(TransformerConfig(vocab=12, width=16, layers=2, heads=4, kv_heads=2, ffn=8, context=16))
    with pytest.raises(ValueError, match="the student has 2 heads, the teacher 4"):
        tinybert(student, other, batches, steps=2)
