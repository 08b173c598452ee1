"""Choosing: Python and the browser's code answer alike, the rules hold, and the page has it all without JavaScript."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pytest

from catalog import check, choosing
from site_gen import frontend_build
from site_gen.build import Report, write_docs
from site_gen.enrich.choose import build
from tests.catalog.shape_cases import HOSTILE, LLAMA

CATALOG, _ = check()
FACTS = choosing.data(CATALOG)
NOTHING = {
    "shape": None, "tokens": 4096, "batch": 1, "memory": None, "size": None, "compress": [], "data": None,
    "training": None, "gradients": True, "offers": None, "shown": False, "scores": False, "protocol": None,
}  # fmt: skip
SIZES = {  # Zeros at the end are told where they are digits of a rounded number.
    9.396e9: "9.40 GB", 9.4e9: "9.4 GB", 8e9: "8 GB", 8.0001e9: "8.00 GB", 24 * 2**30: "25.8 GB", 999.9e6: "1.00 GB",
    9.9999e6: "10.0 MB", 125e3: "125 kB", 17.0: "17 bytes", 0: "0 bytes",
}  # fmt: skip
AMOUNTS = ["8 GB", "24 GiB", "900mb", "8,5 gb", "8", ".5", "1.", "-1", "0", "", "1e3", "8 parsecs", "1.2.3", "9" * 40]


def model(id: str) -> dict[str, Any]:
    found = next(one for one in FACTS["models"] if one["id"] == id)
    return {"architecture": found["architecture"], "numbers": found["numbers"]}


def ask(facts: dict[str, Any] = FACTS, **asked: Any) -> dict[str, dict[str, Any]]:
    found = choosing.answer(facts, NOTHING | asked)["rows"]
    return {row["id"]: row for row in found}


def stay(**asked: Any) -> list[str]:
    return [id for id, row in ask(**asked).items() if row["stays"]]


def questions(count: int) -> list[dict[str, Any]]:
    draw = random.Random(0)
    shapes = [None, *({"architecture": one["architecture"], "numbers": one["numbers"]} for one in FACTS["models"])]
    return [NOTHING | {
        "shape": draw.choice(shapes), "tokens": draw.choice([1, 100, 4096, 100000]), "batch": draw.choice([1, 16]),
        "memory": draw.choice([None, 5e6, 1e9, 8e9, 24e9, 80e9]), "size": draw.choice([None, None, 1e8, 4e9]),
        "compress": draw.choice([[], ["weights"], ["kv-cache", "weights"], ["tokens"]]),
        "data": draw.choice([None, ["none"], ["calibration"], ["task-labels", "pretraining-corpus"]]),
        "training": draw.choice([None, "none", "light", "full"]), "gradients": draw.random() < 0.6,
        "offers": draw.choice([None, [], ["dequantizing-kernel"], ["nm-sparse-hardware", "low-bit-matmul"]]),
        "shown": draw.random() < 0.4, "scores": draw.random() < 0.3,
        "protocol": draw.choice([None, "unknown", *(one["id"] for one in FACTS["protocols"])]),
    } for _ in range(count)]  # fmt: skip


def equal(ours: Any, theirs: Any, path: str = "") -> None:
    """Numbers to twelve digits, all else exactly."""
    if isinstance(ours, dict):
        assert ours.keys() == theirs.keys(), path
        for key in ours:
            equal(ours[key], theirs[key], f"{path}.{key}")
    elif isinstance(ours, list):
        assert len(ours) == len(theirs), path
        for i, (a, b) in enumerate(zip(ours, theirs, strict=True)):
            equal(a, b, f"{path}[{i}]")
    elif isinstance(ours, float):
        assert ours == pytest.approx(theirs, rel=1e-12), path
    else:
        assert ours == theirs, path


def test_the_browser_answers_alike() -> None:
    asked = [*questions(60), *(NOTHING | {"protocol": one["id"]} for one in FACTS["protocols"])]
    changes = [{}, {"hidden_size": "big"}, {"hidden_size": 0.1234567}, {"hidden_size": 10**400}, {"head_dim": 24},
               {"num_key_value_heads": 3}, {"hidden_size": 65}, {"tie_word_embeddings": 1}, {"hidden_size": "😀" * 60},
               {"model_type": "qwen3_moe", "mlp_only_layers": [3]}, {"model_type": "llama_text"}]  # fmt: skip
    configs = [*HOSTILE, *(json.dumps({**LLAMA, **change}) for change in changes),
               json.dumps({"model_type": "llava", "text_config": LLAMA}), json.dumps({"text_config": LLAMA})]
    given = {"facts": FACTS, "questions": asked, "configs": configs, "sizes": AMOUNTS, "bytes": list(SIZES)}
    theirs = json.loads(frontend_build.run_node("choose.mjs", input=json.dumps(given)))
    for i, question in enumerate(asked):
        equal(choosing.answer(FACTS, question), theirs["answers"][i], f"question {i}")
    for i, text in enumerate(configs):
        equal(choosing.read_config(FACTS, text), theirs["configs"][i], text[:60])
    assert [choosing.bytes_of(text) for text in AMOUNTS] == theirs["sizes"]
    assert list(SIZES.values()) == [choosing.size(value) for value in SIZES] == theirs["bytes"]


def test_without_a_question_all_stay_and_say_nothing() -> None:
    found = choosing.answer(FACTS, NOTHING)
    assert found["stay"] == len(FACTS["entries"]) == len(CATALOG.algorithms) and found["model"] is None
    assert all(row["reasons"] == [] for row in found["rows"])


def test_each_constraint_is_the_fact_of_the_entry() -> None:
    facts = {id: entry.facts for id, entry in CATALOG.algorithms.items()}
    assert set(stay(data=["none"])) == {id for id, one in facts.items() if one.data == "none"}
    assert set(stay(training="light")) == {id for id, one in facts.items() if one.training in ("none", "light")}
    assert set(stay(gradients=False)) == {id for id, one in facts.items() if not one.uses_gradients}
    assert set(stay(compress=["kv-cache"])) == {id for id, one in facts.items() if "kv-cache" in one.compresses}
    assert set(stay(data=["task-labels"])) == {
        id for id, one in facts.items() if one.data in ("none", "calibration", "unlabeled", "task-labels")}
    assert set(stay(offers=[])) == {id for id, one in facts.items() if one.needs_for_speed == "nothing"}
    encoder = stay(shape=model("bert-base"), shown=True)
    assert "q8bert" in encoder and "awq" not in encoder


def test_a_variant_runs_on_what_it_needs() -> None:
    """Wanda prunes anywhere, which needs a kernel that skips zeros; its 2:4 pattern runs on tensor cores for it."""
    row = ask(offers=["nm-sparse-hardware"])["wanda"]
    assert row["stays"] and "2:4" in row["setting"]
    assert not ask(offers=["fused-kernel"])["wanda"]["stays"]


def test_a_budget_of_memory_picks_the_best_setting_that_fits() -> None:
    shape = model("llama-2-7b")
    asked = {"shape": shape, "memory": 8e9, "protocol": FACTS["protocols"][0]["id"]}
    row = ask(**asked)["rtn"]
    assert row["setting"] == "bits 4" and row["takes"]["total"] < 8e9
    assert row["reasons"][-1]["text"] == "Bits 4: it takes 6.41 GB of 8 GB; 1.59 GB is left."
    eight = ask(**asked | {"memory": 10e9})["rtn"]
    assert eight["setting"] == "bits 8" and eight["measured"] < row["measured"]
    none = ask(**asked | {"memory": 4e9})["rtn"]
    assert not none["stays"] and none["setting"] == "bits 2" and "still takes" in none["reasons"][-1]["text"]
    kivi = ask(**asked)["kivi"]
    assert not kivi["stays"]
    assert kivi["reasons"][-1]["text"].endswith("The weights stay as they are; the cache shrinks.")
    student = ask(**asked)["tinybert"]
    assert student["stays"] and student["reasons"][-1]["holds"] is None and student["takes"] is None


def test_two_constraints_have_to_hold_for_one_setting() -> None:
    """The weights of a setting that fits may be too many, and those of another need what is not there."""
    facts = json.loads(json.dumps(FACTS))
    entry = next(one for one in facts["entries"] if one["id"] == "wanda")
    row = ask(facts, shape=model("llama-2-7b"), offers=["nm-sparse-hardware"], size=5.5e9)["wanda"]
    assert not row["stays"] and row["reasons"][-1] == {
        "of": "together", "holds": False, "text": FACTS["texts"]["together"]}
    entry["settings"][-1]["weights"] = 4
    assert ask(facts, shape=model("llama-2-7b"), offers=["nm-sparse-hardware"], size=5.5e9)["wanda"]["stays"]


def test_the_order_is_measured_first_then_by_needs() -> None:
    place = FACTS["protocols"][0]
    found = choosing.answer(FACTS, NOTHING | {"shape": model("llama-2-7b"), "size": 4.5e9, "protocol": place["id"]})
    rows = found["rows"][: found["stay"]]
    measured = [row["measured"] for row in rows if "measured" in row]
    assert len(measured) > 5 and measured == sorted(measured)
    assert all("measured" in row for row in rows[: len(measured)])
    entries = {one["id"]: one for one in FACTS["entries"]}
    needs = [entries[row["id"]]["needs"] for row in rows[len(measured):]]
    assert needs == sorted(needs)
    by_needs = choosing.answer(FACTS, NOTHING)["rows"]
    assert entries[by_needs[0]["id"]]["needs"] == 0 and "measured" not in by_needs[0]


def test_without_a_goal_who_saves_most_at_a_small_loss_comes_first() -> None:
    place = FACTS["protocols"][0]
    assert place["small_loss"] == 1.05
    settings = {one["id"]: {s["label"]: s for s in one["settings"]} for one in FACTS["entries"]}
    found = choosing.answer(FACTS, NOTHING | {"protocol": place["id"]})["rows"]
    rows = [row for row in found if "measured" in row]
    small = [row for row in rows if row["measured"] <= place["small_loss"]]
    stored = [settings[row["id"]][row["setting"]]["stored"][place["id"]] for row in small]
    assert len(small) > 10 and rows[: len(small)] == small and stored == sorted(stored) and stored[0] < 5
    more = [row["measured"] for row in rows[len(small):]]
    assert len(more) > 5 and more == sorted(more)
    rtn = next(row for row in small if row["id"] == "rtn")
    assert rtn["setting"] == "bits 4"  # 8 bits lose less, 3 bits too much
    asked = NOTHING | {"protocol": place["id"], "shape": model("llama-2-7b")}
    in_model = choosing.answer(FACTS, asked | {"tokens": 100_000})["rows"]
    taken = [row["takes"]["total"] for row in in_model if row.get("measured", 2) <= place["small_loss"]]
    assert len(taken) > 10 and taken == sorted(taken) and in_model[0]["id"] == "kivi"  # a long cache weighs most
    with_goal = choosing.answer(FACTS, asked | {"size": 1e11})
    values = [row["measured"] for row in with_goal["rows"] if "measured" in row]
    assert values == sorted(values) and values[0] <= 1


def test_a_run_that_stored_other_bits_does_not_count() -> None:
    """In the bench's narrow matrices the tables of SqueezeLLM weigh two bits a weight; in wide ones next to nothing."""
    place = FACTS["protocols"][0]["id"]
    row = ask(shape=model("llama-2-7b"), memory=8e9, protocol=place)["squeezellm"]
    assert row["stays"] and "measured" not in row
    assert "measured" in ask(memory=None, protocol=place)["squeezellm"]
    assert "measured" in ask(shape=model("llama-2-7b"), protocol=place)["rtn"]


def test_accuracy_is_better_where_it_is_higher() -> None:
    place = next(one for one in FACTS["protocols"] if one["better"] == "higher")
    found = choosing.answer(FACTS, NOTHING | {"protocol": place["id"]})["rows"]
    values = [row["measured"] for row in found if "measured" in row]
    assert len(values) > 1 and values == sorted(values, reverse=True)


def test_what_is_measured_is_what_the_bench_wrote() -> None:
    place = FACTS["protocols"][0]
    for measurement in CATALOG.measurements.values():
        if measurement.algorithm != "rtn":
            continue
        dense = next(run for run in measurement.runs if run.role == "dense").median["perplexity"]
        four = next(run for run in measurement.runs if run.options.get("bits") == 4).median["perplexity"]
        setting = next(one for one in next(e for e in FACTS["entries"] if e["id"] == "rtn")["settings"]
                       if one["label"] == "bits 4")
        assert setting["measured"][place["id"]] == pytest.approx(four / dense)


def test_memory_adds_up_by_hand() -> None:
    """LLaMA 2 7B under round-to-nearest with 4 bits in groups of 64: 4 + 20 / 64 bits in 6,476,005,376 weights."""
    row = ask(shape=model("llama-2-7b"), tokens=1000, batch=2)["rtn"]
    laid = choosing.layout(FACTS, model("llama-2-7b"))
    entry = next(one for one in FACTS["entries"] if one["id"] == "rtn")
    setting = next(one for one in entry["settings"] if one["label"] == "bits 4")
    taken = choosing.memory(FACTS, laid, {"tokens": 1000, "batch": 2, "scores": True}, entry, setting)
    assert taken["weights"] == 6_476_005_376 * (4 + 20 / 64) / 8 + 262_410_240 * 2
    assert taken["cache"] == 2 * 32 * 4096 * 2 * 1000 * 2
    assert taken["activations"] == 2 * 2 * (1000 * (2 * 4096 + 2 * 11008) + 32000 + 32 * 1000 * 1000)
    assert taken["total"] == sum(taken[key] for key in ("weights", "cache", "activations"))
    found = choosing.answer(FACTS, NOTHING | {"shape": model("llama-2-7b")})["model"]
    assert found["training"] == 16 * (6_476_005_376 + 262_410_240)
    assert row["takes"]["total"] > taken["weights"]


def test_what_is_said_fills_no_blank_twice() -> None:
    assert choosing.said("a {x} b {y}", x="{y}", y="2") == "a {y} b 2"
    assert choosing.said("{ ... } {z}", x="1") == "{ ... } {z}"


def test_a_catalog_without_shapes_has_a_page(site: Any, repository: Path, tmp_path: Path) -> None:
    """The synthetic catalog has no shapes.yml and hostile names; nothing of them comes alive."""
    assert build(site.catalog).example is None
    write_docs(site, repository, tmp_path, Report(tmp_path))
    page = (tmp_path / "docs" / "choose" / "index.md").read_text(encoding="utf-8")
    assert "data-choose" in page and "<script>" not in page and 'id="example"' not in page
    facts = json.loads((tmp_path / "docs" / "assets" / "zoo" / "choose.json").read_text(encoding="utf-8"))
    assert {one["id"] for one in facts["entries"]} == set(site.entries)
    assert choosing.answer(facts, NOTHING)["stay"] == len(site.entries)
