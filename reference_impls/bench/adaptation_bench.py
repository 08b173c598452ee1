"""The bench for adapting a trained model to text that it never saw."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import nn

from reference_impls.bench import models, protocol
from reference_impls.bench.bench import Outcome, parameters_of, seeded, storage_metrics, stored_whole
from reference_impls.bench.composition import Step
from reference_impls.bench.measure import Cost, Progress, cost_of
from reference_impls.bench.training_bench import TrainingBench
from reference_impls.core.training import train

FULL_FINE_TUNING = "full-fine-tuning"


class AdaptationBench(TrainingBench):
    """A trained model is adapted to text that it never saw; the control is fine-tuning all of its weights.

    Stored, and counted as bytes, is what is trained; the model itself is shared by all adaptations.
    """

    def __init__(self, loaded: models.LoadedModel, device: torch.device, progress: Progress | None = None) -> None:
        super().__init__(protocol.ADAPTATION, loaded, device, progress)
        self._controls: dict[tuple[int, int], Outcome] = {}

    def dense(self, seed: int) -> Outcome:
        return replace(self.loaded_whole, metrics={**self.loaded_whole.metrics, "trained_parameters": 0})

    def measure(self, steps: Sequence[Step], seed: int) -> Outcome:
        (step,) = steps
        options = dict(step.options)
        budget = options.pop("steps", self.protocol.training.steps)
        student = self.loaded.fresh().to(self.device)
        with cost_of(self.device) as cost:
            student = step.function(
                student,
                None,
                self.batches(seed, f"{step.id}: training", budget),
                steps=budget,
                generator=seeded(seed),
                **options,
            )
        return self._outcome(student, cost[0], merge=getattr(sys.modules[step.function.__module__], "merge", None))

    @property
    def baseline_of_protocol(self) -> str:
        return FULL_FINE_TUNING

    def control(self, steps: Sequence[Step], seed: int) -> tuple[str, Outcome]:
        """All weights are trained, on the same batches for as many steps."""
        (step,) = steps
        budget = step.options.get("steps", self.protocol.training.steps)
        if (seed, budget) not in self._controls:
            student = self.loaded.fresh().to(self.device).requires_grad_(True)
            with cost_of(self.device) as cost:
                drawn = self.batches(seed, f"{FULL_FINE_TUNING}: training", budget)
                train(student, drawn, steps=budget, learning_rate=self.protocol.training.learning_rate)
            self._controls[seed, budget] = self._outcome(student, cost[0], merge=None)
        return FULL_FINE_TUNING, self._controls[seed, budget]

    def _outcome(self, student: nn.Module, cost: Cost, merge: Any) -> Outcome:
        trained = {name: p for name, p in student.named_parameters() if p.requires_grad}
        storage = stored_whole(student, only=lambda name, _: name in trained)
        count = sum(p.numel() for p in trained.values())
        metrics = {
            **self.quality(student, self.reference),
            **storage_metrics(storage, parameters_of(self.loaded.model)),
            "trained_parameters": count,
            "seconds": cost.seconds,
            "peak_memory_bytes": cost.peak_memory_bytes,
            **{f"work_{name}": value for name, value in getattr(student, "work", {}).items()},
        }
        # The stored part is measured apart from the model; a saved copy for transformers has it folded in.
        exported = student if merge is None else merge(student)
        return Outcome(metrics, storage, exported, exportable=True)
