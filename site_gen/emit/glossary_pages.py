"""The glossary: one page of terms, those that other pages define with these pages' own words; and as JSON."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from catalog import glossary
from catalog.search import short
from site_gen.emit import data

if TYPE_CHECKING:
    from site_gen.emit.pages import Pages
    from site_gen.enrich.site import Site

SCHEMA = 1


@dataclass(frozen=True)
class Target:
    """What a term leads to: its kind and id, its name, and where it is from the site's root."""

    reference: str
    name: str
    address: str

    @property
    def kind(self) -> str:
        return self.reference.partition(" ")[0]


@dataclass(frozen=True)
class View:
    """A term with its definition (Markdown), and the page that defines it where one does."""

    id: str
    name: str
    aliases: list[str]
    definition: str
    same_as: Target | None
    see: list[Target]
    sources: list[Target]

    @property
    def letter(self) -> str:
        return self.name[0].upper() if self.name[0].isalpha() else "#"


def pages(maker: Pages) -> dict[str, str]:
    """The one page; it is there even where there are no terms."""
    site = maker.site
    front = {"description": "The terms of model compression in a sentence or two each.",
             "machine_forms": [["application/json", "glossary.json", "The glossary as JSON"]]}
    return {"glossary/index.md": maker.render(
        "glossary.md.jinja", "glossary/", "Glossary", front=front, terms=views(site),
        edit_url=maker.settings.edit(f"{site.catalog.root.name}/{glossary.FILE}"),
    )}  # fmt: skip


def files(site: Site) -> dict[str, str]:
    """glossary.json: the terms as on the page."""
    def target(one: Target) -> dict[str, str]:
        return {"reference": one.reference, "name": one.name, "url": one.address}

    terms: list[dict[str, Any]] = [
        {"id": view.id, "name": view.name, "aliases": view.aliases, "definition": view.definition,
         **({"same_as": target(view.same_as)} if view.same_as else {}), "see": [target(one) for one in view.see],
         "sources": [target(one) for one in view.sources]}
        for view in views(site)
    ]
    return {"glossary.json": json.dumps({"schema": SCHEMA, "terms": terms}, ensure_ascii=False, indent=1) + "\n"}


def views(site: Site) -> list[View]:
    """The terms by name."""
    catalog = site.catalog
    names = glossary.things(catalog)

    def target(reference: str) -> Target:
        kind, _, key = reference.partition(" ")
        name = glossary.name_of(catalog, key) if kind == "glossary" else names[reference]
        if kind == "group":
            name = f"{names['family ' + key.partition('/')[0]]}: {name}"
        return Target(reference, name, data.address(kind, key))

    def work(reference: str) -> Target:
        key = reference.partition(" ")[2]
        return Target(reference, short(catalog.bibliography[key]), data.address("paper", key))

    found = []
    for key, term in catalog.glossary.items():
        definition = term.definition or glossary.definition_of(catalog, term.same_as or "")
        found.append(View(key, glossary.name_of(catalog, key), term.aliases, definition,
                          target(term.same_as) if term.same_as else None, [target(one) for one in term.see],
                          [work(reference) for reference in term.sources]))
    return sorted(found, key=lambda view: (view.name.casefold(), view.id))
