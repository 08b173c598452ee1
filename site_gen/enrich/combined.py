"""Pairs of methods made ready to show: what a pair does beyond the sum of its parts, and which order is better."""

from __future__ import annotations

import math
import re
import statistics
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from site_gen.enrich.measured import Spread

KINDS = ("rewrite", "structured", "pruning", "low-rank", "quantization")  # in the order of the table
# Bounds between the classes of the heat map, in nats; the middle class is that of pairs that add up.
BOUNDS = (-0.3, -0.1, -0.03, 0.03, 0.1, 0.3)


@dataclass(frozen=True)
class Part:
    """A method alone. `change`: of the log-perplexity, None where it could not be measured."""

    id: str
    kind: str
    options: dict[str, Any]
    change: Spread | None
    values: dict[str, Spread]
    refused: str


@dataclass(frozen=True)
class Pair:
    """`first`, then `second`. `change`: of the log-perplexity against the uncompressed model; `excess`: that less the
    sum of the parts' changes, positive where the pair loses more than its parts together; both over the seeds.

    `refused`: why it cannot be done. `better`: whether this order is the better of the two, None where the other order
    was not measured or the seeds do not tell them apart.
    """

    first: str
    second: str
    change: Spread | None
    excess: Spread | None
    values: dict[str, Spread]
    refused: str
    better: bool | None = None

    def reason(self, name: Callable[[str], str]) -> str:
        """Why it cannot be done, as the error says it but for the two methods, which get their names."""
        text = self.refused.removeprefix(f"{self.first}+{self.second}: ")
        names = {key: name(key) for key in (self.first, self.second)}
        for one, other in ((self.first, self.second), (self.second, self.first)):
            text = text.replace(f"{one}+{other}", f"{names[one]}, then {names[other]}")
        for key, shown in names.items():
            said = "|".join(re.escape(word) for word in dict.fromkeys((key, key.replace("-", "_"))))
            text = re.sub(rf"(?<![\w.+-])(?:{said})(?![\w+-])", lambda _, shown=shown: shown, text)
        return text

    @property
    def level(self) -> int | None:
        """Class of the heat map: 0 far less loss than the sum, 3 the sum, 6 far more."""
        return None if self.excess is None else sum(self.excess.median >= bound for bound in BOUNDS)


@dataclass(frozen=True)
class Combined:
    """`pairs` by (first, second); an ordered pair that was never tried is not in it."""

    date: str
    protocol: dict[str, Any]
    parts: list[Part]
    pairs: dict[tuple[str, str], Pair]
    dense: dict[str, Spread]
    stale: list[str]

    @property
    def measured(self) -> list[Pair]:
        return [pair for pair in self.pairs.values() if pair.change is not None]

    @property
    def orders(self) -> list[tuple[Pair, Pair]]:
        """Pairs measured in both orders, the better one first; in the order of the methods where the seeds do not tell.
        """
        both = [
            (pair, self.pairs[pair.second, pair.first]) for pair in self.measured
            if pair.better is not False and (other := self.pairs.get((pair.second, pair.first))) and other.change
        ]
        names = [part.id for part in self.parts]
        return [(one, other) for one, other in both
                if one.better or names.index(one.first) < names.index(other.first)]

    @property
    def refused(self) -> list[Pair]:
        return [pair for pair in self.pairs.values() if pair.refused]


def view(catalog: Any) -> Combined | None:
    """What `compzoo combine` measured, or None where it has not been run."""
    found = catalog.combinations
    if found is None:
        return None
    kinds = {name: part.kind for name, part in catalog.combined.methods.items()} if catalog.combined else {}
    names = sorted(found.options, key=lambda name: KINDS.index(kinds[name]) if name in kinds else len(KINDS))
    dense = found.of()
    alone = {name: found.of(name) for name in names}
    parts = [
        Part(name, kinds.get(name, ""), dict(found.options[name]), _change(run, dense), _values(run), _refusal(run))
        for name, run in alone.items()
    ]
    pairs = {}
    for first in names:
        for second in names:
            run = found.of(first, second)
            if run is not None and first != second:
                excess = _excess(run, alone[first], alone[second], dense)
                pairs[first, second] = Pair(first, second, _change(run, dense), excess, _values(run), _refusal(run),
                                            _better(run, found.of(second, first)))  # fmt: skip
    codes = {name: entry.reference.code for name, entry in catalog.algorithms.items()}
    return Combined(found.date, found.protocol.model_dump(), parts, pairs, _values(dense),
                    found.stale(codes, catalog.source))  # fmt: skip


def _refusal(run: Any) -> str:
    return (run.refused or "") if run is not None else "not measured"


def _values(run: Any) -> dict[str, Spread]:
    if run is None:
        return {}
    return {
        key: Spread(value, run.min.get(key, value), run.max.get(key, value))
        for key, value in run.median.items() if value is not None
    }


def _logs(run: Any) -> dict[int, float]:
    """Seed to log-perplexity, of the seeds that have one."""
    if run is None:
        return {}
    return {
        record["seed"]: math.log(record["perplexity"]) for record in run.seeds if (record.get("perplexity") or 0) > 0
    }


def _spread(values: list[float]) -> Spread | None:
    return Spread(statistics.median(values), min(values), max(values)) if values else None


def _change(run: Any, dense: Any) -> Spread | None:
    """Change of the log-perplexity, seed by seed."""
    after, before = _logs(run), _logs(dense)
    return _spread([after[seed] - before[seed] for seed in after if seed in before])


def _excess(run: Any, first: Any, second: Any, dense: Any) -> Spread | None:
    """The pair's change less the sum of its parts' changes, seed by seed: log p(ab) - log p(a) - log p(b) + log p."""
    pair, one, other, before = _logs(run), _logs(first), _logs(second), _logs(dense)
    return _spread([
        pair[seed] - one[seed] - other[seed] + before[seed]
        for seed in pair if seed in one and seed in other and seed in before
    ])  # fmt: skip


def _better(run: Any, swapped: Any) -> bool | None:
    """Whether every seed of this order is below every seed of the other, or the reverse."""
    here, there = list(_logs(run).values()), list(_logs(swapped).values())
    if not here or not there:
        return None
    return True if max(here) < min(there) else False if min(here) > max(there) else None
