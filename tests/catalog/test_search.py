"""Search: what people type finds what they mean."""

from __future__ import annotations

import subprocess
import sys

import pytest

from catalog.ranking import RULES, stem
from catalog.search import (
    FIELDS,
    Index,
    documents,
    everything,
    facts,
    index,
    spread,
    without_marks,
    words,
    work_documents,
)
from tests.catalog.conftest import REAL


def ranked(found: Index, query: str) -> list[str]:
    return [hit.id for hit in found.search(query)]


def make(synonyms: list[list[str]] | None = None, **texts: dict[str, str]) -> Index:
    docs = [{"id": name, "name": name, **{field: "" for field in FIELDS if field != "name"}, **text}
            for name, text in texts.items()]
    return Index(docs, spread(synonyms or []))


@pytest.fixture(scope="module")
def small() -> Index:
    return make(
        [["no calibration data", "data-free", "without data"], ["calibration data", "calibration set"],
         ["2:4", "n:m", "semi-structured"], ["post-training quantization", "PTQ"], ["mixture of experts", "MoE"]],
        gptq={"aliases": "OPTQ", "title": "Accurate Post-Training Quantization", "facts": "calibration data; 4-bit",
              "authors": "Frantar Ashkboos"},
        rtn={"aliases": "round-to-nearest", "facts": "no calibration data; 4-bit; 8-bit",
             "summary": "The baseline of GPTQ."},
        smoothquant={"facts": "calibration data; 8-bit", "title": "Post-Training Quantization of activations"},
        wanda={"facts": "calibration data", "body": "An n:m pattern keeps n of m."},
        switch={"name": "Switch Transformer", "family": "Mixture of experts", "body": "Factorization is not used."},
    )  # fmt: skip


@pytest.mark.parametrize(
    ("query", "first"),
    [
        ("gptq", "gptq"), ("GPTQ", "gptq"), ("OPTQ", "gptq"), ("gtpq", "gptq"), ("gptqq", "gptq"), ("frantar", "gptq"),
        ("smoothqaunt", "smoothquant"), ("Smooth-Quant", "smoothquant"), ("smoothq", "smoothquant"),
        ("no calibration data", "rtn"), ("data-free", "rtn"), ("without data", "rtn"), ("round to nearest", "rtn"),
        ("2:4", "wanda"), ("N:M", "wanda"), ("semi structured", "wanda"), ("MoE", "switch"),
        ("factorisation", "switch"), ("4bit frantar", "gptq"), ("4 bit without data", "rtn"),
    ],
)  # fmt: skip
def test_best_answer(small: Index, query: str, first: str) -> None:
    assert ranked(small, query)[0] == first


def test_a_phrase_is_one_word(small: Index) -> None:
    assert ranked(small, "no calibration data") == ["rtn"]
    assert "rtn" not in ranked(small, "calibration set")
    assert set(ranked(small, "PTQ")[:2]) == {"gptq", "smoothquant"}


def test_more_words_answered_is_better(small: Index) -> None:
    assert ranked(small, "8-bit calibration data")[0] == "smoothquant"


def test_nothing_and_limits(small: Index) -> None:
    assert small.search("xylophone") == []
    assert small.search("") == []
    assert len(small.search("4-bit", limit=1)) == 1
    scores = [hit.score for hit in small.search("quantization 4-bit")]
    assert scores == sorted(scores, reverse=True)


def test_the_order_does_not_depend_on_the_order_of_entries() -> None:
    one = make(a={"summary": "same words"}, b={"summary": "same words"})
    two = make(b={"summary": "same words"}, a={"summary": "same words"})
    assert ranked(one, "words") == ranked(two, "words") == ["a", "b"]


@pytest.mark.parametrize(
    ("text", "same"),
    [("4-bit", "4bit"), ("4 bits", "4-bit"), ("2:4", "2 : 4"), ("quantisation", "quantization"), ("Nyström", "nystrom"),
     ("n:m", "N : M"), ("weight-only", "weight only"), ("modelling", "modeling"), ("LLM.int8()", "llm int8")],
)  # fmt: skip
def test_spellings(text: str, same: str) -> None:
    assert words(text) == words(same)


@pytest.mark.parametrize("forms", [
    "reduction reduce reduced", "decomposition decompose decomposed", "sparsified sparsify sparsity sparse",
    "tune tuning", "trainable training trained", "matrices matrix", "accurate accuracy", "computational compute",
    "gates gating gate", "similarities similarity similar", "sensitivities sensitivity sensitive",
    "fine-tuning finetune Fine-tuned", "pre-trained pretraining", "efficiently efficiency efficient", "frozen freeze",
])  # fmt: skip
def test_forms_of_a_word(forms: str) -> None:
    assert len({" ".join(map(stem, words(form))) for form in forms.split()}) == 1


@pytest.mark.parametrize("two", ["Performer performance", "GLUE GLU", "loss lose", "tensor tension", "partition part"])
def test_words_that_are_none(two: str) -> None:
    one, other = map(stem, words(two))
    assert one != other


def test_facts_as_phrases(zoo) -> None:
    catalog, _ = zoo.read()
    phrases = facts(catalog.algorithms["alpha"])
    wanted = ("weight-only", "post-training quantization", "no training", "calibration data", "4-bit", "no gradients")
    assert all(phrase in phrases for phrase in wanted)
    assert "no calibration data" not in phrases
    (document,) = [item for item in documents(catalog) if item["id"] == "alpha"]
    assert set(document) <= {"id", "kind", *FIELDS} and all(document.values())
    assert "Berg" in document["authors"] and "First Work" in document["title"]


def test_a_word_of_a_phrase_takes_nothing_from_the_phrase() -> None:
    """`low` in the name counts for more than `low-rank` in the text, and the text answers the question all the same."""
    synonyms = [["low-rank", "matrix factorization"], ["low-rank adaptation", "LoRA"]]
    found = make(synonyms, lora={"name": "Low-Rank Adaptation", "body": "Low-rank updates."},
                 other={"body": "Low-rank updates."}, far={"name": "Low"})  # fmt: skip
    assert ranked(found, "low-rank updates")[0] == "lora"


@pytest.mark.parametrize(("text", "plain"), [
    ("a $x_1$ b", "a b"), ("costs $5 and $6", "costs $5 and $6"), ("a\n\n$$x\n= y$$\n\nb", "a b"),
    ("see [eq-a] and [@roe2020]", "see and"), ("[here](https://e.org/x)", "here"), ("**bold** `stale_groups`",
                                                                                 "bold stale groups"),
])  # fmt: skip
def test_text_without_marks(text: str, plain: str) -> None:
    assert " ".join(part for part in without_marks(text).split() if part != ",") == plain


def test_searches_the_idea_and_what_surveys_say_without_scikit_learn(zoo) -> None:
    """The words that tell most of these texts are found without scikit-learn, which the command line does not need."""
    code = ("import sys; sys.modules['sklearn'] = None; from catalog import load; from catalog.search import search; "
            f"c = load({str(zoo.root)!r}); "
            "print(['alpha' in [hit.id for hit in search(c, query)] for query in ('output of the layer', 'repairs')])")
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=REAL.parent)
    assert done.stdout.strip() == "[True, True]", done.stderr


def test_index_of_a_catalog(zoo) -> None:
    catalog, _ = zoo.read()
    assert [hit.id for hit in index(catalog).search("first method")][0] == "alpha"


def test_what_the_field_also_calls_it_is_found(zoo) -> None:
    zoo.edit(zoo.root / "taxonomy.yml", "name: Magnitude\n", "name: Magnitude\n        also_called: [threshold cut]\n")
    zoo.edit(zoo.root / "taxonomy.yml", "name: Pruning\n", "name: Pruning\n    also_called: [thinning]\n")
    catalog, problems = zoo.read()
    found = everything(catalog)
    assert problems == []
    for query, key in (("threshold cut", ("group", "pruning/magnitude")), ("thinning", ("family", "pruning")),
                       ("SpMM", ("vocabulary", "needs_for_speed/sparse-kernel"))):
        assert [(hit.kind, hit.id) for hit in found.search(query)][0] == key


def test_a_work_is_found_once(zoo) -> None:
    """By the entry or the survey that is about it; by itself where nothing is."""
    catalog, _ = zoo.read()
    found = everything(catalog)
    assert [(hit.kind, hit.id) for hit in found.search("third work")][0] == ("survey", "third2022")
    assert work_documents(catalog) == []
    del catalog.surveys["third2022"]
    assert [document["id"] for document in work_documents(catalog)] == ["third2022three"]
    again = everything(catalog)
    assert again.search("third work")[0].id == again.search("eve third")[0].id == "third2022three"
    assert "first2020one" not in [hit.id for hit in again.search("a first work")]


def test_an_entry_comes_before_a_paper_that_answers_alike() -> None:
    docs = [{"id": name, "name": "Wanda", "kind": kind} for name, kind in (("a", "paper"), ("b", "algorithm"))]
    assert ranked(Index(docs, {}), "wanda") == ["b", "a"]


def test_what_is_called_just_like_the_query_comes_first() -> None:
    found = make(a={"name": "Depth depth"}, b={"name": "Depth"}, c={"title": "The depth"})
    assert ranked(found, "depth")[0] == "b"
    assert ranked(make(a={"title": "Ticket ticket"}, b={"title": "A Ticket"}), "ticket")[0] == "b"


def test_to_miss_a_word_that_is_only_in_sentences_costs_less_than_to_miss_a_name() -> None:
    texts = {"guide": {"title": "Heads", "body": "select"}, "michel": {"title": "Heads"}, "other": {}, "another": {}}

    def kept(name: str) -> float:
        scores = {hit.id: hit.score for hit in make(**{**texts, "a": {"name": name}}).search("select heads")}
        return scores["michel"] / scores["guide"]

    assert kept("something else") > 1.5 * kept("select")


def test_everyday_words_say_little_however_few_have_them() -> None:
    found = make(a={"name": "Heads"}, b={"name": "Keep"}, c={"facts": "heads"}, d={"title": "Layers"})
    assert ranked(found, "keep heads")[:2] == ["a", "c"]
    assert ranked(found, "keep")[0] == "b"


def test_a_word_in_passing_is_answered_in_part() -> None:
    found = make(called={"title": "wide river end"}, passing={"body": "wide river end"}, more={"body": "other"})
    scores = {hit.id: hit.score for hit in found.search("wide river")}
    fields = FIELDS["title"] / FIELDS["body"]
    assert scores["called"] / scores["passing"] > 1.5 * fields * RULES["sequence"]


def test_what_is_left_of_a_shortened_word_is_no_word() -> None:
    assert words("Doesn't, model's, it’s, they'll, we've") == ["doesn", "model", "it", "they", "we"]
    assert words("'t d-t") == ["t", "d", "t"]


def test_articles_change_nothing_in_a_phrase() -> None:
    found = make([["no training", "without training"], ["token merging", "merge tokens"]],
                 free={"facts": "no training"}, tuned={"facts": "training"}, tome={"facts": "token merging"},
                 other={"facts": "tokens"})  # fmt: skip
    assert ranked(found, "without any additional training")[0] == "free"
    assert ranked(found, "merge the tokens")[0] == "tome"
    assert ranked(found, "merge the tokens") == ranked(found, "merge tokens")


def test_two_things_side_by_side_come_before_what_mentions_both() -> None:
    found = Index([
        {"id": "near", "kind": "glossary", "name": "Near pruning"},
        {"id": "far", "kind": "glossary", "name": "Far pruning"},
        {"id": "both", "name": "Both", "title": "Far pruning and near pruning", "facts": "far; near; pruning"},
        *({"id": f"o{i}", "name": f"o{i}", "facts": "pruning"} for i in range(3)),
    ], {})  # fmt: skip
    for query in ("near vs far pruning", "near pruning or far pruning", "how do near and far pruning differ",
                  "the difference between near and far pruning"):  # fmt: skip
        assert set(ranked(found, query)[:2]) == {"near", "far"}, query
    for query in ("near far pruning", "near vs wide pruning"):  # names one or none
        assert ranked(found, query)[0] == "both", query


def test_methods_that_a_query_names_come_before_a_tool_that_has_them_all() -> None:
    docs = [{"id": "awq", "name": "AWQ"}, {"id": "gptq", "name": "GPTQ"}, {"id": "rtn", "name": "RTN", "body": "gptq"},
            {"id": "tool", "kind": "framework", "name": "GPTQModel", "body": "awq"},
            {"id": "other", "name": "Other"}]  # fmt: skip
    found = Index(docs, {})
    assert set(ranked(found, "gptq vs awq")[:2]) == {"awq", "gptq"}
    assert ranked(found, "awq gptqmodel")[0] == "tool"


def test_a_slip_in_a_name_costs_it_nothing_beside_others_that_have_the_word() -> None:
    found = make(pruning={"name": "Pruning"}, movement={
        "name": "Movement pruning", "aliases": "pruning movement; pruning by movement", "facts": "pruning",
        "title": "On pruning",
    })  # fmt: skip
    assert ranked(found, "prunnig") == ranked(found, "pruning") == ["pruning", "movement"]


def test_a_slip_leaves_digits_alone() -> None:
    found = make(gsm8k={}, sst2={}, sst5={})
    assert ranked(found, "gms8k") == ["gsm8k"]
    assert ranked(found, "sst3") == ranked(found, "gsm7k") == []


def test_a_whole_title_finds_what_is_called_so_of_whatever_kind() -> None:
    title = "Structured pruning for large language transformers"
    found = Index([{"id": "han2020", "kind": "paper", "name": "Han", "title": title},
                   {"id": "flap", "name": "FLAP", "title": f"Adaptive {title}"}], {})  # fmt: skip
    assert ranked(found, title) == ["han2020", "flap"]
    assert ranked(found, "pruning for large language transformers") == ["flap", "han2020"]


def test_a_definition_brings_what_it_leads_to() -> None:
    found = Index([
        {"id": "rank", "kind": "glossary", "name": "Rank", "leads": "paper ranks; algorithm lora; algorithm svd"},
        {"id": "ranks", "kind": "paper", "name": "On matrices", "body": "rank"}, {"id": "svd", "name": "SVD"},
        {"id": "lora", "name": "LoRA"}, {"id": "other", "kind": "paper", "name": "Other", "body": "rank"},
    ], {})  # fmt: skip
    assert ranked(found, "rank") == ["ranks", "rank", "lora", "svd", "other"]
    assert set(ranked(found, "rank zzz")) == {"rank", "ranks", "other"}


def test_words_written_together_and_apart() -> None:
    found = make(joined={"name": "FlashAttention"}, apart={"body": "flash attention"}, cache={"facts": "KV cache"},
                 nearest={"name": "Round to nearest"})  # fmt: skip
    assert ranked(found, "flash attention")[0] == "joined"
    assert ranked(found, "kvcache") == ["cache"]
    assert ranked(found, "roundtonearest") == ranked(found, "tonearest") == ["nearest"]


def test_no_word_is_written_together_with_and() -> None:
    found = make(a={"name": "Teacher and student"}, b={"title": "Teacher"}, c={"title": "Teacher"})
    together, apart = (found.search(query)[0] for query in ("teacher and pupil", "teacher pupil"))
    assert together == apart and together.id == "a"


def test_a_word_for_an_idea_leads_to_the_methods_and_not_to_a_tool_of_that_name() -> None:
    docs = [{"id": "peft", "kind": "framework", "name": "PEFT"}, {"id": "left", "name": "Left"},
            {"id": "paper", "kind": "paper", "name": "On parameter-efficient fine-tuning"},
            {"id": "lora", "name": "LoRA", "facts": "parameter-efficient fine-tuning"}]  # fmt: skip
    found = Index(docs, spread([["parameter-efficient fine-tuning", "PEFT"]]))
    assert [hit.id for hit in found.search("PEFT")][:2] == ["lora", "paper"]
    without = Index([doc for doc in docs if doc["id"] != "peft"], spread([["parameter-efficient fine-tuning", "PEFT"]]))
    assert [hit.id for hit in without.search("PEFT")] == ["lora", "paper"]  # and no slip of `left`
