"""Trends: which years stand together, shares only where they say something, windows, the drawings, tables and CSV."""

from __future__ import annotations

import csv
import io
import random
import re
from types import SimpleNamespace
from xml.etree import ElementTree

import pytest

from site_gen.emit import bars, trends_pages
from site_gen.emit.scatter import WIDTH
from site_gen.enrich.trends import LEAST, Column, Series, Width, Window, series, window


def years(*found: int, category: str = "a") -> list[tuple[int, str, str, str]]:
    return [(year, str(year), category, f"{category}{index}") for index, year in enumerate(found)]


# --- columns ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("found", "wanted"), [
    ([], []),
    ([2020], [("2020", 1)]),
    ([2020] * 3 + [2021], [("2020", 3), ("2021", 1)]),
    ([1936, 1993, 2018, 2019, 2019, 2019, 2021], [("to 2018", 3), ("2019", 3), ("2020", 0), ("2021", 1)]),
    ([2018] + [2019] * 3, [("2018", 1), ("2019", 3)]),  # one year before the first full one needs no name of its own
    ([2010] + [2019] * 3, [("to 2018", 1), ("2019", 3)]),
    ([2015] * 3 + [2017], [("2015", 3), ("2016", 0), ("2017", 1)]),
    ([1990, 2000, 2010], [("to 2009", 2), ("2010", 1)]),  # no year is full: the last has a column
])  # fmt: skip
def test_thin_years_at_the_beginning_stand_together(found, wanted):
    columns = series(years(*found), {"a": "A"}).columns
    assert [(column.label, column.total) for column in columns] == wanted
    for before, after in zip(columns, columns[1:], strict=False):
        assert after.first == before.last + 1
    if columns:
        assert columns[0].first == min(found)


def test_every_method_stands_in_one_column_and_category():
    draw = random.Random(4)
    items = [(year := draw.randrange(1990, 2025), f"{year}-{draw.randrange(1, 13):02}", draw.choice("abc"), f"m{n:02}")
             for n in range(60)]  # fmt: skip
    found = series(items, {"b": "B", "a": "A", "c": "C", "unused": "None"})
    assert list(found.categories) == ["b", "a", "c"]
    shown = sorted((ident, category) for column in found.columns for category, ids in column.parts.items()
                   for ident in ids)  # fmt: skip
    assert shown == sorted((ident, category) for _, _, category, ident in items)
    assert found.total == 60 and sum(map(found.of, found.categories)) == 60
    assert series(reversed(items), found.categories) == found
    by_id = {ident: date for _, date, _, ident in items}
    assert all(ids == sorted(ids, key=lambda ident: (by_id[ident], ident)) for column in found.columns
               for ids in column.parts.values())  # fmt: skip


def test_no_share_of_few():
    few, enough = (Column("2020", 2020, 2020, {"a": ["x"], "b": list("yz")[:n]}) for n in (1, 2))
    assert (few.share("a"), few.share("b")) == (None, None) and few.total == LEAST - 1
    assert (enough.share("a"), enough.share("b"), enough.share("c")) == (1 / 3, 2 / 3, 0)


# --- windows ----------------------------------------------------------------------------------------------------------


def survey(*leaves: tuple[str, str]) -> SimpleNamespace:
    return SimpleNamespace(work="survey", leaves=lambda: [
        ((), SimpleNamespace(work=work, read=read)) for work, read in leaves])


def work(public: str | None, published: int = 2030) -> SimpleNamespace:
    return SimpleNamespace(first_public=public, year=published)


def test_window_of_a_survey():
    works = {f"w{n}": work(f"{2010 + n}-05") for n in range(11)} | {"survey": work("2018-05"), "old": work("1900")}
    leaves = [(f"w{n}", "full text") for n in range(11)]
    leaves += [("w0", "secondary"), ("w3", "full text"), ("old", "recalled")]
    assert window("s", survey(*leaves), works) == Window("s", 11, 2010, 2011, 2015, 2019, 2020, "2018-05", 2)
    assert window("s", survey(*reversed(leaves)), works) == window("s", survey(*leaves), works)


@pytest.mark.parametrize(("own", "public", "after"), [
    ("2018-05", "2018-05", 0), ("2018-05", "2018-06", 1), ("2018-05", "2018-04", 0), ("2018-05", "2018", 0),
    ("2018", "2018-12", 0), ("2018", "2019-01", 1), ("2018-05", "2019", 1), ("2018-12", None, 1),
])  # fmt: skip
def test_what_is_later_than_the_survey_itself(own, public, after):
    works = {"survey": work(own), "w": work(public, 2020)}
    assert window("s", survey(("w", "full text")), works).after == after


# --- drawings ---------------------------------------------------------------------------------------------------------

FAMILIES = Series({"quantization": "Quantization", "pruning": "Pruning", "": "No family yet"}, [
    Column("to 2018", 1990, 2018, {"quantization": ["a"], "": ["b"]}),
    Column("2019", 2019, 2019, {"quantization": list("cdefgh"), "pruning": list("ij")}),
    Column("2020", 2020, 2020, {}),
])  # fmt: skip


def drawn(svg: str) -> ElementTree.Element:
    return ElementTree.fromstring(str(svg).replace("<svg ", '<svg xmlns="" ', 1))


def boxes(svg: str, name: str = "part") -> list[tuple[str | None, float, float, float]]:
    """Family or step, left edge, upper edge and height of each part."""
    return [(group.get("data-family") or group.get("data-step"), *(float(group.find("rect").get(key))
                                                                   for key in ("x", "y", "height")))
            for group in drawn(svg).iter("g") if group.get("class") == name]  # fmt: skip


def test_bars_are_as_high_as_their_counts():
    svg = bars.stacked(FAMILIES, "Title <&>")
    parts = boxes(svg)
    assert [family for family, *_ in parts] == ["quantization", None, "quantization", "pruning"]
    unit = parts[0][3]
    assert [round(height / unit) for *_, height in parts] == [1, 1, 6, 2]
    assert parts[3][2] + parts[3][3] == pytest.approx(parts[2][2], abs=0.11)  # each stands on the one before
    assert parts[0][2] + unit == pytest.approx(bars.HEIGHT - bars.BOTTOM, abs=0.11)
    totals = [text.text for text in drawn(svg).iter("text") if text.get("class") == "total"]
    assert totals == ["2", "8"]
    notes = [note.text for note in drawn(svg).iter("title")]
    assert notes[2:] == ["2019, Quantization: 6", "2019, Pruning: 2"]
    assert drawn(svg).get("aria-label") == "Title <&>"


def test_shares_fill_the_bar_and_few_have_none():
    svg = bars.stacked(FAMILIES, "Title", shares=True)
    parts = boxes(svg)
    assert [family for family, *_ in parts] == ["quantization", "pruning"]
    full = bars.HEIGHT - bars.TOP - bars.BOTTOM
    assert parts[0][3] == pytest.approx(full * 0.75, abs=0.1) and parts[1][3] == pytest.approx(full * 0.25, abs=0.1)
    (empty,) = [rect for rect in drawn(svg).iter("rect") if rect.get("class") == "empty"]
    assert empty.find("title").text == "to 2018: 2, too few for a share"
    assert [text.text for text in drawn(svg).iter("text") if text.get("class") == "total"] == ["n=2", "n=8"]


def test_categories_differ_by_a_mark_too():
    names = ["none", "light", "full"]
    marks = [bars.mark(names, name) for name in names]
    assert len(set(marks)) == 3 and [bars.kind(names, name) for name in names] == [
        f' data-step="{step}"' for step in range(3)]
    families = list(FAMILIES.categories)
    assert len({bars.mark(families, name) for name in families}) == 3
    assert bars.kind(families, "") == "" and bars.kind(families, "pruning") == ' data-family="pruning"'
    svg = bars.stacked(FAMILIES, "Title")
    assert bars.mark(families, "quantization") in svg
    assert bars.mark(families, "") in str(bars.legend(FAMILIES, ""))


def test_many_years_stay_readable_and_inside():
    found = series(years(*(year for year in range(1950, 2025) for _ in range(3))), {"a": "A"})
    svg = bars.stacked(found, "Title")
    labels = [text.text for text in drawn(svg).iter("text") if re.fullmatch(r"(19|20)\d\d", text.text)]
    assert len(found.columns) == 75 and len(boxes(svg)) == 75 and len(labels) <= bars.LABELS and labels[-1] == "2024"
    assert all(0 <= left <= WIDTH for _, left, *_ in boxes(svg))


def test_dots_do_not_hide_each_other():
    widths = [Width(f"e{n:02}", 2020, (2, 4)) for n in range(40)]
    widths += [Width("late", 2022, (8,)), Width("x", 2022, (1.5,))]
    names = {width.id: f"<{width.id}>" for width in widths}
    svg = bars.grid(sorted(widths, key=lambda w: (w.year, w.least)), names, {"late": "pruning"}, "Title")
    places = [group.get("transform") for group in drawn(svg).iter("g")]
    assert len(places) == len(set(places)) == 42
    heights = {}
    for group in drawn(svg).iter("g"):
        heights[group.find("title").text] = float(re.findall(r"[\d.]+", group.get("transform"))[1])
    assert heights["<late>, 2022: 8 bits"] < heights["<e00>, 2020: 2, 4 bits"] < heights["<x>, 2022: 1.5 bits"]
    labels = [text.text for text in drawn(svg).iter("text") if text.get("class") is None]
    assert labels == ["1.5", "2", "8", "2020", "2021", "2022"]


def test_ranges_reach_from_first_to_last():
    windows = [Window("a", 9, 1990, 2015, 2018, 2020, 2024, "2023-06", 1), Window("b", 3, 2020, 2020, 2021, 2022, 2022,
                                                                                 "2022", 0)]  # fmt: skip
    svg = bars.ranges(windows, {"a": "A & B", "b": "B"}, "Title")
    lines = {path.get("class"): [float(n) for n in re.findall(r"[\d.]+", path.get("d"))]
             for path in next(drawn(svg).iter("g")).iter("path")}  # fmt: skip
    assert lines["whole"][0] < lines["most"][0] < lines["middle"][0] < lines["most"][2] < lines["whole"][2]
    assert lines["whole"][0] == 14 and WIDTH - 30 < lines["whole"][2] < WIDTH
    assert next(drawn(svg).iter("title")).text.startswith("A & B: 9 works from 1990 to 2024")
    assert len(list(drawn(svg).iter("g"))) == 2


def test_nothing_to_draw():
    nothing = Series({}, [])
    assert bars.stacked(nothing, "Title") == bars.ranges([], {}, "Title") == bars.grid([], {}, {}, "Title") == ""


# --- a site -----------------------------------------------------------------------------------------------------------


def test_figures_of_a_small_site(site):
    found = {figure.id: figure for figure in trends_pages.figures(site)}
    assert list(found) == ["works", "training", "data", "bits", "windows", "zoo"]
    assert site.trends.works.total == 2  # the foundation and the survey do not count
    assert "2 methods" in found["works"].says[0] and "Not counted: 2 other works" in found["works"].says[2]
    assert any("No share is drawn of fewer than 3: 2019" in text for text in found["training"].says)
    assert "No year has 3 or more" in found["bits"].says[1]
    (only,) = site.trends.windows
    assert (only.survey, only.works, only.first, only.last, only.own) == ("survey2024", 2, 2019, 2020, "2024")
    assert [figure.foot[0][-1] for figure in found.values() if figure.foot] == [2, 2, 2, 2]


def test_tables_and_csv_say_what_is_drawn(site):
    files = trends_pages.files(site)
    for figure in trends_pages.figures(site):
        rows = list(csv.DictReader(io.StringIO(files[figure.file])))
        assert rows and None not in rows[0] and None not in rows[0].values()
        if not figure.foot:
            assert len(rows) == len(figure.rows)
            continue
        assert set(rows[0]) == set(trends_pages.SERIES)
        assert sum(int(row["count"]) for row in rows) == figure.foot[0][-1]
        assert all(len(row["ids"].split()) == int(row["count"]) for row in rows)
        for row in figure.rows:
            counts = [int(re.match(r"\d+", str(value))[0]) if value != "" else 0 for value in row[1:]]
            assert sum(counts[:-1]) == counts[-1] > 0
            assert counts[:-1] == [int(line["count"]) for line in rows if line["name"] == row[0]]
            assert all(f"{row[0]} {count}" in figure.svg for count in counts[:-1] if count)  # the text of the picture


def test_page_and_downloads_are_there(built):
    page = (built[0] / "trends" / "index.html").read_text(encoding="utf-8")
    assert page.count('class="zoo-plot zoo-') == 6 and page.count("The same as a table") == 6
    assert "The surveys' windows" in re.sub("&#(x27|39);", "'", page)
    for name in ("works", "training", "data", "bits", "windows", "zoo"):
        assert f'href="{name}.csv"' in page and (built[0] / "trends" / f"{name}.csv").is_file()
    assert 'href="../trends/"' in (built[0] / "bibliography" / "index.html").read_text(encoding="utf-8")


def test_real_figures_keep_to_their_population():
    from catalog import load
    from site_gen.enrich.trends import trends

    catalog = load()
    described = {entry.paper for entry in catalog.algorithms.values()}
    views = {key: SimpleNamespace(key=key, work=work, entries=[1] if key in described else [], family=None,
                                  family_from="") for key, work in catalog.bibliography.items()}  # fmt: skip
    found = trends(catalog, views)
    methods = {key for key, work in catalog.bibliography.items() if work.role == "algorithm"}
    assert {key for column in found.works.columns for ids in column.parts.values() for key in ids} == methods
    assert found.training.total == found.data.total == len(catalog.algorithms)
    assert found.zoo.of("entry") + len(found.elsewhere) == len(catalog.algorithms)
    assert found.works.columns[-1].last >= 2024 and found.works.total == found.zoo.total
    assert all(w.first <= w.tenth <= w.middle <= w.ninetieth <= w.last for w in found.windows)
    assert {w.survey for w in found.windows} == set(catalog.surveys)
