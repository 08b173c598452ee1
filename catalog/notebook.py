"""One algorithm as a Jupyter notebook: the entry's idea and equations, its code, and what it does when it is run.

Format: nbformat 4.5, https://nbformat.readthedocs.io/en/latest/format_description.html
"""

from __future__ import annotations

import hashlib
import json
import re
from typing import Any

from catalog.bibliography import Work
from catalog.citing import text as citation
from catalog.model import Algorithm
from catalog.standalone import Exporter, demonstration

_REFERENCE = re.compile(r"\[(eq-[a-z0-9-]+)\]")
_CITATION = re.compile(r"\[@([A-Za-z0-9_:-]+)\]")


def notebook(entry: Algorithm, works: dict[str, Work], exporter: Exporter, *, address: str = "") -> str:
    """The notebook of an entry, as JSON. works: by key, for what the text cites. address: of the entry's page.

    Raises as `Exporter.sections` does.
    """
    reference = entry.reference
    shown = demonstration(reference.code, exporter)
    imports, sections = exporter.sections(shown.codes)
    needed = exporter.packages(shown.codes)
    own = reference.code.partition(":")[0]

    def prose(text: str) -> str:
        text = _CITATION.sub(lambda found: f"({_short(works.get(found[1]), found[1])})", text)
        return _REFERENCE.sub(lambda found: f"({found[1].removeprefix('eq-')})", text)

    paper = works.get(entry.paper) if entry.paper else None
    origin = citation(paper) if paper else entry.origin
    source = f"\n\n**Source.** {origin}" if origin else ""
    more = f"\n\nFrom Compression Zoo{': ' + address if address else ''}. Code: Apache-2.0; text: CC BY 4.0."
    cells = [
        _markdown(f"# {entry.name}\n\n{prose(entry.summary)}{source}{more}"),
        _markdown(f"## Idea\n\n{prose(entry.idea)}"),
    ]
    if entry.equations:
        lines = [f"$$ {tex.strip()} \\tag{{{label.removeprefix('eq-')}}} $$" for label, tex in entry.equations.items()]
        cells.append(_markdown("## Equations\n\n" + "\n\n".join(lines)))
    if entry.steps:
        steps = "\n".join(f"{place}. {prose(step)}" for place, step in enumerate(entry.steps, 1))
        cells.append(_markdown(f"## Steps\n\n{steps}"))
    install = f"%pip install {' '.join(needed)}"
    cells += [
        _markdown(f"## Code\n\nNeeds Python 3.11 or later. If a package is missing: `{install}`."),
        _code(imports),
    ]
    for section in sections:
        cells.append(_markdown(f"`{section.module.replace('.', '/')}.py`: {section.title}"))
        docstring = f'"""{exporter.module(own).docstring}"""\n\n\n' if section.module == own else ""
        cells.append(_code(docstring + section.text))
    if call := shown.call(reference.options):
        cells.append(_markdown("## Run it\n\nOn a problem that is made on the spot, in seconds, without a download."))
        cells.append(_code(call))
    for name, values in (reference.sweep or {}).items() if call else ():
        if reference.contract in ("layer", "model") or len(values) <= 3:
            other = next((value for value in values if value != reference.options.get(name)), values[0])
            cells.append(_markdown(f"Another value of `{name}`:"))
            cells.append(_code(shown.call({**reference.options, name: other})))
    document = {
        "cells": [{"id": _id(place, cell), **cell} for place, cell in enumerate(cells)],
        "metadata": {
            "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
            "language_info": {"name": "python"},
        },
        "nbformat": 4,
        "nbformat_minor": 5,
    }
    return json.dumps(document, indent=1, ensure_ascii=False) + "\n"


def _short(work: Work | None, key: str) -> str:
    """Authors and year as one would say them."""
    if work is None:
        return key
    names = [person.family for person in work.authors]
    who = names[0] if len(names) == 1 else f"{names[0]} and {names[1]}" if len(names) == 2 else f"{names[0]} et al."
    return f"{who} {work.year}"


def _markdown(text: str) -> dict[str, Any]:
    return {"cell_type": "markdown", "metadata": {}, "source": text}


def _code(text: str) -> dict[str, Any]:
    return {"cell_type": "code", "execution_count": None, "metadata": {}, "outputs": [], "source": text}


def _id(place: int, cell: dict[str, Any]) -> str:
    """A name for a cell that stays while its place and text do."""
    return hashlib.sha256(f"{place} {cell['source']}".encode()).hexdigest()[:12]
