"""Shapes: each architecture counts what transformers builds, each model is complete, and a config.json is read or
answered in words that name the key."""

from __future__ import annotations

import json
from typing import Any

import pytest
import torch
import transformers
from torch import nn

from catalog import check, choosing
from catalog.formula import Formula
from catalog.shapes import complete
from tests.catalog.shape_cases import HOSTILE, LLAMA

CATALOG, _ = check()
SHAPES = CATALOG.shapes
FACTS = choosing.data(CATALOG)
LM, BODY = transformers.AutoModelForCausalLM, transformers.AutoModel
# What each type of model is tried with: the class that builds it and a config.json. The linear layers of attention and
# feed-forward are compared one by one where the model has no fused ones; heads and widths are all different.
CONFIGS: dict[str, tuple[Any, dict[str, Any]]] = {
    "llama": (LM, LLAMA),
    "llama, biases, tied, own head width": (LM, {**LLAMA, "attention_bias": True, "mlp_bias": True, "head_dim": 24,
                                                 "tie_word_embeddings": True}),
    "mistral": (LM, {**LLAMA, "model_type": "mistral"}),
    "qwen2": (LM, {**LLAMA, "model_type": "qwen2", "tie_word_embeddings": True}),
    "qwen3": (LM, {**LLAMA, "model_type": "qwen3", "head_dim": 24}),
    "gemma": (LM, {**LLAMA, "model_type": "gemma", "head_dim": 24}),
    "gemma2": (LM, {**LLAMA, "model_type": "gemma2", "head_dim": 24}),
    "phi3": (LM, {**LLAMA, "model_type": "phi3", "pad_token_id": 0}),
    "mixtral": (LM, {**LLAMA, "model_type": "mixtral", "num_local_experts": 5, "num_experts_per_tok": 2}),
    "qwen3_moe": (LM, {**LLAMA, "model_type": "qwen3_moe", "head_dim": 24, "num_experts": 5, "num_experts_per_tok": 2,
                       "moe_intermediate_size": 40, "decoder_sparse_step": 1, "mlp_only_layers": []}),
    "gpt2": (LM, {"model_type": "gpt2", "n_embd": 64, "n_layer": 3, "n_head": 4, "vocab_size": 97, "n_positions": 33}),
    "gpt2, own width": (LM, {"model_type": "gpt2", "n_embd": 64, "n_layer": 2, "n_head": 4, "n_inner": 100,
                             "vocab_size": 97, "n_positions": 33}),
    "opt": (LM, {"model_type": "opt", "hidden_size": 64, "num_hidden_layers": 3, "num_attention_heads": 4,
                 "ffn_dim": 100, "vocab_size": 97, "max_position_embeddings": 33, "word_embed_proj_dim": 64}),
    "opt, norms after, narrow words": (LM, {
        "model_type": "opt", "hidden_size": 64, "num_hidden_layers": 3, "num_attention_heads": 4, "ffn_dim": 100,
        "vocab_size": 97, "max_position_embeddings": 33, "word_embed_proj_dim": 48, "do_layer_norm_before": False}),
    "gpt_neox": (LM, {"model_type": "gpt_neox", "hidden_size": 64, "num_hidden_layers": 3, "num_attention_heads": 4,
                      "intermediate_size": 100, "vocab_size": 97}),
    "bert": (BODY, {"model_type": "bert", "hidden_size": 64, "num_hidden_layers": 3, "num_attention_heads": 4,
                    "intermediate_size": 100, "vocab_size": 97, "max_position_embeddings": 33, "type_vocab_size": 3}),
    "roberta": (BODY, {"model_type": "roberta", "hidden_size": 64, "num_hidden_layers": 3, "num_attention_heads": 4,
                       "intermediate_size": 100, "vocab_size": 97, "max_position_embeddings": 33,
                       "type_vocab_size": 1}),
    "distilbert": (BODY, {"model_type": "distilbert", "dim": 64, "n_layers": 3, "n_heads": 4, "hidden_dim": 100,
                          "vocab_size": 97, "max_position_embeddings": 33}),
    "vit": (BODY, {"model_type": "vit", "hidden_size": 64, "num_hidden_layers": 3, "num_attention_heads": 4,
                   "intermediate_size": 100, "image_size": 40, "patch_size": 8, "num_channels": 2}),
    "t5": (transformers.T5ForConditionalGeneration, {
        "model_type": "t5", "d_model": 64, "num_layers": 3, "num_decoder_layers": 2, "num_heads": 4, "d_kv": 24,
        "d_ff": 100, "vocab_size": 97, "feed_forward_proj": "relu"}),
    "t5, gated": (transformers.T5ForConditionalGeneration, {
        "model_type": "t5", "d_model": 64, "num_layers": 2, "num_heads": 4, "d_kv": 16, "d_ff": 100, "vocab_size": 97,
        "feed_forward_proj": "gated-gelu", "relative_attention_num_buckets": 16}),
}  # fmt: skip


def built(maker: Any, config: dict[str, Any]) -> nn.Module:
    """The model that transformers makes of a config.json, without memory for its weights."""
    kind = transformers.AutoConfig.for_model(**config)
    with torch.device("meta"):
        if maker is BODY and config["model_type"] == "vit":
            return transformers.ViTModel(kind, add_pooling_layer=False)
        return maker(kind) if maker is transformers.T5ForConditionalGeneration else maker.from_config(kind)


@pytest.mark.parametrize("name", CONFIGS)
def test_every_parameter_of_the_model_is_counted(name: str) -> None:
    maker, config = CONFIGS[name]
    found = choosing.read_config(FACTS, json.dumps(config))
    assert "error" not in found, found
    model = built(maker, config)
    laid = choosing.layout(FACTS, found)
    assert laid["parameters"] == sum(parameter.numel() for parameter in model.parameters())
    if name.startswith(("llama", "qwen", "gemma", "opt", "bert", "distil", "t5")) and "moe" not in name:
        outside = ("head", "pooler", "project_", "shared")
        real = sorted(
            tuple(module.weight.shape) for path, module in model.named_modules()
            if isinstance(module, nn.Linear) and not any(part in path for part in outside)
        )  # fmt: skip
        ours = sorted(
            (matrix["rows"], matrix["columns"]) for matrix in laid["matrices"] for _ in range(int(matrix["count"]))
        )
        assert ours == real


def test_every_type_is_tried() -> None:
    tried = {config["model_type"] for _, config in CONFIGS.values()}
    known = {name for one in SHAPES.architectures.values() for name in one.model_types}
    assert known - tried == {"ministral"}  # Mistral's shape under another name


def test_what_is_alive_at_the_widest_moment() -> None:
    """The estimate of activations names tensors; they have these sizes in a model."""
    model = transformers.LlamaForCausalLM(transformers.LlamaConfig(**{**LLAMA, "head_dim": 24, "pad_token_id": 0}))
    sizes: dict[str, int] = {}
    for path, module in model.model.layers[0].named_modules():
        if isinstance(module, nn.Linear):
            module.register_forward_hook(
                lambda module, inputs, output, path=path: sizes.update({path.rpartition(".")[2]: output.numel(),
                                                                       f"into {path}": inputs[0].numel()}))
    with torch.no_grad():
        logits = model(torch.zeros(2, 5, dtype=torch.long)).logits
    attention = sizes["q_proj"] + sizes["k_proj"] + sizes["v_proj"] + sizes["into self_attn.o_proj"]
    feed_forward = sizes["gate_proj"] + sizes["up_proj"]
    found = choosing.read_config(FACTS, json.dumps({**LLAMA, "head_dim": 24}))
    laid = choosing.layout(FACTS, found)
    asked = {"tokens": 5, "batch": 2, "scores": False}
    taken = choosing.memory(FACTS, laid, asked, None, None)
    residual = 2 * 5 * 64
    assert taken["activations"] == 2 * (2 * residual + max(attention, feed_forward) + logits[:, -1].numel())
    cache = transformers.DynamicCache()
    with torch.no_grad():
        model(torch.zeros(2, 5, dtype=torch.long), past_key_values=cache)
    kept = sum(layer.keys.numel() + layer.values.numel() for layer in cache.layers)
    assert taken["cache"] == 2 * kept


@pytest.mark.parametrize("id", SHAPES.models)
def test_models_are_about_as_large_as_their_names_say(id: str) -> None:
    shape = SHAPES.models[id]
    laid = choosing.layout(FACTS, {"architecture": shape.architecture, "numbers": shape.numbers})
    words = [word.lower() for word in shape.name.replace("x7B", " x7b").split()]
    sizes = [float(word[:-1]) * {"b": 1e9, "m": 1e6}[word[-1]] for word in words
             if word[-1] in "bm" and word[:-1].replace(".", "").isdigit()]
    if sizes and "mixtral" not in id:  # nothing but a slip makes a name wrong by a third
        assert 0.72 < laid["parameters"] / sizes[-1] < 1.35, laid["parameters"]


def test_the_bench_has_the_shape_of_its_config() -> None:
    text = (CATALOG.repository / "reference_impls/bench/assets/language/s/config.json").read_text()
    found = choosing.read_config(FACTS, text)
    assert choosing.layout(FACTS, found)["parameters"] == 853120


def test_defaults_stand_in_only_where_there_are_some() -> None:
    assert complete(SHAPES, "llama", {"hidden": 64, "layers": 1, "heads": 4, "intermediate": 8, "vocabulary": 9})[
        "head_dim"] == 16
    with pytest.raises(ValueError, match="`layers` is missing"):
        complete(SHAPES, "llama", {"hidden": 64})
    for one in SHAPES.architectures.values():
        assert Formula(one.rest).names <= set(one.numbers)


@pytest.mark.parametrize("text", HOSTILE, ids=lambda text: text[:24])
def test_what_is_no_config_is_said(text: str) -> None:
    assert HOSTILE[text] in choosing.read_config(FACTS, text)["error"]


@pytest.mark.parametrize(("change", "says"), [
    ({"hidden_size": "big"}, '`hidden_size` is "big"; it has to be a whole number from 1 to 1000000'),
    ({"hidden_size": None}, "`hidden_size` is missing (width of the residual stream). Other names that are"),
    ({"hidden_size": 0}, "`hidden_size` is 0"), ({"hidden_size": -3}, "`hidden_size` is -3"),
    ({"hidden_size": 63.5}, "`hidden_size` is 63.5"), ({"hidden_size": True}, "`hidden_size` is true"),
    ({"hidden_size": 1e300}, "beyond all bounds"), ({"hidden_size": 10**400}, "beyond all bounds"),
    ({"hidden_size": {}}, "`hidden_size` is an object"), ({"num_hidden_layers": 10**9}, "from 1 to 10000"),
    ({"hidden_size": 65}, "`hidden_size` is 65; it has to be a multiple of `num_attention_heads`, 4."),
    ({"num_key_value_heads": 3}, "`num_attention_heads` is 4; it has to be a multiple of `num_key_value_heads`, 3."),
    ({"tie_word_embeddings": "yes"}, '`tie_word_embeddings` is "yes"; it has to be true or false'),
    ({"model_type": "qwen3_moe", "decoder_sparse_step": 2}, "`decoder_sparse_step` is 2"),
    ({"model_type": "mixtral"}, "`num_local_experts` is missing"),
])  # fmt: skip
def test_a_fault_names_its_key(change: dict[str, Any], says: str) -> None:
    assert says in choosing.read_config(FACTS, json.dumps({**LLAMA, **change}))["error"]


def test_a_nested_language_model_is_read_and_said() -> None:
    inner = {**LLAMA, "num_hidden_layers": 7}
    found = choosing.read_config(FACTS, json.dumps({"model_type": "llava", "hidden_size": 9, "text_config": inner}))
    assert found["numbers"]["layers"] == 7 and "`text_config`" in found["note"]
    assert choosing.read_config(FACTS, json.dumps(LLAMA))["note"] == ""
    whole = choosing.read_config(FACTS, json.dumps({**LLAMA, "hidden_size": 64.0}))
    assert whole["numbers"]["hidden"] == 64


@pytest.mark.parametrize(("text", "bytes_"), [
    ("8 GB", 8e9), ("8", 8e9), ("24GiB", 24 * 2**30), ("900 mb", 9e8), ("0.5 TB", 5e11), ("8,5 GB", 8.5e9),
    ("", None), ("0", None), ("-1 GB", None), ("8 parsecs", None), ("1.2.3", None), ("GB", None), ("9" * 40, None),
])  # fmt: skip
def test_amounts_of_memory(text: str, bytes_: float | None) -> None:
    assert choosing.bytes_of(text) == bytes_


@pytest.mark.parametrize(("value", "text"), [
    (13.476e9, "13.5 GB"), (999, "999 bytes"), (1000, "1 kB"), (2147483648, "2.15 GB"), (1e12, "1 TB"),
    (999.9e6, "1.00 GB"), (999.4e6, "999 MB"), (0, "0 bytes"), (5.99e9, "5.99 GB"),
])  # fmt: skip
def test_sizes_for_people(value: float, text: str) -> None:
    assert choosing.size(value) == text
