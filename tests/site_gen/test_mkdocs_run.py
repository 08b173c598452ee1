"""MkDocs in a process of its own: it waits for the pages, takes them alone, and says what is wrong."""

from __future__ import annotations

import pytest

from site_gen.mkdocs_run import MkDocs

SETTINGS = "site_name: Plain\ntheme: mkdocs\nplugins: []\nvalidation:\n  links:\n    not_found: warn\n"


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "docs").mkdir()
    (tmp_path / "mkdocs.yml").write_text(SETTINGS)
    return tmp_path


@pytest.fixture
def run(folder):
    with MkDocs(folder / "mkdocs.yml", folder / "docs", folder / "out") as started:
        yield started


def test_takes_pages_written_after_it_began_and_nothing_else(folder, run):
    (folder / "docs/index.md").write_text("# Home\n")
    (folder / "docs/data.json").write_text("{}")
    run.start()
    assert run.wait() == ""
    assert "Home" in (folder / "out/index.html").read_text() and not (folder / "out/data.json").exists()
    assert (folder / "out/css").is_dir()  # what the theme brings is copied


def test_says_what_is_wrong(folder, run):
    (folder / "docs/index.md").write_text("# Home\n\n[gone](gone.md)\n")
    run.start()
    assert "gone.md" in run.wait()


def test_wrong_settings_are_told(folder):
    (folder / "mkdocs.yml").write_text("site_name: Plain\ntheme: there-is-none\n")
    with MkDocs(folder / "mkdocs.yml", folder / "docs", folder / "out") as run:
        run._process.wait()
        run.start()
        assert "there-is-none" in run.wait()


def test_ends_without_pages(folder, run):
    run.__exit__()
    assert run._process.returncode is not None and not (folder / "out").exists()
