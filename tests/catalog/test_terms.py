"""Key terms: what counts as a term, what it is worth, and that each finds the page that shows it."""

from __future__ import annotations

import math
import random
from collections import Counter

import pytest

from catalog import load, ranking, terms
from catalog import search as index
from catalog.terms import Corpus, Text, key_terms, phrases, stem


def forms(*sentences: str, **rest: object) -> set[str]:
    return {form for _, form in phrases(Text(sentences, **rest))}


# --- what counts as a term --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("text", "wanted"), [
    ("The inverse Hessian.", {"inverse", "Hessian", "inverse Hessian"}),
    ("Hessian of an outlier", {"hessian", "outlier"}),  # a capital that begins a sentence says nothing
    ("Inverse, Hessian", {"inverse", "Hessian"}),
    ("inverse (Hessian) outlier", {"inverse", "Hessian", "outlier"}),
    ("inverse $H^{-1}$ outlier and $$x\n= y$$ cascade", {"inverse", "outlier", "cascade"}),
    ("inverse [eq-update] and [@frantar2023optq] **outlier**", {"inverse", "outlier"}),
    ("a [cascade](https://example.org/outlier) of 128 tokens", {"cascade"}),
    ("the layer, the model and its weights", set()),
    ("output layer", set()),
    ("token dropping", set()),
    ("orthogonal weight", {"orthogonal", "orthogonal weight"}),
    ("a router sharply orthogonal", {"router", "orthogonal"}),  # adverbs break
    ("low-rank", {"low-rank"}),
    ("post-training outlier", {"outlier", "post-training outlier"}),  # no term begins inside a compound
    ("in-context", {"in-context"}),
    ("layer-wise", set()),
    ("4-bit, 4 bits and 4bit", {"4-bit"}),
    ("16-bit", set()),
    ("N:M or 2 : 4", {"N:M", "2:4"}),
    ("the router's outlier", {"router", "outlier", "router outlier"}),
    ("a b c d", set()),
    ("one two router gate cascade outlier", {"router", "gate", "cascade", "outlier", "router gate", "gate cascade",
                                             "cascade outlier", "router gate cascade", "gate cascade outlier"}),
])  # fmt: skip
def test_terms_of_a_text(text, wanted):
    assert forms(text) == wanted


def test_names_break_a_text():
    own = {"names": ["SmoothQuant", "Smooth Quant", "LLM.int8()"]}
    assert forms("smoothquant cascade SmoothQuant's router smooth-quant gate LLM.int8() outlier", **own) == {
        "cascade", "router", "gate", "outlier"}
    assert "SmoothQuants" in forms("cascade SmoothQuants", names=["SmoothQuan"])  # only whole words are names
    cut = Text(["The router of RoBERTa and of OPT-175B outlier"])
    found = {form for _, form in phrases(cut, terms._cutter(["RoBERTa", "OPT"]))}
    assert found == {"router", "outlier"}


def test_titles_have_no_capitals_of_their_own():
    assert forms(titles=["Outlier Suppression via LoRA and On-Device Routing"]) == {
        "outlier", "suppression", "outlier suppression", "LoRA", "on-device", "routing", "on-device routing"}


@pytest.mark.parametrize("alike", [
    ("merge", "merges", "merged", "merging"), ("quantize", "quantised", "quantizing"), ("outlier", "Outliers"),
    ("matrix", "matrices"), ("prune", "pruned", "prunes"), ("embedding", "embedded"), ("bias", "biases"),
    ("loss", "losses"), ("policy", "policies"), ("Nyström", "nystrom"), ("neighbour", "neighbor"),
    ("round", "rounding"), ("drop", "dropped"), ("make", "makes"),
])  # fmt: skip
def test_forms_of_one_word(alike):
    assert len({stem(word) for word in alike}) == 1


@pytest.mark.parametrize("apart", [("route", "router"), ("sparse", "sparsity"), ("exceed", "exce"),
                                   ("adapter", "adaptive"), ("normal", "normalization"),
                                   ("general", "generate"), ("string", "str")])  # fmt: skip
def test_words_that_stay_apart(apart):
    assert stem(apart[0]) != stem(apart[1])


# --- what a term is worth ---------------------------------------------------------------------------------------------

ENTRIES = [
    Text(["Router and router and cascade.", "A router.", "A cascade of gates."]),
    Text(["A router, an outlier and an outlier."]),
    Text(["A gate and a gate, an outlier and a hapax."]),
]


def weights(found: list[terms.Term]) -> dict[str, float]:
    return {term.text: term.weight for term in found}


def test_weights_are_those_of_tf_idf(monkeypatch):
    monkeypatch.setattr(terms, "FILLED", 10)
    found = Corpus(ENTRIES, [Text(["A cascade of routers."])])

    def raw(count: int, texts: int) -> float:
        return (1 + math.log(count)) * (math.log((1 + 3) / (1 + texts)) + 1)

    first = {"router": raw(3, 2), "cascade": raw(2, 1), "gates": raw(1, 2)}
    length = math.hypot(*first.values())
    shown = weights(found.of_entries()[0])
    assert shown == pytest.approx({term: value / length for term, value in first.items()}, abs=1e-6)
    assert list(shown) == ["cascade", "router", "gates"]
    (work,) = found.of_works()  # a work is weighed among all four texts
    assert weights(work) == pytest.approx({
        term: (math.log(5 / (1 + texts)) + 1) / math.hypot(math.log(5 / 4) + 1, math.log(5 / 3) + 1)
        for term, texts in (("cascade", 2), ("routers", 3))}, abs=1e-6)


def test_a_term_of_one_text_or_of_most_is_none():
    texts = [Text([f"Router and router, number{n} and number{n}, gate{n % 4} and gate{n % 4}."]) for n in range(12)]
    found = Corpus(texts, [])
    assert {form for terms_of in found.forms for form in terms_of.values()} >= {"router", "number3", "gate1"}
    assert {" ".join(key) for key in found.keys} == set()  # a gate has 3 texts of 12, which is more than a fifth
    found = Corpus([*texts, *(Text(["Outlier."]) for _ in range(2)), *(Text([""]) for _ in range(6))], [])
    assert {" ".join(key) for key in found.keys} == {"outlier", *(f"gate{n}" for n in range(4))}


def test_too_many_works_make_a_term_common():
    works = [Text(["A cascade."])] * 3 + [Text([""])] * 37
    assert Corpus(ENTRIES, works).keys and ("cascad",) not in Corpus(ENTRIES, works).keys
    assert ("cascad",) in Corpus(ENTRIES, works + [Text([""])] * 20).keys


def test_what_is_said_twice_comes_first(monkeypatch):
    text = Text(["A hapax, a gate and an outlier, an outlier."])
    others = [Text(["Hapax."]), Text(["Gate and outlier."]), Text(["Gate."])]
    monkeypatch.setattr(terms, "MOST", 0.8)
    (first, *_) = Corpus([text, *others], []).of_entries()
    assert [term.text for term in first] == ["outlier", "hapax", "gate"]  # the rarest of the others next
    monkeypatch.setattr(terms, "FILLED", 1)
    (first, *_) = Corpus([text, *others], []).of_entries()
    assert [term.text for term in first] == ["outlier"]


def test_what_is_said_twice_comes_first_even_where_it_weighs_less(monkeypatch):
    monkeypatch.setattr(terms, "MOST", 1)
    texts = [Text(["A hapax, an outlier and an outlier."]), Text(["Hapax and outlier."]), *[Text(["Outlier."])] * 10]
    first = Corpus(texts, []).of_entries()[0]
    assert [term.text for term in first] == ["outlier", "hapax"] and first[0].weight < first[1].weight


@pytest.mark.parametrize(("values", "wanted"), [
    ({"router": 0.5, "router gate": 0.3}, ["router gate"]),  # the phrase has more than half the weight of its part
    ({"router": 0.5, "router gate": 0.2}, ["router"]),
    ({"router gate": 0.5, "gate": 0.4, "router": 0.3}, ["router gate"]),
    ({"gate": 0.5, "router": 0.45, "outlier": 0.4, "router gate": 0.3}, ["router gate", "outlier"]),
    ({"gate": 0.5, "outlier": 0.4, "router": 0.3}, ["gate", "outlier"]),  # two are asked for
    ({"gate": 0.5, "outlier": 0.5, "cascade": 0.5}, ["cascade", "gate"]),  # of equals the first in the alphabet
])  # fmt: skip
def test_a_phrase_and_its_parts(values, wanted):
    found = Corpus([Text(["Router gate, router gate, outlier, cascade."])] * 2, [])
    shown = {" ".join(key): index for index, key in enumerate(found.keys)}
    row = {shown[" ".join(stem(word) for word in name.split())]: weight for name, weight in values.items()}
    assert [term.text for term in found.best(row, 2, found.common)] == wanted


def test_the_order_of_texts_does_not_matter():
    texts = [Text([" ".join(random.Random(n).choices(["router", "gate,", "outlier", "cascade,", "hapax"], k=12))])
             for n in range(9)]  # fmt: skip
    mixed = random.Random(0).sample(range(9), 9)
    one, two = Corpus(texts, []), Corpus([texts[n] for n in mixed], [])
    straight, turned = one.of_entries(), two.of_entries()
    assert one.keys == two.keys and any(straight)
    assert [straight[n] for n in mixed] == turned


def test_terms_of_a_kind_are_those_that_the_others_lack():
    texts = [Text(["A router and a gate."])] * 2 + [Text(["An outlier and a gate."])] * 2
    found = Corpus(texts[:2], texts[2:])
    assert [term.text for term in found.of_kind(["a", "a", "b", "b"], "a")] == ["router"]
    assert [term.text for term in found.of_kind(["a", "a", "b", "b"], "b")] == ["outlier"]
    assert found.of_kind(["a", "a", "b", "b"], "c") == []
    assert {term.text for term in found.of_kind(["a"] * 4, "a")} == {"gate", "outlier", "router"}


def test_no_texts_no_terms():
    empty = Corpus([], [])
    assert (empty.of_entries(), empty.of_works(), empty.of_kind([], "a")) == ([], [], [])
    assert Corpus([Text([])], [Text(["router"])]).of_entries() == [[]]


def test_weights_are_those_of_scikit_learn():
    """Of its smooth variant with sublinear counts, on counts by chance."""
    text = pytest.importorskip("sklearn.feature_extraction.text")
    chance = random.Random(3)
    rows = [{i: chance.randrange(1, 6) for i in sorted(chance.sample(range(40), chance.randrange(12)))}
            for _ in range(30)]  # fmt: skip
    theirs = text.TfidfVectorizer(
        analyzer=lambda row: Counter(row).elements(), vocabulary={i: i for i in range(40)}, lowercase=False,
        sublinear_tf=True, smooth_idf=True, norm="l2",
    ).fit_transform(rows).toarray()  # fmt: skip
    ours = [[row.get(i, 0) for i in range(40)] for row in terms.weigh(rows)]
    assert ours == [pytest.approx(row, abs=1e-12) for row in theirs.tolist()]


def test_words_of_grammar_are_those_of_scikit_learn_and_more():
    text = pytest.importorskip("sklearn.feature_extraction.text")
    foreign = {"amoungst", "bill", "cry", "mill", "sincere"}  # a slip, and words that say something
    stopped = set(terms.GRAMMAR.split()) | {word for word in text.ENGLISH_STOP_WORDS if stem(word) in terms._JOINING}
    assert text.ENGLISH_STOP_WORDS - stopped - {"system"} == foreign  # `system` is one of GENERAL


# --- the real catalog -------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def real():
    catalog = load()
    return catalog, key_terms(catalog)


@pytest.mark.parametrize(("entry", "term"), [
    ("gptq", "inverse Hessian"), ("quip", "rotation"), ("knowledge-distillation", "temperature"),
    ("mamba", "scan"),
    ("switch-transformer", "router"), ("fwsvd", "Fisher information"), ("deebert", "entropy"), ("awq", "outlier"),
    ("binarybert", "ternary weights"), ("movement-pruning", "mask"), ("lora", "adapters"), ("tome", "merg"),
])  # fmt: skip
def test_terms_tell_what_a_method_is_about(real, entry, term):
    shown = [term.text for term in real[1].entries[entry]]
    assert any(term.casefold() in one.casefold() for one in shown), shown


def test_no_term_is_empty_talk(real):
    catalog, found = real
    talk = {"layer", "model", "weights", "paper", "authors", "method", "output", "input", "training", "network", "use"}
    for identifier, key in found.entries.items():
        assert {term.text.casefold() for term in key}.isdisjoint(talk), identifier
        assert 4 <= len(key) <= terms.OF_ENTRY, identifier
        names = {name.casefold() for name in catalog.algorithms[identifier].names}
        assert {term.text.casefold() for term in key}.isdisjoint(names), identifier


def test_every_key_term_finds_the_page_that_shows_it(real):
    """Whoever searches for a key term as it is shown finds every page that shows it.

    An entry or a family is among the first ten, or, where more pages show the term, among as many as show it. A work,
    which comes after methods that answer alike, is listed, and beyond the first ten nothing comes before it that does
    not hold the whole term or what means the same, or that the definition of the term leads to. (A work with an entry
    shows the terms of the entry, and is found by the entry.)
    """
    catalog, found = real
    searcher = index.everything(catalog)
    with_entry = {entry.paper for entry in catalog.algorithms.values()}
    surveys = {survey.work: key for key, survey in catalog.surveys.items()}
    shown = [(("algorithm", key), term.text) for key, of in found.entries.items() for term in of]
    shown += [(("family", key), term.text) for key, of in found.families.items() for term in of]
    shown += [(("survey", surveys[key]) if key in surveys else ("paper", key), term.text)
              for key, of in found.works.items() if key not in with_entry for term in of]
    pages: dict[str, set[tuple[str, str]]] = {}
    for page, term in shown:
        pages.setdefault(plain(term), set()).add(page)
    answers: dict[str, list[tuple[str, str]]] = {}
    wrong = []
    for page, term in shown:
        if term not in answers:
            answers[term] = [(hit.kind, hit.id) for hit in searcher.search(term, 10_000)]
        least = pages[plain(term)]
        if page[0] in ("paper", "survey"):
            least = least | whole(searcher, term)
        place = answers[term].index(page) + 1 if page in answers[term] else 0
        if not 0 < place <= max(10, len(least)):
            wrong.append((page, term))
    assert len(shown) > 2000 and wrong == []


def plain(term: str) -> str:
    return " ".join(ranking.stem(word) for word in ranking.words(term))


def whole(searcher: ranking.Index, query: str) -> set[tuple[str, str]]:
    """The documents that have every word of a query, or what means the same, or that its definition leads to."""
    tokens = [part for word in ranking.words(query) for part in searcher._apart(word)]
    units, *_ = searcher._units(tokens, [searcher._meant(token) for token in tokens])
    names = [(kind, identifier) for identifier, kind, _ in searcher._docs]
    exact = [[searcher._weights[term] for term, fit in unit.items() if fit == 1] for unit in units]
    called = {number for number, of in enumerate(searcher._called) if "".join(ranking.words(query)) in of}
    led = {names[target] for number in called for target in searcher._leads.get(number, ())}
    return led.union(
        set.intersection(*({names[number] for holders in of_unit for number in holders} for of_unit in exact))
    )
