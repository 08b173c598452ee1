"""Years as a static SVG: stacked bars of counts or shares, ranges of years, and dots in a grid of years and bits.

The look is that of scatter.py: colours come from the style sheet, and every category has a mark besides its colour, so
that no reader depends on colour. Every figure is beside a table that says the same.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from html import escape

from markupsafe import Markup

from site_gen.emit.numbers import number, percent
from site_gen.emit.plots import even_ticks
from site_gen.emit.scatter import OTHER, SHAPES, WIDTH, opened
from site_gen.enrich.trends import LEAST, Column, Series, Width, Window

HEIGHT = 420
LEFT, RIGHT, TOP, BOTTOM = 74, 12, 60, 44
TITLE = 22  # foot of the line that says what is drawn
ROOM = 15  # height from which a part of a bar has room for its mark
LABELS = 11  # years with a label, at most
ROW = 46  # height of a survey's line
DOT = 15  # room of a dot


def mark(categories: Sequence[str], category: str) -> str:
    """The mark of a category: a family's own, else the next of the list."""
    if category in SHAPES:
        return SHAPES[category]
    others = [name for name in categories if name not in SHAPES]
    return list(SHAPES.values())[others.index(category) % len(SHAPES)] if len(others) > 1 else OTHER


def kind(categories: Sequence[str], category: str) -> str:
    """The attribute that colours a category: its family's colour, or a step of one hue; none where it stands alone."""
    if category in SHAPES:
        return f' data-family="{category}"'
    others = [name for name in categories if name not in SHAPES]
    return f' data-step="{others.index(category)}"' if len(others) > 1 else ""


def legend(series: Series, category: str) -> Markup:
    """The mark of a category in its colour."""
    return Markup('<svg class="zoo-shape" viewBox="-8 -8 16 16" aria-hidden="true"{}><path d="{}"/></svg>').format(
        Markup(kind(list(series.categories), category)), mark(list(series.categories), category)
    )


def stacked(series: Series, title: str, shares: bool = False) -> Markup:
    """A bar a column, the first category at the bottom; with `shares` all of one height, and small columns empty."""
    if not series.columns:
        return Markup("")
    most = max(column.total for column in series.columns)
    steps = [0, 0.25, 0.5, 0.75, 1] if shares else even_ticks(0, max(5, most))
    high = steps[-1] or 1
    scale = (HEIGHT - TOP - BOTTOM) / high
    bottom = HEIGHT - BOTTOM
    parts = [opened(HEIGHT, title, "zoo-bars")]
    for tick in steps:
        at = bottom - tick * scale
        label = percent(tick) if shares else number(tick)
        parts.append(f'<path class="grid" d="M{LEFT} {at:.1f}H{WIDTH - RIGHT}"/>')
        parts.append(f'<text x="{LEFT - 6}" y="{at + 4:.1f}" text-anchor="end">{label}</text>')
    unit = "share, with how many there are above each bar" if shares else "number"
    parts.append(f'<text class="axis" x="4" y="{TITLE}">{unit}</text>')
    for index, column in enumerate(series.columns):
        left, middle, wide = _place(index, len(series.columns))
        parts += _labels(column, index, len(series.columns), middle)
        top = bottom
        for name in series.categories:
            count = column.count(name)
            value = (column.share(name) or 0) if shares else count
            if value:
                tall = value * scale
                top -= tall
                note = f"{column.label}, {series.categories[name]}: {count}"
                note += f" of {column.total}" if shares else ""
                parts.append(_part(list(series.categories), name, left, top, wide, tall, note))
        empty = shares and 0 < column.total < LEAST
        if empty:
            top = bottom - high * scale
            parts.append(f'<rect class="empty" x="{left:.1f}" y="{top:.1f}" width="{wide:.1f}" '
                         f'height="{bottom - top:.1f}"><title>{escape(column.label)}: {column.total}, too few for a '
                         "share</title></rect>")
        if column.total:
            shown = f"n={column.total}" if shares else str(column.total)
            parts.append(f'<text class="total" x="{middle:.1f}" y="{top - 6:.1f}" text-anchor="middle">{shown}</text>')
    return Markup("".join([*parts, "</svg>"]))


def ranges(windows: Sequence[Window], names: Mapping[str, str], title: str) -> Markup:
    """A line a survey from its first to its last year, thick where four of five works lie, and its own date."""
    if not windows:
        return Markup("")
    low = min(window.first for window in windows)
    high = max(max(window.last, int(window.own[:4])) for window in windows) + 1
    top, height = TITLE, TITLE + ROW * len(windows) + BOTTOM
    scale = (WIDTH - 28 - RIGHT) / (high - low)

    def x(year: float) -> float:
        return 14 + (year - low) * scale

    parts = [opened(height, title, "zoo-ranges")]
    every = next(step for step in (1, 2, 5, 10, 20, 50, 100) if step * scale >= 62)
    for year in range(math.ceil(low / every) * every, high, every):
        parts.append(f'<path class="grid" d="M{x(year + 0.5):.1f} {top - 8}V{height - BOTTOM}"/>')
        parts.append(f'<text x="{x(year + 0.5):.1f}" y="{height - BOTTOM + 18}" text-anchor="middle">{year}</text>')
    for index, window in enumerate(windows):
        at = top + ROW * index + 28
        own = int(window.own[:4]) + (int(window.own[5:7]) - 0.5) / 12 if "-" in window.own else int(window.own) + 0.5
        note = (f"{names[window.survey]}: {window.works} works from {window.first} to {window.last}, the middle one "
                f"{window.middle}; the survey itself {window.own}")
        parts.append(f'<g class="range"><title>{escape(note)}</title>'
                     f'<path class="whole" d="M{x(window.first):.1f} {at}H{x(window.last + 1):.1f}"/>'
                     f'<path class="most" d="M{x(window.tenth):.1f} {at}H{x(window.ninetieth + 1):.1f}"/>'
                     f'<path class="middle" d="M{x(window.middle + 0.5):.1f} {at - 8}v16"/>'
                     f'<path class="own" transform="translate({x(own):.1f} {at})" d="{SHAPES["low-rank"]}"/></g>')
        parts.append(f'<text class="method" x="14" y="{at - 13}">{escape(names[window.survey])} '
                     f'<tspan class="count">{window.works} works</tspan></text>')
    return Markup("".join([*parts, "</svg>"]))


def grid(widths: Sequence[Width], names: Mapping[str, str], families: Mapping[str, str], title: str) -> Markup:
    """A dot an entry: the year from left to right, the least bits from bottom to top, every width a line of its own."""
    if not widths:
        return Markup("")
    years = list(range(widths[0].year, widths[-1].year + 1))
    rows = sorted({width.least for width in widths})
    tall = (HEIGHT - TOP - BOTTOM) / len(rows)
    parts = [opened(HEIGHT, title, "zoo-grid")]
    parts.append(f'<text class="axis" x="4" y="{TITLE}">least bits a weight, each dot a method</text>')
    for row, bits in enumerate(rows):
        at = HEIGHT - BOTTOM - tall * (row + 0.5)
        parts.append(f'<path class="grid" d="M{LEFT} {at:.1f}H{WIDTH - RIGHT}"/>')
        parts.append(f'<text x="{LEFT - 6}" y="{at + 4:.1f}" text-anchor="end">{number(bits)}</text>')
    for index, year in enumerate(years):
        _, middle, wide = _place(index, len(years))
        column = Column(str(year), year, year, {})
        parts += _labels(column, index, len(years), middle)
        for row, bits in enumerate(rows):
            here = [width for width in widths if (width.year, width.least) == (year, bits)]
            most = max(1, int(wide // DOT))  # side by side; further ones above
            for place, width in enumerate(here):
                line, place_in_line = divmod(place, most)
                of_line = min(most, len(here) - line * most)
                left = middle + (place_in_line - (of_line - 1) / 2) * DOT
                up = HEIGHT - BOTTOM - tall * (row + 0.5) - line * DOT
                family = families.get(width.id, "")
                note = f"{names[width.id]}, {year}: {', '.join(map(number, width.bits))} bits"
                place_at = f"translate({left:.1f} {up:.1f})"
                parts.append(f'<g class="dot" data-family="{escape(family)}" transform="{place_at}"><path '
                             f'class="shape" d="{SHAPES.get(family, OTHER)}"/><title>{escape(note)}</title></g>')
    return Markup("".join([*parts, "</svg>"]))


def _place(index: int, count: int) -> tuple[float, float, float]:
    """Left edge, middle and width of a bar."""
    room = (WIDTH - LEFT - RIGHT) / count
    wide = min(room * 0.78, 84)
    middle = LEFT + room * (index + 0.5)
    return middle - wide / 2, middle, wide


def _labels(column: Column, index: int, count: int, middle: float) -> list[str]:
    """The year under a bar; of many years every second, third ... from the last on."""
    if (count - 1 - index) % math.ceil(count / LABELS):
        return []
    return [f'<text x="{middle:.1f}" y="{HEIGHT - BOTTOM + 25}" text-anchor="middle">{escape(column.label)}</text>']


def _part(
    categories: list[str], name: str, left: float, top: float, wide: float, tall: float, note: str
) -> str:
    shown = ""
    if tall >= ROOM and wide >= ROOM:
        place = f"translate({left + wide / 2:.1f} {top + tall / 2:.1f})"
        shown = f'<path class="sign" transform="{place}" d="{mark(categories, name)}"/>'
    return (f'<g class="part"{kind(categories, name)}><rect x="{left:.1f}" y="{top:.1f}" width="{wide:.1f}" '
            f'height="{tall:.1f}"/>{shown}<title>{escape(note)}</title></g>')
