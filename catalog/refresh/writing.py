"""The new text of citations.yml, its diff, and writing it whole or not at all.

What stands in the file is kept letter by letter, comments too: only lines are put in between.
"""

from __future__ import annotations

import copy
import difflib
import io
import json
import os
import tempfile
import textwrap
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from catalog.model import CitationList
from catalog.reader import Document, parse
from catalog.refresh.client import RefreshError
from catalog.refresh.proposing import Addition

WIDTH, LIST_WIDTH = 118, 114  # of a line, of a line of keys


def with_additions(text: str, additions: Iterable[Addition], name: str = "citations.yml") -> str:
    """The text with the additions in place: a new block in the order of the keys, or `also` at the end of a block.

    Raises RefreshError where the file is not written in the form that lines can be added to.
    """
    document = parse(text, name)
    expected = copy.deepcopy(document.data)
    lines = text.split("\n")
    blocks: dict[str, list[Addition]] = {}
    for addition in additions:
        blocks.setdefault(addition.citing, []).append(addition)
    inserts: dict[int, list[str]] = {}  # number of lines before it -> what is put in
    for citing in sorted(blocks):
        parts = blocks[citing]
        if citing in document.data:
            place = _end_of_also(document, lines, citing)
            head = [] if "also" in document.data[citing] else ["  also:"]
            new = head + [line for part in parts for line in _further(part)]
            expected[citing].setdefault("also", []).extend(map(_as_further, parts))
        else:
            place = _place_of(document, lines, citing)
            new = _block(parts)
            expected[citing] = {"witness": parts[0].witness, "complete": False, "cited": parts[0].cited}
            if parts[1:]:
                expected[citing]["also"] = list(map(_as_further, parts[1:]))
        inserts.setdefault(place, []).extend(new)
    for place in sorted(inserts, reverse=True):
        lines[place:place] = inserts[place]
    made = "\n".join(lines)
    _verify(made, expected, name)
    return made


def citations_of(text: str, name: str = "citations.yml") -> dict[str, CitationList]:
    """The lists of a citations.yml. Raises RefreshError where it cannot be read."""
    document = parse(text, name)
    try:
        lists = TypeAdapter(dict[str, CitationList]).validate_python(document.data, strict=True)
    except ValidationError:
        lists = None
    if document.problems or lists is None:
        raise RefreshError(f"{name} cannot be read; `compzoo validate` shows why")
    return lists


def diff(old: str, new: str, name: str) -> str:
    """A unified diff that `git apply` takes; empty where nothing changes."""
    lines = difflib.unified_diff(list(io.StringIO(old)), list(io.StringIO(new)), f"a/{name}", f"b/{name}")
    return "".join(line if line.endswith("\n") else f"{line}\n\\ No newline at end of file\n" for line in lines)


def write(path: Path, text: str) -> None:
    """Put the text in the place of the file in one step: who reads meanwhile sees the old or the new one, whole."""
    target = path.resolve()  # a link stays a link
    handle, temporary = tempfile.mkstemp(prefix=f".{target.name}.", dir=target.parent)
    try:
        with os.fdopen(handle, "w", encoding="utf-8", newline="") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(temporary, target.stat().st_mode & 0o777)
        os.replace(temporary, target)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def _as_further(addition: Addition) -> dict[str, Any]:
    return {"witness": addition.witness, "cited": addition.cited}


def _block(parts: list[Addition]) -> list[str]:
    first, *rest = parts
    lines = [f"{first.citing}:", *_witness(first.witness, "  "), "  complete: false", *_cited(first.cited, "  ")]
    if rest:
        lines += ["  also:", *(line for part in rest for line in _further(part))]
    return lines


def _further(part: Addition) -> list[str]:
    witness, *more = _witness(part.witness, "      ")
    return [f"    - {witness.lstrip()}", *more, *_cited(part.cited, "      ")]


def _witness(text: str, indent: str) -> list[str]:
    line = f"{indent}witness: {json.dumps(text, ensure_ascii=False)}"
    if len(line) < WIDTH:
        return [line]
    inner = f"{indent}  "
    return [f"{indent}witness: >-", *textwrap.wrap(text, WIDTH, initial_indent=inner, subsequent_indent=inner,
                                                   break_long_words=False, break_on_hyphens=False)]


def _cited(keys: list[str], indent: str) -> list[str]:
    return [f"{indent}cited:", *textwrap.wrap(f"[{', '.join(keys)}]", LIST_WIDTH, initial_indent=f"{indent}  ",
                                              subsequent_indent=f"{indent}   ", break_long_words=False,
                                              break_on_hyphens=False)]


def _trimmed(lines: list[str], end: int) -> int:
    """The end of a block without the blank lines and comments that belong to what follows."""
    while end and (not lines[end - 1].strip() or lines[end - 1].startswith("#")):
        end -= 1
    return end


def _starts(document: Document) -> list[tuple[int, str]]:
    """The lines of the citing works, in the order of the file."""
    return sorted((document.lines[(key,)], key) for key in document.data)


def _end_of_also(document: Document, lines: list[str], citing: str) -> int:
    """The number of lines up to the end of a block's `also`, or of the block if it has none."""
    record = document.data[citing]
    start = document.lines[(citing, "also")] if "also" in record else document.lines[(citing,)]
    siblings = [document.lines[(citing, key)] for key in record if "also" in record]
    later = [line for line in [*siblings, *(line for line, _ in _starts(document))] if line > start]
    return _trimmed(lines, min(later) - 1 if later else len(lines))


def _place_of(document: Document, lines: list[str], citing: str) -> int:
    """The number of lines before which a new block goes, so that the keys stay in order."""
    starts = _starts(document)
    later = [line for line, key in starts if key > citing]
    if not later:
        return _trimmed(lines, len(lines))
    if later[0] == starts[0][0]:
        return later[0] - 1  # the comment above the first block is that of the file
    return _trimmed(lines, later[0] - 1)


def _verify(text: str, expected: dict[str, Any], name: str) -> None:
    document = parse(text, name)
    if document.problems or document.data != expected:
        raise RefreshError(f"{name} is not in the form that lines can be added to: one block a work, its keys on lines "
                           f"of their own, `also` as a list with dashes")
