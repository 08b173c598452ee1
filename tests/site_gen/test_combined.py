"""Pairs of methods: the arithmetic of the heat map, what the pages say of it, and what they say where nothing is."""

from __future__ import annotations

import csv
import html
import io
import json
import math
import re
import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest

from catalog.code import Source
from catalog.combinations import Combinations, Declared
from catalog.measurements import code_hash
from site_gen import build as build_module
from site_gen.build import Report
from site_gen.emit import downloads
from site_gen.enrich import combined
from site_gen.enrich.site import enrich
from site_gen.load import load
from tests.site_gen import synthetic
from tests.site_gen.synthetic import LOGS


def shown(data: dict, kinds: dict | None = None) -> combined.Combined:
    declared = {"model": "s", "methods": {name: {"kind": kind} for name, kind in (kinds or {}).items()}}
    return combined.view(SimpleNamespace(
        combinations=Combinations.model_validate(data), combined=Declared.model_validate(declared) if kinds else None,
        algorithms={}, source=Source(synthetic.ROOT),
    ))  # fmt: skip


def test_pair_against_the_sum_of_its_parts_is_seed_by_seed():
    found = shown(synthetic.combinations(LOGS))
    pair = found.pairs["plain", "hostile"]
    # changes 0.35, 0.55, 0.9; sums 0.7, 0.6, 0.8: the median of the differences is not the difference of the medians
    assert (pair.change.median, pair.change.low, pair.change.high) == pytest.approx((0.55, 0.35, 0.9))
    assert (pair.excess.median, pair.excess.low, pair.excess.high) == pytest.approx((-0.05, -0.35, 0.1))
    assert pair.level == 2
    assert [part.change.median for part in found.parts] == pytest.approx([0.2, 0.5])


def test_losses_that_add_up_leave_nothing():
    logs = {(): (3.0,) * 3, ("plain",): (3.5,) * 3, ("hostile",): (3.25,) * 3, ("plain", "hostile"): (3.75,) * 3}
    pair = shown(synthetic.combinations(logs)).pairs["plain", "hostile"]
    assert pair.excess.median == pytest.approx(0, abs=1e-12) and pair.level == 3


@pytest.mark.parametrize(("excess", "level"), [
    (-0.5, 0), (-0.2, 1), (-0.05, 2), (0.0, 3), (0.02, 3), (0.05, 4), (0.2, 5), (0.5, 6),
])  # fmt: skip
def test_classes_of_the_map(excess, level):
    logs = {(): (3.0,) * 3, ("plain",): (3.5,) * 3, ("hostile",): (3.25,) * 3}
    logs["plain", "hostile"] = (3.75 + excess,) * 3
    assert shown(synthetic.combinations(logs)).pairs["plain", "hostile"].level == level


def test_better_order_only_where_every_seed_agrees():
    found = shown(synthetic.combinations(LOGS))
    assert found.pairs["plain", "hostile"].better is True and found.pairs["hostile", "plain"].better is False
    assert [(one.first, other.first) for one, other in found.orders] == [("plain", "hostile")]
    unclear = shown(synthetic.combinations(LOGS | {("hostile", "plain"): (3.8, 3.9, 4.0)}))
    assert unclear.pairs["plain", "hostile"].better is None is unclear.pairs["hostile", "plain"].better
    assert [(one.first, one.better) for one, _ in unclear.orders] == [("plain", None)]


def test_a_reason_names_the_methods_and_nothing_else_of_the_error_changes():
    pair = combined.Pair("a-b", "c", None, None, {}, "a-b+c: c spoils what a_b made, not a-b-x; put it first: c+a-b")
    names = {"a-b": "AB", "c": "Cee"}
    assert pair.reason(names.get) == "Cee spoils what AB made, not a-b-x; put it first: Cee, then AB"


def test_refused_pair_has_its_reason_and_no_number():
    logs = {names: values for names, values in LOGS.items() if names != ("hostile", "plain")}
    found = shown(synthetic.combinations(logs, {("hostile", "plain"): "one is packed"}))
    pair = found.pairs["hostile", "plain"]
    assert pair.refused == "one is packed"
    assert pair.change is pair.excess is pair.level is pair.better is None
    assert found.refused == [pair] and len(found.measured) == 1 and found.orders == []
    assert found.pairs["plain", "hostile"].better is None


def test_methods_stand_in_the_order_of_their_kinds():
    kinds = {"plain": "quantization", "hostile": "rewrite"}
    assert [part.id for part in shown(synthetic.combinations(LOGS), kinds).parts] == ["hostile", "plain"]
    assert [part.id for part in shown(synthetic.combinations(LOGS)).parts] == ["plain", "hostile"]


def test_downloads_of_pairs():
    rows = downloads.combinations(shown(synthetic.combinations(LOGS, {}, None)))
    assert [(row["first"], row["second"]) for row in rows] == [
        (None, None), ("plain", None), ("hostile", None), ("plain", "hostile"), ("hostile", "plain")]
    first = list(csv.DictReader(io.StringIO(downloads.as_csv(rows))))[3]
    assert float(first["log_perplexity_change_median"]) == pytest.approx(0.55)
    assert float(first["excess_over_sum_min"]) == pytest.approx(-0.35)
    assert float(first["perplexity_max"]) == math.exp(3.9)
    assert [first[key] for key in ("better_order", "protocol", "model", "stale")] == ["true", "language", "s", "true"]
    assert downloads.combinations(None) == []


# --- the pages --------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def texts(repository: Path, tmp_path_factory) -> dict[str, str]:
    """The pages of a repository with combinations, relations that are checked, and a stale part."""
    root = tmp_path_factory.mktemp("combined") / "repository"
    shutil.copytree(repository, root, ignore=shutil.ignore_patterns("site", "build"))
    fields = synthetic.entry("Plain", relations=[
        {"type": "stacks_with", "target": "hostile", "order": "either", "why": "They do."},
        {"type": "stacks_with", "target": "gray2021third", "order": "before", "why": "It has no entry."},
        {"type": "special_case_of", "target": "hostile", "when": "One of them is off.",
         "test": "tests/reference_impls/quantization/test_plain.py::test_it"},
    ])
    (root / "catalog/algorithms/quantization/plain.yml").write_text(json.dumps(fields))
    stacking = root / "tests/reference_impls/test_stacking.py"
    stacking.write_text("def test_it():\n    pass\n")
    kinds = {name: {"kind": "quantization"} for name in ("plain", "hostile")}
    (root / "catalog/combinations.yml").write_text(json.dumps({"model": "s", "methods": kinds}))
    hashes = {"plain": code_hash("reference_impls.quantization.plain:plain", root), "hostile": "0" * 64}
    logs = {names: values for names, values in LOGS.items() if names != ("hostile", "plain")}
    refused = {("hostile", "plain"): f"hostile+plain: {synthetic.HOSTILE}"}
    (root / "catalog/combinations.json").write_text(json.dumps(synthetic.combinations(logs, refused, hashes)))
    build_module.write_docs(enrich(load(root)), root, root / "build", Report(root / "site"))
    return {path.parent.name: path.read_text(encoding="utf-8") for path in (root / "build/docs").rglob("index.md")}


def test_map_shows_numbers_refusals_and_reasons(texts):
    page = texts["combinations"]
    table = page[page.index('class="zoo-heat"'):page.index("</table>")]
    assert re.search('<td class="zoo-heat-2"[^>]*><a href="#plain-hostile">−0.05</a>', table)
    assert table.count('<td class="zoo-heat-refused"') == 1
    assert 'href="#hostile-plain" aria-label="cannot be done"' in table
    row = page[page.index('<tr id="hostile-plain">'):]
    assert 'Cannot be done:</span> ' + html.escape("<script>") in row and "<script>" not in page
    row = re.search(r'<tr id="plain-hostile">.*?</tr>', page, re.DOTALL)[0]
    assert "+0.550" in row and "+0.350 to +0.900" in row and "−0.050" in row and "34.81" in row
    assert "Stale" in page and "zoo-note--warn" in page


def test_entry_shows_how_its_relations_are_checked(texts):
    page = texts["plain"]
    relations = page[page.index("{#relations}"):page.index("{#surveys}")]
    items = re.findall(r"<li.*?</li>", relations, re.DOTALL)
    stacks = next(item for item in items if "They do." in item)
    assert ">checked<" in stacks and "tests/reference_impls/test_stacking.py" in stacks
    assert 'href="../../combinations/#plain-hostile"' in stacks
    assert "log-perplexity +0.550, −0.050 beyond the sum" in stacks
    assert "#hostile-plain" not in stacks  # that order cannot be done
    special = next(item for item in items if "One of them is off." in item)
    assert "checked by test" in special and "test_plain.py::test_it" in special
    assert "checked" not in next(item for item in items if "It has no entry." in item)
    assert "tests/reference_impls/test_stacking.py" in texts["hostile"]  # seen from the other side too


def test_entry_shows_its_measurement_on_another_model(texts):
    page = texts["plain"]
    part = page[page.index('id="measured-smollm2"'):page.index("</section>", page.index('id="measured-smollm2"'))]
    assert "SmolLM2-135M" in part and "rounded to 4" in part and "<code>smollm2</code>" in part
    assert "compzoo bench plain --model smollm2" in part  # it is stale
    assert part.count("<tr") == 1 + 2 + 1 + 2 and "30.10" in part
    assert '?family=quantization">' in page


def test_health_names_what_is_stale_elsewhere(texts):
    page = texts["health"]
    assert 'plain/#measured-smollm2">Plain on smollm2</a>' in page
    stale = re.search(r"are stale for.*?</p>", page, re.DOTALL)[0]
    assert "algorithms/hostile/" in stale and "algorithms/plain/" not in stale


def test_where_nothing_was_combined_the_page_says_so(built):
    out, _ = built
    page = (out / "combinations/index.html").read_text(encoding="utf-8")
    assert "Nothing has been measured yet" in page and "compzoo combine" in page and "<table" not in page
    assert json.loads((out / "combinations.json").read_text()) == {"schema": 1, "rows": []}
    assert "No combinations have been measured." in (out / "health/index.html").read_text(encoding="utf-8")
    relations = (out / "algorithms/hostile/index.html").read_text(encoding="utf-8")
    assert "checked: runs in" not in relations
