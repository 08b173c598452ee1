"""The command `cite`: records of papers and of the zoo's own entries, one by one, by family, by survey, or all."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Iterator
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from compzoo.errors import describe_unknown, fail

if TYPE_CHECKING:
    from catalog.bibliography import Work
    from catalog.loading import Catalog
    from catalog.model import Algorithm


_ADDRESS = re.compile(r"(?i)^(https?://(dx\.)?doi\.org/|https?://arxiv\.org/(abs|pdf)/|doi:|arxiv:)")
_VERSION = re.compile(r"(\d{4}\.\d{4,5})v\d+$")


class Format(StrEnum):
    """Citation formats, as catalog.citing has them."""

    bibtex = "bibtex"
    ris = "ris"
    csl_json = "csl-json"
    text = "text"


class Unknown(Exception):
    """Something that was asked for is not there; the message says what, and what is near."""


def cite(
    identifiers: Annotated[
        list[str] | None,
        typer.Argument(metavar="[ID]...", help="Ids of algorithms, keys of works, arXiv ids, DOIs; mixed as you like."),
    ] = None,
    form: Annotated[Format, typer.Option("--format", help="Format of the records.")] = Format.bibtex,
    entry: Annotated[
        bool, typer.Option("--entry", help="Cite the zoo's own entries and not their papers, with version and date.")
    ] = False,
    family: Annotated[
        list[str] | None,
        typer.Option(help="The papers of a family, such as pruning, or of one of its groups. May stand several times."),
    ] = None,
    survey: Annotated[
        list[str] | None,
        typer.Option(help="The works that a survey was seen to treat, by its key. May stand several times."),
    ] = None,
    everything: Annotated[
        bool, typer.Option("--all", help="The whole bibliography; with --entry, all entries.")
    ] = False,
) -> None:
    """Print citations: BibTeX, RIS, CSL-JSON or plain text."""
    from catalog import bibliography, citing, release
    from compzoo.catalog_commands import load_catalog

    if not (identifiers or family or survey or everything):
        fail("nothing to cite; give ids (compzoo cite gptq), --family, --survey or --all")
    catalog = load_catalog()
    zoo = release.read(catalog.repository)
    found: dict[str, Work] = {}
    problems: list[str] = []
    for what in _asked(catalog, identifiers or [], family or [], survey or [], everything, entry):
        if isinstance(what, Unknown):
            problems.append(str(what))
            continue
        work = what if isinstance(what, bibliography.Work) else citing.entry_as_work(what, zoo)
        found.setdefault(work.key, work)
    if problems:
        for problem in problems[:-1]:
            print(f"error: {problem}", file=sys.stderr)
        fail(problems[-1])
    if not found:
        fail("there is nothing in that selection", code=1)
    typer.echo(citing.format_all(found.values(), form.value), nl=False)


def _asked(
    catalog: Catalog, identifiers: list[str], families: list[str], surveys: list[str], everything: bool, entry: bool
) -> Iterator[Work | Algorithm | Unknown]:
    """What is to be cited, in the order of the command line; what is not there, in its place."""
    from catalog import citing

    index = _index(catalog)
    for identifier in identifiers:
        try:
            yield _one(catalog, index, identifier, entry)
        except Unknown as problem:
            yield problem
    nodes = [*catalog.taxonomy.families, *catalog.taxonomy.nodes()]
    for node in families:
        if node not in nodes:
            yield Unknown(describe_unknown("family", node, nodes))
        else:
            yield from citing.of_node(catalog, node) if entry else citing.of_family(catalog, node)
    for key in surveys:
        if key not in catalog.surveys:
            yield Unknown(describe_unknown("survey", key, catalog.surveys))
        else:
            yield from _entries_of(catalog, citing.of_survey(catalog, key), entry)
    if everything:
        yield from catalog.algorithms.values() if entry else catalog.bibliography.values()


def _one(catalog: Catalog, index: dict[str, Work], identifier: str, entry: bool) -> Work | Algorithm:
    name = catalog.retired.get(identifier, identifier)
    algorithm = catalog.algorithms.get(name) or catalog.algorithms.get(name.lower())
    work = index.get(_ADDRESS.sub("", _VERSION.sub(r"\1", name)).lower())
    if algorithm is None and work is not None and entry:
        algorithm = catalog.entry_about(work.key)
        if algorithm is None:
            raise Unknown(f"`{identifier}` is a work without an entry; leave out --entry")
    if algorithm is not None:
        return algorithm if entry else catalog.paper_of(algorithm) or algorithm
    if work is not None:
        return work
    if name in catalog.known_ids:
        raise Unknown(f"the entry `{identifier}` has problems; `compzoo validate` shows them")
    called = {alias.casefold(): other.id for other in catalog.algorithms.values() for alias in other.names}
    if identifier.casefold() in called:
        raise Unknown(f"unknown algorithm or work {identifier!r}; did you mean {called[identifier.casefold()]!r}?")
    raise Unknown(describe_unknown("algorithm or work", identifier, [*catalog.algorithms, *index]))


def _index(catalog: Catalog) -> dict[str, Work]:
    """Keys, slugs, arXiv ids and DOIs of all works, in small letters."""
    works = catalog.bibliography.values()
    index = {name.lower(): work for work in works for name in (work.doi, work.arxiv, work.slug) if name}
    return index | {work.key: work for work in works}


def _entries_of(catalog: Catalog, works: Iterable[Work], entry: bool) -> Iterable[Work | Algorithm]:
    if not entry:
        return works
    return [found for work in works if (found := catalog.entry_about(work.key)) is not None]
