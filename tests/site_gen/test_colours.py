"""Colours of families and of the graph: seen on both grounds, and told apart by readers who do not see all colours."""

from __future__ import annotations

import re
from itertools import combinations

import pytest

from site_gen.frontend_build import FRONTEND

STYLES = (FRONTEND / "src/styles/colours.css").read_text(encoding="utf-8")
SCHEMES = dict(zip(("light", "dark"), re.split(r'\[data-md-color-scheme="slate"\] \{', STYLES)[:2], strict=True))

# Machado, Oliveira, Fernandes 2009: full loss of one kind of cone, on linear RGB.
SIGHT = {
    "usual": ((1, 0, 0), (0, 1, 0), (0, 0, 1)),
    "protanopia": ((0.152286, 1.052583, -0.204868), (0.114503, 0.786281, 0.099216), (-0.003882, -0.048116, 1.051998)),
    "deuteranopia": ((0.367322, 0.860646, -0.227968), (0.280085, 0.672501, 0.047413), (-0.01182, 0.04294, 0.968881)),
}
LEAST = 0.06  # distance in OKLab; a just noticeable difference is about 0.02


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


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("sight", SIGHT)
def test_families_stay_apart(scheme, sight):
    seen = {family: oklab(colour(scheme, f"zoo-family-{family}"), sight) for family in FAMILIES}
    for one, other in combinations(FAMILIES, 2):
        distance = sum((a - b) ** 2 for a, b in zip(seen[one], seen[other], strict=True)) ** 0.5
        assert distance >= LEAST, (one, other, round(distance, 3))


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
@pytest.mark.parametrize("sight", SIGHT)
def test_current_citing_and_cited_works_stay_apart(scheme, sight):
    """They also differ in shape and place; still nobody should need to look twice."""
    assert apart(scheme, sight, ["zoo-graph-selected", "zoo-graph-citing", "zoo-graph-cited"]) >= 2.5 * LEAST


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("sight", SIGHT)
def test_years_stay_apart_and_run_from_one_lightness_to_the_other(scheme, sight):
    shades = [f"zoo-graph-year-{shade}" for shade in range(7)]
    assert apart(scheme, sight, shades) >= LEAST
    lightness = [oklab(colour(scheme, shade), sight)[0] for shade in shades]
    assert lightness in (sorted(lightness), sorted(lightness, reverse=True))
