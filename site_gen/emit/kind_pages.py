"""The pages of frameworks (a list, a matrix, one page each), of benchmarks and of metrics."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from site_gen.emit import links
from site_gen.emit.prose import plain

if TYPE_CHECKING:
    from site_gen.emit.pages import Pages
    from site_gen.enrich.kinds import FrameworkView
    from site_gen.enrich.site import Site

# How a cell of the matrix says what a framework does: a letter, and the word that it stands for.
LETTERS = {"applies": "A", "runs": "R", "implements": "I"}


def pages(maker: Pages) -> dict[str, str]:
    """File name in the docs folder -> Markdown."""
    found = {
        "frameworks/index.md": _frameworks(maker),
        "benchmarks/index.md": _list(maker, "benchmarks", "Benchmarks", "What compressed models are evaluated on, and "
                                     "what makes two numbers on the same data differ."),
        "metrics/index.md": _list(maker, "metrics", "Metrics", "What is measured of a compressed model, how it is "
                                  "defined, and what a good value may hide."),
    }
    for view in maker.site.frameworks.values():
        found[f"{links.framework(view.id)}index.md"] = _framework(maker, view)
    return found


def of_survey(site: Site, survey: str) -> list[tuple[str, str, list[dict[str, str]]]]:
    """(title, address of the list, items) of the frameworks, benchmarks and metrics that a survey was seen to treat."""
    named = (("Frameworks", "frameworks/", site.frameworks, links.framework),
             ("Benchmarks and data sets", "benchmarks/", site.benchmarks, links.benchmark),
             ("Metrics", "metrics/", site.metrics, links.metric))
    return [
        (title, address, [{"name": view.one.name, "address": link(view.id)} for view in views.values()
                          if survey in view.surveys])
        for title, address, views, link in named
    ]  # fmt: skip


def _frameworks(maker: Pages) -> str:
    site = maker.site
    cells = {(cell.algorithm, cell.framework): cell for row in site.kinds.support.values() for cell in row}
    facet = site.catalog.vocabulary.get("framework_kind")
    used = {kind for view in site.frameworks.values() for kind in view.one.kind}
    front = _front("frameworks", "Which frameworks support which algorithms, only where a source says so.")
    return maker.render(
        "frameworks.md.jinja", "frameworks/", "Frameworks", front=front, wide=True, cells=cells, letters=LETTERS,
        kinds=[kind for kind in (facet.values if facet else ()) if kind in used],
    )  # fmt: skip


def _framework(maker: Pages, view: FrameworkView) -> str:
    pages_used = {cell.support.source.page for cell in view.cells}
    unused = {name: page for name, page in view.one.pages.items() if name not in pages_used}
    return maker.render(
        "framework.md.jinja", links.framework(view.id), view.one.name, view=view, unused=unused,
        front={"description": plain(view.one.does)}, edit_url=maker.settings.edit(_file(maker.site, "frameworks")),
    )  # fmt: skip


def _list(maker: Pages, name: str, title: str, description: str) -> str:
    return maker.render(f"{name}.md.jinja", f"{name}/", title, front=_front(name, description), wide=True,
                        edit_url=maker.settings.edit(_file(maker.site, name)))


def _front(name: str, description: str) -> dict[str, Any]:
    return {"description": description,
            "machine_forms": [["application/json", f"{name}.json", f"All {name} as JSON"],
                              ["text/csv", f"{name}.csv", f"All {name} as CSV"]]}


def _file(site: Site, name: str) -> str:
    return f"{site.catalog.root.name}/{name}.yml"
