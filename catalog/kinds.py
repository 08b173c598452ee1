"""The small kinds of the catalog: frameworks, benchmarks and metrics, one file each.

frameworks.yml    software and hardware that runs, trains or compresses models, and which algorithms each supports
benchmarks.yml    what the literature evaluates on: data sets, tasks, suites
metrics.yml       what is measured, how it is defined, what it hides

Which survey treats one, which reported numbers use it and where our own bench measures it is computed, never declared.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from datetime import date
from typing import Annotated, Any

from pydantic import Field, StringConstraints, model_validator

from catalog.model import Id, Key, Strict, Term, Text, fault
from catalog.reader import KeyPath

FRAMEWORKS, BENCHMARKS, METRICS = "frameworks.yml", "benchmarks.yml", "metrics.yml"

Address = Annotated[str, StringConstraints(pattern=r"^https://[^\s<>\"'\\]+$")]
Day = Annotated[str, StringConstraints(pattern=r"^20[0-9]{2}-[0-9]{2}-[0-9]{2}$")]
Repository = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9-]+/[A-Za-z0-9._-]+$")]
MetricKey = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]*[a-z0-9]$")]


class Witness(Strict):
    """Where something was read: a page with the day on which it was seen, or a work of the bibliography."""

    address: Address | None = Field(None, description="The page that was read.")
    seen: Day | None = Field(None, description="The day on which the page was read, year-month-day.")
    version: Text | None = Field(None, description="The version of the page or of what it is about.")
    work: Key | None = Field(None, description="Instead of a page: key of a work in references.bib.")
    place: Text | None = Field(None, description="Section, table or sentence in it.")

    @model_validator(mode="after")
    def _one_source(self) -> Witness:
        if (self.address is None) == (self.work is None):
            raise fault("a witness is a page or a work", "either `address` with `seen`, or `work`")
        if (self.address is None) != (self.seen is None):
            raise fault("`address` and `seen` belong together", "both or neither", key="seen")
        if self.seen is not None:
            try:
                date.fromisoformat(self.seen)
            except ValueError:
                raise fault("not a day of the calendar", "year-month-day, such as 2026-11-21", key="seen") from None
        return self


class Cited(Strict):
    """The source of one statement: a page that the framework names under `pages`, or a work."""

    page: Id | None = Field(None, description="A name under `pages` of this framework.")
    work: Key | None = Field(None, description="Instead of a page: key of a work in references.bib.")
    place: Text | None = Field(None, description="Section, table or sentence in it.")

    @model_validator(mode="after")
    def _one_source(self) -> Cited:
        if (self.page is None) == (self.work is None):
            raise fault("a source is a page or a work", "either `page` or `work`")
        return self


class Support(Strict):
    """One algorithm that a framework supports, as a source says."""

    algorithm: Text = Field(description="Id of an entry, or key of references.bib for a work without an entry.")
    does: list[Annotated[str, Term("support")]] = Field(min_length=1, description="What the framework does with it.")
    how: Text = Field(description="Through what, and with which limits, in our words.")
    since: Text | None = Field(None, description="The version or day from which on, where the source says so.")
    until: Text | None = Field(None, description="The version or day that ended it, where the source says so.")
    source: Cited = Field(description="Where it is said.")


class Status(Strict):
    """What has become of a framework."""

    text: Text = Field(description="For example that it is archived, and what took its place.")
    source: Cited = Field(description="Where it is said.")


class Framework(Strict):
    """Software or hardware that trains, compresses, compiles, serves or evaluates models."""

    name: Text = Field(description="As its makers write it.")
    aliases: list[Text] = Field(default_factory=list, description="Other names that people search for.")
    kind: list[Annotated[str, Term("framework_kind")]] = Field(min_length=1, description="What it is; main use first.")
    work: Key | None = Field(None, description="Key of its paper in references.bib, if it has one there.")
    does: Text = Field(description="What it does, in our words.")
    compression: Text | None = Field(None, description="What it offers for compressed models.")
    repository: Repository | None = Field(None, description="owner/name of its official repository on GitHub.")
    licence: Text | None = Field(None, description="SPDX name of its licence, or its title; only as seen in `pages`.")
    status: Status | None = Field(None, description="Said only where it is no longer maintained, or has moved.")
    pages: dict[Id, Witness] = Field(default_factory=dict, description="The pages that were read, by a short name.")
    supports: list[Support] = Field(default_factory=list, description="The algorithms that a source says it supports.")

    @model_validator(mode="after")
    def _pages_exist(self) -> Framework:
        cited = [("supports", i, support.source) for i, support in enumerate(self.supports)]
        if self.status is not None:
            cited.append(("status", None, self.status.source))
        for name, i, source in cited:
            if source.page is not None and source.page not in self.pages:
                where = name if i is None else f"{name}[{i}]"
                raise fault(f"{where} cites the page `{source.page}`, which is not there",
                            "one of " + ", ".join(self.pages) if self.pages else "a page under `pages`", key=name)
        return self

    def witness(self, source: Cited) -> Witness:
        """The page or work of a source, with the source's own place in it."""
        if source.page is None:
            return Witness(work=source.work, place=source.place)
        page = self.pages[source.page]
        return page.model_copy(update={"place": source.place or page.place})


class Size(Strict):
    """How large a data set is, as printed."""

    text: Text = Field(description="For example 8,500 problems.")
    source: Witness = Field(description="Where it is printed.")


class Benchmark(Strict):
    """A data set, task or suite that the literature evaluates on."""

    name: Text = Field(description="As the field writes it.")
    aliases: list[Text] = Field(default_factory=list, description="Other spellings, also those of reported numbers.")
    kind: Annotated[str, Term("benchmark_kind")] = Field(description="What it is.")
    work: Key | None = Field(None, description="Key of the paper that introduced it.")
    measures: Text = Field(description="What a good result shows.")
    task: Text = Field(description="What is given, and what has to be answered.")
    size: Size | None = Field(None, description="How large it is, as printed.")
    metrics: list[Id] = Field(default_factory=list, description="Ids of metrics.yml that are used on it.")
    part_of: list[Id] = Field(default_factory=list, description="Suites of this file that contain it.")
    beware: Text | None = Field(None, description="What makes two numbers on it differ.")


class MetricEntry(Strict):
    """Something that is measured of a compressed model."""

    name: Text = Field(description="As the field writes it.")
    aliases: list[Text] = Field(default_factory=list, description="Other names, also those of surveys and numbers.")
    of: Annotated[str, Term("metric_of")] = Field(description="What it is about.")
    work: Key | None = Field(None, description="Key of a work that defines it, if there is one in references.bib.")
    definition: Text = Field(description="What it is; Markdown with $math$ and [@key].")
    formula: Text | None = Field(None, description="LaTeX.")
    unit: Text | None = Field(None, description="The unit, where it has one.")
    better: Annotated[str, Term("better")] = Field(description="Which direction is better.")
    hides: Text = Field(description="What a good value may hide.")
    bench: list[MetricKey] = Field(default_factory=list, description="Names of it in catalog/measurements.")


Kind = Framework | Benchmark | MetricEntry
KINDS: dict[str, type[Framework] | type[Benchmark] | type[MetricEntry]] = {
    "framework": Framework, "benchmark": Benchmark, "metric": MetricEntry,
}  # fmt: skip
FILES = {"framework": FRAMEWORKS, "benchmark": BENCHMARKS, "metric": METRICS}
PROSE: dict[str, tuple[str, ...]] = {
    "framework": ("does", "compression"),
    "benchmark": ("measures", "task", "beware"),
    "metric": ("definition", "hides"),
}


def prose(kind: str, one: Any) -> Iterator[tuple[KeyPath, str]]:
    """Every text of one that is rendered as Markdown, with its place below the key of the file."""
    for name in PROSE[kind]:
        if getattr(one, name):
            yield (name,), getattr(one, name)
    if isinstance(one, Framework):
        for i, support in enumerate(one.supports):
            yield ("supports", i, "how"), support.how
        if one.status is not None:
            yield ("status", "text"), one.status.text


def works(one: Any) -> Iterator[tuple[KeyPath, str]]:
    """Every key of a work that one names outside its prose, with its place below the key of the file."""
    if one.work:
        yield ("work",), one.work
    if isinstance(one, Framework):
        for name, page in one.pages.items():
            if page.work:
                yield ("pages", name, "work"), page.work
        for i, support in enumerate(one.supports):
            if support.source.work:
                yield ("supports", i, "source", "work"), support.source.work
        if one.status is not None and one.status.source.work:
            yield ("status", "source", "work"), one.status.source.work
    if isinstance(one, Benchmark) and one.size is not None and one.size.source.work:
        yield ("size", "source", "work"), one.size.source.work


class Names:
    """Finds which of some named things a text speaks of: whole names only, the longest where one holds another.

    `MNLI, SST-2` speaks of both; `WikiText-103` not of `WikiText`; `SQuAD 1.1` not of `SQuAD 2.0`.
    """

    def __init__(self, named: Iterable[tuple[str, Sequence[str]]]):
        """`named` gives each id with its names."""
        self._owner: dict[str, str] = {}
        for identifier, names in named:
            for name in names:
                self._owner.setdefault(_folded(name), identifier)
        longest = sorted(self._owner, key=lambda name: (-len(name), name))
        choices = "|".join(map(re.escape, longest))
        self._pattern = re.compile(rf"(?<![\w-])(?:{choices})(?![\w-]|\.\d)") if longest else None

    def exactly(self, text: str) -> str | None:
        """The id whose name the whole text is."""
        return self._owner.get(_folded(text))

    def within(self, text: str) -> list[str]:
        """The ids that a text speaks of, each once, in its order."""
        if self._pattern is None:
            return []
        return list(dict.fromkeys(self._owner[found[0]] for found in self._pattern.finditer(_folded(text))))


def _folded(text: str) -> str:
    return " ".join(text.casefold().split())
