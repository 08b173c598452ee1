// The search box of every page: a dialog over one compact JSON, opened by a click, "/" or Ctrl-K. The ranking is that of
// ranking.ts.
//
// Hook: any element with [data-zoo-search] opens the dialog, with the attribute's text in its box. The index is loaded
// when the dialog is first opened. Without JavaScript the openers are plain links.

import { type Hit, type SearchFile, Searcher } from "./ranking";

export { type SearchFile, Searcher } from "./ranking";

interface SiteFile extends SearchFile {
  addresses: Record<string, string>; // kind -> address of a page from the site's root, * for the id; or a document's url
}

const SHOWN = 12;

class SearchDialog {
  private readonly dialog = document.createElement("dialog");
  private readonly input = document.createElement("input");
  private readonly list = document.createElement("ul");
  private readonly status = document.createElement("p");
  private active = -1;
  private loading: Promise<Searcher> | null = null;
  private addresses: Record<string, string> = {};

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
    this.status.className = "zoo-search__status";
    this.status.setAttribute("role", "status");
    this.dialog.append(this.input, this.list, this.status);
    document.body.append(this.dialog);
    this.input.addEventListener("input", () => void this.answer());
    this.input.addEventListener("keydown", (event) => this.key(event));
    this.dialog.addEventListener("click", (event) => {
      if (event.target === this.dialog) this.dialog.close();
    });
  }

  open(words = ""): void {
    if (!this.dialog.open) this.dialog.showModal();
    if (words) this.input.value = words;
    this.input.focus();
    this.input.select();
    void this.answer();
  }

  get isOpen(): boolean {
    return this.dialog.open;
  }

  private searcher(): Promise<Searcher> {
    this.loading ??= fetch(`${this.base}assets/zoo/search.json`).then(async (answer) => {
      if (!answer.ok) throw new Error(`search.json: ${answer.status}`);
      const file = (await answer.json()) as SiteFile;
      this.addresses = file.addresses;
      return new Searcher(file);
    });
    return this.loading;
  }

  private async answer(): Promise<void> {
    const asked = this.input.value;
    let engine: Searcher;
    try {
      engine = await this.searcher();
    } catch (problem) {
      this.status.textContent = `The search index could not be loaded (${String(problem)}).`;
      this.loading = null;
      return;
    }
    if (asked !== this.input.value) return;
    const hits = asked.trim() ? engine.search(asked, SHOWN) : [];
    this.list.replaceChildren(...hits.map((hit, i) => this.row(hit, i)));
    this.select(hits.length ? 0 : -1);
    this.status.textContent = !asked.trim()
      ? "Arrow keys choose, Enter opens, Escape closes."
      : hits.length
        ? ""
        : `Nothing found for “${asked}”. Fewer or other words may help.`;
    this.dialog.dataset.asked = asked;
  }

  private row(hit: Hit, i: number): HTMLElement {
    const item = document.createElement("li");
    item.id = `zoo-search-${i}`;
    item.setAttribute("role", "option");
    const link = document.createElement("a");
    const { id, kind: what, title, url } = hit.document;
    link.href = this.base + (url ?? this.addresses[what].replace("*", id.slice(what.length + 1)));
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
    item.addEventListener("pointermove", () => this.select(i));
    return item;
  }

  private select(i: number): void {
    const rows = [...this.list.children];
    rows.forEach((row, j) => row.setAttribute("aria-selected", String(j === i)));
    this.active = i;
    if (i >= 0) {
      rows[i].scrollIntoView({ block: "nearest" });
      this.input.setAttribute("aria-activedescendant", rows[i].id);
    } else this.input.removeAttribute("aria-activedescendant");
  }

  private key(event: KeyboardEvent): void {
    const count = this.list.children.length;
    if (event.key === "ArrowDown" && count) this.select((this.active + 1) % count);
    else if (event.key === "ArrowUp" && count) this.select((this.active - 1 + count) % count);
    else if (event.key === "Enter" && this.active >= 0) {
      this.list.children[this.active].querySelector("a")!.click();
      this.dialog.close();
    } else return;
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
