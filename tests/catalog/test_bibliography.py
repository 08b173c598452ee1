"""references.bib: what is refused, what is decoded, and that its written form never drifts."""

from __future__ import annotations

import random
import re

import pytest

from catalog.bibliography import OWN, STANDARD, TYPES, Person, Work, bibtex, canonical, library, parse, people, plain
from catalog.bibliography import read as read_file
from catalog.citing import format_all

GOOD = "@article{ada2020first,\n  title = {T},\n  author = {Ada, A.},\n  journal = {J},\n  year = {2020},\n}\n"


@pytest.fixture(scope="module")
def works(real):
    found, problems = read_file(real / "references.bib")
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
        (GOOD.replace("{T}", "{A} # {B}"), 2, "ada2020first.title", "a macro", None),
        (GOOD.replace("{T}", '"A" # jan'), 2, "ada2020first.title", "a macro", None),
        (GOOD.replace("{J}", "{R&D}"), 4, "ada2020first.journal", "a sign that LaTeX takes for a command", None),
        (GOOD.replace("{T}", "{50% of $a_b$}"), 2, "ada2020first.title", "a sign that LaTeX takes", None),
        (GOOD.replace("{T}", "{a_b}"), 2, "ada2020first.title", "a sign that LaTeX takes", None),
        (GOOD.replace("{T}", r"{The \LaTeX}"), 2, "ada2020first.title", "a LaTeX command that cannot be shown", None),
        (GOOD.replace("{T}", r"{\emh{T}}"), 2, "ada2020first.title", "a LaTeX command that cannot", "emph"),
        (GOOD.replace("{T}", r"{a \{ b}"), 2, "ada2020first.title", "braces that do not balance", None),
        (GOOD.replace("Ada, A.", "A, B, C, D"), 3, "ada2020first.author", "not a name", None),
        (GOOD.replace("Ada, A.", "Ada,"), 3, "ada2020first.author", "not a name", None),
        (GOOD.replace("Ada, A.", ", A."), 3, "ada2020first.author", "a name without a family name", None),
        (GOOD.replace("Ada, A.", "A, B and and C, D"), 3, "ada2020first.author", "an `and` too many", None),
        (GOOD.replace("Ada, A.", "others and Ada, A."), 3, "ada2020first.author", "`others` not at the end", None),
    ],
)  # fmt: skip
def test_faults_are_found_where_they_are(text: str, line: int, key: str, message: str, close: str | None) -> None:
    _, problems = parse(text, "r.bib")
    assert problems, "nothing was found"
    found = [problem for problem in problems if problem.message.startswith(message)]
    assert found, "\n".join(map(str, problems))
    assert (found[0].file, found[0].line, found[0].key, found[0].nearest) == ("r.bib", line, key, close)
    assert found[0].expected


@pytest.mark.parametrize(
    "value", [r"R\&D, 5\% of $a_b^{c} \& d$ \#1", r"S{\o}ren \'{\i} \ss{} x~y", '{A {"} B}', "Band, Andy"]
)
def test_right_latex_is_no_fault(value: str) -> None:
    assert parse(GOOD.replace("{T}", f"{{{value}}}"))[1] == []


@pytest.mark.parametrize("author", ["Band, Andy", "{A and B} and Ada, A.", "Sandoval, B. and others", "{3M}"])
def test_right_names_are_no_fault(author: str) -> None:
    assert parse(GOOD.replace("Ada, A.", author))[1] == []


@pytest.mark.parametrize(
    ("name", "value"), [("year", "in press"), ("author", "A, B, C, D"), ("title", "50% \\LaTeX"), ("doi", "ten")]
)
def test_a_broken_record_breaks_nothing_else(zoo, name: str, value: str) -> None:
    """The problem is reported in its line; the rules that look at the record do not fall over it."""
    text = zoo.bibliography.read_text(encoding="utf-8")
    text = re.sub(rf"(?m)^(  {name} +=) .*$", lambda match: f"{match[1]} {{{value}}},", text, count=1)
    zoo.bibliography.write_text(text, encoding="utf-8")
    line = zoo.line(zoo.bibliography, f"{{{value}}}")
    assert {(problem.line, problem.key) for problem in zoo.problems} == {(line, f"first2020one.{name}")}


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
        (r"{\"u}\"u", "üü"), (r"S{\o}ren \O rsted", "Søren Ørsted"), (r"Stra{\ss}e", "Straße"),
        (r"Mart\'{\i}n", "Martín"), (r"Mart{\'\i}n", "Martín"),
        (r"na{\"\i}ve", "naïve"), (r"Erd{\H{o}}s", "Erdős"), (r"{\L}ukasz", "Łukasz"),
        (r"\v{S}koda", "Škoda"), (r"S{\k a}siada", "Sąsiada"), (r"{\~n}", "ñ"), (r"\=o \u{g} \d{a}", "ō ğ ạ"),
        (r"Nguy{\~{\^e}}n", "Nguyễn"), (r"{\AA}ngstr{\"o}m", "Ångström"), (r"{\ae}on \OE uvre", "æon Œuvre"),
        (r"a --- b -- c \& d", "a — b – c & d"), ("``q'' it", "“q” it"), (r"\emph{Z}ip \textit{x}", "Zip x"),
        (r"C\# \_ \$5 \{x\}", "C# _ $5 {x}"), (r"$k$-{NN}, $2\times$", "k-NN, 2×"), ("李 明", "李 明"),
        (r"李 \& Ж", "李 & Ж"), (r"{{GPT3.int8()}: 8-bit}", "GPT3.int8(): 8-bit"), (r"$\ell_1$ $\sim$4", "ℓ_1 ∼4"),
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
    assert people(r"Alayrac, Jean-Baptiste and {Barnes and Noble} and {\O}rsted, S{\o}ren and de Las Casas, Diego") == [
        Person(family="Alayrac", given="Jean-Baptiste"),
        Person(family="Barnes and Noble"),
        Person(family="Ørsted", given="Søren"),
        Person(family="Las Casas", given="Diego", particle="de"),
    ]
    assert people("Ludwig van Beethoven and 李, 明 and Tjong Kim Sang, Erik F.") == [
        Person(family="Beethoven", given="Ludwig", particle="van"),
        Person(family="李", given="明"),
        Person(family="Tjong Kim Sang", given="Erik F."),
    ]


def test_unconfirmed_facts_are_left_out_or_named(works) -> None:
    left_out = works["graves2012long"]
    assert left_out.unconfirmed == ["venue: Book chapter (Springer)"]
    assert "Springer" not in bibtex(left_out) and "note" not in left_out.fields
    named = works["liu2024learning"]
    assert "authors" in named.unconfirmed
    assert "note   = {not confirmed: authors}" in bibtex(named)


@pytest.mark.parametrize(
    ("fields", "anthology"),
    [
        ({"url": "https://aclanthology.org/2023.acl-long.471/", "doi": "10.1000/x"}, "2023.acl-long.471"),
        ({"doi": "10.18653/v1/2023.findings-acl.67"}, "2023.findings-acl.67"),
        ({"doi": "10.18653/V1/2023.FINDINGS-ACL.67"}, "2023.findings-acl.67"),
        ({"doi": "10.18653/v1/p19-1032", "url": "https://doi.org/10.18653/v1/p19-1032"}, "P19-1032"),
        ({"doi": "10.3115/v1/P14-1062"}, "P14-1062"),
        ({"doi": "10.1162/tacl_a_00704"}, None),
        ({"doi": "10.18653/v1/p19"}, None),
        ({"url": "https://example.org/2023.acl-long.471"}, None),
    ],
)  # fmt: skip
def test_anthology_id(fields: dict[str, str], anthology: str | None) -> None:
    assert Work(key="x", type="misc", fields=fields).anthology == anthology


# --- BibTeX -> our model -> BibTeX --------------------------------------------------------------------------------


def fields_of(text: str) -> dict[str, tuple[str, dict[str, str]]]:
    """Key -> (type, fields) as bibtexparser itself reads them, values without their outer braces."""
    read_back = library(text)
    assert read_back.failed_blocks == []
    return {entry.key: (entry.entry_type, {field.key.lower(): str(field.value).strip()[1:-1] for field in entry.fields})
            for entry in read_back.entries}  # fmt: skip


def test_every_field_of_every_record_survives(works, real) -> None:
    """The file as bibtexparser reads it, against what our model writes, field for field; and the exported records."""
    written = fields_of((real / "references.bib").read_text(encoding="utf-8"))
    assert written == fields_of(canonical(works))
    exported = fields_of(format_all(works.values(), "bibtex"))
    for key, (kind, fields) in written.items():
        public = {name: value for name, value in fields.items() if name not in OWN}
        doubts = [fact for fact in works[key].unconfirmed if ":" not in fact]
        if doubts:
            assert exported[key][1].pop("note").endswith(f"not confirmed: {', '.join(doubts)}")
            public.pop("note", None)
        assert exported[key] == (kind, public)


PIECES = (
    "Zip", "{GPT}", "k-{NN}", r"{\"o}", r"\'{\i}", r"\&", r"\%", r"\#", r"\_", "$L_0$", r"$\alpha^2$", "12--34", "a~b",
    "--", "``q''", "{A {B} c}", "李", "ж", "=", ",", ";", "@", "(x)", "'", '"', r"{\ss}", "=>", r"a \# b", r"\{x\}",
    "-", ":",
)  # fmt: skip
NAMES = (
    "van der Berg, A. B.", "{The {ML} Team}", r"Wo{\'z}niak, Jos{\'e}", "King, Jr., Martin", "Plato", "{A and B}",
    "others",
)  # fmt: skip


def test_generated_records_survive() -> None:
    """300 records of random fields, values and names; written, read, written again."""
    draw = random.Random(20261121)
    made = {}
    for number in range(300):
        kind = draw.choice(list(TYPES))
        names = draw.sample(NAMES[:-1], draw.randint(1, 5)) + [NAMES[-1]] * draw.randint(0, 1)
        fields = {"title": "", "author": " and ".join(names), "year": str(draw.randint(1900, 2099))}
        chosen = {*TYPES[kind], "title", *draw.sample(STANDARD, 6), *draw.sample(OWN, 3)}
        for name in chosen - {"author", "year", "doi", "eprint", "archiveprefix", "url", "zoo_role", "zoo_first_public",
                              "editor", "zoo_unconfirmed"}:  # fmt: skip
            fields[name] = " ".join(draw.choices(PIECES, k=draw.randint(1, 6)))
        if draw.random() < 0.5:
            fields |= {"eprint": "2210.17323", "archiveprefix": "arXiv", "url": "https://a.org/x_y?z=%7B&w=#q~"}
        made[f"key{1000 + number}x"] = Work(key=f"key{1000 + number}x", type=kind, fields=fields)
    text = canonical(made)
    back, problems = parse(text)
    assert problems == [], "\n".join(map(str, problems[:5]))
    for key, work in made.items():
        assert (back[key].type, back[key].fields) == (work.type, work.fields)
        assert [person.full for person in back[key].authors] == [person.full for person in work.authors]
    assert canonical(back) != text and canonical(parse(canonical(back))[0]) == canonical(back)
    assert fields_of(text).keys() == made.keys()


def test_names_of_the_field_and_of_the_record(works) -> None:
    gptq = works["frantar2023optq"]
    assert (gptq.name, gptq.slug, gptq.role, gptq.arxiv, gptq.year) == ("GPTQ", "gptq", "algorithm", "2210.17323", 2023)
    assert gptq.title.startswith("OPTQ:") and gptq.other_titles[0].startswith("GPTQ:") and "OPTQ" in gptq.aliases
    assert gptq.venue == "ICLR 2023" and gptq.code == "IST-DASLab/gptq" and gptq.first_public == "2022-10"
    assert works["wu2023adkd"].anthology == "2023.acl-long.471"
