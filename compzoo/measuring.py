"""Measures a catalog entry over several seeds and writes catalog/measurements/<id>.json.

Each finished measurement also goes into a file of the user's cache at once, so that an interrupted run goes on where it
stopped. What that file holds counts only for the same code under the same protocol.
"""

from __future__ import annotations

import datetime
import hashlib
import json
import os
import statistics
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import catalog
from catalog.measurements import code_hash
from compzoo import recipes as reading
from compzoo.recipes import Recipe

Progress = Callable[[str, int, int], None]
SCHEMA = 1
DENSE = "dense"


def measurements_folder() -> Path:
    return Path(catalog.__file__).parent / "measurements"


def measure_entry(
    entry: Recipe,
    seeds: Sequence[int],
    *,
    force: bool = False,
    progress: Progress | None = None,
    folder: Path | None = None,
) -> tuple[str, Path]:
    """Bring the measurement of one entry up to date; ("measured" or "up to date", its file).

    A seed changes what the protocol's `varies` says and nothing else. Raises what the bench raises.
    """
    from reference_impls.bench.composition import Method, plan
    from reference_impls.bench.run import make_bench, measured, shown_metrics

    def steps_of(algorithm: str, options: dict[str, Any]) -> Any:
        other = entry if algorithm == entry.id else reading.recipe(algorithm)
        return plan([Method(algorithm, other.function(), {}, reading.tuples(other, options))])

    path = (folder or measurements_folder()) / f"{entry.id}.json"
    steps = steps_of(entry.id, entry.options)
    bench = make_bench(steps, entry.model, "cpu", progress)
    protocol = bench.record(seeds)
    if entry.baseline is not None and entry.baseline[0] != entry.id:
        # The entry's own hash does not cover the code of another algorithm.
        protocol["baseline_code_hash"] = code_hash(reading.recipe(entry.baseline[0]).code)
    planned = planned_runs(entry, bench.baseline_of_protocol)
    current = code_hash(entry.code)
    if not force and up_to_date(path, current, protocol, planned):
        relabel(path, shown_metrics)
        return "up to date", path

    cache = Partial(entry.id, {"code_hash": current, "protocol": {**protocol, "seeds": None}}, fresh=force)
    runs = []
    for run in planned:
        records = []
        for seed in seeds:
            key = json.dumps([run["role"] == DENSE, run["algorithm"], run["options"], seed], sort_keys=True)
            found = cache.get(key)
            if found is None:
                if run["role"] == DENSE:
                    found = bench.dense(seed).metrics
                elif run["algorithm"] == bench.baseline_of_protocol:
                    found = bench.control(steps, seed)[1].metrics
                else:
                    found = measured(bench, steps_of(run["algorithm"], run["options"]), seed).metrics
                cache.put(key, found)
            records.append({"seed": seed, **found})
        runs.append({**run, "seeds": records, **spread(records)})
    document = {
        "schema": SCHEMA,
        "algorithm": entry.id,
        "code": entry.code,
        "code_hash": current,
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "protocol": protocol,
        "metrics": shown_metrics(*(run["median"] for run in runs)),
        "runs": runs,
    }
    write_atomically(path, json.dumps(document, indent=1, allow_nan=False) + "\n")
    cache.drop()
    return "measured", path


def planned_runs(entry: Recipe, control: str | None = None) -> list[dict[str, Any]]:
    """Role, algorithm, options and varied option of every run of an entry, in the order of the file."""
    runs = [{"role": DENSE, "algorithm": None, "options": {}, "varied": None}]
    if entry.baseline is not None:
        algorithm, options = entry.baseline
        runs.append({"role": "baseline", "algorithm": algorithm, "options": options, "varied": None})
    elif control is not None:
        runs.append({"role": "baseline", "algorithm": control, "options": {}, "varied": None})
    runs.append({"role": "declared", "algorithm": entry.id, "options": entry.options, "varied": None})
    for name, values in entry.sweep.items():
        for value in values:
            options = {**entry.options, name: value}
            runs.append({"role": "sweep", "algorithm": entry.id, "options": options, "varied": name})
    return runs


def up_to_date(path: Path, code: str, protocol: dict[str, Any], planned: list[dict[str, Any]]) -> bool:
    """Whether a written measurement has this code, this protocol and these runs."""
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        runs = [{key: run[key] for key in ("role", "algorithm", "options", "varied")} for run in document["runs"]]
        return document["code_hash"] == code and document["protocol"] == protocol and runs == planned
    except (OSError, ValueError, KeyError, TypeError):
        return False


def relabel(path: Path, shown_metrics: Callable[..., Any]) -> None:
    """Write how metrics are shown again, where that has changed; the numbers stay."""
    document = json.loads(path.read_text(encoding="utf-8"))
    metrics = shown_metrics(*(run["median"] for run in document["runs"]))
    if metrics != document["metrics"]:
        write_atomically(path, json.dumps({**document, "metrics": metrics}, indent=1, allow_nan=False) + "\n")


def spread(records: Sequence[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Median, least and greatest value of every metric over the seeds; None where a metric has no value."""
    names = [name for name in records[0] if name != "seed"]
    values = {name: [record[name] for record in records if record.get(name) is not None] for name in names}
    kinds = {"median": statistics.median, "min": min, "max": max}
    return {kind: {n: of(found) if found else None for n, found in values.items()} for kind, of in kinds.items()}


class Partial:
    """Measurements of an entry that is not finished, in the user's cache.

    `belongs_to` is what they were taken under; a file of anything else is forgotten.
    """

    def __init__(self, algorithm: str, belongs_to: dict[str, Any], fresh: bool = False) -> None:
        from reference_impls.bench.models import cache_folder

        # Several copies of the project on one machine must not share an unfinished measurement.
        place = hashlib.sha256(str(measurements_folder()).encode()).hexdigest()[:12]
        self.path = cache_folder() / "bench" / place / f"{algorithm}.json"
        self.belongs_to = belongs_to
        self.found: dict[str, Any] = {}
        if fresh:
            return
        try:
            document = json.loads(self.path.read_text(encoding="utf-8"))
            if document["belongs_to"] == belongs_to:
                self.found = document["found"]
        except (OSError, ValueError, KeyError, TypeError):
            pass

    def get(self, key: str) -> dict[str, Any] | None:
        return self.found.get(key)

    def put(self, key: str, metrics: dict[str, Any]) -> None:
        self.found[key] = metrics
        write_atomically(self.path, json.dumps({"belongs_to": self.belongs_to, "found": self.found}, allow_nan=False))

    def drop(self) -> None:
        self.path.unlink(missing_ok=True)


def write_atomically(path: Path, text: str) -> None:
    """Write beside and rename: a reader, or an interruption, never sees half a file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        unfinished.write_text(text, encoding="utf-8")
        unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)
