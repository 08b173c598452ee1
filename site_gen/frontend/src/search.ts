// The search box of every page: a dialog over one compact JSON, opened by a click, "/" or Ctrl-K. The ranking is that of
// ranking.ts, run by engine.ts beside the page.
//
// Hook: any element with [data-zoo-search] opens the dialog, with the attribute's text in its box. The index is loaded
// when the dialog is first opened. Without JavaScript the openers are plain links.

import { type Engine, startEngine } from "./engine";
import type { Addresses } from "./index-file";
import type { Hit } from "./ranking";

const SHOWN = 12; // results at first, and how many more at a time

class SearchDialog {
  private readonly dialog = document.createElement("dialog");
  private readonly input = document.createElement("input");
  private readonly list = document.createElement("ul");
  private readonly more = document.createElement("button");
  private readonly status = document.createElement("p");
  private active = -1;
  private limit = SHOWN;
  private total = 0;
  private loading: Promise<Engine> | null = null;
  private busy: Promise<void> | null = null; // the answer under way; it looks at the box again when it has come
  private addresses: Addresses = {};

  /** base: the root of the site, ending in a slash. */
  constructor(private readonly base: string) {
    this.dialog.className = "zoo-search";
    this.dialog.setAttribute("aria-label", "Search the zoo");
    this.input.type = "search";
    this.input.placeholder = "Method, author, or “4-bit weight-only without retraining”";
    this.input.autocomplete = "off";
    this.input.spellcheck = false;
    this.input.setAttribute("role", "combobox");
    this.input.setAttribute("aria-expanded", "true");
    this.input.setAttribute("aria-controls", "zoo-search-results");
    this.input.setAttribute("aria-label", "Search");
    this.list.id = "zoo-search-results";
    this.list.setAttribute("role", "listbox");
    this.list.setAttribute("aria-label", "Results");
    this.more.type = "button";
    this.more.className = "zoo-search__more";
    this.status.className = "zoo-search__status";
    this.status.setAttribute("role", "status");
    this.dialog.append(this.input, this.list, this.more, this.status);
    document.body.append(this.dialog);
    this.input.addEventListener("input", () => {
      this.limit = SHOWN;
      this.answer();
    });
    this.input.addEventListener("keydown", (event) => this.key(event));
    this.more.addEventListener("click", () => void this.showMore());
    this.dialog.addEventListener("click", (event) => {
      if (event.target === this.dialog) this.dialog.close();
    });
  }

  open(words = ""): void {
    if (!this.dialog.open) this.dialog.showModal();
    if (words) {
      this.input.value = words;
      this.limit = SHOWN;
    }
    this.input.focus();
    this.input.select();
    this.answer();
  }

  get isOpen(): boolean {
    return this.dialog.open;
  }

  private engine(): Promise<Engine> {
    this.loading ??= startEngine(this.base).then((engine) => {
      this.addresses = engine.addresses;
      return engine;
    });
    return this.loading;
  }

  /** Answers what stands in the box, now or as soon as the answer under way has come. */
  private answer(): Promise<void> {
    this.busy ??= this.answerAll().finally(() => (this.busy = null));
    return this.busy;
  }

  private async answerAll(): Promise<void> {
    for (;;) {
      const [asked, limit] = [this.input.value, this.limit];
      if (!asked.trim()) this.show(asked, [], 0, "Arrow keys choose, Enter opens, Escape closes.");
      try {
        const engine = await this.engine();
        if (asked.trim()) {
          const { hits, total } = await engine.answer(asked, limit);
          this.show(asked, hits, total, total ? "" : `Nothing found for “${asked}”. Fewer or other words may help.`);
        }
      } catch (problem) {
        this.loading = null;
        this.show(asked, [], 0, `The search index could not be loaded (${String(problem)}).`);
      }
      if (asked === this.input.value && limit === this.limit) return;
    }
  }

  private show(asked: string, hits: Hit[], total: number, status: string): void {
    const before = this.dialog.dataset.asked === asked ? this.active : 0; // the same question with more results
    this.total = total;
    this.list.replaceChildren(...hits.map((hit, i) => this.row(hit, i)));
    this.more.hidden = hits.length >= total;
    this.more.textContent = `${hits.length} of ${total} results. Show more`;
    this.select(Math.min(Math.max(before, 0), hits.length - 1));
    this.status.textContent = status;
    this.dialog.dataset.asked = asked;
  }

  private async showMore(): Promise<void> {
    const first = this.list.children.length;
    this.limit += SHOWN;
    this.input.focus();
    await this.answer();
    this.select(Math.min(first, this.list.children.length - 1));
  }

  private row(hit: Hit, i: number): HTMLElement {
    const item = document.createElement("li");
    item.setAttribute("role", "presentation");
    const link = document.createElement("a"); // the option itself, so that it opens in a new tab as any link
    link.id = `zoo-search-${i}`;
    link.setAttribute("role", "option");
    const { id, kind: what, title } = hit.document;
    link.href = this.base + addressOf(this.addresses, what, id.slice(what.length + 1));
    link.tabIndex = -1;
    const name = document.createElement("strong");
    name.textContent = hit.document.name;
    const kind = document.createElement("span");
    kind.className = "zoo-search__kind";
    kind.textContent = what;
    const summary = document.createElement("span");
    summary.className = "zoo-search__summary";
    const about = hit.document.summary ?? "";
    summary.textContent = what === "paper" && title ? `${title}. ${about}` : about;
    link.append(name, kind, summary);
    item.append(link);
    // A link to a place on the page that is open leaves the page, and so the dialog, where they are.
    link.addEventListener("click", () => this.dialog.close());
    item.addEventListener("pointermove", () => this.select(i));
    return item;
  }

  private select(i: number): void {
    const rows = [...this.list.querySelectorAll("a")];
    rows.forEach((row, j) => row.setAttribute("aria-selected", String(j === i)));
    this.active = i;
    if (i >= 0) {
      rows[i].scrollIntoView({ block: "nearest" });
      this.input.setAttribute("aria-activedescendant", rows[i].id);
    } else this.input.removeAttribute("aria-activedescendant");
  }

  private key(event: KeyboardEvent): void {
    const count = this.list.children.length;
    if (event.key === "ArrowDown" && count && this.active === count - 1 && count < this.total) void this.showMore();
    else if (event.key === "ArrowDown" && count) this.select((this.active + 1) % count);
    else if (event.key === "ArrowUp" && count) this.select((this.active - 1 + count) % count);
    else if (event.key === "Enter" && this.active >= 0) this.list.children[this.active].querySelector("a")!.click();
    else return;
    event.preventDefault();
  }
}

export function startSearch(base: string): void {
  let dialog: SearchDialog | null = null;
  const open = (words = "") => (dialog ??= new SearchDialog(base)).open(words);
  for (const opener of document.querySelectorAll<HTMLElement>("[data-zoo-search]")) {
    opener.addEventListener("click", (event) => {
      event.preventDefault();
      open(opener.dataset.zooSearch);
    });
  }
  document.addEventListener("keydown", (event) => {
    const target = event.target as HTMLElement;
    const typing = target.isContentEditable || /^(input|textarea|select)$/i.test(target.tagName);
    const wanted = (event.key === "k" && (event.ctrlKey || event.metaKey)) || (event.key === "/" && !typing);
    if (!wanted || dialog?.isOpen) return;
    event.preventDefault();
    event.stopPropagation();
    open();
  });
}

/** Where the page of a document is, from the site's root. */
function addressOf(addresses: Addresses, kind: string, id: string): string {
  const address = addresses[kind];
  const parts = address.split("*").length > 2 ? id.replace(/[_ ]/g, "-").split("/") : [id];
  return address.replace(/\*/g, () => parts.shift()!);
}
