// What the bench measured of several of the chosen entries under one protocol: curves in one drawing, and the numbers.

import { drawCurves, usefulLimit } from "../curves";
import { type Column, type Drawn, type Entry, type Section, pairs, union } from "./data";
import { boxed, el, made, mark } from "./dom";

type Here = { entry: Entry; place: number; section: Section };

const ARROWS = { lower: "\u00a0↓", higher: "\u00a0↑", neither: "" };

/** The section; `on` names the protocol to show, `choose` is called with another. */
export function measured(entries: Entry[], on: string, choose: (id: string) => void): HTMLElement[] {
  const sections = new Map<string, Here[]>();
  entries.forEach((entry, place) => {
    for (const section of entry.measured.sections) {
      sections.set(section.id, [...(sections.get(section.id) ?? []), { entry, place, section }]);
    }
  });
  const shared = [...sections.values()].filter((found) => found.length > 1)
    .sort((a, b) => b.length - a.length || a[0].section.order - b[0].section.order);
  const says = entries.map((entry) => `${entry.name} is ${entry.measured.says}`).join("; ");
  if (!shared.length) {
    return [el("p", { class: "zoo-note" }, `No two of them were measured under one protocol, in one version, on one model, so nothing is drawn together: ${says}.`)];
  }
  const here = shared.find((found) => found[0].section.id === on) ?? shared[0];
  const { section } = here[0];
  const parts: HTMLElement[] = [];
  if (shared.length > 1) {
    const select = el("select", {}, ...shared.map((found) =>
      el("option", { value: found[0].section.id, selected: found === here }, `${found[0].section.title} (${found.length} of ${entries.length})`)));
    select.addEventListener("change", () => choose(select.value));
    parts.push(el("p", { class: "zoo-table-controls" }, el("label", {}, "Protocol ", select)));
  }
  parts.push(el("p", {}, el("strong", {}, el("a", { href: section.url }, section.title)), `, median over ${section.seeds} seeds. `, el("span", { class: "zoo-muted" }, section.says)));
  const stale = here.filter((one) => one.section.stale).map((one) => one.entry.name);
  if (stale.length) parts.push(el("p", { class: "zoo-note zoo-note--warn" }, el("strong", {}, "Stale."), ` The code of ${stale.join(", ")} has changed since it was measured.`));
  const away = entries.filter((entry) => !here.some((one) => one.entry === entry));
  parts.push(...drawings(here, away), numbers(here));
  if (away.length) parts.push(el("p", { class: "zoo-muted" }, `Not in this table: ${away.map((entry) => `${entry.name}, ${entry.measured.says}`).join("; ")}.`));
  return parts;
}

function isDrawn(plot: Section["plots"][string] | undefined): plot is Drawn {
  return plot !== undefined && "dots" in plot;
}

function drawings(here: Here[], away: Entry[]): HTMLElement[] {
  const found: HTMLElement[] = [];
  for (const key of union(here.map((one) => Object.keys(one.section.plots)))) {
    const drawn = here.filter((one) => isDrawn(one.section.plots[key]) && (one.section.plots[key] as Drawn).dots.length);
    if (drawn.length < 2) continue;
    const plot = drawn[0].section.plots[key] as Drawn;
    const missing = here.filter((one) => !drawn.includes(one)).map((one) => {
      const reason = one.section.plots[key];
      return `${one.entry.name}, ${isDrawn(reason) ? "which has no run with both values" : `since ${reason.missing}`}`;
    });
    missing.push(...away.map((entry) => `${entry.name}, ${entry.measured.says}`));
    const box = el("div");
    const names = drawn.map((one) => one.entry.name).join(", ");
    drawCurves(box, drawn.map((one) => {
      const { joined, dots } = one.section.plots[key] as Drawn;
      return { id: one.entry.id, name: one.entry.name, nth: one.place, joined, dots };
    }), {
      title: `${plot.y.title} of ${names} against ${plot.x.title}. The table has the numbers.`,
      x: plot.x, y: plot.y, limit: plot.limit, level: plot.y.ratio ? { y: 1, name: "uncompressed" } : undefined,
    });
    const dots = drawn.flatMap((one) => (one.section.plots[key] as Drawn).dots);
    const limit = usefulLimit(plot.limit, dots);
    const beyond = dots.filter((dot) => dot.y > limit).length;
    found.push(el("figure", { class: "zoo-figure zoo-figure--wide" }, box,
      el("figcaption", {}, "Large marks are the settings that the entries declare, bars reach from the least to the greatest seed. Marks that would cover one another stand side by side.",
        beyond > 0 && ` ${beyond} run${beyond > 1 ? "s" : ""} of more than ${limit} times the perplexity ${beyond > 1 ? "are" : "is"} drawn at the edge with an arrow.`,
        missing.length > 0 && ` Not in this plot: ${missing.join("; ")}.`)));
  }
  if (!found.length) {
    const reasons = here.flatMap((one) => Object.values(one.section.plots).filter((plot) => !isDrawn(plot)).map((plot) => `${one.entry.name}: ${(plot as { missing: string }).missing}`));
    found.push(el("p", { class: "zoo-note" }, `No plot has two of them${reasons.length ? ` (${[...new Set(reasons)].join("; ")})` : ""}; the table has what was measured.`));
  }
  return found;
}

function numbers(here: Here[]): HTMLElement {
  const byKey = new Map(here.flatMap((one) => one.section.columns).map((column) => [column.key, column]));
  const rows = here.flatMap((one) => [...one.section.rows.map((row) => row.cells), ...(one.section.dense ? [one.section.dense] : [])]);
  const columns = union(here.map((one) => one.section.columns.map((column) => column.key)))
    .filter((key) => rows.some((cells) => cells[key])).map((key) => byKey.get(key)!);
  const cells = (found: Record<string, string[]>) => columns.map(({ key }) => {
    const [median = "", range] = found[key] ?? [];
    return el("td", { class: "zoo-number" }, median, range && el("small", {}, range));
  });
  const dense = here.find((one) => one.section.dense)?.section.dense;
  const table = el("table", { class: "zoo-numbers zoo-folds", style: folded(columns.map(({ name, better }) => name + ARROWS[better])) },
    el("thead", {}, el("tr", {}, el("th", { scope: "col" }, "Run"), ...columns.map(columnHead))),
    dense && el("tbody", {}, el("tr", { class: "zoo-row--dense" }, el("th", { scope: "row" }, "Uncompressed"), ...cells(dense))),
    ...here.map(({ entry, place, section }) => el("tbody", {},
      el("tr", {}, el("th", { class: "zoo-between", scope: "rowgroup", colspan: columns.length + 1 }, mark(place), ` ${entry.name}`)),
      ...section.rows.map((row) => el("tr", { class: row.declared ? "zoo-row--declared" : "" }, made("th", row.name, { scope: "row" }), ...cells(row.cells))))));
  return boxed("The same numbers", table);
}

/** What the columns after the first are called, for phones, where values stand under these. */
function folded(names: string[]): string {
  return names.map((name, i) => `--c${i + 2}: ${JSON.stringify(name)}`).join("; ");
}

function columnHead({ name, better }: Column): HTMLTableCellElement {
  return el("th", { scope: "col" }, name, better !== "neither" && el("span", { class: "zoo-better", title: `${better} is better` }, ARROWS[better]));
}

const PAIR = ["First, then second", "Change of log-perplexity", "Beyond the sum", "Perplexity", "Bits a weight", "Better order"];

/** Pairs of the chosen entries that the bench put on one model, one after the other; nothing where there are none. */
export function combined(entries: Entry[]): HTMLElement[] {
  const rows = pairs(entries).flatMap(([one, other]) => [one.combined.pairs[other.id], other.combined.pairs[one.id]]).filter(Boolean);
  const says = entries.find((entry) => entry.combined.says)?.combined.says;
  if (!rows.length || !says) return [el("p", { class: "zoo-muted" }, "No two of them were measured one after the other.")];
  const table = el("table", { class: "zoo-numbers zoo-folds", style: folded(PAIR.slice(1)) },
    el("thead", {}, el("tr", {}, ...PAIR.map((name) => el("th", { scope: "col" }, name)))),
    el("tbody", {}, ...rows.map((row) => made("tr", row))));
  return [made("p", says), boxed("Combinations", table)];
}
