"""Trains the bundled Llama "S" on the training blocks, measures it on held-out text and saves it."""

from __future__ import annotations

import hashlib
import json
import math
import platform
import time
from pathlib import Path

import torch
import transformers
from torch.nn import functional as F
from transformers import AutoModelForCausalLM, AutoTokenizer, LlamaConfig, LlamaForCausalLM

from reference_impls.bench import assets
from reference_impls.bench.make.cards import write_language_card
from reference_impls.bench.make.text import Domain, read_domain
from reference_impls.bench.make.tokenizer import CONTEXT, END_OF_TEXT, VOCABULARY

SEED = 0
EPOCHS = 2
BATCH = 32  # sequences of CONTEXT tokens
LEARNING_RATE = 3e-3
WARM_UP_STEPS = 40


def configuration() -> LlamaConfig:
    """The shape of "S": 0.85M parameters, grouped-query attention, tied embedding."""
    return LlamaConfig(
        vocab_size=VOCABULARY,
        hidden_size=128,
        intermediate_size=256,
        num_hidden_layers=4,
        num_attention_heads=4,
        num_key_value_heads=2,
        head_dim=32,
        max_position_embeddings=CONTEXT,
        tie_word_embeddings=True,
        bos_token_id=0,
        eos_token_id=0,
        pad_token_id=0,
    )


def make_language(scratch: Path, download: bool) -> None:
    """Train "S" and write it with its figures into assets/language/s. Progress goes to standard output."""
    torch.set_num_threads(1)
    torch.manual_seed(SEED)
    target = assets.ROOT / assets.LANGUAGE
    tokenizer = AutoTokenizer.from_pretrained(target, local_files_only=True)
    domains = [read_domain(name, scratch, download) for name in assets.TRAINING_DOMAINS]
    tokens = {domain.name: _training_tokens(tokenizer, domain) for domain in domains}
    stream = torch.cat(list(tokens.values()))

    model = LlamaForCausalLM._from_config(configuration(), attn_implementation="eager", dtype=torch.float32)
    started = time.perf_counter()
    steps, last_loss = train(model, stream)
    seconds = time.perf_counter() - started
    model.to(torch.bfloat16).save_pretrained(target)

    stored = AutoModelForCausalLM.from_pretrained(target, dtype=torch.float32, local_files_only=True)
    tests = {name: assets.text("test", name) for name in assets.DOMAINS}
    losses = {name: held_out_loss(stored, tokenizer, text) for name, text in tests.items()}
    whole = [held_out_loss(stored, tokenizer, "".join(d.blocks[i] for i in d.held_out)) for d in domains]
    trained_on = [losses[name] for name in assets.TRAINING_DOMAINS]
    weights = target / "model.safetensors"
    figures = {
        "parameters": sum(p.numel() for p in stored.parameters()),
        "seed": SEED,
        "epochs": EPOCHS,
        "steps": steps,
        "batch": [BATCH, CONTEXT],
        "warm_up_steps": WARM_UP_STEPS,
        "tokens_an_epoch": len(stream),
        "tokens_an_epoch_by_domain": {name: len(ids) for name, ids in tokens.items()},
        "tokens_seen": steps * BATCH * CONTEXT,
        "training_bytes": sum(len(run.encode()) for domain in domains for run in domain.training_runs()),
        "seconds_on_one_thread": round(seconds, 1),
        "training_loss_of_last_100_steps": round(last_loss, 4),
        "sha256": hashlib.sha256(weights.read_bytes()).hexdigest(),
        "bytes": weights.stat().st_size,
        "test_perplexity": {name: round(math.exp(nats / count), 4) for name, (nats, count) in losses.items()},
        "test_perplexity_of_first_windows": first_windows(stored, tokenizer),
        "test_tokens": {name: count for name, (_, count) in losses.items()},
        "test_perplexity_of_the_training_domains": round(_perplexity(trained_on), 4),
        "perplexity_on_all_held_out_blocks": round(_perplexity(whole), 4),
        "tokens_of_all_held_out_blocks": sum(count for _, count in whole),
        "packages": {package: version for domain in domains for package, version in domain.versions.items()},
        "versions": {
            "python": platform.python_version(),
            "torch": torch.__version__,
            "transformers": transformers.__version__,
        },
    }
    (target / "training.json").write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")
    write_language_card()
    print(json.dumps(figures, indent=1), flush=True)


def _training_tokens(tokenizer: transformers.PreTrainedTokenizerBase, domain: Domain) -> torch.Tensor:
    """The domain's training runs as one stream of token ids, each run after an end-of-text token. Shape (tokens,)."""
    ids: list[int] = []
    for run in tokenizer(domain.training_runs(), add_special_tokens=False, verbose=False)["input_ids"]:
        ids += [tokenizer.convert_tokens_to_ids(END_OF_TEXT), *run]
    return torch.tensor(ids, dtype=torch.int64)


def train(model: LlamaForCausalLM, stream: torch.Tensor, most_steps: int | None = None) -> tuple[int, float]:
    """Train on `stream` (token ids, shape (tokens,)) for EPOCHS; return the steps and the mean loss of the last 100.

    AdamW, betas 0.9 and 0.95, weight decay 0.1 on matrices only, gradient norm clipped at 1, linear warm-up and linear
    decay to zero. Each epoch cuts the stream at another random offset into sequences and draws them in random order.
    """
    generator = torch.Generator().manual_seed(SEED)
    matrices = [p for p in model.parameters() if p.ndim >= 2]
    vectors = [p for p in model.parameters() if p.ndim < 2]
    groups = [{"params": matrices, "weight_decay": 0.1}, {"params": vectors, "weight_decay": 0.0}]
    optimizer = torch.optim.AdamW(groups, lr=LEARNING_RATE, betas=(0.9, 0.95), fused=True)
    sequences = (len(stream) - CONTEXT - 1) // CONTEXT  # leaves room for the offset and for the last target
    batches = sequences // BATCH
    total = EPOCHS * batches

    def loss_of(inputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        with torch.autocast("cpu", dtype=torch.bfloat16):
            logits = model(inputs, use_cache=False).logits  # (batch, context, vocabulary)
        return F.cross_entropy(logits.float().flatten(0, 1), targets.flatten())

    compiled = torch.compile(loss_of)
    model.train()
    losses: list[float] = []
    started = time.perf_counter()
    for epoch in range(EPOCHS):
        offset = int(torch.randint(CONTEXT, (), generator=generator))
        order = torch.randperm(sequences, generator=generator)
        for batch in range(batches):
            step = epoch * batches + batch
            rate = min((step + 1) / WARM_UP_STEPS, (total - step) / (total - WARM_UP_STEPS))
            for group in optimizer.param_groups:
                group["lr"] = LEARNING_RATE * rate
            starts = offset + CONTEXT * order[batch * BATCH : (batch + 1) * BATCH]
            chunk = stream[starts[:, None] + torch.arange(CONTEXT + 1)]  # (batch, context + 1)
            loss = compiled(chunk[:, :-1], chunk[:, 1:])
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
            losses.append(loss.item())
            if step % 50 == 0 or step == total - 1:
                seen = (step + 1) * BATCH * CONTEXT
                speed = seen / (time.perf_counter() - started)
                mean = sum(losses[-50:]) / len(losses[-50:])
                print(f"step {step + 1}/{total}: loss {mean:.3f}, {seen} tokens, {speed:.0f} tokens/s", flush=True)
            if most_steps is not None and step + 1 >= most_steps:
                return step + 1, sum(losses[-100:]) / len(losses[-100:])
    return total, sum(losses[-100:]) / len(losses[-100:])


@torch.no_grad()
def held_out_loss(
    model: LlamaForCausalLM, tokenizer: transformers.PreTrainedTokenizerBase, text: str, windows: int | None = None
) -> tuple[float, int]:
    """Summed cross-entropy in nats and the number of predicted tokens, over windows of CONTEXT that do not overlap.

    The first token of each window is context only; a last, shorter window is left out. `windows` limits their number.
    """
    ids = torch.tensor(tokenizer(text, add_special_tokens=False, verbose=False)["input_ids"])
    inputs = ids[: len(ids) // CONTEXT * CONTEXT].view(-1, CONTEXT)[:windows]  # (windows, context)
    model.eval()
    nats = 0.0
    for batch in inputs.split(16):
        logits = model(batch, use_cache=False).logits[:, :-1].float()
        nats += F.cross_entropy(logits.flatten(0, 1), batch[:, 1:].flatten(), reduction="sum").item()
    return nats, inputs.shape[0] * (CONTEXT - 1)


def first_windows(
    model: LlamaForCausalLM, tokenizer: transformers.PreTrainedTokenizerBase, windows: int = 8
) -> dict[str, float]:
    """Perplexity on the first windows of each domain's test text: what the tests measure again, because it is quick."""
    return {
        name: round(_perplexity([held_out_loss(model, tokenizer, assets.text("test", name), windows)]), 4)
        for name in assets.DOMAINS
    }


def _perplexity(losses: list[tuple[float, int]]) -> float:
    return math.exp(sum(nats for nats, _ in losses) / sum(count for _, count in losses))
