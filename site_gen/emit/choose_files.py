"""choose.json: what the page "Choose" answers from. Its shape is described in site_gen/frontend/README.md."""

from __future__ import annotations

import json

from site_gen.enrich.site import Site

ADDRESS = "choose/"
FILE = "assets/zoo/choose.json"


def facts(site: Site) -> str:
    """Needs, formulas, settings and measured values of every entry; models, hardware and sentences."""
    return json.dumps(site.choose.facts, ensure_ascii=False, separators=(",", ":"))
