"""ToMe: in every block of a vision transformer, the most similar tokens are merged in pairs.

Paper    Bolya, Fu, Dai, Zhang, Feichtenhofer, Hoffman. Token Merging: Your ViT But Faster. ICLR 2023. arXiv:2210.09461.
Symbols  x      (b, N, width)       tokens of a block, the class token first
         K      (b, heads, N, e)    keys of its attention
         s      (b, N, 1)           size of each token: how many patches it stands for
         A, B                       tokens at even and at odd places; only those of A are given away
         r                          tokens that a block loses
Differs  from the authors' code in how a decision is kept: one index for each token, the place that it goes to, instead
         of three index lists; tokens of equal similarity are taken in their order. No distillation token, no tracing of
         sources (`unmerge` of an identity gives them).
"""

from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from reference_impls.core.contracts import inference
from reference_impls.core.vision_transformer import VisionTransformer

Merge = Callable[[Tensor], Tensor]


@inference(target="vision")
def tome(model: VisionTransformer, *, r: int = 2, schedule: Literal["constant", "decreasing"] = "constant",
         proportional: bool = True) -> nn.Module:  # fmt: skip
    """The model with merging between attention and MLP of each block: forward(images) -> logits (b, classes).

    r: tokens lost in each block, at most half of those that are there. schedule: "decreasing" starts at 2 r and falls
    to 0 linearly. proportional: attention counts a token as often as it has patches. The model itself is not changed.

    `.work` describes the last batch: tokens_total at the start, tokens_left at the end, and tokens_per_layer, the mean
    over the blocks of what their MLP sees. Raises ValueError for a negative r or another schedule.
    """
    if r < 0:
        raise ValueError(f"r is {r}; a block cannot lose fewer than 0 tokens")
    if schedule not in ("constant", "decreasing"):
        raise ValueError(f"schedule is {schedule!r}; allowed are constant and decreasing")
    return TokenMerging(model, counts(r, schedule, len(model.blocks)), proportional)


def counts(r: int, schedule: str, blocks: int) -> list[int]:
    """r for each block. Their sum is r * blocks, less what rounding down to whole tokens takes."""
    if schedule == "constant":
        return [r] * blocks
    return [int(2 * r * (1 - i / max(blocks - 1, 1))) for i in range(blocks)]


class TokenMerging(nn.Module):
    """Runs the blocks of a vision transformer on ever fewer tokens."""

    def __init__(self, model: VisionTransformer, counts: list[int], proportional: bool) -> None:
        super().__init__()
        self.model, self.counts, self.proportional = model, counts, proportional
        self.work: dict[str, float] = {}

    def forward(self, images: Tensor) -> Tensor:
        x = self.model.embed(images)                                        # (b, N, width)
        s = torch.ones_like(x[..., :1])                                     # (b, N, 1)
        seen = [x.shape[1]]
        for block, r in zip(self.model.blocks, self.counts, strict=True):
            # log s is added to the logits of each key: the softmax counts that key s times.
            bias = s.log().mT[:, None] if self.proportional else None       # (b, 1, 1, N)  [eq-proportional]
            x, K = block.attend(x, bias)
            merge, _ = bipartite_soft_matching(K.mean(1), r)
            x, s = merge(s * x) / merge(s), merge(s)                        # (b, N - r, width)  [eq-merge]
            x = block.transform(x)
            seen.append(x.shape[1])
        self.work = {"tokens_total": float(seen[0]), "tokens_left": float(seen[-1]),
                     "tokens_per_layer": sum(seen[1:]) / len(self.counts)}  # fmt: skip
        return self.model.classify(x)


@torch.no_grad()
def bipartite_soft_matching(metric: Tensor, r: int) -> tuple[Merge, Merge]:
    """Decide which r tokens go where; return `merge` and `unmerge`, which carry the decision out on any tensor.

    metric: (b, N, c), what similarity is measured on, the class token first; it stays first and is never given away.
    r is capped at half of the other tokens. merge: (b, N, d) -> (b, N - r, d), sums over what is merged: first the
    tokens of A that stay, then those of B, each in their order. unmerge: back to (b, N, d), every token receiving a
    copy of what it became part of.
    """
    b, N, _ = metric.shape
    r = min(r, (N - 1) // 2)
    if r <= 0:
        return (lambda x: x), (lambda x: x)
    metric = F.normalize(metric, dim=-1)
    similarity = metric[:, ::2] @ metric[:, 1::2].mT                        # (b, |A|, |B|)  [eq-similarity]
    similarity[:, 0] = -torch.inf                                           # the class token
    best, partner = similarity.max(dim=-1)                                  # (b, |A|): one edge from each token of A
    order = best.argsort(dim=-1, descending=True, stable=True)
    given, staying = order[:, :r], order[:, r:].sort(dim=-1).values         # the r best edges are kept

    stay = staying.shape[1]
    place = metric.new_empty(b, N, dtype=torch.int64)                       # (b, N): where each token goes
    place[:, 1::2] = torch.arange(stay, N - r, device=metric.device)
    to_a = torch.empty_like(order).scatter(1, staying, torch.arange(stay, device=metric.device).expand(b, -1))
    place[:, ::2] = to_a.scatter(1, given, stay + partner.gather(1, given))

    def merge(x: Tensor) -> Tensor:
        return x.new_zeros(b, N - r, x.shape[-1]).scatter_add(1, place[..., None].expand_as(x), x)

    def unmerge(x: Tensor) -> Tensor:
        return x.gather(1, place[..., None].expand(-1, -1, x.shape[-1]))

    return merge, unmerge
