"""The pages of the surveys: one each, all side by side, and the crosswalk of where every work is filed."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

from catalog import citing
from site_gen.emit import kind_pages, links, maps_pages
from site_gen.enrich.crosswalk import OURS

if TYPE_CHECKING:
    from site_gen.emit.pages import Pages
    from site_gen.enrich.site import Filing, Site, SurveyView


def pages(maker: Pages) -> dict[str, str]:
    """File name in the docs folder -> Markdown."""
    found = {"surveys/index.md": _surveys(maker), "crosswalk/index.md": _crosswalk(maker)}
    for view in maker.site.surveys.values():
        found[f"{links.survey(view.key)}index.md"] = _survey(maker, view)
    return found


def _surveys(maker: Pages) -> str:
    site = maker.site
    front = {"description": "The surveys of the field side by side: what they cover, share and differ in."}
    return maker.render("surveys.md.jinja", "surveys/", "Surveys", front=front, wide=True,
                        windows={key: window(site, view) for key, view in site.surveys.items()},
                        by_family=by_family(site))


def _survey(maker: Pages, view: SurveyView) -> str:
    leaves = view.survey.leaves()
    seen = {leaf.work for _, leaf in leaves if leaf.read != "recalled"}
    return maker.render(
        "survey.md.jinja", links.survey(view.key), view.survey.name, view=view,
        recalled=[(path, leaf) for path, leaf in leaves if leaf.read == "recalled" and leaf.work not in seen],
        all_full=all(leaf.read == "full text" for _, leaf in leaves), window=window(maker.site, view),
        kinds=kind_pages.of_survey(maker.site, view.key), ours=OURS,
        treated=citing.of_survey(maker.site.catalog, view.key),
        disputed=[row for row in maker.site.crosswalk.disputed if view.key in row.parties],
        front={"description": f"How {view.survey.name} files the field, and how much of it the zoo has.",
               "machine_forms": [["application/json", f"surveys/{view.key}.json", f"{view.survey.name} as JSON"]]},
    )


def _crosswalk(maker: Pages) -> str:
    site = maker.site
    anchors = {key: section_ids(view) for key, view in site.surveys.items()}

    def address(filing: Filing) -> str:
        return f"{links.survey(filing.survey)}#{anchors[filing.survey][filing.path]}"

    front = {"description": "Where each survey and the zoo's own taxonomy file each work, with their disagreements.",
             "machine_forms": [["application/json", "crosswalk.json", "The crosswalk as JSON"],
                               ["text/csv", "crosswalk.csv", "The crosswalk as CSV"]]}
    return maker.render("crosswalk.md.jinja", "crosswalk/", "Crosswalk", front=front, wide=True,
                        crosswalk=site.crosswalk, section_address=address, by_family=by_family(site), ours=OURS,
                        flows=maps_pages.flows_view(site, "crosswalk/"))


def section_ids(view: SurveyView) -> dict[tuple[str, ...], str]:
    """The titles that lead to a section -> its id on the survey's page."""
    found: dict[tuple[str, ...], str] = {}

    def walk(section: Any, path: tuple[str, ...]) -> None:
        path = (*path, section.section.title)
        found[path] = section.id
        for inner in section.sections:
            walk(inner, path)

    for section in view.sections:
        walk(section, ())
    return found


def window(site: Site, view: SurveyView) -> tuple[int, int, int] | None:
    """The first, median and last year of the algorithms that a survey was seen to treat; the lower of two medians."""
    rows = [row for row in site.crosswalk.rows if row.algorithm and row.work and view.key in row.cells]
    years = sorted(row.work.year for row in rows)
    return (years[0], years[(len(years) - 1) // 2], years[-1]) if years else None


def by_family(site: Site) -> dict[str, dict[str, int]]:
    """Family -> survey -> how many algorithms the survey files under what it calls that family."""
    counts = {name: dict.fromkeys(site.surveys, 0) for name in site.families}
    for row in site.crosswalk.rows:
        for key, cell in row.cells.items() if row.algorithm else ():
            for family in cell.families:
                counts[family][key] += 1
    return counts


def filed_as(site: Site, family: str) -> dict[str, list[dict[str, str]]]:
    """Survey -> its outermost sections, with their ids on its page, that mean this family of ours.

    Where two have one title, those inside another section have its title before theirs.
    """
    found: dict[str, list[dict[str, str]]] = {}

    def walk(key: str, section: Any, outer: str | None, above: str = "") -> None:
        means = section.section.family or outer
        if means == family and outer != family:
            found.setdefault(key, []).append({"id": section.id, "title": section.section.title, "above": above})
        for inner in section.sections:
            walk(key, inner, means, section.section.title)

    for key, view in site.surveys.items():
        for section in view.sections:
            walk(key, section, None)
    for sections in found.values():
        said = Counter(section["title"] for section in sections)
        for section in sections:
            above = section.pop("above")
            if above and said[section["title"]] > 1:
                section["title"] = f"{above} › {section['title']}"
    return found
