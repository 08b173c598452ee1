"""Measures pairs of methods, in both orders where both can be done, and writes catalog/combinations.json.

What is measured, and under which options, stands in catalog/combinations.yml.
"""

from __future__ import annotations

import datetime
import json
import multiprocessing
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import catalog
from catalog.combinations import DECLARED, MEASURED, Declared
from catalog.measurements import code_hash
from compzoo import recipes as reading
from compzoo.measuring import Progress, Records, covers, on_one_thread, relabel, spread, write_atomically


@dataclass(frozen=True)
class Plan:
    """The declared methods as they are called. recipes: by id."""

    model: str
    recipes: dict[str, reading.Recipe]
    options: dict[str, dict[str, Any]]

    @property
    def runs(self) -> list[tuple[str, ...]]:
        """Nothing, each method alone, and every ordered pair."""
        names = list(self.recipes)
        return [(), *((name,) for name in names), *((a, b) for a in names for b in names if a != b)]

    def methods(self, names: Sequence[str]) -> Any:
        from reference_impls.bench.composition import Method

        return [
            Method(name, self.recipes[name].function(), {}, reading.tuples(self.recipes[name], self.options[name]))
            for name in names
        ]


def plan_of(declared: Declared) -> Plan:
    recipes = {name: reading.recipe(name) for name in declared.methods}
    return Plan(declared.model, recipes, {name: dict(part.options) for name, part in declared.methods.items()})


def combine(
    plan: Plan,
    seeds: Sequence[int],
    *,
    jobs: int = 1,
    path: Path | None = None,
    told: Progress | None = None,
    force: bool = False,
) -> tuple[str, Path]:
    """Measure every run of the plan under every seed and write the file; what the cache holds is not measured again.

    Returns "measured", or "up to date" where the file has this already, and the file. told(what, done, of how many).
    force: also measure again what is up to date. Pairs that cannot be done are written with the reason.
    """
    path = path or Path(catalog.__file__).parent / MEASURED
    worker = Worker(plan)
    protocol = worker.bench.record(seeds)
    hashes = {name: code_hash(recipe.code) for name, recipe in plan.recipes.items()}
    if force:
        Records().forget(older_than=0)
    elif up_to_date(path, plan, protocol, hashes):
        relabel(path, worker.shown)
        return "up to date", path
    tasks = [(names, seed) for names in plan.runs for seed in seeds]
    found: dict[tuple[tuple[str, ...], int], dict[str, Any]] = {}
    for done, (task, result) in enumerate(_measured(worker, tasks, jobs), 1):
        found[task] = result
        if told is not None:
            told("+".join(task[0]) or "uncompressed", done, len(tasks))
    runs = [_run(names, [(seed, found[names, seed]) for seed in seeds]) for names in plan.runs]
    document = {
        "schema": 1,
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "protocol": protocol,
        "metrics": worker.shown(*(run["median"] for run in runs if "median" in run)),
        "code_hashes": hashes,
        "options": plan.options,
        "runs": runs,
    }
    write_atomically(path, json.dumps(document, indent=1, allow_nan=False) + "\n")
    return "measured", path


def up_to_date(path: Path, plan: Plan, protocol: dict[str, Any], hashes: dict[str, str]) -> bool:
    """Whether the written file has these methods with this code and these options, and this protocol."""
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        return (
            covers(document["protocol"], protocol)
            and document["code_hashes"] == hashes
            and document["options"] == plan.options
            and [tuple(run["methods"]) for run in document["runs"]] == plan.runs
        )
    except (OSError, ValueError, KeyError, TypeError):
        return False


def _run(names: Sequence[str], results: Sequence[tuple[int, dict[str, Any]]]) -> dict[str, Any]:
    refused = next((result["refused"] for _, result in results if "refused" in result), None)
    if refused is not None:
        return {"methods": list(names), "refused": refused}
    records = [{"seed": seed, **result} for seed, result in results]
    return {"methods": list(names), "seeds": records, **spread(records)}


class Worker:
    """Measures single runs on one loaded model."""

    def __init__(self, plan: Plan) -> None:
        from reference_impls.bench.composition import plan as steps_of
        from reference_impls.bench.run import make_bench

        self.plan, self.records = plan, Records()
        on_one_thread()
        self.bench = make_bench(steps_of(plan.methods(list(plan.recipes)[:1])), plan.model, "cpu")

    def measure(self, names: tuple[str, ...], seed: int) -> dict[str, Any]:
        """The metrics of these methods, one after the other, or {"refused": why it cannot be done}."""
        from reference_impls.bench.composition import CannotCombine
        from reference_impls.bench.composition import plan as steps_of

        key = {
            "protocol": self.bench.record([]),
            "run": [[name, self.plan.options[name]] for name in names],
            "code_hash": [code_hash(self.plan.recipes[name].code) for name in names]
            + [code_hash("reference_impls.core.walk:compress_layers")],
            "seed": seed,
        }
        found = self.records.get(key)
        if found is None:
            try:
                found = (self.bench.measure(steps_of(self.plan.methods(names)), seed) if names
                         else self.bench.dense(seed)).metrics  # fmt: skip
            except CannotCombine as problem:
                found = {"refused": str(problem)}
            except ValueError as problem:
                found = {"refused": f"{'+'.join(names)}: {problem}"}
            self.records.put(key, found)
        return found

    def shown(self, *medians: dict[str, Any]) -> dict[str, dict[str, str]]:
        from reference_impls.bench.run import shown_metrics

        return shown_metrics(*medians)


_WORKER: Worker | None = None


def _start(plan: Plan) -> None:
    global _WORKER
    _WORKER = Worker(plan)


def _in_worker(task: tuple[tuple[str, ...], int]) -> tuple[tuple[tuple[str, ...], int], dict[str, Any]]:
    return task, _WORKER.measure(*task)


def _measured(worker: Worker, tasks: Sequence[Any], jobs: int) -> Iterator[tuple[Any, dict[str, Any]]]:
    if jobs == 1:
        for task in tasks:
            yield task, worker.measure(*task)
        return
    # Threads of torch do not survive a fork.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(jobs, mp_context=context, initializer=_start, initargs=(worker.plan,)) as pool:
        for finished in as_completed([pool.submit(_in_worker, task) for task in tasks]):
            yield finished.result()


def declared() -> Declared:
    """catalog/combinations.yml. Leaves with a message where it cannot be read."""
    from catalog.reader import read
    from compzoo.errors import fail

    document = read(Path(catalog.__file__).parent / DECLARED)
    if document.problems:
        fail("; ".join(map(str, document.problems[:3])))
    try:
        return Declared.model_validate(document.data)
    except ValueError as problem:
        fail(f"catalog/{DECLARED} cannot be read ({problem}); run: compzoo validate")
