"""All of the refreshing in order: choose the works, ask, propose, make the new text. Nothing here writes the file."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from catalog.bibliography import Work
from catalog.loading import Catalog
from catalog.refresh import identifiers, writing
from catalog.refresh.client import RefreshError
from catalog.refresh.proposing import Plan, propose
from catalog.refresh.sources import Failure, Listing, Progress, Source


@dataclass(frozen=True)
class Result:
    """What came of it. `left` are works that the limit left for another run; they are no failures."""

    plan: Plan
    listings: list[Listing]
    failures: list[Failure]
    left: list[str]
    old: str
    new: str
    diff: str


def works_to_ask(catalog: Catalog, only: Iterable[str] = ()) -> list[Work]:
    """The works with a DOI or an arXiv id, by key; with `only`, those of them."""
    only = set(only)
    return [
        work for key, work in sorted(catalog.bibliography.items())
        if identifiers.of_work(work) and (not only or key in only)
    ]  # fmt: skip


def refresh(
    catalog: Catalog,
    works: Sequence[Work],
    sources: Sequence[Source],
    limit: int | None = None,
    accept_titles: bool = False,
    progress: Progress = lambda line: None,
) -> Result:
    """Ask the sources, in their order, for the reference lists of the works, and propose what to add to citations.yml.

    At most `limit` works are asked for; what earlier runs were answered counts for nothing there and is used all the
    same. Raises Unreachable if there is no network, RefreshError if citations.yml cannot be added to; what was answered
    until then is kept by the sources.
    """
    waiting = [work for work in works if any(isinstance(source.read(work), Failure) for source in sources)]
    asked = waiting if limit is None else waiting[:limit]
    left = {work.key for work in waiting[len(asked):]}
    for source in sources:
        source.fill(asked, progress)
    listings: list[Listing] = []
    failures: list[Failure] = []
    for work in works:
        for source in sources:
            found = source.read(work)
            if isinstance(found, Listing):
                listings.append(found)
            elif work.key not in left:
                failures.append(found)
    name = f"{catalog.root.name}/citations.yml"
    path = catalog.root / "citations.yml"
    try:
        with path.open(encoding="utf-8", newline="") as file:
            old = file.read()
    except (OSError, UnicodeDecodeError) as error:
        raise RefreshError(f"{name} cannot be read: {error}") from error
    # The file is looked at only now: asking takes long, and people edit.
    plan = propose(writing.citations_of(old, name), catalog.bibliography, listings, accept_titles)
    new = writing.with_additions(old, plan.additions, name)
    return Result(plan, listings, failures, sorted(left), old, new, writing.diff(old, new, name))
