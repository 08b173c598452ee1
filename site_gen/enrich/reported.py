"""Reported numbers side by side: which share a protocol, and for each of the others, what keeps it apart.

Two numbers stand side by side only under one protocol: they are printed in one table, or their sources are known to
share a protocol; and model, metric, data set, unit and every setting that says how it was measured and how strongly
the model was compressed are equal. Where rows of one protocol name different calibration data, or differ in what they
give for the uncompressed model, they are taken apart again.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable
from dataclasses import dataclass, field
from typing import Any

from catalog import reported
from catalog.reported import Record, Word
from catalog.search import short

HARD = ("evaluation", "compression")
NONE, UNTOLD = "none given", "not told"


@dataclass(frozen=True)
class Line:
    """A reported number as the pages show it. `number` counts all of them, in the order of files and rows."""

    number: int
    record: Record
    speaker: str
    entry: str | None
    family: str | None
    settings: dict[str, dict[str, Any]]  # part -> setting -> value
    source: str  # as people call it: Frantar et al. 2023, or owner/name

    @property
    def protocol(self) -> dict[str, Any]:
        """The settings that must be equal, and those that must not differ."""
        return {**self.settings["evaluation"], **self.settings["compression"], **self.settings["calibration"]}

    @property
    def form(self) -> dict[str, Any]:
        """The settings that tell forms of a method apart."""
        return self.settings["method"]


@dataclass(frozen=True)
class Group:
    """Numbers of at least two methods under one protocol, the best first. `ranks[i]` belongs to `lines[i]`.

    `shared` is the protocol of several sources, if it is one; else all stand in one table. There are no ranks where
    nobody says which value is better.
    """

    id: str
    lines: list[Line]
    ranks: list[int | None]
    shared: reported.Shared | None
    setting: dict[str, Any]
    baselines: list[tuple[float, str | None]]

    @property
    def first(self) -> Record:
        return self.lines[0].record

    @property
    def methods(self) -> list[str]:
        return list(dict.fromkeys(line.record.method for line in self.lines))


@dataclass(frozen=True)
class Apart:
    """A number without another method beside it.

    `nearest` is the number of another method, of the same model, metric and data set, that differs in the fewest
    parts of the protocol; `differs` names these parts with both values. Without one, `alone` says why.
    """

    line: Line
    nearest: Line | None
    differs: list[tuple[str, str, str]]  # part, value here, value there
    alone: str


@dataclass(frozen=True)
class Block:
    """Numbers of one method in one table that share everything but model and form."""

    metric: str
    dataset: str | None
    unit: str | None
    setting: dict[str, Any]
    not_stated: tuple[str, ...]
    lines: list[Line]


@dataclass(frozen=True)
class Sheet:
    """What one table of a source says about one method; `setting` and `notes` hold for all its numbers."""

    file: str
    first: Record
    speaker: str
    setting: dict[str, Any]
    from_code: list[str]
    notes: list[str]
    blocks: list[Block]

    @property
    def count(self) -> int:
        return sum(len(block.lines) for block in self.blocks)


@dataclass(frozen=True)
class Reported:
    """Everything about reported numbers. `group_of` leads from the number of a line to its group."""

    words: reported.Words | None
    lines: list[Line] = field(default_factory=list)
    groups: list[Group] = field(default_factory=list)
    apart: list[Apart] = field(default_factory=list)
    group_of: dict[int, Group] = field(default_factory=dict)
    sheets: dict[str, list[Sheet]] = field(default_factory=dict)  # by method

    def of(self, method: str) -> list[Line]:
        """The numbers of a method, table by table."""
        return [line for sheet in self.sheets.get(method, []) for block in sheet.blocks for line in block.lines]

    def label(self, name: str) -> str:
        """What a setting is called on a page."""
        word = self.word(name)
        return (word.name if word else None) or name.replace("_", " ")

    def word(self, name: str) -> Word | None:
        return self.words.settings.get(name) if self.words else None

    def better(self, metric: str) -> str:
        """higher, lower or neither."""
        measure = self.words.metrics.get(metric) if self.words else None
        return measure.better if measure else "neither"


def reported_numbers(catalog: Any, entries: dict[str, Any], works: dict[str, Any]) -> Reported:
    """The view of a catalog's numbers. `entries` and `works` are those of the site."""
    words = catalog.protocol_words
    if words is None:
        return Reported(None)
    about = {entry.algorithm.paper or entry.id: entry for entry in entries.values()}
    lines = []
    for number, record in enumerate(catalog.reported, 1):
        entry = about.get(record.method)
        family = entry.algorithm.home if entry else works[record.method].family
        settings: dict[str, dict[str, Any]] = {part: {} for part in (*HARD, "calibration", "method", "outcome")}
        for name, value in record.setting.items():
            settings[words.settings[name].part][name] = value
        work = catalog.bibliography.get(record.source.work or "")
        lines.append(Line(number, record, reported.speaker(catalog, record), entry.id if entry else None, family,
                          settings, short(work) if work else record.source.repository or record.source.stem))
    groups = _groups(lines, words)
    group_of = {line.number: group for group in groups for line in group.lines}
    found = Reported(words, lines, groups, [], group_of, _sheets(lines, words))
    found.apart.extend(_apart(lines, group_of, found))
    return found


# --- side by side ------------------------------------------------------------------------------------------------


def _groups(lines: list[Line], words: reported.Words) -> list[Group]:
    buckets: dict[Hashable, list[Line]] = defaultdict(list)
    for line in lines:
        if not line.record.gathered:
            buckets[_key(line, words)].append(line)
    found = []
    for bucket in buckets.values():
        for part in _split(bucket, lambda line: _frozen(line.settings["calibration"])):
            for same in _split(part, _baseline):
                if len({line.record.method for line in same}) > 1:
                    found.append(_group(same, words))
    return sorted(found, key=lambda group: (
        -len(group.methods), group.first.metric, group.first.dataset or "", group.first.model, group.lines[0].number))


def _key(line: Line, words: reported.Words) -> Hashable:
    """What must be equal. Facts that a source does not tell are equal within its own table only."""
    record = line.record
    untold = any(name in words.settings and words.settings[name].part in HARD for name in record.not_stated)
    scope = record.protocol if record.protocol and not untold else record.table
    hard = {**line.settings["evaluation"], **line.settings["compression"]}
    return scope, record.model, record.metric, record.dataset, record.unit, _frozen(hard)


def _split(lines: list[Line], told: Callable[[Line], Hashable | None]) -> Iterable[list[Line]]:
    """All together where at most one value is told; else by value, and those that tell none by themselves."""
    by_value: dict[Hashable | None, list[Line]] = defaultdict(list)
    for line in lines:
        by_value[told(line)].append(line)
    return [lines] if len([value for value in by_value if value is not None]) < 2 else list(by_value.values())


def _baseline(line: Line) -> Hashable | None:
    record = line.record
    return None if record.baseline is None else (record.baseline, record.baseline_is)


def _frozen(setting: dict[str, Any]) -> Hashable | None:
    """A setting as something that can be compared; None where it is empty."""
    return tuple(sorted((name, repr(value)) for name, value in setting.items())) or None


def _group(lines: list[Line], words: reported.Words) -> Group:
    first = lines[0].record
    measure = words.metrics[first.metric]
    if measure.better != "neither":
        lines = sorted(lines, key=lambda line: line.record.value, reverse=measure.better == "higher")
        values = [line.record.value for line in lines]
        ranks: list[int | None] = [values.index(value) + 1 for value in values]
    else:
        ranks = [None] * len(lines)
    calibration = next((line.settings["calibration"] for line in lines if line.settings["calibration"]), {})
    hard = {**lines[0].settings["evaluation"], **lines[0].settings["compression"]}
    told = {line.settings["calibration"] == calibration for line in lines}
    untold = {} if told == {True} else calibration
    name = "|".join(sorted(repr((r.source.stem, r.place, r.method, r.model, r.metric, r.dataset, r.setting))
                           for r in (line.record for line in lines)))
    return Group(
        id="g" + hashlib.sha1(name.encode()).hexdigest()[:8], lines=lines, ranks=ranks,
        shared=words.protocols.get(first.protocol) if len({line.record.table for line in lines}) > 1 else None,
        setting={**hard, **({} if untold else calibration)},
        baselines=list(dict.fromkeys(
            (line.record.baseline, line.record.baseline_is) for line in lines if line.record.baseline is not None)),
    )


# --- apart -------------------------------------------------------------------------------------------------------


def _apart(lines: list[Line], group_of: dict[int, Group], found: Reported) -> Iterable[Apart]:
    by_model: dict[Hashable, list[Line]] = defaultdict(list)
    methods: dict[Hashable, set[str]] = defaultdict(set)
    cut = {line.number: parts(line, found) for line in lines}
    for line in lines:
        record = line.record
        by_model[record.metric, record.dataset, record.model].append(line)
        methods[record.metric, record.dataset].add(record.method)
    for line in lines:
        if line.number in group_of:
            continue
        record = line.record
        others = [o for o in by_model[record.metric, record.dataset, record.model] if o.record.method != record.method]
        if others:
            ways = [(differing(cut[line.number], cut[other.number]), other) for other in others]
            differs, nearest = min(ways, key=lambda way: (len(way[0]), way[1].number))
            yield Apart(line, nearest, differs, "")
        elif len(methods[record.metric, record.dataset]) > 1:
            yield Apart(line, None, [], "no other method is reported on this model")
        else:
            yield Apart(line, None, [], "no other method is reported with this metric"
                        + (" on these data" if record.dataset else ""))


def differences(line: Line, other: Line, found: Reported) -> list[tuple[str, str, str]]:
    """The parts of the protocol in which two numbers differ: what, here, there. Never empty for two that are apart."""
    return differing(parts(line, found), parts(other, found))


@dataclass(frozen=True)
class Part:
    """One part of a number's protocol.

    Two numbers agree in it if `tokens` have one in common, or if neither has any. Where one of the two has none, a
    `soft` part keeps them apart only if no other part does.
    """

    label: str
    shown: str
    tokens: tuple[str, ...]
    soft: bool = False


def parts(line: Line, found: Reported) -> list[Part]:
    """The protocol of a number, cut so that it can be held against any other's without further rules."""
    record = line.record
    table = "table {} {}".format(*record.table)
    own = f"gathered {line.number}" if record.gathered else "own"  # what was gathered agrees with nothing, not its like
    cut = [Part("protocol", "collected from elsewhere" if record.gathered else "its own", (own,)),
           Part("unit", record.unit or "none", (record.unit or "none",))]
    for name in dict.fromkeys([*line.protocol, *record.not_stated]):
        part = found.words.settings[name].part if found.words else ""
        if part in (*HARD, "calibration"):
            value = _told(line.protocol, record, name)
            told = name in line.protocol  # what a table does not tell is the same within that table only
            cut.append(Part(found.label(name), value, (f"= {value}" if told else table,), part == "calibration"))
    given = f"{record.baseline:g}" if record.baseline is not None else UNTOLD
    given += f" ({record.baseline_is})" if record.baseline is not None and record.baseline_is else ""
    cut.append(Part("uncompressed model", given, () if record.baseline is None else (given,), True))
    scope = (f"protocol {record.protocol}",) if record.protocol else ()
    cut.append(Part("source", f"{line.source}, {record.place}", (table, *scope)))
    return cut


def differing(here: list[Part], there: list[Part]) -> list[tuple[str, str, str]]:
    """The parts in which two numbers differ: what, here, there. The comparison in the browser does the same."""
    mine, its = ({part.label: part for part in one} for one in (here, there))
    hard, soft = [], []
    for label in dict.fromkeys([*mine, *its]):
        known = mine.get(label) or its[label]
        one, other = (side.get(label) or Part(label, NONE, (), known.soft) for side in (mine, its))
        if set(one.tokens) & set(other.tokens) or not (one.tokens or other.tokens):
            continue
        weak = known.soft and not (one.tokens and other.tokens)
        (soft if weak else hard).append((label, one.shown, other.shown))
    return hard or soft


def _told(setting: dict[str, Any], record: Record, name: str) -> str:
    if name in setting:
        value = setting[name]
        return {True: "yes", False: "no"}[value] if isinstance(value, bool) else str(value)
    return UNTOLD if name in record.not_stated else NONE


# --- by method ---------------------------------------------------------------------------------------------------


def _sheets(lines: list[Line], words: reported.Words) -> dict[str, list[Sheet]]:
    tables: dict[str, dict[tuple[str, int], list[Line]]] = defaultdict(lambda: defaultdict(list))
    for line in lines:
        tables[line.record.method][line.record.table].append(line)
    return {method: [_sheet(found) for found in by_table.values()] for method, by_table in tables.items()}


def _sheet(lines: list[Line]) -> Sheet:
    first = lines[0].record
    setting = {
        name: value for name, value in lines[0].protocol.items()
        if all(name in line.protocol and line.protocol[name] == value for line in lines)
    }
    notes = [note for note in first.notes if all(note in line.record.notes for line in lines)]
    blocks: dict[Hashable, Block] = {}
    for line in lines:
        record = line.record
        rest = {name: value for name, value in line.protocol.items() if name not in setting}
        key = record.metric, record.dataset, record.unit, _frozen(rest), record.not_stated
        block = blocks.setdefault(
            key, Block(record.metric, record.dataset, record.unit, rest, record.not_stated, []))
        block.lines.append(line)
    return Sheet(
        file=first.file, first=first, speaker=lines[0].speaker, setting=setting,
        from_code=[name for name in first.from_code if all(name in line.record.from_code for line in lines)],
        notes=notes, blocks=list(blocks.values()),
    )
