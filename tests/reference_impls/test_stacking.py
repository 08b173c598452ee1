"""Every `stacks_with` of the catalog is carried out in its order: the composition runs and both parts leave a trace."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from functools import cache

import pytest
import torch

from catalog import check
from compzoo import recipes
from reference_impls.bench import assets, language_bench, models, protocol
from reference_impls.bench.composition import Method
from reference_impls.bench.run import run
from reference_impls.core.contracts import contract_of
from reference_impls.core.training import batches
from reference_impls.core.transformer import Transformer, TransformerConfig

ENTRIES = check()[0].algorithms


def compositions() -> list[tuple[str, str]]:
    """Each declared pair in the order in which it is applied."""
    found = set()
    for id, entry in ENTRIES.items():
        for relation in entry.relations:
            if relation.type == "stacks_with" and relation.target in ENTRIES:
                if relation.order in ("before", "either"):
                    found.add((id, relation.target))
                if relation.order in ("after", "either"):
                    found.add((relation.target, id))
    return sorted(found)


@pytest.fixture
def little(monkeypatch) -> None:
    small = replace(protocol.LANGUAGE, test_windows=1, calibration_windows=4, sequence_length=64)
    monkeypatch.setattr(language_bench, "LANGUAGE", small)
    budget = protocol.Training(3, 2, 32, 1e-3)
    short = replace(protocol.SMALL_TRAINING, test_windows=1, sequence_length=32, training=budget)
    monkeypatch.setattr(protocol, "SMALL_TRAINING", short)
    load = models.load_language

    def first_two_blocks(*given) -> models.LoadedModel:
        loaded = load(*given)
        loaded.model.model.layers = loaded.model.model.layers[:2]
        loaded.model.config.num_hidden_layers = 2
        return loaded

    monkeypatch.setattr(models, "load_language", first_two_blocks)
    whole = assets.text
    monkeypatch.setattr(assets, "text", lambda split, domain: whole(split, domain)[:6000])


def method(id: str) -> Method:
    """As the entry declares it, with groups that also divide what a structured method leaves."""
    entry = recipes.recipe(id)
    options = recipes.tuples(entry, entry.options)
    return Method(id, entry.function(), options | ({"group_size": 32} if "group_size" in options else {}))


@pytest.fixture(scope="module")
def alone() -> Callable[[str], float]:
    """The perplexity after one method, measured once."""
    return cache(lambda id: run([method(id)]).after.metrics["perplexity"])


def test_there_are_such_pairs() -> None:
    assert ("smoothquant", "gptq") in compositions() and ("wanda", "gptq") in compositions()


@pytest.mark.parametrize(("first", "second"), [pytest.param(*pair, id="+".join(pair)) for pair in compositions()])
def test_a_declared_pair_runs_and_both_leave_a_trace(first: str, second: str, little, alone) -> None:
    contracts = [contract_of(method(id).function) for id in (first, second)]
    if "training" in {contract.kind for contract in contracts}:
        _trains_a_student_of_that_design(*sorted((first, second), key=lambda id: method(id).contract.kind))
        return
    both = run([method(first), method(second)]).after.metrics["perplexity"]
    assert math.isfinite(both) and both not in (alone(first), alone(second))


def _trains_a_student_of_that_design(design: str, trainer: str) -> None:
    """A training method whose student has another architecture's part: it learns, and stays of that design."""
    part = method(design)
    config = TransformerConfig(vocab=64, width=32, layers=2, heads=2, kv_heads=1, ffn=64, context=16)
    student = Transformer(config, **{part.contract.slot: lambda shape: part.function(shape, **part.declared)})
    teacher, plain = Transformer(config), Transformer(config)
    before = [parameter.detach().clone() for parameter in student.parameters()]
    ids = torch.randint(64, (400,), generator=torch.Generator().manual_seed(0))
    drawn = batches(ids, batch=2, length=16, generator=torch.Generator().manual_seed(0))
    trained = method(trainer).function(student, teacher, drawn, steps=2)
    after = list(trained.parameters())
    assert all(old.shape == new.shape for old, new in zip(before, after, strict=True))
    assert any(not torch.equal(old, new) for old, new in zip(before, after, strict=True))
    assert len(after) != len(list(plain.parameters()))
