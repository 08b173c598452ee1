"""The page of reported numbers, and all of them as CSV and JSON."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from site_gen.emit.pages import Pages
    from site_gen.enrich.reported import Line, Reported

ADDRESS = "reported/"
SCHEMA = 1  # raised when a key changes its meaning or goes


def pages(maker: Pages) -> dict[str, str]:
    """One page with all numbers; it is there even where the catalog has none."""
    found = maker.site.reported
    front = {"description": "Numbers of the literature, side by side only under one protocol.",
             "machine_forms": [["application/json", "reported.json", "All reported numbers as JSON"],
                               ["text/csv", "reported.csv", "All reported numbers as CSV"]]}

    def names(lines: Iterable[Line], what: str) -> list[str]:
        return sorted({getattr(line.record, what) or "none" for line in lines}, key=str.casefold)

    together = [line for group in found.groups for line in group.lines]
    apart = [one.line for one in found.apart]
    return {f"{ADDRESS}index.md": maker.render(
        "reported.md.jinja", ADDRESS, "Reported", front=front, wide=True,
        sources=len({line.record.source.stem for line in found.lines}),
        group_models=names(together, "model"), group_datasets=names(together, "dataset"),
        apart_models=names(apart, "model"), apart_datasets=names(apart, "dataset"),
    )}


def reported_files(found: Reported) -> dict[str, str]:
    """reported.json and reported.csv: every number once, with its whole protocol and its place among others."""
    rows = [reported_data(found, line) for line in found.lines]
    return {"reported.json": json.dumps({"schema": SCHEMA, "rows": rows}, ensure_ascii=False, indent=1) + "\n",
            "reported.csv": _csv(rows)}


def reported_data(found: Reported, line: Line) -> dict[str, Any]:
    """A reported number as data."""
    one = line.record
    group = found.group_of.get(line.number)
    return {
        "method": one.method, "entry": line.entry, "family": line.family, "model": one.model, "metric": one.metric,
        "better": found.better(one.metric), "dataset": one.dataset, "unit": one.unit, "setting": one.setting,
        "from_code": list(one.from_code), "not_stated": list(one.not_stated), "value": one.value,
        "baseline": one.baseline, "baseline_is": one.baseline_is, "source_work": one.source.work,
        "source_repository": one.source.repository, "source_commit": one.source.commit, "place": one.place,
        "reported_by": line.speaker, "checked": one.checked, "gathered": one.gathered, "protocol": one.protocol,
        "notes": list(one.notes), "group": group.id if group else None,
        "rank": group.ranks[group.lines.index(line)] if group else None,
    }


def _csv(rows: list[dict[str, Any]]) -> str:
    """The same, flat: each setting is a column of its own, lists and settings of the JSON become columns or text."""
    settings = sorted({name for row in rows for name in row["setting"]})
    heads = [name for name in (rows[0] if rows else {}) if name != "setting"]
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow([*heads, *(f"setting_{name}" for name in settings)])
    for row in rows:
        values = [*(row[name] for name in heads), *(row["setting"].get(name) for name in settings)]
        writer.writerow([_cell(value) for value in values])
    return out.getvalue()


def _cell(value: Any) -> str:
    """Numbers so that they read back to the last digit; lists by "; "; nothing for what is not there."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list):
        return "; ".join(map(str, value))
    return repr(value) if isinstance(value, float) else str(value)
