"""The benches for methods that train: adapting a model, distilling into a small one, training another design."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import asdict
from functools import cached_property
from typing import Any

import torch
from torch import nn

from reference_impls.bench import models
from reference_impls.bench.bench import (
    Bench,
    Counted,
    Metrics,
    Outcome,
    parameters_of,
    seeded,
    storage_metrics,
    stored_whole,
)
from reference_impls.bench.composition import Step
from reference_impls.bench.measure import (
    Cost,
    Progress,
    Reference,
    cost_of,
    forward_of,
    language_metrics,
    pass_metrics,
)
from reference_impls.bench.protocol import ADAPTATION, DISTILLATION, SMALL_TRAINING, Protocol, Text
from reference_impls.core.training import batches, train
from reference_impls.core.transformer import Transformer, TransformerConfig

FULL_FINE_TUNING = "full-fine-tuning"

STUDENT = {"width": 64, "layers": 2, "heads": 2, "kv_heads": 1, "ffn": 128}
SMALL = {"width": 64, "layers": 4, "heads": 2, "kv_heads": 1, "ffn": 128}


class TrainingBench(Bench):
    """What the three share: text, batches drawn by the seed, and the quality of a trained model."""

    def __init__(self, protocol: Protocol, loaded: models.LoadedModel, device: torch.device,
                 progress: Progress | None) -> None:  # fmt: skip
        self.protocol, self.loaded, self.device, self._progress = protocol, loaded, device, progress
        self.model_name, self.model_hash = loaded.name, loaded.hash
        budget = protocol.training
        if loaded.context < max(protocol.sequence_length, budget.length):
            raise ValueError(
                f"{loaded.name} has a context of {loaded.context} tokens; {protocol.label} needs "
                f"{protocol.sequence_length}"
            )
        self.text = Text(protocol, loaded.encode, protocol.sequence_length)
        self.vocabulary = loaded.model.get_output_embeddings().weight.shape[0]

    def batches(self, seed: int, what: str, steps: int) -> Counted:
        """The seed's batches (batch, length), counted as steps of `what`."""
        budget = self.protocol.training
        drawn = batches(self.text.stream(), batch=budget.batch, length=budget.length, generator=seeded(seed))
        return Counted((ids.to(self.device) for ids in drawn), what, steps, self._progress)

    def details(self) -> dict[str, Any]:
        budget = self.protocol.training
        return {
            "data": f"{', '.join(self.protocol.domains)}: trained on the calibration text, measured on the test text",
            "data_hash": self.text.hash,
            "sequence_length": self.protocol.sequence_length,
            "test_tokens": self.text.test.shape[0] * (self.protocol.sequence_length - 1),
            "training": {name: value for name, value in asdict(budget).items() if value is not None},
        }

    def quality(self, model: nn.Module, reference: Reference | None) -> Metrics:
        forward, batch = forward_of(model), self.text.test[:8]
        return {
            **language_metrics(forward, self.text.test, self.device, self.vocabulary, reference),
            **pass_metrics(forward, batch, batch.numel(), self.device, "tokens_per_second"),
        }


class AdaptationBench(TrainingBench):
    """A trained model is adapted to text that it never saw; the control is fine-tuning all of its weights.

    Stored, and counted as bytes, is what is trained; the model itself is shared by all adaptations.
    """

    def __init__(self, loaded: models.LoadedModel, device: torch.device, progress: Progress | None = None) -> None:
        super().__init__(ADAPTATION, loaded, device, progress)

    @cached_property
    def _dense(self) -> Outcome:
        model = self.loaded.model.to(self.device)
        storage = stored_whole(model)
        metrics = {
            **self.quality(model, None),
            **storage_metrics(storage, parameters_of(model)),
            "trained_parameters": 0,
        }
        return Outcome(metrics, storage, model, exportable=True)

    @cached_property
    def reference(self) -> Reference:
        model = self.loaded.model.to(self.device)
        return Reference(model, model.get_output_embeddings(), self.text.test, self.device)

    def dense(self, seed: int) -> Outcome:
        return self._dense

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
        student = self.loaded.fresh().to(self.device).requires_grad_(True)
        with cost_of(self.device) as cost:
            drawn = self.batches(seed, f"{FULL_FINE_TUNING}: training", budget)
            train(student, drawn, steps=budget, learning_rate=self.protocol.training.learning_rate)
        return FULL_FINE_TUNING, self._outcome(student, cost[0], merge=None)

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
        }
        # The stored part is measured apart from the model; a saved copy for transformers has it folded in.
        exported = student if merge is None else merge(student)
        return Outcome(metrics, storage, exported, exportable=True)


class DistillationBench(TrainingBench):
    """A small Transformer learns from the model; the uncompressed model is that teacher."""

    def __init__(self, loaded: models.LoadedModel, device: torch.device, progress: Progress | None = None) -> None:
        super().__init__(DISTILLATION, loaded, device, progress)

    @cached_property
    def reference(self) -> Reference:
        model = self.loaded.model.to(self.device)
        return Reference(model, model.get_output_embeddings(), self.text.test, self.device)

    @cached_property
    def _dense(self) -> Outcome:
        model = self.loaded.model.to(self.device)
        storage = stored_whole(model)
        metrics = {
            **self.quality(model, None),
            **storage_metrics(storage, parameters_of(model)),
            "parameters": parameters_of(model),
        }
        return Outcome(metrics, storage, model, exportable=True)

    def dense(self, seed: int) -> Outcome:
        return self._dense

    def measure(self, steps: Sequence[Step], seed: int) -> Outcome:
        (step,) = steps
        options = dict(step.options)
        budget = options.pop("steps", self.protocol.training.steps)
        config = TransformerConfig(vocab=self.vocabulary, context=self.protocol.sequence_length, **STUDENT)
        student = Transformer(config, generator=seeded(seed)).to(self.device)
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
            **storage_metrics(storage, parameters_of(self.loaded.model)),
            "parameters": parameters_of(student),
            "seconds": cost[0].seconds,
            "peak_memory_bytes": cost[0].peak_memory_bytes,
        }
        return Outcome(metrics, storage, student, exportable=type(student) is Transformer)

    def details(self) -> dict[str, Any]:
        return {**super().details(), "student": STUDENT}


class SmallTrainingBench(TrainingBench):
    """A Transformer with another part, trained from the start; uncompressed is the plain one, trained alike."""

    def __init__(self, loaded: models.LoadedModel, device: torch.device, progress: Progress | None = None) -> None:
        super().__init__(SMALL_TRAINING, loaded, device, progress)
        # The model lends its tokenizer and nothing else.
        self.model_name, self.model_hash = "bench Transformer, trained here", ""
        self._trained: dict[int, tuple[Outcome, Reference]] = {}

    @property
    def config(self) -> TransformerConfig:
        return TransformerConfig(vocab=self.vocabulary, context=self.protocol.sequence_length, **SMALL)

    def dense(self, seed: int) -> Outcome:
        return self._dense(seed)[0]

    def _dense(self, seed: int) -> tuple[Outcome, Reference]:
        if seed not in self._trained:
            model, cost = self._train("uncompressed Transformer", {}, seed)
            reference = Reference(model, model.head, self.text.test, self.device)
            self._trained[seed] = self._outcome(model, cost, reference, parameters_of(model), dense=True), reference
        return self._trained[seed]

    def measure(self, steps: Sequence[Step], seed: int) -> Outcome:
        dense, reference = self._dense(seed)
        parts = {}
        for step in steps:
            parts[step.contract.slot] = _part(step)
        model, cost = self._train("+".join(step.id for step in steps), parts, seed)
        return self._outcome(model, cost, reference, parameters_of(dense.model))

    def details(self) -> dict[str, Any]:
        return {**super().details(), "config": SMALL, "tokenizer": self.loaded.name}

    def _train(self, name: str, parts: dict[str, Any], seed: int) -> tuple[nn.Module, Cost]:
        model = Transformer(self.config, **parts, generator=seeded(seed)).to(self.device)
        steps = self.protocol.training.steps
        with cost_of(self.device) as cost:
            drawn = self.batches(seed, f"{name}: training", steps)
            train(model, drawn, steps=steps, learning_rate=self.protocol.training.learning_rate)
        return model, cost[0]

    def _outcome(self, model: nn.Module, cost: Cost, reference: Reference, dense_weights: int,
                 dense: bool = False) -> Outcome:  # fmt: skip
        storage = stored_whole(model)
        metrics = {
            **self.quality(model, None if dense else reference),
            **storage_metrics(storage, dense_weights),
            "parameters": parameters_of(model),
            "seconds": cost.seconds,
            "peak_memory_bytes": cost.peak_memory_bytes,
        }
        return Outcome(metrics, storage, model)


def _part(step: Step) -> Any:
    return lambda config: step.function(config, **step.options)
