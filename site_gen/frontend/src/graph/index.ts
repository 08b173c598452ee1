// Starts the citation graph: <div id="zoo-graph" data-graph="URL of graph.json" data-base="root of the site">.
// The page carries an equivalent table; this only adds the drawing. Names of families are read from the page's legend.

import { Model, SCHEMA, type GraphFile } from "./data";
import type { MakeSearcher } from "./finder";
import { GraphView } from "./view";

/** Draws into `host`. Raises an Error where the data cannot be had or are of another form; the page then says so. */
export async function startGraph(host: HTMLElement, makeSearcher: MakeSearcher): Promise<void> {
  const names = new Map<string, string>();
  for (const chip of host.querySelectorAll<HTMLElement>("[data-family]")) {
    names.set(chip.dataset.family!, chip.textContent!.trim());
  }
  try {
    const answer = await fetch(host.dataset.graph!);
    if (!answer.ok) throw new Error(`status ${answer.status}`);
    const file = (await answer.json()) as GraphFile;
    if (file.schema !== SCHEMA) throw new Error(`form ${file.schema} instead of ${SCHEMA}; reload the page`);
    const view = new GraphView(host, new Model(file, names), host.dataset.base ?? "", makeSearcher);
    Object.assign(host, { zooGraph: view });
    host.dataset.ready = "true";
  } catch (problem) {
    const note = document.createElement("p");
    note.className = "zoo-note";
    note.setAttribute("role", "alert");
    note.textContent = `The drawing could not be made (${String(problem)}). The table below has the same data.`;
    host.replaceChildren(note);
    throw problem;
  }
}
