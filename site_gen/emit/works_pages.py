"""The page of each work of the bibliography: what it is, who files it, what names it, whom it cites, how to cite it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from site_gen.emit import citation, links
from site_gen.emit.page import byline

if TYPE_CHECKING:
    from site_gen.emit.pages import Pages
    from site_gen.enrich.site import WorkView

LONG = 24  # works of a list that are shown without opening it


def pages(maker: Pages) -> dict[str, str]:
    """One page a work, whether it has an entry or not."""
    return {f"{links.work(view.key)}index.md": _page(maker, view) for view in maker.site.works.values()}


def _page(maker: Pages, view: WorkView) -> str:
    from site_gen.emit.pages import PHRASES  # pages.py lists this module

    site, work = maker.site, view.work
    base = f"bibliography/{view.key}"
    listing = site.catalog.citations.get(view.key)
    front: dict[str, Any] = {
        "description": f"{work.title}. {byline(work, 3)}. {work.venue}.",
        "citation": citation.highwire(work),
        "machine_forms": [["application/x-bibtex", f"{base}.bib", "BibTeX"],
                          ["application/vnd.citationstyles.csl+json", f"{base}.csl.json", "CSL-JSON"]],
    }
    return maker.render(
        "work.md.jinja", links.work(view.key), work.title, front=front, view=view, w=work, ties=site.ties[view.key],
        survey=next((survey for survey in site.surveys.values() if survey.survey.work == view.key), None),
        listing=listing, phrases={kind: phrase for kind, (phrase, _) in PHRASES.items()}, long=LONG,
        citation=citation.box(work, base),
    )
