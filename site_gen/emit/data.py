"""What the browser reads: search.json and graph.json. Their shape is described in site_gen/frontend/README.md."""

from __future__ import annotations

import json
from typing import Any

from catalog import search as index
from site_gen.emit import links
from site_gen.emit.page import byline, short
from site_gen.emit.prose import plain
from site_gen.enrich.site import Site

SCHEMA = 1


def search(site: Site) -> str:
    """One document for every algorithm, family, group, survey, and work without an entry.

    The algorithms' documents, the weights and the synonyms are those of `catalog.search`, so that the command line and
    the browser search the same.
    """
    documents: list[dict[str, Any]] = [
        {**document, "id": f"algorithm {document['id']}", "kind": "algorithm", "url": links.algorithm(document["id"]),
         "summary": plain(document["summary"]), "body": plain(document["body"])}
        for document in index.documents(site.catalog)
    ]
    for view in site.families.values():
        documents.append({"id": f"family {view.id}", "kind": "family", "name": view.family.name,
                          "url": links.family(view.id), "summary": plain(view.family.definition),
                          "aliases": view.family.tagline})
        for group in view.groups:
            documents.append({
                "id": f"group {group.node}", "kind": "group", "name": group.group.name,
                "url": f"{links.family(view.id)}#{group.node.partition('/')[2]}",
                "summary": plain(group.group.definition), "family": view.family.name,
            })
    for survey in site.surveys.values():
        documents.append({"id": f"survey {survey.key}", "kind": "survey", "name": survey.survey.name,
                          "url": links.survey(survey.key), "summary": survey.work.title,
                          "authors": " ".join(person.family for person in survey.work.authors)})
    for work in site.works.values():
        if work.entries:
            continue
        documents.append({
            "id": f"work {work.key}", "kind": "paper", "name": work.work.name, "url": links.work(work.key),
            "summary": f"{byline(work.work, 3)}. {work.work.venue}." if work.work.name == work.work.title
            else f"{work.work.title}. {short(work.work)}",
            "aliases": " ".join(work.work.aliases), "title": work.work.title,
            "authors": " ".join(person.family for person in work.work.authors),
        })
    return _compact({"schema": SCHEMA, "fields": index.FIELDS, "synonyms": site.catalog.synonyms,
                     "documents": [{k: v for k, v in d.items() if v or k == "summary"} for d in documents]})


def graph(site: Site) -> str:
    """Nodes with positions, edges as pairs of positions in the list of nodes, from the citing to the cited work."""
    number = {key: index for index, key in enumerate(site.graph.places)}
    nodes = []
    for key, place in site.graph.places.items():
        view = site.works[key]
        entry = site.entries[view.entries[0]] if view.entries else None
        nodes.append({
            "id": key, "label": entry.name if entry else label(view.work), "title": view.work.title,
            "authors": byline(view.work, 3), "year": view.work.year, "family": view.family,
            "url": links.algorithm(entry.id) if entry else links.work(key), "entry": entry is not None,
            "cited": place.cited_by, "x": place.x, "y": place.y,
        })
    edges = [[number[source], number[target]] for source, target in site.graph.edges]
    return _compact({"schema": SCHEMA, "nodes": nodes, "edges": edges})


def label(work: Any) -> str:
    """The work's name where it has a short one, else author and year."""
    return work.name if work.name != work.title and len(work.name) <= 32 else short(work)


def _compact(data: Any) -> str:
    return json.dumps(data, ensure_ascii=False, separators=(",", ":"))
