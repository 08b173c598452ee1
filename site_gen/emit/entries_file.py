"""entries.json: one row an entry with all that the catalog page, the comparison and the chooser filter and sort by."""

from __future__ import annotations

import json
from typing import Any

from catalog.search import short
from site_gen.emit import links
from site_gen.emit.prose import plain
from site_gen.enrich.site import Entry, Site

SCHEMA = 1  # raised when a key changes its meaning or goes


def entries(site: Site) -> str:
    """The facets with their values, and the entries in the order of their names; described in frontend/README.md."""
    facets = []
    for facet in site.facets.all.values():
        values = []
        for value in facet.values:
            one: dict[str, Any] = {"id": value.id, "name": value.name}
            if value.meaning:
                one["meaning"] = value.meaning
            if value.parent:
                one["parent"] = value.parent
            values.append(one)
        facets.append({"id": facet.id, "name": facet.name, "meaning": facet.meaning, "about": facet.about,
                       "values": values})
    data = {"schema": SCHEMA, "facets": facets, "entries": [row(site, entry) for entry in site.entries.values()]}
    return json.dumps(data, ensure_ascii=False, separators=(",", ":"))


def row(site: Site, entry: Entry) -> dict[str, Any]:
    """What entries.json says of one entry. Facts are as in its file, except those that it does not state."""
    algorithm = entry.algorithm
    family, _, group = algorithm.family.partition("/")
    software = algorithm.software
    official = software.official if software else None
    values = site.facets.of[entry.id]
    return {
        "id": entry.id, "name": algorithm.name, "aliases": algorithm.aliases,
        "address": links.algorithm(entry.id), "family": family, "group": group, "also_in": algorithm.also_in,
        "summary": plain(algorithm.summary), "year": int(algorithm.introduced[:4]), "introduced": algorithm.introduced,
        "facts": algorithm.facts.model_dump(mode="json", exclude_none=True, exclude={"bits", "cost"}),
        "bits": algorithm.facts.bits or {},
        "bits_per_weight": algorithm.storage.bits_per_weight if algorithm.storage else None,
        "contract": algorithm.reference.contract,
        "paper": algorithm.paper, "by": short(entry.work) if entry.work else None,
        "surveys": list(dict.fromkeys(filing.survey for filing in entry.filings if filing.covered)),
        "code": {"official": official.repository if official else None,
                 "libraries": [library.name for library in software.libraries] if software else []},
        "runs": entry.runs, "measured": values["measured"][0], "measured_on": list(entry.elsewhere),
        "checked": algorithm.checked,
    }  # fmt: skip
