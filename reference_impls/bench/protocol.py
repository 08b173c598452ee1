"""The protocols: on which text or images, how much of it, and what a seed changes. A number is only worth its protocol.

A protocol has a name and a version; any change to what is below that can move a number raises the version.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from reference_impls.bench import assets


@dataclass(frozen=True)
class Training:
    """The budget of a trained method: optimizer steps, windows in a batch, tokens in a window.

    Small batches and many steps: they bring an untrained model further for the same tokens. learning_rate: where the
    bench trains itself, and not the method.
    """

    steps: int
    batch: int
    length: int
    learning_rate: float | None = None


@dataclass(frozen=True)
class Protocol:
    """What is measured on.

    name, version         identify it: two results compare only where both agree
    domains               texts, names of `assets.DOMAINS`; empty for images
    sequence_length       tokens in a window; a window's first token is context only
    test_windows          windows of each domain's test text, evenly spaced over it, the same for every seed
    calibration_windows   windows of the calibration text, over all domains, at places drawn by the seed
    training              budget, for methods that train
    varies                what a seed changes
    """

    name: str
    version: int
    varies: str
    domains: tuple[str, ...] = ()
    sequence_length: int = 0
    test_windows: int = 0
    calibration_windows: int = 0
    training: Training | None = None

    @property
    def label(self) -> str:
        return f"{self.name}-v{self.version}"


LANGUAGE = Protocol(
    name="language",
    version=1,
    varies="which calibration windows are drawn",
    domains=assets.TRAINING_DOMAINS,
    sequence_length=256,
    test_windows=16,
    calibration_windows=64,
)
# The same for models that are too slow for as many tokens.
LANGUAGE_LARGE = Protocol(
    name="language-large",
    version=1,
    varies=LANGUAGE.varies,
    domains=LANGUAGE.domains,
    sequence_length=256,
    test_windows=6,
    calibration_windows=32,
)
LARGE_PARAMETERS = 10_000_000
"""Models above this size are measured under LANGUAGE_LARGE."""

ADAPTATION = Protocol(
    name="adaptation",
    version=1,
    varies="the batches and the start of the added weights",
    domains=("python-code",),
    sequence_length=256,
    test_windows=64,
    training=Training(steps=120, batch=4, length=256, learning_rate=1e-3),
)
COMPRESSION = Protocol(
    name="compression-training",
    version=1,
    varies="the batches and the calibration windows",
    domains=assets.TRAINING_DOMAINS,
    sequence_length=256,
    test_windows=16,
    calibration_windows=64,
    training=Training(steps=120, batch=4, length=256, learning_rate=1e-3),
)
# The same where compression comes with the fitting to new text.
COMPRESSION_NEW = Protocol(
    name="compression-adaptation",
    version=1,
    varies=COMPRESSION.varies,
    domains=("python-code",),
    sequence_length=256,
    test_windows=64,
    calibration_windows=64,
    training=COMPRESSION.training,
)
DISTILLATION = Protocol(
    name="distillation",
    version=3,
    varies="the batches and the start of the student",
    domains=assets.TRAINING_DOMAINS,
    sequence_length=256,
    test_windows=16,
    training=Training(steps=300, batch=4, length=128),
)
SMALL_TRAINING = Protocol(
    name="small-training",
    version=2,
    varies="the batches and the start of the weights",
    domains=assets.TRAINING_DOMAINS,
    sequence_length=128,
    test_windows=32,
    training=Training(steps=300, batch=4, length=128, learning_rate=6e-3),
)
RATIONALES = Protocol(
    name="rationales",
    version=1,
    varies="the examples, the batches and the start of the student",
    training=Training(steps=1500, batch=64, length=5),
)
DIGITS = Protocol(name="digits", version=1, varies="the order of the training images, for methods that look at them")
# The windows are prompts; the budget is that of the drafter.
DECODING = Protocol(
    name="decoding",
    version=1,
    varies="what is drawn",
    domains=assets.TRAINING_DOMAINS,
    sequence_length=32,
    test_windows=3,
    training=Training(steps=100, batch=4, length=128, learning_rate=2e-3),
)

PROTOCOLS = (
    LANGUAGE, LANGUAGE_LARGE, ADAPTATION, COMPRESSION, COMPRESSION_NEW, DISTILLATION, SMALL_TRAINING, DIGITS, DECODING,
    RATIONALES,
)  # fmt: skip


class Text:
    """The text of a protocol as one model's tokenizer cuts it.

    test          windows (windows, length), int64
    calibration   the whole calibration text of each domain, (tokens,) each; encoded when it is first asked for
    hash          sha256 of the texts of both splits
    """

    def __init__(self, protocol: Protocol, encode: Callable[[str], Tensor], length: int) -> None:
        """`length` may be below the protocol's, for a model with a shorter context.

        Raises ValueError where a test text gives less than one window.
        """
        self.length, self._encode = length, encode
        self._texts = {split: [assets.text(split, domain) for domain in protocol.domains] for split in assets.SPLITS}
        digest = hashlib.sha256()
        test = []
        for domain, own, other in zip(protocol.domains, self._texts["test"], self._texts["calibration"], strict=True):
            digest.update(own.encode() + other.encode())
            ids = encode(own)
            _check_length(ids, length, domain)
            count = min(protocol.test_windows, len(ids) // length)
            starts = torch.linspace(0, len(ids) - length, count).long()  # never overlap: count * length <= len(ids)
            test.append(ids[starts[:, None] + torch.arange(length)])
        self.test, self.hash = torch.cat(test), digest.hexdigest()

    @cached_property
    def calibration(self) -> list[Tensor]:
        encoded = [self._encode(text) for text in self._texts["calibration"]]
        for ids in encoded:
            _check_length(ids, self.length, "calibration")
        return encoded

    def draw(self, windows: int, seed: int) -> Tensor:
        """Calibration windows (windows, length), int64, as many from each domain, at places drawn by `seed`."""
        generator = torch.Generator().manual_seed(seed)
        drawn = []
        for place, ids in enumerate(self.calibration):
            share = windows // len(self.calibration) + (place < windows % len(self.calibration))
            starts = torch.randint(len(ids) - self.length + 1, (share, 1), generator=generator)
            drawn.append(ids[starts + torch.arange(self.length)])
        return torch.cat(drawn)

    def stream(self) -> Tensor:
        """All of the calibration text, (tokens,), int64."""
        return torch.cat(self.calibration)


def _check_length(ids: Tensor, length: int, name: str) -> None:
    if len(ids) < length:
        raise ValueError(f"the text of {name} gives {len(ids)} tokens; a window needs {length}")
