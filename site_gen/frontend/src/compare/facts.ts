// The table of facts, one column an entry: equal values, values that differ, and texts.

import { type Entry, type Row, union } from "./data";
import { boxed, el, made, mark } from "./dom";

/** What stands over the columns, with the mark that each has among all. */
export function heads(entries: Entry[], all: Entry[]): HTMLTableCellElement[] {
  return entries.map((entry) => head(entry, all.indexOf(entry)));
}

function head(entry: Entry, place: number): HTMLTableCellElement {
  const family = made("a", entry.family.icon, { class: "zoo-chip zoo-family", "data-family": entry.family.id, href: entry.family.url });
  family.append(entry.family.name);
  return el("th", { scope: "col", "data-nth": place },
    el("a", { class: "zoo-compare__name", href: entry.url }, mark(place), entry.name),
    el("span", { class: "zoo-compare__meta" }, family, " ", el("a", { href: entry.group.url }, entry.group.name)));
}

/** The table of these of `all` that are chosen; `only`: without the rows in which they agree. Returns it with the number of
 *  rows that agree. */
export function factsTable(entries: Entry[], all: Entry[], only: boolean): { element: HTMLElement; equal: number } {
  const byKey = entries.map((entry) => new Map(entry.rows.map((row) => [row.key, row])));
  const body = el("tbody");
  let equal = 0;
  for (const key of union(entries.map((entry) => entry.rows.map((row) => row.key)))) {
    const cells = byKey.map((rows) => rows.get(key));
    const first = cells.find((row): row is Row => row !== undefined)!;
    const isText = first.token === null;
    const differs = !isText && entries.length > 1 && new Set(cells.map((row) => row?.token)).size > 1;
    if (entries.length > 1 && !isText && !differs) {
      equal += 1;
      if (only) continue;
    }
    const name = first.link ? el("a", { href: first.link, title: first.meaning }, first.name) : el("span", { title: first.meaning || null }, first.name);
    body.append(el("tr", { class: differs ? "zoo-differs" : isText ? "zoo-compare__texts" : "", "data-row": key },
      el("th", { scope: "row" }, name, differs && el("span", { class: "zoo-differs__mark" }, "differs")),
      ...cells.map((row) => (row ? made("td", row.html) : el("td", {}, el("span", { class: "zoo-muted" }, "not stated"))))));
  }
  const row = el("tr", {}, el("td", {}, el("span", { class: "zoo-status" }, "Field")), ...heads(entries, all));
  const table = el("table", { class: "zoo-compare__table", style: `--columns: ${entries.length}` }, el("thead", {}, row), body);
  return { element: boxed("Facts side by side", table, "zoo-compare__box"), equal };
}
