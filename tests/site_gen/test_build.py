"""The whole build on a synthetic repository: what is written, what stays, and what a broken catalog does."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import pytest

from catalog import CatalogError
from site_gen import build as build_module
from site_gen.build import ROOT, BuildError, build
from tests.site_gen import synthetic


class Elements(HTMLParser):
    """Every start tag of a page with its attributes, and the text of its scripts."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.scripts: list[str] = []
        self._in_script = False

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        self._in_script = tag == "script"

    def handle_endtag(self, tag):
        self._in_script = self._in_script and tag != "script"

    def handle_data(self, data):
        if self._in_script:
            self.scripts.append(data)


def elements(path: Path) -> Elements:
    parser = Elements()
    parser.feed(path.read_text(encoding="utf-8"))
    parser.close()
    return parser


def test_every_page_is_there(built):
    out, report = built
    expected = {
        "index.html", "404.html", "algorithms/index.html", "algorithms/plain/index.html",
        "algorithms/hostile/index.html", "families/index.html", "families/quantization/index.html",
        "families/pruning/index.html", "surveys/index.html", "surveys/survey2024/index.html",
        "bibliography/index.html", "graph/index.html", "measured/index.html", "combinations/index.html",
        "reported/index.html", "crosswalk/index.html", "trends/index.html", "compare/index.html",
        "choose/index.html", "glossary/index.html", "maps/index.html",
        "frameworks/index.html", "benchmarks/index.html", "metrics/index.html",
        *(f"frameworks/{name}/index.html" for name in ("runner", "malice", "alone")),
        "vocabulary/index.html", "cite/index.html", "contribute/index.html", "health/index.html",
        "algorithms/plane/index.html",
        *(f"works/{key}/index.html" for key in (
            "white2019first", "black2020second", "gray2021third", "survey2024things")),
    }
    assert {path.relative_to(out).as_posix() for path in out.rglob("*.html")} == expected
    assert report.pages == len(expected) - 2  # 404 comes from the theme, the redirect is copied


def test_machine_forms_stand_beside_the_page(built):
    out, _ = built
    data = json.loads((out / "algorithms/plain.json").read_text())
    assert data["id"] == "plain" and data["schema"] == 1
    assert data["computed"]["related_from"] == [
        {"type": "builds_on", "source": "hostile", "why": synthetic.HOSTILE_LINE}
    ]
    assert data["computed"]["surveys"][0]["path"] == ["Quantization"]
    assert data["computed"]["measured"]["stale"] is False
    alone = (out / "algorithms/plain.py").read_text()
    assert "def plain(" in alone and "import reference_impls" not in alone and "from reference_impls" not in alone
    assert json.loads((out / "algorithms/plain.ipynb").read_text())["nbformat"] == 4
    assert "\\hat W = \\mathrm{round}(W)" in (out / "algorithms/plain.md").read_text()
    assert "white2019first" in (out / "algorithms/plain.bib").read_text()
    assert (out / "algorithms/plain.ris").read_text().startswith("TY  - ")
    assert json.loads((out / "algorithms/plain.csl.json").read_text())[0]["id"] == "white2019first"
    assert len(json.loads((out / "bibliography.csl.json").read_text())) == 4
    assert {a["id"] for a in json.loads((out / "algorithms.json").read_text())["algorithms"]} == {"plain", "hostile"}


def test_hostile_text_comes_out_inert(built):
    """No tag, handler or address of the hostile fields is alive on any page, wherever the text is shown."""
    out, _ = built
    pages = [path for path in out.rglob("*.html")]
    shown = 0
    for path in pages:
        found = elements(path)
        shown += path.read_text(encoding="utf-8").count("window.pwned=1")
        assert not any("pwned" in text for text in found.scripts), path
        for tag, attributes in found.tags:
            assert not any(name.startswith("on") for name in attributes), (path, tag, attributes)
            assert tag != "img" or attributes["src"].endswith("assets/zoo/logo.svg"), (path, attributes)
            for name in ("href", "src", "action"):
                value = (attributes.get(name) or "").strip().lower()
                assert not value.startswith(("javascript:", "data:", "vbscript:")), (path, tag, value)
                assert "evil.invalid" not in value or tag == "a", (path, tag, value)
    assert shown > 30  # it was there to be seen, as text
    family = (out / "families/quantization/index.html").read_text(encoding="utf-8")
    assert "also called Coarsening, Fewer &lt;b onclick" in family and ", grid search of levels</p>" in family
    page = elements(out / "algorithms/hostile/index.html")
    assert len([tag for tag, _ in page.tags if tag == "h1"]) == 1
    assert len([tag for tag, _ in page.tags if tag == "main"]) == 1
    assert "49" not in (out / "algorithms/hostile/index.html").read_text().split("{{ 7")[0][-20:]


def test_hostile_text_does_not_break_the_page(built):
    """What follows the hostile fields still stands in its place: sections in their order, inside the article."""
    out, _ = built
    text = (out / "algorithms/hostile/index.html").read_text(encoding="utf-8")
    order = [text.index(f'<h2 id="{name}"') for name in ("facts", "idea", "code", "relations", "cite", "entry")]
    assert order == sorted(order)
    assert text.index("</article>") > order[-1]


def test_relations_stand_together_by_kind_whoever_declares_them(built):
    out, _ = built
    text = (out / "algorithms/plain/index.html").read_text(encoding="utf-8")
    part = text[text.index('<ul class="zoo-relations">'):]
    kinds = re.findall(r'<p class="zoo-relation">([^<]+)', part)
    assert kinds == ["is built on by", "is an alternative to"]
    places = [part.index(text) for text in (kinds[0], "../hostile/", kinds[1], "gray2021third")]
    assert places == sorted(places)


def test_second_build_writes_nothing_and_typesets_nothing(built, repository):
    _, first = built
    assert first.formulas > 0
    report = build(repository)
    assert (report.written, report.deleted, report.formulas) == (0, 0, 0)
    assert report.kept == first.written + first.kept


def test_removed_entry_leaves_no_page(repository, tmp_path):
    copy = tmp_path / "repository"
    shutil.copytree(repository, copy, ignore=shutil.ignore_patterns("site", "build"))
    build(copy)
    assert (copy / "site/algorithms/hostile/index.html").is_file()
    (copy / "catalog/algorithms/quantization/hostile.yml").unlink()
    report = build(copy)
    assert report.deleted > 0
    assert not (copy / "site/algorithms/hostile").exists()
    assert not (copy / "site/algorithms/hostile.json").exists()


def test_broken_catalog_builds_nothing_and_keeps_the_old_site(repository, tmp_path):
    copy = tmp_path / "repository"
    shutil.copytree(repository, copy, ignore=shutil.ignore_patterns("build"))
    mark = copy / "site" / "mark.txt"
    mark.parent.mkdir(exist_ok=True)
    mark.write_text("old")
    path = copy / "catalog/algorithms/quantization/plain.yml"
    fields = json.loads(path.read_text())
    fields["facts"]["stage"] = "post-trainning"
    fields["nonsense"] = 1
    path.write_text(json.dumps(fields))
    with pytest.raises(CatalogError) as caught:
        build(copy)
    assert len(caught.value.problems) >= 2
    assert mark.read_text() == "old"
    assert not list(copy.glob(".site*"))


@pytest.mark.parametrize(("field", "text", "said"), [
    ("idea", "A formula $\\notacommand{x}$ here.", "cannot be typeset"),
    ("idea", "A link \\href in math $\\href{javascript:alert(1)}{x}$.", "cannot be typeset"),
])  # fmt: skip
def test_what_only_the_site_can_see_is_a_problem_of_the_catalog(repository, tmp_path, field, text, said):
    copy = tmp_path / "repository"
    shutil.copytree(repository, copy, ignore=shutil.ignore_patterns("site", "build"))
    path = copy / "catalog/algorithms/quantization/plain.yml"
    path.write_text(json.dumps(synthetic.entry("Plain", **{field: text + " See [eq-round]."})))
    with pytest.raises(CatalogError) as caught:
        build(copy)
    assert [problem.file for problem in caught.value.problems] == ["catalog/algorithms/quantization/plain.yml"]
    assert said in str(caught.value)


def test_failure_of_mkdocs_keeps_the_old_site(repository, tmp_path, monkeypatch):
    out = tmp_path / "site"
    out.mkdir()
    (out / "mark.txt").write_text("old")

    def fail(run):
        (tmp_path / ".site.new").mkdir(exist_ok=True)  # MkDocs may have begun
        (tmp_path / ".site.new/half.html").write_text("half")
        return "a page is wrong"

    monkeypatch.setattr(build_module.MkDocs, "wait", fail)
    with pytest.raises(BuildError, match="a page is wrong"):
        build(repository, out=out, work=tmp_path / "work")
    assert (out / "mark.txt").read_text() == "old"
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []


def test_builds_without_torch():
    """Neither the generator nor its command imports torch."""
    code = (
        "import sys\n"
        "class Refusal:\n"  # not None in sys.modules: scikit-learn takes an attribute of what stands there
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name == 'torch': raise ModuleNotFoundError(name)\n"
        "sys.meta_path.insert(0, Refusal())\n"
        "import site_gen.build, site_gen.serve, compzoo.site_commands\n"
        "assert not [name for name in sys.modules if name.split('.')[0] in ('torch', 'reference_impls')]\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT)


def test_highwire_tags_describe_the_paper(built):
    out, _ = built
    tags = [(a["name"], a.get("content")) for tag, a in elements(out / "algorithms/plain/index.html").tags
            if tag == "meta" and (a.get("name") or "").startswith("citation_")]
    assert ("citation_title", "A First Work") in tags
    assert [content for name, content in tags if name == "citation_author"] == [
        "White, Ann", "van der Berg, Bo", "Roe, Cy"]
    assert ("citation_conference_title", "Proceedings of Things") in tags
    assert ("citation_arxiv_id", "1901.00001") in tags


def test_equations_and_code_link_to_each_other(built):
    out, _ = built
    text = (out / "algorithms/plain/index.html").read_text(encoding="utf-8")
    found = elements(out / "algorithms/plain/index.html")
    ids = {a["id"] for _, a in found.tags if "id" in a}
    hrefs = [a["href"] for tag, a in found.tags if tag == "a" and "href" in a]
    line = next(i for i, source in enumerate(synthetic.CODE.splitlines(), 1) if "round()" in source)
    assert {"eq-round", f"L{line}"} <= ids
    assert f"#L{line}" in hrefs and hrefs.count("#eq-round") >= 4  # idea, step, docstring, code
    assert re.search(rf'<a href="#L{line}">lines? {line}</a>', text)  # the line of code comes before the docstring


def test_redirect_of_a_retired_id(built):
    out, _ = built
    assert 'url=../plain/"' in (out / "algorithms/plane/index.html").read_text()


def test_no_page_asks_for_anything_from_elsewhere(built):
    """Scripts, styles, fonts and pictures come from the site itself; only links lead away."""
    out, _ = built
    for path in out.rglob("*.html"):
        for tag, attributes in elements(path).tags:
            if tag in ("script", "img", "iframe", "source", "link"):
                address = attributes.get("src") or attributes.get("href") or ""
                if tag == "link" and attributes.get("rel") in ("canonical", "describedby"):
                    continue
                assert "//" not in address, (path, tag, address)
    for path in (out / "assets/zoo").rglob("*.css"):
        assert "url(http" not in path.read_text() and "url(//" not in path.read_text()
