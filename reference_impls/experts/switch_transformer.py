"""Switch Transformer: many feed-forward experts, of which each token passes through exactly one.

Paper    Fedus, Zoph, Shazeer. Switch Transformers: Scaling to Trillion Parameter Models with Simple and Efficient
         Sparsity. JMLR 23, 2022. arXiv:2101.03961. Equations 1 to 6, Section 2.4, Appendix F (pseudo code).
Symbols  x (T, d)    the T tokens of the batch, sequence after sequence      N  number of experts
         W_r (N, d)  router weights                                          C  tokens that one expert may take
         p (T, N)    router probabilities                                    E  the experts, each a feed-forward part
         f, P (N,)   fraction of tokens sent to each expert, fraction of the router's probability given to it
Differs  from the paper: C is rounded up, where equation 3 leaves a fraction. From its pseudo code: an expert takes C
         tokens, where a running count that starts at 1 and must stay below C would take C - 1. The experts are the
         bench's own SwiGLU parts, as wide as the dense one, so that a token costs what it costs there, plus N * d
         products for the router. All experts are on one device; tokens are gathered, not padded to C.
"""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from reference_impls.core.contracts import architecture
from reference_impls.core.transformer import FeedForward, TransformerConfig


@architecture(slot="feed_forward")
def switch_transformer(config: TransformerConfig, *, experts: int = 4, capacity_factor: float = 1.25,
                       eval_capacity_factor: float = 2.0, alpha: float = 0.01,
                       init_scale: float = 0.1) -> nn.Module:  # fmt: skip
    """A Switch layer, (b, n, d) -> (b, n, d); a dropped token gives 0, so that the residual stream carries it on.

    capacity_factor: room of an expert relative to an even load, in training; eval_capacity_factor: the same in
    evaluation, an option of the authors' code. alpha: weight of the load-balancing loss, left in `auxiliary_loss` by
    each forward pass. init_scale: s of Section 2.4, the initial variance times the fan-in. Raises ValueError for fewer
    than one expert, a factor or scale that is not positive, or a negative alpha.
    """
    for name, value, low in (("experts", experts, 1), ("alpha", alpha, 0)):
        if value < low:
            raise ValueError(f"{name} is {value}; it must be at least {low}")
    factors = {"capacity_factor": capacity_factor, "eval_capacity_factor": eval_capacity_factor}
    for name, value in (factors | {"init_scale": init_scale}).items():
        if not value > 0:
            raise ValueError(f"{name} is {value}; it must be positive")
    return SwitchFeedForward(config, experts, capacity_factor, eval_capacity_factor, alpha, init_scale)


class SwitchFeedForward(nn.Module):
    """After a forward pass: `auxiliary_loss`, a scalar with gradient, and `dropped`, the fraction of tokens dropped."""

    def __init__(self, config: TransformerConfig, experts: int, capacity_factor: float, eval_capacity_factor: float,
                 alpha: float, init_scale: float) -> None:  # fmt: skip
        super().__init__()
        self.router = nn.Linear(config.width, experts, bias=False)
        self.experts = nn.ModuleList(FeedForward(config) for _ in range(experts))
        self.capacity_factor, self.eval_capacity_factor = capacity_factor, eval_capacity_factor
        self.alpha, self.init_scale = alpha, init_scale
        self.dropped = 0.0

    def initialize(self, generator: torch.Generator) -> None:
        """Normal with variance init_scale / fan-in, redrawn beyond two standard deviations (Section 2.4)."""
        for weight in self.parameters():
            std = math.sqrt(self.init_scale / weight.shape[1])
            nn.init.trunc_normal_(weight, std=std, a=-2 * std, b=2 * std, generator=generator)

    def forward(self, x: Tensor) -> Tensor:
        shape, N = x.shape, len(self.experts)
        x = x.reshape(-1, shape[-1])                                        # (T, d)
        T = x.shape[0]
        factor = self.capacity_factor if self.training else self.eval_capacity_factor
        C = math.ceil(T / N * factor)                                       # [eq-capacity]
        p = self.route(x)                                                   # (T, N)  [eq-router]
        gate, choice = p.max(dim=-1)                                        # (T,), (T,)
        chosen = F.one_hot(choice, N)                                       # (T, N)
        f, P = chosen.to(p).mean(0), p.mean(0)                              # (N,), (N,)  [eq-load], [eq-probability]
        self.auxiliary_loss = self.alpha * N * (f * P).sum()                # [eq-balance]
        place = (chosen.cumsum(0) * chosen).sum(-1)                         # (T,), from 1: first come, first served
        fits = place <= C
        y = torch.zeros_like(x)
        for i, expert in enumerate(self.experts):
            tokens = torch.nonzero((choice == i) & fits).squeeze(-1)        # (at most C,)
            output = gate[tokens, None] * expert(x[tokens])                 # (tokens, d)  [eq-output]
            y = y.index_copy(0, tokens, output.to(y.dtype))
        self.dropped = 1 - fits.float().mean().item()
        return y.view(shape)

    def route(self, x: Tensor) -> Tensor:
        """Router probabilities (T, N), in float32 at least even where the rest runs in 16 bits (Section 2.4)."""
        with torch.autocast(x.device.type, enabled=False):
            kind = torch.promote_types(x.dtype, torch.float32)
            return F.linear(x.to(kind), self.router.weight.to(kind)).softmax(dim=-1)
