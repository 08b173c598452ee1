"""Pages that are put together are the pages that MkDocs would have parsed."""

from __future__ import annotations

import pytest
from mkdocs.config import load_config
from mkdocs.structure.files import File, get_files
from mkdocs.structure.pages import Page

from site_gen import blocks, mkdocs_hooks
from site_gen.build import CONFIGURATION
from site_gen.emit.page import markdown_escaped

HTML = f"{blocks.OPEN}\n<p id='a'>one\n\n## no heading {{#x}}\n\ntwo</p>\n{blocks.CLOSE}"


@pytest.fixture(scope="module")
def configuration(built):
    return load_config(str(CONFIGURATION), docs_dir=str(built[0].parent / "build/docs"))


def written(text, folder) -> File:
    """A page of this text. From the disk: MkDocs makes up files only while one of its events runs."""
    (folder / "page.md").write_text(text, encoding="utf-8")
    return File("page.md", str(folder), str(folder / "site"), use_directory_urls=True)


def both_ways(file, configuration):
    """(content, table of contents) as parsed, and as put together."""
    ways = []
    for prepare in (lambda page, *_: page), mkdocs_hooks.on_pre_page:
        page = prepare(Page(None, file, configuration), configuration, None)
        page.read_source(configuration)
        page.render(configuration, None)
        ways.append((page.content, str(page.toc)))
    return ways


def test_every_page_of_the_site_is_the_same(configuration):
    files = get_files(configuration).documentation_pages()
    assert len(files) > 15
    for file in files:
        assert blocks.pieces(file.content_string.partition("\n---\n")[2]) is not None, f"{file.src_uri} is slow"
        parsed, together = both_ways(file, configuration)
        assert parsed == together, file.src_uri


@pytest.mark.parametrize("text", [
    f"{HTML}\n\n## Facts {{#facts}}\n\n### Two {{#two}}\n\n{HTML}\n\n#### Deep {{#deep}}\n\n## End {{#end}}",
    f"## {markdown_escaped('*a* <b> & [c](d) `e` # {f} $g$')} {{#hostile}}\n\n{HTML}",
    f"### Low {{#low}}\n\n{HTML}\n\n## High {{#high}}\n\n## High {{#high}}",
    HTML, "",
])  # fmt: skip
def test_any_marked_page_is_the_same(configuration, text, tmp_path):
    parsed, together = both_ways(written(text, tmp_path), configuration)
    assert parsed == together and blocks.pieces(text) is not None


@pytest.mark.parametrize("text", [
    f"{HTML}\n\nA paragraph with *marks*.", f"{HTML}\n\n## Without an id", f"# Title {{#title}}\n\n{HTML}",
    f"{blocks.OPEN}\n<p>never closed</p>\n", f"{HTML}\n\n## Facts {{#facts}}\ngoes on",
])  # fmt: skip
def test_other_pages_are_parsed(configuration, text, tmp_path):
    assert blocks.pieces(text) is None
    parsed, together = both_ways(written(text, tmp_path), configuration)
    assert parsed == together
