"""Citations of a work, or of an entry of the zoo itself, in four formats: bibtex, ris, csl-json and text."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from datetime import date
from typing import Any, Literal

import rispy

from catalog.bibliography import Person, Work, bibtex
from catalog.model import Algorithm

Format = Literal["bibtex", "ris", "csl-json", "text"]
FORMATS: tuple[Format, ...] = ("bibtex", "ris", "csl-json", "text")
SUFFIX: dict[Format, str] = {"bibtex": ".bib", "ris": ".ris", "csl-json": ".csl.json", "text": ".txt"}
ZOO = "Compression Zoo"

_RIS_TYPES = {
    "article": "JOUR", "book": "BOOK", "incollection": "CHAP", "inproceedings": "CPAPER", "mastersthesis": "THES",
    "phdthesis": "THES", "techreport": "RPRT",
}  # fmt: skip
_CSL_TYPES = {
    "article": "article-journal", "book": "book", "incollection": "chapter", "inproceedings": "paper-conference",
    "mastersthesis": "thesis", "phdthesis": "thesis", "techreport": "report",
}  # fmt: skip


def entry_as_work(entry: Algorithm, base_url: str | None = None, year: int | None = None) -> Work:
    """The record that cites the zoo's own entry. `base_url` is where the site stands, without a final slash."""
    key = f"compressionzoo{year or date.today().year}{re.sub('[^a-z0-9]', '', entry.id)}"
    fields = {
        "title": f"{{{_escaped(entry.name)}}}",
        "author": "{Compression Zoo contributors}",
        "howpublished": ZOO,
        "year": str(year or date.today().year),
    }
    if base_url:
        fields["url"] = f"{base_url.rstrip('/')}/algorithms/{entry.id}/"
    fields["note"] = f"Entry {entry.id}"
    order = ("title", "author", "howpublished", "year", "url", "note")
    return Work(key=key, type="misc", fields={name: fields[name] for name in order if name in fields})


def format(what: Work | Algorithm, form: Format, base_url: str | None = None, year: int | None = None) -> str:  # noqa: A001
    """One record, ending with a newline. An Algorithm stands for the zoo's own entry, not for its paper.

    Raises ValueError for an unknown format.
    """
    return format_all([what], form, base_url, year)


def format_all(
    works: Iterable[Work | Algorithm], form: Format, base_url: str | None = None, year: int | None = None
) -> str:
    """Several records as one valid document of the format: CSL JSON is always a list."""
    found = [entry_as_work(item, base_url, year) if isinstance(item, Algorithm) else item for item in works]
    if form == "bibtex":
        return "\n".join(bibtex(work) for work in found)
    if form == "ris":
        return rispy.dumps([ris(work) for work in found], implementation=_Writer).rstrip("\n") + "\n"
    if form == "csl-json":
        return json.dumps([csl(work) for work in found], indent=2, ensure_ascii=False) + "\n"
    if form == "text":
        return "".join(f"{text(work)}\n" for work in found)
    raise ValueError(f"{form!r} is not a citation format; known are {', '.join(FORMATS)}")


class _Writer(rispy.RisWriter):
    """Without the number that rispy puts before each record, which other programs do not read."""

    def set_header(self, count: int) -> str:
        return ""


def ris(work: Work) -> dict[str, Any]:
    """A record as rispy takes it."""
    kind = _RIS_TYPES.get(work.type) or ("UNPB" if work.arxiv else "ELEC")
    record: dict[str, Any] = {"type_of_reference": kind, "id": work.key, "title": work.title}
    record["authors"] = [_ris_name(person) for person in work.authors]
    record["year"] = str(work.year)
    if work.type == "article":
        record["journal_name"] = work.container
    elif work.container:
        record["secondary_title"] = work.container
    pages = work.text("pages")
    if pages:
        first, _, last = pages.partition("–")
        record["start_page"] = first
        if last:
            record["end_page"] = last
    for name, target in (("volume", "volume"), ("number", "number"), ("publisher", "publisher"), ("doi", "doi")):
        if work.text(name):
            record[target] = work.text(name)
    if work.url:
        record["urls"] = [work.url]
    notes = [f"arXiv:{work.arxiv}"] if work.arxiv else []
    notes += [work.text(name) for name in ("howpublished", "institution", "note") if work.text(name)]
    notes += [f"Not confirmed: {fact}" for fact in _doubts(work)]
    if notes:
        record["notes"] = notes
    return record


def csl(work: Work) -> dict[str, Any]:
    """A record as CSL JSON has it."""
    item: dict[str, Any] = {
        "id": work.key,
        "type": _CSL_TYPES.get(work.type) or ("article" if work.arxiv else "webpage"),
        "title": work.title,
        "author": [_csl_name(person) for person in work.authors],
        "issued": {"date-parts": [[work.year]]},
    }
    if work.container:
        item["container-title"] = work.container
    pairs = (("volume", "volume"), ("number", "issue"), ("pages", "page"), ("publisher", "publisher"),
             ("institution", "publisher"), ("howpublished", "container-title"), ("series", "collection-title"),
             ("doi", "DOI"), ("note", "note"))  # fmt: skip
    for name, target in pairs:
        if work.text(name):
            item.setdefault(target, work.text(name))
    if work.arxiv:
        item["archive"] = "arXiv"
        item["archive_location"] = work.arxiv
        if item["type"] == "article":
            item["number"] = f"arXiv:{work.arxiv}"
            item.setdefault("publisher", "arXiv")
    if work.url:
        item["URL"] = work.url
    doubts = _doubts(work)
    if doubts:
        item["note"] = "; ".join(filter(None, [item.get("note"), f"not confirmed: {', '.join(doubts)}"]))
    return item


def text(work: Work, limit: int = 20) -> str:
    """A reference for slides and letters, in one line. More than `limit` authors are cut to the first and `et al.`"""
    names = [person.full for person in work.authors]
    cut = len(names) > limit or not work.authors_complete
    if cut:
        names = names[:limit] if len(names) <= limit else names[:1]
        authors = ", ".join(names) + ", et al."
    else:
        authors = f"{', '.join(names[:-1])}, and {names[-1]}" if len(names) > 2 else " and ".join(names)
        authors += "" if authors.endswith(".") else "."
    title = work.title if work.title.endswith(("?", "!", ".")) else f"{work.title}."
    parts = [authors, f"{work.year}.", title]
    where = work.text("journal")
    pages = work.text("pages")
    if where:
        volume = work.text("volume")
        number = work.text("number")
        where += f" {volume}" if volume else ""
        where += f"({number})" if number else ""
        where += f":{pages}" if pages else ""
        parts.append(f"{where}.")
    elif work.text("booktitle"):
        pages = f", pages {pages}" if pages and "–" in pages else f", page {pages}" if pages else ""
        parts.append(f"In {work.text('booktitle')}{pages}.")
    else:
        parts += [f"{work.text(name)}." for name in ("howpublished", "institution", "school") if work.text(name)]
    if work.arxiv:
        parts.append(f"arXiv:{work.arxiv}.")
    if work.text("note"):
        parts.append(f"{work.text('note')}.")
    if work.doi:
        parts.append(f"https://doi.org/{work.doi}")
    elif work.url:
        parts.append(work.url)
    doubts = _doubts(work)
    if doubts:
        parts.append(f"[Not confirmed: {', '.join(doubts)}]")
    return " ".join(parts)


def _doubts(work: Work) -> list[str]:
    """Facts that stand in the record although no source confirmed them."""
    return [fact for fact in work.unconfirmed if ":" not in fact]


def _ris_name(person: Person) -> str:
    family = " ".join(part for part in (person.particle, person.family) if part)
    return ", ".join(part for part in (family, person.given, person.suffix) if part)


def _csl_name(person: Person) -> dict[str, str]:
    if not person.given:
        return {"literal": person.family}
    name = {"family": person.family, "given": person.given}
    if person.particle:
        name["non-dropping-particle"] = person.particle
    if person.suffix:
        name["suffix"] = person.suffix
    return name


def _escaped(value: str) -> str:
    return re.sub(r"([&%#_$])", r"\\\1", value)
