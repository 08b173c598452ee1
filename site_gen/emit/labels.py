"""How wide a text of a picture is, and how it breaks into lines, so that a label is drawn whole or not at all.

Widths are the advances of Inter at weight 600, read from the font that the site bundles, in hundredths of its size. A
lighter weight and the usual fallbacks are narrower.
"""

from __future__ import annotations

import re

_ADVANCES = {
    25: " ", 26: "ijl", 28: "I", 32: "!,.:", 33: "';", 35: "`t", 36: "|", 37: "()[]", 38: "/\\", 39: "f", 40: "r",
    42: "1", 45: "{}", 47: "-_", 48: "^", 52: '"', 54: "*?", 55: "s", 57: "Lakxz", 58: "7Jc", 59: "Fevy",
    61: "5Ehnou", 62: "2bdpq", 63: "g", 64: "#3689", 65: "$PRSZ", 66: "&0BT", 67: "+4<=>~", 70: "K", 71: "Y",
    72: "DX", 73: "AV", 74: "CU", 75: "GH", 76: "N", 77: "OQ", 84: "w", 90: "m", 92: "M", 100: "%@", 102: "W",
}  # fmt: skip
_WIDTHS = {letter: width / 100 for width, letters in _ADVANCES.items() for letter in letters}
_OTHER = 1.05  # a letter that the table lacks is taken to be as wide as any
_SPARE = 1.04  # for hinting, and for what a browser rounds
_BREAKS = re.compile(r"(\s+)|(?<=[-/])(?=\w)")


def width(text: str, size: float) -> float:
    """Pixels that a line of text takes at most, at a font size in pixels."""
    return _SPARE * size * sum(_WIDTHS.get(letter, _OTHER) for letter in text)


def wrapped(text: str, room: float, size: float, most: int = 1) -> list[str] | None:
    """The text in at most `most` lines of at most `room` pixels, broken between words; None where it does not fit."""
    if most < 1:
        return None
    lines: list[str] = []
    line = ""
    for gap, word in _words(text):
        longer = f"{line}{gap}{word}" if line else word
        if width(longer, size) <= room:
            line = longer
            continue
        if not line or width(word, size) > room or len(lines) + 1 >= most:
            return None
        lines.append(line)
        line = word
    return [*lines, line] if line else None


def cut(text: str, room: float, size: float) -> str:
    """The text, or as much of it as has room, with an ellipsis; for places where the whole stands nearby too."""
    if width(text, size) <= room:
        return text
    kept = text
    while kept and width(f"{kept}…", size) > room:
        kept = kept[:-1].rstrip()
    return f"{kept}…"


def _words(text: str) -> list[tuple[str, str]]:
    """Pieces that stay together, each with what joins it to the one before: a space, or nothing after a hyphen."""
    words, last, gap = [], 0, ""
    for found in _BREAKS.finditer(text):
        if found.start() > last:
            words.append((gap, text[last : found.start()]))
        gap, last = " " if found.group(1) else "", found.end()
    return [*words, (gap, text[last:])] if last < len(text) else words
