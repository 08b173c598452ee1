// Citing all of the chosen: the bar and the records are those of every list of works; the plain text is copied as well.

import { startCiting } from "../cite";
import type { Entry } from "./data";
import { button, el } from "./dom";

const FORMS = [["bib", "BibTeX"], ["ris", "RIS"], ["csl.json", "CSL-JSON"]];

/** The section; call `start` once it stands in the page. */
export function cite(entries: Entry[], base: string, say: (text: string) => void): { elements: HTMLElement[]; start: () => void } {
  const works = [...new Map(entries.filter((entry) => entry.cite.work).map((entry) => [entry.cite.work!, entry])).values()];
  const own = entries.filter((entry) => !entry.cite.work);
  const quiet = "zoo-button zoo-button--quiet";
  const count = el("span", { "data-cite-count": true, role: "status" });
  const bar = el("p", { class: "zoo-cite", "data-cite": "#zoo-compare-works", hidden: true }, count, " ",
    ...FORMS.map(([form, label]) => el("button", { type: "button", class: quiet, "data-cite-form": form }, label)),
    el("button", { type: "button", class: quiet, "data-cite-copy": true }, "Copy BibTeX"),
    button("Copy as text", () => void copy(), { class: quiet, "data-cite-plain": "" }),
    el("button", { type: "button", class: quiet, "data-cite-none": true, hidden: true }, "Choose none"));
  const list = el("ol", { class: "zoo-compare__works", id: "zoo-compare-works" }, ...works.map((entry) =>
    el("li", { "data-work": entry.cite.work! }, entry.cite.text)));

  async function copy(): Promise<void> {
    const boxes = [...list.querySelectorAll<HTMLInputElement>("input")];
    const wanted = works.filter((_, i) => boxes[i].checked);
    try {
      await navigator.clipboard.writeText((wanted.length ? wanted : works).map((entry) => entry.cite.text).join("\n"));
      say("Copied.");
    } catch {
      say("Copying is not allowed here.");
    }
  }

  const elements: HTMLElement[] = works.length ? [bar, list] : [];
  if (own.length) {
    elements.push(el("p", {}, `${own.map((entry) => entry.name).join(", ")} ${own.length > 1 ? "have no papers" : "has no paper"}; the zoo's own ${own.length > 1 ? "entries" : "entry"} can be cited:`),
      el("ul", { class: "zoo-compare__works" }, ...own.map((entry) => el("li", {}, entry.cite.text, " ",
        ...FORMS.flatMap(([end, label]) => [el("a", { class: quiet, href: `${entry.cite.files}.${end}`, download: true }, label), " "])))));
  }
  return { elements, start: () => works.length && startCiting(base) };
}
