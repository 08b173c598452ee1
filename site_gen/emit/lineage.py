"""The lineage of a family as a static SVG with links: a row a method, time across, each below the one it comes from.

Places across are shares of the width, so that names keep their size on every screen. A name stands to the right of its
mark; since rows are those of a family tree and time runs to the right, no line of descent passes through a name. Each
kind of tie has a dash of its own, and each family a mark, so that no reader depends on colour.
"""

from __future__ import annotations

from collections.abc import Callable
from html import escape

from markupsafe import Markup

from site_gen.emit import labels
from site_gen.emit.ego import TimeAxis, moment
from site_gen.emit.scatter import OTHER, SHAPES
from site_gen.enrich.lineage import CITES, DESCENT, Lineage, Member
from site_gen.enrich.site import Site

ROW, LINE = 24, 14
TOP, BOTTOM = 24, 12
NAMES = 172  # pixels beyond the right edge that names may take; the style sheet leaves them free
INDENT = 10  # from a mark to its name
SIZE = 12.5
APART, CLOSE = 22.0, 9.0  # per cent between years with a label, on any screen and on a wide one
KINDS = (*DESCENT, "alternative_to", "stacks_with", "conflicts_with", CITES)


def draw(
    site: Site, lineage: Lineage, title: str, name: Callable[[str], str], address: Callable[[str], str]
) -> Markup:
    """The picture. `name` and `address` are asked for ids of entries and keys of works."""
    axis = TimeAxis([moment(member.date) for member in lineage.members], 3, 97)
    places: dict[str, tuple[float, float]] = {}
    rows: list[tuple[Member, list[str], float]] = []
    y = float(TOP)
    for member in lineage.members:
        room = NAMES - INDENT - 4
        text = name(member.id)
        lines = labels.wrapped(text, room, SIZE, 2) or [labels.cut(text, room, SIZE)]
        high = ROW + LINE * (len(lines) - 1)
        places[member.id] = axis(moment(member.date)), y + high / 2
        rows.append((member, lines, y + high / 2))
        y += high
    parts = [f'<svg class="zoo-lineage" width="100%" height="{y + BOTTOM:.0f}" role="group" '
             f'aria-label="{escape(title)}">']
    few = _few(axis)
    for year, place in axis.labels(CLOSE):
        later = "" if year in few else " from-640"
        parts.append(f'<line class="grid{later}" x1="{place:.1f}%" x2="{place:.1f}%" y1="{TOP - 4}" y2="{y:.0f}"/>'
                     f'<text class="year{later}" x="{place:.1f}%" y="{TOP - 10}" text-anchor="middle">{year}</text>')
    for place in axis.breaks():
        parts.append(f'<svg class="break" x="{place:.1f}%" y="{y + 4:.0f}"><path d="M-4 5L-1 -5M1 5L4 -5"/></svg>')
    parents = {(member.id, member.parent, member.by) for member in lineage.members}
    for kind in reversed(KINDS):
        for tie in lineage.ties:
            if tie.kind == kind:
                parts.append(_tie(places, tie.source, tie.target, kind, (tie.source, tie.target, kind) in parents))
    for member, lines, middle in rows:
        parts.append(_row(site, member, lines, places[member.id][0], middle, name(member.id), address(member.id)))
    return Markup("".join([*parts, "</svg>"]))


def _few(axis: TimeAxis) -> set[int]:
    """The years with a label on a narrow screen: the first, the last, and between them what has room."""
    kept = axis.labels(APART)
    first = axis.years[0]
    start = axis(first + 0.5)
    if kept[0][0] != first and kept[-1][1] - start >= APART:
        kept = [(first, start), *(label for label in kept[:-1] if label[1] - start >= APART), kept[-1]]
    return {year for year, _ in kept}


def _tie(places: dict[str, tuple[float, float]], source: str, target: str, kind: str, parent: bool) -> str:
    """A line from the older to the younger; to the row that a row hangs on it runs down, then across."""
    (x, y), (from_x, from_y) = places[source], places[target]
    ends = f'class="tie {kind.replace("_", "-")}" data-ends="{escape(source)} {escape(target)}"'
    if not parent:
        return f'<line {ends} x1="{from_x:.2f}%" y1="{from_y:g}" x2="{x:.2f}%" y2="{y:g}"/>'
    return (f'<g {ends}><line x1="{from_x:.2f}%" y1="{from_y:g}" x2="{from_x:.2f}%" y2="{y:g}"/>'
            f'<line x1="{from_x:.2f}%" y1="{y:g}" x2="{x:.2f}%" y2="{y:g}"/></g>')


def _row(site: Site, member: Member, lines: list[str], x: float, y: float, name: str, address: str) -> str:
    entry = site.entries.get(member.id)
    family = entry.algorithm.home if entry else ""
    data = f' data-family="{escape(family)}"' if family else ""
    says = f"{name}, {member.date}"
    if member.kind == "guest":
        says += f", of the family {site.families[family].family.name}"
    if member.kind == "work":
        says += ", no entry yet"
    foot = y + 4.5 - LINE * (len(lines) - 1) / 2
    rows = " ".join(f'<tspan x="{x:.2f}%" dx="{INDENT}"{f" dy={chr(34)}{LINE}{chr(34)}" if place else ""}>'
                   f"{escape(line)}</tspan>" for place, line in enumerate(lines))
    return (f'<a class="{member.kind}" data-row="{escape(member.id)}"{data} href="{escape(address)}" '
            f'aria-label="{escape(says)}"><title>{escape(says)}</title>'
            f'<svg class="mark" x="{x:.2f}%" y="{y:g}"><path d="{SHAPES.get(family, OTHER)}"/></svg>'
            f'<text y="{foot:g}">{rows}</text></a>')
