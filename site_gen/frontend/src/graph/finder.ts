// The search box of the graph: finds works by name, title, author, year or key, with slips of the pen, and jumps there.

import type { Searcher, SearchFile } from "../ranking";
import type { Model } from "./data";

/** Makes the searcher of the header's search box over other documents. */
export type MakeSearcher = (file: SearchFile) => Searcher;

const SHOWN = 10;
const WEIGHTS = { name: 8, title: 3, authors: 4, key: 2, year: 1 };

/** Finds works of the graph as the header's search finds pages. */
class Finder {
  private readonly searcher: Searcher;

  constructor(model: Model, make: MakeSearcher) {
    const documents = model.works.map((work, i) => ({
      id: String(i),
      kind: "paper",
      name: work.label,
      url: work.url,
      summary: "",
      title: work.title,
      authors: work.authors,
      key: work.id,
      year: String(work.year),
    }));
    this.searcher = make({ schema: 1, fields: WEIGHTS, synonyms: [], documents });
  }

  /** Works that a text may mean, the likeliest first. */
  find(text: string): number[] {
    return this.searcher.search(text, SHOWN).map((hit) => Number(hit.document.id));
  }
}

/** The box with its list of works. `chosen` is called with the number of a work. */
export class FinderBox {
  readonly element = document.createElement("div");
  private readonly input = document.createElement("input");
  private readonly list = document.createElement("ul");
  private finder: Finder | null = null;
  private hits: number[] = [];
  private active = -1;

  constructor(
    private readonly model: Model,
    private readonly make: MakeSearcher,
    private readonly chosen: (work: number) => void,
    private readonly say: (text: string) => void,
  ) {
    const { input, list, element } = this;
    element.className = "zoo-graph__find";
    input.type = "search";
    input.placeholder = "Jump to a work";
    input.autocomplete = "off";
    input.spellcheck = false;
    input.setAttribute("aria-label", "Jump to a work by name, title, author or key");
    input.setAttribute("role", "combobox");
    input.setAttribute("aria-autocomplete", "list");
    input.setAttribute("aria-expanded", "false");
    input.setAttribute("aria-controls", "zoo-graph-found");
    list.id = "zoo-graph-found";
    list.hidden = true;
    list.setAttribute("role", "listbox");
    list.setAttribute("aria-label", "Works");
    element.append(input, list);
    input.addEventListener("input", () => this.answer());
    input.addEventListener("focus", () => (this.finder ??= new Finder(model, make)));
    input.addEventListener("blur", () => this.close());
    input.addEventListener("keydown", (event) => this.key(event));
    list.addEventListener("pointerdown", (event) => event.preventDefault()); // the box keeps the focus
  }

  private answer(): void {
    this.finder ??= new Finder(this.model, this.make);
    this.hits = this.finder.find(this.input.value);
    this.list.replaceChildren(
      ...this.hits.map((work, i) => {
        const { label, title, year } = this.model.works[work];
        const item = document.createElement("li");
        item.id = `zoo-graph-found-${i}`;
        item.setAttribute("role", "option");
        const name = document.createElement("strong");
        name.textContent = label;
        item.append(name, ` ${label === title ? year : `${title}, ${year}`}`);
        item.addEventListener("click", () => this.choose(i));
        return item;
      }),
    );
    const open = this.hits.length > 0;
    this.list.hidden = !open;
    this.input.setAttribute("aria-expanded", String(open));
    this.select(open ? 0 : -1);
    if (this.input.value.trim() && !open) this.say(`No work matches “${this.input.value.trim()}”.`);
  }

  private select(i: number): void {
    this.active = i;
    [...this.list.children].forEach((item, j) => item.setAttribute("aria-selected", String(i === j)));
    if (i < 0) this.input.removeAttribute("aria-activedescendant");
    else {
      this.input.setAttribute("aria-activedescendant", this.list.children[i].id);
      this.list.children[i].scrollIntoView({ block: "nearest" });
    }
  }

  private choose(i: number): void {
    const work = this.hits[i];
    this.close();
    this.input.value = this.model.works[work].label;
    this.chosen(work);
  }

  private close(): void {
    this.list.hidden = true;
    this.input.setAttribute("aria-expanded", "false");
    this.select(-1);
  }

  private key(event: KeyboardEvent): void {
    const count = this.list.hidden ? 0 : this.hits.length;
    if (event.key === "Enter") {
      if (!count) this.answer();
      if (this.hits.length) this.choose(Math.max(0, this.active));
    } else if (event.key === "Escape" && count) this.close();
    else if (event.key === "ArrowDown" && count) this.select((this.active + 1) % count);
    else if (event.key === "ArrowUp" && count) this.select((this.active - 1 + count) % count);
    else return;
    event.preventDefault();
  }
}
