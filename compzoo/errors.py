"""How the command line says that something is wrong: one sentence on standard error, and an exit code."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from typing import NoReturn

from catalog.problems import nearest


def fail(message: str, code: int = 2) -> NoReturn:
    """Print `error: message` on standard error and leave with `code` (2: what the user asked for cannot be done)."""
    print(f"error: {message}", file=sys.stderr)
    raise SystemExit(code)


def unknown(kind: str, value: str, known: Iterable[str]) -> NoReturn:
    """Leave with code 2 and a sentence that says which `kind` has no such `value` and which known one is nearest."""
    fail(describe_unknown(kind, value, known))


def describe_unknown(kind: str, value: str, known: Iterable[str]) -> str:
    """The sentence of `unknown`: the value, the nearest known spelling, and all known ones where they are few."""
    choices = sorted(known)
    sentence = f"unknown {kind} {value!r}"
    near = nearest(value, choices, least=0.5)
    if near:
        sentence += f"; did you mean {near!r}?"
    if choices and len(choices) <= 24:
        sentence += f" Known: {', '.join(choices)}."
    return sentence
