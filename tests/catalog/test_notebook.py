"""Notebooks: right by the format's own library, and they run from top to bottom."""

from __future__ import annotations

import json
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

from catalog import check
from catalog.code import Source
from catalog.notebook import notebook
from catalog.standalone import Exporter

CATALOG = check()[0]
EXPORTER = Exporter(Source(Path(__file__).parents[2]))


def made(id: str) -> nbformat.NotebookNode:
    return nbformat.reads(notebook(CATALOG.algorithms[id], CATALOG.bibliography, EXPORTER, address="x"), as_version=4)


@pytest.mark.parametrize("id", CATALOG.algorithms)
def test_it_follows_the_format_and_says_everything(id: str) -> None:
    entry, found = CATALOG.algorithms[id], made(id)
    nbformat.validate(found)
    prose = "\n".join(cell.source for cell in found.cells if cell.cell_type == "markdown")
    assert prose.startswith(f"# {entry.name}\n") and "[eq-" not in prose and "[@" not in prose
    assert prose.count("\\tag{") == len(entry.equations or {})
    assert len({cell.id for cell in found.cells}) == len(found.cells)


@pytest.mark.parametrize("id", ["wanda", "retnet", "flashattention"])
def test_it_runs_from_top_to_bottom(id: str, tmp_path: Path) -> None:
    found = made(id)
    NotebookClient(found, timeout=900, resources={"metadata": {"path": str(tmp_path)}}).execute()
    outputs = [output for cell in found.cells for output in cell.get("outputs", [])]
    printed = [output.text for output in outputs if output.output_type == "stream"]
    assert printed and all(text.strip() for text in printed)


def test_the_same_entry_gives_the_same_file() -> None:
    entry = CATALOG.algorithms["wanda"]
    first, second = (notebook(entry, CATALOG.bibliography, EXPORTER) for _ in range(2))
    assert first == second and json.loads(first)["nbformat_minor"] == 5
