"""The ego graph of a work in a browser: complete without JavaScript, legible on a phone, its links lead on."""

from __future__ import annotations

import pytest

pytestmark = pytest.mark.xdist_group("site")


@pytest.mark.parametrize(("path", "scheme"), [("algorithms/gptq/", "light"), ("works/devlin2019bert/", "dark")])
def test_ego_needs_no_script_and_fits_a_phone(new_page, path, scheme):
    page = new_page(path, width=390, height=844, scheme=scheme, javascript=False)
    figure = page.locator(".zoo-ego-figure")
    box = figure.bounding_box()
    assert box["width"] <= 390
    names = figure.locator("svg.zoo-ego text:not(.year)")
    assert names.count() > 10
    for place in names.evaluate_all("all => all.map(e => { const b = e.getBoundingClientRect();"
                                    " return [b.left, b.right, parseFloat(getComputedStyle(e).fontSize)]; })"):
        assert box["x"] <= place[0] and place[1] <= box["x"] + box["width"] and place[2] >= 12
    assert "of" in figure.locator(".zoo-ego-key").inner_text()


def test_marks_stand_apart_and_have_the_colours_of_the_graph(new_page):
    page = new_page("algorithms/gptq/")
    colours = {
        kind: page.locator(f".zoo-ego .{kind} path").first.evaluate("e => getComputedStyle(e).fill")
        for kind in ("current", "citing", "cited")
    }
    for kind, name in (("current", "selected"), ("citing", "citing"), ("cited", "cited")):
        wanted = page.evaluate("""name => {
            const probe = document.createElement('i');
            probe.style.color = `var(--zoo-graph-${name})`;
            document.body.append(probe);
            return getComputedStyle(probe).color;
        }""", name)
        assert colours[kind] == wanted
    assert len(set(colours.values())) == 3
    rows = page.locator(".zoo-ego a, .zoo-ego g.current").evaluate_all(
        "all => all.map(e => e.querySelector('svg').getAttribute('y'))")
    assert len(set(rows)) == len(rows)  # a row a work


def test_a_work_in_the_picture_leads_to_its_page(new_page):
    page = new_page("algorithms/gptq/", javascript=False)
    page.locator(".zoo-ego a.cited").filter(has_text="LLM.int8()").first.click()
    page.wait_for_url("**/algorithms/llm-int8/")


def test_lists_beside_the_picture_are_complete(new_page):
    page = new_page("algorithms/gptq/", javascript=False)
    lists = page.locator("details", has_text="The same as lists").first
    lists.locator("summary").click()
    citing, cited = (int(part) for part in lists.locator("summary small").inner_text().split("+"))
    assert lists.locator("p").nth(0).locator("a").count() == citing
    assert lists.locator("p").nth(1).locator("a").count() == cited
