"""A tiny model in the place of the bundled one, with little text, so that commands take a moment."""

import shutil
from dataclasses import replace
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory) -> Path:
    """A random Llama of two layers with the bundled tokenizer, as transformers saves it."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    from reference_impls.bench import assets

    folder = tmp_path_factory.mktemp("tiny")
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=2048, hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=2,
        num_key_value_heads=1, max_position_embeddings=48, tie_word_embeddings=True, bos_token_id=0, eos_token_id=0,
    )  # fmt: skip
    LlamaForCausalLM(config).save_pretrained(folder)
    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copyfile(assets.path(assets.LANGUAGE, name), folder / name)
    return folder


@pytest.fixture
def small_bench(tiny_model, monkeypatch, tmp_path) -> None:
    """The tiny model is the default one, the protocol is short, and the user's cache is a folder of the test."""
    from reference_impls.bench import assets, language_bench, models, protocol

    whole = assets.text
    monkeypatch.setattr(assets, "text", lambda split, domain: whole(split, domain)[:4000])
    small = replace(protocol.LANGUAGE, test_windows=2, calibration_windows=8)
    monkeypatch.setattr(language_bench, "LANGUAGE", small)
    monkeypatch.setattr(models, "DEFAULT", str(tiny_model))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
