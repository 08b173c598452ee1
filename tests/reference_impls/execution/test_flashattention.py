"""FlashAttention is softmax attention, whatever the blocks, and never holds all scores at once."""

import math

import pytest
import torch
from torch.nn import functional as F
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from reference_impls.core.contracts import contract_of, options_of
from reference_impls.execution.flashattention import flashattention


def plain(q, k, v, *, causal=False, scale=None):
    """softmax(scale Q K^T) V with every score in memory; the last query sees every key."""
    n, m = q.shape[-2], k.shape[-2]
    scores = q @ k.transpose(-1, -2) * (1 / math.sqrt(q.shape[-1]) if scale is None else scale)
    if causal:
        scores = scores.masked_fill(torch.ones(n, m, dtype=torch.bool).triu(m - n + 1), -math.inf)
    return scores.softmax(-1) @ v


def draw(seed, *shape, dtype=torch.float64):
    return torch.randn(*shape, dtype=dtype, generator=torch.Generator().manual_seed(seed))


def problem(n, m, d=5, e=5, heads=3, dtype=torch.float64):
    shapes = (2, heads, n, d), (2, heads, m, d), (2, heads, m, e)
    return [draw(seed, *shape, dtype=dtype) for seed, shape in enumerate(shapes)]


@pytest.mark.parametrize("block_q", [1, 3, 7, 17, 64])
@pytest.mark.parametrize("block_k", [1, 2, 5, 17, 64])
@pytest.mark.parametrize("causal", [False, True])
def test_any_blocks_equal_plain_attention(block_q, block_k, causal):
    q, k, v = problem(17, 17)
    ours = flashattention(q, k, v, causal=causal, block_q=block_q, block_k=block_k)
    torch.testing.assert_close(ours, plain(q, k, v, causal=causal), atol=1e-13, rtol=0)


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("n, m", [(1, 9), (4, 11), (9, 9)])
def test_fewer_queries_than_keys_stand_at_the_end(n, m, causal):
    q, k, v = problem(n, m, e=6)
    ours = flashattention(q, k, v, causal=causal, scale=0.3, block_q=2, block_k=4)
    torch.testing.assert_close(ours, plain(q, k, v, causal=causal, scale=0.3), atol=1e-13, rtol=0)


def test_equals_torchs_own_attention():
    q, k, v = problem(32, 32, d=8, e=8)
    torch.testing.assert_close(flashattention(q, k, v, causal=True, block_q=8, block_k=16),
                               F.scaled_dot_product_attention(q, k, v, is_causal=True), atol=1e-13, rtol=0)  # fmt: skip


def test_grouped_heads_equal_repeated_heads():
    q, k, v = draw(0, 2, 6, 10, 4), draw(1, 2, 2, 10, 4), draw(2, 2, 2, 10, 4)
    repeated = [x.repeat_interleave(3, dim=1) for x in (k, v)]
    torch.testing.assert_close(flashattention(q, k, v, block_q=4, block_k=4), plain(q, *repeated), atol=1e-13, rtol=0)


@pytest.mark.parametrize("block_q, block_k", [(1, 1), (4, 3), (5, 11), (64, 64)])
@pytest.mark.parametrize("causal", [False, True])
def test_gradients_equal_autograd_through_plain_attention(block_q, block_k, causal):
    inputs = [x.requires_grad_() for x in problem(11, 13, e=4)]
    upstream = draw(3, 2, 3, 11, 4)
    out = flashattention(*inputs, causal=causal, scale=0.7, block_q=block_q, block_k=block_k)
    ours = torch.autograd.grad(out, inputs, upstream)
    theirs = torch.autograd.grad(plain(*inputs, causal=causal, scale=0.7), inputs, upstream)
    for a, b in zip(ours, theirs, strict=True):
        torch.testing.assert_close(a, b, atol=1e-12, rtol=0)


def test_gradients_pass_gradcheck():
    inputs = [x.requires_grad_() for x in problem(5, 6, d=3, e=2, heads=1)]
    assert torch.autograd.gradcheck(lambda *x: flashattention(*x, causal=True, block_q=2, block_k=4), inputs)


def test_a_constant_added_to_all_scores_of_a_query_changes_nothing():
    # A key direction that all keys share adds the same number to every score of a query: softmax does not see it.
    q, k, v = problem(12, 12)
    shifted = k + 50 * draw(4, 1, 1, 1, 5)
    torch.testing.assert_close(flashattention(q, shifted, v, block_q=5, block_k=3),
                               flashattention(q, k, v, block_q=5, block_k=3), atol=1e-11, rtol=0)  # fmt: skip


@pytest.mark.parametrize("order", ["rising", "falling"])
def test_huge_scores_do_not_overflow(order):
    # exp(1e4) is infinite in float64; the maximum moves with every block when the scores rise.
    k = torch.arange(16, dtype=torch.float64).reshape(1, 1, 16, 1)
    k = k if order == "rising" else k.flip(-2)
    q, v = torch.full((1, 1, 16, 1), 1e4, dtype=torch.float64), draw(0, 1, 1, 16, 2)
    out = flashattention(q, k, v, scale=1.0, block_q=4, block_k=1)
    torch.testing.assert_close(out, v[..., k.flatten().argmax(), :].expand_as(out), atol=1e-13, rtol=0)


def test_half_precision_sums_in_float32():
    q, k, v = problem(64, 512, d=16, e=16, dtype=torch.bfloat16)
    ours = flashattention(q, k, v, block_q=16, block_k=8)
    exact = plain(q.double(), k.double(), v.double())
    assert ours.dtype == torch.bfloat16
    # Correctly summed and rounded once: within half a unit of bf16's 8 bits of the exact result.
    assert ((ours.double() - exact).abs() <= exact.abs() * 2**-8 + 1e-6).all()


class Largest(TorchDispatchMode):
    """Records the number of elements of the largest tensor that any operation returns."""

    elements = 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        result = function(*args, **(kwargs or {}))
        sizes = [x.numel() for x in tree_leaves(result) if isinstance(x, torch.Tensor)]
        self.elements = max(self.elements, *sizes, 0)
        return result


def largest_tensor(function, n):
    inputs = [x.requires_grad_() for x in (draw(0, 1, 1, n, 4), draw(1, 1, 1, n, 4), draw(2, 1, 1, n, 4))]
    with Largest() as seen:
        function(*inputs).sum().backward()
    return seen.elements


def test_no_tensor_of_all_scores_forward_or_backward():
    for n in (256, 512):
        assert largest_tensor(plain, n) == n * n
        # Inputs, outputs and sums of n rows, and blocks of 32 x 16 scores: nothing else.
        assert largest_tensor(lambda q, k, v: flashattention(q, k, v, block_q=32, block_k=16), n) == max(4 * n, 32 * 16)


def test_causal_skips_the_blocks_above_the_diagonal():
    class Products(TorchDispatchMode):
        count = 0

        def __torch_dispatch__(self, function, types, args=(), kwargs=None):
            self.count += function in (torch.ops.aten.bmm.default, torch.ops.aten.mm.default)
            return function(*args, **(kwargs or {}))

    q, k, v = problem(32, 32)
    with Products() as everything:
        flashattention(q, k, v, block_q=8, block_k=8)
    with Products() as half:
        flashattention(q, k, v, causal=True, block_q=8, block_k=8)
    assert everything.count == 2 * 16 and half.count == 2 * 10


def test_future_keys_do_not_matter():
    q, k, v = problem(10, 10)
    before = flashattention(q, k, v, causal=True, block_q=3, block_k=4)
    k[..., 6:, :], v[..., 6:, :] = 99.0, -99.0
    after = flashattention(q, k, v, causal=True, block_q=3, block_k=4)
    assert torch.equal(before[..., :6, :], after[..., :6, :])
    assert not torch.equal(before[..., 6:, :], after[..., 6:, :])


@pytest.mark.parametrize("change, message", [
    (dict(block_q=0), "block_q is 0"),
    (dict(block_k=-1), "block_k is -1"),
    (dict(key=torch.zeros(2, 3, 4, 6)), "do not fit"),
    (dict(key=torch.zeros(2, 2, 8, 5), value=torch.zeros(2, 2, 8, 5)), "do not fit"),
    (dict(key=torch.zeros(2, 3, 0, 5), value=torch.zeros(2, 3, 0, 5)), "do not fit"),
    (dict(key=torch.zeros(2, 3, 4, 5), value=torch.zeros(2, 3, 4, 5), causal=True), "causal attention of 8"),
])  # fmt: skip
def test_refuses_what_does_not_fit(change, message):
    call = dict(query=torch.zeros(2, 3, 8, 5), key=torch.zeros(2, 3, 8, 5), value=torch.zeros(2, 3, 8, 5)) | change
    with pytest.raises(ValueError, match=message):
        flashattention(call.pop("query"), call.pop("key"), call.pop("value"), **call)


def test_contract():
    contract = contract_of(flashattention)
    assert (contract.kind, contract.target) == ("inference", "attention")
    assert list(options_of(flashattention)) == ["block_q", "block_k"]
