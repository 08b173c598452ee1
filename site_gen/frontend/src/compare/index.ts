// The comparison: reads the address, loads what is chosen, and lays it side by side. Hook: #zoo-compare[data-most], with
// #zoo-compare-start, which is shown where nothing is chosen.

import { Chooser } from "./chooser";
import { cite } from "./cite";
import { code } from "./code";
import { type Entry, Loader, Missing } from "./data";
import { button, el } from "./dom";
import { factsTable } from "./facts";
import { combined, measured } from "./measured";
import { reported } from "./reported";
import { type State, query, read } from "./state";
import { ties } from "./ties";

/** Serves the page; `base` is the root of the site. */
export function startCompare(base: string, root: HTMLElement): Promise<void> {
  const start = document.getElementById("zoo-compare-start")!;
  const lead = document.querySelector<HTMLElement>(".zoo-compare-lead")!;
  const most = Number(root.dataset.most);
  const retired = JSON.parse(root.dataset.retired ?? "{}") as Record<string, string>;
  const loader = new Loader(base);
  const status = el("p", { class: "zoo-muted zoo-compare__status", role: "status" });
  const troubles = el("div", { class: "zoo-compare__troubles" });
  const output = el("div", { class: "zoo-compare__output" });
  const say = (text: string) => (status.textContent = text);
  const chooser = new Chooser(base, most, (entries) => go({ ...state, entries }));
  const title = document.title;
  let state: State = { entries: [], only: false, on: "" };
  let codeOpen = false;
  let turn = 0;

  /** A new choice is a new step of the history; how it is shown is not. */
  function go(next: State): void {
    state = next;
    history.pushState(null, "", location.pathname + query(state));
    void show();
  }

  function turned(change: Partial<State>): void {
    state = { ...state, ...change };
    history.replaceState(null, "", location.pathname + query(state) + location.hash);
  }

  async function follow(): Promise<void> {
    const { over, ...found } = read(location.search, most, retired);
    if (turn && query(found) === query(state) && !over.length) return; // only the place on the page has changed
    state = found;
    await show(over);
  }

  async function show(over: string[] = []): Promise<void> {
    const mine = (turn += 1);
    const ids = state.entries;
    troubles.replaceChildren();
    if (ids.length) say("Loading …");
    const results = await Promise.allSettled(ids.map((id) => loader.load(id)));
    if (mine !== turn) return;
    const entries = new Map<string, Entry>();
    results.forEach((result, i) => {
      if (result.status === "fulfilled") entries.set(ids[i], result.value);
      else trouble(ids[i], result.reason);
    });
    if (over.length) troubles.append(el("p", { class: "zoo-note zoo-note--warn" }, `At most ${most} entries stand side by side; left out: ${over.join(", ")}.`));
    chooser.show(ids, entries);
    render([...entries.values()]);
    // All at once, so that nothing moves twice.
    start.hidden = lead.hidden = ids.length > 0;
    root.hidden = false;
    delete document.documentElement.dataset.zooWaits; // what an address with a choice does not show
  }

  /** Says in words what could not be loaded, and what may have been meant. */
  function trouble(id: string, reason: unknown): void {
    const note = el("p", { class: "zoo-note zoo-note--warn" });
    troubles.append(note);
    if (!(reason instanceof Missing)) {
      note.append(`${id} could not be loaded (${reason instanceof Error ? reason.message : reason}). `,
        button("Try again", () => void show(), { class: "zoo-button zoo-button--quiet" }));
      return;
    }
    note.append(`There is no entry “${id}”. `);
    chooser.nearest(id).then((found) => {
      if (found.length) note.append("Perhaps ", ...found.flatMap((entry, i) => [i ? ", " : "", instead(id, entry)]), "?");
    }, () => undefined);
  }

  function instead(id: string, entry: { id: string; name: string }): HTMLElement {
    const entries = [...new Set(state.entries.map((one) => (one === id ? entry.id : one)))];
    return el("a", { href: location.pathname + query({ ...state, entries }) }, entry.name);
  }

  function render(entries: Entry[]): void {
    const names = entries.map((entry) => entry.name).join(", ");
    document.title = entries.length ? `${names} · ${title}` : title;
    say(entries.length > 1 ? `${names}, side by side.` : entries.length ? `Only ${names} is chosen: add one to three more.` : "");
    if (!entries.length) {
      output.replaceChildren();
      return;
    }
    const several = entries.length > 1;
    const citing = cite(entries, base, say);
    output.replaceChildren(
      ...(several ? [nav()] : []),
      ...section("facts", "Facts", ...facts(entries)),
      ...(several ? [
        ...section("ties", "What ties them", ...ties(entries)),
        ...section("measured", "Measured", el("div", { id: "zoo-compare-measured" }, ...measuredParts(entries))),
        ...section("combined", "One after the other", ...combined(entries)),
        ...section("reported", "Reported in the literature", ...reported(entries)),
      ] : []),
      ...section("code", "Code", ...code(entries, codeOpen, () => (codeOpen = true)), command(entries)),
      ...section("cite", "Cite", ...citing.elements),
    );
    citing.start();
    if (location.hash) document.getElementById(location.hash.slice(1))?.scrollIntoView();
  }

  function facts(entries: Entry[]): HTMLElement[] {
    const box = el("div", { id: "zoo-compare-facts" });
    const draw = () => {
      const { element, equal } = factsTable(entries, state.only);
      const note = state.only && equal ? ` ${equal} rows in which all agree are hidden.` : ` ${equal} rows agree.`;
      count.textContent = note;
      box.replaceChildren(element);
    };
    const only = el("input", { type: "checkbox" });
    only.checked = state.only;
    only.addEventListener("change", () => {
      turned({ only: only.checked });
      draw();
    });
    const count = el("span", { role: "status" });
    draw();
    return entries.length > 1 ? [el("p", { class: "zoo-table-controls" }, el("label", {}, only, " Only differences"), count), box] : [box];
  }

  function measuredParts(entries: Entry[]): HTMLElement[] {
    return measured(entries, state.on, (on) => {
      turned({ on });
      document.getElementById("zoo-compare-measured")!.replaceChildren(...measuredParts(entries));
      document.querySelector<HTMLElement>("#zoo-compare-measured select")?.focus();
    });
  }

  for (const opener of document.querySelectorAll<HTMLElement>("[data-compare]")) opener.hidden = false;
  const header = document.querySelector<HTMLElement>(".md-header");
  if (header) new ResizeObserver(() => output.style.setProperty("--zoo-header", `${header.offsetHeight}px`)).observe(header);
  root.append(chooser.element, status, troubles);
  root.after(output);
  addEventListener("popstate", () => void follow());
  return follow();
}

const PARTS = [["facts", "Facts"], ["ties", "Ties"], ["measured", "Measured"], ["combined", "Combined"], ["reported", "Reported"], ["code", "Code"], ["cite", "Cite"]];

function nav(): HTMLElement {
  return el("nav", { class: "zoo-compare__nav", "aria-label": "Parts of the comparison" },
    ...PARTS.map(([id, name]) => el("a", { href: `#${id}` }, name)));
}

function section(id: string, title: string, ...parts: HTMLElement[]): HTMLElement[] {
  return [el("h2", { id }, title), ...parts];
}

/** The same on a reader's own model, on the command line. */
function command(entries: Entry[]): HTMLElement {
  return el("p", { class: "zoo-muted" }, "On your own model: ", el("code", {}, `compzoo compare ${entries.map((entry) => entry.id).join(" ")}`));
}

