"""The citation graph in a browser: drawn, answers pointer and keyboard, and says the same as its table."""

from __future__ import annotations

import pytest

pytestmark = pytest.mark.xdist_group("site")


@pytest.fixture
def graph(new_page):
    page = new_page("graph/")
    page.locator("#zoo-graph[data-ready=true]").wait_for()
    page.locator("#zoo-graph canvas").scroll_into_view_if_needed()
    return page


def place(page, work: str) -> dict[str, float]:
    """Where a work is drawn, in pixels of the page."""
    box = page.locator("#zoo-graph canvas").bounding_box()
    inside = page.evaluate("work => document.getElementById('zoo-graph').zooGraph.position(work)", work)
    return {"x": box["x"] + inside["x"], "y": box["y"] + inside["y"]}


def show(page, work: str) -> None:
    page.get_by_label("Jump to a work by name or title").fill(work)
    page.get_by_label("Jump to a work by name or title").press("Enter")


def test_every_node_and_family_is_painted(graph):
    """The canvas is not empty: it holds many colours, and some of them where the graph says a work is."""
    counts = graph.evaluate("""() => {
        const canvas = document.querySelector('#zoo-graph canvas');
        const context = canvas.getContext('2d');
        const {data} = context.getImageData(0, 0, canvas.width, canvas.height);
        const colours = new Set();
        let painted = 0;
        for (let i = 0; i < data.length; i += 4) if (data[i + 3] > 200) {
            painted += 1;
            colours.add((data[i] >> 4) << 8 | (data[i + 1] >> 4) << 4 | data[i + 2] >> 4);
        }
        return {painted, colours: colours.size};
    }""")
    assert counts["painted"] > 2000 and counts["colours"] > 20


def test_hover_names_the_work(graph):
    show(graph, "GPTQ")
    graph.keyboard.press("Escape")
    spot = place(graph, "frantar2023optq")
    graph.mouse.move(spot["x"] + 1, spot["y"])
    tip = graph.locator(".zoo-graph__tip")
    tip.wait_for(state="visible")
    assert "Accurate" in tip.inner_text() and "Frantar" in tip.inner_text() and "2023" in tip.inner_text()


def test_click_shows_who_cites_and_who_is_cited(graph):
    show(graph, "GPTQ")
    graph.locator("#zoo-graph canvas").focus()
    graph.keyboard.press("Escape")
    spot = place(graph, "frantar2023optq")
    graph.mouse.click(spot["x"], spot["y"])
    details = graph.locator(".zoo-graph__details")
    link = details.get_by_role("link").first
    assert "Accurate" in link.inner_text()
    text = details.inner_text()
    row = graph.locator("tr", has_text="Accurate Quantization for Generative Pre-trained Transformers")
    cited_by, cites = row.locator("td").all_inner_texts()[1:3]
    assert f"Cited by {cited_by} of these works, cites {cites} of them" in text
    link.click()
    graph.wait_for_url("**/algorithms/gptq/")


def test_drag_moves_a_work_and_the_wheel_zooms(graph):
    show(graph, "GPTQ")
    before = place(graph, "frantar2023optq")
    graph.mouse.move(before["x"], before["y"])
    graph.mouse.down()
    graph.mouse.move(before["x"] + 60, before["y"] + 40, steps=5)
    graph.mouse.up()
    after = place(graph, "frantar2023optq")
    assert abs(after["x"] - before["x"] - 60) < 2 and abs(after["y"] - before["y"] - 40) < 2
    far = place(graph, "hinton2015distilling")
    distance = lambda a, b: ((a["x"] - b["x"]) ** 2 + (a["y"] - b["y"]) ** 2) ** 0.5  # noqa: E731
    graph.mouse.move(after["x"] + 25, after["y"] + 25)
    graph.mouse.wheel(0, -400)
    graph.wait_for_timeout(200)
    assert distance(place(graph, "frantar2023optq"), place(graph, "hinton2015distilling")) > 1.2 * distance(after, far)


def test_background_drag_pans_and_keys_move(graph):
    before = place(graph, "frantar2023optq")
    box = graph.locator("#zoo-graph canvas").bounding_box()
    graph.mouse.move(box["x"] + 6, box["y"] + 6)
    graph.mouse.down()
    graph.mouse.move(box["x"] + 56, box["y"] + 36, steps=4)
    graph.mouse.up()
    after = place(graph, "frantar2023optq")
    assert abs(after["x"] - before["x"] - 50) < 2 and abs(after["y"] - before["y"] - 30) < 2
    graph.locator("#zoo-graph canvas").focus()
    graph.keyboard.press("ArrowLeft")
    assert place(graph, "frantar2023optq")["x"] > after["x"] + 30


def test_address_names_the_selected_work(new_page):
    page = new_page("graph/#frantar2023optq")
    page.locator("#zoo-graph[data-ready=true]").wait_for()
    assert "Accurate" in page.locator(".zoo-graph__details").inner_text()
