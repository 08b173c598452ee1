"""references.bib: what is refused, what is decoded, and that its written form never drifts."""

from __future__ import annotations

import pytest

from catalog.bibliography import Person, bibtex, canonical, library, parse, people, plain, read
from catalog.citing import format_all

GOOD = "@article{ada2020first,\n  title = {T},\n  author = {Ada, A.},\n  journal = {J},\n  year = {2020},\n}\n"


@pytest.fixture(scope="module")
def works(real):
    found, problems = read(real / "references.bib")
    assert problems == []
    return found


def test_real_file_is_canonical(works, real) -> None:
    text = (real / "references.bib").read_text(encoding="utf-8")
    assert canonical(works) == text, "run `python -m catalog.tidy`"


def test_keys_never_change(works, real) -> None:
    """A key that once was published stays, for people have it in their papers. New keys are added to the list."""
    kept = (real.parent / "tests" / "catalog" / "keys.txt").read_text(encoding="utf-8").split()
    assert kept == sorted(set(kept)), "keys.txt is sorted and has each key once"
    assert set(kept) <= set(works), f"keys that people have in their papers are gone: {set(kept) - set(works)}"
    assert set(works) <= set(kept), f"add to tests/catalog/keys.txt: {sorted(set(works) - set(kept))}"


def test_records_read_back(works) -> None:
    """Every exported record is one that bibtexparser itself takes without a fault, with our fields gone."""
    text = format_all(works.values(), "bibtex")
    back = library(text)
    assert back.failed_blocks == []
    assert {entry.key for entry in back.entries} == set(works)
    assert not any(field.key.startswith("zoo_") for entry in back.entries for field in entry.fields)
    again, problems = parse(text)
    assert problems == []
    assert {key: (work.title, work.authors, work.year) for key, work in again.items()} == {
        key: (work.title, work.authors, work.year) for key, work in works.items()
    }


def test_no_latex_is_left_in_plain_text(works) -> None:
    for work in works.values():
        for text in (work.title, work.container or "", *(person.full for person in work.authors)):
            assert not set(text) & set("\\{}$"), f"{work.key}: {text}"


def test_exported_records_are_ascii(works) -> None:
    assert format_all(works.values(), "bibtex").isascii()


@pytest.mark.parametrize(
    ("text", "line", "key", "message", "close"),
    [
        (GOOD.replace("@article", "@articel"), 1, "ada2020first", "not an entry type", "article"),
        (GOOD.replace("ada2020first", "AdaFirst"), 1, "AdaFirst", "not a key", None),
        (GOOD.replace("journal", "jurnal"), 1, "ada2020first.journal", "the field is missing", None),
        (GOOD.replace("  year = {2020},\n", ""), 1, "ada2020first.year", "the field is missing", None),
        (GOOD.replace("{2020}", "{20}"), 5, "ada2020first.year", "not a year", None),
        (GOOD.replace("{T}", "{}"), 2, "ada2020first.title", "the field is empty", None),
        (GOOD.replace("{T}", "tee"), 2, "ada2020first.title", "a macro", None),
        (GOOD.replace("year =", "title = {U},\n  year ="), 5, "ada2020first.title", "the field stands twice", None),
        (GOOD.replace("}\n", "  doi = {https://doi.org/10.1/x},\n}\n"), 6, "ada2020first.doi", "not a DOI", None),
        (GOOD.replace("}\n", "  eprint = {2210.17323v2},\n  archivePrefix = {arXiv},\n}\n"), 6, "ada2020first.eprint",
         "not an arXiv id", None),
        (GOOD.replace("}\n", "  eprint = {2210.17323},\n}\n"), 1, "ada2020first.archiveprefix",
         "an eprint without its archive", None),
        (GOOD.replace("}\n", "  url = {example.org},\n}\n"), 6, "ada2020first.url", "not a web address", None),
        (GOOD.replace("}\n", "  zoo_role = {algoritm},\n}\n"), 6, "ada2020first.zoo_role", "not a role", "algorithm"),
        (GOOD + GOOD, 7, "ada2020first", "the key stands twice", None),
        ("@string{j = {J}}\n" + GOOD, 1, "", "a macro or preamble", None),
        (GOOD + GOOD.replace("ada", "bea").replace("{T}", "{T"), 7, "", "this is not BibTeX", None),
    ],
)  # fmt: skip
def test_faults_are_found_where_they_are(text: str, line: int, key: str, message: str, close: str | None) -> None:
    _, problems = parse(text, "r.bib")
    assert problems, "nothing was found"
    found = [problem for problem in problems if problem.message.startswith(message)]
    assert found, "\n".join(map(str, problems))
    assert (found[0].file, found[0].line, found[0].key, found[0].nearest) == ("r.bib", line, key, close)
    assert found[0].expected


def test_unknown_field_gets_the_nearest_one() -> None:
    _, problems = parse(GOOD.replace("journal", "jurnal"))
    assert any(problem.key == "ada2020first.jurnal" and problem.nearest == "journal" for problem in problems)


@pytest.mark.parametrize(
    ("name", "value"), [("eprint", "2001.00001"), ("doi", "10.1000/ONE"), ("title", "One, a first work")]
)
def test_two_records_of_one_work(zoo, name: str, value: str) -> None:
    extra = f"  {name} = {{{value}}},\n" + ("  archivePrefix = {arXiv},\n" if name == "eprint" else "")
    text = "@misc{copy2023one,\n  author = {X, Y},\n  year = {2023},\n" + extra
    text += "" if name == "title" else "  title = {Another Title},\n"
    zoo.bibliography.write_text(zoo.bibliography.read_text() + "\n" + text + "}\n")
    problem = zoo.only_problem()
    assert problem.message == f"also the {name} of `first2020one` (line 3)"
    assert problem.line == zoo.line(zoo.bibliography, "copy2023one")


@pytest.mark.parametrize(
    ("latex", "text"),
    [
        ("{OPTQ}: Accurate", "OPTQ: Accurate"), (r"Nordstr{\"o}m", "Nordström"), (r"Nystr{\"{o}}m", "Nyström"),
        (r"{\.Z}ak", "Żak"), (r"Fran{\c{c}}ois", "François"), (r"Wo{\'z}niak", "Woźniak"), (r"R\&D 90\%", "R&D 90%"),
        (r"{PanGu}-$\pi$", "PanGu-π"), (r"{$L_0$} norm", "L_0 norm"), ("12--34", "12–34"), ("a~b", "a b"),
    ],
)  # fmt: skip
def test_latex_to_text(latex: str, text: str) -> None:
    assert plain(latex) == text


def test_names_in_every_way_of_bibtex() -> None:
    assert people("van der Ouderaa, Tycho F. A. and {The ML Team} and Donald E. Knuth and King, Jr., Martin") == [
        Person(family="Ouderaa", given="Tycho F. A.", particle="van der"),
        Person(family="The ML Team"),
        Person(family="Knuth", given="Donald E."),
        Person(family="King", given="Martin", suffix="Jr."),
    ]
    assert [person.family for person in people("{Ben Zaken}, Elad and Le Scao, Teven")] == ["Ben Zaken", "Le Scao"]


def test_unconfirmed_facts_are_left_out_or_named(works) -> None:
    left_out = works["graves2012long"]
    assert left_out.unconfirmed == ["venue: Book chapter (Springer)"]
    assert "Springer" not in bibtex(left_out) and "note" not in left_out.fields
    named = works["liu2024learning"]
    assert "authors" in named.unconfirmed
    assert "note   = {not confirmed: authors}" in bibtex(named)


def test_names_of_the_field_and_of_the_record(works) -> None:
    gptq = works["frantar2023optq"]
    assert (gptq.name, gptq.slug, gptq.role, gptq.arxiv, gptq.year) == ("GPTQ", "gptq", "algorithm", "2210.17323", 2023)
    assert gptq.title.startswith("OPTQ:") and gptq.other_titles[0].startswith("GPTQ:") and "OPTQ" in gptq.aliases
    assert gptq.venue == "ICLR 2023" and gptq.code == "IST-DASLab/gptq" and gptq.first_public == "2022-10"
    assert works["wu2023adkd"].anthology == "2023.acl-long.471"
