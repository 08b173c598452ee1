"""How much of a survey the zoo has, for each of its sections and in all."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from catalog import model

if TYPE_CHECKING:
    from site_gen.enrich.site import Entry, WorkView


@dataclass(frozen=True)
class Share:
    """Of the works that a survey files with evidence, those that are algorithms; of these, those that the zoo has.

    A work is an algorithm where the bibliography says so or an entry is about it.
    """

    works: int
    algorithms: int
    entries: int
    runs: int  # with an implementation and its tests
    measured: int


@dataclass(frozen=True)
class SectionView:
    """A section of a survey's tree with what was seen in it; `id` is unique on the survey's page."""

    id: str
    section: model.Section
    leaves: list[model.Leaf]  # directly in it, with evidence
    share: Share  # of it and all below
    sections: list[SectionView]

    def walk(self) -> Iterator[SectionView]:
        """This section and all below, in order."""
        yield self
        for inner in self.sections:
            yield from inner.walk()


def of_survey(
    survey: model.Survey, works: dict[str, WorkView], entries: dict[str, Entry]
) -> tuple[Share, list[SectionView]]:
    """The share of the whole survey, and its sections that hold any work with evidence."""

    used: set[str] = set()

    def view(section: model.Section, outer: str) -> tuple[SectionView, set[str]]:
        name = _name(section.title, outer, used)
        leaves = [leaf for leaf in section.works if leaf.read != "recalled"]
        keys = {leaf.work for leaf in leaves}
        inner = []
        for below in section.sections:
            found, more = view(below, name)
            keys |= more
            if more:
                inner.append(found)
        return SectionView(name, section, leaves, share(keys, works, entries), inner), keys

    every: set[str] = set()
    sections = []
    for section in survey.sections:
        found, keys = view(section, "section")
        every |= keys
        if keys:
            sections.append(found)
    return share(every, works, entries), sections


def _name(title: str, outer: str, used: set[str]) -> str:
    """section-<title>, after the name of the outer section where that is taken; noted in `used`."""
    slug = re.sub(r"[^a-z0-9]+", "-", title.lower()).strip("-")
    name = f"section-{slug}" if slug else f"{outer}-part"
    name = name if name not in used else f"{outer}-{slug or 'part'}"
    while name in used:
        name += "-also"
    used.add(name)
    return name


def share(keys: Iterable[str], works: dict[str, WorkView], entries: dict[str, Entry]) -> Share:
    """What the zoo has of these works, each counted once."""
    found = [works[key] for key in set(keys)]
    about = [[entries[name] for name in view.entries] for view in found if view.entries]
    return Share(
        works=len(found),
        algorithms=sum(is_algorithm(view) for view in found),
        entries=len(about),
        runs=sum(any(entry.runs for entry in group) for group in about),
        measured=sum(any(entry.measured is not None for entry in group) for group in about),
    )


def is_algorithm(view: WorkView) -> bool:
    """Whether the bibliography calls the work an algorithm, or an entry is about it."""
    return view.work.role == "algorithm" or bool(view.entries)
