"""CALM lets each token leave early, exactly as a decoder would that worked token by token and copied states."""

import math

import pytest
import torch
from torch import Tensor, nn

from reference_impls.core.contracts import contract_of, options_of
from reference_impls.core.language import language_loss, next_token_loss
from reference_impls.core.model_view import ModelView
from reference_impls.core.training import batches, train
from reference_impls.core.transformer import Transformer, TransformerConfig, rotary_angles, rotate
from reference_impls.dynamic.calm import calibrate, calm, layer_weighted_loss, p_value

CONFIG = TransformerConfig(vocab=30, width=16, layers=4, heads=2, kv_heads=1, ffn=24, context=64)


def spread(model: nn.Module) -> nn.Module:
    """Larger weights than the usual start, so that layers disagree and confidences differ."""
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim == 2:
                parameter.normal_(std=0.35, generator=generator)
    return model.eval()


def ours() -> nn.Module:
    return spread(Transformer(CONFIG)).double()


def llama() -> nn.Module:
    from transformers import LlamaConfig, LlamaForCausalLM

    return spread(LlamaForCausalLM(LlamaConfig(
        vocab_size=30, hidden_size=16, intermediate_size=24, num_hidden_layers=3, num_attention_heads=2,
        num_key_value_heads=1, max_position_embeddings=64, bos_token_id=None, eos_token_id=None)))  # fmt: skip


def opt() -> nn.Module:
    from transformers import OPTConfig, OPTForCausalLM

    return spread(OPTForCausalLM(OPTConfig(
        vocab_size=30, hidden_size=16, ffn_dim=24, num_hidden_layers=3, num_attention_heads=2, word_embed_proj_dim=16,
        max_position_embeddings=64, bos_token_id=None, eos_token_id=None, pad_token_id=1)))  # fmt: skip


def gpt2() -> nn.Module:
    from transformers import GPT2Config, GPT2LMHeadModel

    return spread(GPT2LMHeadModel(GPT2Config(
        vocab_size=30, n_embd=16, n_layer=3, n_head=2, n_positions=64, bos_token_id=None,
        eos_token_id=None)))  # fmt: skip


def draw(seed: int, *shape: int) -> Tensor:
    return torch.randint(2, 30, shape, generator=torch.Generator().manual_seed(seed))


@torch.no_grad()
def token_by_token(model: nn.Module, ids: Tensor, measure: str, limits: list[float]) -> tuple[Tensor, list[int]]:
    """One sequence (n,): each token climbs alone; states[i][s] is d^i_s, copied upwards when token s leaves."""
    L, (h, g, e) = len(model.blocks), (CONFIG.heads, CONFIG.kv_heads, CONFIG.head_width)
    cos, sin = rotary_angles(len(ids), e, CONFIG.rope_base, model.embedding.weight)
    states: list[list[Tensor]] = [[] for _ in range(L + 1)]
    logits, used = [], []
    for t, token in enumerate(ids):
        d = model.embedding.weight[token]
        states[0].append(d)
        for i, block in enumerate(model.blocks, start=1):
            read = [block.attention_norm(state) for state in states[i - 1]]  # of tokens 0 to t
            mixed = []
            for head in range(h):
                q = rotate(block.attention.query(read[t]).view(h, e)[head], cos[t], sin[t])
                shared = head // (h // g)  # the key-value head of this query head
                k = [rotate(block.attention.key(x).view(g, e)[shared], cos[s], sin[s]) for s, x in enumerate(read)]
                v = [block.attention.value(x).view(g, e)[shared] for x in read]
                weights = torch.stack([q @ key / math.sqrt(e) for key in k]).softmax(0)
                mixed.append(sum(w * value for w, value in zip(weights, v, strict=True)))
            before = d
            d = d + block.attention.output(torch.cat(mixed))
            d = d + block.feed_forward(block.feed_forward_norm(d))
            p = model.head(model.norm(d)).softmax(0).sort(descending=True).values
            if measure == "softmax":
                confidence = float(p[0] - p[1])
            else:
                confidence = max(0.0, float(d @ before / d.norm() / before.norm())) if i > 1 else 0.0
            states[i].append(d)
            if i == L or confidence >= limits[t]:
                for later in range(i + 1, L + 1):
                    states[later].append(d)
                break
        logits.append(model.head(model.norm(d)))
        used.append(i)
    return torch.stack(logits), used


@pytest.mark.parametrize("measure", ["softmax", "state"])
@pytest.mark.parametrize("threshold, tau", [(0.1, None), (0.2, None), (0.3, None), (0.9, None), (0.15, 4.0), (0.8, 0)])
def test_equals_the_token_by_token_decoder(measure, threshold, tau):
    model, ids = ours(), draw(0, 2, 14)
    early = calm(ModelView(model), [], measure=measure, threshold=threshold, tau=tau, length=14)
    limits = [threshold if tau is None else 0.9 * threshold + 0.1 * math.exp(-tau * t / 14) for t in range(1, 15)]
    expected, used = zip(*(token_by_token(model, row, measure, limits) for row in ids), strict=True)
    torch.testing.assert_close(early(ids), torch.stack(expected), atol=1e-6, rtol=0)  # the angles are float32
    assert early.work["layers_per_token"] == sum(map(sum, used)) / 28
    assert early.work["layers_total"] == 4
    assert early.work["read_outs_per_token"] == (sum(map(sum, used)) / 28 if measure == "softmax" else 1)


def test_the_twin_above_sees_every_depth():
    # Otherwise the comparison could pass without a single early exit or copied state.
    model, ids = ours(), draw(0, 2, 14)
    used = {i for limit in (0.1, 0.3) for row in ids for i in token_by_token(model, row, "softmax", [limit] * 14)[1]}
    assert used == {1, 2, 3, 4}


@pytest.mark.parametrize("kind", [ours, llama, opt, gpt2])
@pytest.mark.parametrize("measure", ["softmax", "state"])
def test_threshold_one_is_the_full_model(kind, measure):
    view, ids = ModelView(kind()), draw(0, 2, 12)
    early = calm(view, [], measure=measure, threshold=1.0, tau=4.0)
    torch.testing.assert_close(early(ids), view.logits(ids), atol=1e-5, rtol=0)
    depth = len(view.blocks)
    assert early.work == {"layers_per_token": depth, "layers_total": depth, "read_outs_per_token": 1}


@pytest.mark.parametrize("kind", [ours, llama, opt, gpt2])
@pytest.mark.parametrize("measure", ["softmax", "state"])
def test_threshold_zero_reads_out_the_first_layer(kind, measure):
    view, ids, seen = ModelView(kind()), draw(0, 2, 12), []
    hook = view.blocks[0].module.register_forward_hook(lambda _, __, output: seen.append(output))
    view.logits(ids)
    hook.remove()
    first = seen[0][0] if isinstance(seen[0], tuple) else seen[0]
    early = calm(view, [], measure=measure, threshold=0.0)
    torch.testing.assert_close(early(ids), view.read_out(first).detach(), atol=1e-5, rtol=0)
    assert early.work["layers_per_token"] == 1


@pytest.mark.parametrize("measure", ["softmax", "state"])
def test_a_higher_threshold_never_uses_fewer_layers(measure):
    # Exact for a token with no other before it; later tokens also read states that other tokens left behind.
    view, ids = ModelView(ours()), torch.arange(30).view(30, 1)
    work = []
    for threshold in [k / 20 for k in range(21)]:
        early = calm(view, [], measure=measure, threshold=threshold)
        early(ids)
        work.append(early.work["layers_per_token"])
    assert work == sorted(work) and work[0] == 1 and work[-1] == 4 and len(set(work)) > 5


def test_threshold_decays_as_in_equation_5():
    early = calm(ModelView(ours()), [], threshold=0.5, tau=4.0, length=20)
    expected = [0.45 + 0.1 * math.exp(-4 * t / 20) for t in range(1, 11)]
    torch.testing.assert_close(early.thresholds(10), torch.tensor(expected))
    early.tau = 0.0
    torch.testing.assert_close(early.thresholds(10), torch.full((10,), 0.55))
    early.tau = None
    torch.testing.assert_close(early.thresholds(10), torch.full((10,), 0.5))


def test_future_tokens_do_not_matter():
    early, ids = calm(ModelView(ours()), [], threshold=0.15, tau=2.0, length=14), draw(0, 1, 14)
    before = early(ids)
    ids[:, 9:] = 3
    torch.testing.assert_close(early(ids)[:, :9], before[:, :9], atol=1e-12, rtol=0)


def test_work_adds_up_until_it_is_reset():
    early = calm(ModelView(ours()), [], threshold=0.2)
    parts = []
    for seed, length in ((0, 14), (1, 5)):
        early.reset_work()
        early(draw(seed, 2, length))
        parts.append((early.work["layers_per_token"], 2 * length))
    early(draw(0, 2, 14))
    assert early.work["layers_per_token"] == pytest.approx(sum(a * b for a, b in parts) / sum(b for _, b in parts))


@pytest.mark.parametrize("mean, n, delta, expected", [
    (0.0, 10, 0.1, 0.9**10),
    # Bernoulli divergence .1 log(.1/.5) + .9 log(.9/.5) = .368064; exp(-3.68064) = .025207 < e * 11 / 1024 = .029200
    (0.1, 10, 0.5, 0.025207),
    # 2 of 20 at one half: e * (1 + 20 + 190) / 2^20 = .000547 < exp(-20 * .368064) = .000635
    (0.1, 20, 0.5, 0.000547),
    (0.5, 100, 0.5, 1.0),
    (0.9, 100, 0.5, 1.0),
])  # fmt: skip
def test_p_value_by_hand(mean, n, delta, expected):
    assert p_value(mean, n, delta) == pytest.approx(expected, rel=1e-3)


@pytest.mark.parametrize("n, delta", [(5, 0.3), (40, 0.1), (200, 0.05)])
def test_p_value_is_valid_and_no_larger_than_hoeffdings(n, delta):
    # Losses of 0 or 1 whose expectation just reaches delta: a small p-value must be no likelier than it says.
    chance = [math.comb(n, k) * delta**k * (1 - delta) ** (n - k) for k in range(n + 1)]
    values = [p_value(k / n, n, delta) for k in range(n + 1)]
    for u in values:
        assert sum(c for c, p in zip(chance, values, strict=True) if p <= u) <= u + 1e-12
    for k, p in enumerate(values):
        assert p <= math.exp(-2 * n * max(0.0, delta - k / n) ** 2) + 1e-12
    assert p_value(0.02, 5000, 0.05) < 1e-9  # no overflow


class Scripted:
    """Stands for the early-exit model: at each threshold, differs from the full model in a given number of texts."""

    def __init__(self, wrong: dict[float, int]) -> None:
        self.wrong, self.view, self.threshold, self.tried = wrong, self, 1.0, []

    def logits(self, ids: Tensor) -> Tensor:
        return torch.nn.functional.one_hot(torch.zeros_like(ids), 2).double()

    def __call__(self, ids: Tensor) -> Tensor:
        self.tried.append(round(self.threshold, 6))
        choice = torch.zeros_like(ids)
        choice[: self.wrong[self.tried[-1]]] = 1
        return torch.nn.functional.one_hot(choice, 2).double()


@pytest.mark.parametrize("wrong, chosen, tried", [
    ({0.75: 0, 0.5: 1, 0.25: 3}, 0.25, [0.75, 0.5, 0.25]),
    ({0.75: 0, 0.5: 20, 0.25: 0}, 0.75, [0.75, 0.5]),  # stops at the first failure, though the next one would pass
    ({0.75: 20, 0.5: 0, 0.25: 0}, 1.0, [0.75]),
])  # fmt: skip
def test_calibration_goes_down_until_the_first_threshold_that_is_not_proved(wrong, chosen, tried):
    early = Scripted(wrong)
    # 100 texts: 3 % is proved to lie below 10 % at the level 0.05 (p = .021), 20 % is not.
    assert calibrate(early, [torch.zeros(100, 4, dtype=torch.int64)], 0.1, 0.05, 0.25) == chosen
    assert early.tried == tried


def test_calibrated_threshold_keeps_the_tolerance_and_a_looser_one_saves_more():
    view, texts = ModelView(ours()), [draw(seed, 8, 16) for seed in range(8)]
    thresholds, work = [], []
    for delta in (0.3, 0.6, 0.9):
        early = calm(view, texts, delta=delta, step=0.1)
        assert early.work["layers_per_token"] == 0  # calibration is not counted
        wrong = torch.cat([(early(ids).argmax(-1) != view.logits(ids).argmax(-1)).double().mean(-1) for ids in texts])
        assert early.threshold == 1 or p_value(wrong.mean().item(), 64, delta) <= 0.05
        early.threshold -= 0.1
        wrong = torch.cat([(early(ids).argmax(-1) != view.logits(ids).argmax(-1)).double().mean(-1) for ids in texts])
        assert early.threshold < 0.05 or p_value(wrong.mean().item(), 64, delta) > 0.05  # the next step is not proved
        thresholds.append(early.threshold + 0.1)
        work.append(early.work["layers_per_token"])
    assert thresholds == sorted(thresholds, reverse=True) and thresholds[0] > thresholds[-1]
    assert work[0] > work[-1]


def test_cut_of_the_calibration_batches_does_not_matter():
    view, texts = ModelView(ours()), draw(0, 24, 16)
    chosen = {calm(view, list(texts.split(size)), delta=0.5, step=0.1).threshold for size in (24, 8, 5)}
    assert len(chosen) == 1 and chosen != {1.0}


def test_layer_weighted_loss_is_the_weighted_sum_of_all_read_outs():
    model, ids = ours(), draw(0, 2, 10)
    x, expected = model.embedding(ids), 0.0
    for i, block in enumerate(model.blocks, start=1):
        x = block(x)
        expected = expected + i / 10 * next_token_loss(model.head(model.norm(x)), ids)
    torch.testing.assert_close(layer_weighted_loss(ModelView(model), ids), expected)
    one = Transformer(TransformerConfig(vocab=30, width=16, layers=1, heads=2, kv_heads=1, ffn=24))
    torch.testing.assert_close(layer_weighted_loss(ModelView(one), ids), language_loss(one, ids))


def test_training_with_the_weighted_loss_saves_layers_at_the_same_distance():
    # The paper's reason for its loss, in small: five seeds, an easy text, the same budget.
    ids = torch.arange(600) % 7 + torch.arange(600) // 7 % 3 * 7  # three cycles in turn
    won = 0
    for seed in range(5):
        work = []
        for weighted in (False, True):
            model = Transformer(CONFIG, generator=torch.Generator().manual_seed(seed))
            view = ModelView(model)
            loss = (lambda _, x, view=view: layer_weighted_loss(view, x)) if weighted else language_loss
            windows = batches(ids, batch=4, length=16, generator=torch.Generator().manual_seed(seed))
            train(model, windows, steps=40, loss=loss, learning_rate=1e-2)
            early = calm(view, [torch.cat([next(windows) for _ in range(16)])], step=0.1)
            early(next(windows))
            work.append(early.work["layers_per_token"])
        won += work[1] < work[0]
    assert won == 5


@pytest.mark.parametrize("options, message", [
    (dict(threshold=1.1), "threshold is 1.1"),
    (dict(threshold=-0.1), "threshold is -0.1"),
    (dict(measure="entropy"), "measure is 'entropy'"),
    (dict(delta=0.0), "delta is 0.0"),
    (dict(epsilon=1.0), "epsilon is 1.0"),
    (dict(step=0.0), "step is 0.0"),
    (dict(threshold=0.5, length=0), "length is 0"),
    (dict(threshold=0.5, tau=-1.0), "tau -1.0"),
    (dict(), "calibration holds no batch"),
])  # fmt: skip
def test_refuses_what_does_not_fit(options, message):
    with pytest.raises(ValueError, match=message):
        calm(ModelView(ours()), [], **options)


def test_refuses_a_model_that_does_more_than_norm_and_head():
    class Scaled(Transformer):
        def forward(self, ids: Tensor) -> Tensor:
            return 0.1 * super().forward(ids)

    with pytest.raises(ValueError, match="the logits of Scaled"):
        calm(ModelView(spread(Scaled(CONFIG))), [], threshold=0.5)


def test_contract():
    contract = contract_of(calm)
    assert (contract.kind, contract.target) == ("inference", "language")
    assert list(options_of(calm)) == ["measure", "threshold", "delta", "epsilon", "step", "tau", "length"]
