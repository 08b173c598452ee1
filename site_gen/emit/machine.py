"""The machine forms of an entry, at its own address: JSON, Markdown, Python, BibTeX, RIS, CSL-JSON; and the whole."""

from __future__ import annotations

import json
from html import escape
from typing import Any

from catalog.notebook import notebook
from catalog.standalone import Exporter, algorithm_file
from site_gen.emit import (
    citation,
    crosswalk_files,
    downloads,
    glossary_pages,
    graph_files,
    kind_files,
    links,
    trends_pages,
)
from site_gen.emit.page import byline
from site_gen.emit.pages import PHRASES
from site_gen.emit.reported_pages import reported_data, reported_files
from site_gen.enrich.site import Entry, Site

SCHEMA = 1  # raised when a key changes its meaning or goes


def files(site: Site) -> tuple[dict[str, str], dict[str, str]]:
    """(files that MkDocs copies as they are, Markdown files that it would take for pages and that are laid beside)."""
    copied: dict[str, str] = {}
    beside: dict[str, str] = {}
    exporter = Exporter(site.catalog.source)
    data: list[str] = []
    for entry in site.entries.values():
        own, own_beside = entry_files(site, entry, exporter)
        copied |= own
        beside |= own_beside
        data.append(own[f"algorithms/{entry.id}.json"])
    for old, new in site.catalog.retired.items():
        copied[f"{links.algorithm(old)}index.html"] = _redirect(links.Links(links.algorithm(old))(links.algorithm(new)))
    copied |= citation.files(site)
    within = ",\n".join("  " + text.rstrip().replace("\n", "\n  ") for text in data)
    copied["algorithms.json"] = f'{{\n "schema": {SCHEMA},\n "algorithms": [\n{within}\n ]\n}}\n'
    for name, rows in (("measured", downloads.measured(site)), ("combinations", downloads.combinations(site.combined))):
        copied[f"{name}.json"] = downloads.as_json(rows)
        copied[f"{name}.csv"] = downloads.as_csv(rows)
    copied |= crosswalk_files.files(site)
    copied |= kind_files.files(site)
    copied |= glossary_pages.files(site)
    copied |= graph_files.files(site)
    copied |= trends_pages.files(site)
    copied |= reported_files(site.reported)
    return copied, beside


def entry_files(site: Site, entry: Entry, exporter: Exporter) -> tuple[dict[str, str], dict[str, str]]:
    """As `files`, of one entry; the records of its paper are not among them."""
    base, reference = f"algorithms/{entry.id}", entry.algorithm.reference
    copied = {
        f"{base}.json": _json(entry_data(site, entry)),
        f"{base}.py": algorithm_file(reference.code, reference.options, exporter, name=entry.algorithm.name),
        f"{base}.ipynb": notebook(entry.algorithm, site.catalog.bibliography, exporter),
    }
    return copied, {f"{base}.md": markdown(site, entry)}


def entry_data(site: Site, entry: Entry) -> dict[str, Any]:
    """An entry as data: its own fields as in the file, then what was computed, under `computed`."""
    fields = entry.algorithm.model_dump(mode="json", exclude_none=True, exclude={"id", "file"})
    place = site.graph.places.get(entry.algorithm.paper or "")
    computed: dict[str, Any] = {
        "url": links.algorithm(entry.id),
        "file": entry.algorithm.file,
        "related_from": [
            {"type": link.relation.type, "source": link.source, "why": link.relation.reason} for link in entry.backlinks
        ],
        "surveys": [
            {"survey": filing.survey, "path": list(filing.path), "depth": filing.leaf.depth, "read": filing.leaf.read}
            for filing in entry.filings
        ],
        "code": {"path": entry.code.file.path, "equations": entry.code.labels},
        "measured": None if entry.measured is None else {
            "date": entry.measured.date, "stale": entry.measured.stale, "protocol": entry.measured.protocol,
            "file": f"catalog/measurements/{entry.id}.json",
        },
        "measured_on": {
            model: {"date": found.date, "stale": found.stale, "protocol": found.protocol,
                    "file": f"catalog/measurements/{model}/{entry.id}.json"}
            for model, found in entry.elsewhere.items()
        },
        "supported_by": [
            {"framework": cell.framework, "does": cell.support.does, "how": cell.support.how,
             "since": cell.support.since, "until": cell.support.until,
             "source": cell.witness.model_dump(mode="json", exclude_none=True)}
            for cell in site.kinds.support.get(entry.id, [])
        ],
        "cited_by": place.cited_by if place else None,
        "similar_by_citation": _similar(site, entry.algorithm.paper),
        "key_terms": [term.text for term in site.terms.entries[entry.id]],
        "similar_by_text": [
            {"id": other.id, "cosine": other.cosine, "shared": list(other.shared)}
            for other in site.terms.alike[entry.id]
        ],
        "reported": [
            reported_data(site.reported, line) for line in site.reported.of(entry.algorithm.paper or entry.id)
        ],
        "changed": site.zoo.changes.get(entry.algorithm.file),
        "version": site.zoo.version,
    }
    return {"schema": SCHEMA, "id": entry.id, **fields, "computed": computed}


def markdown(site: Site, entry: Entry) -> str:
    """An entry as plain Markdown with TeX formulas, for people and programs that read text."""
    a = entry.algorithm
    family = site.families[a.home].family
    group = family.groups[a.family.partition("/")[2]]
    parts = [f"# {a.name}", f"{family.name}: {group.name}. Introduced {a.introduced}. Checked: {a.checked}.", a.summary]
    if entry.work:
        parts.append(f"Paper: {byline(entry.work, 100)}. {entry.work.title}. {entry.work.venue}. [@{entry.work.key}]")
    elif a.origin:
        parts.append(f"Origin: {a.origin}")
    parts += ["## In plain words", a.plain, "## Facts"]
    parts.append("\n".join(
        f"- {name.replace('_', ' ')}: {_plain_value(value)}"
        for name, value in a.facts.model_dump(exclude_none=True).items()
    ))
    parts += ["## Idea", a.idea.strip()]
    parts += [f"[{label}]\n\n$$\n{tex.strip()}\n$$" for label, tex in a.equations.items()]
    parts += ["## Steps", "\n".join(f"{i}. {' '.join(step.split())}" for i, step in enumerate(a.steps, 1))]
    for title, claims in (("Strengths", a.strengths), ("Limits", a.limits)):
        if claims:
            parts += [f"## {title}", "\n".join(f"- {_claim(claim)}" for claim in claims)]
    parts += ["## Reference implementation", f"`{a.reference.code}` ({a.reference.contract}). "
              f"Follows: {a.reference.faithful}"]
    if a.reference.leaves_out:
        parts.append(f"Leaves out: {a.reference.leaves_out}")
    if a.reference.differs:
        parts.append("Differs:\n\n" + "\n".join(f"- {line}" for line in a.reference.differs))
    parts.append(f"What the bench can show: {a.reference.shows}")
    lines = [f"- {PHRASES[r.type][0]} {r.target}: {r.reason}" for r in a.relations]
    lines += [f"- {PHRASES[link.relation.type][1]} {link.source}: {link.relation.reason}" for link in entry.backlinks]
    if lines:
        parts += ["## Relations", "\n".join(lines)]
    filed = [f"- {f.survey}: {' > '.join(f.path)} ({f.leaf.depth}, {f.leaf.read})" for f in entry.filings if f.covered]
    if filed:
        parts += ["## In the surveys", "\n".join(filed)]
    return "\n\n".join(part.strip() for part in parts) + "\n"


def _similar(site: Site, key: str | None) -> dict[str, list[dict[str, Any]]]:
    """Works cited together with a work and works citing the same, with the works that say so; empty where unknown."""
    found = site.literature.similar.get(key or "")
    if found is None:
        return {}
    return {
        name: [{"work": tie.key, "strength": round(tie.strength, 4), "through": list(tie.through)} for tie in ties]
        for name, ties in (("cited_together", found.together), ("citing_the_same", found.coupled))
    }


def _redirect(target: str) -> str:
    """A page that leads on: ids are never given twice, and old addresses keep working."""
    address = escape(target)
    return (
        f'<!doctype html>\n<html lang="en"><meta charset="utf-8"><title>Moved</title>'
        f'<meta http-equiv="refresh" content="0; url={address}"><link rel="canonical" href="{address}">'
        f'<p>This entry has moved <a href="{address}">here</a>.</p></html>\n'
    )


def _claim(claim: Any) -> str:
    text = " ".join(claim.text.split())
    if claim.source:
        text += f" [@{claim.source.work}{', ' + claim.source.place if claim.source.place else ''}; {claim.checked}]"
    return text + (" (measured here)" if claim.measured else "")


def _plain_value(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list):
        return ", ".join(map(str, value))
    if isinstance(value, dict):
        return "; ".join(f"{key} {_plain_value(item)}" for key, item in value.items())
    return str(value)


def _json(data: Any) -> str:
    return json.dumps(data, ensure_ascii=False, indent=1) + "\n"

