"""How works leave the site: tags and spans that reference managers read, records to copy, files to download.

Highwire tags stand in the head of a page about one work; COinS spans in lists. Zotero asks for COinS before it asks for
tags, so a page with tags has no span. Both follow what Zotero's translators "Embedded Metadata" and "COinS" read, and
Google Scholar's rules: one citation_author a person, family name first, and a date that begins with the year.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlencode

from catalog import citing
from catalog.bibliography import Work

if TYPE_CHECKING:
    from site_gen.enrich.site import Entry, Site

# End of the file's name, format, label.
FORMS = (("bib", "bibtex", "BibTeX"), ("ris", "ris", "RIS"), ("csl.json", "csl-json", "CSL-JSON"))
ZOO = "compression-zoo"  # the files that cite the zoo as a whole


def highwire(work: Work) -> list[list[str]]:
    """The citation_* tags of a page about this work."""
    names = [person.sorted for person in work.authors]
    if len(names) == 1 and all(" " in part for part in names[0].split(", ", 1)) and ", " in names[0]:
        names = [work.authors[0].full]  # Zotero takes "van der Berg, Anna Bo" alone for two names
    tags = [["citation_title", work.title], *(["citation_author", name] for name in names)]
    date = citing.date_parts(work)
    if date:
        tags.append(["citation_publication_date", "/".join(f"{part:02}" for part in date)])
    if work.container:
        kind = {"article": "journal", "incollection": "inbook"}.get(work.type, "conference")
        tags.append([f"citation_{kind}_title", work.container])
    pairs = (("volume", "volume"), ("number", "issue"), ("series", "series_title"), ("publisher", "publisher"),
             ("institution", "technical_report_institution"), ("school", "dissertation_institution"))  # fmt: skip
    for field, name in pairs:
        if value := work.text(field):
            tags.append([f"citation_{name}", value])
    if pages := work.text("pages"):
        first, _, last = pages.partition("–")
        tags.append(["citation_firstpage", first])
        if last:
            tags.append(["citation_lastpage", last])
    for name, value in (("doi", work.doi), ("arxiv_id", work.arxiv), ("public_url", work.url)):
        if value:
            tags.append([f"citation_{name}", value])
    return tags


def coins(work: Work) -> str:
    """The OpenURL (Z39.88-2004) that a COinS span of this work carries in its title."""
    kind, title, where = "dc", "title", "source"
    genre = {"book": "book", "incollection": "bookitem", "inproceedings": "proceeding", "techreport": "report"}
    fields: list[tuple[str, str]] = []
    if work.type == "article":
        kind, title, where = "journal", "atitle", "jtitle"
        fields.append(("rft.genre", "article"))
    elif work.type in genre:
        kind, where = "book", "btitle"
        title = "btitle" if work.type in ("book", "techreport") else "atitle"
        fields.append(("rft.genre", genre[work.type]))
    elif work.type in ("phdthesis", "mastersthesis"):
        kind, where = "dissertation", ""
    else:
        fields.append(("rft.type", "preprint" if work.arxiv else "webpage"))
    fields.append((f"rft.{title}", work.title))
    container = work.container or work.text("howpublished") or ("arXiv" if kind == "dc" and work.arxiv else None)
    if container and where and where != title:
        fields.append((f"rft.{where}", container))
    author = "rft.creator" if kind == "dc" else "rft.au"
    for person in work.authors:
        fields.append((author, person.sorted) if person.given or kind == "dc" else ("rft.aucorp", person.family))
    date = citing.date_parts(work)
    if date:
        fields.append(("rft.date", "-".join(f"{part:02}" for part in date)))
    pairs = [("volume", "volume"), ("number", "issue"), ("series", "series"), ("publisher", "pub"),
             ("institution", "pub"), ("school", "inst")]  # fmt: skip
    if kind != "dc":
        fields += [(f"rft.{name}", value) for field, name in pairs if (value := work.text(field))]
    if pages := work.text("pages"):
        first, _, last = pages.partition("–")
        fields += [("rft.spage", first), *([("rft.epage", last)] if last else [])]
    fields += [("rft_id", f"info:doi/{work.doi}")] if work.doi else []
    fields += [("rft_id", work.url)] if work.url else []
    fields = [("ctx_ver", "Z39.88-2004"), ("rft_val_fmt", f"info:ofi/fmt:kev:mtx:{kind}"), *fields]
    return urlencode(fields, quote_via=quote)


def box(work: Work, base: str) -> dict[str, Any]:
    """What a page shows to cite `work`: a line of text, BibTeX, and the files that begin with `base`."""
    return {
        "text": citing.format(work, "text").strip(), "bibtex": citing.format(work, "bibtex"),
        "forms": [{"address": f"{base}.{end}", "label": label} for end, _, label in FORMS],
    }  # fmt: skip


def entry_box(site: Site, entry: Entry) -> dict[str, Any]:
    """As `box`, for the zoo's own entry."""
    return box(citing.entry_as_work(entry.algorithm, site.zoo), f"algorithms/{entry.id}.entry")


def files(site: Site) -> dict[str, str]:
    """Every file of records: of one work, an entry's paper, an entry, a family, a survey, and all; in three formats."""
    bibliography = site.catalog.bibliography
    lists = {
        "bibliography": list(bibliography.values()),
        "algorithms": [bibliography[key] for key in sorted({e.work.key for e in site.entries.values() if e.work})],
        **{f"bibliography/{key}": [work] for key, work in bibliography.items()},
        **{f"algorithms/{entry.id}": [entry.work] for entry in site.entries.values() if entry.work},
        **{f"algorithms/{entry.id}.entry": [citing.entry_as_work(entry.algorithm, site.zoo)]
           for entry in site.entries.values()},
        **{f"families/{name}": citing.of_family(site.catalog, name) for name in site.families},
        **{f"surveys/{key}": citing.of_survey(site.catalog, key) for key in site.surveys},
        ZOO: [citing.zoo_as_work(site.zoo)],
    }  # fmt: skip
    return {f"{base}.{end}": citing.format_all(works, form) for base, works in lists.items() for end, form, _ in FORMS}
