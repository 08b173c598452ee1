"""Reported numbers: side by side only under one protocol, the parts that keep the others apart, and what pages show."""

from __future__ import annotations

import csv
import io
import json
from types import SimpleNamespace

import pytest

from catalog.reported import Origin, Record, Words
from site_gen.emit.reported_pages import reported_files
from site_gen.enrich.reported import Reported, differences, reported_numbers
from tests.site_gen.test_build import elements

WORDS = Words.model_validate({
    "settings": {
        "bits": {"part": "compression", "meaning": "Bits."}, "length": {"part": "evaluation", "meaning": "Tokens."},
        "data": {"part": "calibration", "meaning": "Data."}, "form": {"part": "method", "meaning": "Form."},
        "size": {"part": "outcome", "meaning": "Size.", "name": "megabytes"},
    },
    "metrics": {"perplexity": {"better": "lower"}, "accuracy": {"better": "higher"}, "colour": {"better": "neither"}},
    "protocols": {"shared": {"name": "Shared", "metric": "perplexity", "dataset": "Text", "setting": {"length": 9},
                             "why": "Both say so."}},
})


def number(method: str, value: float, place: int = 0, **changes) -> Record:
    """A number of table `place`; the source and the row follow from it and from how many were made."""
    number.made += 1
    fields = {
        "file": f"catalog/reported/s{place}.yml", "path": ("tables", 0, "rows", number.made),
        "source": Origin(repository=f"who/s{place}"), "place": "Table 1", "checked": "full text", "method": method,
        "model": "M", "metric": "perplexity", "dataset": "Text", "unit": None, "setting": {}, "from_code": (),
        "not_stated": (), "value": value, "baseline": None, "baseline_is": None, "protocol": None, "gathered": False,
        "notes": (),
    }
    return Record(**(fields | changes))


number.made = 0


def view(*records: Record) -> Reported:
    methods = {record.method for record in records}
    catalog = SimpleNamespace(protocol_words=WORDS, reported=list(records), bibliography={})
    return reported_numbers(catalog, {}, {name: SimpleNamespace(family=None) for name in methods})


def groups(*records: Record) -> list[list[float]]:
    return [[line.record.value for line in group.lines] for group in view(*records).groups]


def test_equal_protocols_stand_together_the_better_first():
    found = view(number("a", 3.0), number("b", 2.0), number("c", 3.0), number("a", 9.0, setting={"form": "slow"}))
    (group,) = found.groups
    assert [line.record.value for line in group.lines] == [2.0, 3.0, 3.0, 9.0]
    assert group.ranks == [1, 2, 2, 4]
    assert group.methods == ["b", "a", "c"] and found.apart == []
    assert groups(*(number(m, v, metric="accuracy") for m, v in (("a", 1), ("b", 2)))) == [[2, 1]]
    (colours,) = view(*(number(m, v, metric="colour") for m, v in (("a", 2), ("b", 1)))).groups
    assert colours.ranks == [None, None] and [line.record.value for line in colours.lines] == [2, 1]


def test_one_method_alone_is_no_group():
    assert groups(number("a", 1.0), number("a", 2.0, setting={"form": "slow"})) == []


@pytest.mark.parametrize("changes", [
    {"model": "N"}, {"metric": "accuracy"}, {"dataset": "Other"}, {"dataset": None}, {"unit": "%"},
    {"setting": {"bits": 4}}, {"setting": {"length": 9}}, {"gathered": True}, {"file": "another file"},
])  # fmt: skip
def test_any_part_of_the_protocol_keeps_apart(changes):
    assert groups(number("a", 1.0), number("b", 2.0)) == [[1.0, 2.0]]
    assert groups(number("a", 1.0), number("b", 2.0, **changes)) == []


def test_sources_stand_together_only_under_a_shared_protocol_that_they_tell_whole():
    same = {"protocol": "shared", "setting": {"length": 9}}
    (group,) = view(number("a", 1.0, 0, **same), number("b", 2.0, 1, **same)).groups
    assert group.shared.name == "Shared"
    assert groups(number("a", 1.0, 0), number("b", 2.0, 1)) == []
    assert groups(number("a", 1.0, 0, **same), number("b", 2.0, 1, **same, not_stated=("bits",))) == []
    untold = {"not_stated": ("bits",)}
    assert groups(number("a", 1.0, **untold), number("b", 2.0, **untold)) == [[1.0, 2.0]]  # one table
    assert groups(number("a", 1.0, 0, **same, **untold), number("b", 2.0, 1, **same, **untold)) == []


def test_calibration_and_uncompressed_model_part_only_where_they_contradict():
    c4, pile = {"setting": {"data": "C4"}}, {"setting": {"data": "Pile"}}
    assert groups(number("a", 1.0, **c4), number("b", 2.0)) == [[1.0, 2.0]]
    assert groups(number("a", 1.0, **c4), number("b", 2.0, **pile)) == []
    assert groups(number("a", 1.0, **c4), number("b", 2.0, **pile), number("c", 3.0), number("d", 4.0, **c4)) == [
        [1.0, 4.0]]
    assert groups(number("a", 1.0, baseline=5.0), number("b", 2.0)) == [[1.0, 2.0]]
    assert groups(number("a", 1.0, baseline=5.0), number("b", 2.0, baseline=5.1)) == []
    assert groups(number("a", 1.0, baseline=5.0), number("b", 2.0, baseline=5.0, baseline_is="tuned")) == []


def test_reason_names_every_part_with_both_values_and_the_nearest():
    far = number("b", 2.0, 1, setting={"bits": 2, "length": 9, "size": 3})
    near = number("c", 3.0, 1, setting={"bits": 4, "length": 8, "form": "slow"}, baseline=5.1)
    farther = number("d", 4.0, 1, setting={"bits": 2, "length": 9}, baseline=5.2)
    found = view(number("a", 1.0, 0, setting={"bits": 4}, not_stated=("length",), baseline=5.0), farther, far, near)
    one = found.apart[0]
    assert one.nearest.record is far  # length, bits, source; the other differs in length, uncompressed model, source
    assert one.differs == [("bits", "4", "2"), ("length", "not told", "9"),
                           ("source", "who/s0, Table 1", "who/s1, Table 1")]
    parts = differences(found.lines[0], found.lines[3], found)
    assert ("uncompressed model", "5", "5.1") in parts and not any(name == "form" for name, *_ in parts)


def test_whatever_is_apart_says_why():
    rows = [
        number("a", 1.0), number("b", 2.0, gathered=True), number("c", 3.0, 1), number("d", 4.0, model="N"),
        number("e", 5.0, metric="accuracy"), number("f", 6.0, baseline=1.0), number("g", 7.0, baseline=2.0),
        number("h", 8.0, unit="%"), number("i", 9.0, setting={"data": "C4"}), number("j", 9.5, setting={"data": "X"}),
    ]
    found = view(*rows)
    assert len(found.group_of) + len(found.apart) == len(rows)
    assert all(bool(one.differs) != bool(one.alone) and bool(one.nearest) == bool(one.differs) for one in found.apart)
    why = {one.line.record.method: one.alone for one in found.apart}
    assert why["d"] == "no other method is reported on this model"
    assert why["e"] == "no other method is reported with this metric on these data"


def test_every_number_is_in_one_sheet_and_in_one_band():
    rows = [number("a", 1.0, setting={"bits": 4}), number("a", 2.0, setting={"bits": 2}),
            number("a", 3.0, setting={"bits": 4, "form": "slow"}), number("a", 4.0, 1)]
    first, second = view(*rows).sheets["a"]
    assert [[line.record.value for line in block.lines] for block in first.blocks] == [[1.0, 3.0], [2.0]]
    assert (first.setting, [block.setting for block in first.blocks]) == ({}, [{"bits": 4}, {"bits": 2}])
    assert second.count == 1


def test_group_keeps_its_address_when_others_come(site):
    (group,) = view(number("a", 1.0), number("b", 2.0)).groups
    number.made += 5
    same = view(number("z", 9.0, 3), number("a", 1.0), number("b", 2.0)).groups[0]
    assert group.id == same.id
    assert group.id != view(number("a", 1.0), number("c", 2.0)).groups[0].id


# --- the pages ---------------------------------------------------------------------------------------------------


def bands(text: str) -> list[str]:
    section = text[text.index('id="reported"'):]
    return section[:section.index("<h2")].split('class="zoo-between"')[1:]


def test_page_of_a_method_has_a_band_for_each_protocol(built):
    text = (built[0] / "algorithms/plain/index.html").read_text(encoding="utf-8")
    first, second = bands(text)
    assert "6.1" in first and "6.3" in first and "9.9" not in first and "9.9" in second
    assert "As printed." in text and ">1 of 2<" not in text and ">2 of 2<" in first
    assert "../../works/white2019first/" in text


def test_work_without_an_entry_has_its_numbers_on_its_own_page(built):
    text = (built[0] / "works/gray2021third/index.html").read_text(encoding="utf-8")
    assert "12,345.5" in text and "bits not told" in text
    assert 'id="reported"' not in (built[0] / "works/white2019first/index.html").read_text(encoding="utf-8")
    assert 'id="reported"' not in (built[0] / "works/survey2024things/index.html").read_text(encoding="utf-8")


def test_reported_page_lists_every_number_once(built, site):
    tags = elements(built[0] / "reported/index.html").tags
    text = (built[0] / "reported/index.html").read_text(encoding="utf-8")
    groups, apart = text.split('id="apart"')
    assert groups.count("<li value=") == len(site.reported.group_of) == 4
    assert apart.count("<tr data-has") + apart.count("<tr><th scope=\"row\">") == len(site.reported.apart) == 3
    assert {group.id for group in site.reported.groups} <= {a.get("id") for _, a in tags}
    assert "no other method is reported on this model" in apart
    assert "bits not told / 4" in apart  # of what stands alone although the table has the same model
    tables = [a for tag, a in tags if tag == "table"]
    assert [table["data-table"] for table in tables] == ["", "alone"]
    shown = {a["value"] for tag, a in tags if tag == "option"}
    assert {"m-1b", "m-2b", "text", "quantization"} <= shown


def test_links_from_methods_lead_to_their_group(built, site):
    ids = {a.get("id") for _, a in elements(built[0] / "reported/index.html").tags}
    targets = {a["href"].partition("#")[2] for _, a in elements(built[0] / "algorithms/plain/index.html").tags
               if "reported/#" in (a.get("href") or "")}
    assert targets and targets <= ids


def test_downloads_read_back(built, site):
    rows = json.loads((built[0] / "reported.json").read_text())["rows"]
    assert [row["value"] for row in rows] == [record.value for record in site.catalog.reported]
    assert [row["setting"] for row in rows if row["value"] == 9.9] == [{"activation_bits": 16, "bits": 2}]
    with_group = [row for row in rows if row["group"]]
    assert {(row["method"], row["rank"]) for row in with_group if row["model"] == "M-1B"} >= {
        ("black2020second", 1), ("white2019first", 2)}
    table = list(csv.DictReader(io.StringIO((built[0] / "reported.csv").read_text())))
    assert [float(row["value"]) for row in table] == [row["value"] for row in rows]
    by_value = {row["value"]: row for row in table}
    assert by_value["6.1"]["setting_bits"] == "4" and by_value["6.1"]["entry"] == "plain"
    assert by_value["12345.5"]["not_stated"] == "bits" and by_value["12345.5"]["setting_bits"] == ""
    data = json.loads((built[0] / "algorithms/plain.json").read_text())
    assert [row["value"] for row in data["computed"]["reported"]] == [6.1, 6.3, 9.9]


def test_a_catalog_without_numbers_has_an_empty_page():
    assert reported_files(Reported(None))["reported.csv"] == "\n"
    assert json.loads(reported_files(Reported(None))["reported.json"])["rows"] == []
