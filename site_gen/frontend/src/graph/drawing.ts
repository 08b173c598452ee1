// Paints a scene on the canvas. A small one is painted anew in every frame. A large one is painted into a picture that
// reaches beyond the canvas, so much a frame as keeps frames short; moving the view then moves that picture.

import type { ZoomTransform } from "d3-zoom";
import type { Role, Work } from "./data";
import type { Axis } from "./layout";

/** What is drawn. Works are numbers; `order` has the least important first, `edges` holds pairs of citing and cited. */
export interface Scene {
  works: readonly Work[];
  order: number[];
  shown: Uint8Array; // by work
  x: Float64Array;
  y: Float64Array;
  edges: Uint32Array;
  implied: Uint32Array; // pairs too
  path: Uint32Array; // pairs too; empty where the main path is not asked for
  axis: Axis | null;
  gap: number; // between works in rows and columns
  roles: ReadonlyMap<number, Role>;
  colour: readonly string[]; // custom property, by work
  current: number; // or -1
  faded: boolean; // works without a role step back
  labels: "all" | "roles" | "some"; // which works are named before one zooms in
  arrows: boolean;
}

/** What changes with the pointer, drawn over the scene in every frame. */
export interface Marks {
  hovered: number;
  cursor: number; // of the keyboard
  open: number;
  dragged: boolean; // the hovered work is being dragged
}

interface Picture {
  canvas: HTMLCanvasElement;
  context: CanvasRenderingContext2D;
  scene: Scene;
  k: number;
  x: number; // of the transform, inside the picture
  y: number;
}

interface Build extends Picture {
  rest: Generator<number>;
}

const DIRECT = 6000; // units of work up to which a scene is painted anew in every frame: an edge is one, a work three
const WORK = 3;
const BATCH = 200; // units between two looks at the clock
const MARGIN = 0.25; // of the canvas, by which the picture reaches further on each side
const STILL = 120; // milliseconds without a change of scale, after which the picture is painted sharp again
const SLOW = 40; // milliseconds a frame
const QUICK = 24;
const LABELS_AT = 1.6; // zoom from which every work is named where there is room
const FONT = "500 12px system-ui, sans-serif";
const SMALL = "600 11px system-ui, sans-serif";
const USUAL = 1200 * 540; // pixels of a canvas on which marks have their full size
const LANE = 0.2; // of the width, that the name of a lane may take
const CELL = 64; // pixels, of the grid that knows where labels are

export const MOST_ARROWS = 700; // edges up to which each has a head

function radius(work: Work): number {
  return (work.entry ? 4 : 2.6) + Math.sqrt(work.cited) * 0.9;
}

/** Custom properties of the page, read once a colour scheme. */
export class Palette {
  private readonly values = new Map<string, string>();

  constructor(private readonly host: HTMLElement) {}

  get(name: string): string {
    let value = this.values.get(name);
    if (value === undefined) {
      value = getComputedStyle(this.host).getPropertyValue(name).trim();
      if (!value && name !== "--zoo-graph-work") value = this.get("--zoo-graph-work");
      this.values.set(name, value);
    }
    return value;
  }

  clear(): void {
    this.values.clear();
  }
}

/** The form of a mark, which says the same as its colour. */
function trace(context: CanvasRenderingContext2D, role: Role | undefined, x: number, y: number, r: number): void {
  context.beginPath();
  if (role === "citing") {
    const s = r * 1.35;
    context.moveTo(x, y - s);
    context.lineTo(x + s * 0.9, y + s * 0.7);
    context.lineTo(x - s * 0.9, y + s * 0.7);
    context.closePath();
  } else if (role === "cited") {
    const s = r * 0.92;
    context.rect(x - s, y - s, 2 * s, 2 * s);
  } else if (role === "both") {
    const s = r * 1.3;
    context.moveTo(x, y - s);
    context.lineTo(x + s, y);
    context.lineTo(x, y + s);
    context.lineTo(x - s, y);
    context.closePath();
  } else context.arc(x, y, r, 0, 2 * Math.PI);
}

export class Painter {
  width = 0;
  height = 0;
  scale = 1; // of the transform at which the whole scene fits
  marks: Marks = { hovered: -1, cursor: -1, open: -1, dragged: false };
  private ratio = 1;
  private picture: Picture | null = null;
  private build: Build | null = null;
  private pace = DIRECT;
  private last = { k: 0, changed: 0, painted: 0 };
  private readonly widths = new Map<string, number>();
  private readonly context: CanvasRenderingContext2D;

  constructor(
    private readonly canvas: HTMLCanvasElement,
    private readonly palette: Palette,
    private scene: Scene,
  ) {
    this.context = canvas.getContext("2d")!;
  }

  show(scene: Scene): void {
    this.scene = scene;
    this.build = null;
  }

  /** Forgets what was painted: colours have changed, or the canvas has. */
  renew(): void {
    this.picture = null;
    this.build = null;
  }

  resize(width: number, height: number): void {
    this.ratio = Math.min(3, window.devicePixelRatio || 1);
    this.width = width;
    this.height = height;
    this.canvas.width = Math.round(width * this.ratio);
    this.canvas.height = Math.round(height * this.ratio);
    this.renew();
  }

  /** Radius of a work's mark, in pixels. */
  size(work: number, k: number): number {
    return this.radius(this.scene, work, k);
  }

  /** Paints one frame; true if another one is needed to complete it. */
  paint(view: ZoomTransform): boolean {
    const { context, scene } = this;
    context.setTransform(this.ratio, 0, 0, this.ratio, 0, 0);
    context.globalAlpha = 1;
    context.clearRect(0, 0, this.width, this.height);
    if (scene.axis) this.paintGrid(context, scene.axis, view);
    const { k, x, y } = view;
    let more = false;
    if (this.units(view) <= DIRECT) {
      this.build = null;
      for (const _ of this.painting(context, scene, k, x, y, this.width, this.height));
    } else more = this.paintPicture(view);
    context.globalAlpha = 1;
    this.paintMarks(context, view);
    if (scene.axis) this.paintAxis(context, scene.axis, view);
    return more;
  }

  // --- the picture of a large scene ---------------------------------------------------------------------------------

  private paintPicture(view: ZoomTransform): boolean {
    const now = performance.now();
    if (view.k !== this.last.k) {
      this.last.k = view.k;
      this.last.changed = now;
      this.build = null;
    }
    if (this.build) {
      const passed = now - this.last.painted;
      if (passed > SLOW) this.pace = Math.max(600, this.pace * 0.7);
      else if (passed < QUICK) this.pace = Math.min(24000, this.pace * 1.25);
    }
    this.last.painted = now;
    const mine = this.picture?.scene === this.scene;
    const fits = mine && this.reaches(this.picture!, view);
    if (!fits && !this.build && (!mine || now - this.last.changed > STILL)) this.build = this.begin(view);
    if (this.build) {
      let spent = 0;
      while (spent < this.pace) {
        const step = this.build.rest.next();
        if (step.done) {
          this.picture = this.build;
          this.build = null;
          break;
        }
        spent += step.value;
      }
    }
    const shown = this.picture?.scene === this.scene ? this.picture : this.build;
    if (shown) {
      const grown = view.k / shown.k;
      this.context.drawImage(
        shown.canvas,
        view.x - shown.x * grown,
        view.y - shown.y * grown,
        (shown.canvas.width / this.ratio) * grown,
        (shown.canvas.height / this.ratio) * grown,
      );
    }
    return !fits || this.build !== null;
  }

  /** Whether the picture covers the canvas with something left on each side. */
  private reaches(picture: Picture, view: ZoomTransform): boolean {
    if (picture.k !== view.k) return false;
    const [mx, my] = this.margins;
    return Math.abs(view.x + mx - picture.x) <= mx / 2 && Math.abs(view.y + my - picture.y) <= my / 2;
  }

  /** By how many pixels a picture reaches beyond the canvas; whole ones, which keeps it sharp. */
  private get margins(): [number, number] {
    return [Math.round(this.width * MARGIN), Math.round(this.height * MARGIN)];
  }

  private begin(view: ZoomTransform): Build {
    const [mx, my] = this.margins;
    const [width, height] = [this.width + 2 * mx, this.height + 2 * my];
    const canvas = document.createElement("canvas");
    canvas.width = Math.round(width * this.ratio);
    canvas.height = Math.round(height * this.ratio);
    const context = canvas.getContext("2d")!;
    context.setTransform(this.ratio, 0, 0, this.ratio, 0, 0);
    const [x, y] = [view.x + mx, view.y + my];
    const rest = this.painting(context, this.scene, view.k, x, y, width, height);
    return { canvas, context, scene: this.scene, k: view.k, x, y, rest };
  }

  /** How much there is to paint on the canvas. */
  private units({ k, x, y }: ZoomTransform): number {
    const { scene } = this;
    let count = scene.order.length * WORK + scene.edges.length / 2;
    if (count <= DIRECT) return count;
    count = 0;
    for (const i of scene.order) {
      const [px, py] = [scene.x[i] * k + x, scene.y[i] * k + y];
      if (px > 0 && py > 0 && px < this.width && py < this.height) count += WORK;
    }
    for (let e = 0; e < scene.edges.length && count <= DIRECT; e += 2) {
      if (crosses(scene, scene.edges[e], scene.edges[e + 1], k, x, y, this.width, this.height)) count += 1;
    }
    return count;
  }

  // --- the scene --------------------------------------------------------------------------------------------------

  /** Paints `scene` step by step and says how much each step took. */
  private *painting(
    context: CanvasRenderingContext2D,
    scene: Scene,
    k: number,
    x: number,
    y: number,
    width: number,
    height: number,
  ): Generator<number> {
    const { palette } = this;
    const px = (i: number) => scene.x[i] * k + x;
    const py = (i: number) => scene.y[i] * k + y;
    const lines = function* (pairs: Uint32Array, style: () => void, skip: number): Generator<number> {
      let held = 0;
      style();
      context.beginPath();
      for (let e = 0; e < pairs.length; e += 2) {
        const [from, to] = [pairs[e], pairs[e + 1]];
        if (from === skip || to === skip || !crosses(scene, from, to, k, x, y, width, height)) continue;
        context.moveTo(px(from), py(from));
        context.lineTo(px(to), py(to));
        held += 1;
        if (held === BATCH) {
          context.stroke();
          yield held;
          held = 0;
          style();
          context.beginPath();
        }
      }
      context.stroke();
      context.setLineDash([]);
      yield held;
    };
    const stroke = (colour: string, alpha: number, line: number, dash: number[] = []) => () => {
      context.strokeStyle = palette.get(colour);
      context.globalAlpha = alpha;
      context.lineWidth = line;
      context.setLineDash(dash);
    };

    const quiet = scene.path.length > 0 || scene.faded;
    yield* lines(scene.edges, stroke("--zoo-graph-edge", quiet ? 0.25 : 0.6, 0.7), scene.current);
    yield* lines(scene.implied, stroke("--zoo-graph-implied", 0.9, 1.2, [4, 4]), -1);
    if (scene.current >= 0) {
      const citing: number[] = [];
      const cited: number[] = [];
      for (let e = 0; e < scene.edges.length; e += 2) {
        if (scene.edges[e + 1] === scene.current) citing.push(scene.edges[e], scene.current);
        else if (scene.edges[e] === scene.current) cited.push(scene.current, scene.edges[e + 1]);
      }
      yield* lines(Uint32Array.from(citing), stroke("--zoo-graph-citing", 0.85, 1.3), -1);
      yield* lines(Uint32Array.from(cited), stroke("--zoo-graph-cited", 0.85, 1.3), -1);
    }
    yield* lines(scene.path, stroke("--zoo-graph-path", 1, 3), -1);
    if (scene.arrows) this.paintArrows(context, scene, k, x, y);

    let held = 0;
    for (const i of scene.order) {
      const r = this.radius(scene, i, k);
      const [cx, cy] = [px(i), py(i)];
      if (cx < -r || cy < -r || cx > width + r || cy > height + r) continue;
      this.paintWork(context, scene, i, cx, cy, r);
      held += WORK;
      if (held >= BATCH) {
        yield held;
        held = 0;
      }
    }
    yield held;
    yield* this.naming(context, scene, k, x, y, width, height);
    context.globalAlpha = 1;
  }

  /** Marks grow with the zoom, but slower, and with the canvas; in rows and columns none is larger than its cell. */
  private radius({ works, gap }: Scene, work: number, k: number): number {
    const grow = Math.min(2.2, Math.max(0.75, Math.sqrt(k / this.scale)));
    const room = Math.min(1, Math.max(0.65, Math.sqrt((this.width * this.height) / USUAL)));
    return Math.min(radius(works[work]) * grow * room, Math.max(2.2, 0.5 * gap * k));
  }

  private paintWork(
    context: CanvasRenderingContext2D,
    scene: Scene,
    i: number,
    x: number,
    y: number,
    r: number,
  ): void {
    const { palette } = this;
    const role = scene.roles.get(i);
    const work = scene.works[i];
    const onPath = scene.path.length > 0 && work.main;
    context.globalAlpha = (scene.faded && !role && !onPath) || (scene.path.length > 0 && !onPath && !role) ? 0.25 : 1;
    trace(context, role, x, y, r);
    if (role === "tied") {
      context.fillStyle = palette.get("--zoo-graph-background");
      context.fill();
      context.strokeStyle = palette.get("--zoo-graph-implied");
      context.lineWidth = 1.6;
      context.stroke();
      return;
    }
    context.fillStyle = palette.get(scene.colour[i]);
    context.fill();
    if (onPath) {
      context.strokeStyle = palette.get("--zoo-graph-path");
      context.lineWidth = 3;
      context.stroke();
    } else if (work.entry || role === "current") {
      context.strokeStyle = palette.get("--zoo-graph-text");
      context.lineWidth = 1.4;
      context.stroke();
    }
    if (role === "current") {
      context.beginPath();
      context.arc(x, y, r + 4, 0, 2 * Math.PI);
      context.lineWidth = 2;
      context.stroke();
    }
  }

  /** Heads at the cited end of the lines. */
  private paintArrows(context: CanvasRenderingContext2D, scene: Scene, k: number, x: number, y: number): void {
    for (let e = 0; e < scene.edges.length; e += 2) {
      const [from, to] = [scene.edges[e], scene.edges[e + 1]];
      const [ax, ay] = [scene.x[from] * k + x, scene.y[from] * k + y];
      const [bx, by] = [scene.x[to] * k + x, scene.y[to] * k + y];
      const length = Math.hypot(bx - ax, by - ay);
      if (length < 24) continue;
      const [ux, uy] = [(bx - ax) / length, (by - ay) / length];
      const back = this.radius(scene, to, k) + (to === scene.current ? 7 : 3);
      const [tx, ty] = [bx - ux * back, by - uy * back];
      const strong = from === scene.current || to === scene.current;
      context.globalAlpha = strong ? 0.9 : 0.6;
      context.fillStyle = this.palette.get(
        !strong ? "--zoo-graph-edge" : to === scene.current ? "--zoo-graph-citing" : "--zoo-graph-cited",
      );
      const size = strong ? 7 : 5;
      context.beginPath();
      context.moveTo(tx, ty);
      context.lineTo(tx - ux * size - uy * size * 0.45, ty - uy * size + ux * size * 0.45);
      context.lineTo(tx - ux * size + uy * size * 0.45, ty - uy * size - ux * size * 0.45);
      context.closePath();
      context.fill();
    }
  }

  // --- names --------------------------------------------------------------------------------------------------------

  private *naming(
    context: CanvasRenderingContext2D,
    scene: Scene,
    k: number,
    x: number,
    y: number,
    width: number,
    height: number,
  ): Generator<number> {
    const close = k > this.scale * LABELS_AT;
    const taken = new Map<string, [number, number, number, number][]>();
    const halo = this.palette.get("--zoo-graph-background");
    const ink = this.palette.get("--zoo-graph-text");
    context.globalAlpha = 1;
    context.font = FONT;
    context.textBaseline = "middle";
    context.lineJoin = "round";
    context.lineWidth = 3;
    context.strokeStyle = halo;
    context.fillStyle = ink;
    let held = 0;
    // Names claim room in the order of their works' weight, so that none covers another.
    for (let place = scene.order.length - 1; place >= 0; place -= 1) {
      const i = scene.order[place];
      const work = scene.works[i];
      const wanted =
        scene.labels === "all" ||
        scene.roles.has(i) ||
        (scene.path.length > 0 && work.main) ||
        (scene.labels === "some" && scene.path.length === 0 && (work.entry !== null || close));
      if (!wanted) continue;
      const [px, py] = [scene.x[i] * k + x, scene.y[i] * k + y];
      if (px < -80 || py < 0 || px > width || py > height) continue;
      const left = px + this.radius(scene, i, k) + (i === scene.current ? 8 : 4);
      const box: [number, number, number, number] = [left, py - 8, left + this.widthOf(context, work.label), py + 8];
      held += 1;
      if (held === BATCH) {
        yield held;
        held = 0;
      }
      if (!claim(taken, box)) continue;
      held += 2;
      context.strokeText(work.label, left, py);
      context.fillText(work.label, left, py);
    }
    yield held;
  }

  private widthOf(context: CanvasRenderingContext2D, label: string): number {
    const key = `${context.font} ${label}`;
    let width = this.widths.get(key);
    if (width === undefined) this.widths.set(key, (width = context.measureText(label).width));
    return width;
  }

  /** As much of a name as fits; the legend has all of it. */
  private shortened(context: CanvasRenderingContext2D, name: string, room: number): string {
    if (this.widthOf(context, name) <= room) return name;
    let length = name.length - 1;
    while (length > 1 && this.widthOf(context, `${name.slice(0, length)}…`) > room) length -= 1;
    return `${name.slice(0, length).trimEnd()}…`;
  }

  // --- over the scene -----------------------------------------------------------------------------------------------

  private paintMarks(context: CanvasRenderingContext2D, { k, x, y }: ZoomTransform): void {
    const { scene, marks, palette } = this;
    if (marks.open >= 0 && scene.shown[marks.open]) {
      context.strokeStyle = palette.get("--zoo-graph-text");
      context.lineWidth = 1.2;
      context.globalAlpha = 0.7;
      context.beginPath();
      for (let e = 0; e < scene.edges.length; e += 2) {
        const [from, to] = [scene.edges[e], scene.edges[e + 1]];
        if (from !== marks.open && to !== marks.open) continue;
        context.moveTo(scene.x[from] * k + x, scene.y[from] * k + y);
        context.lineTo(scene.x[to] * k + x, scene.y[to] * k + y);
      }
      context.stroke();
      context.globalAlpha = 1;
    }
    for (const [i, line] of [
      [marks.open, 2.5],
      [marks.hovered, 2.5],
      [marks.cursor, 3],
    ] as const) {
      if (i < 0 || !scene.shown[i]) continue;
      const work = scene.works[i];
      const [px, py] = [scene.x[i] * k + x, scene.y[i] * k + y];
      const r = this.radius(scene, i, k);
      this.paintWork(context, scene, i, px, py, r);
      context.globalAlpha = 1;
      context.strokeStyle = palette.get(i === marks.cursor ? "--zoo-link" : "--zoo-graph-text");
      context.lineWidth = line;
      context.beginPath();
      context.arc(px, py, r + (i === marks.cursor ? 6 : 3), 0, 2 * Math.PI);
      context.stroke();
      context.font = FONT;
      context.textBaseline = "middle";
      context.lineJoin = "round";
      context.lineWidth = 4;
      context.strokeStyle = palette.get("--zoo-graph-background");
      context.fillStyle = palette.get("--zoo-graph-text");
      context.strokeText(work.label, px + r + 8, py);
      context.fillText(work.label, px + r + 8, py);
    }
  }

  private paintGrid(context: CanvasRenderingContext2D, axis: Axis, { k, x, y }: ZoomTransform): void {
    context.strokeStyle = this.palette.get("--zoo-graph-grid");
    context.lineWidth = 1;
    context.beginPath();
    for (const { from } of axis.years) {
      const px = Math.round(from * k + x) + 0.5;
      context.moveTo(px, 0);
      context.lineTo(px, this.height);
    }
    for (const { from } of axis.lanes.slice(1)) {
      const py = Math.round(from * k + y) + 0.5;
      context.moveTo(0, py);
      context.lineTo(this.width, py);
    }
    context.stroke();
  }

  /** Years along the upper edge, names of the lanes along the left one; both stay on the canvas. */
  private paintAxis(context: CanvasRenderingContext2D, axis: Axis, { k, x, y }: ZoomTransform): void {
    const background = this.palette.get("--zoo-graph-background");
    const ink = this.palette.get("--zoo-graph-text");
    context.font = SMALL;
    context.textBaseline = "middle";
    context.globalAlpha = 0.85;
    context.fillStyle = background;
    context.fillRect(0, 0, this.width, 20);
    context.globalAlpha = 1;
    context.fillStyle = ink;
    context.textAlign = "center";
    let free = 0;
    for (const { year, last, from, to } of axis.years) {
      const middle = ((from + to) / 2) * k + x;
      const text = year === last ? String(year) : "…";
      const half = this.widthOf(context, text) / 2 + 4;
      if (middle - half < free || middle - half < 0 || middle + half > this.width) continue;
      context.fillText(text, middle, 10);
      free = middle + half;
    }
    context.textAlign = "left";
    context.lineWidth = 4;
    context.lineJoin = "round";
    context.strokeStyle = background;
    let below = 20;
    for (const { name, from, to } of axis.lanes) {
      const [top, bottom] = [from * k + y, to * k + y];
      const at = Math.max(top + 9, below + 8);
      if (bottom < 24 || top > this.height || at > bottom) continue;
      const text = this.shortened(context, name, Math.max(90, this.width * LANE));
      context.strokeText(text, 6, at);
      context.fillText(text, 6, at);
      below = at + 8;
    }
  }
}

/** Whether the line between two works may meet the canvas of width `w` and height `h`. */
function crosses(s: Scene, a: number, b: number, k: number, x: number, y: number, w: number, h: number): boolean {
  const [ax, bx] = [s.x[a] * k + x, s.x[b] * k + x];
  if ((ax < 0 && bx < 0) || (ax > w && bx > w)) return false;
  const [ay, by] = [s.y[a] * k + y, s.y[b] * k + y];
  return !((ay < 0 && by < 0) || (ay > h && by > h));
}

/** Takes the room of `box` if nobody has it. */
function claim(taken: Map<string, [number, number, number, number][]>, box: [number, number, number, number]): boolean {
  const cells: string[] = [];
  for (let cx = Math.floor(box[0] / CELL); cx <= Math.floor(box[2] / CELL); cx += 1) {
    for (let cy = Math.floor(box[1] / CELL); cy <= Math.floor(box[3] / CELL); cy += 1) cells.push(`${cx} ${cy}`);
  }
  for (const cell of cells) {
    for (const other of taken.get(cell) ?? []) {
      if (box[0] < other[2] && other[0] < box[2] && box[1] < other[3] && other[1] < box[3]) return false;
    }
  }
  for (const cell of cells) {
    const there = taken.get(cell);
    if (there) there.push(box);
    else taken.set(cell, [box]);
  }
  return true;
}
