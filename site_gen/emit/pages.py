"""The pages: one function each gathers what its template shows; all are kept until the formulas are typeset."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup

from catalog import citing
from catalog.wording import word
from site_gen import blocks
from site_gen.emit import (
    choose_pages,
    compare_files,
    compare_pages,
    entries_page,
    glossary_pages,
    graph_files,
    graph_page,
    highlight,
    kind_pages,
    links,
    maps_pages,
    plots,
    reported_pages,
    scatter,
    survey_pages,
    trends_pages,
    works_pages,
)
from site_gen.emit import citation as citations
from site_gen.emit.formulas import Formulas
from site_gen.emit.numbers import month, products
from site_gen.emit.page import Page, markdown_escaped
from site_gen.emit.prose import Prose, bound, plain
from site_gen.enrich import explained
from site_gen.enrich.combined import BOUNDS, Pair
from site_gen.enrich.facets import NAMES as FACT_NAMES
from site_gen.enrich.site import Backlink, Entry, Site
from site_gen.side_by_side import both

TEMPLATES = Path(__file__).parents[1] / "templates"
COMPILED = Path(__file__).parents[2] / "build" / "templates"  # of this tool, whatever catalog it builds

# How a relation reads from its own page, and from the page of the other method.
PHRASES = {
    "builds_on": ("builds on", "is built on by"),
    "special_case_of": ("reduces to", "is a limit of"),
    "stacks_with": ("combines with", "combines with"),
    "alternative_to": ("is an alternative to", "is an alternative to"),
    "conflicts_with": ("conflicts with", "conflicts with"),
    "supersedes": ("takes the place of", "was followed by"),
}
STACKING = "tests/reference_impls/test_stacking.py"  # applies every stacks_with of the catalog
_ORDERS = {"before": "after", "after": "before", "either": "either"}


# Pages with a module of their own: each function gives file name -> Markdown.
FURTHER: list[Callable[[Pages], dict[str, str]]] = [
    works_pages.pages, trends_pages.pages, reported_pages.pages, graph_page.pages, survey_pages.pages,
    kind_pages.pages, glossary_pages.pages, entries_page.pages, compare_pages.pages, choose_pages.pages,
    maps_pages.pages,
]  # fmt: skip


@dataclass(frozen=True)
class Settings:
    """What mkdocs.yml says about where the site and its source are published."""

    repo_url: str = ""
    edit_uri: str = ""

    def edit(self, path: str) -> str:
        """The address at which `path` of the repository can be edited; empty where none is configured."""
        if not self.repo_url or not self.edit_uri:
            return ""
        start = self.edit_uri if "://" in self.edit_uri else f"{self.repo_url.rstrip('/')}/{self.edit_uri.lstrip('/')}"
        return f"{start.rstrip('/')}/{path}"


class Pages:
    """Renders every page of the site. `unknown` collects references in prose that lead nowhere."""

    def __init__(self, site: Site, formulas: Formulas, settings: Settings, root: Path):
        self.site = site
        self.formulas = formulas
        self.settings = settings
        self.root = root
        self.prose = Prose(formulas)
        self.unknown: list[tuple[str, str]] = []
        COMPILED.mkdir(parents=True, exist_ok=True)
        self._environment = jinja2.Environment(
            loader=jinja2.FileSystemLoader(TEMPLATES / "pages"), autoescape=True, undefined=jinja2.StrictUndefined,
            trim_blocks=True, lstrip_blocks=True, bytecode_cache=jinja2.FileSystemBytecodeCache(str(COMPILED)),
        )
        self._environment.filters["md"] = markdown_escaped
        self._environment.filters["slug"] = slug
        self._environment.filters["bound"] = bound
        self._environment.filters["word"] = word
        self._environment.filters["month"] = month
        self._environment.globals["heading_mark"] = blocks.MARK
        self._environment.globals["phrases"] = PHRASES

    def all(self) -> dict[str, str]:
        """File name in the docs folder -> Markdown, formulas still as marks."""
        entries = list(self.site.entries.values())
        pages, (more, marks, unknown) = both(lambda some: self._others() | self._algorithms(some)[0],
                                             self._algorithms, entries)
        self.formulas.marks |= marks
        self.unknown += [fault for fault in unknown if fault not in self.unknown]
        return pages | more

    def _algorithms(
        self, entries: Iterable[Entry]
    ) -> tuple[dict[str, str], dict[str, tuple[str, bool]], list[tuple[str, str]]]:
        """The pages of these entries, and all formulas and faults met so far."""
        pages = {f"{links.algorithm(entry.id)}index.md": self.algorithm(entry) for entry in entries}
        return pages, self.formulas.marks, self.unknown

    def _others(self) -> dict[str, str]:
        pages = {
            "index.md": self._home(),
            "families/index.md": self.render(
                "families.md.jinja", "families/", "Families", wide=True,
                groups=sum(len(family.groups) for family in self.site.families.values()),
            ),
            "bibliography/index.md": self._bibliography(),
            "measured/index.md": self._measured(),
            "combinations/index.md": self._combinations(),
            "vocabulary/index.md": self._vocabulary(),
            "cite/index.md": self._cite(),
            "contribute/index.md": self._contribute(),
            "health/index.md": self._health(),
        }
        for name in self.site.families:
            pages[f"{links.family(name)}index.md"] = self._family(name)
        for more in FURTHER:
            pages |= more(self)
        return pages

    # --- one page each ------------------------------------------------------------------------------------------

    def _home(self) -> str:
        site = self.site
        counts = {
            "entries": len(site.entries),
            "runs": sum(entry.runs for entry in site.entries.values()),
            "measured": sum(entry.measured is not None for entry in site.entries.values()),
            "surveys": len(site.surveys), "works": len(site.works), "edges": len(site.graph.edges),
        }
        icon = Markup('<svg viewBox="0 0 24 24" aria-hidden="true" class="zoo-icon" fill="none" stroke="currentColor" '
                      'stroke-width="1.7" stroke-linecap="round"><circle cx="10.5" cy="10.5" r="6"/>'
                      '<path d="m15 15 5.500 5.500"/></svg>')
        return self.render("index.md.jinja", "", "Compression Zoo", wide=True, counts=counts,
                            field_map=plots.field_map(site), example=self._examples()[0], search_icon=icon)

    def algorithm(self, entry: Entry) -> str:
        site, algorithm = self.site, entry.algorithm
        address = links.algorithm(entry.id)
        base = f"algorithms/{entry.id}"
        citation: dict[str, Any] = {}
        forms = [{"address": f"{base}.json", "label": "JSON"}, {"address": f"{base}.md", "label": "Markdown"},
                 {"address": f"{base}.py", "label": "Python"}, {"address": f"{base}.ipynb", "label": "Notebook"}]
        if entry.work:
            citation = citations.box(entry.work, base)
            forms += citation["forms"]
        place = site.graph.places.get(algorithm.paper or "")
        family = site.families[algorithm.home]
        front = {
            "description": plain(algorithm.summary),
            "citation": citations.highwire(entry.work) if entry.work else [],
            "machine_forms": [["application/json", f"{base}.json", f"{algorithm.name} as JSON"],
                              ["text/markdown", f"{base}.md", f"{algorithm.name} as Markdown"]],
        }
        return self.render(
            "algorithm.md.jinja", address, algorithm.name, front=front, entry=entry, family=family,
            group=family.family.groups[algorithm.family.partition("/")[2]],
            facts=self.facts(entry), relations=self._by_phrase(entry), stacking=STACKING,
            citation=citation, machine_forms=forms,
            listing=highlight.listing(entry.code.file.text, set(algorithm.equations)),
            cited_by={"count": place.cited_by if place else 0}, model_says=explained.model, model_names=explained.NAMES,
            edit_url=self.settings.edit(algorithm.file), entry_citation=citations.entry_box(site, entry),
            changed=site.zoo.changes.get(algorithm.file, ""),
            partners=compare_files.partners(site, entry.id),
        )

    def _family(self, name: str) -> str:
        family = self.site.families[name]

        def node_address(node: str) -> str:
            home, _, group = node.partition("/")
            return links.family(home) + (f"#{group}" if group else "")

        return self.render(
            "family.md.jinja", links.family(name), family.family.name, family=family, node_address=node_address,
            survey_name=self._survey_name, front={"description": plain(family.family.definition)},
            filed_as=survey_pages.filed_as(self.site, name), papers=citing.of_family(self.site.catalog, name),
            lineage=maps_pages.lineage_view(self.site, name, links.family(name)),
        )

    def _bibliography(self) -> str:
        def order(view: Any) -> tuple:
            people = view.work.authors
            return (people[0].sorted.casefold() if people else "", view.work.year, view.work.title.casefold())

        works = sorted(self.site.works.values(), key=order)
        return self.render("bibliography.md.jinja", "bibliography/", "Bibliography", works=works, wide=True)

    def _measured(self) -> str:
        sections = self.site.together
        entries = {item.entry.id: item.entry for section in sections for item in section.items}
        families = [name for name in self.site.families if any(e.algorithm.home == name for e in entries.values())]
        front = {"description": "Everything that was measured, by protocol: quality against size and work.",
                 "machine_forms": [["application/json", "measured.json", "All measured numbers as JSON"],
                                   ["text/csv", "measured.csv", "All measured numbers as CSV"]]}
        return self.render(
            "measured.md.jinja", "measured/", "Measured", front=front, wide=True, sections=sections, families=families,
            entries=entries, scatter=scatter,
        )

    def _combinations(self) -> str:
        front = {"description": "What two methods do to a model one after the other, against the sum of the two.",
                 "machine_forms": [["application/json", "combinations.json", "All pairs as JSON"],
                                   ["text/csv", "combinations.csv", "All pairs as CSV"]]}
        return self.render("combinations.md.jinja", "combinations/", "Combinations", front=front, wide=True,
                            combined=self.site.combined, bounds=BOUNDS)

    def _vocabulary(self) -> str:
        facets = []
        for name, facet in self.site.catalog.vocabulary.items():
            values = [
                {"name": word(value), "value": value, "meaning": meaning,
                 "id": links.value(name, value).partition("#")[2],
                 "entries": [e for e in self.site.entries.values() if value in fact_values(e.algorithm, name)],
                 "catalog": links.catalog(**{name: value}), "also": facet.also_called.get(value, [])}
                for value, meaning in facet.values.items()
            ]
            facets.append({"id": name.replace("_", "-"), "name": fact_name(name), "meaning": facet.meaning,
                           "terms": values})
        return self.render("vocabulary.md.jinja", "vocabulary/", "Vocabulary", facets=facets)

    def _cite(self) -> str:
        example, family = self._examples()[0], next(iter(self.site.families))
        forms = [
            (f"algorithms/{example}.json", "algorithms/ID.json", "An entry with everything computed for it."),
            (f"algorithms/{example}.md", "algorithms/ID.md", "The same to read, as plain Markdown."),
            (f"algorithms/{example}.py", "algorithms/ID.py", "The implementation as one file that runs alone."),
            (f"algorithms/{example}.ipynb", "algorithms/ID.ipynb", "The same as a notebook, with idea and equations."),
            (f"algorithms/{example}.bib", "algorithms/ID.bib", "The record of the paper; also .ris and .csl.json."),
            ("algorithms.json", "algorithms.json", "All entries."),
            ("measured.json", "measured.json", "All measured numbers with their protocols; also .csv."),
            ("combinations.json", "combinations.json", "What pairs of methods do; also .csv."),
            ("crosswalk.json", "crosswalk.json", "Where each survey and we file each work; also .csv."),
            ("reported.json", "reported.json", "All numbers of the literature with their protocols; also .csv."),
            ("frameworks.json", "frameworks.json", "Frameworks, the algorithms that each supports and where it "
             "is said; also .csv."),
            ("benchmarks.json", "benchmarks.json", "Benchmarks and data sets; also .csv."),
            ("metrics.json", "metrics.json", "Metrics; also .csv."),
            ("glossary.json", "glossary.json", "The terms of the glossary."),
            ("algorithms.bib", "algorithms.bib", "The papers of all entries; also .ris and .csl.json."),
            ("bibliography.bib", "bibliography.bib", "All works; also .ris and .csl.json."),
            (f"algorithms/{example}.entry.bib", "algorithms/ID.entry.bib",
             "The record of the entry itself, with version and day; also .ris and .csl.json."),
            (f"families/{family}.bib", "families/ID.bib", "The papers of a family; also .ris and .csl.json."),
            *[(f"surveys/{key}.bib", "surveys/KEY.bib", "The works that a survey was seen to treat; also .ris and "
               ".csl.json.") for key in list(self.site.surveys)[:1]],
            ("assets/zoo/graph.json", "assets/zoo/graph.json", "What the graph's page draws, with positions."),
            *((f"{graph_files.FOLDER}/{name}", f"{graph_files.FOLDER}/{name}", f"The citation graph. {meaning}")
              for name, _, _, meaning in graph_files.FILES),
        ]
        known = [{"address": a, "pattern": p, "meaning": m} for a, p, m in forms]
        return self.render("cite.md.jinja", "cite/", "How to cite", examples=self._examples(),
                            citation=citations.box(citing.zoo_as_work(self.site.zoo), citations.ZOO), forms=known)

    def _contribute(self) -> str:
        site = self.site
        examples = dict.fromkeys(
            key for family in site.families.values() for group in family.groups for key in group.examples
        )
        ranked = sorted(examples, key=lambda key: (
            -(site.graph.places[key].cited_by if key in site.graph.places else 0), key))
        return self.render("contribute.md.jinja", "contribute/", "Contribute", repo_url=self.settings.repo_url,
                            wanted={"count": len(examples), "first": ranked[:12]})

    def _health(self) -> str:
        known = {
            name: sum(1 for view in self.site.works.values() if view.family == name and view.work.role == "algorithm")
            for name in self.site.families
        }
        elsewhere = sum(len(entry.elsewhere) for entry in self.site.entries.values())
        return self.render("health.md.jinja", "health/", "Health", known=known, elsewhere=elsewhere)

    # --- parts ---------------------------------------------------------------------------------------------------

    def facts(self, entry: Entry) -> list[dict[str, Any]]:
        """The rows of the facts' table. Values of the vocabulary carry their meaning and a link to it; `id` is
        what the entry says."""
        vocabulary = self.site.catalog.vocabulary
        rows = []
        for name, field in type(entry.algorithm.facts).model_fields.items():
            value = getattr(entry.algorithm.facts, name)
            if value is None:
                continue
            facet = vocabulary.get(name)
            if name == "bits":
                values = [{"id": f"{what}: {', '.join(map(str, widths))}",
                           "text": f"{word(what)}: {', '.join(map(str, widths))}", "meaning": "", "link": ""}
                          for what, widths in value.items()]
            elif name == "cost":
                values = [{"id": what, "text": f"{what}: {products(text)}", "meaning": "", "link": ""}
                          for what, text in (("time", value.time), ("memory", value.memory)) if text]
            elif isinstance(value, bool):
                answer = "yes" if value else "no"
                known = self.site.facets.all.get(name)
                says = {one.id: one.meaning for one in known.values} if known else {}
                values = [{"id": answer, "text": answer, "meaning": says.get(answer, ""), "link": ""}]
            else:
                values = [
                    {"id": item, "text": word(item), "meaning": facet.values.get(item, "") if facet else "",
                     "link": links.value(name, item) if facet else ""}
                    for item in (value if isinstance(value, list) else [value])
                ]
            rows.append({
                "id": name, "name": fact_name(name), "terms": values,
                "meaning": facet.meaning if facet else field.description or "",
                "link": f"vocabulary/#{name.replace('_', '-')}" if facet else "vocabulary/",
            })
        return rows

    def relations(self, entry: Entry) -> list[dict[str, Any]]:
        """What an entry declares of other methods, in words, with how it was checked."""
        return [
            {"phrase": PHRASES[relation.type][0], "target": relation.target, "reason": relation.reason,
             "extra": _extra(relation, relation.type, False), **self._checked(entry.id, relation.target, relation)}
            for relation in entry.algorithm.relations
        ]

    def _by_phrase(self, entry: Entry) -> list[dict[str, Any]]:
        """What an entry and others declare of the two of them, those of one kind together in the order of `PHRASES`.
        `ran`: all of a kind are carried out by the one test."""
        ties = [tie | {"speaker": entry.id} for tie in self.relations(entry)]
        ties += [tie | {"speaker": tie["target"]} for tie in map(self._backlink, entry.backlinks)]
        kinds = []
        for phrase in dict.fromkeys(phrase for both_ways in PHRASES.values() for phrase in both_ways):
            found = [tie for tie in ties if tie["phrase"] == phrase]
            if found:
                kinds.append({"phrase": phrase, "ties": found, "ran": all(tie["test"] == STACKING for tie in found)})
        return kinds

    def _backlink(self, link: Backlink) -> dict[str, Any]:
        relation = link.relation
        return {"phrase": PHRASES[relation.type][1], "target": link.source, "reason": relation.reason,
                "extra": _extra(relation, relation.type, True), **self._checked(link.source, relation.target, relation)}

    def _checked(self, source: str, target: str, relation: Any) -> dict[str, Any]:
        """How a relation that can be checked was: the test that shows it, and what the bench measured of the pair."""
        if relation.type == "special_case_of":
            return {"checked": "checked by test", "test": relation.test, "pairs": []}
        if relation.type != "stacks_with" or target not in self.site.entries:
            return {"checked": "", "test": "", "pairs": []}
        run = (self.site.catalog.repository / STACKING).is_file()
        orders = {"before": [(source, target)], "after": [(target, source)]}.get(
            relation.order, [(source, target), (target, source)])
        known = self.site.combined.pairs if self.site.combined else {}
        pairs: list[Pair] = [known[order] for order in orders if order in known and known[order].change is not None]
        return {"checked": "checked: runs in" if run else "", "test": STACKING if run else "", "pairs": pairs}

    def _survey_name(self, key: str) -> str:
        view = self.site.surveys.get(key)
        return view.survey.name if view else key

    def _examples(self) -> list[str]:
        preferred = [name for name in ("gptq", "wanda", "lora") if name in self.site.entries]
        return preferred or list(self.site.entries)[:2]

    def render(self, template: str, address: str, title: str, front: dict[str, Any] | None = None,
                entry: Entry | None = None, wide: bool = False, **values: Any) -> str:
        page = Page(address, self.site, self.prose, self.formulas, entry)
        body = self._environment.get_template(template).render(page=page, site=self.site, entry=entry, **values)
        self.unknown += page.unknown
        head: dict[str, Any] = {"title": title, **(front or {})}
        if wide:
            head["hide"] = ["toc"]
        return front_matter(head) + "\n" + blocks.marked(body) + "\n"


def front_matter(head: dict[str, Any]) -> str:
    """YAML that holds one JSON value a line, so that no text can end it early."""
    lines = [f"{key}: {json.dumps(value, ensure_ascii=True)}" for key, value in head.items() if value not in (None, [])]
    return "\n".join(["---", *lines, "---", ""])


def slug(text: str) -> str:
    return "-".join("".join(c if c.isalnum() else " " for c in text.lower()).split())


def fact_name(facet: str) -> str:
    return FACT_NAMES.get(facet, facet.replace("_", " ").capitalize())


def fact_values(algorithm: Any, facet: str) -> list[str]:
    """The values of a facet that an entry has, wherever it keeps them."""
    if facet == "contract":
        return [algorithm.reference.contract]
    if facet == "checked":
        return [algorithm.checked]
    value = getattr(algorithm.facts, facet, None)
    if value is None or isinstance(value, bool):
        return []
    return list(value) if isinstance(value, list | dict) else [value]


def _extra(relation: Any, kind: str, back: bool) -> str:
    if kind == "stacks_with":
        order = _ORDERS[relation.order] if back else relation.order
        return {"before": "this one first", "after": "the other one first", "either": "in either order"}[order]
    return "under a named setting" if kind == "special_case_of" else ""

