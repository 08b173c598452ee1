"""Writes the model cards (README.md) of the bundled models from the figures that training left in training.json."""

from __future__ import annotations

import json
from typing import Any

from reference_impls.bench import assets


def write_language_card() -> None:
    """Write assets/language/s/README.md from training.json beside it."""
    f = _figures(assets.LANGUAGE)
    perplexities = "\n".join(
        f"| {name} | {f['tokens_an_epoch_by_domain'].get(name, 0):,} | {f['test_tokens'][name]:,} | {value:.2f} |"
        for name, value in f["test_perplexity"].items()
    )
    packages = "\n".join(f"- `{package}` {version}" for package, version in f["packages"].items())
    versions = ", ".join(f"{name} {version}" for name, version in f["versions"].items())
    card = f"""---
license: apache-2.0
language: en
library_name: transformers
pipeline_tag: text-generation
---
# Llama "S": the bundled language model of Compression Zoo

A decoder of the Llama shape with {f["parameters"]:,} parameters: width 128, 4 layers, MLP width 256, 4 query and 2
key-value heads of 32, tied embedding, context {f["batch"][1]}, byte-level BPE of 2,048 tokens. It exists so that every
compression method can be run and measured in seconds on a laptop's processor. bfloat16, {f["bytes"]:,} bytes.

    from transformers import AutoModelForCausalLM, AutoTokenizer
    model = AutoModelForCausalLM.from_pretrained("reference_impls/bench/assets/language/s")
    tokenizer = AutoTokenizer.from_pretrained("reference_impls/bench/assets/language/s")

## Training text
English text of four domains from Debian packages, {f["training_bytes"]:,} bytes, {f["tokens_an_epoch"]:,} tokens. Every
20th block of about 4 kB was held out. Licences: `../../NOTICE`; blocks and checksums: `../../text/manifest.json`.

{packages}

## Recipe
{f["epochs"]} epochs, {f["steps"]:,} steps of {f["batch"][0]} sequences of {f["batch"][1]} tokens: {f["tokens_seen"]:,}
tokens seen ({f["tokens_seen"] / f["parameters"]:.1f} a parameter) in {f["seconds_on_one_thread"]:,.0f} seconds on one
thread of a shared processor. AdamW, learning rate 3e-3 with {f["warm_up_steps"]} steps of warm-up and linear decay to
zero, betas 0.9 and 0.95, weight decay 0.1 on matrices, gradient norm clipped at 1, bfloat16 autocast, seed {f["seed"]}.
Each run of 19 neighbouring blocks starts with `<|endoftext|>`. Versions: {versions}.

To train it again: `python -m reference_impls.bench.make text tokenizer language --download`. The text and tokenizer
come out the same byte for byte from the same packages; the weights differ a little on another processor or version.

## Held-out perplexity
Stored weights in float32, windows of {f["batch"][1]} tokens that do not overlap, all but the first token of each
predicted, on the bundled test text:

| domain | training tokens | test tokens predicted | perplexity |
| --- | ---: | ---: | ---: |
{perplexities}

Over the test text of the four training domains together {f["test_perplexity_of_the_training_domains"]:.2f}; over all
held-out blocks of theirs ({f["tokens_of_all_held_out_blocks"]:,} tokens)
{f["perplexity_on_all_held_out_blocks"]:.2f}. `python-code` was not trained on; it is there for methods that adapt.

SHA-256 of `model.safetensors`: `{f["sha256"]}`

## Limits
It has learnt word order and vocabulary, not facts: use it to compare compression methods, for nothing else. Such a
small model has no activation outliers and little redundancy between layers, so some methods gain less on it, and 4 bits
cost it less, than on a large model. The blocks that were held out come from the same works as the training text, so its
perplexity says nothing about other text. Perplexities of models with other tokenizers cannot be compared with these.
"""
    (assets.path(assets.LANGUAGE) / "README.md").write_text(card, encoding="utf-8")


def write_digits_card() -> None:
    """Write assets/digits/README.md from training.json beside it."""
    f = _figures(assets.DIGITS)
    versions = ", ".join(f"{name} {version}" for name, version in f["versions"].items())
    card = f"""# Digits ViT: the bundled vision model of Compression Zoo

A pre-norm vision transformer with {f["parameters"]:,} parameters for 8x8 grey images of ten digits: 2x2 patches, 16
patches and a class token, width 48, 4 blocks, 3 heads, MLP width 144. It exists so that methods that merge or drop
tokens can be run and measured in a second. bfloat16, {f["bytes"]:,} bytes; `config.json` holds the shape.

    from reference_impls.bench import assets
    from reference_impls.core.vision_transformer import VisionTransformer
    model = VisionTransformer.from_pretrained(assets.path("digits"))
    images, labels = assets.digits("test")

## Data
The 1,797 handwritten digits that come with scikit-learn (`sklearn.datasets.load_digits`; E. Alpaydin and C. Kaynak,
Optical Recognition of Handwritten Digits, UCI Machine Learning Repository, 1998). `train_test_split` with seed
{f["split_seed"]}, stratified by label, sets {f["test_images"]} images aside for the test. Pixels are scaled to [-1, 1].

## Recipe
{f["epochs"]} epochs, {f["steps"]:,} steps of {f["batch"]} images ({f["images_seen"]:,} images seen,
{f["seconds_on_one_thread"]:.0f} seconds on one thread of a shared processor). AdamW, learning rate
{f["learning_rate"]:g} with {f["warm_up_steps"]} steps of warm-up and linear decay to zero, betas 0.9 and 0.95, weight
decay 0.1 on matrices, gradient norm clipped at 1, label smoothing {f["label_smoothing"]}, gaussian noise of standard
deviation {f["noise"]} on the pixels, seed {f["seed"]}. Versions: {versions}.

The noise was chosen over small shifts on 300 validation images taken from the training part, after a first recipe with
shifts had reached 436 of 450 on the test images.

To train it again: `python -m reference_impls.bench.make digits`.

## Accuracy
{f["test_right"]} of {f["test_images"]} test images right: {100 * f["test_accuracy"]:.2f} %. One image is
{100 / f["test_images"]:.2f} points, so differences of a few images between methods mean nothing.

SHA-256 of `model.safetensors`: `{f["sha256"]}`

## Limits
Train and test images come from the same 13 writers. With 17 tokens, merging tokens hardly saves time here; the accuracy
side of such methods is what it shows.
"""
    (assets.path(assets.DIGITS) / "README.md").write_text(card, encoding="utf-8")


def _figures(folder: str) -> dict[str, Any]:
    return json.loads((assets.path(folder) / "training.json").read_text(encoding="utf-8"))
