"""Choosing, made ready for the page: the facts that the browser answers from, and what a reader without it sees."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from catalog import choosing

if TYPE_CHECKING:
    from catalog import Catalog
    from catalog.shapes import Hardware, Shape

EXAMPLE, TOKENS = "llama-2-7b", 4096


@dataclass(frozen=True)
class Stored:
    """An entry under the example's shape: bytes of its weights and of all at its mildest and its strongest setting."""

    id: str
    most: tuple[str, dict[str, float]] | None  # (setting, bytes); None where it has a size of its own
    least: tuple[str, dict[str, float]] | None


@dataclass(frozen=True)
class Model:
    """A well-known model: how many numbers it has, and bytes of weights and of the cache for one token, in 16 bit."""

    id: str
    shape: Shape
    parameters: float
    weights: float
    cache: float
    kind: str


@dataclass(frozen=True)
class Choose:
    """`facts` is what the browser reads. `example` holds the bytes of the uncompressed model, where there is one."""

    facts: dict[str, Any]
    models: list[Model] = field(default_factory=list)
    hardware: dict[str, Hardware] = field(default_factory=dict)
    example: dict[str, Any] | None = None
    example_model: Model | None = None
    stored: list[Stored] = field(default_factory=list)
    tokens: int = TOKENS


def build(catalog: Catalog) -> Choose:
    """From the catalog alone; without shapes.yml there are facts and no memory."""
    facts = choosing.data(catalog)
    if catalog.shapes is None:
        return Choose(facts)
    asked = {"tokens": 1, "batch": 1, "scores": False}
    models = []
    for one in facts["models"]:
        laid = choosing.layout(facts, one)
        plain = choosing.memory(facts, laid, asked, None, None)
        models.append(Model(one["id"], catalog.shapes.models[one["id"]], laid["parameters"], plain["weights"],
                            plain["cache"], laid["kind"]))  # fmt: skip
    chosen = next((one for one in models if one.id == EXAMPLE), models[0] if models else None)
    if chosen is None:
        return Choose(facts, hardware=catalog.shapes.hardware)
    shape = next(one for one in facts["models"] if one["id"] == chosen.id)
    asked |= {"tokens": TOKENS}
    laid = choosing.layout(facts, shape)
    stored = []
    for entry in facts["entries"]:
        taken = [(one["label"], choosing.memory(facts, laid, asked, entry, one)) for one in entry["settings"]]
        ranked = sorted(((label, one) for label, one in taken if one), key=lambda item: item[1]["total"])
        stored.append(Stored(entry["id"], ranked[-1] if ranked else None, ranked[0] if ranked else None))
    example = {**choosing.memory(facts, laid, asked, None, None), "block": laid["block"], "other": laid["other"],
               "parameters": laid["parameters"], "numbers": laid["numbers"], "widest": laid["widest"]}  # fmt: skip
    return Choose(facts, models, catalog.shapes.hardware, example, chosen, stored)
