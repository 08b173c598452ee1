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

const USUAL = 760; // width until the box has one
const NARROW = 520; // a box below this gets small margins, as in the style sheet
const LINE = 15; // from one line of an axis title to the next
const LETTER = 6.4; // width of a letter of an axis title, about
const CLOSE = 0.02; // sizes that differ by less are one size
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

/** The limit of an axis as far as it helps: none where it would push more than a third of the dots to the edge. */
export function usefulLimit(limit: number | null | undefined, dots: CurveDot[]): number {
  const beyond = limit ? dots.filter((dot) => dot.y > limit).length : 0;
  return limit && beyond <= dots.length / 3 ? limit : Infinity;
}

/** Puts a legend and the drawing of `series` into `element`, in place of what it held. The drawing has the width of its box,
 * and its axes those of the series that are shown. */
export function drawCurves(element: HTMLElement, series: CurveSeries[], options: CurveOptions): void {
  const placed = series.map((one, place) => ({ ...one, nth: one.nth ?? place }));
  const legend = placed.map(
    (one) => `<li><span class="zoo-chip" data-series="${escaped(one.id)}">${seriesMark(one.nth)}${escaped(one.name)}</span></li>`,
  );
  element.innerHTML =
    `<ul class="zoo-picks zoo-plot-legend" aria-label="Series">${legend.join("")}</ul>` +
    `<div class="zoo-plot-box" tabindex="0" role="group" aria-label="Curves">${picture(placed, options, USUAL)}</div>`;
  const box = element.querySelector<HTMLElement>(".zoo-plot-box")!;
  let [shown, width] = [placed, USUAL];
  const draw = () => (box.innerHTML = picture(shown, options, width));
  const reader = readPlot(box, (hidden) => {
    const left = placed.filter(({ id }) => !hidden.has(id));
    shown = left.length ? left : placed;
    draw();
  });
  new ResizeObserver(() => {
    const now = Math.round(box.clientWidth);
    if (!now || Math.abs(now - width) < 4) return;
    width = now;
    draw();
    reader?.refresh();
  }).observe(box);
}

type Placed = CurveSeries & { nth: number };

function picture(series: Placed[], options: CurveOptions, width: number): string {
  const narrow = width < NARROW;
  const dots = series.flatMap((one) => one.dots);
  const most = usefulLimit(options.limit, dots);
  const room = (width - (narrow ? 0 : 80)) / LETTER;
  const sizes = dots.map((dot) => dot.x);
  const [least, greatest] = [Math.min(...sizes), Math.max(...sizes)];
  const alike = greatest - least <= CLOSE * Math.abs(greatest); // then each series has a column of its own
  const [yTitle, xTitle] = [folded(options.y.title, room), folded(alike ? `${options.x.title.replace(", logarithmic", "")}: ${Number(greatest.toPrecision(6)).toLocaleString("en")} in all` : options.x.title, room)];
  const left = narrow ? 38 : 66;
  const right = width - (narrow ? 10 : 24);
  const top = 19 + LINE * yTitle.length;
  const height = (narrow ? 250 : 330) + top + 30 + LINE * xTitle.length;
  const bottom = height - 30 - LINE * xTitle.length;
  const heights = dots.flatMap((dot) => [dot.y, Math.min(dot.low, most), Math.min(dot.high, most)]);
  if (options.level) heights.push(options.level.y);
  const columns = series.map((_, place) => left + ((place + 0.5) / series.length) * (right - left));
  const x = alike ? null : scale(sizes, options.x.logarithmic, left + 14, right - 14);
  const y = scale(heights.map((value) => Math.min(value, most)), options.y.logarithmic, bottom - 10, top + 12);
  const parts: string[] = [];
  for (const tick of y.ticks) {
    parts.push(`<path class="grid" d="M${left} ${y.at(tick)}H${right}"/>`);
    parts.push(`<text x="${left - 8}" y="${y.at(tick) + 4}" text-anchor="end">${label(tick)}</text>`);
  }
  const across: [number, string][] = x ? x.ticks.map((tick) => [x.at(tick), label(tick)]) : series.map((one, place) => [columns[place], one.name]);
  const apart = narrow ? 34 : 44;
  let last = -Infinity;
  for (const [at, text] of across) {
    parts.push(`<path class="grid" d="M${at} ${top}V${bottom}"/>`);
    if (x && at - last < apart) continue;
    last = at;
    parts.push(`<text x="${at}" y="${bottom + 18}" text-anchor="middle">${escaped(text)}</text>`);
  }
  parts.push(axis(yTitle, narrow ? 0 : left, 15, "start"));
  parts.push(axis(xTitle, right, height - 8 - LINE * (xTitle.length - 1), "end"));
  if (options.level) parts.push(`<path class="dense" d="M${left} ${y.at(options.level.y)}H${right}"/>`);
  const taken: [number, number][] = [];
  /** Where a dot can be seen that others would cover: beside them. */
  const free = (at: number, down: number): number => {
    const [step, near] = x ? [8, 5] : [13, 12]; // where left and right mean something, only what would be hidden moves
    const spots = [0, 1, -1, 2, -2, 3, -3, 4, -4].map((steps) => at + steps * step);
    const spot = spots.find((one) => !taken.some(([a, b]) => Math.abs(a - one) < near && Math.abs(b - down) < near)) ?? at;
    taken.push([spot, down]);
    return spot;
  };
  series.forEach((one, place) => {
    const own = `data-series="${escaped(one.id)}" data-nth="${one.nth % SHAPES.length}"`;
    const sorted = [...one.dots].sort((a, b) => a.x - b.x || Number(b.declared) - Number(a.declared));
    const places = sorted.map((dot) => {
      const down = y.at(Math.min(dot.y, most));
      return { dot, down, at: Math.round(free(x ? x.at(dot.x) : columns[place], down) * 10) / 10 };
    });
    if (x && one.joined && sorted.length > 1) {
      parts.push(`<path class="line" ${own} d="M${places.map(({ at, down }) => `${at} ${down}`).join("L")}"/>`);
    }
    for (const { dot, at, down } of places) {
      const beyond = dot.y > most;
      const bar = dot.high > dot.low && !beyond
        ? `<path class="spread" d="M0 ${y.at(Math.min(dot.high, most)) - down}V${y.at(dot.low) - down}"/>`
        : "";
      const arrow = beyond ? `<path class="beyond" d="M-3 ${-DOT - 2}l3 -5l3 5"/>` : "";
      parts.push(
        `<g class="dot ${dot.declared ? "declared" : "sweep"}" ${own} transform="translate(${at} ${down})">${bar}` +
          `<path class="shape" d="${SHAPES[one.nth % SHAPES.length]}"/>${arrow}<title>${escaped(dot.note)}</title></g>`,
      );
    }
  });
  return (
    `<svg class="zoo-plot zoo-scatter zoo-curves" viewBox="0 0 ${width} ${height}" role="img" ` +
    `aria-label="${escaped(options.title)}" data-area="${left} ${top} ${right} ${bottom}">${parts.join("")}</svg>`
  );
}

/** The lines of an axis title; parts between commas stay whole. */
function folded(title: string, room: number): string[] {
  const lines: string[] = [];
  for (const part of title.split(", ")) {
    const now = lines.at(-1);
    if (now !== undefined && now.length + part.length + 2 <= room) lines[lines.length - 1] = `${now}, ${part}`;
    else {
      if (now !== undefined) lines[lines.length - 1] += ",";
      lines.push(part);
    }
  }
  return lines;
}

function axis(lines: string[], x: number, y: number, anchor: string): string {
  const spans = lines.map((line, nth) => `<tspan x="${x}" dy="${nth ? LINE : 0}">${escaped(line)} </tspan>`);
  return `<text class="axis" x="${x}" y="${y}" text-anchor="${anchor}">${spans.join("")}</text>`;
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
