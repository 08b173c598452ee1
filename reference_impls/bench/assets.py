"""Where the bundled models and texts lie; other modules ask here instead of knowing the folder."""

from __future__ import annotations

from difflib import get_close_matches
from pathlib import Path

ROOT = Path(__file__).parent / "assets"

TRAINING_DOMAINS = ("austen", "bible", "python-docs", "wordnet")
"""Domains the bundled language model was trained on."""

DOMAINS = (*TRAINING_DOMAINS, "python-code")
"""All domains; `python-code` was never seen in training and serves methods that adapt."""

SPLITS = ("calibration", "test")

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
