// The row of the chosen entries, which can be moved and removed, and the box that finds further ones by name or alias.

import { Searcher } from "../ranking";
import type { Entry, Partner } from "./data";
import { button, el, mark } from "./dom";

interface Known {
  id: string;
  name: string;
  aliases: string[];
  family: string;
  year: number;
}

interface Offer {
  id: string;
  name: string;
  family: string;
  about: string;
}

const SHOWN = 10;
const WEIGHTS = { name: 8, aliases: 7, id: 4 };

export class Chooser {
  readonly element = el("div", { class: "zoo-chooser" });
  private readonly list = el("ol", { class: "zoo-chooser__chosen", "aria-label": "Chosen entries, in the order of their columns" });
  private readonly input = el("input", {
    type: "search", role: "combobox", autocomplete: "off", spellcheck: "false", "aria-autocomplete": "list",
    "aria-expanded": "false", "aria-controls": "zoo-chooser-found", "aria-label": "Add an entry by name",
  });
  private readonly found = el("ul", { id: "zoo-chooser-found", role: "listbox", "aria-label": "Entries", hidden: true });
  private readonly status = el("p", { class: "zoo-muted zoo-chooser__status", role: "status" });
  private readonly clear: HTMLButtonElement;
  private known: Promise<Map<string, Known>> | null = null;
  private searcher: Searcher | null = null;
  private chosen: string[] = [];
  private partners: Partner[] = [];
  private offers: Offer[] = [];
  private active = -1;

  /** `changed` is called with the new list of ids. */
  constructor(
    private readonly base: string,
    private readonly most: number,
    private readonly changed: (entries: string[]) => void,
  ) {
    this.clear = button("Remove all", () => this.change([]), { class: "zoo-button zoo-button--quiet" });
    this.element.append(this.list, el("div", { class: "zoo-chooser__find" }, this.input, this.found), this.clear, this.status);
    this.input.addEventListener("focus", () => void this.answer());
    this.input.addEventListener("input", () => void this.answer());
    this.input.addEventListener("blur", () => this.close());
    this.input.addEventListener("keydown", (event) => this.key(event));
    this.found.addEventListener("pointerdown", (event) => event.preventDefault()); // the box keeps the focus
  }

  /** Shows what is chosen: entries that are loaded, and ids of those that could not be. */
  show(ids: string[], entries: Map<string, Entry>): void {
    this.chosen = ids;
    const held = document.activeElement?.closest("[data-act]")?.getAttribute("data-act");
    this.list.replaceChildren(...ids.map((id, i) => this.item(id, i, entries.get(id))));
    if (held) this.element.querySelector<HTMLElement>(`[data-act="${held}"]:not(:disabled)`)?.focus();
    this.partners = [];
    for (const id of ids) {
      for (const partner of entries.get(id)?.partners ?? []) {
        const seen = ids.includes(partner.id) || this.partners.some((other) => other.id === partner.id);
        if (!seen) this.partners.push({ ...partner, why: `${entries.get(id)!.name} ${partner.why} it` });
      }
    }
    this.clear.hidden = ids.length === 0;
    this.input.disabled = ids.length >= this.most;
    this.input.placeholder = this.input.disabled ? `${this.most} at most: remove one first`
      : ids.length ? "Add another" : "Name of a method";
  }

  private item(id: string, i: number, entry: Entry | undefined): HTMLElement {
    const name = entry?.name ?? id;
    const move = (text: string, to: number, label: string, act: string) => {
      const control = button(text, () => this.move(id, to), { "aria-label": label, title: label, "data-act": `${act} ${id}` });
      control.disabled = to < 0 || to >= this.chosen.length;
      return control;
    };
    const away = button("×", () => this.remove(id), { "aria-label": `Remove ${name}`, title: `Remove ${name}` });
    const title = el("span", { class: "zoo-chooser__name" }, name);
    return el("li", { "data-nth": i }, mark(i), title,
      this.chosen.length > 1 && move("←", i - 1, `Move ${name} to the left`, "left"),
      this.chosen.length > 1 && move("→", i + 1, `Move ${name} to the right`, "right"), away);
  }

  private move(id: string, to: number): void {
    const rest = this.chosen.filter((other) => other !== id);
    this.change([...rest.slice(0, to), id, ...rest.slice(to)]);
  }

  private remove(id: string): void {
    this.change(this.chosen.filter((other) => other !== id));
    this.input.focus({ preventScroll: true });
  }

  private change(entries: string[]): void {
    this.changed(entries);
  }

  /** Names of entries that an unknown id may mean. */
  async nearest(id: string): Promise<Known[]> {
    const known = await this.load();
    return this.searcher!.search(id, 3).map((hit) => known.get(hit.document.id)!);
  }

  private load(): Promise<Map<string, Known>> {
    this.known ??= fetch(`${this.base}assets/zoo/entries.json`).then(async (answer) => {
      if (!answer.ok) throw new Error(`the server answered ${answer.status}`);
      const { entries } = (await answer.json()) as { entries: Known[] };
      this.searcher = new Searcher({
        schema: 1, fields: WEIGHTS, synonyms: [],
        documents: entries.map(({ id, name, aliases }) => ({ id, kind: "algorithm", name, aliases: aliases.join("; ") })),
      });
      return new Map(entries.map((entry) => [entry.id, entry]));
    });
    this.known.catch(() => (this.known = null));
    return this.known;
  }

  private async answer(): Promise<void> {
    const asked = this.input.value.trim();
    let known: Map<string, Known>;
    try {
      known = await this.load();
    } catch (problem) {
      this.status.textContent = `The list of entries could not be loaded (${problem instanceof Error ? problem.message : problem}).`;
      return;
    }
    if (asked !== this.input.value.trim() || document.activeElement !== this.input) return;
    const hits = asked ? this.searcher!.search(asked, SHOWN + this.most).map((hit) => known.get(hit.document.id)!) : [];
    this.offers = asked
      ? hits.filter(({ id }) => !this.chosen.includes(id)).slice(0, SHOWN).map((entry) => ({
          ...entry, about: [...entry.aliases, String(entry.year)].join(", "),
        }))
      : this.partners.map((partner) => ({ ...partner, about: partner.why }));
    this.found.replaceChildren(...this.offers.map((offer, i) => {
      const option = el("li", { role: "option", id: `zoo-chooser-${i}`, "data-family": offer.family },
        el("strong", {}, offer.name), " ", el("span", { class: "zoo-muted" }, offer.about));
      option.addEventListener("click", () => this.add(i));
      return option;
    }));
    const open = this.offers.length > 0;
    this.found.hidden = !open;
    this.input.setAttribute("aria-expanded", String(open));
    this.select(open && asked ? 0 : -1);
    this.status.textContent = !asked || open ? "" : hits.length ? `${hits[0].name} is chosen already.` : `No entry is called “${asked}”.`;
  }

  private add(i: number): void {
    const { id } = this.offers[i];
    this.close();
    this.input.value = "";
    this.change([...this.chosen, id]);
    if (this.input.disabled) this.list.querySelector<HTMLElement>("li:last-child button:last-child")?.focus();
  }

  private select(i: number): void {
    this.active = i;
    [...this.found.children].forEach((option, j) => option.setAttribute("aria-selected", String(i === j)));
    if (i < 0) this.input.removeAttribute("aria-activedescendant");
    else {
      this.input.setAttribute("aria-activedescendant", this.found.children[i].id);
      this.found.children[i].scrollIntoView({ block: "nearest" });
    }
  }

  private close(): void {
    this.found.hidden = true;
    this.input.setAttribute("aria-expanded", "false");
    this.select(-1);
  }

  private key(event: KeyboardEvent): void {
    const count = this.found.hidden ? 0 : this.offers.length;
    if (event.key === "ArrowDown" && !count) void this.answer();
    else if (event.key === "ArrowDown") this.select((this.active + 1) % count);
    else if (event.key === "ArrowUp" && count) this.select((this.active - 1 + count) % count);
    else if (event.key === "Enter" && count && this.active >= 0) this.add(this.active);
    else if (event.key === "Escape" && count) this.close();
    else return;
    event.preventDefault();
  }
}
