"""Masks: against a plain sort in which the earlier of equal scores goes first."""

import pytest
import torch

from reference_impls.core.masks import drop_count, keep_by_score, keep_highest, keep_n_of_m, parse_pattern, sparsity_of

SCORES = {
    "spread": torch.randn(12, 24, generator=torch.Generator().manual_seed(0)),
    "ties": torch.randint(3, (12, 24), generator=torch.Generator().manual_seed(1)).float(),
    "equal": torch.ones(12, 24),
    "negative zero": torch.tensor([-0.0, 0.0] * 12).repeat(12, 1),
}


def kept_by_sorting(row: list[float], drop: int) -> list[bool]:
    """Python's sort is stable: of equal scores the earlier are dropped first."""
    dropped = set(sorted(range(len(row)), key=row.__getitem__)[:drop])
    return [place not in dropped for place in range(len(row))]


@pytest.mark.parametrize("name", SCORES)
@pytest.mark.parametrize("sparsity", [0, 0.1, 0.25, 0.5, 0.7, 0.96])
def test_the_lowest_go_and_of_equal_ones_the_earlier(name, sparsity):
    score = SCORES[name]
    count = int(sparsity * 24 + 1e-9)
    assert keep_highest(score, sparsity).tolist() == [kept_by_sorting(row, count) for row in score.tolist()]
    flat = kept_by_sorting(score.flatten().tolist(), int(sparsity * 288 + 1e-9))
    assert keep_highest(score, sparsity, within="layer").flatten().tolist() == flat


@pytest.mark.parametrize("name", SCORES)
@pytest.mark.parametrize(("n", "m"), [(1, 2), (2, 4), (1, 4), (3, 8), (4, 8), (11, 12), (1, 24)])
def test_n_of_every_m_stay(name, n, m):
    score = SCORES[name]
    groups = score.reshape(-1, m).tolist()
    assert keep_n_of_m(score, n, m).reshape(-1, m).tolist() == [kept_by_sorting(group, m - n) for group in groups]


def test_a_mask_does_not_change_the_scores():
    score = SCORES["spread"].clone()
    keep_highest(score, 0.5)
    keep_n_of_m(score, 2, 4)
    assert torch.equal(score, SCORES["spread"])


def test_by_score_is_one_or_the_other():
    score = SCORES["spread"]
    assert torch.equal(keep_by_score(score, 0.5), keep_highest(score, 0.5))
    assert torch.equal(keep_by_score(score, 0.5, within="layer"), keep_highest(score, 0.5, within="layer"))
    assert torch.equal(keep_by_score(score, 0.75, "1:4"), keep_n_of_m(score, 1, 4))
    assert sparsity_of(keep_n_of_m(score, 1, 4)) == 0.75


def test_a_product_just_below_a_whole_number_loses_none():
    assert drop_count(0.7, 10) == 7 and drop_count(0.29, 100) == 29 and drop_count(0.999, 10) == 9


@pytest.mark.parametrize("wrong", [
    lambda s: keep_highest(s, 1.0), lambda s: keep_highest(s, -0.1), lambda s: keep_highest(s, 0.5, within="column"),
    lambda s: keep_highest(s / 0, 0.5), lambda s: keep_highest(s[0], 0.5), lambda s: keep_n_of_m(s, 4, 4),
    lambda s: keep_n_of_m(s, 0, 4), lambda s: keep_n_of_m(s, 2, 5), lambda s: keep_by_score(s, 0.6, "2:4"),
    lambda s: keep_by_score(s, 0.5, "half"), lambda s: parse_pattern("4:2"), lambda s: parse_pattern("2:4:8"),
])  # fmt: skip
def test_what_makes_no_mask_is_refused(wrong):
    with pytest.raises(ValueError, match="is|expected|holds|shape|must"):
        wrong(SCORES["spread"])
