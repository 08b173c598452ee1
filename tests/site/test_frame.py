"""The frame around every page: title in the header, list of sections, menu of small screens, folded parts, colours."""

from __future__ import annotations

import pytest

from tests.site.conftest import where

pytestmark = pytest.mark.xdist_group("site")

ACTIVE = ".md-sidebar--secondary .md-nav__link--active"


def test_title_goes_to_the_header_when_it_has_left(new_page):
    page = new_page("algorithms/gptq/", height=700)
    title = page.locator(".md-header__title")
    assert "md-header__title--active" not in title.get_attribute("class")
    page.locator("#relations").scroll_into_view_if_needed()
    page.locator(".md-header__title.md-header__title--active").wait_for()
    page.evaluate("scrollTo(0, 0)")
    page.locator(".md-header__title:not(.md-header__title--active)").wait_for()


def test_list_of_sections_follows_the_reader(new_page):
    page = new_page("algorithms/gptq/", height=500)
    assert page.locator(ACTIVE).count() == 0
    links = page.locator(".md-sidebar--secondary a.md-nav__link")
    for name in ("Idea", "Software for real use"):
        links.filter(has_text=name).click()
        page.locator(f"{ACTIVE}[aria-current=location]", has_text=name).wait_for()
        assert page.locator(ACTIVE).count() == 1
        box, link = page.locator(".md-sidebar--secondary .md-sidebar__scrollwrap"), page.locator(ACTIVE)
        outer, inner = box.bounding_box(), link.bounding_box()
        assert outer["y"] - 1 <= inner["y"] and inner["y"] + inner["height"] <= outer["y"] + outer["height"] + 1
        header = page.locator(".md-header").bounding_box()
        assert outer["y"] >= header["y"] + header["height"] - 1  # the header does not cover it
        assert outer["y"] + outer["height"] <= 500
    assert page.locator(".md-sidebar--secondary .md-nav__link--passed").count() > 5


def test_menu_of_small_screens_by_keyboard(new_page):
    page = new_page("algorithms/gptq/", width=390, height=844)
    opener = page.get_by_role("button", name="Menu")
    menu = page.locator(".md-sidebar--primary")
    assert opener.get_attribute("aria-expanded") == "false"
    opener.focus()
    page.keyboard.press("Enter")
    assert opener.get_attribute("aria-expanded") == "true"
    page.wait_for_function("document.querySelector('.md-sidebar--primary').getBoundingClientRect().left >= 0")
    page.keyboard.press("Escape")
    assert opener.get_attribute("aria-expanded") == "false"
    assert opener.evaluate("element => element === document.activeElement")
    page.wait_for_function("document.querySelector('.md-sidebar--primary').getBoundingClientRect().right <= 0")
    page.wait_for_function("getComputedStyle(document.querySelector('.md-sidebar--primary')).visibility === 'hidden'")
    assert menu.get_by_role("link", name="Home").count() == 0  # the keyboard does not get lost in a closed menu
    opener.click()
    pages = menu.get_by_role("button", name="Pages of Literature")
    assert pages.get_attribute("aria-expanded") == "false"
    pages.focus()
    page.keyboard.press("Enter")
    assert pages.get_attribute("aria-expanded") == "true"
    menu.get_by_role("link", name="Surveys").click()
    page.wait_for_url("**/surveys/")


def test_address_opens_what_it_points_into(new_page):
    page = new_page("algorithms/gptq/#bibtex-entry")
    assert page.locator("#bibtex-entry").is_visible()
    page = new_page("algorithms/gptq/")
    assert page.locator("#bibtex-entry").is_hidden()
    page.evaluate("location.hash = '#bibtex-entry'")
    page.locator("#bibtex-entry").wait_for(state="visible")
    assert where(page).endswith("#bibtex-entry")


def test_folded_parts_are_open_on_paper_only(new_page):
    page = new_page("algorithms/gptq/")
    folded = page.locator("article details:not([open])")
    before = folded.count()
    assert before > 2
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    assert folded.count() == 0
    page.evaluate("dispatchEvent(new Event('afterprint'))")
    assert folded.count() == before


def test_choice_of_colours_is_kept_and_painted_first(new_page):
    """Before any script of the site has run, the page has the colours of the last choice."""
    page = new_page("", scheme="light")
    for _ in range(2):
        page.locator("form[data-md-component=palette] label:visible").click()
    assert page.evaluate("document.body.dataset.mdColorScheme") == "slate"
    page.route("**/zoo.js", lambda route: route.fulfill(body="", content_type="text/javascript"))
    page.reload()
    assert page.evaluate("document.body.dataset.mdColorScheme") == "slate"
    assert page.evaluate("document.documentElement.className") == "no-js"  # the script did not run


@pytest.mark.parametrize(("scheme", "wanted"), [("dark", "slate"), ("light", "default")])
def test_first_visit_has_the_colours_of_the_system(new_page, scheme, wanted):
    page = new_page("", scheme=scheme)
    assert page.evaluate("document.body.dataset.mdColorScheme") == wanted
    page.emulate_media(color_scheme="light" if scheme == "dark" else "dark")
    page.wait_for_function(f"document.body.dataset.mdColorScheme !== '{wanted}'")


@pytest.mark.parametrize("path", ["algorithms/gptq/", "compare/?a=gptq&a=awq&a=quip", "frameworks/", "graph/"])
def test_paper_is_light_and_holds_all_columns(new_page, path):
    page = new_page(path, width=703, scheme="dark")  # A4 less its margins
    page.wait_for_load_state("networkidle")
    page.emulate_media(media="print")
    assert page.evaluate("getComputedStyle(document.querySelector('h1')).color") == "rgb(28, 31, 38)"
    wide = "all => all.filter((one) => one.getBoundingClientRect().right > 704).map((one) => one.outerHTML)"
    assert page.locator("main :is(td, th, pre, svg)").evaluate_all(wide) == []
    shut = "all => all.filter((one) => one.clientHeight < 1.5 * one.firstElementChild.clientHeight).length"
    assert page.locator("main details:not([open])").evaluate_all(shut) == 0  # nobody can open them
