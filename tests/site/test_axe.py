"""Accessibility by axe-core: no violation of its rules on any type of page, light and dark, with a wide and a narrow
screen in turns. Contrasts that axe cannot decide are measured on the painted page. What else it cannot decide is not
counted: buttons that show a sign alone, rows of a table that are a heading. Of long lists and tables every kind of row
is looked at three times, not each of its thousand rows.
"""

from __future__ import annotations

import pytest

from tests.site import checks, contrast

pytestmark = pytest.mark.xdist_group("site")

# Single letters and signs are text too; and what lies off the screen has its boxes where it will be.
SETTINGS = """axe.configure({ checks: [{ id: 'color-contrast', options: {
  ignoreUnicode: false, ignoreLength: true, ignorePseudo: false, boldValue: 700, boldTextPt: 14, largeTextPt: 18,
  contrastRatio: { normal: { expected: 4.5 }, large: { expected: 3 } }, pseudoSizeThreshold: 0.25,
  shadowOutlineEmMax: 0.2 } }] })"""
RULES = {"resultTypes": ["violations", "incomplete"]}
LAID_OUT = "* { content-visibility: visible !important; }"

# Of the many children of one element that differ in their words alone, all but three go. How many went.
THREE_ALIKE = """() => {
  const kind = (at) => [at.localName, ...[...at.attributes].map(({ name, value }) =>
    /^(class|style|role|hidden|tabindex|type|scope|data-family|aria-(?!label).*)$/.test(name) ? name + value : name),
    ...[...at.children].map(kind), '/'].join(' ');
  let gone = 0;
  for (const parent of document.querySelectorAll('main tbody, main ul, main ol, main dl, main div, main section')) {
    if (parent.children.length < 20) continue;
    const seen = new Map();
    for (const child of [...parent.children]) {
      const own = kind(child);
      seen.set(own, (seen.get(own) ?? 0) + 1);
      if (seen.get(own) > 3) { child.remove(); gone++; }
    }
  }
  return gone;
}"""


@pytest.fixture(scope="module")
def axe() -> str:
    """The script that checks the page in which it runs."""
    return (checks.tool("axe-core") / "axe.min.js").read_text(encoding="utf-8")


def results(page, axe: str) -> dict:
    """What axe found."""
    page.add_style_tag(content=LAID_OUT)
    page.evaluate(axe)
    page.evaluate(SETTINGS)
    return page.evaluate("rules => axe.run(rules)", RULES)


def violations(found: dict) -> list[str]:
    """What is wrong, a line for each element."""
    return [
        f"{rule['id']}: {node['html'][:160]} -- {' '.join(node['failureSummary'].split())[:200]}"
        for rule in found["violations"] for node in rule["nodes"]
    ]


def faint(page, found: dict) -> list[str]:
    """The texts whose contrast axe could not decide and that have too little, as it is painted."""
    nodes = [node for rule in found["incomplete"] if rule["id"] == "color-contrast" for node in rule["nodes"]]
    ratios = contrast.measured(page, [node["target"][0] for node in nodes])
    least = [float((node["any"][0]["data"].get("expectedContrastRatio") or "4.5").partition(":")[0]) for node in nodes]
    return [f"{ratio:.2f}, not {wanted}: {node['html'][:160]}"
            for node, ratio, wanted in zip(nodes, ratios, least, strict=True) if ratio < wanted]  # fmt: skip


STATES = [("light", 1440), ("dark", 390)]
BOTH = (
    "", "algorithms/", "algorithms/gptq/", "families/quantization/", "compare/?a=gptq&a=awq", "choose/", "maps/",
    "measured/", "graph/", "works/xu2024besa/", "404.html",
)  # fmt: skip
REST = [path for path in (*checks.PAGES, "maps/?map=pruning", "algorithms/?view=cards") if path not in BOTH]


# The types of page that people meet first in both states, the others in one of them each.
@pytest.mark.parametrize(("path", "scheme", "width"), [
    *((path, *state) for path in BOTH for state in STATES), *((path, *STATES[i % 2]) for i, path in enumerate(REST)),
])  # fmt: skip
def test_no_violations(new_page, axe, path, scheme, width):
    page = new_page(path, width=width, scheme=scheme)
    page.wait_for_load_state("networkidle")
    page.evaluate(THREE_ALIKE)
    found = results(page, axe)
    assert violations(found) == []
    assert faint(page, found) == []


def test_search_dialog(new_page, axe):
    page = new_page("algorithms/gptq/")
    page.keyboard.press("/")
    page.get_by_role("combobox").fill("4-bit")
    page.get_by_role("option").first.wait_for()
    assert violations(results(page, axe)) == []


def test_rows_that_differ_in_more_than_words_are_all_looked_at(new_page):
    page = new_page("cite/")
    rows = [f'<tr><td>{i}</td><td class="{"odd" if i == 400 else ""}">x</td></tr>' for i in range(500)]
    page.evaluate("rows => document.querySelector('article').innerHTML = `<table><tbody>${rows}</tbody></table>`",
                  "".join(rows))  # fmt: skip
    assert page.evaluate(THREE_ALIKE) == 496
    assert page.locator("tr").all_inner_texts() == ["0\tx", "1\tx", "2\tx", "400\tx"]


def test_what_is_wrong_is_seen(new_page, axe):
    """The check itself: a picture without words, grey on white; and grey on a pattern, in a drawing, out of sight."""
    page = new_page("cite/")
    page.evaluate("""document.querySelector('article').innerHTML = `<img src="../assets/zoo/logo.svg">
      <p style="color:#bbb;background:#fff">grey</p>
      <p style="color:#777;background:repeating-linear-gradient(#999 0 9px, #fff 9px 12px)">striped</p>
      <p style="color:#222;background:linear-gradient(90deg, #fff, #eee)">readable</p>
      <svg width="400" height="40"><rect width="400" height="40" fill="#fff"/><text y="20" fill="#aaa">drawn</text>
      <text x="90" y="20" opacity="0.4">through</text><text x="200" y="20" fill="#555">seen</text></svg>
      <div tabindex="0" style="overflow:auto;width:9rem;background:linear-gradient(#fff, #eee)"><p style="width:90rem">
      <span style="color:#111">beside</span> <span style="color:#999;margin-left:80rem">far</span></p></div>`""")
    found = results(page, axe)
    assert {"image-alt", "color-contrast"} <= {line.partition(":")[0] for line in violations(found)}
    seen = "\n".join(faint(page, found))
    assert {word: word in seen for word in ("striped", "drawn", "through", "far")} == dict.fromkeys(
        ("striped", "drawn", "through", "far"), True)
    assert "readable" not in seen and ">seen<" not in seen and "beside" not in seen
