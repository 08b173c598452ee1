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

export interface SearchFile {
  schema: number;
  fields: Record<string, number>; // name of a field -> its weight
  synonyms: Record<string, string[]>; // a phrase -> the other phrases that mean the same
  documents: Document[];
}

interface Hit {
  document: Document;
  score: number;
}

const SHOWN = 12;

// Words that say nothing about a method, unless a phrase that has a meaning of its own holds them ("no training").
const STOP = new Set(
  (
    "a an and are as at be by do does for from has have how i in into is it its me method methods model models of on " +
    "or that the their this to use uses using via which with algorithm algorithms compress compression technique no " +
    "without not"
  ).split(" "),
);
const LOOSE = 0.25; // how much a single word of a phrase counts beside the phrase

/** Words of a text in their plain form, as catalog.search has them: 4-bit and 4bit, 2:4 and 2 : 4 are alike. */
export function words(text: string): string[] {
  const plain = text
    .toLowerCase()
    .normalize("NFKD")
    .replace(/[\u0300-\u036f]/g, "")
    .replace(/(\d)[\s-]*bits?\b/g, "$1bit")
    .replace(/\b(\d+|n)\s*:\s*(\d+|m)\b/g, "$1of$2")
    .replace(/is(e|ed|es|ing|ation|ations)\b/g, "iz$1")
    .replace(/\b(neighb|behavi|col)our/g, "$1or")
    .replace(/\bmodelling\b/g, "modeling");
  return plain.match(/[a-z0-9]+/g) ?? [];
}

/** The word with each pair of neighbouring letters swapped: the commonest typing slip, which counts as two edits. */
function swaps(word: string): string[] {
  const out: string[] = [];
  for (let i = 0; i + 1 < word.length; i += 1) {
    if (word[i] !== word[i + 1]) out.push(word.slice(0, i) + word[i + 1] + word[i] + word.slice(i + 2));
  }
  return out;
}

interface Phrase {
  meaning: string; // a term of its own, which begins with "="
  start: number;
  length: number;
}

export class Searcher {
  private readonly engine: MiniSearch<Document>;
  private readonly byId = new Map<string, Document>();
  private readonly known = new Set<string>();
  private readonly meanings = new Map<string, string>();
  private longest = 1;

  constructor(private readonly file: SearchFile) {
    for (const [phrase, others] of Object.entries(file.synonyms)) {
      const forms = [phrase, ...others].map((form) => words(form).join(" "));
      this.meanings.set(forms[0], `=${[...forms].sort()[0]}`);
      this.longest = Math.max(this.longest, words(phrase).length);
    }
    const fields = Object.keys(file.fields);
    this.engine = new MiniSearch<Document>({
      fields,
      idField: "id",
      tokenize: (text) => {
        const tokens = words(text);
        for (const token of tokens) this.known.add(token);
        return [...tokens, ...this.phrases(tokens).map((phrase) => phrase.meaning)];
      },
      processTerm: (term) => term,
    });
    this.engine.addAll(file.documents);
    for (const document of file.documents) this.byId.set(document.id, document);
  }

  /** The meanings of phrases in a text, longest first and without overlaps. */
  private phrases(tokens: string[]): Phrase[] {
    const found: Phrase[] = [];
    for (let start = 0; start < tokens.length; start += 1) {
      for (let length = Math.min(this.longest, tokens.length - start); length > 0; length -= 1) {
        const meaning = this.meanings.get(tokens.slice(start, start + length).join(" "));
        if (!meaning) continue;
        found.push({ meaning, start, length });
        start += length - 1;
        break;
      }
    }
    return found;
  }

  /** A query as units, each a set of terms of which one has to be met; a term has a weight. */
  private units(query: string): Map<string, number>[] {
    const tokens = words(query).map((word) =>
      this.known.has(word) ? word : (swaps(word).find((swapped) => this.known.has(swapped)) ?? word),
    );
    const units: Map<string, number>[] = [];
    const phrases = new Map(this.phrases(tokens).map((phrase) => [phrase.start, phrase]));
    for (let i = 0; i < tokens.length; i += 1) {
      const phrase = phrases.get(i);
      if (phrase) {
        const spoken = tokens.slice(i, i + phrase.length).filter((token) => !STOP.has(token));
        const unit = new Map(spoken.map((token) => [token, LOOSE / spoken.length]));
        units.push(unit.set(phrase.meaning, 1));
        i += phrase.length - 1;
      } else if (!STOP.has(tokens[i])) units.push(new Map([[tokens[i], 1]]));
    }
    return units.length ? units : tokens.map((token) => new Map([[token, 1]]));
  }

  search(query: string, limit = SHOWN): Hit[] {
    const units = this.units(query);
    const weights = new Map<string, number>();
    for (const unit of units) {
      for (const [term, weight] of unit) weights.set(term, Math.max(weight, weights.get(term) ?? 0));
    }
    const meaning = (term: string) => term.startsWith("=");
    const results: SearchResult[] = this.engine.search([...weights.keys()].join("\n"), {
      boost: this.file.fields,
      tokenize: (text) => text.split("\n"),
      boostTerm: (term) => weights.get(term) ?? 1,
      prefix: (term) => term.length > 1 && !meaning(term),
      fuzzy: (term) => (term.length > 3 && !this.known.has(term) && !/\d/.test(term) && !meaning(term) ? 0.25 : false),
      weights: { fuzzy: 0.35, prefix: 0.6 },
    });
    return results
      .map((result) => {
        const met = new Set(result.queryTerms);
        const answered = units.reduce((sum, unit) => {
          const best = [...unit].filter(([term]) => met.has(term)).map(([, weight]) => weight);
          return sum + Math.max(0, ...best);
        }, 0);
        // A document that answers every word stands above one that repeats a single word often.
        return { document: this.byId.get(result.id)!, score: result.score * (answered / units.length) ** 3 };
      })
      .sort((a, b) => b.score - a.score)
      .slice(0, limit);
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
    this.dialog.dataset.asked = asked;
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
