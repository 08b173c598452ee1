"""Citations: golden records for names and titles that are easy to get wrong, in all four formats."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import rispy

from catalog import citing, release
from catalog.bibliography import Person, Work, parse, read

# Twelve real records with hard names and venues. To write the golden files anew, and then to read every line of them:
# compzoo cite KEYS --format ris > tests/catalog/golden/citations.ris
GOLDEN = Path(__file__).parent / "golden"
KEYS = (
    "vanderouderaa2024llm", "benzaken2022bitfit", "lescao2022bloom", "touvron2021training", "wang2023pangu",
    "sajjad2023effect", "tjongkimsang2003introduction", "clark2022unified", "mosaicml2021composer", "parmar2018image",
    "radford2019language", "gholami2022survey",
)  # fmt: skip

HARD = r"""
@inproceedings{wozniak2021nystrom,
  title         = {The {Nystr{\"o}m} Method for {BERT}: 90\% Fewer Weights \& Less},
  author        = {van der Wo{\'z}niak, Jos{\'e} F. A. and {Ben Zaken}, Elad and {The {ML} Team} and King, Jr., Martin},
  booktitle     = {Proceedings of {X}},
  pages         = {12--34},
  publisher     = {PMLR},
  year          = {2021},
  doi           = {10.1000/a_b},
  eprint        = {2101.00001},
  archivePrefix = {arXiv},
  url           = {https://example.org/a_b},
  zoo_name      = {Hard},
}
@article{others2020list,
  title   = {Why?},
  author  = {First, Ann and Second, Bo and others},
  journal = {Journal of Tests},
  volume  = {7},
  number  = {2},
  pages   = {5},
  year    = {2020},
}
@misc{openai2022thing,
  title           = {{Thing}},
  author          = {{OpenAI}},
  year            = {2022},
  zoo_unconfirmed = {authors; venue: web},
}
@phdthesis{stra2019bits,
  title  = {Bits},
  author = {Stra{\ss}e, S{\o}ren},
  school = {ETH Z{\"u}rich},
  year   = {2019},
  month  = {March},
}
@book{rao1984book,
  title     = {A Book},
  author    = {Rao, A.},
  edition   = {Second},
  editor    = {King, Jr., Martin},
  series    = {Lecture Notes in {X}},
  publisher = {P\&Q},
  year      = {1984},
}
@incollection{bo1999part,
  title        = {Part},
  author       = {Bo, B.},
  booktitle    = {Whole},
  editor       = {Ed, E. and van den Ed, F.},
  howpublished = {On a disk},
  publisher    = {PubCo},
  pages        = {7},
  year         = {1999},
  note         = {In French},
}
"""

BIBTEX = r"""@inproceedings{wozniak2021nystrom,
  title         = {The {Nystr{\"o}m} Method for {BERT}: 90\% Fewer Weights \& Less},
  author        = {van der Wo{\'z}niak, Jos{\'e} F. A. and {Ben Zaken}, Elad and {The {ML} Team} and King, Jr., Martin},
  booktitle     = {Proceedings of {X}},
  pages         = {12--34},
  publisher     = {PMLR},
  year          = {2021},
  doi           = {10.1000/a_b},
  eprint        = {2101.00001},
  archivePrefix = {arXiv},
  url           = {https://example.org/a_b},
}
"""

RIS = """TY  - CPAPER
ID  - wozniak2021nystrom
TI  - The Nyström Method for BERT: 90% Fewer Weights & Less
AU  - van der Woźniak, José F. A.
AU  - Ben Zaken, Elad
AU  - The ML Team
AU  - King, Martin, Jr.
PY  - 2021
T2  - Proceedings of X
C3  - Proceedings of X
SP  - 12
EP  - 34
DO  - 10.1000/a_b
PB  - PMLR
DB  - arXiv
AN  - 2101.00001
UR  - https://example.org/a_b
ER  -
"""

CSL = {
    "id": "wozniak2021nystrom",
    "type": "paper-conference",
    "title": "The Nyström Method for BERT: 90% Fewer Weights & Less",
    "author": [
        {"family": "Woźniak", "given": "José F. A.", "non-dropping-particle": "van der"},
        {"family": "Ben Zaken", "given": "Elad"},
        {"literal": "The ML Team"},
        {"family": "King", "given": "Martin", "suffix": "Jr."},
    ],
    "issued": {"date-parts": [[2021]]},
    "container-title": "Proceedings of X",
    "page": "12-34",
    "publisher": "PMLR",
    "DOI": "10.1000/a_b",
    "archive": "arXiv",
    "archive_location": "2101.00001",
    "URL": "https://example.org/a_b",
}

TEXT = (
    "José F. A. van der Woźniak, Elad Ben Zaken, The ML Team, and Martin King, Jr. 2021. The Nyström Method for BERT: "
    "90% Fewer Weights & Less. In Proceedings of X, pages 12–34. PMLR. arXiv:2101.00001. https://doi.org/10.1000/a_b\n"
)


@pytest.fixture(scope="module")
def works():
    found, problems = parse(HARD)
    assert problems == []
    return found


def test_bibtex(works) -> None:
    assert citing.format(works["wozniak2021nystrom"], "bibtex") == BIBTEX


def test_ris(works) -> None:
    lines = citing.format(works["wozniak2021nystrom"], "ris").splitlines()
    assert [line.rstrip() for line in lines] == RIS.splitlines()


def test_csl(works) -> None:
    assert json.loads(citing.format(works["wozniak2021nystrom"], "csl-json")) == [CSL]


def test_text(works) -> None:
    assert citing.format(works["wozniak2021nystrom"], "text") == TEXT
    assert citing.text(works["others2020list"]) == (
        "Ann First, Bo Second, et al. 2020. Why? Journal of Tests 7(2):5."
    )
    assert citing.text(works["openai2022thing"]) == "OpenAI. 2022. Thing. [Not confirmed: authors]"


def test_unconfirmed_authors_are_named_in_every_format(works) -> None:
    for form in citing.FORMATS:
        assert "confirmed: authors" in citing.format(works["openai2022thing"], form)
        assert "web" not in citing.format(works["openai2022thing"], form).replace("webpage", "")


def test_known_records(real) -> None:
    works, _ = read(real / "references.bib")
    assert citing.text(works["vanderouderaa2024llm"]).startswith(
        "Tycho F. A. van der Ouderaa, Markus Nagel, Mart van Baalen, and Tijmen Blankevoort. 2024. The LLM Surgeon. In "
    )
    assert citing.text(works["benzaken2022bitfit"]).startswith("Elad Ben Zaken, ")
    assert citing.csl(works["benzaken2022bitfit"])["author"][0] == {"family": "Ben Zaken", "given": "Elad"}
    record = citing.format(works["dettmers2022gpt3int8"], "bibtex")
    assert "author        = {Dettmers, Tim and Lewis, Mike and Belkada, Younes and Zettlemoyer, Luke}," in record
    assert "title         = {{GPT3.int8()}: 8-bit Matrix" in record
    assert citing.text(works["lescao2022bloom"]).startswith("Teven Le Scao et al. 2022. ")


@pytest.mark.parametrize("form", citing.FORMATS)
def test_golden_files(real, form: citing.Format) -> None:
    works, _ = read(real / "references.bib")
    written = citing.format_all([works[key] for key in KEYS], form)
    assert written == (GOLDEN / f"citations{citing.SUFFIX[form]}").read_text(encoding="utf-8")


def test_kinds_of_publications(works) -> None:
    thesis, book, part = (citing.ris(works[key]) for key in ("stra2019bits", "rao1984book", "bo1999part"))
    assert (thesis["publisher"], thesis["type_of_work"], thesis["date"]) == ("ETH Zürich", "PhD thesis", "2019/03//")
    assert (book["secondary_title"], book["edition"], book["secondary_authors"]) == (
        "Lecture Notes in X", "Second", ["King, Martin, Jr."])
    assert (part["secondary_title"], part["secondary_authors"], part["notes"]) == (
        "Whole", ["Ed, E.", "van den Ed, F."], ["In French", "On a disk"])
    assert "end_page" not in part and part["start_page"] == "7"
    thesis, book, part = (citing.csl(works[key]) for key in ("stra2019bits", "rao1984book", "bo1999part"))
    assert (thesis["type"], thesis["genre"], thesis["publisher"]) == ("thesis", "PhD thesis", "ETH Zürich")
    assert thesis["issued"] == {"date-parts": [[2019, 3]]}
    assert (book["collection-title"], book["edition"], book["publisher"]) == ("Lecture Notes in X", "Second", "P&Q")
    assert part["editor"][1] == {"family": "Ed", "given": "F.", "non-dropping-particle": "van den"}
    assert [citing.text(works[key]) for key in ("stra2019bits", "rao1984book", "bo1999part")] == [
        "Søren Straße. 2019. Bits. PhD thesis, ETH Zürich.",
        "A. Rao. 1984. A Book. Second edition. P&Q.",
        "B. Bo. 1999. Part. In E. Ed and F. van den Ed, editors, Whole, page 7. PubCo. In French.",
    ]


def test_long_and_cut_lists_of_authors() -> None:
    names = " and ".join(f"Family{n}, G." for n in range(21))
    many = Work(key="a", type="misc", fields={"title": "T", "author": names, "year": "2020"})
    assert citing.text(many) == "G. Family0 et al. 2020. T."
    assert citing.text(many, limit=21).startswith("G. Family0, G. Family1, ")
    assert len(citing.csl(many)["author"]) == len(citing.ris(many)["authors"]) == 21
    cut = Work(key="a", type="misc", fields={"title": "T", "author": "A, B and others", "year": "2020"})
    assert citing.text(cut) == "B A et al. 2020. T."
    assert citing.csl(cut)["author"] == [{"family": "A", "given": "B"}, {"literal": "others"}]
    assert citing.ris(cut)["authors"] == ["A, B", "et al."]


# --- nothing is lost -----------------------------------------------------------------------------------------------


def test_ris_of_every_work_reads_back(real) -> None:
    works, _ = read(real / "references.bib")
    back = rispy.loads(citing.format_all(works.values(), "ris"))
    assert [record["id"] for record in back] == list(works)
    for record, work in zip(back, works.values(), strict=True):
        names = [person.sorted for person in work.authors]  # no record has a suffix, which RIS puts last
        assert record["title"] == work.title
        assert record["authors"][: len(names)] == names
        assert (len(record["authors"]) == len(names)) == work.authors_complete
        pages = "–".join(filter(None, [record.get("start_page"), record.get("end_page")]))
        assert (record["year"], record.get("doi"), record.get("accession_number"), pages or None) == (
            str(work.year), work.doi, work.arxiv, work.text("pages"))
        assert record.get("urls", [None])[0] == work.url
        for field, name in (("volume", "volume"), ("number", "number"), ("series", "tertiary_title")):
            assert record.get(name) == work.text(field), (work.key, field)
        assert record.get("secondary_title") == (work.container or work.text("howpublished"))
        assert record.get("publisher") == (work.text("publisher") or work.text("institution"))


def test_csl_of_every_work_reads_back(real) -> None:
    works, _ = read(real / "references.bib")
    back = json.loads(citing.format_all(works.values(), "csl-json"))
    assert [item["id"] for item in back] == list(works)
    for item, work in zip(back, works.values(), strict=True):
        people = [
            Person(family=name.get("family") or name["literal"], given=name.get("given", ""),
                   particle=name.get("non-dropping-particle", ""), suffix=name.get("suffix", ""))
            for name in item["author"] if name != {"literal": "others"}
        ]  # fmt: skip
        assert people == work.authors and (len(people) == len(item["author"])) == work.authors_complete
        assert (item["title"], item["issued"]["date-parts"][0][0]) == (work.title, work.year)
        assert (item.get("DOI"), item.get("URL"), item.get("archive_location")) == (work.doi, work.url, work.arxiv)
        assert item.get("page", "") == (work.text("pages") or "").replace("–", "-")
        pairs = (("volume", "volume"), ("issue", "number"), ("collection-title", "series"))
        assert [item.get(name) for name, _ in pairs] == [work.text(field) for _, field in pairs]
        assert item.get("container-title") == (work.container or work.text("howpublished"))


def test_text_of_every_work_is_one_line_with_all_that_matters(real) -> None:
    works, _ = read(real / "references.bib")
    lines = citing.format_all(works.values(), "text").splitlines()
    assert len(lines) == len(works)
    for line, work in zip(lines, works.values(), strict=True):
        assert line.startswith(work.authors[0].full) and f" {work.year}. {work.title}" in line
        assert ".." not in line and "  " not in line and (work.doi or work.url or "") in line
        assert all(part in line for part in (work.container, work.arxiv, work.text("pages")) if part)


# --- the zoo itself ------------------------------------------------------------------------------------------------


def made(zoo, **changes: str) -> release.Zoo:
    authors = (Person(family="The Zoo & Co"), Person(family="Lee", given="B."))
    found = release.Zoo(zoo.repository, "Compression Zoo", authors, "1.2", "2026-01-31", "https://example.org/zoo")
    found.__dict__["changes"] = changes
    return found


def test_citation_of_the_entry_itself(zoo) -> None:
    entry = zoo.read()[0].algorithms["alpha"].model_copy(update={"name": "Al_pha & Ü"})
    work = citing.entry_as_work(entry, made(zoo, **{entry.file: "2026-11-21"}))
    assert citing.format(work, "bibtex") == r"""@misc{compressionzoo2026alpha,
  title        = {{Al\_pha \& \"U}},
  author       = {{The Zoo \& Co} and Lee, B.},
  howpublished = {Compression Zoo, version 1.2},
  year         = {2026},
  url          = {https://example.org/zoo/algorithms/alpha/},
  note         = {Entry alpha, last changed 2026-11-21},
}
"""
    assert parse(citing.format(work, "bibtex"))[1] == []
    assert citing.csl(work) == {
        "id": "compressionzoo2026alpha", "type": "webpage", "title": "Al_pha & Ü",
        "author": [{"literal": "The Zoo & Co"}, {"family": "Lee", "given": "B."}],
        "issued": {"date-parts": [[2026, 11, 21]]}, "container-title": "Compression Zoo", "version": "1.2",
        "URL": "https://example.org/zoo/algorithms/alpha/", "note": "Entry alpha, last changed 2026-11-21",
    }  # fmt: skip
    assert citing.format(work, "ris").splitlines()[:8] == [
        "TY  - ELEC", "ID  - compressionzoo2026alpha", "TI  - Al_pha & Ü", "AU  - The Zoo & Co", "AU  - Lee, B.",
        "PY  - 2026", "DA  - 2026/11/21/", "T2  - Compression Zoo",
    ]  # fmt: skip
    assert "N1  - Version 1.2" in citing.format(work, "ris")
    assert citing.text(work) == (
        "The Zoo & Co and B. Lee. 2026. Al_pha & Ü. Compression Zoo, version 1.2. Entry alpha, last changed "
        "2026-11-21. https://example.org/zoo/algorithms/alpha/"
    )


def test_an_entry_without_a_day_or_an_address(zoo) -> None:
    entry = zoo.read()[0].algorithms["alpha"]
    work = citing.entry_as_work(entry, made(zoo))
    assert work.fields["note"] == "Entry alpha" and work.year == 2026 and work.day == ""
    assert citing.csl(work)["issued"] == {"date-parts": [[2026]]} and "date" not in citing.ris(work)
    bare = citing.entry_as_work(entry, release.Zoo(zoo.repository, "Z", (Person(family="X"),), ""))
    assert citing.text(bare) == "X. Alpha. Z. Entry alpha."
    assert "issued" not in citing.csl(bare) and "year" not in citing.ris(bare)


def test_citation_of_the_whole_zoo(zoo) -> None:
    work = citing.zoo_as_work(made(zoo))
    assert work.key == "compressionzoo" and parse(citing.format(work, "bibtex").replace("zoo,", "zoo2026,"))[1] == []
    assert citing.csl(work)["type"] == "dataset" and citing.ris(work)["type_of_reference"] == "DATA"
    assert citing.text(work) == "The Zoo & Co and B. Lee. 2026. Compression Zoo. Version 1.2. https://example.org/zoo"


def test_works_of_a_family_and_of_a_survey(zoo) -> None:
    catalog = zoo.read()[0]
    keys = {node: [work.key for work in citing.of_family(catalog, node)]
            for node in ("quantization", "quantization/granularity", "pruning")}  # fmt: skip
    assert keys == {
        "quantization": ["first2020one", "second2021two"], "quantization/granularity": ["second2021two"],
        "pruning": ["third2022three"],
    }  # fmt: skip
    assert [work.key for work in citing.of_survey(catalog, "third2022")] == ["first2020one"]
    zoo.edit(zoo.root / "surveys" / "third2022.yml", "read: full text, says", "read: recalled, says")
    assert citing.of_survey(zoo.read()[0], "third2022") == []
    zoo.edit(zoo.beta, "family: quantization/error-compensation",
             "family: quantization/error-compensation\nalso_in: [pruning/magnitude]")
    assert [work.key for work in citing.of_family(zoo.read()[0], "pruning")] == ["second2021two", "third2022three"]


def test_unknown_format(works) -> None:
    with pytest.raises(ValueError, match="bibtex, ris, csl-json, text"):
        citing.format(works["others2020list"], "endnote")
