"""The JSON Schema of an entry, generated from the model and the vocabulary, for editors.

`python -m catalog.tidy` writes catalog/schema/algorithm.schema.json; a test proves that it is the committed one.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from catalog import kinds
from catalog.model import COMPUTED, Algorithm, Facet, Leaf

FILE = Path(__file__).resolve().parent / "schema" / "algorithm.schema.json"


def terms() -> set[str]:
    """The facets that any field of the model names."""
    found: set[str] = set()

    def walk(node: Any) -> None:
        if isinstance(node, dict):
            if "x-vocabulary" in node:
                found.add(node["x-vocabulary"])
            for value in node.values():
                walk(value)
        elif isinstance(node, list):
            for value in node:
                walk(value)

    for model in (Algorithm, Leaf, *kinds.KINDS.values()):
        walk(model.model_json_schema())
    return found


def generate(vocabulary: dict[str, Facet]) -> dict[str, Any]:
    """The schema with the vocabulary's values in the place of each facet."""
    schema = Algorithm.model_json_schema()
    for name in COMPUTED:
        schema["properties"].pop(name)

    def walk(node: Any) -> Any:
        if isinstance(node, list):
            return [walk(value) for value in node]
        if not isinstance(node, dict):
            return node
        node = {key: walk(value) for key, value in node.items() if not (key == "title" and isinstance(value, str))}
        facet = node.pop("x-vocabulary", None)
        if facet is not None:
            values = vocabulary[facet].values
            node["enum"] = list(values)
            node["markdownEnumDescriptions"] = list(values.values())
        return node

    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "An algorithm of Compression Zoo",
        **walk(schema),
    }


def text(vocabulary: dict[str, Facet]) -> str:
    """The schema as it is committed."""
    return json.dumps(generate(vocabulary), indent=2, ensure_ascii=False) + "\n"
