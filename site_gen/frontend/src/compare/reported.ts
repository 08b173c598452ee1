// Numbers of the literature: in one row only where their protocols agree; the others greyed, with what keeps them apart.

import { type Entry, type Group, type Line, differing, grouped } from "./data";
import { boxed, el, made } from "./dom";
import { heads } from "./facts";

interface Own {
  entry: Entry;
  line: Line;
}

const BETTER = { lower: "lower is better", higher: "higher is better", neither: "" };

/** Numbers of these of `chosen` that are shown. */
export function reported(entries: Entry[], chosen: Entry[]): HTMLElement[] {
  const all = entries.flatMap((entry) => entry.reported.lines.map((line): Own => ({ entry, line })));
  const several = (lines: Own[]) => new Set(lines.map(({ entry }) => entry.id)).size > 1;
  const groups = [...grouped(all.filter(({ line }) => line.group), ({ line }) => line.group!).values()].filter(several);
  const agreeing = new Set(groups.flat());
  const subjects = [...grouped(all.filter((own) => !agreeing.has(own)), ({ line }) => JSON.stringify([line.what, line.model])).values()];
  // What agrees with another of the chosen already may still be the other side of a number that agrees with none.
  const facing = (own: Own) => all.filter((other) => other.entry !== own.entry && other.line.what === own.line.what && other.line.model === own.line.model);
  const apart = subjects.map((lines) => lines.filter((own) => facing(own).length)).filter((lines) => lines.length);
  const faced = new Set(apart.flat());
  const parts: HTMLElement[] = [];
  parts.push(groups.length
    ? table("Numbers under one protocol", entries, chosen, protocols(entries, groups))
    : el("p", { class: "zoo-note" }, all.length ? `${entries.length > 2 ? "No two of them" : entries.map(({ name }) => name).join(" and ")} have ${entries.length > 2 ? "a" : "no"} number under one protocol.` : "No number of the literature is recorded for any of them."));
  if (apart.length) {
    const count = apart.flat().length;
    parts.push(el("details", { class: "zoo-section", open: !groups.length && count <= 12 },
      el("summary", {}, "Not comparable, and why ", el("small", {}, String(count))),
      el("p", { class: "zoo-muted" }, "Same model, same metric, same data, another protocol. Under each number: the nearest number of another of the chosen, and in what the two differ, first here, then there."),
      table("Numbers that do not compare", entries, chosen, [el("tbody", {}, ...apart.map((lines) => apartRow(entries, lines, facing)))], "zoo-compare__apart")));
  }
  const alone = entries.map((entry) => ({ entry, count: all.filter((own) => own.entry === entry && !agreeing.has(own) && !faced.has(own)).length }))
    .filter(({ count }) => count);
  if (alone.length) {
    parts.push(el("p", { class: "zoo-muted" }, "On models, metrics or data on which none of the others is reported: ",
      ...alone.flatMap(({ entry, count }, i) => [i ? ", " : "", el("a", { href: `${entry.url}#reported` }, `${count} more of ${entry.name}`)]), "."));
  }
  return parts;
}

function table(label: string, entries: Entry[], chosen: Entry[], bodies: HTMLElement[], kind = ""): HTMLElement {
  return boxed(label, el("table", { class: `zoo-compare__table zoo-compare__reported ${kind}`, style: `--columns: ${entries.length}` },
    el("thead", {}, el("tr", {}, el("th", { scope: "col" }, "What"), ...heads(entries, chosen))), ...bodies), "zoo-compare__box");
}

function subject(line: Line, ...more: Node[]): HTMLElement {
  return el("th", { scope: "row" }, line.model, el("small", {}, line.what, BETTER[line.better] && `, ${BETTER[line.better]}`), ...more);
}

function value(line: Line): HTMLElement {
  const about = [line.baseline && `uncompressed ${line.baseline}`, line.rank && `place ${line.rank}`, line.form].filter(Boolean);
  return el("span", { class: "zoo-compare__value" }, el("strong", { class: "zoo-number" }, line.value), about.length > 0 && el("small", {}, about.join(" · ")));
}

/** The protocols, those with the most of the chosen first; what several have in common stands once over their rows. */
function protocols(entries: Entry[], groups: Own[][]): HTMLElement[] {
  const many = (lines: Own[]) => new Set(lines.map(({ entry }) => entry.id)).size;
  const group = ([{ entry, line }]: Own[]): Group => entry.reported.groups[line.group!];
  const alike = grouped([...groups].sort((a, b) => many(b) - many(a)), (lines) => `${many(lines)} ${group(lines).protocol} ${group(lines).source}`);
  return [...alike.values()].map((rows) => {
    const { protocol, source } = group(rows[0]);
    const title = made("span", source);
    title.prepend(`${protocol}; `);
    return el("tbody", {}, el("tr", {}, el("th", { class: "zoo-between", scope: "rowgroup", colspan: entries.length + 1 }, title)),
      ...rows.map((lines) => el("tr", {}, subject(lines[0].line, el("small", {}, el("a", { href: group(lines).url }, `${group(lines).methods} methods`))),
        ...entries.map((one) => el("td", {}, ...lines.filter((own) => own.entry === one).map((own) => value(own.line)))))));
  });
}

function apartRow(entries: Entry[], lines: Own[], facing: (own: Own) => Own[]): HTMLElement {
  return el("tr", {}, subject(lines[0].line), ...entries.map((one) => el("td", {},
    ...lines.filter((own) => own.entry === one).map((own) => {
      const ways = facing(own).map((other) => ({ other, differs: differing(own.line.parts, other.line.parts) }));
      const nearest = ways.reduce((best, way) => (way.differs.length < best.differs.length ? way : best));
      const shown = value({ ...own.line, rank: "" }); // its place is among others
      shown.append(made("small", own.line.source), el("small", {}, `${nearest.other.entry.name} ${nearest.other.line.value}: `,
        nearest.differs.map(([label, here, there]) => `${label} ${here === there ? `${here} in both` : `${here} / ${there}`}`).join("; ")));
      return shown;
    }))));
}
