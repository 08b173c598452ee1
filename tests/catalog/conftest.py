"""A small catalog with its own code and tests, for each test to break in its own way."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest

from catalog import Catalog, Problem, check

REAL = Path(__file__).resolve().parents[2] / "catalog"

TAXONOMY = """\
families:
  quantization:
    name: Quantization
    tagline: numbers with fewer bits
    definition: Weights are stored on a coarser grid.
    groups:
      error-compensation:
        name: Error compensation
        definition: The rounding error is made up for.
        in_if: other weights answer the error
        neighbours:
          - {when: nothing answers it, node: quantization/granularity}
        examples: [first2020one]
      granularity:
        name: Granularity
        definition: Scales for small groups of values.
        in_if: the grouping is the point
        examples: [second2021two]
  pruning:
    name: Pruning
    tagline: remove what matters little
    definition: Weights go for good.
    groups:
      magnitude:
        name: Magnitude
        definition: Small weights go.
        in_if: the weights alone are the score
        examples: [third2022three]
"""

REFERENCES = """\
% The works of the test.

@inproceedings{first2020one,
  title         = {{ONE}: A First Work},
  author        = {First, Ada and van der Berg, Tycho},
  booktitle     = {Proceedings of the Test},
  year          = {2020},
  doi           = {10.1000/one},
  eprint        = {2001.00001},
  archivePrefix = {arXiv},
  zoo_name      = {ONE},
  zoo_id        = {alpha},
}

@article{second2021two,
  title   = {A Second Work},
  author  = {Second, Bob},
  journal = {Journal of Tests},
  year    = {2021},
}

@misc{third2022three,
  title         = {A Third Work},
  author        = {Third, Eve},
  year          = {2022},
  eprint        = {2210.17323},
  archivePrefix = {arXiv},
  zoo_id        = {gamma},
}
"""

ENTRY = """\
# yaml-language-server: $schema=../../schema/algorithm.schema.json
name: Alpha
aliases: [First Method]
family: quantization/error-compensation
paper: first2020one
introduced: "2020-01"
checked: full text
summary: >-
  Rounds the weights of a layer and lets the others make up for the error. No training.
plain: Shortens numbers and keeps their sum.
facts:
  compresses: [weights]
  stage: post-training
  data: calibration
  training: none
  uses_gradients: false
  structure: not-applicable
  granularity: [group, channel]
  bits: {weights: [2, 3, 4, 8]}
  needs_for_speed: dequantizing-kernel
  modality: language
  model_kind: decoder
  scale: large
storage:
  bits_per_weight: "bits + (16 + bits) / group_size"
idea: |
  Keep the output of the layer, see [eq-objective] and [@second2021two].
equations:
  eq-objective: '\\arg\\min \\lVert W X - \\hat W X \\rVert'
steps:
  - Round and repair [eq-objective].
strengths:
  - No training.
  - text: Keeps the output.
    source: {work: first2020one, place: Table 1}
    checked: full text
relations:
  - {type: builds_on, target: second2021two, why: It takes over the grid.}
reference:
  code: reference_impls.quantization.alpha:alpha
  contract: layer
  options: {bits: 4, group_size: 64}
  sweep: {bits: [2, 3, 4]}
  baseline: {algorithm: beta, options: {bits: 4}}
  tests: tests/reference_impls/quantization/test_alpha.py
  faithful: All of it.
  shows: How much the repair gains.
further_reading: [third2022three]
"""

CODE = '''\
"""Alpha: for the tests of the catalog."""
from typing import Literal

from reference_impls.core.contracts import layer

Pattern = Literal["unstructured", "2:4"]


@layer(statistics="none")
def {name}(weight, inputs, *, bits: int = 4, group_size: int | None = 64, pattern: Pattern = "unstructured",
           share: float = 0.5, exact: bool = False, keep=None, generator=None):
    """Round, see [eq-objective]."""
    return weight
'''

SURVEY = """\
work: third2022three
name: Third 2022
read: In full.
special:
  - {text: It is short., read: full text}
sections:
  - title: "1 Quantization"
    family: quantization
    works:
      - {work: first2020one, depth: table, read: full text, says: Rounds and repairs.}
"""


@dataclass
class Zoo:
    """A repository in a folder of the test."""

    repository: Path

    @property
    def root(self) -> Path:
        return self.repository / "catalog"

    @property
    def bibliography(self) -> Path:
        return self.root / "references.bib"

    @property
    def alpha(self) -> Path:
        return self.root / "algorithms" / "quantization" / "alpha.yml"

    @property
    def beta(self) -> Path:
        return self.root / "algorithms" / "quantization" / "beta.yml"

    def edit(self, path: Path, old: str, new: str) -> None:
        """Put `new` in the place of `old`, which has to be there."""
        text = path.read_text(encoding="utf-8")
        assert old in text, f"{old!r} is not in {path}"
        path.write_text(text.replace(old, new, 1), encoding="utf-8")

    def read(self) -> tuple[Catalog, list[Problem]]:
        return check(self.root)

    @property
    def problems(self) -> list[Problem]:
        return self.read()[1]

    def only_problem(self) -> Problem:
        """The one problem of the catalog; fails, and shows all, if there is none or another."""
        problems = self.problems
        assert len(problems) == 1, "\n".join(map(str, problems)) or "no problem was found"
        return problems[0]

    def line(self, path: Path, text: str) -> int:
        """The number of the line that contains `text`."""
        return next(n for n, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1) if text in line)


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


@pytest.fixture(scope="session")
def real() -> Path:
    """The project's own catalog."""
    return REAL


@pytest.fixture
def zoo(tmp_path: Path) -> Zoo:
    made = Zoo(tmp_path)
    root = made.root
    write(root / "vocabulary.yml", (REAL / "vocabulary.yml").read_text(encoding="utf-8"))
    write(root / "taxonomy.yml", TAXONOMY)
    write(root / "references.bib", REFERENCES)
    write(root / "citations.yml", "first2020one:\n  witness: PDF\n  complete: true\n  cited: [second2021two]\n")
    write(root / "retired.yml", "{}\n")
    write(root / "synonyms.yml", "- [quantization, PTQ]\n")
    write(root / "surveys" / "third2022.yml", SURVEY)
    write(made.alpha, ENTRY)
    beta = ENTRY.replace("Alpha", "Beta").replace("First Method", "Second Method").replace(":alpha", ":beta")
    beta = beta.replace(".alpha", ".beta").replace("test_alpha", "test_beta")
    beta = beta.replace("first2020one\n", "second2021two\n")
    beta = beta.replace("target: second2021two", "target: third2022three").replace('"2020-01"', '"2021"')
    beta = beta.replace("baseline: {algorithm: beta, options: {bits: 4}}", "baseline: null")
    write(made.beta, beta)
    made.edit(made.alpha, "target: second2021two", "target: beta")
    for name in ("alpha", "beta"):
        write(tmp_path / f"reference_impls/quantization/{name}.py", CODE.format(name=name))
        write(tmp_path / f"tests/reference_impls/quantization/test_{name}.py", "def test_limit():\n    pass\n")
    marks = "def layer(**options):\n    return lambda function: function\n"
    write(tmp_path / "reference_impls/core/contracts.py", marks)
    return made
