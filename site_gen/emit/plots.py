"""A curve with its spread as a small SVG, drawn from numbers alone; colours come from the page's style sheet.

Complete by itself. What a script needs to read values out and to hide series is in it: a <title> for each mark and each
level, `data-area`, `data-series`; see frontend/src/plots.ts.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from html import escape

from markupsafe import Markup

from site_gen.emit.numbers import number
from site_gen.enrich.measured import Curve, Spread
from site_gen.enrich.site import Site

TICKS = (1, 2, 2.5, 5)


@dataclass(frozen=True)
class Frame:
    """A size at which a plot is drawn, and its margins, in pixels. The style sheet shows the drawing that fits its box,
    so that text is hardly ever scaled. `letters`: how many of an axis title fit a line.
    """

    name: str
    width: int
    height: int
    left: int
    right: int
    top: int
    bottom: int
    letters: int

    def area(self, height: float) -> tuple[float, float, float, float]:
        """Left, top, right and bottom of the drawing without its margins."""
        return self.left, self.top, self.width - self.right, height - self.bottom

    def opened(self, height: float, title: str, more: str = "", kind: str = "") -> str:
        """The beginning of a drawing of this width; `more`: further attributes, `kind`: further classes."""
        return (f'<svg class="zoo-plot {f"{kind} " if kind else ""}zoo-plot--{self.name}" '
                f'viewBox="0 0 {self.width} {height}" role="img" aria-label="{escape(title)}"{more}>')

    def axis(self, x: float, y: float, text: str, anchor: str = "start") -> str:
        """The title of an axis, its last line at `y`; parts between commas stay whole."""
        lines = [""]
        for part in text.split(", "):
            if lines[-1] and len(lines[-1]) + 2 + len(part) > self.letters:
                lines[-1] += ","
                lines.append(part)
            else:
                lines[-1] += f", {part}" if lines[-1] else part
        spans = escape(lines[0]) if len(lines) == 1 else "".join(
            f'<tspan x="{x}" dy="{AXIS_LINE if nth else 0}">{escape(line)} </tspan>' for nth, line in enumerate(lines)
        )
        first = y - AXIS_LINE * (len(lines) - 1)
        return f'<text class="axis" x="{x}" y="{first:g}" text-anchor="{anchor}">{spans}</text>'


AXIS_LINE = 15  # from one line of an axis title to the next
WIDE = Frame("wide", 760, 340, 64, 132, 22, 52, 110)
NARROW = Frame("narrow", 320, 250, 40, 10, 26, 48, 50)


def series(data: Curve, name: str, baseline_name: str = "") -> list[tuple[str, str]]:
    """(kind, name) of what a curve's drawing shows; `name` is that of the entry."""
    return [("curve", name), *((kind, text) for kind, text, _ in _levels(data, baseline_name))]


def sample(kind: str) -> Markup:
    """How a series looks, for a legend."""
    dot = '<circle class="point" cx="14" cy="8" r="4"/>' if kind == "curve" else ""
    return Markup(f'<svg class="zoo-plot zoo-sample" viewBox="0 0 28 16" aria-hidden="true">'
                  f'<path class="{kind}" d="M1 8H27"/>{dot}</svg>')


def curve(data: Curve, title: str, baseline_name: str = "", frame: Frame = WIDE) -> Markup:
    """The metric over the swept option: median, bars from least to greatest, dense and baseline as levels.

    The levels are named beside their lines where the frame has a margin for it, else in the legend alone.
    """
    left, top, right, bottom = frame.area(frame.height)
    spreads = [point.spread for point in data.points] + [level for level in (data.dense, data.baseline) if level]
    low = min(spread.low for spread in spreads)
    high = max(spread.high for spread in spreads)
    logarithmic = low > 0 and high / low > 20
    ticks = _log_ticks(low, high) if logarithmic else even_ticks(low, high)
    low, high = min(low, ticks[0]), max(high, ticks[-1])

    def y(value: float) -> float:
        if logarithmic:
            share = math.log(value / low) / math.log(high / low)
        else:
            share = (value - low) / (high - low)
        return bottom - share * (bottom - top)

    x_low, x_high = data.points[0].x, data.points[-1].x
    margin = 24 if frame is WIDE else 12

    def x(value: float) -> float:
        share = (value - x_low) / (x_high - x_low) if x_high > x_low else 0.5
        return left + margin + share * (right - left - 2 * margin)

    levels = _levels(data, baseline_name)
    told = "; ".join([f"{point.label}: {_told(point.spread)}" for point in data.points]
                     + [f"{text}: {_told(level)}" for _, text, level in levels])
    parts = [
        frame.opened(frame.height, title, f' data-read="x" data-area="{left} {top} {right} {bottom}"'),
        f"<title>{escape(title)}</title>",
        f"<desc>{escape(data.option)} {escape(told)}</desc>",
    ]
    for tick in ticks:
        at = y(tick)
        parts.append(f'<line class="grid" x1="{left}" x2="{right}" y1="{at:.1f}" y2="{at:.1f}"/>')
        parts.append(f'<text class="tick" x="{left - 8}" y="{at + 4:.1f}" text-anchor="end">{number(tick)}</text>')
    for point in data.points:
        parts.append(
            f'<text class="tick" x="{x(point.x):.1f}" y="{bottom + 20}" text-anchor="middle">'
            f"{escape(point.label)}</text>"
        )
    label = data.metric.label + (f" ({data.metric.unit_beside})" if data.metric.unit_beside else "")
    better = {"lower": ", lower is better", "higher": ", higher is better"}.get(data.metric.better, "")
    scale = ", logarithmic" if logarithmic else ""
    parts.append(frame.axis(left if frame is WIDE else 0, 13, label + better + scale))
    parts.append(frame.axis((left + right) / 2, frame.height - 8, data.option, "middle"))
    placed: list[float] = []
    for kind, text, level in levels:
        height = y(level.median)
        at = height + 4
        while any(abs(at - other) < 13 for other in placed):
            at -= 13
        placed.append(at)
        beside = f'<text class="{kind}" x="{right + 6}" y="{at:.1f}">{escape(shortened(text))}</text>'
        parts.append(
            f'<g data-series="{kind}" data-level=""><title>{escape(f"{text}: {_told(level)}")}</title>'
            f'<path class="{kind}" d="M{left} {height:.1f}H{right}"/>{beside if frame is WIDE else ""}</g>'
        )
    path = " ".join(
        f"{'M' if i == 0 else 'L'}{x(point.x):.1f} {y(point.spread.median):.1f}" for i, point in enumerate(data.points)
    )
    parts.append(f'<g data-series="curve"><path class="curve" d="{path}"/>')
    for point in data.points:
        at, high_at, low_at = x(point.x), y(point.spread.high), y(point.spread.low)
        note = f"{data.option} {point.label}{', the setting of the table' if point.declared else ''}\n"
        note += f"{data.metric.label}: {_told(point.spread)}"
        if point.spread.high > point.spread.low:
            parts.append(
                f'<path class="spread" d="M{at:.1f} {high_at:.1f}V{low_at:.1f}M{at - 5:.1f} {high_at:.1f}h10'
                f'M{at - 5:.1f} {low_at:.1f}h10"/>'
            )
        kind, radius = ("point declared", 5.5) if point.declared else ("point", 4)
        parts.append(
            f'<circle class="{kind}" cx="{at:.1f}" cy="{y(point.spread.median):.1f}" r="{radius}">'
            f"<title>{titled(note)}</title></circle>"
        )
    parts.append("</g>")
    parts.append("</svg>")
    return Markup("".join(parts))


def titled(note: str) -> str:
    """The text of a <title>; its lines stay apart, but on one line of the page, as Markdown needs it."""
    return escape(note).replace("\n", "&#10;")


def _levels(data: Curve, baseline_name: str) -> list[tuple[str, str, Spread]]:
    """(kind, name, value) of what the curve is compared with."""
    found: list[tuple[str, str, Spread]] = []
    if data.dense:
        found.append(("dense", "uncompressed", data.dense))
    if data.baseline:
        found.append(("baseline", baseline_name or data.baseline_id, data.baseline))
    return found


def _told(spread: Spread) -> str:
    """The median, and the range over the seeds where there is one."""
    if spread.high > spread.low:
        return f"{number(spread.median)} ({number(spread.low)} to {number(spread.high)} over the seeds)"
    return number(spread.median)


def shortened(text: str, most: int = 16) -> str:
    """A label that fits the margin."""
    return text if len(text) <= most else text[: most - 1].rstrip() + "…"


def field_map(site: Site) -> Markup:
    """The citation graph without its lines, as a picture of the field: a dot a work, in the colour of its family."""
    dots: dict[str, list[str]] = {}
    for place in site.graph.places.values():
        radius = 5 + 1.6 * math.sqrt(place.cited_by)
        dots.setdefault(site.works[place.key].family or "", []).append(
            f'<circle cx="{500 + 480 * place.x:.0f}" cy="{500 + 480 * place.y:.0f}" r="{radius:.0f}"/>'
        )
    groups = "".join(
        f'<g data-family="{escape(name)}">{"".join(circles)}</g>' for name, circles in sorted(dots.items())
    )
    return Markup(f'<svg class="zoo-map" viewBox="0 0 1000 1000" aria-hidden="true">{groups}</svg>')


def even_ticks(low: float, high: float) -> list[float]:
    """Four to seven round numbers that enclose [low, high]."""
    if high <= low:
        low, high = low - abs(low or 1) * 0.1, high + abs(high or 1) * 0.1
    rough = (high - low) / 5
    power = 10 ** math.floor(math.log10(rough))
    step = next(power * factor for factor in (*TICKS, 10) if power * factor >= rough)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [round(index * step, 10) for index in range(first, last + 1)]


def _log_ticks(low: float, high: float) -> list[float]:
    """1, 2 or 5 times powers of ten, enclosing [low, high]; thinned to at most eight."""
    first, last = math.floor(math.log10(low)), math.ceil(math.log10(high))
    every = [factor * 10.0**power for power in range(first, last + 1) for factor in (1, 2, 5)]
    start = max((index for index, tick in enumerate(every) if tick <= low), default=0)
    stop = min((index for index, tick in enumerate(every) if tick >= high), default=len(every) - 1)
    ticks = every[start : stop + 1]
    if len(ticks) > 8:
        ticks = [ticks[0], *(tick for tick in ticks[1:-1] if math.log10(tick).is_integer()), ticks[-1]]
    return ticks
