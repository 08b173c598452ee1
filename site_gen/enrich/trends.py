"""What became public when: works by family, what methods need, bits, the surveys' windows, the zoo against the known.

Nothing here is about the field itself. It is about the works that the bibliography knows and the entries that the zoo
has; which those are, every series says.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from catalog.wording import word

LEAST = 3  # methods in a column from which a share is given, and from which a year has a column of its own


@dataclass(frozen=True)
class Column:
    """A year, or all years up to one (`first` is then the earliest). `parts`: category to ids, the oldest first."""

    label: str
    first: int
    last: int
    parts: dict[str, list[str]]

    @property
    def total(self) -> int:
        return sum(map(len, self.parts.values()))

    def count(self, category: str) -> int:
        return len(self.parts.get(category, ()))

    def share(self, category: str) -> float | None:
        """Between 0 and 1; None where the column is too small for a share to say anything."""
        return self.count(category) / self.total if self.total >= LEAST else None


@dataclass(frozen=True)
class Series:
    """Counts by year and category. `categories`: id to name, in the order of the drawing."""

    categories: dict[str, str]
    columns: list[Column]

    @property
    def total(self) -> int:
        return sum(column.total for column in self.columns)

    def of(self, category: str) -> int:
        return sum(column.count(category) for column in self.columns)


@dataclass(frozen=True)
class Width:
    """The bits that an entry names for its weights, in the year in which the method became public."""

    id: str
    year: int
    bits: tuple[float, ...]

    @property
    def least(self) -> float:
        return min(self.bits)


@dataclass(frozen=True)
class Window:
    """The years of the works that a survey was seen to file: first, tenth part, middle, ninetieth part and last.

    `own` is when the survey itself was first public; `after` counts works that were public only after that, which
    later versions of the survey added.
    """

    survey: str
    works: int
    first: int
    tenth: int
    middle: int
    ninetieth: int
    last: int
    own: str
    after: int


@dataclass(frozen=True)
class Trends:
    """All series. `undated` works have no known first version and stand in the year of their publication; `later` ones
    were published in a later year than their first version.
    """

    works: Series
    training: Series
    data: Series
    widths: list[Width]
    windows: list[Window]
    zoo: Series
    undated: int
    later: int
    origins: dict[str, int]  # where the families of the works come from: entry, example, survey or ""
    elsewhere: list[str]  # entries whose paper is not counted among the works: none, or of another role


def trends(catalog: Any, works: Mapping[str, Any]) -> Trends:
    """`works` are the site's views of the bibliography, by key."""
    methods = [view for view in works.values() if view.work.role == "algorithm"]
    families = {name: family.name for name, family in catalog.taxonomy.families.items()} | {"": "No family yet"}
    entries = catalog.algorithms.values()
    dated = {view.key: year(view.work) for view in methods}
    introduced = {entry.id: int(entry.introduced[:4]) for entry in entries}

    def of_entries(fact: str) -> Series:
        values = dict.fromkeys(catalog.vocabulary[fact].values)
        return series(
            ((introduced[entry.id], entry.introduced, getattr(entry.facts, fact), entry.id) for entry in entries),
            {value: word(value) for value in values},
        )

    return Trends(
        works=series(((dated[view.key], when(view.work), view.family or "", view.key) for view in methods), families),
        training=of_entries("training"),
        data=of_entries("data"),
        widths=sorted(
            (Width(entry.id, introduced[entry.id], tuple(sorted(entry.facts.bits["weights"])))
             for entry in entries if entry.facts.bits and "weights" in entry.facts.bits),
            key=lambda width: (width.year, width.least, width.id),
        ),
        windows=[window(key, survey, catalog.bibliography) for key, survey in catalog.surveys.items()
                 if any(leaf.read != "recalled" for _, leaf in survey.leaves())],
        zoo=series(
            ((dated[view.key], when(view.work), "entry" if view.entries else "known", view.key) for view in methods),
            {"entry": "With an entry", "known": "Without one"},
        ),
        undated=sum(not view.work.first_public for view in methods),
        later=sum(view.work.year > dated[view.key] for view in methods),
        origins=dict(Counter(view.family_from for view in methods)),
        elsewhere=sorted(entry.id for entry in entries if entry.paper not in dated),
    )


def when(work: Any) -> str:
    """The month, or the year, in which a work was first public; its year of publication where that is not known."""
    return work.first_public or str(work.year)


def year(work: Any) -> int:
    return int(when(work)[:4])


def series(items: Iterable[tuple[int, str, str, str]], categories: dict[str, str]) -> Series:
    """Columns from (year, date, category, id): each year one; the thin years before the first that is not, together.

    Years within the range that have nothing are columns too. Categories that nothing falls into are left out.
    """
    found = sorted(items, key=lambda item: (item[1], item[3]))
    if not found:
        return Series({}, [])
    counts = Counter(item[0] for item in found)
    start = next((one for one in sorted(counts) if counts[one] >= LEAST), max(counts))
    if start - min(counts) == 1:
        start -= 1
    columns = []
    if min(counts) < start:
        columns.append(Column(f"to {start - 1}", min(counts), start - 1, _parts(found, categories, 0, start - 1)))
    columns += [Column(str(one), one, one, _parts(found, categories, one, one))
                for one in range(start, max(counts) + 1)]  # fmt: skip
    used = {item[2] for item in found}
    return Series({key: name for key, name in categories.items() if key in used}, columns)


def _parts(
    found: list[tuple[int, str, str, str]], categories: dict[str, str], first: int, last: int
) -> dict[str, list[str]]:
    parts = {key: [item[3] for item in found if item[2] == key and first <= item[0] <= last] for key in categories}
    return {key: ids for key, ids in parts.items() if ids}


def window(key: str, survey: Any, bibliography: Mapping[str, Any]) -> Window:
    """A survey's window; each work counts once, and only where it was seen that the survey files it."""
    seen = {leaf.work for _, leaf in survey.leaves() if leaf.read != "recalled"}
    years = sorted(year(bibliography[work]) for work in seen)
    own = when(bibliography[survey.work])
    # A date of a year alone is not later than a month of that year.
    after = sum(when(bibliography[work])[: len(own)] > own[: len(when(bibliography[work]))] for work in seen)

    def part(share: float) -> int:
        return years[round(share * (len(years) - 1))]

    return Window(key, len(years), years[0], part(0.1), part(0.5), part(0.9), years[-1], own, after)
