"""The bundled models load without a network and are as good as their cards say; the texts fit their manifest."""

import hashlib
import json
import socket

import pytest
import torch
from torch.nn import functional as F

from reference_impls.bench import assets
from reference_impls.core.vision_transformer import VisionTransformer

MANIFEST = json.loads(assets.path("text", "manifest.json").read_text(encoding="utf-8"))
LANGUAGE_FIGURES = json.loads(assets.path(assets.LANGUAGE, "training.json").read_text(encoding="utf-8"))
DIGITS_FIGURES = json.loads(assets.path(assets.DIGITS, "training.json").read_text(encoding="utf-8"))


def sha256(*parts: str) -> str:
    return hashlib.sha256(assets.path(*parts).read_bytes()).hexdigest()


@pytest.fixture(scope="module")
def language():
    from transformers import AutoModelForCausalLM, AutoTokenizer

    def refuse(*_: object) -> None:
        raise AssertionError("loading a bundled model reached for the network")

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HF_HUB_OFFLINE", "1")
        patch.setattr(socket.socket, "connect", refuse)
        folder = assets.path(assets.LANGUAGE)
        return AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32), AutoTokenizer.from_pretrained(folder)


@pytest.mark.parametrize("domain", assets.DOMAINS)
def test_the_language_model_scores_as_its_card_says(language, domain):
    model, tokenizer = language
    ids = torch.tensor(tokenizer(assets.text("test", domain), verbose=False)["input_ids"][: 8 * 256]).view(8, 256)
    with torch.no_grad():
        logits = model(ids).logits
    perplexity = F.cross_entropy(logits[:, :-1].flatten(0, 1), ids[:, 1:].flatten()).exp().item()
    assert perplexity == pytest.approx(LANGUAGE_FIGURES["test_perplexity_of_first_windows"][domain], rel=2e-3)


def test_the_language_model_has_the_shape_that_the_bench_expects(language):
    model, tokenizer = language
    c = model.config
    assert (c.hidden_size, c.num_hidden_layers, c.intermediate_size) == (128, 4, 256)
    assert (c.num_attention_heads, c.num_key_value_heads, c.head_dim) == (4, 2, 32)
    assert c.tie_word_embeddings and c.vocab_size == len(tokenizer) == 2048
    assert sum(p.numel() for p in model.parameters()) == LANGUAGE_FIGURES["parameters"] == 853_120


@pytest.mark.parametrize("text", ["In the beginning", " two  spaces\n\tand a tab\n", "naïve café – 你好 🙂", ""])
def test_the_tokenizer_gives_back_any_text(language, text):
    _, tokenizer = language
    assert tokenizer.decode(tokenizer(text)["input_ids"]) == text


@pytest.mark.parametrize("folder, figures", [(assets.LANGUAGE, LANGUAGE_FIGURES), (assets.DIGITS, DIGITS_FIGURES)])
def test_the_card_names_the_weights_that_lie_beside_it(folder, figures):
    card = assets.path(folder, "README.md").read_text(encoding="utf-8")
    assert sha256(folder, "model.safetensors") == figures["sha256"]
    assert figures["sha256"] in card


def test_the_language_card_shows_the_measured_perplexities():
    card = assets.path(assets.LANGUAGE, "README.md").read_text(encoding="utf-8")
    rows = [line for line in card.splitlines() if line.startswith("| ")]
    for domain, perplexity in LANGUAGE_FIGURES["test_perplexity"].items():
        (row,) = [row for row in rows if row.startswith(f"| {domain} |")]
        assert row.endswith(f"| {perplexity:.2f} |")


def test_the_digits_model_is_as_accurate_as_its_card_says():
    model = VisionTransformer.from_pretrained(assets.path(assets.DIGITS))
    images, labels = assets.digits("test")
    with torch.no_grad():
        right = int((model(images).argmax(-1) == labels).sum())
    assert len(labels) == DIGITS_FIGURES["test_images"]
    # Another processor may round one image that lies on the border to the other side.
    assert abs(right - DIGITS_FIGURES["test_right"]) <= 1
    assert right / len(labels) >= 0.98


def test_digits_are_split_without_overlap():
    train, test = assets.digits("train")[0], assets.digits("test")[0]
    assert (len(train), len(test)) == (1347, 450)
    assert train.min() == -1 and train.max() == 1
    as_bytes = [{image.numpy().tobytes() for image in images} for images in (train, test)]
    assert not as_bytes[0] & as_bytes[1]


def test_the_manifest_lists_every_text_with_its_size_and_checksum():
    folder = assets.path("text")
    assert set(MANIFEST["files"]) == {str(p.relative_to(folder)) for p in folder.rglob("*.txt")}
    assert set(MANIFEST["files"]) == {f"{split}/{domain}.txt" for split in assets.SPLITS for domain in assets.DOMAINS}
    for name, entry in MANIFEST["files"].items():
        assert entry["bytes"] == assets.path("text", name).stat().st_size
        assert entry["sha256"] == sha256("text", name)
        assert entry["packages"] and all(entry["packages"].values())


@pytest.mark.parametrize("domain", assets.DOMAINS)
def test_training_and_test_text_do_not_overlap(domain):
    calibration, test = (MANIFEST["files"][f"{split}/{domain}.txt"] for split in assets.SPLITS)
    assert all(block % 20 == 19 for block in test["blocks"])
    assert all(block % 20 != 19 for block in calibration["blocks"])
    seen = set(assets.text("calibration", domain).splitlines())
    # Single lines may recur (an evangelist repeats a verse, a program repeats a statement); passages do not.
    lines = [line for line in assets.text("test", domain).splitlines() if len(line) >= 60]
    assert len(lines) > 100
    assert sum(line in seen for line in lines) <= 0.01 * len(lines)


def test_assets_stay_small():
    sizes = {p: p.stat().st_size for p in assets.ROOT.rglob("*") if p.is_file()}
    assert max(sizes.values()) < 3_000_000
    assert sum(sizes.values()) < 6_000_000


def test_the_notice_keeps_what_the_licences_ask_for():
    notice = assets.path("NOTICE").read_text(encoding="utf-8")
    for needed in (
        "WordNet 3.0 Copyright 2006 by Princeton University.  All rights reserved.",
        "PYTHON SOFTWARE FOUNDATION LICENSE VERSION 2",
        "Copyright (c) 2001-2023 Python Software Foundation",
        "Copyright 2016-2017 Julia Silge",
        "This file is provided for unrestricted use provided that this\nlegend is included",
    ):
        assert needed in notice


@pytest.mark.parametrize(
    "split, domain, hint",
    [("test", "wordnett", "'wordnet'"), ("tests", "bible", "'test'"), ("test", "klingon", "one of")],
)
def test_an_unknown_text_is_refused_with_the_nearest_name(split, domain, hint):
    with pytest.raises(ValueError, match=hint):
        assets.text(split, domain)


def test_a_missing_file_is_named():
    with pytest.raises(FileNotFoundError, match="language/xl"):
        assets.path("language/xl")
