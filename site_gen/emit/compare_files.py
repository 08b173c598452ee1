"""What the comparison loads of an entry, algorithms/<id>/compare.json: facts, texts and numbers, ready to be laid side
by side. Everything that needs a rule is decided here; the browser only looks for what is equal.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from markupsafe import Markup, escape

from catalog import citing
from catalog.wording import word
from site_gen.emit import links
from site_gen.emit.numbers import month, number, products, ratio, signed
from site_gen.emit.page import Page
from site_gen.enrich import explained
from site_gen.enrich.compare import why_not_drawn
from site_gen.enrich.measured import Metric, Row, Spread
from site_gen.enrich.reported import Line, parts
from site_gen.enrich.together import Axis, Dot, Item, Plot, Section

if TYPE_CHECKING:
    from site_gen.emit.pages import Pages
    from site_gen.enrich.compare import Partner
    from site_gen.enrich.site import Entry, Site

SCHEMA = 1  # raised when a key changes its meaning or goes
ADDRESS = "compare/"


def file(identifier: str) -> str:
    return f"{links.algorithm(identifier)}compare.json"


def files(maker: Pages) -> dict[str, str]:
    """File name -> JSON, formulas still as marks; `Rendered.fill_json` puts them in."""
    measured: dict[str, list[tuple[int, Section, Item]]] = {}
    for place, section in enumerate(maker.site.together):
        for item in section.items:
            measured.setdefault(item.entry.id, []).append((place, section, item))
    return {
        file(entry.id): json.dumps(_Data(maker, entry, measured.get(entry.id, [])).all(), ensure_ascii=False,
                                   separators=(",", ":"))
        for entry in maker.site.entries.values()
    }


def address(*identifiers: str) -> str:
    """The comparison of these entries, from the site's root."""
    return ADDRESS + "?" + "&".join(f"a={name}" for name in identifiers) if identifiers else ADDRESS


def partners(site: Site, identifier: str) -> list[dict[str, str]]:
    """The entries that one is offered to be compared with, the nearest first: id, name, family, and why in words."""
    return [
        {"id": other.id, "name": site.entries[other.id].name, "family": site.entries[other.id].algorithm.home,
         "why": _tie(other)}
        for other in site.comparisons.partners[identifier]
    ]


def _tie(other: Partner) -> str:
    from site_gen.emit.pages import PHRASES  # pages.py uses this module

    if other.tie in PHRASES:
        return PHRASES[other.tie][0 if other.declared_here else 1]
    return {"group": "is of the same group", "text": "is described in similar terms"}[other.tie]


class _Data:
    """Gathers what one file says."""

    def __init__(self, maker: Pages, entry: Entry, measured: list[tuple[int, Section, Item]]):
        self.maker, self.site, self.entry, self.a = maker, maker.site, entry, entry.algorithm
        self.page = Page(ADDRESS, maker.site, maker.prose, maker.formulas, entry)
        self.measured = measured

    def all(self) -> dict[str, Any]:
        site, a, page = self.site, self.a, self.page
        family = site.families[a.home].family
        return {
            "schema": SCHEMA, "id": a.id, "name": a.name, "url": page.link(links.algorithm(a.id)),
            "family": {"id": a.home, "name": family.name, "url": page.link(links.family(a.home)),
                       "icon": page.icon(a.home)},
            "group": {"id": a.family, "name": family.groups[a.family.partition("/")[2]].name,
                      "url": page.link(links.family(a.home)) + f"#{a.family.partition('/')[2]}"},
            "year": a.introduced[:4],
            "rows": self._rows(), "relations": self._relations(), "paper": a.paper, "cites": self._cites(),
            "surveys": self._surveys(), "measured": self._measured(), "combined": self._combined(),
            "reported": self._reported(), "code": self._code(), "cite": self._cite(),
            "partners": partners(site, a.id),
        }

    # --- facts and texts ---------------------------------------------------------------------------------------------

    def _rows(self) -> list[dict[str, Any]]:
        """The rows of the table. `token` is what two entries must share for the row to be equal; texts have none."""
        a, page, site = self.a, self.page, self.site
        rows = [self._row("summary", "In short", page.inline(a.summary), None)]
        for fact in self.maker.facts(self.entry):
            if fact["id"] != "cost":
                rows.append(self._row(fact["id"], fact["name"], Markup("").join(map(self._value, fact["terms"])),
                                      sorted(value["id"] for value in fact["terms"]), fact["meaning"],
                                      page.link(fact["link"])))
        cost = a.facts.cost
        for name, text in (("time", cost.time if cost else None), ("memory", cost.memory if cost else None)):
            if text:
                token = " ".join(text.split())
                rows.append(self._row(f"cost-{name}", f"Cost, {name}", page.inline(products(text)), [token]))
        rows += [
            self._row("strengths", "Strengths", self._claims(a.strengths), None),
            self._row("limits", "Limits", self._claims(a.limits), None),
        ]
        formula = a.storage.bits_per_weight if a.storage else None
        if formula:
            rows.append(self._row("storage", "Bits per weight", Markup("<code>{}</code>").format(formula),
                                  [" ".join(formula.split())],
                                  "Formula over the options and the rows and columns of a layer."))
        rows.append(self._row("introduced", "First public", escape(month(a.introduced)), [a.introduced]))
        origin = page.cite(a.paper) + Markup(", {}").format(self.entry.work.venue) if self.entry.work \
            else page.inline(a.origin)
        rows.append(self._row("paper", "Paper", origin, [a.paper or a.id]))
        support = [site.frameworks[cell.framework].one.name for cell in site.kinds.support.get(a.id, [])]
        if support:
            rows.append(self._row("frameworks", "Frameworks", escape(", ".join(support)), sorted(support),
                                  "Frameworks that were seen to say that they support it.", page.link("frameworks/")))
        reference = a.reference
        rows.append(self._row("contract", "Kind of call",
                              self._value({"text": word(reference.contract), "meaning": page.meaning("contract",
                                           reference.contract), "link": links.value("contract", reference.contract)}),
                              [reference.contract]))
        rows.append(self._row("checked", "Checked", escape(a.checked), [a.checked], page.meaning("checked", a.checked)))
        return [row for row in rows if row["html"]]

    def _row(self, key: str, name: str, html: Markup, token: list[str] | None, meaning: str = "",
             link: str = "") -> dict[str, Any]:  # fmt: skip
        return {"key": key, "name": name, "html": html, "token": None if token is None else " | ".join(token),
                "meaning": meaning, "link": link}

    def _value(self, value: dict[str, str]) -> Markup:
        text = Markup('<a class="zoo-term" href="{}" title="{}">{}</a>').format(
            self.page.link(value["link"]), value["meaning"], value["text"]
        ) if value["link"] else Markup('<span class="zoo-term">{}</span>').format(value["text"])
        return Markup("<span>{}</span>").format(text)

    def _claims(self, claims: Iterable[Any]) -> Markup:
        items = []
        for claim in claims:
            html = self.page.inline(claim.text)
            if claim.source:
                place = Markup(", {}").format(claim.source.place) if claim.source.place else ""
                work = self.page.cite(claim.source.work)
                html += Markup(' <span class="zoo-witness">{}{}</span>').format(work, place)
            if claim.measured:
                html += Markup(' <span class="zoo-evidence zoo-evidence--measured">measured here</span>')
            items.append(Markup("<li>{}</li>").format(html))
        return Markup("<ul>{}</ul>").format(Markup("").join(items)) if items else Markup("")

    # --- ties between entries ----------------------------------------------------------------------------------------

    def _relations(self) -> list[dict[str, str]]:
        """What this entry declares of other entries: whom, and the sentence."""
        found = []
        for relation in self.maker.relations(self.entry):
            other = self.site.entries.get(relation["target"])
            if other is None:
                continue
            extra = Markup(' <span class="zoo-muted">{}</span>').format(relation["extra"]) if relation["extra"] else ""
            checked = Markup(' <span class="zoo-evidence zoo-evidence--measured" title="{}">{}</span>').format(
                relation["test"], relation["checked"].partition(":")[0]) if relation["checked"] else ""
            html = Markup("<strong>{}</strong> {} <strong>{}</strong>{}{}. {}").format(
                self.a.name, relation["phrase"], other.name, extra, checked, self.page.inline(relation["reason"]))
            found.append({"to": other.id, "html": html})
        return found

    def _cites(self) -> dict[str, Any]:
        """The works that the paper is known to cite, and how far its list of references is known."""
        key, site = self.a.paper, self.site
        if not key:
            return {"known": "It has no paper.", "works": []}
        listing = site.catalog.citations.get(key)
        known = f"The whole reference list of {self.a.name} was seen." if listing and listing.complete else (
            f"Of the references of {self.a.name} only a part was seen." if listing
            else f"The reference list of {self.a.name} was not seen.")
        return {"known": known, "works": [
            {"key": other, "name": self.page.label(other), "url": self.page.work_address(other)}
            for other in site.ties[key].cites
        ]}

    def _surveys(self) -> list[dict[str, Any]]:
        """Where surveys were seen to file it."""
        return [
            {"key": filing.survey, "name": self.site.surveys[filing.survey].survey.name,
             "url": self.page.link(links.survey(filing.survey)), "path": " › ".join(filing.path),
             "depth": filing.leaf.depth}
            for filing in self.entry.filings if filing.covered
        ]

    # --- measured ----------------------------------------------------------------------------------------------------

    def _measured(self) -> dict[str, Any]:
        titles = [section.title for _, section, _ in self.measured]
        says = f"measured under {listed(titles)}" if titles else "not measured yet"
        return {"says": says, "sections": [self._section(*found) for found in self.measured]}

    def _section(self, place: int, section: Section, item: Item) -> dict[str, Any]:
        a = self.a
        plots = {
            _key(plot): self._plot(plot, item) if a.id in plot.of else {"missing": why_not_drawn(plot)}
            for plot in section.plots
        }
        metrics = _columns(section)
        rows = [row for row in item.rows if row.role != "baseline"]
        quality = next((plot.y for plot in section.plots), None)
        dense = item.dense
        return {
            "id": section.id, "order": place, "title": section.title,
            "url": self.page.link("measured/") + f"#{section.id}",
            "says": " ".join(text for text in (section.says, section.model_says) if text),
            "date": item.measured.date, "stale": item.measured.stale,
            "seeds": len(section.protocol.get("seeds") or []),
            "columns": ([{"key": "ratio", "name": f"{quality.short} ratio", "better": quality.better}]
                        if quality and quality.ratio else [])
            + [{"key": metric.key, "better": metric.better,
                "name": metric.label + (f" ({metric.unit_beside})" if metric.unit_beside else "")}
               for metric in metrics],
            "dense": self._cells(dense, item, metrics, quality) if dense else None,
            "rows": [{"name": self._run(row), "declared": row.role == "declared",
                      "cells": self._cells(row, item, metrics, quality)} for row in rows],
            "plots": plots,
        }  # fmt: skip

    def _run(self, row: Row) -> Markup:
        """The options of a run; of a sweep's run the varied one alone."""
        if row.changed:
            return self.page.options(row.changed)
        return self.page.options(row.options) if row.options else Markup("as it is")

    def _cells(self, row: Row, item: Item, metrics: list[Metric], quality: Axis | None) -> dict[str, list[str]]:
        """Column -> median, and least to greatest where the seeds differ."""
        cells = {}
        for metric in metrics:
            spread = row.values.get(metric.key)
            if spread:
                cells[metric.key] = _spread(spread, lambda value, metric=metric: self.page.number(value, metric))
        dense = item.dense.values.get(quality.key) if quality and quality.ratio and item.dense else None
        here = row.values.get(quality.key) if quality else None
        if dense and dense.median and here:
            cells["ratio"] = _spread(Spread(*(value / dense.median for value in (here.median, here.low, here.high))),
                                     ratio)
        return cells

    def _plot(self, plot: Plot, item: Item) -> dict[str, Any]:
        """Axes, and the entry's own dots by size. `joined`: a line through them means something."""
        dots = sorted((dot for dot in plot.of[self.a.id] if dot.row.role in ("declared", "sweep")),
                      key=lambda dot: dot.x)
        limit = plot.limit if plot.y.ratio else None
        return {
            "x": _axis(plot.x), "y": _axis(plot.y), "limit": limit,
            "joined": len({dot.x for dot in dots}) == len(dots) > 1,
            "dots": [{"x": dot.x, "y": dot.y.median, "low": dot.y.low, "high": dot.y.high,
                      "declared": dot.row.role == "declared", "note": self._note(dot, plot)} for dot in dots],
        }

    def _note(self, dot: Dot, plot: Plot) -> str:
        """What is told of a dot: what ran, then each value in a line."""
        options = ", ".join(f"{key}={self.page.option(value)}" for key, value in dot.row.options.items())
        y = f"{plot.y.short}{' ratio' if plot.y.ratio else ''} {number(dot.y.median)}"
        if dot.y.high > dot.y.low:
            y += f" ({number(dot.y.low)} to {number(dot.y.high)})"
        lines = [self.a.name, options, y, f"{plot.x.short} {number(dot.x)}", "stale" if dot.stale else ""]
        return "\n".join(line for line in lines if line)

    def _combined(self) -> dict[str, Any]:
        """The pairs that begin with this method, by what follows."""
        found = self.site.combined
        if found is None or all(part.id != self.a.id for part in found.parts):
            return {"says": "", "pairs": {}}
        protocol = found.protocol
        says = Markup("{}, measured {}. Beyond the sum: what the pair loses more (or less) than both methods alone, in "
                      "nats of log-perplexity.").format(
            explained.title(protocol["name"], protocol["version"], protocol["model"]), found.date)
        return {"says": says, "pairs": {
            pair.second: self._pair(pair) for pair in found.pairs.values() if pair.first == self.a.id}}

    def _pair(self, pair: Any) -> Markup:
        """A row of the table: order, change, beyond the sum, perplexity, bits, which order is better."""
        name = Markup('<th scope="row"><a href="{}#{}-{}">{}, then {}</a>{}</th>').format(
            self.page.link("combinations/"), pair.first, pair.second, self.a.name, self.page.entry_name(pair.second),
            " (stale)" if {pair.first, pair.second} & set(self.site.combined.stale) else "")
        if pair.refused:
            return name + Markup('<td colspan="5"><span class="zoo-muted">cannot be done:</span> {}</td>').format(
                pair.refused.removeprefix(f"{pair.first}+{pair.second}: "))
        cells = [_spread(spread, lambda value: signed(value, 3)) if spread else [""]
                 for spread in (pair.change, pair.excess)]
        cells += [[number(pair.values[key].median)] if key in pair.values else [""]
                  for key in ("perplexity", "bits_per_weight")]
        order = {True: "this one", False: "the other", None: ""}[pair.better]
        return name + Markup("").join(
            Markup('<td class="zoo-number">{}{}</td>').format(
                cell[0], Markup("<small>{}</small>").format(cell[1]) if len(cell) > 1 else "") for cell in cells
        ) + Markup("<td>{}</td>").format(order)

    # --- reported ----------------------------------------------------------------------------------------------------

    def _reported(self) -> dict[str, Any]:
        found = self.site.reported
        lines = found.of(self.a.paper or self.a.id)
        groups = {}
        for line in lines:
            group = found.group_of.get(line.number)
            if group and group.id not in groups:
                shared = (group.shared.name,) if group.shared else ()
                source = "several sources" if group.shared else self._origin(line)
                groups[group.id] = {
                    "protocol": ", ".join([*shared, *self._told(group.setting)]) or "none told",
                    "source": source, "methods": len(group.methods), "ranked": group.ranks[0] is not None,
                    "url": self.page.link("reported/") + f"#{group.id}"}
        return {"groups": groups, "lines": [self._line(line) for line in lines]}

    def _line(self, line: Line) -> dict[str, Any]:
        found, record = self.site.reported, line.record
        group = found.group_of.get(line.number)
        rank = group.ranks[group.lines.index(line)] if group else None
        return {
            "what": record.metric + (f" on {record.dataset}" if record.dataset else ""), "model": record.model,
            "better": found.better(record.metric), "value": f"{record.value:,}" + (f" {record.unit}" if record.unit
                                                                                    else ""),
            "baseline": f"{record.baseline:,}" if record.baseline is not None else "",
            "form": ", ".join(self._told({**line.form, **line.settings["outcome"]})),
            "setting": ", ".join(self._told(line.protocol)),
            "group": group.id if group else None, "rank": f"{rank} of {len(group.lines)}" if group and rank else "",
            "source": self._origin(line),
            "parts": [[part.label, part.shown, list(part.tokens), int(part.soft)] for part in parts(line, found)],
        }

    def _told(self, setting: dict[str, Any]) -> list[str]:
        """Each setting in words."""
        words = []
        for name, value in setting.items():
            label = self.site.reported.label(name)
            words.append(label if value is True else f"{label}: no" if value is False
                         else f"{label} {self.page.option(value)}")
        return words

    def _origin(self, line: Line) -> Markup:
        record = line.record
        source = self.page.cite(record.source.work) if record.source.work else escape(record.source.repository)
        return Markup("{}, {}").format(source, record.place)

    # --- code and records --------------------------------------------------------------------------------------------

    def _code(self) -> dict[str, Any]:
        return {"path": self.entry.code.file.path, "lines": len(self.entry.code.lines)}

    def _cite(self) -> dict[str, Any]:
        """The record of the paper; of a method without one, of the entry, which has files of its own."""
        work = self.entry.work
        if work:
            return {"text": citing.format(work, "text").strip(), "work": work.key}
        own = citing.entry_as_work(self.a, self.site.zoo)
        return {"text": citing.format(own, "text").strip(), "work": None,
                "files": self.page.link(f"algorithms/{self.a.id}.entry")}


def _key(plot: Plot) -> str:
    return plot.x.key


def _axis(axis: Axis) -> dict[str, Any]:
    title = axis.label
    if axis.better != "neither" and (axis.ratio or axis.better == "higher"):
        title += f", {axis.better} is better"
    return {"title": title + (", logarithmic" if axis.logarithmic else ""), "logarithmic": axis.logarithmic,
            "ratio": axis.ratio}


def _columns(section: Section) -> list[Metric]:
    """The columns of the section's tables, each once."""
    found = [metric for plot in section.plots for metric in plot.metrics] + section.rest_metrics
    return list({metric.key: metric for metric in found}.values())


def _spread(spread: Spread, text: Any) -> list[str]:
    """The median in words, and the range where the seeds differ."""
    median, low, high = text(spread.median), text(spread.low), text(spread.high)
    return [median] if low == high else [median, f"{low} to {high}"]


def listed(items: list[str]) -> str:
    """One, two and three."""
    return items[0] if len(items) == 1 else f"{', '.join(items[:-1])} and {items[-1]}"
