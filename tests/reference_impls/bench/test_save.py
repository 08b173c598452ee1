"""Saving: what is saved loads again and gives the same numbers; an interruption leaves nothing."""

import json

import pytest
import torch
from safetensors import safe_open

from reference_impls.bench import models
from reference_impls.bench.bench import Outcome
from reference_impls.bench.composition import Method
from reference_impls.bench.measure import forward_of, language_metrics
from reference_impls.bench.run import run
from reference_impls.bench.save import CannotSave, as_llama, save
from reference_impls.core.language import logits
from reference_impls.core.model_view import ModelView
from reference_impls.core.storage import load_model_storage
from reference_impls.core.transformer import Transformer, TransformerConfig
from reference_impls.execution.flashattention import flashattention
from reference_impls.low_rank.truncated_svd import truncated_svd
from reference_impls.quantization.gptq import gptq


@pytest.fixture
def quantized(tiny_models, small_budget):
    return run([Method("gptq", gptq, {"bits": 3, "group_size": 16})], model=str(tiny_models["llama"]))


def perplexity(model, bench) -> float:
    windows = bench.text.test
    return language_metrics(forward_of(model), windows, torch.device("cpu"), bench.vocabulary, None)["perplexity"]


def test_transformers_loads_the_saved_folder_with_the_same_perplexity(quantized, tmp_path):
    from transformers import AutoModelForCausalLM, AutoTokenizer

    written = save(quantized.after, quantized.as_json(), quantized.bench.loaded.folder, tmp_path / "out")
    assert written == ["packed", "result.json", "transformers"]
    (tmp_path / "plain").write_text("")
    modes = {path.stat().st_mode & 0o777 for path in (tmp_path / "out").rglob("*") if path.is_file()}
    assert modes == {(tmp_path / "plain").stat().st_mode & 0o777}
    folder = tmp_path / "out" / "transformers"
    model = AutoModelForCausalLM.from_pretrained(folder, local_files_only=True).eval()
    assert perplexity(model, quantized.bench) == pytest.approx(quantized.after.metrics["perplexity"], rel=1e-6)
    text = "It is a truth universally acknowledged"
    ids = AutoTokenizer.from_pretrained(folder, local_files_only=True)(text, add_special_tokens=False)["input_ids"]
    assert ids == quantized.bench.loaded.encode(text).tolist()
    assert models.load(str(folder)).context == quantized.bench.loaded.context


def test_the_packed_form_gives_the_same_perplexity_in_fewer_bytes(quantized, tmp_path):
    save(quantized.after, quantized.as_json(), None, tmp_path / "out")
    file = tmp_path / "out" / "packed" / "compressed.safetensors"
    assert file.stat().st_size == quantized.after.metrics["bytes_on_disk"]
    model = quantized.bench.loaded.fresh()
    ModelView(model).load(load_model_storage(file.parent))
    assert perplexity(model, quantized.bench) == quantized.after.metrics["perplexity"]
    assert json.loads((tmp_path / "out" / "result.json").read_text())["algorithm"] == "gptq"


def test_low_rank_factors_are_stored_as_factors(tiny_models, small_budget, tmp_path):
    method = Method("truncated-svd", truncated_svd, {"parameter_ratio": 0.5})
    result = run([method], model=str(tiny_models["llama"]))
    save(result.after, {}, None, tmp_path / "out")
    with safe_open(tmp_path / "out" / "packed" / "compressed.safetensors", "pt") as file:
        assert any(name.endswith("/left") for name in file.keys())


@pytest.mark.parametrize("failure", [KeyboardInterrupt, OSError])
def test_an_interruption_leaves_nothing(quantized, tmp_path, monkeypatch, failure):
    def interrupted(*_, **__):
        raise failure

    monkeypatch.setattr(type(quantized.after.model), "save_pretrained", interrupted)
    with pytest.raises(failure):
        save(quantized.after, {}, None, tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_holds_something_is_not_touched(quantized, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine").write_text("x")
    with pytest.raises(CannotSave, match="not empty"):
        save(quantized.after, {}, None, tmp_path / "out")
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["mine"]


def test_an_empty_folder_may_be_used_and_its_parents_are_made(quantized, tmp_path):
    (tmp_path / "empty").mkdir()
    save(quantized.after, {}, None, tmp_path / "empty")
    save(quantized.after, {}, None, tmp_path / "a" / "b")
    assert (tmp_path / "empty" / "packed").is_dir() and (tmp_path / "a" / "b" / "packed").is_dir()


def test_what_changes_no_weight_has_nothing_to_save(tiny_models, small_budget, tmp_path):
    result = run([Method("flashattention", flashattention, {})], model=str(tiny_models["llama"]))
    with pytest.raises(CannotSave, match="nothing to save"):
        save(result.after, {}, None, tmp_path / "out")
    with pytest.raises(CannotSave, match="nothing to save"):
        save(Outcome({}), {}, None, tmp_path / "out")


@pytest.mark.parametrize("tied", [True, False])
def test_our_transformer_becomes_a_llama_with_the_same_logits(tied):
    config = TransformerConfig(vocab=50, width=32, layers=3, heads=4, kv_heads=2, ffn=48, context=40, tied=tied)
    ours = Transformer(config, generator=torch.Generator().manual_seed(1)).eval()
    ids = torch.arange(40)[None]
    with torch.no_grad():
        assert torch.allclose(logits(as_llama(ours), ids), ours(ids), atol=1e-6)
