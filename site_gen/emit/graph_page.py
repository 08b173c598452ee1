"""The page of the citation graph: the drawing's place, the same as a table, and what was computed from the graph."""

from __future__ import annotations

from typing import TYPE_CHECKING

from site_gen.emit import graph_files
from site_gen.emit.data import community_label
from site_gen.enrich import similar

if TYPE_CHECKING:
    from site_gen.emit.pages import Pages


def pages(maker: Pages) -> dict[str, str]:
    """graph/index.md; the files of `graph_files` stand beside it."""
    front = {
        "description": "Who cites whom in the compression of Transformers, each list with its witness.",
        "machine_forms": [[type_, f"{graph_files.FOLDER}/{name}", f"The citation graph as {title}"]
                          for name, type_, title, _ in graph_files.FILES[:3]],
    }  # fmt: skip
    least = {"lists": similar.ENOUGH_LISTS, "cited": similar.ENOUGH_CITED}
    text = maker.render("graph.md.jinja", "graph/", "Citation graph", front=front, wide=True,
                        downloads=graph_files.FILES, community_label=community_label, least=least)
    return {"graph/index.md": text}
