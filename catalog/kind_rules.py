"""The rules of frameworks, benchmarks and metrics: what no schema can say. `rules.RULES` holds them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from catalog import kinds
from catalog.problems import Problem, listed, nearest, shown
from catalog.reader import KeyPath

if TYPE_CHECKING:
    from catalog.loading import Catalog

_CITED = re.compile(r"\[@([^\]\s]+)\]")
_EQUATION = re.compile(r"\[eq-[^\]\s]*\]")


def kinds_have_their_own_names(catalog: Catalog) -> Iterator[Problem]:
    """An id stands for one thing in the whole catalog, and no two of a kind share a name."""
    owner: dict[str, str] = dict.fromkeys(catalog.known_ids, "an algorithm")
    owner |= dict.fromkeys(catalog.retired, "a retired algorithm")
    for kind, file, identifier, _ in _all(catalog):
        if identifier in owner:
            yield catalog.problem(file, (identifier,), f"also the id of {owner[identifier]}", value=shown(identifier),
                                  expected="an id that nothing else in the catalog has")
        owner.setdefault(identifier, f"a {kind} ({file})")
    for kind, found in catalog.kinds().items():
        file = _file(catalog, kind)
        named: dict[str, str] = {}
        for identifier, one in found.items():
            own: set[str] = set()
            for path, name in ((("name",), one.name), *((("aliases", i), a) for i, a in enumerate(one.aliases))):
                word = " ".join(name.casefold().split())
                if word in own:
                    yield catalog.problem(file, (identifier, *path), "the name stands twice", value=shown(name),
                                          expected="each name once")
                elif named.setdefault(word, identifier) != identifier:
                    yield catalog.problem(file, (identifier, *path), f"also a name of the {kind} `{named[word]}`",
                                          value=shown(name), expected=f"a name that one {kind} has")
                own.add(word)


def kinds_cite_what_exists(catalog: Catalog) -> Iterator[Problem]:
    """Works that a framework, benchmark or metric names are in references.bib; its prose refers to nothing else."""
    for kind, file, identifier, one in _all(catalog):
        for path, key in kinds.works(one):
            if key not in catalog.bibliography:
                yield catalog.problem(file, (identifier, *path), "no such work in references.bib", value=shown(key),
                                      expected="a key of references.bib", nearest=nearest(key, catalog.bibliography))
        for path, text in kinds.prose(kind, one):
            for key in _CITED.findall(text):
                if key not in catalog.bibliography:
                    yield catalog.problem(file, (identifier, *path), "no such work in references.bib",
                                          value=shown(key), expected="a key of references.bib",
                                          nearest=nearest(key, catalog.bibliography))
            for label in _EQUATION.findall(text):
                yield catalog.problem(file, (identifier, *path), "a reference to an equation", value=label,
                                      expected="a formula in $...$; equations belong to algorithms")


def supported_algorithms_exist(catalog: Catalog) -> Iterator[Problem]:
    """A framework names each algorithm once: by the id of its entry, or by the key of a work without one."""
    file = _file(catalog, "framework")
    for identifier, framework in catalog.frameworks.items():
        seen: set[str] = set()
        for i, support in enumerate(framework.supports):
            path: KeyPath = (identifier, "supports", i, "algorithm")
            name = support.algorithm
            entry = catalog.entry_about(name) if name in catalog.bibliography else None
            if entry is not None:
                yield catalog.problem(file, path, "this work has an entry", value=shown(name),
                                      expected="the id of the entry", nearest=entry.id)
            elif name not in catalog.known_ids and name not in catalog.bibliography:
                slug = next((key for key, work in catalog.bibliography.items() if work.slug == name), None)
                yield catalog.problem(
                    file, path, "no such algorithm", value=shown(name),
                    expected="the id of an entry, or the key of a work without one",
                    nearest=catalog.retired.get(name) or slug or nearest(name, [*catalog.known_ids,
                                                                                *catalog.bibliography]),
                )  # fmt: skip
            if name in seen:
                yield catalog.problem(file, path, "the algorithm stands twice", value=shown(name),
                                      expected="one item an algorithm, with everything in `does`")
            seen.add(name)
            for k, what in enumerate(support.does):
                if what in support.does[:k]:
                    yield catalog.problem(file, (identifier, "supports", i, "does", k), "the value stands twice",
                                          value=shown(what), expected="each value once")


def benchmarks_lead_somewhere(catalog: Catalog) -> Iterator[Problem]:
    """The metrics of a benchmark are in metrics.yml, and the suites that contain it are benchmarks."""
    file = _file(catalog, "benchmark")
    for identifier, benchmark in catalog.benchmarks.items():
        for name, what in (("metrics", "metric"), ("part_of", "benchmark")):
            known = _written(catalog, what)
            values = getattr(benchmark, name)
            for i, value in enumerate(values):
                path: KeyPath = (identifier, name, i)
                if value == identifier and name == "part_of":
                    yield catalog.problem(file, path, "a part of itself", value=shown(value), expected="another suite")
                elif known is not None and value not in known:
                    yield catalog.problem(file, path, f"no such {what}", value=shown(value),
                                          expected=f"the id of a {what}", nearest=nearest(value, known))
                elif value in values[:i]:
                    yield catalog.problem(file, path, "the value stands twice", value=shown(value),
                                          expected="each value once")
                elif name == "part_of" and identifier in getattr(catalog.benchmarks.get(value), "part_of", ()):
                    yield catalog.problem(file, path, "two benchmarks contain each other", value=shown(value),
                                          expected="the suite on one side only")


def metrics_are_measured(catalog: Catalog) -> Iterator[Problem]:
    """A name under `bench` is one that a measurement has, and belongs to one metric."""
    file = _file(catalog, "metric")
    measured = {name for one in catalog.all_measurements() for name in one.metrics}
    owner: dict[str, str] = {}
    for identifier, metric in catalog.metrics.items():
        for i, name in enumerate(metric.bench):
            path: KeyPath = (identifier, "bench", i)
            if measured and name not in measured:  # a catalog without measurements says nothing about their names
                yield catalog.problem(file, path, "no measurement has this metric", value=shown(name),
                                      expected=listed(sorted(measured)), nearest=nearest(name, sorted(measured)))
            if owner.setdefault(name, identifier) != identifier:
                yield catalog.problem(file, path, f"also under `bench` of `{owner[name]}`", value=shown(name),
                                      expected="each measured name under one metric")


def _file(catalog: Catalog, kind: str) -> str:
    return f"{catalog.root.name}/{kinds.FILES[kind]}"


def _written(catalog: Catalog, kind: str) -> set[str] | None:
    """The ids in the file of a kind, also of what is wrong there; None where the file could not be read."""
    document = catalog.documents.get(_file(catalog, kind))
    if document is None:
        return set(catalog.kinds()[kind])
    return set(document.data) if isinstance(document.data, dict) and not document.problems else None


def _all(catalog: Catalog) -> Iterator[tuple[str, str, str, Any]]:
    """(kind, file, id, what) of everything."""
    for kind, found in catalog.kinds().items():
        for identifier, one in found.items():
            yield kind, _file(catalog, kind), identifier, one


RULES = (
    kinds_have_their_own_names,
    kinds_cite_what_exists,
    supported_algorithms_exist,
    benchmarks_lead_somewhere,
    metrics_are_measured,
)
