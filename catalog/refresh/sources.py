"""The two sources: what to ask them, what their answers mean, and what is kept of an answer.

A source fills the store of answers over the network and reads reference lists out of the store alone. So an interrupted
run loses nothing, and what has been answered once is not asked again.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import date
from itertools import islice
from typing import Any, ClassVar, Literal, TypeVar
from urllib.parse import quote

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from catalog.bibliography import Work
from catalog.refresh import identifiers
from catalog.refresh.answers import Answer, Answers
from catalog.refresh.client import Client, NoAnswer, Refused

MANY_REFERENCES = 10_000  # no paper has more; an answer that has is nonsense
FAULTS_IN_A_ROW = 3  # after so many requests without a proper answer the source is left alone
Shape = TypeVar("Shape", bound=BaseModel)
State = Literal["listed", "empty", "withheld", "unknown"]


@dataclass(frozen=True)
class CitedWork:
    """An item of a reference list, as far as the source could identify it. `ids` are spelled as in identifiers.py."""

    ids: list[str] = field(default_factory=list)
    title: str | None = None
    year: int | None = None


@dataclass(frozen=True)
class Listing:
    """What a source says about the reference list of a work.

    `state`: listed; empty (the source knows the work and no reference of it); withheld (by the publisher); unknown (the
    source does not know the work). `asked` are the ids that gave the list, `day` the day of the oldest answer in it.
    """

    work: str
    source: str
    state: State
    asked: list[str]
    day: date
    references: list[CitedWork] = field(default_factory=list)


@dataclass(frozen=True)
class Failure:
    """Why there is no listing of a work."""

    work: str
    source: str
    reason: str


Progress = Callable[[str], None]  # takes a line about what is being asked


class Source(ABC):
    """One of the two. `fill` asks, `read` looks only into the store."""

    name: ClassVar[str]  # in options and JSON
    label: ClassVar[str]  # in witnesses
    title: ClassVar[str]  # for people

    def __init__(self, client: Client, answers: Answers):
        self.client = client
        self.answers = answers
        self.stopped: str | None = None  # why nothing more is asked of this source
        self._store = f"{self.name} {client.base}"  # answers of a test server are no answers of the real one
        self._faults: dict[str, str] = {}  # by what was asked for
        self._in_a_row = 0

    def fill(self, works: Iterable[Work], progress: Progress) -> None:
        """Ask for everything that `read` needs for these works. Raises Unreachable; keeps other faults for `read`."""
        try:
            self._fill(list(works), progress)
        except Refused as refusal:
            self.stopped = str(refusal)

    @abstractmethod
    def _fill(self, works: list[Work], progress: Progress) -> None: ...

    @abstractmethod
    def read(self, work: Work) -> Listing | Failure:
        """The listing of a work out of the store, or why there is none."""

    def _ask(self, shape: type[Shape], path: str, **query: str | int) -> Shape | None:
        """A checked answer, or None for 404. Raises NoAnswer, or Refused if there were too many of those in a row."""
        try:
            data = self.client.get(path, **query)
            answer = None if data is None else shape.model_validate(data)
        except (NoAnswer, ValidationError) as error:
            reason = str(error) if isinstance(error, NoAnswer) else _malformed(error)
            self._in_a_row += 1
            if self._in_a_row >= FAULTS_IN_A_ROW:
                raise Refused(f"{self.title} gave no proper answer {self._in_a_row} times in a row; the last: {reason}"
                              ) from error
            raise NoAnswer(reason) from error
        self._in_a_row = 0
        return answer

    def _kept(self, asked: str, shape: type[Shape]) -> tuple[Answer, Shape] | None:
        """A kept answer; one that is not of the form that this version keeps counts as not there."""
        answer = self.answers.get(self._store, asked)
        if answer is None:
            return None
        try:
            return answer, shape.model_validate(answer.data)
        except ValidationError:
            return None

    def _keep(self, kept: dict[str, BaseModel]) -> None:
        self.answers.put(self._store, {asked: model.model_dump() for asked, model in kept.items()})

    def _failure(self, work: Work, asked: Iterable[str]) -> Failure:
        reasons = [self._faults[name] for name in asked if name in self._faults]
        return Failure(work.key, self.name, reasons[0] if reasons else self.stopped or "not asked yet")


class _Answer(BaseModel):
    """An answer's part: exact types, further keys allowed."""

    model_config = ConfigDict(strict=True)


def _malformed(error: ValidationError) -> str:
    first = error.errors(include_url=False)[0]
    place = ".".join(str(part) for part in first["loc"]) or "as a whole"
    return f"the answer is not of the documented form ({place}: {first['msg']})"


def _batches(items: Iterable[str], size: int) -> Iterator[list[str]]:
    rest = iter(items)
    while batch := list(islice(rest, size)):
        yield batch


# --- OpenAlex ------------------------------------------------------------------------------------------------------


class _Location(_Answer):
    landing_page_url: str | None = None
    pdf_url: str | None = None


class _Work(_Answer):
    id: str = Field(pattern=r"^https://openalex\.org/W[0-9]+$")
    doi: str | None
    title: str | None
    publication_year: int | None
    locations: list[_Location] | None = None
    referenced_works: list[str] | None = Field(None, max_length=MANY_REFERENCES)


class _Count(_Answer):
    count: int = Field(ge=0)


class _Page(_Answer):
    meta: _Count
    results: list[Any] = Field(max_length=1000)


class Record(_Answer):
    """What is kept of an OpenAlex work; `references` are OpenAlex ids, None where they were not asked for."""

    openalex: str
    ids: list[str]
    title: str | None
    year: int | None
    references: list[str] | None


class _Found(_Answer):
    """The records of one id. `alone` says that it was asked for alone, which also finds merged preprints."""

    records: list[Record]
    alone: bool


class _Cited(_Answer):
    record: Record | None


class OpenAlex(Source):
    """First source: lists of up to 100 works an answer; references are OpenAlex ids, which are then asked for."""

    name = "openalex"
    label = "OpenAlex works API"
    title = "OpenAlex"
    address = "https://api.openalex.org"

    DOIS, IDS, PER_PAGE = 50, 100, 100  # values of a filter (100 DOIs make a long address), records of a page
    FIELDS = "id,doi,title,publication_year,locations"

    def _fill(self, works: list[Work], progress: Progress) -> None:
        wanted = [name for work in works for name in identifiers.of_work(work) if self._found(name) is None]
        # A comma or a bar has a meaning in a filter; such a DOI is asked for alone.
        listable = [name for name in dict.fromkeys(wanted) if not set(name) & set(",|")]
        for number, batch in enumerate(_batches(listable, self.DOIS)):
            progress(f"{self.title}: works {number * self.DOIS + 1} to {number * self.DOIS + len(batch)}"
                     f" of {len(listable)}")
            self._find(batch)
        for number, work in enumerate(works, 1):
            for name in self._to_ask_alone(work):
                progress(f"{self.title}: work {number} of {len(works)}, {name}")
                self._find_alone(name)
        cited = [name for work in works for record in self._records(work) for name in record.references or ()]
        missing = [name for name in dict.fromkeys(cited) if self._kept(name, _Cited) is None]
        for number, batch in enumerate(_batches(missing, self.IDS)):
            progress(f"{self.title}: cited works {number * self.IDS + 1} to {number * self.IDS + len(batch)}"
                     f" of {len(missing)}")
            self._resolve(batch)

    def read(self, work: Work) -> Listing | Failure:
        names = identifiers.of_work(work)
        found = {name: answer for name in names if (answer := self._found(name)) is not None}
        if self._to_ask_alone(work):
            return self._failure(work, names)
        days = [answer.day for answer, _ in found.values()]
        records = self._records(work)
        giving = [name for name, (_, kept) in found.items() if any(record.references for record in kept.records)]
        references: list[CitedWork] = []
        for name in dict.fromkeys(name for record in records for name in record.references or ()):
            kept = self._kept(name, _Cited)
            if kept is None:
                return self._failure(work, [name])
            answer, cited = kept
            days.append(answer.day)
            record = cited.record
            references.append(CitedWork(record.ids, record.title, record.year) if record else CitedWork())
        state: State = "listed" if references else "empty" if records else "unknown"
        return Listing(work.key, self.name, state, giving or names, min(days), references)

    def _found(self, name: str) -> tuple[Answer, _Found] | None:
        return self._kept(name, _Found)

    def _records(self, work: Work) -> list[Record]:
        """The records of a work, each once: the sources often keep preprint and paper apart."""
        kept = [found[1] for name in identifiers.of_work(work) if (found := self._found(name)) is not None]
        return list({record.openalex: record for found in kept for record in found.records}.values())

    def _to_ask_alone(self, work: Work) -> list[str]:
        """The ids still to be asked for alone: those that no list contained, as long as no references are known."""
        if any(record.references for record in self._records(work)):
            return []
        found = {name: self._found(name) for name in identifiers.of_work(work)}
        return [name for name, kept in found.items() if kept is None or not (kept[1].records or kept[1].alone)]

    def _find(self, names: list[str]) -> None:
        filters = "doi:" + "|".join(map(_doi, names))
        try:
            records = list(self._list(filters, f"{self.FIELDS},referenced_works"))
        except NoAnswer as error:
            self._faults |= dict.fromkeys(names, str(error))
            return
        whole = [record for record in records if record.references is not None]
        self._keep({
            name: _Found(records=[record for record in whole if name in record.ids], alone=False) for name in names
        })  # fmt: skip

    def _find_alone(self, name: str) -> None:
        path = f"/works/doi:{quote(_doi(name), safe='/')}"
        try:
            answer = self._ask(_Work, path, select=f"{self.FIELDS},referenced_works")
            records = [] if answer is None else [_record(answer)]
            for record in records:
                if name not in record.ids:
                    raise NoAnswer(f"the answer is about another work ({record.openalex}: {record.title})")
                if record.references is None:
                    raise NoAnswer("the answer has no referenced_works")
        except NoAnswer as error:
            self._faults[name] = str(error)
            return
        self._faults.pop(name, None)
        self._keep({name: _Found(records=records, alone=True)})

    def _resolve(self, names: list[str]) -> None:
        try:
            records = {record.openalex: record for record in self._list("ids.openalex:" + "|".join(names), self.FIELDS)}
        except NoAnswer as error:
            self._faults |= dict.fromkeys(names, str(error))
            return
        self._keep({name: _Cited(record=records.get(name)) for name in names})

    def _list(self, filters: str, select: str) -> Iterator[Record]:
        """The records that pass a filter. A record that is not of the right form is left out, as if not found."""
        seen, number = 0, 0
        while True:
            number += 1
            page = self._ask(_Page, "/works", filter=filters, select=select, per_page=self.PER_PAGE, page=number)
            if page is None:
                raise NoAnswer("HTTP 404 for a list")
            for item in page.results:
                try:
                    yield _record(_Work.model_validate(item))
                except ValidationError:
                    continue
            seen += len(page.results)
            if seen >= page.meta.count or not page.results:
                return
            if seen >= MANY_REFERENCES:
                raise NoAnswer(f"the answer lists more than {MANY_REFERENCES:,} works")


def _doi(name: str) -> str:
    """The DOI of an id; arXiv registers one for each of its own."""
    kind, _, rest = name.partition(":")
    return f"{identifiers.ARXIV_DOI}{rest}" if kind == "arxiv" else rest


def _record(work: _Work) -> Record:
    ids = {identifiers.doi(work.doi)} if work.doi else set()
    # Of the addresses only those at arXiv count: one with another DOI is another version, a copy or a mistake.
    addresses = [url for place in work.locations or () for url in (place.landing_page_url, place.pdf_url) if url]
    names = [identifiers.doi(url) or identifiers.arxiv(url) for url in addresses]
    ids |= {name for name in names if name and name.startswith("arxiv:")}
    references = work.referenced_works
    return Record(
        openalex=work.id.rpartition("/")[2], ids=sorted(ids - {None}), title=work.title, year=work.publication_year,
        references=None if references is None else list(dict.fromkeys(url.rpartition("/")[2] for url in references)),
    )  # fmt: skip


# --- Semantic Scholar ----------------------------------------------------------------------------------------------


class _ExternalIds(_Answer):
    doi: str | None = Field(None, alias="DOI")
    arxiv: str | None = Field(None, alias="ArXiv")


class _Paper(_Answer):
    title: str | None = None
    year: int | None = None
    ids: _ExternalIds | None = Field(None, alias="externalIds")


class _Reference(_Answer):
    cited: _Paper = Field(alias="citedPaper")


class _References(_Answer):
    data: list[_Reference] | None = Field(max_length=1000)
    next: int | None = None


class _Item(_Answer):
    ids: list[str]
    title: str | None
    year: int | None


class _List(_Answer):
    """What is kept of a reference list."""

    state: State
    references: list[_Item]


class SemanticScholar(Source):
    """Second source: one reference list an answer, each item with its ids."""

    name = "semantic-scholar"
    label = "Semantic Scholar Graph API"
    title = "Semantic Scholar"
    address = "https://api.semanticscholar.org"

    LIMIT = 1000  # references of a page

    def _fill(self, works: list[Work], progress: Progress) -> None:
        for number, work in enumerate(works, 1):
            for name in identifiers.of_work(work):
                kept = self._kept(name, _List)
                if kept is None:
                    progress(f"{self.title}: work {number} of {len(works)}, {name}")
                    self._fetch(name)
                    kept = self._kept(name, _List)
                if kept is not None and kept[1].state == "listed":
                    break

    def read(self, work: Work) -> Listing | Failure:
        names = identifiers.of_work(work)
        lists: dict[str, tuple[Answer, _List]] = {}
        for name in names:
            kept = self._kept(name, _List)
            if kept is None:
                return self._failure(work, [name])
            lists[name] = kept
            answer, found = kept
            if found.state == "listed":
                items = [CitedWork(item.ids, item.title, item.year) for item in found.references]
                return Listing(work.key, self.name, "listed", [name], answer.day, items)
        states = {found.state for _, found in lists.values()}
        state = next(state for state in ("withheld", "empty", "unknown") if state in states)
        return Listing(work.key, self.name, state, names, min(answer.day for answer, _ in lists.values()))

    def _fetch(self, name: str) -> None:
        """Ask for all pages of one list and keep it only if it is whole."""
        kind, _, rest = name.partition(":")
        path = f"/graph/v1/paper/{kind.upper()}:{quote(rest, safe='/')}/references"
        items: list[_Item] = []
        state: State = "empty"
        offset: int | None = 0
        try:
            while offset is not None:
                page = self._ask(_References, path, fields="title,year,externalIds", limit=self.LIMIT, offset=offset)
                if page is None:
                    if items:
                        raise NoAnswer("HTTP 404 for a further page")
                    state, offset = "unknown", None
                elif page.data is None:
                    state, offset = "withheld", None
                else:
                    items += [_item(reference.cited) for reference in page.data]
                    if page.next is not None and (page.next <= offset or page.next > MANY_REFERENCES):
                        raise NoAnswer(f"the next page would begin at {page.next}, this one began at {offset}")
                    offset = page.next
        except NoAnswer as error:
            self._faults[name] = str(error)
            return
        if items and state == "empty":
            state = "listed"
        self._keep({name: _List(state=state, references=items if state == "listed" else [])})


def _item(paper: _Paper) -> _Item:
    given = paper.ids or _ExternalIds()
    ids = [identifiers.arxiv(given.arxiv) if given.arxiv else None, identifiers.doi(given.doi) if given.doi else None]
    return _Item(ids=sorted({name for name in ids if name}), title=paper.title, year=paper.year)
