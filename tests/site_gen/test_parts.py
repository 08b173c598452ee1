"""The generator's parts alone: prose, addresses, files, code, curves, the layout of the graph, numbers for people."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from catalog.choosing import large_number
from catalog.wording import word
from site_gen.emit import highlight, links, numbers, plots
from site_gen.emit.formulas import FormulaError, Formulas
from site_gen.emit.page import markdown_escaped, size
from site_gen.emit.pages import Settings, front_matter
from site_gen.emit.prose import Context, Prose, plain
from site_gen.emit.writer import Writer
from site_gen.enrich import citations, code
from site_gen.enrich.measured import Curve, Metric, Point, Spread, view
from site_gen.load import CodeFile
from tests.site_gen import synthetic

# --- prose ------------------------------------------------------------------------------------------------------------


@pytest.fixture
def prose(tmp_path) -> Prose:
    return Prose(Formulas(tmp_path / "formulas.json"))


@pytest.mark.parametrize(("text", "wanted"), [
    ("<b>x</b>", "<p>&lt;b&gt;x&lt;/b&gt;</p>\n"),
    ("[x](javascript:alert(1))", "<p>[x](javascript:alert(1))</p>\n"),
    ("[x](JaVaScRiPt:alert(1))", "<p>[x](JaVaScRiPt:alert(1))</p>\n"),
    ("[x](data:text/html,y)", "<p>[x](data:text/html,y)</p>\n"),
    ("[x](//evil.invalid)", "<p>[x](//evil.invalid)</p>\n"),
    ("[x](https://e.org/)", '<p><a href="https://e.org/" rel="noopener nofollow external">x</a></p>\n'),
    ("![x](https://e.org/a.png)", '<p>!<a href="https://e.org/a.png" rel="noopener nofollow external">x</a></p>\n'),
    ("# Large", '<p class="zoo-prose-heading">Large</p>\n'),
    ("*a* `<i>`", "<p><em>a</em> <code>&lt;i&gt;</code></p>\n"),
    ("see [eq-a]", '<p>see <a class="zoo-eqref" href="#eq-a">a</a></p>\n'),
    ("see [@key]", '<p>see <a class="zoo-citation" href="b/#key">Roe 2020</a></p>\n'),
    ("`[eq-a]`", "<p><code>[eq-a]</code></p>\n"),
    ("costs $5 and $6", "<p>costs $5 and $6</p>\n"),
    ("a\x02wzxhzdk:0\x03b\x00", "<p>awzxhzdk:0b</p>\n"),
    ("25 % \"<8 GB\" in `5 s`, 3 sets", "<p>25\xa0% &quot;&lt;8\xa0GB&quot; in <code>5 s</code>, 3 sets</p>\n"),
    ("Tables 1 and A2, Appendix B. Section of", "<p>Tables\xa01 and A2, Appendix\xa0B. Section of</p>\n"),
])  # fmt: skip
def test_prose(prose, text, wanted):
    context = Context(lambda label: f"#{label}", lambda key: (f"b/#{key}", "Roe 2020"))
    assert str(prose.block(text, context)) == wanted
    assert context.unknown == []


def test_reference_that_leads_nowhere_is_shown_and_reported(prose):
    context = Context()
    assert str(prose.inline("see [eq-none] and [@nobody]", context)) == "see [eq-none] and [@nobody]"
    assert context.unknown == ["[eq-none]", "[@nobody]"]


def test_formulas_are_typeset_once_and_kept(tmp_path):
    first = Formulas(tmp_path / "cache.json")
    prose = Prose(first)
    html = str(prose.block("inline $a_b$ and\n\n$$a_b$$\n\nagain $a_b$", Context()))
    filled = first.render().fill(html)
    assert first.typeset == 2  # inline and display differ, the repeated one does not
    assert filled.count('class="katex"') == 3 and filled.count("katex-display") == 1 and "<math" in filled
    second = Formulas(tmp_path / "cache.json")
    html = str(Prose(second).block("inline $a_b$", Context()))
    again = second.render().fill(html)
    assert second.typeset == 0 and 'class="katex"' in again


def test_formulas_are_valid_html(tmp_path):
    """What KaTeX gets wrong: letters of a sign as elements in it, three parts where two belong, a height below zero."""
    formulas = Formulas(tmp_path / "cache.json")
    wrong = r"l \bmod R", r"w_{\max}", r"\left\langle x \right\rangle_{\text{group}}"
    marks = [formulas.mark(tex, True) for tex in wrong]
    rendered = formulas.render()
    remainder, largest, low = (rendered.fill(mark) for mark in marks)
    assert ">mod</mo>" in remainder and "<msub><mi>w</mi><mi>max</mi></msub>" in largest
    assert "height:" in low and "height:-" not in low


def test_only_lines_with_code_have_a_link():
    text = str(highlight.listing("import os\n\nos.x()\n", set()))
    assert re.findall(r'href="#(L\d)"', text) == ["L1", "L3"] and 'id="L2"' in text and text.count("data-line=") == 3


def test_mark_of_a_formula_cannot_be_written_by_an_author(tmp_path):
    formulas = Formulas(tmp_path / "cache.json")
    prose = Prose(formulas)
    mark = formulas.mark("x", False)
    html = str(prose.block(f"$x$ <!--formula {'0' * 16} 0--> {mark}", Context()))
    assert formulas.render().fill(html).count('class="katex"') == 1


@pytest.mark.parametrize("tex", [
    r"\frac{1", r"\nosuchcommand", r"\href{https://e.org}{x}", r"\includegraphics{https://e.org/x.png}",
    r"\htmlClass{x}{y}", r"\def\a{\a\a}\a",
])  # fmt: skip
def test_formula_that_is_refused(tmp_path, tex):
    formulas = Formulas(tmp_path / "cache.json")
    formulas.mark(tex, False)
    with pytest.raises(FormulaError) as caught:
        formulas.render()
    assert caught.value.faults[0][0] == tex


def test_plain_text_for_descriptions():
    assert plain("A **bold** step [eq-a], see [here](https://e.org) and `code` [@key].") == \
        "A bold step, see here and code."


def test_heading_of_any_text_stays_a_heading():
    import markdown

    for text in ("# a", "1. b", "*x* _y_ `z`", "<i>u</i> & {: .c }", "[a](b) ![c](d)", "a | b ~ $c$ :d: \\ --- +",
                 "the surveys' \"own\" a & b"):
        html = markdown.markdown(f"## {markdown_escaped(text)} {{#id}}", extensions=["attr_list", "toc", "tables"])
        assert html.startswith('<h2 id="id">') and html.endswith("</h2>")
        shown = re.sub(r"</?h2[^>]*>", "", html)
        assert "<" not in shown
        from html import unescape
        assert unescape(shown) == text


def test_front_matter_cannot_be_ended_by_a_text():
    import yaml

    head = {"title": 'a"\n---\nb: c', "empty": None, "list": [["x", "<y>"]]}
    written = front_matter(head)
    assert written.count("\n---\n") == 1
    assert yaml.safe_load(written.strip("-\n")) == {"title": 'a"\n---\nb: c', "list": [["x", "<y>"]]}


# --- addresses --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("page", "target", "wanted"), [
    ("", "", "./"), ("", "graph/", "graph/"), ("", "algorithms/gptq.json", "algorithms/gptq.json"),
    ("algorithms/gptq/", "", "../../"), ("algorithms/gptq/", "algorithms/rtn/", "../rtn/"),
    ("algorithms/gptq/", "algorithms/gptq/#code", "#code"), ("algorithms/gptq/", "algorithms/gptq.md", "../gptq.md"),
    ("algorithms/", "bibliography/#a2020b", "../bibliography/#a2020b"), ("graph/", "a b/", "../a%20b/"),
])  # fmt: skip
def test_links(page, target, wanted):
    assert links.Links(page)(target) == wanted


def test_edit_address_only_where_configured():
    assert Settings().edit("catalog/x.yml") == ""
    assert Settings("https://h.org/o/n", "").edit("catalog/x.yml") == ""
    assert Settings("https://h.org/o/n/", "edit/main/").edit("catalog/x.yml") == \
        "https://h.org/o/n/edit/main/catalog/x.yml"
    assert Settings("https://h.org/o/n", "https://e.org/").edit("a.yml") == "https://e.org/a.yml"


# --- files ------------------------------------------------------------------------------------------------------------


def test_writer_touches_only_what_changed(tmp_path):
    def once(files: dict[str, str]) -> Writer:
        writer = Writer(tmp_path / "docs")
        for path, text in files.items():
            writer.write(path, text)
        writer.finish()
        return writer

    first = once({"a/b.md": "1", "c.md": "2"})
    assert (first.written, first.kept, first.deleted) == (2, 0, 0)
    stamp = (tmp_path / "docs/a/b.md").stat().st_mtime_ns
    second = once({"a/b.md": "1", "c.md": "3"})
    assert (second.written, second.kept, second.deleted) == (1, 1, 0)
    assert (tmp_path / "docs/a/b.md").stat().st_mtime_ns == stamp
    third = once({"c.md": "3"})
    assert (third.written, third.kept, third.deleted) == (0, 1, 1)
    assert not (tmp_path / "docs/a").exists()


@pytest.mark.parametrize("path", ["../out.md", "/etc/x", "", "a/../../x"])
def test_writer_stays_inside(tmp_path, path):
    with pytest.raises(ValueError, match="not a path inside"):
        Writer(tmp_path).write(path, "x")


def test_writer_refuses_a_path_twice(tmp_path):
    writer = Writer(tmp_path)
    writer.write("a.md", "1")
    with pytest.raises(ValueError, match="twice"):
        writer.write("a.md", "1")


def test_writer_can_remove_old_pages_first(tmp_path):
    before = Writer(tmp_path)
    for name in ("a/old.md", "a/old.json", "kept.md"):
        before.write(name, name)
    writer = Writer(tmp_path)
    writer.write("kept.md", "kept.md")
    writer.finish(".md")
    assert sorted(path.name for path in tmp_path.rglob("*.*")) == ["kept.md", "old.json"]
    writer.finish()
    assert [path.name for path in tmp_path.rglob("*")] == ["kept.md"]


@pytest.mark.parametrize("links", [True, False])
def test_what_lies_beside_the_pages_is_the_last_and_no_later_build_changes_it(tmp_path, monkeypatch, links):
    if not links:
        def refused(*paths: str) -> None:
            raise OSError("another disk")

        monkeypatch.setattr("os.link", refused)
    writer = Writer(tmp_path / "docs")
    for name in ("a/index.md", "a/data.json"):
        writer.write(name, "new")
    out = tmp_path / "out"
    (out / "a").mkdir(parents=True)
    (out / "a/data.json").write_text("of another")
    (out / "a/index.html").write_text("page")
    writer.lay_beside(out)
    assert {path.name: path.read_text() for path in (out / "a").iterdir()} == {"data.json": "new", "index.html": "page"}
    Writer(tmp_path / "docs").write("a/data.json", "newer")
    assert (out / "a/data.json").read_text() == "new"


# --- code -------------------------------------------------------------------------------------------------------------


def test_labels_of_code_come_before_those_of_docstrings():
    found = code.view(CodeFile("plain.py", synthetic.CODE.replace("{name}", "plain")), "plain")
    lines = found.lines
    assert [lines[number - 1].split("[")[0].strip() for number in found.labels["eq-round"]] == [
        "return weight.round()  #", "Symbols  W  (out, in)  the weight"]
    assert lines[found.function_line - 1].startswith("def plain")


def test_listing_has_every_line_once():
    text = 'def f():\n    """Two\n    lines."""\n    return "<b>"  # [eq-a] [eq-b]\n\n\nx = 1\n'
    html = str(highlight.listing(text, {"eq-a"}))
    assert re.findall(r'id="L(\d+)"', html) == [str(i) for i in range(1, 8)]
    assert '<a class="zoo-code-eq" href="#eq-a">[eq-a]</a>' in html
    assert "[eq-b]" in html and 'href="#eq-b"' not in html
    assert "<b>" not in html
    from html import unescape
    assert unescape(re.sub(r"<[^>]+>", "", html)) == text


# --- measurements -----------------------------------------------------------------------------------------------------


def test_view_of_a_measurement(tmp_path):
    from catalog.measurements import Measurement

    root = synthetic.write(tmp_path, hostile=False)
    data = synthetic.measurement("plain", "reference_impls.quantization.plain:plain", root)
    data["runs"] = data["runs"][::-1]  # the order of the file does not matter
    shown = view(Measurement.model_validate(data), stale=True)
    assert [row.role for row in shown.rows] == ["dense", "declared"]
    assert shown.stale and shown.seeds == [0, 1, 2]
    assert [metric.key for metric in shown.metrics] == ["perplexity", "bits_per_weight", "bytes_on_disk"]
    assert [(point.x, point.declared) for point in shown.curve.points] == [(2.0, False), (4.0, True)]
    assert shown.curve.points[0].spread == Spread(30.1, 30.0, 30.2)
    assert shown.curve.dense == Spread(20.1, 20.0, 20.2) and shown.curve.baseline is None
    for run in data["runs"]:
        if run["role"] == "declared":
            run["options"] = run["options"] | {"bits": 3}
    shown = view(Measurement.model_validate(data), stale=True)  # what is declared is in the curve, if no sweep has it
    assert [(point.x, point.declared) for point in shown.curve.points] == [(2.0, False), (3.0, True), (4.0, False)]
    data = json.loads(json.dumps(data).replace("perplexity", "work_calls"))
    work = view(Measurement.model_validate(data), stale=True)
    assert work.curve.metric.key == "work_calls"  # not the size, which is the first of the table


@pytest.mark.parametrize(("key", "label", "unit", "beside"), [
    ("seconds", "time to compress", "s", "s"), ("tokens_per_second", "tokens a second", "1/s", ""),
    ("bits_per_weight", "bits a weight", "bits", ""), ("bytes_on_disk", "bytes on disk", "B", ""),
])  # fmt: skip
def test_unit_is_told_once(key, label, unit, beside):
    assert Metric(key, label, "lower", unit).unit_beside == beside


def test_what_values_and_numbers_read_as():
    said = {"kv-cache": "KV cache", "during-fine-tuning": "during fine-tuning", "post-training": "post-training",
            "not-applicable": "not applicable", "nm-sparse-hardware": "N:M sparse hardware", "full text": "full text"}
    assert {value: word(value) for value in said} == said
    assert [numbers.ratio(value) for value in (1, 1.1, 34.966, 1234.5)] == ["1.000", "1.100", "34.97", "1234"]
    dates = {"1936": "1936", "2022-10": "October 2022", "2019-02-28": "February 2019"}
    assert {date: numbers.month(date) for date in dates} == dates
    assert numbers.products("O(max(out * in^2, in^3)), in x in") == "O(max(out · in², in³)), in × in"
    large = {6.738e9: "6.74 billion", 999_500_000: "1.00 billion", 2e9: "2 billion", 124.4e6: "124 million"}
    assert {value: large_number(value) for value in large} == large


def make_curve(values: list[tuple[float, float, float]], better: str = "lower") -> Curve:
    points = [Point(float(i), str(i), Spread(*value), i == 1) for i, value in enumerate(values)]
    return Curve("bits", Metric("perplexity", "perplexity", better, ""), points, Spread(20, 20, 20),
                 Spread(25, 25, 25), "rtn", True)


def test_curve_places_values_on_its_axis():
    svg = str(plots.curve(make_curve([(40, 39, 41), (30, 30, 30), (22, 21, 24)]), "A & B", "RTN <b>"))
    heights = [float(y) for y in re.findall(r'<circle[^>]* cy="([\d.]+)"', svg)]
    assert heights == sorted(heights) and len(heights) == 3  # lower values lie lower: larger y
    ticks = {float(text): float(y) - 4 for y, text in
             re.findall(r'<text class="tick" x="56" y="([\d.]+)"[^>]*>([\d.]+)<', svg)}
    low, high = min(ticks), max(ticks)
    assert low <= 20 and high >= 41

    def at(value: float) -> float:
        return ticks[low] + (value - low) / (high - low) * (ticks[high] - ticks[low])

    assert heights == pytest.approx([at(40), at(30), at(22)], abs=0.2)
    assert svg.count('class="spread"') == 2  # a point without spread has no bar
    assert "RTN &lt;b&gt;" in svg and "A &amp; B" in svg and "<b>" not in svg
    assert "lower is better" in svg and "declared" in svg


def test_curve_over_orders_of_magnitude_is_logarithmic():
    svg = str(plots.curve(make_curve([(30000, 20000, 40000), (300, 300, 300), (22, 21, 24)]), "x"))
    heights = [float(y) for y in re.findall(r'<circle[^>]* cy="([\d.]+)"', svg)]
    assert "logarithmic" in svg
    assert heights[1] - heights[0] == pytest.approx((heights[2] - heights[0]) * 2 / 3.135, rel=0.02)


def test_curve_of_equal_values_has_an_axis():
    data = make_curve([(20, 20, 20), (20, 20, 20)])
    svg = str(plots.curve(Curve(data.option, data.metric, data.points, data.dense, None, "", True), "x"))
    assert "nan" not in svg and svg.count('class="tick"') >= 4


@pytest.mark.parametrize(("value", "wanted"), [
    (0, "0 B"), (999, "999 B"), (999.7, "1.00 kB"), (1700000, "1.70 MB"), (34.56e6, "34.6 MB"), (345e6, "345 MB"),
    (3e12, "3000 GB"),
])
def test_size(value, wanted):
    assert size(value) == wanted


# --- the graph --------------------------------------------------------------------------------------------------------


def test_citation_graph():
    works = ["a", "b", "c", "d", "lonely"]
    cited = {"a": ["b", "c", "a", "unknown"], "b": ["c"], "d": ["c", "c"], "stranger": ["a"]}
    graph = citations.build(works, cited, {"a": "pruning", "b": "pruning"})
    assert graph.edges == [("a", "b"), ("a", "c"), ("b", "c"), ("d", "c")]
    assert graph.isolated == ["lonely"]
    assert (graph.places["c"].cited_by, graph.places["c"].cites, graph.places["a"].cites) == (3, 0, 2)
    assert sum(place.rank for place in graph.places.values()) == pytest.approx(1)
    assert max(graph.places.values(), key=lambda place: place.rank).key == "c"
    assert all(-1 <= value <= 1 for place in graph.places.values() for value in (place.x, place.y))
    assert len({(place.x, place.y) for place in graph.places.values()}) == 4
    assert graph == citations.build(works, cited, {"a": "pruning", "b": "pruning"})  # the same in every build


def test_empty_citation_graph():
    graph = citations.build(["a"], {}, {})
    assert (graph.places, graph.edges, graph.isolated) == ({}, [], ["a"])


def test_browser_data_is_complete(site):
    import json

    from site_gen.emit import data

    found = json.loads(data.search(site.catalog))
    lists = found["fields"]
    assert len({len(texts) for texts in lists.values()}) == 1
    rows = [dict(zip(lists, row, strict=True)) for row in zip(*lists.values(), strict=True)]
    assert "" in lists["id"] and any(title.startswith("~") for title in lists["title"])  # the name says it
    for row in rows:
        row["id"] = row["id"] or data.spelled(row["name"])
    documents = {f"{row['kind']} {row['id']}": row for row in rows}
    assert len(documents) == len(rows)
    assert {"algorithm plain", "family pruning", "group quantization/rounding", "survey survey2024",
            "paper gray2021third"} <= set(documents)
    assert "paper white2019first" not in documents  # its entry stands for it
    assert found["addresses"]["algorithm"] == "algorithms/*/"
    assert found["addresses"]["group"] == "families/*/#*" and "*" not in data.address("group", "quantization/rounding")
    meanings = {frozenset([phrase, *others]) for phrase, others in site.catalog.synonyms.items()}
    assert len(found["synonyms"]) == len(meanings) and {frozenset(one) for one in found["synonyms"]} == meanings
    assert all(isinstance(value, str) for document in documents.values() for value in document.values())
    graph = json.loads(data.graph(site))
    ids = [node["id"] for node in graph["nodes"]]
    assert sorted(ids) == ["black2020second", "gray2021third", "survey2024things", "white2019first"]
    named = {(ids[i], ids[j]) for i, j in graph["edges"]}
    assert ("survey2024things", "black2020second") in named and len(named) == 3
    node = graph["nodes"][ids.index("white2019first")]
    assert node["entry"] and node["label"] == "Plain" and node["url"] == "algorithms/plain/"


def test_survey_without_evidence_does_not_cover(site):
    filings = {filing.leaf.work: filing.covered for work in site.works.values() for filing in work.filings}
    assert filings == {"white2019first": True, "gray2021third": False, "black2020second": True}
    assert (site.surveys["survey2024"].covered, site.surveys["survey2024"].recalled) == (2, 1)


def test_families_of_works_come_from_entry_example_or_survey(site):
    assert {key: (work.family, work.family_from) for key, work in site.works.items()} == {
        "white2019first": ("quantization", "entry"), "black2020second": ("quantization", "entry"),
        "gray2021third": ("quantization", "example"), "survey2024things": (None, ""),
    }


def test_every_icon_of_a_family_is_drawn():
    import yaml

    from site_gen.emit import icons

    taxonomy = yaml.safe_load((Path(synthetic.ROOT) / "catalog/taxonomy.yml").read_text())
    for name in taxonomy["families"]:
        assert "<svg" in icons.family(name), name
