"""The zoo as a thing to cite: who, which version, and days that git knows for sure."""

from __future__ import annotations

import os
import subprocess
import tomllib
from pathlib import Path

import pytest
import yaml

from catalog import release
from catalog.bibliography import Person


def git(folder: Path, *words: str, day: str = "2024-05-06") -> str:
    stamp = f"{day}T12:00:00+0000"
    env = {**os.environ, "GIT_AUTHOR_DATE": stamp, "GIT_COMMITTER_DATE": stamp, "GIT_CONFIG_GLOBAL": os.devnull}
    done = subprocess.run(["git", "-c", "user.name=A", "-c", "user.email=a@example.org", *words], cwd=folder, env=env,
                          capture_output=True, text=True, check=True)  # fmt: skip
    return done.stdout


def commit(folder: Path, day: str, **files: str) -> None:
    for name, text in files.items():
        path = folder / "catalog" / "algorithms" / f"{name}.yml"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    git(folder, "add", "-A")
    git(folder, "commit", "-q", "-m", "x", day=day)


@pytest.fixture
def history(tmp_path: Path) -> Path:
    """Two entries; `b` changed once more on a later day."""
    folder = tmp_path / "repository"
    folder.mkdir()
    git(folder, "init", "-q")
    commit(folder, "2024-05-06", a="1", b="1")
    commit(folder, "2025-02-03", b="2")
    return folder


def days(folder: Path) -> dict[str, str]:
    return {Path(file).stem: day for file, day in release.last_changes(folder, "catalog/algorithms").items()}


def test_days_of_the_last_change(history: Path) -> None:
    assert days(history) == {"a": "2024-05-06", "b": "2025-02-03"}
    assert set(release.last_changes(history, "catalog/algorithms")) == {
        "catalog/algorithms/a.yml", "catalog/algorithms/b.yml"}


def test_a_change_that_is_not_committed_has_no_day(history: Path) -> None:
    (history / "catalog/algorithms/a.yml").write_text("3")
    assert days(history) == {"b": "2025-02-03"}
    git(history, "add", "-A")
    assert days(history) == {"b": "2025-02-03"}
    (history / "catalog/algorithms/c.yml").write_text("new")
    assert "c" not in days(history)


def test_a_shallow_copy_knows_only_what_it_holds(history: Path, tmp_path: Path) -> None:
    """Git says that the first commit of a shallow copy changed every file; that is no day of a change."""
    commit(history, "2026-01-02", b="3")
    git(tmp_path, "clone", "-q", "--depth", "2", history.as_uri(), "shallow")
    assert days(tmp_path / "shallow") == {"b": "2026-01-02"}
    git(tmp_path, "clone", "-q", "--depth", "1", history.as_uri(), "shallower")
    assert days(tmp_path / "shallower") == {}


def test_a_repository_inside_another(history: Path) -> None:
    inner = history / "inner"
    (inner / "catalog" / "algorithms").mkdir(parents=True)
    (inner / "catalog" / "algorithms" / "a.yml").write_text("x")
    assert days(inner) == {}
    git(history, "add", "-A")
    git(history, "commit", "-q", "-m", "x", day="2026-07-08")
    assert release.last_changes(inner, "catalog/algorithms") == {"catalog/algorithms/a.yml": "2026-07-08"}


def test_without_git(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, history: Path) -> None:
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    plain = tmp_path / "plain"
    plain.mkdir()
    assert days(plain) == {}
    git(plain, "init", "-q")
    assert days(plain) == {}
    monkeypatch.setenv("PATH", str(plain))
    assert days(history) == {}


def test_citation_file(tmp_path: Path) -> None:
    (tmp_path / "CITATION.cff").write_text(
        "title: Z\nversion: 1.10\ndate-released: 2026-01-31\nurl: https://example.org/z/\nauthors:\n- name: The Team\n"
        "- {family-names: Berg, given-names: A., name-particle: van der, name-suffix: Jr.}\n", encoding="utf-8")
    zoo = release.read(tmp_path)
    assert (zoo.title, zoo.released, zoo.url) == ("Z", "2026-01-31", "https://example.org/z")
    berg = Person(family="Berg", given="A.", particle="van der", suffix="Jr.")
    assert zoo.authors == (Person(family="The Team"), berg)


def test_without_a_citation_file(tmp_path: Path) -> None:
    zoo = release.read(tmp_path)
    assert zoo.title == "Compression Zoo" and zoo.authors and zoo.version and not zoo.released


def test_one_version_everywhere(real: Path) -> None:
    repository = real.parent
    data = yaml.safe_load((repository / "CITATION.cff").read_text(encoding="utf-8"))
    project = tomllib.loads((repository / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    zoo = release.read(repository)
    assert zoo.version == str(data["version"]) == project["version"]
    assert zoo.authors == (Person(family="The Compression Zoo contributors"),)
