"""The commands over the catalog: list, show, search, cite, validate, new."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from compzoo import cite_command, kind_commands
from compzoo.errors import fail, unknown

if TYPE_CHECKING:
    from catalog.loading import Catalog
    from catalog.model import Algorithm
    from catalog.problems import Problem

AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON document and nothing else.")]


def register(app: typer.Typer) -> None:
    """Add the commands to the application."""
    app.command("list")(list_entries)
    app.command("show")(show)
    app.command("search")(search)
    app.command("cite")(cite_command.cite)
    app.command("validate")(validate)
    app.command("new")(new)


def list_entries(
    family: Annotated[str | None, typer.Option(help="Only one family, such as pruning, or one of its groups.")] = None,
    as_json: AsJson = False,
) -> None:
    """List the algorithms."""
    catalog = load_catalog()
    entries = list(catalog.algorithms.values())
    if family is not None:
        known = [*catalog.taxonomy.families, *catalog.taxonomy.nodes()]
        if family not in known:
            unknown("family", family, known)
        entries = [
            entry for entry in entries
            if any(node == family or node.startswith(f"{family}/") for node in (entry.family, *entry.also_in))
        ]  # fmt: skip
    if as_json:
        _print_json([_line(catalog, entry) for entry in entries])
        return
    table = _table("id", "name", "family", "since", "measured")
    for entry in entries:
        measured = "yes" if entry.id in catalog.measurements else "no"
        table.add_row(entry.id, entry.name, entry.family, entry.introduced, measured)
    _print(table)
    _print(f"{len(entries)} of {len(catalog.algorithms)} algorithms. `compzoo show ID` tells more.", style="dim")


def show(
    identifier: Annotated[str, typer.Argument(metavar="ID", help="Of an algorithm, framework, benchmark or metric.")],
    as_json: AsJson = False,
) -> None:
    """Show one algorithm: summary, facts, steps, relations, measurement and paper. Frameworks and the like, too."""
    catalog = load_catalog()
    kind = kind_commands.kind_of(catalog, identifier)
    if kind is not None:
        if as_json:
            _print_json(kind_commands.as_data(catalog, kind, identifier))
        else:
            kind_commands.show(catalog, kind, identifier)
        return
    entry = _entry(catalog, identifier)
    if as_json:
        _print_json(as_data(catalog, entry))
        return
    from rich.markdown import Markdown
    from rich.panel import Panel

    work = catalog.paper_of(entry)
    title = entry.name + (f" ({', '.join(entry.aliases)})" if entry.aliases else "")
    _print(Panel(_escape(entry.summary.strip()), title=_escape(title), subtitle=_escape(entry.family)))
    _print(_escape(entry.plain.strip()), style="italic")
    table = _table("fact", "value")
    for name, value in _facts(entry):
        table.add_row(name.replace("_", " "), value)
    _print(table)
    steps = "\n".join(f"{number}. {step}" for number, step in enumerate(entry.steps, 1))
    _print(Markdown("\n\n".join(["## Steps", steps, *_claims("Strengths", entry.strengths),
                                 *_claims("Limits", entry.limits)])))
    if entry.relations:
        table = _table("relation", "to", "why")
        for relation in entry.relations:
            order = f" ({relation.order})" if relation.type == "stacks_with" else ""
            table.add_row(relation.type.replace("_", " ") + order, relation.target, relation.reason)
        _print(table)
    measurement = catalog.measurements.get(entry.id)
    if measurement is not None:
        table = _table("run", "options", *(metric.label for metric in measurement.metrics.values()))
        for run in measurement.runs:
            options = " ".join(f"{key}={value}" for key, value in run.options.items())
            table.add_row(run.role, options, *(_number(run.median.get(name)) for name in measurement.metrics))
        _print(table)
        if catalog.is_stale(measurement):
            _print("This measurement is stale: the code has changed since.", style="yellow")
    if work is not None:
        from catalog import citing

        _print(_escape(citing.text(work)))
    elif entry.origin:
        _print(_escape(entry.origin))
    options = " ".join(f"--{key.replace('_', '-')} {value}" for key, value in entry.reference.options.items())
    _print(f"Code: {entry.reference.code}   Run: compzoo run {entry.id} {options}".rstrip(), style="dim")


def search(
    words: Annotated[list[str], typer.Argument(help='What to look for, such as "4-bit weight-only".')],
    limit: Annotated[int, typer.Option(min=1, help="At most so many answers.")] = 10,
    as_json: AsJson = False,
) -> None:
    """Search methods, families, papers, surveys, frameworks, benchmarks, metrics, the vocabulary and the glossary by
    name, fact, author or text, ranked as on the site; forgives slips and knows synonyms.
    """
    from catalog import search as searching

    catalog = load_catalog()
    query = " ".join(words)
    documents = searching.all_documents(catalog)
    hits = searching.Index(documents, catalog.synonyms).search(query, limit)
    if as_json:
        _print_json([{"id": hit.id, "kind": hit.kind, "name": hit.name, "score": hit.score} for hit in hits])
        return
    if not hits:
        _print(f"Nothing found for {_escape(query)}. `compzoo list` shows all algorithms.")
        return
    said = {(one["kind"], one["id"]): one.get("title" if one["kind"] == "paper" else "summary") for one in documents}
    table = _table("id", "kind", "name", "what it is")
    table.expand, table.columns[3].no_wrap, table.columns[3].ratio = True, True, 1
    for hit in hits:
        table.add_row(hit.id, hit.kind, _escape(hit.name), _escape(said[hit.kind, hit.id] or hit.name))
    _print(table)


def validate(
    path: Annotated[
        Path | None,
        typer.Argument(help="A catalog, the folder that holds it, or one file of it. The project's own by default."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Check the catalog and print every problem at once. Exit code 1 if there is any."""
    import catalog as reading

    root, only = _catalog_of(path)
    catalog, problems = reading.check(root)
    if only is not None:
        problems = [problem for problem in problems if problem.file == only]
    if as_json:
        _print_json([_problem(problem) for problem in problems])
    elif problems:
        for problem in problems:
            typer.echo(str(problem))
        files = len({problem.file for problem in problems})
        typer.echo(f"Problems: {len(problems)}, in {files} file{'s' * (files != 1)}.", err=True)
    else:
        typer.echo(
            f"No problems: {len(catalog.algorithms)} algorithms, {len(catalog.bibliography)} works, "
            f"{len(catalog.surveys)} surveys, {len(catalog.reported)} reported numbers, "
            f"{sum(len(record.all_cited) for record in catalog.citations.values())} "
            f"citations, {len(catalog.measurements)} measurements, {len(catalog.frameworks)} frameworks, "
            f"{len(catalog.benchmarks)} benchmarks, {len(catalog.metrics)} metrics."
        )
    if problems:
        raise typer.Exit(1)


def new(
    identifier: Annotated[str, typer.Argument(metavar="ID", help="Id of the new algorithm: small letters, hyphens.")],
    family: Annotated[
        str | None, typer.Option(help="Its home in the taxonomy: family/group, or a family.")
    ] = None,
    paper: Annotated[str | None, typer.Option(help="Key of its paper in references.bib.")] = None,
) -> None:
    """Write a commented form for a new algorithm into catalog/algorithms/<family>/ID.yml."""
    import catalog as reading
    from catalog import form

    catalog, problems = reading.check()
    if not re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", identifier):
        close = re.sub(r"[^a-z0-9]+", "-", identifier.lower()).strip("-")
        fail(f"{identifier!r} is no id: small letters and digits, words joined by hyphens; did you mean {close!r}?")
    if identifier in catalog.known_ids:
        fail(f"there is an entry `{identifier}` already; ids are never given twice")
    if identifier in catalog.retired:
        fail(f"`{identifier}` was used before and leads to `{catalog.retired[identifier]}`; ids are never given twice")
    if catalog.taxonomy is None:
        fail("taxonomy.yml has problems; `compzoo validate` shows them")
    families = catalog.taxonomy.families
    node = family or f"{next(iter(families))}/{next(iter(next(iter(families.values())).groups))}"
    if node in families:
        node = f"{node}/{next(iter(families[node].groups))}"
    if node not in catalog.taxonomy.nodes():
        unknown("node of the taxonomy", node, [*families, *catalog.taxonomy.nodes()])
    if paper is not None and paper not in catalog.bibliography:
        unknown("work", paper, catalog.bibliography)
    work = catalog.bibliography.get(paper or "")
    work = work or next((work for work in catalog.bibliography.values() if work.slug == identifier), None)
    target = catalog.root / "algorithms" / node.partition("/")[0] / f"{identifier}.yml"
    target.parent.mkdir(parents=True, exist_ok=True)
    with target.open("x", encoding="utf-8") as file:
        file.write(form.skeleton(identifier, node, catalog.vocabulary, work))
    typer.echo(f"Wrote {_relative(target)}. Fill it in; `compzoo validate` says what is missing.")
    if family is None:
        typer.echo(f"Its home is given as {node}; change `family`, and move the file, if it belongs elsewhere.")
    if work is None:
        typer.echo("Its paper is not in catalog/references.bib yet; add the record there first.")


# --- data ----------------------------------------------------------------------------------------------------------


def as_data(catalog: Catalog, entry: Algorithm) -> dict[str, Any]:
    """An entry as plain data: its fields, its paper, who points to it, its measurement."""
    work = catalog.paper_of(entry)
    measurement = catalog.measurements.get(entry.id)
    return {
        "id": entry.id,
        **entry.model_dump(exclude={"id", "file"}, exclude_none=True),
        "file": entry.file,
        "work": None if work is None else {
            "key": work.key, "title": work.title, "authors": [person.full for person in work.authors],
            "year": work.year, "venue": work.venue, "arxiv": work.arxiv, "doi": work.doi, "url": work.url,
        },
        "related_from": [
            {"id": other.id, "type": relation.type, "why": relation.reason}
            for other in catalog.algorithms.values() for relation in other.relations if relation.target == entry.id
        ],
        "measurement": None if measurement is None
        else measurement.model_dump(by_alias=True) | {"stale": catalog.is_stale(measurement)},
    }  # fmt: skip


def _line(catalog: Catalog, entry: Algorithm) -> dict[str, Any]:
    work = catalog.paper_of(entry)
    return {
        "id": entry.id, "name": entry.name, "family": entry.family, "also_in": entry.also_in,
        "introduced": entry.introduced, "paper": work.key if work else None, "contract": entry.reference.contract,
        "measured": entry.id in catalog.measurements, "summary": entry.summary.strip(),
    }  # fmt: skip


def _problem(problem: Problem) -> dict[str, Any]:
    return {name: getattr(problem, name) for name in ("file", "line", "key", "message", "value", "expected", "nearest")}


def _facts(entry: Algorithm) -> list[tuple[str, str]]:
    rows = []
    for name, value in entry.facts:
        if value is None:
            continue
        if name == "cost":
            rows += [(f"cost, {part}", text) for part, text in value if text]
        elif isinstance(value, dict):
            rows.append((name, "; ".join(f"{key} {', '.join(map(str, widths))}" for key, widths in value.items())))
        elif isinstance(value, list):
            rows.append((name, ", ".join(value)))
        else:
            rows.append((name, {True: "yes", False: "no"}.get(value, str(value))))
    return rows


def _claims(title: str, claims: list[Any]) -> list[str]:
    if not claims:
        return []
    return [f"## {title}", "\n".join(f"- {claim.text}" for claim in claims)]


def load_catalog() -> Catalog:
    """The catalog, or what can be read of it with a warning: a fault in one entry must not hide the others."""
    import catalog as reading

    catalog, problems = reading.check()
    if catalog.taxonomy is None or not catalog.vocabulary or not catalog.bibliography:
        for problem in problems[:20]:
            typer.echo(str(problem), err=True)
        fail(f"the catalog cannot be read ({len(problems)} problems)", code=1)
    if problems:
        typer.echo(f"warning: the catalog has problems ({len(problems)}); `compzoo validate` shows them", err=True)
    return catalog


def _entry(catalog: Catalog, identifier: str) -> Algorithm:
    entry = catalog.algorithms.get(catalog.retired.get(identifier, identifier))
    if entry is None:
        if identifier in catalog.known_ids:
            fail(f"the entry `{identifier}` has problems; `compzoo validate` shows them", code=1)
        named = {name.casefold(): other.id for other in catalog.algorithms.values() for name in other.names}
        if identifier.casefold() in named:
            fail(f"unknown algorithm {identifier!r}; did you mean {named[identifier.casefold()]!r}?")
        kinds = catalog.kinds().values()
        unknown("algorithm", identifier, [*catalog.algorithms, *(name for found in kinds for name in found)])
    return entry


def _catalog_of(path: Path | None) -> tuple[Path | None, str | None]:
    """The catalog that a path belongs to, and the one file of it that is meant, if it is a file."""
    if path is None:
        return None, None
    if not path.exists():
        fail(f"there is no file or folder {str(path)!r}")
    path = path.resolve()
    for folder in (path, path / "catalog", *path.parents):
        if (folder / "vocabulary.yml").is_file():
            only = None if path.is_dir() else f"{folder.name}/{path.relative_to(folder).as_posix()}"
            return folder, only
    fail(f"{str(path)!r} is no catalog and not inside one (a catalog has a vocabulary.yml)")


# --- printing ------------------------------------------------------------------------------------------------------


def _print_json(data: Any) -> None:
    typer.echo(json.dumps(data, indent=2, ensure_ascii=False))


def _print(what: Any, style: str | None = None) -> None:
    from rich.console import Console

    Console(highlight=False).print(what, style=style)


def _table(*columns: str) -> Any:
    from rich import box
    from rich.table import Table
    from rich.text import Text

    class Plain(Table):
        """A table whose cells are text, so that [eq-label] and [@key] are not taken for markup."""

        def add_row(self, *cells: Any, **rest: Any) -> None:
            super().add_row(*(Text(cell) if isinstance(cell, str) else cell for cell in cells), **rest)

    table = Plain(box=box.SIMPLE, header_style="bold", pad_edge=False)
    for place, column in enumerate(columns):
        table.add_column(column, no_wrap=place == 0)
    return table


def _escape(text: str) -> str:
    from rich.markup import escape

    return escape(text)


def _number(value: float | int | None) -> str:
    return "" if value is None else f"{value:,}" if isinstance(value, int) else f"{value:,.4g}"


def _relative(path: Path) -> str:
    try:
        return path.relative_to(Path.cwd()).as_posix()
    except ValueError:
        return str(path)
