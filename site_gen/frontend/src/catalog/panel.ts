// The facets beside the list: names become boxes to tick, years a range with a picture, and each value shows how many
// entries it would leave.

import type { Answer, Facet, Value } from "./choice";
import type { State } from "./address";

export interface Option extends Value {
  name: string; // with the wider value or the facet before it, as a chip says it
  item: HTMLElement;
}

export interface Section extends Facet {
  name: string;
  values: Option[];
  element: HTMLDetailsElement;
}

/** The facets of the page, in its order; `bits` of each value are still empty. */
export function sections(panel: HTMLElement, empty: () => Value["bits"]): Section[] {
  return [...panel.querySelectorAll<HTMLDetailsElement>("details[data-facet]")].map((element) => {
    const name = element.dataset.name!;
    const items = [...element.querySelectorAll<HTMLElement>("li[data-value]")];
    const names = new Map(items.map((item) => [item.dataset.value!, item.firstElementChild!.textContent!.trim()]));
    const values = items.map((item) => {
      const [id, parent] = [item.dataset.value!, item.dataset.parent ?? null];
      return { id, parent, bits: empty(), item, name: `${parent === null ? name : names.get(parent)}: ${names.get(id)}` };
    });
    return { id: element.dataset.facet!, name, values, element };
  });
}

export class Panel {
  private readonly boxes = new Map<string, Map<string, HTMLInputElement>>();
  private readonly shown = new Map<HTMLElement, number>(); // what stands in each count
  private readonly unfold = new Map<HTMLElement, HTMLButtonElement>();
  private first!: HTMLSelectElement;
  private last!: HTMLSelectElement;
  private bars: HTMLButtonElement[] = [];

  constructor(
    private readonly facets: Section[],
    private readonly range: string,
    private readonly onTick: (facet: Section, value: Option, on: boolean) => void,
    private readonly onRange: (from: string, to: string) => void,
  ) {
    for (const facet of facets) {
      if (facet.id === range) this.years(facet);
      else this.options(facet);
    }
  }

  private options(facet: Section): void {
    const boxes = new Map<string, HTMLInputElement>();
    const folds = facet.element.hasAttribute("data-folded");
    const parents = new Set(facet.values.map((value) => value.parent));
    for (const value of facet.values) {
      const given = value.item.firstElementChild as HTMLElement;
      const label = document.createElement("label");
      label.title = given.title;
      const box = document.createElement("input");
      box.type = "checkbox";
      const text = document.createElement("span");
      text.append(...given.childNodes);
      label.append(box, text, value.item.lastElementChild!);
      given.replaceWith(label);
      box.addEventListener("change", () => this.onTick(facet, value, box.checked));
      boxes.set(value.id, box);
      if (folds && parents.has(value.id)) this.fold(facet, value, text.textContent!.trim());
    }
    this.boxes.set(facet.id, boxes);
  }

  /** A button that shows the narrower values of one. */
  private fold(facet: Section, value: Option, name: string): void {
    const button = document.createElement("button");
    button.type = "button";
    button.className = "zoo-facet__fold";
    button.setAttribute("aria-label", `Groups of ${name}`);
    button.setAttribute("aria-expanded", "false");
    button.addEventListener("click", () => this.open(facet, value, button.getAttribute("aria-expanded") !== "true"));
    value.item.append(button);
    this.unfold.set(value.item, button);
  }

  private open(facet: Section, value: Option, on: boolean): void {
    this.unfold.get(value.item)?.setAttribute("aria-expanded", String(on));
    for (const one of facet.values) if (one.parent === value.id) one.item.toggleAttribute("data-open", on);
  }

  private years(facet: Section): void {
    const list = facet.element.querySelector("ul")!;
    const box = document.createElement("div");
    box.className = "zoo-years";
    const picture = document.createElement("div");
    picture.className = "zoo-years__bars";
    this.bars = facet.values.map((value) => {
      const bar = document.createElement("button");
      bar.type = "button";
      bar.value = value.id;
      bar.append(document.createElement("i"));
      bar.addEventListener("click", () => {
        const alone = this.first.value === value.id && this.last.value === value.id;
        this.onRange(alone ? "" : value.id, alone ? "" : value.id);
      });
      picture.append(bar);
      return bar;
    });
    const choice = (name: string, any: string) => {
      const select = document.createElement("select");
      select.append(new Option(any, ""), ...facet.values.map((value) => new Option(value.id, value.id)));
      select.addEventListener("change", () => this.onRange(this.first.value, this.last.value));
      const label = document.createElement("label");
      label.append(`${name} `, select);
      box.append(label);
      return select;
    };
    box.append(picture);
    this.first = choice("From", "first");
    this.last = choice("To", "last");
    list.replaceWith(box);
  }

  /** Ticks, counts and bars as they are now. `opened`: also opens the facets in which something is chosen. */
  show(state: State, answer: Answer, total: number, opened: boolean): void {
    for (const facet of this.facets) {
      const counts = answer.counts.get(facet.id)!;
      const chosen = state.chosen.get(facet.id) ?? new Set<string>();
      const active = facet.id === this.range ? Boolean(state.from || state.to) : chosen.size > 0;
      facet.element.toggleAttribute("data-active", active);
      if (opened && active) facet.element.open = true;
      if (facet.id === this.range) this.showYears(facet, state, counts);
      else this.showOptions(facet, chosen, counts, total, opened);
    }
  }

  private showOptions(
    facet: Section, chosen: ReadonlySet<string>, counts: Map<string, number>, total: number, opened: boolean,
  ): void {
    const boxes = this.boxes.get(facet.id)!;
    const narrowed = new Set(facet.values.filter((value) => chosen.has(value.id)).map((value) => value.parent));
    for (const value of facet.values) {
      const box = boxes.get(value.id)!;
      const count = counts.get(value.id)!;
      box.checked = chosen.has(value.id) && !narrowed.has(value.id);
      box.indeterminate = narrowed.has(value.id);
      if (this.shown.get(value.item) !== count) {
        this.shown.set(value.item, count);
        value.item.querySelector(".zoo-facet__count")!.textContent = String(count);
        value.item.toggleAttribute("data-none", count === 0);
        value.item.style.setProperty("--share", String(total ? count / total : 0));
      }
      if (opened && narrowed.has(value.id)) this.open(facet, value, true);
    }
  }

  private showYears(facet: Section, state: State, counts: Map<string, number>): void {
    const most = Math.max(1, ...counts.values());
    for (const bar of this.bars) {
      const count = counts.get(bar.value)!;
      bar.style.setProperty("--share", String(count / most));
      bar.setAttribute("aria-label", `${bar.value}: ${count}`);
      bar.title = `${bar.value}: ${count}`;
      bar.setAttribute("aria-pressed", String(within(bar.value, state)));
    }
    const known = new Set(facet.values.map((value) => value.id));
    this.first.value = known.has(state.from) ? state.from : "";
    this.last.value = known.has(state.to) ? state.to : "";
  }
}

/** Whether a value of the range is chosen; none is where there are no bounds. */
export function within(value: string, state: State): boolean {
  if (!state.from && !state.to) return false;
  return (!state.from || Number(value) >= Number(state.from)) && (!state.to || Number(value) <= Number(state.to));
}
