"""Measurements: what `compzoo bench` wrote into catalog/measurements/<id>.json, typed.

A measurement is stale where the code that it names has changed since: its hash covers the algorithm's module and all
of reference_impls that the module comes to import.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Literal

from pydantic import ConfigDict, Field, StringConstraints, ValidationError

from catalog.code import CodeError, Source, code_hash
from catalog.model import Id, Number, OptionValue, Strict, Text
from catalog.problems import Problem, shown
from catalog.reader import dotted

__all__ = ["Measurement", "code_hash", "read", "stale"]
SIZE_LIMIT = 5_000_000  # bytes


class Protocol(Strict):
    """The setting that all runs of a measurement share. Further keys are carried along."""

    model_config = ConfigDict(strict=True, extra="allow", frozen=True)

    name: Text
    version: int
    model: Text
    seeds: list[int] = Field(min_length=1)


class Metric(Strict):
    """How a measured value is shown."""

    label: Text
    better: Literal["lower", "higher", "neither"]
    unit: str = ""


class Run(Strict):
    """One algorithm under one set of options over all seeds."""

    role: Literal["dense", "baseline", "declared", "sweep"]
    algorithm: Text | None = None
    options: dict[str, OptionValue] = Field(default_factory=dict)
    varied: str | None = Field(None, description="The option that a sweep varies.")
    seeds: list[dict[str, Number | None]] = Field(min_length=1, description="One record a seed: metric to value.")
    median: dict[str, Number | None]
    min: dict[str, Number | None]
    max: dict[str, Number | None]


class Measurement(Strict):
    """catalog/measurements/<id>.json"""

    schema_version: Literal[1] = Field(alias="schema")
    algorithm: Id
    code: Text
    code_hash: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
    date: Annotated[str, StringConstraints(pattern=r"^\d{4}-\d{2}-\d{2}$")]
    protocol: Protocol
    metrics: dict[str, Metric] = Field(min_length=1)
    runs: list[Run] = Field(min_length=1)

    def of_role(self, role: str) -> list[Run]:
        """The runs with one role, in the order of the file."""
        return [run for run in self.runs if run.role == role]


def read(path: Path, file: str | None = None) -> tuple[Measurement | None, list[Problem]]:
    """One measurement, or None with what is wrong with it."""
    file = file or str(path)
    try:
        if path.stat().st_size > SIZE_LIMIT:
            return None, [Problem(file, 1, "", "the file is too large", expected=f"at most {SIZE_LIMIT:,} bytes")]
        data = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        return None, [Problem(file, 1, "", f"the file cannot be read ({error})", expected="JSON in UTF-8")]
    except (json.JSONDecodeError, RecursionError) as error:
        line = getattr(error, "lineno", 1)
        return None, [Problem(file, line, "", f"this is not JSON ({getattr(error, 'msg', error)})",
                              expected="the file as `compzoo bench` wrote it")]
    try:
        measurement = Measurement.model_validate(data)
    except ValidationError as error:
        return None, [
            Problem(file, 1, dotted(tuple(item["loc"])), item["msg"], value=shown(item["input"]),
                    expected="the file as `compzoo bench` wrote it")
            for item in error.errors(include_url=False)
        ]
    if measurement.algorithm != path.stem:
        return None, [Problem(file, 1, "algorithm", "not the name of the file", value=shown(measurement.algorithm),
                              expected=shown(path.stem))]
    return measurement, []


def stale(measurement: Measurement, source: Source | Path | None = None) -> bool:
    """Whether the code has changed (or gone) since the measurement was taken."""
    if not isinstance(source, Source):
        source = Source(source or Path(__file__).resolve().parent.parent)
    try:
        return source.hash(measurement.code) != measurement.code_hash
    except CodeError:
        return True
