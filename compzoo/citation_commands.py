"""The commands over citations.yml: `compzoo citations refresh`, the only one of the project that uses the network."""

from __future__ import annotations

import json
import os
import sys
from contextlib import closing
from datetime import date
from enum import StrEnum
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from compzoo.errors import fail, unknown

if TYPE_CHECKING:
    from catalog.loading import Catalog
    from catalog.refresh import Result, Source

OPENALEX_KEY, SEMANTIC_SCHOLAR_KEY = "OPENALEX_API_KEY", "SEMANTIC_SCHOLAR_API_KEY"
SHOWN = 20  # lines of each kind; `--json` has all


class Which(StrEnum):
    """The sources to ask."""

    openalex = "openalex"
    semantic_scholar = "semantic-scholar"
    both = "both"


def register(app: typer.Typer) -> None:
    """Add the commands to the application."""
    group = typer.Typer(help="Who cites whom: keep catalog/citations.yml up to date.", no_args_is_help=True)
    group.callback()(citations)
    group.command("refresh")(refresh)
    app.add_typer(group, name="citations")


def citations() -> None:
    """Who cites whom: keep catalog/citations.yml up to date."""


def refresh(
    only: Annotated[
        list[str] | None, typer.Option(metavar="KEY", help="Only this work of references.bib; may be repeated.")
    ] = None,
    source: Annotated[Which, typer.Option(help="Whom to ask.")] = Which.both,
    limit: Annotated[
        int | None, typer.Option(min=0, help="Ask for at most so many works; 0 uses only what is kept.")
    ] = None,
    write: Annotated[bool, typer.Option("--write", help="Write the file. Without it only the diff is shown.")] = False,
    accept_titles: Annotated[
        bool, typer.Option("--accept-titles", help="Also add works that only title and year identify.")
    ] = False,
    mailto: Annotated[
        str | None, typer.Option(metavar="ADDRESS", envvar="COMPZOO_MAILTO", help="Tell the sources who is asking.")
    ] = None,
    interval: Annotated[
        float | None, typer.Option(min=0.1, help="Least seconds between two requests. By default 1 to 3.")
    ] = None,
    max_age: Annotated[int, typer.Option(min=0, help="Ask again for what was answered so many days ago.")] = 30,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document and nothing else.")] = False,
    catalog: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="Another catalog than the project's own.")
    ] = None,
    openalex_url: Annotated[
        str | None, typer.Option(envvar="COMPZOO_OPENALEX_URL", help="Another address than api.openalex.org.")
    ] = None,
    semantic_scholar_url: Annotated[
        str | None,
        typer.Option(envvar="COMPZOO_SEMANTIC_SCHOLAR_URL", help="Another address than api.semanticscholar.org."),
    ] = None,
) -> None:
    """Ask OpenAlex and Semantic Scholar whom our works cite, and show what to add to citations.yml as a diff.

    Answers are kept in .cache/citations: an interrupted run goes on where it was.

    Free keys of the two services are taken from OPENALEX_API_KEY and SEMANTIC_SCHOLAR_API_KEY.

    The exit code is 1 if some work could not be asked for.
    """
    from catalog import refresh as refreshing
    from catalog.refresh import writing

    read = _load(catalog)
    works = refreshing.works_to_ask(read, _keys(read, only or ()))
    if mailto is not None and ("@" not in mailto or any(sign.isspace() for sign in mailto)):
        fail(f"{mailto!r} is not a mail address")
    for url in (openalex_url, semantic_scholar_url):
        if url is not None and not url.startswith(("http://", "https://")):
            fail(f"{url!r} is not a web address; expected one that begins with https://")
    folder = read.root.parent / ".cache" / "citations"
    bar = _Progress()
    try:
        with closing(refreshing.Answers(folder, date.today(), max_age)) as answers:
            sources = _sources(source, answers, mailto, interval, openalex_url, semantic_scholar_url)
            result = refreshing.refresh(read, works, sources, limit, accept_titles, bar)
    except refreshing.RefreshError as error:
        bar.clear()
        fail(f"{error}; nothing is written, and what was answered is kept for the next run", code=1)
    except KeyboardInterrupt:
        bar.clear()
        fail("interrupted; nothing is written, and the same command goes on where it was", code=130)
    bar.clear()
    if write and result.diff:
        try:
            writing.write(read.root / "citations.yml", result.new)
        except OSError as error:
            fail(f"citations.yml cannot be written ({error}); it is as it was", code=1)
    if as_json:
        typer.echo(json.dumps(_as_data(result, written=write and bool(result.diff)), indent=2, ensure_ascii=False))
    else:
        typer.echo(result.diff, nl=False)
        _report(result, write, len(works))
    if result.failures:
        raise typer.Exit(1)


def _load(root: Path | None) -> Catalog:
    import catalog as reading

    if root is not None and not (root / "references.bib").is_file():
        fail(f"{str(root)!r} is no catalog (a catalog has a references.bib)")
    catalog, problems = reading.check(root)
    own = [problem for problem in problems if problem.file.endswith(("/citations.yml", "/references.bib"))]
    for problem in own[:SHOWN]:
        typer.echo(str(problem), err=True)
    if own:
        fail(f"citations.yml and references.bib have to be in order first (problems: {len(own)})", code=1)
    return catalog


def _keys(catalog: Catalog, names: list[str] | tuple[str, ...]) -> list[str]:
    """The keys that are meant by keys or by ids of entries and works."""
    from catalog.refresh import identifiers

    slugs = {work.slug: key for key, work in catalog.bibliography.items() if work.slug}
    keys = []
    for name in names:
        key = name if name in catalog.bibliography else slugs.get(name)
        if key is None:
            unknown("work", name, [*slugs, *catalog.bibliography])
        if not identifiers.of_work(catalog.bibliography[key]):
            fail(f"`{key}` has neither a DOI nor an arXiv id in references.bib, so no source can be asked for it")
        keys.append(key)
    return keys


def _sources(
    which: Which, answers: Any, mailto: str | None, interval: float | None, openalex: str | None, scholar: str | None
) -> list[Source]:
    from catalog.refresh import Client, OpenAlex, SemanticScholar

    try:
        release = version("compression-zoo")
    except PackageNotFoundError:
        release = "unreleased"
    agent = f"compression-zoo/{release} (compzoo citations refresh{f'; mailto:{mailto}' if mailto else ''})"
    sources: list[Source] = []
    if which is not Which.semantic_scholar:
        parameters = {"mailto": mailto, "api_key": os.environ.get(OPENALEX_KEY)}
        client = Client("OpenAlex", openalex or OpenAlex.address, agent, interval or 1.0, {},
                        {name: value for name, value in parameters.items() if value})
        sources.append(OpenAlex(client, answers))
    if which is not Which.openalex:
        key = os.environ.get(SEMANTIC_SCHOLAR_KEY)
        # One request a second with a key; without one all the world shares a pool.
        client = Client("Semantic Scholar", scholar or SemanticScholar.address, agent,
                        interval or (1.1 if key else 3.0), {"x-api-key": key} if key else {}, {})
        sources.append(SemanticScholar(client, answers))
    return sources


# --- printing ------------------------------------------------------------------------------------------------------


class _Progress:
    """One line on standard error that says what is being asked, where somebody watches."""

    def __init__(self) -> None:
        self._shown = 0

    def __call__(self, line: str) -> None:
        if sys.stderr.isatty():
            line = line[:100]
            sys.stderr.write(f"\r{line:<{self._shown}}")
            sys.stderr.flush()
            self._shown = len(line)

    def clear(self) -> None:
        if self._shown:
            sys.stderr.write(f"\r{'':<{self._shown}}\r")
            self._shown = 0


def _as_data(result: Result, written: bool) -> dict[str, Any]:
    plan = result.plan
    states = {source: {} for source in plan.counts}
    for listing in result.listings:
        states[listing.source].setdefault(listing.state, []).append(listing.work)
    return {
        "written": written,
        "added": [
            {"citing": part.citing, "cited": key, "source": part.source, "witness": part.witness}
            for part in plan.additions for key in part.cited
        ],
        "conflicts": [
            {"kind": conflict.kind, "citing": conflict.citing, "cited": conflict.cited, "source": conflict.source}
            for conflict in plan.conflicts
        ],
        "to_confirm": [
            {"kind": doubt.kind, "citing": doubt.citing, "cited": doubt.cited, "source": doubt.source,
             "title": doubt.title, "year": doubt.year}
            for doubt in plan.doubts
        ],
        "references": {
            source: {"listed": count.references, "matched": count.matched, "unmatched": count.unmatched,
                     "to_confirm": count.doubtful}
            for source, count in plan.counts.items()
        },
        "works": states,
        "failures": [
            {"citing": failure.work, "source": failure.source, "reason": failure.reason} for failure in result.failures
        ],
        "not_asked": result.left,
        "diff": result.diff,
    }  # fmt: skip


def _report(result: Result, write: bool, works: int) -> None:
    """What came of it, on standard error, so that standard output is the diff alone."""
    from catalog.refresh.proposing import TITLES

    plan = result.plan

    def say(line: str) -> None:
        typer.echo(line, err=True)

    def some(lines: list[str]) -> None:
        for line in lines[:SHOWN]:
            say(f"  {line}")
        if len(lines) > SHOWN:
            say(f"  and {len(lines) - SHOWN} more; --json shows all")

    for source, count in plan.counts.items():
        listings = [listing for listing in result.listings if listing.source == source]
        lists = sum(listing.state == "listed" for listing in listings)
        say(f"{TITLES[source]}: {_count(lists, 'reference list')} for {_count(len(listings), 'work')}; of "
            f"{_count(count.references, 'reference')} "
            f"{count.matched} are works of references.bib, {count.doubtful} may be, {count.unmatched} are not.")
    for kind, text in (
        ("adds", "Named by a source, not in a list that was read whole (nothing is added; look into the paper)"),
        ("lacks", "Read in the paper, not named by a source (nothing is changed)"),
    ):
        found = [conflict for conflict in plan.conflicts if conflict.kind == kind]
        if found:
            say(f"{text}: {len(found)}")
            some([f"{part.citing} -> {part.cited} ({TITLES[part.source]})" for part in found])
    if plan.doubts:
        say(f"To be confirmed, because no single id identifies the cited work: {len(plan.doubts)}")
        some([f"{doubt.citing} -> {' or '.join(doubt.cited)} ({TITLES[doubt.source]}: {doubt.title}, {doubt.year})"
              for doubt in plan.doubts])
    if result.failures:
        say(f"No answer, to be asked again by the same command: {len(result.failures)}")
        some([f"{failure.work} ({TITLES[failure.source]}): {failure.reason}" for failure in result.failures])
    if result.left:
        say(f"Left for another run by --limit: {len(result.left)} of {works} works.")
    edges = sum(len(part.cited) for part in plan.additions)
    found = f"{_count(edges, 'citation')} of {_count(len({part.citing for part in plan.additions}), 'work')}"
    if not edges:
        say("Nothing to add.")
    elif write:
        say(f"Wrote {found}. `compzoo validate` checks the catalog.")
    else:
        say(f"{found} to add; nothing is written without --write.")


def _count(number: int, what: str) -> str:
    return f"{number:,} {what}{'s' * (number != 1)}"
