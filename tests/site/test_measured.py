"""The Measured and Combinations pages in a browser: filtering by family, the address, the heat map on a phone."""

from __future__ import annotations

import json
import math
import threading
from collections.abc import Iterator
from itertools import permutations

import pytest

from site_gen.build import ROOT, build
from site_gen.serve import server
from tests.site.conftest import watch_page, where
from tests.site_gen import synthetic

pytestmark = pytest.mark.xdist_group("site")

# The least contrast of a number with its cell, over all classes of the heat map.
CONTRAST = """(() => {
  const part = (v) => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4;
  const light = (colour) => {
    const [r, g, b] = colour.match(/[\\d.]+/g).map((v) => part(v / 255));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const cells = [0, 1, 2, 3, 4, 5, 6].map((i) => document.querySelector(`.zoo-heat td.zoo-heat-${i}`));
  return Math.min(...cells.map((cell) => {
    const colours = [getComputedStyle(cell.querySelector('a')).color, getComputedStyle(cell).backgroundColor];
    const [dark, bright] = colours.map(light).sort((x, y) => x - y);
    return (bright + 0.05) / (dark + 0.05);
  }));
})()"""
SIZES = "[...document.querySelectorAll('.zoo-heat td a')].map(e => parseFloat(getComputedStyle(e).fontSize))"
VISIBLE = (
    "[...document.querySelectorAll('.zoo-together [data-families]')].filter(e => !e.closest('[hidden]'))"
    ".map(e => e.dataset.families)"
)


def shown(page) -> list[str]:
    """The families, as the page names them, of everything in the sections that is to be seen."""
    return page.evaluate(VISIBLE)


def button(page, name: str):
    return page.locator(f".zoo-hero [data-pick={name}]")


def test_families_are_filtered_without_a_reload_and_stand_in_the_address(new_page):
    page = new_page("measured/")
    everything = shown(page)
    assert {"quantization", "pruning", "low-rank"} <= {name for names in everything for name in names.split()}
    page.evaluate("window.kept = true")
    button(page, "pruning").click()
    assert where(page).endswith("/measured/?family=pruning")
    found = shown(page)
    assert 0 < len(found) < len(everything) and all("pruning" in names.split() for names in found)
    assert button(page, "pruning").get_attribute("aria-pressed") == "true"
    assert page.get_by_role("status").filter(has_text="Only Pruning.").is_visible()
    button(page, "low-rank").click()
    assert where(page).endswith("?family=pruning,low-rank")
    assert all({"pruning", "low-rank"} & set(names.split()) for names in shown(page))
    assert len(shown(page)) > len(found)
    button(page, "pruning").click()
    button(page, "low-rank").click()
    assert where(page).endswith("/measured/") and shown(page) == everything
    assert page.evaluate("window.kept") is True


def test_address_with_a_family_shows_it_alone(new_page):
    page = new_page("measured/?family=adaptation,no-such-family")
    assert shown(page) and all("adaptation" in names.split() for names in shown(page))
    for section in page.locator(".zoo-together").all():  # whole sections go, heading and all
        has_some = "adaptation" in section.get_attribute("data-families").split()
        heading = page.locator(f"#{section.get_attribute('data-section')}")
        assert heading.is_visible() == has_some == section.is_visible()
    assert page.locator("#language-1-s").is_hidden()
    page.goto(where(page).partition("?")[0] + "?family=%3Cscript%3E")
    assert page.locator("#language-1-s").is_visible()


def test_legend_of_a_plot_filters_the_page(new_page):
    page = new_page("measured/")
    page.locator(".zoo-figure [data-pick=pruning]").first.click()
    assert where(page).endswith("?family=pruning")
    assert button(page, "pruning").get_attribute("aria-pressed") == "true"


def test_everything_shows_without_javascript(new_page):
    page = new_page("measured/?family=pruning", javascript=False)
    assert page.locator(".zoo-together").count() == page.locator(".zoo-together:visible").count() > 3
    assert page.locator("button:visible").count() == 0
    assert page.locator(".zoo-figure svg.zoo-scatter:visible").count() > 3
    page.locator("summary").first.click()
    assert page.locator("details[open] table:visible").count() == 1


def test_downloads_are_those_of_the_files(new_page, site_folder):
    page = new_page("measured/")
    with page.expect_download() as got:
        page.get_by_role("link", name="All numbers as CSV").click()
    assert got.value.path().read_bytes() == (site_folder / "measured.csv").read_bytes()
    rows = json.loads((site_folder / "measured.json").read_text(encoding="utf-8"))["rows"]
    runs = 0
    for file in (ROOT / "catalog/measurements").rglob("*.json"):
        data = json.loads(file.read_text(encoding="utf-8"))
        runs += len(data["runs"])
        mine = [row for row in rows if (row["entry"], row["model"]) == (data["algorithm"], data["protocol"]["model"])]
        medians = [{name: value for name, value in run["median"].items() if value is not None} for run in data["runs"]]
        assert all({name: row["metrics"][name]["median"] for name in row["metrics"]} in medians for row in mine)
    assert len(rows) == runs


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_dots_stand_out_and_rows_open(new_page, scheme):
    page = new_page("measured/", scheme=scheme)
    fills = page.evaluate(
        "[...document.querySelectorAll('.zoo-scatter g.declared .shape')].map(e => getComputedStyle(e).fill)")
    assert len(set(fills)) > 3 and "none" not in fills
    page.locator("summary").first.click()
    assert page.locator("details[open] tr.zoo-row--declared").first.is_visible()


@pytest.mark.parametrize("path", ["measured/", "reported/", "surveys/"])
def test_wide_tables_fold_on_a_phone(new_page, path):
    """Nothing of them scrolls sideways, and each value stands under the name of its own column."""
    page = new_page(path, width=390, height=844)
    wrong = page.evaluate(r"""() => {
      for (const one of document.querySelectorAll("article details")) one.open = true;
      const letters = (text) => text.replace(/[^\p{L}]/gu, "").toLowerCase(), wrong = [];
      for (const table of document.querySelectorAll(".zoo-folds")) {
        const heads = [...table.tHead.rows[0].cells].map((cell) => letters(cell.textContent));
        if (table.parentElement.scrollWidth > table.parentElement.clientWidth) wrong.push(table.id + " is too wide");
        for (const cell of [...table.tBodies[0].rows[0].cells].slice(1)) {
          const name = letters(getComputedStyle(cell, "::before").content);
          if (!name || !heads[cell.cellIndex].startsWith(name)) wrong.push(`${name} for ${heads[cell.cellIndex]}`);
        }
      }
      return document.querySelector(".zoo-folds") ? wrong : ["no table"]; }""")
    assert wrong == []


# --- combinations, of a site of its own: the real catalog may have none -----------------------------------------------


@pytest.fixture(scope="module")
def combined(tmp_path_factory) -> Iterator[str]:
    """The address of a site with a heat map of twelve methods."""
    root = synthetic.write(tmp_path_factory.mktemp("combined"), hostile=False)
    names = ["plain", *(f"long-method-name-{i}" for i in range(11))]
    logs = {(): (3.0,) * 3} | {(name,): (3.1 + i / 50,) * 3 for i, name in enumerate(names)}
    pairs = list(permutations(names, 2))
    logs |= {pair: (3.2 + math.sin(i) / 2,) * 3 for i, pair in enumerate(pairs) if i % 5}
    refused = {pair: "It cannot be done, for a reason of some length." for i, pair in enumerate(pairs) if not i % 5}
    data = synthetic.combinations(logs, refused)
    (root / "catalog/combinations.json").write_text(json.dumps(data), encoding="utf-8")
    running = server(build(root).out)
    threading.Thread(target=running.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{running.server_port}/"
    running.shutdown()
    running.server_close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_heat_map_can_be_read_on_a_phone(browser, combined, watch, scheme):
    context = browser.new_context(viewport={"width": 390, "height": 844}, color_scheme=scheme)
    page = context.new_page()
    watch_page(page, combined, watch)
    page.goto(f"{combined}combinations/")
    page.wait_for_load_state("networkidle")
    assert page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth") <= 0
    box = page.locator(".zoo-heat-box")
    box.evaluate("e => { e.scrollLeft = e.scrollWidth }")
    head = page.locator(".zoo-heat tbody th").nth(3)  # the first column stays while the others scroll
    assert head.bounding_box()["x"] == pytest.approx(box.bounding_box()["x"], abs=4)
    assert page.locator(".zoo-heat td a").count() == 12 * 11
    assert min(page.evaluate(SIZES)) >= 12
    assert page.evaluate(CONTRAST) >= 4.5
    page.locator(".zoo-heat td.zoo-heat-refused a").last.click()
    row = page.locator("#all-pairs tr:target")
    assert "It cannot be done" in row.inner_text()
    context.close()
    assert watch.faults == []
