// What stands around the canvas: controls, legend, details of a work, and what is said to a screen reader.

import { PALETTE_SIZE, ROLES, type Mode, type Model, type Role, type Tie } from "./data";
import { FinderBox, type MakeSearcher } from "./finder";
import { colourOf, layoutOf, MOST_STEPS, type LayoutName, type State } from "./state";

/** What the panel asks of the view. */
export interface Control {
  readonly state: State;
  readonly opened: number;
  readonly mode: Mode;
  grouping(mode: Mode): { groups: { id: string; name: string; colour: string; count: number }[] } | null;
  change(change: Partial<State>): void;
  around(work: number, depth?: number): void;
  whole(): void;
  toggle(mode: Mode, group: string): void;
  jump(work: number): void;
  fit(): void;
  zoomIn(): void;
  zoomOut(): void;
}

/** What is drawn at present. */
export interface Shown {
  works: number;
  candidates: number; // before the drawing was narrowed to groups
  edges: number;
  implied: number;
  path: number;
  sides: Record<Role, number>;
  steps: ReadonlyMap<number, number> | null;
}

const HELP =
  "Hover a work for its title, click it for its details, double-click it for its neighbourhood. Drag a work to move " +
  "it (by touch, the one that is open), the ground to pan; the wheel or a pinch zooms. Keys on the drawing: arrows go to the nearest work on that " +
  "side, Page Down and Page Up through the works by year, Enter opens the details and once more the neighbourhood, " +
  "plus, minus and 0 zoom, Shift with an arrow pans, Escape goes back.";
const TIES: Record<string, string> = {
  special_case_of: "is a special case of",
  alternative_to: "is an alternative to",
};
const OPEN_LISTS = 12; // neighbours up to which a list stands open

function element<K extends keyof HTMLElementTagNameMap>(tag: K, kind = "", ...content: (Node | string)[]) {
  const made = document.createElement(tag);
  if (kind) made.className = kind;
  made.append(...content);
  return made;
}

function plural(count: number, one: string, many = `${one}s`): string {
  return `${count.toLocaleString("en")} ${count === 1 ? one : many}`;
}

export class Panel {
  readonly canvas = element("canvas", "zoo-graph__canvas");
  private readonly bubble = element("div", "zoo-graph__tip");
  private readonly legend = element("div", "zoo-graph__legend");
  private readonly status = element("p", "zoo-graph__status");
  private readonly details = element("div", "zoo-graph__details");
  private readonly live = element("p", "zoo-graph__live");
  private readonly steps = element("select");
  private readonly colour = element("select");
  private readonly layout = element("select");
  private readonly implied = element("input");
  private readonly path = element("input");

  constructor(
    host: HTMLElement,
    private readonly model: Model,
    private readonly base: string,
    private readonly control: Control,
    private readonly makeSearcher: MakeSearcher,
  ) {
    const { canvas, bubble, status, live } = this;
    const help = element("p", "", HELP);
    help.id = "zoo-graph-help";
    canvas.tabIndex = 0;
    canvas.setAttribute("role", "application");
    canvas.setAttribute("aria-label", `Citation graph of ${plural(model.works.length, "work")}; the table below has the same data`);
    canvas.setAttribute("aria-describedby", help.id);
    bubble.hidden = true;
    status.setAttribute("role", "status");
    live.setAttribute("role", "status");
    canvas.addEventListener("blur", () => this.tip(-1, 0, 0));
    const keys = element("details", "zoo-graph__help", element("summary", "", "Mouse, touch and keys"), help);
    const stage = element("div", "zoo-graph__stage", canvas, bubble, this.zoomButtons());
    host.replaceChildren(this.bar(), this.legend, status, stage, this.details, keys, live);
  }

  // --- controls -----------------------------------------------------------------------------------------------------

  private bar(): HTMLElement {
    const { control, model } = this;
    const finder = new FinderBox(
      model,
      this.makeSearcher,
      (work) => {
        control.jump(work);
        this.canvas.focus({ preventScroll: true });
        this.announce(work);
      },
      (text) => this.say(text),
    );
    const select = (made: HTMLSelectElement, label: string, options: [string, string][], changed: (value: string) => void) => {
      for (const [value, text] of options) made.append(new Option(text, value));
      made.id = `zoo-graph-${label.toLowerCase()}`;
      made.addEventListener("change", () => changed(made.value));
      const name = element("label", "", label);
      name.htmlFor = made.id;
      return element("span", "zoo-graph__choice", name, made);
    };
    const box = (made: HTMLInputElement, label: string, changed: (on: boolean) => void) => {
      made.type = "checkbox";
      made.addEventListener("change", () => changed(made.checked));
      return element("label", "zoo-graph__check", made, label);
    };
    const steps: [string, string][] = [["0", "Whole graph"]];
    for (let step = 1; step <= MOST_STEPS; step += 1) steps.push([String(step), plural(step, "citation") + " away"]);
    const table = element("a", "zoo-graph__table", "The same as a table");
    table.href = "#table";
    return element(
      "div",
      "zoo-graph__bar",
      finder.element,
      select(this.steps, "Show", steps, (value) => {
        if (value === "0") control.whole();
        else control.around(model.index.get(control.state.work!)!, Number(value));
      }),
      select(
        this.colour,
        "Colour",
        [["role", "Who cites whom"], ...[...model.groupings.values()].map(({ mode, name }): [string, string] => [mode, name])],
        (value) => control.change({ colour: value as Mode }),
      ),
      select(
        this.layout,
        "Layout",
        [
          ["steps", "Steps"],
          ["map", "Map"],
          ["time", "Time axis"],
        ],
        (value) => control.change({ layout: value as LayoutName }),
      ),
      box(this.implied, "Declared relations", (on) => control.change({ implied: on })),
      box(this.path, "Main path", (on) => control.change({ path: on })),
      table,
    );
  }

  private zoomButtons(): HTMLElement {
    const button = (text: string, title: string, act: () => void) => {
      const made = element("button", "", text);
      made.type = "button";
      made.title = title;
      made.setAttribute("aria-label", title);
      made.addEventListener("click", act);
      return made;
    };
    return element(
      "div",
      "zoo-graph__zoom",
      button("+", "Zoom in", () => this.control.zoomIn()),
      button("−", "Zoom out", () => this.control.zoomOut()),
      button("⤢", "Show everything", () => this.control.fit()),
    );
  }

  // --- what is shown --------------------------------------------------------------------------------------------------

  show(shown: Shown): void {
    const { state } = this.control;
    const { steps, colour, layout } = this;
    steps.value = String(state.depth);
    steps.disabled = state.work === null;
    steps.title = state.work === null ? "Choose a work first" : "How far around the current work";
    colour.value = colourOf(state);
    colour.options[0].disabled = !state.depth;
    layout.value = layoutOf(state);
    layout.options[0].disabled = !state.depth;
    this.implied.checked = state.implied;
    this.implied.disabled = !this.model.file.implied.length;
    this.path.checked = state.path;
    this.path.disabled = this.model.file.main_path.length < 2;
    this.showLegend();
    this.status.replaceChildren(this.sentence(shown));
    if (this.narrowed()) {
      const all = element("button", "zoo-graph__all", "Show all groups");
      all.type = "button";
      all.addEventListener("click", () => {
        this.control.change({ only: {} });
        this.legend.querySelector("button")?.focus();
      });
      this.status.append(" ", all);
    }
    this.showDetails(shown);
  }

  private narrowed(): boolean {
    return Object.values(this.control.state.only).some((ids) => ids?.length);
  }

  private sentence(shown: Shown): string {
    const { state } = this.control;
    const parts: string[] = [];
    if (state.depth) {
      const { label } = this.model.works[this.model.index.get(state.work!)!];
      const { citing, cited, both, tied } = shown.sides;
      parts.push(
        `Up to ${plural(state.depth, "citation")} from ${label}: ${plural(citing, "work cites", "works cite")} it and ` +
          `${cited.toLocaleString("en")} ${cited === 1 ? "is" : "are"} cited by it` +
          (both ? `, ${both.toLocaleString("en")} both` : "") +
          (state.depth > 1 ? ", directly or through others" : "") +
          (tied ? `; ${tied.toLocaleString("en")} ${tied === 1 ? "is" : "are"} related otherwise` : "") +
          ".",
      );
      if (shown.works < shown.candidates) parts.push(`${plural(shown.works, "work")} of them shown.`);
    } else if (shown.works < shown.candidates) {
      const of = this.model.file.edges.length.toLocaleString("en");
      parts.push(
        `${shown.works.toLocaleString("en")} of ${plural(shown.candidates, "work")}, ` +
          `${shown.edges.toLocaleString("en")} of ${of} citations.`,
      );
    } else parts.push(`All ${plural(shown.works, "work")} and ${plural(shown.edges, "citation")}.`);
    const groups = Object.entries(state.only).flatMap(([mode, ids]) =>
      (ids ?? []).map((id) => this.control.grouping(mode as Mode)?.groups.find((group) => group.id === id)?.name ?? id),
    );
    if (groups.length) parts.push(`Only ${groups.join(", ")}.`);
    if (state.implied) parts.push(`${plural(shown.implied, "declared relation")}, dashed: not citations.`);
    if (state.path) parts.push(`${plural(shown.path, "step")} of the main path.`);
    return parts.join(" ");
  }

  private showLegend(): void {
    const { control } = this;
    const { mode, state } = control;
    const grouping = control.grouping(mode);
    const chosen = state.only[mode] ?? [];
    const list = element("ul", "zoo-graph__groups");
    for (const { id, name, colour, count } of grouping?.groups ?? []) {
      const swatch = element("span", `zoo-graph__swatch${mode === "role" ? ` zoo-graph__swatch--${id}` : ""}`);
      swatch.style.setProperty("--zoo-swatch", `var(${colour})`);
      const number = element("span", "zoo-graph__count", count.toLocaleString("en"));
      if (mode === "role" && id === "current") {
        list.append(element("li", "zoo-graph__key", swatch, name));
        continue;
      }
      const button = element("button", "", swatch, name, " ", number);
      button.type = "button";
      button.dataset.group = id;
      button.setAttribute("aria-pressed", String(chosen.includes(id)));
      button.addEventListener("click", () => {
        control.toggle(mode, id);
        this.legend.querySelector<HTMLElement>(`[data-group="${CSS.escape(id)}"]`)?.focus();
      });
      list.append(element("li", "", button));
    }
    const keys: [string, string, string][] = [];
    if (state.work !== null && mode !== "role") {
      for (const role of ["current", "citing", "cited"] as const) keys.push([role, ROLES[role].name, state.depth ? "" : ROLES[role].colour]);
    }
    if (state.implied) keys.push(["dashed", "Declared relation, not a citation", "--zoo-graph-implied"]);
    if (state.path) keys.push(["path", "Main path", "--zoo-graph-path"]);
    for (const [kind, name, colour] of keys) {
      const swatch = element("span", `zoo-graph__swatch zoo-graph__swatch--${kind}`);
      if (colour) swatch.style.setProperty("--zoo-swatch", `var(${colour})`);
      list.append(element("li", "zoo-graph__key", swatch, name));
    }
    if (mode === "community" && this.model.file.communities.length > PALETTE_SIZE) {
      list.append(element("li", "zoo-graph__key", `Colours repeat after ${PALETTE_SIZE}`));
    }
    list.setAttribute("aria-label", "Legend; a press narrows the drawing to that group");
    this.legend.replaceChildren(list);
  }

  // --- one work -----------------------------------------------------------------------------------------------------

  private showDetails(shown: Shown): void {
    const i = this.control.opened;
    if (i < 0) {
      this.details.replaceChildren(element("p", "zoo-muted", "No work is chosen. Click one, or jump to it by name."));
      return;
    }
    const { model, control, base } = this;
    const work = model.works[i];
    const { state } = control;
    const title = element("a", "", work.title);
    title.href = base + work.url;
    const links: HTMLElement[] = [];
    const link = (text: string, address: string, outside = false) => {
      const made = element("a", "", text);
      made.href = address;
      if (outside) made.rel = "noopener external";
      links.push(made);
    };
    if (work.entry !== null) link(`Entry ${work.label}`, base + work.url);
    link("This work's page", `${base}works/${encodeURIComponent(work.id)}/`);
    if (work.arxiv) link(`arXiv:${work.arxiv}`, `https://arxiv.org/abs/${work.arxiv}`, true);
    if (work.doi) link("DOI", `https://doi.org/${work.doi}`, true);
    const row = element("p", "zoo-graph__links");
    for (const made of links) row.append(made, " ");
    const go = element("button", "zoo-graph__go", "");
    go.type = "button";
    if (state.depth && state.work === work.id) {
      go.textContent = "Back to the whole graph";
      go.addEventListener("click", () => control.whole());
    } else {
      go.textContent = "Show its neighbourhood";
      go.addEventListener("click", () => control.around(i));
    }
    row.append(go);
    const groups = (["family", "community", "survey"] as const).flatMap((mode) => {
      const grouping = model.groupings.get(mode)!;
      const ids = grouping.of(i).filter((id) => id !== "none" && id !== "several");
      const names = ids.map((id) => grouping.groups.find((group) => group.id === id)!.name);
      return names.length ? [`${grouping.name}: ${names.join(", ")}`] : [];
    });
    const step = state.depth && state.open !== null ? shown.steps?.get(i) : undefined;
    this.details.replaceChildren(
      element("p", "zoo-graph__title", title),
      element(
        "p",
        "",
        `${work.authors}, ${work.year}. Cited by ${model.citing[i].length} of these works, cites ${model.cited[i].length} of them.` +
          (step ? ` ${plural(Math.abs(step), "citation")} away from ${model.works[model.index.get(state.work!)!].label}.` : ""),
      ),
      ...(groups.length ? [element("p", "zoo-muted", groups.join(" · "))] : []),
      row,
      this.neighbours("Cited by", model.citing[i], "citing"),
      this.neighbours("Cites", model.cited[i], "cited"),
      ...(model.ties[i].length ? [this.tied(model.ties[i])] : []),
    );
  }

  private neighbours(label: string, works: number[], kind: string): HTMLElement {
    const { model } = this;
    const sorted = [...works].sort((a, b) => model.works[a].year - model.works[b].year || a - b);
    return this.list(label, kind, sorted.map((i) => [i, `${model.works[i].label} (${model.works[i].year})`]));
  }

  private tied(ties: Tie[]): HTMLElement {
    const text = ({ other, type, declares }: Tie) => {
      const [name, says] = [this.model.works[other].label, TIES[type] ?? type.replaceAll("_", " ")];
      return declares ? `${says} ${name}` : `${name} ${says} it`;
    };
    return this.list("Related, not by citation", "tied", ties.map((tie) => [tie.other, text(tie)]));
  }

  private list(label: string, kind: string, items: [number, string][]): HTMLElement {
    const box = element("details", `zoo-graph__neighbours zoo-graph__neighbours--${kind}`);
    box.open = items.length > 0 && items.length <= OPEN_LISTS;
    const list = element("ul");
    for (const [work, text] of items) {
      const button = element("button", "", text);
      button.type = "button";
      button.title = this.model.works[work].title;
      button.addEventListener("click", () => this.control.jump(work));
      list.append(element("li", "", button));
    }
    const swatch = element("span", `zoo-graph__swatch zoo-graph__swatch--${kind}`);
    swatch.style.setProperty("--zoo-swatch", `var(${ROLES[kind as Role].colour})`);
    box.append(element("summary", "", swatch, `${label} (${items.length})`), list);
    return box;
  }

  // --- what is said -------------------------------------------------------------------------------------------------

  /** Title, authors and year beside the pointer; none for -1. */
  tip(work: number, x: number, y: number): void {
    const { bubble, canvas } = this;
    canvas.style.cursor = work < 0 ? "grab" : "pointer";
    bubble.hidden = work < 0;
    if (work < 0) return;
    const { title, authors, year } = this.model.works[work];
    bubble.replaceChildren(element("strong", "", title), element("span", "", `${authors}, ${year}`));
    const left = Math.max(4, Math.min(x + 14, canvas.clientWidth - bubble.offsetWidth - 4));
    const below = y + 18 + bubble.offsetHeight <= canvas.clientHeight;
    bubble.style.transform = `translate(${left}px, ${below ? y + 18 : Math.max(0, y - 18 - bubble.offsetHeight)}px)`;
  }

  say(text: string): void {
    this.live.textContent = text;
  }

  /** Tells a screen reader where the keyboard's cursor is. */
  announce(work: number): void {
    const { label, title, authors, year } = this.model.works[work];
    const { state } = this.control;
    const name = label === title ? title : `${label}: ${title}`;
    const counts = `cited by ${this.model.citing[work].length}, cites ${this.model.cited[work].length}`;
    const centre = state.work === null ? -1 : this.model.index.get(state.work)!;
    const ties = [];
    if (work === centre) ties.push("the current work");
    else if (centre >= 0) {
      if (this.model.cited[work].includes(centre)) ties.push(`cites ${this.model.works[centre].label}`);
      if (this.model.citing[work].includes(centre)) ties.push(`cited by ${this.model.works[centre].label}`);
    }
    this.say([`${name}, ${authors}, ${year}`, counts, ...ties].join("; ") + ".");
  }
}
