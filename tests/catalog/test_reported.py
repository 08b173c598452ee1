"""Reported numbers as data: what a row takes from its table, who speaks, and all that can be wrong with a file."""

from __future__ import annotations

import re
from collections import Counter

import pytest

import catalog as reading
from catalog.reported import records, speaker

WORDS = """\
settings:
  weight_bits: {part: compression, meaning: "Bits of a weight."}
  sequence_length: {part: evaluation, meaning: "Tokens of a sequence."}
  variant: {part: method, meaning: "Which form of the method.", name: form}
metrics:
  perplexity: {better: lower}
  speedup: {better: higher, meaning: "Times faster."}
protocols:
  text-2048:
    name: Text at 2048 tokens
    metric: perplexity
    dataset: WikiText-2
    setting: {sequence_length: 2048}
    why: Each source says so.
"""
TABLES = """\
source:
  repository: Owner/Name
  commit: "0123456789ab"
  of: [first2020one]
tables:
  - place: "README, Results"
    checked: full text
    metric: perplexity
    dataset: WikiText-2
    setting: {sequence_length: 2048}
    from_code: [sequence_length]
    note: Of the table.
    rows:
      - {method: first2020one, model: M, setting: {weight_bits: 3}, value: 8.68, baseline: 8.34, protocol: text-2048}
      - {method: second2021two, model: M, value: 9, not_stated: [weight_bits, sequence_length], note: Of the row.}
      - {method: first2020one, model: M, metric: speedup, setting: {variant: fast}, value: 3.5, gathered: true}
"""


@pytest.fixture
def filled(zoo):
    """The small catalog with three reported numbers."""
    (zoo.root / "reported").mkdir()
    (zoo.root / "protocols.yml").write_text(WORDS)
    (zoo.root / "reported" / "owner--name.yml").write_text(TABLES)
    zoo.numbers = zoo.root / "reported" / "owner--name.yml"
    return zoo


def test_rows_take_what_they_do_not_say_from_their_table(filled) -> None:
    catalog, problems = filled.read()
    assert problems == []
    first, second, third = catalog.reported
    assert (first.method, first.metric, first.dataset, first.value, first.baseline) == (
        "first2020one", "perplexity", "WikiText-2", 8.68, 8.34)
    assert first.setting == {"sequence_length": 2048, "weight_bits": 3}
    assert second.not_stated == ("weight_bits",)  # the table tells the length
    assert second.notes == ("Of the table.", "Of the row.") and isinstance(second.value, int)
    assert (third.metric, third.gathered, first.gathered) == ("speedup", True, False)
    assert first.table == second.table == ("catalog/reported/owner--name.yml", 0)


def test_speaker_follows_from_the_source(filled) -> None:
    catalog, _ = filled.read()
    assert [speaker(catalog, record) for record in catalog.reported] == [
        "own authors", "another method's authors", "own authors"]
    filled.edit(filled.numbers, '  repository: Owner/Name\n  commit: "0123456789ab"\n  of: [first2020one]',
                "  work: third2022three")
    filled.numbers.rename(filled.numbers.with_name("third2022three.yml"))
    catalog, problems = filled.read()
    assert problems == []
    assert {speaker(catalog, record) for record in catalog.reported} == {"another method's authors"}
    filled.edit(filled.root / "references.bib", "  zoo_id        = {gamma},", "  zoo_role      = {survey},")
    catalog, _ = filled.read()
    assert {speaker(catalog, record) for record in catalog.reported} == {"survey authors"}


ROW = "setting: {weight_bits: 3}, value: 8.68"
# name: (what stands there, what stands there instead, text of the faulty line, key, part of message or expectation,
# nearest spelling)
FAULTS = {
    "unknown key of a row": ("value: 9,", "vaule: 9,", "second2021two", "tables[0].rows[1].vaule", "an unknown key",
                             "value"),
    "no value": (", value: 8.68", "", "weight_bits: 3", "tables[0].rows[0].value", "the key is missing", None),
    "quoted value": ("value: 9,", 'value: "9",', "second2021two", "tables[0].rows[1].value", "a number", None),
    "infinite value": ("value: 9,", "value: 1e999,", "second2021two", "tables[0].rows[1].value", "a number", None),
    "not a number": ("value: 9,", "value: .nan,", "second2021two", "tables[0].rows[1].value", "a number", None),
    "true as a value": ("value: 9,", "value: true,", "second2021two", "tables[0].rows[1].value", "a number", None),
    "no rows": (TABLES[TABLES.index("    rows:"):], "    rows: []\n", "rows: []", "tables[0].rows", "at least one",
                None),
    "no place": ('  - place: "README, Results"\n    checked', "  - checked", "checked", "tables[0].place",
                 "the key is missing", None),
    "not how it was read": ("checked: full text", "checked: fulltext", "checked", "tables[0].checked",
                            "one of full text", "full text"),
    "method that is not there": ("method: second2021two", "method: second2021tow", "tow", "tables[0].rows[1].method",
                                 "no such method", "second2021two"),
    "method by its entry": ("method: second2021two", "method: beta", "beta", "tables[0].rows[1].method",
                            "a key of references.bib", "second2021two"),
    "no method": ("method: second2021two, ", "", "model: M, value: 9", "tables[0].rows[1]", "has `method`", None),
    "no model": ("method: second2021two, model: M", "method: second2021two", "second2021two", "tables[0].rows[1]",
                 "has `model`", None),
    "no metric": ("    metric: perplexity\n    dataset", "    dataset", "weight_bits: 3", "tables[0].rows[0]",
                  "has `metric`", None),
    "metric that nobody declared": ("metric: speedup", "metric: speed-up", "speed-up", "tables[0].rows[2].metric",
                                    "not a metric of protocols.yml", "speedup"),
    "setting that nobody declared": (ROW, ROW.replace("bits", "bit"), "weight_bit:",
                                     "tables[0].rows[0].setting.weight_bit", "not a setting of protocols.yml",
                                     "weight_bits"),
    "setting with capitals": (ROW, ROW.replace("weight_bits", "WeightBits"), "WeightBits",
                              "tables[0].rows[0].setting.WeightBits", "words joined by _", None),
    "untold setting that nobody declared": ("[weight_bits, seq", "[wieght_bits, seq", "wieght",
                                            "tables[0].rows[1].not_stated", "not a setting", "weight_bits"),
    "code that tells another fact": ("from_code: [sequence_length]", "from_code: [weight_bits]", "from_code",
                                     "tables[0].from_code", "not a fact of this number", None),
    "baseline that is missing": ("value: 9,", "value: 9, baseline_is: tuned,", "second2021two",
                                 "tables[0].rows[1].baseline_is", "there is no baseline", None),
    "protocol that nobody declared": ("protocol: text-2048}", "protocol: text-2049}", "text-2049",
                                      "tables[0].rows[0].protocol", "not a shared protocol", "text-2048"),
    "setting of another protocol": (ROW, ROW.replace("weight_bits: 3", "weight_bits: 3, sequence_length: 4096"), "4096",
                                    "tables[0].rows[0]", "not the sequence length of the protocol", None),
    "data of another protocol": ("    dataset: WikiText-2\n", "    dataset: C4\n", "weight_bits: 3",
                                 "tables[0].rows[0]", "not the dataset of the protocol", None),
    "gathered under a protocol": ("protocol: text-2048}", "protocol: text-2048, gathered: true}", "weight_bits: 3",
                                  "tables[0].rows[0].protocol", "no known protocol", None),
    "source that is not there": ("of: [first2020one]", "of: [frist2020one]", "frist", "source.of[0]", "no such work",
                                 "first2020one"),
    "source of two kinds": ("  repository: Owner/Name\n", "  repository: Owner/Name\n  work: first2020one\n", "source:",
                            "source", "a source is a work or a repository", None),
    "repository without owner": ("repository: Owner/Name", "repository: Name", "repository", "source.repository",
                                 "owner/name", None),
    "commit without quotes": ('commit: "0123456789ab"', "commit: 1234567", "commit", "source.commit", "text in quotes",
                              None),
    "work that a note cites": ("note: Of the row.", 'note: "See [@nobody1999x]."', "nobody1999x",
                               "tables[0].rows[1].note", "no such work", None),
}  # fmt: skip


@pytest.mark.parametrize("name", FAULTS)
def test_faults_are_named_in_their_place(filled, name: str) -> None:
    old, new, line, key, said, near = FAULTS[name]
    filled.edit(filled.numbers, old, new)
    problems = [problem for problem in filled.problems if problem.file.endswith("owner--name.yml")]
    found = [problem for problem in problems if problem.key == key]
    assert found, problems
    assert any(said in str(problem) and (near is None or problem.nearest == near) for problem in found), found
    assert filled.line(filled.numbers, line) in {problem.line for problem in found}


def test_a_number_stands_once(filled) -> None:
    text = filled.numbers.read_text()
    row = next(line for line in text.splitlines() if "8.68" in line)
    filled.numbers.write_text(f"{text}{row}\n")
    (problem,) = filled.problems
    line = filled.line(filled.numbers, "8.68")
    assert (problem.key, problem.message) == ("tables[0].rows[3]", f"the number stands twice (line {line})")
    filled.numbers.write_text(text + row.replace("8.68", "8.7") + "\n")
    (problem,) = filled.problems
    assert problem.message.startswith("another value for the same protocol")
    filled.numbers.write_text(text + row.replace("weight_bits: 3", "weight_bits: 3, variant: slow") + "\n")
    assert filled.problems == []


def test_file_is_named_after_its_source_and_nothing_else_lies_there(filled) -> None:
    filled.numbers.rename(filled.numbers.with_name("other.yml"))
    (filled.root / "reported" / "notes.txt").write_text("x")
    found = {(problem.file, problem.expected) for problem in filled.problems}
    assert found == {("catalog/reported/other.yml", "owner--name.yml"),
                     ("catalog/reported/notes.txt", "catalog/reported/<source>.yml")}


def test_words_of_protocols_are_checked(filled) -> None:
    words = filled.root / "protocols.yml"
    words.write_text(WORDS.replace("part: method", "part: methods").replace("better: lower", "better: less"))
    assert {problem.key for problem in filled.problems} == {"settings.variant.part", "metrics.perplexity.better"}
    words.write_text(WORDS.replace("metric: perplexity", "metric: perplexty")
                     .replace("setting: {sequence_length: 2048}", "setting: {sequence_lenght: 2048}"))
    keys = {problem.key for problem in filled.problems if problem.file == "catalog/protocols.yml"}
    assert keys == {"protocols.text-2048.metric", "protocols.text-2048.setting.sequence_lenght"}
    words.write_text(WORDS)
    filled.edit(filled.numbers, ", protocol: text-2048", "")
    assert [problem.message for problem in filled.problems] == ["no number has this protocol"]


def test_an_entry_holds_no_numbers_of_its_own(zoo) -> None:
    zoo.edit(zoo.alpha, "further_reading:", "reported: []\nfurther_reading:")
    (problem,) = zoo.problems
    assert (problem.key, problem.message) == ("reported", "an unknown key")


# --- the real numbers --------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def found():
    return reading.load()


def test_every_number_has_one_place(found) -> None:
    """What the inventory and the entries once held is all there, and nothing stands twice in one source."""
    assert len(found.reported) >= 1585
    assert len(found.reported_files) >= 103
    assert sum(len(records(file, tables)) for file, tables in found.reported_files.items()) == len(found.reported)
    twice = Counter((r.source.stem, r.place, r.method, r.model, r.metric, r.dataset, r.unit, str(r.setting))
                    for r in found.reported)
    assert [key for key, count in twice.items() if count > 1] == []


def test_what_surveys_collect_is_never_side_by_side(found) -> None:
    surveys = [r for r in found.reported if r.source.work and found.bibliography[r.source.work].role == "survey"]
    assert len(surveys) >= 84 and all(record.gathered and record.protocol is None for record in surveys)


def test_each_setting_and_metric_is_in_use(found) -> None:
    words = found.protocol_words
    used = {name for r in found.reported for name in (*r.setting, *r.not_stated)}
    assert set(words.settings) == used
    assert set(words.metrics) == {r.metric for r in found.reported}


def test_a_repository_was_read_at_a_commit_and_notes_end_as_sentences(found) -> None:
    for record in found.reported:
        if record.source.repository:
            assert record.source.commit or record.checked != "full text", record.file
        assert all(re.search(r"[.!?]$", note) for note in record.notes), record


def test_numbers_of_one_source_agree_on_the_uncompressed_model(found) -> None:
    """The same model under the same table, metric and evaluation has one baseline; a slip of the pen would differ."""
    evaluation = {name for name, word in found.protocol_words.settings.items() if word.part == "evaluation"}
    seen: dict = {}
    for record in found.reported:
        if record.baseline is None or record.baseline_is is not None or record.gathered:
            continue
        key = (record.table, record.model, record.metric, record.dataset, record.unit,
               str({name: value for name, value in record.setting.items() if name in evaluation}))
        seen.setdefault(key, set()).add(record.baseline)
    differing = {key: values for key, values in seen.items() if len(values) > 1}
    assert differing == {}
