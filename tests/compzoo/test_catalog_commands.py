"""The catalog commands, as a person or a script meets them."""

from __future__ import annotations

import json
import shutil
from functools import cache
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from catalog import search
from catalog.loading import HERE
from compzoo import catalog_commands

app = typer.Typer()
catalog_commands.register(app)

read_once, all_documents = cache(catalog_commands.load_catalog), search.all_documents


@cache
def documents_once() -> list[dict[str, str]]:
    return all_documents(read_once())


@pytest.fixture(autouse=True)
def _project_is_read_once(monkeypatch) -> None:
    """No command of this file changes the project's own catalog."""
    monkeypatch.setattr(catalog_commands, "load_catalog", read_once)
    monkeypatch.setattr(search, "all_documents", lambda catalog: documents_once())


@pytest.fixture
def run():
    runner = CliRunner()

    def invoke(*words: str, code: int = 0):
        result = runner.invoke(app, list(words))
        assert result.exit_code == code, result.output + result.stderr
        return result

    return invoke


@pytest.fixture
def copied(tmp_path: Path) -> Path:
    """A copy of the project's catalog beside a link to its code and tests."""
    root = tmp_path / "catalog"
    shutil.copytree(HERE, root, ignore=shutil.ignore_patterns("__pycache__", "*.py"))
    for name in ("reference_impls", "tests"):
        (tmp_path / name).symlink_to(HERE.parent / name)
    return root


def test_list(run) -> None:
    entries = json.loads(run("list", "--json").stdout)
    assert {"id", "name", "family", "paper", "summary"} <= set(entries[0])
    pruning = json.loads(run("list", "--family", "pruning", "--json").stdout)
    assert {"wanda", "sparsegpt", "magnitude-pruning"} <= {entry["id"] for entry in pruning}
    assert len(pruning) < len(entries)
    assert all("pruning/" in " ".join([entry["family"], *entry["also_in"]]) for entry in pruning)
    assert "wanda" in run("list", "--family", "pruning/activation-aware").stdout
    assert "did you mean 'pruning'" in run("list", "--family", "prunning", code=2).stderr


def test_show(run) -> None:
    data = json.loads(run("show", "wanda", "--json").stdout)
    assert data["id"] == "wanda" and data["work"]["arxiv"] == "2306.11695"
    assert {"facts", "steps", "relations", "reference", "related_from", "measurement"} <= set(data)
    text = run("show", "wanda").stdout
    assert "Wanda" in text and "[eq-score]" in text and "compzoo run wanda" in text


@pytest.mark.parametrize(
    ("wrong", "right"), [("wnada", "wanda"), ("Wanda", "wanda"), ("magnitude_pruning", "magnitude-pruning")]
)
def test_unknown_id_gets_the_nearest_one(run, wrong: str, right: str) -> None:
    result = run("show", wrong, code=2)
    assert f"did you mean '{right}'?" in result.stderr and not result.stdout


def test_search(run) -> None:
    hits = json.loads(run("search", "pruning", "without", "retraining", "--limit", "2", "--json").stdout)
    assert len(hits) == 2 and all(set(hit) == {"id", "kind", "name", "score"} for hit in hits)
    assert hits[0]["score"] >= hits[1]["score"]
    assert json.loads(run("search", "xylophone", "--json").stdout) == []
    assert "Nothing found" in run("search", "xylophone").stdout
    assert "wanda" in run("search", "wnada").stdout
    (paper,) = json.loads(run("search", "BESA", "--limit", "1", "--json").stdout)
    assert (paper["kind"], paper["id"]) == ("paper", "xu2024besa")


def test_validate(run, copied: Path) -> None:
    run("validate", str(copied))
    run("validate", str(copied.parent))
    entry = copied / "algorithms" / "pruning" / "wanda.yml"
    entry.write_text(entry.read_text().replace("stage: post-training", "stage: post-trainig"))
    (copied / "algorithms" / "sharing" / "albert.yml").write_text("name: [\n")
    out = run("validate", str(copied), code=1).stdout
    line = next(n for n, text in enumerate(entry.read_text().splitlines(), 1) if "post-trainig" in text)
    assert f"catalog/algorithms/pruning/wanda.yml:{line}: facts.stage: " in out
    assert "found 'post-trainig'" in out and "did you mean post-training?" in out
    assert "catalog/algorithms/sharing/albert.yml:2: this is not YAML" in out
    found = json.loads(run("validate", str(copied), "--json", code=1).stdout)
    assert {problem["file"].split("/")[-1] for problem in found} == {"wanda.yml", "albert.yml"}
    assert set(found[0]) == {"file", "line", "key", "message", "value", "expected", "nearest"}
    assert "albert" not in run("validate", str(entry), code=1).stdout
    run("validate", str(copied / "algorithms" / "pruning" / "sparsegpt.yml"))


def test_validate_what_is_no_catalog(run, tmp_path: Path) -> None:
    assert "no file or folder" in run("validate", str(tmp_path / "gone"), code=2).stderr
    (tmp_path / "x.yml").write_text("a: 1\n")
    assert "not inside one" in run("validate", str(tmp_path / "x.yml"), code=2).stderr


def test_new_writes_a_form_and_never_overwrites(run, copied: Path, monkeypatch) -> None:
    import catalog

    original = catalog.check
    monkeypatch.setattr(catalog, "check", lambda root=None: original(root or copied))
    run("new", "outlier-suppression", "--family", "quantization/outlier-smoothing")
    form = copied / "algorithms" / "quantization" / "outlier-suppression.yml"
    text = form.read_text()
    assert "paper: wei2022outlier" in text and "family: quantization/outlier-smoothing" in text
    assert "already" in run("new", "outlier-suppression", code=2).stderr
    assert form.read_text() == text
    assert "did you mean 'my-method'" in run("new", "My Method", code=2).stderr
    assert "did you mean 'quantization'" in run("new", "other", "--family", "quantisation", code=2).stderr
    assert "change `family`" in run("new", "entirely-new").stdout
    out = run("validate", str(form), code=1).stdout
    assert "facts.stage" in out and "summary" in out
