// The graph on its page: keeps the state, makes the scene of it, and ties drawing, input, panel and address together.

import { quadtree, type Quadtree } from "d3-quadtree";
import { zoomIdentity, type ZoomTransform } from "d3-zoom";
import { MODES, ROLES, type Grouping, type Mode, type Model, type Surroundings } from "./data";
import { MOST_ARROWS, Painter, Palette, type Scene } from "./drawing";
import type { MakeSearcher } from "./finder";
import { Input, type Target } from "./input";
import { inSteps, onMap, overTime, type Layout } from "./layout";
import { Panel, type Shown } from "./panel";
import { colourOf, layoutOf, read, write, type LayoutName, type State } from "./state";

const CROWDED = 1500; // works in sight beyond which a press drags the open work alone
const CLOSE = 2.5; // zoom at which a work that was asked for is shown, if one was farther away

export class GraphView implements Target {
  state: State;
  private readonly panel: Panel;
  private readonly painter: Painter;
  private readonly palette: Palette;
  private readonly input: Input;
  private readonly map: Layout;
  private layout: Layout;
  private laidOut = "";
  private scene: Scene;
  private surroundings: Surroundings | null = null;
  private tree: Quadtree<number>;
  private transform: ZoomTransform = zoomIdentity;
  private pending = false;
  private fitted = 1; // scale at which everything fits
  private fittedView = this.transform; // the view as long as nobody moved it

  constructor(
    host: HTMLElement,
    readonly model: Model,
    base: string,
    makeSearcher: MakeSearcher,
  ) {
    this.map = onMap(model);
    this.layout = this.map;
    this.state = read(new URL(location.href), model);
    this.palette = new Palette(host);
    this.panel = new Panel(host, model, base, this, makeSearcher);
    const { canvas } = this.panel;
    this.scene = this.makeScene();
    this.tree = this.makeTree();
    this.painter = new Painter(canvas, this.palette, this.scene);
    this.input = new Input(canvas, this);
    this.resize();
    this.refresh(true);
    history.replaceState(history.state, "", write(this.state, new URL(location.href)) + this.keptHash());
    addEventListener("popstate", () => {
      this.state = read(new URL(location.href), model);
      this.refresh();
    });
    new ResizeObserver(() => this.resize()).observe(canvas);
    new MutationObserver(() => {
      this.palette.clear();
      this.painter.renew();
      this.draw();
    }).observe(document.body, { attributes: true, attributeFilter: ["data-md-color-scheme"] });
  }

  /** A fragment that leads to a part of the page stays; one that names a work has become part of the query. */
  private keptHash(): string {
    const id = location.hash.slice(1);
    return id && document.getElementById(id) ? location.hash : "";
  }

  // --- state ----------------------------------------------------------------------------------------------------------

  /** Changes the state, notes it in the history and shows it. */
  change(change: Partial<State>): void {
    const next = { ...this.state, ...change };
    const address = write(next, new URL(location.href));
    this.state = next;
    if (address !== location.pathname + location.search) history.pushState(null, "", address);
    this.refresh();
  }

  get current(): number {
    return this.state.work === null ? -1 : this.model.index.get(this.state.work)!;
  }

  /** The work whose details are open. */
  get opened(): number {
    return this.state.open === null ? this.current : this.model.index.get(this.state.open)!;
  }

  get mode(): Mode {
    return colourOf(this.state);
  }

  grouping(mode: Mode): Grouping | null {
    if (mode !== "role") return this.model.groupings.get(mode)!;
    return this.surroundings && this.state.depth ? this.model.byRole(this.surroundings) : null;
  }

  pick(work: number): void {
    const id = work < 0 ? null : this.model.works[work].id;
    this.painter.marks.cursor = -1;
    if (this.state.depth) this.change({ open: id === this.state.work ? null : id });
    else this.change({ work: id });
  }

  around(work: number, depth = this.state.depth || 1): void {
    const { role: _, ...only } = this.state.only;
    this.change({ work: this.model.works[work].id, depth, open: null, only });
  }

  whole(): void {
    const { role: _, ...only } = this.state.only;
    const { colour, layout } = this.state;
    this.change({
      depth: 0,
      open: null,
      only,
      colour: colour === "role" ? null : colour,
      layout: layout === "steps" ? null : layout,
    });
  }

  /** Narrows the drawing to a group of works, or widens it again. */
  toggle(mode: Mode, group: string): void {
    const there = this.state.only[mode] ?? [];
    const next = there.includes(group) ? there.filter((id) => id !== group) : [...there, group];
    this.change({ only: { ...this.state.only, [mode]: next } });
  }

  /** Brings a work into the middle and opens its details, with its neighbourhood where it is not shown now. */
  jump(work: number): void {
    const { id } = this.model.works[work];
    const { depth, only } = this.state;
    if (!depth) this.change({ work: id });
    else if (!this.surroundings!.steps.has(work)) this.around(work);
    else this.change({ open: id === this.state.work ? null : id, only: this.scene.shown[work] ? only : {} });
    this.painter.marks.cursor = work;
    if (!this.state.depth) this.centre(work);
    this.draw();
  }

  // --- the scene ----------------------------------------------------------------------------------------------------

  private makeScene(): Scene {
    const { model, state, current } = this;
    const { works } = model;
    this.surroundings = current < 0 ? null : model.around(current, state.depth || 1, state.implied);
    const { depth } = state;
    const candidates = depth ? [...this.surroundings!.steps.keys()] : [...works.keys()];
    const filters = MODES.flatMap((mode) => {
      const wanted = new Set(state.only[mode] ?? []);
      const grouping = wanted.size ? this.grouping(mode) : null;
      return grouping ? [(i: number) => grouping.of(i).some((id) => wanted.has(id))] : [];
    });
    const order = candidates.filter((i) => i === current || filters.every((passes) => passes(i)));
    const shown = new Uint8Array(works.length);
    for (const i of order) shown[i] = 1;
    const roles = this.surroundings?.roles ?? new Map();
    const weight = (i: number) =>
      (i === current ? 1e7 : 0) +
      (state.path && works[i].main ? 1e6 : 0) +
      (!depth && roles.has(i) ? 1e5 : 0) +
      (works[i].entry ? 1e4 : 0) +
      works[i].cited;
    order.sort((a, b) => weight(a) - weight(b) || b - a);
    this.layOut(candidates);
    const among = (pairs: [number, number, ...unknown[]][]) => {
      const kept: number[] = [];
      for (const [from, to] of pairs) if (shown[from] && shown[to]) kept.push(from, to);
      return Uint32Array.from(kept);
    };
    const edges = among(model.file.edges);
    const main = model.file.main_path;
    const path = main.slice(1).map((later, at): [number, number] => [later, main[at]]);
    return {
      works,
      order,
      shown,
      x: this.layout.x,
      y: this.layout.y,
      edges,
      implied: state.implied ? among(model.file.implied) : new Uint32Array(),
      path: state.path ? among(path) : new Uint32Array(),
      axis: this.layout.axis,
      gap: this.layout.gap,
      roles,
      colour: this.colours(),
      current,
      faded: !depth && current >= 0,
      labels: depth ? "all" : current >= 0 ? "roles" : "some",
      arrows: edges.length / 2 <= MOST_ARROWS,
    };
  }

  private colours(): string[] {
    const grouping = this.grouping(this.mode);
    const paint = new Map(grouping?.groups.map((group) => [group.id, group.colour]));
    const roles = this.surroundings?.roles;
    return this.model.works.map((_, i) => {
      const role = roles?.get(i);
      if (role === "current" || (role && !this.state.depth)) return ROLES[role].colour;
      return paint.get(grouping?.of(i)[0] ?? "") ?? "--zoo-graph-work";
    });
  }

  /** Lays the works out anew if what decides about it has changed; then the view is fitted. */
  private layOut(candidates: number[]): void {
    const { state, mode } = this;
    const name: LayoutName = layoutOf(state);
    const lanes = this.model.groupings.get(mode === "survey" || mode === "community" ? mode : "family")!;
    const of = state.depth ? `${state.work} ${state.depth} ${state.implied}` : "";
    const key = `${name} ${of} ${name === "time" ? lanes.mode : ""}`;
    if (key === this.laidOut) return;
    this.laidOut = key;
    const { clientWidth, clientHeight } = this.panel.canvas;
    const { left, right, top, bottom } = this.edges;
    const aspect = Math.max(0.2, Math.min(3, (clientWidth - left - right) / Math.max(1, clientHeight - top - bottom)));
    if (name === "time") this.layout = overTime(this.model, candidates, lanes, aspect);
    else if (name === "steps") this.layout = inSteps(this.model, this.surroundings!, aspect);
    else this.layout = this.map;
    this.unfitted = true;
  }

  private unfitted = true;

  private makeTree(): Quadtree<number> {
    const { x, y, order } = this.scene;
    return quadtree<number>()
      .x((i) => x[i])
      .y((i) => y[i])
      .addAll(order);
  }

  /** Shows the state: scene, panel, and the view where the layout is another one or nothing would be in sight. */
  private refresh(first = false): void {
    this.scene = this.makeScene();
    this.tree = this.makeTree();
    this.painter.show(this.scene);
    const { marks } = this.painter;
    marks.open = this.state.depth && this.state.open !== null ? this.opened : -1;
    for (const mark of ["hovered", "cursor"] as const) if (marks[mark] >= 0 && !this.scene.shown[marks[mark]]) marks[mark] = -1;
    this.panel.show(this.describe());
    if (this.unfitted || !this.scene.order.some((i) => this.inSight(i))) this.fit();
    if (first && this.current >= 0 && !this.state.depth) this.centre(this.current);
    this.draw();
  }

  private describe(): Shown {
    const { scene, model, surroundings } = this;
    const sides = { citing: 0, cited: 0, both: 0, tied: 0, current: 0 };
    for (const role of surroundings?.roles.values() ?? []) sides[role] += 1;
    return {
      works: scene.order.length,
      candidates: this.state.depth ? surroundings!.steps.size : model.works.length,
      edges: scene.edges.length / 2,
      implied: scene.implied.length / 2,
      path: scene.path.length / 2,
      sides,
      steps: surroundings?.steps ?? null,
    };
  }

  private inSight(i: number): boolean {
    const [x, y] = this.transform.apply([this.scene.x[i], this.scene.y[i]]);
    return x >= 0 && y >= 0 && x <= this.painter.width && y <= this.painter.height;
  }

  // --- the view -----------------------------------------------------------------------------------------------------

  /** Room around the works: names stand to the right of them, years above, names of lanes on the left. */
  private get edges() {
    const time = layoutOf(this.state) === "time";
    const width = this.panel.canvas.clientWidth;
    return {
      left: time ? Math.min(96, width * 0.2) : 24,
      right: Math.min(this.state.depth ? 110 : 50, width * 0.2),
      top: time ? 34 : 18,
      bottom: 18,
    };
  }

  fit(): void {
    this.unfitted = false;
    const { scene, painter } = this;
    if (!painter.width || !scene.order.length) return;
    let [left, right, top, bottom] = [Infinity, -Infinity, Infinity, -Infinity];
    for (const i of scene.order) {
      left = Math.min(left, scene.x[i]);
      right = Math.max(right, scene.x[i]);
      top = Math.min(top, scene.y[i]);
      bottom = Math.max(bottom, scene.y[i]);
    }
    const { edges } = this;
    const [width, height] = [painter.width - edges.left - edges.right, painter.height - edges.top - edges.bottom];
    const scale = Math.min(width / (right - left || 1e-3), height / (bottom - top || 1e-3), painter.width);
    this.fitted = scale;
    painter.scale = scale;
    const view = zoomIdentity
      .translate(edges.left + width / 2, edges.top + height / 2)
      .scale(scale)
      .translate(-(left + right) / 2, -(top + bottom) / 2);
    this.input.set(view, scale);
    this.fittedView = this.transform;
  }

  private centre(work: number): void {
    const scale = Math.max(this.transform.k, this.fitted * CLOSE);
    const { x, y } = this.scene;
    const view = zoomIdentity
      .translate(this.painter.width / 2, this.painter.height / 2)
      .scale(scale)
      .translate(-x[work], -y[work]);
    this.input.set(view, this.fitted);
  }

  zoomIn(): void {
    this.input.zoomIn();
  }

  zoomOut(): void {
    this.input.zoomOut();
  }

  moved(view: ZoomTransform): void {
    this.transform = view;
    this.draw();
  }

  private resize(): void {
    const { canvas } = this.panel;
    const [width, height] = [canvas.clientWidth, canvas.clientHeight];
    if (width === this.painter.width && height === this.painter.height) return;
    this.painter.resize(width, height);
    if (this.transform === this.fittedView && width > 0) this.fit();
    this.draw();
  }

  draw(): void {
    if (this.pending) return;
    this.pending = true;
    requestAnimationFrame(() => {
      this.pending = false;
      if (this.paint()) this.draw();
    });
  }

  private paint(): boolean {
    return this.painter.width > 0 && this.painter.paint(this.transform);
  }

  // --- pointer --------------------------------------------------------------------------------------------------------

  workAt(x: number, y: number, reach: number): number {
    const [gx, gy] = this.transform.invert([x, y]);
    return this.tree.find(gx, gy, reach / this.transform.k) ?? -1;
  }

  workUnder(x: number, y: number, slack: number): number {
    const { scene, painter } = this;
    const most = 60;
    const found = this.workAt(x, y, most);
    if (found < 0) return -1;
    const [px, py] = this.transform.apply([scene.x[found], scene.y[found]]);
    return Math.hypot(px - x, py - y) <= painter.size(found, this.transform.k) + slack ? found : -1;
  }

  /** A finger drags the open work alone, or no room would be left for panning; so it is where works lie densely. */
  draggable(work: number, touch: boolean): boolean {
    if (work === this.opened) return true;
    if (touch) return false;
    let count = 0;
    for (const i of this.scene.order) if (this.inSight(i)) count += 1;
    return count <= CROWDED;
  }

  hover(work: number, x: number, y: number): void {
    this.panel.tip(work, x, y);
    if (work === this.painter.marks.hovered) return;
    this.painter.marks.hovered = work;
    this.draw();
  }

  drag(work: number, dx: number, dy: number): void {
    this.panel.tip(-1, 0, 0);
    this.painter.marks.hovered = work;
    this.scene.x[work] += dx;
    this.scene.y[work] += dy;
    this.draw();
  }

  dragged(): void {
    this.tree = this.makeTree();
    this.painter.renew();
    this.draw();
  }

  // --- keyboard -------------------------------------------------------------------------------------------------------

  /** Works among which the keyboard moves: the neighbours of the current work, or all that are shown. */
  private reachable(): number[] {
    const { scene } = this;
    const near = scene.order.filter((i) => scene.roles.has(i));
    return !this.state.depth && near.length > 1 ? near : scene.order;
  }

  step(dx: number, dy: number): void {
    const { scene, painter } = this;
    const from = painter.marks.cursor;
    if (from < 0) {
      this.moveTo(this.opened >= 0 && scene.shown[this.opened] ? this.opened : scene.order.at(-1)!);
      return;
    }
    let best = -1;
    let least = Infinity;
    for (const i of this.reachable()) {
      const [ax, ay] = [scene.x[i] - scene.x[from], scene.y[i] - scene.y[from]];
      const along = ax * dx + ay * dy;
      const across = Math.abs(ax * dy) + Math.abs(ay * dx);
      if (i === from || along <= 0 || across > 2 * along) continue;
      const cost = along + 1.5 * across;
      if (cost < least) [best, least] = [i, cost];
    }
    if (best >= 0) this.moveTo(best);
    else this.panel.say("No work lies further on this side.");
  }

  walk(by: number): void {
    const list = [...this.reachable()].sort((a, b) => {
      const [one, other] = [this.model.works[a], this.model.works[b]];
      return one.year - other.year || a - b;
    });
    const at = list.indexOf(this.painter.marks.cursor);
    this.moveTo(list[(at < 0 ? (by > 0 ? 0 : list.length - 1) : at + by + list.length) % list.length]);
  }

  private moveTo(work: number): void {
    if (work === undefined) return;
    this.painter.marks.cursor = work;
    const [x, y] = this.transform.apply([this.scene.x[work], this.scene.y[work]]);
    const { width, height } = this.painter;
    const edge = 40;
    const off = (at: number, most: number) => (at < edge ? edge - at : at > most - edge ? most - edge - at : 0);
    const [dx, dy] = [off(x, width), off(y, height)];
    if (dx || dy) this.input.pan(dx, dy);
    this.panel.tip(work, x + dx, y + dy);
    this.panel.announce(work);
    this.draw();
  }

  enter(): void {
    const { cursor } = this.painter.marks;
    if (cursor < 0) return;
    if (cursor === this.opened) this.around(cursor);
    else this.pick(cursor);
    if (this.scene.shown[cursor]) this.painter.marks.cursor = cursor;
  }

  back(): void {
    this.panel.tip(-1, 0, 0);
    if (this.state.depth && this.state.open !== null) this.change({ open: null });
    else if (this.state.depth) this.whole();
    else if (this.state.work !== null) this.change({ work: null });
    this.painter.marks.cursor = -1;
    this.draw();
  }

  // --- for the tests ------------------------------------------------------------------------------------------------

  /** Where a work stands inside the canvas, in CSS pixels; null where it is not shown. */
  position(id: string): { x: number; y: number } | null {
    const work = this.model.index.get(id);
    if (work === undefined || !this.scene.shown[work]) return null;
    const [x, y] = this.transform.apply([this.scene.x[work], this.scene.y[work]]);
    return { x, y };
  }

  /** That place, and the radius of the work's mark. */
  mark(id: string): [number, number, number] {
    const { x, y } = this.position(id)!;
    return [x, y, this.painter.size(this.model.index.get(id)!, this.transform.k)];
  }
}
