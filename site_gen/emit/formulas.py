"""Formulas: collected while pages are rendered, typeset by KaTeX in one call, kept in a cache by their own text."""

from __future__ import annotations

import hashlib
import json
import re
import secrets
from html import escape
from pathlib import Path

from site_gen.frontend_build import FRONTEND, run_node


class FormulaError(Exception):
    """Formulas that KaTeX refuses; `faults` pairs each TeX source with KaTeX's words."""

    def __init__(self, faults: list[tuple[str, str]]):
        self.faults = faults
        super().__init__("\n".join(f"formula {tex!r}: {reason}" for tex, reason in faults))


class Formulas:
    """Hands out a mark for each formula and later puts the typeset formula in its place.

    A mark holds a random word, so that no text of the catalog can imitate one. `whole`: the formulas are those of the
    whole site, so the cache forgets all others.
    """

    def __init__(self, cache: Path, whole: bool = True):
        self.cache = cache
        self.whole = whole
        self.typeset = 0  # formulas that were not in the cache
        self._word = secrets.token_hex(8)
        self.marks: dict[str, tuple[str, bool]] = {}  # by what stands in the mark

    def mark(self, tex: str, display: bool) -> str:
        tex = tex.strip()
        name = hashlib.sha256(_key(tex, display).encode()).hexdigest()[:20]
        self.marks[name] = (tex, display)
        return f"<!--formula {self._word} {name}-->"

    def render(self) -> Rendered:
        """Typesets everything that was marked. Raises FormulaError with all that cannot be."""
        version = hashlib.sha256((FRONTEND / "package-lock.json").read_bytes()).hexdigest()[:16]
        version += hashlib.sha256((FRONTEND / "math.mjs").read_bytes()).hexdigest()[:16]
        known = self._read(version)
        wanted = {_key(tex, display): (tex, display) for tex, display in self.marks.values()}
        missing = [key for key in wanted if key not in known]
        faults = []
        if missing:
            request = json.dumps([{"tex": wanted[key][0], "display": wanted[key][1]} for key in missing])
            answers = json.loads(run_node("math.mjs", input=request))
            for key, answer in zip(missing, answers, strict=True):
                if "error" in answer:
                    faults.append((wanted[key][0], answer["error"]))
                else:
                    known[key] = answer["html"]
            self.typeset += len(missing)
        if faults:
            raise FormulaError(faults)
        self.cache.parent.mkdir(parents=True, exist_ok=True)
        if missing or self.whole and len(known) > len(wanted):
            kept = {key: known[key] for key in sorted(wanted if self.whole else known)}
            self.cache.write_text(json.dumps({"version": version, "formulas": kept}), encoding="utf-8")
        return Rendered(self._word, {
            name: _dressed(tex, display, known[_key(tex, display)]) for name, (tex, display) in self.marks.items()
        })

    def _read(self, version: str) -> dict[str, str]:
        try:
            stored = json.loads(self.cache.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {}
        return stored["formulas"] if stored.get("version") == version else {}


class Rendered:
    """Puts typeset formulas in the place of their marks."""

    def __init__(self, word: str, pieces: dict[str, str]):
        self._pieces = pieces
        self._pattern = re.compile(rf"<!--formula {word} ([0-9a-f]+)-->")

    def fill(self, text: str) -> str:
        return self._pattern.sub(lambda match: self._pieces[match[1]], text)

    def fill_json(self, text: str) -> str:
        """The same in JSON whose strings hold the marks."""
        return self._pattern.sub(lambda match: json.dumps(self._pieces[match[1]], ensure_ascii=False)[1:-1], text)


def _key(tex: str, display: bool) -> str:
    return ("display " if display else "inline ") + tex


def _dressed(tex: str, display: bool, html: str) -> str:
    # A wide formula scrolls in its own box, which the keyboard must reach.
    if display:
        return f'<div class="zoo-formula" tabindex="0" role="group" aria-label="{escape(tex)}">{html}</div>'
    return f'<span class="zoo-formula-inline">{html}</span>'
