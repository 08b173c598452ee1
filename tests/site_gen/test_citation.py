"""What reference managers get from the site: tags, spans, records on the page, files to download."""

from __future__ import annotations

import json
import re
from html import unescape
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote

import markdown
import pytest
import rispy

from catalog import citing
from catalog.bibliography import Work, parse, read
from site_gen.build import ROOT as REAL
from site_gen.emit import citation, highlight
from tests.site_gen.test_build import elements


class Shown(HTMLParser):
    """The text of the elements whose id begins with `bibtex`, as a reader sees and copies it."""

    def __init__(self) -> None:
        super().__init__()
        self.found: dict[str, str] = {}
        self._box: str | None = None
        self._inside: str | None = None

    def handle_starttag(self, tag, attrs):
        identifier = dict(attrs).get("id") or ""
        if identifier.startswith("bibtex"):
            self._box = identifier
        elif tag == "pre" and self._box:
            self._inside = self._box
            self.found[self._inside] = ""

    def handle_endtag(self, tag):
        if tag == "pre":
            self._box = self._inside = None

    def handle_data(self, data):
        if self._inside:
            self.found[self._inside] += data


def shown(page: Path | str) -> dict[str, str]:
    parser = Shown()
    parser.feed(page.read_text(encoding="utf-8") if isinstance(page, Path) else page)
    return parser.found


def boxed(bibtex: str) -> str:
    """A record as a page has it before Markdown."""
    coloured = highlight.code(bibtex, "bibtex")
    return f'<div class="zoo">\n<div id="bibtex"><pre><code>{coloured}</code></pre></div>\n</div>'


def work(kind: str = "misc", **fields: str) -> Work:
    return Work(key="some2020work", type=kind, fields={"title": "T", "author": "A, B", "year": "2020", **fields})


@pytest.fixture(scope="module")
def real() -> dict[str, Work]:
    return read(REAL / "catalog" / "references.bib")[0]


# --- the record on the page ----------------------------------------------------------------------------------------


def test_the_record_on_a_page_is_the_record(built, site):
    """BibTeX -> our model -> page -> what a reader copies -> the same record."""
    for key, view in site.works.items():
        copied = shown(built[0] / f"works/{key}/index.html")["bibtex"]
        assert f"{copied}\n" == citing.format(view.work, "bibtex")
    for entry in site.entries.values():
        records = shown(built[0] / f"algorithms/{entry.id}/index.html")
        assert f"{records['bibtex']}\n" == citing.format(entry.work, "bibtex")
        own = citing.format(citing.entry_as_work(entry.algorithm, site.zoo), "bibtex")
        assert f"{records['bibtex-entry']}\n" == own


def test_no_record_is_changed_by_colours_and_markdown(real):
    """All real records through the same steps as on a page: coloured, in raw HTML, through Markdown."""
    converter = markdown.Markdown(extensions=["attr_list", "toc"])
    for key, one in real.items():
        bibtex = citing.format(one, "bibtex")
        copied = shown(converter.reset().convert(boxed(bibtex)))["bibtex"]
        assert f"{copied}\n" == bibtex, key
        again, problems = parse(copied)
        assert problems == [] and again[key].fields == parse(bibtex)[0][key].fields


@pytest.mark.parametrize(
    "title", [r"A {\&} B \& C\_{x}", r"$a_b < c^2$ and \{x\}", r"<b>\&amp;</b> {</code>}", "Ünïcode 李 – “q”",
              r"*not* `marked` [a](b) {{ x }} {\% y \%}"]
)  # fmt: skip
def test_hostile_records_on_a_page(title: str):
    bibtex = citing.format(work(title=title), "bibtex")
    assert shown(markdown.markdown(boxed(bibtex), extensions=["attr_list", "toc"]))["bibtex"] + "\n" == bibtex


def test_the_entry_says_its_version_and_its_day(site, repository):
    """The synthetic repository is no git repository, so no day is claimed."""
    assert site.zoo.changes == {}
    box = citation.entry_box(site, site.entries["plain"])
    assert "version " in box["text"] and "last changed" not in box["text"]
    assert [form["address"] for form in box["forms"]] == [
        "algorithms/plain.entry.bib", "algorithms/plain.entry.ris", "algorithms/plain.entry.csl.json"]


# --- files ---------------------------------------------------------------------------------------------------------


def test_every_file_holds_the_works_that_it_should(built, site):
    out, works = built[0], {key: view.work for key, view in site.works.items()}
    catalog = site.catalog
    expected = {
        "bibliography": list(works),
        "algorithms": sorted({entry.work.key for entry in site.entries.values()}),
        "families/quantization": [one.key for one in citing.of_family(catalog, "quantization")],
        "surveys/survey2024": [one.key for one in citing.of_survey(catalog, "survey2024")],
        "algorithms/plain": ["white2019first"],
        "algorithms/plain.entry": [citing.entry_as_work(site.entries["plain"].algorithm, site.zoo).key],
        "bibliography/black2020second": ["black2020second"],
        "compression-zoo": ["compressionzoo"],
    }
    assert expected["families/quantization"] and expected["surveys/survey2024"]
    for base, keys in expected.items():
        bib, ris, csl = ((out / f"{base}.{end}").read_text(encoding="utf-8") for end in ("bib", "ris", "csl.json"))
        assert re.findall(r"^@\w+\{([^,]+),", bib, re.MULTILINE) == keys
        assert [record["id"] for record in rispy.loads(ris)] == keys
        assert [item["id"] for item in json.loads(csl)] == keys


def test_pages_lead_to_their_files(built):
    out = built[0]
    wanted = {
        "families/quantization": ("families/quantization", "../{}"),
        "algorithms/plain": ("algorithms/plain.entry", "../{}"),
        "bibliography": ("bibliography", "../{}"),
        "algorithms": ("algorithms", "../{}"),
        "cite": ("compression-zoo", "../{}"),
    }
    for page, (base, _) in wanted.items():
        hrefs = [a.get("href") or "" for tag, a in elements(out / page / "index.html").tags if tag == "a"]
        targets = {(out / page / href).resolve() for href in hrefs if "://" not in href}
        for end in ("bib", "ris", "csl.json"):
            assert (out / f"{base}.{end}").resolve() in targets, (page, end)


# --- tags ----------------------------------------------------------------------------------------------------------


def tags(one: Work) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for name, content in citation.highwire(one):
        found.setdefault(name, []).append(content)
    return found


def test_tags_of_every_real_work(real):
    """Google Scholar asks for a title, an author or more, and a date that begins with the year; Zotero for the rest."""
    for one in real.values():
        found = tags(one)
        assert found["citation_title"] == [one.title] and len(found["citation_author"]) == len(one.authors)
        assert re.fullmatch(r"\d{4}(/\d\d)?", found["citation_publication_date"][0])
        assert found["citation_publication_date"][0].startswith(str(one.year))
        kinds = [name for name in found if name in (
            "citation_journal_title", "citation_conference_title", "citation_inbook_title",
            "citation_technical_report_institution", "citation_dissertation_institution")]
        assert len(kinds) == (one.type != "misc"), one.key
        assert all(len(values) == 1 for name, values in found.items() if name != "citation_author")
        assert all(value.strip() == value and value for values in found.values() for value in values)


def test_tags_by_kind_of_publication():
    paper = tags(work("inproceedings", booktitle="P", pages="3--9", series="S", publisher="X", volume="1"))
    assert (paper["citation_conference_title"], paper["citation_firstpage"], paper["citation_lastpage"]) == (
        ["P"], ["3"], ["9"])
    assert (paper["citation_series_title"], paper["citation_volume"]) == (["S"], ["1"])
    assert tags(work("article", journal="J", number="2"))["citation_journal_title"] == ["J"]
    assert tags(work("incollection", booktitle="B"))["citation_inbook_title"] == ["B"]
    assert tags(work("techreport", institution="I"))["citation_technical_report_institution"] == ["I"]
    assert tags(work("phdthesis", school="U"))["citation_dissertation_institution"] == ["U"]
    assert tags(work(month="11"))["citation_publication_date"] == ["2020/11"]
    assert "citation_lastpage" not in tags(work("article", journal="J", pages="7"))


def test_authors_in_tags_cannot_be_taken_for_two():
    """Zotero splits a lone `Family Name, Given Name` at the comma where both sides have a space."""
    assert tags(work(author="van der Berg, Anna Bo"))["citation_author"] == ["Anna Bo van der Berg"]
    assert tags(work(author="van der Berg, Anna"))["citation_author"] == ["van der Berg, Anna"]
    assert tags(work(author="van der Berg, Anna Bo and Lee, C."))["citation_author"] == [
        "van der Berg, Anna Bo", "Lee, C."]
    assert tags(work(author="{The ML Team}"))["citation_author"] == ["The ML Team"]
    assert len(tags(work(author="A, B and others"))["citation_author"]) == 1


# --- spans ---------------------------------------------------------------------------------------------------------


def zotero(title: str) -> dict:
    """What Zotero makes of a context object: the parts of its parseContextObject that our spans reach."""
    pairs = [part.split("=") for part in title.split("&")]
    values = [(name, unquote(re.sub(r"\+|%2[bB]", " ", value))) for name, value in pairs]
    kind = dict(values)["rft_val_fmt"].removeprefix("info:ofi/fmt:kev:mtx:")
    genre = dict(values).get("rft.genre")
    item = {"journal": "journalArticle", "dissertation": "thesis", "dc": "webpage"}.get(kind) or {
        "bookitem": "bookSection", "proceeding": "conferencePaper", "report": "report"}.get(genre, "book")
    found: dict = {"creators": []}
    for name, value in values:
        part = name.removeprefix("rft.")
        if name == "rft_id":
            found["DOI" if value.startswith("info:doi/") else "url"] = value.removeprefix("info:doi/")
        elif part in ("au", "creator", "aucorp"):
            found["creators"].append(value)
        elif part == "btitle":
            found["title" if item in ("book", "report") else "container"] = value
        elif part == "atitle" or (part == "title" and item in ("webpage", "thesis")):
            found["title"] = value
        elif part in ("jtitle", "source"):
            found["container"] = value
        elif part == "type":
            item = value
        else:
            found[part] = value
    return found | {"type": item}


def test_spans_of_every_real_work(real):
    types = {"article": "journalArticle", "inproceedings": "conferencePaper", "incollection": "bookSection",
             "techreport": "report"}
    for one in real.values():
        item = zotero(citation.coins(one))
        assert item["title"] == one.title.replace("+", " "), one.key  # Zotero reads every plus as a space
        assert item["creators"] == [person.sorted for person in one.authors]
        assert item["type"] == types.get(one.type, "preprint" if one.arxiv else "webpage")
        assert (item.get("DOI"), item.get("url")) == (one.doi, one.url)
        assert item["date"].startswith(str(one.year)) and item.get("volume") == one.text("volume")
        if one.container:
            assert item["container"] == one.container.replace("+", " ")
        pages = "–".join(filter(None, [item.get("spage"), item.get("epage")]))
        assert pages == (one.text("pages") or "")


def test_spans_by_kind_of_publication():
    thesis = zotero(citation.coins(work("phdthesis", school="U & V", title="A = B & C; ü")))
    assert (thesis["type"], thesis["title"], thesis["inst"]) == ("thesis", "A = B & C; ü", "U & V")
    book = zotero(citation.coins(work("book", publisher="P", author="{The ML Team}")))
    assert (book["type"], book["title"], book["pub"], book["creators"]) == ("book", "T", "P", ["The ML Team"])
    report = zotero(citation.coins(work("techreport", institution="I")))
    assert (report["type"], report["title"], report["pub"]) == ("report", "T", "I")
    preprint = zotero(citation.coins(work(eprint="2001.00001")))
    assert (preprint["type"], preprint["container"]) == ("preprint", "arXiv")
    assert zotero(citation.coins(work(howpublished="GitHub")))["container"] == "GitHub"


def spans(path: Path) -> list[str]:
    return [unescape(a["title"]) for tag, a in elements(path).tags
            if tag == "span" and "Z3988" in (a.get("class") or "").split()]


def has_tags(path: Path) -> bool:
    return any(tag == "meta" and (a.get("name") or "").startswith("citation_") for tag, a in elements(path).tags)


def test_tags_on_pages_of_one_work_and_spans_on_lists_only(built, site):
    """Zotero asks for spans first; one on a page with tags would hide them."""
    out = built[0]
    for path in out.rglob("index.html"):
        assert not (has_tags(path) and spans(path)), path
        one = path.relative_to(out).parts[:-1]
        single = len(one) == 2 and (one[0] == "works" or (one[0] == "algorithms" and one[1] in site.entries))
        assert has_tags(path) == single, path
    titles = {zotero(title)["title"] for title in spans(out / "bibliography/index.html")}
    assert titles == {view.work.title for view in site.works.values()}
    assert {zotero(title)["title"] for title in spans(out / "algorithms/index.html")} == {
        entry.work.title for entry in site.entries.values()}
    family = {zotero(title)["title"] for title in spans(out / "families/quantization/index.html")}
    assert family == {one.title for one in citing.of_family(site.catalog, "quantization")}


# --- lists ---------------------------------------------------------------------------------------------------------


def test_rows_of_lists_name_their_work(built, site):
    """What cite.ts stands on: a bar that names a list on the page, rows with keys of the bibliography."""
    found = 0
    for path in built[0].rglob("index.html"):
        every = elements(path).tags
        for _, bar in [(tag, a) for tag, a in every if "data-cite" in a]:
            found += 1
            assert "hidden" in bar and any(a.get("id") == bar["data-cite"].removeprefix("#") for _, a in every), path
            keys = [a["data-work"] for _, a in every if "data-work" in a]
            assert keys and set(keys) <= set(site.works), path
    assert found >= 2
