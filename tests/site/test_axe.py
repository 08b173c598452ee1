"""Accessibility by axe-core: no violation of its rules on any type of page, light and dark, with a wide and a narrow
screen in turns. What axe cannot decide ("incomplete") is not counted.
"""

from __future__ import annotations

import pytest

from tests.site import checks

pytestmark = pytest.mark.xdist_group("site")

RULES = {"resultTypes": ["violations"]}
# What is known and left: rule -> how the element begins.
LEFT = {
    # A family on the map of the taxonomy: its label says what is drawn in it, more than the words that are seen.
    "label-content-name-mismatch": '<a class="land"',
}


@pytest.fixture(scope="module")
def axe() -> str:
    """The script that checks the page in which it runs."""
    return (checks.tool("axe-core") / "axe.min.js").read_text(encoding="utf-8")


def violations(page, axe: str) -> list[str]:
    """What is wrong, a line for each element."""
    page.evaluate(axe)
    found = page.evaluate("rules => axe.run(rules)", RULES)
    return [
        f"{rule['id']}: {node['html'][:160]} -- {' '.join(node['failureSummary'].split())[:200]}"
        for rule in found["violations"] for node in rule["nodes"]
        if not node["html"].startswith(LEFT.get(rule["id"], "\0"))
    ]


@pytest.mark.parametrize("path", checks.PAGES)
@pytest.mark.parametrize(("scheme", "width"), [("light", 1440), ("dark", 390)])
def test_no_violations(new_page, axe, path, scheme, width):
    page = new_page(path, width=width, scheme=scheme)
    page.wait_for_load_state("networkidle")
    assert violations(page, axe) == []


def test_search_dialog(new_page, axe):
    page = new_page("algorithms/gptq/")
    page.keyboard.press("/")
    page.get_by_role("combobox").fill("4-bit")
    page.get_by_role("option").first.wait_for()
    assert violations(page, axe) == []


def test_what_is_wrong_is_seen(new_page, axe):
    """The check itself: a picture without words and grey on white are found."""
    page = new_page("cite/")
    page.evaluate("document.querySelector('article').innerHTML += '<img src=\"../assets/zoo/logo.svg\">"
                  "<p style=\"color:#bbb;background:#fff\">grey</p>'")
    rules = {line.partition(":")[0] for line in violations(page, axe)}
    assert {"image-alt", "color-contrast"} <= rules
