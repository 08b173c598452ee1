"""The page "Choose" in a browser: the address, the form, a pasted config.json, the phone, no JavaScript."""

from __future__ import annotations

import json

import pytest

from tests.catalog.shape_cases import LLAMA
from tests.site.conftest import where

pytestmark = pytest.mark.xdist_group("site")

NAMES = "[...document.querySelectorAll('#choose-stays > li a')].map(link => link.textContent)"
ASKED = "choose/?memory=8GB&data=none&training=none&compress=weights"


def answered(page):
    page.locator("#zoo-chosen [role=status]").wait_for()
    return page


def status(page) -> str:
    return page.locator("#zoo-chosen [role=status]").inner_text()


def test_the_address_is_the_question_and_the_form_the_address(new_page):
    page = answered(new_page(ASKED))
    assert page.locator("#choose-memory").input_value() == "8GB"
    assert page.locator("#choose-data").input_value() == "none"
    assert page.get_by_role("checkbox", name="Weights", exact=True).is_checked()
    names = page.evaluate(NAMES)
    assert {"HQQ", "Round-to-nearest"} <= set(names) and "GPTQ" not in names
    assert status(page).startswith(f"{len(names)} of ")
    first = page.locator("#choose-stays > li").first
    assert "is left." in first.inner_text() and "It needs no data at all" in first.inner_text()
    page.locator("#choose-data").select_option("calibration")
    page.wait_for_function("!location.search.includes('data=none')")
    assert "data=calibration" in where(page) and "GPTQ" in page.evaluate(NAMES)
    page.get_by_role("button", name="Start over").click()
    assert where(page).endswith("/choose/") and "nothing that you ask" in status(page)
    assert page.locator("#choose-memory").input_value() == ""


def test_what_falls_says_why_and_back_brings_the_question_again(new_page):
    page = answered(new_page(ASKED))
    page.locator("#zoo-chosen summary").click()
    falls = page.locator("#choose-falls > li").filter(has=page.get_by_role("link", name="GPTQ", exact=True))
    assert falls.locator(".no").all_inner_texts() == ["It needs a few hundred samples, without labels. You have none."]
    before = page.evaluate(NAMES)
    page.get_by_role("link", name="Compare the first 4").click()
    page.wait_for_url("**/compare/?a=*")
    assert where(page).count("a=") == 4
    page.go_back()
    answered(page)
    assert page.evaluate(NAMES) == before


def test_by_keyboard_alone(new_page):
    page = answered(new_page("choose/"))
    page.locator("#choose-model").focus()
    for _ in range(3):  # tokens, sequences, scores
        page.keyboard.press("Tab")
    page.keyboard.press("Space")
    assert "scores=kept" in where(page)
    page.locator("#choose-memory").focus()
    page.keyboard.type("9 GB")
    page.wait_for_function("location.search.includes('memory=9')")
    assert "of 9 GB" in page.locator("#choose-stays > li").first.inner_text()


def test_a_config_is_pasted_and_only_its_shape_stands_in_the_address(new_page):
    page = answered(new_page("choose/"))
    page.get_by_text("Paste a config.json").click()
    box, said = page.locator("#choose-config"), page.locator("[data-choose-config]")
    box.fill(json.dumps({**LLAMA, "hidden_size": "big", "secret": "mine"}))
    assert said.inner_text().startswith('`hidden_size` is "big"; it has to be a whole number')
    assert where(page).endswith("/choose/")
    box.fill(json.dumps({"text_config": LLAMA, "secret": "mine"}))
    assert said.inner_text().startswith("Llama: hidden 64") and "`text_config`" in said.inner_text()
    address = where(page)
    assert "shape=llama,hidden:64,layers:3" in address and "mine" not in address
    whole = page.locator(".zoo-choice--whole")
    assert whole.locator("p").inner_text().startswith("0.1") and "Uncompressed" in whole.inner_text()
    again = answered(new_page("choose/" + address.partition("/choose/")[2]))
    assert again.locator("#choose-model").input_value() == "pasted"
    assert again.locator(".zoo-choice--whole").inner_text() == whole.inner_text()


@pytest.mark.parametrize("asked", [
    "choose/?shape=llama,hidden:-1", "choose/?shape=nothing", "choose/?shape=llama,hidden:64,layers:1e9",
    "choose/?shape=__proto__,x:1", "choose/?model=<img src=x onerror=alert(1)>&memory=much&tokens=-5&by=best&data=all",
])  # fmt: skip
def test_an_address_made_up_is_answered_in_words(new_page, asked):
    page = answered(new_page(asked))
    assert page.locator("#choose-model").input_value() == "llama-2-7b"
    said = page.locator("[data-choose-config]").inner_text() + page.locator("[data-choose-amounts]").inner_text()
    assert "cannot be read" in said or ("no amount of memory" in said and "whole number from 1" in said)


def test_a_device_is_described(new_page):
    page = answered(new_page("choose/?hardware=own"))
    group = page.get_by_role("group", name="What the device offers")
    few = len(page.evaluate(NAMES))
    group.get_by_role("checkbox", name="Dequantizing kernel").check()
    assert "offers=dequantizing-kernel" in where(page) and len(page.evaluate(NAMES)) > few
    page.locator("#choose-hardware").select_option("gpu-hopper")
    assert group.is_hidden() and "offers" not in where(page)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_phone_scrolls_only_down(new_page, scheme):
    page = answered(new_page(ASKED + "&hardware=own", width=390, height=844, scheme=scheme))
    page.locator("#zoo-chosen summary").click()
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    small = page.evaluate("[...document.querySelectorAll('.zoo-asking :is(select, input:not([type=checkbox]))')]"
                          ".filter(e => e.offsetParent && e.getBoundingClientRect().height < 24).length")
    assert small == 0


def test_without_javascript_all_is_there(new_page):
    page = new_page("choose/", javascript=False)
    assert page.locator("form.zoo-asking").is_hidden() and page.locator("#choose-without").is_visible()
    rows = page.locator("#choose-needs tbody tr")
    assert rows.count() == page.locator("#choose-example tbody tr").count() > 60
    text = rows.filter(has_text="GPTQ").first.inner_text()
    assert "bits + (16 + bits) / group_size" in text and "calibration" in text
    assert "13.5 GB of weights, 2.15 GB of cache" in page.locator("#example ~ .zoo").first.inner_text()
