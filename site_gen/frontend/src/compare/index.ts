// The comparison: reads the address, loads what is chosen, and lays it side by side. Hook: #zoo-compare[data-most], with
// #zoo-compare-start, which is shown where nothing is chosen.

import { Chooser } from "./chooser";
import { cite } from "./cite";
import { code } from "./code";
import { type Entry, Loader, Missing } from "./data";
import { button, el, mark } from "./dom";
import { factsTable } from "./facts";
import { combined, measured } from "./measured";
import { reported } from "./reported";
import { type State, query, read } from "./state";
import { surveys, ties } from "./ties";

const PHONE = "(max-width: 44.9em)"; // where two columns fit, as in compare.css

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
  const phone = matchMedia(PHONE);
  let state: State = { entries: [], only: false, see: [], on: "" };
  let columns: ((anew?: boolean) => void)[] = []; // draws the tables with a column an entry again
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
    columns = [];
    const citing = cite(entries, base, say);
    output.replaceChildren(
      ...(several ? [nav()] : []),
      ...section("facts", "Facts", ...facts(entries)),
      ...(several ? [
        ...section("ties", "What ties them", ...ties(entries), beside(entries, surveys)),
        ...section("measured", "Measured", el("div", { id: "zoo-compare-measured" }, ...measuredParts(entries))),
        ...section("combined", "One after the other", ...combined(entries)),
        ...section("reported", "Reported in the literature", beside(entries, reported)),
      ] : []),
      ...section("code", "Code", ...code(entries, codeOpen, () => (codeOpen = true)), command(entries)),
      ...section("cite", "Cite", ...citing.elements),
    );
    citing.start();
    if (location.hash) document.getElementById(location.hash.slice(1))?.scrollIntoView();
  }

  /** The entries that have a column: all, on a phone two. */
  function inSight(entries: Entry[]): Entry[] {
    if (!phone.matches || entries.length < 3) return entries;
    const ids = recent(entries);
    return entries.filter((entry) => ids.includes(entry.id));
  }

  /** The two that a phone shows, the one asked for last first. */
  function recent(entries: Entry[]): string[] {
    const ids = entries.map((entry) => entry.id);
    return [...new Set([...state.see.filter((id) => ids.includes(id)), ...ids])].slice(0, 2);
  }

  /** Parts with a column an entry, drawn again when others come in sight. */
  function beside(entries: Entry[], draw: (shown: Entry[], all: Entry[]) => HTMLElement[], id: string | null = null): HTMLElement {
    const box = el("div", { id });
    let drawn = "";
    const fill = (anew = false) => {
      const shown = inSight(entries);
      const now = `${phone.matches} ${shown.map((entry) => entry.id).join(" ")}`;
      if (now === drawn && !anew) return;
      drawn = now;
      box.replaceChildren(...draw(shown, entries));
      for (const table of box.querySelectorAll<HTMLTableElement>(".zoo-compare__table")) {
        table.toggleAttribute("data-over", phone.matches || shown.length > 2); // the field over its row, where columns are narrow
        if (shown.length < entries.length) table.tHead!.prepend(sight(entries, shown));
      }
    };
    columns.push(fill);
    fill();
    return box;
  }

  /** Which two of more a phone shows; another one takes the place of the one that was asked for first. */
  function sight(entries: Entry[], shown: Entry[]): HTMLElement {
    const buttons = entries.map((entry, place) => {
      const one = button("", () => {
        const name = one.closest("[aria-label]:not(.zoo-sight__all)")!.getAttribute("aria-label")!;
        turned({ see: [entry.id, ...recent(entries).filter((id) => id !== entry.id)].slice(0, 2) });
        for (const draw of columns) draw();
        output.querySelector<HTMLElement>(`[aria-label="${name}"] [data-sight="${entry.id}"]`)?.focus({ preventScroll: true });
      }, { "aria-pressed": String(shown.includes(entry)), "data-sight": entry.id });
      one.append(mark(place), el("span", {}, entry.name));
      return one;
    });
    return el("tr", { class: "zoo-sight", role: "row" }, el("td", { role: "cell" },
      el("div", { class: "zoo-sight__all", role: "group", "aria-label": "The two in sight" }, ...buttons)));
  }

  function facts(entries: Entry[]): HTMLElement[] {
    const draw = (shown: Entry[]) => {
      const { element, equal } = factsTable(shown, entries, state.only);
      const agree = `${equal} row${equal === 1 ? "" : "s"}`;
      count.textContent = state.only && equal ? ` ${agree} in which ${shown.length > 2 ? "all" : "both"} agree ${equal === 1 ? "is" : "are"} hidden.` : ` ${agree} ${equal === 1 ? "agrees" : "agree"}.`;
      return [element];
    };
    const only = el("input", { type: "checkbox" });
    only.checked = state.only;
    only.addEventListener("change", () => {
      turned({ only: only.checked });
      columns[own](true);
    });
    const count = el("span", { role: "status" });
    const own = columns.length;
    const box = beside(entries, draw, "zoo-compare-facts");
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
  let turning = 0;
  phone.addEventListener("change", () => {
    clearTimeout(turning); // a window that is being resized, or only measured, comes to rest first
    turning = window.setTimeout(() => {
      for (const draw of columns) draw();
    }, 80);
  });
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

