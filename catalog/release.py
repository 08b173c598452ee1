"""What the zoo says of itself where it is cited: authors, version, address, and when each of its files last changed."""

from __future__ import annotations

import os
import subprocess
from dataclasses import dataclass
from functools import cached_property
from importlib import metadata
from pathlib import Path
from typing import Any

import yaml

from catalog.bibliography import Person

FILE = "CITATION.cff"
PACKAGE = "compression-zoo"


@dataclass(frozen=True)
class Zoo:
    """This zoo as a thing to cite. `released` is a day, YYYY-MM-DD, or empty where it is not known."""

    repository: Path
    title: str
    authors: tuple[Person, ...]
    version: str
    released: str = ""
    url: str = ""  # where the site stands, without a final slash; empty where that is not decided

    @cached_property
    def changes(self) -> dict[str, str]:
        """File, relative to the repository -> day of the last commit that changed it."""
        return last_changes(self.repository, "catalog/algorithms")


def read(repository: Path) -> Zoo:
    """From CITATION.cff of the repository; where there is none, as in an installed package, from the package itself."""
    path = repository / FILE
    data: dict[str, Any] = yaml.safe_load(path.read_text(encoding="utf-8")) if path.is_file() else {}
    authors = tuple(
        Person(family=author["name"]) if "name" in author
        else Person(family=author["family-names"], given=author.get("given-names", ""),
                    particle=author.get("name-particle", ""), suffix=author.get("name-suffix", ""))
        for author in data.get("authors", [{"name": "The Compression Zoo contributors"}])
    )  # fmt: skip
    return Zoo(
        repository, str(data.get("title", "Compression Zoo")), authors,
        version=str(data.get("version") or _installed_version()), released=str(data.get("date-released", "")),
        url=str(data.get("url", "")).rstrip("/"),
    )  # fmt: skip


def last_changes(repository: Path, folder: str) -> dict[str, str]:
    """File below `folder`, relative to the repository -> day of the last commit that changed it, YYYY-MM-DD.

    Only what git knows for sure: left out are files that differ from their last commit, files whose last change lies
    beyond the first commit of a shallow copy, and everything where there is no git.
    """
    history = _git(repository, "log", "--format=@%H %cs", "--name-only", "--relative", "--", folder)
    changed = _git(repository, "diff", "--name-only", "--relative", "HEAD", "--", folder)
    if history is None or changed is None:
        return {}
    edges = _first_commits(repository)
    days: dict[str, str] = {}
    unknown = set(changed.splitlines())
    commit = day = ""
    for line in filter(None, history.splitlines()):  # the newest commit comes first
        if line.startswith("@"):
            commit, _, day = line[1:].partition(" ")
        elif commit in edges:
            unknown |= {line} - days.keys()
        elif line not in unknown:
            days[line] = max(days.get(line, ""), day)
    return {file: day for file, day in days.items() if file not in unknown}


def _first_commits(repository: Path) -> set[str]:
    """The commits at which a shallow copy begins; git says of them that they changed every file."""
    path = _git(repository, "rev-parse", "--git-path", "shallow")
    file = repository / (path or "").strip()
    return set(file.read_text(encoding="utf-8").split()) if file.is_file() else set()


def _git(repository: Path, *words: str) -> str | None:
    """What git prints, or None where there is no git, no repository or no commit."""
    try:
        done = subprocess.run(
            ["git", "-c", "core.quotepath=off", "-C", str(repository), *words],
            capture_output=True, text=True, encoding="utf-8", env={**os.environ, "GIT_OPTIONAL_LOCKS": "0"},
        )
    except OSError:
        return None
    return done.stdout if done.returncode == 0 else None


def _installed_version() -> str:
    try:
        return metadata.version(PACKAGE)
    except metadata.PackageNotFoundError:
        return ""
