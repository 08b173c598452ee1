"""The form of a new entry comes from the model, and validates once it is filled in."""

from __future__ import annotations

import re

from catalog.form import fields, skeleton
from catalog.model import Algorithm
from catalog.reader import parse


def test_every_field_is_in_the_form(zoo) -> None:
    catalog, _ = zoo.read()
    text = skeleton("gamma", "pruning/magnitude", catalog.vocabulary)
    for field in fields(catalog.vocabulary):
        assert re.search(rf"^[ #-]*{field.path[-1]}:", text, re.M), field.name


def test_fields_say_what_they_are(zoo) -> None:
    catalog, _ = zoo.read()
    found = {field.name: field for field in fields(catalog.vocabulary)}
    assert found["facts.stage"].values == catalog.vocabulary["stage"].values
    assert found["facts.stage"].required and not found["aliases"].required
    assert found["strengths[].source.place"].description
    assert found["relations[].stacks_with.order"].values == {"before": "", "after": "", "either": ""}
    assert all(field.description for field in found.values())
    assert {field.path[0] for field in found.values()} == set(Algorithm.model_fields) - {"id", "file"}


def test_an_unfilled_form_is_not_valid_and_says_what_is_missing(zoo) -> None:
    catalog, _ = zoo.read()
    target = zoo.root / "algorithms" / "pruning" / "gamma.yml"
    target.parent.mkdir()
    work = catalog.bibliography["third2022three"]
    target.write_text(skeleton("gamma", "pruning/magnitude", catalog.vocabulary, work))
    problems = zoo.problems
    assert {problem.file for problem in problems} == {"catalog/algorithms/pruning/gamma.yml"}
    missing = {problem.key for problem in problems}
    assert {"summary", "plain", "idea", "steps", "facts.stage", "reference.code", "checked"} <= missing
    assert not missing & {"family", "paper", "name"}  # known from the bibliography


def test_a_filled_form_validates(zoo) -> None:
    catalog, _ = zoo.read()
    text = skeleton("gamma", "pruning/magnitude", catalog.vocabulary, catalog.bibliography["third2022three"])
    answers = {
        "name": "Gamma", "introduced": '"2022"', "checked": "unverified", "summary": "Cuts.", "plain": "Cuts.",
        "idea": "Cut.", "compresses": "[weights]", "stage": "post-training", "data": "none", "training": "none",
        "uses_gradients": "false", "structure": "unstructured", "granularity": "[weight]", "steps": "[Cut.]",
        "needs_for_speed": "sparse-kernel", "modality": "both", "model_kind": "any", "scale": "both",
        "code": "reference_impls.quantization.alpha:alpha", "contract": "layer", "faithful": "All.", "shows": "Much.",
        "tests": "tests/reference_impls/quantization/test_alpha.py",
    }  # fmt: skip
    zoo.edit(zoo.beta, "{type: builds_on, target: third2022three", "{type: builds_on, target: gamma")
    for key, answer in answers.items():
        text, count = re.subn(rf"^( *){key}:.*$", rf"\1{key}: {answer}", text, flags=re.M)
        assert count == 1, key
    target = zoo.root / "algorithms" / "pruning" / "gamma.yml"
    target.parent.mkdir()
    target.write_text(text)
    assert zoo.problems == []
    assert zoo.read()[0].algorithms["gamma"].paper == "third2022three"


def test_optional_blocks_are_yaml_once_uncommented(zoo) -> None:
    """Taking one `# ` away from a commented block leaves valid YAML with the remarks still remarks."""
    catalog, _ = zoo.read()
    text = skeleton("gamma", "pruning/magnitude", catalog.vocabulary)
    for name in ("storage", "strengths", "relations", "software"):
        block = re.search(rf"^# {name}:\n(?:#  .*\n)*", text, re.M)[0]
        block = re.sub(r"^# ", "", block, flags=re.M)
        block = re.sub(r"^(  )# (\w+:)", r"\1\2", block, flags=re.M)  # and one more inside
        document = parse(block)
        assert document.problems == [], block
        assert document.data[name], name
