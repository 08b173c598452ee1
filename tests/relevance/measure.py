"""How well the searches answer the questions of queries.yml, more.yml, fresh.yml, later.yml and further.yml: the
command line's, the browser's, and Material's own.

MRR is the mean over the questions of one over the place of the first right answer (0 where none is among the first
ten); hit@3 the share of questions with a right answer among the first three. The answers are those that were written
down before anything was measured. The glossary came later: read generously, the definition of a term that is asked for
by its name is right as well.
"""

from __future__ import annotations

import hashlib
import json
import re
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from catalog import Catalog
from catalog.ranking import stem, words
from catalog.search import everything
from site_gen import frontend_build
from site_gen.build import ROOT, Report, write_docs
from site_gen.emit import data
from site_gen.enrich.site import enrich
from site_gen.load import load

HERE = Path(__file__).parent
DEPTH = 10  # how many results are looked at
FILES = ("queries.yml", "more.yml", "fresh.yml", "later.yml", "further.yml")
TUNED_ON = ("tuned", "later")  # whose failures were looked at; the others are a fair test
HALVES = ("tuned", "unseen")  # of queries.yml
PARTS = (*HALVES, "fresh", "later", "further")


@dataclass(frozen=True)
class Question:
    """A query and the keys of the documents that answer it, each a kind and an id."""

    query: str
    right: frozenset[str]
    half: str


def half_of(query: str) -> str:
    """Which half a query belongs to, by its hash."""
    return HALVES[int(hashlib.sha256(query.encode()).hexdigest(), 16) % 2]


def questions(catalog: Catalog, files: Sequence[str] = FILES) -> list[Question]:
    """The questions of files; where facts answer one, with all entries that have them."""
    found = [one for name in files for one in yaml.safe_load((HERE / name).read_text(encoding="utf-8"))]
    return [
        Question(str(one["query"]), frozenset([*one["right"], *_with_facts(catalog, one.get("facts"))]), one["half"])
        for one in found
    ]  # fmt: skip


def with_definitions(asked: Sequence[Question], catalog: Catalog) -> list[Question]:
    """The questions, read generously: where one is the name of a term, its definition in the glossary is right too."""
    defined = _defined(catalog)
    return [Question(one.query, one.right.union(defined.get(stems(one.query), ())), one.half) for one in asked]


def _defined(catalog: Catalog) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for identifier, term in catalog.glossary.items():
        if term.definition is not None:
            for name in (term.name or "", *term.aliases):
                found.setdefault(stems(name), []).append(f"glossary {identifier}")
    return found


def stems(text: str) -> str:
    """A text as its stems, written together."""
    return "".join(stem(word) for word in words(text))


def _with_facts(catalog: Catalog, wanted: dict[str, Any] | None) -> list[str]:
    if not wanted:
        return []
    return [
        f"algorithm {entry.id}" for entry in catalog.algorithms.values()
        if all(_holds(entry, name, value) for name, value in wanted.items())
    ]  # fmt: skip


def _holds(entry: Any, name: str, value: Any) -> bool:
    if name == "home":
        return entry.home == value
    if name == "structure" and value == "semi-structured":  # some are unstructured and take 2:4 as an option
        return entry.facts.structure == value or "2:4" in str(entry.reference.model_dump())
    field, _, part = name.partition(".")
    found = getattr(entry.facts, field)
    if part:
        found = (found or {}).get(part, [])
    return value in found if isinstance(found, list) else found == value


def scores(asked: Sequence[Question], answers: Sequence[Sequence[str]]) -> dict[str, tuple[int, float, float]]:
    """Part to (questions, MRR, hit@3), where there are questions of it."""
    table = {}
    for part in PARTS:
        places = [place(one, found) for one, found in zip(asked, answers, strict=True) if one.half == part]
        if not places:
            continue
        table[part] = (
            len(places), sum(1 / p for p in places if p) / len(places), sum(0 < p <= 3 for p in places) / len(places)
        )  # fmt: skip
    return table


def place(question: Question, found: Sequence[str]) -> int:
    """The place of the first right answer, from 1; 0 where there is none."""
    return next((i for i, key in enumerate(found[:DEPTH], 1) if key in question.right), 0)


def command_line(catalog: Catalog, queries: Sequence[str], limit: int = DEPTH) -> list[list[str]]:
    """What `compzoo search` answers."""
    index = everything(catalog)
    return [[f"{hit.kind} {hit.id}" for hit in index.search(query, limit)] for query in queries]


def browser(catalog: Catalog, queries: Sequence[str], limit: int = DEPTH) -> list[list[str]]:
    """What the search box answers, run in node."""
    asked = {"file": json.loads(data.search(catalog)), "queries": list(queries), "limit": limit}
    return json.loads(frontend_build.run_node("ask.mjs", input=json.dumps(asked)))


def material(folder: Path, queries: Sequence[str]) -> tuple[list[list[str]], int]:
    """What Material's own search answers on the same pages, built below `folder`: pages, best first; and the bytes of
    its index, gzipped. It runs the theme's own worker with the theme's own settings.
    """
    import gzip

    import material as theme

    site = enrich(load(ROOT))
    write_docs(site, ROOT, folder, Report(folder))
    code = ("import sys; from mkdocs.config import load_config; from mkdocs.commands.build import build; "
            "build(load_config(sys.argv[1], docs_dir=sys.argv[2], site_dir=sys.argv[3], plugins=['search']))")
    out = folder / "site"
    subprocess.run([sys.executable, "-c", code, str(ROOT / "mkdocs.yml"), str(folder / "docs"), str(out)], check=True,
                   capture_output=True, cwd=ROOT)  # fmt: skip
    index = (out / "search" / "search_index.json").read_bytes()
    (worker,) = (Path(theme.__file__).parent / "templates" / "assets" / "javascripts" / "workers").glob("search.*.js")
    asked = {"worker": worker.read_text(encoding="utf-8"), "index": json.loads(index), "queries": list(queries)}
    answers = json.loads(frontend_build.run_node(str(HERE / "material.mjs"), input=json.dumps(asked)))
    return answers, len(gzip.compress(index))


def pages_of(question: Question, catalog: Catalog) -> Question:
    """The question with pages for answers, so that Material's search can be compared: a part of a page counts as the
    page, and the page of a method's paper as the page of the method.
    """
    right = {page(key) for key in question.right}
    for key in question.right:
        kind, _, identifier = key.partition(" ")
        if kind == "algorithm" and catalog.algorithms[identifier].paper:
            right.add(page(f"paper {catalog.algorithms[identifier].paper}"))
    return Question(question.query, frozenset(right), question.half)


def page(key: str) -> str:
    """The address of the page on which a document is."""
    kind, _, identifier = key.partition(" ")
    url = data.address(kind, identifier)
    return re.sub(r"#.*", "", url)
