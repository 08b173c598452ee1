"""The taxonomy with all that is known in it: the entries of each group, and the methods that have no entry yet.

A method without an entry lies in the group that names it as an example; else, where surveys' sections mean one family,
in that family but in no group; else in no family. Works of other roles (models, data, frameworks, surveys, foundations)
are no methods that an entry could be missing for.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from site_gen.enrich.citations import CitationGraph
    from site_gen.enrich.site import Entry, WorkView


@dataclass(frozen=True)
class Method:
    """An entry, or a work without one. `id` is the entry's, or the work's key; `cited` counts known citations."""

    id: str
    name: str
    year: int
    entry: bool
    cited: int


@dataclass(frozen=True)
class Ground:
    """A group, or the part of a family that no group has yet (`id` and `name` are empty). The entries come first."""

    id: str
    name: str
    methods: list[Method]

    @cached_property
    def entries(self) -> int:
        return sum(method.entry for method in self.methods)


@dataclass(frozen=True)
class Land:
    """A family, or what has none yet (`id` and `name` are empty)."""

    id: str
    name: str
    grounds: list[Ground]

    @cached_property
    def known(self) -> int:
        return sum(len(ground.methods) for ground in self.grounds)

    @cached_property
    def entries(self) -> int:
        return sum(ground.entries for ground in self.grounds)


def territory(
    catalog: Any, entries: Mapping[str, Entry], works: Mapping[str, WorkView], graph: CitationGraph
) -> list[Land]:
    """All families and groups in the order of the taxonomy, empty ones too; what has no place comes last."""
    cited = {key: place.cited_by for key, place in graph.places.items()}
    groups: dict[str, str] = {}
    for node in catalog.taxonomy.nodes():
        for key in catalog.taxonomy.group(node).examples:
            groups.setdefault(f"{key} {node.partition('/')[0]}", node)
    found: dict[tuple[str, str], list[Method]] = {}
    for entry in entries.values():
        home, _, group = entry.algorithm.family.partition("/")
        found.setdefault((home, group), []).append(Method(
            entry.id, entry.name, int(entry.algorithm.introduced[:4]), True, cited.get(entry.algorithm.paper or "", 0)
        ))
    for view in works.values():
        if view.work.role == "algorithm" and not view.entries:
            home, _, group = groups.get(f"{view.key} {view.family}", view.family or "").partition("/")
            name = view.work.name
            year = int((view.work.first_public or str(view.work.year))[:4])
            found.setdefault((home, group), []).append(Method(view.key, name, year, False, cited.get(view.key, 0)))
    for methods in found.values():
        methods.sort(key=_order)
    lands = []
    for name, family in catalog.taxonomy.families.items():
        grounds = [Ground(key, group.name, found.get((name, key), [])) for key, group in family.groups.items()]
        if (name, "") in found:
            grounds.append(Ground("", "", found[name, ""]))
        lands.append(Land(name, family.name, grounds))
    if ("", "") in found:
        lands.append(Land("", "", [Ground("", "", found["", ""])]))
    return lands


def _order(method: Method) -> tuple[bool, int, str, str]:
    """Entries by year, then the others, the most cited first."""
    return not method.entry, method.year if method.entry else -method.cited, method.name.casefold(), method.id
