"""The Maps page: the taxonomy as a picture and as a tree, the lineage of each family, the crosswalk as a picture."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from markupsafe import Markup

from site_gen.emit import flows, lineage, links, treemap
from site_gen.enrich.flows import Line
from site_gen.enrich.lineage import CITES, Member
from site_gen.enrich.territory import Land, Method

if TYPE_CHECKING:
    from site_gen.emit.pages import Pages
    from site_gen.enrich.site import Site

TREE = 400  # methods of a family that its tree lists; it says how many it leaves out, and where they are
DISPUTED = 60  # works that are named as disputed beside the matrix; the crosswalk has all

# How a tie reads from the younger method, and whether its lines show before a reader chooses.
TIES = {
    "builds_on": ("builds on", True), "supersedes": ("takes the place of", True),
    "special_case_of": ("reduces to", True), "conflicts_with": ("conflicts with", True),
    "stacks_with": ("combines with", False), "alternative_to": ("is an alternative to", False),
    CITES: ("cites", False),
}


@dataclass(frozen=True)
class Named:
    """A method by its name and where it is."""

    name: str
    address: str
    entry: bool


@dataclass(frozen=True)
class LineageRow:
    """A method of a lineage in words. `ties`: declared relation -> methods; `cites`: methods of the picture."""

    method: Named
    member: Member
    family: str
    ties: dict[str, list[Named]]
    cites: list[Named]


@dataclass(frozen=True)
class LineageView:
    """A lineage as a picture and as a table. `kinds`: kind, words, shown from the start; those that occur."""

    family: str
    name: str
    svg: Markup
    kinds: list[tuple[str, str, bool]]
    rows: list[LineageRow]
    own: int
    guests: int
    left_out: int
    without: int  # known methods of the family that have no entry


@dataclass(frozen=True)
class GroundView:
    """A group of the tree."""

    id: str
    name: str
    address: str
    says: str
    methods: list[tuple[Method, str]]  # with their addresses
    rest: int


@dataclass(frozen=True)
class LandView:
    """A family: its picture by all known methods and by entries alone, and its tree."""

    id: str
    anchor: str
    name: str
    address: str
    says: str
    known: Markup
    entries: Markup
    grounds: list[GroundView]


def pages(maker: Pages) -> dict[str, str]:
    """The one page."""
    site = maker.site
    address = "maps/"
    link = links.Links(address)
    lands = [_land(site, land, link) for land in site.maps.lands]
    found = [view for name in site.families if (view := lineage_view(site, name, address))]
    title = "The taxonomy: families and groups, by {}"
    return {"maps/index.md": maker.render(
        "maps.md.jinja", address, "Maps", wide=True, lands=lands, lineages=found, flows=flows_view(site, address),
        known=sum(land.known for land in site.maps.lands), entries=sum(land.entries for land in site.maps.lands),
        by_known=treemap.overview(site.maps.lands, False, title.format("all known methods")),
        by_entries=treemap.overview(site.maps.lands, True, title.format("entries")),
        front={"description": "The taxonomy, the lineage of each family and the surveys' order as pictures."},
    )}


def _land(site: Site, land: Land, link: links.Links) -> LandView:
    home = link(links.family(land.id)) if land.id else ""
    name = land.name or treemap.NO_FAMILY

    def address(method: Method) -> str:
        return link(links.algorithm(method.id) if method.entry else links.work(method.id))

    def picture(entries_only: bool) -> Markup:
        what = "its entries" if entries_only else "all known methods"
        return treemap.family(land, entries_only, f"{name}: {what}, by group", home, address)

    grounds = []
    for ground in land.grounds:
        methods, rest = treemap.shown_methods(ground, land, False, TREE)
        grounds.append(GroundView(
            ground.id, ground.name or (treemap.NO_GROUP if land.id else treemap.NO_FAMILY),
            f"{home}#{ground.id}" if ground.id else link("bibliography/"), treemap.ground_says(ground),
            [(method, address(method)) for method in methods], rest,
        ))
    return LandView(land.id, f"map-{land.id or treemap.NONE}", name, home, treemap.land_says(land), picture(False),
                    picture(True), grounds)


def lineage_view(site: Site, family: str, page: str) -> LineageView | None:
    """The lineage of a family for the page at this address; None where the family has no entry."""
    found = site.maps.lineages.get(family)
    if found is None:
        return None
    link = links.Links(page)
    name = site.families[family].family.name

    def named(key: str) -> Named:
        entry = site.entries.get(key)
        if entry:
            return Named(entry.name, link(links.algorithm(key)), True)
        return Named(site.works[key].work.name, link(links.work(key)), False)

    ties: dict[str, dict[str, list[Named]]] = {member.id: {} for member in found.members}
    for tie in found.ties:
        ties[tie.source].setdefault(tie.kind, []).append(named(tie.target))
    kinds = {tie.kind for tie in found.ties}
    rows = []
    for member in found.members:
        entry = site.entries.get(member.id)
        of_kind = {TIES[kind][0]: ties[member.id][kind] for kind in TIES if kind in ties[member.id] and kind != CITES}
        rows.append(LineageRow(named(member.id), member, entry.algorithm.home if entry else "", of_kind,
                               ties[member.id].get(CITES, [])))
    guests = len(rows) - found.own
    what = f"{name} over time: {found.own} method{'' if found.own == 1 else 's'}"
    what += f" and {guests} that they come from" if guests else ""
    land = next(land for land in site.maps.lands if land.id == family)
    return LineageView(
        family, name,
        lineage.draw(site, found, what, lambda key: named(key).name, lambda key: named(key).address),
        [(kind, *TIES[kind]) for kind in TIES if kind in kinds], rows, found.own, guests, len(found.left_out),
        land.known - land.entries,
    )


def flows_view(site: Site, page: str) -> dict[str, Any]:
    """The crosswalk's matrix for the page at this address, with what stands beside it in words."""
    link = links.Links(page)
    lines = site.maps.lines
    disputed = site.crosswalk.disputed

    def cell(line: Line, family: str) -> str:
        query = f"?survey={line.survey}" + (f"&family={family}" if family else "")
        query += "&mark=disagree" if line.flows[family].apart else ""
        return link("crosswalk/") + query + "#crosswalk"

    return {
        "svg": flows.draw(site, lines, "Top sections of each survey against our families, with numbers of algorithms",
                          link, cell),
        "lines": lines, "columns": flows.columns(site, lines), "cell": cell, "says": flows.cell_says,
        "disputed": disputed[:DISPUTED], "more": len(disputed) - min(len(disputed), DISPUTED),
        "empty": [(view, section) for view in site.surveys.values() for section in view.sections
                  if not any(line.survey == view.key and line.id == section.id for line in lines)],
    }
