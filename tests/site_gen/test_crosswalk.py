"""Surveys and the crosswalk: who files what where, what counts as a disagreement, and that pages and files say so."""

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

from catalog.model import Leaf, Section, Survey
from site_gen.emit import crosswalk_files, survey_pages
from site_gen.emit.formulas import Formulas
from site_gen.emit.pages import Pages, Settings
from site_gen.enrich import coverage, crosswalk
from site_gen.enrich.crosswalk import OURS, Overlap
from site_gen.enrich.site import Filing, Site, enrich
from site_gen.load import load
from tests.site_gen.synthetic import HOSTILE_LINE

# Files the paper of `plain`, which is at home in quantization, under pruning; cites the rest on the way.
OTHER = {
    "work": "gray2021third", "name": "Other 2021", "read": "Parts of it.",
    "editions": [{"text": "Version 1.", "read": "full text"}],
    "special": [{"text": "It differs.", "read": "secondary", "witness": "A blog."}],
    "concepts": [{"text": HOSTILE_LINE, "read": "full text", "place": HOSTILE_LINE}],
    "representatives": [{"of": HOSTILE_LINE, "works": ["white2019first"], "why": "Its length.", "read": "full text"}],
    "desired_properties": [{"text": "Cheap, says [@black2020second].", "read": "full text"}],
    "metrics": [{"name": HOSTILE_LINE, "kind": "data set", "works": ["gray2021third"], "says": "Big.",
                 "read": "full text"}],
    "tables": [{"name": "Table 7", "of": HOSTILE_LINE, "columns": ["bits", "speed"], "rows": 3, "read": "full text"}],
    "open_problems": [{"text": "Everything.", "read": "full text"}],
    "sections": [
        {"title": HOSTILE_LINE, "family": "pruning", "note": HOSTILE_LINE,
         "works": [{"work": "white2019first", "depth": "described", "read": "full text", "says": HOSTILE_LINE},
                   {"work": "gray2021third", "depth": "mentioned", "read": "full text"}],
         "sections": [
             {"title": "Grids", "family": "quantization",
              "works": [{"work": "black2020second", "depth": "table", "read": "secondary"}]},
             {"title": "Deeper", "sections": [
                 {"title": "Grids", "works": [{"work": "white2019first", "depth": "mentioned", "read": "full text"}]}]},
         ]},
        {"title": "Grids", "works": [{"work": "survey2024things", "depth": "described", "read": "recalled"}]},
    ],
}


@pytest.fixture(scope="module")
def crossed(repository: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The small repository with a second survey that files otherwise."""
    root = tmp_path_factory.mktemp("crossed") / "repository"
    shutil.copytree(repository, root, ignore=shutil.ignore_patterns("build", "site"))
    (root / "catalog/surveys/other2021.yml").write_text(json.dumps(OTHER), encoding="utf-8")
    return root


@pytest.fixture(scope="module")
def both(crossed: Path) -> Site:
    return enrich(load(crossed))


@pytest.fixture(scope="module")
def pages(both: Site, crossed: Path) -> dict[str, str]:
    maker = Pages(both, Formulas(crossed / "formulas.json"), Settings(), crossed)
    found = survey_pages.pages(maker)
    assert maker.unknown == []
    return found


def row(site: Site, identifier: str) -> crosswalk.Row:
    return next(row for row in site.crosswalk.rows if row.id == identifier)


# --- where, and who disagrees --------------------------------------------------------------------------------------


def test_rows_are_works_with_evidence_and_entries(both):
    assert {row.id for row in both.crosswalk.rows} == {"white2019first", "black2020second", "gray2021third"}
    assert "survey2024things" in both.works  # recalled in one survey: no row


def test_works_that_most_surveys_treat_come_first_then_by_name():
    found = crossing(b={"one": None}, d={"one": None, "two": None}, A={"two": None}, c={"one": None, "two": "sharing"})
    assert [row.id for row in found.rows] == ["c", "d", "A", "b"]


def test_the_innermost_section_says_the_family(both):
    found = {(f.survey, f.leaf.work, f.leaf.depth): f.family
             for view in both.works.values() for f in view.filings}  # fmt: skip
    assert found["other2021", "black2020second", "table"] == "quantization"
    assert found["other2021", "white2019first", "mentioned"] == "pruning"  # from two sections further out
    assert found["other2021", "survey2024things", "described"] is None
    assert found["survey2024", "gray2021third", "mentioned"] == "quantization"


def test_disagreements_are_every_two_sides_without_a_common_family(both):
    plain = row(both, "white2019first")
    assert plain.entry.id == "plain" and plain.home.kind == "entry" and plain.home.families == ("quantization",)
    assert {key: cell.families for key, cell in plain.cells.items()} == {
        "survey2024": ("quantization",), "other2021": ("pruning",)}
    assert {(one.left, one.right) for one in plain.disagreements} == {
        (OURS, "other2021"), ("other2021", "survey2024")}
    assert plain.parties == {OURS, "survey2024", "other2021"}
    # Its section in survey2024 means no family: only ours and other2021 have a say, and they agree.
    assert row(both, "black2020second").disagreements == []
    assert both.crosswalk.disputed == [plain]


def test_a_passing_mention_is_in_the_table_and_files_nothing(both):
    third = row(both, "gray2021third")
    assert [filing.leaf.depth for filing in third.cells["other2021"].filings] == ["mentioned"]
    assert third.cells["other2021"].families == () and third.disagreements == []
    assert "survey2024" not in third.cells  # recalled there


def test_only_algorithms_are_disputed(both):
    third = row(both, "gray2021third")
    assert third.work.role == "foundation" and not third.algorithm and third.home.kind == "example"
    assert row(both, "white2019first").algorithm


def test_a_further_home_counts_as_ours(crossed, tmp_path):
    root = tmp_path / "repository"
    shutil.copytree(crossed, root, ignore=shutil.ignore_patterns("build"))
    entry = root / "catalog/algorithms/quantization/plain.yml"
    data = json.loads(entry.read_text()) | {"also_in": ["pruning/magnitude"]}
    entry.write_text(json.dumps(data))
    plain = row(enrich(load(root)), "white2019first")
    assert plain.home.nodes == ("quantization/rounding", "pruning/magnitude")
    assert [(one.left, one.right) for one in plain.disagreements] == [("other2021", "survey2024")]


def test_an_entry_without_a_paper_has_a_row(crossed, tmp_path):
    root = tmp_path / "repository"
    shutil.copytree(crossed, root, ignore=shutil.ignore_patterns("build"))
    entry = root / "catalog/algorithms/quantization/plain.yml"
    data = json.loads(entry.read_text()) | {"paper": None, "origin": "Folklore."}
    entry.write_text(json.dumps(data))
    site = enrich(load(root))
    plain = row(site, "plain")
    assert plain.work is None and plain.cells == {} and plain.home.families == ("quantization",)
    assert row(site, "white2019first").entry is None  # still filed by both
    found = survey_pages.pages(Pages(site, Formulas(root / "f.json"), Settings(), root))
    assert 'id="plain"' in found["crosswalk/index.md"]
    table = list(csv.DictReader(io.StringIO(crosswalk_files.as_csv(site))))
    assert next(line for line in table if line["entry"] == "plain")["key"] == ""


def crossing(role: str = "algorithm", **works: dict[str, str | None]) -> crosswalk.Crosswalk:
    """The crosswalk of works without entries, each given as survey -> family."""
    views = {
        key: SimpleNamespace(key=key, work=SimpleNamespace(name=key, role=role), entries=[], filings=[
            Filing(name, ("A section",), leaves(key)[0], family) for name, family in filed.items()])
        for key, filed in works.items()
    }  # fmt: skip
    surveys = {name: None for filed in works.values() for name in filed}
    return crosswalk.build(SimpleNamespace(surveys=surveys, taxonomy=None), {}, views)


def test_a_side_that_names_no_family_disagrees_with_nobody():
    found = crossing(a={"one": "pruning", "two": None}, b={"one": None, "two": None},
                     c={"one": None, "two": "pruning"}, d={"one": "pruning", "two": "sharing"})
    assert [row.id for row in found.disputed] == ["d"]
    assert found.disputed[0].families == ("pruning", "sharing")


def test_a_model_or_data_set_is_never_disputed():
    assert crossing(role="model", a={"one": "pruning", "two": "sharing"}).disputed == []


def test_three_sides_disagree_two_by_two():
    found = crossing(a={"one": "pruning", "two": "sharing", "three": "pruning"}).disputed[0]
    assert [(one.left, one.right) for one in found.disagreements] == [("one", "two"), ("two", "three")]


def test_overlaps_of_surveys_that_share_a_part():
    found = crossing(a={"one": None, "two": None}, b={"one": "pruning"}, c={"two": "pruning"}, d={"two": None})
    assert found.overlaps["one", "two"] == found.overlaps["two", "one"] == Overlap(both=1, either=4)
    assert found.overlaps["one", "one"] == Overlap(2, 2) and found.overlaps["two", "two"] == Overlap(3, 3)


def test_overlaps_count_algorithms_once(both):
    overlaps = both.crosswalk.overlaps
    assert overlaps["survey2024", "survey2024"] == Overlap(2, 2)
    assert overlaps["survey2024", "other2021"] == overlaps["other2021", "survey2024"] == Overlap(2, 2)
    assert len(overlaps) == 4


# --- coverage -------------------------------------------------------------------------------------------------------


def survey(*sections: Section) -> Survey:
    return Survey.model_construct(sections=list(sections))


def leaves(*keys: str, read: str = "full text") -> list[Leaf]:
    return [Leaf.model_construct(work=key, depth="table", read=read) for key in keys]


def section(title: str, *works: Leaf, inner: tuple[Section, ...] = ()) -> Section:
    return Section.model_construct(title=title, family=None, note=None, works=list(works), sections=list(inner))


def world() -> tuple[dict, dict]:
    """Works a, b and c are algorithms, m is a model, e a model with an entry; a and b have entries, b's is measured."""
    entries = {"ea": SimpleNamespace(runs=True, measured=None), "eb": SimpleNamespace(runs=True, measured=object()),
               "ee": SimpleNamespace(runs=False, measured=None)}
    roles = {"a": "algorithm", "b": "algorithm", "c": "algorithm", "m": "model", "e": "model"}
    works = {key: SimpleNamespace(work=SimpleNamespace(role=role), entries=[f"e{key}"] if f"e{key}" in entries else [])
             for key, role in roles.items()}  # fmt: skip
    return works, entries


def test_coverage_counts_each_work_once_in_a_section_and_in_all():
    tree = survey(section("A", *leaves("a", "m"), inner=(section("B", *leaves("a", "b", "c")),)),
                  section("C", *leaves("a", "e")))
    share, sections = coverage.of_survey(tree, *world())
    assert share == coverage.Share(works=5, algorithms=4, entries=3, runs=2, measured=1)
    assert sections[0].share == coverage.Share(works=4, algorithms=3, entries=2, runs=2, measured=1)
    assert sections[0].sections[0].share == coverage.Share(works=3, algorithms=3, entries=2, runs=2, measured=1)
    assert sections[1].share == coverage.Share(works=2, algorithms=2, entries=2, runs=1, measured=0)


def test_recalled_works_are_never_covered_and_their_sections_are_left_out():
    tree = survey(section("A", *leaves("a", read="recalled"), *leaves("c", read="secondary")),
                  section("B", *leaves("b", read="recalled"), inner=(section("C", *leaves("a", read="recalled")),)))
    share, sections = coverage.of_survey(tree, *world())
    assert share == coverage.Share(works=1, algorithms=1, entries=0, runs=0, measured=0)
    assert [view.section.title for view in sections] == ["A"]
    assert [leaf.work for leaf in sections[0].leaves] == ["c"]


def test_sections_have_names_of_their_own_that_keep():
    inner = (section("Others", *leaves("b")),)
    tree = survey(section("1 QAT, PTQ", *leaves("a"), inner=inner), section("Others", *leaves("c")),
                  section("???", *leaves("a"), inner=(section("!", *leaves("a")), section("?", *leaves("b")))))
    names = [view.id for top in coverage.of_survey(tree, *world())[1] for view in top.walk()]
    assert len(set(names)) == len(names) == 6
    assert names[:2] == ["section-1-qat-ptq", "section-others"]
    grown = survey(section("0 New", *leaves("a")), *tree.sections)
    again = [view.id for top in coverage.of_survey(grown, *world())[1] for view in top.walk()]
    assert again[1:] == names


# --- pages and files ------------------------------------------------------------------------------------------------


def text(html: str) -> str:
    return " ".join(unescape(re.sub(r"<[^>]*>", " ", html)).split())


def test_crosswalk_page_holds_every_row_and_marks_the_sides_that_disagree(pages, both):
    page = pages["crosswalk/index.md"]
    found = re.findall(r'<tr id="([^"]+)" data-has-survey="([^"]*)" data-has-absent="([^"]*)" '
                       r'data-has-family="([^"]*)" data-has-mark="([^"]*)"', page)
    assert [key for key, *_ in found] == [row.id for row in both.crosswalk.rows]
    by_key = {key: [set(part.split()) for part in parts] for key, *parts in found}
    assert by_key["white2019first"] == [
        {"survey2024", "survey2024.quantization", "other2021", "other2021.pruning"}, set(),
        {"quantization", "pruning"}, {"disagree", "entry", "algorithm"}]
    assert by_key["gray2021third"] == [{"other2021"}, {"survey2024"}, {"quantization"}, set()]
    plain = page[page.index('<tr id="white2019first"'):].partition("</tr>")[0]
    assert plain.count("zoo-party") == 3 and plain.count("zoo-filing--passing") == 1
    assert "Quantization in our taxonomy, Pruning in Other 2021" in text(plain)
    assert "1 disputed" in text(page)
    table = page[page.index('<table class="zoo-table zoo-crosswalk '):]
    assert "hidden" not in re.sub(r">[^<]*<", "><", table) and table.count("<tr ") == len(found)


def test_links_of_the_crosswalk_lead_to_sections_of_the_surveys(pages):
    addresses = set(re.findall(r'href="\.\./surveys/([a-z0-9]+)/#([^"]+)"', pages["crosswalk/index.md"]))
    assert len(addresses) >= 5
    for key, anchor in addresses:
        page = pages[f"surveys/{key}/index.md"]
        assert f'id="{anchor}"' in page or f"{{#{anchor}}}" in page


def test_files_hold_what_the_page_holds(both):
    data = json.loads(crosswalk_files.as_json(both))
    table = list(csv.DictReader(io.StringIO(crosswalk_files.as_csv(both))))
    assert [row["key"] for row in data["rows"]] == [row["key"] for row in table] == [
        row.id for row in both.crosswalk.rows]
    plain = next(row for row in data["rows"] if row["key"] == "white2019first")
    assert plain["ours"] == {"from": "entry", "nodes": ["quantization/rounding"]} and plain["entry"] == "plain"
    assert [place["depth"] for place in plain["surveys"]["other2021"]["places"]] == ["described", "mentioned"]
    assert {"between": ["ours", "other2021"], "families": [["quantization"], ["pruning"]]} in plain["disagreements"]
    line = next(row for row in table if row["key"] == "white2019first")
    assert line["survey2024"] == "Quantization (described, full text)" and line["other2021_families"] == "pruning"
    assert line["disagreements"].split("; ") == [" ".join(one["between"]) for one in plain["disagreements"]]
    assert line["algorithm"] == "yes" and line["year"] == "2019"


def test_a_survey_as_json_reads_back_as_the_survey(both, pages):
    files = crosswalk_files.files(both)
    assert set(files) == {"crosswalk.csv", "crosswalk.json", "surveys/other2021.json", "surveys/survey2024.json"}
    data = json.loads(files["surveys/other2021.json"])
    assert data.pop("schema") == 1 and data.pop("key") == "other2021"
    survey = both.surveys["other2021"].survey
    assert Survey.model_validate(data, context={}) == survey.model_copy(update={"key": "", "file": ""})
    assert "../other2021.json" in pages["surveys/other2021/index.md"]


def test_survey_page_says_what_was_seen_and_how(pages):
    page = pages["surveys/other2021/index.md"]
    said = text(page)
    assert "3 works seen in it" in said and "2 of them algorithms" in said and "1 recalled only" in said
    assert "It differs. secondary A blog." in said
    assert "Version 1." in said and "Cheap, says" in said and "Everything." in said
    assert re.search(r"Table 7\..*, 3 rows: bits, speed\.", said)
    assert "Of the 2 algorithms" in said and "2 have an entry, 2 an implementation with tests, 1 a measurement" in said
    assert '<a href="../../works/gray2021third/" title="Third Work">Third Work</a>' in page  # no entry: its own page
    recalled = page[page.index("{#recalled}"):]
    assert "works/survey2024things/" in recalled and "works/survey2024things/" not in page[:page.index("{#recalled}")]
    assert "works/white2019first/" not in recalled and "algorithms/plain/" not in recalled
    assert "what we call" in page and "../../families/pruning/" in page
    coverage_table = page[page.index('id="coverage-table"'):page.index("{#special}")]
    assert coverage_table.count("<meter") == 6  # one section and the whole, three shares each
    assert "recalled" not in coverage_table


def test_survey_pages_say_where_nothing_was_seen(pages):
    said = text(pages["surveys/survey2024/index.md"])
    assert "Which works it tells at length was not seen." in said
    assert "No metric was seen in it." in said and "No list of desired properties was seen in it." in said


def test_models_and_data_sets_do_not_count_for_a_family():
    def counted(role: str) -> dict[str, dict[str, int]]:
        found = crossing(role=role, a={"one": "pruning"}, b={"one": "pruning"})
        return survey_pages.by_family(SimpleNamespace(families=["pruning"], surveys=["one"], crosswalk=found))

    assert counted("algorithm") == {"pruning": {"one": 2}}
    assert counted("model") == {"pruning": {"one": 0}}


def test_surveys_page_sets_them_side_by_side(pages, both):
    page = pages["surveys/index.md"]
    said = text(page)
    for view in both.surveys.values():
        assert view.survey.name in said and view.work.title in said
    overlaps = page[page.index("{#overlaps}"):page.index("{#families}")]
    assert text(overlaps).count("2 100 %") == 2 and text(overlaps).count("2 in all") == 2
    families = page[page.index("{#families}"):]
    assert "../crosswalk/?survey=other2021.pruning&amp;mark=algorithm" in families
    assert survey_pages.by_family(both) == {
        "quantization": {"other2021": 1, "survey2024": 1}, "pruning": {"other2021": 1, "survey2024": 0}}
    assert survey_pages.window(both, both.surveys["other2021"]) == (2019, 2019, 2020)


def test_family_pages_name_the_outermost_sections_that_mean_them(both):
    assert {key: [one["title"] for one in found] for key, found in
            survey_pages.filed_as(both, "quantization").items()} == {
        "other2021": ["Grids"], "survey2024": ["Quantization"]}
    assert [one["title"] for one in survey_pages.filed_as(both, "pruning")["other2021"]] == [HOSTILE_LINE]


def test_text_of_a_survey_cannot_become_markup(pages):
    for name, page in pages.items():
        # A heading is Markdown, whose text is escaped for it; all else is HTML that Markdown leaves alone.
        lines = [line for line in page.splitlines() if not line.startswith("#")]
        html = "\n".join(lines).partition("\n---\n")[2] or "\n".join(lines)
        assert not re.search(r"<(script|img|i)\b|<svg onload", html), name
        assert 'href="javascript' not in html and "href='javascript" not in html, name
        assert not re.search(r"<[a-z]+\b[^>]*\son(load|error)=", re.sub(r'"[^"]*"', '""', html)), name
