"""Key terms on the pages, and which entries are alike; on the real catalog too."""

from __future__ import annotations

import random

import pytest

from catalog import load
from catalog.terms import Corpus, Text, entry_texts
from site_gen.enrich import terms
from site_gen.enrich.terms import alike, key_terms

ENTRIES = [
    Text(["Router and router and cascade.", "A router.", "A cascade of gates."]),
    Text(["A router, an outlier and an outlier."]),
    Text(["A gate and a gate, an outlier and a hapax."]),
]


def test_entries_that_are_alike(monkeypatch):
    monkeypatch.setattr("catalog.terms.MOST", 1)
    found = Corpus([*ENTRIES, Text(["Nothing of these."])], [])
    near = dict(zip("abcd", alike(found, list("abcd")), strict=True))
    assert [(other.id, other.shared) for other in near["b"]] == [("a", ("router",)), ("c", ("outlier",))]
    assert near["d"] == []
    pairs = {(one, other.id): other.cosine for one, others in near.items() for other in others}
    assert all(pairs[other, one] == cosine for (one, other), cosine in pairs.items())
    one, two = found.entries[:2]
    assert pairs["a", "b"] == pytest.approx(sum(one[i] * two[i] for i in one.keys() & two.keys()), abs=1e-6)
    monkeypatch.setattr(terms, "CLOSE", pairs["a", "b"] + 1e-3)
    assert "a" not in [other.id for other in alike(found, list("abcd"))[1]]


def test_the_order_of_texts_does_not_matter():
    texts = [Text([" ".join(random.Random(n).choices(["router", "gate,", "outlier", "cascade,", "hapax"], k=12))])
             for n in range(9)]  # fmt: skip
    mixed = random.Random(0).sample(range(9), 9)
    names = [f"e{n}" for n in range(9)]
    one, two = alike(Corpus(texts, []), names), alike(Corpus([texts[n] for n in mixed], []), [names[n] for n in mixed])
    assert any(one) and [one[n] for n in mixed] == two


def test_no_texts():
    assert alike(Corpus([], []), []) == []


# --- a site, and the real catalog -------------------------------------------------------------------------------------


def test_every_entry_work_and_family_has_terms_or_none(site):
    found = site.terms
    assert list(found.entries) == list(found.alike) == sorted(site.entries)
    assert set(found.works) == set(site.works) and set(found.families) == set(site.families)
    assert found.works["white2019first"] == found.entries["plain"]
    assert found.entries["hostile"]


def test_texts_of_an_entry(site):
    """Not the plain words, which are pictures; nor what our own bench has shown."""
    texts = entry_texts(site.entries["plain"].algorithm)
    assert "It is quick." in texts and "Store." in texts
    assert {"It is rough.", "Long numbers become short."}.isdisjoint(texts)


def test_terms_leave_no_mark_alive(built):
    page = (built[0] / "algorithms" / "hostile" / "index.html").read_text(encoding="utf-8")
    assert 'class="zoo-terms"' in page and "data-zoo-search=" in page
    assert not any(mark in term for term in page.split('data-zoo-search="')[1:] for mark in "<>{" if mark in
                   term.partition('"')[0])


@pytest.fixture(scope="module")
def real():
    catalog = load()
    return catalog, key_terms(catalog)


@pytest.mark.parametrize(("entry", "other"), [
    ("gptq", "sparsegpt"), ("minillm", "gkd"), ("switch-transformer", "expert-choice"), ("calm", "deebert"),
    ("lora", "qlora"), ("asvd", "fwsvd"),
])  # fmt: skip
def test_alike_is_what_a_reader_would_call_alike(real, entry, other):
    assert real[1].alike[entry][0].id == other or other in [near.id for near in real[1].alike[entry][:2]]
