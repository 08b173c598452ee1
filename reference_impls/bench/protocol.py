"""The protocols: on which text or images, how much of it, and what a seed changes. A number is only worth its protocol.

A protocol has a name and a version; any change to what is below that can move a number raises the version.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from reference_impls.bench import assets


@dataclass(frozen=True)
class Training:
    """The budget of a trained method: optimizer steps, windows in a batch, tokens in a window."""

    steps: int
    batch: int
    length: int


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
    training=Training(steps=150, batch=8, length=256),
)
DISTILLATION = Protocol(
    name="distillation",
    version=1,
    varies="the batches and the start of the student",
    domains=assets.TRAINING_DOMAINS,
    sequence_length=256,
    test_windows=16,
    training=Training(steps=400, batch=8, length=128),
)
SMALL_TRAINING = Protocol(
    name="small-training",
    version=1,
    varies="the batches and the start of the weights",
    domains=assets.TRAINING_DOMAINS,
    sequence_length=128,
    test_windows=32,
    training=Training(steps=400, batch=8, length=128),
)
DIGITS = Protocol(name="digits", version=1, varies="nothing: one model, one set of images, no draw")

PROTOCOLS = (LANGUAGE, LANGUAGE_LARGE, ADAPTATION, DISTILLATION, SMALL_TRAINING, DIGITS)


@dataclass(frozen=True)
class Text:
    """The text of a protocol as one model's tokenizer cuts it.

    test          windows (windows, sequence_length), int64
    calibration   the whole calibration text of each domain, (tokens,) each
    hash          sha256 of the texts
    """

    test: Tensor
    calibration: list[Tensor]
    hash: str

    def draw(self, windows: int, length: int, seed: int) -> Tensor:
        """Calibration windows (windows, length), int64, as many from each domain, at places drawn by `seed`."""
        generator = torch.Generator().manual_seed(seed)
        drawn = []
        for place, ids in enumerate(self.calibration):
            share = windows // len(self.calibration) + (place < windows % len(self.calibration))
            starts = torch.randint(len(ids) - length + 1, (share, 1), generator=generator)
            drawn.append(ids[starts + torch.arange(length)])
        return torch.cat(drawn)

    def stream(self) -> Tensor:
        """All of the calibration text, (tokens,), int64."""
        return torch.cat(self.calibration)


def read_text(protocol: Protocol, encode: Callable[[str], Tensor], length: int) -> Text:
    """Encode the texts of a protocol. `length` may be below its sequence_length, for a model with a shorter context.

    Raises ValueError where a text gives less than one window.
    """
    digest = hashlib.sha256()
    test, calibration = [], []
    for domain in protocol.domains:
        texts = {split: assets.text(split, domain) for split in assets.SPLITS}
        for text in texts.values():
            digest.update(text.encode())
        ids = encode(texts["test"])
        calibration.append(encode(texts["calibration"]))
        if min(len(ids), len(calibration[-1])) < length:
            raise ValueError(f"the text of {domain} gives {len(ids)} tokens; a window needs {length}")
        count = min(protocol.test_windows, len(ids) // length)
        starts = torch.linspace(0, len(ids) - length, count).long()  # windows never overlap: count * length <= len(ids)
        test.append(ids[starts[:, None] + torch.arange(length)])
    return Text(torch.cat(test), calibration, digest.hexdigest())
