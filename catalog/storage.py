"""What an entry's `storage` means: the names that its formulas may use, the settings to choose from, and its rules."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from catalog.code import CodeError, fits
from catalog.formula import Formula
from catalog.problems import Problem, listed, nearest, shown
from catalog.shapes import COMMON

if TYPE_CHECKING:
    from catalog.code import Parameter
    from catalog.loading import Catalog
    from catalog.model import Algorithm

OF_MATRIX = ("rows", "columns", "attention", "query", "key", "value")
OF_CACHE = ("tokens",)
MOST_SETTINGS = 64
# A model to try the formulas on: a formula has a value for it or for none.
TRIAL = {"rows": 256, "columns": 256, "attention": 1, "query": 1, "key": 0, "value": 0, "hidden": 256, "layers": 4,
         "heads": 4, "kv_heads": 4, "head_dim": 64, "intermediate": 512, "tokens": 1024}  # fmt: skip


def settings(entry: Algorithm) -> list[dict[str, Any]]:
    """The options that a reader chooses among, each set complete but for defaults: those that `storage` names, else
    those of the sweep; the declared ones stand for all others. Variants follow.
    """
    declared = entry.reference.options
    storage = entry.storage
    named = (storage.settings if storage else None) or entry.reference.sweep or {}
    found = [dict(zip(named, values, strict=True)) for values in itertools.product(*named.values())]
    found = [declared | one for one in found]
    return found + [declared | variant.options for variant in (storage.variants if storage else [])]


def values(options: Mapping[str, Any], parameters: Mapping[str, Parameter]) -> dict[str, float]:
    """The options of a run that are numbers, with the defaults of the function for those not given."""
    every = {name: parameter.default for name, parameter in parameters.items()} | dict(options)
    return {name: value for name, value in every.items()
            if isinstance(value, (int, float)) and not isinstance(value, bool)}  # fmt: skip


def storage_formulas(catalog: Catalog) -> Iterator[Problem]:
    """Storage formulas are arithmetic over what they may use and have a plausible value; settings are options."""
    for entry in catalog.algorithms.values():
        if entry.storage is None:
            continue
        try:
            parameters = catalog.source.function(entry.reference.code).options
        except CodeError:
            continue
        options = entry.reference.options
        sound = all(name in parameters and fits(value, parameters[name]) for name, value in options.items())
        yield from _settings(catalog, entry, parameters)
        texts: list[tuple[tuple[str | int, ...], str, tuple[str, ...], dict[str, Any]]] = []
        storage = entry.storage
        for key, names in (("bits_per_weight", OF_MATRIX), ("cache_bits", OF_CACHE), ("score_values", OF_CACHE)):
            if getattr(storage, key) is not None:
                texts.append((("storage", key), getattr(storage, key), names, options))
        for i, variant in enumerate(storage.variants):
            texts.append((("storage", "variants", i, "bits_per_weight"), variant.bits_per_weight, OF_MATRIX,
                          options | variant.options))
        for path, text, names, chosen in texts:
            yield from _formula(catalog, entry, path, text, (*names, *COMMON), values(chosen, parameters),
                                parameters if sound else None)


def _settings(catalog: Catalog, entry: Algorithm, parameters: Mapping[str, Parameter]) -> Iterator[Problem]:
    storage = entry.storage
    given = [(("storage", "settings", name, i), name, value)
             for name, several in storage.settings.items() for i, value in enumerate(several)]
    given += [(("storage", "variants", i, "options", name), name, value)
              for i, variant in enumerate(storage.variants) for name, value in variant.options.items()]
    for path, name, value in given:
        if name not in parameters:
            yield catalog.problem(entry.file, path[:-1] if path[1] == "settings" else path,
                                  "not an option of the function", value=shown(name), expected=listed(parameters),
                                  nearest=nearest(name, parameters))
        elif not fits(value, parameters[name]):
            yield catalog.problem(entry.file, path, f"not a value of the option `{name}`", value=shown(value),
                                  expected=parameters[name].annotation)
    if len(found := settings(entry)) > MOST_SETTINGS:
        yield catalog.problem(entry.file, ("storage", "settings"), "too many settings", value=str(len(found)),
                              expected=f"at most {MOST_SETTINGS} to choose from")


def _formula(
    catalog: Catalog, entry: Algorithm, path: tuple[str | int, ...], text: str, names: tuple[str, ...],
    numbers: dict[str, float], parameters: Mapping[str, Parameter] | None,
) -> Iterator[Problem]:  # fmt: skip
    try:
        formula = Formula(text)
    except ValueError as error:
        yield catalog.problem(entry.file, path, str(error), value=shown(text), expected="a formula")
        return
    options = catalog.source.function(entry.reference.code).options
    known = {*names, *options}
    for name in sorted(formula.names - known):
        yield catalog.problem(entry.file, path, "an unknown name in the formula", value=shown(name),
                              expected=listed(sorted(known)), nearest=nearest(name, known))
    for name in sorted(formula.names & set(names) & set(options)):
        yield catalog.problem(entry.file, path, f"`{name}` is an option here and a number of the model as well",
                              expected="a formula that does without it")
    if parameters is None or not formula.names <= known:  # else `code_resolves` has said what is wrong
        return
    try:
        bits = formula(numbers | TRIAL)
    except ValueError as error:
        yield catalog.problem(entry.file, path, str(error), expected="a number for the declared options")
        return
    most = 64 if "bits_per_weight" in path else 64 * 2 * TRIAL["heads"] * TRIAL["head_dim"] * TRIAL["tokens"]
    if not 0 < bits <= most:
        yield catalog.problem(entry.file, path, "not a plausible number of bits", value=f"{bits:g}",
                              expected=f"above 0 and at most {most} for the declared options")
