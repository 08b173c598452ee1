"""FlashAttention: exact softmax attention in blocks, without ever holding the matrix of scores.

Paper    Dao, Fu, Ermon, Rudra, Ré. FlashAttention: Fast and Memory-Efficient Exact Attention with IO-Awareness.
         NeurIPS 2022. arXiv:2205.14135. Algorithm 1 (forward), Algorithm 4 in Appendix B (backward).
Symbols  Q, K, V  (b, h, n, d)      queries, keys, values; there may be m keys to n queries
         O        (b, h, n, d)      output (`out`)
         m, l     (b, h, n, 1)      each query's largest score so far (`top`), the sum of its exponentials (`ell`)
         L        (b, h, n, 1)      m + log l: the logarithm of the whole softmax denominator
         S, P     (b, h, B_r, B_c)  scores and probabilities of one block; B_r = `block_q`, B_c = `block_k`
         i, j                       the block of queries, the block of keys
Differs  from Algorithm 1: a block's exponentials are taken at once relative to the new maximum, where the paper takes
         them relative to the block's own and corrects them; equal, and safe for a row whose block is wholly masked.
         From Algorithm 4: L is kept instead of m and l (as FlashAttention-2 does). No dropout, no padding mask.
"""

import math

import torch
from torch import Tensor

from reference_impls.core.contracts import inference


@inference(target="attention")
def flashattention(query: Tensor, key: Tensor, value: Tensor, *, causal: bool = False, scale: float | None = None,
                   block_q: int = 64, block_k: int = 64) -> Tensor:
    """softmax(scale Q K^T) V, (b, h, n, d), computed block by block; differentiable once.

    query: (b, h, n, d); key: (b, g, m, d), value: (b, g, m, e), g dividing h (each serves h / g query heads). causal:
    the last query sees every key, the one before it all but the last, and so on. scale: None takes 1 / sqrt(d).
    Statistics and sums are kept in float32 at least. Raises ValueError for shapes that do not fit, block sizes below 1,
    or causal with more queries than keys (the first ones would see nothing).
    """
    (b, h, n, d), (g, m) = query.shape, key.shape[1:3]
    if key.shape != (b, g, m, d) or value.shape[:3] != (b, g, m) or h % g or not m:
        shapes = f"query {tuple(query.shape)}, key {tuple(key.shape)}, value {tuple(value.shape)}"
        raise ValueError(f"{shapes} do not fit; expected (b, h, n, d), (b, g, m, d), (b, g, m, e), g dividing h, m > 0")
    for name, size in (("block_q", block_q), ("block_k", block_k)):
        if size < 1:
            raise ValueError(f"{name} is {size}; a block has at least 1 row")
    if causal and n > m:
        raise ValueError(f"causal attention of {n} queries to {m} keys; there must be at least as many keys")
    if g < h:
        key, value = key.repeat_interleave(h // g, dim=1), value.repeat_interleave(h // g, dim=1)
    scale = 1 / math.sqrt(d) if scale is None else scale
    return BlockwiseAttention.apply(query, key, value, causal, scale, block_q, block_k)


class BlockwiseAttention(torch.autograd.Function):
    """The two passes. What is saved between them has n rows, never n * m entries."""

    @staticmethod
    def forward(ctx, query, key, value, causal, scale, block_q, block_k):
        sums = torch.promote_types(query.dtype, torch.float32)
        *batch, n, _ = query.shape
        out = torch.zeros(*batch, n, value.shape[-1], dtype=sums, device=query.device)
        ell = torch.zeros(*batch, n, 1, dtype=sums, device=query.device)
        top = torch.full_like(ell, -math.inf)
        for j in blocks(key.shape[-2], block_k):                            # load K_j, V_j once ...
            K, V = key[..., j, :].to(sums), value[..., j, :].to(sums)
            for i in blocks(n, block_q):                                    # ... and pass all queries over them
                S = scores(query, K, i, j, key.shape[-2], causal, scale)
                if S is None:
                    continue
                top_new = torch.maximum(top[..., i, :], S.amax(-1, keepdim=True))  # (b, h, B_r, 1)  [eq-max]
                P = torch.exp(S - top_new)                                  # (b, h, B_r, B_c)
                ell_old = torch.exp(top[..., i, :] - top_new) * ell[..., i, :]  # the sum so far, on the new footing
                ell_new = ell_old + P.sum(-1, keepdim=True)                 # (b, h, B_r, 1)       [eq-sum]
                out[..., i, :] = (ell_old * out[..., i, :] + P @ V) / ell_new  # (b, h, B_r, d)    [eq-output]
                top[..., i, :], ell[..., i, :] = top_new, ell_new
        out = out.to(query.dtype)
        ctx.save_for_backward(query, key, value, out, top + torch.log(ell))
        ctx.options = causal, scale, block_q, block_k
        return out

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx, dO):
        query, key, value, out, L = ctx.saved_tensors
        causal, scale, block_q, block_k = ctx.options
        dQ, dK, dV = (torch.zeros_like(x, dtype=L.dtype) for x in (query, key, value))
        D = (dO.to(L) * out.to(L)).sum(-1, keepdim=True)                    # (b, h, n, 1)         [eq-delta]
        for j in blocks(key.shape[-2], block_k):
            K, V = key[..., j, :].to(L), value[..., j, :].to(L)
            for i in blocks(query.shape[-2], block_q):
                S = scores(query, K, i, j, key.shape[-2], causal, scale)
                if S is None:
                    continue
                P = torch.exp(S - L[..., i, :])                             # recomputed, not stored [eq-recompute]
                dO_i = dO[..., i, :].to(L)                                  # (b, h, B_r, e)
                dV[..., j, :] += P.mT @ dO_i
                dS = P * (dO_i @ V.mT - D[..., i, :])                       # (b, h, B_r, B_c)     [eq-dscore]
                dQ[..., i, :] += scale * dS @ K
                dK[..., j, :] += scale * dS.mT @ query[..., i, :].to(L)
        return dQ.to(query.dtype), dK.to(key.dtype), dV.to(value.dtype), None, None, None, None


def blocks(length: int, size: int) -> list[slice]:
    """Cut range(length) into slices of `size`; the last may be shorter."""
    return [slice(start, min(start + size, length)) for start in range(0, length, size)]


def scores(query: Tensor, K: Tensor, i: slice, j: slice, keys: int, causal: bool, scale: float) -> Tensor | None:
    """Scores of one block, (b, h, B_r, B_c), future keys at -inf; None where all of the block lies in the future."""
    shift = keys - query.shape[-2]                                          # query r stands at position r + shift
    if causal and j.start > i.stop - 1 + shift:
        return None
    S = scale * query[..., i, :].to(K) @ K.mT                               # (b, h, B_r, B_c)     [eq-score]
    if causal and j.stop - 1 > i.start + shift:
        row = torch.arange(i.start, i.stop, device=K.device)[:, None] + shift
        S = S.masked_fill(torch.arange(j.start, j.stop, device=K.device) > row, -math.inf)
    return S
