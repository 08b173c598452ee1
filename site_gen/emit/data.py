"""What the browser reads: search.json and graph.json. Their shape is described in site_gen/frontend/README.md."""

from __future__ import annotations

import json
from typing import Any

from catalog import search as index
from site_gen.emit import links
from site_gen.emit.page import byline, label, short
from site_gen.emit.prose import plain
from site_gen.enrich.communities import Community
from site_gen.enrich.site import Site
from site_gen.enrich.terms import Term

SCHEMA = 1
GRAPH_SCHEMA = 2


def search(site: Site) -> str:
    """One document for every algorithm, family, group, survey, and work without an entry.

    The algorithms' documents, the weights and the synonyms are those of `catalog.search`, so that the command line and
    the browser search the same; only the key terms stand here in the place of the texts that they are taken from.
    """
    documents: list[dict[str, Any]] = [
        {**document, "id": f"algorithm {document['id']}", "kind": "algorithm", "url": links.algorithm(document["id"]),
         "summary": plain(document["summary"]), "body": plain(document["body"]),
         "terms": _joined(site.terms.entries[document["id"]])}
        for document in index.documents(site.catalog)
    ]
    for view in site.families.values():
        documents.append({"id": f"family {view.id}", "kind": "family", "name": view.family.name,
                          "url": links.family(view.id), "summary": plain(view.family.definition),
                          "aliases": view.family.tagline, "terms": _joined(site.terms.families[view.id])})
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
    addresses = {"framework": links.framework, "benchmark": links.benchmark, "metric": links.metric}
    for document in index.kind_documents(site.catalog):
        kind, identifier = document["kind"], document["id"]
        documents.append({**document, "id": f"{kind} {identifier}", "url": addresses[kind](identifier),
                          "summary": plain(document["summary"])})
    described = {one.work for found in site.catalog.kinds().values() for one in found.values() if one.work}
    for work in site.works.values():
        if work.entries or work.key in described:  # found by what describes it, once
            continue
        documents.append({
            "id": f"work {work.key}", "kind": "paper", "name": work.work.name, "url": links.work(work.key),
            "summary": f"{byline(work.work, 3)}. {work.work.venue}." if work.work.name == work.work.title
            else f"{work.work.title}. {short(work.work)}",
            "aliases": " ".join(work.work.aliases), "title": work.work.title,
            "authors": " ".join(person.family for person in work.work.authors),
            "terms": _joined(site.terms.works[work.key]),
        })
    return _compact({"schema": SCHEMA, "fields": index.FIELDS, "synonyms": site.catalog.synonyms,
                     "documents": [{k: v for k, v in d.items() if v or k == "summary"} for d in documents]})


def graph(site: Site) -> str:
    """Every work as a node; edges and declared relations as pairs of positions in the list of nodes."""
    literature = site.literature
    band = site.graph.band
    number = {key: index for index, key in enumerate([*site.graph.places, *band])}
    nodes = []
    for key in number:
        view = site.works[key]
        place = site.graph.places.get(key)
        entry = site.entries[view.entries[0]] if view.entries else None
        x, y = (place.x, place.y) if place else band[key]
        nodes.append({
            "id": key, "label": label(site, key), "title": view.work.title,
            "authors": byline(view.work, 3), "year": view.work.year, "family": view.family,
            "url": links.algorithm(entry.id) if entry else links.work(key), "entry": entry.id if entry else None,
            "cited": place.cited_by if place else 0, "cites": place.cites if place else 0,
            "rank": float(f"{place.rank:.4g}") if place else 0, "x": x, "y": y,
            "surveys": list(dict.fromkeys(filing.survey for filing in view.filings if filing.covered)),
            "community": literature.communities.of.get(key), "main": literature.on_main_path(key),
            **{name: value for name in ("arxiv", "doi") if (value := getattr(view.work, name))},
        })
    return _compact({
        "schema": GRAPH_SCHEMA, "nodes": nodes,
        "edges": [[number[source], number[target]] for source, target in site.graph.edges],
        "implied": [[number[item.source], number[item.target], item.relation] for item in literature.implied],
        "communities": [
            {"id": part.id, "label": community_label(site, part), "size": len(part.works)}
            for part in literature.communities.all
        ],
        "main_path": [number[key] for key in literature.main.works],
        "surveys": {key: view.survey.name for key, view in site.surveys.items()},
    })


def community_label(site: Site, part: Community) -> str:
    """Nobody has named the communities: the most frequent family (two, where one is not half), and the two works that
    are most cited inside.
    """
    placed = sum(count for _, count in part.families)
    most = 1 if part.families and 2 * part.families[0][1] >= placed else 2
    names = " and ".join(site.families[name].family.name for name, _ in part.families[:most])
    works = ", ".join(label(site, key) for key in part.works[:2])
    return f"{names}: {works}" if names else works


def _joined(terms: list[Term]) -> str:
    return "; ".join(term.text for term in terms)


def _compact(data: Any) -> str:
    return json.dumps(data, ensure_ascii=False, separators=(",", ":"))
