"""Algorithms as single files: they need nothing of the project, compute what it computes, and show themselves."""

from __future__ import annotations

import ast
import runpy
import subprocess
import sys
from pathlib import Path

import pytest

from catalog import check
from catalog.code import CodeError, Source
from catalog.standalone import CannotExport, Exporter, algorithm_file, contract_of

ENTRIES = check()[0].algorithms
EXPORTER = Exporter(Source(Path(__file__).parents[2]))
SAMPLE = ("gptq", "knowledge-distillation", "retnet", "tome", "calm")  # one of each contract that takes little time


def written(tmp_path: Path, id: str) -> Path:
    reference = ENTRIES[id].reference
    path = tmp_path / f"{reference.code.partition(':')[0].rpartition('.')[2]}.py"
    path.write_text(algorithm_file(reference.code, reference.options, EXPORTER))
    return path


@pytest.mark.parametrize("id", ENTRIES)
def test_every_algorithm_is_a_file_of_its_own(id: str) -> None:
    reference = ENTRIES[id].reference
    text = algorithm_file(reference.code, reference.options, EXPORTER, name=ENTRIES[id].name)
    tree = ast.parse(text)
    modules = [node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
    modules += [item.name for node in ast.walk(tree) if isinstance(node, ast.Import) for item in node.names]
    assert not any(name.startswith(("reference_impls", "catalog")) for name in modules)
    names = [node.name for node in tree.body if isinstance(node, ast.FunctionDef | ast.ClassDef)]
    assert reference.code.partition(":")[2] in names and len(names) == len(set(names))
    assert text.startswith(f"# {ENTRIES[id].name}, from Compression Zoo")
    assert "Symbols " in text.partition("from __future__")[0]


@pytest.mark.parametrize("id", SAMPLE)
def test_it_runs_in_an_empty_folder(id: str, tmp_path: Path) -> None:
    path = written(tmp_path, id)
    done = subprocess.run([sys.executable, "-I", path.name], cwd=tmp_path, capture_output=True, text=True, timeout=900)
    assert done.returncode == 0, done.stderr
    assert len(done.stdout.splitlines()) >= 2 and "nan" not in done.stdout.lower()


def test_it_computes_what_the_project_computes(tmp_path: Path) -> None:
    import torch

    from reference_impls.core.calibration import LayerInputs
    from reference_impls.quantization.gptq import gptq

    alone = runpy.run_path(str(written(tmp_path, "gptq")))
    generator = torch.Generator().manual_seed(0)
    weight, x = torch.randn(16, 64, generator=generator), torch.randn(200, 64, generator=generator)
    ours = gptq(weight, LayerInputs.of(x), bits=3, group_size=16)
    theirs = alone["gptq"](weight, alone["LayerInputs"].of(x), bits=3, group_size=16)
    assert torch.equal(ours.codes(), theirs.codes()) and torch.equal(ours.dense(), theirs.dense())


def test_it_names_the_packages_it_needs() -> None:
    def needs(id: str) -> str:
        reference = ENTRIES[id].reference
        text = algorithm_file(reference.code, reference.options, EXPORTER, name="x")
        return text.splitlines()[1].partition("pip install ")[2].partition(";")[0]

    assert needs("wanda") == "safetensors torch" and needs("ria") == "safetensors scipy torch"
    assert "scipy" in needs("moefication")    # imported inside a function


def test_the_contract_says_how_it_is_shown() -> None:
    retnet, tome = "reference_impls.architecture.retnet:retnet", "reference_impls.dynamic.tome:tome"
    assert contract_of(retnet, EXPORTER) == ("architecture", {"slot": "attention"})
    assert contract_of(tome, EXPORTER) == ("inference", {"target": "vision"})


def project(tmp_path: Path, **modules: str) -> Exporter:
    for name, text in modules.items():
        path = tmp_path / "reference_impls" / f"{name}.py"
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
    return Exporter(Source(tmp_path))


def names_of(text: str, tmp_path: Path) -> dict:
    (tmp_path / "alone.py").write_text(text)
    return runpy.run_path(str(tmp_path / "alone.py"))


def test_packages_by_the_name_under_which_they_are_installed(tmp_path: Path) -> None:
    made = project(tmp_path, one="import os\nimport sklearn.x\n\n\ndef one():\n    from scipy import special\n    "
                                 "return os, sklearn, special\n\n\ndef two():\n    import torch\n")  # fmt: skip
    assert made.packages(["reference_impls.one:one"]) == ["scikit-learn", "scipy"]


def test_private_names_that_meet_are_told_apart(tmp_path: Path) -> None:
    made = project(
        tmp_path,
        one='"""One."""\nfrom reference_impls.two import two\n\n\ndef _part(x):\n    return x + 1\n\n\n'
            "def one(x):\n    return _part(x) + two(x)\n",
        two='"""Two."""\n\n\ndef _part(x):\n    return 10 * x\n\n\n'
            'def two(x):\n    _text = "_part"\n    return _part(x)\n',
    )  # fmt: skip
    found = names_of(made.file(["reference_impls.one:one"]), tmp_path)
    assert found["one"](3) == 34


def test_other_names_for_functions_and_whole_modules(tmp_path: Path) -> None:
    made = project(
        tmp_path,
        one="from reference_impls import two\nfrom reference_impls.two import double as twice\n\n\n"
            "def one(x):\n    return twice(x) + two.triple(x)\n",
        two="STEP = 3\n\n\ndef double(x):\n    return 2 * x\n\n\ndef triple(x):\n    return STEP * x\n\n\n"
            "def unused(x):\n    return x\n",
    )  # fmt: skip
    text = made.file(["reference_impls.one:one"])
    assert names_of(text, tmp_path)["one"](1) == 5 and "unused" not in text


def test_what_is_needed_while_the_file_is_read_comes_first(tmp_path: Path) -> None:
    made = project(
        tmp_path,
        one="from reference_impls.two import Base\n\n\nclass One(Base):\n    pass\n\n\n"
            "def one():\n    return One().x\n",
        two="class Base:\n    x = 7\n",
    )  # fmt: skip
    assert names_of(made.file(["reference_impls.one:one"]), tmp_path)["one"]() == 7


def test_the_algorithm_comes_first_where_it_can(tmp_path: Path) -> None:
    text = written(tmp_path, "wanda").read_text()
    assert text.index("def wanda(") < text.index("class LayerInputs")


@pytest.mark.parametrize(
    ("one", "message"),
    [
        ("from reference_impls.two import same as other\n\n\ndef same():\n    return other()\n", "`same` is defined"),
        ("def same():\n    from reference_impls.two import same\n    return same()\n", "an import inside a function"),
    ],
)
def test_what_cannot_be_put_into_one_file_is_said(tmp_path: Path, one: str, message: str) -> None:
    made = project(tmp_path, one=one, two="def same():\n    return 1\n")
    with pytest.raises(CannotExport, match=message):
        made.file(["reference_impls.one:same"])


def test_a_function_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(CodeError, match="defines no `nothing`"):
        project(tmp_path, one="x = 1\n").file(["reference_impls.one:nothing"])
