"""What is wrong with a catalog, said so that a person can mend it: file, line, key, value, what was expected."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from rapidfuzz import process
from rapidfuzz.distance import DamerauLevenshtein


@dataclass(frozen=True, order=True)
class Problem:
    """One fault in one place. `file` is relative to the repository, `line` counts from 1, `key` is dotted."""

    file: str
    line: int
    key: str
    message: str
    value: str | None = None
    expected: str | None = None
    nearest: str | None = None

    def __str__(self) -> str:
        text = f"{self.file}:{self.line}: "
        if self.key:
            text += f"{self.key}: "
        text += self.message
        if self.value is not None:
            text += f"; found {self.value}"
        if self.expected:
            text += f"; expected {self.expected}"
        if self.nearest:
            text += f"; did you mean {self.nearest}?"
        return text


class CatalogError(Exception):
    """The catalog has problems; all of them are in `problems`, in the order of files and lines."""

    def __init__(self, problems: Iterable[Problem]):
        self.problems: list[Problem] = sorted(set(problems))
        super().__init__("\n".join(str(problem) for problem in self.problems))


def _plain(word: str) -> str:
    return word.casefold().replace("_", "-").replace(" ", "-")


def nearest(word: object, known: Iterable[str], least: float = 0.55) -> str | None:
    """The known spelling closest to `word` (insertions, deletions, swaps of neighbours), or None if all are far."""
    best = process.extractOne(
        str(word), list(known), processor=_plain, scorer=DamerauLevenshtein.normalized_similarity, score_cutoff=least
    )
    return best[0] if best else None


def shown(value: object, limit: int = 120) -> str:
    """A value as an error prints it: one line, cut where it is long."""
    text = "null" if value is None else repr(value) if isinstance(value, str) else str(value)
    return text if len(text) <= limit else text[: limit - 1] + "…"


def listed(words: Iterable[str], limit: int = 40) -> str:
    """`one of a, b, c`; long lists are cut and say so."""
    words = list(words)
    more = f", … ({len(words) - limit} more)" if len(words) > limit else ""
    return "one of " + ", ".join(words[:limit]) + more
