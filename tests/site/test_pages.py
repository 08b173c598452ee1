"""The real site in a browser: pages on phone and desktop, light and dark; copying; filters; without JavaScript."""

from __future__ import annotations

import re

import pytest

from catalog import load
from catalog.bibliography import library
from site_gen.build import ROOT
from tests.site.conftest import where

pytestmark = pytest.mark.xdist_group("site")

PAGES = (
    "", "algorithms/", "algorithms/gptq/", "algorithms/retnet/", "families/", "families/quantization/", "surveys/",
    "surveys/wang2024/", "surveys/park2024/", "crosswalk/", "bibliography/", "graph/", "measured/", "combinations/",
    "reported/", "works/xu2024besa/", "works/wang2024survey/", "vocabulary/", "cite/", "contribute/", "health/",
    "trends/", "frameworks/", "frameworks/vllm/", "benchmarks/", "metrics/",
)  # fmt: skip


@pytest.mark.parametrize("path", PAGES)
def test_page_fits_a_phone(new_page, path):
    """Nothing is wider than the screen; wide tables, code and formulas scroll inside their own box."""
    page = new_page(path, width=390, height=844)
    page.wait_for_load_state("networkidle")
    too_wide = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
    assert too_wide <= 0
    assert page.locator("h1:visible").count() == 1


@pytest.mark.parametrize("path", PAGES)
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_page_on_a_desktop(new_page, path, scheme):
    page = new_page(path, scheme=scheme)
    page.wait_for_load_state("networkidle")
    assert page.locator("h1:visible").count() == 1
    ground = page.evaluate("getComputedStyle(document.body).backgroundColor")
    lightness = sum(int(part) for part in re.findall(r"\d+", ground)[:3])
    assert lightness > 600 if scheme == "light" else lightness < 150


def test_switch_between_light_and_dark(new_page):
    page = new_page("algorithms/gptq/", scheme="dark")
    shown = []
    for _ in range(3):
        shown.append(page.evaluate("document.body.dataset.mdColorScheme"))
        page.locator("form[data-md-component=palette] label:visible").click()
    assert shown == ["slate", "default", "slate"]  # as the system has it, light, dark
    assert page.evaluate("document.body.dataset.mdColorScheme") == "slate"  # and back to the system


def test_copied_bibtex_reads_back(new_page):
    page = new_page("algorithms/gptq/")
    button = page.get_by_role("button", name="Copy BibTeX")
    button.click()
    button.filter(has_text="Copied").wait_for()  # the clipboard answers when it likes
    copied = page.evaluate("navigator.clipboard.readText()")
    (entry,) = library(copied).entries
    work = load().bibliography["frantar2023optq"]
    assert entry.key == "frantar2023optq"
    assert work.arxiv in copied and entry.fields_dict["year"].value.strip("{}") == str(work.year)
    assert "zoo_" not in copied


def test_copied_text_and_command(new_page):
    page = new_page("algorithms/gptq/")
    page.get_by_role("button", name="Copy as text").click()
    assert "Frantar" in page.evaluate("navigator.clipboard.readText()")
    page.get_by_role("button", name="Copy the command").first.click()
    assert page.evaluate("navigator.clipboard.readText()") == "compzoo run gptq"
    page.get_by_role("button", name="Copy the code").click()
    copied = page.evaluate("navigator.clipboard.readText()")
    assert copied.strip() == (ROOT / "reference_impls/quantization/gptq.py").read_text(encoding="utf-8").strip()


def test_equation_and_code_lead_to_each_other(new_page):
    page = new_page("algorithms/gptq/")
    page.locator(".zoo-equation figcaption a").first.click()
    line = where(page).partition("#")[2]
    assert re.fullmatch(r"L\d+", line)
    marked = page.locator(f"#{line}")
    assert marked.evaluate("element => element.matches(':target')")
    label = marked.locator("a.zoo-code-eq").first
    name = label.inner_text().strip("[]")
    label.click()
    assert where(page).endswith(f"#{name}")
    assert page.locator(f"#{name} .katex").count() > 0


def test_filter_of_the_bibliography(new_page):
    page = new_page("bibliography/")
    rows = page.locator("#works > li")
    total = rows.count()
    page.get_by_label("Filter").fill("frantar 2023")
    visible = page.locator("#works > li:not([hidden])")
    assert 0 < visible.count() < total
    assert all("frantar" in text.lower() for text in visible.all_inner_texts())
    page.get_by_label("Filter").fill("")
    assert page.locator("#works > li:not([hidden])").count() == total


def test_everything_essential_without_javascript(new_page):
    page = new_page("algorithms/gptq/", javascript=False)
    assert page.locator("#bibtex").inner_text().startswith("@inproceedings{frantar2023optq,")
    assert page.get_by_role("link", name="BibTeX").first.get_attribute("href") == "../gptq.bib"
    assert page.locator(".katex").count() > 3
    assert page.locator("button:visible").count() == 0  # nothing offers what would not work
    page.goto(where(page) + "../../graph/")
    assert page.locator("#graph-table tbody tr").count() > 400
    assert page.locator("input:visible").count() == 0


def test_unknown_address_gets_the_sites_own_page(new_page, watch):
    page = new_page("algorithms/no-such-thing/")
    assert page.locator("h1").inner_text() == "No such page"
    page.get_by_role("link", name="All algorithms").click()
    page.wait_for_url("**/algorithms/")
    watch.faults = [fault for fault in watch.faults if "404" not in fault]


def test_keyboard_reaches_the_scrolling_boxes(new_page):
    page = new_page("algorithms/gptq/", width=390, height=844)
    reachable = page.evaluate(
        "[...document.querySelectorAll('article *')].filter(e => e.scrollWidth > e.clientWidth + 1"
        " && ['auto', 'scroll'].includes(getComputedStyle(e).overflowX)"
        " && e.tabIndex < 0 && !e.closest('[tabindex]')).map(e => e.outerHTML.slice(0, 80))"
    )
    assert reachable == []
