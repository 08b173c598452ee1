"""Plots in a browser: values at pointer, finger and arrow keys; series that can be hidden; without a script."""

from __future__ import annotations

import json
import re

import pytest

from site_gen.build import ROOT
from site_gen.emit.numbers import number
from tests.site.conftest import where

pytestmark = pytest.mark.xdist_group("site")

TIP = ".zoo-plot-tip:visible"


def sweep(name: str) -> list[dict]:
    data = json.loads((ROOT / f"catalog/measurements/{name}.json").read_text(encoding="utf-8"))
    return [run for run in data["runs"] if run["role"] == "sweep"]


def middle(locator) -> tuple[float, float]:
    box = locator.bounding_box()
    return box["x"] + box["width"] / 2, box["y"] + box["height"] / 2


def test_pointer_reads_the_nearest_value_with_its_range(new_page):
    page = new_page("algorithms/gptq/")
    plot = page.locator("#measured ~ .zoo-measured .zoo-plot-box").first
    plot.scroll_into_view_if_needed()
    page.locator(".zoo-plot-legend button").first.wait_for()
    points = plot.locator(".zoo-plot--wide circle.point")
    runs = sorted(sweep("gptq"), key=lambda run: run["options"][run["varied"]])
    assert points.count() == len(runs) > 2
    area = plot.locator("svg:visible").bounding_box()
    for point, run in zip(points.all(), runs, strict=True):
        x, _ = middle(point)
        page.mouse.move(x + 3, area["y"] + area["height"] * 0.7)  # not on the point: the nearest one counts
        tip = page.locator(TIP).inner_text()
        assert tip.startswith(f"{run['varied']} {run['options'][run['varied']]}")
        values = [number(run[kind]["perplexity"]) for kind in ("median", "min", "max")]
        assert values[0] in tip
        if values[1] != values[2]:
            assert f"{values[1]} to {values[2]} over the seeds" in tip
        assert "uncompressed" in tip
        assert plot.locator(".read").count() == 1 and "read" in point.get_attribute("class")
        assert plot.locator(".cross:visible").count() == 1
        around, shown = page.locator(".zoo-plot-around").first.bounding_box(), page.locator(TIP).bounding_box()
        assert around["x"] <= shown["x"] and shown["x"] + shown["width"] <= around["x"] + around["width"] + 1
    page.mouse.move(5, 5)
    assert page.locator(TIP).count() == 0 and plot.locator(".read, .cross:visible").count() == 0


def test_arrow_keys_read_the_values_aloud(new_page):
    page = new_page("algorithms/gptq/")
    plot = page.get_by_role("group", name=re.compile("Curve, the arrow keys"))
    plot.focus()
    status = page.locator(".zoo-plot-around [role=status]").first
    read = []
    for key in ("ArrowRight", "ArrowRight", "ArrowLeft", "End", "ArrowRight", "Home"):
        page.keyboard.press(key)
        read.append(status.inner_text().partition(",")[0].partition(";")[0])
    values = [f"{run['varied']} {run['options'][run['varied']]}" for run in
              sorted(sweep("gptq"), key=lambda run: run["options"][run["varied"]])]
    assert read == [values[0], values[1], values[0], values[-1], values[-1], values[0]]
    assert page.locator(TIP).count() == 1
    page.keyboard.press("Escape")
    assert page.locator(TIP).count() == 0
    page.keyboard.press("ArrowLeft")
    assert status.inner_text().startswith(values[-1])
    page.keyboard.press("Tab")
    assert page.locator(TIP).count() == 0


def test_legend_hides_series_and_the_address_says_so(new_page):
    page = new_page("algorithms/gptq/")
    legend = page.locator(".zoo-plot-legend")
    dense = page.locator("svg.zoo-plot--wide [data-series=dense]")
    button = legend.get_by_role("button", name="uncompressed")
    assert button.get_attribute("aria-pressed") == "true" and dense.is_visible()
    button.click()
    assert button.get_attribute("aria-pressed") == "false" and dense.is_hidden()
    assert where(page).endswith("?hide=dense")
    plot = page.locator(".zoo-plot-box").first
    page.mouse.move(*middle(plot.locator("circle.point").first))
    assert "uncompressed" not in page.locator(TIP).inner_text()
    page.reload()
    page.locator(".zoo-plot-legend button[aria-pressed=false]").wait_for()
    assert dense.is_hidden()
    page.locator(".zoo-plot-legend [data-series=curve]").click()
    assert where(page).endswith("?hide=dense,curve")
    plot.focus()
    page.keyboard.press("ArrowRight")
    assert page.locator(TIP).count() == 0  # nothing is left to read
    button.click()
    page.locator(".zoo-plot-legend [data-series=curve]").click()
    assert "?" not in where(page) and dense.is_visible()


def test_a_finger_reads_too(browser, address):
    context = browser.new_context(viewport={"width": 390, "height": 844}, has_touch=True, is_mobile=True)
    page = context.new_page()
    page.goto(f"{address}algorithms/gptq/")
    page.locator(".zoo-plot-legend button").first.wait_for()
    point = page.locator(".zoo-plot-box circle.point:visible").first
    point.scroll_into_view_if_needed()
    page.touchscreen.tap(*middle(point))
    assert page.locator(TIP).count() == 1
    shown = page.locator(TIP).bounding_box()
    assert 0 <= shown["x"] and shown["x"] + shown["width"] <= 390
    context.close()


@pytest.mark.parametrize("path", ["algorithms/gptq/", "measured/", "compare/?a=gptq&a=awq"])
def test_a_plot_fits_a_phone_with_text_of_its_own_size(new_page, path):
    page = new_page(path, width=390)
    box = page.locator(".zoo-plot-box").first
    box.scroll_into_view_if_needed()
    page.locator(".zoo-plot-around").first.wait_for()
    svg = box.locator("svg:visible")
    assert svg.count() == 1
    room, drawn = box.bounding_box(), svg.bounding_box()
    assert drawn["width"] <= room["width"] + 1
    texts = svg.locator("text").all()
    assert len(texts) > 6
    for text in texts:
        place = text.bounding_box()
        assert room["x"] - 1 <= place["x"] and place["x"] + place["width"] <= room["x"] + room["width"] + 1
    assert 10 <= texts[0].evaluate("e => parseFloat(getComputedStyle(e).fontSize) * e.getScreenCTM().a") <= 16
    for key in ("ArrowRight", "End"):  # what is read stands in the drawing that is shown
        box.focus()
        page.keyboard.press(key)
        assert svg.locator(".read").count() == 1 and page.locator(TIP).count() == 1


def test_plots_of_many_runs_are_read_and_leave_out_what_is_filtered(new_page):
    page = new_page("measured/")
    page.locator(".zoo-hero button[data-pick]").first.wait_for()
    plot = page.locator(".zoo-plot-box").first
    plot.scroll_into_view_if_needed()
    page.locator(".zoo-plot-around").first.wait_for()
    dot = plot.locator("g.dot.declared").first
    page.mouse.move(*middle(dot.locator(".shape")))
    lines = page.locator(TIP).inner_text().split("\n")
    assert len(lines) >= 3 and re.search(r": [\d.,]+", lines[1])
    page.locator(".zoo-hero [data-pick=pruning]").click()
    plot.focus()
    shown_dots = plot.locator(".zoo-plot--wide g.dot:not([hidden])")
    wanted, shown = shown_dots.evaluate_all("dots => dots.map(e => e.dataset.families)"), shown_dots.count()
    assert all("pruning" in (families or "pruning").split() for families in wanted)
    read = set()
    for _ in range(shown):
        page.keyboard.press("ArrowRight")
        read.add(plot.locator(".read").evaluate("e => e.getAttribute('transform')"))
    assert len(read) > 1 and plot.locator(".read[hidden]").count() == 0
    page.keyboard.press("ArrowRight")  # at the end
    assert plot.locator(".read").evaluate("e => e.getAttribute('transform')") in read


def test_what_is_hidden_gives_the_axes_to_the_others(new_page):
    page = new_page("compare/?a=distilbert&a=tinybert")
    button = page.locator(".zoo-plot-legend button[data-series=distilbert]").first
    svg = page.locator("#zoo-compare-measured svg.zoo-curves").first
    svg.locator("g.dot[data-nth='0']").first.wait_for()
    names = svg.locator("text").all_text_contents()
    assert not any("in all" in name for name in names)
    button.click()
    assert svg.locator("g.dot[data-nth='0']").count() == 0 < svg.locator("g.dot[data-nth='1']").count()
    alone = svg.locator("text").all_text_contents()
    assert "TinyBERT" in alone and any("in all" in name for name in alone)  # one size: a column for each series
    assert where(page).endswith("hide=distilbert")
    button.click()
    assert svg.locator("text").all_text_contents() == names


def test_marks_of_one_size_stand_apart_in_columns_of_their_own(new_page):
    page = new_page("compare/?a=tinybert&a=minilm")
    svg = page.locator("#zoo-compare-measured svg.zoo-curves").first
    svg.wait_for()
    places = [svg.locator(f"g.dot[data-nth='{nth}']").evaluate_all(
        "dots => dots.map(e => e.getAttribute('transform').match(/[-\\d.]+/g).map(Number))") for nth in (0, 1)]
    assert len(places[0]) and len(places[1]) > 1
    assert max(x for x, _ in places[0]) < min(x for x, _ in places[1])
    for mine in places:
        for i, (x, y) in enumerate(mine):
            assert all(max(abs(x - a), abs(y - b)) >= 12 for a, b in mine[:i])


def test_bars_of_the_trends_are_read(new_page):
    page = new_page("trends/")
    part = page.locator("svg.zoo-bars .part").first
    part.scroll_into_view_if_needed()
    page.locator(".zoo-plot-around").first.wait_for()
    page.mouse.move(*middle(part.locator("rect")))
    assert re.match(r"\d{4}.*: \d+", page.locator(TIP).inner_text())
    assert part.evaluate("e => e.classList.contains('read')")


def test_heat_map_marks_row_and_column(new_page):
    page = new_page("combinations/")
    cell = page.locator(".zoo-heat tbody tr").nth(1).locator("td[title*='beyond the sum']").first
    if cell.count() == 0:
        pytest.skip("no pair of the second method was measured")
    cell.hover()
    heads = page.locator(".zoo-heat th.read")
    heads.first.wait_for()
    first, second = cell.get_attribute("title").partition(":")[0].split(", then ")
    assert {head.partition("\n")[0].strip() for head in heads.all_inner_texts()} == {first, second}
    page.locator(".zoo-heat tbody tr").nth(0).locator("td a").first.focus()
    assert page.locator(".zoo-heat tbody th.read").inner_text().partition("\n")[0].strip() != first


def test_without_a_script_the_plot_is_whole(new_page):
    page = new_page("algorithms/gptq/", javascript=False)
    figure = page.locator("figure.zoo-figure").first
    svg = figure.locator("svg.zoo-plot--wide[role=img]")
    assert svg.locator("xpath=./*[name()='title']").count() == 1
    described = svg.locator("xpath=./*[name()='desc']").evaluate("e => e.textContent")
    for run in sweep("gptq"):
        assert f"{run['options'][run['varied']]}: {number(run['median']['perplexity'])}" in described
    assert "perplexity" in svg.locator("text.axis").first.text_content()
    names = figure.locator(".zoo-plot-legend li").all_inner_texts()
    assert names[0] == "GPTQ" and "uncompressed" in names
    assert figure.locator("button").count() == 0
