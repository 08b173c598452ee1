"""What the entries can be chosen by: every facet with its values, and which values each entry has.

The catalog page, entries.json and the links that lead to a filtered catalog all read from here, so that a number
beside a value is the number of rows that the page then shows.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from catalog import model
from catalog.wording import word

# What a field is called where its values are listed.
NAMES = {
    "family": "Family", "compresses": "Compresses", "stage": "Stage", "data": "Data", "training": "Training",
    "uses_gradients": "Uses gradients", "structure": "Structure removed", "granularity": "Granularity",
    "bits": "Bits", "needs_for_speed": "Needs for speed", "modality": "Modality", "model_kind": "Shown on",
    "scale": "Scale", "year": "Year", "survey": "Treated by", "code": "Code", "measured": "Measured",
    "checked": "Checked", "contract": "Contract", "cost": "Cost",
}  # fmt: skip
_COMPUTED = {
    "family": "What is done to the model. An entry counts wherever it belongs.",
    "year": "When the method was first public.",
    "survey": "Which surveys were seen to treat the method.",
    "code": "Where there is code for it beside the implementation here.",
    "measured": "Whether the bench has measured it on the entry's own model.",
}
_CODE = {
    "official": "The authors have published theirs.",
    "library": "A package offers it.",
    "none": "Neither is known here.",
}
_MEASURED = {
    "current": "Measured with the code as it is.",
    "stale": "Measured, and the code has changed since.",
    "no": "Not measured.",
}
_GRADIENTS = {"yes": "A backward pass is needed somewhere.", "no": "No backward pass is needed."}
NO_SURVEY = "none"


@dataclass(frozen=True)
class Value:
    """`id` stands in addresses; `parent` is the wider value that this one narrows; `count` of all entries have it."""

    id: str
    name: str
    meaning: str
    parent: str | None
    count: int


@dataclass(frozen=True)
class Facet:
    """`about`: the page on its meaning, from the site's root. Values stand in the order of vocabulary and taxonomy."""

    id: str
    name: str
    meaning: str
    about: str
    values: list[Value]


@dataclass(frozen=True)
class Facets:
    """`of`: id of an entry -> facet -> its values, wider ones first."""

    all: dict[str, Facet]
    of: dict[str, dict[str, list[str]]]

    def count(self, facet: str, value: str) -> int:
        """How many entries have the value; 0 where no entry can have it."""
        found = self.all.get(facet)
        return next((one.count for one in found.values if one.id == value), 0) if found else 0


def build(catalog: Any, entries: Mapping[str, Any], surveys: Mapping[str, Any]) -> Facets:
    """`entries` and `surveys` as the site sees them, by id."""
    of = {identifier: _values(entry) for identifier, entry in entries.items()}
    facts = model.Facts.model_fields
    vocabulary = catalog.vocabulary
    facets: dict[str, Facet] = {}

    def add(name: str, values: Iterable[tuple[str, str, str, str | None]], meaning: str = "", about: str = "") -> None:
        counts = Counter(value for found in of.values() for value in found[name])
        facets[name] = Facet(name, NAMES[name], meaning or _COMPUTED[name], about,
                             [Value(*value, counts[value[0]]) for value in values])

    def from_vocabulary(name: str) -> None:
        facet = vocabulary[name]
        add(name, ((value, word(value), meaning, None) for value, meaning in facet.values.items()), facet.meaning,
            f"vocabulary/#{name.replace('_', '-')}")

    def flat(values: Mapping[str, str]) -> list[tuple[str, str, str, str | None]]:
        return [(value, value, meaning, None) for value, meaning in values.items()]

    add("family", _nodes(catalog.taxonomy), about="families/")
    for name in ("compresses", "stage", "data", "training"):
        from_vocabulary(name)
    add("uses_gradients", flat(_GRADIENTS), "Whether a backward pass is needed.")
    for name in ("structure", "granularity"):
        from_vocabulary(name)
    add("bits", _bits(vocabulary["bits"], entries.values()), facts["bits"].description, "vocabulary/#bits")
    for name in ("needs_for_speed", "modality", "model_kind", "scale"):
        from_vocabulary(name)
    years = sorted({value for found in of.values() for value in found["year"]})
    add("year", ((year, year, "", None) for year in years))
    add("survey", [*((key, view.survey.name, view.work.title, None) for key, view in surveys.items()),
                   (NO_SURVEY, "none of these", "No survey here was seen to treat it.", None)], about="surveys/")
    add("code", flat(_CODE))
    add("measured", flat(_MEASURED), about="measured/")
    for name in ("checked", "contract"):
        from_vocabulary(name)
    return Facets(facets, of)


def _values(entry: Any) -> dict[str, list[str]]:
    algorithm = entry.algorithm
    facts = algorithm.facts
    nodes = [algorithm.family, *algorithm.also_in]
    software = algorithm.software
    code = [name for name, there in (("official", software and software.official),
                                     ("library", software and software.libraries)) if there]
    found = {
        "family": list(dict.fromkeys(part for node in nodes for part in (node.partition("/")[0], node))),
        "uses_gradients": ["yes" if facts.uses_gradients else "no"],
        "bits": [part for what, widths in (facts.bits or {}).items()
                 for part in (what, *(width_id(what, width) for width in dict.fromkeys(widths)))],
        "year": [algorithm.introduced[:4]],
        "survey": list(dict.fromkeys(f.survey for f in entry.filings if f.covered)) or [NO_SURVEY],
        "code": code or ["none"],
        "measured": ["no" if entry.measured is None else "stale" if entry.measured.stale else "current"],
        "checked": [algorithm.checked],
        "contract": [algorithm.reference.contract],
    }
    for name in type(facts).model_fields:
        if name not in found and name != "cost":
            value = getattr(facts, name)
            found[name] = list(dict.fromkeys(value)) if isinstance(value, list) else [value]
    return found


def width_id(what: str, width: float) -> str:
    """weights-4: a bit width of what is quantized."""
    return f"{what}-{width:g}"


def _nodes(taxonomy: Any) -> Iterable[tuple[str, str, str, str | None]]:
    for name, family in taxonomy.families.items():
        yield name, family.name, family.definition, None
        for group, one in family.groups.items():
            yield f"{name}/{group}", one.name, one.definition, name


def _bits(facet: Any, entries: Iterable[Any]) -> Iterable[tuple[str, str, str, str | None]]:
    widths: dict[str, set[float]] = {}
    for entry in entries:
        for what, found in (entry.algorithm.facts.bits or {}).items():
            widths.setdefault(what, set()).update(found)
    for what, meaning in facet.values.items():
        yield what, word(what), meaning, None
        for width in sorted(widths.get(what, ())):
            yield width_id(what, width), f"{width:g} bits" if width != 1 else "1 bit", "", what
