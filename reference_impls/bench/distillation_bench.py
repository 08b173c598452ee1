"""The bench for distilling a trained model into a small Transformer, or into a shallower copy of itself."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import nn

from reference_impls.bench import models, protocol
from reference_impls.bench.bench import Outcome, parameters_of, seeded, storage_metrics, stored_whole
from reference_impls.bench.composition import Step
from reference_impls.bench.measure import Progress, cost_of, own_text_divergence
from reference_impls.bench.training_bench import TrainingBench
from reference_impls.core.transformer import Transformer, TransformerConfig

STUDENT = {"width": 64, "layers": 2, "heads": 4, "kv_heads": 2, "ffn": 128}
"""As many heads as the bundled model has: methods that compare attention head by head need that."""
OWN_TEXT = 8
"""The text that a student writes has a prompt and a continuation of one in so many tokens of a window each."""


class DistillationBench(TrainingBench):
    """A student learns from the model; the uncompressed model is that teacher.

    The student is a small Transformer drawn by the seed, or a copy of the model where the method's contract asks for it
    (`student="copy"`), of which the method keeps a part.
    """

    def __init__(self, loaded: models.LoadedModel, device: torch.device, progress: Progress | None = None) -> None:
        super().__init__(protocol.DISTILLATION, loaded, device, progress)

    def dense(self, seed: int) -> Outcome:
        teacher = self.loaded_whole
        return replace(
            teacher, metrics={**teacher.metrics, "own_text_kl": 0.0, "parameters": parameters_of(teacher.model)}
        )

    def measure(self, steps: Sequence[Step], seed: int) -> Outcome:
        (step,) = steps
        options = dict(step.options)
        budget = options.pop("steps", self.protocol.training.steps)
        student = self._student(step, seed).to(self.device)
        with cost_of(self.device) as cost:
            student = step.function(
                student,
                self.loaded.model.to(self.device),
                self.batches(seed, f"{step.id}: training", budget),
                steps=budget,
                generator=seeded(seed),
                **options,
            )
        storage = stored_whole(student)
        metrics = {
            **self.quality(student, self.reference),
            "own_text_kl": self._own_text(student, seed),
            **storage_metrics(storage, parameters_of(self.loaded.model)),
            "parameters": parameters_of(student),
            "seconds": cost[0].seconds,
            "peak_memory_bytes": cost[0].peak_memory_bytes,
        }
        return Outcome(metrics, storage, student, exportable=type(student) in (Transformer, type(self.loaded.model)))

    def _student(self, step: Step, seed: int) -> nn.Module:
        if step.contract.student == "copy":
            return self.loaded.fresh()
        config = TransformerConfig(vocab=self.vocabulary, context=self.protocol.sequence_length, **STUDENT)
        return Transformer(config, generator=seeded(seed))

    def _own_text(self, student: nn.Module, seed: int) -> float:
        length = self.protocol.sequence_length // OWN_TEXT
        prompts = self.text.test[:, :length].to(self.device)
        return own_text_divergence(student, self.loaded.model, prompts, length, seeded(seed))

    def details(self) -> dict[str, Any]:
        length = self.protocol.sequence_length // OWN_TEXT
        own_text = {"prompts": self.text.test.shape[0], "prompt": length, "continuation": length}
        return {**super().details(), "student": STUDENT, "own_text": own_text}
