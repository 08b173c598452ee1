"""A measurement made ready to show: which numbers stand in the table, which in the curve, and whether it is stale."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

# Metrics in the order of the table; what a measurement has beyond these follows in its own order.
ORDER = (
    "perplexity", "accuracy", "kl", "top1_agreement", "bits_per_weight", "bytes_on_disk", "seconds",
    "peak_memory_bytes", "tokens_per_second",
)
QUALITY = 4  # so many of these say what the model still can


@dataclass(frozen=True)
class Spread:
    """Median, least and greatest value over the seeds."""

    median: float
    low: float
    high: float


@dataclass(frozen=True)
class Row:
    """One run of the bench. `role`: dense, baseline, declared or sweep."""

    role: str
    algorithm: str
    options: dict[str, Any]
    values: dict[str, Spread]
    changed: dict[str, Any] = field(default_factory=dict)  # a sweep's row: its own value of the varied option


@dataclass(frozen=True)
class Metric:
    key: str
    label: str
    better: str  # lower | higher | neither
    unit: str

    @property
    def unit_beside(self) -> str:
        """The unit where neither the label nor the numbers say it: "bits a weight" and "tokens a second" do."""
        told = "byte" in self.key or self.unit in self.label.split() or self.label.endswith(" a second")
        return "" if told else self.unit


@dataclass(frozen=True)
class Point:
    """A point of the curve. `x` is the option's value where it is a number, else its place in the list."""

    x: float
    label: str
    spread: Spread
    declared: bool


@dataclass(frozen=True)
class Curve:
    """How `metric` moves with `option`; `dense` and `baseline` are levels to compare with."""

    option: str
    metric: Metric
    points: list[Point]
    dense: Spread | None
    baseline: Spread | None
    baseline_id: str  # the entry that the baseline is a run of
    numeric: bool


@dataclass(frozen=True)
class Measured:
    """What the page shows of one measurement."""

    date: str
    stale: bool
    protocol: dict[str, Any]
    seeds: list[int]
    metrics: list[Metric]
    rows: list[Row]
    sweep: list[Row]
    curve: Curve | None

    @property
    def declared(self) -> Row | None:
        return next((row for row in self.rows if row.role == "declared"), None)


def view(measurement: Any, stale: bool) -> Measured:
    """From the typed measurement of the catalog."""
    data = measurement.model_dump()
    found = {
        key: Metric(key, value["label"], value["better"], value["unit"])
        for key, value in data["metrics"].items()
    }
    shown = {key for run in data["runs"] for key, value in run["median"].items() if value is not None}
    found = {key: metric for key, metric in found.items() if key in shown}
    metrics = [found[key] for key in ORDER if key in found] + [m for key, m in found.items() if key not in ORDER]
    rows = [_row(run, found) for run in data["runs"]]
    plain = [row for row in rows if row.role != "sweep"]
    sweep = sorted((row for row in rows if row.role == "sweep"), key=_place)
    order = {"dense": 0, "baseline": 1, "declared": 2}
    plain.sort(key=lambda row: order.get(row.role, 3))
    return Measured(
        data["date"], stale, data["protocol"], list(data["protocol"].get("seeds") or []), metrics, plain, sweep,
        _curve(plain, sweep, metrics),
    )


def _row(run: dict[str, Any], metrics: dict[str, Metric]) -> Row:
    values = {}
    for key in metrics:
        median = (run.get("median") or {}).get(key)
        if median is not None:
            low = (run.get("min") or {}).get(key, median)
            high = (run.get("max") or {}).get(key, median)
            values[key] = Spread(median, median if low is None else low, median if high is None else high)
    varied = run.get("varied")
    options = dict(run.get("options") or {})
    changed = {varied: options.get(varied)} if run["role"] == "sweep" and varied else {}
    return Row(run["role"], run.get("algorithm") or "", options, values, changed)


def _place(row: Row) -> tuple[str, float]:
    """Rows of a sweep by the varied number; where it is none, they stay in their order."""
    value = next(iter(row.changed.values()), None)
    number = isinstance(value, int | float) and not isinstance(value, bool)
    return (next(iter(row.changed), ""), float(value) if number else 0.0)


def _curve(rows: list[Row], sweep: list[Row], metrics: list[Metric]) -> Curve | None:
    """The curve of the first metric over the swept option: that of quality, else the protocol's own, else of size."""
    own = [metric for metric in metrics if metric.key not in ORDER]
    first = [*metrics[:1], *own]
    metric = next((one for one in first if one.key not in ORDER[QUALITY:]), metrics[0] if metrics else None)
    drawn = [row for row in sweep if row.changed and metric and metric.key in row.values]
    if metric is None or len(drawn) < 2:
        return None
    option = next(iter(drawn[0].changed))
    declared = next((row for row in rows if row.role == "declared"), None)
    if declared and option in declared.options and all(row.options != declared.options for row in drawn):
        rest = {key: value for key, value in declared.options.items() if key != option}
        if metric.key in declared.values and {k: v for k, v in drawn[0].options.items() if k != option} == rest:
            drawn.append(replace(declared, changed={option: declared.options[option]}))
            drawn.sort(key=_place)
    values = [row.changed[option] for row in drawn]
    numeric = all(isinstance(value, int | float) and not isinstance(value, bool) for value in values)
    points = [
        Point(
            float(value) if numeric else float(index), str(value), row.values[metric.key],
            declared is not None and declared.options == row.options,
        )
        for index, (value, row) in enumerate(zip(values, drawn, strict=True))
    ]
    if numeric:
        points.sort(key=lambda point: point.x)
    levels = {row.role: row.values.get(metric.key) for row in rows}
    baseline = next((row for row in rows if row.role == "baseline"), None)
    return Curve(
        option, metric, points, levels.get("dense"), levels.get("baseline"), baseline.algorithm if baseline else "",
        numeric,
    )
