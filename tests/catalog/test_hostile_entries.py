"""Entries that are wrong in every way we could think of: each is reported with file, line, key, value, what was
expected and, where there is one, the nearest right spelling; and the rest of the catalog is still read."""

from __future__ import annotations

import time

import pytest

FILE = "catalog/algorithms/quantization/alpha.yml"


def test_the_small_catalog_has_no_problem(zoo) -> None:
    catalog, problems = zoo.read()
    assert problems == []
    assert list(catalog.algorithms) == ["alpha", "beta"]
    assert catalog.algorithms["alpha"].file == FILE


# what is replaced, by what, text of the line to blame, key, part of the value, part of what was expected, nearest
CASES = {
    "unknown key": ("checked: full text\n", "checked: full text\nsumary: Twice.\n", "sumary",
                    "sumary", "'sumary'", "one of name, aliases", "summary"),
    "unknown key inside": ("  stage: post-training", "  stage: post-training\n  stages: x", "stages:",
                           "facts.stages", "'stages'", "one of compresses, stage", "stage"),
    "misspelt value": ("stage: post-training", "stage: post-trainig", "post-trainig",
                       "facts.stage", "'post-trainig'", "one of post-training, during-fine-tuning", "post-training"),
    "misspelt value in a list": ("granularity: [group, channel]", "granularity: [group, chanel]", "granularity",
                                 "facts.granularity[1]", "'chanel'", "one of weight, group, channel", "channel"),
    "misspelt key of a mapping": ("bits: {weights:", "bits: {wieghts:", "bits: {wieghts",
                                  "facts.bits.wieghts", "'wieghts'", "one of weights, activations", "weights"),
    "swapped letters": ("modality: language", "modality: langauge", "langauge",
                        "facts.modality", "'langauge'", "one of language, vision, both", "language"),
    "doubled key": ("plain: Short", "name: Gamma\nplain: Short", "name: Gamma",
                    "name", "'name'", "one `name` (the first is in line 2)", None),
    "unquoted 2:4": ("granularity: [group, channel]", "granularity: [2:4]", "[2:4]",
                     "facts.granularity[0]", "'2:4'", "one of weight, group", None),
    "unquoted no": ("uses_gradients: false", "uses_gradients: no", "uses_gradients: no",
                    "facts.uses_gradients", "'no'", "true or false", None),
    "unquoted arXiv id as the paper": ("paper: first2020one", "paper: 2210.17323", "2210.17323",
                                       "paper", "2210.17323", "text in quotes", "third2022three"),
    "quoted arXiv id as the paper": ("paper: first2020one", 'paper: "2210.17323"', "2210.17323",
                                     "paper", "'2210.17323'", "a key of references.bib, such as frantar2023optq", None),
    "year without quotes": ('introduced: "2020-01"', "introduced: 2020", "introduced: 2020",
                            "introduced", "2020", 'text in quotes, such as "2020"', None),
    "month 13": ('"2020-01"', '"2020-13"', "2020-13", "introduced", "'2020-13'", "a year or a month in quotes", None),
    "quoted number": ("weights: [2, 3", 'weights: ["2", 3', "bits: {weights", "facts.bits.weights[0]", "'2'",
                      "a number", None),
    "text for a list": ("aliases: [First Method]", "aliases: First Method", "aliases",
                        "aliases", "'First Method'", "a list", None),
    "no value": ("checked: full text\nsummary", "checked:\nsummary", "checked:", "checked", "null", "text", None),
    "blank text": ("plain: Shortens numbers and keeps their sum.", 'plain: "  "', "plain:",
                   "plain", "'  '", "text that is not blank", None),
    "missing key": ("plain: Shortens numbers and keeps their sum.\n", "", "name: Alpha",
                    "plain", None, "The same for a reader from another field", None),
    "missing key inside": ("  training: none\n", "", "facts:", "facts.training", None, "How much training", None),
    "missing key of a relation": (", why: It takes over the grid.}", "}", "{type: builds_on",
                                  "relations[0].why", None, "What is taken over", None),
    "id in the file": ("name: Alpha", "id: alpha\nname: Alpha", "id: alpha", "id", "'alpha'", "no such key", None),
    "unknown kind of relation": ("type: builds_on", "type: build_on", "build_on",
                                 "relations[0].type", "'build_on'", "one of builds_on, special_case_of", "builds_on"),
    "comma in unquoted text": ("why: It takes over the grid.", "why: It takes over the grid, the scale", "It takes",
                               "relations[0]", "'the scale'", "quotes around the whole text", None),
    "missing paper": ("paper: first2020one", "paper: frist2020one", "paper: frist2020one",
                      "paper", "'frist2020one'", "a key of references.bib", "first2020one"),
    "no paper and no origin": ("paper: first2020one", "paper: null", "paper: null",
                               "paper", None, "with `origin: <a sentence>`", None),
    "cited work that is not there": ("[@second2021two]", "[@second2012two]", "idea:",
                                     "idea", "'second2012two'", "a key of references.bib", "second2021two"),
    "source without how it was checked": ("    checked: full text\nrelations", "relations", "text: Keeps the output",
                                          "strengths[1]", None, "both or neither", None),
    "dangling relation": ("target: beta", "target: betta", "target: betta",
                          "relations[0].target", "'betta'", "the id of an entry", "beta"),
    "relation to a work that has an entry": ("target: beta", "target: second2021two", "target: second2021two",
                                             "relations[0].target", "'second2021two'", "the id of the entry", "beta"),
    "relation by the slug of a work": ("target: beta", "target: gamma", "target: gamma",
                                       "relations[0].target", "'gamma'", "the id of an entry", "third2022three"),
    "relation to itself": ("target: beta", "target: alpha", "target: alpha",
                           "relations[0].target", "'alpha'", "another entry", None),
    "not a node of the taxonomy": ("family: quantization/error-compensation", "family: quantization/eror-compensation",
                                   "eror", "family", "'quantization/eror-compensation'", "family/group",
                                   "quantization/error-compensation"),
    "unknown further home": ("paper: first2020one", "also_in: [pruning/magnitud]\npaper: first2020one", "also_in",
                             "also_in[0]", "'pruning/magnitud'", "family/group", "pruning/magnitude"),
    "id of another entry as alias": ("aliases: [First Method]", "aliases: [BETA]", "aliases",
                                     "aliases[0]", "'BETA'", "a name that one entry has", None),
    "later than its paper": ('"2020-01"', '"2021-01"', "introduced", "introduced", "'2021-01'", "at most 2020", None),
    "label that is not in the code": ("eq-objective: '", "eq-update: x\n  eq-objective: '", "eq-update",
                                      "equations.eq-update", "'eq-update'", "a comment with [eq-update] in", None),
    "label that no equation has": ("Round and repair [eq-objective]", "Round and repair [eq-objectiv]", "and repair [",
                                   "steps[0]", "[eq-objectiv]", "one of eq-objective", "eq-objective"),
    "label of the wrong form": ("equations:\n", "equations:\n  objective: x\n", "  objective: x",
                                "equations.objective", "'objective'", "a label that begins with eq-", None),
    "module that is not there": ("code: reference_impls.quantization.alpha:alpha",
                                 "code: reference_impls.quantization.alhpa:alpha", "alhpa",
                                 "reference.code", "'reference_impls.quantization.alhpa:alpha'",
                                 "package.module:function", "reference_impls.quantization.alpha:alpha"),
    "function that is not there": ("quantization.alpha:alpha", "quantization.alpha:alfa", "alfa", "reference.code",
                                   "'reference_impls.quantization.alpha:alfa'", "package.module:function",
                                   "reference_impls.quantization.alpha:alpha"),
    "code outside the wing": ("code: reference_impls.quantization.alpha:alpha", "code: os:system", "os:system",
                              "reference.code", "'os:system'", "package.module:function under reference_impls", None),
    "wrong contract": ("contract: layer", "contract: model", "contract: model",
                       "reference.contract", "'model'", "layer, the decorator of", "layer"),
    "unknown option": ("options: {bits: 4, group_size", "options: {bits: 4, groupsize", "groupsize",
                       "reference.options.groupsize", "'groupsize'", "one of bits, group_size", "group_size"),
    "option of the wrong kind": ("options: {bits: 4,", "options: {bits: four,", "bits: four",
                                 "reference.options.bits", "'four'", "int", None),
    "value that an option has not": ("options: {bits: 4,", 'options: {pattern: "4:2", bits: 4,', "4:2",
                                     "reference.options.pattern", "'4:2'", "one of unstructured, 2:4", None),
    "sweep of the wrong kind": ("sweep: {bits: [2, 3, 4]}", "sweep: {bits: [2, 3.5]}", "sweep:",
                                "reference.sweep.bits[1]", "3.5", "int", None),
    "two sweeps": ("sweep: {bits: [2, 3, 4]}", "sweep: {bits: [2, 3], share: [0.1, 0.2]}", "sweep:",
                   "reference.sweep", None, "at most 1", None),
    "unknown baseline": ("algorithm: beta", "algorithm: betta", "algorithm: betta",
                         "reference.baseline.algorithm", "'betta'", "the id of an entry", "beta"),
    "option that the baseline lacks": ("algorithm: beta, options: {bits: 4}", "algorithm: beta, options: {bit: 4}",
                                       "algorithm: beta", "reference.baseline.options.bit", "'bit'", "one of bits",
                                       "bits"),
    "tests that are not there": ("test_alpha.py", "test_alfa.py", "test_alfa", "reference.tests",
                                 "'tests/reference_impls/quantization/test_alfa.py'", "a file under tests/",
                                 "tests/reference_impls/quantization/test_alpha.py"),
    "formula that is code": ('"bits + (16 + bits) / group_size"', '"__import__(\'os\').system(\'ls\')"', "bits_per",
                             "storage.bits_per_weight", "__import__", "a formula", None),
    "formula with an unknown name": ("/ group_size\"", "/ groupsize\"", "bits_per_weight",
                                     "storage.bits_per_weight", "'groupsize'", "one of attention, bits, columns",
                                     "group_size"),
    "formula that divides by nothing": ("/ group_size\"", "/ (rows - columns)\"", "bits_per_weight",
                                        "storage.bits_per_weight", None, "a number for the declared options", None),
    "formula with a mad value": ("/ group_size\"", "* rows\"", "bits_per_weight",
                                 "storage.bits_per_weight", "5124", "at most 64", None),
    "long summary": ("No training.\nplain", "No training. " + "And so on. " * 20 + "\nplain", "summary:",
                     "summary", "77 words", "at most 60 words", None),
    "summary that points elsewhere": ("No training.\nplain", "No training [eq-objective].\nplain", "summary:",
                                      "summary", "[eq-objective]", "sentences that stand alone", None),
    "summary that does not end": ("No training.\nplain", "No training\nplain", "summary:",
                                  "summary", "No training", "one paragraph that ends with a full stop", None),
    "training without gradients": ("training: none", "training: full", "uses_gradients",
                                   "facts.uses_gradients", "false", "true, as `training` is full", None),
    "a fact twice": ("compresses: [weights]", "compresses: [weights, weights]", "compresses",
                     "facts.compresses[1]", "'weights'", "each value once", None),
    "not-applicable beside values": ("granularity: [group, channel]", "granularity: [group, not-applicable]",
                                     "granularity:", "facts.granularity", "not-applicable",
                                     "either it or the others", None),
    "name as alias": ("aliases: [First Method]", "aliases: [ALPHA]", "aliases",
                      "aliases[0]", "'ALPHA'", "each name once", None),
    "source of a claim that is not there": ("source: {work: first2020one, place", "source: {work: frist2020one, place",
                                            "frist2020one", "strengths[1].source.work", "'frist2020one'",
                                            "a key of references.bib", "first2020one"),
    "reading that is not there": ("further_reading: [third2022three]", "further_reading: [second2021tow]", "further",
                                  "further_reading[0]", "'second2021tow'", "a key of references.bib", "second2021two"),
    "tab": ("plain: Short", "plain:\tShort", "plain:", "", "'\\t'", "spaces", None),
    "anchor": ("plain: Short", "plain: &x Short", "plain:", "", "&x", "without an anchor", None),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_one_fault_one_report(zoo, name: str) -> None:
    old, new, blamed, key, value, expected, close = CASES[name]
    zoo.edit(zoo.alpha, old, new)
    problem = zoo.only_problem()
    assert problem.file == FILE
    assert problem.key == key, str(problem)
    assert problem.line == zoo.line(zoo.alpha, blamed), str(problem)
    if value is not None:
        assert value in (problem.value or ""), str(problem)
    assert expected in (problem.expected or ""), str(problem)
    assert problem.nearest == close, str(problem)
    assert str(problem).startswith(f"{FILE}:{problem.line}: ")


def test_all_problems_at_once(zoo) -> None:
    zoo.edit(zoo.alpha, "stage: post-training", "stage: post-trainig")
    zoo.edit(zoo.alpha, "modality: language", "modality: langauge")
    zoo.edit(zoo.beta, "paper: second2021two", "paper: nobody1999none")
    zoo.edit(zoo.root / "taxonomy.yml", "definition: Weights go for good.", "definitoin: Weights go for good.")
    found = {(problem.file.split("/")[-1], problem.key) for problem in zoo.problems}
    assert found == {
        ("alpha.yml", "facts.stage"), ("alpha.yml", "facts.modality"), ("beta.yml", "paper"),
        ("taxonomy.yml", "families.pruning.definition"), ("taxonomy.yml", "families.pruning.definitoin"),
    }  # fmt: skip


def test_fault_in_one_entry_does_not_hide_or_break_the_others(zoo) -> None:
    zoo.edit(zoo.beta, "checked: full text\nsummary", "checked: somehow\nsummary")
    catalog, problems = zoo.read()
    assert list(catalog.algorithms) == ["alpha"]
    assert [problem.key for problem in problems] == ["checked"]  # alpha's relation to beta is not called dangling


def test_alias_of_another_entry(zoo) -> None:
    zoo.edit(zoo.beta, "aliases: [Second Method]", "aliases: [Second Method, first-method]")
    problem = zoo.only_problem()
    assert (problem.file.split("/")[-1], problem.key, problem.value) == ("beta.yml", "aliases[1]", "'first-method'")
    assert problem.line == zoo.line(zoo.beta, "aliases:")
    assert "`alpha` (catalog/algorithms/quantization/alpha.yml)" in problem.message


def test_entry_with_a_doubled_key_is_not_handed_out(zoo) -> None:
    zoo.edit(zoo.beta, "plain: Short", "plain: Other.\nplain: Short")
    catalog, problems = zoo.read()
    assert [problem.message for problem in problems] == ["the key stands twice"]
    assert list(catalog.algorithms) == ["alpha"]


def test_taxonomy_and_vocabulary_lead_somewhere(zoo) -> None:
    taxonomy, vocabulary = zoo.root / "taxonomy.yml", zoo.root / "vocabulary.yml"
    zoo.edit(taxonomy, "node: quantization/granularity", "node: quantization/granularty")
    zoo.edit(taxonomy, "examples: [third2022three]", "examples: [third2022tree]")
    zoo.edit(vocabulary, "scale:\n", "scales:\n")
    problems = {(problem.file.split("/")[-1], problem.line): problem for problem in zoo.problems}
    assert problems["taxonomy.yml", zoo.line(taxonomy, "granularty")].nearest == "quantization/granularity"
    assert problems["taxonomy.yml", zoo.line(taxonomy, "third2022tree")].nearest == "third2022three"
    assert problems["vocabulary.yml", zoo.line(vocabulary, "scales:")].nearest == "scale"
    assert any(problem.message == "the facet `scale` is missing" for problem in problems.values())


def test_a_further_name_leads_to_one_place(zoo) -> None:
    taxonomy, vocabulary = zoo.root / "taxonomy.yml", zoo.root / "vocabulary.yml"
    zoo.edit(taxonomy, "name: Granularity\n",
             "name: Granularity\n        also_called: [Group-wise, Error-Compensation]\n")
    zoo.edit(taxonomy, "name: Magnitude\n", "name: Magnitude\n        also_called: [group wise, magnitude]\n")
    zoo.edit(vocabulary, "    head: [head-wise", "    head: [Per Layer, head-wise")
    assert sorted((problem.file.split("/")[-1], problem.key, problem.message) for problem in zoo.problems) == [
        ("taxonomy.yml", "families.pruning.groups.magnitude.also_called[0]",
         "`quantization/granularity` is called so as well"),
        ("taxonomy.yml", "families.pruning.groups.magnitude.also_called[1]", "the name stands twice"),
        ("taxonomy.yml", "families.quantization.groups.granularity.also_called[1]",
         "`quantization/error-compensation` is called so as well"),
        ("vocabulary.yml", "granularity.also_called.layer[1]", "`head` is called so as well"),
    ]  # fmt: skip


def test_a_further_name_is_of_a_value_that_is_there(zoo) -> None:
    zoo.edit(zoo.root / "vocabulary.yml", "    light: [a few", "    ligth: [a few")
    problem = zoo.only_problem()
    assert (problem.key, problem.message, problem.nearest) == (
        "training.also_called", "names of a value that is not there", "light")


def test_empty_citation_list_only_where_it_was_seen_whole(zoo) -> None:
    (zoo.root / "citations.yml").write_text("first2020one: {witness: PDF, complete: true, cited: []}\n")
    assert zoo.problems == []
    (zoo.root / "citations.yml").write_text("first2020one: {witness: PDF, complete: false, cited: []}\n")
    assert zoo.only_problem().key == "first2020one.cited"


def test_two_entries_with_one_paper_name_both_files(zoo) -> None:
    zoo.edit(zoo.beta, "paper: second2021two", "paper: first2020one")
    zoo.edit(zoo.beta, 'introduced: "2021"', 'introduced: "2020"')
    problem = zoo.only_problem()
    assert (problem.file, problem.key) == ("catalog/algorithms/quantization/beta.yml", "paper")
    assert problem.line == zoo.line(zoo.beta, "paper:")
    assert "alpha.yml" in problem.message and "2001.00001" in problem.value


@pytest.mark.parametrize("length", [2, 3])
def test_circle_of_builds_on(zoo, length: int) -> None:
    if length == 2:
        zoo.edit(zoo.beta, "target: third2022three", "target: alpha")
    else:
        third = zoo.alpha.with_name("delta.yml")
        text = zoo.beta.read_text().replace("Beta", "Delta").replace("Second Method", "Third Method")
        text = text.replace("second2021two\n", "third2022three\n")
        third.write_text(text.replace("target: third2022three", "target: alpha"))
        zoo.edit(zoo.beta, "target: third2022three", "target: delta")
    problems = [problem for problem in zoo.problems if "circle" in problem.message]
    assert len(problems) == 1
    circle = "alpha -> beta -> alpha" if length == 2 else "alpha -> beta -> delta -> alpha"
    assert problems[0].value == circle
    assert problems[0].key == "relations[0]"


def test_circle_of_supersedes(zoo) -> None:
    zoo.edit(zoo.alpha, "type: builds_on", "type: supersedes")
    zoo.edit(zoo.beta, "{type: builds_on, target: third2022three", "{type: supersedes, target: alpha")
    assert zoo.only_problem().value == "alpha -> beta -> alpha"


def test_the_same_relation_from_both_sides(zoo) -> None:
    zoo.edit(zoo.alpha, "type: builds_on", "type: alternative_to")
    zoo.edit(zoo.beta, "{type: builds_on, target: third2022three", "{type: alternative_to, target: alpha")
    problem = zoo.only_problem()
    assert (problem.file.split("/")[-1], problem.message) == ("beta.yml", "the relation is declared twice")


def test_special_case_names_a_test_that_exists(zoo) -> None:
    relation = "{type: special_case_of, target: beta, when: Nothing is left., test: TEST}"
    path = "tests/reference_impls/quantization/test_alpha.py"
    zoo.edit(zoo.alpha, "{type: builds_on, target: beta, why: It takes over the grid.}",
             relation.replace("TEST", f'"{path}::test_limit"'))
    assert zoo.problems == []
    zoo.edit(zoo.alpha, "::test_limit", "::test_limt")
    problem = zoo.only_problem()
    assert (problem.key, problem.value, problem.nearest) == ("relations[0].test", "'test_limt'", "test_limit")


def test_code_with_a_syntax_error(zoo) -> None:
    (zoo.repository / "reference_impls/quantization/alpha.py").write_text("def alpha(:\n")
    problems = zoo.problems
    assert {problem.key for problem in problems} == {"reference.code"}
    assert "does not import" in problems[0].message


def test_label_in_the_code_that_the_entry_lacks(zoo) -> None:
    code = zoo.repository / "reference_impls/quantization/alpha.py"
    zoo.edit(code, "    return weight", "    return weight  # [eq-update]")
    problem = zoo.only_problem()
    assert problem.message == "the code names an equation that the entry lacks"
    assert problem.value == f"[eq-update] in reference_impls/quantization/alpha.py:{zoo.line(code, 'eq-update')}"
    assert problem.line == zoo.line(zoo.alpha, "equations:")


def test_code_is_never_run(zoo) -> None:
    code = zoo.repository / "reference_impls/quantization/alpha.py"
    code.write_text("raise SystemExit('this module must not be imported')\n" + code.read_text())
    assert zoo.problems == []


def test_file_in_the_wrong_folder(zoo) -> None:
    moved = zoo.root / "algorithms" / "pruning" / "alpha.yml"
    moved.parent.mkdir()
    zoo.alpha.rename(moved)
    problem = zoo.only_problem()
    assert (problem.file, problem.key) == ("catalog/algorithms/pruning/alpha.yml", "family")
    assert "algorithms/quantization/" in problem.expected


def test_same_file_name_in_two_folders(zoo) -> None:
    copy = zoo.root / "algorithms" / "pruning" / "alpha.yml"
    copy.parent.mkdir()
    copy.write_text(zoo.alpha.read_text())
    messages = [problem.message for problem in zoo.problems]
    assert "another file has the same name, and so the same id" in messages


@pytest.mark.parametrize("name", ["Alpha.yml", "al_pha.yml", "alpha.yaml", "alpha.yml.orig"])
def test_names_of_files(zoo, name: str) -> None:
    text = zoo.beta.read_text().replace("Beta", "Other").replace("Second Method", "Other Method")
    zoo.alpha.with_name(name).write_text(text.replace("second2021two\n", "third2022three\n"))
    problem = next(problem for problem in zoo.problems if name in problem.file)
    expected = "small letters and digits" if name.endswith(".yml") else "algorithms/<family>/<id>.yml"
    assert expected in problem.expected


def test_retired_ids(zoo) -> None:
    retired = zoo.root / "retired.yml"
    retired.write_text("old-name: alpha\n")
    catalog, problems = zoo.read()
    assert problems == [] and catalog.retired == {"old-name": "alpha"}
    retired.write_text("alpha: beta\nolder: alhpa\n")
    problems = zoo.problems
    assert [(problem.line, problem.key, problem.nearest) for problem in problems] == [
        (1, "alpha", None), (2, "older", "alpha"),
    ]  # fmt: skip


def test_survey_and_citations_name_works_that_exist(zoo) -> None:
    zoo.edit(zoo.root / "surveys" / "third2022.yml", "first2020one", "frist2020one")
    zoo.edit(zoo.root / "citations.yml", "[second2021two]", "[second2021two, first2020one, thrid2022three]")
    found = [(problem.file.split("/")[-1], problem.key, problem.nearest) for problem in zoo.problems]
    assert found == [
        ("citations.yml", "first2020one.cited[1]", None),
        ("citations.yml", "first2020one.cited[1]", None),  # out of order, and the work itself
        ("citations.yml", "first2020one.cited[2]", "third2022three"),
        ("third2022.yml", "sections[0].works[0].work", "first2020one"),
    ]


def test_text_is_carried_as_it_stands(zoo) -> None:
    hostile = "<script>alert(1)</script> [click](javascript:alert(1)) <img src=x onerror=alert(1)>"
    zoo.edit(zoo.alpha, "plain: Shortens numbers and keeps their sum.", f"plain: '{hostile}'")
    catalog, problems = zoo.read()
    assert problems == []
    assert catalog.algorithms["alpha"].plain == hostile


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "the file is empty"),
        (b"name: caf\xe9\n", "the file is not UTF-8"),
        (b"x" * 10_000_000, "the file is too large"),
        (b"just text\n", "the wrong kind of value"),
        (b"- a\n- b\n", "the wrong kind of value"),
        (b"name: [\n", "this is not YAML (while parsing a flow node, did not find expected node content)"),
    ],
)
def test_files_that_are_no_entries(zoo, content: bytes, message: str) -> None:
    zoo.beta.write_bytes(content)
    zoo.edit(zoo.alpha, "{algorithm: beta, options: {bits: 4}}", "null")
    problem = zoo.only_problem()
    assert (problem.file.split("/")[-1], problem.message) == ("beta.yml", message)


def test_alias_bomb_in_an_entry(zoo) -> None:
    bomb = "a0: &a0 [x]\n" + "".join(f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]\n" for i in range(1, 60))
    zoo.beta.write_text(bomb)
    start = time.process_time()
    problems = zoo.problems
    assert time.process_time() - start < 5
    assert {problem.file.split("/")[-1] for problem in problems} == {"beta.yml"}
    assert any(problem.message == "a YAML alias" for problem in problems)


def test_missing_files_of_the_catalog(zoo) -> None:
    names = ("vocabulary.yml", "taxonomy.yml", "references.bib", "citations.yml")
    for name in names:
        (zoo.root / name).unlink()
    files = {problem.file for problem in zoo.problems if problem.message == "the file cannot be read"}
    assert files == {f"catalog/{name}" for name in names}


def test_no_catalog_at_all(tmp_path) -> None:
    from catalog import CatalogError, load

    with pytest.raises(CatalogError, match="no such folder"):
        load(tmp_path / "nowhere")
