"""Code read as text: options, contracts and hashes without an import."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from catalog.code import RESERVED, CodeError, Parameter, Source, fits

MODULE = '''\
"""Docs. [eq-one]"""
from typing import Literal
from reference_impls.core.contracts import model as as_model
from reference_impls.core.kinds import Pattern
Share = Literal["all", "none"]

@as_model(alone={"bits": 8})
def method(view, calibration, *, bits: int | None = 4, rate: float = 0.5, share: Share = "all",
           pattern: Pattern = "2:4", targets: tuple[str, ...] = ("q",), exact: bool = False, steps: int, scale=None):
    return 1  # [eq-two] [eq-one]

def other():
    pass
'''


@pytest.fixture
def source(tmp_path: Path) -> Source:
    for name, text in {
        "family/method.py": MODULE,
        "core/contracts.py": "def model(**options):\n    return lambda function: function\n",
        "core/kinds.py": "from typing import Literal\nfrom . import deeper\nPattern = Literal['unstructured', '2:4']\n",
        "core/deeper.py": "import torch\n",
        "core/apart.py": "x = 1\n",
    }.items():
        path = tmp_path / "reference_impls" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return Source(tmp_path)


def test_function_with_aliased_decorator_and_named_types(source: Source) -> None:
    function = source.function("reference_impls.family.method:method")
    assert (function.contract, function.line, function.end) == ("model", 8, 10)
    assert list(function.options) == ["bits", "rate", "share", "pattern", "targets", "exact", "steps"]
    assert function.options["share"].choices == ("all", "none")
    assert function.options["pattern"].choices == ("unstructured", "2:4")
    assert function.options["steps"].required and not function.options["bits"].required
    assert function.options["rate"].default == 0.5


@pytest.mark.parametrize(
    ("option", "good", "bad"),
    [
        ("bits", [4, None], ["4", 4.5, True, [1]]), ("rate", [0.5, 1], ["x", True, None]),
        ("share", ["all"], ["some", 1]),
        ("targets", [["q", "v"]], ["q", 1]), ("exact", [True, False], [1, "true"]), ("steps", [100], [None, 0.5]),
    ],
)  # fmt: skip
def test_values_fit_annotations(source: Source, option: str, good: list, bad: list) -> None:
    parameter = source.function("reference_impls.family.method:method").options[option]
    assert all(fits(value, parameter) for value in good)
    assert not any(fits(value, parameter) for value in bad)


def test_annotation_that_is_not_understood_accepts_all() -> None:
    assert fits("x", Parameter("a", "Whatever", None, False))


def test_labels_with_their_first_line(source: Source) -> None:
    assert source.labels("reference_impls.family.method") == {"eq-one": 1, "eq-two": 10}


def test_imports_are_found_and_followed(source: Source) -> None:
    assert source.imports("reference_impls.family.method") == [
        "reference_impls.core.contracts", "reference_impls.core.kinds",
    ]  # fmt: skip
    assert source.imports("reference_impls.core.kinds") == ["reference_impls.core.deeper"]


@pytest.mark.parametrize(("name", "changes"), [("family/method", True), ("core/kinds", True), ("core/deeper", True),
                                               ("core/apart", False)])
def test_hash_covers_all_that_is_imported(source: Source, name: str, changes: bool) -> None:
    before = source.hash("reference_impls.family.method:method")
    path = source.root / "reference_impls" / f"{name}.py"
    path.write_text(path.read_text() + "# changed\n")
    after = Source(source.root).hash("reference_impls.family.method:method")
    assert (before != after) is changes
    assert len(after) == 64


def test_unknown_module_and_function_name_what_there_is(source: Source) -> None:
    with pytest.raises(CodeError) as error:
        source.function("reference_impls.family.metod:method")
    assert "reference_impls.family.method" in error.value.known
    with pytest.raises(CodeError) as error:
        source.function("reference_impls.family.method:metod")
    assert error.value.known == ["reference_impls.family.method:method", "reference_impls.family.method:other"]


def test_reserved_parameters_are_those_of_the_contracts(real: Path) -> None:
    """The contracts are read as text here; both lists have to be the same."""
    text = (real.parent / "reference_impls" / "core" / "contracts.py").read_text()
    line = next(line for line in text.splitlines() if line.startswith("RESERVED"))
    assert eval(line.partition("=")[2], {"frozenset": frozenset}) == RESERVED  # noqa: S307


@pytest.mark.parametrize(
    "module", ["catalog", "catalog.search", "catalog.citing", "catalog.form", "compzoo.catalog_commands"]
)
def test_imports_without_torch(module: str, real: Path) -> None:
    code = (
        "import sys\n"
        "for name in ('torch', 'transformers', 'numpy', 'mkdocs'): sys.modules[name] = None\n"
        f"import {module}, catalog\n"
        "catalog.check()\n"
        "assert not any(name.startswith('reference_impls') for name in sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=real.parent)
