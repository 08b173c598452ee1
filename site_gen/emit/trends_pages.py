"""The Trends page: what became public when, each plot with its numbers as a table and as CSV, and what it is about."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from markupsafe import Markup

from site_gen.emit import bars
from site_gen.emit.numbers import number, percent
from site_gen.enrich.trends import LEAST, Series, Trends

if TYPE_CHECKING:
    from site_gen.emit.pages import Pages
    from site_gen.enrich.site import Site

FOLDER = "trends"
SERIES = ("period", "first_year", "last_year", "category", "name", "count", "of", "ids")


@dataclass(frozen=True)
class Figure:
    """A section of the page. `says` are sentences on what is drawn, of which population, and what is missing."""

    id: str
    title: str
    svg: Markup
    says: list[str]
    legend: list[tuple[Markup, str, str]]  # mark, name, address or ""
    head: list[str]
    rows: list[list[Any]]
    foot: list[list[Any]] = field(default_factory=list)
    csv: str = ""

    @property
    def file(self) -> str:
        return f"{FOLDER}/{self.id}.csv"


def pages(maker: Pages) -> dict[str, str]:
    """The one page."""
    found = figures(maker.site)
    front = {
        "description": "Methods by year and family, training and data that they need, and the surveys' windows.",
        "machine_forms": [["text/csv", figure.file, f"{figure.title} as CSV"] for figure in found],
    }
    return {"trends/index.md": maker.render("trends.md.jinja", "trends/", "Trends", front=front, wide=True,
                                            figures=found)}


def files(site: Site) -> dict[str, str]:
    """The numbers of every figure as CSV."""
    return {figure.file: figure.csv for figure in figures(site)}


def figures(site: Site) -> list[Figure]:
    """All figures that the data have, in the order of the page."""
    trends = site.trends
    found = [_works(site, trends), _training(site, trends), _data(site, trends), _bits(site, trends),
             _windows(site, trends), _zoo(site, trends)]
    return [figure for figure in found if figure is not None]


def _works(site: Site, trends: Trends) -> Figure | None:
    series = trends.works
    if not series.columns:
        return None
    others = len(site.works) - series.total
    origins = trends.origins
    says = [
        f"{_count(series.total, 'method')} of the bibliography, in the year in which a first version was public; "
        f"{trends.later} of them were published at their venue in a later year."
        + (f" For {trends.undated} that is not known, and the year of publication stands for it."
           if trends.undated else ""),
        f"The family is that of the entry for {origins.get('entry', 0)} of them; for {origins.get('example', 0)} it is "
        f"the one whose example they are in our taxonomy, for {origins.get('survey', 0)} the one that a survey's "
        f"section means. {origins.get('', 0)} have no family yet.",
        f"Not counted: {_count(others, 'other work')}, that is foundations, models, data, frameworks and surveys.",
        _window_says(trends),
    ]
    return _figure(site, "works", "Methods by year and family", series, says)


def _training(site: Site, trends: Trends) -> Figure | None:
    series = trends.training
    if not series.columns:
        return None
    free = _shares(series, "none")
    says = [
        _entries_say(series),
        "Without training means without a single training step; needing calibration data or a search does not count "
        "as training." + (f" Their share: {free}." if free else ""),
        _choice_says(trends),
    ]
    return _figure(site, "training", "Methods without training, with little, with much", series, says, shares=True)


def _data(site: Site, trends: Trends) -> Figure | None:
    series = trends.data
    if not series.columns:
        return None
    says = [
        _entries_say(series),
        "Each method stands once: with no data at all, a few hundred samples to calibrate, unlabelled inputs of the "
        "task, its labels, a pre-training corpus, or text that a larger model writes or labels.",
        _choice_says(trends),
    ]
    return _figure(site, "data", "The data that methods need", series, says, shares=True)


def _bits(site: Site, trends: Trends) -> Figure | None:
    widths = trends.widths
    if not widths:
        return None
    names = {width.id: site.entries[width.id].name for width in widths}
    families = {width.id: site.entries[width.id].algorithm.home for width in widths}
    by_year: dict[int, list[Any]] = {}
    for width in widths:
        by_year.setdefault(width.year, []).append(width)
    full = [str(year) for year, found in by_year.items() if len(found) >= LEAST]
    says = [
        f"The {_count(len(widths), 'entry', 'entries')} whose facts name bit widths for weights, each at the least "
        "that it is meant for. That is what the paper aims at, not what stays usable.",
        f"Only {_listed(full)} {'has' if len(full) == 1 else 'have'} {LEAST} or more, so that no trend can be read "
        "from this." if len(full) < 4 and full else
        "" if full else f"No year has {LEAST} or more, so that no trend can be read from this.",
    ]
    shown = list(dict.fromkeys(families[width.id] for width in widths))
    return Figure(
        id="bits", title="Least bits of a weight", svg=bars.grid(widths, names, families, _alt(
            f"Least bits of a weight by year, for {len(widths)} entries.",
            [f"{year}: {', '.join(number(width.least) for width in found)}" for year, found in by_year.items()])),
        says=[text for text in says if text],
        legend=[(bars.legend(Series({name: ""}, []), name), site.families[name].family.name, f"families/{name}/")
                for name in site.families if name in shown],
        head=["Year", "Entry", "Least", "All that it names"],
        rows=[[width.year, ("entry", width.id), number(width.least), ", ".join(map(number, width.bits))]
              for width in widths],
        csv=_csv(("year", "entry", "family", "least_bits", "bits"),
                 ([w.year, w.id, families[w.id], number(w.least), " ".join(map(number, w.bits))] for w in widths)),
    )


def _windows(site: Site, trends: Trends) -> Figure | None:
    windows = trends.windows
    if not windows:
        return None
    names = {window.survey: site.surveys[window.survey].survey.name for window in windows}
    late = [f"{window.after} in {names[window.survey]}" for window in windows if window.after]
    says = [
        "The works that each survey was seen to file, of any kind, by the year in which they were first public: the "
        "thin line from first to last, the thick one where four of five lie, the stroke at the middle one, and the "
        "survey's own first version as a diamond. Works that we only recall to be in a survey are left out.",
        "A survey cannot know what came after it. "
        + (f"Works later than its first version came in with later versions: {', '.join(late)}." if late else ""),
    ]
    return Figure(
        id="windows", title="The surveys' windows", svg=bars.ranges(windows, names, _alt(
            "Years of the works that each survey files.",
            [f"{names[w.survey]}: {w.first} to {w.last}, middle {w.middle}, survey itself {w.own}" for w in windows])),
        says=says, legend=[],
        head=["Survey", "Works", "First", "Tenth part", "Middle", "Ninetieth part", "Last", "Itself", "After it"],
        rows=[[("survey", w.survey), w.works, w.first, w.tenth, w.middle, w.ninetieth, w.last, w.own, w.after]
              for w in windows],
        csv=_csv(("survey", "works", "first", "tenth", "middle", "ninetieth", "last", "own", "after"),
                 ([w.survey, w.works, w.first, w.tenth, w.middle, w.ninetieth, w.last, w.own, w.after]
                  for w in windows)),
    )


def _zoo(site: Site, trends: Trends) -> Figure | None:
    series = trends.zoo
    if not series.columns:
        return None
    elsewhere = len(trends.elsewhere)
    says = [
        f"Of the same {_count(series.total, 'method')}, {series.of('entry')} "
        f"({percent(series.of('entry') / series.total)}) have an entry."
        + (f" {_count(elsewhere, 'further entry', 'further entries')} {'is' if elsewhere == 1 else 'are'} about a "
           "method without a paper, or with one that counts as a foundation." if elsewhere else ""),
        "Entries are chosen to have one of each kind first; how many there are of a year says nothing about the year.",
    ]
    return _figure(site, "zoo", "Methods with an entry, of all that are known", series, says)


def _figure(site: Site, name: str, title: str, series: Series, says: list[str], shares: bool = False) -> Figure:
    keys = list(series.categories)
    columns = series.columns
    what = "Share of each" if shares else "Number"
    alt = _alt(f"{title}. {what} by year, {series.total} in all.", [
        f"{column.label}: " + ", ".join(f"{series.categories[key]} {column.count(key)}" for key in keys
                                        if column.count(key)) for column in columns if column.total])
    rows = [[series.categories[key], *(_cell(column, key, shares) for column in columns), series.of(key)]
            for key in keys]
    return Figure(
        id=name, title=title, svg=bars.stacked(series, alt, shares), says=says,
        legend=[(bars.legend(series, key), series.categories[key], f"families/{key}/" if key in site.families else "")
                for key in keys],
        head=["", *(column.label for column in columns), "All"], rows=rows,
        foot=[["All", *(column.total or "" for column in columns), series.total]],
        csv=_csv(SERIES, ([column.label, column.first, column.last, key, series.categories[key], column.count(key),
                           column.total, " ".join(column.parts.get(key, ()))] for column in columns for key in keys)),
    )


def _cell(column: Any, key: str, shares: bool) -> Any:
    """A count; with its share where the column has enough for one."""
    count, share = column.count(key), column.share(key)
    if not count:
        return ""
    return Markup("{} <small>{}</small>").format(count, percent(share)) if shares and share is not None else count


def _entries_say(series: Series) -> str:
    small = [column.label for column in series.columns if 0 < column.total < LEAST]
    return (f"The {_count(series.total, 'entry', 'entries')} of the zoo, in the year in which the method was first "
            "public, by what the entry's facts say; the other methods of the bibliography have no facts that were "
            "checked, and are not here."
            + (f" No share is drawn of fewer than {LEAST}: {_listed(small)}." if small else ""))


def _choice_says(trends: Trends) -> str:
    known = trends.zoo.total
    return (f"These are shares of what the zoo has taken up so far, {_count(trends.training.total, 'entry', 'entries')}"
            f" beside {known} known methods, and not of the field.")


def _window_says(trends: Trends) -> str:
    if not trends.windows:
        return "Works are here because an entry needs them."
    latest = max(window.own for window in trends.windows)
    return ("A work is in the bibliography because a survey files it or an entry needs it. The surveys were first "
            f"public up to {latest}, so that few works after that are known here: where the bars fall at the end, the "
            "surveys' windows close, and not the field.")


def _shares(series: Series, key: str) -> str:
    return ", ".join(
        f"{percent(column.share(key))} of {column.total} "
        f"{'in' if column.first == column.last else 'up to'} {column.last}"
        for column in series.columns if column.share(key) is not None
    )


def _count(number_of: int, one: str, many: str = "") -> str:
    return f"{number_of} {one if number_of == 1 else many or one + 's'}"


def _listed(items: list[str]) -> str:
    return items[0] if len(items) == 1 else f"{', '.join(items[:-1])} and {items[-1]}" if items else ""


def _alt(what: str, parts: Iterable[str]) -> str:
    return " ".join([what, *(f"{part}." for part in parts)])


def _csv(head: Iterable[str], rows: Iterable[Iterable[Any]]) -> str:
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(head)
    writer.writerows(rows)
    return out.getvalue()
