"""Editorial rules of the surveys: which works they name, and what makes a tree of sections a good one."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from catalog.loading import Catalog
from catalog.model import Survey
from catalog.problems import Problem, listed, nearest, shown
from catalog.reader import KeyPath

CITED = re.compile(r"\[@([^\]\s]+)\]")
REMARKS = ("editions", "special", "concepts", "desired_properties", "open_problems", "slips")


def keys(survey: Survey) -> Iterator[tuple[KeyPath, str]]:
    """Every key of a work that a survey's file names, with its place."""
    yield ("work",), survey.work
    for path, leaf in leaves(survey.sections, ("sections",)):
        yield (*path, "work"), leaf.work
    for name in ("representatives", "metrics"):
        for i, item in enumerate(getattr(survey, name)):
            for j, key in enumerate(item.works):
                yield (name, i, "works", j), key
    for path, text in prose(survey):
        for key in CITED.findall(text):
            yield path, key


def prose(survey: Survey) -> Iterator[tuple[KeyPath, str]]:
    """Every field of a survey that is rendered as Markdown, with its place."""
    yield ("read",), survey.read
    for name in REMARKS:
        for i, remark in enumerate(getattr(survey, name)):
            yield (name, i, "text"), remark.text
    for name, field in (("representatives", "why"), ("metrics", "says"), ("tables", "says")):
        for i, item in enumerate(getattr(survey, name)):
            if getattr(item, field):
                yield (name, i, field), getattr(item, field)
    for path, section in sections(survey.sections, ("sections",)):
        if section.note:
            yield (*path, "note"), section.note
    for path, leaf in leaves(survey.sections, ("sections",)):
        if leaf.says:
            yield (*path, "says"), leaf.says


def sections(found: list[Any], path: KeyPath) -> Iterator[tuple[KeyPath, Any]]:
    """Every section of a tree with its place, outer ones first."""
    for i, section in enumerate(found):
        yield (*path, i), section
        yield from sections(section.sections, (*path, i, "sections"))


def leaves(found: list[Any], path: KeyPath) -> Iterator[tuple[KeyPath, Any]]:
    """Every leaf of a tree with its place."""
    for place, section in sections(found, path):
        for i, leaf in enumerate(section.works):
            yield (*place, "works", i), leaf


def surveys_hold_together(catalog: Catalog) -> Iterator[Problem]:
    """A section means a family that exists, holds something, and files a work once; representatives are filed."""
    families = list(catalog.taxonomy.families) if catalog.taxonomy is not None else None
    for survey in catalog.surveys.values():
        yield from _each_once(catalog, survey.file, ("sections",), "title", survey.sections)
        for path, section in sections(survey.sections, ("sections",)):
            if section.family is not None and families is not None and section.family not in families:
                yield catalog.problem(survey.file, (*path, "family"), "not a family of taxonomy.yml",
                                      value=shown(section.family), expected=listed(families),
                                      nearest=nearest(section.family, families))
            if not section.works and not section.sections and not section.note:
                yield catalog.problem(survey.file, (*path, "title"), "a section with nothing in it",
                                      value=shown(section.title), expected="works, sections, or a note that says why")
            yield from _each_once(catalog, survey.file, (*path, "works"), "work", section.works)
            yield from _each_once(catalog, survey.file, (*path, "sections"), "title", section.sections)
        filed = {leaf.work for _, leaf in survey.leaves() if leaf.read != "recalled"}
        for i, group in enumerate(survey.representatives):
            for j, key in enumerate(group.works):
                if key in catalog.bibliography and key not in filed:
                    yield catalog.problem(survey.file, ("representatives", i, "works", j),
                                          "a representative that the tree does not hold with evidence",
                                          value=shown(key), expected="a work that a section of this survey files",
                                          nearest=nearest(key, filed))


def _each_once(catalog: Catalog, file: str, path: KeyPath, field: str, items: list[Any]) -> Iterator[Problem]:
    """The works, or the titles, of one section stand once."""
    seen: set[str] = set()
    for i, item in enumerate(items):
        name = getattr(item, field)
        if name in seen:
            yield catalog.problem(file, (*path, i, field), f"the {field} stands twice in one section",
                                  value=shown(name), expected="each once")
        seen.add(name)
