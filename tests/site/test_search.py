"""The search dialog in a browser: slips, synonyms, facts, the keyboard, and the command line's first answer."""

from __future__ import annotations

import threading

import pytest

from catalog import load
from catalog.search import everything
from tests.site.conftest import server, watch_page

pytestmark = pytest.mark.xdist_group("site")

# Query, and the id of the algorithm that has to come first.
QUERIES = [
    ("OPTQ", "gptq"),
    ("gtpq", "gptq"),
    ("smooth quant", "smoothquant"),
    ("smothquant", "smoothquant"),
    ("hinton", "knowledge-distillation"),
    ("KD", "knowledge-distillation"),
    ("switch MoE", "switch-transformer"),
    ("RTN", "rtn"),
    ("spasregpt", "sparsegpt"),
    ("vision token merging", "tome"),
    ("low-rank adaptation", "lora"),
    ("flash attention", "flashattention"),
    ("cross-layer parameter sharing", "albert"),
    ("confident adaptive", "calm"),
    ("selective state space", "mamba"),
    ("KV cache quantization", "kivi"),
    ("SVD", "truncated-svd"),
    ("Fisher information", "fwsvd"),  # key terms in the browser, texts on the command line
    ("Kronecker product", "kroneckerbert"),
    ("residual stream", "slicegpt"),
    ("ternary weights", "binarybert"),
]


@pytest.fixture(scope="module")
def command_line():
    return everything(load())  # what `compzoo search` asks


def ask(page, query: str) -> list[str]:
    """Types a query into the open dialog and returns the addresses of the results, best first."""
    box = page.get_by_role("combobox", name="Search")
    box.fill("")
    box.fill(query)
    page.wait_for_function(
        "query => document.querySelector('.zoo-search').dataset.asked === query", arg=query
    )
    return [link.get_attribute("href") for link in page.locator("#zoo-search-results a").all()]


def test_finds_what_is_meant(new_page, command_line):
    """In a browser too, the best algorithm is the one meant, and the command line says the same."""
    page = new_page()
    page.keyboard.press("/")
    page.get_by_role("combobox", name="Search").wait_for()
    wrong = []
    for query, expected in QUERIES:
        found = ask(page, query)
        best = [address for address in found if "/algorithms/" in address][:1]
        if not best or not best[0].endswith(f"/algorithms/{expected}/"):
            wrong.append(f"browser, {query!r}: {found[:3]} instead of {expected}")
        hits = [hit for hit in command_line.search(query, 12) if hit.kind == "algorithm"]
        if not hits or hits[0].id != expected:
            wrong.append(f"command line, {query!r}: {hits[:1]} instead of {expected}")
    assert wrong == []


@pytest.mark.parametrize("query", ["OPTQ", "gtpq", "gptq quantization"])
def test_gptq_is_the_first_of_all_results(new_page, query):
    page = new_page("health/")
    page.keyboard.press("Control+k")
    page.get_by_role("combobox", name="Search").wait_for()
    assert ask(page, query)[0].endswith("/algorithms/gptq/")


def test_parts_of_pages_are_led_to(new_page):
    page = new_page()
    page.keyboard.press("/")
    assert ask(page, "SpMM sparse kernel")[0].endswith("/vocabulary/#needs-for-speed-sparse-kernel")
    assert ask(page, "prompt compression")[0].endswith("/families/dynamic/#tokens")


def test_no_data_does_not_find_what_needs_data(new_page):
    page = new_page()
    page.keyboard.press("/")
    found = [a.rstrip("/").rpartition("/")[2] for a in ask(page, "no calibration data") if "/algorithms/" in a]
    entries = load().algorithms
    assert found and entries[found[0]].facts.data in ("none", "teacher-generated")


def test_keyboard_alone(new_page):
    page = new_page()
    page.keyboard.press("/")
    ask(page, "quantization")
    first = page.locator("#zoo-search-results [aria-selected=true]")
    assert first.count() == 1 and first.get_attribute("id") == "zoo-search-0"
    page.keyboard.press("ArrowDown")
    assert page.locator("#zoo-search-1[aria-selected=true]").count() == 1
    address = page.locator("#zoo-search-1").evaluate("link => link.href")
    page.keyboard.press("Enter")
    page.wait_for_url(address)
    page.keyboard.press("/")
    assert page.get_by_role("dialog").is_visible()
    page.keyboard.press("Escape")
    assert not page.get_by_role("dialog").is_visible()


def test_nothing_found_is_said(new_page):
    page = new_page()
    page.keyboard.press("/")
    assert ask(page, "zzzzqqqq") == []
    assert "Nothing found" in page.get_by_role("dialog").inner_text()


# --- in a worker, and without one -------------------------------------------------------------------------------------


def opened(page) -> None:
    page.keyboard.press("Control+k")
    page.get_by_role("combobox", name="Search").wait_for()


def test_ranks_in_a_worker_of_the_site(new_page, address):
    page = new_page("algorithms/gptq/")
    assert page.workers == []
    with page.expect_worker() as started:
        opened(page)
    assert started.value.url == f"{address}assets/zoo/search-worker.js"
    assert ask(page, "gtpq")[0].endswith("/algorithms/gptq/")


@pytest.mark.parametrize("lame", [
    "delete window.Worker",
    "window.Worker = class { constructor() { throw new Error('not allowed') } }",
    "window.Worker = class { constructor() { setTimeout(() => this.onerror(new Event('error'))) } terminate() {} }",
])  # fmt: skip
def test_answers_in_the_page_where_no_worker_runs(new_page, lame):
    page = new_page()
    page.evaluate(f"() => {{ {lame} }}")
    opened(page)
    assert ask(page, "gtpq")[0].endswith("/algorithms/gptq/")


def test_works_below_a_folder(browser, site_folder, tmp_path, watch):
    """The site may be served from any path: index, worker and results follow."""
    (tmp_path / "some").mkdir()
    (tmp_path / "some" / "zoo").symlink_to(site_folder, target_is_directory=True)
    running = server(tmp_path)
    threading.Thread(target=running.serve_forever, daemon=True).start()
    home = f"http://127.0.0.1:{running.server_port}/"
    try:
        page = browser.new_page()
        watch_page(page, home, watch)
        page.goto(f"{home}some/zoo/families/pruning/")
        with page.expect_worker() as started:
            opened(page)
        assert started.value.url == f"{home}some/zoo/assets/zoo/search-worker.js"
        assert ask(page, "gptq")[0] == f"{home}some/zoo/algorithms/gptq/"
        page.close()
    finally:
        running.shutdown()
        running.server_close()
    assert watch.faults == []


def test_says_why_there_is_no_index_and_tries_again(new_page, watch):
    page = new_page()
    page.route("**/search.json", lambda route: route.abort())
    opened(page)
    box = page.get_by_role("combobox", name="Search")
    box.fill("gptq")
    page.get_by_text("The search index could not be loaded").wait_for()
    page.unroute("**/search.json")
    assert ask(page, "gptq")[0].endswith("/algorithms/gptq/")
    watch.faults.clear()  # the request that was refused


# --- all results, kinds, places ---------------------------------------------------------------------------------------


def test_nothing_is_cut_off_silently(new_page):
    page = new_page()
    opened(page)
    assert len(ask(page, "pruning")) == 12
    more = page.get_by_role("button", name="Show more")
    total = int(more.inner_text().split(" of ")[1].split()[0])
    assert more.inner_text().startswith("12 of ") and total > 24
    more.click()
    page.locator("#zoo-search-23").wait_for()
    assert page.locator("#zoo-search-12[aria-selected=true]").count() == 1
    for _ in range(11):
        page.keyboard.press("ArrowDown")
    assert page.locator("#zoo-search-23[aria-selected=true]").count() == 1
    page.keyboard.press("ArrowDown")  # from the last that is shown to the first of those that follow
    page.locator("#zoo-search-24[aria-selected=true]").wait_for()
    page.keyboard.press("ArrowUp")
    assert page.locator("#zoo-search-23[aria-selected=true]").count() == 1
    assert len(ask(page, "gtpq")) <= 12  # another question begins anew
    assert ask(page, "zzzzqqqq") == [] and not more.is_visible()


@pytest.mark.parametrize(("query", "kind", "place"), [
    ("straight-through estimator", "glossary", "glossary/#straight-through-estimator"),
    ("calibration data", "glossary", "glossary/#calibration-data"),
    ("nm sparse hardware", "vocabulary", "vocabulary/#needs-for-speed-nm-sparse-hardware"),
    ("perplexity", "metric", "metrics/#perplexity"),
    ("pruning", "family", "families/pruning/"),
    ("layer tying", "group", "families/sharing/#layer-tying"),
    ("lottery ticket", "paper", "works/frankle2019lottery/"),
])  # fmt: skip
def test_each_kind_is_named_and_led_to(new_page, address, query, kind, place):
    page = new_page("algorithms/lora/")
    opened(page)
    found = ask(page, query)
    assert address + place in found[:5], found
    row = page.locator("#zoo-search-results li").nth(found.index(address + place))
    assert row.locator(".zoo-search__kind").inner_text() == kind
    row.locator("a").click()
    page.wait_for_url(address + place)
    if "#" in place:
        assert page.locator(f"[id='{place.partition('#')[2]}']").is_visible()


def test_a_place_on_the_same_page_closes_the_dialog(new_page, address):
    page = new_page("glossary/")
    opened(page)
    assert address + "glossary/#kv-cache" in ask(page, "KV cache")
    page.locator("#zoo-search-results a[href$='#kv-cache']").first.click()
    page.wait_for_function("location.hash === '#kv-cache'")
    assert not page.get_by_role("dialog").is_visible()


def test_the_glossary_filters(new_page):
    page = new_page("glossary/")
    rows = page.locator("#terms > div:visible")
    everything = rows.count()
    page.get_by_role("searchbox", name="Filter").fill("straight")
    assert 0 < rows.count() < everything / 4
    assert page.locator("[id='straight-through-estimator']").is_visible()
