"""Kronecker products: the nearest one is a rank-one SVD of patches, applied without being built, taught to follow."""

import copy

import pytest
import torch
from torch import Tensor

from reference_impls.core.contracts import contract_of, options_of
from reference_impls.core.internals import Recorder
from reference_impls.core.language import language_loss
from reference_impls.core.low_rank import svd_factors
from reference_impls.core.model_view import ModelView
from reference_impls.core.storage_kronecker import kronecker_sum
from reference_impls.core.training import batches
from reference_impls.low_rank.kroneckerbert import (
    distillation_loss,
    kronecker_apply,
    kroneckerbert,
    nearest_kronecker,
)
from tests.reference_impls.drawn import draw


def windows(seed: int = 0):
    ids = torch.arange(900) * torch.arange(900) % 47
    return batches(ids, batch=4, length=16, generator=torch.Generator().manual_seed(seed))


def patches(W: Tensor, m1: int, n1: int) -> Tensor:
    """The rearranged matrix, patch by patch."""
    m2, n2 = W.shape[0] // m1, W.shape[1] // n1
    return torch.stack([W[a * m2 : a * m2 + m2, b * n2 : b * n2 + n2].reshape(-1)
                        for a in range(m1) for b in range(n1)])  # fmt: skip


@pytest.mark.parametrize("shape", [(3, 4), (6, 2), (1, 8), (12, 8), (4, 1)])
def test_a_kronecker_product_comes_back(shape):
    m1, n1 = shape
    W = torch.kron(draw(0, m1, n1), draw(1, 12 // m1, 8 // n1))
    torch.testing.assert_close(kronecker_sum(*nearest_kronecker(W, shape)), W, atol=1e-9, rtol=0)


@pytest.mark.parametrize("sums", [1, 2, 4])
@pytest.mark.parametrize("shape", [(6, 4), (3, 2), (2, 8)])
def test_error_is_that_of_the_dropped_singular_values_of_the_patches(shape, sums):
    W = draw(0, 12, 8)
    R = patches(W, *shape)
    A, B = nearest_kronecker(W, shape, sums)
    assert A.shape == (sums, *shape) and B.shape == (sums, 12 // shape[0], 8 // shape[1])
    squares = torch.linalg.eigvalsh(R @ R.T).flip(0).clamp(min=0)
    error = (W - kronecker_sum(A, B)).square().sum()
    torch.testing.assert_close(error, squares[sums:].sum(), atol=1e-9, rtol=0)
    for seed in range(3):  # and no step away is closer
        for sign in (1e-3, -1e-3):
            assert (W - kronecker_sum(A + sign * draw(5 + seed, *A.shape), B)).square().sum() > error
            assert (W - kronecker_sum(A, B + sign * draw(8 + seed, *B.shape))).square().sum() > error


def test_as_many_products_as_a_patch_has_weights_are_exact():
    W = draw(0, 12, 8)
    torch.testing.assert_close(kronecker_sum(*nearest_kronecker(W, (6, 4), 4)), W, atol=1e-9, rtol=0)


@pytest.mark.parametrize("rank", [1, 3])
def test_columns_times_rows_are_truncated_svd(rank):
    W = draw(0, 12, 8)
    A, B = nearest_kronecker(W, (12, 1), rank)
    left, right = svd_factors(W, rank)
    torch.testing.assert_close(kronecker_sum(A, B), left @ right, atol=1e-9, rtol=0)


def test_application_without_the_product():
    A, B, x = draw(0, 3, 4, 5), draw(1, 3, 2, 6), draw(2, 7, 9, 30)
    torch.testing.assert_close(kronecker_apply(A, B, x), x @ kronecker_sum(A, B).T, atol=1e-9, rtol=0)


def test_an_embedding_gives_every_token_a_row_of_its_own():
    table = draw(0, 10, 12)
    A, B = nearest_kronecker(table, (10, 3))
    assert A.shape == (1, 10, 3) and B.shape == (1, 1, 4)
    changed = A.clone()
    changed[0, 7] += 1
    differs = (kronecker_sum(changed, B) != kronecker_sum(A, B)).any(dim=1)
    assert differs.nonzero().flatten().tolist() == [7]
    torch.testing.assert_close(kronecker_sum(A, B)[7], torch.kron(A[0, 7], B[0, 0]), atol=1e-12, rtol=0)


def test_loss_is_the_sum_of_five_parts(make_decoder):
    student, teacher, ids = make_decoder("ours").double(), make_decoder("ours").double(), next(windows())[:2]
    with torch.no_grad():
        for seed, parameter in enumerate(student.parameters()):
            parameter += 0.1 * draw(seed, *parameter.shape)
    S, T = Recorder(student)(ids), Recorder(teacher)(ids)
    expected = (S.embedding - T.embedding).square().mean()
    for layer in range(3):
        pairs = [(b, h, i, j) for b in range(2) for h in range(4) for i in range(16) for j in range(i + 1)]
        difference = S.scores(layer) - T.scores(layer)
        expected = expected + sum(difference[pair] ** 2 for pair in pairs) / len(pairs)
        expected = expected + (S.hidden[layer] - T.hidden[layer]).square().mean()
    p, log_q = T.logits[:, :-1].softmax(-1), S.logits[:, :-1].log_softmax(-1)
    expected = expected - (p * log_q).sum(-1).mean() + language_loss(student, ids)
    assert abs(distillation_loss(S, T, ids) - expected) < 1e-9
    entropy = -(p * p.log()).sum(-1).mean()  # a student that equals its teacher is left with this and the text
    assert abs(distillation_loss(T, T, ids) - entropy - language_loss(teacher, ids)) < 1e-9


def test_untrained_it_is_the_nearest_product_of_every_layer(decoder):
    view = ModelView(decoder)
    before = {name: linear.weight.clone() for name, linear in view.linears.items()}
    kroneckerbert(view, decoder, windows(), steps=0, sums=2)
    for name, linear in view.linears.items():
        m, n = linear.shape
        expected = kronecker_sum(*nearest_kronecker(before[name], (m // 2, n // 2), 2))
        torch.testing.assert_close(linear.weight, expected, atol=2e-3, rtol=2e-3)  # stored in 16 bit
        assert linear.storage.nbytes() == 2 * 2 * (m * n // 4 + 4)
        assert type(linear.module).__name__ in ("Linear", "Conv1D")


def test_trains_all_parts_of_any_decoder_and_never_the_teacher(decoder):
    teacher, view = copy.deepcopy(decoder).eval(), ModelView(decoder.requires_grad_(False))
    kroneckerbert(view, teacher, windows(), steps=3, learning_rate=3e-3)
    start = teacher.state_dict()
    for name, tensor in view.model.state_dict().items():
        assert not torch.equal(tensor, start[name])
    assert all(p.grad is None for p in teacher.parameters())


def test_distillation_follows_the_teacher_and_fine_tuning_the_text(make_decoder):
    teacher = make_decoder("ours").eval()
    ids, distance = next(windows(5)), {}
    for distillation in (True, False):
        view = ModelView(make_decoder("ours"))
        kroneckerbert(view, teacher, windows(), steps=25, distillation=distillation, learning_rate=3e-3)
        with torch.no_grad():
            S, T = Recorder(view.model)(ids), Recorder(teacher)(ids)
        distance[distillation] = sum((a - b).square().mean().item() for a, b in zip(S.hidden, T.hidden, strict=True))
        assert language_loss(view.model, ids).item() < language_loss(teacher, ids).item()
    assert distance[True] < 0.8 * distance[False]


@pytest.mark.parametrize(("option", "message"), [
    ({"sums": 5}, "sums is 5; with a factor of 2 allowed is 1 to 4"),
    ({"sums": 0}, "sums is 0"),
    ({"factor": 3}, "factor is 3; it must divide both sides of blocks.0.attention.query"),
])  # fmt: skip
def test_refuses_what_does_not_fit(option, message, make_decoder):
    model = make_decoder("ours")
    with pytest.raises(ValueError, match=message):
        kroneckerbert(ModelView(model), model, windows(), steps=1, **option)
    with pytest.raises(ValueError, match="teacher is None"):
        kroneckerbert(ModelView(model), None, windows(), steps=1)
    with pytest.raises(ValueError, match=r"shape is \(5, 2\); it must divide \(12, 8\)"):
        nearest_kronecker(draw(0, 12, 8), (5, 2))


def test_contract():
    contract = contract_of(kroneckerbert)
    assert (contract.kind, contract.student, contract.text) == ("training", "compressed", "same")
    assert list(options_of(kroneckerbert))[:4] == ["steps", "factor", "sums", "distillation"]
