"""glossary.yml: the terms of the field that the pages use, in our own words, and their rules.

A term has a definition, or `same_as`: what another page of the zoo defines already is not said twice. References name a
thing by its kind and id, as the search does: `algorithm gptq`, `vocabulary data/none`, `glossary kv-cache`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from pydantic import Field, model_validator

from catalog.model import Strict, Text, fault
from catalog.problems import Problem, nearest, shown
from catalog.texts import without_marks

if TYPE_CHECKING:
    from catalog.loading import Catalog

FILE = "glossary.yml"
LONGEST = 60  # words of a definition: a sentence or two
KINDS = ("algorithm", "family", "group", "vocabulary", "metric", "benchmark", "framework", "survey", "paper",
         "glossary")  # fmt: skip
DEFINING = ("algorithm", "family", "group", "vocabulary", "metric")  # kinds whose pages define a term


class GlossaryTerm(Strict):
    """A term, and what it means or where that is said."""

    name: Text | None = Field(None, description="As the field writes it; with `same_as`, only where it differs.")
    aliases: list[Text] = Field(default_factory=list, description="Other names and abbreviations.")
    definition: Text | None = Field(None, description="A sentence or two in our own words; Markdown with $math$.")
    same_as: Text | None = Field(None, description="Instead: kind and id of what has the definition on its page.")
    see: list[Text] = Field(default_factory=list, description="Kinds and ids of what to read next.")
    sources: list[Text] = Field(default_factory=list, description="Works that it was held against, as paper KEY.")

    @model_validator(mode="after")
    def _one_definition(self) -> GlossaryTerm:
        if (self.definition is None) == (self.same_as is None):
            raise fault("a term has a definition of its own or that of another page",
                        "either `definition` or `same_as`")
        if self.definition is not None and self.name is None:
            raise fault("the key is missing", "`name`: as the field writes it", key="name")
        if self.same_as is not None and self.see:
            raise fault("the other page leads on by itself", "`see` only with a `definition`", key="see")
        if self.same_as is not None and self.sources:
            raise fault("the other page has sources of its own", "`sources` only with a `definition`", key="sources")
        if (self.same_as or "").startswith("vocabulary ") and self.name is None:
            raise fault("the key is missing", "`name`: a value of the vocabulary is no name", key="name")
        return self


def things(catalog: Catalog) -> dict[str, str]:
    """Everything that a term can refer to: kind and id -> name."""
    found = {f"algorithm {key}": key for key in catalog.known_ids}  # also of entries that could not be read
    found |= {f"algorithm {key}": entry.name for key, entry in catalog.algorithms.items()}
    for home, family in (catalog.taxonomy.families if catalog.taxonomy else {}).items():
        found[f"family {home}"] = family.name
        found |= {f"group {home}/{key}": group.name for key, group in family.groups.items()}
    found |= {f"vocabulary {facet}/{value}": f"{facet.replace('_', ' ').capitalize()}: {value.replace('-', ' ')}"
              for facet, of in catalog.vocabulary.items() for value in of.values}
    found |= {f"{kind} {key}": one.name for kind, named in catalog.kinds().items() for key, one in named.items()}
    found |= {f"survey {key}": survey.name for key, survey in catalog.surveys.items()}
    found |= {f"paper {key}": work.name for key, work in catalog.bibliography.items()}
    found |= {f"glossary {key}": term.name or "" for key, term in catalog.glossary.items()}
    return found


def name_of(catalog: Catalog, identifier: str) -> str:
    """The name of a term: its own, else that of what it is the same as."""
    term = catalog.glossary[identifier]
    if term.name is not None:
        return term.name
    kind, _, key = (term.same_as or "").partition(" ")
    home, _, part = key.partition("/")
    family = catalog.taxonomy.families.get(home) if catalog.taxonomy else None
    if kind == "group" and family is not None and part in family.groups:
        return family.groups[part].name
    if kind == "family" and family is not None:
        return family.name
    found = {"algorithm": catalog.algorithms, "metric": catalog.metrics}.get(kind, {}).get(key)
    return found.name if found is not None else identifier


def definition_of(catalog: Catalog, reference: str) -> str:
    """What the page of an algorithm, family, group, value of the vocabulary or metric says that it is; Markdown."""
    kind, _, key = reference.partition(" ")
    home, _, part = key.partition("/")
    if kind == "algorithm":
        return catalog.algorithms[key].summary
    if kind == "vocabulary":
        return catalog.vocabulary[home].values[part]
    if kind == "metric":
        return catalog.metrics[key].definition
    family = catalog.taxonomy.families[home]
    return family.groups[part].definition if kind == "group" else family.definition


def glossary_leads_somewhere(catalog: Catalog) -> Iterator[Problem]:
    """`same_as`, `see` and `sources` name things of the catalog: what defines a term, others than itself, works."""
    known = things(catalog)
    by_id = {reference.partition(" ")[2]: reference for reference in reversed(known)}
    readable = {reference.partition(" ")[0] for reference in known}
    for identifier, path, reference in _references(catalog):
        kind = reference.partition(" ")[0]
        if kind in KINDS and kind not in readable:
            continue  # a file that could not be read is reported once
        if kind not in KINDS or reference not in known:
            yield _problem(catalog, (identifier, *path), "leads nowhere", reference,
                           "kind and id, such as `algorithm gptq` or `vocabulary data/none`",
                           by_id.get(reference.rpartition(" ")[2]) or nearest(reference, known))
        elif path == ("same_as",) and kind not in DEFINING:
            yield _problem(catalog, (identifier, *path), f"a {kind} defines no term", reference,
                           "one of " + ", ".join(DEFINING))
        elif path[0] == "sources" and kind != "paper":
            yield _problem(catalog, (identifier, *path), f"{kind} is no work", reference, "paper and a citation key")
        elif reference == f"glossary {identifier}":
            yield _problem(catalog, (identifier, *path), "leads to itself", reference, "another term")
    for identifier, term in catalog.glossary.items():
        for i, reference in enumerate(term.see):
            if reference in term.see[:i]:
                yield _problem(catalog, (identifier, "see", i), "stands twice", reference, "each once")


def glossary_says_things_once(catalog: Catalog) -> Iterator[Problem]:
    """No two terms share a name, and none has an own definition for what a page of that name defines."""
    owner: dict[str, str] = {}
    same: dict[str, str] = {}
    pages = {_folded(name): reference for reference, name in things(catalog).items()
             if reference.partition(" ")[0] in ("algorithm", "family", "metric", "benchmark", "framework")}
    for identifier, term in catalog.glossary.items():
        if term.same_as is not None and same.setdefault(term.same_as, identifier) != identifier:
            yield _problem(catalog, (identifier, "same_as"), f"also what `{same[term.same_as]}` is the same as",
                           term.same_as, "one term for it, with aliases")
        names = [(("name",), name_of(catalog, identifier)), *((("aliases", i), a) for i, a in enumerate(term.aliases))]
        for path, name in names:
            if owner.setdefault(_folded(name), identifier) != identifier:
                yield _problem(catalog, (identifier, *path), f"also a name of `{owner[_folded(name)]}`", name,
                               "a name that one term has")
        if term.definition is not None and _folded(term.name or "") in pages:
            page = pages[_folded(term.name or "")]
            yield _problem(catalog, (identifier, "name"), f"also the name of the {page}, which says what it is",
                           term.name or "", f"`same_as: {page}`")


def definitions_are_short_and_plain(catalog: Catalog) -> Iterator[Problem]:
    """A definition is a sentence or two, and refers to nothing: that is what `see` is for."""
    for identifier, term in catalog.glossary.items():
        text = term.definition or ""
        long = len(without_marks(text).split())
        if long > LONGEST:
            yield _problem(catalog, (identifier, "definition"), f"{long} words", text[:40] + "…",
                           f"at most {LONGEST} words")
        for reference in re.findall(r"\[(?:@|eq-)[^\]\s]*\]|\]\(", text):
            yield _problem(catalog, (identifier, "definition"), "a reference in a definition", reference,
                           "the reference under `see`")


def _references(catalog: Catalog) -> Iterator[tuple[str, tuple[str | int, ...], str]]:
    for identifier, term in catalog.glossary.items():
        if term.same_as is not None:
            yield identifier, ("same_as",), term.same_as
        for i, reference in enumerate(term.see):
            yield identifier, ("see", i), reference
        for i, reference in enumerate(term.sources):
            yield identifier, ("sources", i), reference


def _problem(
    catalog: Catalog, path: tuple[str | int, ...], message: str, value: str, expected: str, close: str | None = None
) -> Problem:
    return catalog.problem(f"{catalog.root.name}/{FILE}", path, message, value=shown(value), expected=expected,
                           nearest=close)


def _folded(text: str) -> str:
    return re.sub(r"[\W_]+", "", text.casefold())


RULES: tuple[Callable[[Catalog], Iterator[Problem]], ...] = (
    glossary_leads_somewhere, glossary_says_things_once, definitions_are_short_and_plain,
)  # fmt: skip
