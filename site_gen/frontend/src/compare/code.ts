// The implementations side by side, taken from the entries' own pages when a reader asks for them; tabs where the screen
// is narrow. Scrolling can be joined: each listing then stands at the same share of its length.

import type { Entry } from "./data";
import { button, el, mark } from "./dom";

const NARROW = matchMedia("(max-width: 59.9em)");
const listings = new Map<string, Promise<HTMLElement>>();

/** The code of an entry's page, its lines named anew so that several can stand on one page. */
function listing(entry: Entry): Promise<HTMLElement> {
  if (!listings.has(entry.id)) {
    const loading = fetch(entry.url).then(async (answer) => {
      if (!answer.ok) throw new Error(`the server answered ${answer.status}`);
      const page = new DOMParser().parseFromString(await answer.text(), "text/html");
      const code = page.querySelector<HTMLElement>(".zoo-listing pre > code");
      if (!code) throw new Error("its page shows no code");
      for (const line of code.querySelectorAll("[id]")) line.removeAttribute("id");
      for (const link of code.querySelectorAll("a")) link.setAttribute("href", entry.url + (link.getAttribute("href") ?? ""));
      return document.adoptNode(code);
    });
    loading.catch(() => listings.delete(entry.id));
    listings.set(entry.id, loading);
  }
  return listings.get(entry.id)!;
}

/** The section: a button that shows the code, then the listings. `open`: whether the reader has asked for it before. */
export function code(entries: Entry[], open: boolean, opened: () => void): HTMLElement[] {
  const holder = el("div", { class: "zoo-compare__code" });
  const show = () => {
    opened();
    holder.replaceChildren(...panels(entries));
  };
  const lines = entries.map((entry) => `${entry.name} ${entry.code.lines} lines`).join(", ");
  if (open) holder.append(...panels(entries));
  else holder.append(el("p", {}, button("Show the code side by side", show, { class: "zoo-button zoo-button--quiet" }), " ", el("span", { class: "zoo-muted" }, lines)));
  return [holder];
}

function panels(entries: Entry[]): HTMLElement[] {
  const joined = el("input", { type: "checkbox" });
  const boxes = entries.map((entry) => el("pre", { class: "highlight", tabindex: 0, role: "group", "aria-label": `Code of ${entry.name}` }));
  const found = entries.map((entry, i) =>
    el("section", { class: "zoo-listing", id: `code-${entry.id}`, "data-nth": i },
      el("p", { class: "zoo-compare__file" }, mark(i), el("a", { href: `${entry.url}#code` }, entry.name), " ", el("code", {}, entry.code.path)), boxes[i]));
  const tabs = el("div", { class: "zoo-compare__tabs", role: "tablist", "aria-label": "Code" });
  let active = 0;

  const controls = entries.map((entry, i) => {
    const tab = button(entry.name, () => choose(i), { role: "tab", id: `tab-${entry.id}`, "aria-controls": `code-${entry.id}` });
    tab.addEventListener("keydown", (event) => {
      const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
      if (!step) return;
      event.preventDefault();
      choose((i + step + entries.length) % entries.length);
      controls[active].focus();
    });
    return tab;
  });
  tabs.append(...controls);

  function choose(i: number): void {
    active = i;
    arrange();
  }

  /** On a narrow screen one panel of several, else all. */
  function arrange(): void {
    const narrow = NARROW.matches && entries.length > 1;
    tabs.hidden = !narrow;
    found.forEach((panel, i) => {
      panel.hidden = narrow && i !== active;
      if (narrow) {
        panel.setAttribute("role", "tabpanel");
        panel.setAttribute("aria-labelledby", `tab-${entries[i].id}`);
      } else {
        panel.removeAttribute("role");
        panel.removeAttribute("aria-labelledby");
      }
      controls[i].setAttribute("aria-selected", String(i === active));
      controls[i].tabIndex = i === active ? 0 : -1;
    });
  }

  let leader: HTMLElement | null = null; // whom the reader scrolls; the others follow and must not answer
  boxes.forEach((box, i) => {
    for (const kind of ["pointerenter", "pointerdown", "focus", "wheel", "touchstart"]) {
      box.addEventListener(kind, () => (leader = box), { passive: true });
    }
    box.addEventListener("scroll", () => {
      if (!joined.checked || leader !== box) return;
      const share = box.scrollTop / Math.max(1, box.scrollHeight - box.clientHeight);
      for (const other of boxes) if (other !== box) other.scrollTop = share * (other.scrollHeight - other.clientHeight);
    });
    const fill = () => {
      box.replaceChildren(el("code", {}, "Loading …"));
      listing(entries[i]).then(
        (lines) => box.replaceChildren(lines.cloneNode(true)),
        (problem) => box.replaceChildren(el("code", {}, `The code could not be loaded (${problem instanceof Error ? problem.message : problem}). `), button("Try again", fill, { class: "zoo-button zoo-button--quiet" })),
      );
    };
    fill();
  });
  arrange();
  const turned = () => (tabs.isConnected ? arrange() : NARROW.removeEventListener("change", turned));
  NARROW.addEventListener("change", turned);
  const together = el("p", { class: "zoo-table-controls" }, el("label", {}, joined, " Scroll together"));
  together.hidden = entries.length < 2;
  return [together, tabs, el("div", { class: "zoo-compare__panels" }, ...found)];
}
