"""Colours of families and of the graph: seen on both grounds, and told apart by readers who do not see all colours."""

from __future__ import annotations

import re
from itertools import combinations
from math import atan2, cos, degrees, exp, hypot, radians, sin, sqrt

import pytest

from site_gen.frontend_build import FRONTEND

STYLES = (FRONTEND / "src/styles/colours.css").read_text(encoding="utf-8")
SCHEMES = dict(zip(("light", "dark"), re.split(r'\[data-md-color-scheme="slate"\] \{', STYLES)[:2], strict=True))

# Machado, Oliveira, Fernandes 2009: full loss of one kind of cone, on linear RGB.
SIGHT = {
    "usual": ((1, 0, 0), (0, 1, 0), (0, 0, 1)),
    "protanopia": ((0.152286, 1.052583, -0.204868), (0.114503, 0.786281, 0.099216), (-0.003882, -0.048116, 1.051998)),
    "deuteranopia": ((0.367322, 0.860646, -0.227968), (0.280085, 0.672501, 0.047413), (-0.01182, 0.04294, 0.968881)),
    "tritanopia": ((1.255528, -0.076749, -0.178779), (-0.078411, 0.930809, 0.147602), (0.004733, 0.691367, 0.3039)),
}
RED_GREEN = [sight for sight in SIGHT if sight != "tritanopia"]
LEAST = 0.06  # distance in OKLab; a just noticeable difference is about 0.02
LEAST_FAMILIES = 13  # CIEDE2000; a just noticeable difference is about 1


def colour(scheme: str, name: str) -> list[float]:
    """Linear RGB of a custom property."""
    code = re.search(rf"--{name}: #([0-9a-f]{{6}});", SCHEMES[scheme])[1]
    parts = [int(code[i : i + 2], 16) / 255 for i in (0, 2, 4)]
    return [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]


def contrast(one: list[float], other: list[float]) -> float:
    light = sorted(0.2126 * c[0] + 0.7152 * c[1] + 0.0722 * c[2] for c in (one, other))
    return (light[1] + 0.05) / (light[0] + 0.05)


def oklab(rgb: list[float], sight: str) -> list[float]:
    r, g, b = (max(0.0, sum(w * c for w, c in zip(row, rgb, strict=True))) for row in SIGHT[sight])
    cones = ((0.4122214708, 0.5363325363, 0.0514459929), (0.2119034982, 0.6806995451, 0.1073969566),
             (0.0883024619, 0.2817188376, 0.6299787005))
    x, y, z = (max(0.0, sum(w * c for w, c in zip(row, (r, g, b), strict=True))) ** (1 / 3) for row in cones)
    return [0.2104542553 * x + 0.793617785 * y - 0.0040720468 * z,
            1.9779984951 * x - 2.428592205 * y + 0.4505937099 * z,
            0.0259040371 * x + 0.7827717662 * y - 0.808675766 * z]


FAMILIES = re.findall(r"--zoo-family-([a-z-]+):", SCHEMES["light"])


def test_ten_families_have_a_colour_in_both_schemes():
    assert len(FAMILIES) == 10
    assert FAMILIES == re.findall(r"--zoo-family-([a-z-]+): #", SCHEMES["dark"])


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("family", FAMILIES)
def test_drawings_stand_out_from_their_ground(scheme, family):
    for ground in ("zoo-ground", "zoo-raised"):
        assert contrast(colour(scheme, f"zoo-family-{family}"), colour(scheme, ground)) >= 3


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("ink", ["zoo-ink", "zoo-ink-2", "zoo-link", "zoo-yes", "zoo-warn"])
def test_text_can_be_read(scheme, ink):
    for ground in ("zoo-ground", "zoo-raised", "zoo-paper"):
        assert contrast(colour(scheme, ink), colour(scheme, ground)) >= 4.5


def cielab(rgb: list[float], sight: str) -> tuple[float, float, float]:
    """CIELAB under D65 of a linear RGB, as this sight has it."""
    r, g, b = (min(1.0, max(0.0, sum(w * c for w, c in zip(row, rgb, strict=True)))) for row in SIGHT[sight])
    x = (0.4124564 * r + 0.3575761 * g + 0.1804375 * b) / 0.95047
    y = 0.2126729 * r + 0.7151522 * g + 0.072175 * b
    z = (0.0193339 * r + 0.119192 * g + 0.9503041 * b) / 1.08883
    x, y, z = (t ** (1 / 3) if t > 216 / 24389 else (24389 / 27 * t + 16) / 116 for t in (x, y, z))
    return 116 * y - 16, 500 * (x - y), 200 * (y - z)


def ciede2000(one: tuple[float, float, float], other: tuple[float, float, float]) -> float:
    """Distance of two CIELAB colours; Sharma, Wu, Dalal 2005."""
    (l1, a1, b1), (l2, a2, b2) = one, other
    mean = (hypot(a1, b1) + hypot(a2, b2)) / 2
    stretch = 1.5 - 0.5 * sqrt(mean**7 / (mean**7 + 25**7))
    a1, a2 = a1 * stretch, a2 * stretch
    c1, c2 = hypot(a1, b1), hypot(a2, b2)
    h1, h2 = degrees(atan2(b1, a1)) % 360, degrees(atan2(b2, a2)) % 360
    turn = (h2 - h1 + 180) % 360 - 180 if c1 * c2 else 0.0
    hue = (h1 + h2 + (360 if abs(h1 - h2) > 180 else 0)) / 2 % 360 if c1 * c2 else h1 + h2
    light, chroma = (l1 + l2) / 2, (c1 + c2) / 2
    t = (1 - 0.17 * cos(radians(hue - 30)) + 0.24 * cos(radians(2 * hue))
         + 0.32 * cos(radians(3 * hue + 6)) - 0.2 * cos(radians(4 * hue - 63)))
    dl = (l2 - l1) / (1 + 0.015 * (light - 50) ** 2 / sqrt(20 + (light - 50) ** 2))
    dc = (c2 - c1) / (1 + 0.045 * chroma)
    dh = 2 * sqrt(c1 * c2) * sin(radians(turn / 2)) / (1 + 0.015 * chroma * t)
    tie = -2 * sqrt(chroma**7 / (chroma**7 + 25**7)) * sin(radians(60 * exp(-(((hue - 275) / 25) ** 2))))
    return sqrt(dl**2 + dc**2 + dh**2 + tie * dc * dh)


@pytest.mark.parametrize(("one", "other", "distance"), [
    ((50, 2.6772, -79.7751), (50, 0, -82.7485), 2.0425),
    ((50, -1, 2), (50, 0, 0), 2.3669),
    ((50, 2.5, 0), (58, 24, 15), 19.4535),
    ((22.7233, 20.0904, -46.694), (23.0331, 14.973, -42.5619), 2.0373),
])  # fmt: skip
def test_distance_is_that_of_the_published_examples(one, other, distance):
    """Of the table of test data that comes with the paper."""
    assert ciede2000(one, other) == pytest.approx(distance, abs=1e-4)


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("sight", SIGHT)
def test_families_stay_apart(scheme, sight):
    """And from the grey of what has no family."""
    names = [*(f"zoo-family-{family}" for family in FAMILIES), "zoo-graph-work"]
    seen = {name: cielab(colour(scheme, name), sight) for name in names}
    near = {(one, other): round(ciede2000(seen[one], seen[other]), 1) for one, other in combinations(names, 2)}
    assert {pair: distance for pair, distance in near.items() if distance < LEAST_FAMILIES} == {}


def apart(scheme: str, sight: str, names: list[str]) -> float:
    """The least distance between two of these colours."""
    seen = [oklab(colour(scheme, name), sight) for name in names]
    return min(sum((a - b) ** 2 for a, b in zip(*pair, strict=True)) ** 0.5 for pair in combinations(seen, 2))


@pytest.mark.parametrize("scheme", SCHEMES)
def test_graph_stands_out_from_its_ground(scheme):
    names = re.findall(r"--(zoo-graph-(?:selected|citing|cited|both|implied|path|several|year-\d)): #", SCHEMES[scheme])
    assert len(names) == 14
    assert {name: contrast(colour(scheme, name), colour(scheme, "zoo-graph-background")) >= 3 for name in names} == {
        name: True for name in names}


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("sight", RED_GREEN)
def test_current_citing_and_cited_works_stay_apart(scheme, sight):
    """They also differ in shape and place; still nobody should need to look twice."""
    assert apart(scheme, sight, ["zoo-graph-selected", "zoo-graph-citing", "zoo-graph-cited"]) >= 2.5 * LEAST


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("sight", RED_GREEN)
def test_years_stay_apart_and_run_from_one_lightness_to_the_other(scheme, sight):
    shades = [f"zoo-graph-year-{shade}" for shade in range(7)]
    assert apart(scheme, sight, shades) >= LEAST
    lightness = [oklab(colour(scheme, shade), sight)[0] for shade in shades]
    assert lightness in (sorted(lightness), sorted(lightness, reverse=True))
