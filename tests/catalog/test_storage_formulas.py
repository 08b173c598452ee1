"""The storage formula of an entry gives the bits that its code really stores, all along the sweep."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import pytest
import torch

from catalog import check
from catalog.code import Source
from catalog.formula import Formula
from catalog.storage import settings, values
from reference_impls.core.calibration import LayerInputs
from reference_impls.core.contracts import accepts

ENTRIES = {id: entry for id, entry in check()[0].algorithms.items()
           if entry.storage and entry.storage.bits_per_weight and entry.reference.contract == "layer"}


def parameters(code: str) -> Any:
    return Source(Path(__file__).resolve().parents[2]).function(code).options


# What a formula leaves out, as its entry says: the settings at which nothing of it is there.
PLAIN = {"spqr": {"outlier_threshold": None}, "squeezellm": {"sensitive": 0.0}}


def cases() -> list[Any]:
    """Every setting that a reader can choose, and every value of the sweep; with the formula that is to hold."""
    found = []
    for id, entry in ENTRIES.items():
        plain = entry.storage.bits_per_weight
        sweep = [{**entry.reference.options, name: value}
                 for name, values in (entry.reference.sweep or {}).items() for value in values]
        chosen = [(options, plain) for options in [*settings(entry), *sweep]]
        variants = {str(entry.reference.options | one.options): one.bits_per_weight for one in entry.storage.variants}
        cases = {str(options): (options, variants.get(str(options), text)) for options, text in chosen}
        for options, text in cases.values():
            options = options | PLAIN.get(id, {})
            name = "-".join(f"{key}={value}" for key, value in options.items())
            found.append(pytest.param(id, options, text, id=f"{id}-{name}"))
    return found


def test_there_are_such_entries() -> None:
    assert {"rtn", "gptq", "magnitude-pruning", "wanda", "sparsegpt", "truncated-svd"} <= set(ENTRIES)


def test_variants_are_tried() -> None:
    assert [case.values[2] for case in cases() if case.values[0] == "wanda"].count("9") == 1


@pytest.mark.parametrize(("id", "options", "text"), cases())
def test_formula_equals_what_is_stored(id: str, options: dict[str, Any], text: str) -> None:
    rows, columns = 48, 128
    generator = torch.Generator().manual_seed(0)
    weight, x = torch.randn(rows, columns, generator=generator), torch.randn(512, columns, generator=generator)
    module, _, name = ENTRIES[id].reference.code.partition(":")
    function = getattr(importlib.import_module(module), name)
    extra = {"fisher": torch.rand(rows, columns, generator=generator)} if accepts(function, "fisher") else {}
    stored = function(weight, LayerInputs.of(x), **options, **extra)
    numbers = values(options, parameters(ENTRIES[id].reference.code))
    formula = Formula(text)({**numbers, "rows": rows, "columns": columns})
    # Counts of whole weights are rounded down, for a layer or a block of columns at once: less than a weight in each.
    assert formula == pytest.approx(stored.bits_per_weight(), abs=16 / (rows * columns) * 2)
