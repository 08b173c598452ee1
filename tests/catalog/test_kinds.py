"""Frameworks, benchmarks and metrics: every fault in its place, names found in free text, and what the files owe."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest

from catalog import load
from catalog.kind_rules import metrics_are_measured
from catalog.kinds import Names
from catalog.search import everything, kind_documents

FRAMEWORKS = """\
runner:
  name: Runner
  aliases: [RunnerLM, Run-Time]
  kind: [inference-engine, serving]
  work: third2022three
  does: Runs models, says [@first2020one].
  repository: someone/runner
  licence: MIT
  status: {text: Archived., source: {page: readme, place: first line}}
  pages:
    readme: {address: "https://github.com/someone/runner", seen: "2026-11-21", version: "1.2", place: README}
    survey: {work: third2022three, place: Table 9}
  supports:
    - algorithm: alpha
      does: [applies, runs]
      how: By its flag.
      since: "1.0"
      source: {page: readme, place: Flags}
    - algorithm: third2022three
      does: [implements]
      how: Built in.
      source: {work: third2022three, place: Section 2}
"""
BENCHMARKS = """\
questions:
  name: Questions 1.1
  kind: task
  measures: Answers.
  task: A question; its answer.
  size: {text: 10 questions, source: {work: first2020one, place: Table 1}}
  metrics: [loss]
  part_of: [suite]
suite:
  name: Suite
  kind: suite
  measures: Everything.
  task: Several.
  beware: Versions differ.
"""
METRICS = """\
loss:
  name: Loss
  aliases: [test loss]
  of: quality
  work: first2020one
  definition: "The mean of $-\\\\log p$, see [@first2020one]."
  formula: '-\\frac1n \\sum \\log p'
  unit: nats
  better: lower
  hides: Rare words.
  bench: [output_error]
"""


@pytest.fixture
def filled(zoo):
    """The small catalog with one framework, two benchmarks and a metric."""
    for name, text in (("frameworks", FRAMEWORKS), ("benchmarks", BENCHMARKS), ("metrics", METRICS)):
        (zoo.root / f"{name}.yml").write_text(text, encoding="utf-8")
        setattr(zoo, name, zoo.root / f"{name}.yml")
    return zoo


def test_they_are_read(filled) -> None:
    catalog, problems = filled.read()
    assert problems == []
    assert {kind: list(found) for kind, found in catalog.kinds().items()} == {
        "framework": ["runner"], "benchmark": ["questions", "suite"], "metric": ["loss"]}
    runner = catalog.frameworks["runner"]
    alpha, third = (runner.witness(support.source) for support in runner.supports)
    assert (alpha.address, alpha.seen, alpha.version) == ("https://github.com/someone/runner", "2026-11-21", "1.2")
    assert alpha.place == "Flags" and runner.pages["readme"].place == "README"  # the nearer place, the page untouched
    assert (third.work, third.place, third.address) == ("third2022three", "Section 2", None)
    assert runner.witness(runner.status.source).place == "first line"


def test_the_files_may_be_missing(zoo) -> None:
    catalog, problems = zoo.read()
    assert problems == [] and catalog.kinds() == {"framework": {}, "benchmark": {}, "metric": {}}


def test_a_source_without_a_place_has_that_of_its_page(filled) -> None:
    filled.edit(filled.frameworks, "source: {page: readme, place: Flags}", "source: {page: survey}")
    runner = filled.read()[0].frameworks["runner"]
    witness = runner.witness(runner.supports[0].source)
    assert (witness.work, witness.place) == ("third2022three", "Table 9")


# file, what is replaced, by what, where the fault is said to be, what is said (of message, expected and nearest)
FAULTS = {
    "an unknown key": ("frameworks", "  does: Runs", "  dose: x\n  does: Runs", "runner.dose", "does"),
    "an id inside": ("metrics", "  name: Loss", "  id: loss\n  name: Loss", "loss.id", ""),
    "no text": ("frameworks", "how: By its flag.", "how: ' '", "runner.supports[0].how", ""),
    "a list for a text": ("benchmarks", "measures: Answers.", "measures: [Answers]", "questions.measures", "text"),
    "a form of id": ("benchmarks", "suite:\n", "Suite_1:\n", "Suite_1", ""),
    "an address that runs": ("frameworks", '"https://github.com/someone/runner"', "'javascript:alert(1)'",
                             "runner.pages.readme.address", "https"),
    "an address in the clear": ("frameworks", '"https:', '"http:', "runner.pages.readme.address", "https"),
    "an address that breaks out": ("frameworks", "someone/runner\",", "a'onclick='b\",",
                                   "runner.pages.readme.address", "https"),
    "a day that never was": ("frameworks", "2026-11-21", "2026-02-30", "runner.pages.readme.seen", "calendar"),
    "a work that is no key": ("frameworks", 'address: "https://github.com/someone/runner", ', "work: x, ",
                              "runner.pages.readme.work", "a key of references.bib"),
    "a day without an address": ("frameworks", 'address: "https://github.com/someone/runner", ',
                                 "work: first2020one, ", "runner.pages.readme.seen", "together"),
    "an address without a day": ("frameworks", ' seen: "2026-11-21",', "", "runner.pages.readme.seen", "together"),
    "two sources": ("frameworks", "{page: readme, place: Flags}", "{page: readme, work: first2020one}",
                    "runner.supports[0].source", "either `page` or `work`"),
    "no source": ("frameworks", "{page: readme, place: Flags}", "{place: Flags}", "runner.supports[0].source",
                  "either `page` or `work`"),
    "a size from nowhere": ("benchmarks", "source: {work: first2020one, place: Table 1}", "source: {place: Table 1}",
                            "questions.size.source", "either `address` with `seen`, or `work`"),
    "a page that is not there": ("frameworks", "{page: readme, place: Flags}", "{page: docs}", "runner.supports",
                                 "one of readme, survey"),
    "a status from nowhere": ("frameworks", "{page: readme, place: first line}", "{page: docs}", "runner.status",
                              "one of readme, survey"),
    "a repository that is an address": ("frameworks", "repository: someone/runner", "repository: https://x.org/a",
                                        "runner.repository", ""),
    "nothing done": ("frameworks", "does: [applies, runs]", "does: []", "runner.supports[0].does", ""),
    "a word of no facet": ("frameworks", "inference-engine", "inference-enginee", "runner.kind[0]",
                           "inference-engine"),
    "a direction": ("metrics", "better: lower", "better: lowest", "loss.better", "lower"),
    "an unknown algorithm": ("frameworks", "algorithm: alpha", "algorithm: alfa", "runner.supports[0].algorithm",
                             "alpha"),
    "a work that has an entry": ("frameworks", "algorithm: alpha", "algorithm: first2020one",
                                 "runner.supports[0].algorithm", "alpha"),
    "the slug of a work": ("frameworks", "algorithm: third2022three", "algorithm: gamma",
                           "runner.supports[1].algorithm", "third2022three"),
    "an algorithm twice": ("frameworks", "algorithm: third2022three", "algorithm: alpha",
                           "runner.supports[1].algorithm", "one item an algorithm"),
    "a deed twice": ("frameworks", "[applies, runs]", "[applies, applies]", "runner.supports[0].does[1]", "once"),
    "a work of no one": ("frameworks", "work: third2022three\n  does", "work: third2022tree\n  does", "runner.work",
                         "third2022three"),
    "a page of no work": ("frameworks", "survey: {work: third2022three", "survey: {work: third2022",
                          "runner.pages.survey.work", "third2022three"),
    "a source of no work": ("frameworks", "source: {work: third2022three", "source: {work: x",
                            "runner.supports[1].source.work", "references.bib"),
    "a status of no work": ("frameworks", "{page: readme, place: first line}", "{work: x}",
                            "runner.status.source.work", "references.bib"),
    "a size of no work": ("benchmarks", "work: first2020one", "work: first2020on", "questions.size.source.work",
                          "first2020one"),
    "a citation of no work": ("metrics", "see [@first2020one]", "see [@first2020onne]", "loss.definition",
                              "first2020one"),
    "an equation": ("frameworks", "how: Built in.", "how: See [eq-objective].", "runner.supports[1].how", r"$...$"),
    "an unknown metric": ("benchmarks", "metrics: [loss]", "metrics: [los]", "questions.metrics[0]", "loss"),
    "a metric twice": ("benchmarks", "metrics: [loss]", "metrics: [loss, loss]", "questions.metrics[1]", "once"),
    "an unknown suite": ("benchmarks", "part_of: [suite]", "part_of: [suites]", "questions.part_of[0]", "suite"),
    "a part of itself": ("benchmarks", "part_of: [suite]", "part_of: [questions]", "questions.part_of[0]",
                         "another suite"),
    "a name twice": ("frameworks", "[RunnerLM, Run-Time]", "[RunnerLM, runner]", "runner.aliases[1]", "once"),
    "a name of another": ("benchmarks", "name: Suite", "name: questions  1.1", "suite.name",
                          "also a name of the benchmark `questions`"),
    "the id of an algorithm": ("metrics", "loss:\n", "alpha:\n", "alpha", "also the id of an algorithm"),
    "the id of another kind": ("benchmarks", "suite:\n", "runner:\n", "runner", "also the id of a framework"),
}  # fmt: skip


@pytest.mark.parametrize("what", FAULTS)
def test_a_fault_is_said_where_it_is(filled, what: str) -> None:
    name, old, new, key, said = FAULTS[what]
    if what in ("a form of id", "the id of another kind"):
        filled.edit(filled.benchmarks, "  part_of: [suite]\n", "")
    if what == "the id of an algorithm":
        filled.edit(filled.benchmarks, "  metrics: [loss]\n", "")
    filled.edit(getattr(filled, name), old, new)
    problem = filled.only_problem()
    assert problem.file == f"catalog/{name}.yml" and problem.key == key
    assert said in " ".join(filter(None, (problem.message, problem.value, problem.expected, problem.nearest)))
    last = key.split(".")[-1].split("[")[0]
    assert problem.line > 1 or last == key, problem
    assert problem.line <= len(getattr(filled, name).read_text().splitlines())


def test_two_that_contain_each_other(filled) -> None:
    filled.edit(filled.benchmarks, "  beware: Versions differ.", "  part_of: [questions]")
    assert {(p.key, p.message) for p in filled.problems} == {
        ("questions.part_of[0]", "two benchmarks contain each other"),
        ("suite.part_of[0]", "two benchmarks contain each other")}


def test_a_retired_id_gets_its_successor(filled) -> None:
    (filled.root / "retired.yml").write_text("alfa: alpha\n")
    filled.edit(filled.frameworks, "algorithm: alpha", "algorithm: alfa")
    assert filled.only_problem().nearest == "alpha"


@pytest.mark.parametrize(("text", "said"), [
    ("runner: [\n", "not YAML"), ("- runner\n", ""), ("runner: {name: !!python/object/apply:os.system [ls]}\n", ""),
    (FRAMEWORKS + "runner:\n  name: Other\n", "twice"),
])  # fmt: skip
def test_a_file_that_is_none(filled, text: str, said: str) -> None:
    filled.frameworks.write_text(text)
    problems = filled.problems
    assert problems and all(problem.file == "catalog/frameworks.yml" for problem in problems)
    assert said in " ".join(map(str, problems))


def test_names_under_bench_are_measured_and_of_one_metric(filled) -> None:
    second = METRICS.replace("loss:\n", "second:\n").replace("Loss", "Second").replace("test loss", "other loss")
    filled.metrics.write_text(METRICS + second)
    problem = filled.only_problem()
    assert problem.key == "second.bench[0]" and "also under `bench` of `loss`" in problem.message
    filled.metrics.write_text(METRICS.replace("[output_error]", "[Output Error]"))
    problem = filled.only_problem()  # and none in benchmarks.yml, whose metric is there, if broken
    assert problem.key == "loss.bench[0]" and problem.expected == "the name of a metric, as in catalog/measurements"


@pytest.mark.parametrize("text", ["loss: [\n", "[]\n", "loss: {name: Loss}\n"])
def test_a_broken_file_is_reported_alone(filled, text: str) -> None:
    filled.metrics.write_text(text)
    assert {problem.file for problem in filled.problems} == {"catalog/metrics.yml"}


def test_a_name_that_no_measurement_has(filled) -> None:
    one = SimpleNamespace(metrics={"perplexity": None})
    catalog = filled.read()[0]
    assert list(metrics_are_measured(catalog)) == []  # no measurement says nothing about names
    catalog.measurements["alpha"] = one
    (problem,) = metrics_are_measured(catalog)
    assert problem.key == "loss.bench[0]" and problem.value == "'output_error'" and "perplexity" in problem.expected
    one.metrics["output_error"] = None
    assert list(metrics_are_measured(catalog)) == []


def test_the_whole_name_is_found_and_the_longest() -> None:
    names = Names([("wikitext", ["WikiText-2", "WikiText"]), ("wikitext-103", ["WikiText-103"]), ("mnli", ["MNLI"]),
                   ("sst", ["SST-2"]), ("squad", ["SQuAD", "SQuAD 1.1"]), ("squad-2", ["SQuAD 2.0"]), ("c4", ["C4"]),
                   ("odd", ["a.b (c)"])])  # fmt: skip
    assert names.within("WikiText-103, then wikitext-2 and WIKITEXT-2") == ["wikitext-103", "wikitext"]
    assert names.within("MNLI/SST-2; mnli-mm") == ["mnli", "sst"]
    assert names.within("SQuAD  2.0") == ["squad-2"] and names.within("SQuAD 1.1 dev") == ["squad"]
    assert names.within("WikiText-1030") == [] and names.within("C4x, xC4, C4.1") == []
    assert names.within("axb (c)") == [] and names.within("of a.b (c).") == ["odd"]
    assert names.exactly(" squad   1.1 ") == "squad" and names.exactly("SQuAD dev") is None
    assert Names([]).within("anything") == [] and Names([]).exactly("") is None


def test_search_finds_them_beside_algorithms(filled) -> None:
    catalog = filled.read()[0]
    assert [document["kind"] for document in kind_documents(catalog)] == [
        "framework", "benchmark", "benchmark", "metric"]
    index = everything(catalog)
    assert index.search("RunnerLM")[0].id == "runner"
    assert index.search("test loss")[0].id == "loss"
    assert index.search("questions")[0].id == "questions"
    assert index.search("Alpha")[0].id == "alpha"


# --- the project's own files ---------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def own():
    return load(Path(__file__).resolve().parents[2] / "catalog")


@pytest.mark.parametrize(("role", "kind"), [
    ("framework", "framework"), ("benchmark", "benchmark"), ("dataset", "benchmark"),
])  # fmt: skip
def test_every_work_of_such_a_role_is_described(own, role: str, kind: str) -> None:
    described = {one.work for one in own.kinds()[kind].values()}
    works = {key for key, work in own.bibliography.items() if work.role == role}
    assert works and works <= described, sorted(works - described)


def test_every_cell_of_support_says_where_and_when(own) -> None:
    cells = [framework.witness(support.source) for framework in own.frameworks.values()
             for support in framework.supports]  # fmt: skip
    assert len(cells) > 100
    assert all((one.address and one.seen) or (one.work and one.place) for one in cells)


def test_every_metric_by_which_a_survey_evaluates_is_defined(own) -> None:
    defined = Names((key, [one.name, *one.aliases]) for key, one in own.metrics.items())
    names = {item.name for survey in own.surveys.values() for item in survey.metrics if item.kind == "metric"}
    assert names and [name for name in sorted(names) if defined.exactly(name) is None] == []


def test_a_framework_added_for_its_users_cites_a_page(own) -> None:
    surveyed = {leaf.work for survey in own.surveys.values() for _, leaf in survey.leaves()}
    alone = {key: one for key, one in own.frameworks.items() if one.work not in surveyed}
    assert alone and all(one.pages for one in alone.values()), [key for key, one in alone.items() if not one.pages]
