"""Trains the bundled vision transformer on scikit-learn's digits, measures it on held-out images and saves it."""

from __future__ import annotations

import hashlib
import json
import platform
import time

import sklearn
import torch
from torch.nn import functional as F

from reference_impls.bench import assets
from reference_impls.bench.make.cards import write_digits_card
from reference_impls.core.vision_transformer import VisionConfig, VisionTransformer

SEED = 0
EPOCHS = 80
BATCH = 64
LEARNING_RATE = 3e-3
WARM_UP_STEPS = 40
LABEL_SMOOTHING = 0.1
NOISE = 0.25  # standard deviation of the gaussian noise added to the pixels, which run from -1 to 1


def make_digits() -> None:
    """Train on the training split and write model, configuration and figures into assets/digits."""
    torch.set_num_threads(1)
    torch.manual_seed(SEED)
    generator = torch.Generator().manual_seed(SEED)
    images, labels = assets.digits("train")
    model = VisionTransformer(VisionConfig())
    matrices = [p for p in model.parameters() if p.ndim >= 2]
    vectors = [p for p in model.parameters() if p.ndim < 2]
    groups = [{"params": matrices, "weight_decay": 0.1}, {"params": vectors, "weight_decay": 0.0}]
    optimizer = torch.optim.AdamW(groups, lr=LEARNING_RATE, betas=(0.9, 0.95), fused=True)
    batches = len(images) // BATCH
    total = EPOCHS * batches
    started = time.perf_counter()
    for step in range(total):
        if step % batches == 0:
            order = torch.randperm(len(images), generator=generator)
        chosen = order[step % batches * BATCH : (step % batches + 1) * BATCH]
        rate = min((step + 1) / WARM_UP_STEPS, (total - step) / (total - WARM_UP_STEPS))
        for group in optimizer.param_groups:
            group["lr"] = LEARNING_RATE * rate
        noise = NOISE * torch.randn(images[chosen].shape, generator=generator)
        logits = model(images[chosen] + noise)
        loss = F.cross_entropy(logits, labels[chosen], label_smoothing=LABEL_SMOOTHING)
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        if (step + 1) % (10 * batches) == 0:
            print(f"epoch {(step + 1) // batches}/{EPOCHS}: loss {loss.item():.3f}", flush=True)
    seconds = time.perf_counter() - started

    target = assets.ROOT / assets.DIGITS
    model.save_pretrained(target, dtype=torch.bfloat16)
    stored = VisionTransformer.from_pretrained(target)
    test_images, test_labels = assets.digits("test")
    with torch.no_grad():
        right = int((stored(test_images).argmax(-1) == test_labels).sum())
    weights = (target / "model.safetensors").read_bytes()
    figures = {
        "parameters": sum(p.numel() for p in stored.parameters()),
        "seed": SEED,
        "split_seed": assets.DIGITS_SPLIT_SEED,
        "epochs": EPOCHS,
        "steps": total,
        "batch": BATCH,
        "images_seen": total * BATCH,
        "learning_rate": LEARNING_RATE,
        "warm_up_steps": WARM_UP_STEPS,
        "label_smoothing": LABEL_SMOOTHING,
        "noise": NOISE,
        "seconds_on_one_thread": round(seconds, 1),
        "test_images": len(test_labels),
        "test_right": right,
        "test_accuracy": round(right / len(test_labels), 4),
        "sha256": hashlib.sha256(weights).hexdigest(),
        "bytes": len(weights),
        "versions": {
            "python": platform.python_version(),
            "torch": torch.__version__,
            "scikit-learn": sklearn.__version__,
        },
    }
    (target / "training.json").write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")
    write_digits_card()
    print(json.dumps(figures, indent=1), flush=True)
