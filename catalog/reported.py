"""Reported numbers: what the literature prints, each with its whole protocol.

`reported/<source>.yml` holds the tables of one source as they stand there: what a whole table shares is written once,
each number is a row. `protocols.yml` says what the words of a protocol mean, in which direction a metric is better,
and which protocols are known to be the same in several sources.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field, StringConstraints, model_validator

from catalog.model import FORMS, Id, Key, Number, OptionValue, Strict, Term, Text, fault
from catalog.problems import Problem, listed, nearest, shown
from catalog.reader import KeyPath

if TYPE_CHECKING:
    from catalog.loading import Catalog

FOLDER, WORDS = "reported", "protocols.yml"
_SETTING = r"^[a-z][a-z0-9]*(_[a-z0-9]+)*$"
FORMS[_SETTING] = "a key of `settings` in protocols.yml: small letters and digits, words joined by _"
_CITED = re.compile(r"\[@([^\]\s]+)\]")
Setting = Annotated[str, StringConstraints(pattern=_SETTING)]

# What a part of the setting is: `evaluation` and `compression` must be equal before two numbers may stand side by
# side; `calibration` must not differ where both name it; `method` and `outcome` tell the rows of a protocol apart.
Part = Literal["evaluation", "compression", "calibration", "method", "outcome"]
Better = Literal["higher", "lower", "neither"]
Speaker = Literal["own authors", "another method's authors", "survey authors"]


class Word(Strict):
    """A key that a setting may have."""

    part: Part = Field(description="What it is in a protocol.")
    meaning: Text = Field(description="What it says, in a line.")
    name: Text | None = Field(None, description="As it stands on a page, where the key does not serve.")


class Measure(Strict):
    """A metric of reported numbers."""

    better: Better = Field(description="Where the better value lies.")
    meaning: Text | None = Field(None, description="What is counted, where the name does not say it.")


class Shared(Strict):
    """A protocol that several sources are known to share, so that their numbers may stand side by side."""

    name: Text = Field(description="As it stands on the page.")
    metric: Text = Field(description="The metric of all its numbers.")
    dataset: Text = Field(description="The data set of all its numbers.")
    setting: dict[Setting, OptionValue] = Field(min_length=1, description="What all its numbers have.")
    why: Text = Field(description="How it is known that the sources share it.")


class Words(Strict):
    """catalog/protocols.yml"""

    settings: dict[Setting, Word] = Field(min_length=1)
    metrics: dict[Text, Measure] = Field(min_length=1)
    protocols: dict[Id, Shared] = Field(default_factory=dict)


class Origin(Strict):
    """Where the tables of a file are printed: in a work, or in a repository."""

    work: Key | None = Field(None, description="Key of the paper or survey in references.bib.")
    repository: Annotated[str, StringConstraints(pattern=r"^[^/\s]+/[^/\s]+$")] | None = Field(
        None, description="owner/name on GitHub."
    )
    commit: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{7,40}$")] | None = Field(
        None, description="The commit that was read, in quotes."
    )
    of: list[Key] = Field(default_factory=list, description="Works whose authors keep the repository.")

    @model_validator(mode="after")
    def _one(self) -> Origin:
        if (self.work is None) == (self.repository is None):
            raise fault("a source is a work or a repository", "either `work` or `repository`")
        if self.work is not None and self.of:
            raise fault("`of` belongs to a repository", "`repository` with `of`, or `work` alone", key="of")
        return self

    @property
    def stem(self) -> str:
        """The name that the source's file has, without .yml."""
        return self.work or (self.repository or "").replace("/", "--").lower()


class Stated(Strict):
    """What a row may say of itself, or its table for all of its rows."""

    method: Text | None = Field(None, description="Key of the method's work; the id of an entry that has no paper.")
    model: Text | None = Field(None, description="The model, with its size.")
    metric: Text | None = Field(None, description="What was measured; a metric of protocols.yml.")
    dataset: Text | None = Field(None, description="On which data, where there are any.")
    unit: Text | None = Field(None, description="The unit, where the metric alone does not say it.")
    setting: dict[Setting, OptionValue] = Field(default_factory=dict, description="The rest of the protocol.")
    from_code: list[Text] = Field(default_factory=list, description="Facts that stand only in the source's code.")
    not_stated: list[Setting] = Field(default_factory=list, description="Settings that the source does not tell.")
    baseline: Number | None = Field(None, description="What the same source gives for the uncompressed model.")
    baseline_is: Text | None = Field(None, description="What the baseline is, if not the uncompressed model.")
    protocol: Id | None = Field(None, description="A shared protocol of protocols.yml.")
    gathered: bool | None = Field(None, description="true: collected from elsewhere, so not under one protocol.")


class Row(Stated):
    """A number. What it does not say is said by its table; `setting`, `from_code` and `not_stated` add to those."""

    value: Number = Field(description="The number.")
    checked: Annotated[str, Term("checked")] | None = Field(None, description="How the source was read.")
    note: Text | None = Field(None, description="What a reader should beware of; added to that of the table.")


class Table(Stated):
    """A table, or another place, of a source. What it says holds for every row that does not say otherwise."""

    place: Text = Field(description="Table, section or heading in the source.")
    checked: Annotated[str, Term("checked")] = Field(description="How the source was read.")
    note: Text | None = Field(None, description="What holds for every number of it.")
    rows: list[Row] = Field(min_length=1, description="One a number.")


class Tables(Strict):
    """catalog/reported/<source>.yml"""

    source: Origin = Field(description="Where the tables are printed.")
    tables: list[Table] = Field(min_length=1)


@dataclass(frozen=True)
class Record:
    """One reported number with everything that its row and its table say. `file` and `path` are where it stands."""

    file: str
    path: KeyPath
    source: Origin
    place: str
    checked: str
    method: str | None
    model: str | None
    metric: str | None
    dataset: str | None
    unit: str | None
    setting: dict[str, Any]
    from_code: tuple[str, ...]
    not_stated: tuple[str, ...]
    value: int | float
    baseline: int | float | None
    baseline_is: str | None
    protocol: str | None
    gathered: bool
    notes: tuple[str, ...]

    @property
    def table(self) -> tuple[str, int]:
        """The table that it stands in: numbers of one table share what the table does not say."""
        return self.file, int(self.path[1])


def records(file: str, tables: Tables) -> list[Record]:
    """Every number of a file, in its order."""
    found = []
    for i, table in enumerate(tables.tables):
        for j, row in enumerate(table.rows):
            setting = {**table.setting, **row.setting}
            found.append(Record(
                file=file, path=("tables", i, "rows", j), source=tables.source, place=table.place,
                checked=row.checked or table.checked,
                method=row.method or table.method, model=row.model or table.model,
                metric=row.metric or table.metric, dataset=row.dataset or table.dataset,
                unit=row.unit or table.unit, setting=setting,
                from_code=tuple(dict.fromkeys([*table.from_code, *row.from_code])),
                not_stated=tuple(
                    name for name in dict.fromkeys([*table.not_stated, *row.not_stated]) if name not in setting
                ),
                value=row.value, baseline=row.baseline if row.baseline is not None else table.baseline,
                baseline_is=row.baseline_is or table.baseline_is, protocol=row.protocol or table.protocol,
                gathered=bool(table.gathered if row.gathered is None else row.gathered),
                notes=tuple(note for note in (table.note, row.note) if note),
            ))
    return found


def speaker(catalog: Catalog, record: Record) -> Speaker:
    """Who prints a number: the authors of the method, those of another one, or those of a survey."""
    source = record.source
    if source.work is not None:
        work = catalog.bibliography.get(source.work)
        if work is not None and work.role == "survey":
            return "survey authors"
    return "own authors" if record.method in (source.of or [source.work]) else "another method's authors"


# --- rules -------------------------------------------------------------------------------------------------------


def sources_are_known(catalog: Catalog) -> Iterator[Problem]:
    """A file is named after its source, and the works of a source are in the bibliography."""
    for file, tables in catalog.reported_files.items():
        stem = file.rsplit("/", 1)[1].removesuffix(".yml")
        if stem != tables.source.stem:
            yield catalog.problem(file, ("source",), "the file is not named after its source", value=shown(stem),
                                  expected=f"{tables.source.stem}.yml")
        works = [(("source", "work"), tables.source.work)] if tables.source.work else []
        works += [(("source", "of", i), key) for i, key in enumerate(tables.source.of)]
        for path, key in works:
            if key not in catalog.bibliography:
                yield catalog.problem(file, path, "no such work in references.bib", value=shown(key),
                                      expected="a key of references.bib", nearest=nearest(key, catalog.bibliography))


def records_are_whole(catalog: Catalog) -> Iterator[Problem]:
    """Every number has a known method, a model, a known metric, and a setting in known words."""
    words = catalog.protocol_words
    if words is None:
        return
    no_paper = {entry.id for entry in catalog.algorithms.values() if entry.paper is None}
    for record in catalog.reported:
        for name in ("method", "model", "metric"):
            if getattr(record, name) is None:
                yield catalog.problem(record.file, record.path, f"neither the row nor its table has `{name}`",
                                      expected=f"`{name}` in the row or in the table")
        if record.method is not None and record.method not in catalog.bibliography and record.method not in no_paper:
            entry = catalog.algorithms.get(record.method)
            yield catalog.problem(
                record.file, _place(catalog, record, "method"), "no such method", value=shown(record.method),
                expected="a key of references.bib, or the id of an entry without a paper",
                nearest=entry.paper if entry else nearest(record.method, [*catalog.bibliography, *no_paper]),
            )  # fmt: skip
        if record.metric is not None and record.metric not in words.metrics:
            yield catalog.problem(record.file, _place(catalog, record, "metric"), "not a metric of protocols.yml",
                                  value=shown(record.metric), expected=listed(words.metrics),
                                  nearest=nearest(record.metric, words.metrics))
        named = [(("setting", name), name) for name in record.setting]
        for path, name in [*named, *((("not_stated",), name) for name in record.not_stated)]:
            if name not in words.settings:
                yield catalog.problem(
                    record.file, _place(catalog, record, *path), "not a setting of protocols.yml",
                    value=shown(name), expected="a key under `settings` there",
                    nearest=nearest(name, words.settings),
                )  # fmt: skip
        for key in _CITED.findall(" ".join(record.notes)):
            if key not in catalog.bibliography:
                yield catalog.problem(record.file, _place(catalog, record, "note"), "no such work in references.bib",
                                      value=shown(key), expected="a key of references.bib",
                                      nearest=nearest(key, catalog.bibliography))
        facts = {"model", "metric", "dataset", *record.setting}
        for name in record.from_code:
            if name not in facts:
                yield catalog.problem(record.file, _place(catalog, record, "from_code"), "not a fact of this number",
                                      value=shown(name), expected=listed(sorted(facts)), nearest=nearest(name, facts))
        if record.baseline_is is not None and record.baseline is None:
            yield catalog.problem(record.file, _place(catalog, record, "baseline_is"), "there is no baseline",
                                  value=shown(record.baseline_is), expected="`baseline`, or no `baseline_is`")


def shared_protocols_hold(catalog: Catalog) -> Iterator[Problem]:
    """Numbers of a shared protocol have its metric, its data set and its setting, and are not gathered."""
    words = catalog.protocol_words
    if words is None:
        return
    file = f"{catalog.root.name}/{WORDS}"
    for name, protocol in words.protocols.items():
        if protocol.metric not in words.metrics:
            yield catalog.problem(file, ("protocols", name, "metric"), "not a metric of this file",
                                  value=shown(protocol.metric), expected=listed(words.metrics),
                                  nearest=nearest(protocol.metric, words.metrics))
        for key in protocol.setting:
            if key not in words.settings:
                yield catalog.problem(file, ("protocols", name, "setting", key), "not a setting of this file",
                                      value=shown(key), expected="a key under `settings`",
                                      nearest=nearest(key, words.settings))
        if not any(record.protocol == name for record in catalog.reported):
            yield catalog.problem(file, ("protocols", name), "no number has this protocol", value=shown(name),
                                  expected=f"`protocol: {name}` in {FOLDER}/, or no such protocol")
    for record in catalog.reported:
        if record.protocol is None:
            continue
        path = _place(catalog, record, "protocol")
        protocol = words.protocols.get(record.protocol)
        if protocol is None:
            yield catalog.problem(record.file, path, "not a shared protocol of protocols.yml",
                                  value=shown(record.protocol), expected=listed(words.protocols),
                                  nearest=nearest(record.protocol, words.protocols))
            continue
        if record.gathered:
            yield catalog.problem(record.file, path, "a gathered number has no known protocol",
                                  value=shown(record.protocol), expected="no `protocol`, or no `gathered`")
        wanted = {"metric": protocol.metric, "dataset": protocol.dataset, **protocol.setting}
        found = {"metric": record.metric, "dataset": record.dataset, **record.setting}
        for key, value in wanted.items():
            if found.get(key) != value:
                yield catalog.problem(
                    record.file, record.path, f"not the {key.replace('_', ' ')} of the protocol `{record.protocol}`",
                    value=shown(found[key]) if found.get(key) is not None else "nothing", expected=shown(value),
                )  # fmt: skip


def no_number_twice(catalog: Catalog) -> Iterator[Problem]:
    """No two rows of a source give the same number, and none give different values for one and the same protocol."""
    first: dict[str, Record] = {}
    for record in catalog.reported:
        key = repr((record.source.stem, record.place, record.method, record.model, record.metric, record.dataset,
                    record.unit, sorted(record.setting.items(), key=lambda item: item[0])))
        other = first.setdefault(key, record)
        if other is not record:
            what = "the number stands twice" if other.value == record.value else "another value for the same protocol"
            line = catalog.problem(other.file, other.path, "").line
            yield catalog.problem(record.file, record.path, f"{what} (line {line})", value=shown(record.value),
                                  expected="one row a number, or a setting that tells them apart")


RULES = (sources_are_known, records_are_whole, shared_protocols_hold, no_number_twice)


def _place(catalog: Catalog, record: Record, *name: str) -> KeyPath:
    """Where a field of a number stands: in its row, or in its table."""
    lines = catalog.documents[record.file].lines if record.file in catalog.documents else {}
    row, table = (*record.path, *name), (*record.path[:2], *name)
    return row if row in lines or table not in lines else table
