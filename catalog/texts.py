"""Texts of the catalog as plain words: without Markdown, and what the surveys say of each work."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from catalog.loading import Catalog

_MARKS = str.maketrans({"*": None, "`": None, "_": " "})


def without_marks(text: str) -> str:
    """A text without its formulas, its references to equations and works, and the marks of Markdown."""
    text = re.sub(r"\$\$.+?\$\$|\$(?!\s)[^$\n]*?[^\s$]\$(?!\d)", " , ", text, flags=re.DOTALL)
    text = re.sub(r"\[(?:eq-|@)[^\]\n]*\]", " ", text)
    return re.sub(r"\[([^\]\n]*)\]\([^)\n]*\)", r"\1", text).translate(_MARKS)


def said_by_surveys(catalog: Catalog) -> dict[str, list[str]]:
    """What the surveys say of a work, in our words; by key, without what was only recalled."""
    found: dict[str, list[str]] = {}
    for survey in catalog.surveys.values():
        for _, leaf in survey.leaves():
            if leaf.says and leaf.read != "recalled":
                found.setdefault(leaf.work, []).append(leaf.says)
    return found
