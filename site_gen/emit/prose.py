"""Prose of the catalog -> HTML. The text of an entry is a guest: it may emphasise, link and typeset, and nothing else.

HTML in it is shown as text, images are not fetched, links go to http(s) only, headings become ordinary paragraphs'
size. `[eq-label]` refers to an equation of the page, `[@key]` to a work of the bibliography, `$...$` is a formula.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from html import escape
from urllib.parse import urlsplit

from markdown_it import MarkdownIt
from markdown_it.common.utils import escapeHtml
from markdown_it.rules_inline import StateInline
from markupsafe import Markup
from mdit_py_plugins.dollarmath import dollarmath_plugin

from site_gen.emit.formulas import Formulas

_REFERENCE = re.compile(r"\[(?:(eq-[a-z0-9]+(?:-[a-z0-9]+)*)|@([A-Za-z0-9_:-]+))\]")


_BOUND = re.compile(
    r"(?<=\d) (?=%|(?:GB|GiB|MB|kB|s|ms)\b)"
    r"|(?:(?<=\bSection)|(?<=\bSections)|(?<=\bTable)|(?<=\bTables)|(?<=\bFigure)|(?<=\bAppendix)|(?<=\bEquation)) "
    r"(?=[A-Z]?\.?\d|[A-Z]\b)"
)


@dataclass
class Context:
    """What the references in a text resolve to. `unknown` collects those that do not."""

    equation: Callable[[str], str | None] = lambda label: None  # label -> address
    work: Callable[[str], tuple[str, str] | None] = lambda key: None  # key -> (address, short form)
    unknown: list[str] = field(default_factory=list)


class Prose:
    """Renders Markdown of the catalog. Formulas are left as marks for `formulas` to fill."""

    def __init__(self, formulas: Formulas):
        self.formulas = formulas
        self._parser = MarkdownIt("commonmark", {"html": False, "typographer": False}).enable("table")
        self._parser.disable(["image", "html_block", "html_inline"])
        self._parser.use(dollarmath_plugin, allow_space=False, allow_digits=False, double_inline=True)
        self._parser.inline.ruler.before("link", "zoo_reference", _reference)
        self._parser.validateLink = _allowed  # type: ignore[method-assign]
        rules = self._parser.renderer.rules
        rules["text"] = lambda tokens, i, options, env: escapeHtml(bound(tokens[i].content))
        rules["math_inline"] = lambda tokens, i, options, env: formulas.mark(tokens[i].content, False)
        rules["math_inline_double"] = lambda tokens, i, options, env: formulas.mark(tokens[i].content, True)
        rules["math_block"] = lambda tokens, i, options, env: formulas.mark(tokens[i].content, True)
        rules["zoo_reference"] = _render_reference
        rules["link_open"] = self._link_open
        rules["heading_open"] = lambda tokens, i, options, env: '<p class="zoo-prose-heading">'
        rules["heading_close"] = lambda tokens, i, options, env: "</p>\n"
        rules["table_open"] = lambda tokens, i, options, env: '<div class="zoo-scroll" tabindex="0"><table>\n'
        rules["table_close"] = lambda tokens, i, options, env: "</table></div>\n"

    def block(self, text: str, context: Context) -> Markup:
        """Paragraphs, lists, formulas."""
        return Markup(self._parser.render(_clean(text), {"zoo": context}))

    def inline(self, text: str, context: Context) -> Markup:
        """One line, without a paragraph around it."""
        return Markup(self._parser.renderInline(_clean(" ".join(text.split())), {"zoo": context}))

    def _link_open(self, tokens, i, options, env) -> str:
        href = tokens[i].attrGet("href") or ""
        if href.startswith("#"):
            return f'<a href="{escape(href)}">'
        return f'<a href="{escape(href)}" rel="noopener nofollow external">'


def bound(text: str) -> str:
    """The text with spaces that no line breaks at: before a unit, and between "Table" and its number."""
    return _BOUND.sub("\N{NO-BREAK SPACE}", text)


def plain(text: str) -> str:
    """The text without its Markdown marks and references, for descriptions and search."""
    text = re.sub(r"\s*" + _REFERENCE.pattern, "", text)
    text = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", text)
    text = re.sub(r"(\*\*|__|`|\$\$?)", "", text)
    return " ".join(text.split())


def _clean(text: str) -> str:
    # Control characters have meanings inside Markdown engines; nothing readable is lost without them.
    return "".join(c for c in text if c in "\n\t" or (c >= " " and not "\x7f" <= c <= "\x9f"))


def _allowed(url: str) -> bool:
    if url.startswith("#"):
        return True
    try:
        return urlsplit(url.strip()).scheme.lower() in ("http", "https")
    except ValueError:
        return False


def _reference(state: StateInline, silent: bool) -> bool:
    match = _REFERENCE.match(state.src, state.pos)
    if not match:
        return False
    if not silent:
        token = state.push("zoo_reference", "", 0)
        token.content = match[0]
        token.meta = {"equation": match[1], "work": match[2]}
    state.pos = match.end()
    return True


def _render_reference(tokens, i, options, env) -> str:
    context: Context = env["zoo"]
    meta = tokens[i].meta
    if meta["equation"]:
        address = context.equation(meta["equation"])
        if address is not None:
            name = escape(meta["equation"].removeprefix("eq-"))
            return f'<a class="zoo-eqref" href="{escape(address)}">{name}</a>'
    else:
        found = context.work(meta["work"])
        if found is not None:
            address, short = found
            return f'<a class="zoo-citation" href="{escape(address)}">{escape(short)}</a>'
    context.unknown.append(tokens[i].content)
    return escape(tokens[i].content)
