"""LoSparse: truncated SVD plus the rest, importance and schedule by their formulas, and sizes as asked for."""

import math

import pytest
import torch

from reference_impls.core.contracts import contract_of, options_of
from reference_impls.core.language import language_loss
from reference_impls.core.model_view import ModelView
from reference_impls.core.training import batches
from reference_impls.low_rank import losparse as module
from reference_impls.low_rank.losparse import LowRankPlusSparse, keep_rows, kept_share, losparse, prune
from reference_impls.low_rank.truncated_svd import truncated_svd
from tests.reference_impls.drawn import draw


def windows(seed: int = 0):
    ids = torch.arange(900) * torch.arange(900) % 47
    return batches(ids, batch=4, length=16, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("shape", [(12, 20), (20, 12)])
def test_begins_as_truncated_svd_plus_the_rest(shape):
    W = draw(0, *shape)
    part = LowRankPlusSparse(W, 4, 0.85)
    torch.testing.assert_close(part(W), W, atol=1e-12, rtol=0)
    squares = torch.linalg.eigvalsh(W @ W.T).flip(0).clamp(min=0)
    assert torch.linalg.matrix_rank(part.U @ part.V) == 4
    torch.testing.assert_close(part.S.square().sum(), squares[4:].sum(), atol=1e-9, rtol=0)


def test_importance_is_the_decayed_sum_of_weight_times_gradient():
    part, expected = LowRankPlusSparse(draw(0, 6, 8), 2, 0.7), torch.zeros(6, 8, dtype=torch.float64)
    for step in range(4):
        x, target = draw(10 + step, 8, 5), draw(20 + step, 6, 5)
        loss = ((part(None) @ x - target) ** 2).sum()
        by_hand = 2 * (part(None) @ x - target) @ x.T  # the same for the whole weight and for S
        loss.backward()
        for i in range(6):
            for j in range(8):
                now = abs(part.S[i, j].item() * by_hand[i, j].item())
                expected[i, j] = 0.7 * expected[i, j] + 0.3 * now
        with torch.no_grad():
            for parameter in (part.U, part.V, part.S):
                parameter -= 0.01 * parameter.grad
                parameter.grad = None
    torch.testing.assert_close(part.importance, expected, atol=1e-9, rtol=0)
    torch.testing.assert_close(part.scores(), torch.stack([row.sum() / 8 for row in expected]), atol=1e-9, rtol=0)


def test_gradients_reach_all_three_parts():
    part, G = LowRankPlusSparse(draw(0, 6, 8), 2, 0.85), draw(1, 6, 8)
    (part(None) * G).sum().backward()
    torch.testing.assert_close(part.S.grad, G)
    torch.testing.assert_close(part.U.grad, G @ part.V.T)
    torch.testing.assert_close(part.V.grad, part.U.T @ G)


def test_schedule_is_cubic_between_two_level_parts():
    shares = [kept_share(t, 100, 0.2, 0.1, 0.3) for t in range(101)]
    assert shares[:10] == [1.0] * 10 and shares[70:] == [0.2] * 31
    for t in (10, 25, 40, 69):
        assert abs(shares[t] - (0.2 + 0.8 * (1 - (t - 10) / 60) ** 3)) < 1e-12
    assert all(a >= b for a, b in zip(shares, shares[1:], strict=False))
    assert kept_share(5, 10, 0.2, 0.5, 0.5) == 0.2 and kept_share(4, 10, 0.2, 0.5, 0.5) == 1.0


@pytest.mark.parametrize("share", [0.0, 0.25, 0.6, 1.0])
def test_rows_are_kept_by_score_over_all_layers(share):
    matrices, scores = [draw(0, 5, 8), draw(1, 9, 4), draw(2, 3, 16)], [draw(3, 5), draw(4, 9), draw(5, 3)]
    kept = keep_rows(matrices, scores, share)
    total, budget, by_hand = sum(m.numel() for m in matrices), 0, set()
    for _, which, row in sorted(((scores[m][r].item(), m, r) for m in range(3) for r in range(len(scores[m]))),
                                    reverse=True):  # fmt: skip
        budget += matrices[which].shape[1]
        if budget <= share * total:
            by_hand.add((which, row))
    assert {(m, r) for m in range(3) for r in range(len(kept[m])) if kept[m][r]} == by_hand
    assert bool(kept[0].all()) is (share == 1)


def test_prune_leaves_whole_rows_and_the_factors():
    parts = {str(i): LowRankPlusSparse(draw(i, 10, 6), 2, 0.85) for i in range(2)}
    for i, part in enumerate(parts.values()):
        part.importance.copy_(draw(9 + i, 10, 6).abs())
    before = {name: part.S.clone() for name, part in parts.items()}
    prune(parts, 0.3)
    rows = torch.cat([part.S.any(dim=1) for part in parts.values()])
    assert int(rows.sum()) == 6
    scores = torch.cat([part.scores() for part in parts.values()])
    assert scores[rows].min() > scores[~rows].max()
    for name, part in parts.items():
        keep = part.S.any(dim=1)
        assert torch.equal(part.S[keep], before[name][keep]) and part.U.any() and part.V.any()


def test_without_sparsity_and_training_the_model_is_unchanged(decoder):
    view = ModelView(decoder)
    before = {name: linear.weight.clone() for name, linear in view.linears.items()}
    losparse(view, None, windows(), steps=0, low_rank_ratio=0.4, sparse_ratio=1.0)
    for name, linear in view.linears.items():
        torch.testing.assert_close(linear.weight, before[name], atol=2e-3, rtol=2e-3)  # stored in 16 bit
        assert type(linear.module).__name__ in ("Linear", "Conv1D") and linear.storage.kind == "sum-weight"


def test_without_training_and_sparse_part_it_is_truncated_svd(make_decoder):
    view = ModelView(make_decoder("ours"))
    before = {name: linear.weight.clone() for name, linear in view.linears.items()}
    losparse(view, None, windows(), steps=0, low_rank_ratio=0.4, sparse_ratio=0.0)
    for name, linear in view.linears.items():
        expected = truncated_svd(before[name], None, parameter_ratio=0.4)
        torch.testing.assert_close(linear.weight, expected.dense(), atol=1e-6, rtol=0)
        assert linear.storage.nbytes() - expected.nbytes() == math.ceil(linear.shape[0] / 8)  # which rows: none


def test_trains_and_stores_what_was_asked_for(decoder):
    torch.manual_seed(0)    # GPT-2 and OPT drop out while they train
    view = ModelView(decoder.requires_grad_(False))
    norms = {name: t.clone() for name, t in view.model.state_dict().items() if "norm" in name or "ln_" in name}
    with torch.no_grad():
        start = language_loss(view.model, next(windows(5))).item()
    losparse(view, None, windows(), steps=30, low_rank_ratio=0.4, sparse_ratio=0.3, prune_every=3, learning_rate=1e-2)
    kept = total = 0
    for linear in view.linears.values():
        low_rank, sliced = linear.storage.parts
        rows, columns = linear.shape
        assert low_rank.rank == math.floor(0.4 * rows * columns / (rows + columns) + 1e-9)
        assert bool(sliced.columns.all())
        kept, total = kept + int(sliced.mask().sum()), total + rows * columns
        torch.testing.assert_close(linear.weight, low_rank.dense() + sliced.dense(), atol=1e-6, rtol=0)
    # Rows are whole, and one that came back at the very last cut may still be zero and then is not stored.
    assert 0.29 * total < kept <= 0.3 * total
    with torch.no_grad():
        assert language_loss(view.model, next(windows(5))).item() < start - 0.1
    after = view.model.state_dict()
    assert norms and all(not torch.equal(after[name], tensor) for name, tensor in norms.items())  # trained as well


def test_rows_are_cut_while_training_as_the_schedule_says(make_decoder, monkeypatch):
    """Every few steps on the way down, in every step of the last part, and once more at the end."""
    shares = []
    monkeypatch.setattr(module, "prune", lambda parts, share: shares.append(share))
    losparse(ModelView(make_decoder("ours")), None, windows(), steps=20, sparse_ratio=0.3, prune_every=4,
             initial_share=0.2, final_share=0.25)  # fmt: skip
    way_down = [0.3 + 0.7 * (1 - (t - 4) / 11) ** 3 for t in (8, 12)]
    assert shares == pytest.approx(way_down + [0.3] * 6 + [0.3])


def test_keeps_what_a_product_cannot_hold():
    # A matrix of rank 2 and, on 3 of its rows, noise: with 3 rows in S nothing is lost.
    W = draw(0, 20, 2) @ draw(1, 2, 20)
    W[[3, 8, 15]] += 2 * draw(2, 3, 20)
    part = LowRankPlusSparse(W, 2, 0.0)
    with torch.no_grad():
        clean = W.clone()
        clean[[3, 8, 15]] = 0
        U, sigma, V = torch.linalg.svd(clean, full_matrices=False)
        part.U.copy_(U[:, :2] * sigma[:2]), part.V.copy_(V[:2]), part.S.copy_(W - part.U @ part.V)
    ((part(None) - draw(3, 20, 20)) ** 2).sum().backward()
    prune({"": part}, 3 / 20)
    torch.testing.assert_close(part(None), W, atol=1e-9, rtol=0)
    # Two factors of rank 4 hold more numbers, 4 * 40 against 2 * 40 + 3 * 20, and lose the fifth direction.
    assert torch.linalg.svdvals(W)[4:].square().sum() > 10


@pytest.mark.parametrize(("option", "message"), [
    ({"sparse_ratio": 1.2}, "sparse_ratio is 1.2"),
    ({"beta": -0.1}, "beta is -0.1"),
    ({"prune_every": 0}, "prune_every is 0"),
    ({"initial_share": 0.6, "final_share": 0.6}, "they exceed 1 together"),
    ({"low_rank_ratio": 0.0}, "parameter_ratio is 0.0"),
])  # fmt: skip
def test_refuses_what_does_not_fit(option, message, make_decoder):
    view = ModelView(make_decoder("ours"))
    with pytest.raises(ValueError, match=message):
        losparse(view, None, windows(), steps=1, **option)


def test_contract():
    contract = contract_of(losparse)
    assert (contract.kind, contract.student, contract.text) == ("training", "compressed", "same")
    assert list(options_of(losparse))[:3] == ["steps", "low_rank_ratio", "sparse_ratio"]
