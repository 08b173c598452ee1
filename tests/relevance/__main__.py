"""`python -m tests.relevance [--failures] [--material] [--scale]`: prints how well the searches answer the questions,
and what search costs with more entries."""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

from catalog import load
from tests.relevance import measure, scale


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.relevance", description=measure.__doc__)
    parser.add_argument("--failures", action="store_true",
                        help="list the questions that are tuned on, whose first answer is wrong")  # fmt: skip
    parser.add_argument("--material", action="store_true", help="also Material's own search: builds the site, minutes")
    parser.add_argument("--scale", action="store_true",
                        help="instead, what the browser loads and how long a query takes at 400 and 10,000")
    given = parser.parse_args()
    catalog = load()
    if given.scale:
        print(scale.HEAD, *(cost.line for cost in scale.costs(catalog)), sep="\n")
        return
    asked = measure.questions(catalog)
    queries = [one.query for one in asked]
    answers = {"command line": measure.command_line(catalog, queries), "browser": measure.browser(catalog, queries)}
    print(f"{'':24}" + "".join(f"{part:>10}: questions, MRR, hit@3" for part in measure.PARTS))
    for name, found in answers.items():
        _row(name, measure.scores(asked, found))
        _row("  or the definition", measure.scores(measure.with_definitions(asked, catalog), found))
    if given.material:
        with tempfile.TemporaryDirectory() as folder:
            found, size = measure.material(Path(folder), queries)
        by_page = [measure.pages_of(one, catalog) for one in asked]
        _row("Material's own, by page", measure.scores(by_page, found))
        ours = [list(dict.fromkeys(measure.page(key) for key in keys)) for keys in answers["browser"]]
        _row("browser, by page", measure.scores(by_page, ours))
        print(f"Material's index: {size / 1000:.0f} kB gzipped")
    differing = [query for query, one, other in zip(queries, *answers.values(), strict=True) if one != other]
    print(f"Command line and browser differ in the first {measure.DEPTH} results on {len(differing)} of {len(queries)}"
          f" questions{': ' if differing else ''}{', '.join(differing)}")  # fmt: skip
    if given.failures:
        for one, found in zip(asked, answers["command line"], strict=True):
            if one.half in measure.TUNED_ON and measure.place(one, found) != 1:
                print(f"{one.query!r}: {', '.join(found[:5])}; right at {measure.place(one, found)}")


def _row(name: str, table: dict[str, tuple[int, float, float]]) -> None:
    print(f"{name:24}" + "".join(f"{count:>21} {mrr:.3f}  {hit:.3f}" for count, mrr, hit in table.values()))


if __name__ == "__main__":
    main()
