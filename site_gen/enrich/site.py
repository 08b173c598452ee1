"""The site's view of the catalog: every entry, family, survey and work with all that was computed for it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from catalog import model, release
from catalog.placing import families_of_works
from site_gen.enrich import citations, code, combined, compare, coverage, crosswalk, facets, kinds, measured, together
from site_gen.enrich.choose import Choose
from site_gen.enrich.choose import build as what_to_choose_from
from site_gen.enrich.literature import Literature, literature
from site_gen.enrich.maps import Maps, maps
from site_gen.enrich.reported import Reported, reported_numbers
from site_gen.enrich.terms import Terms, key_terms
from site_gen.enrich.ties import Ties, ties
from site_gen.enrich.trends import Trends, trends
from site_gen.load import CodeFile, Source


@dataclass(frozen=True)
class Backlink:
    """A relation that another entry declares to this one."""

    source: str  # entry id
    relation: Any


@dataclass(frozen=True)
class Filing:
    """Where a survey files a work: `path` are the survey's own titles."""

    survey: str
    path: tuple[str, ...]
    leaf: model.Leaf
    family: str | None = None  # the family of ours that the section means

    @property
    def covered(self) -> bool:
        """What was only recalled is not evidence that a survey covers the work."""
        return self.leaf.read != "recalled"


@dataclass(frozen=True)
class Entry:
    """An algorithm with everything that points at it."""

    algorithm: model.Algorithm
    work: Any | None
    code: code.CodeView
    tests: CodeFile | None
    backlinks: list[Backlink]
    filings: list[Filing]
    measured: measured.Measured | None
    elsewhere: dict[str, measured.Measured]  # on other models than the entry's own

    @property
    def id(self) -> str:
        return self.algorithm.id

    @property
    def name(self) -> str:
        return self.algorithm.name

    @property
    def runs(self) -> bool:
        """Code and its tests are both there."""
        return self.tests is not None


@dataclass(frozen=True)
class GroupView:
    node: str
    group: model.Group
    entries: list[Entry]  # at home here
    guests: list[Entry]  # at home elsewhere, also here
    examples: list[str]  # works named as examples that have no entry


@dataclass(frozen=True)
class FamilyView:
    id: str
    family: model.Family
    groups: list[GroupView]

    @property
    def entries(self) -> list[Entry]:
        return [entry for group in self.groups for entry in group.entries]


@dataclass(frozen=True)
class SurveyView:
    """`covered` counts works with evidence, `recalled` those without, `entries` those covered that have an entry."""

    key: str
    survey: model.Survey
    work: Any
    covered: int
    recalled: int
    entries: int
    share: coverage.Share
    sections: list[coverage.SectionView]


@dataclass(frozen=True)
class WorkView:
    """A work of the bibliography with its ties."""

    key: str
    work: Any
    entries: list[str]  # entries whose defining paper it is
    used_by: list[str]  # entries that name it anywhere else
    filings: list[Filing]
    family: str | None
    family_from: str  # entry | example | survey | ""


@dataclass(frozen=True)
class Check:
    """A line of the health page: `done` of `total`, and the ids for which it does not hold."""

    title: str
    meaning: str
    done: int
    total: int
    missing: list[str]


@dataclass(frozen=True)
class Health:
    checks: list[Check]
    stale: list[str]
    stale_elsewhere: list[tuple[str, str]]  # (entry, other model)
    stale_combinations: list[str]  # methods whose code has changed since the pairs were measured
    by_checked: dict[str, list[str]]
    citing: int
    complete_lists: int
    unconfirmed: list[tuple[str, str]]  # (work key, fact that no witness confirms)


@dataclass(frozen=True)
class Site:
    catalog: Any
    entries: dict[str, Entry]
    families: dict[str, FamilyView]
    surveys: dict[str, SurveyView]
    crosswalk: crosswalk.Crosswalk
    works: dict[str, WorkView]
    graph: citations.CitationGraph
    literature: Literature
    ties: dict[str, Ties]
    terms: Terms
    trends: Trends
    maps: Maps
    reported: Reported
    kinds: kinds.Kinds  # frameworks, benchmarks, metrics and the matrix of support
    together: list[together.Section]
    combined: combined.Combined | None
    facets: facets.Facets  # what the entries can be chosen by
    health: Health
    zoo: release.Zoo  # what the zoo says of itself where it is cited

    @property
    def frameworks(self) -> dict[str, kinds.FrameworkView]:
        return self.kinds.frameworks

    @property
    def benchmarks(self) -> dict[str, kinds.BenchmarkView]:
        return self.kinds.benchmarks

    @property
    def metrics(self) -> dict[str, kinds.MetricView]:
        return self.kinds.metrics

    @cached_property
    def choose(self) -> Choose:
        return what_to_choose_from(self.catalog)

    @cached_property
    def comparisons(self) -> compare.Comparisons:
        """Which entries belong side by side."""
        return compare.build(self.entries, self.terms, self.together, self.reported,
                             self.combined.pairs if self.combined else ())

    def family_of(self, entry: Entry) -> FamilyView:
        return self.families[entry.algorithm.home]


def enrich(source: Source) -> Site:
    """Everything that follows from the catalog and stands nowhere in it."""
    catalog = source.catalog
    filings = _filings(catalog)
    entries = _entries(source, filings)
    works = _works(catalog, entries, filings)
    cited = {key: listing.all_cited for key, listing in catalog.citations.items()}
    placed = {key: work.family for key, work in works.items() if work.family}
    graph = citations.build(list(works), cited, placed)
    pairs = combined.view(catalog)
    surveys = _surveys(catalog, works, entries)
    return Site(
        catalog=catalog,
        entries=entries,
        families=_families(catalog, entries),
        surveys=surveys,
        crosswalk=(crossed := crosswalk.build(catalog, entries, works)),
        works=works,
        graph=graph,
        literature=literature(catalog, graph, placed),
        ties=ties(catalog, graph.edges),
        terms=key_terms(catalog),
        trends=trends(catalog, works),
        maps=maps(catalog, entries, works, surveys, crossed, graph),
        reported=reported_numbers(catalog, entries, works),
        kinds=kinds.build(catalog, filings, entries),
        together=together.sections(entries.values()),
        combined=pairs,
        facets=facets.build(catalog, entries, surveys),
        health=_health(catalog, entries, pairs),
        zoo=release.read(catalog.repository),
    )


def with_entry(site: Site, catalog: Any, identifier: str) -> Site:
    """The site with one entry as `catalog` now has it. What is computed over all entries stays as it was, and so does
    the entry's code."""
    algorithm = catalog.algorithms[identifier]
    work = catalog.bibliography[algorithm.paper] if algorithm.paper else None
    entry = replace(site.entries[identifier], algorithm=algorithm, work=work)
    entries = {**site.entries, identifier: entry}
    return replace(site, catalog=catalog, entries=entries, families=_families(catalog, entries))


def _entries(source: Source, filings: dict[str, list[Filing]]) -> dict[str, Entry]:
    catalog = source.catalog
    backlinks: dict[str, list[Backlink]] = {}
    for algorithm in catalog.algorithms.values():
        for relation in algorithm.relations:
            backlinks.setdefault(relation.target, []).append(Backlink(algorithm.id, relation))
    entries = {}
    for identifier, algorithm in sorted(catalog.algorithms.items(), key=lambda item: item[1].name.casefold()):
        found = catalog.measurements.get(identifier)
        function = algorithm.reference.code.partition(":")[2]
        entries[identifier] = Entry(
            algorithm=algorithm,
            work=catalog.bibliography[algorithm.paper] if algorithm.paper else None,
            code=code.view(source.code[identifier], function),
            tests=source.tests.get(identifier),
            backlinks=backlinks.get(identifier, []),
            filings=filings.get(algorithm.paper or "", []),
            measured=measured.view(found, catalog.is_stale(found)) if found is not None else None,
            elsewhere={
                model: measured.view(by_id[identifier], catalog.is_stale(by_id[identifier]))
                for model, by_id in sorted(catalog.measured_on.items()) if identifier in by_id
            },
        )
    return entries


def _filings(catalog: Any) -> dict[str, list[Filing]]:
    found: dict[str, list[Filing]] = {}
    for key, survey in catalog.surveys.items():
        for way, leaf in survey.places():
            family = next((section.family for section in reversed(way) if section.family), None)
            path = tuple(section.title for section in way)
            found.setdefault(leaf.work, []).append(Filing(key, path, leaf, family))
    return found


def _families(catalog: Any, entries: dict[str, Entry]) -> dict[str, FamilyView]:
    with_entry = {entry.algorithm.paper for entry in entries.values()}
    views = {}
    for name, family in catalog.taxonomy.families.items():
        groups = []
        for group_name, group in family.groups.items():
            node = f"{name}/{group_name}"
            groups.append(GroupView(
                node, group,
                [entry for entry in entries.values() if entry.algorithm.family == node],
                [entry for entry in entries.values() if node in entry.algorithm.also_in],
                [key for key in group.examples if key not in with_entry and key in catalog.bibliography],
            ))
        views[name] = FamilyView(name, family, groups)
    return views


def _surveys(catalog: Any, works: dict[str, WorkView], entries: dict[str, Entry]) -> dict[str, SurveyView]:
    views = {}
    for key, survey in catalog.surveys.items():
        leaves = [leaf for _, leaf in survey.leaves()]
        covered = {leaf.work for leaf in leaves if leaf.read != "recalled"}
        recalled = {leaf.work for leaf in leaves} - covered
        views[key] = SurveyView(
            key, survey, catalog.bibliography[survey.work], len(covered), len(recalled),
            sum(1 for work in covered if works[work].entries), *coverage.of_survey(survey, works, entries),
        )
    return views


def _works(catalog: Any, entries: dict[str, Entry], filings: dict[str, list[Filing]]) -> dict[str, WorkView]:
    papers: dict[str, list[str]] = {}
    used: dict[str, list[str]] = {}
    for entry in entries.values():
        algorithm = entry.algorithm
        if algorithm.paper:
            papers.setdefault(algorithm.paper, []).append(entry.id)
        for key in _named_works(algorithm):
            if key != algorithm.paper:
                used.setdefault(key, []).append(entry.id)
    placed = families_of_works(catalog)
    return {
        key: WorkView(key, work, papers.get(key, []), used.get(key, []), filings.get(key, []),
                      *placed.get(key, (None, "")))
        for key, work in catalog.bibliography.items()
    }


def _named_works(algorithm: model.Algorithm) -> list[str]:
    """Keys of the works that an entry's relations, claims, numbers and reading list name, each once."""
    keys = [relation.target for relation in algorithm.relations]
    keys += [claim.source.work for claim in [*algorithm.strengths, *algorithm.limits] if claim.source]
    keys += algorithm.further_reading
    return list(dict.fromkeys(keys))


def _health(catalog: Any, entries: dict[str, Entry], pairs: combined.Combined | None) -> Health:
    reported_methods = {record.method for record in catalog.reported}

    def check(title: str, meaning: str, holds: Any) -> Check:
        missing = [entry.id for entry in entries.values() if not holds(entry)]
        return Check(title, meaning, len(entries) - len(missing), len(entries), missing)

    checks = [
        check("Runs", "A reference implementation with fidelity tests.", lambda entry: entry.runs),
        check("Measured", "Measured on the bench.", lambda entry: entry.measured is not None),
        check(
            "Measurement is current", "The code has not changed since it was measured.",
            lambda entry: entry.measured is not None and not entry.measured.stale,
        ),
        check(
            "Paper", "A defining paper in the bibliography, or a sentence that says where the method comes from.",
            lambda entry: entry.work is not None or entry.algorithm.origin,
        ),
        check(
            "Read in full text", "The entry as a whole was checked against the full text of its paper.",
            lambda entry: entry.algorithm.checked == "full text",
        ),
        check("Equations", "Equations whose labels stand in the code.", lambda entry: entry.algorithm.equations),
        check("Relations", "Tied to another method, in either direction.",
              lambda entry: entry.algorithm.relations or entry.backlinks),
        check("Filed by a survey", "At least one survey was seen to treat it.",
              lambda entry: any(filing.covered for filing in entry.filings)),
        check("Reported numbers", "At least one number of the literature with its whole protocol.",
              lambda entry: (entry.algorithm.paper or entry.id) in reported_methods),
    ]
    by_checked: dict[str, list[str]] = {}
    for entry in entries.values():
        by_checked.setdefault(entry.algorithm.checked, []).append(entry.id)
    lists = list(catalog.citations.values())
    return Health(
        checks=checks,
        stale=[entry.id for entry in entries.values() if entry.measured and entry.measured.stale],
        stale_elsewhere=[
            (entry.id, model) for entry in entries.values() for model, found in entry.elsewhere.items() if found.stale
        ],
        stale_combinations=pairs.stale if pairs else [],
        by_checked=by_checked,
        citing=len(lists),
        complete_lists=sum(1 for listing in lists if listing.complete),
        unconfirmed=[(key, fact) for key, work in catalog.bibliography.items() for fact in work.unconfirmed],
    )
