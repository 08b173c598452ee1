"""Citations: golden records for names and titles that are easy to get wrong, in all four formats."""

from __future__ import annotations

import json

import pytest
import rispy

from catalog import citing
from catalog.bibliography import parse, read

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
SP  - 12
EP  - 34
PB  - PMLR
DO  - 10.1000/a_b
UR  - https://example.org/a_b
N1  - arXiv:2101.00001
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
    "page": "12–34",
    "publisher": "PMLR",
    "DOI": "10.1000/a_b",
    "archive": "arXiv",
    "archive_location": "2101.00001",
    "URL": "https://example.org/a_b",
}

TEXT = (
    "José F. A. van der Woźniak, Elad Ben Zaken, The ML Team, and Martin King, Jr. 2021. The Nyström Method for BERT: "
    "90% Fewer Weights & Less. In Proceedings of X, pages 12–34. arXiv:2101.00001. https://doi.org/10.1000/a_b\n"
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
    assert citing.text(works["lescao2022bloom"]).startswith("Teven Le Scao, Angela Fan, ")


def test_every_work_in_every_format(real) -> None:
    works, _ = read(real / "references.bib")
    ris = rispy.loads(citing.format_all(works.values(), "ris"))
    assert [record["title"] for record in ris] == [work.title for work in works.values()]
    csl = json.loads(citing.format_all(works.values(), "csl-json"))
    assert [item["id"] for item in csl] == list(works)
    assert len(citing.format_all(works.values(), "text").splitlines()) == len(works)


def test_citation_of_the_entry_itself(zoo) -> None:
    entry = zoo.read()[0].algorithms["alpha"]
    record = citing.format(entry, "bibtex", base_url="https://example.org/zoo/", year=2026)
    works, problems = parse(record)
    assert problems == []
    work = works["compressionzoo2026alpha"]
    assert (work.title, work.url) == ("Alpha", "https://example.org/zoo/algorithms/alpha/")
    assert work.authors[0].full == "Compression Zoo contributors"
    assert "url" not in citing.format(entry, "bibtex", year=2026)


def test_unknown_format(works) -> None:
    with pytest.raises(ValueError, match="bibtex, ris, csl-json, text"):
        citing.format(works["others2020list"], "endnote")
