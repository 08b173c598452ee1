"""The glossary: every fault in its place; what is found in the search; what the real one owes."""

from __future__ import annotations

import re

import pytest

from catalog import load
from catalog.glossary import definition_of, name_of
from catalog.search import all_documents, everything

FILE = "catalog/glossary.yml"
GLOSSARY = """\
grid:
  name: Grid
  aliases: [lattice]
  definition: The values that a number can take, $2^b$ of them.
  see: [algorithm alpha, group pruning/magnitude, vocabulary data/none, paper third2022three, glossary shrinking]
  sources: [paper third2022three]
shrinking:
  name: Shrinking
  definition: Making things small.
fewer-bits:
  same_as: family quantization
  aliases: [coarse numbers]
no-data:
  name: Without data
  same_as: vocabulary data/none
"""
CASES = {
    # what is replaced, by what, place, part of the message, part of what was expected, nearest
    "no definition": ("  definition: Making things small.", "  see: []", "shrinking", "a term has a definition",
                      "either `definition` or `same_as`", None),
    "two definitions": ("  same_as: family quantization",
                          "  same_as: family quantization\n  name: Q\n  definition: Few.",
                        "fewer-bits", "a term has a definition", "either `definition` or `same_as`", None),
    "no name": ("  name: Shrinking\n", "", "shrinking.name", "the key is missing", "`name`", None),
    "a value is no name": ("  name: Without data\n", "", "no-data.name", "the key is missing", "`name`", None),
    "leads on from another page": ("  aliases: [coarse numbers]", "  see: [algorithm alpha]", "fewer-bits.see",
                                   "leads on by itself", "`see` only", None),
    "unknown key": ("  name: Grid", "  name: Grid\n  alias: [x]", "grid.alias", "an unknown key", "one of name",
                          "aliases"),
    "blank definition": ("The values that a number can take, $2^b$ of them.", '" "', "grid.definition", "", "text",
                          None),
    "misspelt reference": ("algorithm alpha", "algorithm alhpa", "grid.see[0]", "leads nowhere", "kind and id",
                           "algorithm alpha"),
    "unknown kind": ("algorithm alpha", "method alpha", "grid.see[0]", "leads nowhere", "kind and id",
                          "algorithm alpha"),
    "no kind": ("algorithm alpha", "alpha", "grid.see[0]", "leads nowhere", "kind and id",
                "algorithm alpha"),
    "retired group": ("group pruning/magnitude", "group pruning/magnitudes", "grid.see[1]", "leads nowhere",
                          "kind and id",
                      "group pruning/magnitude"),
    "no such value": ("vocabulary data/none,", "vocabulary data/nothing,", "grid.see[2]", "leads nowhere",
                      "kind and id", "vocabulary data/none"),
    "twice": ("algorithm alpha, ", "algorithm alpha, algorithm alpha, ", "grid.see[1]", "stands twice", "each once",
                          None),
    "leads to itself": ("glossary shrinking", "glossary grid", "grid.see[4]", "leads to itself", "another term", None),
    "no such source": ("sources: [paper third2022three]", "sources: [paper fourth2022four]", "grid.sources[0]",
                       "leads nowhere", "kind and id", None),
    "a source that is no work": ("sources: [paper third2022three]", "sources: [algorithm alpha]", "grid.sources[0]",
                                 "algorithm is no work", "citation key", None),
    "sources of another page": ("  aliases: [coarse numbers]", "  sources: [paper third2022three]",
                                "fewer-bits.sources", "has sources of its own", "`sources` only", None),
    "same as nothing": ("family quantization", "family quantisation", "fewer-bits.same_as", "leads nowhere",
                        "kind and id", "family quantization"),
    "same as a paper": ("family quantization", "paper third2022three", "fewer-bits.same_as", "a paper defines no term",
                        "one of algorithm", None),
    "same as another term": ("family quantization", "glossary grid", "fewer-bits.same_as", "a glossary defines no term",
                             "one of algorithm", None),
    "same as what another is": ("same_as: vocabulary data/none", "same_as: family quantization", "no-data.same_as",
                                "also what `fewer-bits`", "one term for it", None),
    "a name twice": ("name: Shrinking", "name: Lattice", "shrinking.name", "also a name of `grid`", "one term has",
                          None),
    "an alias twice": ("  name: Shrinking", "  name: Shrinking\n  aliases: [GRID]", "shrinking.aliases[0]",
                       "also a name of `grid`", "one term has", None),
    "an alias that is the other's page": ("aliases: [lattice]", "aliases: [Quantization]", "fewer-bits.name",
                                          "also a name of `grid`", "one term has", None),
    "what an entry defines": ("name: Shrinking", "name: Alpha", "shrinking.name",
                          "also the name of the algorithm alpha",
                              "`same_as: algorithm alpha`", None),
    "too long": ("Making things small.", "Making things " + "very " * 60 + "small.", "shrinking.definition", "63 words",
                 "at most 60", None),
    "a reference in the text": ("Making things small.", "As [@third2022three] says.", "shrinking.definition",
                                "a reference in a definition", "under `see`", None),
    "a link in the text": ("Making things small.", "As [here](https://example.org) said.", "shrinking.definition",
                           "a reference in a definition", "under `see`", None),
}  # fmt: skip


@pytest.fixture
def with_glossary(zoo):
    (zoo.root / "glossary.yml").write_text(GLOSSARY, encoding="utf-8")
    return zoo


def test_a_sound_glossary(with_glossary):
    catalog, problems = with_glossary.read()
    assert problems == []
    assert [name_of(catalog, key) for key in catalog.glossary] == ["Grid", "Shrinking", "Quantization", "Without data"]
    assert definition_of(catalog, "family quantization") == "Weights are stored on a coarser grid."
    assert definition_of(catalog, "group pruning/magnitude") == "Small weights go."
    assert definition_of(catalog, "vocabulary data/none").startswith("No data")
    assert definition_of(catalog, "algorithm alpha").startswith("Rounds the weights")


@pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())
def test_faults(with_glossary, case):
    old, new, place, message, expected, close = case
    with_glossary.edit(with_glossary.root / "glossary.yml", old, new)
    problem = with_glossary.only_problem()
    assert problem.file == FILE and problem.line > 1
    assert problem.key == place and message in problem.message and expected in (problem.expected or "")
    if close is not None:
        assert problem.nearest == close


def test_a_catalog_without_glossary(zoo):
    catalog, problems = zoo.read()
    assert problems == [] and catalog.glossary == {}


def test_terms_are_searched_once(with_glossary):
    """A term of its own is a document; one that another page defines is found as that."""
    catalog, _ = with_glossary.read()
    found = {(one["kind"], one["id"]): one for one in all_documents(catalog)}
    assert found["glossary", "grid"] == {
        "id": "grid", "kind": "glossary", "name": "Grid", "aliases": "lattice",
        "summary": "The values that a number can take, , of them.",
        "leads": "algorithm alpha; group pruning/magnitude; vocabulary data/none; paper third2022three",
    }
    assert ("glossary", "shrinking") in found and ("glossary", "fewer-bits") not in found
    hits = [f"{hit.kind} {hit.id}" for hit in everything(catalog).search("lattice")]
    assert hits[:2] == ["glossary grid", "algorithm alpha"] and "glossary shrinking" not in hits


# --- the real glossary ------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def real():
    return load()


def test_there_are_the_terms_that_a_reader_looks_for(real):
    names = {name.casefold() for key, term in real.glossary.items() for name in (name_of(real, key), *term.aliases)}
    wanted = ("perplexity", "calibration data", "straight-through estimator", "STE", "Hessian", "group size",
              "N:M sparsity", "KV cache", "NF4", "effective bits", "speculative decoding", "PTQ", "QAT", "MoE", "SVD")
    assert [name for name in wanted if name.casefold() not in names] == []
    assert sum(term.definition is not None for term in real.glossary.values()) >= 60


def test_every_term_is_one_that_the_catalog_uses(real):
    """Under its name or another, in some text of an entry, family, metric, framework, benchmark or survey."""
    texts = " ".join(
        path.read_text(encoding="utf-8") for path in sorted(real.root.rglob("*.yml")) if path.name != "glossary.yml"
    )
    said = re.sub(r"[\W_]+", " ", texts.casefold())
    unused = []
    for key, term in real.glossary.items():
        if term.definition is None:
            continue
        forms = [re.sub(r"[\W_]+", " ", part.casefold()).strip() for name in (term.name, *term.aliases)
                 for part in re.split(r",| and ", name)]  # fmt: skip
        if not any(re.search(rf"\b{re.escape(form.removesuffix('s'))}", said) for form in forms if form):
            unused.append(key)
    assert unused == []


def test_every_term_is_among_the_results_that_are_shown_first(real):
    """Under each of its names; the dialog shows twelve."""
    searcher = everything(real)
    late = [
        (key, name) for key, term in real.glossary.items() if term.definition is not None
        for name in (term.name, *term.aliases)
        if ("glossary", key) not in [(hit.kind, hit.id) for hit in searcher.search(name, 12)]
    ]  # fmt: skip
    assert late == []
