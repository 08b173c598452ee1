"""Strict YAML: what stands in the file is what is read, and every value knows its line.

Plain YAML turns 2:4 into 124, no into False, 3.10 into 3.1, 2022-10-31 into a date, 010 into 8, and lets the last of
two equal keys win. Here only decimal numbers, true, false and null are anything but text; doubled keys, tags,
anchors and aliases are refused. The C parser of PyYAML supplies the events and this file builds the values, without
recursion and with bounds on size and depth, so that no file can make it slow.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from catalog.problems import Problem, shown

SIZE_LIMIT = 1_000_000  # bytes
DEPTH_LIMIT = 32

_INTEGER = re.compile(r"-?(0|[1-9][0-9]*)\Z")
_DECIMAL = re.compile(r"-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][-+]?[0-9]+)?\Z")
_WORDS: dict[str, Any] = {"true": True, "false": False, "null": None, "": None}
_Loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

KeyPath = tuple[str | int, ...]


@dataclass
class Document:
    """The value of a file, with the line and the written form of each part of it.

    `lines[path]` counts from 1 and is the line of the key (in a mapping) or of the item (in a list);
    `written[path]` is a plain scalar that became something else than text, as it stands in the file.
    """

    file: str
    data: Any = None
    lines: dict[KeyPath, int] = field(default_factory=dict)
    written: dict[KeyPath, str] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)

    def line(self, path: KeyPath) -> int:
        """The line of `path`, or of the nearest thing around it that is in the file."""
        while path and path not in self.lines:
            path = path[:-1]
        return self.lines.get(path, 1)

    def problem(self, path: KeyPath, message: str, **rest: str | None) -> Problem:
        return Problem(self.file, self.line(path), dotted(path), message, **rest)


def dotted(path: KeyPath) -> str:
    """('relations', 0, 'why') -> 'relations[0].why'."""
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else part
    return text


def read(path: Path, file: str | None = None, size_limit: int = SIZE_LIMIT) -> Document:
    """Read one YAML file. Never raises for what is in the file: faults are in `.problems`, and `.data` is then
    partial, or None where the file could not be read to its end.

    `file` is the name that problems carry (the path by default).
    """
    document = Document(file or str(path))
    text = read_text(path, document, size_limit)
    if text is not None:
        _build(text, document)
        if document.data is None and not document.problems:
            document.problems.append(document.problem((), "the file is empty", expected="a mapping of keys to values"))
    return document


def parse(text: str, file: str = "<text>") -> Document:
    """As `read`, from a string."""
    document = Document(file)
    _build(text, document)
    return document


def read_text(path: Path, document: Document, size_limit: int = SIZE_LIMIT) -> str | None:
    """The text of a file, or None with the reason in `document.problems`."""

    def refuse(line: int, message: str, **rest: str | None) -> None:
        document.problems.append(Problem(document.file, line, "", message, **rest))

    try:
        size = path.stat().st_size
        if size > size_limit:
            refuse(1, "the file is too large", value=f"{size:,} bytes", expected=f"at most {size_limit:,} bytes")
            return None
        raw = path.read_bytes()
    except OSError as error:
        refuse(1, "the file cannot be read", value=error.strerror or str(error), expected="a readable file")
        return None
    if raw.startswith(b"\xef\xbb\xbf"):
        refuse(1, "the file starts with a byte order mark", expected="UTF-8 without a byte order mark")
        return None
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        refuse(line, "the file is not UTF-8", value=f"byte 0x{raw[error.start]:02x}", expected="UTF-8 text")
        return None
    if not text.strip():
        refuse(1, "the file is empty", expected="a mapping of keys to values")
        return None
    return text


def _build(text: str, document: Document) -> None:
    tabs = [number for number, line in enumerate(text.split("\n"), 1) if "\t" in line]
    if tabs:
        for number in tabs:
            document.problems.append(
                Problem(document.file, number, "", "a tab character", value=repr("\t"), expected="spaces")
            )
        return
    try:
        whole = _consume(yaml.parse(text, Loader=_Loader), document)
        if not whole:
            document.data = None
    except yaml.YAMLError as error:
        document.data = None  # half a file says nothing about the other half
        mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
        reason = ", ".join(
            part for part in (getattr(error, "context", None), getattr(error, "problem", None)) if part
        ) or getattr(error, "reason", None) or str(error).splitlines()[0]
        if mark is not None:
            line = mark.line + 1
        else:  # a character that YAML forbids: the parser gives its position only
            position = getattr(error, "position", 0) or 0
            line = text.encode("utf-8")[:position].count(b"\n") + 1
        document.problems.append(
            Problem(document.file, line, "", f"this is not YAML ({reason})", expected="valid YAML")
        )


class _Open:
    """A mapping or list that is still being read."""

    __slots__ = ("value", "path", "key", "skip")

    def __init__(self, value: dict | list, path: KeyPath):
        self.value = value
        self.path = path
        self.key: str | None = None
        self.skip = False  # the value of a doubled key: read, reported, not kept


def _consume(events: Any, document: Document) -> bool:
    """Build the value from the parser's events. False where reading had to stop before the end."""
    stack: list[_Open] = []
    started = False
    lines = document.lines

    def refuse(line: int, message: str, path: KeyPath = (), **rest: str | None) -> None:
        document.problems.append(Problem(document.file, line, dotted(path), message, **rest))

    def place(value: Any, line: int, written: str | None = None) -> KeyPath:
        """Put a finished or just opened value where it belongs; its path."""
        if not stack:
            document.data = value
            lines[()] = line
            return ()
        top = stack[-1]
        if isinstance(top.value, list):
            path = (*top.path, len(top.value))
            top.value.append(value)
            lines[path] = line
        else:
            path = (*top.path, top.key)
            if not top.skip:
                top.value[top.key] = value
            top.key, top.skip = None, False
        if written is not None:
            document.written[path] = written
        return path

    for event in events:
        kind = type(event)
        if kind is yaml.ScalarEvent:
            line = event.start_mark.line + 1
            _check_plain(event, line, refuse)
            top = stack[-1] if stack else None
            if top is not None and isinstance(top.value, dict) and top.key is None:
                key = event.value
                path = (*top.path, key)
                if key in top.value:
                    refuse(line, "the key stands twice", path, value=shown(key),
                           expected=f"one `{key}` (the first is in line {lines[path]})")
                    top.skip = True
                else:
                    top.value[key] = None  # keeps the order, and lets a doubled key be seen
                    lines[path] = line
                top.key = key
                continue
            value = event.value
            if event.implicit[0]:  # plain, not quoted
                value = _plain_value(event.value)
            place(value, line, event.value if not isinstance(value, str) else None)
        elif kind is yaml.MappingStartEvent or kind is yaml.SequenceStartEvent:
            line = event.start_mark.line + 1
            _check_plain(event, line, refuse)
            if stack and isinstance(stack[-1].value, dict) and stack[-1].key is None:
                refuse(line, "a list or mapping as a key", stack[-1].path, expected="a plain key")
                return False
            if len(stack) >= DEPTH_LIMIT:
                refuse(line, "nested too deeply", expected=f"at most {DEPTH_LIMIT} levels")
                return False
            value = {} if kind is yaml.MappingStartEvent else []
            stack.append(_Open(value, place(value, line)))
        elif kind is yaml.MappingEndEvent or kind is yaml.SequenceEndEvent:
            stack.pop()
        elif kind is yaml.AliasEvent:
            line = event.start_mark.line + 1
            refuse(line, "a YAML alias", value=f"*{event.anchor}", expected="the value itself, written out")
            return False
        elif kind is yaml.DocumentStartEvent:
            if started:
                refuse(event.start_mark.line + 1, "a second YAML document", value="---", expected="one document a file")
                return False
            started = True
    return True


def _check_plain(event: Any, line: int, refuse: Any) -> None:
    if event.anchor is not None:
        refuse(line, "a YAML anchor", value=f"&{event.anchor}", expected="the value without an anchor")
    if event.tag is not None:
        refuse(line, "a YAML tag", value=event.tag, expected="the value without a tag")


def _plain_value(text: str) -> Any:
    if text in _WORDS:
        return _WORDS[text]
    if _INTEGER.match(text) and len(text) <= 18:
        return int(text)
    if _DECIMAL.match(text) and len(text) <= 40:
        return float(text)
    return text
