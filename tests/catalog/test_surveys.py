"""Surveys: what is wrong with a tree or a remark is said with its place; the real ones claim no more than was read."""

from __future__ import annotations

from pathlib import Path

import pytest

from catalog import Catalog, check
from catalog.survey_rules import keys, prose

FILE = "catalog/surveys/third2022.yml"
WORKS = """\
    works:
      - {work: first2020one, depth: table, read: full text, says: Rounds and repairs.}
"""
LEAF = "      - {work: first2020one, depth: table, read: full text, says: Rounds and repairs.}\n"
REMARK = "  - {text: It is short., read: full text}\n"
METRIC = "metrics:\n  - {name: Speed, kind: metric, works: [WORK], read: full text}\nsections:\n"
GROUP = "representatives:\n  - {of: Rounding, works: [WORK], read: full text}\nsections:\n"

# what is replaced, by what, text of the line to blame, key, part of the message, part of the value, nearest
CASES = {
    "a remark without its reading": (REMARK, "  - It is short.\n", "- It is short.", "special[0]",
                                     "wrong kind", "'It is short.'", None),
    "no reading": (", read: full text}\n", "}\n", "{text: It is short.}", "special[0].read", "missing", None, None),
    "misspelt reading": ("short., read: full text", "short., read: ful text", "ful text", "special[0].read",
                         "not a value", "'ful text'", "full text"),
    "recalled": ("short., read: full text", "short., read: recalled", "recalled", "special[0].read",
                 "recalled only", None, None),
    "second hand without a witness": ("short., read: full text", "short., read: secondary", "secondary",
                                      "special[0].witness", "belong together", None, None),
    "a witness of what was read": ("short., read: full text", "short., read: full text, witness: A blog.", "A blog.",
                                   "special[0].witness", "belong together", None, None),
    "misspelt field": ("short., read", "short., plaec: Table 1, read", "plaec", "special[0].plaec",
                       "unknown key", "'plaec'", "place"),
    "misspelt kind of fact": ("special:\n", "open_problem:\n" + REMARK + "special:\n", "open_problem:", "open_problem",
                              "unknown key", "'open_problem'", "open_problems"),
    "unknown family": ("family: quantization", "family: quantisation", "quantisation", "sections[0].family",
                       "not a family", "'quantisation'", "quantization"),
    "nothing in it": (WORKS, "", "title: ", "sections[0].title", "nothing in it", "'1 Quantization'", None),
    "a work twice": (LEAF, LEAF + LEAF.replace("table", "described"), "described", "sections[0].works[1].work",
                     "stands twice", "'first2020one'", None),
    "a title twice": (WORKS, WORKS + '  - title: "1 Quantization"\n    note: Again.\n', "note: Again.",
                      "sections[1].title", "stands twice", "'1 Quantization'", None),
    "unknown metric work": ("sections:\n", METRIC.replace("WORK", "frist2020one"), "Speed", "metrics[0].works[0]",
                            "no such work", "'frist2020one'", "first2020one"),
    "unknown kind of measure": ("sections:\n", METRIC.replace("kind: metric", "kind: dataset").replace(
        "WORK", "first2020one"), "dataset", "metrics[0].kind", "not a value", "'dataset'", "data set"),
    "unknown representative": ("sections:\n", GROUP.replace("WORK", "frist2020one"), "of: Rounding",
                               "representatives[0].works[0]", "no such work", "'frist2020one'", "first2020one"),
    "representative that is not filed": ("sections:\n", GROUP.replace("WORK", "second2021two"), "of: Rounding",
                                         "representatives[0].works[0]", "does not hold with evidence",
                                         "'second2021two'", None),
    "no representative": ("sections:\n", GROUP.replace("WORK", ""), "of: Rounding", "representatives[0].works",
                          "empty", None, None),
    "unknown citation in a remark": ("It is short.", '"It is short [@nobody2020x]."', "nobody2020x", "special[0].text",
                                     "no such work", "'nobody2020x'", None),
    "no rows": ("sections:\n", "tables:\n  - {name: Table 1, of: Methods, rows: 0, read: full text}\nsections:\n",
                "Table 1", "tables[0].rows", "greater than or equal to 1", None, None),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_faults_of_a_survey_are_reported_in_their_place(zoo, name: str) -> None:
    old, new, line, key, message, value, nearest = CASES[name]
    path = zoo.root / "surveys" / "third2022.yml"
    zoo.edit(path, old, new)
    problem = zoo.only_problem()
    assert (problem.file, problem.key) == (FILE, key)
    assert abs(problem.line - zoo.line(path, line)) <= 1  # the value's line, or its key's
    assert message in problem.message
    assert value is None or value in problem.value
    assert problem.nearest == nearest


def test_a_representative_that_is_only_recalled_is_no_representative(zoo) -> None:
    path = zoo.root / "surveys" / "third2022.yml"
    zoo.edit(path, "sections:\n", GROUP.replace("WORK", "first2020one"))
    assert zoo.problems == []
    zoo.edit(path, "depth: table, read: full text", "depth: table, read: recalled")
    assert "does not hold with evidence" in zoo.only_problem().message


def test_a_good_survey_with_everything(zoo) -> None:
    zoo.edit(zoo.root / "surveys" / "third2022.yml", "sections:\n", """\
editions: [{text: Version 1., read: full text}]
concepts: [{text: "Rounding, see [@second2021two].", read: secondary, witness: A blog., place: Section 2}]
representatives: [{of: Rounding, works: [first2020one], why: It is told first., read: full text}]
desired_properties: [{text: Cheap., read: full text}]
metrics: [{name: Speed, kind: metric, says: Twice., works: [third2022three], read: full text}]
tables: [{name: Table 1, of: Methods, columns: [bits], rows: 3, says: Old., read: full text}]
open_problems: [{text: All., read: full text}]
slips: [{text: None., read: full text}]
sections:
  - title: Empty
    note: It has no works.
""")
    catalog, problems = zoo.read()
    assert problems == []
    survey = catalog.surveys["third2022"]
    assert survey.tables[0].rows == 3 and survey.concepts[0].witness == "A blog."
    assert {key for _, key in keys(survey)} == {"third2022three", "first2020one", "second2021two"}
    said = [text for _, text in prose(survey)]
    assert {"In full.", "Version 1.", "It is told first.", "Twice.", "Old.", "It has no works."} <= set(said)
    places = [([section.title for section in way], leaf.work) for way, leaf in survey.places()]
    assert places == [(["1 Quantization"], "first2020one")]


# --- the project's own ----------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def catalog(real: Path) -> Catalog:
    return check(real)[0]


def test_every_work_seen_in_a_survey_stays_covered(catalog: Catalog) -> None:
    seen = {key: {leaf.work for _, leaf in survey.leaves() if leaf.read != "recalled"}
            for key, survey in catalog.surveys.items()}
    least = {"wang2024": 376, "zhu2023": 131, "tang2024": 130, "park2024": 26}
    assert {key for key, number in least.items() if len(seen[key]) < number} == set()


def test_sections_of_algorithms_mean_a_family(catalog: Catalog) -> None:
    """Only the parts that are about something else may mean none."""
    none = {
        "wang2024": {"2 Preliminaries"}, "zhu2023": {"Introduction", "Metrics and Benchmarks",
                                                     "Challenges and Future Directions", "Earlier versions"},
        "tang2024": {"Introduction / concept of Transformer", "Evaluation in the comparison tables"},
        "park2024": {"Background", "Introduction"},
    }
    for key, survey in catalog.surveys.items():
        without = {way[0].title for way, _ in survey.places() if not any(section.family for section in way)}
        assert without == none[key]


def test_what_was_not_read_is_second_hand(catalog: Catalog) -> None:
    """Of two surveys only the abstract, and of one the introduction, were read: nothing else is from the full text."""
    for key in ("tang2024", "park2024"):
        survey = catalog.surveys[key]
        remarks = [*survey.editions, *survey.special, *survey.concepts, *survey.representatives,
                   *survey.desired_properties, *survey.metrics, *survey.tables, *survey.open_problems, *survey.slips]
        assert {item.place for item in remarks if item.read == "full text"} <= {"Abstract", "arXiv record"}
        assert sum(item.read == "secondary" for item in remarks) >= 10
    for key in ("wang2024", "zhu2023"):
        survey = catalog.surveys[key]
        assert all(item.read == "full text" for item in [*survey.special, *survey.metrics, *survey.tables])
        assert survey.representatives and survey.open_problems and survey.slips
