"""Measures catalog entries over several seeds and writes catalog/measurements/<id>.json.

On another model than the entry's own: catalog/measurements/<model>/<id>.json, with what the entry says in `also_on`.

Every single measurement also goes into the user's cache at once, under everything that it depends on. So an interrupted
run goes on where it stopped, and what several entries share (the uncompressed model, a common baseline) is measured
once, also where several processes work side by side.
"""

from __future__ import annotations

import datetime
import hashlib
import json
import multiprocessing
import os
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import catalog
from catalog.measurements import code_hash
from compzoo import recipes as reading
from compzoo.recipes import Recipe

Progress = Callable[[str, int, int], None]
SCHEMA = 1
DENSE = "dense"
RECORDS_KEPT = 3 * 24 * 3600
"""Seconds after which a single measurement in the cache is forgotten."""


def measurements_folder() -> Path:
    return Path(catalog.__file__).parent / "measurements"


@dataclass(frozen=True)
class Plan:
    """What `measure_all` was asked for. model: None for each entry's own; folder: where measurements are written."""

    seeds: tuple[int, ...] = (0, 1, 2)
    model: str | None = None
    force: bool = False
    folder: Path | None = None

    def path(self, entry: Recipe) -> Path:
        folder = self.folder or measurements_folder()
        return (folder if self.model in (None, entry.model) else folder / self.model) / f"{entry.id}.json"


@dataclass
class Measured:
    """What became of one entry. state: "measured", "up to date" or "failed", then with the reason in `problem`."""

    algorithm: str
    state: str
    path: Path
    seconds: float = 0.0
    problem: str = ""


def measure_all(
    entries: Sequence[Recipe], plan: Plan, *, jobs: int = 1, progress: Callable[[str], Progress] | None = None
) -> Iterator[Measured]:
    """Bring the measurements of several entries up to date; one result for each, as it is finished.

    jobs: processes side by side. What cannot be measured is reported as failed and does not stop the others.
    progress(name of an entry): what is told how far its measurement is; used where jobs is 1.
    """
    records = Records()
    records.forget(older_than=0 if plan.force else RECORDS_KEPT)
    if jobs == 1:
        measurer = Measurer(plan)
        for entry in entries:
            yield _attempt(measurer, entry, progress(entry.id) if progress else None)
        return
    # Threads of torch do not survive a fork.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(jobs, mp_context=context, initializer=_start_worker, initargs=(plan,)) as pool:
        # What trains takes longest and goes first, so that no process is left alone with it at the end.
        ordered = sorted(entries, key=lambda entry: _last_seconds(plan.path(entry)), reverse=True)
        waiting = [pool.submit(_in_worker, entry) for entry in ordered]
        for finished in as_completed(waiting):
            yield finished.result()


class Measurer:
    """Measures entries one after the other and keeps the models that they share loaded."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.records = Records()
        self._benches: dict[Any, Any] = {}
        self._told: Progress | None = None

    def measure(self, entry: Recipe, progress: Progress | None = None) -> Measured:
        """Bring the measurement of one entry up to date. Raises what the bench raises.

        A seed changes what the protocol's `varies` says and nothing else.
        """
        from reference_impls.bench.run import shown_metrics

        self._told = progress
        on_one_thread()
        started = time.perf_counter()
        entry, path = entry.on(self.plan.model), self.plan.path(entry)
        steps = self._steps(entry, entry.id, entry.options)
        bench = self._bench(steps, entry.model)
        protocol = bench.record(self.plan.seeds)
        if entry.baseline is not None and entry.baseline[0] != entry.id:
            # The entry's own hash does not cover the code of another algorithm.
            protocol["baseline_code_hash"] = code_hash(reading.recipe(entry.baseline[0]).code)
        planned = planned_runs(entry, bench.baseline_of_protocol)
        current = code_hash(entry.code)
        if not self.plan.force and up_to_date(path, current, protocol, planned):
            relabel(path, shown_metrics)
            return Measured(entry.id, "up to date", path)
        runs = []
        for run in planned:
            found = [{"seed": seed, **self._one(entry, bench, steps, run, seed)} for seed in self.plan.seeds]
            runs.append({**run, "seeds": found, **spread(found)})
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
        return Measured(entry.id, "measured", path, time.perf_counter() - started)

    def _one(self, entry: Recipe, bench: Any, steps: Any, run: dict[str, Any], seed: int) -> dict[str, Any]:
        """The metrics of one run under one seed, from the records or measured now."""
        from reference_impls.bench.run import measured

        algorithm = run["algorithm"]
        of_bench = run["role"] == DENSE or algorithm == bench.baseline_of_protocol
        code = f"{type(bench).__module__}:{type(bench).__name__}" if of_bench else reading.recipe(algorithm).code
        if algorithm == entry.id:
            code = entry.code
        # A control is trained for as many steps as the method.
        options = {"steps": entry.options.get("steps")} if of_bench else run["options"]
        key = {
            "protocol": {**bench.record([]), "variant": bench.variant},
            "run": [run["role"] == DENSE, algorithm, options],
            "code_hash": code_hash(code),
            "seed": seed,
        }
        found = self.records.get(key)
        if found is None:
            if run["role"] == DENSE:
                found = bench.dense(seed).metrics
            elif of_bench:
                found = bench.control(steps, seed)[1].metrics
            else:
                found = measured(bench, self._steps(entry, algorithm, run["options"]), seed).metrics
            self.records.put(key, found)
        return found

    def _steps(self, entry: Recipe, algorithm: str, options: dict[str, Any]) -> Any:
        from reference_impls.bench.composition import Method, plan

        other = entry if algorithm == entry.id else reading.recipe(algorithm)
        return plan([Method(algorithm, other.function(), {}, reading.tuples(other, options))])

    def _bench(self, steps: Any, model: str | None) -> Any:
        from reference_impls.bench.composition import bench_of
        from reference_impls.bench.run import make_bench

        key = (bench_of(steps), model, steps[0].contract.kind == "inference")
        if key not in self._benches:
            self._benches[key] = make_bench(steps, model, "cpu", self._tell)
        return self._benches[key]

    def _tell(self, what: str, done: int, total: int) -> None:
        if self._told is not None:
            self._told(what, done, total)


_MEASURER: Measurer | None = None


def _start_worker(plan: Plan) -> None:
    global _MEASURER
    _MEASURER = Measurer(plan)


def _in_worker(entry: Recipe) -> Measured:
    return _attempt(_MEASURER, entry, None)


def _attempt(measurer: Measurer, entry: Recipe, progress: Progress | None) -> Measured:
    from reference_impls.bench.models import ModelError

    try:
        return measurer.measure(entry, progress)
    except (ValueError, ModelError) as problem:
        return Measured(entry.id, "failed", measurer.plan.path(entry), problem=str(problem))


def _last_seconds(path: Path) -> float:
    """How long the methods of a measurement ran the last time; what was never measured goes first."""
    try:
        runs = json.loads(path.read_text(encoding="utf-8"))["runs"]
        return sum(record.get("seconds") or 0 for run in runs for record in run["seeds"])
    except (OSError, ValueError, KeyError, TypeError):
        return float("inf")


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


def on_one_thread() -> None:
    """What is recorded is measured on one thread, alone or beside others: otherwise its times would be of another
    protocol with every machine and every --jobs."""
    import torch

    torch.set_num_threads(1)


def up_to_date(path: Path, code: str, protocol: dict[str, Any], planned: list[dict[str, Any]]) -> bool:
    """Whether a written measurement has this code, this protocol, at least its seeds, and these runs."""
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        runs = [{key: run[key] for key in ("role", "algorithm", "options", "varied")} for run in document["runs"]]
        return document["code_hash"] == code and covers(document["protocol"], protocol) and runs == planned
    except (OSError, ValueError, KeyError, TypeError):
        return False


def covers(recorded: dict[str, Any], asked: dict[str, Any]) -> bool:
    """Whether two protocols are the same and the recorded one has at least the seeds of the other."""
    return {**recorded, "seeds": []} == {**asked, "seeds": []} and set(asked["seeds"]) <= set(recorded["seeds"])


def relabel(path: Path, shown_metrics: Callable[..., Any]) -> None:
    """Write how metrics are shown again, where that has changed; the numbers stay."""
    document = json.loads(path.read_text(encoding="utf-8"))
    metrics = shown_metrics(*(run["median"] for run in document["runs"] if "median" in run))
    if metrics != document["metrics"]:
        write_atomically(path, json.dumps({**document, "metrics": metrics}, indent=1, allow_nan=False) + "\n")


def spread(records: Sequence[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Median, least and greatest value of every metric over the seeds; None where a metric has no value."""
    names = [name for name in records[0] if name != "seed"]
    values = {name: [record[name] for record in records if record.get(name) is not None] for name in names}
    kinds = {"median": statistics.median, "min": min, "max": max}
    return {kind: {n: of(found) if found else None for n, found in values.items()} for kind, of in kinds.items()}


@dataclass
class Records:
    """Single measurements in the user's cache, one file each, named by a hash of everything they depend on."""

    folder: Path = field(default_factory=lambda: _records_folder())

    def get(self, key: dict[str, Any]) -> dict[str, Any] | None:
        try:
            document = json.loads(self._path(key).read_text(encoding="utf-8"))
            return document["metrics"] if document["key"] == json.loads(_canonical(key)) else None
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def put(self, key: dict[str, Any], metrics: dict[str, Any]) -> None:
        write_atomically(self._path(key), json.dumps({"key": key, "metrics": metrics}, allow_nan=False))

    def forget(self, older_than: float) -> None:
        """Delete the records that are older than so many seconds."""
        for path in self.folder.glob("*.json"):
            if path.stat().st_mtime <= time.time() - older_than:
                path.unlink(missing_ok=True)

    def _path(self, key: dict[str, Any]) -> Path:
        return self.folder / f"{hashlib.sha256(_canonical(key).encode()).hexdigest()[:32]}.json"


def _records_folder() -> Path:
    from reference_impls.bench.models import cache_folder

    # Several copies of the project on one machine must not share an unfinished measurement.
    place = hashlib.sha256(str(measurements_folder()).encode()).hexdigest()[:12]
    return cache_folder() / "bench" / place


def _canonical(key: dict[str, Any]) -> str:
    return json.dumps(key, sort_keys=True, allow_nan=False)


def write_atomically(path: Path, text: str) -> None:
    """Write beside and rename: a reader, or an interruption, never sees half a file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        unfinished.write_text(text, encoding="utf-8")
        unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)
