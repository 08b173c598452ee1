"""Frameworks, benchmarks and metrics with what follows from the rest of the catalog.

The surveys that treat each, the reported numbers that use it, where the bench measures it, and the matrix of support.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from catalog import kinds


@dataclass(frozen=True)
class Named:
    """A survey names a metric or data set where it says by what it evaluates."""

    survey: str
    item: Any  # an item of `metrics` of the survey


@dataclass(frozen=True)
class Cell:
    """One cell of the matrix: a framework supports an algorithm, as `witness` says."""

    framework: str
    algorithm: str  # id of an entry, or key of a work without one
    support: kinds.Support
    witness: kinds.Witness


@dataclass(frozen=True)
class FrameworkView:
    id: str
    one: kinds.Framework
    filings: list[Any]  # where surveys file its paper
    named: list[Named]
    cells: list[Cell]

    @property
    def surveys(self) -> list[str]:
        return _covering(self.filings, self.named)


@dataclass(frozen=True)
class BenchmarkView:
    """`reported` counts reported numbers on it: by id of the entry, or key of the work, whose method they are of."""

    id: str
    one: kinds.Benchmark
    filings: list[Any]
    named: list[Named]
    reported: dict[str, int]
    parts: list[str]  # benchmarks that say that they are part of this one

    @property
    def surveys(self) -> list[str]:
        return _covering(self.filings, self.named)


@dataclass(frozen=True)
class MetricView:
    """`measured`: protocol of the bench -> ids of the entries that were measured by it under that protocol."""

    id: str
    one: kinds.MetricEntry
    filings: list[Any]
    named: list[Named]
    reported: dict[str, int]
    measured: dict[str, list[str]]
    benchmarks: list[str]

    @property
    def surveys(self) -> list[str]:
        return _covering(self.filings, self.named)

    @property
    def entries(self) -> list[str]:
        """Every entry that was measured by it, each once."""
        return sorted({entry for found in self.measured.values() for entry in found})


@dataclass(frozen=True)
class Kinds:
    """All of them, and what they do not cover: nothing is left out in silence.

    `unsupported` are entries of which no source says that a framework supports them; the others are names that
    surveys, reported numbers and measurements use and that no file here has.
    """

    frameworks: dict[str, FrameworkView]
    benchmarks: dict[str, BenchmarkView]
    metrics: dict[str, MetricView]
    support: dict[str, list[Cell]]  # by algorithm, frameworks by name
    unsupported: list[str]
    other_datasets: dict[str, int] = field(default_factory=dict)
    other_metrics: dict[str, int] = field(default_factory=dict)
    other_measured: list[str] = field(default_factory=list)

    @property
    def columns(self) -> list[FrameworkView]:
        """The frameworks of the matrix: those of which a source says that they support anything."""
        return [view for view in self.frameworks.values() if view.cells]

    def cell(self, algorithm: str, framework: str) -> Cell | None:
        return next((cell for cell in self.support.get(algorithm, ()) if cell.framework == framework), None)


def build(catalog: Any, filings: Mapping[str, list[Any]], entries: Iterable[str]) -> Kinds:
    """`filings`: key of a work -> where surveys file it; `entries`: ids of all entries, in the order of their names."""
    entries = list(entries)
    frameworks = _frameworks(catalog, filings)
    by_algorithm: dict[str, list[Cell]] = {}
    for view in frameworks.values():
        for cell in view.cells:
            by_algorithm.setdefault(cell.algorithm, []).append(cell)
    works = sorted(
        (key for key in by_algorithm if key not in catalog.algorithms and key in catalog.bibliography),
        key=lambda key: (catalog.bibliography[key].name.casefold(), key),
    )
    support = {key: by_algorithm[key] for key in [*(e for e in entries if e in by_algorithm), *works]}
    numbers = list(_numbers(catalog))
    benchmarks, datasets = _benchmarks(catalog, filings, numbers)
    metrics, others, measured = _metrics(catalog, filings, numbers)
    return Kinds(
        frameworks, benchmarks, metrics, support, [e for e in entries if e not in support], datasets, others, measured,
    )  # fmt: skip


def _frameworks(catalog: Any, filings: Mapping[str, list[Any]]) -> dict[str, FrameworkView]:
    order = sorted(catalog.frameworks, key=lambda name: (catalog.frameworks[name].name.casefold(), name))
    names = kinds.Names((key, [one.name, *one.aliases]) for key, one in catalog.frameworks.items())
    works = _works(catalog, catalog.frameworks)
    views = {}
    for identifier in order:
        one = catalog.frameworks[identifier]
        cells = [
            Cell(identifier, support.algorithm, support, one.witness(support.source)) for support in one.supports
        ]
        work = works.get(identifier, "")
        views[identifier] = FrameworkView(
            identifier, one, filings.get(work, []), _named(catalog, names, identifier, work), cells
        )
    return views


def _benchmarks(
    catalog: Any, filings: Mapping[str, list[Any]], numbers: list[tuple[str, str, str]]
) -> tuple[dict[str, BenchmarkView], dict[str, int]]:
    names = kinds.Names((key, [one.name, *one.aliases]) for key, one in catalog.benchmarks.items())
    reported: dict[str, Counter[str]] = {}
    others: Counter[str] = Counter()
    for who, _, dataset in numbers:
        found = names.within(dataset) if dataset else []
        for key in found:
            reported.setdefault(key, Counter())[who] += 1
        if dataset and not found:
            others[dataset] += 1
    order = sorted(catalog.benchmarks, key=lambda name: (catalog.benchmarks[name].name.casefold(), name))
    works = _works(catalog, catalog.benchmarks)
    views = {
        key: BenchmarkView(
            key, catalog.benchmarks[key], filings.get(works.get(key, ""), []),
            _named(catalog, names, key, works.get(key, "")), _counted(reported.get(key)),
            [part for part in order if key in catalog.benchmarks[part].part_of],
        )
        for key in order
    }  # fmt: skip
    return views, dict(sorted(others.items()))


def _metrics(
    catalog: Any, filings: Mapping[str, list[Any]], numbers: list[tuple[str, str, str]]
) -> tuple[dict[str, MetricView], dict[str, int], list[str]]:
    names = kinds.Names((key, [one.name, *one.aliases]) for key, one in catalog.metrics.items())
    reported: dict[str, Counter[str]] = {}
    others: Counter[str] = Counter()
    for who, metric, _ in numbers:
        key = names.exactly(metric)
        if key is None:
            others[metric] += 1
        else:
            reported.setdefault(key, Counter())[who] += 1
    owner = {name: key for key, one in catalog.metrics.items() for name in one.bench}
    measured: dict[str, dict[str, set[str]]] = {}
    unknown: set[str] = set()
    for one in catalog.all_measurements():
        for name in one.metrics:
            if name in owner:
                measured.setdefault(owner[name], {}).setdefault(one.protocol.name, set()).add(one.algorithm)
            else:
                unknown.add(name)
    order = sorted(catalog.metrics, key=lambda name: (catalog.metrics[name].name.casefold(), name))
    works = _works(catalog, catalog.metrics)
    views = {
        key: MetricView(
            key, catalog.metrics[key], filings.get(works.get(key, ""), []),
            _named(catalog, names, key, works.get(key, "")), _counted(reported.get(key)),
            {protocol: sorted(found) for protocol, found in sorted(measured.get(key, {}).items())},
            [name for name, one in sorted(catalog.benchmarks.items()) if key in one.metrics],
        )
        for key in order
    }  # fmt: skip
    return views, dict(sorted(others.items())), sorted(unknown)


def _numbers(catalog: Any) -> Iterator[tuple[str, str, str]]:
    """(id of the entry or key of the work, metric, data set or nothing) of every reported number."""
    for record in catalog.reported:
        if record.method and record.metric:
            entry = catalog.entry_about(record.method)
            yield entry.id if entry else record.method, record.metric, record.dataset or ""


def _works(catalog: Any, found: Mapping[str, Any]) -> dict[str, str]:
    """Id -> its work, as far as what surveys say of the work is said of this one.

    Where several share a work, it is the one that the work is named after: those who file the paper of WikiText-2 and
    WikiText-103 mean the former.
    """
    sharing: dict[str, list[str]] = {}
    for key, one in found.items():
        if one.work:
            sharing.setdefault(one.work, []).append(key)
    owner = {}
    for work, keys in sharing.items():
        record = catalog.bibliography.get(work)
        named = [key for key in keys if record is not None and record.name in (found[key].name, *found[key].aliases)]
        owner |= dict.fromkeys(named or keys, work)
    return owner


def _named(catalog: Any, names: kinds.Names, key: str, work: str) -> list[Named]:
    """Where surveys name one in what they evaluate by: by its name, or by the work that defines it."""
    return [
        Named(survey_key, item)
        for survey_key, survey in catalog.surveys.items() for item in survey.metrics
        if names.exactly(item.name) == key or work in item.works
    ]  # fmt: skip


def _counted(found: Counter[str] | None) -> dict[str, int]:
    """Most numbers first."""
    return dict(sorted((found or {}).items(), key=lambda item: (-item[1], item[0])))


def _covering(filings: list[Any], named: list[Named]) -> list[str]:
    """The surveys that were seen to treat it, each once."""
    found = [filing.survey for filing in filings if filing.covered] + [one.survey for one in named]
    return sorted(set(found))
