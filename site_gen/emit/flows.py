"""The surveys' top sections against our families as a matrix, static SVG with links: a circle a cell, with its count.

A circle's area is the number of algorithms, but never too small for that number. Where a survey means another family
than ours for any of them, the cell is a box in the colour of a warning with the sign of inequality: 2≠ are two, all of
them apart; 1≠/3 is one of three. There are two drawings,
for narrow boxes (a section's title above its cells) and for wide ones (beside them); the style sheet shows one.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from html import escape

from markupsafe import Markup

from site_gen.emit import labels
from site_gen.enrich.flows import Line
from site_gen.enrich.site import Site

SIZE, SMALL, LINE = 12.5, 11.5, 14
LEAST = 8.5  # radius of a circle that holds its number
NOT_FILED = "Not filed by us"


@dataclass(frozen=True)
class Form:
    """One of the drawings. `side`: pixels left of it for the titles, which the style sheet leaves free, or 0 where the
    titles stand above the cells; `slant`: degrees of the families' names; `radius`: of the largest circle; `column`:
    the least width of a column."""

    name: str
    least: int
    side: int
    slant: int
    radius: float
    column: int


NARROW = Form("narrow", 300, 0, 90, 12.0, 27)
WIDE = Form("wide", 640, 220, 45, 16.0, 33)


def draw(
    site: Site, lines: Sequence[Line], title: str, link: Callable[[str], str], cell: Callable[[Line, str], str]
) -> Markup:
    """The matrix; empty where no survey files an algorithm.

    `link` turns an address from the site's root into one relative to the page; `cell` gives where a cell leads.
    """
    if not lines:
        return Markup("")
    return Markup("").join(Markup(_matrix(site, lines, title, link, cell, form)) for form in (NARROW, WIDE))


def columns(site: Site, lines: Sequence[Line]) -> list[tuple[str, str]]:
    """(family or "", name) from left to right; what we have not filed comes last, where there is any."""
    found = [(name, family.family.name) for name, family in site.families.items()]
    return [*found, ("", NOT_FILED)] if any("" in line.flows for line in lines) else found


def _matrix(
    site: Site, lines: Sequence[Line], title: str, link: Callable[[str], str], cell: Callable[[Line, str], str],
    form: Form,
) -> str:  # fmt: skip
    heads = columns(site, lines)
    most = max(len(flow.rows) for line in lines for flow in line.flows.values())
    long = max(labels.width(name, SMALL) for _, name in heads)
    top = round(long * math.sin(math.radians(form.slant))) + 14
    head: list[str] = []
    for place, (family, name) in enumerate(heads):
        data = f' data-family="{escape(family)}"' if family else ""
        text = (f'<svg x="{_across(place, heads)}" y="{top - 8}"><text transform="rotate(-{form.slant})" y="4">'
                f"{escape(name)}</text></svg>")
        head.append(f'<a{data} href="{escape(link(f"families/{family}/"))}" aria-label="{escape(name)}">{text}</a>'
                    if family else text)
    body: list[str] = []
    y, survey = float(top), None
    for line in lines:
        if line.survey != survey:
            survey = line.survey
            body.append(_survey(site, survey, y, link, form))
            y += 26
        room = (form.side or form.least) - 12
        titles = labels.wrapped(line.title, room, SMALL, 3) or [labels.cut(line.title, room, SMALL)]
        text, circles = LINE * len(titles) + 4, 2 * form.radius + 3
        high = max(text, circles) if form.side else text + circles
        middle = y + (high / 2 if form.side else text + circles / 2)
        foot = middle + 4 - LINE * (len(titles) - 1) / 2 if form.side else y + LINE
        rows = []
        for number, part in enumerate(titles):
            down = f' dy="{LINE}"' if number else ""
            rows.append(f'<tspan x="{-form.side}"{down}>{escape(part)}</tspan>')
        address = link(f"surveys/{line.survey}/") + f"#{line.id}"
        body.append(f'<line class="grid" x1="0" x2="100%" y1="{middle:g}" y2="{middle:g}"/>'
                    f'<a class="section" href="{escape(address)}"><title>{escape(_line_says(site, line))}</title>'
                    f'<text y="{foot:g}">{" ".join(rows)}</text></a>')
        for place, (family, name) in enumerate(heads):
            if family in line.flows:
                body.append(_cell(line, family, name, _across(place, heads), middle, most, form, site, cell))
        y += high
    return (f'<svg class="zoo-flows zoo-flows--{form.name}" width="100%" height="{y + 6:.0f}" '
            f'style="min-width: {form.column * len(heads)}px" role="group" aria-label="{escape(title)}">'
            f'{"".join(head)}{"".join(body)}</svg>')


def _survey(site: Site, key: str, y: float, link: Callable[[str], str], form: Form) -> str:
    name = labels.cut(site.surveys[key].survey.name, form.least - 12, SIZE)
    return (f'<line class="rule" x1="{-form.side}" x2="100%" y1="{y + 3:g}" y2="{y + 3:g}"/>'
            f'<a href="{escape(link(f"surveys/{key}/"))}"><text class="survey" x="{-form.side}" y="{y + 19:g}">'
            f"{escape(name)}</text></a>")


def _across(place: int, heads: Sequence[object]) -> str:
    return f"{100 * (place + 0.5) / len(heads):.2f}%"


def _cell(
    line: Line, family: str, name: str, x: str, y: float, most: int, form: Form, site: Site,
    cell: Callable[[Line, str], str],
) -> str:  # fmt: skip
    flow = line.flows[family]
    count, apart = len(flow.rows), len(flow.apart)
    says = cell_says(site, line, family, name)
    data = f' data-family="{escape(family)}"' if family else ""
    kind = "cell apart" if apart else "cell" if family else "cell open"
    if apart:
        text = f"{count}≠" if apart == count else f"{apart}≠/{count}"
        wide = 6 + labels.width(text, SMALL)
        if wide > form.column:
            text = f"{apart}≠"
            wide = 6 + labels.width(text, SMALL)
        mark = f'<rect x="{-wide / 2:.1f}" y="-9" width="{wide:.1f}" height="18" rx="3"/>'
    else:
        text, mark = str(count), f'<circle r="{_radius(count, most, form):.1f}"/>'
    return (f'<a class="{kind}"{data} href="{escape(cell(line, family))}" aria-label="{escape(says)}">'
            f'<title>{escape(says)}</title><svg x="{x}" y="{y:g}">{mark}'
            f'<text text-anchor="middle" y="4">{text}</text></svg></a>')


def _radius(count: int, most: int, form: Form) -> float:
    return max(LEAST, form.radius * math.sqrt(count / most))


def _line_says(site: Site, line: Line) -> str:
    return f"{site.surveys[line.survey].survey.name}, {line.title}: {_algorithms(line.total)}"


def cell_says(site: Site, line: Line, family: str, name: str) -> str:
    """Wang et al. 2024, 4 Pruning: 24 algorithms that we file under Pruning, 2 of them filed apart there."""
    flow = line.flows[family]
    where = f"that we file under {name}" if family else "that we have not filed"
    says = f"{site.surveys[line.survey].survey.name}, {line.title}: {_algorithms(len(flow.rows))} {where}"
    if flow.apart:
        says += f"; {len(flow.apart)} of them under a family that the survey does not mean"
    return says


def _algorithms(count: int) -> str:
    return f"{count} algorithm{'' if count == 1 else 's'}"
