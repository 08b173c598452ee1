"""Choosing: which methods fit hardware, memory, data and training, and what a model takes under each of them.

`data` states once for every entry what it needs and what it stores; `answer` compares that with a question. The browser
reads the same data and answers with the twin of this file, `site_gen/frontend/src/choose/answer.ts`; tests hold both
equal. Sentences, too, are data (`TEXTS`), so that both say the same.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from typing import Any

from catalog import storage
from catalog.code import CodeError
from catalog.formula import Formula
from catalog.loading import Catalog
from catalog.shapes import ROLES
from catalog.wording import word

SCHEMA = 1
SMALL_LOSS = {"perplexity": 0.05, "accuracy": 0.01}  # of what the uncompressed model has; points of accuracy
# Bytes a parameter to train all weights in mixed precision with Adam, without activations: weights and gradients at two
# bytes, a copy of the weights and both moments at four (Rajbhandari et al. 2020, ZeRO, Section 3.1, arXiv:1910.02054).
TRAINING_BYTES = 2 + 2 + 4 + 4 + 4
NEAR = 0.15  # a run counts for a setting if the bits a weight that it stored are as near as this share of them
LARGE = 1_000_000_000  # parameters from which a model counts as large, as in the vocabulary of `scale`
CONFIG_LIMIT = 200_000  # characters of a pasted config.json
MOST_TOKENS, MOST_BATCH = 100_000_000, 1_000_000
TRAINING = ("none", "light", "full")  # from little to much
ATTENTION = ("query", "key", "value", "output")
NESTED = ("text_config", "language_config", "llm_config")  # where a model of text and images keeps the language model

TEXTS = {
    "data_falls": "{says} You have {have}.",
    "training_falls": "{says} You allow {limit}.",
    "gradients_yes": "It computes gradients.",
    "gradients_no": "It computes no gradients.",
    "gradients_falls": "{says} You rule that out.",
    "compress": "It compresses {what}.",
    "compress_falls": "{says} You want to compress {wanted}.",
    "speed_falls": "{says} Your hardware does not offer that.",
    "speed_never": "{says} You want more speed.",
    "shown": "It was shown {kind}, {scale}.",
    "shown_falls": "{says} This model is {model}.",
    "size": "{setting}: its weights take {weights} of {most}.",
    "size_falls": "{setting}: its weights still take {weights}; you want at most {most}.",
    "memory": "{setting}: it takes {total} of {most}; {left} is left.",
    "memory_falls": "{setting}: it still takes {total}; you have {most}.",
    "unknown_size": "What it takes cannot be computed. {why}",
    "together": "No single setting meets all of these at once.",
    "only_setting": "As it is",
    "not_json": "This is not JSON. A config.json begins with { and ends with }.",
    "too_long": "This is longer than {most} characters; a config.json is far shorter.",
    "not_object": "This is JSON, but {found}; a config.json is an object, { ... }.",
    "no_type": "The key `model_type` is missing. Known are {known}.",
    "type_not_text": "`model_type` is {found}; it has to be a text, one of {known}.",
    "unknown_type": "`model_type` is {found}, which is not known here. Known are {known}.",
    "missing": "The key `{key}` is missing ({meaning}).{others}",
    "others": " Other names that are understood: {names}.",
    "not_number": "`{key}` is {found}; it has to be a whole number from {least} to {most} ({meaning}).",
    "not_switch": "`{key}` is {found}; it has to be true or false ({meaning}).",
    "only": "`{key}` is {found}; how that changes the shape is not known here, only {known}.",
    "not_divisible": "`{key}` is {found}; it has to be a multiple of `{by}`, {divisor}.",
    "nested": "Read from `{key}`: only the language model is counted, nothing else of this model.",
}  # fmt: skip


# Options of a run, its protocol, its value, and the bits a weight of the blocks that it stored, where that was counted.
Measured = tuple[dict[str, Any], str, float, float | None]
OF_BLOCKS = ("language", "compression")  # protocols by whose first word bits are those of the blocks alone


def data(catalog: Catalog) -> dict[str, Any]:
    """Everything that an answer needs, as JSON knows it."""
    shapes, vocabulary = catalog.shapes, catalog.vocabulary
    protocols, measured = _measured(catalog)
    entries = [_entry(catalog, entry, measured) for entry in catalog.algorithms.values()]
    entries.sort(key=lambda one: (one["name"].casefold(), one["id"]))
    found: dict[str, Any] = {
        "schema": SCHEMA, "texts": TEXTS, "roles": list(ROLES), "attention": list(ATTENTION), "nested": list(NESTED),
        "large": LARGE, "training_bytes": TRAINING_BYTES,
        "limits": {"config": CONFIG_LIMIT, "tokens": MOST_TOKENS, "batch": MOST_BATCH, "near": NEAR,
                   "small_loss": SMALL_LOSS},
        "training": list(TRAINING),
        "values": {name: {value: _label(value) for value in vocabulary[name].values} if name in vocabulary else {}
                   for name in ("compresses", "data", "training", "needs_for_speed")},
        "says": _says(catalog), "protocols": protocols, "entries": entries,
        "numbers": {}, "architectures": {}, "models": [], "hardware": {}, "covers": {}, "bits": 16,
    }  # fmt: skip
    if shapes is not None:
        found |= {
            "numbers": {name: one.model_dump() for name, one in shapes.numbers.items()},
            "architectures": {id: _architecture(shapes, one) for id, one in shapes.architectures.items()},
            "models": [{"id": id, "name": one.name, "aliases": one.aliases, "architecture": one.architecture,
                        "numbers": {name: int(value) for name, value in one.numbers.items()}}
                       for id, one in shapes.models.items()],
            "hardware": {id: {"name": one.name, "offers": one.offers} for id, one in shapes.hardware.items()},
            "covers": shapes.data_covers, "bits": shapes.number_of_bits,
        }
    return found


# How values of the vocabulary stand in a sentence, where that is not how they read alone.
_LABELS = {
    "calibration": "calibration samples", "unlabeled": "unlabeled inputs",
    "pretraining-corpus": "a pretraining corpus", "teacher-generated": "teacher-generated data",
}  # fmt: skip


def _label(value: str) -> str:
    return _LABELS.get(value) or word(value)


def _says(catalog: Catalog) -> dict[str, dict[str, str]]:
    """What it means to an entry to have a value: sentences made of the vocabulary's own words."""

    def meanings(facet: str) -> dict[str, str]:
        return catalog.vocabulary[facet].values if facet in catalog.vocabulary else {}

    def small(text: str) -> str:
        return text[:1].lower() + text[1:]

    kinds = {value: "on several kinds of model" if value == "any" else f"on {small(text).rstrip('.')}"
             for value, text in meanings("model_kind").items()}
    return {
        "data": {value: f"It needs {small(text)}" for value, text in meanings("data").items()},
        "training": {value: f"It needs {'' if value == 'none' else 'training: '}{small(text)}"
                     for value, text in meanings("training").items()},
        "needs_for_speed": {value: text if value in ("nothing", "no-speedup") else f"For speed it needs {small(text)}"
                            for value, text in meanings("needs_for_speed").items()},
        "model_kind": kinds,
        "scale": {value: small(text).rstrip(".") for value, text in meanings("scale").items()},
    }  # fmt: skip


def _architecture(shapes: Any, one: Any) -> dict[str, Any]:
    block = shapes.blocks[one.block]
    return {
        "name": one.name, "model_types": one.model_types, "kind": one.kind, "only": one.only,
        "numbers": {name: None if text is None else Formula(text).tree() for name, text in one.numbers.items()},
        "matrices": [{"role": m.role, "rows": Formula(m.rows).tree(), "columns": Formula(m.columns).tree(),
                      "count": Formula(m.count).tree()} for m in block.matrices],
        "widest": Formula(block.widest).tree(),
        **{key: Formula(getattr(one, key)).tree()
           for key in ("embeddings", "head", "rest", "cached_layers", "outputs")},
    }  # fmt: skip


def _entry(catalog: Catalog, entry: Any, measured: Mapping[str, list[Measured]]) -> dict:
    facts, stored = entry.facts, entry.storage
    try:
        parameters = catalog.source.function(entry.reference.code).options
    except CodeError:
        parameters = {}
    formulas = {"weights": stored.bits_per_weight, "cache": stored.cache_bits,
                "scores": stored.score_values} if stored else {}  # fmt: skip
    parsed = {key: Formula(text) for key, text in formulas.items() if text}
    variants = {json.dumps(entry.reference.options | one.options, sort_keys=True, default=str): one
                for one in (stored.variants if stored else [])}  # fmt: skip
    used = {name for formula in parsed.values() for name in formula.names}
    used |= {name for one in variants.values() for name in Formula(one.bits_per_weight).names}
    named = [*((stored.settings if stored else None) or entry.reference.sweep or {})]
    settings = []
    for options in storage.settings(entry):
        numbers = storage.values(options, parameters)
        key = json.dumps(options, sort_keys=True, default=str)
        telling = [*variants[key].options] if key in variants else named
        setting: dict[str, Any] = {
            "label": ", ".join(f"{name.replace('_', ' ')} {_value(options[name])}" for name in telling),
            "values": {name: numbers[name] for name in sorted(used & numbers.keys())},
        }
        runs = [run for run in measured.get(entry.id, []) if run[0] == options]
        if runs:
            setting["measured"] = {protocol: value for _, protocol, value, _ in runs}
            setting["stored"] = {protocol: bits for _, protocol, _, bits in runs if bits is not None}
        if key in variants:
            setting["weights"] = Formula(variants[key].bits_per_weight).tree()
            if variants[key].needs_for_speed is not None:
                setting["speed"] = variants[key].needs_for_speed
        settings.append(setting)
    needs = (facts.data != "none", facts.training != "none", facts.uses_gradients,
             facts.needs_for_speed not in ("nothing", "no-speedup"))  # fmt: skip
    found: dict[str, Any] = {
        "id": entry.id, "name": entry.name, "family": entry.home, "kind": facts.model_kind, "scale": facts.scale,
        "data": facts.data, "training": facts.training, "gradients": facts.uses_gradients,
        "compresses": facts.compresses, "speed": facts.needs_for_speed, "needs": sum(needs), "settings": settings,
        **{key: formula.tree() for key, formula in parsed.items()},
    }  # fmt: skip
    if stored is None or stored.own_size:
        found["own"] = stored.own_size if stored else "Its entry does not say what it stores."
    elif stored.unchanged:
        found["unchanged"] = stored.unchanged
    return found


def _value(value: Any) -> str:
    return "none" if value is None else ("yes" if value else "no") if isinstance(value, bool) else str(value)


def _measured(catalog: Catalog) -> tuple[list[dict[str, Any]], dict[str, list[Measured]]]:
    """Protocols by which entries can be ordered, most entries first, and for each entry its runs.

    A value is the perplexity as a ratio to the uncompressed model, or the accuracy; medians over the seeds. Two runs
    share a protocol only where its name, version, model and data are the same. Stale measurements do not count.
    """
    protocols: dict[str, dict[str, Any]] = {}
    values: dict[str, list[Measured]] = {}
    for measurement in catalog.all_measurements():
        if catalog.is_stale(measurement):
            continue
        protocol = measurement.protocol
        extra = protocol.model_extra or {}
        same = (protocol.name, protocol.version, protocol.model, extra.get("model_hash"), extra.get("data_hash"))
        dense = next((run.median for run in measurement.runs if run.role == "dense"), {})
        metric = next((name for name in ("perplexity", "accuracy") if dense.get(name)), None)
        if metric is None or measurement.algorithm not in catalog.algorithms:
            continue
        id = _protocol_id(same, protocols)
        label = measurement.metrics[metric].label if metric in measurement.metrics else metric
        protocols.setdefault(id, {
            "id": id, "same": list(map(str, same)), "name": protocol.name, "version": protocol.version,
            "model": protocol.model, "metric": metric, "entries": 0,
            "label": f"{label}, as a ratio to the uncompressed model" if metric == "perplexity" else label,
            "better": "lower" if metric == "perplexity" else "higher",
            "small_loss": 1 + SMALL_LOSS[metric] if metric == "perplexity" else dense[metric] - SMALL_LOSS[metric],
        })["entries"] += 1  # fmt: skip
        for run in measurement.runs:
            value = run.median.get(metric)
            if run.algorithm in catalog.algorithms and run.role != "dense" and value is not None:
                ratio = value / dense[metric] if metric == "perplexity" else value
                own = run.algorithm == measurement.algorithm
                if own:
                    blocks = protocol.name.partition("-")[0] in OF_BLOCKS
                    bits = run.median.get("bits_per_weight") if blocks else None
                    values.setdefault(run.algorithm, []).append((dict(run.options), id, ratio, bits))
    ordered = sorted(protocols.values(), key=lambda one: (-one["entries"], one["id"]))
    for one in ordered:
        del one["same"]
    return ordered, values


def _protocol_id(same: tuple[Any, ...], known: Mapping[str, dict[str, Any]]) -> str:
    words = f"{same[0]} {same[1]} {same[2]}".lower()
    base = "-".join("".join(c if c.isalnum() else " " for c in words).split()[:4])
    id, number = base, 1
    while id in known and known[id]["same"] != list(map(str, same)):
        number += 1
        id = f"{base}-{number}"
    return id


# --- what follows has a twin in the browser ------------------------------------------------------------------------


def evaluate(tree: Any, value_of: Callable[[str], float]) -> float:
    """The value of a formula's tree (see `Formula.tree`); nan where it has none."""
    if isinstance(tree, str):
        return value_of(tree)
    if not isinstance(tree, list):
        return tree
    operation, *operands = tree
    numbers = [evaluate(operand, value_of) for operand in operands]
    try:
        return _OPERATIONS[operation](*numbers)
    except (ArithmeticError, ValueError):
        return math.nan


_OPERATIONS: dict[str, Callable[..., float]] = {
    "+": lambda a, b: a + b, "-": lambda a, b: a - b, "*": lambda a, b: a * b, "/": lambda a, b: a / b,
    "//": lambda a, b: a // b, "%": lambda a, b: a % b, "neg": lambda a: -a, "ceil": math.ceil, "exp2": math.exp2,
    "floor": math.floor, "log2": math.log2, "max": max, "min": min,
}  # fmt: skip


def said(text: str, **values: str) -> str:
    """A sentence of TEXTS with its blanks filled. What is filled in is not looked at again."""
    parts = text.split("{")
    found = parts[0]
    for part in parts[1:]:
        name, closed, rest = part.partition("}")
        found += values[name] + rest if closed and name in values else "{" + part
    return found


def large_number(value: float) -> str:
    """6.74 billion, 125 million: as the sizes of models are told."""
    return f"{digits(value / 1e9)} billion" if value >= 999_500_000 else f"{digits(value / 1e6)} million"


def digits(value: float, places: int = 3) -> str:
    """A positive number with so many leading digits, half rounded up: 9.40 for 9.396, but 9.4 and 8 for just these."""
    if value == 0:
        return "0"
    scale, factor = 10 ** (places - 1), 1.0
    while value * factor >= scale * 10 and factor > 1e-30:
        factor /= 10
    while value * factor < scale and factor < 1e30:
        factor *= 10
    whole = math.floor(value * factor + 0.5)
    if factor <= 1:
        return str(round(whole / factor))
    if whole == scale * 10:
        whole, factor = scale, factor / 10
    after = round(math.log10(factor))
    text = str(whole).rjust(after + 1, "0")
    text = f"{text[:-after]}.{text[-after:]}"
    short = text.rstrip("0").rstrip(".")
    return short if abs(float(short) - value) <= 1e-12 * value else text


def size(value: float) -> str:
    """A number of bytes for people: 13.5 GB, with 1 GB = 1,000,000,000 bytes."""
    for unit, bytes_ in (("TB", 1e12), ("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if value >= 0.9995 * bytes_:
            return f"{digits(value / bytes_)} {unit}"
    return f"{digits(value)} bytes"


def bytes_of(text: str) -> float | None:
    """8 GB, 24 GiB, 900MB or 8 (GB) as bytes; None where that is no positive amount."""
    clean = text.strip().lower().replace(",", ".")
    units = {"kb": 1e3, "mb": 1e6, "gb": 1e9, "tb": 1e12, "kib": 2.0**10, "mib": 2.0**20, "gib": 2.0**30,
             "tib": 2.0**40, "": 1e9, "b": 1.0}  # fmt: skip
    number = clean.rstrip("abcdefghijklmnopqrstuvwxyz ")
    unit = clean[len(number):].strip()
    if unit not in units or not number or number.count(".") > 1 or any(c not in "0123456789." for c in number):
        return None
    if number == ".":
        return None
    found = float(number) * units[unit]
    return found if 0 < found < 1e18 else None


def read_config(facts: Mapping[str, Any], text: str) -> dict[str, Any]:
    """The shape in a config.json: {architecture, numbers, note}, or {error} in words that name the key."""
    texts = facts["texts"]
    if len(text) > facts["limits"]["config"]:
        return {"error": said(texts["too_long"], most=str(facts["limits"]["config"]))}
    try:
        config = json.loads(text, parse_constant=_no_constant, parse_int=_number)
    except (ValueError, RecursionError):
        return {"error": texts["not_json"]}
    if not isinstance(config, dict):
        return {"error": said(texts["not_object"], found=_shown(config))}
    types = {name: id for id, one in facts["architectures"].items() for name in one["model_types"]}
    known = ", ".join(types)
    note = ""
    if not (isinstance(config.get("model_type"), str) and config["model_type"] in types):
        for key in facts["nested"]:
            if isinstance(config.get(key), dict):
                inner = config[key]
                if "model_type" not in inner and "model_type" in config:
                    inner = {**inner, "model_type": config["model_type"]}
                config, note = inner, said(texts["nested"], key=key)
                break
    model_type = config.get("model_type")
    if model_type is None:
        return {"error": said(texts["no_type"], known=known)}
    if not isinstance(model_type, str):
        return {"error": said(texts["type_not_text"], found=_shown(model_type), known=known)}
    if model_type not in types:
        if model_type.endswith("_text") and model_type[: -len("_text")] in types:
            model_type = model_type[: -len("_text")]
        else:
            return {"error": said(texts["unknown_type"], found=_shown(model_type), known=known)}
    architecture = facts["architectures"][types[model_type]]
    for key, allowed in architecture["only"].items():
        if config.get(key) is not None and not any(_same(config[key], one) for one in allowed):
            return {"error": said(texts["only"], key=key, found=_shown(config[key]),
                                  known=" or ".join(_shown(one) for one in allowed))}
    numbers: dict[str, float] = {}
    for name, default in architecture["numbers"].items():
        kind = facts["numbers"][name]
        key = next((key for key in kind["keys"] if config.get(key) is not None), None)
        if key is None:
            if default is None:
                first, *others = kind["keys"]
                more = said(texts["others"], names=", ".join(others)) if others else ""
                return {"error": said(texts["missing"], key=first, meaning=kind["meaning"], others=more)}
            numbers[name] = evaluate(default, numbers.__getitem__)
            if not _whole(numbers[name]):
                # The only default that can fail is a width shared among heads.
                return {"error": said(texts["not_divisible"], key=_key(facts, config, "hidden"),
                                      found=str(int(numbers["hidden"])), by=_key(facts, config, "heads"),
                                      divisor=str(int(numbers["heads"])))}
            continue
        value = config[key]
        if kind["kind"] == "number":
            if isinstance(value, bool) or not isinstance(value, (int, float)) or not _whole(value) or not (
                kind["least"] <= value <= kind["most"]
            ):
                return {"error": said(texts["not_number"], key=key, found=_shown(value), least=str(kind["least"]),
                                      most=str(kind["most"]), meaning=kind["meaning"])}
            numbers[name] = int(value)
        elif kind["kind"] == "gate" and isinstance(value, str):
            numbers[name] = int("gated" in value)
        elif isinstance(value, bool):
            numbers[name] = int(value)
        else:
            return {"error": said(texts["not_switch"], key=key, found=_shown(value), meaning=kind["meaning"])}
    if numbers["heads"] % numbers["kv_heads"]:
        return {"error": said(texts["not_divisible"], key=_key(facts, config, "heads"),
                              found=str(int(numbers["heads"])), by=_key(facts, config, "kv_heads"),
                              divisor=str(int(numbers["kv_heads"])))}
    return {"architecture": types[model_type], "numbers": {name: int(one) for name, one in numbers.items()},
            "note": note}


def _no_constant(name: str) -> float:
    raise ValueError(name)


def _number(digits_: str) -> int | float:
    """As JavaScript reads it: what is too long for a whole number becomes a float, if need be infinite."""
    return int(digits_) if len(digits_) <= 15 else float(digits_)


def _whole(value: float) -> bool:
    return isinstance(value, int) or (math.isfinite(value) and value == math.floor(value))


def _same(a: Any, b: Any) -> bool:
    return a == b and isinstance(a, bool) == isinstance(b, bool)


def _key(facts: Mapping[str, Any], config: Mapping[str, Any], name: str) -> str:
    keys = facts["numbers"][name]["keys"]
    return next((key for key in keys if config.get(key) is not None), keys[0])


def _shown(value: Any) -> str:
    """A value of a config.json as a message shows it."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (int, float)):
        if not math.isfinite(value) or abs(value) >= 1e15:
            return "a number beyond all bounds"
        sign = "-" if value < 0 else ""
        return f"{sign}{abs(int(value)) if value == math.floor(value) else digits(abs(value), 6)}"
    if isinstance(value, str):
        return f'"{value[:40]}"' + (" and so on" if len(value) > 40 else "")
    if isinstance(value, list):
        return "a list" if value else "an empty list"
    return "an object"


def layout(facts: Mapping[str, Any], shape: Mapping[str, Any]) -> dict[str, Any]:
    """A model's matrices [{role, rows, columns, count}], its other numbers, and its totals.

    shape: {architecture, numbers}; numbers with a default may be left out. Raises ValueError for one without.
    """
    architecture = facts["architectures"][shape["architecture"]]
    numbers: dict[str, float] = {}
    for name, default in architecture["numbers"].items():
        if name in shape["numbers"]:
            numbers[name] = shape["numbers"][name]
        elif default is None:
            raise ValueError(f"`{name}` is missing")
        else:
            numbers[name] = evaluate(default, numbers.__getitem__)

    def of(tree: Any) -> float:
        return evaluate(tree, numbers.__getitem__)

    matrices = [{"role": m["role"], "rows": of(m["rows"]), "columns": of(m["columns"]), "count": of(m["count"])}
                for m in architecture["matrices"]]
    block = sum(m["rows"] * m["columns"] * m["count"] for m in matrices)
    other = of(architecture["embeddings"]) + of(architecture["head"]) + of(architecture["rest"])
    return {
        "kind": architecture["kind"], "numbers": numbers, "matrices": matrices, "block": block, "other": other,
        "parameters": block + other, "cached_layers": of(architecture["cached_layers"]),
        "widest": of(architecture["widest"]), "outputs": of(architecture["outputs"]),
    }  # fmt: skip


def memory(
    facts: Mapping[str, Any], model: Mapping[str, Any], asked: Mapping[str, Any], entry: Mapping[str, Any] | None,
    setting: Mapping[str, Any] | None,
) -> dict[str, float] | None:  # fmt: skip
    """Bytes of weights, cache and activations under a setting of an entry, or of the uncompressed model (None, None).

    None where the entry has a size of its own, or where a formula has no positive value for this model.
    """
    bits, tokens, batch = facts["bits"], asked["tokens"], asked["batch"]
    chosen = setting["values"] if setting else {}
    numbers = model["numbers"]

    def value(formula: Any, more: Mapping[str, float]) -> float:
        return evaluate(formula, lambda name: more[name] if name in more else
                        numbers[name] if name in numbers else chosen.get(name, math.nan))

    if entry is not None and "own" in entry:
        return None
    formula = (setting or {}).get("weights", (entry or {}).get("weights"))
    stored = bits * model["other"]
    for matrix in model["matrices"]:
        each: float = bits
        if formula is not None:
            role = {name: 1 if matrix["role"] == name else 0 for name in ("query", "key", "value")}
            role["attention"] = 1 if matrix["role"] in facts["attention"] else 0
            each = value(formula, {**role, "rows": matrix["rows"], "columns": matrix["columns"]})
            if matrix["count"] and not (math.isfinite(each) and each >= 0):
                return None
        stored += each * matrix["rows"] * matrix["columns"] * matrix["count"]
    if stored <= 0:
        return None
    dense = 2 * numbers["kv_heads"] * numbers["head_dim"] * bits * tokens
    cached = value(entry["cache"], {"tokens": tokens}) if entry and "cache" in entry else dense
    if not (math.isfinite(cached) and cached >= 0):
        return None
    cache = cached * model["cached_layers"] * batch
    activations = bits * batch * (tokens * (2 * numbers["hidden"] + model["widest"]) + model["outputs"])
    if asked.get("scores"):
        full = numbers["heads"] * tokens * tokens
        held = value(entry["scores"], {"tokens": tokens}) if entry and "scores" in entry else full
        activations += bits * batch * held
    found = {"weights": stored / 8, "cache": cache / 8, "activations": activations / 8}
    return {**found, "total": found["weights"] + found["cache"] + found["activations"]}


def answer(facts: Mapping[str, Any], asked: Mapping[str, Any]) -> dict[str, Any]:
    """Every entry with whether it stays, why, at which setting and what it takes; those that stay first, in order.

    asked: shape ({architecture, numbers} or None), tokens, batch, memory and size (bytes or None), compress, data
    (lists or None for any), training (or None), gradients (False rules them out), offers (list or None for any
    speed), shown (bool), scores (bool), protocol.

    Order: those measured under the protocol at a setting that meets everything, by their best value there; then the
    others, by how many things they need, by data, by training, by name. Those that fall: by how much they break.
    Without a memory or size to reach, the best value says only who saves least: then first come those with a small
    loss, each at the setting with such a loss that leaves the least, and least first.
    """
    model = layout(facts, asked["shape"]) if asked.get("shape") else None
    place = {one["id"]: one for one in facts["protocols"]}.get(asked.get("protocol") or "")
    data_order = list(facts["values"]["data"])
    rows = []
    for index, entry in enumerate(facts["entries"]):
        row, measured = _judged(facts, asked, model, entry, place)
        broken = sum(1 for reason in row["reasons"] if reason["holds"] is False)
        needs = (entry["needs"], data_order.index(entry["data"]), facts["training"].index(entry["training"]))
        order = [1, broken, 0, 0, 0] if not row["stays"] else [0, *measured, 0] if measured else [0, 2, *needs]
        rows.append((order, index, row))
    rows.sort(key=lambda item: (item[0], item[1]))
    return {
        "rows": [row for _, _, row in rows],
        "stay": sum(1 for _, _, row in rows if row["stays"]),
        "model": None if model is None else {
            "parameters": model["parameters"], "block": model["block"], "kind": model["kind"],
            "training": facts["training_bytes"] * model["parameters"],
            **(memory(facts, model, asked, None, None) or {}),
        },
    }  # fmt: skip


def _judged(
    facts: Mapping[str, Any], asked: Mapping[str, Any], model: Mapping[str, Any] | None, entry: Mapping[str, Any],
    place: Mapping[str, Any] | None,
) -> tuple[dict[str, Any], list[float]]:  # fmt: skip
    """The row of an entry, and where it belongs among the measured ones: empty where it is not."""
    texts, says = facts["texts"], facts["says"]
    reasons: list[dict[str, Any]] = []

    def reason(name: str, holds: bool | None, text: str) -> None:
        reasons.append({"of": name, "holds": holds, "text": text})

    wanted = asked.get("compress")
    if wanted:
        own = said(texts["compress"], what=_and(facts["values"]["compresses"][one] for one in entry["compresses"]))
        holds = any(one in wanted for one in entry["compresses"])
        names = _and((facts["values"]["compresses"][one] for one in wanted), "or")
        reason("compress", holds, own if holds else said(texts["compress_falls"], says=own, wanted=names))
    have = asked.get("data")
    if have is not None:
        covered = {"none", *have, *(other for one in have for other in facts["covers"].get(one, []))}
        own, holds = says["data"][entry["data"]], entry["data"] in covered
        names = _and(facts["values"]["data"][one] for one in have if one != "none") or "none"
        reason("data", holds, own if holds else said(texts["data_falls"], says=own, have=names))
    limit = asked.get("training")
    if limit:
        own = says["training"][entry["training"]]
        holds = facts["training"].index(entry["training"]) <= facts["training"].index(limit)
        reason("training", holds, own if holds else said(
            texts["training_falls"], says=own, limit=facts["values"]["training"][limit]))
    if asked.get("gradients") is False:
        own = texts["gradients_yes" if entry["gradients"] else "gradients_no"]
        reason("gradients", not entry["gradients"],
               said(texts["gradients_falls"], says=own) if entry["gradients"] else own)
    if asked.get("shown") and model is not None:
        large = model["parameters"] >= facts["large"]
        own = said(texts["shown"], kind=says["model_kind"][entry["kind"]], scale=says["scale"][entry["scale"]])
        holds = entry["kind"] in ("any", model["kind"]) and entry["scale"] in ("both", "large" if large else "medium")
        this = f"{model['kind'].replace('-', ' ')} of {large_number(model['parameters'])} parameters"
        this = ("an " if this[0] in "aeiou" else "a ") + this
        reason("shown", holds, own if holds else said(texts["shown_falls"], says=own, model=this))

    # What depends on the setting. Each constraint has to hold, and all of them for one setting.
    tried = []
    for setting in entry["settings"]:
        takes = memory(facts, model, asked, entry, setting) if model is not None else None
        if model is not None and takes is None and "own" not in entry:
            continue
        tried.append((setting, takes))
    checks: dict[str, Callable[[Any, Any], bool]] = {}
    offers, most, limit_size = asked.get("offers"), asked.get("memory"), asked.get("size")
    if offers is not None:
        checks["speed"] = lambda setting, takes: setting.get("speed", entry["speed"]) in ("nothing", *offers)
    if model is not None and limit_size is not None:
        checks["size"] = lambda setting, takes: takes is None or takes["weights"] <= limit_size
    if model is not None and most is not None:
        checks["memory"] = lambda setting, takes: takes is None or takes["total"] <= most
    fit = [one for one in tried if all(check(*one) for check in checks.values())]

    def value_of(one: tuple[Any, Any]) -> float | None:
        """What was measured, if as much is stored for a weight of this model as was stored there."""
        setting, takes = one
        if place is None or place["id"] not in setting.get("measured", {}):
            return None
        there = setting["stored"].get(place["id"])
        if there is not None and model is not None and takes is not None:
            here = (8 * takes["weights"] - facts["bits"] * model["other"]) / model["block"]
            if abs(here - there) > facts["limits"]["near"] * there:
                return None
        return setting["measured"][place["id"]]

    def level(one: tuple[Any, Any]) -> float | None:
        value = value_of(one)
        return None if value is None else (value if place["better"] == "lower" else -value)

    def weight(one: tuple[Any, Any]) -> float:
        return one[1]["total"] if one[1] is not None else 0.0

    def left(one: tuple[Any, Any]) -> float:
        """What it leaves: bytes of this model, else bits a weight in the run; unknown counts as most."""
        return one[1]["total"] if one[1] is not None else one[0].get("stored", {}).get(place["id"], math.inf)

    chosen = None
    measured = [one for one in fit if level(one) is not None]
    goal = most is not None or limit_size is not None
    bound = (place["small_loss"] if place["better"] == "lower" else -place["small_loss"]) if place else 0
    small = [] if goal else [one for one in measured if level(one) <= bound]
    where: list[float] = []
    if small:
        chosen = min(small, key=lambda one: (left(one), level(one)))
        where = [0, left(chosen), level(chosen)]
    elif measured:
        chosen = min(measured, key=lambda one: (level(one), weight(one)))
        where = [1, level(chosen), 0]
    elif fit:
        chosen = max(fit, key=weight)  # the first of the largest: the mildest
    smallest = min(tried, key=weight) if tried else None
    for name, check in checks.items():
        one = chosen or next((one for one in tried if check(*one)), smallest)
        holds = one is not None and check(*one)
        setting, takes = one if one is not None else (None, None)
        if name == "speed":
            need = setting.get("speed", entry["speed"]) if setting else entry["speed"]
            own = says["needs_for_speed"][need]
            text = texts["speed_never" if need == "no-speedup" else "speed_falls"]
            reason(name, holds, own if holds else said(text, says=own))
            continue
        if takes is None:
            reason(name, None if "own" in entry else False, said(texts["unknown_size"], why=entry.get("own", "")))
            continue
        label = setting["label"] or texts["only_setting"]
        label = label[:1].upper() + label[1:]
        amounts = {"setting": label, "most": size(limit_size if name == "size" else most),
                   "weights": size(takes["weights"]), "total": size(takes["total"]),
                   "left": size(most - takes["total"]) if most is not None and most >= takes["total"] else ""}
        text = said(texts[name if holds else f"{name}_falls"], **amounts)
        reason(name, holds, text + (f" {entry['unchanged']}" if not holds and "unchanged" in entry else ""))
    if chosen is None and checks and not any(one["holds"] is False for one in reasons if one["of"] in checks):
        reason("together", False, texts["together"])
    shown = chosen or smallest
    row: dict[str, Any] = {
        "id": entry["id"], "stays": not any(one["holds"] is False for one in reasons), "reasons": reasons,
        "setting": shown[0]["label"] if shown else "", "takes": shown[1] if shown else None,
    }  # fmt: skip
    if chosen is not None and level(chosen) is not None:
        row["measured"] = value_of(chosen)
    return row, where


def _and(names: Any, word: str = "and") -> str:
    several = list(names)
    if len(several) < 2:
        return "".join(several)
    return f"{', '.join(several[:-1])} {word} {several[-1]}"
