"""What a template may ask for while it writes one page: addresses, prose, formulas, citations, numbers."""

from __future__ import annotations

import re
from html import escape as escape_html
from typing import Any

from markupsafe import Markup, escape

from catalog.search import short
from site_gen.emit import citation, ego, highlight, icons, links, numbers, plots
from site_gen.emit.formulas import Formulas
from site_gen.emit.prose import Context, Prose
from site_gen.enrich import explained
from site_gen.enrich.measured import Curve, Metric, Row
from site_gen.enrich.site import Entry, Site


def label(site: Site, key: str) -> str:
    """What a work is called in the graph: its entry's name, its own where it has a short one, else author and year."""
    view = site.works[key]
    if view.entries:
        return site.entries[view.entries[0]].name
    return view.work.name if view.work.name != view.work.title and len(view.work.name) <= 32 else short(view.work)


def byline(work: Any, most: int = 6) -> str:
    """Authors for people to read; long lists are cut and say so."""
    names = [person.full for person in work.authors]
    if len(names) > most or not work.authors_complete:
        return ", ".join(names[: most - 1 if len(names) > most else most]) + " and others"
    return ", ".join(names[:-1]) + (" and " if len(names) > 1 else "") + (names[-1] if names else "")


class Page:
    """The helper called `page` in every template. `address` is the page's own, from the site's root."""

    urls = links
    citation_forms = citation.FORMS
    few_digits = staticmethod(numbers.number)
    four_digits = staticmethod(numbers.ratio)
    signed = staticmethod(numbers.signed)
    plot_sample = staticmethod(plots.sample)

    def __init__(self, address: str, site: Site, prose: Prose, formulas: Formulas, entry: Entry | None = None):
        self.address = address
        self.site = site
        self.link = links.Links(address)
        self.short = short
        self.byline = byline
        self.icon = icons.family
        self.logo = icons.logo
        self.code = highlight.code
        self.unknown: list[tuple[str, str]] = []  # (file, reference) that resolve to nothing
        self._prose = prose
        self._formulas = formulas
        self._entry = entry

    def inline(self, text: str | None) -> Markup:
        return self._render(text, self._entry, self._prose.inline)

    def block(self, text: str | None) -> Markup:
        return self._render(text, self._entry, self._prose.block)

    def inline_for(self, identifier: str, text: str | None) -> Markup:
        """A text of another entry, whose [eq-...] mean that entry's equations."""
        return self._render(text, self.site.entries.get(identifier), self._prose.inline)

    def formula(self, tex: str) -> Markup:
        return Markup(self._formulas.mark(tex, True))

    def cite(self, key: str) -> Markup:
        work = self.site.catalog.bibliography.get(key)
        if work is None:
            return escape(key)
        return Markup('<a class="zoo-citation" href="{}" title="{}">{}</a>').format(
            self.link(links.work(key)), work.title, short(work)
        )

    def reference(self, key: str) -> Markup:
        """A work in a list: its title, linked to its entry or to the bibliography, with authors and venue."""
        view = self.site.works.get(key)
        if view is None:
            return escape(key)
        address = links.algorithm(view.entries[0]) if view.entries else links.work(key)
        return Markup('<a href="{}">{}</a> <span class="zoo-muted">{}, {}</span>').format(
            self.link(address), view.work.title, short(view.work), view.work.venue
        )

    def target(self, target: str) -> Markup:
        """What a relation points to: an entry by its name, a work by its own name."""
        entry = self.site.entries.get(target)
        if entry is not None:
            return Markup('<a class="zoo-target" data-family="{}" href="{}">{}</a>').format(
                entry.algorithm.home, self.link(links.algorithm(target)), entry.name
            )
        work = self.site.catalog.bibliography.get(target)
        if work is None:
            return escape(target)
        return Markup('<a class="zoo-target" href="{}" title="{}">{}</a> <span class="zoo-muted">{}</span>').format(
            self.link(links.work(target)), work.title, work.name, short(work)
        )

    def meaning(self, facet: str, value: str) -> str:
        """The line of the vocabulary on a value; nothing where it has none."""
        found = self.site.catalog.vocabulary.get(facet)
        return found.values.get(value, "") if found else ""

    def node_name(self, node: str) -> str:
        """Quantization: Error compensation."""
        family, _, group = node.partition("/")
        found = self.site.families[family].family
        return f"{found.name}: {found.groups[group].name}" if group else found.name

    def option(self, value: Any) -> str:
        if value is None:
            return "none"
        if isinstance(value, bool):
            return "true" if value else "false"
        return ", ".join(map(str, value)) if isinstance(value, list) else str(value)

    def number(self, value: float, metric: Metric) -> str:
        """A measured value with as many digits as a reader can use."""
        if "byte" in metric.key:
            return size(value)
        if metric.key == "tokens_per_second":
            return f"{value:,.0f}"
        if value == 0:
            return "0"
        if abs(value) < 0.001:
            return numbers.tiny(value)
        return f"{value:.3f}" if abs(value) < 10 else f"{value:.2f}" if abs(value) < 1000 else f"{value:,.0f}"

    def run_name(self, row: Row, entry: Entry) -> Markup:
        """The label of a row of the measurement: what ran, and with which options."""
        if row.role == "dense":
            return Markup(explained.dense(entry.measured.protocol["name"] if entry.measured else "").capitalize())
        if row.changed:
            return Markup(", ").join(
                Markup("<code>{}={}</code>").format(key, self.option(value)) for key, value in row.changed.items()
            )
        other = self.site.entries.get(row.algorithm)
        name = other.name if other else explained.BASELINES.get(row.algorithm, row.algorithm)
        shown: Markup = escape(name)
        if other and other.id != entry.id:
            shown = Markup('<a href="{}">{}</a>').format(self.link(links.algorithm(other.id)), name)
        options = self.options(row.options)
        role = Markup(' <span class="zoo-muted">baseline</span>') if row.role == "baseline" else Markup("")
        return Markup("{}{} <small>{}</small>").format(shown, role, options)

    def options(self, options: dict[str, Any]) -> Markup:
        """bits=3 group_size=16, each as code."""
        return Markup(" ").join(
            Markup("<code>{}={}</code>").format(key, self.option(value)) for key, value in options.items()
        )

    def label(self, key: str) -> str:
        """The short name of a work in the graph."""
        return label(self.site, key)

    def work_address(self, key: str) -> str:
        """The page of a work's method where it has one, else its own, relative to this page."""
        view = self.site.works[key]
        return self.link(links.algorithm(view.entries[0]) if view.entries else links.work(key))

    def ego(self, key: str) -> ego.Ego:
        """The works around one, and the picture of them."""
        return ego.around(self.site, key, self.label, self.work_address)

    def entry_name(self, identifier: str) -> str:
        """The name of an entry; its id where it is gone."""
        entry = self.site.entries.get(identifier)
        return entry.name if entry else identifier

    def plot(self, curve: Curve, name: str) -> Markup:
        """The curve for wide and for narrow boxes."""
        title = f"{name}: {curve.metric.label} over {curve.option}"
        baseline = self._baseline_name(curve, name)
        return Markup("").join(plots.curve(curve, title, baseline, frame) for frame in (plots.WIDE, plots.NARROW))

    def plot_series(self, curve: Curve, name: str) -> list[tuple[str, str]]:
        return plots.series(curve, name, self._baseline_name(curve, name))

    def _baseline_name(self, curve: Curve, name: str) -> str:
        """A method that is compared with itself under another setting is not named twice in one legend."""
        baseline = self.entry_name(curve.baseline_id)
        return f"{baseline}, baseline" if baseline == name else baseline

    def coins(self, work: Any) -> Markup:
        """A work as a COinS span, which reference managers read from lists."""
        return Markup('<span class="Z3988" title="{}"></span>').format(citation.coins(work))

    def _render(self, text: str | None, entry: Entry | None, render: Any) -> Markup:
        if not text:
            return Markup("")
        context = Context(equation=lambda label: self._equation(entry, label), work=self._work)
        html = render(text, context)
        self.unknown += [(entry.algorithm.file if entry else self.address, name) for name in context.unknown]
        return html

    def _equation(self, entry: Entry | None, label: str) -> str | None:
        if entry is None or label not in entry.algorithm.equations:
            return None
        return self.link(f"{links.algorithm(entry.id)}#{label}")

    def _work(self, key: str) -> tuple[str, str] | None:
        work = self.site.catalog.bibliography.get(key)
        return (self.link(links.work(key)), short(work)) if work else None


def size(value: float) -> str:
    """Bytes for people, three digits: 1.70 MB, 345 MB."""
    unit = 0
    while abs(value) >= 999.5 and unit < 3:
        value, unit = value / 1000, unit + 1
    digits = 0 if unit == 0 or abs(value) >= 99.95 else 1 if abs(value) >= 9.995 else 2
    return f"{value:.{digits}f} {('B', 'kB', 'MB', 'GB')[unit]}"


def markdown_escaped(text: str) -> Markup:
    """Text for a Markdown heading: shown as it is, without marks, links or HTML."""
    safe = escape_html(" ".join(text.split()), quote=False)
    return Markup(re.sub(r"([\\`*_{}\[\]()#+\-.!|~^$:])", r"\\\1", safe).replace("\\#", "&#35;").replace("\\:", "&#58;")
                  .replace("\\|", "&#124;").replace("\\~", "&#126;").replace("\\^", "&#94;").replace("\\$", "&#36;"))
