"""One entry changed: its page again, in seconds, from what was computed for the last whole build.

What is computed over all entries (similar entries, key terms, counts, the search index) stays as it was until the next
whole build, which `compzoo serve` starts right after.
"""

from __future__ import annotations

import os
from pathlib import Path

from mkdocs.commands import build as mkdocs_build
from mkdocs.config import load_config
from mkdocs.structure.files import get_files, set_exclusions
from mkdocs.structure.nav import get_navigation
from mkdocs.structure.pages import Page

from catalog import CatalogError, loading
from catalog.standalone import Exporter
from site_gen.build import CONFIGURATION, problem_of_formula, problems_of_prose, settings
from site_gen.emit import links, machine
from site_gen.emit.formulas import FormulaError, Formulas
from site_gen.emit.pages import Pages
from site_gen.enrich.site import Site, with_entry


class TooMuch(Exception):
    """The change concerns more than one page; the whole site has to be built."""


def entry_of(site: Site, changed: set[str]) -> str:
    """The id of the entry whose file is the only one changed. Raises TooMuch."""
    by_file = {entry.algorithm.file: entry.id for entry in site.entries.values()}
    if len(changed) != 1 or not changed <= by_file.keys():
        raise TooMuch
    return by_file[changed.pop()]


def update(site: Site, identifier: str, root: Path, out: Path, work: Path) -> Site:
    """Reads an entry again and lays its page and its machine forms into `out`. Returns the site with that entry.

    Raises CatalogError with every problem; then nothing was written. Raises TooMuch where its code is another now.
    """
    catalog, problems = loading.reread(site.catalog, identifier)
    if catalog.algorithms[identifier].reference.code != site.entries[identifier].algorithm.reference.code:
        raise TooMuch
    if problems:
        raise CatalogError(problems)
    site = with_entry(site, catalog, identifier)
    entry = site.entries[identifier]

    formulas = Formulas(work / "cache" / "formulas.json", whole=False)
    pages = Pages(site, formulas, settings(CONFIGURATION), root)
    text = pages.algorithm(entry)
    if problems := problems_of_prose(pages):
        raise CatalogError(problems)
    try:
        text = formulas.render().fill(text)
    except FormulaError as error:
        raise CatalogError([problem_of_formula(site, tex, reason) for tex, reason in error.faults]) from error

    address = links.algorithm(identifier)
    docs = work / "docs"
    _write(docs / address / "index.md", text)
    copied, beside = machine.entry_files(site, entry, Exporter(catalog.source))
    for path, content in {**copied, **beside}.items():
        _write(out / path, content)
    _write(out / address / "index.html", _html(docs, out, f"{address}index.md"))
    return site


def _html(docs: Path, out: Path, page: str) -> str:
    """One page as MkDocs makes it, in the frame that it has on the whole site."""
    config = load_config(str(CONFIGURATION), docs_dir=str(docs.resolve()), site_dir=str(out.resolve()))
    files = get_files(config)
    set_exclusions(files, config)
    environment = config.theme.get_env()
    nav = get_navigation(files, config)
    for other in nav.pages:  # their titles stand in the frame
        other.read_source(config)
    file = files.get_file_from_path(page)
    assert file is not None
    one = file.page or Page(None, file, config)
    one.read_source(config)
    one.render(config, files)
    one.active = True
    context = mkdocs_build.get_context(nav, files.documentation_pages(), config, one)
    return environment.get_template("main.html").render(context)


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(path.name + ".new")
    beside.write_bytes(text.encode("utf-8", errors="xmlcharrefreplace"))
    os.replace(beside, path)
