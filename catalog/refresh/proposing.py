"""Which edges to add, which disagree with what was read, and which a person has to confirm."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal

from catalog.bibliography import Work
from catalog.model import CitationList
from catalog.refresh import identifiers
from catalog.refresh.sources import CitedWork, Listing, OpenAlex, SemanticScholar

LABELS = {source.name: source.label for source in (OpenAlex, SemanticScholar)}
TITLES = {source.name: source.title for source in (OpenAlex, SemanticScholar)}


@dataclass(frozen=True)
class Addition:
    """Edges of one witness that are new: `cited` is sorted and not empty."""

    citing: str
    source: str
    witness: str
    cited: list[str]


@dataclass(frozen=True)
class Conflict:
    """An edge on which a source and a list read in the paper disagree; nothing is changed because of it.

    lacks: the list has it, the source does not name it. adds: the source names it, the list was read whole without it.
    """

    kind: Literal["lacks", "adds"]
    citing: str
    cited: str
    source: str


@dataclass(frozen=True)
class Doubt:
    """A cited work that no id identifies: an exact title and year, or ids of two works of references.bib at once."""

    kind: Literal["title", "two works"]
    citing: str
    cited: list[str]
    source: str
    title: str
    year: int | None


@dataclass
class Count:
    """What became of the items of a source's lists."""

    references: int = 0
    matched: int = 0
    unmatched: int = 0
    doubtful: int = 0


@dataclass
class Plan:
    """Everything that follows from the listings, in the order of the citing works."""

    additions: list[Addition] = field(default_factory=list)
    conflicts: list[Conflict] = field(default_factory=list)
    doubts: list[Doubt] = field(default_factory=list)
    counts: dict[str, Count] = field(default_factory=dict)


class Index:
    """The works of references.bib by id and, for proposals only, by title and year."""

    def __init__(self, bibliography: Mapping[str, Work]):
        self.by_id = {name: key for key, work in bibliography.items() for name in identifiers.of_work(work)}
        self.by_title: dict[tuple[str, int], set[str]] = {}
        self._ids = {key: identifiers.of_work(work) for key, work in bibliography.items()}
        for key, work in bibliography.items():
            years = {work.year, *([int(work.first_public[:4])] if work.first_public else [])}
            for title in (work.title, *work.other_titles):
                for year in years:
                    self.by_title.setdefault((plain_title(title), year), set()).add(key)

    def can_be_found(self, key: str) -> bool:
        """Whether a source could be seen to name this work."""
        return bool(self._ids.get(key))

    def by_ids(self, cited: CitedWork) -> list[str]:
        """The works that have one of the ids; more than one if a source takes two works for one."""
        return sorted({self.by_id[name] for name in cited.ids if name in self.by_id})

    def by_exact_title(self, cited: CitedWork) -> str | None:
        """The only work with this title and year, unless an arXiv id says that it is another one."""
        if not cited.title or cited.year is None:
            return None
        keys = self.by_title.get((plain_title(cited.title), cited.year), set())
        if len(keys) != 1:
            return None
        key = next(iter(keys))
        theirs, ours = (
            {name for name in names if name.startswith("arxiv:")} for names in (cited.ids, self._ids[key])
        )  # fmt: skip
        return None if theirs and ours and not theirs & ours else key


def plain_title(title: str) -> str:
    """A title without case, accents, spaces and punctuation."""
    letters = unicodedata.normalize("NFKD", title.casefold())
    return re.sub(r"[\W_]+", "", "".join(letter for letter in letters if not unicodedata.combining(letter)))


def is_from_source(witness: str) -> bool:
    """Whether a list of citations.yml was made by a refresh, and not read in the paper."""
    return witness.startswith(tuple(f"{label}, asked for " for label in LABELS.values()))


def propose(
    citations: Mapping[str, CitationList],
    bibliography: Mapping[str, Work],
    listings: Iterable[Listing],
    accept_titles: bool = False,
) -> Plan:
    """The plan of additions; of several listings of a work the first one witnesses an edge that both name."""
    plan = Plan()
    index = Index(bibliography)
    proposed: dict[str, set[str]] = {}
    for listing in listings:
        _propose(plan, listing, citations.get(listing.work), index, proposed.setdefault(listing.work, set()),
                 accept_titles)
    return plan


def _propose(
    plan: Plan,
    listing: Listing,
    record: CitationList | None,
    index: Index,
    proposed: set[str],
    accept_titles: bool,
) -> None:
    matched, titled = _match(plan, listing, index)
    known = set(record.all_cited) if record is not None else set()

    def add(keys: Iterable[str], how: str) -> None:
        new = sorted(set(keys) - known - proposed)
        if new and record is not None and record.complete:
            plan.conflicts.extend(Conflict("adds", listing.work, key, listing.source) for key in new)
        elif new:
            proposed.update(new)
            plan.additions.append(Addition(listing.work, listing.source, _witness(listing, how), new))

    add(matched, f"{len(matched)} of them matched by DOI or arXiv id")
    by_title = titled.keys() - matched - known - proposed
    if accept_titles:
        add(by_title, "these matched by exact title and year, not by an id")
    else:
        plan.doubts.extend(
            Doubt("title", listing.work, [key], listing.source, titled[key].title or "", titled[key].year)
            for key in sorted(by_title)
        )
    if listing.state == "listed":
        plan.conflicts.extend(
            Conflict("lacks", listing.work, key, listing.source)
            for key in _read_in_the_paper(record) if index.can_be_found(key) and key not in matched | titled.keys()
        )  # fmt: skip


def _match(plan: Plan, listing: Listing, index: Index) -> tuple[set[str], dict[str, CitedWork]]:
    """The works of a listing that an id identifies, and those that only title and year do."""
    count = plan.counts.setdefault(listing.source, Count())
    matched: set[str] = set()
    titled: dict[str, CitedWork] = {}
    for cited in listing.references:
        count.references += 1
        keys = index.by_ids(cited)
        title = None if keys else index.by_exact_title(cited)
        if len(keys) == 1:
            count.matched += 1
            matched.add(keys[0])
        elif keys:
            count.doubtful += 1
            plan.doubts.append(Doubt("two works", listing.work, keys, listing.source, cited.title or "", cited.year))
        elif title:
            count.doubtful += 1
            titled.setdefault(title, cited)
        else:
            count.unmatched += 1
    matched.discard(listing.work)  # another version of the same work
    titled.pop(listing.work, None)
    return matched, titled


def _read_in_the_paper(record: CitationList | None) -> list[str]:
    """The works of the lists that no refresh made."""
    if record is None:
        return []
    parts = [record, *record.also]
    return sorted({key for part in parts if not is_from_source(part.witness) for key in part.cited})


def _witness(listing: Listing, how: str) -> str:
    """Which API was asked, for what, when, and how much of its list that is."""
    asked = " and ".join(listing.asked)
    return (f"{LABELS[listing.source]}, asked for {asked} on {listing.day.isoformat()}; "
            f"{len(listing.references)} references listed, {how}")
