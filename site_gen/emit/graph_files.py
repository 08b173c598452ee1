"""The citation graph as files for other programs: GraphML, GEXF, JSON and CSV, all with the same nodes and edges.

The files of a graph hold citations alone. Relations that only the catalog declares are in a file of their own, and in
the JSON under a name of their own, so that no program can count them as citations.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable
from typing import Any
from xml.etree import ElementTree

import networkx

from site_gen.emit import links
from site_gen.emit.data import community_label
from site_gen.emit.page import label
from site_gen.enrich.site import Site

SCHEMA = 1
FOLDER = "graph"
NODE = ("id", "label", "title", "authors", "year", "first_public", "venue", "role", "doi", "arxiv", "family",
        "family_from", "entry", "url", "list_read", "cited_by", "cites", "pagerank", "community", "community_label",
        "main_path", "root", "surveys")  # fmt: skip
EDGE = ("source", "target", "witness", "complete")
IMPLIED = ("source", "target", "relation")

# File, media type, and what it is, for the pages that link them.
FILES = (
    ("citations.graphml", "application/xml", "GraphML", "For Gephi, yEd, igraph, networkx."),
    ("citations.gexf", "application/xml", "GEXF", "For Gephi and networkx."),
    ("citations.json", "application/json", "JSON", "Node-link form; declared relations apart, as implied."),
    ("nodes.csv", "text/csv", "Works as CSV", "One line a work, with everything that was computed."),
    ("edges.csv", "text/csv", "Citations as CSV",
     "One line a citation, with its witness and whether that list was seen whole."),
    ("implied.csv", "text/csv", "Declared relations as CSV", "Relations of the catalog that no known citation covers."),
)


def files(site: Site) -> dict[str, str]:
    """Path in the site -> text."""
    nodes, edges = _nodes(site), _edges(site)
    graph = networkx.DiGraph(
        name="Compression Zoo citation graph",
        meaning="An edge runs from the citing to the cited work. A missing edge means something only where the citing "
        "work's list_read is whole.",
    )
    for node in nodes:
        graph.add_node(node["id"], **{
            key: _clean(value if not isinstance(value, list) else " ".join(value))
            for key, value in node.items() if key != "id" and value is not None and value != []
        })  # fmt: skip
    for edge in edges:
        graph.add_edge(edge["source"], edge["target"], witness=_clean(edge["witness"]), complete=edge["complete"])
    implied = [{"source": i.source, "target": i.target, "relation": i.relation} for i in site.literature.implied]
    whole = {
        "schema": SCHEMA, "directed": True, "multigraph": False, "graph": dict(graph.graph),
        "communities": [
            {"id": part.id, "label": community_label(site, part), "works": part.works, "firm": round(part.firm, 4)}
            for part in site.literature.communities.all
        ],
        "main_path": site.literature.main.works,
        "nodes": nodes, "edges": edges, "implied": implied,
    }  # fmt: skip
    texts = {
        "citations.graphml": "\n".join(networkx.generate_graphml(graph)) + "\n", "citations.gexf": _gexf(graph),
        "citations.json": json.dumps(whole, ensure_ascii=False, indent=1) + "\n",
        "nodes.csv": _csv(NODE, nodes), "edges.csv": _csv(EDGE, edges), "implied.csv": _csv(IMPLIED, implied),
    }  # fmt: skip
    return {f"{FOLDER}/{name}": texts[name] for name, *_ in FILES}


def _nodes(site: Site) -> list[dict[str, Any]]:
    """Every work of the bibliography; None for what is not known of it."""
    literature = site.literature
    roots = set(literature.roots.keys)
    found = []
    for key, view in site.works.items():
        place, part, work = site.graph.places.get(key), literature.community(key), view.work
        found.append({
            "id": key, "label": label(site, key), "title": work.title,
            "authors": "; ".join([person.full for person in work.authors] + ["et al."] * (not work.authors_complete)),
            "year": work.year, "first_public": work.first_public, "venue": work.venue, "role": work.role,
            "doi": work.doi, "arxiv": work.arxiv, "family": view.family, "family_from": view.family_from or None,
            "entry": view.entries[0] if view.entries else None, "url": links.work(key),
            "list_read": literature.reading[key] or "no",
            "cited_by": place.cited_by if place else 0, "cites": place.cites if place else 0,
            "pagerank": float(f"{place.rank:.6g}") if place else 0.0,
            "community": part.id if part else None, "community_label": community_label(site, part) if part else None,
            "main_path": literature.on_main_path(key), "root": key in roots,
            "surveys": list(dict.fromkeys(filing.survey for filing in view.filings if filing.covered)),
        })  # fmt: skip
    return found


def _edges(site: Site) -> list[dict[str, Any]]:
    """Every citation with the witness that names it; `complete` speaks of the whole list of the citing work."""
    lists = site.catalog.citations
    found = []
    for source, target in site.graph.edges:
        listing = lists[source]
        parts = [listing, *listing.also]
        witness = next(part.witness for part in parts if target in part.cited)
        found.append({"source": source, "target": target, "witness": witness, "complete": listing.complete})
    return found


def _gexf(graph: networkx.DiGraph) -> str:
    """GEXF 1.2 without the date of today, which would make every build another one."""
    ElementTree.register_namespace("", "http://www.gexf.net/1.2draft")
    root = ElementTree.fromstring("\n".join(networkx.generate_gexf(graph)))
    for meta in root.iter("{http://www.gexf.net/1.2draft}meta"):
        meta.attrib.pop("lastmodifieddate", None)
    ElementTree.indent(root)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + ElementTree.tostring(root, encoding="unicode") + "\n"


def _csv(heads: Iterable[str], rows: list[dict[str, Any]]) -> str:
    out = io.StringIO()
    writer = csv.DictWriter(out, list(heads), lineterminator="\n")
    writer.writeheader()
    for row in rows:
        writer.writerow({head: _cell(row[head]) for head in heads})
    return out.getvalue()


def _cell(value: Any) -> Any:
    """true and false as JSON has them; several values with a space between."""
    if isinstance(value, bool):
        return json.dumps(value)
    return " ".join(value) if isinstance(value, list) else value


def _clean(value: Any) -> Any:
    """Text without the control characters that XML does not allow."""
    if not isinstance(value, str):
        return value
    return "".join(c for c in value if c in "\t\n" or (c >= " " and c not in "\ufffe\uffff"))
