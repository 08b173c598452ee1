"""Citing in a browser: a filtered list as a file, chosen works together, records as they are copied from a page."""

from __future__ import annotations

import json
import re
from html import unescape
from pathlib import Path

import pytest

from catalog import citing, load
from catalog.bibliography import parse

pytestmark = pytest.mark.xdist_group("site")

SHOWN = "[...document.querySelectorAll('#works [data-work]')].filter(e => !e.hidden).map(e => e.dataset.work)"


@pytest.fixture(scope="module")
def catalog():
    return load()


def saved(page, form: str) -> tuple[str, str]:
    """Name and content of the file that the button of this form saves."""
    with page.expect_download() as waiting:
        page.locator(f"[data-cite-form='{form}']").click()
    return waiting.value.suggested_filename, Path(waiting.value.path()).read_text(encoding="utf-8")


def count(page) -> str:
    return page.locator("[data-cite]:not([hidden]) [data-cite-count]").inner_text()  # shown by its script


def test_a_filtered_list_is_saved_in_three_formats(new_page, catalog):
    page = new_page("bibliography/")
    assert count(page) == f"Cite the {len(catalog.bibliography)} shown:"
    page.get_by_role("searchbox", name="Filter").fill("lottery")
    keys = page.evaluate(SHOWN)
    assert 0 < len(keys) < 20 and count(page) == f"Cite the {len(keys)} shown:"
    works = [catalog.bibliography[key] for key in keys]
    for form, name in (("bib", "bibtex"), ("ris", "ris"), ("csl.json", "csl-json")):
        file, text = saved(page, form)
        assert file == f"works.{form}" and text == citing.format_all(works, name)


def test_the_whole_list_is_the_whole_bibliography(new_page, catalog):
    page = new_page("bibliography/")
    items = json.loads(saved(page, "csl.json")[1])
    assert len(items) == len(catalog.bibliography)
    assert sorted(items, key=lambda item: item["id"]) == json.loads(
        citing.format_all(catalog.bibliography.values(), "csl-json"))


def test_chosen_works_make_one_file_whatever_is_shown(new_page, catalog):
    page = new_page("bibliography/", width=390, height=844)
    box = page.get_by_role("searchbox", name="Filter")
    for key in ("frantar2023optq", "touvron2021training"):
        box.fill(key)
        page.get_by_role("checkbox", name=f"Choose {key} to cite").check()
    assert count(page) == "Cite the 2 chosen:"
    box.fill("nothing is called this")
    text = saved(page, "bib")[1]
    assert text == citing.format_all([catalog.bibliography[key] for key in ("frantar2023optq", "touvron2021training")],
                                     "bibtex")
    page.get_by_role("button", name="Choose none").click()
    assert count(page) == "Cite the 0 shown:"
    assert page.locator("[data-cite-form='bib']").is_disabled()
    assert page.get_by_role("button", name="Choose none").is_hidden()


def test_copied_with_the_keyboard(new_page, catalog):
    page = new_page("bibliography/", scheme="dark")
    page.get_by_role("searchbox", name="Filter").fill("sun2024simple")
    page.get_by_role("checkbox", name="Choose sun2024simple to cite").focus()
    page.keyboard.press("Space")
    page.get_by_role("button", name="Copy BibTeX").focus()
    page.keyboard.press("Enter")
    page.wait_for_function("document.querySelector('[data-cite-count]').textContent.startsWith('Copied')")
    copied = page.evaluate("navigator.clipboard.readText()")
    assert copied == citing.format(catalog.bibliography["sun2024simple"], "bibtex")


def test_entries_are_cited_by_their_papers(new_page, catalog):
    page = new_page("algorithms/")
    page.locator("[data-list-save] summary").click()
    papers = {entry.paper for entry in catalog.algorithms.values() if entry.paper}
    everything = f"Cite the {len(papers)} shown:"
    assert count(page) == everything
    page.get_by_role("searchbox", name="Filter").fill("wanda")
    page.wait_for_function(
        "all => document.querySelector('[data-cite-count]').textContent.trim() !== all", arg=everything
    )
    assert "@inproceedings{sun2024simple," in saved(page, "bib")[1]
    page.locator("tr#gptq .zoo-choose").dispatch_event("click")  # out of sight, and chosen
    page.locator("[data-list-save] summary").click()  # a click elsewhere has closed it
    page.get_by_text("Cite the 1 chosen:").wait_for()
    assert saved(page, "bib")[1].startswith("@inproceedings{frantar2023optq,")


def test_records_that_do_not_load_are_said_to(browser, address):
    context = browser.new_context()
    page = context.new_page()
    page.route("**/bibliography.bib", lambda route: route.fulfill(status=503, body=""))
    page.goto(f"{address}bibliography/")
    page.locator("[data-cite-form='bib']").click()
    page.wait_for_function("document.querySelector('[data-cite-count]').textContent.includes('503')")
    page.unroute("**/bibliography.bib")
    with page.expect_download():
        page.locator("[data-cite-form='bib']").click()
    context.close()


def test_without_script_there_are_files_and_no_dead_controls(new_page):
    page = new_page("bibliography/", javascript=False)
    assert page.locator("[data-cite]").is_hidden() and page.locator(".zoo-choose").count() == 0
    assert page.get_by_role("link", name="All as BibTeX").is_visible()


def test_what_is_copied_from_a_page_is_the_record(new_page, catalog):
    page = new_page("algorithms/gptq/")
    page.get_by_role("button", name="Copy BibTeX").first.click()
    assert page.evaluate("navigator.clipboard.readText()") + "\n" == citing.format(
        catalog.bibliography["frantar2023optq"], "bibtex")
    page.get_by_text("Cite this entry itself").click()
    own = page.locator("#bibtex-entry pre").inner_text()
    assert re.match(r"@misc\{compressionzoo\d{4}gptq,", own) and "version" in own
    assert parse(own)[1] == []


def test_every_record_of_the_real_site_reads_back(site_folder, catalog):
    """BibTeX -> model -> built page -> BibTeX, for every work: what stands in the page parses to the same record."""
    for key, work in catalog.bibliography.items():
        text = (site_folder / f"works/{key}/index.html").read_text(encoding="utf-8")
        inside = re.search(r'<div[^>]* id="bibtex"[^>]*>(.*?)</pre>', text, re.DOTALL)
        back, problems = parse(unescape(re.sub(r"<[^>]+>", "", inside[1])))
        assert problems == [] and back[key].type == work.type
        assert back[key].fields == parse(citing.format(work, "bibtex"))[0][key].fields
        assert (back[key].title, back[key].authors, back[key].arxiv) == (work.title, work.authors, work.arxiv)


def test_no_page_of_the_real_site_has_both_tags_and_spans(site_folder):
    seen = {"tags": 0, "spans": 0}
    for path in site_folder.rglob("*.html"):
        text = path.read_text(encoding="utf-8")
        tags, spans = '<meta name="citation_title"' in text, 'class="Z3988"' in text
        assert not (tags and spans), path
        seen["tags"] += tags
        seen["spans"] += spans
    assert seen["tags"] > 600 and seen["spans"] >= 12
