// What ties the chosen entries: family, declared relations, citations between their papers, surveys that file several.

import { type Entry, grouped, pairs } from "./data";
import { boxed, el, made } from "./dom";
import { heads } from "./facts";

export function ties(entries: Entry[]): HTMLElement[] {
  return [el("ul", { class: "zoo-compare__ties" }, ...[place(entries), ...relations(entries), ...citations(entries)])];
}

function link(url: string, text: string): HTMLElement {
  return el("a", { href: url }, text);
}

/** Elements with commas, and "and" before the last. */
function listed(items: (Node | string)[]): (Node | string)[] {
  return items.flatMap((item, i) => (i === 0 ? [item] : [i === items.length - 1 ? " and " : ", ", item]));
}

function place(entries: Entry[]): HTMLElement {
  const families = [...grouped(entries, (entry) => entry.family.id).values()];
  const groups = [...grouped(entries, (entry) => entry.group.id).values()];
  const { family, group } = entries[0];
  if (groups.length === 1) return el("li", {}, "All are of one group, ", link(group.url, group.name), " in ", link(family.url, family.name), ".");
  if (families.length === 1) {
    return el("li", {}, "All are of one family, ", link(family.url, family.name), ", in different groups: ",
      ...listed(groups.map((members) => el("span", {}, `${members.map((entry) => entry.name).join(", ")} in `, link(members[0].group.url, members[0].group.name)))), ".");
  }
  return el("li", {}, "They are of different families: ",
    ...listed(families.map((members) => el("span", {}, `${members.map((entry) => entry.name).join(", ")} in `, link(members[0].family.url, members[0].family.name)))), ".");
}

function relations(entries: Entry[]): HTMLElement[] {
  const ids = entries.map((entry) => entry.id);
  const found = entries.flatMap((entry) => entry.relations.filter(({ to }) => ids.includes(to)).map(({ html }) => made("li", html)));
  const untied = pairs(entries).filter(([one, other]) =>
    ![...one.relations.map(({ to }) => [one.id, to]), ...other.relations.map(({ to }) => [other.id, to])]
      .some((ends) => ends.includes(one.id) && ends.includes(other.id)));
  if (untied.length) {
    const names = untied.map(([one, other]) => `${one.name} and ${other.name}`).join("; ");
    found.push(el("li", { class: "zoo-muted" }, `No relation is declared between ${names}.`));
  }
  return found;
}

function citations(entries: Entry[]): HTMLElement[] {
  const found: HTMLElement[] = [];
  const cited = new Map<Entry, Entry[]>();
  const apart: [Entry, Entry][] = [];
  for (const [one, other] of pairs(entries)) {
    if (!one.paper || !other.paper) continue;
    if (one.paper === other.paper) {
      found.push(el("li", {}, `One paper defines both ${one.name} and ${other.name}.`));
      continue;
    }
    const ways = [[one, other], [other, one]].filter(([from, to]) => from.cites.works.some((work) => work.key === to.paper));
    for (const [from, to] of ways) cited.set(from, [...(cited.get(from) ?? []), to]);
    if (!ways.length) apart.push([one, other]);
  }
  for (const from of entries) {
    const those = cited.get(from);
    if (those) found.push(el("li", {}, `The paper of ${from.name} cites ${those.length > 1 ? "those" : "that"} of `, ...listed(those.map((to) => to.name)), "."));
  }
  if (apart.length) {
    const lists = [...new Set(apart.flat())].map((entry) => entry.cites.known).join(" ");
    found.push(el("li", { class: "zoo-muted" }, `No citation is known between the papers of ${apart.map(([one, other]) => `${one.name} and ${other.name}`).join("; ")}. ${lists}`));
  }
  const [first, ...rest] = entries;
  const shared = first.cites.works.filter((work) => rest.every((entry) => entry.cites.works.some((other) => other.key === work.key)));
  if (rest.length && shared.length) {
    found.push(el("li", {}, `The papers of all of them cite ${shared.length === 1 ? "one work" : `${shared.length} works`}: `,
      ...listed(shared.map((work) => link(work.url, work.name))), "."));
  }
  return found;
}

/** Where surveys file these of `all` that are chosen. */
export function surveys(entries: Entry[], all: Entry[]): HTMLElement[] {
  const filed = grouped(entries.flatMap((entry) => entry.surveys.map((survey) => ({ ...survey, entry: entry.id }))), (one) => one.key);
  const shared = [...filed.values()].filter((filings) => new Set(filings.map((one) => one.entry)).size > 1);
  if (!shared.length) return [el("p", { class: "zoo-muted" }, `No survey was seen to file ${entries.length > 2 ? "two of them" : "both"}.`)];
  const rows = shared.map((filings) => el("tr", {}, el("th", { scope: "row" }, link(filings[0].url, filings[0].name)),
    ...entries.map((entry) => {
      const own = filings.filter((one) => one.entry === entry.id);
      return el("td", {}, ...own.map((one) => el("span", { class: "zoo-compare__path" }, one.path, " ", el("span", { class: "zoo-muted" }, one.depth))));
    })));
  const table = el("table", { class: "zoo-compare__table", style: `--columns: ${entries.length}` },
    el("thead", {}, el("tr", {}, el("th", { scope: "col" }, "Survey"), ...heads(entries, all))), el("tbody", {}, ...rows));
  return [el("h3", {}, "Where surveys file them"), boxed("Where surveys file them", table, "zoo-compare__box")];
}
