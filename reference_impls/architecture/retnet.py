"""RetNet: retention in place of attention, one operator in three forms (parallel, recurrent, chunkwise).

Paper    Sun, Dong, Huang, Ma, Xia, Xue, Wang, Wei. Retentive Network: A Successor to Transformer for Large Language
         Models. arXiv:2307.08621. Equations 5 (parallel), 6 (recurrent), 7 (chunkwise), 8 (the layer).
Symbols  X      (b, n, d)     input of the layer, d = d_model
         Q, K   (b, h, n, e)  queries and keys of h heads, turned by their position; e = d / h
         V      (b, h, n, f)  values; f = value_factor * e
         gamma  (h,)          decay of each head for one step back
         D      (h, n, n)     gamma^(n - m) where m <= n, else 0
         S, R   (b, h, e, f)  state after a token (S) or a chunk (R): all that is remembered of the past
         B                    tokens in a chunk
Differs  from the paper's experiments: gamma follows equation 8, not the spread from 1 - 1/32 to 1 - 1/512 in Section
         3.1. Of the three score normalizations in Section 2.2 only 1 / sqrt(e) is kept: GroupNorm cancels the other
         two (a test shows it) and float32 does not need them. From the authors' code: GroupNorm, not an RMSNorm
         without weights; the rotation is RoPE's, pair (i, i + e/2), where theirs pairs neighbours and spaces the
         angles slightly otherwise.
"""

import math
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from reference_impls.core.contracts import architecture
from reference_impls.core.transformer import TransformerConfig, rotary_angles, rotate

State = tuple[Tensor, int]  # what was remembered, (b, h, e, f), and the number of tokens read so far


@architecture(slot="attention")
def retnet(config: TransformerConfig, *, value_factor: int = 2, form: Literal["parallel", "recurrent", "chunkwise"] =
           "parallel", chunk: int = 64) -> nn.Module:  # fmt: skip
    """A gated multi-scale retention layer, (b, n, d) -> (b, n, d), causal; `config.kv_heads` is not used.

    value_factor: width of the values relative to the keys (Section 3.1: 2; equation 8: 1). form: how it is computed,
    never what. chunk: tokens in a chunk of the chunkwise form. Raises ValueError for sizes below 1 or another form.
    """
    for name, value in (("value_factor", value_factor), ("chunk", chunk)):
        if value < 1:
            raise ValueError(f"{name} is {value}; it must be at least 1")
    if form not in ("parallel", "recurrent", "chunkwise"):
        raise ValueError(f"form is {form!r}; allowed are parallel, recurrent, chunkwise")
    return MultiScaleRetention(config, value_factor, form, chunk)


class MultiScaleRetention(nn.Module):
    """Equation 8: every head its own decay, its own normalization, and a swish gate on all of them."""

    def __init__(self, config: TransformerConfig, value_factor: int, form: str, chunk: int) -> None:
        super().__init__()
        d, values = config.width, value_factor * config.width
        self.config, self.form, self.chunk = config, form, chunk
        self.query, self.key = nn.Linear(d, d, bias=False), nn.Linear(d, d, bias=False)
        self.value, self.gate = nn.Linear(d, values, bias=False), nn.Linear(d, values, bias=False)
        self.group_norm = nn.GroupNorm(config.heads, values, eps=config.norm_epsilon)
        self.output = nn.Linear(values, d, bias=False)

    @property
    def gamma(self) -> Tensor:
        """(h,), float32 whatever the weights are: 1 - 2^-9 is 1 in bfloat16."""
        head = torch.arange(self.config.heads, dtype=torch.float32, device=self.query.weight.device)
        return 1 - 2.0 ** (-5 - head)                                       # [eq-gamma]

    def forward(self, X: Tensor) -> Tensor:
        return self.read(X)[0]

    def read(self, X: Tensor, state: State | None = None) -> tuple[Tensor, State]:
        """Outputs (b, n, d) of the next n tokens after `state`, and the state after them. None: the beginning."""
        b, n, d = X.shape
        h, e = self.config.heads, self.config.head_width
        memory, seen = state or (None, 0)
        cos, sin = (t[seen:] for t in rotary_angles(seen + n, e, self.config.rope_base, X))        # (n, e) each
        Q = rotate(self.query(X).view(b, n, h, e).transpose(1, 2), cos, sin) / math.sqrt(e)        # (b, h, n, e)
        K = rotate(self.key(X).view(b, n, h, e).transpose(1, 2), cos, sin)                         # (b, h, n, e)
        V = self.value(X).view(b, n, h, -1).transpose(1, 2)                                        # (b, h, n, f)
        if self.form == "recurrent":
            heads, memory = recurrent_retention(Q, K, V, self.gamma, memory)
        else:
            B = n if self.form == "parallel" else self.chunk                # the parallel form is one chunk
            heads, memory = chunkwise_retention(Q, K, V, self.gamma, B, memory)                    # (b, h, n, f)
        Y = self.group_norm(heads.transpose(1, 2).reshape(b * n, -1)).view(b, n, -1)               # [eq-norm]
        return self.output(F.silu(self.gate(X)) * Y), (memory, seen + n)                           # [eq-msr]


def decay(gamma: Tensor, steps: Tensor, like: Tensor) -> Tensor:
    """gamma (h,) to the power of steps (...), as (h, ...); 0 for negative steps, which lie in the future."""
    gamma = gamma.view(-1, *[1] * steps.ndim).to(torch.promote_types(like.dtype, gamma.dtype))
    return (gamma ** steps.clamp(min=0) * (steps >= 0)).to(like.dtype)


def parallel_retention(Q: Tensor, K: Tensor, V: Tensor, gamma: Tensor) -> Tensor:
    """(b, h, n, f) from Q, K (b, h, n, e), V (b, h, n, f), gamma (h,): all tokens at once, n^2 scores."""
    n = torch.arange(Q.shape[-2], device=Q.device)
    D = decay(gamma, n[:, None] - n, Q)                                     # (h, n, n)
    return (Q @ K.mT * D) @ V                                               # (b, h, n, f)  [eq-parallel]


def recurrent_retention(Q: Tensor, K: Tensor, V: Tensor, gamma: Tensor,
                        S: Tensor | None = None) -> tuple[Tensor, Tensor]:  # fmt: skip
    """The same token by token, with a state (b, h, e, f) that does not grow. Returns outputs and the last state."""
    S = Q.new_zeros(*K.shape[:2], K.shape[-1], V.shape[-1]) if S is None else S
    outputs = []
    for q, k, v in zip(Q.unbind(-2), K.unbind(-2), V.unbind(-2), strict=True):
        S = gamma.view(-1, 1, 1).to(S) * S + k[..., :, None] * v[..., None, :]  # (b, h, e, f)  [eq-recurrent]
        outputs.append((q[..., None, :] @ S).squeeze(-2))                   # (b, h, f)
    return torch.stack(outputs, dim=-2), S


def chunkwise_retention(Q: Tensor, K: Tensor, V: Tensor, gamma: Tensor, B: int,
                        R: Tensor | None = None) -> tuple[Tensor, Tensor]:  # fmt: skip
    """The same chunk by chunk: parallel inside, recurrent across. Returns outputs and the last state (b, h, e, f)."""
    R = Q.new_zeros(*K.shape[:2], K.shape[-1], V.shape[-1]) if R is None else R
    outputs = []
    for q, k, v in zip(Q.split(B, dim=-2), K.split(B, dim=-2), V.split(B, dim=-2), strict=True):
        i = torch.arange(q.shape[-2], device=q.device)                      # place in the chunk; the last may be short
        xi, zeta = decay(gamma, i + 1, q)[..., None], decay(gamma, len(i) - 1 - i, q)[..., None]   # (h, B, 1)
        outputs.append(parallel_retention(q, k, v, gamma) + (q @ R) * xi)   # (b, h, B, f)  [eq-chunk-output]
        R = k.mT @ (v * zeta) + decay(gamma, i[-1:] + 1, q)[..., None] * R  # (b, h, e, f)  [eq-chunk-state]
    return torch.cat(outputs, dim=-2), R
