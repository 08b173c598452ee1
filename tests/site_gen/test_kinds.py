"""Frameworks, benchmarks and metrics on the site: what is computed of them, the matrix, their pages and files."""

from __future__ import annotations

import csv
import io
import json
import re
import shutil
from html import unescape
from pathlib import Path
from types import SimpleNamespace

import pytest

from catalog import CatalogError
from catalog.kinds import Benchmark, Framework, MetricEntry
from site_gen.build import build
from site_gen.emit import kind_files, kind_pages
from site_gen.emit.formulas import Formulas
from site_gen.emit.pages import Pages, Settings
from site_gen.enrich import kinds
from site_gen.enrich.site import Site, enrich
from site_gen.load import load
from tests.site_gen import synthetic
from tests.site_gen.synthetic import HOSTILE_LINE
from tests.site_gen.test_build import elements


@pytest.fixture(scope="module")
def pages(site: Site, repository: Path, tmp_path_factory) -> dict[str, str]:
    folder = tmp_path_factory.mktemp("kinds")
    maker = Pages(site, Formulas(folder / "formulas.json"), Settings(), repository)
    found = kind_pages.pages(maker)
    assert maker.unknown == []
    return found


def text(html: str) -> str:
    return " ".join(unescape(re.sub(r"<[^>]*>", " ", html)).split())


# --- what is computed -----------------------------------------------------------------------------------------------


def world(**changes) -> SimpleNamespace:
    """The parts of a catalog that matter here, all empty."""
    empty = {"frameworks": {}, "benchmarks": {}, "metrics": {}, "algorithms": {}, "bibliography": {}, "surveys": {},
             "reported": [], "all_measurements": lambda: (), "entry_about": lambda key: None}
    return SimpleNamespace(**(empty | changes))


def framework(name: str, *algorithms: str, **changes) -> Framework:
    return Framework.model_validate({
        "name": name, "kind": ["serving"], "does": "Serves.",
        "pages": {"docs": {"address": "https://example.org/", "seen": "2026-01-02"}},
        "supports": [{"algorithm": one, "does": ["runs"], "how": "So.", "source": {"page": "docs"}}
                     for one in algorithms],
    } | changes)  # fmt: skip


def benchmark(name: str, **changes) -> Benchmark:
    return Benchmark.model_validate({"name": name, "kind": "task", "measures": "M.", "task": "T."} | changes)


def metric(name: str, **changes) -> MetricEntry:
    return MetricEntry.model_validate(
        {"name": name, "of": "quality", "definition": "D.", "better": "lower", "hides": "H."} | changes)


def filing(survey: str, read: str = "full text") -> SimpleNamespace:
    return SimpleNamespace(survey=survey, path=("A",), leaf=SimpleNamespace(depth="table", read=read, says=None),
                           covered=read != "recalled")


def work(name: str) -> SimpleNamespace:
    return SimpleNamespace(name=name)


def test_the_matrix_has_entries_first_then_works_and_says_what_is_empty():
    catalog = world(
        frameworks={"zed": framework("Zed", "b2", "work", "a1"), "abe": framework("abe", "a1"),
                    "mid": framework("Mid")},
        algorithms={"a1": 1, "b2": 1, "c3": 1}, bibliography={"work": work("W")},
    )  # fmt: skip
    found = kinds.build(catalog, {}, ["b2", "c3", "a1"])
    assert list(found.support) == ["b2", "a1", "work"]
    assert [cell.framework for cell in found.support["a1"]] == ["abe", "zed"]
    assert found.unsupported == ["c3"] and [view.id for view in found.columns] == ["abe", "zed"]
    assert found.cell("a1", "zed").witness.seen == "2026-01-02" and found.cell("b2", "abe") is None
    assert list(found.frameworks) == ["abe", "mid", "zed"]


def test_what_surveys_say_of_a_shared_work_is_said_of_its_namesake():
    shared = {"two": benchmark("Text-2", work="work2020"), "three": benchmark("Text-103", work="work2020")}
    catalog = world(benchmarks={**shared, "alone": benchmark("Alone", work="other2021")},
                    bibliography={"work2020": work("Text-2"), "other2021": work("Another name")})  # fmt: skip
    filings = {"work2020": [filing("s1"), filing("s2", "recalled")], "other2021": [filing("s3")]}
    found = kinds.build(catalog, filings, []).benchmarks
    assert found["two"].surveys == ["s1"] and len(found["two"].filings) == 2  # recalled: kept, but not seen
    assert found["three"].surveys == [] and found["alone"].surveys == ["s3"]
    catalog.bibliography["work2020"] = work("Neither")
    found = kinds.build(catalog, {"work2020": [filing("s1")]}, []).benchmarks
    assert found["two"].surveys == found["three"].surveys == ["s1"]


def test_a_survey_names_one_by_its_name_or_its_work():
    def item(name: str, *works: str) -> SimpleNamespace:
        return SimpleNamespace(name=name, works=list(works), place=None, read="full text", says=None)

    catalog = world(metrics={"speed": metric("Speed", aliases=["Pace"]), "size": metric("Size", work="work2020")},
                    surveys={"s1": SimpleNamespace(metrics=[item("PACE"), item("How large", "work2020")]),
                             "s2": SimpleNamespace(metrics=[item("Speed of it")])})  # fmt: skip
    found = kinds.build(catalog, {}, []).metrics
    assert found["speed"].surveys == ["s1"] and found["size"].surveys == ["s1"]
    assert [one.item.name for one in found["size"].named] == ["How large"]


def test_reported_numbers_are_counted_and_what_has_no_page_is_listed():
    def number(method: str, measure: str, dataset: str | None) -> SimpleNamespace:
        return SimpleNamespace(method=method, metric=measure, dataset=dataset)

    catalog = world(
        benchmarks={"x": benchmark("X-2"), "y": benchmark("Y", aliases=["why"])}, metrics={"m": metric("M")},
        reported=[number("k1", "m", "x-2, WHY"), number("k1", "M", "X-2"), number("k2", "M of y", "X-23"),
                  number("k2", "M", None)],
        entry_about=lambda key: SimpleNamespace(id="entry") if key == "k1" else None,
    )  # fmt: skip
    found = kinds.build(catalog, {}, ["entry"])
    assert found.benchmarks["x"].reported == {"entry": 2} and found.benchmarks["y"].reported == {"entry": 1}
    assert found.metrics["m"].reported == {"entry": 2, "k2": 1}
    assert found.other_datasets == {"X-23": 1} and found.other_metrics == {"M of y": 1}


def test_measured_by_protocol_and_what_no_metric_claims():
    def measured(algorithm: str, protocol: str, *names: str) -> SimpleNamespace:
        return SimpleNamespace(algorithm=algorithm, protocol=SimpleNamespace(name=protocol), metrics=set(names))

    catalog = world(
        metrics={"size": metric("Size", bench=["bits", "bytes"]), "none": metric("None", bench=["joules"])},
        all_measurements=lambda: (measured("b", "text", "bits", "bytes", "odd"), measured("a", "text", "bits"),
                                  measured("a", "large", "bytes")),
    )  # fmt: skip
    found = kinds.build(catalog, {}, [])
    assert found.metrics["size"].measured == {"large": ["a"], "text": ["a", "b"]}
    assert found.metrics["size"].entries == ["a", "b"] and found.metrics["none"].measured == {}
    assert found.other_measured == ["odd"]


def test_parts_and_metrics_know_their_benchmarks():
    catalog = world(benchmarks={"suite": benchmark("S"), "b": benchmark("B", part_of=["suite"], metrics=["m"]),
                                "a": benchmark("A", part_of=["suite"])}, metrics={"m": metric("M")})  # fmt: skip
    found = kinds.build(catalog, {}, [])
    assert found.benchmarks["suite"].parts == ["a", "b"] and found.metrics["m"].benchmarks == ["b"]


def test_the_small_repository(site):
    found = site.kinds
    assert [cell.framework for cell in found.support["plain"]] == ["malice", "runner"]
    assert list(found.support) == ["plain", "gray2021third"] and found.unsupported == ["hostile"]
    assert found.benchmarks["text"].reported == {"plain": 3, "hostile": 2, "gray2021third": 2}  # data:text is Text
    assert found.metrics["perplexity"].measured == {"language": ["plain"], "language-large": ["plain"]}
    assert found.other_metrics == {HOSTILE_LINE: 2} and "bits_per_weight" in found.other_measured


# --- pages ----------------------------------------------------------------------------------------------------------


def row(page: str, start: str) -> str:
    return page[page.index(start):].partition("</tr>")[0]


def test_a_cell_says_what_and_leads_to_its_source_and_an_empty_one_says_nothing(pages):
    page = pages["frameworks/index.md"]
    heads = re.findall(r'<th scope="col"[^>]*data-column="([^"]+)"', page)
    assert heads == ["algorithm", "frameworks", "malice", "runner"]  # none for one without support
    plain = row(page, '<tr id="support-plain"')
    cells = re.findall(r"<td[^>]*>(.*?)</td>", plain)
    assert text(cells[0]) == "2" and text(cells[1]) == "R runs, ended" and text(cells[2]) == "A R applies, runs"
    assert 'href="runner/#plain"' in cells[2] and 'href="malice/#plain"' in cells[1] and "zoo-cell--ended" in cells[1]
    assert 'data-has-framework="malice runner" data-has-family="quantization" data-has-mark="entry"' in plain
    third = row(page, '<tr id="support-gray2021third"')
    assert "<td></td>" in third and 'data-has-mark=""' in third and "works/gray2021third/" in third
    said = text(page)
    assert "An empty cell means that no source was seen" in said and "3 cells" in said
    assert "1 of our 2 entries, and 1 works without an entry" in said
    assert "For these 1 entries no source was seen: Hostile" in said
    assert re.search(r"Frameworks without a column.*Alone", said)


def test_sticky_heads_and_filters_are_there(pages):
    page = pages["frameworks/index.md"]
    assert 'class="zoo-scroll zoo-scroll--tall zoo-scroll--matrix"' in page
    assert 'data-table-controls="#support-matrix"' in page
    assert 'value="runner">Runner</option>' in page and 'value="alone"' not in page
    for name in ("frameworks", "benchmarks", "metrics"):
        assert f'id="all-{name}"' in pages[f"{name}/index.md"]
        assert f'href="../{name}.csv"' in pages[f"{name}/index.md"]
        assert f'href="../{name}.json"' in pages[f"{name}/index.md"]
    kinds_offered = re.findall(r'<option value="([^"]+)">', page[page.index("all-frameworks"):])
    assert kinds_offered[:4] == ["inference-engine", "serving", "compiler", "hardware"]  # those that are used


def test_a_framework_cites_page_place_version_and_day(pages):
    page = pages["frameworks/runner/index.md"]
    plain = row(page, '<tr id="plain"')
    assert '<a rel="noopener external" href="https://example.org/runner">Flags</a>, 1.2' in plain
    assert "seen 2026-01-02" in text(plain) and "since 1.0" in text(plain) and "until" not in text(plain)
    third = row(page, '<tr id="gray2021third"')
    assert "Table 3" in text(third) and "survey2024things" in third and "seen" not in text(third)
    said = text(page)
    assert "inference engine , serving" in said and "someone/runner , MIT" in said
    assert "no source was seen" in said
    assert "No source was seen that ties it" in text(pages["frameworks/alone/index.md"])
    assert "(its licence was not looked up)" not in said


def test_benchmarks_and_metrics_one_by_one(pages):
    page = pages["benchmarks/index.md"]
    own = text(page[page.index("{#text}"):page.index("{#trap}")])
    assert "9 words" in own and "Table 1" in own and "Its tokens differ." in own
    assert "7 reported numbers of 3 methods: Plain 3 ," in own and "Part of Trap" in own
    assert 'href="../metrics/#perplexity"' in page
    assert "Contains Text as far as they are on this page" in text(page[page.index("{#trap}"):])
    page = pages["metrics/index.md"]
    own = page[page.index("{#perplexity}"):page.index("{#snare}")]
    assert own.count("<!--formula") == 2  # in the definition, and the formula: typeset where the page is built
    assert "perplexity for 1 entry; language 1 , language-large 1 . Plain ." in text(own)
    assert 'href="../benchmarks/#text"' in own and "<dt>Our bench" not in page[page.index("{#snare}"):]
    assert "Our bench also writes bits_per_weight , bytes_on_disk ." in text(page)


def test_formulas_of_metrics_are_typeset(built):
    out, _ = built
    page = (out / "metrics/index.html").read_text(encoding="utf-8")
    own = page[page.index('id="perplexity"'):page.index('id="snare"')]
    assert own.count('class="katex"') == 2 and "<!--formula" not in own and "\\frac1n" in own  # TeX stays for copying


def test_an_entry_names_its_frameworks(built):
    out, _ = built
    page = (out / "algorithms/plain/index.html").read_text(encoding="utf-8")
    block = page[page.index("Supported by"):].partition("</details>")[0]
    assert 'href="../../frameworks/runner/#plain"' in block and "Flags" in block and "seen 2026-01-02" in text(block)
    assert text(block).startswith("Supported by Malice") and "2 sources" in text(block)
    page = text((out / "algorithms/hostile/index.html").read_text(encoding="utf-8"))
    assert "No source was seen that says that a framework supports it." in page and "Supported by" not in page


def test_malice_stays_text_and_leads_nowhere(built):
    out, _ = built
    for name in ("frameworks", "frameworks/malice", "benchmarks", "metrics", "algorithms/plain"):
        path = out / name / "index.html"
        source = path.read_text(encoding="utf-8")
        assert "&lt;script&gt;window.pwned=1" in source, name
        assert source.rindex("window.pwned=1") < source.index("</article>"), name  # inside of the article to the last
        found = elements(path)
        assert len([tag for tag, _ in found.tags if tag == "h1"]) == 1
        assert not any(any(key.startswith("on") for key in attributes) for _, attributes in found.tags)
        assert not any((a.get("href") or "").startswith(("javascript", "data")) for _, a in found.tags)


def test_links_between_them_lead_somewhere(built):
    """Every address with a fragment on their pages has its target."""
    out, _ = built
    known: dict[Path, set[str]] = {}
    checked = 0
    for name in ("frameworks", "frameworks/runner", "benchmarks", "metrics"):
        for tag, attributes in elements(out / name / "index.html").tags:
            address = attributes.get("href") or ""
            if tag != "a" or "//" in address or "#" not in address or not re.search("frameworks|benchmarks|metrics|^#",
                                                                                   address):
                continue
            place, _, anchor = address.partition("#")
            target = (out / name / place / "index.html").resolve()
            if target not in known:
                known[target] = {a["id"] for _, a in elements(target).tags if a.get("id")}
            assert anchor in known[target] or anchor.startswith("__"), (name, address)
            checked += 1
    assert checked > 20


def test_empty_files_are_said_to_be_empty(repository, tmp_path):
    root = tmp_path / "repository"
    shutil.copytree(repository, root, ignore=shutil.ignore_patterns("build", "site"))
    for name in ("frameworks", "benchmarks", "metrics"):
        (root / f"catalog/{name}.yml").unlink()
    site = enrich(load(root))
    found = kind_pages.pages(Pages(site, Formulas(root / "f.json"), Settings(), root))
    assert set(found) == {"frameworks/index.md", "benchmarks/index.md", "metrics/index.md"}
    assert "No support has been written down yet." in found["frameworks/index.md"]
    assert "No benchmark has been written down yet." in found["benchmarks/index.md"]
    assert "No metric has been written down yet." in found["metrics/index.md"]
    assert "Reported numbers also use" in found["metrics/index.md"]


def test_a_formula_that_cannot_be_typeset_is_said_where_it_is(repository, tmp_path):
    root = tmp_path / "repository"
    shutil.copytree(repository, root, ignore=shutil.ignore_patterns("site", "build"))
    found = synthetic.kinds()["metrics"]
    found["perplexity"]["formula"] = "\\notacommand{x}"
    (root / "catalog/metrics.yml").write_text(json.dumps(found))
    with pytest.raises(CatalogError) as caught:
        build(root)
    (problem,) = caught.value.problems
    assert (problem.file, problem.key) == ("catalog/metrics.yml", "perplexity.formula")
    assert problem.value == "\\notacommand{x}"


# --- a work that is one of them, in surveys -------------------------------------------------------------------------


@pytest.fixture(scope="module")
def treated(repository: Path, tmp_path_factory) -> Site:
    """The framework has a paper, which the survey treats; the survey evaluates by perplexity."""
    root = tmp_path_factory.mktemp("treated") / "repository"
    shutil.copytree(repository, root, ignore=shutil.ignore_patterns("build", "site"))
    found = synthetic.kinds()["frameworks"]
    found["runner"]["work"] = "gray2021third"
    (root / "catalog/frameworks.yml").write_text(json.dumps(found))
    survey = synthetic.SURVEY.replace("read: recalled", "read: full text")
    survey += "metrics:\n  - {name: perplexity, kind: metric, read: full text, says: Of text.}\n"
    (root / "catalog/surveys/survey2024.yml").write_text(survey)
    return enrich(load(root))


def test_a_survey_leads_to_what_it_treats(treated, site):
    assert kind_pages.of_survey(treated, "survey2024") == [
        ("Frameworks", "frameworks/", [{"name": "Runner", "address": "frameworks/runner/"}]),
        ("Benchmarks and data sets", "benchmarks/", []),
        ("Metrics", "metrics/", [{"name": "Perplexity", "address": "metrics/#perplexity"}]),
    ]
    assert all(items == [] for _, _, items in kind_pages.of_survey(site, "survey2024"))
    assert treated.frameworks["runner"].surveys == ["survey2024"]


# --- files ----------------------------------------------------------------------------------------------------------


def test_files_hold_what_the_pages_hold(site, built):
    out, _ = built
    found = kind_files.files(site)
    assert set(found) == {f"{name}.{form}" for name in ("frameworks", "benchmarks", "metrics")
                          for form in ("json", "csv")}
    assert all((out / name).read_text(encoding="utf-8") == content for name, content in found.items())
    for name in ("frameworks", "benchmarks", "metrics"):
        rows = json.loads(found[f"{name}.json"])[name]
        assert [one["id"] for one in rows] == list(getattr(site, name))
    lines = list(csv.DictReader(io.StringIO(found["frameworks.csv"])))
    assert [(line["framework"], line["algorithm"], line["is_entry"]) for line in lines] == [
        ("malice", "plain", "yes"), ("runner", "plain", "yes"), ("runner", "gray2021third", "no")]
    assert lines[0]["how"] == lines[0]["until"] == lines[0]["version"] == HOSTILE_LINE
    assert (lines[1]["does"], lines[1]["address"], lines[1]["place"], lines[1]["version"], lines[1]["seen"]) == (
        "applies runs", "https://example.org/runner", "Flags", "1.2", "2026-01-02")
    assert (lines[2]["work"], lines[2]["place"], lines[2]["seen"], lines[2]["address"]) == (
        "survey2024things", "Table 3", "", "")
    runner = next(one for one in json.loads(found["frameworks.json"])["frameworks"] if one["id"] == "runner")
    assert runner["supports"][0]["source"] == {
        "address": "https://example.org/runner", "seen": "2026-01-02", "version": "1.2", "place": "Flags"}
    assert runner["computed"]["url"] == "frameworks/runner/"
    numbers = {line["id"]: line for line in csv.DictReader(io.StringIO(found["benchmarks.csv"]))}
    assert numbers["text"]["reported_numbers"] == "7" and numbers["text"]["part_of"] == "trap"
    measured = {line["id"]: line for line in csv.DictReader(io.StringIO(found["metrics.csv"]))}
    assert measured["perplexity"]["measured_entries"] == "1" and measured["snare"]["unit"] == HOSTILE_LINE


def test_the_json_of_an_entry_names_its_frameworks(built):
    out, _ = built
    found = json.loads((out / "algorithms/plain.json").read_text())["computed"]["supported_by"]
    assert [one["framework"] for one in found] == ["malice", "runner"]
    assert json.loads((out / "algorithms/hostile.json").read_text())["computed"]["supported_by"] == []


def test_a_survey_in_json_says_where_it_was_seen(treated):
    data = json.loads(kind_files.files(treated)["frameworks.json"])["frameworks"]
    runner = next(one for one in data if one["id"] == "runner")["computed"]
    assert runner["surveys"] == ["survey2024"]
    assert [(one["path"], one["depth"]) for one in runner["filed"]] == [(["Quantization", "Deeper"], "mentioned")]
    named = next(one for one in json.loads(kind_files.files(treated)["metrics.json"])["metrics"]
                 if one["id"] == "perplexity")
    assert named["computed"]["named"] == [
        {"survey": "survey2024", "name": "perplexity", "place": None, "read": "full text"}]
