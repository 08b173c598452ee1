"""The surveys' own top sections against our families: how many algorithms each section files that we file where.

Only what our side files by itself counts as ours: the home of an entry, or the group that names a work as an example.
The family of any other work follows from the surveys, so that to compare it with them would prove nothing; those stand
in a column of their own. A passing mention is no filing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from site_gen.enrich.crosswalk import Crosswalk, Row
    from site_gen.enrich.site import SurveyView


@dataclass(frozen=True)
class Flow:
    """The algorithms of a section that have their home in one family. `apart` are those among them that the section
    files under families without a common one with ours."""

    rows: list[Row]
    apart: list[Row]


@dataclass(frozen=True)
class Line:
    """A top section of a survey. `flows` by family, those that have any; "" for what we have not filed ourselves."""

    survey: str
    id: str  # of the section on the survey's page
    title: str
    family: str | None  # that the section means
    total: int
    flows: dict[str, Flow]


def flows(surveys: dict[str, SurveyView], crosswalk: Crosswalk) -> list[Line]:
    """Every top section with an algorithm, in the surveys' order."""
    found: dict[tuple[str, str], dict[str, Flow]] = {}
    for row in crosswalk.rows:
        home = row.home.families
        for key, cell in row.cells.items() if row.algorithm else ():
            means: dict[str, set[str]] = {}
            for filing in cell.filings:
                if filing.leaf.depth != "mentioned":
                    means.setdefault(filing.path[0], set()).update({filing.family} if filing.family else ())
            for title, families in means.items():
                flow = found.setdefault((key, title), {}).setdefault(home[0] if home else "", Flow([], []))
                flow.rows.append(row)
                if home and families and not families & set(home):
                    flow.apart.append(row)
    return [
        Line(key, top.id, top.section.title, top.section.family, sum(len(flow.rows) for flow in parts.values()), parts)
        for key, view in surveys.items() for top in view.sections
        if (parts := found.pop((key, top.section.title), None))
    ]
