// Runs on every page: search, copy buttons, filters of long lists, and the graph where the page has one.
// Everything here adds comfort; each page is complete without it.

import { startFamilies } from "./families";
import { startFrame } from "./frame";
import { startSearch } from "./search";

const base = new URL("../../", import.meta.url).href;

/** Shows and serves the copy buttons: the text of the block beside, or the button's own data-copy-text. */
function startCopying(): void {
  const status = document.createElement("p");
  status.className = "zoo-status";
  status.setAttribute("role", "status");
  document.body.append(status);
  for (const button of document.querySelectorAll<HTMLButtonElement>("[data-copy], [data-copy-text]")) {
    button.hidden = false;
    const label = button.textContent;
    button.addEventListener("click", async () => {
      const text = button.dataset.copyText ?? button.parentElement!.querySelector("code")!.textContent!;
      let done = "Copied";
      try {
        await navigator.clipboard.writeText(text);
      } catch {
        done = "Not allowed";
      }
      button.textContent = done;
      status.textContent = done;
      setTimeout(() => {
        button.textContent = label;
        status.textContent = "";
      }, 1600);
    });
  }
}

/** Filters the rows of the list or table that data-filter names, by all words typed. */
function startFilters(): void {
  for (const input of document.querySelectorAll<HTMLInputElement>("[data-filter]")) {
    const list = document.querySelector(input.dataset.filter!)!;
    const rows = [...(list instanceof HTMLTableElement ? list.tBodies[0].rows : list.children)] as HTMLElement[];
    const texts = rows.map((row) => `${row.textContent} ${row.id}`.toLowerCase());
    const box = input.closest<HTMLElement>(".zoo-filter")!;
    const count = box.querySelector("[data-filter-count]")!;
    box.hidden = false;
    input.addEventListener("input", () => {
      const words = input.value.toLowerCase().split(/\s+/).filter(Boolean);
      let shown = 0;
      rows.forEach((row, i) => {
        row.hidden = !words.every((word) => texts[i].includes(word));
        if (!row.hidden) shown += 1;
      });
      count.textContent = words.length ? `${shown} of ${rows.length}` : "";
      list.dispatchEvent(new Event("zoo-rows"));
    });
  }
}

/** Says that the reader is there: what a page keeps back while it starts may come. */
function startMeeting(): void {
  const kinds = ["pointermove", "pointerdown", "touchstart", "wheel", "scroll", "keydown", "hashchange"];
  const met = () => {
    document.documentElement.dataset.zooMet = "";
    for (const kind of kinds) removeEventListener(kind, met);
  };
  if (location.hash) met();
  else for (const kind of kinds) addEventListener(kind, met, { passive: true });
}

startMeeting();
startFrame();
startSearch(base);
startCopying();
startFilters();
startFamilies();

/** What only some pages have: each part is loaded where its hook is. */
const parts: Promise<unknown>[] = [];
const list = document.querySelector<HTMLElement>("[data-list]");
if (list) {
  parts.push(import("./catalog").then(({ startCatalog }) => startCatalog(list, base)));
}
if (document.querySelector(".zoo-plot-box, .zoo-heat")) {
  parts.push(import("./plots").then(({ startPlots }) => startPlots()));
}
if (document.querySelector("table[data-table]")) {
  parts.push(import("./tables").then(({ startTables }) => startTables()));
}
if (document.querySelector("[data-cite]")) {
  parts.push(import("./cite").then(({ startCiting }) => startCiting(base)));
}
const comparison = document.getElementById("zoo-compare");
if (comparison) {
  parts.push(import("./compare").then(({ startCompare }) => startCompare(base, comparison)));
}
if (document.querySelector(".zoo-map-box")) {
  parts.push(import("./maps").then(({ startMaps }) => startMaps()));
}
const chooser = document.querySelector<HTMLFormElement>("form[data-choose]");
if (chooser) {
  parts.push(import("./choose").then(({ startChoosing }) => startChoosing(chooser)));
}
const graph = document.getElementById("zoo-graph");
if (graph) {
  parts.push(Promise.all([import("./graph"), import("./ranking")]).then(([{ startGraph }, { Searcher }]) =>
    startGraph(graph, (file) => new Searcher(file)),
  ));
}

// Says when every part of this page answers; a test that points at a part earlier would point in vain.
void Promise.all(parts).finally(() => (document.documentElement.dataset.zoo = "started"));
