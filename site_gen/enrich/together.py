"""All measurements together: one section for each protocol on one model, its plots, and the front of the best runs.

Two runs share a plot only where protocol, version, model and data are the same.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, Protocol

from site_gen.enrich import explained
from site_gen.enrich.measured import Measured, Metric, Row, Spread

if TYPE_CHECKING:
    from site_gen.enrich.site import Entry

# What a protocol's plots show quality against, where that is not the stored bits per weight.
SIZES = {
    "adaptation": "trained_parameters", "distillation": "parameters", "small-training": "parameters",
    "rationales": "parameters",
}  # fmt: skip
SIZE_LABELS = {
    "bits_per_weight": "stored bits per weight of the uncompressed model", "parameters": "parameters",
    "trained_parameters": "trained parameters",
}
WORK_LABELS = {
    "layers": "share of the layers that a token passes", "tokens": "share of the tokens in a layer, mean over layers",
    "products": "share of the products of the feed-forward parts", "calls": "calls of the large model per token",
    "neurons": "share of the neurons that a token uses",
}

LIMITS = (2, 3, 4, 5, 6, 8, 10)  # see Plot.limit


@dataclass(frozen=True)
class Axis:
    """`better`: lower, higher or neither."""

    key: str
    label: str
    logarithmic: bool
    better: str = "lower"
    ratio: bool = False  # to the uncompressed model

    @property
    def short(self) -> str:
        return self.label.partition(",")[0]

    @property
    def amount(self) -> str:
        """The label within a sentence: "at the number of parameters"."""
        return f"the number of {self.label}" if self.key in ("parameters", "trained_parameters") else self.label


@dataclass(frozen=True)
class Item:
    """One entry's measurement in its section."""

    entry: Entry
    measured: Measured

    @property
    def rows(self) -> list[Row]:
        """Baseline, declared and sweep; a value of the sweep that is the declared one stands once."""
        declared = self.measured.declared
        kept = [row for row in self.measured.rows if row.role != "dense"]
        return kept + [row for row in self.measured.sweep if declared is None or row.options != declared.options]

    @property
    def dense(self) -> Row | None:
        return next((row for row in self.measured.rows if row.role == "dense"), None)


@dataclass(frozen=True)
class Dot:
    """A run in a plot. `family`: of what ran, None where that is no entry; `families`: which filters show it."""

    x: float
    y: Spread
    row: Row
    owner: str  # entry whose measurement it is from
    name: str
    family: str | None
    families: tuple[str, ...]
    stale: bool
    on_front: bool = False


@dataclass(frozen=True)
class Plot:
    """`strip`: all lie at one size, so that each method has a line and the axis is the quality."""

    x: Axis
    y: Axis
    strip: bool
    dots: list[Dot]
    items: list[Item]

    @property
    def of_work(self) -> bool:
        return self.x.key.startswith("work_")

    @property
    def families(self) -> list[str]:
        return list(dict.fromkeys(item.entry.algorithm.home for item in self.items))

    @cached_property
    def metrics(self) -> list[Metric]:
        """The columns of the table beside the ratio and the share of the work."""
        return _columns(self.items, (self.y.key, self.x.key, "kl", "bytes_on_disk", "seconds"))

    @property
    def uncompressed(self) -> tuple[Item, Row] | None:
        """The uncompressed model's run, of a current measurement where there is one."""
        return next(((item, row) for item, row in _runs(self.items) if row.role == "dense"), None)

    @property
    def dense_name(self) -> str:
        """What the run without a method is called."""
        return explained.dense(self.items[0].measured.protocol["name"])

    def level(self, item: Item, row: Row) -> Spread | None:
        return level(item, row, self.y)

    def share(self, row: Row) -> float | None:
        return _share(row, self.x.key.removeprefix("work_"))

    def summary(self, title: str) -> str:
        """What a reader who does not see the plot is told first."""
        runs = f"{title}: {self.y.label} of {len(self.dots)} runs of {len(self.items)} methods"
        if self.strip:
            return f"{runs}, one line a method. The table has the numbers."
        names = "; ".join(dot.name for dot in self.front)
        front = f" The front: {names}." if names else ""
        return f"{runs} against {self.x.label}.{front} The table has the numbers."

    @cached_property
    def limit(self) -> float:
        """The ratio past which dots are drawn at the edge, or the differences that matter would be too small to see.

        The least of LIMITS that is twice what nine of ten runs stay below, or the last of them.
        """
        ratios = sorted(dot.y.median for dot in self.dots)
        usual = 2 * ratios[9 * (len(ratios) - 1) // 10]
        return next((most for most in LIMITS if most >= usual), LIMITS[-1])

    @cached_property
    def of(self) -> dict[str, list[Dot]]:
        """The dots by the entry whose measurement they are from; every entry of the plot stands there."""
        found: dict[str, list[Dot]] = {item.entry.id: [] for item in self.items}
        for dot in self.dots:
            found.setdefault(dot.owner, []).append(dot)
        return found

    @property
    def front(self) -> list[Dot]:
        """By size; of those at one place the first name first."""
        found = [dot for dot in self.dots if dot.on_front]
        return sorted(found, key=lambda dot: (dot.x, dot.y.median, dot.name.casefold()))


@dataclass(frozen=True)
class Section:
    """One protocol on one model. `rest`: measured here, but nothing of it can be drawn against a size or work."""

    id: str
    name: str
    version: int
    model: str
    protocol: dict[str, Any]
    says: str
    model_says: str
    items: list[Item]
    plots: list[Plot]
    rest: list[Item]

    @property
    def model_name(self) -> str:
        """Empty for a model that the protocol trains itself."""
        return explained.NAMES.get(self.model, "")

    @property
    def title(self) -> str:
        return explained.title(self.name, self.version, self.model)

    @property
    def stale(self) -> list[Item]:
        return [item for item in self.items if item.measured.stale]

    @property
    def rest_metrics(self) -> list[Metric]:
        return _columns(self.rest, ("perplexity", "accuracy", "kl", "top1_agreement", "bytes_on_disk", "seconds",
                                    "tokens_per_second"))  # fmt: skip

    @property
    def families(self) -> list[str]:
        """Each once, in the order of the entries."""
        return list(dict.fromkeys(item.entry.algorithm.home for item in self.items))


class Placed(Protocol):
    """Something with a place in a plot."""

    x: float
    y: Spread


def front(dots: Sequence[Placed], better: str) -> list[bool]:
    """Which dots no other dominates: none is as small and as good, and better in one of the two (median over seeds).

    Less of `x` is better. Dots at the very same place do not dominate each other. Where quality has no better side,
    there is no front.
    """
    if better not in ("lower", "higher"):
        return [False] * len(dots)
    places = {(dot.x, dot.y.median if better == "lower" else -dot.y.median) for dot in dots}
    best: set[tuple[float, float]] = set()
    reached = float("inf")
    for x, y in sorted(places):
        if y < reached:
            best.add((x, y))
            reached = y
    return [(dot.x, dot.y.median if better == "lower" else -dot.y.median) in best for dot in dots]


def sections(entries: Iterable[Entry]) -> list[Section]:
    """Everything measured, on any model, by protocol."""
    groups: dict[tuple[Any, ...], list[Item]] = {}
    for entry in entries:
        for found in [entry.measured, *entry.elsewhere.values()]:
            if found is not None:
                groups.setdefault(identity(found.protocol), []).append(Item(entry, found))
    ordered = sorted(groups.items(), key=lambda group: (explained.place(group[0][0], group[0][2]), group[0][1:]))
    taken: dict[str, int] = {}
    return [_section(items, taken) for _, items in ordered]


def identity(protocol: dict[str, Any]) -> tuple[str, int, str, str, str]:
    """What must agree for two results to compare: name, version, model, and what model and data really were."""
    return (protocol["name"], protocol["version"], protocol["model"], str(protocol.get("model_hash") or ""),
            str(protocol.get("data_hash") or ""))  # fmt: skip


def _section(items: list[Item], taken: dict[str, int]) -> Section:
    protocol = items[0].measured.protocol
    name, version, model, *_ = identity(protocol)
    words = f"{name} {version}" + (f" {model}" if model in explained.MODELS else "")
    base = "-".join(re.findall(r"[a-z0-9]+", words.lower()))
    taken[base] = taken.get(base, 0) + 1
    plots = [plot for plot in _plots(name, items) if plot.dots]
    drawn = {item.entry.id for plot in plots for item in plot.items}
    return Section(
        base if taken[base] == 1 else f"{base}-{taken[base]}", name, version, model, protocol, explained.protocol(name),
        explained.model(model, name), items, plots, [item for item in items if item.entry.id not in drawn],
    )


def _plots(name: str, items: list[Item]) -> list[Plot]:
    size = SIZES.get(name, "bits_per_weight")
    axis = Axis(size, SIZE_LABELS[size], logarithmic=True)
    sized = [item for item in items if size != "bits_per_weight" or _stores_less(item)]
    plots = [_plot(axis, sized, lambda row: _median(row, size))] if sized else []
    units: dict[str, list[Item]] = {}
    for item in items:
        for unit in dict.fromkeys(found[0] for row in item.rows if (found := work(row)) is not None):
            units.setdefault(unit, []).append(item)
    for unit, counted in units.items():
        axis = Axis(f"work_{unit}", WORK_LABELS.get(unit, f"share of the {unit} that is left"), logarithmic=False)
        plots.append(_plot(axis, counted, lambda row, unit=unit: _share(row, unit)))
    return plots


def _stores_less(item: Item) -> bool:
    """Whether the entry changes what is stored for the weights: some run has other bits than the uncompressed model."""
    dense = _median(item.dense, "bits_per_weight") if item.dense else None
    stored = [_median(row, "bits_per_weight") for row in item.rows]
    return any(bits is not None and (dense is None or abs(bits - dense) > 1e-9) for bits in stored)


def work(row: Row) -> tuple[str, float] | None:
    """What is counted of a run's work, and how much of it is left (1: all), from its `work_*` metrics.

    A share that the method counts itself; else a number per token or layer with its total; else calls per token.
    """
    values = {key.removeprefix("work_"): spread.median for key, spread in row.values.items() if key.startswith("work_")}
    for key, value in values.items():
        if key.endswith("_share"):
            return key.removesuffix("_share"), value
    for key, value in values.items():
        unit, per, _ = key.partition("_per_")
        if per and values.get(f"{unit}_total"):
            return unit, value / values[f"{unit}_total"]
    if "target_calls_per_token" in values:
        return "calls", values["target_calls_per_token"]
    return None


def _share(row: Row, unit: str) -> float | None:
    """How much work a run leaves in a unit. What counts none and is the uncompressed model leaves all."""
    found = work(row)
    if found is None:
        return 1.0 if row.role == "dense" else None
    return found[1] if found[0] == unit else None


def quality(item: Item) -> Axis | None:
    """The axis of quality: perplexity as a ratio to the uncompressed model, or accuracy."""
    known = {metric.key: metric for metric in item.measured.metrics}
    for key in ("perplexity", "output_perplexity"):
        if key in known and item.dense is not None and _median(item.dense, key):
            label = f"{known[key].label}, as a ratio to the uncompressed model"
            return Axis(key, label, True, known[key].better, ratio=True)
    if "accuracy" in known:
        return Axis("accuracy", "accuracy", False, "higher")
    return None


def level(item: Item, row: Row, axis: Axis) -> Spread | None:
    """The quality of a run on the axis; a ratio is of the medians."""
    spread = row.values.get(axis.key)
    if spread is None or not axis.ratio:
        return spread
    dense = _median(item.dense, axis.key) if item.dense else None
    return Spread(spread.median / dense, spread.low / dense, spread.high / dense) if dense else None


def _plot(x: Axis, items: list[Item], size: Callable[[Row], float | None]) -> Plot:
    """Every run once: a baseline that is another entry's own run stands there as that entry's."""
    y = next((axis for item in items if (axis := quality(item)) is not None), None)
    if y is None:
        return Plot(x, Axis("", "", False), False, [], [])
    entries = {item.entry.id: item.entry for item in items}
    found: dict[tuple[str, str], Dot] = {}
    for item, row in _runs(items):
        position, spread = size(row), level(item, row, y)
        if position is None or spread is None:
            continue
        if (x.logarithmic and position <= 0) or (y.logarithmic and spread.low <= 0):
            continue
        if row.role == "dense":
            name = explained.dense(item.measured.protocol["name"])
            found.setdefault(("", ""), Dot(position, spread, row, "", name, None, (), False))
            continue
        key = (row.algorithm, json.dumps(row.options, sort_keys=True, default=str))
        owner = item.entry.algorithm.home
        if key in found:
            seen = found[key].families
            found[key] = replace(found[key], families=seen if owner in seen else (*seen, owner))
            continue
        ran = entries.get(row.algorithm)
        family = ran.algorithm.home if ran else owner if row.algorithm == item.entry.id else None
        families = (family, owner) if family and family != owner else (owner,)
        found[key] = Dot(position, spread, row, item.entry.id, _name(item, row, ran), family, families,
                         item.measured.stale)  # fmt: skip
    dots = list(found.values())
    strip = len({dot.x for dot in dots if dot.row.role != "dense"}) == 1 and len(dots) > 2
    marks = [False] * len(dots) if strip else front(dots, y.better)
    return Plot(x, y, strip, [replace(dot, on_front=mark) for dot, mark in zip(dots, marks, strict=True)], items)


def _runs(items: list[Item]) -> Iterator[tuple[Item, Row]]:
    """Uncompressed, then each entry's own runs, then what they are compared with; what is current before what is stale.
    """
    ordered = sorted(items, key=lambda item: item.measured.stale)
    for item in ordered:
        if item.dense is not None:
            yield item, item.dense
    for own in (True, False):
        for item in ordered:
            yield from ((item, row) for row in item.rows if (row.role != "baseline") == own)


def _name(item: Item, row: Row, ran: Entry | None) -> str:
    """A run in few words: GPTQ; GPTQ, 2 bits; CALM, threshold 0.4; Round-to-nearest (baseline)."""
    name = ran.name if ran else explained.BASELINES.get(row.algorithm, row.algorithm)
    if row.changed:
        return f"{name}, " + ", ".join(_option(key.replace("_", " "), value) for key, value in row.changed.items())
    return f"{name} (baseline)" if row.role == "baseline" else name


def _option(words: str, value: Any) -> str:
    """2 bits; rank 4; no outlier threshold."""
    if value is None:
        return f"no {words}"
    if words.split()[-1] == "bits":
        return f"{value} {words.removesuffix('s') if value == 1 else words}"
    return f"{words} {value}"


def _median(row: Row, key: str) -> float | None:
    spread = row.values.get(key)
    return spread.median if spread else None


def _columns(items: list[Item], keys: Iterable[str]) -> list[Metric]:
    known = {metric.key: metric for item in items for metric in item.measured.metrics}
    return [known[key] for key in dict.fromkeys(keys) if key in known]
