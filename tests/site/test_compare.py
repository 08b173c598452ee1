"""The comparison in a browser: choosing, the address, what is equal and what differs, numbers, code, records."""

from __future__ import annotations

import json
import re
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest

from catalog import citing, load
from site_gen.enrich.reported import differing, parts, reported_numbers
from tests.site.conftest import where

pytestmark = pytest.mark.xdist_group("site")

TRIO = "compare/?a=gptq&a=awq&a=wanda"


@pytest.fixture(scope="module")
def catalog():
    return load()


@pytest.fixture(scope="module")
def data(site_folder):
    """compare.json of an entry."""
    return lambda name: json.loads((site_folder / f"algorithms/{name}/compare.json").read_text(encoding="utf-8"))


def ready(page, *names: str):
    """Waits until these stand side by side; returns the page."""
    page.get_by_role("status").filter(has_text=", ".join(names)).first.wait_for()
    return page


def asked(page) -> dict[str, list[str]]:
    return parse_qs(urlsplit(where(page)).query)


def heads(page) -> list[str]:
    return page.locator("#zoo-compare-facts thead .zoo-compare__name").all_inner_texts()


def options(page):
    return page.get_by_role("listbox", name="Entries").get_by_role("option")


def wide(page) -> bool:
    return page.evaluate("document.documentElement.scrollWidth <= innerWidth")


# --- choosing ---------------------------------------------------------------------------------------------------------


def test_chosen_by_name_with_the_keyboard_and_taken_back(new_page):
    page = new_page("compare/")
    box = page.get_by_role("combobox", name="Add an entry by name")
    assert page.get_by_role("heading", name="Good to begin with").is_visible()
    box.focus()
    page.keyboard.type("gtpq")  # a slip
    options(page).filter(has_text="GPTQ").first.wait_for()
    page.keyboard.press("Enter")
    page.get_by_text("Only GPTQ is chosen").wait_for()
    assert asked(page) == {"a": ["gptq"]} and page.locator("#begin").is_hidden()
    page.keyboard.type("activation-aware weight")  # an alias; the box has kept the focus
    options(page).filter(has_text="AWQ").first.wait_for()
    page.keyboard.press("Enter")
    ready(page, "GPTQ", "AWQ")
    assert asked(page) == {"a": ["gptq", "awq"]} and heads(page) == ["GPTQ", "AWQ"]
    assert page.title().startswith("GPTQ, AWQ")
    page.go_back()
    page.get_by_text("Only GPTQ is chosen").wait_for()
    page.go_back()
    page.get_by_role("heading", name="Good to begin with").wait_for()
    page.go_forward()
    page.go_forward()
    assert heads(ready(page, "GPTQ", "AWQ")) == ["GPTQ", "AWQ"]


def test_an_empty_box_offers_what_belongs_to_the_chosen(new_page, data):
    page = ready(new_page("compare/?a=gptq"), "GPTQ")
    page.get_by_role("combobox", name="Add an entry by name").focus()
    options(page).first.wait_for()
    partners = data("gptq")["partners"]
    assert options(page).locator("strong").all_inner_texts() == [one["name"] for one in partners]
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    ready(page, "GPTQ", partners[1]["name"])
    assert asked(page)["a"] == ["gptq", partners[1]["id"]]
    page.keyboard.type(partners[1]["name"])
    page.locator(".zoo-chooser__status", has_text=f"{partners[1]['name']} is chosen already.").wait_for()
    page.get_by_role("combobox", name="Add an entry by name").fill("xyzzy")
    page.locator(".zoo-chooser__status", has_text="No entry is called “xyzzy”.").wait_for()


def test_moved_and_removed(new_page):
    page = ready(new_page(TRIO), "GPTQ", "AWQ", "Wanda")
    right = page.get_by_role("button", name="Move GPTQ to the right")
    right.focus()
    page.keyboard.press("Enter")
    ready(page, "AWQ", "GPTQ", "Wanda")
    assert asked(page)["a"] == heads_ids(page) == ["awq", "gptq", "wanda"]
    page.keyboard.press("Enter")  # the same button, still in focus
    ready(page, "AWQ", "Wanda", "GPTQ")
    assert page.get_by_role("button", name="Move GPTQ to the right").is_disabled()
    page.get_by_role("button", name="Remove Wanda").click()
    ready(page, "AWQ", "GPTQ")
    assert asked(page)["a"] == ["awq", "gptq"]
    page.get_by_role("button", name="Remove all").click()
    page.get_by_role("heading", name="Good to begin with").wait_for()
    assert "?" not in where(page)


def heads_ids(page) -> list[str]:
    links = page.locator("#zoo-compare-facts thead .zoo-compare__name")
    return [link.get_attribute("href").split("/")[-2] for link in links.all()]


def test_four_at_most_and_it_says_so(new_page):
    page = ready(new_page("compare/?a=gptq&a=awq&a=gptq&a=wanda&a=sparsegpt&a=mamba"),
                 "GPTQ", "AWQ", "Wanda", "SparseGPT")
    assert "left out: mamba" in page.locator(".zoo-compare__troubles").inner_text()
    box = page.get_by_role("combobox", name="Add an entry by name")
    assert box.is_disabled() and "remove one first" in box.get_attribute("placeholder")


def test_links_lead_here(new_page):
    page = new_page("algorithms/gptq/")
    page.locator(".zoo-compare-with a").first.click()
    page.wait_for_url("**/compare/?a=gptq&a=*")
    assert heads_ids(ready(page, "GPTQ"))[0] == "gptq" and len(heads(page)) == 2
    page.goto(where(page).partition("?")[0])
    page.locator("[data-compare]").first.click()
    page.get_by_role("heading", name="What ties them").wait_for()


# --- facts ------------------------------------------------------------------------------------------------------------


def test_rows_that_differ_are_marked_and_can_stand_alone(new_page, data):
    tokens = [{row["key"]: row["token"] for row in data(name)["rows"]} for name in ("gptq", "awq", "wanda")]
    texts = {key for one in tokens for key, token in one.items() if token is None}
    keys = {key for one in tokens for key in one} - texts
    differ = {key for key in keys if len({one.get(key) for one in tokens}) > 1}
    page = ready(new_page(TRIO), "GPTQ", "AWQ", "Wanda")
    rows = "#zoo-compare-facts tbody tr"
    marked = page.eval_on_selector_all(f"{rows}.zoo-differs", "rows => rows.map(row => row.dataset.row)")
    assert set(marked) == differ and {"structure", "bits"} <= differ
    assert "not stated" in page.locator("tr[data-row='bits'] td").last.inner_text()
    only = page.get_by_role("checkbox", name="Only differences")
    only.focus()
    page.keyboard.press("Space")
    shown = page.eval_on_selector_all(rows, "rows => rows.map(row => row.dataset.row)")
    assert set(shown) == differ | texts and asked(page)["only"] == ["1"]
    controls = page.locator("#facts ~ .zoo-table-controls").first
    assert f"{len(keys - differ)} rows in which all agree are hidden" in controls.inner_text()
    page.reload()
    assert ready(page, "GPTQ").get_by_role("checkbox", name="Only differences").is_checked()


def test_ties(new_page):
    page = ready(new_page("compare/?a=sparsegpt&a=wanda"), "SparseGPT", "Wanda")
    ties = page.locator(".zoo-compare__ties").inner_text()
    assert "of one family, Pruning" in ties or "of one group" in ties
    assert "SparseGPT is an alternative to Wanda" in ties or "Wanda is an alternative to SparseGPT" in ties
    assert "The paper of Wanda cites that of SparseGPT." in ties
    page = ready(new_page("compare/?a=wanda&a=mamba"), "Wanda", "Mamba")
    ties = page.locator(".zoo-compare__ties").inner_text()
    assert "different families" in ties and "No relation is declared between Wanda and Mamba." in ties
    assert re.search(r"No citation is known between the papers of Wanda and Mamba\. .*list.*list", ties)
    page = ready(new_page("compare/?a=wanda&a=sparsegpt&a=gptq"), "Wanda", "SparseGPT")
    assert "The paper of Wanda cites those of SparseGPT and GPTQ." in page.locator(".zoo-compare__ties").inner_text()


# --- numbers ----------------------------------------------------------------------------------------------------------


def test_measured_under_one_protocol_at_a_time(new_page, data):
    page = ready(new_page(TRIO), "GPTQ", "AWQ", "Wanda")
    sections = {name: {one["id"]: one for one in data(name)["measured"]["sections"]}
                for name in ("gptq", "awq", "wanda")}
    shared = set.intersection(*map(set, sections.values()))
    select = page.get_by_role("combobox", name="Protocol")
    options = select.locator("option").evaluate_all("all => all.map(one => one.value)")
    assert shared <= set(options) and options[0] == "language-1-s"
    for protocol in ("language-1-s", "language-large-1-smollm2"):
        if protocol != options[0]:
            select.select_option(protocol)
            assert asked(page)["on"] == [protocol]
        here = [sections[name][protocol] for name in sections]
        dots = [len(one["plots"]["bits_per_weight"]["dots"]) for one in here]
        assert dots == [len(one["rows"]) for one in here]
        for place, count in enumerate(dots):
            assert page.locator(f"#zoo-compare-measured g.dot[data-nth='{place}']").count() == count
        cells = page.locator("#zoo-compare-measured .zoo-numbers td").all_inner_texts()
        for one in here:
            for row in one["rows"]:
                assert any(cell.split("\n")[0].strip() == row["cells"]["perplexity"][0] for cell in cells)
    page.reload()
    assert ready(page, "GPTQ").get_by_role("combobox", name="Protocol").input_value() == "language-large-1-smollm2"


def test_what_is_not_drawn_says_why(new_page, data):
    mamba = data("mamba")["measured"]["says"]
    assert mamba.startswith("measured under Small models")
    page = ready(new_page("compare/?a=gptq&a=mamba&a=awq"), "GPTQ", "Mamba", "AWQ")
    said = page.locator("#zoo-compare-measured").inner_text()
    assert f"Not in this plot: Mamba, {mamba}." in said
    assert page.locator("#zoo-compare-measured g.dot[data-nth='1']").count() == 0
    assert page.locator("#zoo-compare-measured g.dot[data-nth='2']").count() > 0  # AWQ keeps the mark of its column
    page = ready(new_page("compare/?a=gptq&a=mamba"), "GPTQ", "Mamba")
    said = page.locator("#zoo-compare-measured").inner_text()
    assert said.startswith("No two of them were measured under one protocol") and f"Mamba is {mamba}" in said
    assert page.locator("#zoo-compare-measured svg").count() == 0


def test_pairs_that_were_measured_together(new_page, catalog):
    page = ready(new_page("compare/?a=awq&a=wanda"), "AWQ", "Wanda")
    rows = page.locator("#combined ~ div table").first.locator("tbody th").all_inner_texts()
    known = [run.methods for run in catalog.combinations.runs if sorted(run.methods) == ["awq", "wanda"]]
    assert len(rows) == len(known) > 0
    assert {row.partition(" (")[0] for row in rows} <= {"AWQ, then Wanda", "Wanda, then AWQ"}


def test_reported_numbers_stand_in_one_row_only_under_one_protocol(new_page, catalog, data):
    names = ("magnitude-pruning", "wanda")
    page = ready(new_page("compare/?" + "&".join(f"a={name}" for name in names)), "Wanda")
    loaded = [data(name)["reported"] for name in names]
    common = set(loaded[0]["groups"]) & set(loaded[1]["groups"])
    beside = page.locator("#reported ~ div .zoo-compare__reported:not(.zoo-compare__apart)").first
    assert beside.locator("tbody tr:has(td)").count() == len(common) > 5
    values = [line["value"] for one in loaded for line in one["lines"] if line["group"] in common]
    assert sorted(beside.locator("td strong").all_inner_texts()) == sorted(values)
    links = beside.locator("th a[href*='reported/#']").evaluate_all("all => all.map(one => one.hash.slice(1))")
    assert sorted(links) == sorted(common)


def test_reasons_are_those_of_the_build(new_page, catalog):
    """Which numbers cannot be compared, and in what they differ, for every pair of numbers of two entries."""
    works = {key: type("Work", (), {"family": None}) for key in [*catalog.bibliography, *catalog.algorithms]}
    found = reported_numbers(catalog, {}, works)
    one, other = (found.of(catalog.algorithms[name].paper) for name in ("gptq", "awq"))
    wanted = []
    for mine, its in ((one, other), (other, one)):
        for line in mine:
            subject = (line.record.metric, line.record.dataset, line.record.model)
            facing = [o for o in its if (o.record.metric, o.record.dataset, o.record.model) == subject]
            group = found.group_of.get(line.number)
            if facing and not any(group and found.group_of.get(o.number) is group for o in its):
                wanted.append(min((differing(parts(line, found), parts(o, found)) for o in facing), key=len))
    page = ready(new_page("compare/?a=gptq&a=awq"), "GPTQ", "AWQ")
    page.locator("#reported ~ div details").first.evaluate("one => one.open = true")
    shown = page.locator(".zoo-compare__apart .zoo-compare__value small:last-child").all_inner_texts()
    told = sorted("; ".join(f"{label} {here} in both" if here == there else f"{label} {here} / {there}"
                            for label, here, there in differs) for differs in wanted)
    assert sorted(text.partition(": ")[2] for text in shown) == told and len(told) >= 3


# --- code and records -------------------------------------------------------------------------------------------------


def test_code_side_by_side_scrolled_together(new_page, site_folder):
    page = ready(new_page("compare/?a=gptq&a=awq"), "GPTQ", "AWQ")
    page.get_by_role("button", name="Show the code side by side").click()
    listings = page.locator(".zoo-compare__panels pre")
    listings.nth(1).locator(".zoo-line").first.wait_for()
    listings.nth(0).locator(".zoo-line").first.wait_for()
    for place, name in enumerate(("gptq", "awq")):
        text = Path(f"reference_impls/quantization/{name}.py").read_text(encoding="utf-8").rstrip("\n")
        assert listings.nth(place).locator("code").text_content().rstrip("\n").split("\n") == text.split("\n")
    ids = page.evaluate("[...document.querySelectorAll('[id]')].map(element => element.id)")
    assert len(ids) == len(set(ids))
    first, second = listings.nth(0), listings.nth(1)
    top = "box => box.scrollTop"
    first.hover()
    page.mouse.wheel(0, 300)
    page.wait_for_function("document.querySelector('.zoo-compare__panels pre').scrollTop > 100")
    assert second.evaluate(top) == 0
    page.get_by_role("checkbox", name="Scroll together").check()
    first.hover()
    page.mouse.wheel(0, 200)
    page.wait_for_function("document.querySelectorAll('.zoo-compare__panels pre')[1].scrollTop > 50")
    link = page.locator(".zoo-compare__panels .zoo-code-eq").first.get_attribute("href")
    assert link.startswith("../algorithms/gptq/#eq-")


def test_code_stands_in_tabs_on_a_phone(new_page):
    page = ready(new_page(TRIO, width=390, height=844, scheme="dark"), "GPTQ", "AWQ", "Wanda")
    page.get_by_role("button", name="Show the code side by side").click()
    tabs = page.get_by_role("tab")
    assert tabs.all_inner_texts() == ["GPTQ", "AWQ", "Wanda"]
    assert page.get_by_role("tabpanel").count() == 1
    tabs.first.focus()
    page.keyboard.press("ArrowRight")
    assert page.evaluate("document.activeElement.textContent") == "AWQ"
    panel = page.get_by_role("tabpanel", name="AWQ")
    panel.locator(".zoo-line").first.wait_for()
    assert page.get_by_role("tabpanel").count() == 1 and panel.is_visible() and wide(page)


def test_all_are_cited_together(new_page, catalog):
    page = ready(new_page("compare/?a=gptq&a=awq&a=rtn"), "GPTQ", "AWQ")
    keys = [catalog.algorithms[name].paper for name in ("gptq", "awq")]
    assert page.locator("[data-cite-count]").inner_text() == "Cite the 2 shown:"
    for form, name in (("bib", "bibtex"), ("ris", "ris"), ("csl.json", "csl-json")):
        with page.expect_download() as waiting:
            page.locator(f"[data-cite-form='{form}']").click()
        text = Path(waiting.value.path()).read_text(encoding="utf-8")
        assert text == citing.format_all([catalog.bibliography[key] for key in keys], name)
    page.get_by_role("button", name="Copy as text").click()
    page.get_by_text("Copied.").wait_for()
    copied = page.evaluate("navigator.clipboard.readText()")
    assert copied.split("\n") == [citing.format(catalog.bibliography[key], "text").strip() for key in keys]
    assert "has no paper" in page.locator("#cite ~ p").last.inner_text()
    assert page.locator("a[href$='algorithms/rtn.entry.bib']").is_visible()


# --- where something is missing ---------------------------------------------------------------------------------------


def test_unknown_entries_and_failures_are_said_in_words(browser, address):
    context = browser.new_context()
    page = context.new_page()
    page.goto(f"{address}compare/?a=gtpq&a=awq")
    note = page.locator(".zoo-compare__troubles")
    note.get_by_role("link", name="GPTQ").wait_for()
    assert "There is no entry “gtpq”. Perhaps" in note.inner_text() and heads(page) == ["AWQ"]
    note.get_by_role("link", name="GPTQ").click()
    ready(page, "GPTQ", "AWQ")
    page.route("**/algorithms/wanda/compare.json", lambda route: route.fulfill(status=503, body=""))
    page.goto(f"{address}compare/?a=wanda&a=awq")
    note.get_by_role("button", name="Try again").wait_for()
    assert "wanda could not be loaded (the server answered 503)" in note.inner_text()
    page.unroute("**/algorithms/wanda/compare.json")
    note.get_by_role("button", name="Try again").click()
    ready(page, "Wanda", "AWQ")
    assert note.inner_text() == ""
    page.goto(f"{address}compare/?a=../gptq&a=awq")
    note.get_by_text("There is no entry").wait_for()
    context.close()


def test_without_script_the_pairs_are_there_and_nothing_is_dead(new_page):
    page = new_page("compare/", javascript=False)
    assert page.locator("noscript .zoo-note").is_visible()
    assert page.locator("#zoo-compare").is_hidden() and page.locator("[data-compare]:visible").count() == 0
    assert page.locator(".zoo-compare-cards a[href='../algorithms/gptq/']").count() >= 1
    page.locator("#pairs ~ details summary").first.click()
    assert page.locator(".zoo-compare-list li").first.is_visible()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_four_on_a_phone(new_page, scheme):
    four = "compare/?a=magnitude-pruning&a=mamba&a=wanda&a=sparsegpt"
    page = ready(new_page(four, width=390, height=844, scheme=scheme), "Magnitude pruning", "Mamba")
    assert page.locator("#zoo-compare-facts .katex").count()  # whose hidden text must not widen the page
    assert wide(page)
    facts = page.locator("#zoo-compare-facts")
    pressed = facts.locator(".zoo-sight [aria-pressed='true']")
    assert heads(page)[:2] == pressed.all_inner_texts() == ["Magnitude pruning", "Mamba"]  # two of the four
    agree = page.locator("#facts + p [role=status]")
    equal = facts.locator("tbody tr:not(.zoo-differs, .zoo-compare__texts)").count()
    assert agree.inner_text().split()[0] == str(equal)  # of these two
    facts.get_by_role("button", name="SparseGPT").press("Enter")
    assert pressed.all_inner_texts() == ["Magnitude pruning", "SparseGPT"]  # in the place of the one asked for first
    assert page.evaluate("document.activeElement.textContent") == "SparseGPT"
    assert asked(page)["see"] == ["sparsegpt", "magnitude-pruning"]
    assert facts.locator("thead th[data-nth='3']").count() == 1  # the mark it has among all
    pressed = page.locator(".zoo-sight [aria-pressed='true']").all_text_contents()
    assert set(pressed) == {"Magnitude pruning", "SparseGPT"}
    page.set_viewport_size({"width": 820, "height": 900})
    page.wait_for_function("document.querySelectorAll('#zoo-compare-facts thead th[data-nth]').length === 4")
    assert page.locator(".zoo-sight").count() == 0 and wide(page)
    page.evaluate("scrollTo(0, 1200)")
    head, bar = (page.locator(one).first.bounding_box() for one in ("#zoo-compare-facts thead", ".md-header"))
    assert abs(head["y"] - bar["y"] - bar["height"]) < 4  # heads stay under the page's
