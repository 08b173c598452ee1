"""What the benches of methods that train share: text, batches drawn by the seed, quality of a trained model."""

from __future__ import annotations

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
from reference_impls.bench.measure import Progress, Reference, forward_of, language_metrics, pass_metrics
from reference_impls.bench.protocol import Protocol, Text
from reference_impls.core.training import batches


class TrainingBench(Bench):
    """A protocol with a training budget, on the text that a loaded model's tokenizer cuts."""

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

    @cached_property
    def reference(self) -> Reference:
        """The loaded model's answers on the test windows."""
        model = self.loaded.model.to(self.device)
        return Reference(model, model.get_output_embeddings(), self.text.test, self.device)

    @cached_property
    def loaded_whole(self) -> Outcome:
        """The loaded model itself, measured once."""
        model = self.loaded.model.to(self.device)
        storage = stored_whole(model)
        metrics = {**self.quality(model, None), **storage_metrics(storage, parameters_of(model))}
        return Outcome(metrics, storage, model, exportable=True)

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
