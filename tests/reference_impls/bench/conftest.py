"""Tiny random models of every shape, saved as transformers saves them, and benches with a small budget."""

import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from reference_impls.bench import assets, language_bench, protocol

SHAPES = ("llama", "opt", "gpt2")
CONTEXT = 48


def tiny(shape: str) -> torch.nn.Module:
    """A random decoder over the bundled vocabulary; the same weights every time."""
    import transformers

    torch.manual_seed(0)
    common = {"vocab_size": 2048, "bos_token_id": 0, "eos_token_id": 0}
    if shape == "llama":
        config = transformers.LlamaConfig(
            hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=2, num_key_value_heads=1,
            max_position_embeddings=CONTEXT, tie_word_embeddings=True, **common,
        )  # fmt: skip
        return transformers.LlamaForCausalLM(config)
    if shape == "opt":
        config = transformers.OPTConfig(
            hidden_size=32, ffn_dim=64, num_hidden_layers=2, num_attention_heads=2, word_embed_proj_dim=32,
            max_position_embeddings=CONTEXT, pad_token_id=1, **common,
        )  # fmt: skip
        return transformers.OPTForCausalLM(config)
    config = transformers.GPT2Config(n_embd=32, n_layer=2, n_head=2, n_positions=CONTEXT, **common)
    return transformers.GPT2LMHeadModel(config)


@pytest.fixture(scope="session")
def tiny_models(tmp_path_factory) -> dict[str, Path]:
    """Folders of tiny models by their shape, each with the bundled tokenizer."""
    folders = {}
    for shape in SHAPES:
        folders[shape] = tmp_path_factory.mktemp(shape)
        tiny(shape).save_pretrained(folders[shape])
        for name in ("tokenizer.json", "tokenizer_config.json"):
            shutil.copyfile(assets.path(assets.LANGUAGE, name), folders[shape] / name)
    return folders


@pytest.fixture
def small_budget(monkeypatch) -> None:
    """The language protocol with few windows of short texts."""
    whole = assets.text
    monkeypatch.setattr(assets, "text", lambda split, domain: whole(split, domain)[:4000])
    small = replace(protocol.LANGUAGE, test_windows=2, calibration_windows=8)
    monkeypatch.setattr(language_bench, "LANGUAGE", small)
