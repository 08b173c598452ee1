// The search box of every page: a dialog over one compact JSON, ranked by MiniSearch, opened by a click, "/" or Ctrl-K.
//
// Hook: any element with [data-zoo-search] opens the dialog, with the attribute's text in its box. The index is loaded
// when the dialog is first opened. Without JavaScript the openers are plain links.

import MiniSearch, { type SearchResult } from "minisearch";

interface Document {
  id: string;
  kind: string;
  name: string;
  url: string;
  summary: string;
  [field: string]: string;
}

interface SearchFile {
  schema: number;
  fields: Record<string, number>; // name of a field -> its weight
  synonyms: Record<string, string[]>; // a word or phrase -> phrases that mean the same
  documents: Document[];
}

interface Hit {
  document: Document;
  score: number;
}

const SHOWN = 12;

/** Words of a text: lower case, accents and hyphens gone, 4-bit and 4 bit and 4bit alike. */
export function words(text: string): string[] {
  return text
    .toLowerCase()
    .normalize("NFKD")
    .replace(/[\u0300-\u036f]/g, "")
    .replace(/(\d)[\s-]*bits?\b/g, "$1bit")
    .replace(/(\d)\s*:\s*(\d)/g, "$1of$2")
    .replace(/is(e|ed|es|ing|ation|ations)\b/g, "iz$1")
    .split(/[^a-z0-9]+/)
    .filter(Boolean);
}

/** The word with each pair of neighbouring letters swapped: the commonest typing slip, which counts as two edits. */
function swaps(word: string): string[] {
  const out: string[] = [];
  for (let i = 0; i + 1 < word.length; i += 1) {
    if (word[i] !== word[i + 1]) out.push(word.slice(0, i) + word[i + 1] + word[i] + word.slice(i + 2));
  }
  return out;
}

export class Searcher {
  private readonly engine: MiniSearch<Document>;
  private readonly byId = new Map<string, Document>();
  private readonly known = new Set<string>();
  private readonly synonyms: [string, string[]][];

  constructor(private readonly file: SearchFile) {
    const fields = Object.keys(file.fields);
    this.engine = new MiniSearch<Document>({ fields, idField: "id", tokenize: words, processTerm: (term) => term });
    this.engine.addAll(file.documents);
    for (const document of file.documents) {
      this.byId.set(document.id, document);
      for (const field of fields) for (const word of words(document[field] ?? "")) this.known.add(word);
    }
    this.synonyms = Object.entries(file.synonyms).map(([phrase, others]) => [words(phrase).join(" "), others]);
  }

  private variants(query: string): string[] {
    const plain = words(query);
    const repaired = plain.map((word) => (this.known.has(word) ? word : (swaps(word).find((w) => this.known.has(w)) ?? word)));
    const line = ` ${repaired.join(" ")} `;
    const out = new Set([repaired.join(" ")]);
    for (const [phrase, others] of this.synonyms) {
      if (!line.includes(` ${phrase} `)) continue;
      for (const other of others) out.add(line.replace(` ${phrase} `, ` ${words(other).join(" ")} `).trim());
    }
    return [...out].filter(Boolean);
  }

  search(query: string, limit = SHOWN): Hit[] {
    const best = new Map<string, number>();
    const options = {
      boost: this.file.fields,
      prefix: (term: string) => term.length > 1,
      fuzzy: (term: string) => (term.length > 3 && !/\d/.test(term) ? 0.25 : false),
      weights: { fuzzy: 0.35, prefix: 0.6 },
    };
    for (const variant of this.variants(query)) {
      const results: SearchResult[] = this.engine.search(variant, options);
      const terms = new Set(variant.split(" ")).size;
      for (const result of results) {
        // A document that answers every word stands above one that repeats a single word often.
        const score = result.score * (new Set(result.queryTerms).size / terms) ** 2;
        best.set(result.id, Math.max(score, best.get(result.id) ?? 0));
      }
    }
    return [...best]
      .sort((a, b) => b[1] - a[1])
      .slice(0, limit)
      .map(([id, score]) => ({ document: this.byId.get(id)!, score }));
  }
}

class SearchDialog {
  private readonly dialog = document.createElement("dialog");
  private readonly input = document.createElement("input");
  private readonly list = document.createElement("ul");
  private readonly status = document.createElement("p");
  private active = -1;
  private loading: Promise<Searcher> | null = null;

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
      return new Searcher((await answer.json()) as SearchFile);
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
    const hits = asked.trim() ? engine.search(asked) : [];
    this.list.replaceChildren(...hits.map((hit, i) => this.row(hit, i)));
    this.select(hits.length ? 0 : -1);
    this.status.textContent = !asked.trim()
      ? "Arrow keys choose, Enter opens, Escape closes."
      : hits.length
        ? ""
        : `Nothing found for “${asked}”. Fewer or other words may help.`;
  }

  private row(hit: Hit, i: number): HTMLElement {
    const item = document.createElement("li");
    item.id = `zoo-search-${i}`;
    item.setAttribute("role", "option");
    const link = document.createElement("a");
    link.href = this.base + hit.document.url;
    link.tabIndex = -1;
    const name = document.createElement("strong");
    name.textContent = hit.document.name;
    const kind = document.createElement("span");
    kind.className = "zoo-search__kind";
    kind.textContent = hit.document.kind;
    const summary = document.createElement("span");
    summary.className = "zoo-search__summary";
    summary.textContent = hit.document.summary;
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
