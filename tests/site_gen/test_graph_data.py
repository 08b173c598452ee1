"""The citation graph beyond counts: similar works, communities, main path, roots, ego graphs, files for programs."""

from __future__ import annotations

import csv
import dataclasses
import io
import json
import random
import re
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from xml.etree import ElementTree

import networkx
import pytest
from networkx.readwrite import gexf

from site_gen.emit import data, ego, graph_files, machine
from site_gen.emit.formulas import Formulas
from site_gen.emit.pages import Pages, Settings
from site_gen.enrich import citations, communities, literature, mainpath, similar
from site_gen.enrich.site import enrich
from site_gen.enrich.ties import ties
from site_gen.load import load
from tests.site_gen import synthetic

# --- similar works ----------------------------------------------------------------------------------------------------

LISTS = {"s1": "ab", "s2": "abcd", "s3": "acd", "s4": "b", "s5": "c"}
PAIRS = [(source, target) for source, targets in LISTS.items() for target in targets]
WORKS = [*LISTS, *"abcd"]


def test_works_cited_together():
    """a, b and c stand in three lists each; a shares two with b and two with c, b and c share one."""
    found = similar.similar(WORKS, PAIRS)["a"]
    assert [(tie.key, tie.strength, tie.through) for tie in found.together] == [
        ("b", pytest.approx(2 / 3), ("s1", "s2")), ("c", pytest.approx(2 / 3), ("s3", "s2"))]  # short lists say most
    assert found.lists == 3 and found.enough_lists


def test_a_pair_in_one_list_is_chance_and_two_lists_are_too_few():
    found = similar.similar(WORKS, PAIRS)
    assert "c" not in {tie.key for tie in found["b"].together}
    assert found["d"].lists == 2 and not found["d"].enough_lists and found["d"].together == []
    assert "d" not in {tie.key for tie in found["a"].together}  # nor is anything compared with it


def test_what_everybody_cites_is_not_like_everything():
    more = [*PAIRS, *((f"t{i}", "hub") for i in range(20)), *((f"s{i}", "hub") for i in range(1, 6))]
    ties = {tie.key: tie for tie in similar.similar([*WORKS, "hub", *(f"t{i}" for i in range(20))], more)["a"].together}
    assert len(ties["hub"].through) == 3 > len(ties["b"].through)
    assert ties["hub"].strength == pytest.approx(3 / (3 * 25) ** 0.5) and ties["hub"].strength < ties["b"].strength
    assert list(ties) == ["b", "c", "hub"]


def test_coupling_is_citing_together_turned_round(monkeypatch):
    monkeypatch.setattr(similar, "ENOUGH_CITED", similar.ENOUGH_LISTS)
    there = similar.similar(WORKS, PAIRS)
    back = similar.similar(WORKS, [(target, source) for source, target in PAIRS])
    assert any(one.together for one in there.values())
    for key in WORKS:
        assert there[key].together == back[key].coupled and there[key].coupled == back[key].together
        assert (there[key].lists, there[key].cited) == (back[key].cited, back[key].lists)


def test_coupling_needs_enough_of_the_list():
    lists = {"p": "abcde", "q": "abcxy", "r": "abcd"}
    edges = [(source, target) for source, targets in lists.items() for target in targets]
    found = similar.similar([*lists, *"abcdexy"], edges)
    assert [(tie.key, tie.strength) for tie in found["p"].coupled] == [("q", pytest.approx(3 / 5))]
    assert found["r"].cited == 4 and not found["r"].enough_cited and found["r"].coupled == []


def test_ties_do_not_depend_on_order_and_end_at_the_most():
    names = [f"w{i:02}" for i in range(12)]
    edges = [(source, name) for source in ("s1", "s2", "s3") for name in names]
    found = similar.similar(["s1", "s2", "s3", *names], edges)
    assert [tie.key for tie in found["w03"].together] == ["w00", "w01", "w02", "w04", "w05", "w06"]
    random.Random(1).shuffle(edges)
    assert similar.similar([*reversed(names), "s3", "s1", "s2"], edges)["w03"] == found["w03"]


# --- communities ------------------------------------------------------------------------------------------------------

TRIANGLES = [("a", "b"), ("b", "c"), ("c", "a"), ("a", "d"), ("d", "e"), ("e", "f"), ("f", "d")]


def test_communities_of_two_triangles():
    """Two rings of three and one citation between. The list of a has two works, so each weighs a root of two less."""
    ranks = dict.fromkeys("abcdef", 0.1) | {"b": 0.2}
    found = communities.communities(list("abcdefz"), TRIANGLES, ranks, {"a": "x", "b": "y", "c": "y", "d": "x"})
    assert [sorted(part.works) for part in found.all] == [["a", "b", "c"], ["d", "e", "f"]]
    assert found.of == {"a": 0, "b": 0, "c": 0, "d": 1, "e": 1, "f": 1}  # z is in none
    assert found.all[0].works == ["b", "a", "c"]  # all are cited once inside: PageRank, then key
    assert found.all[0].families == [("y", 2), ("x", 1)] and found.all[1].families == [("x", 1)]
    assert [part.firm for part in found.all] == [1, 1]
    half = 2**-0.5
    total, degrees = 2 + half + half + 3, (2 * (2 + half) + half, 6 + half)
    by_hand = (5 + half) / total - sum(degree**2 for degree in degrees) / (2 * total) ** 2
    assert found.modularity == pytest.approx(by_hand)


def test_works_of_a_community_begin_with_those_cited_inside():
    edges = [*TRIANGLES, ("b", "a"), *((f"o{i}", "c") for i in range(3)), ("o1", "o0"), ("o2", "o0"), ("o2", "o1")]
    found = communities.communities(sorted({k for e in edges for k in e}), edges, dict.fromkeys("abcdef", 0) | {
        f"o{i}": 0 for i in range(3)}, {})
    home = found.all[found.of["a"]]
    inside = {work: sum(t == work and found.of[s] == home.id for s, t in edges) for work in home.works}
    assert home.works == sorted(home.works, key=lambda work: (-inside[work], work))


def test_no_edges_no_communities():
    assert communities.communities(["a"], [], {"a": 1}, {}) == communities.Communities([], {}, 0.0)


def test_communities_are_the_same_in_every_process():
    """Sets of texts have another order in every run of Python; the communities must not."""
    code = (
        "import random; from site_gen.enrich.communities import communities as c\n"
        "r = random.Random(3); k = [f'w{i}' for i in range(60)]\n"
        "e = sorted({(r.choice(k), r.choice(k)) for _ in range(150)} - {(x, x) for x in k})\n"
        "print(sorted(c(k, e, dict.fromkeys(k, 0), {}).of.items()))\n"
    )
    outputs = {
        subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True, cwd=synthetic.ROOT,
                       env={"PYTHONHASHSEED": seed, "PATH": ""}).stdout
        for seed in ("1", "2", "3")
    }  # fmt: skip
    assert len(outputs) == 1 and len(next(iter(outputs))) > 100


def test_a_group_that_chance_made_is_not_firm():
    others = [{0: 0, 1: 0, 2: 1, 3: 1}, {0: 0, 1: 0, 2: 0, 3: 0}]  # two pairs of six, then all
    assert communities._firm({0, 1, 2, 3}, others) == pytest.approx(8 / 12)
    assert communities._firm({5}, [{5: 0}]) == 1


# --- main path and roots ----------------------------------------------------------------------------------------------

CHAIN = [("b", "a"), ("c", "a"), ("c", "x"), ("d", "b"), ("d", "c"), ("e", "d")]  # citing, cited
DATES = {"a": "2015", "x": "2016", "b": "2017", "c": "2018", "d": "2019", "e": "2020", "z": "2021"}


def test_main_path_by_hand():
    """Three paths: a b d e, a c d e, x c d e. So c-d is on two and d-e on three."""
    found = mainpath.main_path(list(DATES), CHAIN, DATES)
    assert found.works == ["a", "c", "d", "e"]  # as good as x c d e; a comes first
    assert [(step.earlier, step.later, step.paths) for step in found.steps] == [
        ("a", "c", 1), ("c", "d", 2), ("d", "e", 3)]
    assert (found.paths, found.backward, found.in_rings) == (3, [], [])


def test_main_path_takes_the_greatest_sum_not_the_greatest_next_step():
    """p-q is on four paths and leads nowhere else; the longer way round has more in all."""
    edges = [("q", "p"), *((f"r{i}", "q") for i in range(4)),
             ("s", "p"), ("t", "s"), ("u", "t"), *((f"v{i}", "u") for i in range(3))]
    keys = sorted({key for edge in edges for key in edge})
    dates = {"p": "2000", "q": "2001", "s": "2001", "t": "2002", "u": "2003"}
    found = mainpath.main_path(keys, edges, {key: dates.get(key, "2010") for key in keys})
    assert found.works == ["p", "s", "t", "u", "v0"] and found.paths == 7


def test_main_path_counts_paths_that_follow():
    """The shorter chain leads to three last works, the longer to one: 3 + 3 + 1 against 1 + 1 + 1 + 1."""
    edges = [("q", "p"), ("r", "q"), *((f"x{i}", "r") for i in range(3)), *zip("tuvw", "stuv", strict=True)]
    keys = sorted({key for edge in edges for key in edge})
    found = mainpath.main_path(keys, edges, dict.fromkeys(keys, "2000"))
    assert found.works == ["p", "q", "r", "x0"] and [step.paths for step in found.steps] == [3, 3, 1]


def test_citations_back_in_time_and_rings_are_left_out():
    edges = [*CHAIN, ("a", "e"), ("p", "q"), ("q", "p")]
    found = mainpath.main_path([*DATES, "p", "q"], edges, DATES | {"p": "2020-03", "q": "2020-03"})
    assert found.backward == [("a", "e")]
    assert found.in_rings == [("p", "q"), ("q", "p")]
    assert found.works == ["a", "c", "d", "e"] and found.paths == 3


@pytest.mark.parametrize(("citing", "cited", "backward"), [
    ("2020-03", "2020-04", True), ("2020-04", "2020-04", False), ("2020", "2020-12", False), ("2020-01", "2020", False),
    ("2019", "2020-01", True), ("2019-12", "2020", True), ("2021", "2020", False),
])  # fmt: skip
def test_a_citation_is_backward_only_where_that_is_sure(citing, cited, backward):
    found = mainpath.main_path(["new", "old"], [("new", "old")], {"new": citing, "old": cited})
    assert bool(found.backward) is backward and found.works == ([] if backward else ["old", "new"])


def test_main_path_of_nothing():
    assert mainpath.main_path(["a"], [], {"a": "2020"}) == mainpath.MainPath([], [], 0, [], [])


def test_roots():
    found = mainpath.roots([*DATES], CHAIN, most=1)
    assert found.keys == ["a", "x"]
    assert found.first == [mainpath.Root("a", 2, 4)]  # b, c, d and e lead back to it
    cycle = mainpath.roots(list("pqr"), [("p", "q"), ("q", "p"), ("p", "r")])
    assert cycle.first == [mainpath.Root("r", 1, 2)]


# --- what the catalog declares ----------------------------------------------------------------------------------------


def make_catalog(**entries: tuple[str | None, list[tuple[str, str]]]) -> SimpleNamespace:
    """Entries by id: their paper and their relations as (type, target)."""
    algorithms = {
        name: SimpleNamespace(paper=paper, relations=[SimpleNamespace(type=t, target=o) for t, o in relations])
        for name, (paper, relations) in entries.items()
    }
    return SimpleNamespace(algorithms=algorithms, bibliography=dict.fromkeys(["one", "two", "three"]))


def test_declared_relations_without_a_citation():
    catalog = make_catalog(
        first=("one", [("builds_on", "second"), ("alternative_to", "three"), ("alternative_to", "bare")]),
        second=("two", [("supersedes", "third"), ("stacks_with", "again")]),
        third=("three", []), again=("two", []), bare=(None, [("builds_on", "first")]),
    )
    to_three = [literature.Implied("one", "three", "alternative_to")]
    others = [literature.Implied("one", "two", "builds_on"), literature.Implied("two", "three", "supersedes")]
    assert literature.implied(catalog, []) == to_three + others
    assert literature.implied(catalog, [("two", "one"), ("two", "three")]) == to_three  # either way round


def test_the_band_holds_every_work_without_citations():
    graph = citations.build([f"w{i}" for i in range(500)], {"w0": ["w1"]}, {})
    spots = graph.band
    assert list(spots) == [f"w{i}" for i in range(2, 500)] and len(set(spots.values())) == 498
    assert all(-1 <= x <= 1 and y > 1 for x, y in spots.values())
    assert citations.build(["a"], {}, {}).band.keys() == {"a"}
    assert graph.ranking[:3] == ["w1", "w0", "w10"] and len(graph.ranking) == 500


def test_methods_are_compared_with_methods_only(site):
    """gray2021third is a foundation, the survey no method: its list counts for counts, not for what is computed."""
    found = site.literature
    assert ("survey2024things", "black2020second") in site.graph.edges
    assert found.citations == [("black2020second", "gray2021third"), ("black2020second", "white2019first")]
    assert "survey2024things" not in found.similar and found.community("survey2024things") is None
    assert found.reading == {"white2019first": "", "black2020second": "whole", "gray2021third": "",
                             "survey2024things": "part"}


def test_graph_json(site):
    graph = json.loads(data.graph(site))
    ids = [node["id"] for node in graph["nodes"]]
    assert graph["schema"] == 2 and sorted(ids) == sorted(site.works)
    assert [(ids[i], ids[j], kind) for i, j, kind in graph["implied"]] == [
        ("white2019first", "gray2021third", "alternative_to")]
    assert not {tuple(edge[:2]) for edge in graph["implied"]} & {tuple(edge) for edge in graph["edges"]}
    for index, node in enumerate(graph["nodes"]):
        assert node["cited"] == sum(edge[1] == index for edge in graph["edges"])
        assert node["cites"] == sum(edge[0] == index for edge in graph["edges"])
        assert node["main"] == (index in graph["main_path"])
    by_id = dict(zip(ids, graph["nodes"], strict=True))
    assert by_id["white2019first"]["entry"] == "plain" and by_id["gray2021third"]["entry"] is None
    assert by_id["white2019first"]["surveys"] == ["survey2024"] and graph["surveys"] == {"survey2024": "Survey 2024"}
    assert by_id["gray2021third"]["surveys"] == []  # only recalled
    assert graph["communities"] == [{"id": 0, "label": "Quantization: Gray and Gold 2021, Plain", "size": 3}]


def test_label_of_a_community_names_two_families_where_one_is_not_half(site):
    keys = ["white2019first", "black2020second", "gray2021third"]
    part = communities.Community(0, keys, [("pruning", 2), ("quantization", 2), ("x", 1)], 1.0)
    assert data.community_label(site, part).startswith("Pruning and Quantization: Plain, ")
    half = dataclasses.replace(part, families=[("pruning", 2), ("quantization", 2)])
    assert data.community_label(site, half).startswith("Pruning: ")
    assert data.community_label(site, dataclasses.replace(part, families=[])).startswith("Plain, ")


# --- files for other programs -----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def crowded(tmp_path_factory):
    """A site in which 40 more works cite the paper of `plain`, six of them another too; a list has a second witness."""
    root = synthetic.write(tmp_path_factory.mktemp("crowded"))
    records = [
        f"@misc{{citer{2020 + i // 8}n{i},\n  title = {{Citing {i}}},\n  author = {{Citer, C.}},\n"
        f"  year = {{{2020 + i // 8}}},\n  zoo_role = {{algorithm}},\n}}\n" for i in range(40)
    ]
    (root / "catalog" / "references.bib").write_text(
        "\n".join([synthetic.BIBLIOGRAPHY.strip() + "\n", *records]), encoding="utf-8")
    path = root / "catalog" / "citations.yml"
    lists = json.loads(path.read_text())
    for i in range(40):
        cited = ["white2019first"] + ([f"citer{2020 + (i - 1) // 8}n{i - 1}"] if i in range(1, 15) else [])
        cited += ["gray2021third"] if i in range(20, 26) else []
        lists[f"citer{2020 + i // 8}n{i}"] = {"witness": f"PDF {i}", "complete": False, "cited": sorted(cited)}
    lists["survey2024things"]["also"] = [{"witness": "another place", "cited": ["white2019first"]}]
    path.write_text(json.dumps(dict(sorted(lists.items()))), encoding="utf-8")
    return enrich(load(root))


@pytest.fixture(scope="module")
def exported(crowded) -> dict[str, str]:
    return {path.removeprefix("graph/"): text for path, text in graph_files.files(crowded).items()}


def test_every_file_has_the_same_graph(crowded, exported):
    edges, nodes = set(crowded.graph.edges), set(crowded.works)
    graphml = networkx.parse_graphml(exported["citations.graphml"])
    gexf_graph = networkx.read_gexf(io.BytesIO(exported["citations.gexf"].encode()))
    plain = networkx.node_link_graph(json.loads(exported["citations.json"]), edges="edges")
    table = networkx.DiGraph()
    table.add_nodes_from(row["id"] for row in csv.DictReader(io.StringIO(exported["nodes.csv"])))
    table.add_edges_from((row["source"], row["target"]) for row in csv.DictReader(io.StringIO(exported["edges.csv"])))
    for graph in (graphml, gexf_graph, plain, table):
        assert graph.is_directed() and set(graph.nodes) == nodes and set(graph.edges) == edges
    for graph in (graphml, gexf_graph, plain):
        node = graph.nodes["white2019first"]
        assert (node["label"], node["year"], node["cited_by"]) == ("Plain", 2019, graph.in_degree("white2019first"))
        assert node["main_path"] is True and node["list_read"] == "no" and node["entry"] == "plain"
        assert graph.nodes["black2020second"]["title"] == "Second Über Work"
        assert sum(graph.nodes[key]["pagerank"] for key in graph) == pytest.approx(1, abs=1e-4)
    assert {path for path, *_ in graph_files.FILES} == set(exported)


def test_every_citation_carries_its_witness(exported):
    rows = {(row["source"], row["target"]): row for row in csv.DictReader(io.StringIO(exported["edges.csv"]))}
    first, second = rows["survey2024things", "black2020second"], rows["survey2024things", "white2019first"]
    assert (first["witness"], first["complete"]) == ("its PDF", "false")
    assert (second["witness"], second["complete"]) == ("another place", "false")
    assert rows["black2020second", "white2019first"]["complete"] == "true"
    graph = networkx.parse_graphml(exported["citations.graphml"])
    for pair, row in rows.items():
        assert graph.edges[pair] == {"witness": row["witness"], "complete": row["complete"] == "true"}


def test_declared_relations_are_never_edges(exported):
    """plain declares that it is an alternative to gray2021third; no list says that it cites it."""
    pair = ("white2019first", "gray2021third")
    rows = list(csv.DictReader(io.StringIO(exported["implied.csv"])))
    assert rows == [{"source": pair[0], "target": pair[1], "relation": "alternative_to"}]
    assert json.loads(exported["citations.json"])["implied"] == rows
    assert not networkx.parse_graphml(exported["citations.graphml"]).has_edge(*pair)


def test_roots_and_works_without_family_are_marked_in_the_table(crowded, exported):
    rows = {row["id"]: row for row in csv.DictReader(io.StringIO(exported["nodes.csv"]))}
    assert {key for key, row in rows.items() if row["root"] == "true"} == set(crowded.literature.roots.keys)
    row = rows["citer2020n0"]
    assert (row["family"], row["doi"], row["list_read"], row["year"]) == ("", "", "part", "2020")
    assert rows["white2019first"]["surveys"] == "survey2024"


def test_files_do_not_know_what_day_it_is(crowded, exported, monkeypatch):
    monkeypatch.setattr(gexf.time, "strftime", lambda form: "1999-01-01")
    assert graph_files.files(crowded)["graph/citations.gexf"] == exported["citations.gexf"]
    assert "1999" not in exported["citations.gexf"]


def test_control_characters_do_not_reach_xml():
    text = graph_files._clean("a\x00\x0bb\tc\ufffe é \U0001f600")
    assert text == "ab\tc é \U0001f600" and ElementTree.fromstring(f"<a>{text}</a>").text == text


# --- the ego graph ----------------------------------------------------------------------------------------------------


def drawn(site, key: str) -> tuple[ego.Ego, ElementTree.Element]:
    found = ego.around(site, key, lambda other: site.works[other].work.name, lambda other: f"../{other}/")
    return found, ElementTree.fromstring(str(found.svg))


def links(root: ElementTree.Element, kind: str) -> list[str]:
    """Targets of the drawn works of a kind, from top to bottom."""
    return [item.get("href").strip("./") for item in root.iter("a") if kind in item.get("class").split()]


def place(root: ElementTree.Element, key: str) -> tuple[float, float]:
    item = next(a for a in root.iter("a") if a.get("href") == f"../{key}/")
    return float(item.find("svg").get("x").rstrip("%")), float(item.find("svg").get("y"))


def test_ego_draws_who_cites_and_who_is_cited(site):
    found, root = drawn(site, "black2020second")
    assert (found.citing, set(found.cited)) == (["survey2024things"], {"gray2021third", "white2019first"})
    assert links(root, "citing") == ["survey2024things"] and set(links(root, "cited")) == set(found.cited)
    own = next(item for item in root.iter("g") if "current" in item.get("class"))
    mark = own.find("svg")
    lines = {(line.get("class"), line.get("x1"), line.get("y1"), line.get("x2"), line.get("y2"))
             for line in root.iter("line") if "edge" in line.get("class")}
    assert len(lines) == 3
    for key, kind in [("survey2024things", "citing"), ("gray2021third", "cited"), ("white2019first", "cited")]:
        x, y = place(root, key)
        assert (f"edge {kind}", mark.get("x"), mark.get("y"), f"{x:.1f}%", f"{y:g}") in lines
        assert (y < float(mark.get("y"))) == (kind == "citing")
    assert "has-entry" in own.get("class") and list(root.iter("script")) == []
    assert links(root, "has-entry") == ["white2019first"]


def test_rows_are_in_the_order_of_time_not_of_rank(site):
    pairs = [("black2020second", "white2019first"), ("gray2021third", "white2019first")]
    newer = dataclasses.replace(site.graph.places["gray2021third"], cited_by=9)
    graph = dataclasses.replace(site.graph, places=site.graph.places | {"gray2021third": newer})
    _, root = drawn(dataclasses.replace(site, graph=graph, ties=ties(site.catalog, pairs)), "white2019first")
    assert links(root, "citing") == ["black2020second", "gray2021third"]


def test_ego_puts_time_across(site):
    _, root = drawn(site, "black2020second")
    across = [place(root, key)[0] for key in ("white2019first", "gray2021third", "survey2024things")]
    assert across == sorted(across) and len(set(across)) == 3
    years = {text.text: float(text.get("x").rstrip("%")) for text in root.iter("text") if text.get("class") == "year"}
    assert list(years) == ["2019", "2020", "2021", "2024"]
    assert abs(years["2024"] - across[2]) < 5 and years["2021"] < across[2]


def test_long_lists_are_cut_to_the_most_cited_and_say_so(crowded):
    found, root = drawn(crowded, "white2019first")
    assert len(found.citing) == 42 and found.shown_citing == ego.MOST == len(links(root, "citing"))
    places = crowded.graph.places
    least = min(places[key].cited_by for key in links(root, "citing"))
    rest = [key for key in found.citing if key not in links(root, "citing")]
    assert least == 1 >= max(places[key].cited_by for key in rest) and len(rest) == 30
    assert "12 of 42" in root.get("aria-label")
    across = [place(root, key)[0] for key in links(root, "citing")]  # from top to bottom
    assert across == sorted(across) and len(set(across)) > 1


def test_page_of_an_entry_shows_the_picture_and_all_works_beside_it(crowded, tmp_path):
    maker = Pages(crowded, Formulas(tmp_path / "formulas.json"), Settings(), Path(tmp_path))
    text = maker.algorithm(crowded.entries["plain"])
    section = text[text.index("{#citations}"):text.index("{#reported}")]
    assert "cites it: 12 of 42 shown, the most cited" in section
    lists = section[section.index("<details"):section.index("</details>")]
    assert len(re.findall("<a ", lists.partition("Related by the catalog")[0])) == 42
    assert "Its own reference list has not been read" in section and "in 7 of 41 lists" in section
    assert 'href="../../graph/#white2019first"' in section
    assert "alternative to" in section and "count nowhere as citations" in section


def test_page_says_where_lists_are_too_few(site, tmp_path):
    maker = Pages(site, Formulas(tmp_path / "formulas.json"), Settings(), Path(tmp_path))
    text = maker.algorithm(site.entries["plain"])
    assert "Only 1 list of a method are known" not in text
    assert "Only 1 list of a method is known to name it: too few to tell." in text
    assert "Its reference list has not been read." in text


def test_json_of_an_entry_names_similar_works(crowded):
    found = machine.entry_data(crowded, crowded.entries["plain"])["computed"]["similar_by_citation"]
    tie = found["cited_together"][0]
    assert (tie["work"], tie["strength"]) == ("gray2021third", round(7 / (41 * 7) ** 0.5, 4))
    assert set(tie["through"]) == {"black2020second", *(f"citer{2020 + i // 8}n{i}" for i in range(20, 26))}
    assert found["citing_the_same"] == []


def test_hostile_names_are_text_in_the_picture(site):
    found = ego.around(site, "gray2021third", lambda key: synthetic.HOSTILE, lambda key: '"><script>')
    root = ElementTree.fromstring(str(found.svg))
    assert {item.tag for item in root.iter()} <= {"svg", "line", "text", "a", "g", "title", "path"}
    assert all(not name.startswith("on") for item in root.iter() for name in item.attrib)


def test_two_works_that_cite_each_other_are_drawn_once(site):
    pairs = [("white2019first", "black2020second"), ("black2020second", "white2019first")]
    changed = dataclasses.replace(site, ties=ties(site.catalog, pairs))
    found, root = drawn(changed, "white2019first")
    assert found.both == ["black2020second"] and links(root, "both") == ["black2020second"]
    assert (found.shown_citing, found.shown_cited) == (1, 1) and len(list(root.iter("a"))) == 1


def test_axis_keeps_the_order_and_leaves_empty_years_out():
    dates = [1989.5, 2015.04, *[2015.96] * 3, 2017.5, 2023.2]
    axis = ego.TimeAxis(dates)
    across = [axis(date) for date in dates]
    assert across == sorted(across) and ego.LEFT < across[0] and across[-1] < ego.RIGHT
    unit = 2 * (axis(2017.5) - axis(2017))
    assert axis(1989) + 2 * unit == pytest.approx(axis(2015))  # 25 years without a work have one unit
    assert axis(2015) + 3 * unit == pytest.approx(axis(2017))  # four works make two; the empty year is shown
    assert len(axis.breaks()) == 2 and axis(1989.99) < axis.breaks()[0] < axis(2015)
    crowd = ego.TimeAxis([2000.5] * 100 + [2001.5])
    assert crowd(2001) - crowd(2000) == pytest.approx(ego.WIDEST * 2 * (crowd(2001.5) - crowd(2001)))
    close = ego.TimeAxis([2000.5 + i for i in range(25)])
    labels = close.labels()
    assert labels[-1][0] == 2024 and all(b - a >= ego.TICK for (_, a), (_, b) in zip(labels, labels[1:], strict=False))
    assert ego.TimeAxis([2020.5])(2020.5) == 50


def test_names_stay_inside_a_narrow_picture(crowded):
    for length in (3, 12, 22, 60):
        for key in ("white2019first", "citer2020n7"):
            found = ego.around(crowded, key, lambda other, length=length: "n" * length, lambda other: "x/")
            for text in ElementTree.fromstring(str(found.svg)).iter("text"):
                if text.get("class") == "year":
                    continue
                x, wide = float(text.get("x").rstrip("%")) / 100 * ego.NARROW, ego.GLYPH * len(text.text)
                start = x + float(text.get("dx")) - (wide if text.get("text-anchor") == "end" else 0)
                assert -1 <= start and start + wide <= ego.NARROW + 1
                assert len(text.text) == length or (text.text.endswith("…") and len(text.text) >= 15)
