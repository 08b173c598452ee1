"""The maps: where methods lie, lineages as forests, sections against families; the drawings at any size."""

from __future__ import annotations

import random
import re
import shutil
from collections import Counter
from itertools import combinations
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from xml.etree import ElementTree

import pytest

from site_gen.emit import flows as matrix
from site_gen.emit import labels, maps_pages, treemap
from site_gen.emit import lineage as drawing
from site_gen.enrich.flows import Flow, Line
from site_gen.enrich.lineage import CITES, DESCENT, MOST, lineages
from site_gen.enrich.site import enrich
from site_gen.enrich.territory import Ground, Land, Method
from site_gen.frontend_build import FRONTEND
from site_gen.load import load
from tests.site_gen import synthetic
from tests.site_gen.test_colours import FAMILIES, SCHEMES, colour, contrast, oklab

SVG = "{http://www.w3.org/2000/svg}"
NAMES = ["GPTQ", "Outlier Suppression+", "Low-rank plus another format", "W" * 46, "i",
         "Michel et al. 2019 (sixteen heads)", "量化感知训练", synthetic.HOSTILE, "a b c d e f g h"]  # fmt: skip


# --- text ------------------------------------------------------------------------------------------------------------


def test_lines_hold_the_whole_text_and_keep_to_their_room():
    draw = random.Random(1)
    for _ in range(300):
        text = " ".join("".join(draw.choice("abcWm-/i") for _ in range(draw.randrange(1, 9))) for _ in range(4))
        room, most = draw.uniform(20, 200), draw.randrange(0, 5)
        lines = labels.wrapped(text, room, 12, most)
        if lines is None:
            continue
        assert 1 <= len(lines) <= most and all(labels.width(line, 12) <= room for line in lines)
        assert "".join(lines).replace(" ", "") == text.replace(" ", "")


@pytest.mark.parametrize(("text", "room", "most", "wanted"), [
    ("Quantization-aware training", 1000, 1, ["Quantization-aware training"]),
    ("Quantization-aware training", 100, 3, ["Quantization-", "aware training"]),
    ("Quantization-aware training", 100, 1, None),
    ("Quantization", 30, 9, None),
    ("a b", 9, 2, ["a", "b"]),
    ("x", 100, 0, None),
    ("", 100, 2, None),
])  # fmt: skip
def test_lines_break_between_words_and_after_hyphens(text, room, most, wanted):
    assert labels.wrapped(text, room, 12, most) == wanted


def test_what_is_cut_says_so_and_fits():
    for name in NAMES:
        for room in (30, 90, 400):
            found = labels.cut(name, room, 12)
            assert found == name or (found.endswith("…") and labels.width(found, 12) <= room)
            assert (found == name) == (labels.width(name, 12) <= room)


# --- arrangements ----------------------------------------------------------------------------------------------------


def test_strips_fill_the_box_in_order_with_areas_as_the_weights():
    draw = random.Random(2)
    for count in (1, 2, 7, 40, 300):
        weights = [draw.choice([0.1, 1, 3, 50]) for _ in range(count)]
        box = treemap.Box(3, 5, draw.uniform(50, 900), draw.uniform(50, 900))
        found = treemap.strips(weights, box, 2)
        for weight, one in zip(weights, found, strict=True):
            assert one.w * one.h == pytest.approx(weight / sum(weights) * box.w * box.h)
            assert box.x - 1e-6 <= one.x and one.x + one.w <= box.x + box.w + 1e-6
            assert box.y - 1e-6 <= one.y and one.y + one.h <= box.y + box.h + 1e-6
        assert [(one.y, one.x) for one in found] == sorted((one.y, one.x) for one in found)
        assert not any(overlap(one, other) for one, other in combinations(found, 2))


def test_strips_are_near_the_wanted_shape():
    for aspect in (1, 3):
        found = treemap.strips([1] * 60, treemap.Box(0, 0, 600, 400), aspect)
        near = [aspect / 1.6 < one.w / one.h < aspect * 1.6 for one in found]
        assert sum(near) >= 50  # all but those of the last row, which takes what is left


def test_shelves_take_what_fits_in_order():
    draw = random.Random(3)
    needs = [draw.uniform(10, 130) for _ in range(200)]
    rows = treemap.shelves(needs, 100)
    assert [place for row in rows for place in row] == list(range(200))
    assert all(sum(needs[place] for place in row) <= 100 or len(row) == 1 for row in rows)
    for row, after in zip(rows, rows[1:], strict=False):
        assert sum(needs[place] for place in [*row, after[0]]) > 100  # it would not have fitted
    assert treemap.shelves([], 100) == []


def overlap(one: Any, other: Any, by: float = 0.01) -> bool:
    return (one.x + by < other.x + other.w and other.x + by < one.x + one.w and one.y + by < other.y + other.h
            and other.y + by < one.y + one.h)  # fmt: skip


# --- the taxonomy as a picture ---------------------------------------------------------------------------------------


def territory_of(size: int, families: int = 4, seed: int = 0) -> list[Land]:
    """A made-up taxonomy with so many entries and half as many works without one, spread unevenly."""
    draw = random.Random(seed)
    grounds = [[Ground(f"group{n}", draw.choice(NAMES[:3]), []) for n in range(draw.randrange(1, 9))]
               for _ in range(families)]
    loose = [Ground("", "", []) for _ in range(families)]
    for number in range(size + size // 2):
        family = min(draw.randrange(families), draw.randrange(families))
        entry = number < size
        place = draw.choice(grounds[family] if entry else [*grounds[family], loose[family]])
        place.methods.append(Method(f"m{number}", f"{draw.choice(NAMES)} {number}", 2020, entry, draw.randrange(50)))
    for every in grounds:
        for ground in every:
            ground.methods.sort(key=lambda one: not one.entry)
    lands = [Land(f"family{n}", f"Family {n}", [*found, loose[n]] if loose[n].methods else found)
             for n, found in enumerate(grounds)]
    return [*lands, Land("", "", [Ground("", "", [Method("lost", "Lost", 2020, False, 0)])])]


def drawings(svg: str) -> list[ElementTree.Element]:
    return list(ElementTree.fromstring(f'<div xmlns="http://www.w3.org/2000/svg">{svg}</div>'))


def placed(root: ElementTree.Element, width: float) -> list[tuple[ElementTree.Element, SimpleNamespace]]:
    """The texts that show at this width, with their boxes."""
    found = []
    for text in root.iter(f"{SVG}text"):
        later = [int(word[5:]) for word in text.get("class", "").split() if word.startswith("from-")]
        if later and later[0] > width:
            continue
        y = float(text.get("y"))
        rows: list[list[Any]] = []
        for part in text.iter(f"{SVG}tspan"):
            y += float(part.get("dy", 0))
            wide = labels.width(part.text, 11.5 if part.get("class") == "count" else 12.5)
            if part.get("x") is None:
                rows[-1][2] += wide
            else:
                x = float(part.get("x").rstrip("%")) / 100 * width + float(part.get("dx"))
                rows.append([x, y, wide])
        for x, foot, wide in rows:
            found.append((text, SimpleNamespace(x=x, y=foot - 10, w=wide, h=13)))
    return found


def rects(root: ElementTree.Element, width: float, kind: str) -> list[SimpleNamespace]:
    def share(value: str) -> float:
        return float(value.rstrip("%")) / 100 * width

    return [SimpleNamespace(x=share(rect.get("x")), y=float(rect.get("y")), w=share(rect.get("width")),
                            h=float(rect.get("height")))
            for rect in root.iter(f"{SVG}rect") if rect.get("class") == kind]  # fmt: skip


def check_labels(root: ElementTree.Element, width: float, cells: list[SimpleNamespace]) -> None:
    """No label over another, and each wholly in a cell."""
    texts = placed(root, width)
    assert texts
    boxes = [box for _, box in texts]
    rows: dict[int, list[SimpleNamespace]] = {}
    for box in boxes:
        for band in {int(box.y // 20), int((box.y + box.h) // 20)}:
            rows.setdefault(band, []).append(box)
    for band in rows.values():
        for one, other in combinations(band, 2):
            assert one is other or not overlap(one, other, 0.5), (vars(one), vars(other))
    for text, box in texts:
        assert any(cell.x - 1 <= box.x and box.x + box.w <= cell.x + cell.w + 1 and cell.y - 1 <= box.y
                   and box.y + box.h <= cell.y + cell.h + 1 for cell in cells), "".join(text.itertext())  # fmt: skip


SIZES = [0, 1, 66, 400, 10_000]


@pytest.mark.parametrize("entries_only", [False, True])
@pytest.mark.parametrize("size", SIZES)
def test_the_whole_taxonomy_is_drawn_at_any_size(size, entries_only):
    lands = territory_of(size, families=10 if size > 100 else 3, seed=size)
    roots = drawings(treemap.overview(lands, entries_only, "All <of> it"))
    assert [root.get("class").rpartition("--")[2] for root in roots] == ["narrow", "wide"]
    shown = [land for land in lands if land.id or not entries_only]
    for root, widths in zip(roots, ((300, 358, 639), (640, 900, 1290)), strict=True):
        for width in widths:
            cells = rects(root, width, "cell")
            assert len(cells) == sum(len(land.grounds) for land in shown)
            assert all(0 <= cell.x and cell.x + cell.w <= width + 0.1 for cell in cells)
            assert all(cell.w > 2 and cell.h > 2 for cell in cells)  # an empty group is seen too
            assert not any(overlap(*pair, 0.2) for pair in combinations(cells, 2))
            check_labels(root, width, cells + rects(root, width, "ground"))
        for drawn, land in zip(root.findall(f"{SVG}g"), shown, strict=True):
            link, groups = drawn.findall(f"{SVG}a")
            assert link.get("href") == groups.get("href") == f"#map-{land.id or 'none'}"
            assert groups.get("tabindex") == "-1" and groups.get("aria-hidden") == "true"
            assert f"{land.entries or 'no'} entr" in link.find(f"{SVG}title").text
            seen = " ".join(" ".join("".join(text.itertext()) for text in link.findall(f"{SVG}text")).split())
            assert seen in link.get("aria-label").replace(",", "")  # who says what is seen gets there
            filled = rects(groups, 100, "covered")
            assert len(filled) == sum(ground.entries > 0 for ground in land.grounds)


@pytest.mark.parametrize("entries_only", [False, True])
@pytest.mark.parametrize("size", SIZES)
def test_a_family_is_drawn_with_every_method_or_says_how_many_more(size, entries_only):
    for land in territory_of(size, seed=size + 1):
        roots = drawings(treemap.family(land, entries_only, "One", "../families/x/", lambda method: f"../{method.id}/"))
        for root, widths in zip(roots, ((300,), (640,)), strict=True):
            for width in widths:
                cells = rects(root, width, "cell")
                bars = rects(root, width, "bar")
                assert len(bars) == len(land.grounds) and not any(overlap(*pair, 0.2) for pair in combinations(bars, 2))
                assert len(cells) <= treemap.MOST + 3 * len(land.grounds)
                assert not any(overlap(*pair, 0.2) for pair in combinations(cells + bars, 2))
                check_labels(root, width, cells + bars)
            shown = {link.get("href") for link in root.iter(f"{SVG}a") if link.get("class") in ("entry", "missing")}
            rest = [link for link in root.iter(f"{SVG}a") if link.get("class") == "rest"]
            left = sum(int(link.get("aria-label").split()[1]) for link in rest)
            wanted = {f"../{m.id}/" for g in land.grounds for m in g.methods if m.entry or not entries_only}
            assert shown <= wanted and len(shown) + left == len(wanted)
            assert all("families/x/" in link.get("href") for link in rest)
            named = {link.get("href") for link in root.iter(f"{SVG}a") if link.find(f"{SVG}text") is not None}
            assert shown <= named  # on shelves every name has room


def test_the_most_cited_entries_stay_where_not_all_have_room():
    methods = [Method(f"m{n}", f"M{n}", 2020, n < 500, n) for n in range(600)]
    land = Land("f", "F", [Ground("g", "G", methods)])
    shown, rest = treemap.shown_methods(land.grounds[0], land, False, 100)
    assert [one.id for one in shown] == [f"m{n}" for n in range(400, 500)] and rest == 500
    one_more = Land("f", "F", [Ground("g", "G", methods[:101])])
    assert treemap.shown_methods(one_more.grounds[0], one_more, False, 100) == (methods[:101], 0)


# --- where methods lie -----------------------------------------------------------------------------------------------

WORK = """
@misc{{{key},
  title = {{Work {key}}},
  author = {{Author, Any}},
  year = {{2020}},
  zoo_role = {{{role}}},
}}
"""


@pytest.fixture(scope="module")
def crowded(tmp_path_factory: pytest.TempPathFactory, repository: Path):
    """The synthetic site with works of every kind of place."""
    root = tmp_path_factory.mktemp("crowded")
    shutil.copytree(repository / "catalog", root / "catalog")
    shutil.copytree(repository / "reference_impls", root / "reference_impls")
    shutil.copytree(repository / "tests", root / "tests")
    bib = root / "catalog" / "references.bib"
    extra = {"ann2020example": "algorithm", "bob2020filed": "algorithm", "cee2020nowhere": "algorithm",
             "dan2020data": "dataset", "eve2020recalled": "algorithm", "fay2020model": "model"}
    text = bib.read_text(encoding="utf-8") + "".join(WORK.format(key=k, role=r) for k, r in extra.items())
    bib.write_text(text, encoding="utf-8")
    taxonomy = root / "catalog" / "taxonomy.yml"
    taxonomy.write_text(taxonomy.read_text().replace("[gray2021third]", "[gray2021third, ann2020example]"))
    survey = root / "catalog" / "surveys" / "survey2024.yml"
    survey.write_text(survey.read_text() + """\
      - {work: bob2020filed, depth: described, read: full text}
      - {work: dan2020data, depth: described, read: full text}
      - {work: eve2020recalled, depth: described, read: recalled}
      - {work: ann2020example, depth: described, read: full text}
  - title: Old
    family: pruning
    works:
      - {work: ann2020example, depth: described, read: full text}
      - {work: white2019first, depth: mentioned, read: full text}
  - title: Mixed
    sections:
      - title: One
        family: pruning
        works:
          - {work: ann2020example, depth: described, read: full text}
      - title: Two
        family: quantization
        works:
          - {work: ann2020example, depth: described, read: full text}
""")
    # The section that these follow has no family of its own in the synthetic survey.
    survey.write_text(survey.read_text().replace("  - title: Pruning\n", "  - title: Pruning\n    family: pruning\n"))
    return enrich(load(root))


def test_every_method_lies_once_where_its_witness_puts_it(crowded):
    found = {(land.id, ground.id): [method.id for method in ground.methods]
             for land in crowded.maps.lands for ground in land.grounds}
    # A foundation, a data set and a model are no missing methods; what is only recalled is no evidence.
    assert found == {
        ("quantization", "rounding"): ["hostile", "plain", "ann2020example"], ("pruning", "magnitude"): [],
        ("pruning", ""): ["bob2020filed"], ("", ""): ["cee2020nowhere", "eve2020recalled"],
    }


def test_sections_are_counted_against_what_we_file_ourselves(crowded):
    lines = {line.title: line for line in crowded.maps.lines}
    # black2020second is the paper of an entry in quantization; the survey files it under pruning.
    pruning = lines["Pruning"]
    assert {family: [row.id for row in flow.rows] for family, flow in pruning.flows.items()} == {
        "quantization": ["black2020second", "ann2020example"], "": ["bob2020filed"]}
    assert [row.id for row in pruning.flows["quantization"].apart] == ["black2020second", "ann2020example"]
    assert pruning.flows[""].apart == [] and pruning.total == 3
    assert lines["Mixed"].flows["quantization"].apart == []  # one of its two places agrees
    assert lines["Old"].total == 1  # a passing mention is no filing
    assert lines["Quantization"].flows["quantization"].apart == []


# --- lineages --------------------------------------------------------------------------------------------------------


def catalog_of(entries: dict[str, tuple[str, str, list[tuple[str, str]]]], works: dict[str, str] | None = None) -> Any:
    """id -> (family, date, [(relation, target)]); works: key -> date."""
    algorithms = {
        key: SimpleNamespace(id=key, home=family, introduced=date, paper=f"{key}paper",
                             relations=[SimpleNamespace(type=kind, target=target) for kind, target in relations])
        for key, (family, date, relations) in entries.items()
    }
    views = {key: SimpleNamespace(work=SimpleNamespace(first_public=date, year=int(date[:4])))
             for key, date in (works or {}).items()}
    return SimpleNamespace(catalog=SimpleNamespace(algorithms=algorithms), works=views, entries={
        key: SimpleNamespace(id=key, algorithm=algorithm) for key, algorithm in algorithms.items()})


def lineage_of(made: Any, citations: list[tuple[str, str]] | None = None, family: str = "f") -> Any:
    families = dict.fromkeys([family, *(entry.algorithm.home for entry in made.entries.values())])
    return lineages(made.catalog, families, made.entries, made.works, citations or [])[family]


def test_a_method_stands_below_the_one_it_comes_from():
    made = catalog_of({
        "a": ("f", "2018", []), "b": ("f", "2020-03", [("builds_on", "a")]), "c": ("f", "2019", [("builds_on", "old")]),
        "d": ("f", "2021", [("special_case_of", "c"), ("builds_on", "b"), ("stacks_with", "a")]),
        "e": ("f", "2019-06", [("builds_on", "a"), ("supersedes", "g")]), "g": ("other", "2017", []),
    }, {"old": "2016-05"})
    found = lineage_of(made)
    assert [(one.id, one.parent) for one in found.members] == [
        ("old", None), ("c", "old"), ("g", None), ("a", None), ("e", "a"), ("b", "a"), ("d", "b")]
    assert {one.id: one.kind for one in found.members if one.kind != "own"} == {"old": "work", "g": "guest"}
    assert {(tie.source, tie.kind, tie.target) for tie in found.ties} == {
        ("b", "builds_on", "a"), ("c", "builds_on", "old"), ("d", "special_case_of", "c"), ("d", "builds_on", "b"),
        ("d", "stacks_with", "a"), ("e", "builds_on", "a"), ("e", "supersedes", "g")}


def test_what_both_sides_say_is_one_line_and_a_relation_outside_none():
    made = catalog_of({
        "a": ("f", "2018", [("alternative_to", "b"), ("alternative_to", "gone"), ("stacks_with", "far")]),
        "b": ("f", "2019", [("alternative_to", "a")]), "far": ("other", "2019", []),
    })
    found = lineage_of(made)
    assert [(tie.source, tie.target) for tie in found.ties] == [("a", "b")]
    assert [one.id for one in found.members] == ["a", "b"]


def test_rings_and_equal_dates_make_no_ring_of_rows():
    made = catalog_of({
        "a": ("f", "2020", [("builds_on", "b")]), "b": ("f", "2020", [("builds_on", "c")]),
        "c": ("f", "2020", [("builds_on", "a"), ("builds_on", "c")]), "d": ("f", "2019", [("builds_on", "a")]),
    })
    found = lineage_of(made)
    assert sorted(one.id for one in found.members) == ["a", "b", "c", "d"]
    assert len(found.ties) == 4 and not any(tie.source == tie.target for tie in found.ties)


def test_citations_never_count_as_relations_nor_the_other_way():
    made = catalog_of({"a": ("f", "2018", []), "b": ("f", "2020", [("builds_on", "a")]), "c": ("f", "2021", [])})
    without = lineage_of(made)
    assert [tie.kind for tie in without.ties] == ["builds_on"]
    found = lineage_of(made, [("cpaper", "apaper"), ("bpaper", "apaper"), ("cpaper", "cpaper"), ("cpaper", "other")])
    assert [(t.source, t.target) for t in found.ties if t.kind == CITES] == [("b", "a"), ("c", "a")]
    assert [one.parent for one in found.members if one.id == "c"] == [None]


@pytest.mark.parametrize("size", [1, 66, 400, 10_000])
def test_a_forest_at_any_size_with_the_rest_counted(size):
    draw = random.Random(size)
    entries = {}
    for n in range(size):
        earlier = [f"m{draw.randrange(size)}" for _ in range(draw.randrange(3))]
        date = f"{1990 + draw.randrange(30)}-{1 + draw.randrange(12):02}"
        entries[f"m{n}"] = (draw.choice("fgh") if n else "f", date,
                            [(draw.choice([*DESCENT, "stacks_with"]), target) for target in earlier])
    made = catalog_of(entries)
    for family, found in lineages(made.catalog, "fgh", made.entries, made.works, []).items():
        own = [key for key, entry in entries.items() if entry[0] == family]
        shown = {one.id for one in found.members if one.kind == "own"}
        assert len(shown) == min(len(own), MOST) and shown | set(found.left_out) == set(own)
        assert len(found.left_out) == len(own) - len(shown)
        seen: dict[str, Any] = {}
        for one in found.members:
            assert one.id not in seen
            if one.parent is not None:
                assert seen[one.parent].date <= one.date
            seen[one.id] = one
        known = {one.id for one in found.members}
        assert all(tie.source in known and tie.target in known for tie in found.ties)


def test_no_line_of_descent_passes_through_a_name():
    draw = random.Random(8)
    for size in (2, 30, 90):
        entries = {
            f"m{n}": ("f", f"{2010 + draw.randrange(12)}-{1 + draw.randrange(12):02}",
                      [("builds_on", f"m{draw.randrange(size)}") for _ in range(draw.randrange(3))])
            for n in range(size)
        }
        made = catalog_of(entries)
        found = lineage_of(made)
        made.families = {"f": SimpleNamespace(family=SimpleNamespace(name="F"))}
        svg = drawing.draw(made, found, "T", lambda key: NAMES[int(key[1:]) % len(NAMES)], lambda key: "x/")
        root = drawings(svg)[0]
        for width in (130, 900):
            names = placed(root, width)
            lines = [line for group in root.findall(f"{SVG}g") for line in group]
            assert len({text for text, _ in names}) == len(found.members)
            for _, box in names:
                assert box.x + box.w <= width + drawing.NAMES + 0.5
            for line in lines:
                x1, x2 = (float(line.get(side).rstrip("%")) / 100 * width for side in ("x1", "x2"))
                y1, y2 = sorted(float(line.get(side)) for side in ("y1", "y2"))
                bar = SimpleNamespace(x=x1, y=y1, w=x2 - x1, h=y2 - y1)
                assert x1 <= x2 + 0.01
                assert not any(overlap(bar, box, 0.5) for _, box in names)
            for one, other in combinations([box for _, box in names], 2):
                assert not overlap(one, other, 0.5)


def test_a_lineage_has_a_row_with_a_link_for_each_and_a_line_for_each_tie(site):
    view = maps_pages.lineage_view(site, "quantization", "maps/")
    root = drawings(view.svg)[0]
    rows = {link.get("data-row"): link for link in root.iter(f"{SVG}a")}
    assert set(rows) == {"plain", "hostile"} and rows["plain"].get("href") == "../algorithms/plain/"
    ties = [(tie.get("class"), tie.get("data-ends")) for tie in root if tie.get("data-ends")]
    assert ties == [("tie cites", "hostile plain"), ("tie builds-on", "hostile plain")]  # the declared one above
    assert [kind for kind, _, _ in view.kinds] == ["builds_on", CITES]
    table = {row.member.id: row for row in view.rows}
    assert [one.name for one in table["hostile"].ties["builds on"]] == ["Plain"] and not table["plain"].ties
    assert maps_pages.lineage_view(site, "pruning", "maps/") is None  # no entry, no lineage


# --- the matrix ------------------------------------------------------------------------------------------------------


def test_the_matrix_has_a_mark_a_cell_and_marks_what_disagrees(crowded):
    lines = crowded.maps.lines
    roots = drawings(matrix.draw(crowded, lines, "T", lambda address: f"../{address}", lambda line, family: "?q"))
    wanted = Counter((line.title, family, len(flow.rows), len(flow.apart)) for line in lines
                     for family, flow in line.flows.items())
    for root in roots:
        cells = [link for link in root.iter(f"{SVG}a") if link.get("class", "").startswith("cell")]
        assert len(cells) == sum(wanted.values())
        apart = [link for link in cells if "apart" in link.get("class")]
        assert len(apart) == sum(1 for *_, count in wanted if count) == len(list(root.iter(f"{SVG}rect")))
        assert all("≠" in "".join(link.itertext()) for link in apart)
        assert "2 algorithms that we file under Quantization; 2 of them under" in "".join(
            link.get("aria-label") for link in apart)
    assert matrix.draw(crowded, [], "T", str, lambda line, family: "") == ""


def test_circles_hold_their_numbers_and_stay_in_their_cells(crowded):
    draw = random.Random(5)
    rows = [SimpleNamespace(id=str(n)) for n in range(9999)]
    lines = [Line("survey2024", f"s{n}", draw.choice(NAMES), None, 1, {
        family: Flow(rows[:count], rows[: draw.choice([0, 1, count])])
        for family in ("quantization", "pruning", "") for count in [draw.choice([1, 9, 99, 900])]
    }) for n in range(40)]
    for root, form in zip(drawings(matrix.draw(crowded, lines, "T", str, lambda line, family: "x")),
                          (matrix.NARROW, matrix.WIDE), strict=True):
        columns = 3
        room = max(form.column, (form.least - form.side - 54) / columns)
        for mark in [*root.iter(f"{SVG}circle"), *root.iter(f"{SVG}rect")]:
            wide = 2 * float(mark.get("r")) if mark.get("r") else float(mark.get("width"))
            assert 12 < wide <= room
        heights = [float(line.get("y1")) for line in root.iter(f"{SVG}line") if line.get("class") == "grid"]
        assert all(b - a >= 2 * form.radius for a, b in zip(heights, heights[1:], strict=False))


# --- colours ---------------------------------------------------------------------------------------------------------


def mixed(family: list[float], ground: list[float], share: float) -> list[float]:
    """color-mix(in oklab, family share, ground) of two linear RGB."""
    pair = zip(oklab(family, "usual"), oklab(ground, "usual"), strict=True)
    lightness, a, b = (share * one + (1 - share) * other for one, other in pair)
    x, y, z = ((lightness + u * a + v * b) ** 3 for u, v in (
        (0.3963377774, 0.2158037573), (-0.1055613458, -0.0638541728), (-0.0894841775, -1.291485548)))
    rows = ((4.0767416621, -3.3077115913, 0.2309699292), (-1.2684380046, 2.6097574011, -0.3413193965),
            (-0.0041960863, -0.7034186147, 1.707614701))
    return [min(1.0, max(0.0, u * x + v * y + w * z)) for u, v, w in rows]


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("family", FAMILIES)
def test_names_can_be_read_on_every_tint(scheme, family):
    styles = (FRONTEND / "src/styles/maps.css").read_text(encoding="utf-8")
    tints = {kind: [int(share) / 100 for share in re.findall(
        rf"[.]{kind} [^{{}}]*{{ fill: color-mix\(in oklab, var\(--zoo-family\) ([0-9]+)%", styles)]
        for kind in ("zoo-treemap", "zoo-flows")}
    assert len(tints["zoo-treemap"]) >= 5 and len(tints["zoo-flows"]) == 1
    for share in [*tints["zoo-treemap"], *tints["zoo-flows"]]:
        ground = mixed(colour(scheme, f"zoo-family-{family}"), colour(scheme, "zoo-raised"), share)
        assert contrast(colour(scheme, "zoo-ink"), ground) >= 4.5
        if share < 0.2:  # heads and bars, with counts in the lighter ink
            assert contrast(colour(scheme, "zoo-ink-2"), ground) >= 4.5


# --- the page --------------------------------------------------------------------------------------------------------


def test_the_page_says_everything_in_words_and_nothing_hostile_comes_alive(built):
    out, _ = built
    text = (out / "maps" / "index.html").read_text(encoding="utf-8")
    for piece in ("known methods", "data-map-part=\"quantization\"", "id=\"map-quantization\"", "zoo-map-tree",
                  "The same as a table", "Survey 2024"):
        assert piece in text
    assert "<script>window.pwned" not in text and "<img src=x" not in text and "<svg onload" not in text
    assert "window.pwned=1" in text  # it is there, as text
    family = (out / "families" / "quantization" / "index.html").read_text(encoding="utf-8")
    assert "zoo-lineage" in family and "zoo-lineage" not in (out / "families" / "pruning" / "index.html").read_text()
    assert "zoo-flows" in (out / "crosswalk" / "index.html").read_text(encoding="utf-8")


def test_a_tree_that_leaves_methods_out_says_so(site, monkeypatch):
    monkeypatch.setattr(maps_pages, "TREE", 1)
    land = next(land for land in site.maps.lands if land.id == "quantization")
    several = [Method(f"plain{n}", f"Plain {n}", 2020, True, n) for n in range(6)]
    many = Land(land.id, land.name, [Ground("rounding", "Rounding", several)])
    view = maps_pages._land(site, many, lambda address: f"../{address}")
    assert len(view.grounds[0].methods) + view.grounds[0].rest == len(many.grounds[0].methods)
    assert view.grounds[0].rest > 0 and view.grounds[0].address == "../families/quantization/#rounding"
