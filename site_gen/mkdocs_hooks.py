"""Hooks of MkDocs, for speed: it takes pages alone, and those that `blocks` wrote are put together instead of parsed.

Imported by MkDocs, in its own process; without these hooks it gives the same site, only slower.
"""

from __future__ import annotations

from typing import Any

from markdown import Markdown
from markdown.extensions.toc import nest_toc_tokens
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import Files
from mkdocs.structure.pages import Page
from mkdocs.structure.toc import get_toc

from site_gen import blocks


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """What MkDocs would only copy from the docs folder is not its business: `build` lays it beside the pages."""
    for file in list(files):
        if file.src_dir == config.docs_dir and not file.is_documentation_page():
            files.remove(file)
    return files


def on_pre_page(page: Page, config: MkDocsConfig, files: Files) -> Page:
    """MkDocs has made its pages by now, some with a title from the navigation, so they change their class."""
    page.__class__ = MarkedPage
    return page


class MarkedPage(Page):
    """A page of HTML with headings between. Any other is parsed as usual."""

    _parsed: dict[str, tuple[str, list[dict[str, Any]]]] = {}  # headings; most stand on hundreds of pages

    def render(self, config: MkDocsConfig, files: Files) -> None:
        pieces = blocks.pieces(self.markdown or "")
        if pieces is None:
            return super().render(config, files)
        texts, tokens = [], []
        for piece, is_heading in pieces:
            if is_heading:
                piece, own = self._heading(piece, config)
                tokens += [dict(token) for token in own]
            texts.append(piece)
        self.content = "\n".join(texts)
        self.markdown = ""  # all pages are in memory at once
        self.toc = get_toc(nest_toc_tokens(tokens))

    def _heading(self, line: str, config: MkDocsConfig) -> tuple[str, list[dict[str, Any]]]:
        if line not in self._parsed:
            parser = Markdown(extensions=config.markdown_extensions, extension_configs=config.mdx_configs or {})
            html = parser.convert(line)
            self._parsed[line] = html, parser.toc_tokens  # type: ignore[attr-defined]
        return self._parsed[line]
