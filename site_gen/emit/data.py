"""What the browser reads: search.json and graph.json. Their shape is described in site_gen/frontend/README.md."""

from __future__ import annotations

import json
import re
from typing import Any

from catalog import Catalog
from catalog import search as index
from site_gen.emit import links
from site_gen.emit.page import byline, label
from site_gen.enrich.communities import Community
from site_gen.enrich.site import Site

SCHEMA = 4
GRAPH_SCHEMA = 2

# Where the page of a document is, by its kind: from its id, or from the two parts of its id.
_PAGES = {"algorithm": links.algorithm, "family": links.family, "survey": links.survey, "paper": links.work,
          "framework": links.framework, "benchmark": links.benchmark, "metric": links.metric,
          "glossary": links.glossary}
_PLACES = {"group": lambda family, group: f"{links.family(family)}#{group}", "vocabulary": links.value}


def address(kind: str, identifier: str) -> str:
    """Where a document of the search is, from the site's root."""
    return _PAGES[kind](identifier) if kind in _PAGES else _PLACES[kind](*identifier.split("/", 1))


def search(catalog: Catalog) -> str:
    """Everything that can be searched: the documents and synonyms of `catalog.search`, which the command line searches
    too, and where the pages of each kind of document are.
    """
    addresses = {**{kind: page("*") for kind, page in _PAGES.items()},
                 **{kind: page("*", "*") for kind, page in _PLACES.items()}}
    meanings = {frozenset([phrase, *others]): [phrase, *others] for phrase, others in catalog.synonyms.items()}
    return _compact({"schema": SCHEMA, "addresses": addresses, "synonyms": list(meanings.values()),
                     "fields": columns(index.all_documents(catalog))})


def columns(documents: list[dict[str, str]]) -> dict[str, list[str]]:
    """One list for each field, the text of each document in it or "": it packs a sixth better than documents do. What a
    definition leads to is given by its position; an id that its name spells is left out, and `~` stands in a title for
    the name that it begins with, in a summary for its first author et al. The browser puts all back.
    """
    names = dict.fromkeys(name for document in documents for name in document)
    found = {name: [document.get(name, "") for document in documents] for name in names}
    place = {f"{document['kind']} {document['id']}": str(i) for i, document in enumerate(documents)}
    if "leads" in found:
        found["leads"] = [" ".join(place[key] for key in keys.split("; ") if key in place) for keys in found["leads"]]
    if "title" in found:
        found["title"] = ["~" + title[len(name):] if title.startswith(name) else title
                          for title, name in zip(found["title"], found["name"], strict=True)]
    if "authors" in found:
        found["summary"] = [
            "~" + text[len(start):] if people and text.startswith(start := f"{people.split()[0]} et al. ") else text
            for text, people in zip(found["summary"], found["authors"], strict=True)
        ]  # fmt: skip
    found["id"] = ["" if spelled(name) == one else one for one, name in zip(found["id"], found["name"], strict=True)]
    return found


def spelled(name: str) -> str:
    """A name as an id: Speculative Decoding is speculative-decoding."""
    return re.sub("[^a-z0-9]+", "-", name.lower()).strip("-")


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


def _compact(data: Any) -> str:
    return json.dumps(data, ensure_ascii=False, separators=(",", ":"))
