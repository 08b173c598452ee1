"""Citations of a work, of an entry of the zoo, and of the zoo itself, in four formats: bibtex, ris, csl-json and text.

`text` is the style of the ACL and of many venues of the field: authors, year, title, where, identifiers. RIS follows
the tags that reference managers document (CPAPER with C3 for the proceedings), CSL-JSON the schema of CSL 1.0.2.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Literal

import rispy

from catalog.bibliography import Person, Work, bibtex, latex
from catalog.model import Algorithm

if TYPE_CHECKING:
    from catalog.loading import Catalog
    from catalog.release import Zoo

Format = Literal["bibtex", "ris", "csl-json", "text"]
FORMATS: tuple[Format, ...] = ("bibtex", "ris", "csl-json", "text")
SUFFIX: dict[Format, str] = {"bibtex": ".bib", "ris": ".ris", "csl-json": ".csl.json", "text": ".txt"}

_RIS_TYPES = {
    "article": "JOUR", "book": "BOOK", "incollection": "CHAP", "inproceedings": "CPAPER", "mastersthesis": "THES",
    "phdthesis": "THES", "techreport": "RPRT",
}  # fmt: skip
_CSL_TYPES = {
    "article": "article-journal", "book": "book", "incollection": "chapter", "inproceedings": "paper-conference",
    "mastersthesis": "thesis", "phdthesis": "thesis", "techreport": "report",
}  # fmt: skip
_THESES = {"mastersthesis": "Master's thesis", "phdthesis": "PhD thesis"}
_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")


# --- what is cited -------------------------------------------------------------------------------------------------


def entry_as_work(entry: Algorithm, zoo: Zoo) -> Work:
    """The record that cites the zoo's own entry: a page of the web, with the zoo's version and the day it changed."""
    day = zoo.changes.get(entry.file, "")
    year = (day or zoo.released)[:4]
    fields = {
        "title": f"{{{latex(entry.name)}}}", "author": _author_field(zoo),
        "howpublished": ", version ".join(filter(None, [latex(zoo.title), latex(zoo.version)])), "year": year,
        "url": f"{zoo.url}/algorithms/{entry.id}/" if zoo.url else "",
        "note": f"Entry {entry.id}" + (f", last changed {day}" if day else ""),
    }  # fmt: skip
    return Work(key=f"compressionzoo{year}{re.sub('[^a-z0-9]', '', entry.id)}", type="misc",
                fields={name: value for name, value in fields.items() if value}, version=zoo.version, day=day)


def zoo_as_work(zoo: Zoo) -> Work:
    """The record that cites the zoo as a whole."""
    fields = {
        "title": f"{{{latex(zoo.title)}}}", "author": _author_field(zoo), "year": zoo.released[:4], "url": zoo.url,
        "note": f"Version {latex(zoo.version)}" if zoo.version else "",
    }  # fmt: skip
    return Work(key="compressionzoo", type="misc",
                fields={name: value for name, value in fields.items() if value},
                version=zoo.version, day=zoo.released)


def of_family(catalog: Catalog, node: str) -> list[Work]:
    """The papers of a family, or of one of its groups (family/group), in the order of their keys.

    They are those of the entries filed there, at home or as guests, and the works that the taxonomy names as examples.
    """
    def inside(place: str) -> bool:
        return place == node or place.startswith(f"{node}/")

    keys = {entry.paper for entry in of_node(catalog, node) if entry.paper}
    for place in catalog.taxonomy.nodes() if catalog.taxonomy else ():
        if inside(place):
            keys |= set(catalog.taxonomy.group(place).examples)
    return [catalog.bibliography[key] for key in sorted(keys) if key in catalog.bibliography]


def of_node(catalog: Catalog, node: str) -> list[Algorithm]:
    """The entries filed in a family or in one of its groups, at home or as guests."""
    return [
        entry for entry in catalog.algorithms.values()
        if any(place == node or place.startswith(f"{node}/") for place in (entry.family, *entry.also_in))
    ]  # fmt: skip


def of_survey(catalog: Catalog, key: str) -> list[Work]:
    """The works that a survey was seen to treat, in the order of their keys; what was only recalled is left out."""
    keys = {leaf.work for _, leaf in catalog.surveys[key].leaves() if leaf.read != "recalled"}
    return [catalog.bibliography[key] for key in sorted(keys) if key in catalog.bibliography]


# --- how it is written ---------------------------------------------------------------------------------------------


def format(work: Work, form: Format) -> str:  # noqa: A001
    """One record, ending with a newline. Raises ValueError for an unknown format."""
    return format_all([work], form)


def format_all(works: Iterable[Work], form: Format) -> str:
    """Several records as one valid document of the format: CSL JSON is always a list."""
    if form == "bibtex":
        return "\n".join(bibtex(work) for work in works)
    if form == "ris":
        return rispy.dumps([ris(work) for work in works], implementation=_Writer).rstrip("\n") + "\n"
    if form == "csl-json":
        return json.dumps([csl(work) for work in works], indent=2, ensure_ascii=False) + "\n"
    if form == "text":
        return "".join(f"{text(work)}\n" for work in works)
    raise ValueError(f"{form!r} is not a citation format; known are {', '.join(FORMATS)}")


class _Writer(rispy.RisWriter):
    """Without the number that rispy puts before each record, which other programs do not read."""

    def set_header(self, count: int) -> str:
        return ""


def ris(work: Work) -> dict[str, Any]:
    """A record as rispy takes it."""
    kind = _RIS_TYPES.get(work.type) or ("UNPB" if work.arxiv else "DATA" if _is_dataset(work) else "ELEC")
    record: dict[str, Any] = {"type_of_reference": kind, "id": work.key, "title": work.title}
    record["authors"] = [_ris_name(person) for person in work.authors]
    if not work.authors_complete:
        record["authors"].append("et al.")
    if work.editors:
        record["secondary_authors"] = [_ris_name(person) for person in work.editors]
    date = [f"{part:02}" for part in date_parts(work)]
    if date:
        record["year"] = date[0]
    if len(date) > 1:
        record["date"] = "/".join([*date, "", ""][:3]) + "/"  # year/month/day/anything else
    where = work.container or _site(work)
    if where:
        record["secondary_title"] = where
        if kind == "CPAPER":
            record["custom3"] = where  # the proceedings; T2 is the conference for programs that tell them apart
        if kind == "JOUR":
            record["alternate_title3"] = where
    if work.text("series"):
        record["secondary_title" if kind == "BOOK" else "tertiary_title"] = work.text("series")
    pages = work.text("pages")
    if pages:
        first, _, last = pages.partition("–")
        record["start_page"] = first
        if last:
            record["end_page"] = last
    pairs = (("volume", "volume"), ("number", "number"), ("edition", "edition"), ("doi", "doi"),
             ("publisher", "publisher"), ("institution", "publisher"), ("school", "publisher"))  # fmt: skip
    for name, target in pairs:
        if work.text(name):
            record.setdefault(target, work.text(name))
    if work.type in _THESES:
        record["type_of_work"] = _THESES[work.type]
    if work.arxiv:
        record["name_of_database"] = "arXiv"
        record["accession_number"] = work.arxiv
    if work.url:
        record["urls"] = [work.url]
    notes = [f"Version {work.version}"] if work.version and _site(work) else []
    notes += _remarks(work)
    if notes:
        record["notes"] = notes
    return record


def csl(work: Work) -> dict[str, Any]:
    """A record as CSL JSON has it."""
    kind = _CSL_TYPES.get(work.type) or ("article" if work.arxiv else "dataset" if _is_dataset(work) else "webpage")
    item: dict[str, Any] = {"id": work.key, "type": kind, "title": work.title}
    item["author"] = [_csl_name(person) for person in work.authors]
    if not work.authors_complete:
        item["author"].append({"literal": "others"})
    if work.editors:
        item["editor"] = [_csl_name(person) for person in work.editors]
    if date_parts(work):
        item["issued"] = {"date-parts": [date_parts(work)]}
    where = work.container or _site(work)
    if where:
        item["container-title"] = where
    pairs = (("volume", "volume"), ("number", "issue"), ("edition", "edition"), ("publisher", "publisher"),
             ("institution", "publisher"), ("school", "publisher"), ("series", "collection-title"),
             ("doi", "DOI"))  # fmt: skip
    for name, target in pairs:
        if work.text(name):
            item.setdefault(target, work.text(name))
    if work.text("pages"):
        item["page"] = work.text("pages").replace("–", "-")  # a style puts its own dash
    if work.type in _THESES:
        item["genre"] = _THESES[work.type]
    if work.version:
        item["version"] = work.version
    if work.arxiv:
        item["archive"] = "arXiv"
        item["archive_location"] = work.arxiv
        if kind == "article":
            item["number"] = f"arXiv:{work.arxiv}"
            item.setdefault("publisher", "arXiv")
    if work.url:
        item["URL"] = work.url
    remarks = _remarks(work)
    if remarks:
        item["note"] = "; ".join(remarks)
    return item


def text(work: Work, limit: int = 20) -> str:
    """A reference for slides and letters, in one line. More than `limit` authors are cut to the first and `et al.`"""
    names = [person.full for person in work.authors]
    cut = len(names) > limit or not work.authors_complete
    if cut:
        names = names[:limit] if len(names) <= limit else names[:1]
        authors = ", ".join(names) + (", et al." if len(names) > 1 else " et al.")
    else:
        authors = f"{', '.join(names[:-1])}, and {names[-1]}" if len(names) > 2 else " and ".join(names)
    parts = [authors, str(work.year or ""), work.title]
    pages = work.text("pages")
    if work.text("journal"):
        volume, number = work.text("volume"), work.text("number")
        where = f"{work.text('journal')} {volume or ''}".rstrip() + (f"({number})" if number else "")
        parts.append(where + (f":{pages}" if pages else ""))
    elif work.text("booktitle"):
        editors = f"{' and '.join(person.full for person in work.editors)}, editors, " if work.editors else ""
        where = f", pages {pages}" if pages and "–" in pages else f", page {pages}" if pages else ""
        parts += [f"In {editors}{work.text('booktitle')}{where}", work.text("publisher") or ""]
    elif work.type == "techreport":
        parts.append(f"Technical report, {work.text('institution')}")
    elif work.type in _THESES:
        parts.append(f"{_THESES[work.type]}, {work.text('school')}")
    else:
        edition = work.text("edition")
        parts += [f"{edition} edition" if edition else "", work.text("howpublished") or ""]
        parts.append(work.text("publisher") or "")
    preprint = "Preprint, " if work.type == "misc" else ""
    parts += [f"{preprint}arXiv:{work.arxiv}" if work.arxiv else "", work.text("note") or ""]
    sentences = [part if part.endswith((".", "?", "!")) else f"{part}." for part in parts if part]
    sentences += [address for address in [f"https://doi.org/{work.doi}" if work.doi else work.url] if address]
    doubts = _doubts(work)
    if doubts:
        sentences.append(f"[Not confirmed: {', '.join(doubts)}]")
    return " ".join(sentences)


# --- parts ---------------------------------------------------------------------------------------------------------


def _author_field(zoo: Zoo) -> str:
    names = [latex(person.sorted) if person.given else f"{{{latex(person.family)}}}" for person in zoo.authors]
    return " and ".join(names)


def _site(work: Work) -> str | None:
    """What a page of the web is part of, without the version that BibTeX has nowhere else to put."""
    where = work.text("howpublished")
    return where.removesuffix(f", version {work.version}") if where and work.version else where


def _is_dataset(work: Work) -> bool:
    return bool(work.version) and "howpublished" not in work.fields


def date_parts(work: Work) -> list[int]:
    """Year, month and day, as far as they are known."""
    if work.day:
        return [int(part) for part in work.day.split("-")]
    month = (work.text("month") or "").lower()
    number = int(month) if month.isdigit() else _MONTHS.index(month[:3]) + 1 if month[:3] in _MONTHS else 0
    return [work.year, number] if 1 <= number <= 12 else [work.year] if work.year else []


def _remarks(work: Work) -> list[str]:
    """What no other field of RIS or CSL holds."""
    remarks = [work.text("note") or ""]
    if work.container:
        remarks.append(work.text("howpublished") or "")
    if not work.authors_complete:
        remarks.append("The list of authors goes on")
    doubts = _doubts(work)
    return [remark for remark in [*remarks, f"not confirmed: {', '.join(doubts)}" if doubts else ""] if remark]


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
