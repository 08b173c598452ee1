"""ALBERT: one block of weights used at every depth, and an embedding that is narrower than the model.

Paper    Lan, Chen, Goodman, Gimpel, Sharma, Soricut. ALBERT: A Lite BERT for Self-supervised Learning of Language
         Representations. ICLR 2020. arXiv:1909.11942. Sections 3.1 and 4.5.
Symbols  V  the vocabulary (`vocab`)          E  the width of the token embedding (`embedding_size`)
         L  the layers (`layers`)             H  the width of the blocks (`width`)
Shapes   x  (b, n, E) in and out of the stack, (b, n, H) between the blocks
Differs  from the paper in the block around the two ideas: a causal decoder block with RMSNorm before each part, SwiGLU
         and rotary positions (core.transformer), in the place of BERT's bidirectional encoder block; the two maps
         between E and H have no bias, and the one back to E has neither the activation nor the norm of BERT's
         prediction head. Sentence-order prediction, the paper's third idea, is a training task for encoders and left
         out.
"""

from typing import Literal

from torch import Tensor, nn

from reference_impls.core.contracts import architecture
from reference_impls.core.transformer import Blocks, TransformerConfig


@architecture(slot="stack")
def albert(config: TransformerConfig, *, share: Literal["all", "attention", "feed-forward", "none"] = "all",
           groups: int = 1, embedding_size: int | None = None) -> nn.Module:  # fmt: skip
    """The blocks of a Transformer with tied weights: (b, n, E) -> (b, n, E).

    share: what the layers of one group have in common ("attention" and "feed-forward" each with the norm before it).
    groups: the layers are cut into so many groups of neighbours, which share only inside a group. embedding_size: E;
    None keeps E = H and leaves the two maps out. Raises ValueError where groups does not divide the layers, for an
    unknown share, or for an embedding wider than the model.
    """
    return SharedBlocks(config, share, groups, embedding_size)


class SharedBlocks(nn.Module):
    """`layers` blocks, of which some are, or hold, the same module; indexed like the list of blocks that it is."""

    def __init__(self, config: TransformerConfig, share: str, groups: int, embedding_size: int | None) -> None:
        super().__init__()
        if share not in ("all", "attention", "feed-forward", "none"):
            raise ValueError(f"share is {share!r}; allowed are 'all', 'attention', 'feed-forward' and 'none'")
        if groups < 1 or config.layers % groups:
            raise ValueError(f"groups is {groups}; it must divide the {config.layers} layers")
        if embedding_size is not None and not 1 <= embedding_size <= config.width:
            raise ValueError(f"embedding_size is {embedding_size}; it must lie between 1 and the width {config.width}")
        self.layers = Blocks(config)
        size = config.layers // groups                                      # the paper's M, layers in a group
        for layer in range(config.layers):
            first, block = self.layers[layer // size * size], self.layers[layer]
            if share == "all":
                self.layers[layer] = first                                  # [eq-sharing]
            if share == "attention":
                block.attention, block.attention_norm = first.attention, first.attention_norm
            if share == "feed-forward":
                block.feed_forward, block.feed_forward_norm = first.feed_forward, first.feed_forward_norm
        self.embedding_size = embedding_size or config.width
        self.widen, self.narrow = nn.Identity(), nn.Identity()
        if embedding_size is not None:                                      # V E + 2 E H instead of V H  [eq-embedding]
            self.widen = nn.Linear(embedding_size, config.width, bias=False)
            self.narrow = nn.Linear(config.width, embedding_size, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        x = self.widen(x)                                                   # (b, n, H)
        x = self.layers(x)                                                  # (b, n, H)
        return self.narrow(x)                                               # (b, n, E)

    def __getitem__(self, layer: int) -> nn.Module:
        return self.layers[layer]

    def __len__(self) -> int:
        return len(self.layers)
