// The page "Choose": a form that becomes a question, and the answer as a list. Everything chosen stands in the address;
// a pasted config.json only with the numbers of its shape.

import { answer, bytesOf, digits, largeNumber, readConfig, size } from "./answer";
import type { Answer, Entry, Facts, Question, Row, Shape } from "./answer";

const FIRST = 60; // rows that a list shows before it is asked for the rest
const PLAIN = ["model", "tokens", "batch", "memory", "size", "data", "training", "hardware", "by"];

/** Serves the form #zoo-choose, which is hidden until choose.json is there. */
export async function startChoosing(form: HTMLFormElement): Promise<void> {
  const without = document.getElementById("choose-without")!;
  const place = document.getElementById("zoo-chosen")!;
  let facts: Facts;
  try {
    const response = await fetch(form.dataset.choose!);
    if (!response.ok) throw new Error(String(response.status));
    facts = (await response.json()) as Facts;
  } catch (error) {
    without.textContent = `The facts to answer from could not be loaded (${(error as Error).message}). The tables below have them.`;
    place.remove();
    return;
  }
  new Chooser(form, place, facts).start();
  without.remove();
}

class Chooser {
  private readonly controls: Map<string, HTMLInputElement | HTMLSelectElement>;
  private readonly boxes: HTMLInputElement[];
  private readonly config = document.getElementById("choose-config") as HTMLTextAreaElement;
  private readonly configSaid: HTMLElement;
  private readonly amountsSaid: HTMLElement;
  private readonly offers: HTMLElement;
  private readonly reset: HTMLButtonElement;
  private readonly first: Map<string, string>; // what each control holds at the start
  private pasted: Shape | null = null;
  private readonly whole = new Set<string>(); // lists that are shown to their end
  private fallsOpen = false;
  private waiting = 0;
  private readonly entries: Map<string, Entry>;

  constructor(private readonly form: HTMLFormElement, private readonly place: HTMLElement, private readonly facts: Facts) {
    const named = [...form.querySelectorAll<HTMLInputElement | HTMLSelectElement>("select, input")];
    this.controls = new Map(named.filter(({ name }) => PLAIN.includes(name)).map((one) => [one.name, one]));
    this.boxes = named.filter((one): one is HTMLInputElement => one.type === "checkbox");
    this.configSaid = form.querySelector("[data-choose-config]")!;
    this.amountsSaid = form.querySelector("[data-choose-amounts]")!;
    this.offers = form.querySelector("[data-choose-offers]")!;
    this.reset = form.querySelector("[data-choose-reset]")!;
    const model = this.control("model");
    if (facts.models.length) model.value = facts.models[0].id;
    this.entries = new Map(facts.entries.map((one) => [one.id, one]));
    this.first = new Map([...this.controls].map(([name, one]) => [name, one.value]));
  }

  start(): void {
    this.form.hidden = this.place.hidden = false;
    this.form.addEventListener("submit", (event) => event.preventDefault());
    this.form.addEventListener("input", (event) => {
      if (event.target === this.config) this.paste();
      else if ((event.target as HTMLElement).tagName === "INPUT" && (event.target as HTMLInputElement).type !== "checkbox") {
        clearTimeout(this.waiting);
        this.waiting = window.setTimeout(() => this.changed(), 120);
        return;
      }
      this.changed();
    });
    this.reset.addEventListener("click", () => {
      for (const [name, one] of this.controls) one.value = this.first.get(name)!;
      for (const box of this.boxes) box.checked = false;
      this.config.value = "";
      this.say(this.configSaid, "", false);
      this.changed();
      this.control("model").focus();
    });
    addEventListener("popstate", () => {
      this.read();
      this.show();
    });
    this.read();
    this.show();
  }

  private control(name: string): HTMLInputElement | HTMLSelectElement {
    return this.controls.get(name)!;
  }

  private changed(): void {
    this.whole.clear();
    this.write();
    this.show();
  }

  /** What the box holds becomes the model, or is said to be wrong; the model stays then. */
  private paste(): void {
    if (!this.config.value.trim()) return this.say(this.configSaid, "", false);
    const found = readConfig(this.facts, this.config.value);
    if ("error" in found) return this.say(this.configSaid, found.error, true);
    this.usePasted({ architecture: found.architecture, numbers: found.numbers });
    this.control("model").value = "pasted";
    const numbers = Object.entries(found.numbers).map(([name, value]) => `${name.replaceAll("_", " ")} ${value.toLocaleString("en")}`);
    const { name } = this.facts.architectures[found.architecture];
    this.say(this.configSaid, `${name}: ${numbers.join(", ")}.${found.note ? ` ${found.note}` : ""}`, false);
  }

  private usePasted(shape: Shape | null): void {
    this.pasted = shape;
    const option = (this.control("model") as HTMLSelectElement).querySelector<HTMLOptionElement>('[value="pasted"]')!;
    option.disabled = shape === null;
  }

  private say(where: HTMLElement, text: string, wrong: boolean): void {
    where.textContent = text;
    where.classList.toggle("zoo-asking__said--wrong", wrong);
  }

  private read(): void {
    const given = new URLSearchParams(location.search);
    this.usePasted(shapeIn(this.facts, given.get("shape") ?? ""));
    for (const [name, one] of this.controls) {
      const value = given.get(name);
      one.value = value ?? this.first.get(name)!;
      if (one instanceof HTMLSelectElement && (one.selectedIndex < 0 || one.selectedOptions[0].disabled)) {
        one.value = this.first.get(name)!;
      }
    }
    if (this.pasted) this.control("model").value = "pasted";
    const wrong = given.has("shape") && !this.pasted;
    this.say(this.configSaid, wrong ? "The address holds a shape that cannot be read; another model is shown." : "", wrong);
    for (const box of this.boxes) {
      const values = given.get(box.name)?.split(",") ?? [];
      box.checked = values.includes(box.value);
    }
  }

  private write(): void {
    const address = new URL(location.href);
    const state = new Map<string, string>();
    for (const [name, one] of this.controls) if (one.value !== this.first.get(name)) state.set(name, one.value);
    for (const box of this.boxes) {
      if (box.checked) state.set(box.name, state.has(box.name) ? `${state.get(box.name)},${box.value}` : box.value);
    }
    if (state.get("hardware") !== "own") state.delete("offers");
    if (state.get("model") === "pasted" && this.pasted) {
      state.delete("model");
      const numbers = Object.entries(this.pasted.numbers).map(([name, value]) => `${name}:${value}`);
      state.set("shape", [this.pasted.architecture, ...numbers].join(","));
    }
    for (const name of [...PLAIN, ...this.boxes.map((box) => box.name), "shape"]) {
      if (state.has(name)) address.searchParams.set(name, state.get(name)!);
      else address.searchParams.delete(name);
    }
    history.replaceState(history.state, "", address.href.replaceAll("%2C", ",").replaceAll("%3A", ":"));
  }

  private checked(name: string): string[] {
    return this.boxes.filter((box) => box.name === name && box.checked).map((box) => box.value);
  }

  /** The question that the form asks; what cannot be read is said beside it and left out. */
  private question(): Question {
    const faults: string[] = [];
    const amount = (name: string): number | null => {
      const control = this.control(name);
      const found = control.value.trim() ? bytesOf(control.value) : null;
      const wrong = control.value.trim() !== "" && found === null;
      control.setAttribute("aria-invalid", String(wrong));
      if (wrong) faults.push(`"${control.value.trim().slice(0, 30)}" is no amount of memory; write 8 GB, 900 MB or 24 GiB.`);
      return found;
    };
    const count = (name: string, most: number): number => {
      const control = this.control(name);
      const value = Number(control.value.replaceAll(/[ ,]/g, ""));
      const right = Number.isInteger(value) && value >= 1 && value <= most;
      control.setAttribute("aria-invalid", String(!right));
      const label = control.labels?.[0]?.textContent ?? name;
      if (!right) faults.push(`${label}: write a whole number from 1 to ${most.toLocaleString("en")}.`);
      return right ? value : Number(this.first.get(name));
    };
    const model = this.control("model").value;
    const known = this.facts.models.find((one) => one.id === model);
    const hardware = this.control("hardware").value;
    const data = this.control("data").value;
    const by = this.control("by").value;
    const asked: Question = {
      shape: model === "pasted" ? this.pasted : known ? { architecture: known.architecture, numbers: known.numbers } : null,
      tokens: count("tokens", this.facts.limits.tokens),
      batch: count("batch", this.facts.limits.batch),
      memory: amount("memory"),
      size: amount("size"),
      compress: this.checked("compress"),
      data: data ? [data] : null,
      training: this.control("training").value || null,
      gradients: this.checked("gradients").length === 0,
      offers: hardware === "own" ? this.checked("offers") : hardware ? this.facts.hardware[hardware].offers : null,
      shown: this.checked("shown").length > 0,
      scores: this.checked("scores").length > 0,
      protocol: by === "needs" ? null : by,
    };
    if (!asked.shape && (asked.memory !== null || asked.size !== null)) faults.push("Choose a model: memory is that of a model.");
    this.say(this.amountsSaid, faults.join(" "), faults.length > 0);
    return asked;
  }

  private show(): void {
    this.offers.hidden = this.control("hardware").value !== "own";
    const changed = [...this.controls].some(([name, one]) => one.value !== this.first.get(name));
    this.reset.hidden = !changed && !this.boxes.some((box) => box.checked);
    const asked = this.question();
    const found = answer(this.facts, asked);
    const stays = found.rows.filter((row) => row.stays);
    const falls = found.rows.filter((row) => !row.stays);
    const parts: HTMLElement[] = [];
    const count = element("p", "zoo-chosen__count", falls.length
      ? `${stays.length} of ${found.rows.length} methods fit.`
      : `All ${found.rows.length} methods fit: nothing that you ask rules one out.`);
    count.setAttribute("role", "status");
    const most = Math.max(found.model?.total ?? 0, asked.memory ?? 0);
    const top = element("div", "zoo-chosen__top");
    top.append(count);
    if (stays.length > 1) top.append(this.compareLink(stays));
    parts.push(top);
    if (found.model) parts.push(this.uncompressed(found, asked, most));
    if (stays.length) parts.push(this.list("stays", "Methods that fit, best first", stays, most, asked));
    else parts.push(element("p", "", "Nothing meets all of it. Below stands what each method breaks, fewest first."));
    if (falls.length) {
      const details = element("details", "zoo-section");
      (details as HTMLDetailsElement).open = this.fallsOpen || !stays.length;
      details.append(element("summary", "", `${falls.length} ${falls.length === 1 ? "does" : "do"} not fit, and why`));
      details.append(this.list("falls", "Methods that do not fit", falls, most, asked));
      details.addEventListener("toggle", () => (this.fallsOpen = (details as HTMLDetailsElement).open));
      parts.push(details);
    }
    this.place.classList.toggle("zoo-chosen--plain", stays.every((row) => !row.reasons.length));
    this.place.replaceChildren(...parts);
  }

  /** The model as it is, in the form of a method's row: what the bars below are to be held against. */
  private uncompressed(found: Answer, asked: Question, most: number): HTMLElement {
    const { model } = found;
    const per = model!.cache ? ` (${size(model!.cache / asked.tokens / asked.batch)} a token)` : "";
    const row = element("div", "zoo-choice zoo-choice--whole");
    const head = element("div", "zoo-choice__head");
    const name = element("div", "zoo-choice__name");
    name.append(element("strong", "", "Uncompressed"), " ", element("span", "", "16 bit"));
    head.append(name, " ", element("b", "", size(model!.total!)));
    const place = this.facts.protocols.find((one) => one.id === asked.protocol);
    if (place?.better === "lower") head.append(" ", element("span", "", `${place.label.split(",")[0]} × ${alike(1)}`)); // what the others' is held against
    const parts = { weights: model!.weights!, cache: model!.cache!, activations: model!.activations! };
    const key = element("ul", "zoo-chosen__key");
    for (const part of ["weights", "cache", "activations"]) key.append(element("li", part, part));
    const says = element("div", "zoo-choice__why");
    says.append(element("p", "", `${largeNumber(model!.parameters)} parameters: weights ${size(parts.weights)}, cache ${
      parts.cache ? size(parts.cache) : "none"}${per}, activations ${size(parts.activations)}. To train all weights takes ${
      size(model!.training)} and activations (mixed precision, Adam).${
      asked.memory ? ` The line in the bars is what the device has, ${size(asked.memory)}.` : ""}`), key);
    row.append(head, this.bar(parts, model!.total!, most, asked.memory), says);
    return row;
  }

  private bar(takes: { weights: number; cache: number; activations: number }, total: number, most: number, limit: number | null): HTMLElement {
    const bar = element("div", "zoo-choice__bar");
    bar.setAttribute("role", "img");
    bar.setAttribute("aria-label", `Weights ${size(takes.weights)}, cache ${size(takes.cache)}, activations ${size(takes.activations)}`);
    bar.title = bar.getAttribute("aria-label")!;
    const whole = Math.max(most, total);
    for (const part of ["weights", "cache", "activations"] as const) {
      const piece = element("i", part);
      piece.style.width = `${(100 * takes[part]) / whole}%`;
      bar.append(piece);
    }
    if (limit !== null && limit < whole) bar.style.setProperty("--limit", `${(100 * limit) / whole}%`);
    return bar;
  }

  private compareLink(stays: Row[]): HTMLElement {
    const link = element("a", "zoo-button zoo-button--quiet", `Compare the first ${Math.min(4, stays.length)}`) as HTMLAnchorElement;
    const asked = stays.slice(0, 4).map((row) => `a=${encodeURIComponent(row.id)}`);
    link.href = `${this.form.dataset.base}compare/?${asked.join("&")}`;
    const line = element("p", "");
    line.append(link);
    return line;
  }

  private list(name: string, label: string, rows: Row[], most: number, asked: Question): HTMLElement {
    const box = element("div", "");
    const list = element("ol", "");
    list.id = `choose-${name}`;
    list.setAttribute("aria-label", label);
    const shown = this.whole.has(name) ? rows : rows.slice(0, FIRST);
    list.append(...shown.map((row) => this.row(row, most, asked)));
    box.append(list);
    if (shown.length < rows.length) {
      const more = element("button", "zoo-button zoo-button--quiet", `Show all ${rows.length}`) as HTMLButtonElement;
      more.type = "button";
      more.addEventListener("click", () => {
        this.whole.add(name);
        this.show();
        document.querySelector<HTMLElement>(`#choose-${name} > li:nth-child(${FIRST + 1}) a`)?.focus();
      });
      box.append(more);
    }
    return box;
  }

  private row(row: Row, most: number, asked: Question): HTMLElement {
    const entry = this.entries.get(row.id)!;
    const item = element("li", "zoo-choice");
    item.dataset.family = entry.family;
    const head = element("div", "zoo-choice__head");
    const link = element("a", "", entry.name) as HTMLAnchorElement;
    link.href = `${this.form.dataset.base}algorithms/${entry.id}/`;
    const name = element("div", "zoo-choice__name");
    name.append(link, " ", element("span", "", row.setting));
    head.append(name, " ");
    if (row.takes) head.append(element("b", "", size(row.takes.total)), " ");
    const place = this.facts.protocols.find((one) => one.id === this.control("by").value);
    if (row.measured !== undefined && place) {
      const [what] = place.label.split(",");
      head.append(element("span", "", `${what} ${place.better === "lower" ? "× " : ""}${alike(row.measured)}`));
    } else if (row.stays && place) head.append(element("span", "", "not measured"));
    item.append(head);
    if (row.takes && most > 0) item.append(this.bar(row.takes, row.takes.total, most, asked.memory));
    const why = element("ul", "zoo-choice__why");
    for (const reason of row.reasons) {
      const line = element("li", reason.holds === null ? "open" : reason.holds ? "yes" : "no", reason.text);
      why.append(line);
    }
    if (row.reasons.length) item.append(why);
    return item;
  }
}

/** Four digits, those at the end too: numbers that stand under one another are of one length. */
function alike(value: number): string {
  return value >= 0.01 && value < 1000 ? value.toPrecision(4) : digits(value, 4);
}

/** The shape of the address, `llama,hidden:4096,...`, or null where it is none. */
function shapeIn(facts: Facts, text: string): Shape | null {
  const [architecture, ...pairs] = text.split(",");
  if (!Object.hasOwn(facts.architectures, architecture)) return null;
  const names = facts.architectures[architecture].numbers;
  const numbers: Record<string, number> = {};
  for (const pair of pairs) {
    const [name, value] = pair.split(":");
    const kind = Object.hasOwn(names, name) ? facts.numbers[name] : undefined;
    const least = kind?.kind === "number" ? kind.least : 0;
    const most = kind?.kind === "number" ? kind.most : 1;
    if (!kind || !/^[0-9]{1,12}$/.test(value ?? "") || Number(value) < least || Number(value) > most) return null;
    numbers[name] = Number(value);
  }
  const missing = Object.entries(names).some(([name, fallback]) => fallback === null && !(name in numbers));
  return missing ? null : { architecture, numbers };
}

function element(tag: string, className: string, text = ""): HTMLElement {
  const made = document.createElement(tag);
  if (className) made.className = className;
  if (text) made.textContent = text;
  return made;
}
