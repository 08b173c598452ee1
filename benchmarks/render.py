"""Render: the records of all comparisons as the tables of README.md."""

from typing import Any

from benchmarks.comparison import Comparison

# A ratio of errors this close to 1 is rounding noise of two correct programs, and so are relative errors this small.
NOISE = 0.001
ROUNDING = 1e-5
GOAL = 1.5

# Why ours is slower in what is slower than the goal, and what the reader has from it; by method and package.
_PACKING = (
    "of about 11 ms a million weights more than half is packing the codes into bytes, by one function for every width "
    "from 1 to 16, and most of the rest is finding the ranges of the groups and checking them."
)
_SIXTY_FOUR = (
    "the second moment of the inputs is summed and factorized in 64 bit, so that the result does not depend on how the "
    "inputs were cut into batches; the package does both in 32 bit. At 1024 columns that is about 115 of the 350 ms "
    "between them"
)
REASONS: dict[tuple[str, str], str] = {
    ("rtn", "optimum-quanto"): f"{_PACKING} At 8 bit it is 3 ms a million weights, for the checks of the grid.",
    ("rtn", "hqq"): _PACKING,
    ("llm-int8", "bitsandbytes"): "a few milliseconds a million weights, for the checks of the grid.",
    ("gptq", "llmcompressor"): f"{_SIXTY_FOUR}; the rest is packing and one call of the grid for each column.",
    ("sparsegpt", "llmcompressor"): f"{_SIXTY_FOUR}.",
    ("llm-pruner", "torch-pruning"): "gradients are taken sequence by sequence, so that first and second order share "
    "one function; the package leaves them to the caller, who takes the batch at once.",
}

HEAD = """# Beside packages that are not ours

Written by `python -m benchmarks`; change `benchmarks/render.py`, not this file.

Each row runs two programs on one problem, in one process and in turns (ours, theirs, ours, theirs ...), on one thread,
and takes the median of {repeats} measurements in process time. The reference implementations are written to be read;
what this page checks is that this costs no quality, and what it costs in time.

- **error** and **time** are ratios, ours / theirs: below 1 ours is better. Errors are those of the layer's output,
  unless the row says otherwise. Ratios within {noise} of 1 count as equal, and so do relative errors below {rounding},
  which are rounding in 32 bit.
- **agreement** is the share of codes, mask entries or choices that are the same.
- *by design* marks rows in which the two programs do different things on purpose; the remark says which.
- Time is that of this code on one thread of this machine: it says nothing about a package's kernels on a GPU. Where a
  package has no kernel for the CPU, its own fallback was run. The range in brackets is that of the single pairs; other
  programs were running on the machine.

    python -m benchmarks                       # everything whose package is installed
    python -m benchmarks gptq wanda-torchao    # some; parts of names will do
    python -m benchmarks --list

The packages are the extra `benchmarks` (`pip install -e .[run,test,benchmarks] --constraint constraints.txt`).
llm-compressor asks for an older transformers, so it has an environment of its own:

    python -m venv llm-compressor && llm-compressor/bin/pip install -e .[run] llmcompressor==0.14.0.1
    llm-compressor/bin/python -m benchmarks llmcompressor

A package that is absent is named as skipped. Records are merged into `results.json` by name.
"""


def render(records: list[dict[str, Any]], missing: list[Comparison]) -> str:
    """README.md. missing: comparisons without a record."""
    repeats = sorted({record["repeats"] for record in records})
    parts = [HEAD.format(repeats=" or ".join(map(str, repeats)) or "no", noise=NOISE, rounding=ROUNDING)]
    if records:
        parts += [_overview(records), _table(records), _reasons(records), _machines(records)]
    if missing:
        names = "\n".join(f"- `{c.name}` ({c.package})" for c in missing)
        parts.append(f"## Not measured\n\nNo record yet; nothing is known about these.\n\n{names}\n")
    return "\n".join(part for part in parts if part)


def _overview(records: list[dict[str, Any]]) -> str:
    counted = [record for record in records if record["counts"]]
    worse = [record["name"] for record in counted if _worse(_error(record))]
    slower = [record["name"] for record in counted if record["time_ratio"] > GOAL]
    lines = [
        "## In short\n",
        f"{len(records)} comparisons, {len(counted)} of them on the same problem and grid. Of these, the error is at "
        f"most that of the package in {len(counted) - len(worse)}, and the time at most {GOAL} times that of the "
        f"package in {len(counted) - len(slower)}.\n",
    ]
    if worse:
        lines.append(f"Larger error: {', '.join(f'`{name}`' for name in worse)}.\n")
    return "\n".join(lines)


def _table(records: list[dict[str, Any]]) -> str:
    lines = [
        "## Results\n",
        "| comparison | package | problem | error | time | agreement | remark |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    for record in records:
        what, error = next(iter(record["errors"].items()))
        ratio = "none" if error["ratio"] is None else f"{error['ratio']:.3f}"
        ratio = ratio if what == "output" else f"{ratio} ({what})"
        low, high = record["time_ratio_range"]
        agreement = "" if record["agreement"] is None else _share(record["agreement"])
        remark = " ".join(filter(None, ["" if record["counts"] else "*By design:*", record["remark"]]))
        cells = [
            f"`{record['name']}`", f"{record['package']} {record['version']}", record["problem"], ratio,
            f"{record['time_ratio']:.2f} ({low:.2f} to {high:.2f})", agreement, remark,
        ]  # fmt: skip
        lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    return "\n".join([*lines, ""])


def _reasons(records: list[dict[str, Any]]) -> str:
    slow = {(r["method"], r["package"]) for r in records if r["time_ratio"] > GOAL}
    lines = [f"- **{m}** beside {p}: {REASONS[m, p]}" for m, p in sorted(slow) if (m, p) in REASONS]
    unexplained = [f"- **{m}** beside {p}: not looked into." for m, p in sorted(slow) if (m, p) not in REASONS]
    if not slow:
        return ""
    return "\n".join([f"## Where ours takes more than {GOAL} times as long\n", *lines, *unexplained, ""])


def _machines(records: list[dict[str, Any]]) -> str:
    seen = sorted({tuple(str(r[key]) for key in ("machine", "python", "torch", "transformers", "date"))
                   for r in records})  # fmt: skip
    lines = [f"- {m}; Python {p}, torch {t}, transformers {f}; {d}" for m, p, t, f, d in seen]
    return "\n".join(["## Measured on\n", *lines, ""])


def _worse(error: dict[str, float]) -> bool:
    return error["ours"] > ROUNDING and error["ours"] > (1 + NOISE) * error["theirs"]


def _error(record: dict[str, Any]) -> dict[str, float]:
    return next(iter(record["errors"].values()))


def _share(share: float) -> str:
    """As a percentage; 100 % only where everything agrees."""
    return "100 %" if share == 1 else f"{min(share, 0.9999):.2%}".replace("%", " %")
