"""What the maps show: the taxonomy with all known methods, the lineage of each family, the surveys' sections."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from site_gen.enrich.flows import Line, flows
from site_gen.enrich.lineage import Lineage, lineages
from site_gen.enrich.territory import Land, territory

if TYPE_CHECKING:
    from site_gen.enrich.citations import CitationGraph
    from site_gen.enrich.crosswalk import Crosswalk
    from site_gen.enrich.site import Entry, SurveyView, WorkView


@dataclass(frozen=True)
class Maps:
    lands: list[Land]
    lineages: dict[str, Lineage]  # of the families that have an entry
    lines: list[Line]


def maps(
    catalog: Any, entries: Mapping[str, Entry], works: Mapping[str, WorkView], surveys: dict[str, SurveyView],
    crosswalk: Crosswalk, graph: CitationGraph,
) -> Maps:  # fmt: skip
    return Maps(
        lands=territory(catalog, entries, works, graph),
        lineages=lineages(catalog, catalog.taxonomy.families, entries, works, graph.edges),
        lines=flows(surveys, crosswalk),
    )
