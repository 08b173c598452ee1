"""The catalog page in a browser: facets, counts, address, history, order, cards, files, keyboard, phone, no script."""

from __future__ import annotations

import csv
import io
import json
import random
import re
from pathlib import Path
from urllib.parse import parse_qs, quote, urlsplit

import pytest

from tests.site.conftest import watch_page, where

pytestmark = pytest.mark.xdist_group("site")

SHOWN = "[...document.querySelectorAll('#zoo-entries tbody:not([hidden]) tr')].map(e => e.id)"
COUNTS = """Object.fromEntries([...document.querySelectorAll('details[data-facet]')].map(facet => [facet.dataset.facet,
  Object.fromEntries([...facet.querySelectorAll('li[data-value]')].map(
    item => [item.dataset.value, Number(item.querySelector('.zoo-facet__count').textContent)]))]))"""
YEARS = """Object.fromEntries([...document.querySelectorAll('.zoo-years__bars button')].map(
  bar => bar.getAttribute('aria-label').split(': ')).map(([year, count]) => [year, Number(count)]))"""
GO = "query => { history.pushState(null, '', '?' + query); dispatchEvent(new PopStateEvent('popstate')); }"
SHIFT = """() => new Promise(done => {
  let sum = 0;
  new PerformanceObserver(list => { for (const entry of list.getEntries()) sum += entry.value; })
    .observe({ type: 'layout-shift', buffered: true });
  requestAnimationFrame(() => requestAnimationFrame(() => setTimeout(() => done(sum), 50)));
})"""


@pytest.fixture(scope="module")
def data(site_folder) -> dict:
    return json.loads((site_folder / "assets/zoo/entries.json").read_text(encoding="utf-8"))


def values(row: dict, facet: str) -> set[str]:
    """What a row of entries.json has of a facet, told anew from its fields."""
    if facet == "family":
        nodes = [f"{row['family']}/{row['group']}", *row["also_in"]]
        return {*nodes, *(node.partition("/")[0] for node in nodes)}
    if facet == "bits":
        return {*row["bits"], *(f"{what}-{width:g}" for what, found in row["bits"].items() for width in found)}
    if facet == "uses_gradients":
        return {"yes" if row["facts"][facet] else "no"}
    if facet == "year":
        return {str(row["year"])}
    if facet == "survey":
        return set(row["surveys"]) or {"none"}
    if facet == "code":
        official, libraries = row["code"]["official"], row["code"]["libraries"]
        return {name for name, there in (("official", official), ("library", libraries)) if there} or {"none"}
    found = row[facet] if facet in row else row["facts"][facet]
    return set(found) if isinstance(found, list) else {found}


def fits(row: dict, facet: str, wanted: set[str]) -> bool:
    """Any of the values within a facet; a wider value gives way to narrower ones."""
    def wider(value: str) -> str:
        return value.rpartition({"family": "/", "bits": "-"}[facet])[0] if facet in ("family", "bits") else ""

    narrowed = {wider(value) for value in wanted} - {""}
    return bool(values(row, facet) & (wanted - narrowed))


def expected(data: dict, chosen: dict[str, set[str]], but: str = "") -> list[str]:
    return [row["id"] for row in data["entries"]
            if all(fits(row, facet, wanted) for facet, wanted in chosen.items() if facet != but)]


def ready(page):
    page.locator("[data-list][data-ready]").wait_for()
    return page


def tick(page, facet: str, value: str) -> None:
    section = page.locator(f"details[data-facet='{facet}']")
    if section.get_attribute("open") is None:
        section.locator("summary").click()
    section.locator(f"li[data-value='{value}'] input").click()


def told(page) -> str:
    return page.locator("[data-list-count]").inner_text()


# --- choosing ---------------------------------------------------------------------------------------------------------


def test_rows_and_counts_follow_what_is_chosen(new_page, data):
    """Random selections against the same rule told in Python: rows, and every count without its own facet."""
    draw = random.Random(5)
    facets = {facet["id"]: [value["id"] for value in facet["values"]] for facet in data["facets"]}
    page = ready(new_page("algorithms/"))
    some = 0
    for turn in range(9):
        base = draw.choice(data["entries"])  # so that something is left most of the time
        names = draw.sample([name for name in facets if name != "year"], 1 + turn % 3)
        chosen = {name: {*draw.sample(sorted(values(base, name)) or facets[name], 1),
                         *draw.sample(facets[name], min(len(facets[name]), turn % 3))} for name in names}
        query = "&".join(f"{name}={quote(','.join(sorted(found)))}" for name, found in chosen.items())
        page.evaluate(GO, query)
        shown = expected(data, chosen)
        some += bool(shown)
        assert page.evaluate(SHOWN) == shown, query
        counts = page.evaluate(COUNTS)
        for name, known in facets.items():
            others = set(expected(data, chosen, but=name))
            rows = [row for row in data["entries"] if row["id"] in others]
            wanted = {value: sum(value in values(row, name) for row in rows) for value in known}
            assert (page.evaluate(YEARS) if name == "year" else counts[name]) == wanted, (query, name)
    assert some >= 5


def test_any_of_within_a_facet_all_of_between(new_page, data):
    page = ready(new_page("algorithms/"))
    total = len(data["entries"])
    assert told(page) == f"{total} algorithms"
    tick(page, "data", "none")
    one = expected(data, {"data": {"none"}})
    assert 0 < len(one) < total and page.evaluate(SHOWN) == one
    assert told(page) == f"{len(one)} of {total} algorithms"
    tick(page, "data", "calibration")
    two = expected(data, {"data": {"none", "calibration"}})
    assert len(two) > len(one) and page.evaluate(SHOWN) == two
    tick(page, "training", "none")
    three = expected(data, {"data": {"none", "calibration"}, "training": {"none"}})
    assert len(three) < len(two) and page.evaluate(SHOWN) == three
    assert page.locator("[data-list-count]").get_attribute("role") == "status"


def test_values_that_nothing_has_stay_in_grey(new_page, data):
    page = ready(new_page("algorithms/?family=execution"))
    facet = page.locator("details[data-facet=compresses]")
    assert facet.locator("li").count() == 10
    grey, black = facet.locator("li[data-none] label").first, facet.locator("li:not([data-none]) label").first
    assert grey.is_visible() and facet.locator("li[data-none] .zoo-facet__count").first.inner_text() == "0"
    colours = [one.evaluate("e => getComputedStyle(e).color") for one in (grey, black)]
    assert colours[0] != colours[1]


def test_a_group_narrows_its_family(new_page, data):
    page = ready(new_page("algorithms/"))
    tick(page, "family", "quantization")
    family = expected(data, {"family": {"quantization"}})
    assert page.evaluate(SHOWN) == family
    page.get_by_role("button", name="Groups of Quantization").click()
    tick(page, "family", "quantization/outlier-smoothing")
    group = expected(data, {"family": {"quantization/outlier-smoothing"}})
    assert 0 < len(group) < len(family) and page.evaluate(SHOWN) == group
    box = page.locator("li[data-value=quantization] input")
    assert box.evaluate("e => e.indeterminate") and not box.is_checked()
    assert parse_qs(urlsplit(where(page)).query)["family"] == ["quantization/outlier-smoothing"]
    tick(page, "family", "quantization")  # the whole family again
    assert page.evaluate(SHOWN) == family
    page.evaluate(GO, "family=quantization,quantization/outlier-smoothing")  # as nobody but an address can say it
    assert page.evaluate(SHOWN) == group


def test_an_entry_is_found_in_its_further_family(new_page, data):
    qlora = next(row for row in data["entries"] if row["id"] == "qlora")
    assert qlora["family"] == "quantization" and "adaptation/mergeable-updates" in qlora["also_in"]
    page = ready(new_page("algorithms/?family=adaptation"))
    assert "qlora" in page.evaluate(SHOWN)
    assert "also Adaptation" in page.locator("tr#qlora").inner_text()


def test_range_of_years(new_page, data):
    page = ready(new_page("algorithms/"))
    page.locator("details[data-facet=year] summary").click()
    first, last = (page.locator(".zoo-years select").nth(i) for i in (0, 1))
    first.select_option("2020")
    last.select_option("2021")
    wanted = [row["id"] for row in data["entries"] if 2020 <= row["year"] <= 2021]
    assert wanted and page.evaluate(SHOWN) == wanted
    assert where(page).endswith("?year=2020-2021")
    assert sum(page.evaluate(YEARS).values()) == len(data["entries"])  # its counts do not follow itself
    first.select_option("2023")  # beyond the other end: turned round
    assert where(page).endswith("?year=2021-2023")
    page.locator(".zoo-years__bars button[value='2022']").click()
    assert where(page).endswith("?year=2022")
    page.goto(where(page).partition("?")[0] + "?year=1900-1910")
    assert ready(page).evaluate(SHOWN) == []


def test_words_in_the_box(new_page, data):
    page = ready(new_page("algorithms/"))
    box = page.get_by_role("searchbox", name="Filter by text")
    before = page.evaluate("history.length")
    whole = next(row for row in data["entries"] if row["id"] == "gptq")["summary"]
    row = page.locator("tr#gptq").text_content()
    word = next(word for word in re.findall(r"[a-z]{5,}", whole) if word not in row)  # the page has a summary's opening
    box.fill(f"gptq {word}")
    page.wait_for_function(f"({SHOWN}).includes('gptq')")
    assert len(page.evaluate(SHOWN)) < 5
    assert page.evaluate("history.length") == before  # typing is no step of the history
    assert parse_qs(urlsplit(where(page)).query)["q"] == [f"gptq {word}"]
    box.fill("GPTQ dequantizing")
    assert "gptq" in page.evaluate(SHOWN)
    page.reload()
    assert "gptq" in ready(page).evaluate(SHOWN) and box.input_value() == "GPTQ dequantizing"


def test_nothing_fits_and_the_way_out(new_page, data):
    page = ready(new_page("algorithms/?family=execution&stage=from-scratch&q=attention"))
    without = {name: expected(data, {key: {value} for key, value in
                                     (("family", "execution"), ("stage", "from-scratch")) if key != name})
               for name in ("family", "stage")}
    assert page.get_by_text("No algorithm fits all of this.").is_visible()
    assert page.locator("#zoo-entries tbody tr:visible").count() == 0
    offers = page.locator("[data-list-none] button").all_inner_texts()
    assert offers and all(not offer.startswith("0") for offer in offers)
    page.get_by_role("button", name="without Family").click()
    shown = page.evaluate(SHOWN)
    assert shown and set(shown) <= set(without["family"])
    assert offers[[o.endswith("Family") for o in offers].index(True)] == f"{len(shown)} without Family"


def test_a_long_list_is_put_in_place_in_pieces(browser, address, site_folder, data, watch):
    """Twenty-five copies of each row: more than are placed at once; choices that come before the rest is in place."""
    html = (site_folder / "algorithms/index.html").read_text(encoding="utf-8")
    start, end = html.index("<tbody"), html.rindex("</tbody>")
    rows = re.findall(r'<tr id=".*?</tr>', html[start:end], re.DOTALL)
    assert len(rows) == len(data["entries"])
    many = "".join(row.replace('<tr id="', f'<tr id="{n}--', 1) for n in range(25) for row in rows)
    context = browser.new_context()
    page = context.new_page()
    watch_page(page, address, watch)
    body = f'{html[:start]}<tbody style="--rows: 1">{many}{html[end:]}'
    page.route(f"{address}algorithms/*", lambda route: route.fulfill(body=body, content_type="text/html"))
    page.goto(f"{address}algorithms/?sort=-name")
    ready(page)

    def wanted(chosen: dict) -> list[str]:
        return [f"{n}--{one}" for n in range(25) for one in expected(data, chosen)]

    def shows(ids: list[str]) -> None:
        page.wait_for_function(f"ids => ({SHOWN}).join() === ids.join()", arg=ids)
        ids = page.evaluate("[...document.querySelectorAll('#zoo-entries tr[id]')].map(e => e.id)")
        assert len(ids) == len(set(ids)) == 25 * len(rows)  # none is lost, none is there twice

    shows(wanted({})[::-1])
    page.get_by_role("button", name="Last first").click()
    shows(wanted({}))
    tick(page, "compresses", "weights")
    shows(wanted({"compresses": {"weights"}}))
    page.evaluate("""() => {  // two choices at once: the first has not been put in place when the second comes
      const box = value => document.querySelector(`details[data-facet=compresses] li[data-value='${value}'] input`);
      box('weights').click();
      box('attention').click();
    }""")
    left = wanted({"compresses": {"attention"}})
    shows(left)
    assert told(page) == f"{len(left)} of {25 * len(rows):,} algorithms"
    page.locator("[data-list-save] summary").click()
    papers = {row["paper"] for row in data["entries"] if "attention" in row["facts"]["compresses"]} - {None}
    page.get_by_text(f"Cite the {len(papers)} shown:").wait_for()
    context.close()
    assert watch.faults == []


# --- the address ------------------------------------------------------------------------------------------------------


def test_back_and_forward_and_a_shared_address(new_page, data):
    page = ready(new_page("algorithms/"))
    everything = page.evaluate(SHOWN)
    tick(page, "data", "none")
    first, address = page.evaluate(SHOWN), where(page)
    tick(page, "scale", "large")
    second = page.evaluate(SHOWN)
    assert len(everything) > len(first) > len(second)
    page.go_back()
    page.wait_for_function(f"({SHOWN}).length === {len(first)}")
    assert page.evaluate(SHOWN) == first and where(page) == address
    assert not page.locator("details[data-facet=scale] li[data-value=large] input").is_checked()
    page.go_back()
    page.wait_for_function(f"({SHOWN}).length === {len(everything)}")
    assert "?" not in where(page)
    page.go_forward()
    page.wait_for_function(f"({SHOWN}).length === {len(first)}")
    other = ready(new_page(address.partition("/algorithms/")[1].lstrip("/") + address.partition("/algorithms/")[2]))
    assert other.evaluate(SHOWN) == first
    assert other.locator("details[data-facet=data] li[data-value=none] input").is_checked()
    assert told(other) == told(page)


def test_chips_take_away_what_they_name(new_page, data):
    page = ready(new_page("algorithms/?data=none,calibration&bits=weights-4&year=2022-&q=weights&sort=-year&utm=x"))
    chips = page.get_by_role("list", name="Chosen filters")
    assert chips.get_by_role("listitem").all_inner_texts() == [
        "“weights”", "Data: none", "Data: calibration", "weights: 4 bits", "Year: from 2022", "Clear all"]
    page.get_by_role("button", name="Remove Data: none").click()
    assert parse_qs(urlsplit(where(page)).query)["data"] == ["calibration"]
    assert page.evaluate("document.activeElement.textContent") == "Data: calibration"  # the next one has the focus
    page.get_by_role("button", name="Clear all").click()
    assert parse_qs(urlsplit(where(page)).query) == {"sort": ["-year"], "utm": ["x"]}  # order and what is not ours stay
    assert len(page.evaluate(SHOWN)) == len(data["entries"])
    assert page.evaluate("document.activeElement.type") == "search" and chips.get_by_role("listitem").count() == 0


def test_what_nobody_knows_in_the_address_does_no_harm(new_page, data):
    bad = quote("<img src=x onerror=window.pwned=1>")
    names = "&".join(f"{name}={bad}" for name in ("family", "sort", "view", "year", "chosen", "q"))
    page = ready(new_page(f"algorithms/?data=none,{bad}&{names}"))
    assert page.evaluate("window.pwned") is None
    chips = page.get_by_role("list", name="Chosen filters").get_by_role("listitem").all_inner_texts()
    assert chips[1:] == ["Data: none", "Clear all"]
    assert page.locator("[data-list-tray]").is_hidden()
    page.get_by_role("searchbox", name="Filter by text").fill("")
    assert page.evaluate(SHOWN) == expected(data, {"data": {"none"}})


# --- order and view ---------------------------------------------------------------------------------------------------


def test_order_by_any_column(new_page, data):
    page = ready(new_page("algorithms/"))
    written = page.evaluate(SHOWN)
    years = {row["id"]: row["year"] for row in data["entries"]}
    head = page.get_by_role("columnheader", name="Year")
    head.get_by_role("button").click()
    newest = page.evaluate(SHOWN)
    assert [years[one] for one in newest] == sorted(years.values(), reverse=True)
    assert newest == sorted(written, key=lambda one: -years[one])  # equal years keep the order of names
    assert head.get_attribute("aria-sort") == "descending" and where(page).endswith("?sort=-year")
    head.get_by_role("button").click()
    assert page.evaluate(SHOWN) == sorted(written, key=lambda one: years[one])
    head.get_by_role("button").click()
    assert page.evaluate(SHOWN) == written and head.get_attribute("aria-sort") == "none"
    page.get_by_label("Sort").select_option("bits")
    bits = {row["id"]: row["bits"] for row in data["entries"]}
    order = page.evaluate(SHOWN)
    having = [bool(bits[one]) for one in order]
    assert having == sorted(having, reverse=True)  # what has no bits comes last
    least = [min(bits[one]["weights"]) for one in order if bits[one].get("weights")]
    assert least == sorted(least) and least[0] < least[-1]
    page.get_by_role("button", name="Last first").click()
    having = [bool(bits[one]) for one in page.evaluate(SHOWN)]
    assert having == sorted(having, reverse=True) and where(page).endswith("?sort=-bits")
    for facet in ("data", "training"):  # in the order of the vocabulary: from none to full
        page.get_by_label("Sort").select_option(facet)
        known = [v["id"] for f in data["facets"] if f["id"] == facet for v in f["values"]]
        rows = {row["id"]: row["facts"][facet] for row in data["entries"]}
        places = [known.index(rows[one]) for one in page.evaluate(SHOWN)]
        assert places == sorted(places)


def test_cards_and_table(new_page):
    page = ready(new_page("algorithms/"))
    row = page.locator("tr#gptq")
    assert page.get_by_role("radio", name="Table").is_checked() and row.locator("th p").is_hidden()
    page.locator("label", has=page.get_by_role("radio", name="Cards")).click()
    assert row.locator("th p").is_visible() and where(page).endswith("?view=cards")
    columns = page.evaluate("new Set([...document.querySelectorAll('#zoo-entries tbody tr')].map("
                            "e => Math.round(e.getBoundingClientRect().left))).size")
    assert columns >= 3
    ends = page.evaluate("""[...document.querySelectorAll('#zoo-entries tbody tr')].map((e) =>
      [e.getBoundingClientRect().top,
       ...[3, 10, 11].map((n) => e.querySelector(`td:nth-child(${n})`).getBoundingClientRect().bottom)]
      .map(Math.round))""")
    for line in {top for top, *_ in ends}:  # facts of neighbours end on one line, however long the texts
        assert len({tuple(rest[1:]) for top, *rest in ends if top == line}) == 1
    page.go_back()
    page.wait_for_function("document.documentElement.dataset.zooView === 'table'")
    small = ready(new_page("algorithms/", width=390, height=844))
    assert small.locator("tr#gptq th p").is_visible() and small.get_by_role("radio", name="Cards").is_checked()
    assert "view" not in where(small)
    assert ready(new_page("algorithms/?view=table", width=390, height=844)).locator("tr#gptq th p").is_hidden()


# --- what is picked, and files ----------------------------------------------------------------------------------------


def saved(page, name: str) -> str:
    page.locator("[data-list-save]").evaluate("e => e.open = true")
    with page.expect_download() as download:
        page.locator(f"[data-list-file={name}]").click()
    assert download.value.suggested_filename == f"algorithms.{name}"
    return Path(download.value.path()).read_bytes().decode("utf-8")


def test_files_hold_what_is_shown_in_its_order(new_page, data):
    page = ready(new_page("algorithms/?data=none&sort=-year"))
    shown = page.evaluate(SHOWN)
    assert 1 < len(shown) < len(data["entries"])
    got = json.loads(saved(page, "json"))
    by_id = {row["id"]: row for row in data["entries"]}
    assert got["address"] == where(page) and got["entries"] == [by_id[one] for one in shown]
    rows = list(csv.DictReader(io.StringIO(saved(page, "csv"))))
    assert [row["id"] for row in rows] == shown
    first, entry = rows[0], by_id[shown[0]]
    assert first["summary"] == entry["summary"] and first["data"] == "none"
    assert first["address"].endswith(f"/{entry['address']}") and first["address"].startswith("http")
    assert first["compresses"] == "; ".join(entry["facts"]["compresses"])
    widths = {what: " ".join(f"{width:g}" for width in found) for what, found in entry["bits"].items()}
    assert first["bits"] == "; ".join(f"{what}: {found}" for what, found in widths.items())


def test_choose_two_to_four_to_compare(new_page):
    page = ready(new_page("algorithms/?data=calibration"))
    tray = page.get_by_role("region", name="Chosen algorithms")
    assert tray.is_hidden()
    for name in ("GPTQ", "AWQ"):
        page.get_by_role("checkbox", name=f"Choose {name}", exact=True).check()
        assert tray.get_by_role("link").count() == (name == "AWQ")
    link = tray.get_by_role("link", name="Compare 2")
    assert link.get_attribute("href") == "../compare/?a=gptq&a=awq"
    assert parse_qs(urlsplit(where(page)).query) == {"data": ["calibration"], "chosen": ["gptq,awq"]}
    tick(page, "family", "pruning")  # what is chosen stays, though it is out of sight
    assert tray.get_by_role("link", name="Compare 2").is_visible()
    for name in ("Wanda", "SparseGPT"):
        page.get_by_role("checkbox", name=f"Choose {name}", exact=True).check()
    assert tray.get_by_role("link").get_attribute("href") == "../compare/?a=gptq&a=awq&a=wanda&a=sparsegpt"
    page.get_by_role("checkbox", name="Choose FLAP", exact=True).check()
    assert tray.get_by_role("link").count() == 0 and "Up to 4" in tray.inner_text()
    tray.get_by_role("button", name="Do not choose AWQ").click()
    assert tray.get_by_role("link", name="Compare 4").is_visible()
    assert len(json.loads(saved(page, "json"))["entries"]) == 4  # files hold what is chosen
    page.reload()
    assert ready(page).get_by_role("checkbox", name="Choose FLAP", exact=True).is_checked()
    page.get_by_role("region", name="Chosen algorithms").get_by_role("button", name="Choose none").click()
    assert tray.is_hidden() and "chosen" not in where(page)


# --- other ways to use it ---------------------------------------------------------------------------------------------


def test_with_the_keyboard_alone(new_page, data):
    page = ready(new_page("algorithms/"))
    page.locator("details[data-facet=stage] summary").focus()
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")  # the link to the meanings
    assert page.evaluate("document.activeElement.getAttribute('href')") == "../vocabulary/#stage"
    page.keyboard.press("Tab")
    page.keyboard.press("Space")
    assert page.evaluate(SHOWN) == expected(data, {"stage": {"post-training"}})
    assert page.evaluate("document.activeElement.matches(':focus-visible')")
    page.get_by_role("radio", name="Table").focus()
    page.keyboard.press("ArrowLeft")
    assert parse_qs(urlsplit(where(page)).query)["view"] == ["cards"]
    page.get_by_role("checkbox", name="Choose GPTQ", exact=True).focus()
    page.keyboard.press("Space")
    page.get_by_role("button", name="Do not choose GPTQ").focus()
    page.keyboard.press("Enter")
    assert "chosen" not in where(page)
    page.locator("[data-list-save] summary").focus()
    page.keyboard.press("Enter")
    assert page.locator("[data-list-file=csv]").is_visible()
    page.keyboard.press("Escape")
    assert page.locator("[data-list-file=csv]").is_hidden()
    assert page.evaluate("document.activeElement.tagName") == "SUMMARY"


def test_on_a_phone_the_facets_are_in_a_drawer(new_page, data):
    page = ready(new_page("algorithms/", width=390, height=844, scheme="dark"))
    assert page.locator("[data-list-facets]").is_hidden()
    top = page.locator("tr#albert").bounding_box()["y"]
    opener = page.get_by_role("button", name="Filters")
    opener.click()
    drawer = page.get_by_role("dialog", name="Filters")
    tick(page, "data", "none")
    left = expected(data, {"data": {"none"}})
    assert drawer.get_by_role("button", name=f"Show {len(left)} algorithms").is_visible()
    drawer.get_by_role("button", name=f"Show {len(left)} algorithms").click()
    assert drawer.is_hidden() and page.evaluate(SHOWN) == left
    assert opener.inner_text() == "Filters (1)"
    assert page.evaluate("document.activeElement.hasAttribute('data-list-drawer')")
    opener.click()
    page.keyboard.press("Escape")
    drawer.wait_for(state="hidden")
    opener.click()
    drawer.get_by_role("button", name="Clear all").click()
    drawer.get_by_role("button", name="Close").click()
    assert page.locator("tr#albert").bounding_box()["y"] == top and "?" not in where(page)


@pytest.mark.parametrize("path", ["algorithms/", "algorithms/?family=pruning&view=cards", "algorithms/?chosen=gptq"])
@pytest.mark.parametrize("width", [390, 820, 1440])
def test_nothing_moves_while_it_loads(new_page, path, width):
    page = ready(new_page(path, width=width))
    page.wait_for_load_state("networkidle")
    assert page.evaluate(SHIFT) < 0.02
    wide = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
    assert wide <= 0


def test_without_script_the_whole_list_and_links(new_page, data):
    page = new_page("algorithms/", javascript=False)
    rows = page.locator("#zoo-entries tbody tr")
    assert rows.count() == len(data["entries"]) and rows.last.is_visible()
    assert page.locator("button:visible, input:visible, select:visible").count() == 0
    facet = page.locator("details[data-facet=stage]")
    assert facet.locator("a", has_text="post-training").get_attribute("href") == "../vocabulary/#stage-post-training"
    assert facet.locator("a", has_text="post-training").get_attribute("title") == "On a finished model."
    page = new_page("algorithms/", javascript=False, width=390, height=844)
    assert page.locator("#zoo-entries tbody tr").first.is_visible()


def test_other_pages_lead_to_the_filtered_list(new_page, data):
    page = new_page("vocabulary/")
    link = page.locator("#stage-post-training + dd").get_by_role("link", name="in the catalog")
    number = int(link.inner_text().split()[1])
    link.click()
    assert len(ready(page).evaluate(SHOWN)) == number == len(expected(data, {"stage": {"post-training"}}))
    page.goto(where(page).partition("/algorithms/")[0] + "/families/quantization/")
    link = page.get_by_role("link", name="in the catalog").first
    number = int(link.inner_text().split()[1])
    link.click()
    assert len(ready(page).evaluate(SHOWN)) == number == len(expected(data, {"family": {"quantization"}}))
