// Reads plots out: a pointer, a finger or the arrow keys show what stands at the nearest mark; legends hide series.
//
// The SVG brings all that is needed. A mark is any element inside it with a <title>: its first line is what it is, the
// others what was measured. A level, [data-level], has a title too and is told along with every mark. svg[data-area="left
// top right bottom"] gets a cross through the mark, and with data-read="x" the mark that is nearest from left to right
// counts. [data-series] in the figure's legend becomes a button for the elements of the drawing with the same value; what
// is hidden stands in the address, ?hide=baseline. A box may hold the same plot at several sizes, of which the style sheet
// shows one.

const REACH = 36; // pixels between a pointer and a mark that it still means
const GAP = 12; // pixels between a mark and its note
const PARAMETER = "hide";

interface Mark {
  element: SVGElement;
  x: number; // in units of the drawing
  y: number;
  lines: string[];
}

/** Serves every plot of the page. */
export function startPlots(): void {
  for (const box of document.querySelectorAll<HTMLElement>(".zoo-plot-box")) readPlot(box);
  for (const table of document.querySelectorAll<HTMLTableElement>("table.zoo-heat")) markCross(table);
}

/** Serves the drawings in `box`, and the legend where their figure has one. `choose` is told which series are hidden, before
 * the drawings are read anew; `refresh` of what is returned reads them anew at any time. */
export function readPlot(box: HTMLElement, choose?: (hidden: Set<string>) => void): Reader | null {
  return box.querySelector("svg.zoo-plot") ? new Reader(box, choose) : null;
}

/** One size of a plot: its marks, and the cross through the one that is read. */
class Drawing {
  readonly marks: Mark[];
  readonly levels: { element: SVGElement; line: string }[];
  readonly cross = document.createElementNS("http://www.w3.org/2000/svg", "path");

  constructor(readonly svg: SVGSVGElement) {
    svg.querySelector(":scope > title")?.remove(); // aria-label says it; a title would pop up over ours
    const told = [...svg.querySelectorAll("title")].map((title) => {
      const element = title.parentElement as unknown as SVGElement;
      const lines = title.textContent!.split("\n");
      title.remove();
      return { element, lines };
    });
    this.levels = told
      .filter(({ element }) => "level" in element.dataset)
      .map(({ element, lines }) => ({ element, line: lines.join(" ") }));
    this.marks = told
      .filter(({ element }) => !("level" in element.dataset))
      .map(({ element, lines }) => ({ element, lines, ...place(element) }))
      .sort((a, b) => a.x - b.x || b.y - a.y);
    this.cross.setAttribute("class", "cross");
    this.cross.toggleAttribute("hidden", true);
    svg.append(this.cross);
  }

  get isShown(): boolean {
    return this.svg.getClientRects().length > 0;
  }
}

export class Reader {
  private drawings: Drawing[];
  private readonly around: HTMLElement;
  private readonly tip = document.createElement("div");
  private readonly status = document.createElement("p");
  private shown: Mark | null = null;
  private readonly hidden = new Set(new URLSearchParams(location.search).get(PARAMETER)?.split(",") ?? []);
  private buttons: HTMLButtonElement[] = [];

  constructor(
    private readonly box: HTMLElement,
    private readonly choose?: (hidden: Set<string>) => void,
  ) {
    this.drawings = this.found();
    this.around = box.parentElement!;
    this.around.classList.add("zoo-plot-around");
    this.tip.className = "zoo-plot-tip";
    this.tip.hidden = true;
    this.tip.setAttribute("aria-hidden", "true"); // the status says the same
    this.status.className = "zoo-status";
    this.status.setAttribute("role", "status");
    this.around.append(this.tip, this.status);
    if (!this.drawings[0].marks.length) return;
    box.setAttribute("aria-label", `${box.getAttribute("aria-label") ?? "Plot"}, the arrow keys read its values`);
    box.addEventListener("pointermove", (event) => this.point(event));
    box.addEventListener("pointerdown", (event) => this.point(event));
    box.addEventListener("pointerleave", (event) => event.pointerType === "mouse" && this.show(null));
    box.addEventListener("keydown", (event) => this.key(event));
    box.addEventListener("blur", () => this.show(null));
    box.addEventListener("scroll", () => this.show(null), { passive: true });
    this.startLegend();
  }

  /** After the box got other drawings of the same series. */
  refresh(): void {
    this.renew();
    this.apply();
  }

  private renew(): void {
    this.show(null);
    this.drawings = this.found();
  }

  private found(): Drawing[] {
    return [...this.box.querySelectorAll<SVGSVGElement>("svg.zoo-plot")].map((svg) => new Drawing(svg));
  }

  /** The size that the style sheet shows. */
  private get drawing(): Drawing {
    return this.drawings.find((one) => one.isShown) ?? this.drawings[0];
  }

  private get visible(): Mark[] {
    return this.drawing.marks.filter(({ element }) => !element.closest("[hidden]"));
  }

  private point(event: PointerEvent): void {
    const inside = event.target as Element;
    const direct = this.drawing.marks.find(({ element }) => element.contains(inside));
    this.show(direct ?? this.nearest(event));
  }

  private nearest(event: PointerEvent): Mark | null {
    const { svg } = this.drawing;
    const screen = svg.getScreenCTM();
    if (!screen) return null;
    const { x, y } = new DOMPoint(event.clientX, event.clientY).matrixTransform(screen.inverse());
    const byX = svg.dataset.read === "x";
    const far = (mark: Mark) => (byX ? Math.abs(mark.x - x) + Math.abs(mark.y - y) / 1e4 : Math.hypot(mark.x - x, mark.y - y));
    let best: Mark | null = null;
    for (const mark of this.visible) if (!best || far(mark) < far(best)) best = mark;
    return best && (byX || far(best) * screen.a <= REACH) ? best : null;
  }

  private key(event: KeyboardEvent): void {
    if (event.altKey || event.ctrlKey || event.metaKey) return;
    const marks = this.visible;
    const now = this.shown ? marks.indexOf(this.shown) : -1;
    const next = {
      ArrowRight: Math.min(now + 1, marks.length - 1),
      ArrowLeft: now < 0 ? marks.length - 1 : Math.max(now - 1, 0),
      Home: 0,
      End: marks.length - 1,
    }[event.key];
    if (event.key === "Escape" && this.shown) this.show(null);
    else if (next !== undefined && marks.length) {
      this.bring(marks[next]);
      this.show(marks[next]);
      this.status.textContent = this.lines(marks[next]).join("; ");
    } else return;
    event.preventDefault();
  }

  /** Scrolls a drawing that is wider than its box. */
  private bring(mark: Mark): void {
    const screen = this.drawing.svg.getScreenCTM();
    if (!screen || this.box.scrollWidth <= this.box.clientWidth) return;
    const at = new DOMPoint(mark.x, mark.y).matrixTransform(screen).x;
    const { left, right } = this.box.getBoundingClientRect();
    if (at < left + 40 || at > right - 40) this.box.scrollLeft += at - (left + right) / 2;
  }

  private lines(mark: Mark): string[] {
    const levels = this.drawing.levels.filter(({ element }) => !element.closest("[hidden]")).map(({ line }) => line);
    return [...mark.lines, ...levels];
  }

  private show(mark: Mark | null): void {
    if (mark !== this.shown) {
      this.shown?.element.classList.remove("read");
      mark?.element.classList.add("read");
      this.status.textContent = "";
    }
    this.shown = mark;
    this.tip.hidden = !mark;
    const { svg, cross } = this.drawing;
    const screen = mark && svg.getScreenCTM();
    const area = svg.dataset.area?.split(" ").map(Number);
    for (const one of this.drawings) one.cross.toggleAttribute("hidden", !mark || !area || one.cross !== cross);
    if (!mark || !screen) return;
    if (area) cross.setAttribute("d", `M${mark.x} ${area[1]}V${area[3]}M${area[0]} ${mark.y}H${area[2]}`);
    const [first, ...rest] = this.lines(mark);
    const name = document.createElement("strong");
    name.textContent = first;
    this.tip.replaceChildren(name, ...rest.map((line) => Object.assign(document.createElement("span"), { textContent: line })));
    const frame = this.around.getBoundingClientRect();
    const at = new DOMPoint(mark.x, mark.y).matrixTransform(screen);
    const [x, y] = [at.x - frame.left, at.y - frame.top];
    const { offsetWidth: wide, offsetHeight: tall } = this.tip;
    const left = x + GAP + wide <= frame.width ? x + GAP : Math.max(0, x - GAP - wide);
    this.tip.style.left = `${Math.min(left, Math.max(0, frame.width - wide))}px`;
    this.tip.style.top = `${at.y - GAP - tall > 90 ? y - GAP - tall : y + GAP}px`;
  }

  /** Turns the marked entries of the figure's legend into buttons. */
  private startLegend(): void {
    const legend = this.around.querySelector<HTMLElement>(".zoo-plot-legend");
    if (!legend) return;
    this.buttons = [...legend.querySelectorAll<HTMLElement>("[data-series]")].map((entry) => {
      const button = document.createElement("button");
      button.type = "button";
      for (const { name, value } of entry.attributes) button.setAttribute(name, value);
      button.append(...entry.childNodes);
      entry.replaceWith(button);
      return button;
    });
    const change = () => {
      if (this.choose) {
        this.choose(this.hidden);
        this.renew();
      }
      this.apply();
    };
    for (const button of this.buttons) {
      button.addEventListener("click", () => {
        if (!this.hidden.delete(button.dataset.series!)) this.hidden.add(button.dataset.series!);
        change();
        const address = new URL(location.href);
        if (this.hidden.size) address.searchParams.set(PARAMETER, [...this.hidden].join(","));
        else address.searchParams.delete(PARAMETER);
        history.replaceState(history.state, "", address.href.replaceAll("%2C", ","));
      });
    }
    change();
  }

  /** Shows of the drawings, and says in the legend, what is not hidden. */
  private apply(): void {
    for (const button of this.buttons) button.setAttribute("aria-pressed", String(!this.hidden.has(button.dataset.series!)));
    for (const part of this.box.querySelectorAll<SVGElement>("svg [data-series]")) {
      part.toggleAttribute("hidden", this.hidden.has(part.dataset.series!));
    }
    this.show(null);
  }
}

/** Where a mark stands: where it was moved to, the middle of a circle, or of what it encloses. */
function place(element: SVGElement): { x: number; y: number } {
  const moved = element.getAttribute("transform")?.match(/translate\(([-\d.]+)[ ,]([-\d.]+)\)/);
  if (moved) return { x: Number(moved[1]), y: Number(moved[2]) };
  if (element instanceof SVGCircleElement) return { x: element.cx.baseVal.value, y: element.cy.baseVal.value };
  const { x, y, width, height } = (element as SVGGraphicsElement).getBBox();
  return { x: x + width / 2, y: y + height / 2 };
}

/** Marks the heads of the row and the column of the cell that is pointed at or has the focus. */
function markCross(table: HTMLTableElement): void {
  const heads = [...table.tHead!.rows[0].cells];
  let marked: Element[] = [];
  const mark = (at: Element | null) => {
    const cell = at?.closest("td");
    for (const head of marked) head.classList.remove("read");
    marked = cell ? [cell.parentElement!.firstElementChild!, heads[cell.cellIndex]] : [];
    for (const head of marked) head.classList.add("read");
  };
  for (const kind of ["pointerover", "pointerleave", "focusin", "focusout"]) table.addEventListener(kind, (event) => mark(event.target as Element));
  mark(table.querySelector("td:hover, td:focus-within")); // a reader may have been quicker than this script
}
