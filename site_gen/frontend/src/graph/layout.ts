// Where works stand: on the map that was computed at build time, on an axis of time, or in steps around one work.
// Every layout depends on the data and the shape of the canvas alone, and takes n log n time.

import type { Grouping, Model, Surroundings } from "./data";

/** Positions by number of the work; those of works that are not shown are not set. */
export interface Layout {
  x: Float64Array;
  y: Float64Array;
  axis: Axis | null;
  gap: number; // between neighbours in rows and columns; Infinity on the map, which knows none
}

/** Years from left to right, each a band from `from` to `to`, and lanes from top to bottom. Years without works that
 * follow each other share a band; `last` is the last year of a band. */
export interface Axis {
  years: { year: number; last: number; from: number; to: number }[];
  lanes: { id: string; name: string; from: number; to: number }[];
}

const EMPTY_YEAR = 0.35; // width of a year without works, in columns
const EMPTY_RUN = 1.2; // most that several such years in a row take together
const GAP = 1.2; // between lanes and between steps, in rows and columns

export function onMap(model: Model): Layout {
  return {
    x: Float64Array.from(model.works, (work) => work.x),
    y: Float64Array.from(model.works, (work) => work.y),
    axis: null,
    gap: Infinity,
  };
}

function blank(model: Model): Layout {
  return { x: new Float64Array(model.works.length), y: new Float64Array(model.works.length), axis: null, gap: Infinity };
}

/** Stretches [0, width] x [0, height] to a box of height 2 and the wanted shape, around 0. Returns how. */
function fill(layout: Layout, shown: readonly number[], width: number, height: number, aspect: number) {
  const [sx, sy] = [(2 * aspect) / (width || 1), 2 / (height || 1)];
  const toX = (x: number) => x * sx - aspect;
  const toY = (y: number) => y * sy - 1;
  for (const i of shown) {
    layout.x[i] = toX(layout.x[i]);
    layout.y[i] = toY(layout.y[i]);
  }
  layout.gap = Math.min(sx, sy);
  return { toX, toY };
}

/**
 * A band a year, as wide as its most crowded lane asks for, and a lane a group. In each cell the most cited stand first.
 * Years without works are narrow.
 */
export function overTime(model: Model, shown: readonly number[], lanes: Grouping, aspect: number): Layout {
  const layout = blank(model);
  if (!shown.length) return layout;
  const laneOf = new Map(lanes.groups.map((group, i) => [group.id, i]));
  const cells = new Map<string, number[]>();
  const years = new Map<number, number>(); // the most works in one cell of the year
  for (const i of shown) {
    const key = `${laneOf.get(lanes.of(i)[0])} ${model.works[i].year}`;
    const cell = cells.get(key);
    if (cell) cell.push(i);
    else cells.set(key, [i]);
  }
  for (const [key, cell] of cells) {
    const year = Number(key.split(" ")[1]);
    years.set(year, Math.max(years.get(year) ?? 0, cell.length));
  }
  // Rows are closer than columns, so a cell has twice as many.
  const columns = new Map([...years].map(([year, most]) => [year, Math.max(1, Math.round(Math.sqrt(most / 2)))]));
  const [first, last] = [Math.min(...years.keys()), Math.max(...years.keys())];
  const bands: Axis["years"] = [];
  let x = 0;
  for (let year = first; year <= last; year += 1) {
    let end = year;
    while (!columns.has(year) && !columns.has(end + 1)) end += 1;
    const width = columns.has(year) ? columns.get(year)! + GAP / 2 : Math.min(EMPTY_RUN, (end - year + 1) * EMPTY_YEAR);
    bands.push({ year, last: end, from: x, to: x + width });
    x += width;
    year = end;
  }
  const bandOf = new Map(bands.map((band) => [band.year, band]));
  const heights = lanes.groups.map(() => 0);
  for (const [key, cell] of cells) {
    const [lane, year] = key.split(" ").map(Number);
    heights[lane] = Math.max(heights[lane], Math.ceil(cell.length / columns.get(year)!));
  }
  const rows: Axis["lanes"] = [];
  let y = 0;
  lanes.groups.forEach((group, lane) => {
    if (!heights[lane]) return;
    rows.push({ id: group.id, name: group.name, from: y, to: y + heights[lane] + GAP });
    y += heights[lane] + GAP;
  });
  const rowOf = new Map(rows.map((row) => [laneOf.get(row.id)!, row]));
  for (const [key, cell] of cells) {
    const [lane, year] = key.split(" ").map(Number);
    const [band, row] = [bandOf.get(year)!, rowOf.get(lane)!];
    const count = columns.get(year)!;
    const used = Math.ceil(cell.length / count);
    cell.sort((a, b) => model.works[b].cited - model.works[a].cited || a - b);
    cell.forEach((i, place) => {
      const inRow = Math.floor(place / count) === used - 1 ? cell.length - (used - 1) * count : count;
      layout.x[i] = (band.from + band.to) / 2 + (place % count) - (inRow - 1) / 2;
      layout.y[i] = (row.from + row.to) / 2 + Math.floor(place / count) - (used - 1) / 2;
    });
  }
  const { toX, toY } = fill(layout, shown, x, y, aspect);
  layout.axis = {
    years: bands.map((band) => ({ ...band, from: toX(band.from), to: toX(band.to) })),
    lanes: rows.map(({ id, name, from, to }) => ({ id, name, from: toY(from), to: toY(to) })),
  };
  return layout;
}

/**
 * The current work in the middle, cited works to the left, citing works to the right, each as many columns away as
 * citations; works of one step that hang on the same works of the step before stand together.
 */
export function inSteps(model: Model, { roles, steps }: Surroundings, aspect: number): Layout {
  const layout = blank(model);
  const shown = [...steps.keys()];
  const blocks = new Map<number, number[]>();
  for (const [i, step] of steps) {
    const block = blocks.get(step);
    if (block) block.push(i);
    else blocks.set(step, [i]);
  }
  const order = [...blocks.keys()].sort((a, b) => Math.abs(a) - Math.abs(b) || a - b);
  // A column is five rows wide, which leaves room for names; so many rows fill the shape of the canvas.
  const most = Math.max(8, Math.ceil(Math.sqrt((5 * shown.length) / aspect)));
  const columnsOf = (step: number) => Math.ceil(blocks.get(step)!.length / most);
  const height = Math.max(...order.map((step) => Math.ceil(blocks.get(step)!.length / columnsOf(step))));
  const left = new Map<number, number>();
  let x = 0;
  for (const step of [...order].sort((a, b) => a - b)) {
    left.set(step, x);
    x += columnsOf(step) - 1 + (GAP + 1);
  }
  const years = (a: number, b: number) => model.works[a].year - model.works[b].year || a - b;
  for (const step of order) {
    const block = blocks.get(step)!;
    if (step === 0) block.sort((a, b) => Number(roles.get(b) === "current") - Number(roles.get(a) === "current") || years(a, b));
    else {
      const next = step > 0 ? model.cited : model.citing;
      const pull = new Map<number, number>();
      for (const i of block) {
        const nearer = next[i].filter((other) => steps.get(other) === step - Math.sign(step));
        pull.set(i, nearer.reduce((sum, other) => sum + layout.y[other], 0) / (nearer.length || 1));
      }
      block.sort((a, b) => pull.get(a)! - pull.get(b)! || years(a, b));
    }
    const columns = columnsOf(step);
    const rows = Math.ceil(block.length / columns);
    block.forEach((i, place) => {
      const down = Math.floor(place / columns);
      const row = step === 0 ? zigzag(down) : down - (rows - 1) / 2;
      layout.x[i] = left.get(step)! + (place % columns) + 0.5;
      layout.y[i] = height / 2 + row;
    });
  }
  fill(layout, shown, Math.max(x, 1), Math.max(height, 1), aspect);
  return layout;
}

/** Rows of the middle column: 0 first, then below and above in turn; so the current work stands in the middle. */
function zigzag(place: number): number {
  return Math.ceil(place / 2) * (place % 2 ? 1 : -1) || 0;
}
