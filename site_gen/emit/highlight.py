"""Source code -> HTML, coloured by Pygments, every line with an anchor, equation labels linked to the equations."""

from __future__ import annotations

from html import escape

from markupsafe import Markup
from pygments import highlight
from pygments.formatters import HtmlFormatter
from pygments.lexers import BashLexer, BibTeXLexer, JsonLexer, PythonLexer, YamlLexer

from site_gen.enrich.code import LABEL

_LEXERS = {"python": PythonLexer, "bash": BashLexer, "bibtex": BibTeXLexer, "json": JsonLexer, "yaml": YamlLexer}
_FORMATTER = HtmlFormatter(nowrap=True)  # making one takes longer than colouring a short piece


def code(text: str, language: str) -> Markup:
    """A short piece without line numbers."""
    lexer = _LEXERS[language](stripnl=False, ensurenl=False)
    return Markup(highlight(text, lexer, _FORMATTER).rstrip("\n"))


def listing(text: str, equations: set[str], anchor: str = "L") -> Markup:
    """A whole Python file. Line 12 has the id L12; labels in `equations` link to the equation of that id."""
    lexer = PythonLexer(stripnl=False, ensurenl=False)
    coloured = highlight(text.rstrip("\n"), lexer, _FORMATTER).rstrip("\n")

    def link(match) -> str:
        label = match[1]
        if label not in equations:
            return match[0]
        return f'<a class="zoo-code-eq" href="#{escape(label)}">[{escape(label)}]</a>'

    lines = []
    for number, line in enumerate(coloured.split("\n"), 1):
        body = LABEL.sub(link, line)
        # Nobody links to an empty line; and a link as low as a line has to have text beside it (WCAG 2.5.8).
        start = (f'<a class="zoo-ln" href="#{anchor}{number}" aria-label="Line {number}" data-line="{number}"></a>'
                 if body.strip() else f'<span class="zoo-ln" data-line="{number}"></span>')
        lines.append(f'<span class="zoo-line" id="{anchor}{number}">{start}{body}\n</span>')
    return Markup("".join(lines))
