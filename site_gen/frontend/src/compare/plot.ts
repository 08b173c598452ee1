// Curves of the chosen entries in one drawing: quality against size or work, or one line an entry where all have one
// size. Drawn from numbers alone; every number also stands in the table beside it.

import type { Axis, Dot } from "./data";

export interface Series {
  name: string;
  place: number; // among the chosen: decides colour and mark
  joined: boolean;
  stale: boolean;
  dots: Dot[];
}

export interface Options {
  x: Axis;
  y: Axis;
  limit: number | null;
  label: string;
}

const NAMESPACE = "http://www.w3.org/2000/svg";
const [WIDE, HIGH, LEFT, RIGHT, TOP, BOTTOM, LINE] = [760, 420, 66, 24, 34, 54, 46];
const STEPS = [1, 2, 2.5, 5, 10];
const SHAPES = [
  "M-5 0A5 5 0 1 1 5 0A5 5 0 1 1 -5 0Z", "M-4.6 -4.6H4.6V4.6H-4.6Z", "M0 -6L5.6 4.4H-5.6Z", "M0 -6.4L6.4 0L0 6.4L-6.4 0Z",
];

function svg(tag: string, attributes: Record<string, string | number>, ...children: (Node | string)[]): SVGElement {
  const element = document.createElementNS(NAMESPACE, tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, String(value));
  element.append(...children);
  return element;
}

/** The mark of the entry at this place, as it stands in drawings. */
export function mark(place: number): SVGElement {
  return svg("svg", { class: "zoo-shape", viewBox: "-8 -8 16 16", "aria-hidden": "true", "data-chosen": place + 1 },
    svg("path", { d: SHAPES[place % SHAPES.length] }));
}

/** Four digits for what is small, groups of three for what is large. */
function number(value: number): string {
  if (value === 0) return "0";
  if (Math.abs(value) >= 10000) return Math.round(value).toLocaleString("en");
  return Math.abs(value) >= 0.001 ? String(Number(value.toPrecision(4))) : value.toExponential(1);
}

class Scale {
  readonly low: number;
  readonly high: number;
  private readonly turn: (value: number) => number;

  constructor(values: number[], private readonly axis: Axis, private readonly start: number, private readonly end: number, most = Infinity) {
    const near = values.map((value) => Math.min(value, most));
    this.turn = axis.logarithmic ? Math.log : Number;
    let [low, high] = [Math.min(...near), Math.max(...near)];
    if (axis.ratio && low < 2 && high > 0.5) [low, high] = [Math.min(low, 1), Math.max(high, 1)]; // the uncompressed model
    if (axis.logarithmic && high < 1.1 * low) [low, high] = [low / 1.05, high * 1.05];
    else if (high <= low) [low, high] = [low - 0.5, high + 0.5];
    [this.low, this.high] = [low, high];
  }

  at(value: number): number {
    const [low, high] = [this.turn(this.low), this.turn(this.high)];
    return this.start + ((this.turn(Math.min(value, this.high)) - low) / (high - low)) * (this.end - this.start);
  }

  /** Round values inside; on a logarithmic axis those that stand at least `apart` from the others, the roundest first. */
  ticks(apart: number): number[] {
    const rough = (this.high - this.low) / 6;
    const power = 10 ** Math.floor(Math.log10(rough));
    const step = power * (STEPS.find((factor) => power * factor >= rough * 0.999) ?? 10);
    const even: number[] = [];
    for (let i = Math.ceil(this.low / step - 1e-9); i <= this.high / step + 1e-9; i += 1) even.push(Number((i * step).toFixed(10)));
    if (!this.axis.logarithmic) return even;
    const kept: number[] = [];
    for (const lead of [1, 5, 2, 3, 1.5, 4, 7, 6, 8, 1.2, 2.5, 1.1]) {
      for (let power = Math.floor(Math.log10(this.low)); power <= Math.log10(this.high); power += 1) {
        const tick = lead * 10 ** power;
        const fits = tick >= this.low * 0.999 && tick <= this.high * 1.001;
        if (fits && kept.every((other) => Math.abs(this.at(tick) - this.at(other)) >= apart)) kept.push(tick);
      }
    }
    return kept.length > 2 ? kept.sort((a, b) => a - b) : even;
  }
}

/** Draws the series into `element`. Returns how many dots lie past the limit, which are drawn at the edge. */
export function drawCurves(element: HTMLElement, series: Series[], options: Options): number {
  const dots = series.flatMap((one) => one.dots);
  const strip = new Set(dots.map((dot) => dot.x.toPrecision(6))).size === 1;
  element.replaceChildren(strip ? drawStrip(series, options) : drawScatter(series, options));
  return options.limit === null ? 0 : dots.filter((dot) => dot.y > options.limit!).length;
}

function opened(high: number, label: string): SVGElement {
  return svg("svg", { class: "zoo-plot zoo-curves", viewBox: `0 0 ${WIDE} ${high}`, role: "img", "aria-label": label });
}

function text(content: string, attributes: Record<string, string | number>): SVGElement {
  return svg("text", attributes, content);
}

function drawScatter(series: Series[], { x: across, y: upward, limit, label }: Options): SVGElement {
  const dots = series.flatMap((one) => one.dots);
  const x = new Scale(dots.map((dot) => dot.x), across, LEFT + 14, WIDE - RIGHT - 14);
  const y = new Scale(dots.map((dot) => dot.y), upward, HIGH - BOTTOM - 10, TOP + 12, limit ?? Infinity);
  const root = opened(HIGH, label);
  for (const tick of y.ticks(26)) {
    root.append(svg("path", { class: "grid", d: `M${LEFT} ${y.at(tick)}H${WIDE - RIGHT}` }),
      text(number(tick), { x: LEFT - 8, y: y.at(tick) + 4, "text-anchor": "end" }));
  }
  for (const tick of x.ticks(46)) {
    root.append(svg("path", { class: "grid", d: `M${x.at(tick)} ${TOP}V${HIGH - BOTTOM}` }),
      text(number(tick), { x: x.at(tick), y: HIGH - BOTTOM + 18, "text-anchor": "middle" }));
  }
  if (upward.ratio && y.low <= 1 && y.high >= 1) {
    root.append(svg("path", { class: "dense", d: `M${LEFT} ${y.at(1)}H${WIDE - RIGHT}` }));
  }
  root.append(text(upward.title, { class: "axis", x: LEFT, y: 15 }),
    text(across.title, { class: "axis", x: WIDE - RIGHT, y: HIGH - 10, "text-anchor": "end" }));
  for (const one of series) {
    const group = svg("g", { class: one.stale ? "stale" : "", "data-chosen": one.place + 1 });
    if (one.joined) {
      const steps = one.dots.map((dot, i) => `${i ? "L" : "M"}${x.at(dot.x).toFixed(1)} ${y.at(dot.y).toFixed(1)}`);
      group.append(svg("path", { class: "line", d: steps.join("") }));
    }
    for (const dot of one.dots) {
      const shape = placed(dot, one.place, x.at(dot.x), y.at(dot.y), dot.y > y.high, "M-3 -9l3 -5l3 5");
      if (dot.high > dot.low && dot.y <= y.high) {
        const reach = (value: number) => (y.at(value) - y.at(dot.y)).toFixed(1);
        shape.prepend(svg("path", { class: "spread", d: `M0 ${reach(dot.high)}V${reach(Math.max(dot.low, y.low))}` }));
      }
      group.append(shape);
    }
    root.append(group);
  }
  root.append(...names(series, x, y));
  return root;
}

function drawStrip(series: Series[], { y: upward, limit, label }: Options): SVGElement {
  const high = TOP / 2 + LINE * series.length + BOTTOM;
  const dots = series.flatMap((one) => one.dots);
  const y = new Scale(dots.map((dot) => dot.y), upward, RIGHT + 14, WIDE - RIGHT - 14, limit ?? Infinity);
  const root = opened(high, label);
  for (const tick of y.ticks(52)) {
    root.append(svg("path", { class: "grid", d: `M${y.at(tick)} ${TOP / 2}V${high - BOTTOM}` }),
      text(number(tick), { x: y.at(tick), y: high - BOTTOM + 18, "text-anchor": "middle" }));
  }
  series.forEach((one, i) => {
    const middle = TOP / 2 + LINE * (i + 0.7);
    const group = svg("g", { class: one.stale ? "stale" : "", "data-chosen": one.place + 1 });
    group.append(svg("path", { class: "grid", d: `M${RIGHT} ${middle}H${WIDE - RIGHT}` }),
      text(one.name, { class: "name", x: RIGHT, y: middle - 13 }),
      ...one.dots.map((dot) => placed(dot, one.place, y.at(dot.y), middle, dot.y > y.high, "M9 -3l5 3l-5 3")));
    root.append(group);
  });
  root.append(text(upward.title, { class: "axis", x: WIDE - RIGHT, y: high - 10, "text-anchor": "end" }));
  return root;
}

function placed(dot: Dot, place: number, left: number, top: number, outside: boolean, arrow: string): SVGElement {
  const shape = svg("g", { class: dot.declared ? "dot declared" : "dot", transform: `translate(${left.toFixed(1)} ${top.toFixed(1)})` },
    svg("path", { class: "shape", d: SHAPES[place % SHAPES.length] }), svg("title", {}, dot.note));
  if (outside) shape.append(svg("path", { class: "beyond", d: arrow }));
  return shape;
}

/** The name of each series beside one of its dots, where it covers no dot and no other name; the heads have them all. */
function names(series: Series[], x: Scale, y: Scale): SVGElement[] {
  const places = series.flatMap((one) => one.dots.map((dot): [number, number] => [x.at(dot.x), y.at(dot.y)]));
  const boxes = places.map(([left, top]) => [left - 6, top - 6, left + 6, top + 6]);
  const found: SVGElement[] = [];
  for (const one of series) {
    const wide = 7.2 * one.name.length;
    for (const dot of [...one.dots].reverse()) {
      const [left, top] = [x.at(dot.x), y.at(dot.y)];
      const spots = [[left + 10, top - 8, "start"], [left - 10, top - 8, "end"], [left + 10, top + 14, "start"], [left - 10, top + 14, "end"]] as const;
      const spot = spots.find(([at, base, anchor]) => {
        const from = anchor === "start" ? at : at - wide;
        const box = [from, base - 11, from + wide, base + 3];
        const inside = box[0] > LEFT && box[2] < WIDE - 4 && box[1] > TOP - 8 && box[3] < HIGH - BOTTOM;
        return inside && boxes.every((other) => box[0] > other[2] || other[0] > box[2] || box[1] > other[3] || other[1] > box[3]);
      });
      if (!spot) continue;
      const [at, base, anchor] = spot;
      const from = anchor === "start" ? at : at - wide;
      boxes.push([from, base - 11, from + wide, base + 3]);
      found.push(text(one.name, { class: "name", "data-chosen": one.place + 1, x: at, y: base, "text-anchor": anchor }));
      break;
    }
  }
  return found;
}
