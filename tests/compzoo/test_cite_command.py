"""`compzoo cite`: what it prints, what it takes for a name, and every mistake at once."""

from __future__ import annotations

import json
import re

import bibtexparser
import pytest
import rispy
import typer
from typer.testing import CliRunner

from catalog import citing, load
from compzoo import cite_command

app = typer.Typer()
app.command()(cite_command.cite)


@pytest.fixture(scope="module")
def catalog():
    return load()


@pytest.fixture(scope="module")
def run(catalog):
    """Runs the command over the project's catalog, which is read once."""
    patch = pytest.MonkeyPatch()
    patch.setattr("compzoo.catalog_commands.load_catalog", lambda: catalog)

    def invoke(*words: str, code: int = 0):
        result = CliRunner().invoke(app, list(words))
        assert result.exit_code == code, result.output + result.stderr
        return result

    yield invoke
    patch.undo()


def keys(text: str) -> list[str]:
    library = bibtexparser.parse_string(text)
    assert not library.failed_blocks
    return [entry.key for entry in library.entries]


def test_prints_the_record_and_nothing_else(run) -> None:
    out = run("wanda").stdout
    assert out.startswith("@inproceedings{sun2024simple,\n") and out.endswith("}\n") and keys(out) == ["sun2024simple"]
    assert json.loads(run("wanda", "lora", "--format", "csl-json").stdout)[1]["id"] == "hu2022lora"
    assert [record["id"] for record in rispy.loads(run("lora", "--format", "ris").stdout)] == ["hu2022lora"]
    assert run("lora", "--format", "text").stdout.startswith("Edward J. Hu, ")


def test_ids_and_keys_mixed_each_once_in_the_order_asked_for(run) -> None:
    mixed = ("wanda", "frantar2023optq", "sun2024simple", "awq", "ad-kd", "2306.11695v3", "doi:10.18653/V1/P19-1032")
    assert keys(run(*mixed).stdout) == [
        "sun2024simple", "frantar2023optq", "lin2024awq", "wu2023adkd", "sukhbaatar2019adaptive"]
    addresses = ("https://arxiv.org/abs/2210.17323", "https://doi.org/10.18653/v1/p19-1032", "arXiv:2306.11695")
    assert keys(run(*addresses).stdout) == ["frantar2023optq", "sukhbaatar2019adaptive", "sun2024simple"]


def test_families_and_surveys(run, catalog) -> None:
    pruning = keys(run("--family", "pruning").stdout)
    assert pruning == [work.key for work in citing.of_family(catalog, "pruning")] and "sun2024simple" in pruning
    group = keys(run("--family", "pruning/activation-aware").stdout)
    assert set(group) < set(pruning) and "sun2024simple" in group
    wang = rispy.loads(run("--survey", "wang2024", "--format", "ris").stdout)
    assert [record["id"] for record in wang] == [work.key for work in citing.of_survey(catalog, "wang2024")]
    both = keys(run("lora", "--family", "pruning", "--survey", "wang2024").stdout)
    assert both[0] == "hu2022lora" and len(both) == len(set(both))
    assert set(both) == {"hu2022lora", *pruning, *(record["id"] for record in wang)}


def test_all(run, catalog) -> None:
    assert keys(run("--all").stdout) == list(catalog.bibliography)
    entries = json.loads(run("--all", "--entry", "--format", "csl-json").stdout)
    assert [item["title"] for item in entries] == [entry.name for entry in catalog.algorithms.values()]


def test_the_entry_itself(run, catalog) -> None:
    out = run("gptq", "--entry").stdout
    assert re.search(r"@misc\{compressionzoo\d{4}gptq,", out) and "title        = {{GPTQ}}" in out
    assert re.search(r"howpublished = \{Compression Zoo, version \d+\.\d+", out)
    assert run("frantar2023optq", "--entry").stdout == out, "the key of a paper leads to the entry about it"
    pruned = keys(run("--family", "pruning", "--entry").stdout)
    assert len(pruned) == len(citing.of_node(catalog, "pruning"))
    assert all(key.startswith("compressionzoo") for key in pruned)
    surveyed = keys(run("--survey", "wang2024", "--entry").stdout)
    assert 0 < len(surveyed) < len(catalog.algorithms)


def test_a_method_without_a_paper_is_cited_by_its_entry(run) -> None:
    assert "Round-to-nearest" in run("rtn").stdout and "Compression Zoo" in run("rtn").stdout


def test_all_mistakes_at_once(run) -> None:
    result = run("wnada", "lora", "frantar2032optq", "LLM.int8()", "--family", "prunning", "--survey", "wang", code=2)
    assert result.stdout == ""
    lines = result.stderr.splitlines()
    assert len(lines) == 5 and all(line.startswith("error: unknown ") for line in lines)
    hints = ("wanda", "frantar2023optq", "llm-int8", "pruning", "wang2024")
    for line, hint in zip(lines, hints, strict=True):
        assert f"did you mean {hint!r}?" in line
    work = run("wu2023adkd", "--entry", code=2)
    assert "`wu2023adkd` is a work without an entry; leave out --entry" in work.stderr and work.stdout == ""
    assert "--family, --survey or --all" in run(code=2).stderr
    assert run("wanda", "--format", "endnote", code=2).stdout == ""


def test_an_entry_with_problems_is_not_called_unknown(run, catalog, monkeypatch) -> None:
    monkeypatch.setattr(catalog, "known_ids", {*catalog.known_ids, "broken-one"})
    assert "`broken-one` has problems" in run("broken-one", code=2).stderr


def test_a_retired_id_leads_to_its_heir(run, catalog, monkeypatch) -> None:
    monkeypatch.setattr(catalog, "retired", {"old-wanda": "wanda"})
    assert keys(run("old-wanda").stdout) == ["sun2024simple"]
