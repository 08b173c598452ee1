"""DynamicViT: masking in training is dropping at inference, keeping all is the plain model, decisions are learned."""

import copy
import math

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from reference_impls.bench import assets
from reference_impls.core.contracts import contract_of, options_of
from reference_impls.core.vision_transformer import LabelledImages, VisionConfig, VisionTransformer
from reference_impls.dynamic.dynamicvit import DynamicViT, Predictor, dynamicvit, masked_attention
from tests.reference_impls.drawn import seeded

CONFIG = VisionConfig(image_size=8, patch_size=2, width=12, depth=4, heads=2, mlp_width=16, classes=5)


def draw(seed: int, *shape: int) -> Tensor:
    return torch.randn(*shape, dtype=torch.float64, generator=seeded(seed))


def model() -> VisionTransformer:
    made = VisionTransformer(CONFIG).double().eval()
    with torch.no_grad():
        for seed, parameter in enumerate(made.parameters()):
            parameter.copy_(draw(seed, *parameter.shape) / 2)
    return made


def some(n: int = 12) -> LabelledImages:
    return LabelledImages(draw(7, n, 1, 8, 8), torch.arange(n) % 5)


def dynamic(keep_ratio: float = 0.7, stages: int = 3) -> DynamicViT:
    made = DynamicViT(model(), keep_ratio, stages, seeded())
    with torch.no_grad():
        for seed, parameter in enumerate(made.predictors.parameters()):
            parameter.copy_(draw(100 + seed, *parameter.shape))
    return made


@torch.no_grad()
def gathered(vit: VisionTransformer, image: Tensor, sets: list[list[int]]) -> Tensor:
    """Logits of one image when these image tokens are left before blocks 1, 2 and 3."""
    x, there = vit.embed(image[None]), list(range(16))
    for i, block in enumerate(vit.blocks):
        if i:
            rows = [0] + [1 + there.index(t) for t in sets[i - 1]]
            x, there = x[:, rows], sets[i - 1]
        x = block(x)
    return vit.classify(x)[0]


@torch.no_grad()
def test_masking_in_training_equals_dropping_the_tokens():
    made = dynamic()
    images = draw(9, 4, 1, 8, 8)
    given = [(torch.rand(4, 16, generator=seeded(s)) > 0.35).double() for s in range(3)]
    logits, _, decisions = made.masked(images, given)
    for image in range(4):
        sets = [[t for t in range(16) if all(given[k][image, t] for k in range(s + 1))] for s in range(3)]
        torch.testing.assert_close(logits[image], gathered(made.model, images[image], sets), atol=1e-11, rtol=0)
        for s in range(3):
            assert decisions[s][image].nonzero().flatten().tolist() == sets[s]


@torch.no_grad()
def test_inference_is_training_with_the_best_of_each_stage():
    """The predictor sees the same in both: at inference what is left, in training the mean over what is left."""
    made = dynamic(0.6)
    images = draw(9, 4, 1, 8, 8)
    given: list[Tensor] = []
    for s in range(3):
        keep = int(16 * 0.6 ** (s + 1))
        x, D = made.model.embed(images), torch.ones(4, 16).double()
        for i, block in enumerate(made.model.blocks[: s + 1]):
            D = D if i == 0 else D * given[i - 1]
            x = x + masked_attention(block.attention, block.attention_norm(x), F.pad(D, (1, 0), value=1.0))
            x = block.transform(x)
        score = made.predictors[s](x[:, 1:], D)[..., 1].masked_fill(D == 0, -math.inf)
        given.append(torch.zeros(4, 16).double().scatter(1, score.topk(keep).indices, 1.0))
    torch.testing.assert_close(made(images), made.masked(images, given)[0], atol=1e-11, rtol=0)
    assert made.work == {"tokens_total": 17, "tokens_left": 4, "tokens_per_layer": (17 + 10 + 6 + 4) / 4}


@torch.no_grad()
def test_all_tokens_kept_is_the_plain_model():
    made, images = dynamic(1.0), draw(9, 4, 1, 8, 8)
    torch.testing.assert_close(made(images), made.model(images), atol=1e-12, rtol=0)
    ones = [torch.ones(4, 16).double()] * 3
    torch.testing.assert_close(made.masked(images, ones)[0], made.model(images), atol=1e-12, rtol=0)
    attention, x = made.model.blocks[0].attention, draw(3, 2, 17, 12)
    torch.testing.assert_close(masked_attention(attention, x, torch.ones(2, 17).double()), attention(x)[0])


def test_masked_attention_by_loops_and_its_gradient_reaches_the_decisions():
    attention, x = model().blocks[0].attention, draw(3, 1, 5, 12)
    policy = torch.tensor([[1.0, 1, 0, 1, 0]]).double().requires_grad_(True)
    out = masked_attention(attention, x, policy)
    q, k, v = (part.view(5, 2, 6) for part in attention.qkv(x)[0].chunk(3, dim=-1))
    mixed = torch.zeros(5, 2, 6).double()
    for h in range(2):
        for i in range(5):
            seen = [j for j in range(5) if policy[0, j] == 1 or j == i]
            weights = torch.stack([(q[i, h] @ k[j, h] / math.sqrt(6)).exp() for j in seen])
            mixed[i, h] = sum(w / weights.sum() * v[j, h] for w, j in zip(weights, seen, strict=True))
    torch.testing.assert_close(out[0], attention.projection(mixed.view(5, 12)), atol=1e-12, rtol=0)
    out.square().sum().backward()
    assert torch.isfinite(policy.grad).all() and (policy.grad != 0).all()   # a dropped token learns what it would bring


def test_predictor_mixes_a_token_with_the_mean_of_those_that_are_left():
    predictor = Predictor(12, seeded()).double()
    for seed, parameter in enumerate(predictor.parameters()):
        parameter.data = draw(seed, *parameter.shape)
    x, D = draw(5, 2, 16, 12), (torch.rand(2, 16, generator=seeded(1)) > 0.5).double()
    pi = predictor(x, D)
    torch.testing.assert_close(pi.exp().sum(-1), torch.ones(2, 16).double())
    z = predictor.embed(x)
    for b in range(2):
        left = [t for t in range(16) if D[b, t]]
        mean = sum(z[b, t, 6:] for t in left) / len(left)
        for t in range(16):
            expected = predictor.decide(torch.cat([z[b, t, :6], mean])).log_softmax(-1)
            torch.testing.assert_close(pi[b, t], expected)


def test_decisions_are_drawn_with_their_probabilities_and_never_come_back():
    made = dynamic()
    pi = torch.tensor([0.2, 0.8]).double().log().expand(20000, 1, 2).clone().requires_grad_(True)
    drawn = made._draw(pi)
    assert set(drawn.detach().flatten().tolist()) == {0.0, 1.0} and abs(drawn.mean().item() - 0.8) < 0.01
    drawn.sum().backward()
    assert pi.grad.abs().sum() > 0
    decisions = made.masked(draw(9, 3, 1, 8, 8))[2]
    for earlier, later in zip(decisions, decisions[1:], strict=False):
        assert ((later == 1) <= (earlier == 1)).all()


def test_loss_by_hand():
    """One step of training from the loss of the paper, written out, gives the same weights."""
    vit, data = model(), some(8)
    vit.head.weight.data *= 30                                              # so that dropped tokens change the answer
    vit.head.bias.data -= vit(data.images).mean(0).detach()
    made = dynamicvit(vit, calibration=data, keep_ratio=0.6, steps=1, batch=8, learning_rate=1e-2, generator=seeded(3))
    generator = seeded(3)
    twin = DynamicViT(copy.deepcopy(vit), 0.6, 3, generator)
    drawn = torch.randint(8, (8,), generator=generator)
    images, labels = data.images[drawn], data.labels[drawn]
    y, tokens, decisions = twin.masked(images)
    with torch.no_grad():
        x = vit.embed(images)
        for block in vit.blocks:
            x = block(x)
        goal, wanted = vit.norm(x), vit(images)
    loss = sum(-y[b].log_softmax(-1)[labels[b]] for b in range(8)) / 8
    p, q = wanted.log_softmax(-1), y.log_softmax(-1)
    kl = (p.exp() * (p - q)).sum() / 8                                      # the model's probabilities weight it
    assert abs(kl - (q.exp() * (q - p)).sum() / 8) > 1e-3
    kept = [(b, t) for b in range(8) for t in range(16) if decisions[-1][b, t] == 1]
    distill = sum((tokens[b, t + 1] - goal[b, t + 1]).square().mean() for b, t in kept) / len(kept)
    ratio = sum((decisions[s][b].mean() - 0.6 ** (s + 1)) ** 2 for s in range(3) for b in range(8)) / 24
    (loss + 0.5 * (distill + kl) + 2.0 * ratio).backward()
    torch.nn.utils.clip_grad_norm_(twin.parameters(), 1.0)
    groups = [{"params": [p for p in twin.parameters() if (p.ndim >= 2) is matrix], "weight_decay": 0.1 * matrix}
              for matrix in (True, False)]  # fmt: skip
    torch.optim.AdamW(groups, lr=1e-2, betas=(0.9, 0.95)).step()
    for mine, theirs in zip(made.parameters(), twin.parameters(), strict=True):
        torch.testing.assert_close(mine, theirs, atol=1e-5, rtol=1e-4)


def test_digits_keep_their_accuracy_at_half_the_tokens_and_untrained_predictors_do_not():
    vit, (images, labels) = VisionTransformer.from_pretrained(assets.path(assets.DIGITS)), assets.digits("test")
    before = copy.deepcopy(vit.state_dict())
    data = LabelledImages(*assets.digits("train"))
    right = {}
    for steps in (0, 120):
        made = dynamicvit(vit, calibration=data, keep_ratio=0.5, steps=steps, batch=32, generator=seeded())
        with torch.no_grad():
            right[steps] = (made(images).argmax(-1) == labels).float().mean().item()
    assert right[120] > right[0] + 0.1
    assert all(torch.equal(vit.state_dict()[name], value) for name, value in before.items())
    assert made.work["tokens_left"] == 3 and made.storage.nbytes() > 2 * sum(p.numel() for p in vit.parameters())


def test_contract_and_refusals():
    contract = contract_of(dynamicvit)
    assert (contract.kind, contract.target) == ("inference", "vision")
    assert {name: option.default for name, option in options_of(dynamicvit).items()} == {
        "keep_ratio": 0.7, "stages": 3, "steps": 300, "batch": 64, "learning_rate": 1e-3, "ratio_weight": 2.0,
        "distill_weight": 0.5,
    }  # fmt: skip
    for options, message in (
        ({"keep_ratio": 0.0}, "keep_ratio is 0.0"),
        ({"keep_ratio": 1.2}, "keep_ratio is 1.2"),
        ({"stages": 4}, "room for 1 to 3"),
    ):
        with pytest.raises(ValueError, match=message):
            dynamicvit(model(), calibration=some(), **options)
