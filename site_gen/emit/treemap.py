"""The taxonomy as a picture, static SVG: all families with their groups, and one family with every method in it.

Places across are shares of the width and places down are pixels, so that text keeps its size on every screen. There
are two drawings of each picture, for narrow and for wide boxes; the style sheet shows one. All families are a treemap
in strips, which keep the order of the taxonomy ("Ordered and quantum treemaps", Bederson, Shneiderman and Wattenberg,
2002, Section 4); inside a family, and everywhere on a narrow screen, cells stand on shelves: each at least as wide as
its name. So a label is drawn whole or not at all; those that need more than the least width have the class `from-N`
and show from N pixels on. Every name stands in the tree beside the picture, and in the note of its cell.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from html import escape

from markupsafe import Markup

from site_gen.emit import labels
from site_gen.enrich.territory import Ground, Land, Method

MOST = 150  # methods of a family that have a cell of their own in its picture
HEAD, SUBHEAD = 24, 20  # room of the names of families and of groups
LINE = 14
FOOT = 12  # what a cell is higher than its lines
SIZE, SMALL = 12.5, 11.5  # pixels of the text; the style sheet says the same
PAD = 5
GAP = 7  # between the groups of a family's picture
LEAST_SHARE = 0.018  # of the treemap, that a family gets at least
NONE = "none"  # stands for "no family yet" where an id is needed
NO_FAMILY, NO_GROUP = "No family yet", "No group yet"


@dataclass(frozen=True)
class Form:
    """One of the two drawings. Labels show from one of the widths `tiers` on; the first is the least of the drawing.

    `width` is the one for which cells are arranged; `side` the room of a group's name beside its methods, or 0.
    """

    name: str
    tiers: tuple[int, ...]
    width: int
    side: int


NARROW = Form("narrow", (300, 400, 500), 300, 0)
WIDE = Form("wide", (640, 820, 1000), 640, 160)
FORMS = (NARROW, WIDE)
OVERVIEW = Form("wide", WIDE.tiers, 820, 0)


@dataclass(frozen=True)
class Box:
    """A rectangle, in pixels of a drawing at its own width."""

    x: float
    y: float
    w: float
    h: float


# --- arrangements ----------------------------------------------------------------------------------------------------


def strips(weights: Sequence[float], box: Box, aspect: float) -> list[Box]:
    """Rectangles that fill the box in the order of the weights, row by row, with areas as the weights.

    A row takes further rectangles while that brings its mean shape nearer to `aspect` (width over height). Linear in
    the number of weights times the length of a row.
    """
    scale = box.w * box.h / sum(weights)
    areas = [weight * scale for weight in weights]

    def faults(row: Sequence[float]) -> float:
        high = sum(row) / box.w
        shapes = [area / high / high / aspect for area in row]
        return sum(max(shape, 1 / shape) for shape in shapes) / len(row)

    rows: list[list[float]] = []
    row: list[float] = []
    for area in areas:
        if row and faults([*row, area]) > faults(row):
            rows.append(row)
            row = []
        row = [*row, area]
    rows.append(row)
    # A thin last row reads badly: it joins the row before where that is better for both.
    if len(rows) > 1 and faults(rows[-2] + rows[-1]) < max(faults(rows[-2]), faults(rows[-1])):
        rows[-2:] = [rows[-2] + rows[-1]]
    found, y = [], box.y
    for row in rows:
        high, x = sum(row) / box.w, box.x
        for area in row:
            found.append(Box(x, y, area / high, high))
            x += area / high
        y += high
    return found


def shelves(needs: Sequence[float], room: float) -> list[list[int]]:
    """Places in `needs` by shelf: each shelf takes, in order, as many as it has room for, and one at least."""
    rows: list[list[int]] = []
    free = 0.0
    for place, need in enumerate(needs):
        if not rows or need > free:
            rows.append([])
            free = room
        rows[-1].append(place)
        free -= need
    return rows


def _filled(row: Sequence[int], needs: Sequence[float], weights: Sequence[float], room: float) -> list[float]:
    """The widths of a shelf's cells: what each needs, and of what is left its share by weight."""
    taken = [min(needs[place], room / len(row)) for place in row] if len(row) == 1 else [needs[place] for place in row]
    whole = sum(weights[place] for place in row)
    return [need + (room - sum(taken)) * weights[place] / whole for place, need in zip(row, taken, strict=True)]


# --- all families ----------------------------------------------------------------------------------------------------


def overview(lands: Sequence[Land], entries_only: bool, title: str) -> Markup:
    """All families and groups; each family is a link to its own picture, #map-<family>.

    The filled part of a cell is the share of its methods that have an entry. The area of a family is the mean of two
    shares: of all known methods (with `entries_only`, of all entries), and of all groups, since an empty group has to
    be seen too. On a narrow screen cells are as wide as their names need.
    """
    shown = [land for land in lands if land.id or not entries_only]
    return Markup(_stacked(shown, entries_only, title) + _treemap(shown, entries_only, title)) if shown else Markup("")


def _counts(land: Land, entries_only: bool) -> list[int]:
    return [ground.entries if entries_only else len(ground.methods) for ground in land.grounds]


def _treemap(lands: Sequence[Land], entries_only: bool, title: str) -> str:
    form = OVERVIEW
    counts = [_counts(land, entries_only) for land in lands]
    cells, whole = sum(map(len, counts)), max(1, sum(map(sum, counts)))
    height = round(min(max(cells * 7600 / form.width, 160), 900))
    weights = [max((sum(count) / whole + len(count) / max(1, cells)) / 2, LEAST_SHARE) for count in counts]
    parts = [_opened(form, height, title)]
    for land, count, box in zip(lands, counts, strips(weights, Box(0, 0, form.width, height), 1.3), strict=True):
        inside = Box(box.x, box.y + HEAD, box.w, max(1.0, box.h - HEAD))
        parts.append(_land(land, box, _shelved(land, count, inside), form, entries_only))
    return "".join([*parts, "</svg>"])


def _shelved(land: Land, counts: Sequence[int], box: Box) -> list[Box]:
    """The groups of a family on shelves that fill the box, and what is in no group yet on one of its own at the end."""
    least = 0.5 * max(1, sum(counts)) / max(1, len(counts))
    weights = [max(count, least) for count in counts]
    needs = [min(_need(ground.name or NO_GROUP), box.w) for ground in land.grounds]
    loose = len(land.grounds) > 1 and not land.grounds[-1].id
    tight, rows = needs, shelves(needs[: len(needs) - loose], box.w)
    most = max(1, int(box.h / (LINE + 6)) - loose)
    while len(rows) > most:  # rather fewer names than shelves too low for any
        tight = [need * 0.8 for need in tight]
        rows = shelves(tight[: len(tight) - loose], box.w)
    rows += [[len(needs) - 1]] if loose else []
    highs = [sum(weights[place] for place in row) for row in rows]
    floor = min(2 * LINE + 7, box.h / len(rows))  # each shelf has room for two lines where the box has
    spare = box.h - floor * len(rows)
    found, y = [], box.y
    for row, weight in zip(rows, highs, strict=True):
        high = floor + spare * weight / sum(highs)
        x = box.x
        for wide in _filled(row, tight, weights, box.w):
            found.append(Box(x, y, wide, high))
            x += wide
        y += high
    return found


def _stacked(lands: Sequence[Land], entries_only: bool, title: str) -> str:
    """The same below each other, where there is no room for a treemap with names."""
    form = NARROW
    parts, y = [], 0.0
    for land in lands:
        counts = _counts(land, entries_only)
        needs = [min(_need(ground.name or NO_GROUP), form.width) for ground in land.grounds]
        weights = [count + 1.0 for count in counts]
        boxes, top = [], y + HEAD
        for row in shelves(needs, form.width):
            wides = _filled(row, needs, weights, form.width)
            names = [land.grounds[place].name or NO_GROUP for place in row]
            lines = 1 + max(len(_broken(name, wide - 2 * PAD)) for name, wide in zip(names, wides, strict=True))
            x = 0.0
            for wide in wides:
                boxes.append(Box(x, top, wide, lines * LINE + FOOT - 3))
                x += wide
            top += lines * LINE + FOOT - 3
        parts.append(_land(land, Box(0, y, form.width, top - y), boxes, form, entries_only))
        y = top + GAP
    return "".join([_opened(form, y, title), *parts, "</svg>"])


def _land(land: Land, box: Box, cells: Sequence[Box], form: Form, entries_only: bool) -> str:
    """A family: one link with its name, and the groups in a second one for the pointer alone, since a link is called
    what is seen in it."""
    name = land.name or NO_FAMILY
    address = f'href="#map-{escape(land.id or NONE)}"'
    data = f' data-family="{escape(land.id)}"' if land.id else ""
    head = Box(box.x, box.y, box.w, min(HEAD, box.h))
    count = f"{land.entries}" if entries_only else f"{land.entries} of {land.known}"
    label = _label([name], head, form, "head", after=f" {count}") or _label([name], head, form, "head")
    says = f"{name}, {count} {'entry' if land.entries == 1 else 'entries'}" if entries_only else (
        f"{name}, {_share_says(count)}")
    parts = [f'<g class="land"{data}><a {address} data-zoom="{escape(land.id or NONE)}" aria-label="{escape(says)}">'
             f"<title>{escape(f'{name}: {land_says(land)}')}</title>{_rect(box, form, 'ground')}{label}</a>"
             f'<a {address} tabindex="-1" aria-hidden="true">']
    parts += [_group(ground, cell, form) for ground, cell in zip(land.grounds, cells, strict=True)]
    return "".join([*parts, "</a></g>"])


def _group(ground: Ground, box: Box, form: Form) -> str:
    name = ground.name or NO_GROUP
    share = ground.entries / len(ground.methods) if ground.methods else 0
    covered = _rect(Box(box.x, box.y, box.w * share, box.h), form, "covered") if share else ""
    count = f"{ground.entries} of {len(ground.methods)}" if ground.methods else "none known"
    lines = (_label([name, count], box, form, "name") or _label([name], box, form, "name", after=f" {count}")
             or _label([name], box, form, "name"))
    return (f'<g class="{"group" if ground.methods else "group empty"}">'
            f"<title>{escape(f'{name}: {ground_says(ground)}')}</title>{_rect(box, form, 'cell')}{covered}{lines}</g>")


# --- one family ------------------------------------------------------------------------------------------------------


def family(
    land: Land, entries_only: bool, title: str, group_address: str, address: Callable[[Method], str]
) -> Markup:
    """Every method of a family in its group, or only those with an entry. `group_address` leads to the family's page;
    its groups are parts of that.

    Where there are more than MOST, each group shows its share of them and a cell that leads to the rest.
    """
    return Markup("").join(Markup(_one(land, entries_only, title, group_address, address, form)) for form in FORMS)


def _one(
    land: Land, entries_only: bool, title: str, group_address: str, address: Callable[[Method], str], form: Form
) -> str:
    parts: list[str] = []
    y = 0.0
    for ground in land.grounds:
        link = f"{group_address}#{ground.id}" if ground.id and group_address else group_address
        text, high = _ground(ground, land, entries_only, y, link, address, form)
        parts.append(text)
        y += high + GAP
    data = f' data-family="{escape(land.id)}"' if land.id else ""
    return "".join([_opened(form, y, title), f"<g{data}>", *parts, "</g></svg>"])


def _ground(
    ground: Ground, land: Land, entries_only: bool, y: float, link: str, address: Callable[[Method], str], form: Form
) -> tuple[str, float]:
    """A group with its methods, from `y` on, and how high it is."""
    name = ground.name or (NO_GROUP if land.id else NO_FAMILY)
    methods, rest = shown_methods(ground, land, entries_only)
    count = f"{ground.entries} of {len(ground.methods)}" if ground.methods else "none known"
    names = [method.name for method in methods] + ([f"and {rest} more"] if rest else [])
    left = form.side
    room = form.width - left
    needs = [min(_need(text), room) for text in names]
    rows = shelves(needs, room)
    if left:
        lines = [(line, False) for line in _broken(name, left - 2 * PAD)] + [(count, True)]
        least = (FOOT + LINE * len(lines)) / max(1, len(rows))
    else:
        least = 0.0
    cells: list[Box] = []
    top = y + (0 if left else SUBHEAD)
    for row in rows:
        wides = _filled(row, needs, needs, room)
        breaks = [len(_broken(names[place], wide - 2 * PAD)) for place, wide in zip(row, wides, strict=True)]
        high = max(least, FOOT + LINE * max(breaks))
        x: float = left
        for wide in wides:
            cells.append(Box(x, top, wide, high))
            x += wide
        top += high
    if left:
        head = Box(0, y, left, max(top - y, least))
        label = _text(lines, head, form, "name", "")
    else:
        head = Box(0, y, form.width, SUBHEAD)
        label = (_label([name], head, form, "head", after=f" {count}")
                 or _text([(labels.cut(name, form.width - 2 * PAD, SIZE), False)], head, form, "head", ""))
    inside = f"<title>{escape(f'{name}: {ground_says(ground)}')}</title>{_rect(head, form, 'bar')}{label}"
    kind = "group" if ground.methods else "group empty"
    says = f"{name}, {_share_says(count) if ground.methods else count}"
    parts = [f'<a class="{kind}" href="{escape(link)}" aria-label="{escape(says)}">{inside}</a>' if link
             else f'<g class="{kind}">{inside}</g>']
    for place, cell in enumerate(cells):
        parts.append(_method(methods[place], cell, form, address) if place < len(methods)
                     else _rest(rest, name, link, cell, form))
    return "".join(parts), max(top, head.y + head.h) - y


def shown_methods(
    ground: Ground, land: Land, entries_only: bool, most: int = MOST
) -> tuple[list[Method], int]:
    """The methods of a group that have a place of their own, the most cited entries where there are too many in the
    family, and how many have none. Of one too many that one is shown, since "and 1 more" takes the same room."""
    methods = [method for method in ground.methods if method.entry or not entries_only]
    whole = land.entries if entries_only else land.known
    share = max(1, most * len(methods) // max(1, whole))
    if whole <= most or len(methods) <= share + 1:
        return methods, 0
    kept = sorted(methods, key=lambda one: (not one.entry, -one.cited, one.name.casefold(), one.id))[:share]
    chosen = {(method.entry, method.id) for method in kept}
    return [one for one in methods if (one.entry, one.id) in chosen], len(methods) - share


def _method(method: Method, box: Box, form: Form, address: Callable[[Method], str]) -> str:
    says = f"{method.name}, {method.year}" + ("" if method.entry else ", no entry yet")
    lines = [(line, False) for line in _broken(method.name, box.w - 2 * PAD)]
    return (f'<a class="{"entry" if method.entry else "missing"}" href="{escape(address(method))}" '
            f'aria-label="{escape(says)}"><title>{escape(says)}</title>{_rect(box, form, "cell")}'
            f"{_text(lines, box, form, 'name', '')}</a>")


def _rest(rest: int, group: str, link: str, box: Box, form: Form) -> str:
    says = f"And {rest} more in {group}"
    inside = (f"<title>{escape(says)}</title>{_rect(box, form, 'cell')}"
              f"{_text([(f'and {rest} more', False)], box, form, 'name', '')}")
    return (f'<a class="rest" href="{escape(link)}" aria-label="{escape(says)}">{inside}</a>' if link
            else f'<g class="rest">{inside}</g>')


# --- words -----------------------------------------------------------------------------------------------------------


def land_says(land: Land) -> str:
    """21 entries, 57 known methods without one."""
    without = land.known - land.entries
    return f"{entries_say(land.entries)}, {without} known method{'' if without == 1 else 's'} without one"


def ground_says(ground: Ground) -> str:
    without = len(ground.methods) - ground.entries
    if not ground.methods:
        return "no entry, and no method known that belongs here"
    return entries_say(ground.entries) + (f", {without} known without one" if without else ", all that are known")


def _share_says(share: str) -> str:
    """What a link is called that shows "21 of 79": the same words, and what they mean."""
    return f"{share} known methods have an entry"


def entries_say(count: int) -> str:
    return f"{count or 'no'} {'entry' if count == 1 else 'entries'}"


# --- pieces of SVG ---------------------------------------------------------------------------------------------------


def _opened(form: Form, height: float, title: str) -> str:
    return (f'<svg class="zoo-treemap zoo-treemap--{form.name}" width="100%" height="{height:.0f}" role="group" '
            f'aria-label="{escape(title)}">')


def _rect(box: Box, form: Form, kind: str) -> str:
    return (f'<rect class="{kind}" x="{_share(box.x, form)}" y="{box.y:.1f}" width="{_share(box.w, form)}" '
            f'height="{box.h:.1f}"/>')


def _share(across: float, form: Form) -> str:
    return f"{100 * across / form.width:.2f}%"


def _need(text: str) -> float:
    return labels.width(text, SIZE) + 2 * PAD + 1


def _broken(text: str, room: float) -> list[str]:
    """The text in as many lines as it takes, up to four; cut where even that is too little."""
    return labels.wrapped(text, room + 0.5, SIZE, 4) or [labels.cut(text, room, SIZE)]


def _label(paragraphs: Sequence[str], box: Box, form: Form, kind: str, after: str = "") -> str:
    """Lines of text in the upper left corner of a box, whole, from the least of the form's widths at which they fit.

    The first paragraph is the name, others are set smaller. Empty where nothing fits, also at the greatest width.
    """
    most = int((box.h - 6) // LINE) if kind != "head" else 1
    for tier in form.tiers:
        room = box.w / form.width * tier - 2 * PAD - labels.width(after, SMALL) + 0.5
        lines: list[tuple[str, bool]] = []
        for number, text in enumerate(paragraphs):
            broken = labels.wrapped(text, room, SMALL if number else SIZE, most - len(lines))
            if broken is None:
                break
            lines += [(line, number > 0) for line in broken]
        else:
            return _text(lines, box, form, kind, after, tier)
    return ""


def _text(lines: Sequence[tuple[str, bool]], box: Box, form: Form, kind: str, after: str, tier: int = 0) -> str:
    x = _share(box.x, form)
    foot = box.y + (box.h / 2 + 4.5 if kind == "head" else LINE + 2)
    later = f" from-{tier}" if tier > form.tiers[0] else ""
    rows = []
    for number, (line, small) in enumerate(lines):
        down = f' dy="{LINE}"' if number else ""
        style = ' class="count"' if small else ""
        rows.append(f'<tspan x="{x}" dx="{PAD}"{down}{style}>{escape(line)}</tspan>')
    if after:
        rows.append(f'<tspan class="count">{escape(after)}</tspan>')
    return f'<text class="{kind}{later}" y="{foot:.1f}">{" ".join(rows)}</text>'
