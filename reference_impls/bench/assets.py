"""Where the bundled models and texts lie; other modules ask here instead of knowing the folder."""

from __future__ import annotations

from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

ROOT = Path(__file__).parent / "assets"

TRAINING_DOMAINS = ("austen", "bible", "python-docs", "wordnet")
"""Domains the bundled language model was trained on."""

DOMAINS = (*TRAINING_DOMAINS, "python-code")
"""All domains; `python-code` was never seen in training and serves methods that adapt."""

SPLITS = ("calibration", "test")

DIGITS_TEST_IMAGES = 450
DIGITS_SPLIT_SEED = 0

LANGUAGE = "language/s"
"""The bundled language model, as a path below the assets: `path(LANGUAGE)`."""

DIGITS = "digits"
"""The bundled vision transformer, as a path below the assets: `path(DIGITS)`."""


def path(*parts: str) -> Path:
    """The path of a bundled file or folder, for example `path("language/s")`.

    Raises FileNotFoundError where there is no such file.
    """
    found = ROOT.joinpath(*parts)
    if not found.exists():
        raise FileNotFoundError(f"no bundled file {'/'.join(parts)!r} under {ROOT}")
    return found


def text(split: str, domain: str) -> str:
    """The text of one domain: `split` is "calibration" (from training blocks) or "test" (from held-out blocks).

    Raises ValueError on an unknown split or domain, naming the nearest right one.
    """
    for what, value, known in (("split", split, SPLITS), ("domain", domain, DOMAINS)):
        if value not in known:
            near = get_close_matches(value, known, n=1)
            hint = f"; did you mean {near[0]!r}?" if near else ""
            raise ValueError(f"unknown {what} {value!r}: expected one of {', '.join(known)}{hint}")
    return path("text", split, f"{domain}.txt").read_text(encoding="utf-8")


def digits(split: str) -> tuple[Tensor, Tensor]:
    """Images (n, 1, 8, 8), float32 in [-1, 1], and labels (n,), int64, of scikit-learn's handwritten digits.

    `split` is "test" (450 images, stratified, seed 0, never trained on) or "train" (the other 1,347). Needs
    scikit-learn and torch. Raises ValueError on another split.
    """
    import torch
    from sklearn.datasets import load_digits
    from sklearn.model_selection import train_test_split

    if split not in ("train", "test"):
        raise ValueError(f"unknown split {split!r}: expected one of train, test")
    data = load_digits()
    train, test = train_test_split(
        range(len(data.target)), test_size=DIGITS_TEST_IMAGES, random_state=DIGITS_SPLIT_SEED, stratify=data.target
    )
    chosen = train if split == "train" else test
    images = torch.tensor(data.images[chosen], dtype=torch.float32)[:, None] / 8 - 1  # grey values are 0 to 16
    return images, torch.tensor(data.target[chosen], dtype=torch.int64)
