"""`compzoo build` and `compzoo serve`: exit codes and what they print."""

from __future__ import annotations

from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from catalog import CatalogError, Problem
from compzoo import site_commands
from site_gen import build as build_module
from site_gen.build import BuildError, Report
from site_gen.serve import server


@pytest.fixture
def run():
    app = typer.Typer()
    site_commands.register(app)
    return lambda *words: CliRunner().invoke(app, list(words))


def test_every_problem_is_printed_and_the_code_is_1(run, monkeypatch):
    def broken(**_):
        raise CatalogError([Problem("catalog/a.yml", 3, "facts.stage", "not a value of this field", "'x'"),
                            Problem("catalog/b.yml", 1, "", "the file is empty")])

    monkeypatch.setattr(build_module, "build", broken)
    result = run("build")
    assert result.exit_code == 1
    assert "catalog/a.yml:3: facts.stage: not a value of this field; found 'x'" in result.output
    assert "catalog/b.yml:1: the file is empty" in result.output
    assert "2 problems; no site was built" in result.output


def test_failure_after_the_catalog(run, monkeypatch):
    def broken(**_):
        raise BuildError("MkDocs failed: because")

    monkeypatch.setattr(build_module, "build", broken)
    result = run("build")
    assert result.exit_code == 1 and "error: MkDocs failed: because" in result.output


def test_folder_of_the_site(run, monkeypatch, tmp_path):
    asked = []

    def fine(out: Path, tell):
        asked.append(out)
        return Report(out, pages=7)

    monkeypatch.setattr(build_module, "build", fine)
    result = run("build", "--out", str(tmp_path / "here"))
    assert result.exit_code == 0 and asked == [tmp_path / "here"] and "7 pages" in result.output
    run("build")
    assert asked[1] == build_module.ROOT / "site"


def test_taken_port_is_said_with_code_2(run, monkeypatch, tmp_path):
    monkeypatch.setattr(build_module, "build", lambda out, tell: Report(out, pages=1))
    other = server(tmp_path)
    try:
        result = run("serve", "--port", str(other.server_port))
    finally:
        other.server_close()
    assert result.exit_code == 2 and f"port {other.server_port} is in use" in result.output
