"""The marks of the ten families and of the zoo: line drawings in templates/icons, in the colour of the text around."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from markupsafe import Markup

ICONS = Path(__file__).parents[1] / "templates" / "icons"


@cache
def family(name: str) -> Markup:
    """The family's mark; for the eye only, since its name always stands beside it. Empty where it has none."""
    return _inline(name, "zoo-icon") if (ICONS / f"{name}.svg").is_file() else Markup("")


@cache
def symbol(name: str) -> Markup:
    """The family's mark to be drawn many times on one page: <svg><use href="#icon-NAME"/></svg>."""
    svg = str(family(name)).replace('<svg class="zoo-icon" aria-hidden="true" ', f'<symbol id="icon-{name}" ', 1)
    return Markup(svg.replace("</svg>", "</symbol>"))


@cache
def logo() -> Markup:
    """The zoo's mark: squares that shrink."""
    return _inline("zoo", "zoo-logo")


def logo_file(colour: str) -> str:
    """The zoo's mark as a file of its own, in one colour."""
    return (ICONS / "zoo.svg").read_text(encoding="utf-8").replace("currentColor", colour)


def _inline(name: str, kind: str) -> Markup:
    text = (ICONS / f"{name}.svg").read_text(encoding="utf-8")
    return Markup("".join(text.split("\n")).replace("<svg ", f'<svg class="{kind}" aria-hidden="true" ', 1))
