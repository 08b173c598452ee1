"""entries.json and the facets behind it: one row an entry, every value known, counts that are those of the rows."""

from __future__ import annotations

import json
import shutil

import pytest

from site_gen.emit import entries_file, links
from site_gen.enrich.facets import NO_SURVEY
from site_gen.enrich.site import enrich
from site_gen.load import load
from tests.site_gen import synthetic


def changed(repository, tmp_path, **fields):
    """The site of a copy of the repository whose plain entry has these fields."""
    root = tmp_path / "copy"
    shutil.copytree(repository, root, ignore=shutil.ignore_patterns("build", "site"))
    entry = synthetic.entry("Plain", **fields)
    (root / "catalog/algorithms/quantization/plain.yml").write_text(json.dumps(entry), encoding="utf-8")
    return enrich(load(root))


def test_every_value_of_an_entry_is_a_value_of_its_facet(site):
    facets = site.facets
    for identifier, found in facets.of.items():
        assert set(found) == set(facets.all)
        for name, values in found.items():
            known = [value.id for value in facets.all[name].values]
            assert values or name == "bits", (identifier, name)
            assert set(values) <= set(known) and len(values) == len(set(values)), (identifier, name)


def test_counts_are_those_of_the_rows_and_zero_stays(site):
    for name, facet in site.facets.all.items():
        for value in facet.values:
            having = sum(value.id in found[name] for found in site.facets.of.values())
            assert value.count == having == site.facets.count(name, value.id)
    unused = {value.id for value in site.facets.all["stage"].values if not value.count}
    assert unused == {"during-fine-tuning", "pre-training", "from-scratch", "inference-time"}
    assert site.facets.count("stage", "nonsense") == site.facets.count("depth", "table") == 0


def test_narrower_values_come_with_their_wider_one(site):
    for facet in site.facets.all.values():
        parents = {value.id: value.parent for value in facet.values}
        assert set(parents.values()) - {None} <= set(parents)
        for found in site.facets.of.values():
            values = found[facet.id]
            assert {parents[value] for value in values} - {None} <= set(values)
    assert site.facets.of["plain"]["bits"] == ["weights", "weights-2", "weights-4"]
    assert site.facets.of["plain"]["family"] == ["quantization", "quantization/rounding"]


def test_an_entry_is_also_in_its_further_homes(repository, tmp_path):
    site = changed(repository, tmp_path, also_in=["pruning/magnitude"], software=None, paper=None, origin="Old lore.")
    assert site.facets.of["plain"]["family"] == [
        "quantization", "quantization/rounding", "pruning", "pruning/magnitude"]
    assert site.facets.count("family", "pruning") == site.facets.count("family", "pruning/magnitude") == 1
    assert site.facets.of["plain"]["code"] == ["none"]
    assert site.facets.of["plain"]["survey"] == [NO_SURVEY]
    row = entries_file.row(site, site.entries["plain"])
    assert row["paper"] is row["by"] is row["code"]["official"] is None and row["code"]["libraries"] == []


def test_a_width_that_is_no_whole_number(repository, tmp_path):
    facts = synthetic.entry("Plain")["facts"] | {"bits": {"weights": [1.58, 1, 1.58]}}
    site = changed(repository, tmp_path, facts=facts)
    assert site.facets.of["plain"]["bits"] == ["weights", "weights-1.58", "weights-1"]
    names = {value.id: value.name for value in site.facets.all["bits"].values}
    assert names["weights-1.58"] == "1.58 bits" and names["weights-1"] == "1 bit" and names["weights"] == "weights"


def test_what_a_survey_is_only_recalled_to_say_is_no_treatment(site):
    assert site.facets.of["plain"]["survey"] == ["survey2024"]  # covered in "Quantization"
    recalled = [filing for filing in site.entries["plain"].filings if not filing.covered]
    assert not recalled  # the recalled leaf is of gray2021third, which has no entry


def test_file(site, built):
    text = (built[0] / "assets/zoo/entries.json").read_text(encoding="utf-8")
    assert text == entries_file.entries(site)
    data = json.loads(text)
    assert data["schema"] == 1
    assert [row["id"] for row in data["entries"]] == list(site.entries)
    by_id = {row["id"]: row for row in data["entries"]}
    plain = by_id["plain"]
    assert plain["facts"]["compresses"] == ["weights"] and plain["facts"]["uses_gradients"] is False
    assert plain["bits"] == {"weights": [2, 4]} and "bits" not in plain["facts"] and "cost" not in plain["facts"]
    assert (plain["family"], plain["group"], plain["year"]) == ("quantization", "rounding", 2019)
    assert plain["measured"] == "current" and plain["measured_on"] == ["smollm2"] and plain["runs"] is True
    assert plain["code"] == {"official": "someone/plain", "libraries": ["lib"]} and plain["surveys"] == ["survey2024"]
    assert (built[0] / plain["address"] / "index.html").is_file()
    assert by_id["hostile"]["name"] == synthetic.hostile_entry()["name"]  # as it is: text, never markup
    assert by_id["hostile"]["measured"] == "no"
    for facet in data["facets"]:
        page, _, anchor = facet["about"].partition("#")
        text = (built[0] / page / "index.html").read_text(encoding="utf-8")
        assert not anchor or f'id="{anchor}"' in text


@pytest.mark.parametrize(("chosen", "wanted"), [
    ({}, "algorithms/"), ({"data": "none"}, "algorithms/?data=none"),
    ({"checked": "full text", "family": ["a/b", "c"]}, "algorithms/?checked=full%20text&family=a/b,c"),
    ({"data": "a&b=c"}, "algorithms/?data=a%26b%3Dc"),
])  # fmt: skip
def test_addresses_of_the_filtered_catalog(chosen, wanted):
    assert links.catalog(**chosen) == wanted


def test_a_query_survives_in_a_relative_address():
    link = links.Links("algorithms/gptq/")
    assert link("algorithms/?data=none&year=2020-") == "../?data=none&year=2020-"
    assert link("compare/?a=x&a=y#top") == "../../compare/?a=x&a=y#top"
    assert links.Links("algorithms/")("algorithms/?data=none#gptq") == "./?data=none#gptq"
