"""The matrix of support in a browser: filters, heads that stay in sight, where a cell leads, no JavaScript."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.site.conftest import where

pytestmark = pytest.mark.xdist_group("site")

SHOWN = "[...document.querySelectorAll('#support-matrix tbody tr')].filter(r => !r.hidden).map(r => r.id)"


@pytest.fixture(scope="module")
def support(site_folder: Path) -> dict[str, set[str]]:
    """Algorithm -> the frameworks that support it."""
    found: dict[str, set[str]] = {}
    for framework in json.loads((site_folder / "frameworks.json").read_text())["frameworks"]:
        for one in framework["supports"]:
            found.setdefault(one["algorithm"], set()).add(framework["id"])
    return found


def test_the_whole_matrix_is_there_without_javascript(new_page, support):
    page = new_page("frameworks/", javascript=False)
    assert page.locator("#support-matrix tbody tr:visible").count() == len(support) > 40
    assert page.locator("#support-matrix .zoo-cell").count() == sum(map(len, support.values())) > 150
    assert page.locator(".zoo-table-controls:visible").count() == 0


def test_a_framework_chosen_leaves_what_it_supports_and_stands_in_the_address(new_page, support):
    page = new_page("frameworks/")
    page.select_option("[data-table-controls='#support-matrix'] [data-filter-by=framework]", "vllm")
    assert {row.removeprefix("support-") for row in page.evaluate(SHOWN)} == {
        algorithm for algorithm, frameworks in support.items() if "vllm" in frameworks}
    again = new_page(where(page).split("/", 3)[3])
    again.locator("[data-table-controls='#support-matrix'] [data-table-count]", has_text="of").wait_for()
    assert again.evaluate(SHOWN) == page.evaluate(SHOWN)
    page.locator("[data-table-controls='#support-matrix'] [data-table-reset]").click()
    assert len(page.evaluate(SHOWN)) == len(support)


@pytest.mark.parametrize("width", [390, 820])
def test_the_heads_of_rows_and_columns_stay_in_sight(new_page, width):
    page = new_page("frameworks/", width=width, height=800)
    places = """() => { const box = document.querySelector('#support-matrix').parentElement;
      box.scrollIntoView(); box.scrollTo(box.scrollWidth, box.scrollHeight);
      const edge = box.getBoundingClientRect();
      const heads = [...document.querySelectorAll('#support-matrix thead th')].slice(-1)[0].getBoundingClientRect();
      const names = document.querySelector('#support-matrix tbody tr:last-child th').getBoundingClientRect();
      return [box.scrollTop, box.scrollLeft, heads.top - edge.top, names.left - edge.left]; }"""
    down, right, top, left = page.evaluate(places)
    assert down > 0 and right > 0, "the matrix is larger than its box"
    assert abs(top) < 3 and abs(left) < 3


def test_a_cell_leads_to_what_the_source_says(new_page):
    page = new_page("frameworks/")
    page.locator("#support-gptq .zoo-cell[href*='vllm/']").click()
    page.wait_for_url("**/frameworks/vllm/#gptq")
    row = page.locator("#supported tr#gptq")
    assert row.is_visible() and "seen 20" in row.inner_text()
    assert row.locator("a[href^='https://']").count() == 1
