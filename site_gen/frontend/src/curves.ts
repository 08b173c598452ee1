// Draws curves of one to four series over the same axes, in the look of the drawings that the build makes, and has
// plots.ts read them out. For pages that learn only in the browser what is to be drawn.

import { readPlot } from "./plots";

/** `note`: what the reader is told of a dot, lines apart by "\n", the first the name of what it is. */
export interface CurveDot {
  x: number;
  y: number;
  low: number;
  high: number;
  declared: boolean;
  note: string;
}

/** `joined`: a line through the dots means something. `nth`: which mark and colour, by default the place in the list. */
export interface CurveSeries {
  id: string;
  name: string;
  nth?: number;
  joined: boolean;
  dots: CurveDot[];
}

export interface CurveAxis {
  title: string;
  logarithmic: boolean;
}

/** `limit`: greatest y that is drawn; dots above stand at the edge with an arrow. `level`: a line, such as 1 for ratios. */
export interface CurveOptions {
  title: string;
  x: CurveAxis;
  y: CurveAxis;
  limit?: number | null;
  level?: { y: number; name: string };
}

const WIDTH = 760;
const HEIGHT = 420;
const [LEFT, RIGHT, TOP, BOTTOM] = [66, 24, 34, 54];
const DOT = 6.5; // half the height of a mark
const SHAPES = [
  "M-5 0A5 5 0 1 1 5 0A5 5 0 1 1 -5 0Z",
  "M-4.5 -4.5H4.5V4.5H-4.5Z",
  "M0 -6L5.6 4.4H-5.6Z",
  "M0 -6.2L6.2 0L0 6.2L-6.2 0Z",
];

/** The mark of a series in text, as HTML. */
export function seriesMark(nth: number): string {
  return (
    `<svg class="zoo-shape" viewBox="-8 -8 16 16" aria-hidden="true" data-nth="${nth % SHAPES.length}">` +
    `<path d="${SHAPES[nth % SHAPES.length]}"/></svg>`
  );
}

/** Puts a legend and the drawing of `series` into `element`, in place of what it held. */
export function drawCurves(element: HTMLElement, series: CurveSeries[], options: CurveOptions): void {
  const dots = series.flatMap((one) => one.dots);
  const most = options.limit ?? Infinity;
  const heights = dots.flatMap((dot) => [dot.y, Math.min(dot.low, most), Math.min(dot.high, most)]);
  if (options.level) heights.push(options.level.y);
  const x = scale(dots.map((dot) => dot.x), options.x.logarithmic, LEFT + 14, WIDTH - RIGHT - 14);
  const y = scale(heights.map((value) => Math.min(value, most)), options.y.logarithmic, HEIGHT - BOTTOM - 10, TOP + 12);
  const parts: string[] = [];
  for (const tick of y.ticks) {
    parts.push(`<path class="grid" d="M${LEFT} ${y.at(tick)}H${WIDTH - RIGHT}"/>`);
    parts.push(`<text x="${LEFT - 8}" y="${y.at(tick) + 4}" text-anchor="end">${label(tick)}</text>`);
  }
  for (const tick of x.ticks) {
    parts.push(`<path class="grid" d="M${x.at(tick)} ${TOP}V${HEIGHT - BOTTOM}"/>`);
    parts.push(`<text x="${x.at(tick)}" y="${HEIGHT - BOTTOM + 18}" text-anchor="middle">${label(tick)}</text>`);
  }
  parts.push(`<text class="axis" x="${LEFT}" y="15">${escaped(options.y.title)}</text>`);
  parts.push(`<text class="axis" x="${WIDTH - RIGHT}" y="${HEIGHT - 10}" text-anchor="end">${escaped(options.x.title)}</text>`);
  if (options.level) parts.push(`<path class="dense" d="M${LEFT} ${y.at(options.level.y)}H${WIDTH - RIGHT}"/>`);
  series.forEach((one, place) => {
    const nth = one.nth ?? place;
    const own = `data-series="${escaped(one.id)}" data-nth="${nth % SHAPES.length}"`;
    const sorted = [...one.dots].sort((a, b) => a.x - b.x);
    if (one.joined && sorted.length > 1) {
      const path = sorted.map((dot) => `${x.at(dot.x)} ${y.at(Math.min(dot.y, most))}`).join("L");
      parts.push(`<path class="line" ${own} d="M${path}"/>`);
    }
    for (const dot of sorted) {
      const [left, top] = [x.at(dot.x), y.at(Math.min(dot.y, most))];
      const beyond = dot.y > most;
      const bar = dot.high > dot.low && !beyond
        ? `<path class="spread" d="M0 ${y.at(Math.min(dot.high, most)) - top}V${y.at(dot.low) - top}"/>`
        : "";
      const arrow = beyond ? `<path class="beyond" d="M-3 ${-DOT - 2}l3 -5l3 5"/>` : "";
      parts.push(
        `<g class="dot ${dot.declared ? "declared" : "sweep"}" ${own} transform="translate(${left} ${top})">${bar}` +
          `<path class="shape" d="${SHAPES[nth % SHAPES.length]}"/>${arrow}<title>${escaped(dot.note)}</title></g>`,
      );
    }
  });
  const legend = series.map(
    (one, place) =>
      `<li><span class="zoo-chip" data-series="${escaped(one.id)}">${seriesMark(one.nth ?? place)}${escaped(one.name)}</span></li>`,
  );
  element.innerHTML =
    `<ul class="zoo-picks zoo-plot-legend" aria-label="Series">${legend.join("")}</ul>` +
    `<div class="zoo-plot-box" tabindex="0" role="group" aria-label="Curves"><svg class="zoo-plot zoo-scatter zoo-curves" ` +
    `viewBox="0 0 ${WIDTH} ${HEIGHT}" role="img" aria-label="${escaped(options.title)}" ` +
    `data-area="${LEFT} ${TOP} ${WIDTH - RIGHT} ${HEIGHT - BOTTOM}">${parts.join("")}</svg></div>`;
  readPlot(element.querySelector<HTMLElement>(".zoo-plot-box")!);
}

interface Scale {
  at: (value: number) => number;
  ticks: number[];
}

/** Values to places between `start` and `end`, and round values among them. */
function scale(values: number[], logarithmic: boolean, start: number, end: number): Scale {
  let [low, high] = [Math.min(...values), Math.max(...values)];
  const log = logarithmic && low > 0;
  if (log && high < low * 1.1) [low, high] = [low / 1.05, high * 1.05];
  else if (high <= low) [low, high] = [low - 0.5, high + 0.5];
  const turn = log ? Math.log : (value: number) => value;
  const [from, to] = [turn(low), turn(high)];
  const at = (value: number) => Math.round((start + ((turn(value) - from) / (to - from)) * (end - start)) * 10) / 10;
  let ticks = even(low, high);
  if (log && high / low > 3) {
    const powers = Array.from({ length: 24 }, (_, i) => 10 ** (i - 10));
    const fine = high / low < 30 ? [1, 1.5, 2, 3, 4, 5, 7] : [1, 2, 5];
    ticks = powers.flatMap((power) => fine.map((step) => step * power)).filter((tick) => tick >= low * 0.999 && tick <= high * 1.001);
    if (ticks.length > 9) ticks = ticks.filter((tick) => Number.isInteger(Math.round(Math.log10(tick) * 1e6) / 1e6));
  }
  return { at, ticks };
}

function even(low: number, high: number): number[] {
  const rough = (high - low) / 5;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 2.5, 5, 10].map((factor) => factor * power).find((size) => size >= rough * 0.999)!;
  const ticks: number[] = [];
  for (let i = Math.ceil(low / step - 1e-9); i * step <= high + step * 1e-9; i += 1) ticks.push(i * step);
  return ticks;
}

function label(value: number): string {
  return Number(value.toPrecision(3)).toLocaleString("en", { maximumSignificantDigits: 3 });
}

function escaped(text: string): string {
  return text.replace(/[&<>"]/g, (sign) => ({ "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;" })[sign]!);
}
