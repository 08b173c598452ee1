"""The questions are sound, both searches rank alike, and they answer well."""

from __future__ import annotations

import gzip
import json
import random

import pytest

pytest.importorskip("mkdocs", reason="the browser's side needs the extra [site]")

from catalog import load  # noqa: E402
from catalog.search import all_documents  # noqa: E402
from site_gen import frontend_build  # noqa: E402
from site_gen.emit import data  # noqa: E402
from tests.relevance import measure, scale  # noqa: E402

LETTERS = "abcdefghijklmnopqrstuvwxyz"


@pytest.fixture(scope="module")
def catalog():
    return load()


@pytest.fixture(scope="module")
def asked(catalog):
    return measure.questions(catalog)


def test_questions_are_sound(catalog, asked):
    known = {f"{document['kind']} {document['id']}" for document in all_documents(catalog)}
    assert len(asked) >= 60 and len({one.query for one in asked}) == len(asked)
    assert [(one.query, one.right - known) for one in asked if not one.right or one.right - known] == []
    halves = measure.questions(catalog, ["queries.yml"])
    assert [one.query for one in halves if one.half != measure.half_of(one.query)] == []
    fresh, later = ([one for one in asked if one.half == part] for part in ("fresh", "later"))
    assert len(fresh) >= 40 and len(later) >= 60
    plain = [measure.stems(one.query) for one in asked]
    assert [one.query for one in [*fresh, *later] if plain.count(measure.stems(one.query)) > 1] == []


def test_command_line_and_browser_rank_alike(catalog, asked):
    """On all questions, on their beginnings, and on words in which letters are swapped, lost, doubled or changed."""
    chance = random.Random(7)
    odd = ["", "a", "the", "zzzzqqqq", "Nyström", "LLM.int8 ( )", "  2 : 4 ", "é&;=+", "doesn't it's",
           "without any additional training", "merge the tokens", "gptq vs awq", "far or near", "vs", "pruning and"]
    queries = [*(one.query for one in asked), *odd]
    for one in asked:
        queries += [one.query[: chance.randrange(1, len(one.query) + 1)], slip(one.query, chance)]
    ours, theirs = measure.command_line(catalog, queries, 12), measure.browser(catalog, queries, 12)
    differing = [(query, a, b) for query, a, b in zip(queries, ours, theirs, strict=True) if a != b]
    assert differing == []
    assert sum(1 for found in ours if found) > 300


def test_the_browser_puts_together_what_the_command_line_searches(catalog):
    file = json.loads(data.search(catalog))
    made = json.loads(frontend_build.run_node("ask.mjs", input=json.dumps({"file": file, "documents": True})))
    wanted = [{**document, "id": f"{document['kind']} {document['id']}"} for document in all_documents(catalog)]
    assert made == wanted
    packed = json.dumps(file["fields"])
    assert '"~: ' in packed and '"~20' in packed and packed.count('""') > 1000  # names and authors are not said twice


def test_the_index_stays_small(catalog):
    """150 kB before the first result at 400 entries, of which the scripts take 12."""
    file = json.loads(data.search(catalog))
    grown, count = scale.with_entries(catalog, file, all_documents(catalog), 400)
    assert count > len(all_documents(catalog)) + 300
    assert len(gzip.compress(json.dumps(grown, ensure_ascii=False, separators=(",", ":")).encode(), 9)) < 138_000


def slip(query: str, chance: random.Random) -> str:
    i = chance.randrange(len(query))
    other = chance.choice(LETTERS)
    return chance.choice([
        query[:i] + query[i + 1 : i + 2] + query[i : i + 1] + query[i + 2 :], query[:i] + query[i + 1 :],
        query[:i] + 2 * query[i] + query[i + 1 :], query[:i] + other + query[i + 1 :],
    ])  # fmt: skip


def test_most_questions_are_answered_first(catalog, asked):
    table = measure.scores(asked, measure.command_line(catalog, [one.query for one in asked]))
    least = {"tuned": (0.91, 0.93), "unseen": (0.955, 0.97), "fresh": (0.93, 0.97), "later": (0.89, 0.93),
             "further": (0.67, 0.69)}
    assert set(table) == set(least)
    for part, (mrr, hit) in least.items():  # a little less than was measured
        assert table[part][0] >= 30 and table[part][1] > mrr and table[part][2] > hit, (part, table[part])


def test_generously_a_definition_is_right_as_well(catalog):
    (one,) = measure.with_definitions([measure.Question("Zero-points", frozenset(["algorithm hqq"]), "tuned")], catalog)
    assert one.right == {"algorithm hqq", "glossary zero-point"}


def test_places_and_scores():
    def question(half):
        return measure.Question("q", frozenset({"algorithm a", "algorithm b"}), half)

    assert measure.place(question("tuned"), ["x", "algorithm b", "algorithm a"]) == 2
    assert measure.place(question("tuned"), ["x"] * 10 + ["algorithm a"]) == 0
    table = measure.scores([question("tuned"), question("tuned"), question("unseen")],
                           [["algorithm a"], ["x", "x", "x", "algorithm b"], []])  # fmt: skip
    assert table == {"tuned": (2, 0.625, 0.5), "unseen": (1, 0, 0)}
