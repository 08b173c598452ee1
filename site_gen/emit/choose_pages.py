"""The page on which one chooses: a form that the browser answers, and all that it answers from as tables."""

from __future__ import annotations

from typing import TYPE_CHECKING

from catalog import choosing
from site_gen.emit import choose_files
from site_gen.enrich import explained

if TYPE_CHECKING:
    from site_gen.emit.pages import Pages


def pages(maker: Pages) -> dict[str, str]:
    """choose/index.md."""
    front = {"description": "Which methods fit your hardware, memory, data and training, and what a model takes then."}
    choose = maker.site.choose
    vocabulary = maker.site.catalog.vocabulary
    values = {name: dict(vocabulary[name].values) if name in vocabulary else {}
              for name in ("compresses", "data", "training", "needs_for_speed")}  # fmt: skip
    return {f"{choose_files.ADDRESS}index.md": maker.render(
        "choose.md.jinja", choose_files.ADDRESS, "Choose", front=front, wide=True, choose=choose, values=values,
        names=choose.facts["values"], size=choosing.size, digits=choosing.digits,
        title_of=explained.title, file=choose_files.FILE,
        stored={one.id: one for one in choose.stored},
    )}  # fmt: skip
