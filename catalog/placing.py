"""To which family each work of the bibliography belongs, as far as the catalog or its surveys say."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from catalog.loading import Catalog


class Placed(NamedTuple):
    """A family's id, and what places the work there."""

    family: str
    by: str  # entry | example | survey


def families_of_works(catalog: Catalog) -> dict[str, Placed]:
    """By key of the work: the family of its entry (of several, the first by name); else where the taxonomy names it as
    an example; else where the surveys that were seen to treat it file it, if they agree on one most often.
    """
    entries: dict[str, str] = {}
    for entry in sorted(catalog.algorithms.values(), key=lambda one: one.name.casefold()):
        if entry.paper:
            entries.setdefault(entry.paper, entry.home)
    examples: dict[str, list[str]] = {}
    for node in catalog.taxonomy.nodes() if catalog.taxonomy else ():
        for key in catalog.taxonomy.group(node).examples:
            examples.setdefault(key, []).append(node.partition("/")[0])
    votes: dict[str, Counter[str]] = {}
    for survey in catalog.surveys.values():
        for way, leaf in survey.places():
            family = next((section.family for section in reversed(way) if section.family), None)
            if family and leaf.read != "recalled":
                votes.setdefault(leaf.work, Counter())[family] += 1
    found = {}
    for key in catalog.bibliography:
        if key in entries:
            found[key] = Placed(entries[key], "entry")
        elif key in examples:
            found[key] = Placed(Counter(examples[key]).most_common(1)[0][0], "example")
        elif key in votes:
            first, *others = votes[key].most_common(2)
            if not others or first[1] > others[0][1]:
                found[key] = Placed(first[0], "survey")
    return found
