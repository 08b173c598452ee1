"""The crosswalk in a browser: filter, sort, address, keyboard, downloads, and the whole table without JavaScript."""

from __future__ import annotations

import csv
import io
import json
import re
from pathlib import Path

import pytest

from tests.site.conftest import where

pytestmark = pytest.mark.xdist_group("site")

SHOWN = "[...document.querySelectorAll('#crosswalk tbody tr')].filter(r => !r.hidden).map(r => r.id)"
VALUES = """(place) => [...document.querySelectorAll('#crosswalk tbody tr')].filter(r => !r.hidden)
  .map(r => r.cells[place]).map(c => c.dataset.value ?? c.textContent.trim())"""


@pytest.fixture(scope="module")
def data(site_folder: Path) -> dict:
    return json.loads((site_folder / "crosswalk.json").read_text())


def identifier(row: dict) -> str:
    return row["key"] or row["entry"]


def wanted(data: dict, holds) -> list[str]:
    return [identifier(row) for row in data["rows"] if holds(row)]


def button(page, column: str):
    return page.locator(f"#crosswalk th[data-column={column}] button")


def families(row: dict) -> set[str]:
    ours = {node.partition("/")[0] for node in row["ours"]["nodes"]}
    return ours.union(*(survey["families"] for survey in row["surveys"].values()))


def test_the_whole_table_is_there_without_javascript(new_page, data):
    page = new_page("crosswalk/", javascript=False)
    assert page.locator("#crosswalk tbody tr:visible").count() == len(data["rows"]) > 400
    assert page.locator(".zoo-table-controls:visible, #crosswalk button").count() == 0
    assert page.get_by_role("link", name="All as CSV").is_visible()


FILTERS = {
    "text": ("input[data-filter-text]", "lora adapt", "q=lora+adapt", None),
    "survey and family": ("select[data-filter-by=survey]", "zhu2023.pruning", "survey=zhu2023.pruning",
                          lambda row: "pruning" in row["surveys"].get("zhu2023", {}).get("families", [])),
    "survey": ("select[data-filter-by=survey]", "zhu2023", "survey=zhu2023", lambda row: "zhu2023" in row["surveys"]),
    "absent": ("select[data-filter-by=absent]", "wang2024", "absent=wang2024",
               lambda row: "wang2024" not in row["surveys"]),
    "family": ("select[data-filter-by=family]", "experts", "family=experts", lambda row: "experts" in families(row)),
    "disagreements": ("input[value=disagree]", True, "mark=disagree", lambda row: row["disagreements"]),
    "with entry": ("input[value=entry]", True, "mark=entry", lambda row: row["entry"]),
    "algorithms": ("input[value=algorithm]", True, "mark=algorithm", lambda row: row["algorithm"]),
}  # fmt: skip


@pytest.mark.parametrize("name", FILTERS)
def test_filters_show_their_rows_and_stand_in_the_address(new_page, data, name):
    selector, value, address, holds = FILTERS[name]
    page = new_page("crosswalk/")
    control = page.locator(f".zoo-table-controls {selector}")
    if value is True:
        control.check()
    elif selector.startswith("select"):
        control.select_option(value)
    else:
        control.fill(value)
    shown = page.evaluate(SHOWN)
    if holds is None:
        rows = page.locator("#crosswalk tbody tr:visible").all_inner_texts()
        assert "hu2022lora" in shown and all("lora" in row.lower() and "adapt" in row.lower() for row in rows)
    else:
        assert shown == wanted(data, holds)
    assert 0 < len(shown) < len(data["rows"])
    assert where(page).endswith(f"/crosswalk/?{address}")
    assert page.locator("[data-table-count]").inner_text() == f"{len(shown)} of {len(data['rows'])}"
    page.reload()
    page.wait_for_function("!document.querySelector('.zoo-table-controls').hidden")
    assert page.evaluate(SHOWN) == shown
    assert (control.is_checked() if value is True else control.input_value() == value)
    page.get_by_role("button", name="Show all").click()
    assert page.evaluate(SHOWN) == wanted(data, lambda row: True) and where(page).endswith("/crosswalk/")
    assert not page.get_by_role("button", name="Show all").is_visible()


def test_filters_hold_together(new_page, data):
    page = new_page("crosswalk/?survey=wang2024&absent=zhu2023&family=dynamic&mark=algorithm,entry&sort=-year")
    page.locator("[data-table-count]", has_text=re.compile(r"\d")).wait_for()
    found = page.evaluate(SHOWN)
    assert set(found) == set(wanted(data, lambda row: "wang2024" in row["surveys"] and "zhu2023" not in row["surveys"]
                                    and "dynamic" in families(row) and row["algorithm"] and row["entry"]))
    years = [int(year) for year in page.evaluate(VALUES, 1)]
    assert found and years == sorted(years, reverse=True)
    assert button(page, "year").locator("..").get_attribute("aria-sort") == "descending"


def test_nonsense_in_the_address_changes_nothing(new_page, data):
    page = new_page("crosswalk/?survey=nobody&family=%3Cscript%3E&mark=x&sort=-nothing&q=")
    page.locator("[data-table-count]", has_text=re.compile(r"\d")).wait_for()
    assert page.evaluate(SHOWN) == wanted(data, lambda row: True)
    assert page.locator("#crosswalk [aria-sort]:not([aria-sort=none])").count() == 0


def test_every_column_sorts_up_down_and_back(new_page, data):
    page = new_page("crosswalk/")
    written = wanted(data, lambda row: True)
    heads = page.locator("#crosswalk th[data-column]")
    assert heads.count() == 9
    for place in range(heads.count()):
        column = heads.nth(place).get_attribute("data-column")
        number = heads.nth(place).get_attribute("data-sort") == "number"
        for down in (False, True):
            button(page, column).click()
            assert where(page).endswith(f"?sort={'-' if down else ''}{column}")
            values = page.evaluate(VALUES, place)
            filled = [value for value in values if value]
            assert values == filled + [""] * (len(values) - len(filled)), "nothing comes last, either way"
            if number:
                assert [int(value) for value in filled] == sorted(map(int, filled), reverse=down)
            else:
                fold = page.evaluate("(v) => v.toSorted(new Intl.Collator('en', {sensitivity: 'base', "
                                     "numeric: true}).compare)", filled)
                assert filled == (fold if not down else filled) and (not down or filled[0] != fold[0])
        button(page, column).click()
        assert page.evaluate(SHOWN) == written and where(page).endswith("/crosswalk/")


def test_it_works_from_the_keyboard(new_page, data):
    page = new_page("crosswalk/")
    page.locator("input[data-filter-text]").focus()
    for _ in range(4):
        page.keyboard.press("Tab")
    page.keyboard.press("Space")  # the box of disagreements
    assert page.evaluate(SHOWN) == wanted(data, lambda row: row["disagreements"])
    button(page, "work").focus()
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    years = page.evaluate(VALUES, 1)
    assert years == sorted(years) and len(years) > 1
    assert page.evaluate("document.activeElement.closest('th').dataset.column") == "year"
    page.get_by_role("button", name="Show all").press("Enter")
    assert page.evaluate("document.activeElement.matches('input[data-filter-text]')")


def test_disagreeing_cells_stand_out(new_page, data):
    page = new_page("crosswalk/?mark=disagree")
    page.locator("[data-table-count]", has_text=re.compile(r"\d")).wait_for()
    disputed = [row for row in data["rows"] if row["disagreements"]]
    assert page.locator("#crosswalk tbody tr:visible").count() == len(disputed) >= 5
    sides = {(identifier(row), side) for row in disputed for one in row["disagreements"] for side in one["between"]}
    assert page.locator("#crosswalk td.zoo-party").count() == len(sides)
    ground = "e => getComputedStyle(e).backgroundColor"
    assert page.locator("td.zoo-party").first.evaluate(ground) != page.locator("td.zoo-number").first.evaluate(ground)


def test_downloads_hold_every_row_and_the_saved_ones_those_that_are_shown(new_page, data):
    page = new_page("crosswalk/?mark=entry&sort=-year")
    page.locator("[data-table-count]", has_text=re.compile(r"\d")).wait_for()
    with page.expect_download() as waiting:
        page.get_by_role("link", name="All as CSV").click()
    table = list(csv.DictReader(io.StringIO(Path(waiting.value.path()).read_text())))
    assert [row["key"] or row["entry"] for row in table] == wanted(data, lambda row: True)
    with page.expect_download() as waiting:
        page.get_by_role("button", name="Save these rows").click()
    assert waiting.value.suggested_filename == "crosswalk-shown.csv"
    saved = list(csv.DictReader(io.StringIO(Path(waiting.value.path()).read_text())))
    assert [row["work"] for row in saved] == page.evaluate(VALUES, 0)
    assert [row["wang2024"] for row in saved] == page.evaluate(VALUES, page.locator(
        "#crosswalk th[data-column=wang2024]").evaluate("e => e.cellIndex"))
    assert 0 < len(saved) < len(data["rows"])


def test_heads_and_names_stay_in_sight(new_page):
    page = new_page("crosswalk/")
    box = page.locator(".zoo-scroll--tall")
    top = page.locator("#crosswalk thead th").first.bounding_box()
    box.evaluate("e => { e.scrollTop = 3000; e.scrollLeft = 200; }")
    page.wait_for_function("document.querySelector('.zoo-scroll--tall').scrollTop > 2000")
    now = page.locator("#crosswalk thead th").first.bounding_box()
    assert abs(now["y"] - top["y"]) < 2 and abs(now["x"] - top["x"]) < 2


def test_counts_of_the_surveys_page_lead_to_their_rows(new_page):
    page = new_page("surveys/")
    link = page.locator("#families-table a[href*='survey=zhu2023.pruning']")
    number = int(link.inner_text())
    link.click()
    page.locator("[data-table-count]", has_text="of").wait_for()
    assert page.locator("#crosswalk tbody tr:visible").count() == number > 3


def test_coverage_sorts_above_its_sum_and_sections_close(new_page):
    page = new_page("surveys/wang2024/")
    page.locator("#coverage-table th button", has_text="Measured").click()
    assert where(page).endswith("?sort=measured")
    assert page.locator("#coverage-table tfoot tr:visible").count() == 1
    section = page.locator(".zoo-tree details.zoo-section").first
    assert section.get_attribute("open") is not None
    section.locator("> summary").click()
    assert section.get_attribute("open") is None
