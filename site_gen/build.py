"""Builds the site: load, enrich, emit, bundle, MkDocs; beside the old one, then in its place.

Where anything fails, the old site stays as it was.
"""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import yaml

from catalog import CatalogError, Problem, glossary, kinds
from site_gen import frontend_build
from site_gen.emit import choose_files, compare_files, data, entries_file, icons, machine
from site_gen.emit.formulas import FormulaError, Formulas, Rendered
from site_gen.emit.pages import Pages, Settings
from site_gen.emit.writer import Writer
from site_gen.enrich.site import Site, enrich
from site_gen.load import load
from site_gen.mkdocs_run import MkDocs

ROOT = Path(__file__).resolve().parents[1]
CONFIGURATION = ROOT / "mkdocs.yml"
INTERIM = "assets/zoo"


class BuildError(Exception):
    """A step after the catalog failed; the message says which and what it printed."""


@dataclass
class Report:
    """What a build did: seconds by step, and how many files of the docs folder were written, kept, deleted."""

    out: Path
    pages: int = 0
    written: int = 0
    kept: int = 0
    deleted: int = 0
    formulas: int = 0
    seconds: dict[str, float] = field(default_factory=dict)
    site: Site | None = None  # what it was built from


def build(
    root: Path = ROOT,
    out: Path | None = None,
    work: Path | None = None,
    tell: Callable[[str], None] = lambda step: None,
) -> Report:
    """The site of the catalog below `root`, into `out` (root/site).

    `work` (root/build) keeps what makes the next build faster. `tell` is called with the name of each step.
    Raises CatalogError with every problem of the catalog, FrontendError, or BuildError.
    """
    out = out or root / "site"
    work = work or root / "build"
    report = Report(out)
    clock = _Clock(report, tell)
    fresh = out.with_name(f".{out.name}.new")
    shutil.rmtree(fresh, ignore_errors=True)
    docs = work / "docs"
    docs.mkdir(parents=True, exist_ok=True)

    try:
        with MkDocs(CONFIGURATION, docs, fresh) as mkdocs:
            with clock("catalog"):
                source = load(root)
            with clock("graph and links"):
                report.site = site = enrich(source)
            with clock("scripts and styles"):
                frontend_build.bundle(ROOT / "build" / "frontend")
            writer = Writer(docs)
            with clock("pages"):
                pages = write_pages(site, root, work, writer, report)
            mkdocs.start()
            with clock("files beside the pages"):
                beside = write_files(pages, writer, report)
            with clock("MkDocs"):
                if said := mkdocs.wait():
                    raise BuildError(f"MkDocs failed:\n{said}")
        with clock("site"):
            writer.lay_beside(fresh)
            for path, text in beside.items():
                (fresh / path).write_text(text, encoding="utf-8")
            swap(fresh, out)
    finally:
        shutil.rmtree(fresh, ignore_errors=True)
    return report


def write_docs(site: Site, root: Path, work: Path, report: Report) -> dict[str, str]:
    """Everything that MkDocs reads, into work/docs. Returns the Markdown forms that are laid beside its pages.

    Raises CatalogError where a formula cannot be typeset or a reference in prose leads nowhere.
    """
    writer = Writer(work / "docs")
    return write_files(write_pages(site, root, work, writer, report), writer, report)


def write_pages(site: Site, root: Path, work: Path, writer: Writer, report: Report) -> Pages:
    """The pages alone. Raises as `write_docs` does; then nothing was written."""
    pages = Pages(site, Formulas(work / "cache" / "formulas.json"), settings(CONFIGURATION), root)
    texts = pages.all()
    problems = problems_of_prose(pages)
    rendered = _typeset(pages, problems)
    for path, text in texts.items():
        writer.write(path, rendered.fill(text))
    writer.finish(".md")
    report.pages = len(texts)
    return pages


def write_files(pages: Pages, writer: Writer, report: Report) -> dict[str, str]:
    """What stands beside the pages, and the end of the writing. Returns the Markdown forms. Raises as `write_docs`."""
    site = pages.site
    compared = compare_files.files(pages)
    rendered = _typeset(pages, [])
    report.formulas = pages.formulas.typeset
    for path, text in compared.items():
        writer.write(path, rendered.fill_json(text))
    copied, beside = machine.files(site)
    for path, text in copied.items():
        writer.write(path, text)
    writer.write(f"{INTERIM}/search.json", data.search(site.catalog))
    writer.write(f"{INTERIM}/graph.json", data.graph(site))
    writer.write(f"{INTERIM}/entries.json", entries_file.entries(site))
    writer.write(choose_files.FILE, choose_files.facts(site))
    writer.write(f"{INTERIM}/logo.svg", icons.logo_file("#4a65cb"))
    writer.copy_tree(ROOT / "build" / "frontend", INTERIM)
    writer.finish()
    report.written, report.kept, report.deleted = writer.written, writer.kept, writer.deleted
    return beside


def _typeset(pages: Pages, problems: list[Problem]) -> Rendered:
    """The formulas of all that was rendered. Raises CatalogError with these problems and those of formulas."""
    rendered = None
    try:
        rendered = pages.formulas.render()
    except FormulaError as error:
        problems = problems + [problem_of_formula(pages.site, tex, reason) for tex, reason in error.faults]
    if problems or rendered is None:
        raise CatalogError(problems)
    return rendered


def settings(path: Path) -> Settings:
    """repo_url and edit_uri of mkdocs.yml, where they are set."""
    found = yaml.safe_load(path.read_text(encoding="utf-8"))
    return Settings(found.get("repo_url") or "", found.get("edit_uri") or "")


def problems_of_prose(pages: Pages) -> list[Problem]:
    """References in the rendered texts that lead nowhere."""
    return [
        Problem(file, 1, "", "a reference that leads nowhere", value=name,
                expected="an equation of this entry, [eq-...], or a key of references.bib, [@key]")
        for file, name in pages.unknown
    ]


def problem_of_formula(site: Site, tex: str, reason: str) -> Problem:
    """Names the entry, framework, benchmark or metric in which a refused formula stands."""
    for entry in site.entries.values():
        if tex in entry.algorithm.model_dump_json() or any(
            tex == text.strip() for text in entry.algorithm.equations.values()
        ) or tex in entry.algorithm.idea:
            return Problem(entry.algorithm.file, 1, "", f"a formula that cannot be typeset ({reason})", value=tex,
                           expected="LaTeX that KaTeX knows")
    for kind, found in site.catalog.kinds().items():
        for identifier, one in found.items():
            places = [*kinds.prose(kind, one), (("formula",), getattr(one, "formula", None) or "")]
            for path, text in places:
                if tex in text:
                    return site.catalog.problem(f"{site.catalog.root.name}/{kinds.FILES[kind]}", (identifier, *path),
                                                f"a formula that cannot be typeset ({reason})", value=tex,
                                                expected="LaTeX that KaTeX knows")
    for identifier, term in site.catalog.glossary.items():
        if term.definition and tex in term.definition:
            return site.catalog.problem(f"{site.catalog.root.name}/{glossary.FILE}", (identifier, "definition"),
                                        f"a formula that cannot be typeset ({reason})", value=tex,
                                        expected="LaTeX that KaTeX knows")
    return Problem("catalog", 1, "", f"a formula that cannot be typeset ({reason})", value=tex,
                   expected="LaTeX that KaTeX knows")


def swap(fresh: Path, out: Path) -> None:
    """Puts a finished folder in the place of another."""
    old = out.with_name(f".{out.name}.old")
    shutil.rmtree(old, ignore_errors=True)
    if out.exists():
        os.replace(out, old)
    os.replace(fresh, out)
    shutil.rmtree(old, ignore_errors=True)


class _Clock:
    """Times the steps of a build."""

    def __init__(self, report: Report, tell: Callable[[str], None]):
        self.report, self.tell = report, tell

    def __call__(self, step: str) -> _Clock:
        self.step = step
        self.tell(step)
        return self

    def __enter__(self) -> None:
        self.start = time.perf_counter()

    def __exit__(self, *_: object) -> None:
        self.report.seconds[self.step] = time.perf_counter() - self.start
