"""Load: everything that the site is made from, read and typed; the first of the generator's three stages.

The catalog comes through its own API; the reference implementations and their tests come as text, never imported, so
that the site builds where torch is not installed.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import catalog


@dataclass(frozen=True)
class CodeFile:
    """A source file as text. `path` is relative to the repository."""

    path: str
    text: str


@dataclass(frozen=True)
class Source:
    """What the site is made from: the typed catalog, and by entry id the text of its code and of its tests."""

    catalog: catalog.Catalog
    code: dict[str, CodeFile]
    tests: dict[str, CodeFile]


def load(root: Path) -> Source:
    """Reads the catalog and the code below `root`. Raises catalog.CatalogError with every problem at once."""
    loaded = catalog.load(root / "catalog")
    code = {}
    tests = {}
    for identifier, algorithm in loaded.algorithms.items():
        module = algorithm.reference.code.partition(":")[0]
        code[identifier] = _read(root, module.replace(".", "/") + ".py")
        test_file = algorithm.reference.tests.partition("::")[0]
        if (root / test_file).is_file():
            tests[identifier] = _read(root, test_file)
    return Source(loaded, code, tests)


def _read(root: Path, path: str) -> CodeFile:
    return CodeFile(path, (root / path).read_text(encoding="utf-8"))
