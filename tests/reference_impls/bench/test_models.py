"""Loading: what is loaded is what was saved, and what cannot be loaded is refused with a sentence."""

import importlib.metadata
import json
import shutil

import pytest
import torch

from reference_impls.bench import models
from reference_impls.bench.models import ModelError, WrongKind, load
from reference_impls.core.language import logits

from .conftest import CONTEXT, SHAPES, tiny


@pytest.mark.parametrize("shape", SHAPES)
def test_a_saved_model_loads_with_its_tokenizer(tiny_models, shape):
    loaded = load(str(tiny_models[shape]))
    ids = loaded.encode("the same words, the same ids")
    assert loaded.context == CONTEXT and ids.dtype == torch.int64 and len(ids) > 5
    with torch.no_grad():
        expected = logits(tiny(shape).eval(), ids[None])
        assert torch.allclose(logits(loaded.model, ids[None]), expected, atol=1e-6)


def test_a_fresh_copy_can_be_changed_without_touching_the_model(tiny_models):
    loaded = load(str(tiny_models["llama"]))
    before = loaded.model.model.layers[0].mlp.up_proj.weight.clone()
    with torch.no_grad():
        loaded.fresh().model.layers[0].mlp.up_proj.weight.zero_()
    assert torch.equal(loaded.model.model.layers[0].mlp.up_proj.weight, before)


def test_the_hash_follows_the_weights(tiny_models, tmp_path):
    changed = tmp_path / "changed"
    shutil.copytree(tiny_models["llama"], changed)
    same = load(str(changed)).hash
    assert same == load(str(tiny_models["llama"])).hash
    model = tiny("llama")
    with torch.no_grad():
        model.model.norm.weight[0] += 1
    model.save_pretrained(changed)
    assert load(str(changed)).hash != same


def test_bundled_model_and_digits_load():
    assert load("s").kind == "language" and load("s").context == 256
    assert load("digits").kind == "vision"


def test_the_wrong_kind_is_refused():
    with pytest.raises(WrongKind, match="digits is a vision model"):
        load("digits", "language")
    with pytest.raises(WrongKind, match="digits"):
        load("s", "vision")


def test_pickled_weights_are_not_loaded(tiny_models, tmp_path):
    shutil.copytree(tiny_models["llama"], tmp_path / "pickled")
    (tmp_path / "pickled" / "model.safetensors").rename(tmp_path / "pickled" / "pytorch_model.bin")
    with pytest.raises(ModelError, match="no safetensors weights"):
        load(str(tmp_path / "pickled"))


def test_code_that_comes_with_a_model_is_not_run(tiny_models, tmp_path):
    folder = tmp_path / "remote"
    shutil.copytree(tiny_models["llama"], folder)
    config = json.loads((folder / "config.json").read_text())
    config |= {"model_type": "not-known", "auto_map": {"AutoConfig": "evil.C", "AutoModelForCausalLM": "evil.M"}}
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "evil.py").write_text(f"open({str(tmp_path / 'was-run')!r}, 'w')\n")
    with pytest.raises(ModelError, match="does not load"):
        load(str(folder))
    assert not (tmp_path / "was-run").exists()


@pytest.mark.parametrize("damage", ["cut", "text"])
def test_damaged_weights_are_a_sentence(tiny_models, tmp_path, damage):
    folder = tmp_path / "damaged"
    shutil.copytree(tiny_models["llama"], folder)
    file = folder / "model.safetensors"
    file.write_bytes(file.read_bytes()[:-100] if damage == "cut" else b"not a model")
    with pytest.raises(ModelError, match="does not load as a causal language model"):
        load(str(folder))


def test_a_tokenizer_with_too_many_tokens_is_refused(tiny_models, tmp_path):
    from transformers import LlamaConfig, LlamaForCausalLM

    folder = tmp_path / "mismatch"
    shutil.copytree(tiny_models["llama"], folder)
    small = LlamaConfig(vocab_size=50, hidden_size=16, intermediate_size=16, num_hidden_layers=1, num_attention_heads=1,
                        num_key_value_heads=1, bos_token_id=None, eos_token_id=None)  # fmt: skip
    LlamaForCausalLM(small).save_pretrained(folder)
    loaded = load(str(folder))
    with pytest.raises(ModelError, match="do not belong together"):
        loaded.encode("many different words stand here")


def test_folders_and_files_that_hold_no_model(tmp_path):
    with pytest.raises(ModelError, match="no config.json"):
        load(str(tmp_path))
    (tmp_path / "file").write_text("x")
    with pytest.raises(ModelError, match="is a file"):
        load(str(tmp_path / "file"))


def test_a_misspelt_name_gets_the_nearest_one():
    with pytest.raises(ModelError, match=r"unknown model './s-outlier'.*did you mean 's-outliers'"):
        load("./s-outlier")


def test_hub_errors_are_sentences(monkeypatch):
    import huggingface_hub
    from huggingface_hub.errors import LocalEntryNotFoundError

    asked = {}

    def offline(name, **options):
        asked.update(options, name=name)
        raise LocalEntryNotFoundError("no network")

    monkeypatch.setattr(huggingface_hub, "snapshot_download", offline)
    with pytest.raises(ModelError, match="unknown model 'digit'.*cannot be reached.*did you mean 'digits'"):
        load("digit")
    assert asked["name"] == "digit"
    assert not any(pattern in asked["allow_patterns"] for pattern in ("*.bin", "*.py", "*"))


def test_smollm2_without_its_package_says_how_to_install_it(monkeypatch):
    def missing(name):
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(importlib.metadata, "distribution", missing)
    with pytest.raises(ModelError, match="make smollm2"):
        load("smollm2")


def test_the_cache_is_below_xdg_cache_home(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert models.cache_folder() == tmp_path / "compression-zoo"
