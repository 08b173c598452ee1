"""All measurements together: fronts, what may share a plot, shares of work, the drawing, and the downloads."""

from __future__ import annotations

import csv
import io
import json
import re
from dataclasses import dataclass
from itertools import product
from random import Random
from types import SimpleNamespace
from typing import Any

import pytest

from catalog.measurements import Measurement
from site_gen.emit import downloads, scatter
from site_gen.emit.numbers import number, ratio, signed
from site_gen.enrich import explained, together
from site_gen.enrich.measured import Row, Spread, view
from site_gen.enrich.together import front, sections, work
from tests.site_gen import synthetic

# --- the front --------------------------------------------------------------------------------------------------------


@dataclass
class At:
    x: float
    y: Spread


def dots(*places: tuple[float, float]) -> list[At]:
    return [At(x, Spread(y, y, y)) for x, y in places]


@pytest.mark.parametrize(("places", "better", "wanted"), [
    ([], "lower", []),
    ([(3, 2)], "lower", [True]),
    ([(2, 2), (3, 1), (4, 1.5)], "lower", [True, True, False]),
    ([(2, 2), (2, 1)], "lower", [False, True]),  # as small, and better
    ([(2, 2), (3, 2)], "lower", [True, False]),  # as good, and smaller
    ([(2, 2), (2, 2), (3, 3)], "lower", [True, True, False]),  # at one place neither dominates the other
    ([(4, 1), (3, 1), (3, 1), (2, 5)], "lower", [False, True, True, True]),
    ([(2, 0.5), (3, 0.9), (4, 0.8)], "higher", [True, True, False]),
    ([(2, 0.9), (3, 0.9)], "higher", [True, False]),
    ([(2, 1), (3, 2)], "neither", [False, False]),
])  # fmt: skip
def test_front(places, better, wanted):
    assert front(dots(*places), better) == wanted


@pytest.mark.parametrize("better", ["lower", "higher"])
def test_front_is_what_nothing_dominates(better):
    random = Random(3)
    found = dots(*((random.randrange(6), random.randrange(6)) for _ in range(30)))
    sign = 1 if better == "lower" else -1

    def dominates(one: At, other: At) -> bool:
        a, b = (one.x, sign * one.y.median), (other.x, sign * other.y.median)
        return a != b and a[0] <= b[0] and a[1] <= b[1]

    assert front(found, better) == [not any(dominates(one, dot) for one in found) for dot in found]


# --- what may share a plot --------------------------------------------------------------------------------------------


def entry(id: str, runs: list[dict], *, home: str = "quantization", stale: bool = False, **protocol: Any) -> Any:
    """An entry with one measurement; a run: role, algorithm, options, metrics of seed 0, and what a sweep varies."""
    names = dict.fromkeys(name for run in runs for name in run["metrics"])
    better = {"perplexity": "lower", "accuracy": "higher"}
    data = {
        "schema": 1, "algorithm": id, "code": f"reference_impls.quantization.{id}:{id}", "code_hash": "0" * 64,
        "date": "2026-01-02", "protocol": {"name": "language", "version": 1, "model": "s", "seeds": [0, 1]} | protocol,
        "metrics": {name: {"label": name, "better": better.get(name, "neither"), "unit": ""} for name in names},
        "runs": [
            {"role": run["role"], "algorithm": run.get("algorithm", id), "options": run.get("options", {}),
             "varied": run.get("varied"), "seeds": [{"seed": 0, **run["metrics"]}, {"seed": 1, **run["metrics"]}],
             "median": run["metrics"], "min": run["metrics"], "max": run["metrics"]}
            for run in runs
        ],
    }
    algorithm = SimpleNamespace(home=home)
    shown = view(Measurement.model_validate(data), stale)
    return SimpleNamespace(id=id, name=id.upper(), algorithm=algorithm, measured=shown, elsewhere={})


def run(role: str, perplexity: float, bits: float, options: dict | None = None, **rest: Any) -> dict:
    metrics = {"perplexity": perplexity, "bits_per_weight": bits}
    return {"role": role, "options": options or {}, "metrics": metrics, **rest}


DENSE = run("dense", 20.0, 16.0, algorithm=None)


@pytest.mark.parametrize("change", [
    {"name": "language-large"}, {"version": 2}, {"model": "smollm2"}, {"model_hash": "other"}, {"data_hash": "other"},
])  # fmt: skip
def test_protocols_are_never_mixed(change):
    same = entry("aa", [DENSE, run("declared", 30.0, 3.0)])
    other = entry("bb", [DENSE, run("declared", 25.0, 3.0)], **change)
    found = sections([same, other])
    assert [[item.entry.id for item in section.items] for section in found] in ([["aa"], ["bb"]], [["bb"], ["aa"]])
    assert len({section.id for section in found}) == 2
    for section in found:
        (plot,) = section.plots
        (item,) = section.items
        assert {dot.owner for dot in plot.dots} - {""} == {item.entry.id}
        assert item.entry.name in {dot.name for dot in plot.front}  # the better one elsewhere does not push it off


def test_other_models_of_an_entry_stand_in_their_own_sections():
    one = entry("aa", [DENSE, run("declared", 30.0, 3.0)])
    one.elsewhere["smollm2"] = entry("aa", [DENSE, run("declared", 22.0, 3.0)], model="smollm2",
                                     name="language-large").measured  # fmt: skip
    assert [(s.name, s.model) for s in sections([one])] == [("language", "s"), ("language-large", "smollm2")]


def test_each_run_stands_once_and_under_its_own_family():
    rounding = entry("rtn", [DENSE, run("declared", 30.0, 3.0, {"bits": 3}), run("sweep", 60.0, 2.0, {"bits": 2},
                                                                              varied="bits"),
                             run("sweep", 30.0, 3.0, {"bits": 3}, varied="bits")])  # fmt: skip
    pruning = entry("prune", [DENSE, run("baseline", 99.0, 3.0, {"bits": 3}, algorithm="rtn"),
                              run("baseline", 50.0, 5.0, {}, algorithm="control"), run("declared", 28.0, 4.0)],
                    home="pruning", stale=True)  # fmt: skip
    (section,) = sections([pruning, rounding])
    (plot,) = section.plots
    found = {dot.name: dot for dot in plot.dots}
    assert set(found) == {"uncompressed", "RTN", "RTN, 2 bits", "PRUNE", "control (baseline)"}
    assert found["RTN"].y.median == 1.5 and found["RTN"].row.role == "declared"  # not what another entry compared with
    assert found["RTN"].families == ("quantization", "pruning") and found["RTN"].family == "quantization"
    assert found["control (baseline)"].family is None and found["control (baseline)"].families == ("pruning",)
    assert found["uncompressed"].families == () and found["PRUNE"].stale and not found["RTN"].stale
    assert [dot.name for dot in plot.front] == ["RTN, 2 bits", "RTN", "PRUNE", "uncompressed"]
    assert [row.role for row in section.items[1].rows] == ["declared", "sweep"]  # the declared value is not there twice
    assert section.stale == [section.items[0]]


def test_what_stores_nothing_less_is_not_drawn_against_bits():
    plain = entry("flash", [DENSE, run("declared", 20.0, 16.0)])
    early = entry("early", [DENSE, {"role": "declared", "metrics": {
        "perplexity": 24.0, "bits_per_weight": 16.0, "work_layers_per_token": 3.0, "work_layers_total": 4.0}}])
    small = entry("small", [DENSE, run("declared", 22.0, 4.0)])
    (section,) = sections([plain, early, small])
    bits, layers = section.plots
    assert {dot.owner for dot in bits.dots} == {"", "small"} and section.rest == [section.items[0]]
    places = [(dot.name, dot.x, dot.y.median) for dot in layers.dots]
    assert places == [("uncompressed", 1.0, 1.0), ("EARLY", 0.75, 1.2)]
    assert layers.of_work and "layers" in layers.x.label and not bits.of_work


def test_works_of_different_kinds_are_never_one_axis():
    one = entry("one", [DENSE, {"role": "declared", "metrics": {
        "perplexity": 24.0, "work_layers_per_token": 3.0, "work_layers_total": 4.0}}])
    other = entry("other", [DENSE, {"role": "declared", "metrics": {"perplexity": 22.0, "work_products_share": 0.5}}])
    (section,) = sections([one, other])
    assert [[dot.owner for dot in plot.dots] for plot in section.plots if plot.of_work] == [["", "one"], ["", "other"]]


def test_runs_of_one_entry_that_count_different_work_are_kept_apart():
    metrics = {"perplexity": 24.0, "work_layers_per_token": 3.0, "work_layers_total": 4.0}
    both = entry("both", [DENSE, {"role": "declared", "metrics": metrics},
                          {"role": "sweep", "varied": "k", "options": {"k": 1},
                           "metrics": {"perplexity": 22.0, "work_products_share": 0.5}}])  # fmt: skip
    (section,) = sections([both])
    assert [[(dot.name, dot.x) for dot in plot.dots] for plot in section.plots] == [
        [("uncompressed", 1.0), ("BOTH", 0.75)], [("uncompressed", 1.0), ("BOTH, k 1", 0.5)]]


def test_of_one_control_measured_twice_the_current_one_is_drawn():
    def with_control(name: str, control: float, stale: bool) -> Any:
        return entry(name, [DENSE, run("baseline", control, 8.0, algorithm="control"), run("declared", 30.0, 3.0)],
                     stale=stale)  # fmt: skip

    (section,) = sections([with_control("old", 60.0, True), with_control("new", 50.0, False)])
    (dot,) = [dot for dot in section.plots[0].dots if dot.row.algorithm == "control"]
    assert (dot.y.median, dot.stale, dot.owner) == (2.5, False, "new")


@pytest.mark.parametrize(("values", "wanted"), [
    ({"work_layers_per_token": 3.0, "work_layers_total": 4.0, "work_read_outs_per_token": 3.0}, ("layers", 0.75)),
    ({"work_tokens_total": 16.0, "work_tokens_left": 4.0, "work_tokens_per_layer": 12.0}, ("tokens", 0.75)),
    ({"work_neurons_per_token": 64.0, "work_neurons_total": 256.0, "work_products_share": 0.4}, ("products", 0.4)),
    ({"work_tokens_per_target_call": 2.5, "work_target_calls_per_token": 0.4}, ("calls", 0.4)),
    ({"work_read_outs_per_token": 2.0}, None), ({"perplexity": 20.0}, None),
])  # fmt: skip
def test_share_of_the_work(values, wanted):
    assert work(Row("declared", "x", {}, {key: Spread(v, v, v) for key, v in values.items()})) == wanted


def test_trained_methods_are_drawn_against_parameters():
    dense = {"role": "dense", "algorithm": None, "metrics": {"perplexity": 200.0, "parameters": 1000}}
    one = entry("one", [dense, {"role": "declared", "metrics": {"perplexity": 100.0, "parameters": 500}}],
                name="small-training")  # fmt: skip
    two = entry("two", [dense, {"role": "declared", "metrics": {"perplexity": 300.0, "parameters": 700}}],
                name="small-training")  # fmt: skip
    (section,) = sections([one, two])
    (plot,) = section.plots
    assert plot.x.key == "parameters" and not plot.strip
    assert [dot.name for dot in plot.front] == ["ONE"]
    same = [entry(name, [dense, {"role": "declared", "metrics": {"perplexity": 100.0, "parameters": 500}}],
                  name="distillation") for name in ("one", "two")]  # fmt: skip
    (section,) = sections(same)
    assert section.plots[0].strip and section.plots[0].front == []


def test_every_protocol_of_the_bench_says_what_it_shows():
    text = (synthetic.ROOT / "reference_impls/bench/protocol.py").read_text(encoding="utf-8")
    names = re.findall(r'name="([a-z-]+)"', text)
    assert len(names) > 8 and all(explained.protocol(name) for name in names)
    assert explained.protocol("none-such") == ""
    for model in ("s", "s-outliers", "smollm2"):
        assert explained.model(model, "language") and not explained.model(model, "distillation")


# --- the drawing ------------------------------------------------------------------------------------------------------


def test_drawing_places_runs_on_its_axes():
    entries = [entry("aa", [DENSE, run("declared", 40.0, 2.0), run("sweep", 30.0, 4.0, {"k": 1}, varied="k"),
                            run("sweep", 22.0, 8.0, {"k": 2}, varied="k")])]  # fmt: skip
    (plot,) = sections(entries)[0].plots
    svg = str(scatter.draw(plot, 'A "title" & more'))
    places = {name: (float(x), float(y)) for x, y, name in re.findall(
        r'transform="translate\(([\d.]+) ([\d.]+)\)">.*?<title>(.+?)&#10;', svg)}
    assert set(places) == {"AA", "AA, k 1", "AA, k 2", "uncompressed"}
    (x2, y2), (x4, y4), (x8, y8), (x16, y16) = (places[name] for name in ("AA", "AA, k 1", "AA, k 2", "uncompressed"))
    assert x4 - x2 == pytest.approx(x8 - x4, abs=0.2) == pytest.approx(x16 - x8, abs=0.2)  # logarithmic
    assert (x2, x16) == (scatter.LEFT + 14, scatter.WIDTH - scatter.RIGHT - 14)
    assert y2 < y4 < y8 < y16 and 'class="beyond"' not in svg
    ticks = {text: float(y) - 4 for y, text in re.findall(r'y="([\d.]+)" text-anchor="end">([\d.]+)<', svg)}
    assert ticks["1"] == pytest.approx(y16, abs=0.2) and ticks["1.5"] == pytest.approx(y4, abs=0.2)
    assert ticks["2"] == pytest.approx(y2, abs=0.2)
    assert 'aria-label="A &quot;title&quot; &amp; more"' in svg and svg.count('class="front"') == 1
    assert svg.count("front-dot") == 4 and "AA, k 1</text>" in svg


def test_runs_far_off_are_drawn_at_the_edge_and_counted():
    runs = [run("sweep", 20.0 + i, 3.0 + i / 10, {"k": i}, varied="k") for i in range(1, 12)]
    (plot,) = sections([entry("aa", [DENSE, run("declared", 20000.0, 3.0), *runs])])[0].plots
    svg = str(scatter.draw(plot, "x"))
    assert scatter.beyond(plot) == 1 == svg.count('class="beyond"') and plot.limit == 3
    assert all(float(y) > 0 for y in re.findall(r"translate\([\d.]+ ([-\d.]+)\)", svg))


def test_narrow_drawing_has_the_same_runs_inside_its_width_and_titles_of_whole_parts():
    entries = [entry("aa", [DENSE, run("declared", 40.0, 2.0), run("sweep", 22.0, 8.0, {"k": 2}, varied="k")])]
    (plot,) = sections(entries)[0].plots
    wide, narrow = str(scatter.draw(plot, "x")), str(scatter.draw(plot, "x", scatter.NARROW))
    assert str(scatter.both(plot, "x")) == wide + narrow and narrow.count("<title>") == wide.count("<title>") == 3
    places = [float(x) for x in re.findall(r"translate\(([\d.]+) ", narrow)]
    assert min(places) == scatter.NARROW.left + 14 and max(places) == scatter.NARROW.width - scatter.NARROW.right - 14
    lines = re.findall(r"<tspan[^>]*>(.+?) </tspan>", narrow)
    assert lines[:2] == ["perplexity, as a ratio to the uncompressed model,", "lower is better, logarithmic"]
    assert all(len(line) <= scatter.NARROW.letters for line in lines)
    assert "tspan" not in wide and 'class="name"' in wide and 'class="name"' not in narrow


def test_hostile_names_in_a_drawing_are_text():
    hostile = entry("aa", [DENSE, run("declared", 40.0, 2.0, {"k": '"><script>'})])
    hostile.name = '<script>&"'
    (plot,) = sections([hostile])[0].plots
    svg = str(scatter.draw(plot, plot.summary("<b>")))
    assert "<script" not in svg and "<b>" not in svg and "&lt;script&gt;&amp;&quot;" in svg


def test_every_family_has_a_shape_of_its_own():
    import yaml

    families = yaml.safe_load((synthetic.ROOT / "catalog/taxonomy.yml").read_text(encoding="utf-8"))["families"]
    assert set(families) == set(scatter.SHAPES)
    assert len({*scatter.SHAPES.values(), scatter.OTHER}) == len(families) + 1


@pytest.mark.parametrize(("value", "wanted"), [
    (0, "0"), (1.0859, "1.086"), (16.0, "16"), (14336, "14,336"), (0.00004, "0.000040"), (-0.00061, "-0.00061"),
    (1e-9, "1.0e-09"), (0.1494, "0.1494"),
])  # fmt: skip
def test_numbers_for_people(value, wanted):
    assert number(value) == wanted


@pytest.mark.parametrize(("value", "wanted"), [(0.123, "+0.12"), (-0.5, "−0.50"), (-0.001, "0.00"), (0.0, "0.00")])
def test_signed_numbers(value, wanted):
    assert signed(value) == wanted


# --- downloads --------------------------------------------------------------------------------------------------------


def test_downloads_hold_every_run_of_every_file(site, repository):
    rows = downloads.measured(site)
    files = sorted((repository / "catalog/measurements").rglob("*.json"))
    runs = [(data, found) for data in map(json.loads, (f.read_text() for f in files)) for found in data["runs"]]
    assert len(rows) == len(runs) == 8
    for data, found in runs:
        protocol = data["protocol"]
        row = next(row for row in rows if (row["entry"], row["model"], row["role"], row["options"]) == (
            data["algorithm"], protocol["model"], found["role"], found["options"]))
        assert (row["protocol"], row["protocol_version"], row["seeds"]) == (
            protocol["name"], protocol["version"], protocol["seeds"])
        for name, part in product(found["median"], ("median", "min", "max")):
            assert row["metrics"][name][part] == found[part][name]
        assert row["varied"] == found["varied"] and row["stale"] is (protocol["model"] == "smollm2")
    assert json.loads(downloads.as_json(rows)) == {"schema": 1, "rows": rows}


def test_csv_reads_back_to_the_last_digit():
    rows = [
        {"protocol": "a", "version": 1, "stale": True, "options": {"text": 'comma, "quote"\nline'}, "none": None,
         "metrics": {"perplexity": {"median": 0.1 + 0.2, "min": 1e-17, "max": 3}}},
        {"protocol": "b", "version": 2, "stale": False, "options": {}, "none": "x",
         "metrics": {"kl": {"median": 1.5, "min": 1.5, "max": 1.5}}},
    ]
    first, second = csv.DictReader(io.StringIO(downloads.as_csv(rows)))
    assert list(first) == ["protocol", "version", "stale", "options", "none", *(
        f"{name}_{part}" for name in ("perplexity", "kl") for part in ("median", "min", "max"))]
    assert float(first["perplexity_median"]) == 0.1 + 0.2 and float(first["perplexity_min"]) == 1e-17
    assert first["perplexity_max"] == "3" and first["kl_median"] == "" and second["kl_median"] == "1.5"
    assert json.loads(first["options"]) == rows[0]["options"]
    assert (first["stale"], second["stale"]) == ("true", "false")
    assert first["none"] == "" and downloads.as_csv([]) == "\n"


def test_numbers_on_the_page_are_those_of_the_files(built, repository):
    """Every median of the plot's runs stands in the table under it, in the row of its run."""
    out, _ = built
    page = (out / "measured/index.html").read_text(encoding="utf-8")
    data = json.loads((repository / "catalog/measurements/plain.json").read_text())
    section = page[page.index('data-section="language-1-s"'):page.index('data-section="language-large')]
    dense = next(found for found in data["runs"] if found["role"] == "dense")["median"]["perplexity"]
    tables = re.findall(r"<table.*?</table>", section, re.DOTALL)
    for found in data["runs"]:
        if found["role"] == "sweep" and found["options"] == {"bits": 4}:
            continue  # the declared one, which stands once
        cells = [ratio(found["median"]["perplexity"] / dense), f"{found['median']['perplexity']:.2f}"]
        rows = [row for table in tables for row in re.findall(r"<tr.*?</tr>", table, re.DOTALL)
                if f"zoo-row--{found['role']}" in row]
        assert any(all(re.search(rf'zoo-number">{re.escape(cell)}<', row) for cell in cells) for row in rows), found


def test_section_ids_are_those_of_the_protocol():
    entries = [entry("aa", [DENSE, run("declared", 30.0, 3.0)]),
               entry("bb", [DENSE, run("declared", 30.0, 3.0)], data_hash="z"),
               entry("cc", [DENSE, run("declared", 30.0, 3.0)], name="small-training", model="Bench, here")]
    assert [section.id for section in sections(entries)] == ["language-1-s", "language-1-s-2", "small-training-1"]
    assert together.identity({"name": "n", "version": 1, "model": "m"}) == ("n", 1, "m", "", "")
