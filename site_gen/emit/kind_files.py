"""Frameworks, benchmarks and metrics as JSON and CSV. The CSV of frameworks has one row a supported algorithm."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable
from typing import Any

from site_gen.emit import links
from site_gen.enrich.kinds import BenchmarkView, FrameworkView, MetricView
from site_gen.enrich.site import Site

SCHEMA = 1


def files(site: Site) -> dict[str, str]:
    """frameworks, benchmarks and metrics, each as .json and .csv."""
    found = {
        f"{name}.json": json.dumps({"schema": SCHEMA, name: rows}, ensure_ascii=False, indent=1) + "\n"
        for name, rows in (
            ("frameworks", [framework(view) for view in site.frameworks.values()]),
            ("benchmarks", [benchmark(view) for view in site.benchmarks.values()]),
            ("metrics", [metric(view) for view in site.metrics.values()]),
        )
    }
    found["frameworks.csv"] = _csv(
        ["framework", "framework_name", "algorithm", "is_entry", "does", "how", "since", "until", "address", "work",
         "place", "version", "seen"],
        ([cell.framework, view.one.name, cell.algorithm, "yes" if cell.algorithm in site.entries else "no",
          " ".join(cell.support.does), cell.support.how, cell.support.since, cell.support.until, cell.witness.address,
          cell.witness.work, cell.witness.place, cell.witness.version, cell.witness.seen]
         for view in site.frameworks.values() for cell in view.cells),
    )  # fmt: skip
    found["benchmarks.csv"] = _csv(
        ["id", "name", "kind", "work", "measures", "task", "size", "metrics", "part_of", "surveys", "reported_numbers",
         "beware"],
        ([view.id, view.one.name, view.one.kind, view.one.work, view.one.measures, view.one.task,
          view.one.size.text if view.one.size else None, " ".join(view.one.metrics), " ".join(view.one.part_of),
          " ".join(view.surveys), sum(view.reported.values()), view.one.beware] for view in site.benchmarks.values()),
    )  # fmt: skip
    found["metrics.csv"] = _csv(
        ["id", "name", "of", "unit", "better", "formula", "definition", "hides", "surveys", "reported_numbers",
         "measured_entries"],
        ([view.id, view.one.name, view.one.of, view.one.unit, view.one.better, view.one.formula, view.one.definition,
          view.one.hides, " ".join(view.surveys), sum(view.reported.values()), len(view.entries)]
         for view in site.metrics.values()),
    )  # fmt: skip
    return found


def framework(view: FrameworkView) -> dict[str, Any]:
    """Its own fields as in the file, each support with the whole source; what was computed under `computed`."""
    fields = view.one.model_dump(mode="json", exclude_none=True)
    for support, cell in zip(fields["supports"], view.cells, strict=True):
        support["source"] = cell.witness.model_dump(mode="json", exclude_none=True)
    return {"id": view.id, **fields, "computed": {"url": links.framework(view.id), **_surveys(view)}}


def benchmark(view: BenchmarkView) -> dict[str, Any]:
    computed = {"url": links.benchmark(view.id), **_surveys(view), "reported": view.reported, "parts": view.parts}
    return {"id": view.id, **view.one.model_dump(mode="json", exclude_none=True), "computed": computed}


def metric(view: MetricView) -> dict[str, Any]:
    computed = {"url": links.metric(view.id), **_surveys(view), "reported": view.reported, "measured": view.measured,
                "benchmarks": view.benchmarks}
    return {"id": view.id, **view.one.model_dump(mode="json", exclude_none=True), "computed": computed}


def _surveys(view: FrameworkView | BenchmarkView | MetricView) -> dict[str, Any]:
    places = [{"survey": f.survey, "path": list(f.path), "depth": f.leaf.depth, "read": f.leaf.read}
              for f in view.filings]
    named = [{"survey": one.survey, "name": one.item.name, "place": one.item.place, "read": one.item.read}
             for one in view.named]
    return {"surveys": view.surveys, "filed": places, "named": named}


def _csv(heads: list[str], rows: Iterable[list[Any]]) -> str:
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(heads)
    writer.writerows(["" if value is None else value for value in row] for row in rows)
    return out.getvalue()
