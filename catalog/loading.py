"""From files to a typed Catalog: read everything, collect every problem, hand out a catalog only if there is none."""

from __future__ import annotations

import re
import types
import typing
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, Any, TypeVar, get_args, get_origin

from pydantic import BaseModel, Field, TypeAdapter, ValidationError

from catalog import bibliography, combinations, glossary, kinds, measurements, search
from catalog import shapes as shape_data
from catalog.bibliography import Work
from catalog.code import Source
from catalog.measurements import Measurement
from catalog.model import (
    COMPUTED,
    FORMS,
    Algorithm,
    CitationList,
    Facet,
    Id,
    Survey,
    Taxonomy,
    Text,
)
from catalog.problems import CatalogError, Problem, listed, nearest, shown
from catalog.reader import Document, KeyPath, dotted, read
from catalog.reported import FOLDER, WORDS, Record, Tables, Words, records

HERE = Path(__file__).resolve().parent
Model = TypeVar("Model")
ALGORITHMS = "algorithms"


@dataclass
class Catalog:
    """Everything in the catalog, typed.

    `root` is the folder `catalog/`; `repository` the folder that holds it, `reference_impls/` and `tests/`.
    """

    root: Path
    repository: Path
    algorithms: dict[str, Algorithm] = field(default_factory=dict)
    taxonomy: Taxonomy | None = None
    vocabulary: dict[str, Facet] = field(default_factory=dict)
    bibliography: dict[str, Work] = field(default_factory=dict)
    surveys: dict[str, Survey] = field(default_factory=dict)
    citations: dict[str, CitationList] = field(default_factory=dict)
    measurements: dict[str, Measurement] = field(default_factory=dict)  # on each entry's own model
    measured_on: dict[str, dict[str, Measurement]] = field(default_factory=dict)  # other model -> id -> measurement
    combined: combinations.Declared | None = None  # which methods are measured in pairs
    combinations: combinations.Combinations | None = None  # what came out
    protocol_words: Words | None = None  # what the settings of reported numbers mean
    reported_files: dict[str, Tables] = field(default_factory=dict)  # by file
    reported: list[Record] = field(default_factory=list)  # every reported number, by file and row
    frameworks: dict[str, kinds.Framework] = field(default_factory=dict)
    benchmarks: dict[str, kinds.Benchmark] = field(default_factory=dict)
    metrics: dict[str, kinds.MetricEntry] = field(default_factory=dict)
    shapes: shape_data.Shapes | None = None  # models and hardware to choose for
    glossary: dict[str, glossary.GlossaryTerm] = field(default_factory=dict)
    retired: dict[str, str] = field(default_factory=dict)  # id that is gone -> id that took its place
    synonyms: dict[str, list[str]] = field(default_factory=dict)  # phrase -> phrases that mean the same
    known_ids: set[str] = field(default_factory=set)  # also of entries that could not be read
    documents: dict[str, Document] = field(default_factory=dict)  # by file, for the lines of problems
    source: Source = field(default_factory=lambda: Source(HERE.parent))

    def __post_init__(self) -> None:
        self._by_paper: dict[str, Algorithm] | None = None

    def entry_about(self, key: str) -> Algorithm | None:
        """The entry whose defining paper is this work."""
        if self._by_paper is None:
            self._by_paper = {entry.paper: entry for entry in self.algorithms.values() if entry.paper}
        return self._by_paper.get(key)

    def paper_of(self, entry: Algorithm) -> Work | None:
        """The work that defines an entry's method, or None for a method without a paper."""
        return self.bibliography.get(entry.paper) if entry.paper else None

    def target(self, name: str) -> Algorithm | Work | None:
        """What a relation points to: an entry by id, or a work by key."""
        return self.algorithms.get(name) or self.bibliography.get(name)

    def kinds(self) -> dict[str, dict[str, Any]]:
        """Frameworks, benchmarks and metrics by the name of their kind, then by id."""
        return {"framework": self.frameworks, "benchmark": self.benchmarks, "metric": self.metrics}

    def all_measurements(self) -> Iterator[Measurement]:
        """Those on each entry's own model, then those on other models."""
        yield from self.measurements.values()
        for by_id in self.measured_on.values():
            yield from by_id.values()

    def is_stale(self, measurement: Measurement) -> bool:
        """Whether the code of a measurement has changed since."""
        return measurements.stale(measurement, self.source)

    def problem(self, file: str, path: KeyPath, message: str, **rest: str | None) -> Problem:
        """A problem at a key of a YAML file of this catalog."""
        document = self.documents.get(file) or Document(file)
        return document.problem(path, message, **rest)


def load(root: Path | str | None = None) -> Catalog:
    """The catalog below `root` (the folder `catalog/`, by default the one that this package is).

    Raises CatalogError with every problem at once.
    """
    catalog, problems = check(root)
    if problems:
        raise CatalogError(problems)
    return catalog


def check(root: Path | str | None = None) -> tuple[Catalog, list[Problem]]:
    """What can be read of a catalog, and everything that is wrong with it, sorted by file and line."""
    from catalog.rules import RULES  # rules know the catalog; the reader does not know the rules until here

    folder = Path(root).resolve() if root is not None else HERE
    repository = folder.parent if (folder.parent / "reference_impls").is_dir() else HERE.parent
    catalog = Catalog(folder, repository, source=Source(repository))
    problems = list(_read_all(catalog))
    for rule in RULES:
        problems.extend(rule(catalog))
    return catalog, sorted(set(problems))


def reread(catalog: Catalog, identifier: str) -> tuple[Catalog, list[Problem]]:
    """The catalog with one entry read again from its file and all else as it was, and everything that is wrong then."""
    from catalog.rules import RULES

    file = catalog.algorithms[identifier].file
    document = read(catalog.root.parent / file, file)
    fresh = replace(catalog, documents={**catalog.documents, file: document})
    problems = list(document.problems)

    def typed() -> Iterator[Problem]:
        works = {work.arxiv: key for key, work in catalog.bibliography.items() if work.arxiv}
        entry = yield from _typed(document, Algorithm, {"vocabulary": catalog.vocabulary},
                                  {"arxiv": works, "works": catalog.bibliography}, computed=COMPUTED)
        if entry is not None:
            entry = entry.model_copy(update={"id": identifier, "file": file})
            fresh.algorithms = {**catalog.algorithms, identifier: entry}

    problems += typed()
    for rule in RULES:
        problems.extend(rule(fresh))
    return fresh, sorted(set(problems))


def _read_all(catalog: Catalog) -> Iterator[Problem]:
    root = catalog.root
    prefix = root.name

    def yaml_file(path: Path) -> Document:
        document = read(path, f"{prefix}/{path.relative_to(root).as_posix()}")
        catalog.documents[document.file] = document
        return document

    if not root.is_dir():
        yield Problem(str(root), 1, "", "there is no such folder", expected="the folder `catalog`")
        return

    document = yaml_file(root / "vocabulary.yml")
    yield from document.problems
    found = yield from _typed(document, dict[str, Facet], {})
    catalog.vocabulary = found or {}
    context = {"vocabulary": catalog.vocabulary} if found else {}

    catalog.bibliography, problems = bibliography.read(root / "references.bib", f"{prefix}/references.bib")
    yield from problems
    by_arxiv = {work.arxiv: key for key, work in catalog.bibliography.items() if work.arxiv}
    hints = {"arxiv": by_arxiv, "works": catalog.bibliography}

    document = yaml_file(root / "taxonomy.yml")
    yield from document.problems
    catalog.taxonomy = yield from _typed(document, Taxonomy, context, hints)

    document = yaml_file(root / "citations.yml")
    yield from document.problems
    catalog.citations = (yield from _typed(document, dict[str, CitationList], context, hints)) or {}

    document = yaml_file(root / "retired.yml")
    yield from document.problems
    catalog.retired = (yield from _typed(document, dict[str, str], context)) or {}

    document = yaml_file(root / "synonyms.yml")
    yield from document.problems
    groups = yield from _typed(document, list[Annotated[list[Text], Field(min_length=2)]], context)
    catalog.synonyms = search.spread(groups or [])

    for file, shape, found in (
        (kinds.FRAMEWORKS, kinds.Framework, catalog.frameworks),
        (kinds.BENCHMARKS, kinds.Benchmark, catalog.benchmarks),
        (kinds.METRICS, kinds.MetricEntry, catalog.metrics),
    ):
        if (root / file).exists():
            document = yaml_file(root / file)
            yield from document.problems
            found.update(sorted(((yield from _typed(document, dict[Id, shape], context, hints)) or {}).items()))

    if (root / shape_data.FILE).exists():
        document = yaml_file(root / shape_data.FILE)
        yield from document.problems
        catalog.shapes = yield from _typed(document, shape_data.Shapes, context, hints)

    if (root / glossary.FILE).exists():
        document = yaml_file(root / glossary.FILE)
        yield from document.problems
        catalog.glossary = (yield from _typed(document, dict[Id, glossary.GlossaryTerm], context, hints)) or {}

    for path in sorted((root / "surveys").glob("*")):
        if _is_data(path, ".yml"):
            document = yaml_file(path)
            yield from document.problems
            survey = yield from _typed(document, Survey, context, hints, computed=("key", "file"))
            if survey is not None:
                catalog.surveys[path.stem] = survey.model_copy(update={"key": path.stem, "file": document.file})
        elif _is_stray(path):
            yield _stray(path, root, "surveys/<key>.yml")

    for path in sorted((root / ALGORITHMS).glob("**/*")):
        if _is_data(path, ".yml") and path.parent.parent == root / ALGORITHMS:
            document = yaml_file(path)
            if path.stem in catalog.known_ids:
                other = next(file for file in catalog.documents if file.endswith(f"/{path.name}"))
                yield Problem(document.file, 1, "", "another file has the same name, and so the same id",
                              value=shown(path.stem), expected=f"an id that is not in {other}")
                continue
            catalog.known_ids.add(path.stem)
            yield from document.problems
            entry = yield from _typed(document, Algorithm, context, hints, computed=COMPUTED)
            if entry is not None:
                catalog.algorithms[path.stem] = entry.model_copy(update={"id": path.stem, "file": document.file})
        elif _is_stray(path):
            yield _stray(path, root, "algorithms/<family>/<id>.yml")
    catalog.algorithms = dict(sorted(catalog.algorithms.items()))

    for path in sorted((root / "measurements").glob("**/*")):
        place = path.relative_to(root).parts
        if _is_data(path, ".json") and len(place) <= 3:
            measurement, problems = measurements.read(path, f"{prefix}/{'/'.join(place)}")
            yield from problems
            if measurement is not None:
                of_model = catalog.measured_on.setdefault(place[1], {}) if len(place) == 3 else catalog.measurements
                of_model[path.stem] = measurement
        elif _is_stray(path):
            yield _stray(path, root, "measurements/<id>.json or measurements/<model>/<id>.json")


    document = yaml_file(root / combinations.DECLARED) if (root / combinations.DECLARED).exists() else None
    if document is not None:
        yield from document.problems
        catalog.combined = yield from _typed(document, combinations.Declared, context)
    if (root / combinations.MEASURED).exists():
        catalog.combinations, problems = combinations.read(
            root / combinations.MEASURED, f"{prefix}/{combinations.MEASURED}"
        )
        yield from problems

    if (root / FOLDER).is_dir():
        document = yaml_file(root / WORDS)
        yield from document.problems
        catalog.protocol_words = yield from _typed(document, Words, context, hints)
        for path in sorted((root / FOLDER).glob("*")):
            if _is_data(path, ".yml"):
                document = yaml_file(path)
                yield from document.problems
                tables = yield from _typed(document, Tables, context, hints)
                if tables is not None:
                    catalog.reported_files[document.file] = tables
                    catalog.reported += records(document.file, tables)
            elif _is_stray(path):
                yield _stray(path, root, f"{FOLDER}/<source>.yml")


def _is_data(path: Path, suffix: str) -> bool:
    return path.is_file() and path.suffix == suffix and not path.name.startswith(".")


def _is_stray(path: Path) -> bool:
    return path.is_file() and not path.name.startswith((".", "README"))


def _stray(path: Path, root: Path, expected: str) -> Problem:
    file = f"{root.name}/{path.relative_to(root).as_posix()}"
    return Problem(file, 1, "", "a file that nothing reads", value=shown(path.name), expected=f"{root.name}/{expected}")


# --- one file against its model ----------------------------------------------------------------------------------


def _typed(
    document: Document,
    shape: type[Model],
    context: dict[str, Any],
    hints: dict[str, Any] | None = None,
    computed: Iterable[str] = (),
) -> Iterator[Problem]:
    """Yield the problems of a document; return the model, or None if there is any."""
    data = document.data
    if data is None:
        return None
    taken = [key for key in computed if isinstance(data, dict) and key in data]
    for key in taken:
        yield document.problem((key,), "set by the file name", value=shown(data[key]), expected="no such key")
    if taken:
        data = {key: value for key, value in data.items() if key not in taken}
    try:
        adapter = shape if isinstance(shape, type) and issubclass(shape, BaseModel) else None
        model = (
            adapter.model_validate(data, context=context)
            if adapter is not None
            else TypeAdapter(shape).validate_python(data, strict=True, context=context)
        )
    except ValidationError as error:
        for item in error.errors(include_url=False):
            yield _problem(document, shape, item, hints or {})
        return None
    return model if not document.problems and not taken else None


def _in_data(data: Any, loc: tuple[Any, ...]) -> KeyPath:
    """The location of a pydantic error without the names of union members, which no file contains."""
    path: list[str | int] = []
    for place, part in enumerate(loc):
        last = place == len(loc) - 1
        if isinstance(data, dict) and part in data:
            path.append(part)
            data = data[part]
        elif isinstance(data, list) and isinstance(part, int) and part < len(data):
            path.append(part)
            data = data[part]
        elif last and isinstance(data, dict) and isinstance(part, str) and part != "[key]":
            path.append(part)
    return tuple(path)


_EXPECTED = {
    "string_type": "text",
    "bool_type": "true or false",
    "int_type": "a whole number",
    "float_type": "a number",
    "list_type": "a list",
    "dict_type": "a mapping",
    "model_type": "a mapping",
    "model_attributes_type": "a mapping",
}


def _problem(document: Document, shape: Any, item: Any, hints: dict[str, Any]) -> Problem:
    """A pydantic error as a problem for people."""
    loc = tuple(item["loc"])
    path = _in_data(document.data, loc)
    kind, ctx, value = item["type"], item.get("ctx") or {}, item["input"]
    written = document.written.get(path)

    def problem(message: str, expected: str | None, close: str | None = None, show: bool = True) -> Problem:
        what = (written if written else "null") if path in document.written else shown(value)
        return document.problem(path, message, value=what if show else None, expected=expected, nearest=close)

    if kind == "missing":
        known = fields_at(shape, document.data, path[:-1])
        about = f"`{path[-1]}`: {known[path[-1]]}" if path and path[-1] in known else None
        return document.problem(path, "the key is missing", expected=about)
    if kind == "extra_forbidden":
        known = fields_at(shape, document.data, path[:-1])
        key = str(path[-1])
        if value is None and " " in key:  # what follows an unquoted comma in {...}
            return document.problem(path[:-1], "a comma ends a text that has no quotes", value=shown(key),
                                    expected="quotes around the whole text, or one key a line")
        return document.problem(path, "an unknown key", value=shown(key), expected=listed(known),
                                nearest=nearest(key, known))
    if kind == "fault":
        scalar = not isinstance(value, (dict, list)) and not isinstance(value, BaseModel)
        path = (*path, ctx["key"]) if ctx.get("key") else path
        return problem(ctx["message"], ctx["expected"], ctx.get("nearest"), show=scalar)
    if kind in ("literal_error", "union_tag_invalid"):
        known = re.findall(r"'([^']*)'", ctx.get("expected") or ctx.get("expected_tags") or "")
        if kind == "union_tag_invalid":
            path = (*path, "type")
            value, written = ctx["tag"], None
        return problem("not a value of this field", listed(known), nearest(value, known))
    if kind == "union_tag_not_found":
        return document.problem((*path, "type"), "the key is missing", expected="`type`: the kind of relation")
    if kind == "string_pattern_mismatch":
        form = FORMS.get(ctx["pattern"], ctx["pattern"])
        close = None
        if "references.bib" in form:
            close = nearest(value, hints.get("works", ()))
        if loc and loc[-1] == "[key]":
            return document.problem(path, "not a valid key", value=shown(value), expected=form)
        return problem("wrong form", form, close)
    if kind in ("string_too_short", "too_short"):
        return problem("empty", "at least one" if kind == "too_short" and ctx.get("min_length") == 1
                       else f"at least {ctx['min_length']}" if kind == "too_short" else "some text")
    if kind == "too_long":
        return problem("too many", f"at most {ctx['max_length']}", show=False)
    if kind == "string_type" and isinstance(value, (int, float)) and not isinstance(value, bool) and written:
        close = hints.get("arxiv", {}).get(written)
        return problem("a number where text is expected", f'text in quotes, such as "{written}"', close)
    if kind == "string_type" and value is None:
        return problem("no value", "text")
    if kind == "bool_type" and isinstance(value, str):
        return problem("not true or false", "true or false, without quotes", nearest(value, ("true", "false"), 0.5))
    if kind in _EXPECTED:
        return problem("the wrong kind of value", _EXPECTED[kind])
    return problem(item["msg"], None)


def fields_at(shape: Any, data: Any, path: KeyPath) -> dict[str, str]:
    """The keys that a file may have at `path`, with what they mean."""
    for part in path:
        shape = _unwrapped(shape, data)
        if isinstance(shape, type) and issubclass(shape, BaseModel):
            if part not in shape.model_fields:
                return {}
            shape = shape.model_fields[part].annotation
        elif get_origin(shape) is list:
            shape = get_args(shape)[0]
        elif get_origin(shape) is dict:
            shape = get_args(shape)[1]
        else:
            return {}
        data = data[part] if isinstance(data, (dict, list)) else None
    shape = _unwrapped(shape, data)
    if not (isinstance(shape, type) and issubclass(shape, BaseModel)):
        return {}
    computed = {"Algorithm": COMPUTED, "Survey": ("key", "file")}.get(shape.__name__, ())
    return {name: info.description or "" for name, info in shape.model_fields.items() if name not in computed}


def _unwrapped(shape: Any, data: Any) -> Any:
    """An annotation without Annotated, Optional and, by `type`, without the union of relations."""
    while True:
        if get_origin(shape) is typing.Annotated:
            shape = get_args(shape)[0]
        elif get_origin(shape) in (typing.Union, types.UnionType):
            parts = [part for part in get_args(shape) if part is not type(None)]
            if len(parts) > 1 and isinstance(data, dict):
                parts = [
                    part for part in parts
                    if isinstance(part, type) and issubclass(part, BaseModel) and "type" in part.model_fields
                    and data.get("type") in get_args(part.model_fields["type"].annotation)
                ] or parts  # fmt: skip
            shape = parts[0]
        else:
            return shape


__all__ = ["Catalog", "check", "dotted", "load"]
