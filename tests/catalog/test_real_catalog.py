"""The project's own catalog: valid, complete in what this project promises, and equal to what is generated from it."""

from __future__ import annotations

import json
import typing
from collections.abc import Callable

import pytest

from catalog import Catalog, check
from catalog.model import AlternativeTo, BuildsOn, ConflictsWith, SpecialCaseOf, StacksWith, Supersedes
from catalog.rules import RULES
from catalog.schema import FILE, generate, terms, text
from catalog.search import index

FAMILIES = ["quantization", "pruning", "distillation", "low-rank", "sharing", "architecture", "experts", "dynamic",
            "adaptation", "execution"]  # fmt: skip
FLAGSHIPS = {
    "albert", "asvd", "awq", "binarybert", "bitnet", "calm", "deebert", "distilbert", "distilling-step-by-step",
    "dsnot", "dynamicvit", "expert-choice", "flap", "flashattention", "fwsvd", "gkd", "gptq", "gqa", "hqq",
    "kivi", "knowledge-distillation", "kroneckerbert", "linear-transformer", "linformer", "llm-int8",
    "llm-pruner", "llm-qat", "longformer", "lora", "losparse", "lut-gemm", "magnitude-pruning", "mamba",
    "minillm", "minilm", "moefication", "movement-pruning", "obq", "omniquant", "optimal-brain-surgeon",
    "outlier-suppression-plus", "owq", "ptq4vit", "q8bert", "qlora", "quip", "retnet", "ria", "rtn", "rwkv",
    "shortened-llama", "sixteen-heads", "slicegpt", "smoothquant", "sparsegpt", "speculative-decoding", "spqr",
    "squeezellm", "sr-ste", "switch-transformer", "tinybert", "tome", "truncated-svd", "universal-transformer",
    "wanda", "zeroquant",
}  # fmt: skip


@pytest.fixture(scope="module")
def catalog() -> Catalog:
    return check()[0]


def test_it_has_no_problems() -> None:
    assert [str(problem) for problem in check()[1]] == []


def test_the_fifteen_cover_every_family(catalog: Catalog) -> None:
    assert FLAGSHIPS <= set(catalog.algorithms)
    assert {entry.home for entry in catalog.algorithms.values()} == set(FAMILIES)


def test_taxonomy(catalog: Catalog) -> None:
    assert list(catalog.taxonomy.families) == FAMILIES
    assert len(catalog.taxonomy.nodes()) == 59
    for family in catalog.taxonomy.families.values():
        assert family.definition and family.tagline
        for group in family.groups.values():
            assert group.in_if and len(group.examples) >= 2


def test_schema_is_the_committed_one(catalog: Catalog) -> None:
    assert FILE.read_text(encoding="utf-8") == text(catalog.vocabulary), "run `python -m catalog.tidy`"


def test_schema_carries_the_vocabulary(catalog: Catalog) -> None:
    schema = json.loads(FILE.read_text(encoding="utf-8"))
    facts = schema["$defs"]["Facts"]["properties"]
    assert facts["stage"]["enum"] == list(catalog.vocabulary["stage"].values)
    assert facts["granularity"]["items"]["enum"] == list(catalog.vocabulary["granularity"].values)
    assert schema["additionalProperties"] is False and "id" not in schema["properties"]
    assert schema == json.loads(json.dumps(generate(catalog.vocabulary)))


def test_every_entry_names_its_schema(catalog: Catalog, real) -> None:
    for entry in catalog.algorithms.values():
        first = (real.parent / entry.file).read_text(encoding="utf-8").splitlines()[0]
        assert first == "# yaml-language-server: $schema=../../schema/algorithm.schema.json", entry.file


def test_vocabulary_has_the_facets_of_the_model(catalog: Catalog) -> None:
    assert set(catalog.vocabulary) == terms()


def test_all_six_kinds_of_relation_have_a_reason() -> None:
    for kind in (BuildsOn, SpecialCaseOf, StacksWith, AlternativeTo, ConflictsWith, Supersedes):
        assert len(typing.get_args(kind.model_fields["type"].annotation)) == 1
        assert kind.model_fields["why"].is_required() or kind.model_fields["when"].is_required()


def test_a_method_was_shown_where_it_is_measured(catalog: Catalog) -> None:
    for identifier, measured in catalog.measurements.items():
        where = "vision" if measured.protocol.name == "digits" else "language"
        assert catalog.algorithms[identifier].facts.modality in (where, "both"), identifier


def test_surveys(catalog: Catalog) -> None:
    counts = {key: len(survey.leaves()) for key, survey in catalog.surveys.items()}
    assert counts == {"park2024": 138, "tang2024": 146, "wang2024": 377, "zhu2023": 133}
    filed = {leaf.work: path for path, leaf in catalog.surveys["wang2024"].leaves()}
    assert filed["frantar2023optq"][:2] == ("3 Quantization", "3.3 Post-Training Quantization for LLMs")
    assert all(leaf.read == "full text" for _, leaf in catalog.surveys["wang2024"].leaves())
    assert all(leaf.read != "full text" for _, leaf in catalog.surveys["tang2024"].leaves())


def test_citations(catalog: Catalog) -> None:
    assert sum(len(record.cited) for record in catalog.citations.values()) >= 1888
    assert all(record.witness for record in catalog.citations.values())
    assert "frantar2022optimal" in catalog.citations["frantar2023optq"].cited


def test_every_rule_says_what_it_demands() -> None:
    assert len(RULES) == len({rule.__name__ for rule in RULES})
    assert all(rule.__doc__ for rule in RULES)


@pytest.mark.parametrize(
    ("query", "wanted"),
    [
        ("OPTQ", "gptq"), ("gtpq", "gptq"), ("smoothqaunt", "smoothquant"),
        ("wnada", "wanda"), ("vision token merging", "tome"), ("MoE", "switch-transformer"),
        ("hinton", "knowledge-distillation"), ("PEFT", "lora"),
        ("cross-layer sharing", "albert"), ("retention", "retnet"), ("exact attention in blocks", "flashattention"),
        ("weight magnitude", "magnitude-pruning"), ("round to nearest", "rtn"),
        ("one-shot pruning Frantar", "sparsegpt"),
    ],
)  # fmt: skip
def test_search(catalog: Catalog, query: str, wanted: str) -> None:
    assert index(catalog).search(query)[0].id == wanted


@pytest.mark.parametrize(
    ("query", "holds"),
    [
        ("no calibration data", lambda facts: facts.data in ("none", "teacher-generated")),
        ("4-bit weight-only without retraining",
         lambda facts: facts.training == "none" and 4 in (facts.bits or {}).get("weights", [])),
        ("2:4", lambda facts: facts.structure in ("unstructured", "semi-structured")),
        ("KV cache quantization", lambda facts: "kv-cache" in facts.compresses),
    ],
)  # fmt: skip
def test_search_by_facts(catalog: Catalog, query: str, holds: Callable) -> None:
    found = [hit.id for hit in index(catalog).search(query)][:3]
    assert len(found) == 3 and all(holds(catalog.algorithms[id].facts) for id in found), found


@pytest.mark.parametrize(
    ("query", "wanted"),
    [("early exit", {"calm", "deebert"}), ("low-rank factorisation", {"truncated-svd", "asvd", "fwsvd", "losparse"}),
     ("on-policy distillation", {"gkd", "minillm"}), ("state space model", {"mamba"})],
)  # fmt: skip
def test_search_finds_one_of_its_kind_first(catalog: Catalog, query: str, wanted: set[str]) -> None:
    assert index(catalog).search(query)[0].id in wanted
