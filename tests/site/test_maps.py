"""The maps in a browser: labels whole and apart in the real fonts, zoom with the address, lines, notes, no script."""

from __future__ import annotations

import re

import pytest

from tests.site.conftest import where

pytestmark = pytest.mark.xdist_group("site")

# Labels that show, but for slanted ones, whose boxes say little; pairs that touch; labels that stick out of the box.
LABELS = """(box) => {
  const edge = box.getBoundingClientRect();
  const texts = [...box.querySelectorAll('svg text:not([transform])')].filter((t) => t.getClientRects().length);
  const rects = texts.map((t) => [t.getBoundingClientRect(), t.textContent, parseFloat(getComputedStyle(t).fontSize)]);
  const touching = [], outside = [], small = [];
  rects.forEach(([a, name, size], i) => {
    if (a.left < edge.left - 1 || a.right > edge.right + 1 || a.bottom > edge.bottom + 1) outside.push(name);
    if (size < 11) small.push(name);
    for (const [b, other] of rects.slice(i + 1)) {
      if (a.left + 1 < b.right && b.left + 1 < a.right && a.top + 3 < b.bottom && b.top + 3 < a.bottom)
        touching.push([name, other]);
    }
  });
  return {count: texts.length, touching, outside, small};
}"""
# Labels of cells that leave their cell.
LEAVING = """(box) => [...box.querySelectorAll('.zoo-treemap text.name')].filter((t) => t.getClientRects().length)
  .filter((t) => {
    const text = t.getBoundingClientRect();
    const cell = [...t.parentElement.querySelectorAll('rect')].map((r) => r.getBoundingClientRect());
    return !cell.some((c) => text.left >= c.left - 0.5 && text.right <= c.right + 0.5 && text.bottom <= c.bottom + 1);
  }).map((t) => t.textContent)"""


def shown_link(page, family: str):
    return page.locator(f'[data-map-overview] [data-zoom="{family}"]:visible')


@pytest.mark.parametrize(("width", "scheme"), [(390, "light"), (820, "dark"), (1440, "light")])
def test_labels_are_whole_and_apart_and_the_page_does_not_move_sideways(new_page, width, scheme):
    page = new_page("maps/", width=width, scheme=scheme)
    page.evaluate("document.fonts.ready")
    page.locator("details.zoo-map-part").evaluate_all("all => all.forEach((one) => { one.open = true; })")
    seen = 0
    boxes = page.locator(".zoo-map-box")
    for place in range(boxes.count()):
        found = boxes.nth(place).evaluate(LABELS)
        assert found["touching"] == [] and found["outside"] == [] and found["small"] == [], place
        assert boxes.nth(place).evaluate(LEAVING) == []
        seen += found["count"]
    assert seen > 500
    assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_a_family_opens_in_place_and_the_address_and_back_follow(new_page):
    page = new_page("maps/?show=entries")
    assert page.locator('input[value="entries"]').is_checked()
    shown_link(page, "pruning").locator("text.head").click()
    stage = page.locator("[data-map-stage]")
    assert where(page).endswith("/maps/?show=entries&map=pruning")
    assert stage.get_by_role("link", name=re.compile("^Wanda, ")).is_visible()
    assert not page.locator("[data-map-overview]").is_visible()
    assert page.locator("[data-map-name]").inner_text() == "Pruning"
    assert page.evaluate("document.activeElement.matches('[data-map-name]')")
    page.go_back()
    page.locator("[data-map-overview]").wait_for()
    assert not stage.is_visible() and where(page).endswith("/maps/?show=entries")
    page.go_forward()
    stage.wait_for()
    page.keyboard.press("Tab")
    page.keyboard.press("Escape")
    page.locator("[data-map-overview]").wait_for()
    assert "map=" not in where(page)
    assert page.evaluate("document.activeElement.dataset.zoom") == "pruning"
    # What was taken out of the tree is in it again.
    assert page.locator('[data-map-part="pruning"] .zoo-treemap').count() == 4


def test_an_address_opens_its_family_and_an_unknown_one_all(new_page):
    page = new_page("maps/?map=low-rank")
    page.locator("[data-map-stage]").wait_for()
    page.locator("[data-map-stage]").get_by_role("link", name=re.compile("^FWSVD, ")).click()
    page.wait_for_url("**/algorithms/fwsvd/")
    page = new_page("maps/?map=%3Cscript%3E&show=x&lines=nothing")
    assert page.locator("[data-map-overview]").is_visible() and not page.locator("[data-map-stage]").is_visible()
    assert page.locator('.zoo-map-switch input[value="known"]').is_checked()


def test_the_switch_hides_what_has_no_entry(new_page):
    page = new_page("maps/?map=quantization")
    stage = page.locator("[data-map-stage]")
    stage.wait_for()
    missing = stage.locator("a.missing:visible")
    entries = stage.locator("a.entry:visible").count()
    assert missing.count() > 20 and entries > 20
    page.locator('.zoo-map-switch input[value="entries"]').check()
    assert missing.count() == 0 and stage.locator("a.entry:visible").count() == entries
    assert where(page).endswith("show=entries")
    page.locator('.zoo-map-switch input[value="known"]').check()
    assert missing.count() > 20 and where(page).endswith("/maps/?map=quantization")


def test_the_keyboard_goes_in_and_notes_follow_the_focus(new_page):
    page = new_page("maps/")
    shown_link(page, "dynamic").focus()
    page.keyboard.press("Shift+Tab")
    page.keyboard.press("Tab")
    note = page.locator(".zoo-map-note")
    assert note.inner_text().startswith("Dynamic: 5 entries")
    page.keyboard.press("Enter")
    page.locator("[data-map-stage]").wait_for()
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.closest('[data-map-stage]') !== null")
    assert note.inner_text().startswith("Early exit: ")
    page.locator("[data-map-stage] a.missing:visible").first.hover()
    assert note.inner_text().endswith("no entry yet")
    assert page.locator(".zoo-map-box svg title").count() == 0  # one note, not two


def test_lines_are_chosen_for_all_lineages_and_stand_in_the_address(new_page):
    page = new_page("maps/")
    figure = page.locator('[data-lineage][data-family="quantization"]')
    cites, builds = figure.locator(".tie.cites"), figure.locator(".tie.builds-on")
    assert cites.count() > 20 and not cites.first.is_visible() and figure.locator("g.builds-on:visible").count() > 5
    figure.get_by_label("cites").check()
    assert figure.locator(".tie.cites:visible").count() > 20
    assert where(page).endswith("/maps/?lines=builds_on,cites,special_case_of")
    other = page.locator('[data-lineage][data-family="pruning"]')
    assert other.get_by_label("cites").is_checked() and other.locator(".tie.cites:visible").count() > 2
    figure.get_by_label("builds on").uncheck()
    assert figure.locator("g.builds-on:visible").count() == 0 and builds.count() > 5
    page.reload()
    page.locator(".zoo-map-note").wait_for(state="attached")
    assert figure.get_by_label("cites").is_checked() and not figure.get_by_label("builds on").is_checked()
    figure.get_by_label("cites").uncheck()
    figure.get_by_label("builds on").check()
    assert where(page).endswith("/maps/")


def test_a_method_shows_its_own_ties_of_every_kind(new_page):
    page = new_page("families/quantization/")
    picture = page.locator(".zoo-lineage")
    page.locator(".zoo-map-note").wait_for(state="attached")
    picture.locator('[data-row="gptq"]').focus()
    assert "is-chosen" in picture.get_attribute("class")
    near = picture.locator("a.is-near").evaluate_all("all => all.map((one) => one.dataset.row)")
    assert {"gptq", "obq", "awq"} <= set(near) and "binarybert" not in near
    ties = picture.locator(".tie.is-near")
    assert ties.evaluate_all("all => all.every((one) => one.dataset.ends.split(' ').includes('gptq'))")
    assert picture.locator(".tie.alternative-to.is-near").first.is_visible()  # though that kind is switched off
    page.keyboard.press("Tab")
    assert "gptq" not in picture.locator("a:focus").get_attribute("data-row")


def test_all_of_it_is_there_without_a_script(new_page):
    page = new_page("maps/", javascript=False, width=390, height=844)
    assert not page.locator(".zoo-map-way").is_visible()
    shown_link(page, "pruning").locator("text.head").click()
    assert where_without_script(page) == "#map-pruning"
    part = page.locator('[data-map-part="pruning"]')
    assert part.get_by_role("link", name=re.compile("^Wanda, ")).is_visible()  # the link opened the details
    tree = page.locator("details.zoo-map-part", has=part).locator(".zoo-map-tree")
    assert tree.get_by_role("link", name="Wanda", exact=True).is_visible()
    page.locator('.zoo-map-switch input[value="entries"]').check()
    assert part.locator("a.missing:visible").count() == 0 and tree.locator(".missing:visible").count() == 0
    figure = page.locator('[data-lineage][data-family="pruning"]')
    figure.get_by_label("cites").check()
    assert figure.locator(".tie.cites:visible").count() > 2
    figure.locator("summary").click()
    row = figure.get_by_role("row", name=re.compile("^SparseGPT"))
    assert re.search(r"builds on .*OBQ", row.inner_text()) and row.get_by_role("link", name="OBQ").first.is_visible()


def where_without_script(page) -> str:
    return "#" + page.url.partition("#")[2]


def test_a_cell_of_the_matrix_leads_to_its_rows(new_page):
    page = new_page("crosswalk/", width=390, height=844)
    cell = page.locator(".zoo-flows--narrow a.apart").first
    assert "≠" in cell.text_content()
    says = cell.get_attribute("aria-label")
    cell.click()
    page.locator("#crosswalk tbody tr:visible").first.wait_for()
    page.wait_for_url("**mark=disagree**")
    page.locator("[data-table-count]", has_text=re.compile(r"\d")).wait_for()
    shown = page.locator("#crosswalk tbody tr:visible").count()
    count = int(re.search(r"; (\d+) of them", says).group(1))
    assert count <= shown < 12
