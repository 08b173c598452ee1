"""Pages that are HTML with Markdown headings between: the marks around the HTML, and what MkDocs does with them.

Python-Markdown reads HTML with a parser of its own, tag by tag, and MkDocs does it a second time to collect ids; with
pages such as ours that is most of what MkDocs does. What stands between two marks is taken as it is instead. The marks
are comments, so the same folder also builds without this extension, only slower.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Iterator
from typing import Any

from markdown import Markdown
from markdown.extensions import Extension
from markdown.preprocessors import Preprocessor

OPEN, CLOSE = "<!--html-->", "<!--/html-->"

# Put around a heading by the templates, so that no text of the catalog can pass for one.
MARK = secrets.token_hex(8)
_HEADING = re.compile(r"#{2,6} .+ \{#[^{}\s]+\}")


def marked(text: str) -> str:
    """The Markdown of what a template gave: its headings, and in marks the HTML between them.

    Raises ValueError where the HTML holds a mark, which escaped text cannot.
    """
    parts = []
    for place, part in enumerate(text.split(MARK)):
        part = part.strip("\n")
        if place % 2:
            parts.append(part)
        elif part.strip():
            if CLOSE in part:
                raise ValueError(f"{CLOSE} stands in the HTML of a page")
            parts.append(f"{OPEN}\n{part}\n{CLOSE}")
    return "\n\n".join(parts)


def pieces(text: str) -> list[tuple[str, bool]] | None:
    """Takes apart what `marked` made: HTML, or a heading's line (then True), in their order. None for any other text,
    and where a heading has no id of its own.
    """
    found = []
    for part, is_html in _split(text):
        if is_html:
            found.append((part, False))
            continue
        for line in filter(None, part.split("\n")):
            if not _HEADING.fullmatch(line):
                return None
            found.append((line, True))
    return found


def _split(text: str) -> Iterator[tuple[str, bool]]:
    """Markdown and what stands between marks (then True), by turns."""
    start = 0
    while (opened := text.find(f"{OPEN}\n", start)) >= 0 and (closed := text.find(f"\n{CLOSE}", opened)) >= 0:
        yield text[start:opened], False
        yield text[opened + len(OPEN) + 1:closed], True
        start = closed + len(CLOSE) + 1
    yield text[start:], False


class _TakenAsItIs(Preprocessor):
    """Puts away what stands between marks, before MkDocs and Python-Markdown parse it as HTML."""

    def run(self, lines: list[str]) -> list[str]:
        parts = [f"\n{self.md.htmlStash.store(part)}\n" if is_html else part
                 for part, is_html in _split("\n".join(lines))]
        return "".join(parts).split("\n")


class Blocks(Extension):
    """Markdown extension: HTML between marks is not parsed."""

    def extendMarkdown(self, md: Markdown) -> None:
        md.registerExtension(self)
        md.preprocessors.register(_TakenAsItIs(md), "zoo_blocks", 28)  # before html_block (20), after white space (30)


def makeExtension(**settings: Any) -> Extension:  # noqa: N802, the name that Python-Markdown asks for
    return Blocks(**settings)
