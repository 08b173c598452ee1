"""Runs of one protocol as a static SVG: quality against size or work with the front drawn, or one line a method.

Colours come from the style sheet; a family has a shape too, so that no reader depends on colour.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from html import escape

from markupsafe import Markup

from site_gen.emit.numbers import number
from site_gen.emit.plots import Frame, titled
from site_gen.enrich.together import Axis, Dot, Plot

WIDTH, HEIGHT = 760, 440
LEFT, RIGHT, TOP, BOTTOM = 66, 24, 34, 54
WIDE = Frame("wide", WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM, 110)
NARROW = Frame("narrow", 320, 340, 34, 10, 46, 62, 50)
LINE = 42  # height of a method's line in a strip; its name stands above
GLYPH = 6.4  # width of a letter of a label, about
TICKS = tuple(
    base * 10.0**power for power in range(-6, 13) for base in (1, 1.1, 1.2, 1.3, 1.5, 1.7, 2, 2.5, 3, 4, 5, 6, 7, 8)
)  # fmt: skip
BIT_TICKS = (0.25, 0.5, 1, 1.5, 2, 2.5, 3, 4, 5, 6, 8, 10, 12, 16, 24, 32, 48, 64)
STEPS = (1, 2, 2.5, 5, 10)

Box = tuple[float, float, float, float]  # left, top, right, bottom

# Ten marks of about the same weight, centred, as paths; families take them in the order of the taxonomy.
SHAPES = {
    "quantization": "M-5 0A5 5 0 1 1 5 0A5 5 0 1 1 -5 0Z",
    "pruning": "M-4.5 -4.5H4.5V4.5H-4.5Z",
    "distillation": "M0 -6L5.6 4.4H-5.6Z",
    "low-rank": "M0 -6.2L6.2 0L0 6.2L-6.2 0Z",
    "sharing": "M0 6L5.6 -4.4H-5.6Z",
    "architecture": "M0 -6L5.7 -1.9L3.5 4.9H-3.5L-5.7 -1.900Z",
    "experts": "M-2 -6H2V-2H6V2H2V6H-2V2H-6V-2H-2Z",
    "dynamic": "M-4.2 -5.700L0 -1.500L4.2 -5.700L5.7 -4.200L1.5 0L5.7 4.200L4.2 5.700L0 1.500L-4.2 5.7"
    "L-5.7 4.200L-1.5 0L-5.7 -4.200Z",
    "adaptation": "M0 -6.500L1.7 -2.200L6.2 -2L2.7 0.900L3.9 5.300L0 2.800L-3.9 5.300L-2.7 0.900L-6.2 -2L-1.7 "
    "-2.200Z",
    "execution": "M-3 -5.200H3L6 0L3 5.200H-3L-6 0Z",
}
OTHER = "M-6 -1.500H6V1.500H-6Z"  # what is no entry


def shape(family: str | None) -> Markup:
    """The mark of a family for a legend."""
    return Markup('<svg class="zoo-shape" viewBox="-8 -8 16 16" aria-hidden="true"><path d="{}"/></svg>').format(
        SHAPES.get(family or "", OTHER)
    )


def draw(plot: Plot, title: str, frame: Frame = WIDE) -> Markup:
    """The picture of a plot; empty where it has no dots."""
    if not plot.dots:
        return Markup("")
    return Markup(_strip(plot, title, frame) if plot.strip else _scatter(plot, title, frame))


def both(plot: Plot, title: str) -> Markup:
    """The pictures for wide and for narrow boxes."""
    return draw(plot, title) + draw(plot, title, NARROW)


def beyond(plot: Plot) -> int:
    """How many dots lie past the edge of the drawing."""
    return sum(plot.y.ratio and dot.y.median > plot.limit for dot in plot.dots)


def _scatter(plot: Plot, title: str, frame: Frame) -> str:
    left, top, right, bottom = area = frame.area(frame.height)
    x = _Scale([dot.x for dot in plot.dots], plot.x, left + 14, right - 14)
    y = _Scale([dot.y.median for dot in plot.dots], plot.y, bottom - 10, top + 12, plot.limit)
    parts = [_opened(frame, frame.height, title, area)]
    for tick, says in _told(y.ticks(26)):
        parts.append(f'<path class="grid" d="M{left} {y(tick):.1f}H{right}"/>')
        parts.append(f'<text x="{left - 8}" y="{y(tick) + 4:.1f}" text-anchor="end">{says}</text>')
    for tick, says in _told(x.ticks(46, across=True)):
        parts.append(f'<path class="grid" d="M{x(tick):.1f} {top}V{bottom}"/>')
        parts.append(f'<text x="{x(tick):.1f}" y="{bottom + 18}" text-anchor="middle">{says}</text>')
    if plot.y.ratio and y.low <= 1 <= y.high:
        parts.append(f'<path class="dense" d="M{left} {y(1):.1f}H{right}"/>')
    parts.append(frame.axis(left if frame is WIDE else 0, top - 19, _title(plot.y)))
    parts.append(frame.axis(right, frame.height - 10, _title(plot.x), "end"))
    best = plot.front
    if best:
        steps = [f"M{x(best[0].x):.1f} {y(best[0].y.median):.1f}"]
        steps += [f"H{x(dot.x):.1f}V{y(dot.y.median):.1f}" for dot in best[1:]]
        parts.append(f'<path class="front" d="{"".join(steps)}"/>')
    places = [(x(dot.x), y(dot.y.median)) for dot in plot.dots]
    pairs = list(zip(plot.dots, places, strict=True))
    for dot, (across, down) in sorted(pairs, key=lambda pair: (pair[0].on_front, pair[0].row.role != "sweep")):
        spread = ""
        if dot.y.high > dot.y.low and down > top + 12:
            ends = (min(max(y(value), top), bottom) - down for value in (dot.y.high, dot.y.low))
            spread = '<path class="spread" d="M0 {:.1f}V{:.1f}"/>'.format(*ends)
        parts.append(_mark(dot, across, down, plot, y.outside(dot.y.median), spread))
    if frame is WIDE:  # where there is less room, the list under the plot names them
        parts += _labels([(dot, place) for dot, place in pairs if dot.on_front], places)
    return "".join([*parts, "</svg>"])


def _strip(plot: Plot, title: str, frame: Frame) -> str:
    """One line for each method, quality from left to right; methods by their best run."""
    lines: dict[str, list[Dot]] = {}
    for dot in plot.dots:
        lines.setdefault(dot.name.partition(",")[0], []).append(dot)
    sign = -1 if plot.y.better == "higher" else 1
    ordered = sorted(lines.items(), key=lambda line: (min(sign * dot.y.median for dot in line[1]), line[0]))
    left, top, right = frame.right, TOP // 3, frame.width - frame.right
    height = top + LINE * len(ordered) + frame.bottom
    bottom = height - frame.bottom
    y = _Scale([dot.y.median for dot in plot.dots], plot.y, left + 14, right - 14, plot.limit)
    parts = [_opened(frame, height, title, (left, top, right, bottom))]
    for tick, says in _told(y.ticks(52, across=True)):
        parts.append(f'<path class="grid" d="M{y(tick):.1f} {top}V{bottom}"/>')
        parts.append(f'<text x="{y(tick):.1f}" y="{bottom + 18}" text-anchor="middle">{says}</text>')
    for index, (name, dots) in enumerate(ordered):
        middle = top + LINE * (index + 0.68)
        parts.append(f'<path class="grid" d="M{left} {middle:.1f}H{right}"/>')
        families = " ".join(dict.fromkeys(family for dot in dots for family in dot.families))
        chosen = f' data-families="{families}"' if families else ""
        parts.append(f'<text class="method"{chosen} x="{left}" y="{middle - 11:.1f}">{escape(name)}</text>')
        for dot in sorted(dots, key=lambda dot: dot.row.role != "sweep"):
            parts.append(_mark(dot, y(dot.y.median), middle, plot, y.outside(dot.y.median), ""))
    parts.append(frame.axis(right, height - 10, _title(plot.y), "end"))
    return "".join([*parts, "</svg>"])


def _told(ticks: list[float]) -> list[tuple[float, str]]:
    """Each tick with its words; where one is grouped in threes, 10,000, all are: 2,000."""
    grouped = any(tick >= 10000 for tick in ticks)
    return [(tick, f"{tick:,.0f}" if grouped and tick >= 1000 else number(tick)) for tick in ticks]


def _opened(frame: Frame, height: float, title: str, area: tuple[float, float, float, float]) -> str:
    reach = " ".join(str(edge) for edge in area)
    return frame.opened(height, title, f' data-area="{reach}"', "zoo-scatter")


def opened(height: int, title: str, kind: str) -> str:
    """The beginning of a drawing of this width. `kind`: its class in the style sheet."""
    return f'<svg class="zoo-plot {kind}" viewBox="0 0 {WIDTH} {height}" role="img" aria-label="{escape(title)}">'


def _title(axis: Axis) -> str:
    better = "" if axis.better == "neither" else f", {axis.better} is better"
    return axis.label + (better if axis.ratio or axis.better == "higher" else "") + (
        ", logarithmic" if axis.logarithmic else "")


def _mark(dot: Dot, left: float, top: float, plot: Plot, outside: bool, spread: str) -> str:
    """A dot with its note; one past the edge gets an arrow."""
    kinds = ["dot", dot.row.role] + (["front-dot"] if dot.on_front else []) + (["stale"] if dot.stale else [])
    family = f' data-family="{dot.family}"' if dot.family else ""
    chosen = f' data-families="{" ".join(dot.families)}"' if dot.families else ""
    note = f"{dot.name}\n{plot.y.label}: {number(dot.y.median)}"
    if dot.y.high > dot.y.low:
        note += f" ({number(dot.y.low)} to {number(dot.y.high)} over the seeds)"
    note += f"\n{plot.x.label}: {number(dot.x)}"
    if dot.row.options:
        note += "\n" + ", ".join(f"{key}={value}" for key, value in dot.row.options.items())
    if dot.stale:
        note += "\nstale: the code has changed since"
    arrow = ""
    if outside:
        arrow = f'<path class="beyond" d="{"M9 -3l5 3l-5 3" if plot.strip else "M-3 -9l3 -5l3 5"}"/>'
    path = SHAPES.get(dot.family or "", OTHER) if dot.row.role != "dense" else OTHER
    return (f'<g class="{" ".join(kinds)}"{family}{chosen} transform="translate({left:.1f} {top:.1f})">{spread}'
            f'<path class="shape" d="{path}"/>{arrow}<title>{titled(note)}</title></g>')


def _labels(named: list[tuple[Dot, tuple[float, float]]], places: Iterable[tuple[float, float]]) -> list[str]:
    """Names beside the dots of the front, where no dot is in the way; the list beside the plot has them all."""
    marks = _Boxes((left - 6, top - 6, left + 6, top + 6) for left, top in places)
    texts = _Boxes(())
    parts = []
    for dot, (left, top) in named:
        wide = GLYPH * len(dot.name)
        spots = [(left + 9, top - 7, "start"), (left + 9, top + 16, "start"), (left - 9, top + 16, "end"),
                 (left - 9, top - 7, "end"), (left + 10, top + 4, "start"), (left - 10, top + 4, "end")]  # fmt: skip
        spot = next((spot for spot in spots if _free(_box(spot, wide), texts, marks)), None)
        if spot is not None:
            texts.add(_box(spot, wide))
            families = f' data-families="{" ".join(dot.families)}"' if dot.families else ""
            parts.append(f'<text class="name"{families} x="{spot[0]:.1f}" y="{spot[1]:.1f}" '
                         f'text-anchor="{spot[2]}">{escape(dot.name)}</text>')
    return parts


def _box(spot: tuple[float, float, str], wide: float) -> Box:
    left = spot[0] if spot[2] == "start" else spot[0] - wide
    return left, spot[1] - 10, left + wide, spot[1] + 3


def _free(box: Box, *others: _Boxes) -> bool:
    inside = box[0] >= LEFT and box[2] <= WIDTH - 4 and box[1] >= TOP - 8 and box[3] <= HEIGHT - BOTTOM
    return inside and not any(there.meets(box) for there in others)


class _Boxes:
    """Boxes by the squares of the drawing that they reach into, so that thousands can be asked for a place."""

    SIDE = 24.0

    def __init__(self, boxes: Iterable[Box]):
        self._squares: dict[tuple[int, int], set[Box]] = {}
        for box in boxes:
            self.add(box)

    def add(self, box: Box) -> None:
        for square in self._reached(box):
            self._squares.setdefault(square, set()).add(box)

    def meets(self, box: Box) -> bool:
        return any(
            box[0] < other[2] and other[0] < box[2] and box[1] < other[3] and other[1] < box[3]
            for square in self._reached(box) for other in self._squares.get(square, ())
        )

    def _reached(self, box: Box) -> Iterable[tuple[int, int]]:
        left, top, right, bottom = (int(edge // self.SIDE) for edge in box)
        return ((across, down) for across in range(left, right + 1) for down in range(top, bottom + 1))


class _Scale:
    """Values to places between `start` and `end`, with a little room at both ends."""

    def __init__(self, values: list[float], axis: Axis, start: float, end: float, most: float = math.inf):
        self.axis, self.start, self.end = axis, start, end
        near = [min(value, most) for value in values] if axis.ratio else values
        self.turn: Callable[[float], float] = math.log if axis.logarithmic else float
        self.low, self.high = min(near), max(near)
        if axis.ratio and self.low < 2 and self.high > 0.5:  # the uncompressed model, where it is not far away
            self.low, self.high = min(self.low, 1.0), max(self.high, 1.0)
        if axis.logarithmic and self.high < 1.1 * self.low:  # or a hair's breadth would fill the plot
            self.low, self.high = self.low / 1.05, self.high * 1.05
        elif self.high <= self.low:
            self.low, self.high = self.low - 0.5, self.high + 0.5

    def __call__(self, value: float) -> float:
        low, high = self.turn(self.low), self.turn(self.high)
        share = (self.turn(min(value, self.high)) - low) / (high - low)
        return self.start + share * (self.end - self.start)

    def outside(self, value: float) -> bool:
        return value > self.high

    def ticks(self, apart: float, across: bool = False) -> list[float]:
        """Round values inside, at least `apart` units from each other; powers of ten, 2 and 5 before the others.

        Numbers that stand side by side (`across`) have room for their digits too.
        """
        def room(one: float, other: float) -> float:
            return max(apart, GLYPH * (len(number(one)) + len(number(other)) + 3) / 2 + 8) if across else apart

        even = self._even()
        if not self.axis.logarithmic:
            return even
        known = BIT_TICKS if self.axis.key == "bits_per_weight" else TICKS
        inside = [tick for tick in known if self.low * 0.999 <= tick <= self.high * 1.001]
        kept: list[float] = []
        for tick in sorted(inside, key=lambda tick: (_roughness(tick), tick)):
            if all(abs(self(tick) - self(other)) >= room(tick, other) for other in kept):
                kept.append(tick)
        return sorted(kept) if len(kept) > 2 else even

    def _even(self) -> list[float]:
        """Round values at equal steps."""
        rough = (self.high - self.low) / 6
        power = 10 ** math.floor(math.log10(rough))
        step = next(power * factor for factor in STEPS if power * factor >= rough * 0.999)
        first = math.ceil(self.low / step - 1e-9)
        return [round(i * step, 10) for i in range(first, math.floor(self.high / step + 1e-9) + 1)]


def _roughness(tick: float) -> int:
    """0 for powers of ten, 1 for 2 and 5 times them and powers of two, 2 for the rest."""
    lead = tick / 10 ** math.floor(math.log10(tick) + 1e-9)
    if abs(lead - 1) < 1e-6:
        return 0
    return 1 if min(abs(lead - 2), abs(lead - 5)) < 1e-6 or math.log2(tick).is_integer() else 2
