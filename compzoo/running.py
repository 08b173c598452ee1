"""The commands that run algorithms: run, compare, bench. torch is imported when one of them starts to work."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer

from compzoo.errors import fail, unknown

Model = Annotated[
    str | None,
    typer.Option(
        help="s, s-outliers, digits, smollm2, the path of a folder, or an id of the Hub. Not given: the bundled model "
        "that the entry is measured on, mostly s.",
        show_default=False,
    ),
]
Device = Annotated[str, typer.Option(help="cpu, cuda or cuda:N.")]
Seed = Annotated[int, typer.Option(help="Seed of all draws: calibration text, batches, initial weights.", min=0)]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON document and nothing else.")]
MEASURED_MODELS = ("s", "s-outliers", "smollm2")
RUN_OPTIONS = ("--model", "--device", "--seed", "--json", "--save", "--help")

Progress = Callable[[str, int, int], None]


def register(app: typer.Typer) -> None:
    """Add the commands to the application."""
    extra = {"allow_extra_args": True, "ignore_unknown_options": True}
    app.command("run", context_settings=extra, add_help_option=False)(run)
    app.command("compare")(compare)
    app.command("bench")(bench)
    app.command("combine")(combine)


def run(
    context: typer.Context,
    algorithm: Annotated[
        str | None, typer.Argument(metavar="ID[+ID...]", help="An algorithm, or several in the order of their use.")
    ] = None,
    model: Model = None,
    device: Device = "cpu",
    seed: Seed = 0,
    as_json: AsJson = False,
    save: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Save the packed form, and a transformers folder if possible.")
    ] = None,
    show_help: Annotated[bool, typer.Option("--help", "-h", help="With an ID: also list its options.")] = False,
) -> None:
    """Run an algorithm and show the model before and after, beside the baseline.

    Options of the algorithm are given by name, as in `compzoo run gptq --bits 3 --group-size 64`; `compzoo run gptq
    --help` lists them. What is not given is as the catalog entry declares it, for this model where it says so.
    """
    if show_help or algorithm is None:
        print(context.get_help())
        if algorithm is not None:
            print(_options_help(algorithm))
        raise SystemExit(0 if show_help else 2)
    if algorithm.startswith("-"):
        fail(f"the algorithm comes first, then its options: compzoo run ID {algorithm} ...")
    from compzoo import recipes as reading

    recipes = [reading.recipe(name).on(model) for name in algorithm.split("+")]
    if save is not None:
        _check_save(save)
    with _complaints(), _progress() as progress:
        progress("loading", 0, 0)
        given = reading.parse_options(context.args, recipes, RUN_OPTIONS)
        from reference_impls.bench.run import run as measure

        result = measure(
            reading.methods(recipes, given),
            # On its own, a method is run on what its entry is measured on, so that the page's numbers come again.
            model=model or (recipes[0].model if len(recipes) == 1 else None),
            seed=seed,
            device=device,
            baseline=reading.baseline_methods(recipes, given),
            progress=progress,
        )
        document = result.as_json()
        if save is not None:
            from reference_impls.bench.save import save as write

            progress("saving", 0, 0)
            folder = getattr(getattr(result.bench, "loaded", None), "folder", None)
            written = write(result.after, document, folder, save)
            print(f"saved in {save}: {', '.join(written)}", file=sys.stderr)
    if as_json:
        print(json.dumps(document, indent=1, allow_nan=False))
    else:
        columns = [("before", "uncompressed", {}, result.before.metrics), ("after", *_column(result))]
        if result.baseline is not None:
            columns.append(("baseline", *_column(result.baseline)))
        _print_table(columns, document["metrics"], result.protocol)


def compare(
    candidates: Annotated[
        list[str],
        typer.Argument(metavar="ID[:option=value,...]...", help="Algorithms or compositions, such as gptq:bits=3 rtn."),
    ],
    model: Model = None,
    device: Device = "cpu",
    seed: Seed = 0,
    as_json: AsJson = False,
) -> None:
    """Measure several algorithms, or one under several options, in one run and one table."""
    from compzoo import recipes as reading

    with _complaints(), _progress() as progress:
        progress("loading", 0, 0)
        parsed = [reading.parse_candidate(word) for word in candidates]
        from reference_impls.bench.run import compare as measure
        from reference_impls.bench.run import flat, shown_metrics

        made, before, results = measure(
            [reading.methods([recipe.on(model) for recipe in recipes], given) for recipes, given in parsed],
            model=model,
            seed=seed,
            device=device,
            progress=progress,
        )
        protocol = made.record([seed])
        metrics = shown_metrics(before.metrics, *(result.metrics for result in results))
    if as_json:
        document = {
            "protocol": protocol,
            "before": before.metrics,
            "results": [{"algorithm": r.algorithm, "options": flat(r.options), **r.metrics} for r in results],
            "seed": seed,
            "metrics": metrics,
        }
        print(json.dumps(document, indent=1, allow_nan=False))
        return
    columns = [("before", "uncompressed", {}, before.metrics)]
    columns += [(str(place), *_column(result)) for place, result in enumerate(results, 1)]
    _print_table(columns, metrics, protocol)


def bench(
    algorithms: Annotated[list[str] | None, typer.Argument(metavar="[ID...]", help="Entries to measure.")] = None,
    seeds: Annotated[int, typer.Option(help="How many seeds: 0, 1, ...", min=1)] = 3,
    all_entries: Annotated[
        bool, typer.Option("--all", help="Every entry; with --model those that say how to measure them there.")
    ] = False,
    model: Annotated[
        str | None, typer.Option(help="Another model than the entry's own: s, s-outliers or smollm2.")
    ] = None,
    jobs: Annotated[int, typer.Option(help="Processes side by side, each on one thread.", min=1)] = 1,
    force: Annotated[bool, typer.Option("--force", help="Also measure again what is up to date.")] = False,
) -> None:
    """Measure entries as the catalog declares them and write catalog/measurements/<id>.json.

    Options, sweep and baseline of each entry are run once for every seed. What is up to date (same code, options and
    protocol) is passed over; what was interrupted goes on where it stopped. With --model, the measurement is written to
    catalog/measurements/<model>/<id>.json.
    """
    from compzoo import recipes as reading

    if model is not None and model not in MEASURED_MODELS:
        unknown("model", model, MEASURED_MODELS)
    known = reading.entry_files()
    chosen = list(known) if all_entries else list(dict.fromkeys(algorithms or []))
    if not chosen:
        fail("name the entries to measure, or give --all")
    recipes = [reading.recipe(name) for name in chosen]
    if all_entries and model is not None:
        recipes = [entry for entry in recipes if model in entry.also_on]
    failed = 0
    with _complaints(), _progress() as progress:
        progress("loading", 0, 0)
        from compzoo.measuring import Plan, measure_all

        plan = Plan(seeds=tuple(range(seeds)), model=model, force=force)
        for place, found in enumerate(measure_all(recipes, plan, jobs=jobs, progress=partial(_within, progress)), 1):
            took = f", {found.seconds:.0f} s" if found.seconds else ""
            where = found.problem or found.path
            print(f"[{place}/{len(recipes)}] {found.algorithm}: {found.state}{took} ({where})", flush=True)
            failed += found.state == "failed"
    if failed:
        fail(f"{failed} of {len(recipes)} entries could not be measured, see above", code=1)


def combine(
    seeds: Annotated[int, typer.Option(help="How many seeds: 0, 1, ...", min=1)] = 3,
    jobs: Annotated[int, typer.Option(help="Processes side by side, each on one thread.", min=1)] = 1,
    force: Annotated[bool, typer.Option("--force", help="Also measure again what is up to date.")] = False,
) -> None:
    """Measure pairs of methods, in both orders, as catalog/combinations.yml declares them.

    Writes catalog/combinations.json, where it is not up to date (same methods, code, options and protocol). What was
    interrupted goes on where it stopped.
    """
    from compzoo import combining

    with _complaints(), _progress() as progress:
        progress("loading", 0, 0)
        plan = combining.plan_of(combining.declared())
        state, path = combining.combine(plan, range(seeds), jobs=jobs, told=progress, force=force)
    print(f"{len(plan.runs)} runs, {seeds} seeds each: {state} ({path})")


def _within(progress: Progress, name: str) -> Progress:
    return lambda what, done, total: progress(f"{name}: {what}", done, total)


def _options_help(algorithm: str) -> str:
    """The options of each method of a composition, one a line."""
    from compzoo import recipes as reading
    from reference_impls.core.contracts import run_options

    lines = []
    for name in algorithm.split("+"):
        entry = reading.recipe(name)
        lines.append(f"Options of {name}:")
        for option in run_options(entry.function()).values():
            default = entry.options.get(option.name, option.default)
            lines.append(
                f"  --{option.name.replace('_', '-'):24} {reading.describe(option)}; here {_plain(default)}"
            )
    return "\n".join(lines)


def _check_save(folder: Path) -> None:
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        fail(f"--save: {folder} exists and is not empty; name a new folder")


@contextmanager
def _complaints() -> Iterator[None]:
    """Turn what the bench cannot do into one sentence and exit code 2; bugs keep their traceback."""
    try:
        yield
    except ModuleNotFoundError as error:
        package = (error.name or "").partition(".")[0]
        if package in ("torch", "transformers", "safetensors", "numpy", "sklearn", "tokenizers", "huggingface_hub"):
            fail(f"running needs the package {package}; `make try` in the folder of the project brings it")
        raise
    except ValueError as error:
        fail(str(error))
    except Exception as error:
        from reference_impls.bench.models import ModelError

        if isinstance(error, ModelError):
            fail(str(error))
        raise


@contextmanager
def _progress() -> Iterator[Progress]:
    """A bar on standard error while something is under way; nothing where that is no terminal."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    console = Console(stderr=True)
    parts = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*parts, console=console, transient=True, disable=not console.is_terminal) as shown:
        task = shown.add_task("", total=None)
        last = ""

        def progress(what: str, done: int, total: int) -> None:
            nonlocal last
            if what != last:
                shown.reset(task, total=total or None, description=what)
                last = what
            shown.update(task, completed=done, total=total or None)

        yield progress


def _column(result: Any) -> tuple[str, dict[str, Any], dict[str, Any]]:
    """Name, options and metrics of a result or of a baseline."""
    from reference_impls.bench.run import flat

    metrics = result.metrics if hasattr(result, "metrics") else result.after.metrics
    return result.algorithm, flat(result.options) if result.options else {}, metrics


def _print_table(
    columns: list[tuple[str, str, dict[str, Any], dict[str, Any]]],
    metrics: dict[str, dict[str, str]],
    protocol: dict[str, Any],
) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table()
    table.add_column("", no_wrap=True)
    for role, name, options, _ in columns:
        settings = ", ".join(f"{key} {_plain(value)}" for key, value in options.items())
        table.add_column("\n".join(part for part in (role, name, settings) if part), justify="right")
    for key, how in metrics.items():
        table.add_row(how["label"], *(_shown(key, values.get(key)) for *_, values in columns))
    console = Console()
    console.print(table)
    about = [f"protocol {protocol['name']}-v{protocol['version']}", f"model {protocol['model']}"]
    about += [f"seed {protocol['seeds'][0]}", f"torch {protocol['torch']} on {protocol['device']}"]
    console.print(", ".join(about), style="dim", highlight=False)
    console.print("KL divergence and agreement are with the uncompressed model.", style="dim", highlight=False)


def _shown(key: str, value: float | int | None) -> str:
    if value is None:
        return "-"
    if key in ("top1_agreement", "accuracy"):
        return f"{100 * value:.2f} %"
    if key.endswith("bytes") or key == "bytes_on_disk":
        return _bytes(value)
    if isinstance(value, int):
        return f"{value:,}"
    if key.endswith("per_second"):
        return f"{value:,.0f}"
    return f"{value:.4g}"


def _bytes(value: float) -> str:
    for unit in ("B", "kB", "MB"):
        if value < 1000:
            return f"{value:.4g} {unit}"
        value /= 1000
    return f"{value:.4g} GB"


def _plain(value: Any) -> str:
    if isinstance(value, dict):
        return "(" + ", ".join(f"{key} {_plain(item)}" for key, item in value.items()) + ")"
    if isinstance(value, (list, tuple)):
        return ",".join(map(str, value))
    return "none" if value is None else str(value).lower() if isinstance(value, bool) else str(value)
