"""Pairs of methods: both orders, what cannot be done with its reason, and nothing measured twice."""

import json
from pathlib import Path

import pytest

from catalog.code import Source
from compzoo import combining
from compzoo.combining import Plan
from compzoo.recipes import Recipe

CODE = {
    "rtn": "reference_impls.quantization.rtn:rtn", "gptq": "reference_impls.quantization.gptq:gptq",
    "wanda": "reference_impls.pruning.wanda:wanda",
}  # fmt: skip
PLAN = Plan(
    "s",
    {name: Recipe(name, code) for name, code in CODE.items()},
    {"rtn": {"bits": 3, "group_size": 16}, "gptq": {"bits": 3, "group_size": 16}, "wanda": {"sparsity": 0.5}},
)


@pytest.fixture
def tiny(small_bench, tiny_model):
    return Plan(str(tiny_model), PLAN.recipes, PLAN.options)


def test_every_order_is_measured_or_refused_with_a_reason(tiny, tmp_path):
    from catalog.combinations import read

    told = []
    path = tmp_path / "combinations.json"
    assert combining.combine(tiny, [0, 1], path=path, told=lambda *words: told.append(words)) == ("measured", path)
    found, problems = read(path, "combinations.json")
    assert problems == [] and len(found.runs) == 1 + 3 + 6
    assert told[0] == ("uncompressed", 1, 20) and told[-1][1:] == (20, 20)
    dense, pruned = found.of(), found.of("wanda")
    assert dense.median["kl"] == 0 < pruned.median["kl"] and len(pruned.seeds) == 2
    # Both orders run and give different models of the same size.
    for quantizer in ("rtn", "gptq"):
        first, second = found.of("wanda", quantizer), found.of(quantizer, "wanda")
        assert first.median["bits_per_weight"] == second.median["bits_per_weight"]
        assert first.median["perplexity"] != second.median["perplexity"]
    assert "neither zeros" in found.of("rtn", "gptq").refused and found.of("rtn", "gptq").seeds == []
    assert found.stale(CODE, Source(Path(__file__).parents[2])) == []


def test_what_is_up_to_date_is_passed_over(tiny, tmp_path):
    path, told = tmp_path / "combinations.json", []

    def combine(plan=tiny, seeds=(0,), **options):
        told.clear()
        return combining.combine(plan, seeds, path=path, told=lambda *words: told.append(words), **options)[0]

    few = Plan(tiny.model, {name: tiny.recipes[name] for name in ("rtn", "wanda")}, tiny.options)
    assert combine(few, [0, 1]) == "measured" and combine(few, [0, 1]) == "up to date" and told == []
    # More seeds than were asked for do no harm.
    assert combine(few) == "up to date"
    sparser = Plan(few.model, few.recipes, {**few.options, "wanda": {"sparsity": 0.6}})
    for changed in {"force": True}, {"seeds": [0, 1, 2]}, {"plan": sparser}, {"plan": tiny}:
        assert combine(**{"plan": few, "seeds": [0, 1], **changed}) == "measured" and told, changed
    document = json.loads(path.read_text())
    document["code_hashes"]["rtn"] = "0" * 64
    path.write_text(json.dumps(document))
    assert combine() == "measured"


def test_what_was_interrupted_goes_on(tiny, tmp_path, monkeypatch):
    from reference_impls.bench.language_bench import LanguageBench

    calls = []
    measure = LanguageBench.measure

    def counted(self, steps, seed):
        calls.append(tuple(step.id for step in steps))
        if len(calls) == 3:
            raise KeyboardInterrupt
        return measure(self, steps, seed)

    monkeypatch.setattr(LanguageBench, "measure", counted)
    path = tmp_path / "combinations.json"
    with pytest.raises(KeyboardInterrupt):
        combining.combine(tiny, [0], path=path)
    assert not path.exists()
    combining.combine(tiny, [0], path=path)
    assert calls[:3] == [("rtn",), ("gptq",), ("wanda",)]
    assert calls.count(("rtn",)) == 1 and calls.count(("wanda",)) == 2
    assert len(json.loads(path.read_text())["runs"]) == 10
