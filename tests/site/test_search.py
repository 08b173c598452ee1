"""The search dialog in a browser: slips, synonyms, facts, the keyboard, and the command line's first answer."""

from __future__ import annotations

import pytest

from catalog import load
from catalog.search import index

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
    return index(load())


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
        hits = command_line.search(query, 1)
        if not hits or hits[0].id != expected:
            wrong.append(f"command line, {query!r}: {hits} instead of {expected}")
    assert wrong == []


@pytest.mark.parametrize("query", ["OPTQ", "gtpq", "gptq quantization"])
def test_gptq_is_the_first_of_all_results(new_page, query):
    page = new_page("health/")
    page.keyboard.press("Control+k")
    page.get_by_role("combobox", name="Search").wait_for()
    assert ask(page, query)[0].endswith("/algorithms/gptq/")


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
    address = page.locator("#zoo-search-1 a").evaluate("link => link.href")
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
