"""Trains the byte-level BPE tokenizer of the bundled language model on the training text."""

from __future__ import annotations

from pathlib import Path

from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

from reference_impls.bench import assets
from reference_impls.bench.make.text import read_domain

VOCABULARY = 2048
CONTEXT = 256
END_OF_TEXT = "<|endoftext|>"


def make_tokenizer(scratch: Path, download: bool) -> None:
    """Write tokenizer.json and tokenizer_config.json into assets/language/s."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY,
        special_tokens=[END_OF_TEXT],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    runs = [run for name in assets.TRAINING_DOMAINS for run in read_domain(name, scratch, download).training_runs()]
    tokenizer.train_from_iterator(runs, trainer=trainer)
    wrapped = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        bos_token=END_OF_TEXT,
        eos_token=END_OF_TEXT,
        pad_token=END_OF_TEXT,
        model_max_length=CONTEXT,
        clean_up_tokenization_spaces=False,
    )
    target = assets.ROOT / assets.LANGUAGE
    target.mkdir(parents=True, exist_ok=True)
    wrapped.save_pretrained(target)
    print(f"{assets.LANGUAGE}: {len(wrapped)} tokens", flush=True)
