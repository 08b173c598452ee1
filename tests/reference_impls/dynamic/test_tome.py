"""ToMe merges what a loop over sets would merge, and merging equal tokens changes nothing."""

import math

import pytest
import torch
from torch import Tensor

from reference_impls.bench import assets
from reference_impls.core.contracts import contract_of, options_of
from reference_impls.core.vision_transformer import VisionConfig, VisionTransformer
from reference_impls.dynamic import tome as module
from reference_impls.dynamic.tome import bipartite_soft_matching, counts, tome
from tests.reference_impls.drawn import draw

CONFIG = VisionConfig(image_size=8, patch_size=2, width=12, depth=3, heads=2, mlp_width=16, classes=5)


def model() -> VisionTransformer:
    made = VisionTransformer(CONFIG).double().eval()
    with torch.no_grad():
        for seed, parameter in enumerate(made.parameters()):
            parameter.copy_(draw(seed, *parameter.shape) / 2)
    return made


def cosine(x: Tensor, y: Tensor) -> float:
    return float(x @ y) / math.sqrt(float(x @ x) * float(y @ y))


def matching(metric: Tensor, r: int) -> list[list[int]]:
    """The groups of one image (N, c), as lists of token numbers: A that stays, then B, by loops and lists."""
    N = len(metric)
    groups = {t: [t] for t in range(N)}
    edges = []
    for a in range(2, N, 2):
        scores = {b: cosine(metric[a], metric[b]) for b in range(1, N, 2)}
        best = max(scores, key=scores.get)
        edges.append((scores[best], a, best))
    for _, a, best in sorted(edges, reverse=True)[: min(r, (N - 1) // 2)]:
        groups[best] += groups.pop(a)
    return [groups[t] for t in (*range(0, N, 2), *range(1, N, 2)) if t in groups]


@pytest.mark.parametrize("N", [2, 3, 9, 16, 17])
@pytest.mark.parametrize("r", [1, 2, 5, 8, 100])
def test_equals_a_loop_over_sets(N, r):
    metric, x = draw(0, 3, N, 6), draw(1, 3, N, 4)
    merge, unmerge = bipartite_soft_matching(metric, r)
    merged, back = merge(x), unmerge(merge(x))
    if N == 2:  # the class token and one other: nothing to merge
        assert torch.equal(merged, x)
        return
    for image in range(3):
        groups = matching(metric[image], r)
        expected = torch.stack([x[image, group].sum(0) for group in groups])
        torch.testing.assert_close(merged[image], expected, atol=1e-12, rtol=0)
        for place, group in enumerate(groups):
            for token in group:
                assert torch.equal(back[image, token], merged[image, place])


@pytest.mark.parametrize("r", [0, 1, 3, 8, 50])
def test_sizes_sum_to_the_number_of_tokens_and_r_is_capped_at_half(r):
    merge, _ = bipartite_soft_matching(draw(0, 4, 17, 6), r)
    sizes = merge(torch.ones(4, 17, 1))
    assert sizes.shape == (4, 17 - min(r, 8), 1)
    assert (sizes.sum(1) == 17).all() and (sizes >= 1).all()


def test_class_token_is_never_merged_and_stays_first():
    # The class token is as like to the others as can be, and would be given away first.
    metric = draw(0, 1, 1, 6).expand(2, 17, 6) + 0.1 * draw(1, 2, 17, 6)
    metric[:, 0] = metric[:, 1]
    merge, _ = bipartite_soft_matching(metric, 8)
    tokens = torch.eye(17).expand(2, 17, 17)
    assert torch.equal(merge(tokens)[:, 0], tokens[:, 0])


@torch.no_grad()
def by_hand(vit: VisionTransformer, image: Tensor, counts: list[int], proportional: bool) -> Tensor:
    """Logits of one image: weighted means over explicit sets, attention with every merged key repeated s times."""
    x = vit.embed(image[None])[0]
    sets = [[t] for t in range(len(x))]
    for block, r in zip(vit.blocks, counts, strict=True):
        heads, e = block.attention.heads, x.shape[1] // block.attention.heads
        q, k, v = block.attention.qkv(block.attention_norm(x)).view(len(x), 3, heads, e).permute(1, 2, 0, 3)
        copies = [t for t, members in enumerate(sets) for _ in range(len(members) if proportional else 1)]
        mixed = (q @ k[:, copies].mT / math.sqrt(e)).softmax(-1) @ v[:, copies]
        x = x + block.attention.projection(mixed.transpose(0, 1).reshape(len(x), -1))
        groups = matching(k.mean(0), r) if r else [[t] for t in range(len(x))]
        x = torch.stack([sum(len(sets[t]) * x[t] for t in g) / sum(len(sets[t]) for t in g) for g in groups])
        sets = [[patch for t in g for patch in sets[t]] for g in groups]
        x = block.transform(x)
    return vit.head(vit.norm(x[0]))


@pytest.mark.parametrize("r", [0, 1, 2, 4, 9])
@pytest.mark.parametrize("schedule", ["constant", "decreasing"])
@pytest.mark.parametrize("proportional", [True, False])
def test_whole_network_equals_sets_with_repeated_keys(r, schedule, proportional):
    vit, images = model(), draw(9, 3, 1, 8, 8)
    merged = tome(vit, r=r, schedule=schedule, proportional=proportional)
    expected = torch.stack([by_hand(vit, image, merged.counts, proportional) for image in images])
    torch.testing.assert_close(merged(images), expected, atol=1e-10, rtol=0)


def test_without_merging_nothing_changes():
    vit, images = model(), draw(9, 3, 1, 8, 8)
    assert torch.equal(tome(vit, r=0)(images), vit(images))


def equal_patches(kinds: int) -> tuple[VisionTransformer, Tensor]:
    """A network that does not know positions, and images of 16 patches that come in a few kinds."""
    vit = model()
    with torch.no_grad():
        vit.positions[:, 1:] = vit.positions[:, 1:2]
    # A row of the image is of one kind, so that every kind stands at even and at odd places.
    patches = draw(9, 2, kinds, 1, 2, 2)[:, torch.arange(16) // 4 % kinds]
    images = patches.view(2, 4, 4, 2, 2).permute(0, 1, 3, 2, 4).reshape(2, 1, 8, 8)
    return vit, images


@pytest.mark.parametrize("kinds, r", [(1, 2), (1, 8), (2, 1), (2, 2), (4, 2)])
def test_merging_equal_tokens_changes_nothing(kinds, r):
    vit, images = equal_patches(kinds)
    merged = tome(vit, r=r)
    torch.testing.assert_close(merged(images), vit(images), atol=1e-11, rtol=0)
    assert merged.work["tokens_left"] < 17


def test_counter_example_without_log_sizes_merging_equal_tokens_changes_the_result():
    vit, images = equal_patches(1)
    difference = tome(vit, r=8, proportional=False)(images) - vit(images)
    assert difference.abs().max() > 1e-3


def test_counter_example_merging_different_tokens_changes_the_result():
    vit, images = model(), draw(9, 3, 1, 8, 8)
    assert (tome(vit, r=4)(images) - vit(images)).abs().max() > 1e-3


@torch.no_grad()
def test_similar_tokens_are_better_merged_than_random_ones(monkeypatch):
    # On the bundled digits, five draws of random pairs, as many tokens lost.
    vit, (images, labels) = VisionTransformer.from_pretrained(assets.path(assets.DIGITS)), assets.digits("test")
    right = int((tome(vit, r=4)(images).argmax(-1) == labels).sum())
    for seed in range(5):
        generator = torch.Generator().manual_seed(seed)
        monkeypatch.setattr(module, "bipartite_soft_matching", lambda metric, r, generator=generator:
                            bipartite_soft_matching(torch.randn(metric.shape, generator=generator), r))  # fmt: skip
        assert int((tome(vit, r=4)(images).argmax(-1) == labels).sum()) < right - 10


def test_images_of_a_batch_do_not_see_each_other():
    vit, images = model(), draw(9, 5, 1, 8, 8)
    together = tome(vit, r=3)(images)
    alone = torch.cat([tome(vit, r=3)(image[None]) for image in images])
    torch.testing.assert_close(together, alone, atol=1e-12, rtol=0)


def test_schedules_and_work():
    assert counts(2, "constant", 4) == [2, 2, 2, 2]
    assert counts(3, "decreasing", 4) == [6, 4, 2, 0]
    assert counts(2, "decreasing", 4) == [4, 2, 1, 0]  # 8/3 and 4/3 rounded down
    assert counts(2, "decreasing", 1) == [4]
    merged = tome(model(), r=2)
    merged(draw(9, 1, 1, 8, 8))
    assert merged.work == {"tokens_total": 17, "tokens_left": 11, "tokens_per_layer": 13}


def test_gradients_pass_through_the_merged_tokens():
    vit, images = model(), draw(9, 2, 1, 8, 8).requires_grad_()
    tome(vit, r=4)(images).sum().backward()
    assert (images.grad.abs().sum((0, 1)) > 0).all()


@pytest.mark.parametrize("options, message", [(dict(r=-1), "r is -1"), (dict(schedule="x"), "schedule is 'x'")])
def test_refuses_what_does_not_fit(options, message):
    with pytest.raises(ValueError, match=message):
        tome(model(), **options)


def test_contract():
    contract = contract_of(tome)
    assert (contract.kind, contract.target) == ("inference", "vision")
    assert list(options_of(tome)) == ["r", "schedule", "proportional"]
    assert options_of(tome)["schedule"].choices == ("constant", "decreasing")
