"""A feed-forward part cut into experts is the part itself when all are used, otherwise the sum of those selected."""

import itertools

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from reference_impls.core.contracts import contract_of, options_of
from reference_impls.core.model_view import ModelView
from reference_impls.core.transformer import Transformer, TransformerConfig
from reference_impls.experts.moefication import Experts, balanced_clusters, moefication
from tests.reference_impls.drawn import seeded

CONFIG = TransformerConfig(vocab=31, width=16, layers=2, heads=2, kv_heads=1, ffn=24, context=32)
IDS = torch.arange(40).view(2, 20) % 31


def view(seed: int = 0) -> ModelView:
    model = Transformer(CONFIG, generator=seeded(seed))
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(10 if parameter.ndim > 1 else 1)
    return ModelView(model)


def part(selection: str = "groundtruth", selected: int = 2, split: str = "clustering") -> Experts:
    return Experts(view().blocks[0], 6, selected, split, selection, seeded())


def draw(seed: int, *shape: int) -> Tensor:
    return torch.randn(*shape, generator=seeded(seed))


@pytest.mark.parametrize("selection", ["groundtruth", "similarity", "mlp"])
@pytest.mark.parametrize("shape", ["llama", "opt", "gpt2"])
def test_with_all_experts_it_is_the_original_model(shape, selection, make_decoder):
    model = ModelView(make_decoder(shape))
    ids = torch.arange(20).view(2, 10)
    before = model.logits(ids)
    found = moefication(model, [ids], experts=4, selected=4, selection=selection, steps=2, generator=seeded())
    torch.testing.assert_close(found(ids), before, atol=1e-6, rtol=0)
    few = moefication(model, [ids], experts=4, selected=1, selection=selection, steps=2, generator=seeded())
    assert (few(ids) - before).abs().max() > 1e-6


@torch.no_grad()
def test_the_output_is_the_sum_of_the_experts_that_contribute_most():
    one, model = part(), view()
    feed_forward, x = model.model.blocks[0].feed_forward, draw(1, 5, 16)
    down = feed_forward.down.weight
    for token in x:
        outputs, amounts = [], []
        for e in range(6):
            neurons = [i for i in range(24) if one.expert_of[i] == e]
            gate, up = feed_forward.gate.weight[neurons], feed_forward.up.weight[neurons]
            h = F.silu(gate @ token) * (up @ token)
            outputs.append(down[:, neurons] @ h)
            amounts.append(h.abs().sum().item())
        best = sorted(range(6), key=lambda e: -amounts[e])[:2]
        h = F.silu(feed_forward.gate(token)) * feed_forward.up(token)
        found = feed_forward.down(one.keep(token, h))
        torch.testing.assert_close(found, outputs[best[0]] + outputs[best[1]], atol=1e-4, rtol=1e-5)


@torch.no_grad()
def test_the_model_computes_with_what_was_selected():
    model = view()
    found = moefication(model, [], experts=6, selected=2, selection="groundtruth", generator=seeded())(IDS)
    plain, generator = view(), seeded()
    parts = [Experts(b, 6, 2, "clustering", "groundtruth", generator) for b in plain.blocks]
    x = plain.model.embedding(IDS)
    for block, one in zip(plain.model.blocks, parts, strict=True):
        x = x + block.attention(block.attention_norm(x))
        z = block.feed_forward_norm(x)
        h = F.silu(block.feed_forward.gate(z)) * block.feed_forward.up(z)
        x = x + block.feed_forward.down(one.keep(z, h))
    torch.testing.assert_close(found, plain.model.head(plain.model.norm(x)), atol=1e-4, rtol=1e-4)


def test_relu_neurons_that_are_not_active_are_left_out_for_free(make_decoder):
    block = ModelView(make_decoder("opt")).blocks[0]
    one = Experts(block, 4, 2, "clustering", "groundtruth", seeded())
    assert one.makers[0].shape == (48, 32)
    h = (draw(1, 7, 48) * (one.expert_of < 2)).relu()  # two experts are never active
    assert torch.equal(one.keep(draw(2, 7, 32), h), h)
    assert not torch.equal(one.keep(draw(2, 7, 32), h + 0.1), h + 0.1)  # as with SwiGLU, where nothing is zero


def test_clusters_are_balanced_and_find_what_was_planted():
    centres = 5 * draw(0, 4, 8)
    rows = (centres[:, None] + 0.1 * draw(1, 4, 5, 8)).flatten(0, 1)
    order = torch.randperm(20, generator=seeded(2))
    # K-means may start badly; the best of a few starts finds the planted clusters.
    def spread(label: Tensor) -> float:
        return sum((rows[order][label == c] - rows[order][label == c].mean(0)).square().sum().item() for c in range(4))

    labels = [balanced_clusters(rows[order], 4, seeded(seed)) for seed in range(6)]
    assert all(torch.bincount(label).tolist() == [5] * 4 for label in labels)
    label = min(labels, key=spread)
    planted = (torch.arange(20) // 5)[order]
    assert all(len(set(planted[label == c].tolist())) == 1 for c in range(4))


def test_one_round_is_the_cheapest_assignment_with_equal_sizes():
    rows = draw(3, 6, 2)
    centres = rows[torch.randperm(6, generator=seeded(4))[:2]]
    label = balanced_clusters(rows, 2, seeded(4), rounds=1)

    def cost(first: tuple[int, ...]) -> float:
        return sum((rows[i] - centres[0 if i in first else 1]).square().sum().item() for i in range(6))

    best = min(itertools.combinations(range(6), 3), key=cost)
    assert tuple(i for i in range(6) if label[i] == 0) == best


def test_more_rounds_make_tighter_clusters():
    rows = draw(5, 24, 3)

    def spread(rounds: int) -> float:
        label = balanced_clusters(rows, 4, seeded(6), rounds)
        return sum((rows[label == c] - rows[label == c].mean(0)).square().sum().item() for c in range(4))

    assert spread(20) < spread(2) - 0.1 < spread(1) - 0.2


def test_centres_are_the_means_of_their_neurons_directions():
    one = part()
    rows = F.normalize(view().model.blocks[0].feed_forward.gate.weight, dim=-1)
    for e in range(6):
        torch.testing.assert_close(one.centres[e], rows[one.expert_of == e].mean(0))
    x = draw(1, 7, 16)
    one.selection = "similarity"
    expected = F.cosine_similarity(x[:, None], one.centres, dim=-1)
    torch.testing.assert_close(one.scores(x, x), expected, atol=1e-6, rtol=0)


def test_the_router_starts_at_the_centres_and_learns_who_contributes():
    one = part("mlp", selected=2)
    x = draw(1, 3000, 16)
    with torch.no_grad():
        feed_forward = view().model.blocks[0].feed_forward
        s = one.contributions(F.silu(feed_forward.gate(x)) * feed_forward.up(x))
        start = torch.tanh(F.normalize(x, dim=-1) @ one.centres.T)
        torch.testing.assert_close(one.scores(x, x), start, atol=1e-6, rtol=0)

    def kept() -> float:
        """Share of all contributions that the selected experts hold, over the best share possible."""
        with torch.no_grad():
            chosen = s.gather(-1, one.scores(x, x).topk(2).indices).sum()
            return (chosen / s.topk(2).values.sum()).item()

    before = kept()
    one.fit(x[:2000], s[:2000], 200, seeded())
    assert kept() > before + 0.01


def test_training_the_router_leaves_no_hook_and_no_changed_weight():
    model = view()
    weights = {name: p.clone() for name, p in model.model.named_parameters()}
    found = moefication(model, [IDS], experts=6, selected=3, steps=3, generator=seeded())
    assert all(torch.equal(p, weights[name]) for name, p in model.model.named_parameters())
    hooks = [len(linear.module._forward_pre_hooks) for linear in model.linears.values()]
    assert sum(hooks) == 2 * 2  # one where a part begins and one where its neurons are read
    assert torch.equal(found(IDS), moefication(view(), [IDS], experts=6, selected=3, steps=3, generator=seeded())(IDS))


def test_work():
    def work(selection: str) -> dict[str, float]:
        return moefication(view(), [IDS], experts=6, selected=3, selection=selection, steps=0).work

    # Dense: three matrices of 24 x 16.
    assert work("mlp") == {"neurons_per_token": 12.0, "neurons_total": 24.0,
                           "products_share": pytest.approx(0.5 + (16 * 6 + 36) / (3 * 24 * 16))}  # fmt: skip
    assert work("similarity")["products_share"] == pytest.approx(0.5 + 16 * 6 / (3 * 24 * 16))
    assert work("groundtruth")["products_share"] == pytest.approx(2.5 / 3)


@pytest.mark.parametrize("option, message", [
    (dict(experts=5, selected=2), "experts is 5; it must divide the 24 neurons"),
    (dict(experts=6, selected=0), "selected is 0"),
    (dict(experts=6, selected=7), "selected is 7"),
    (dict(experts=6, steps=-1), "steps -1"),
    (dict(experts=6, split="graph"), "split is 'graph'"),
    (dict(experts=6, selection="best"), "selection 'best'"),
    (dict(experts=6, selected=2), "calibration holds no batch"),
])  # fmt: skip
def test_refuses_what_does_not_fit(option, message):
    with pytest.raises(ValueError, match=message):
        moefication(view(), [], **option)


def test_contract():
    contract = contract_of(moefication)
    assert (contract.kind, contract.target) == ("inference", "language")
    assert list(options_of(moefication)) == ["experts", "selected", "split", "selection", "steps"]
