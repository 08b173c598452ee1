"""Saves a compressed model: its packed form, and a folder that transformers loads where the result is a plain model."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from pathlib import Path
from typing import Any

from torch import nn

from reference_impls.bench.bench import Outcome
from reference_impls.core.transformer import Transformer

PACKED = "packed"
TRANSFORMERS = "transformers"
RECORD = "result.json"
TOKENIZER_FILES = (
    "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json", "vocab.json",
    "merges.txt", "vocab.txt", "tokenizer.model", "chat_template.jinja",
)  # fmt: skip


class CannotSave(ValueError):
    """The folder is taken or there is nothing to save; the message is a sentence for the user."""


def check_target(folder: Path) -> None:
    """Raises CannotSave where `folder` exists and holds something, before any work is done."""
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise CannotSave(f"{folder} exists and is not empty; name a new folder")


def save(outcome: Outcome, record: dict[str, Any], tokenizer: Path | None, folder: Path) -> list[str]:
    """Write `packed/`, `transformers/` where that can be, and `result.json` into a new folder; return what was written.

    tokenizer: the folder that holds the tokenizer's files. Everything is written beside and renamed at the end, so that
    an interruption leaves nothing. Raises CannotSave, also where the method stores nothing.
    """
    check_target(folder)
    if outcome.storage is None:
        raise CannotSave("this method changes how a model is run, not what is stored: there is nothing to save")
    folder.parent.mkdir(parents=True, exist_ok=True)
    unfinished = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
    try:
        outcome.storage.save(unfinished / PACKED)
        plain = plain_model(outcome)
        if plain is not None:
            plain.save_pretrained(unfinished / TRANSFORMERS)
            for name in TOKENIZER_FILES:
                if tokenizer is not None and (tokenizer / name).is_file():
                    shutil.copyfile(tokenizer / name, unfinished / TRANSFORMERS / name)
        if outcome.note:
            record = {**record, "note": outcome.note}
        (unfinished / RECORD).write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
        written = sorted(path.name for path in unfinished.iterdir())
        # Temporary folders, and safetensors' files, are for their owner only; these are what the user's umask says.
        mask = _umask()
        for path in (unfinished, *unfinished.rglob("*")):
            path.chmod((0o777 if path.is_dir() else 0o666) & ~mask)
        unfinished.rename(folder)
        return written
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)


def plain_model(outcome: Outcome) -> nn.Module | None:
    """The result as a Hugging Face model, or None where it is none."""
    if not outcome.exportable:
        return None
    model = outcome.model.to("cpu")
    return as_llama(model) if isinstance(model, Transformer) else model


def as_llama(model: Transformer) -> nn.Module:
    """A plain `Transformer` as transformers' Llama, with the same weights and logits."""
    from transformers import LlamaConfig, LlamaForCausalLM

    sizes = model.config
    config = LlamaConfig(
        vocab_size=sizes.vocab,
        hidden_size=sizes.width,
        intermediate_size=sizes.ffn,
        num_hidden_layers=sizes.layers,
        num_attention_heads=sizes.heads,
        num_key_value_heads=sizes.kv_heads,
        head_dim=sizes.head_width,
        max_position_embeddings=sizes.context,
        rms_norm_eps=sizes.norm_epsilon,
        rope_parameters={"rope_type": "default", "rope_theta": sizes.rope_base},
        tie_word_embeddings=sizes.tied,
        bos_token_id=None,
        eos_token_id=None,
    )
    names = {
        "embedding.": "model.embed_tokens.", "blocks.": "model.layers.", "head.": "lm_head.",
        ".attention.query.": ".self_attn.q_proj.", ".attention.key.": ".self_attn.k_proj.",
        ".attention.value.": ".self_attn.v_proj.", ".attention.output.": ".self_attn.o_proj.",
        ".feed_forward.gate.": ".mlp.gate_proj.", ".feed_forward.up.": ".mlp.up_proj.",
        ".feed_forward.down.": ".mlp.down_proj.", ".attention_norm.": ".input_layernorm.",
        ".feed_forward_norm.": ".post_attention_layernorm.",
    }  # fmt: skip
    state = {}
    for name, tensor in model.state_dict().items():
        for ours, theirs in names.items():
            name = name.replace(ours, theirs)
        state["model.norm.weight" if name == "norm.weight" else name] = tensor
    llama = LlamaForCausalLM(config)
    llama.load_state_dict(state)
    return llama.eval()


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
