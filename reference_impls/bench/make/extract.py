"""Readers that turn each Debian package into clean text: one paragraph, verse, gloss or source line per line."""

from __future__ import annotations

import gzip
import re
import struct
import subprocess
import zlib
from collections.abc import Callable, Iterator
from html.parser import HTMLParser
from pathlib import Path

_TYPOGRAPHY = str.maketrans({"\u2018": "'", "\u2019": "'", "\u201c": '"', "\u201d": '"', "\u00a0": " ", "\u00b6": ""})
_SPACES = re.compile(r"\s+")


def _tidy(text: str) -> str:
    """Plain quotes, single spaces, no ends."""
    return _SPACES.sub(" ", text.translate(_TYPOGRAPHY)).strip()


def austen(root: Path) -> list[str]:
    """The six novels of the R package janeaustenr, a paragraph per line.

    The package keeps each novel as an R character vector of printed lines (empty line = end of paragraph) in a
    lazy-load database: for each object a 4-byte length and a zlib stream of R's XDR serialisation.
    """
    data = (root / "usr/lib/R/site-library/janeaustenr/data/Rdata.rdb").read_bytes()
    lines: list[str] = []
    position = 0
    while position < len(data):
        stream = zlib.decompressobj()
        vector = stream.decompress(data[position + 4 :])
        position = len(data) - len(stream.unused_data)
        paragraph: list[str] = []
        for printed in [*_r_character_vector(vector), ""]:
            if printed.strip():
                paragraph.append(printed)
            elif paragraph:
                lines.append(_tidy(" ".join(paragraph)))
                paragraph = []
    return lines


def _r_character_vector(data: bytes) -> Iterator[str]:
    """Strings of one serialised R character vector (R Internals, "Serialization Formats", XDR, version 3)."""
    if data[:2] != b"X\n" or struct.unpack(">i", data[2:6])[0] != 3:
        raise ValueError(f"expected R's XDR serialisation, version 3, found {data[:6]!r}")
    position = 14
    position += 4 + struct.unpack(">i", data[position : position + 4])[0]  # the name of the native encoding
    kind, count = struct.unpack(">ii", data[position : position + 8])
    if kind & 0xFF != 16:
        raise ValueError(f"expected a character vector (R type 16), found type {kind & 0xFF}")
    position += 8
    for _ in range(count):
        _, length = struct.unpack(">ii", data[position : position + 8])
        position += 8
        yield data[position : position + max(length, 0)].decode("utf-8")
        position += max(length, 0)


def bible(root: Path) -> list[str]:
    """The King James Bible of bible-kjv-text, a verse per line, without its reference.

    The data file is a table of offsets into windows of 64 KiB, each packed by the old Unix `compress` without the
    magic number; `gzip -d` reads them once it is put back.
    """
    data = (root / "usr/lib/bible.data").read_bytes()
    if data[:4] != b"EC02":
        raise ValueError(f"usr/lib/bible.data: expected the magic number EC02, found {data[:4]!r}")
    (windows,) = struct.unpack(">I", data[0x58:0x5C])
    offsets = struct.unpack(f">{windows + 1}I", data[0x5C : 0x5C + 4 * (windows + 1)])
    text = b"".join(
        subprocess.run(["gzip", "-dc"], input=b"\x1f\x9d\x90" + data[start:end], capture_output=True, check=True).stdout
        for start, end in zip(offsets, offsets[1:], strict=False)
    ).decode("ascii")
    verse = re.compile(r"^[1-3]?[A-Z][A-Za-z]*\d+:\d+ (.+)$")
    return [_tidy(match.group(1)) for line in text.splitlines() if (match := verse.match(line))]


class _Prose(HTMLParser):
    """Collects headings and paragraphs of the main part of a Sphinx page; leaves out code, tables and contents."""

    KEEP = {"h1", "h2", "h3", "h4", "p", "li", "dd"}
    SKIP_TAGS = {"pre", "table", "script", "style", "svg", "dt"}
    SKIP_CLASSES = {"headerlink", "toctree-wrapper", "contents", "topic", "highlight", "versionmodified"}
    VOID = {"br", "hr", "img", "input", "link", "meta", "wbr", "col"}

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.stack: list[tuple[str, bool]] = []  # open tags, and whether each starts something that is left out
        self.in_body = 0
        self.skipping = 0
        self.current: list[str] = []
        self.paragraphs: list[str] = []

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        if tag in self.VOID:
            return
        names = dict(attributes)
        if not self.in_body:
            if tag == "div" and names.get("role") == "main":
                self.in_body = 1
                self.stack = [(tag, False)]
            return
        skip = tag in self.SKIP_TAGS or bool(self.SKIP_CLASSES & set((names.get("class") or "").split()))
        self.stack.append((tag, skip))
        self.skipping += skip
        if tag in self.KEEP:
            self._flush()

    def handle_endtag(self, tag: str) -> None:
        if not self.in_body or tag in self.VOID or all(open_tag != tag for open_tag, _ in self.stack):
            return
        while self.stack:
            open_tag, skip = self.stack.pop()
            self.skipping -= skip
            if open_tag == tag:
                break
        if tag in self.KEEP:
            self._flush()
        if not self.stack:
            self._flush()
            self.in_body = 0

    def handle_data(self, data: str) -> None:
        if self.in_body and not self.skipping:
            self.current.append(data)

    def _flush(self) -> None:
        text = _tidy("".join(self.current))
        self.current = []
        if text:
            self.paragraphs.append(text)


def python_docs(root: Path) -> list[str]:
    """Prose of the Python 3.11 documentation, a paragraph per line, each distinct paragraph once.

    Left out: code blocks, signatures, tables, indexes, issue numbers, and lines of fewer than 20 characters.
    """
    issue = re.compile(r"^(?:(?:bpo|gh|gh-issue|gh-issues|CVE|Issue|Patch) ?[#-]?[\d-]+[:,]? ?)+")
    html = root / "usr/share/doc/python3.11/html"
    seen: dict[str, None] = {}
    for page in sorted(html.rglob("*.html")):
        if page.name.startswith(("genindex", "py-modindex", "search", "contents")) or "_static" in page.parts:
            continue
        parser = _Prose()
        parser.feed(page.read_text(encoding="utf-8"))
        for paragraph in parser.paragraphs:
            paragraph = issue.sub("", paragraph)
            if len(paragraph) >= 20:
                seen.setdefault(paragraph)
    return list(seen)


def wordnet(root: Path) -> list[str]:
    """Glosses of WordNet 3.0 from dict-wn, a line "headword (part of speech): gloss" each, each distinct gloss once.

    The dictionary repeats a gloss under each of its synonyms; without this, held-out text would be met in training.
    """
    with gzip.open(root / "usr/share/dictd/wn.dict.dz", "rt", encoding="utf-8") as stream:
        text = stream.read()
    sense = re.compile(r"^(?:(n|v|adj|adv) )?\d+: (.*)$")
    seen: dict[str, str] = {}
    headword, part, gloss = "", "", ""

    def close() -> None:
        clean = _tidy(re.sub(r"\s*\[(?:syn|ant|also): [^\]]*\]", "", gloss))
        if clean and headword and not headword.startswith("00-database"):
            seen.setdefault(clean, f"{headword} ({part}): {clean}")

    for line in text.splitlines():
        if line and not line[0].isspace():
            close()
            headword, part, gloss = line.strip(), "", ""
        elif match := sense.match(line.strip()):
            close()
            part = match.group(1) or part
            gloss = match.group(2)
        elif gloss:
            gloss += " " + line.strip()
    close()
    return list(seen.values())


def python_code(root: Path) -> list[str]:
    """Source lines of the Python 3.11 standard library, files in order of name.

    Left out: every file that carries a copyright notice of its own and every folder that Debian's copyright file lists
    under another licence, so that what is kept falls under the Python Software Foundation Licence; tests, code tables
    and files made by programs; folders that come from other packages than the two that are named in `sources`.
    """
    folder = root / "usr/lib/python3.11"
    other_licence = {"asyncio", "logging", "multiprocessing", "sqlite3"}
    other_package = {"config-3.11-x86_64-linux-gnu", "distutils", "ensurepip", "idlelib", "lib2to3", "venv"}
    tables_and_tests = {"encodings", "pydoc_data", "sitecustomize.py", "test", "tests", "turtledemo"}
    left_out = other_licence | other_package | tables_and_tests
    lines: list[str] = []
    for path in sorted(folder.rglob("*.py")):
        relative = path.relative_to(folder)
        if left_out & set(relative.parts) or relative.name.startswith("_sysconfigdata"):
            continue
        source = path.read_text(encoding="utf-8")
        if not source.isascii() or re.search(r"copyright|licen[sc]e|generated by", source, re.IGNORECASE):
            continue
        lines += [line.rstrip() for line in source.splitlines()]
    return lines


READERS: dict[str, Callable[[Path], list[str]]] = {
    "austen": austen,
    "bible": bible,
    "python-docs": python_docs,
    "wordnet": wordnet,
    "python-code": python_code,
}
