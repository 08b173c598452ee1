"""The crosswalk as CSV and JSON: every work that a survey was seen to treat, and every entry, with all filings.

Beside it each survey as JSON: its tree with all leaves, those that are only recalled too, and what it says.
"""

from __future__ import annotations

import csv
import io
import json
from typing import Any

from site_gen.enrich.crosswalk import Cell, Row
from site_gen.enrich.site import Site


def files(site: Site) -> dict[str, str]:
    """crosswalk.csv, crosswalk.json and surveys/<key>.json."""
    found = {"crosswalk.csv": as_csv(site), "crosswalk.json": as_json(site)}
    for key, view in site.surveys.items():
        fields = view.survey.model_dump(mode="json", exclude_none=True, exclude={"file"})
        found[f"surveys/{key}.json"] = json.dumps({"schema": 1, **fields}, ensure_ascii=False, indent=1) + "\n"
    return found


def as_json(site: Site) -> str:
    surveys = {key: view.survey.name for key, view in site.surveys.items()}
    rows = [_record(row) for row in site.crosswalk.rows]
    return json.dumps({"schema": 1, "surveys": surveys, "rows": rows}, ensure_ascii=False, indent=1) + "\n"


def as_csv(site: Site) -> str:
    """The same, flat: places joined by ` > `, several of them by `; `."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    parts = [f"{key}{end}" for key in site.surveys for end in ("", "_families")]
    writer.writerow(["key", "name", "title", "year", "entry", "algorithm", "ours", "ours_from", *parts,
                     "disagreements"])
    for row in site.crosswalk.rows:
        cells = [row.cells.get(key) or Cell([]) for key in site.surveys]
        writer.writerow([
            row.work.key if row.work else "", row.name, row.work.title if row.work else "",
            row.work.year if row.work else "", row.entry.id if row.entry else "", "yes" if row.algorithm else "no",
            "; ".join(row.home.nodes), row.home.kind,
            *(text for cell in cells for text in (
                "; ".join(f"{' > '.join(f.path)} ({f.leaf.depth}, {f.leaf.read})" for f in cell.filings),
                "; ".join(cell.families),
            )),
            "; ".join(f"{one.left} {one.right}" for one in row.disagreements),
        ])  # fmt: skip
    return out.getvalue()


def _record(row: Row) -> dict[str, Any]:
    return {
        "key": row.work.key if row.work else None, "name": row.name, "title": row.work.title if row.work else None,
        "year": row.work.year if row.work else None, "entry": row.entry.id if row.entry else None,
        "algorithm": row.algorithm, "ours": {"from": row.home.kind or None, "nodes": list(row.home.nodes)},
        "surveys": {
            key: {
                "families": list(cell.families),
                "places": [{"path": list(filing.path), "depth": filing.leaf.depth, "read": filing.leaf.read,
                            "family": filing.family} for filing in cell.filings],
            }
            for key, cell in row.cells.items()
        },
        "disagreements": [
            {"between": [one.left, one.right], "families": [list(one.left_families), list(one.right_families)]}
            for one in row.disagreements
        ],
    }  # fmt: skip
