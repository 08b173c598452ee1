"""The comparison's side of the build: which entries belong side by side, what is loaded of each, and the page."""

from __future__ import annotations

import json
import re
from pathlib import Path
from random import Random
from types import SimpleNamespace
from typing import Any

import pytest

from site_gen.emit import compare_files
from site_gen.emit.formulas import Rendered
from site_gen.enrich.compare import GROUP, PARTNERS, TEXT, build
from site_gen.enrich.reported import NONE, UNTOLD, Reported, differing, parts
from tests.site_gen import test_colours as colours
from tests.site_gen.test_build import Elements, elements
from tests.site_gen.test_reported import number, view

# --- which entries belong side by side --------------------------------------------------------------------------------


def entry(name: str, relations: dict[str, str] | None = None, family: str = "quantization/rounding") -> Any:
    declared = [SimpleNamespace(type=kind, target=target) for target, kind in (relations or {}).items()]
    algorithm = SimpleNamespace(id=name, family=family, home=family.partition("/")[0], relations=declared)
    return SimpleNamespace(id=name, name=name.upper(), algorithm=algorithm)


def compared(*entries: Any, alike: dict[str, list[str]] | None = None, sections: dict[str, list[str]] | None = None,
             groups: list[list[str]] | None = None, combined: list[tuple[str, str]] | None = None) -> Any:  # fmt: skip
    by_id = {one.id: one for one in entries}
    near = {name: [SimpleNamespace(id=other) for other in (alike or {}).get(name, [])] for name in by_id}
    measured = [SimpleNamespace(id=name, items=[SimpleNamespace(entry=by_id[one]) for one in members])
                for name, members in (sections or {}).items()]
    shared = [SimpleNamespace(id=f"g{i}", lines=[SimpleNamespace(entry=one) for one in members])
              for i, members in enumerate(groups or [])]
    return build(by_id, SimpleNamespace(alike=near), measured, Reported(None, groups=shared), combined or [])


def ids(partners: list[Any]) -> list[str]:
    return [partner.id for partner in partners]


def test_a_pair_stands_once_by_its_most_telling_relation():
    both = entry("a", {"b": "builds_on", "gone": "builds_on"}), entry("b", {"a": "alternative_to", "b": "builds_on"})
    (pair,) = compared(*both).pairs
    assert (pair.first, pair.second, pair.type) == ("b", "a", "alternative_to")
    assert compared(*reversed(both)).pairs == [pair]


def test_pairs_of_which_more_is_known_come_first_within_a_kind():
    entries = [entry("a", {"b": "alternative_to", "c": "alternative_to", "d": "alternative_to", "e": "stacks_with"}),
               *map(entry, "bcde")]
    found = compared(*entries, sections={"x": ["a", "c", "d", "e"], "y": ["a", "c"]}, groups=[["a", "e"], ["a", "d"]],
                     combined=[("e", "a")]).pairs  # fmt: skip
    assert [pair.second for pair in found] == ["d", "c", "b", "e"]  # two kinds of numbers before two protocols
    assert (found[1].protocols, found[1].groups, found[1].combined) == (("x", "y"), 0, False)
    assert (found[3].protocols, found[3].groups, found[3].combined) == (("x",), 1, True)


def test_partners_are_declared_ones_then_likeness_then_neighbours():
    entries = [
        entry("a", {"b": "stacks_with"}), entry("b"), entry("c", {"a": "alternative_to"}), entry("d"),
        entry("p", family="pruning/magnitude"),
    ]  # fmt: skip
    found = compared(*entries, alike={"a": ["p", "d", "b"]}).partners
    assert ids(found["a"]) == ["c", "b", "d", "p"]
    assert [(one.tie, one.declared_here) for one in found["a"]] == [
        ("alternative_to", False), ("stacks_with", True), (GROUP, False), (TEXT, False)]
    assert ids(found["d"]) == ["c"] and found["d"][0].tie == GROUP  # nothing ties it: its neighbour in the group
    assert found["p"] == []


def test_partners_are_few():
    others = [f"x{i}" for i in range(PARTNERS + 3)]
    found = compared(entry("a", dict.fromkeys(others, "alternative_to")), *map(entry, others)).partners
    assert len(found["a"]) == PARTNERS and ids(found["x0"]) == ["a"]


def test_of_each_family_the_best_pair():
    entries = [entry("a", {"b": "builds_on", "p": "alternative_to"}), entry("b"),
               entry("p", {"q": "builds_on"}, "pruning/magnitude"), entry("q", family="pruning/magnitude")]
    homes = {one.id: one.algorithm.home for one in reversed(entries)}
    best = compared(*entries).best(homes)
    assert [(pair.first, pair.second) for pair in best] == [("p", "q"), ("a", "p")]


# --- protocols without rules ------------------------------------------------------------------------------------------


def test_numbers_side_by_side_never_contradict_and_those_apart_always_differ():
    """The lists of parts say the same as the groups, for many made-up protocols."""
    random = Random(7)
    pick = random.choice

    def some(told: list[dict]) -> Any:
        table = random.randrange(2)
        setting = {name: pick(values) for name, values in (("bits", [2, 4]), ("length", [9]), ("data", ["C4", "Pile"]))
                   if random.random() < 0.5}  # fmt: skip
        untold = tuple(name for name in ("bits", "length") if name not in setting and random.random() < 0.2)
        return number(pick("abc"), random.random(), table, setting=setting, not_stated=untold, **told[table],
                      baseline=pick([None, None, 5.0, 5.1]), gathered=random.random() < 0.1,
                      unit=pick([None, None, "%"]))

    side_by_side = apart = 0
    for _ in range(60):
        told = [pick([{}, {"protocol": "shared"}]) for _ in range(2)]  # a table is under one protocol
        found = view(*(some(told) for _ in range(6)))
        cut = {line.number: parts(line, found) for line in found.lines}
        for one in found.lines:
            for other in found.lines:
                if one.record.method == other.record.method:
                    continue
                differs = differing(cut[one.number], cut[other.number])
                if one.number in found.group_of and found.group_of[one.number] is found.group_of.get(other.number):
                    side_by_side += 1  # nothing contradicts: one of the two tells nothing
                    assert all({here, there} & {NONE, UNTOLD} for _, here, there in differs)
                elif one.number not in found.group_of:
                    apart += 1
                    assert differs
    assert side_by_side > 20 and apart > 500


# --- what is loaded ---------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def loaded(built) -> dict[str, dict]:
    out, _ = built
    return {name: json.loads((out / f"algorithms/{name}/compare.json").read_text(encoding="utf-8"))
            for name in ("plain", "hostile")}


def row(data: dict, key: str) -> dict:
    return next(one for one in data["rows"] if one["key"] == key)


def test_facts_carry_what_must_be_equal(loaded):
    plain, hostile = loaded["plain"], loaded["hostile"]
    assert row(plain, "granularity")["token"] == row(hostile, "granularity")["token"] == "channel | group"
    assert row(plain, "uses_gradients")["token"] == "no" and row(plain, "bits")["token"] == "weights: 2, 4"
    assert row(plain, "cost-time")["token"] == "O(n)" != row(hostile, "cost-time")["token"]
    assert row(plain, "summary")["token"] is None
    assert row(plain, "data")["link"] == "../vocabulary/#data" and row(plain, "data")["meaning"]
    assert [one["key"] for one in plain["rows"]].count("cost") == 0


def test_nothing_of_a_hostile_entry_comes_alive(loaded):
    """Every text that the browser takes for HTML."""
    data = loaded["hostile"]
    reported = data["reported"]
    found = [one["html"] for one in [*data["rows"], *data["relations"]]]
    found += [data["family"]["icon"], *(line["source"] for line in reported["lines"])]
    found += [group["source"] for group in reported["groups"].values()]
    assert len(found) > 20 and data["relations"][0]["to"] == "plain"
    parser = Elements()
    parser.feed("".join(found))
    parser.close()
    known = {"a", "span", "ul", "li", "strong", "code", "svg", "path", "circle",
             "math", "semantics", "annotation", "mrow", "mi", "mo"}  # a formula
    assert {tag for tag, _ in parser.tags} <= known and sum(tag == "svg" for tag, _ in parser.tags) == 1
    for _, attributes in parser.tags:
        assert not any(name.startswith("on") for name in attributes)
        assert re.match(r"(\.\./|https?:|$)", attributes.get("href") or "")


def test_formulas_stand_in_the_json_as_they_do_on_pages(loaded, built):
    out, _ = built
    assert "<!--formula" not in json.dumps(loaded)
    rendered = Rendered("word", {"0": '<span class="a">\\"x\n</span>'})
    text = json.dumps({"html": 'so <!--formula word 0--> it "is"'})
    assert json.loads(rendered.fill_json(text))["html"] == 'so <span class="a">\\"x\n</span> it "is"'


def test_measured_once_for_each_protocol(loaded):
    here, large = loaded["plain"]["measured"]["sections"]
    assert (here["id"], here["stale"], large["id"], large["stale"]) == (
        "language-1-s", False, "language-large-1-smollm2", True)
    plot = here["plots"]["bits_per_weight"]
    assert [(dot["x"], round(dot["y"], 4), dot["declared"]) for dot in plot["dots"]] == [
        (2.0, round(30.1 / 20.1, 4), False), (4.0, round(21.1 / 20.1, 4), True)]
    assert plot["joined"] and plot["y"]["ratio"] and plot["y"]["title"].endswith("lower is better, logarithmic")
    first = plot["dots"][0]
    assert first["low"] == pytest.approx(30.0 / 20.1) and first["high"] == pytest.approx(30.2 / 20.1)
    assert first["note"].split("\n")[0] == "Plain" and "bits=2" in first["note"]
    assert here["columns"][0] == {"key": "ratio", "name": "perplexity ratio", "better": "lower"}
    assert here["dense"]["perplexity"] == ["20.10", "20.00 to 20.20"]
    assert here["dense"]["ratio"][0] == "1.000" and here["rows"][0]["cells"]["bytes_on_disk"] == ["1.70 MB"]
    assert [one["declared"] for one in here["rows"]] == [True, False]  # the sweep's own declared run stands once
    assert loaded["plain"]["measured"]["says"] == (
        "measured under Language modelling on S and Language modelling, short, on SmolLM2-135M")
    assert loaded["hostile"]["measured"] == {"says": "not measured yet", "sections": []}


def test_reported_numbers_know_their_protocol(loaded):
    found = loaded["plain"]["reported"]
    (group,) = found["groups"].values()
    assert group["methods"] == 2 and group["ranked"] and group["protocol"] == "activation bits 16, bits 4"
    beside = [line for line in found["lines"] if line["group"]]
    assert [(line["value"], line["rank"], line["model"]) for line in beside] == [("6.1", "2 of 2", "M-1B")]
    twin = [line for line in loaded["hostile"]["reported"]["lines"] if line["group"] == beside[0]["group"]]
    assert [line["value"] for line in twin] == ["5.9"]
    other = next(line for line in found["lines"] if line["value"] == "9.9")
    tokens = {label: (shown, set(tokens)) for label, shown, tokens, _ in other["parts"]}
    here = {label: (shown, set(tokens)) for label, shown, tokens, _ in beside[0]["parts"]}
    assert [label for label in here if not here[label][1] & tokens[label][1]] == ["bits"]
    assert tokens["bits"][0] == "2" and here["source"][0] == "White et al. 2019, Table 1"


def test_ties_citations_surveys_and_records(loaded):
    plain, hostile = loaded["plain"], loaded["hostile"]
    assert "builds on" in hostile["relations"][0]["html"] and plain["relations"] == []
    assert [work["key"] for work in hostile["cites"]["works"]] == ["white2019first", "gray2021third"]
    assert hostile["cites"]["known"].startswith("The whole reference list")
    assert plain["cites"] == {"known": "The reference list of Plain was not seen.", "works": []}
    assert [(one["key"], one["path"]) for one in plain["surveys"]] == [("survey2024", "Quantization")]
    assert plain["cite"]["work"] == "white2019first" and "A First Work" in plain["cite"]["text"]
    assert [one["id"] for one in plain["partners"]] == ["hostile"]
    assert plain["partners"][0]["why"] == "is built on by"


def test_what_was_only_recalled_is_not_told():
    filings = [SimpleNamespace(survey="s", path=(read,), covered=covered, leaf=SimpleNamespace(depth="table"))
               for read, covered in (("full text", True), ("recalled", False))]  # fmt: skip
    data = object.__new__(compare_files._Data)
    data.entry = SimpleNamespace(filings=filings)
    data.site = SimpleNamespace(surveys={"s": SimpleNamespace(survey=SimpleNamespace(name="S"))})
    data.page = SimpleNamespace(link=str)
    assert [one["path"] for one in data._surveys()] == ["full text"]


# --- the page ---------------------------------------------------------------------------------------------------------


def test_the_page_is_useful_by_itself(built):
    out, _ = built
    text = (out / "compare/index.html").read_text(encoding="utf-8")
    found = elements(out / "compare/index.html")
    links = [attributes.get("href", "") for tag, attributes in found.tags if tag == "a"]
    assert "../algorithms/plain/" in links and "../algorithms/hostile/" in links and "../measured/" in links
    assert "?a=hostile&a=plain" in links
    hidden = [attributes for tag, attributes in found.tags if "data-compare" in attributes]
    assert hidden and all("hidden" in attributes for attributes in hidden)
    assert "<noscript>" in text and "builds on" in text
    (frame,) = [attributes for _, attributes in found.tags if attributes.get("id") == "zoo-compare"]
    assert json.loads(frame["data-retired"]) == {"plane": "plain"} and frame["data-most"] == "4"


def test_an_entry_leads_to_its_comparison(built):
    out, _ = built
    found = elements(out / "algorithms/plain/index.html")
    links = [attributes.get("href", "") for tag, attributes in found.tags if tag == "a"]
    assert "../../compare/?a=plain&a=hostile" in links


@pytest.mark.parametrize("scheme", colours.SCHEMES)
def test_the_four_stay_apart_and_stand_out(scheme):
    names = [f"zoo-chosen-{place}" for place in (1, 2, 3, 4)]
    for sight in colours.SIGHT:
        assert colours.apart(scheme, sight, names) >= 2.5 * colours.LEAST
    for name in names:
        for ground in ("zoo-ground", "zoo-raised"):
            assert colours.contrast(colours.colour(scheme, name), colours.colour(scheme, ground)) >= 3


def test_every_build_is_the_same(loaded, built, repository, tmp_path):
    from site_gen.build import Report, write_docs
    from site_gen.enrich.site import enrich
    from site_gen.load import load

    out, _ = built
    write_docs(enrich(load(repository)), repository, tmp_path, Report(tmp_path))
    for name in loaded:
        file = Path(f"algorithms/{name}/compare.json")
        assert (tmp_path / "docs" / file).read_bytes() == (out / file).read_bytes()
