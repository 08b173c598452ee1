// Draws the citation graph on a canvas over positions computed at build time: zoom, pan, drag, hover, select, jump.
//
// Hook: <div id="zoo-graph" data-graph="URL of graph.json" data-base="site root, ending in /">.
// The page carries an equivalent table; this file only adds the picture.

import { drag } from "d3-drag";
import { quadtree, type Quadtree } from "d3-quadtree";
import { select } from "d3-selection";
import { zoom, zoomIdentity, type ZoomTransform } from "d3-zoom";

interface Node {
  id: string;
  label: string;
  title: string;
  authors: string;
  year: number;
  family: string | null;
  url: string;
  entry: boolean;
  cited: number;
  x: number;
  y: number;
}

interface GraphFile {
  schema: number;
  nodes: Node[];
  edges: [number, number][];
}

interface Colours {
  text: string;
  faint: string;
  background: string;
  selected: string;
  citing: string;
  cited: string;
  family: (family: string | null) => string;
}

const REACH = 14; // pixels around the pointer in which a node is taken
const LABELS_AT = 1.6; // zoom from which every node on screen is labelled
const KEY_STEP = 60; // pixels that an arrow key moves

function colours(host: HTMLElement): Colours {
  const style = getComputedStyle(host);
  const value = (name: string) => style.getPropertyValue(name).trim();
  const families = new Map<string, string>();
  return {
    text: value("--zoo-graph-text"),
    faint: value("--zoo-graph-edge"),
    background: value("--zoo-graph-background"),
    selected: value("--zoo-graph-selected"),
    citing: value("--zoo-graph-citing"),
    cited: value("--zoo-graph-cited"),
    family(family) {
      const key = family ?? "none";
      if (!families.has(key)) families.set(key, value(`--zoo-family-${key}`) || value("--zoo-graph-work"));
      return families.get(key)!;
    },
  };
}

function radius(node: Node): number {
  return (node.entry ? 4 : 2.2) + Math.sqrt(node.cited) * 0.9;
}

class GraphView {
  private readonly canvas = document.createElement("canvas");
  private readonly tip = document.createElement("div");
  private readonly details = document.createElement("div");
  private readonly citing: number[][];
  private readonly cited: number[][];
  private tree: Quadtree<Node>;
  private transform: ZoomTransform = zoomIdentity;
  private readonly zooming = zoom<HTMLCanvasElement, unknown>().scaleExtent([0.2, 12]);
  private selected: Node | null = null;
  private hovered: Node | null = null;
  private palette: Colours;
  private width = 0;
  private height = 0;
  private pending = false;
  private readonly index: Map<Node, number>;

  constructor(
    private readonly host: HTMLElement,
    private readonly graph: GraphFile,
    private readonly base: string,
  ) {
    this.index = new Map(graph.nodes.map((node, i) => [node, i]));
    this.citing = graph.nodes.map(() => []);
    this.cited = graph.nodes.map(() => []);
    for (const [from, to] of graph.edges) {
      this.cited[from].push(to);
      this.citing[to].push(from);
    }
    this.tree = this.makeTree();
    this.palette = colours(host);
    this.build();
    this.listen();
    this.resize();
    this.fit();
    const wanted = decodeURIComponent(location.hash.slice(1));
    const node = graph.nodes.find((candidate) => candidate.id === wanted);
    if (node) this.focus(node);
  }

  private makeTree(): Quadtree<Node> {
    return quadtree<Node>()
      .x((node) => node.x)
      .y((node) => node.y)
      .addAll(this.graph.nodes);
  }

  private build(): void {
    this.canvas.className = "zoo-graph__canvas";
    this.canvas.tabIndex = 0;
    this.canvas.setAttribute("role", "application");
    this.canvas.setAttribute(
      "aria-label",
      `Citation graph of ${this.graph.nodes.length} works and ${this.graph.edges.length} citations. ` +
        "Arrow keys move, plus and minus zoom, Escape clears the selection. The same data stands in the table below.",
    );
    this.tip.className = "zoo-graph__tip";
    this.tip.hidden = true;
    this.details.className = "zoo-graph__details";
    this.details.setAttribute("aria-live", "polite");
    const stage = document.createElement("div");
    stage.className = "zoo-graph__stage";
    stage.append(this.canvas, this.tip);
    this.host.replaceChildren(this.toolbar(), stage, this.details);
    this.describe();
  }

  private toolbar(): HTMLElement {
    const bar = document.createElement("div");
    bar.className = "zoo-graph__bar";
    const list = document.createElement("datalist");
    list.id = "zoo-graph-works";
    for (const node of this.graph.nodes) {
      const option = document.createElement("option");
      option.value = node.label === node.title ? node.title : `${node.label}: ${node.title}`;
      list.append(option);
    }
    const jump = document.createElement("input");
    jump.type = "search";
    jump.placeholder = "Jump to a work";
    jump.setAttribute("aria-label", "Jump to a work by name or title");
    jump.setAttribute("list", list.id);
    jump.addEventListener("change", () => {
      const words = jump.value.trim().toLowerCase();
      if (!words) return;
      const text = (node: Node) => `${node.label}: ${node.title}`.toLowerCase();
      const found =
        this.graph.nodes.find((node) => text(node) === words || node.title.toLowerCase() === words) ??
        this.graph.nodes.find((node) => node.label.toLowerCase() === words) ??
        this.graph.nodes.find((node) => text(node).includes(words));
      if (found) this.focus(found);
      else this.details.textContent = `No work matches “${jump.value}”.`;
    });
    const button = (label: string, title: string, act: () => void) => {
      const element = document.createElement("button");
      element.type = "button";
      element.textContent = label;
      element.title = title;
      element.setAttribute("aria-label", title);
      element.addEventListener("click", act);
      return element;
    };
    bar.append(
      jump,
      list,
      button("+", "Zoom in", () => this.scaleBy(1.4)),
      button("−", "Zoom out", () => this.scaleBy(1 / 1.4)),
      button("Whole graph", "Show the whole graph", () => this.fit()),
    );
    return bar;
  }

  private listen(): void {
    const canvas = select(this.canvas);
    this.zooming.on("zoom", (event) => {
      this.transform = event.transform;
      this.draw();
    });
    // A press on a node drags it; a press anywhere else pans. Drag must be bound first, for it to see the press first.
    let travelled = 0;
    canvas.call(
      drag<HTMLCanvasElement, unknown, Node>()
        .subject((event) => this.nodeAt(event.x, event.y)!)
        .filter((event) => !event.button && !event.ctrlKey && this.nodeAt(...this.pointer(event)) !== null)
        .on("start", () => {
          travelled = 0;
        })
        .on("drag", (event) => {
          travelled += Math.abs(event.dx) + Math.abs(event.dy);
          event.subject.x += event.dx / this.transform.k;
          event.subject.y += event.dy / this.transform.k;
          this.hover(null);
          this.draw();
        })
        .on("end", (event) => {
          if (travelled < 4) this.pick(event.subject);
          else this.tree = this.makeTree();
        })
        // d3-drag looks for the subject at its own position by default; ours is in screen pixels.
        .container(() => this.canvas) as never,
    );
    canvas.call(this.zooming).on("dblclick.zoom", null);
    this.canvas.addEventListener("pointermove", (event) => {
      if (event.buttons === 0) this.hover(this.nodeAt(event.offsetX, event.offsetY), event.offsetX, event.offsetY);
    });
    this.canvas.addEventListener("pointerleave", () => this.hover(null));
    this.canvas.addEventListener("click", (event) => {
      if (!this.nodeAt(event.offsetX, event.offsetY)) this.pick(null);
    });
    this.canvas.addEventListener("keydown", (event) => this.key(event));
    new ResizeObserver(() => this.resize()).observe(this.canvas);
    new MutationObserver(() => {
      this.palette = colours(this.host);
      this.draw();
    }).observe(document.body, { attributes: true, attributeFilter: ["data-md-color-scheme"] });
  }

  private pointer(event: MouseEvent | TouchEvent): [number, number] {
    const box = this.canvas.getBoundingClientRect();
    const point = "touches" in event ? event.touches[0] : event;
    return [point.clientX - box.left, point.clientY - box.top];
  }

  private key(event: KeyboardEvent): void {
    const moves: Record<string, [number, number]> = {
      ArrowLeft: [KEY_STEP, 0],
      ArrowRight: [-KEY_STEP, 0],
      ArrowUp: [0, KEY_STEP],
      ArrowDown: [0, -KEY_STEP],
    };
    if (event.key in moves) {
      const [dx, dy] = moves[event.key];
      this.zooming.translateBy(select(this.canvas), dx / this.transform.k, dy / this.transform.k);
    } else if (event.key === "+" || event.key === "=") this.scaleBy(1.4);
    else if (event.key === "-") this.scaleBy(1 / 1.4);
    else if (event.key === "0") this.fit();
    else if (event.key === "Escape") this.pick(null);
    else return;
    event.preventDefault();
  }

  private scaleBy(factor: number): void {
    this.zooming.scaleBy(select(this.canvas), factor);
  }

  private nodeAt(x: number, y: number): Node | null {
    const [gx, gy] = this.transform.invert([x, y]);
    return this.tree.find(gx, gy, REACH / this.transform.k) ?? null;
  }

  private fit(): void {
    const xs = this.graph.nodes.map((node) => node.x);
    const ys = this.graph.nodes.map((node) => node.y);
    const [left, right] = [Math.min(...xs), Math.max(...xs)];
    const [top, bottom] = [Math.min(...ys), Math.max(...ys)];
    const scale = 0.94 * Math.min(this.width / (right - left || 1), this.height / (bottom - top || 1));
    this.zooming.scaleExtent([scale * 0.5, scale * 40]);
    const view = zoomIdentity
      .translate(this.width / 2, this.height / 2)
      .scale(scale)
      .translate(-(left + right) / 2, -(top + bottom) / 2);
    this.zooming.transform(select(this.canvas), view);
    this.fitted = scale;
  }

  private fitted = 1;

  focus(node: Node): void {
    const scale = Math.max(this.transform.k, this.fitted * 2.5);
    const view = zoomIdentity
      .translate(this.width / 2, this.height / 2)
      .scale(scale)
      .translate(-node.x, -node.y);
    this.zooming.transform(select(this.canvas), view);
    this.pick(node);
  }

  private hover(node: Node | null, x = 0, y = 0): void {
    this.canvas.style.cursor = node ? "pointer" : "grab";
    this.tip.hidden = node === null;
    if (node) {
      const title = document.createElement("strong");
      title.textContent = node.title;
      const line = document.createElement("span");
      line.textContent = `${node.authors}, ${node.year}`;
      this.tip.replaceChildren(title, line);
      const left = Math.min(x + 14, this.width - this.tip.offsetWidth - 4);
      this.tip.style.transform = `translate(${Math.max(4, left)}px, ${y + 18}px)`;
    }
    if (node !== this.hovered) {
      this.hovered = node;
      this.draw();
    }
  }

  private pick(node: Node | null): void {
    this.selected = node;
    history.replaceState(null, "", node ? `#${encodeURIComponent(node.id)}` : location.pathname + location.search);
    this.describe();
    this.draw();
  }

  private describe(): void {
    const node = this.selected;
    if (!node) {
      this.details.textContent =
        "Hover a work for its title, click it for its citations. Drag moves a work, the wheel or a pinch zooms.";
      return;
    }
    const i = this.index.get(node)!;
    const heading = document.createElement("a");
    heading.href = this.base + node.url;
    heading.textContent = node.title;
    const line = document.createElement("p");
    line.textContent =
      `${node.authors}, ${node.year}. Cited by ${this.citing[i].length} of these works, ` +
      `cites ${this.cited[i].length} of them.`;
    const strong = document.createElement("p");
    strong.className = "zoo-graph__title";
    strong.append(heading);
    this.details.replaceChildren(
      strong,
      line,
      this.neighbours("Cited by", this.citing[i], "citing"),
      this.neighbours("Cites", this.cited[i], "cited"),
    );
  }

  private neighbours(label: string, ids: number[], kind: string): HTMLElement {
    const box = document.createElement("details");
    box.className = `zoo-graph__neighbours zoo-graph__neighbours--${kind}`;
    box.open = ids.length > 0 && ids.length <= 12;
    const summary = document.createElement("summary");
    summary.textContent = `${label} (${ids.length})`;
    const list = document.createElement("ul");
    for (const id of [...ids].sort((a, b) => this.graph.nodes[a].year - this.graph.nodes[b].year)) {
      const node = this.graph.nodes[id];
      const item = document.createElement("li");
      const button = document.createElement("button");
      button.type = "button";
      button.textContent = `${node.label} (${node.year})`;
      button.title = node.title;
      button.addEventListener("click", () => this.focus(node));
      item.append(button);
      list.append(item);
    }
    box.append(summary, list);
    return box;
  }

  private resize(): void {
    const ratio = window.devicePixelRatio || 1;
    const width = this.canvas.clientWidth;
    const height = this.canvas.clientHeight;
    if (width === this.width && height === this.height) return;
    const first = this.width === 0;
    this.width = width;
    this.height = height;
    this.canvas.width = Math.round(width * ratio);
    this.canvas.height = Math.round(height * ratio);
    if (first && width > 0) this.fit();
    this.draw();
  }

  private draw(): void {
    if (this.pending) return;
    this.pending = true;
    requestAnimationFrame(() => {
      this.pending = false;
      this.paint();
    });
  }

  private paint(): void {
    const context = this.canvas.getContext("2d")!;
    const ratio = window.devicePixelRatio || 1;
    const { k, x, y } = this.transform;
    const { nodes, edges } = this.graph;
    const palette = this.palette;
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    context.clearRect(0, 0, this.width, this.height);
    const at = (node: Node): [number, number] => [node.x * k + x, node.y * k + y];

    const chosen = this.selected ? this.index.get(this.selected)! : -1;
    const citing = new Set(chosen >= 0 ? this.citing[chosen] : []);
    const cited = new Set(chosen >= 0 ? this.cited[chosen] : []);

    context.lineWidth = 0.6;
    context.globalAlpha = chosen >= 0 ? 0.18 : 0.55;
    context.strokeStyle = palette.faint;
    context.beginPath();
    for (const [from, to] of edges) {
      if (from === chosen || to === chosen) continue;
      context.moveTo(...at(nodes[from]));
      context.lineTo(...at(nodes[to]));
    }
    context.stroke();
    if (chosen >= 0) {
      context.globalAlpha = 0.9;
      context.lineWidth = 1.3;
      for (const [ids, colour] of [
        [citing, palette.citing],
        [cited, palette.cited],
      ] as const) {
        context.strokeStyle = colour;
        context.beginPath();
        for (const id of ids) {
          context.moveTo(...at(nodes[chosen]));
          context.lineTo(...at(nodes[id]));
        }
        context.stroke();
      }
    }

    const grow = Math.min(2.2, Math.max(0.75, Math.sqrt(k / this.fitted)));
    nodes.forEach((node, i) => {
      const [px, py] = at(node);
      const r = radius(node) * grow;
      if (px < -r || py < -r || px > this.width + r || py > this.height + r) return;
      const related = i === chosen || citing.has(i) || cited.has(i);
      context.globalAlpha = chosen >= 0 && !related ? 0.22 : 1;
      context.fillStyle =
        i === chosen
          ? palette.selected
          : citing.has(i)
            ? palette.citing
            : cited.has(i)
              ? palette.cited
              : palette.family(node.family);
      context.beginPath();
      context.arc(px, py, r, 0, 2 * Math.PI);
      context.fill();
      if (node.entry || node === this.hovered) {
        context.lineWidth = node === this.hovered ? 2.5 : 1.5;
        context.strokeStyle = palette.text;
        context.stroke();
      }
    });

    context.font = "500 12px system-ui, sans-serif";
    context.textBaseline = "middle";
    context.lineJoin = "round";
    // Labels claim room in the order of their weight, so that none covers another.
    const taken: [number, number, number, number][] = [];
    const order = [...nodes.keys()].sort((a, b) => this.weight(b, chosen) - this.weight(a, chosen));
    for (const i of order) {
      const node = nodes[i];
      const related = i === chosen || citing.has(i) || cited.has(i);
      const wanted = chosen >= 0 ? related : node.entry || node === this.hovered || k > this.fitted * LABELS_AT;
      if (!wanted) continue;
      const [px, py] = at(node);
      if (px < -80 || py < 0 || px > this.width || py > this.height) continue;
      const left = px + radius(node) * grow + 4;
      const box: [number, number, number, number] = [left, py - 8, left + context.measureText(node.label).width, py + 8];
      if (taken.some((other) => box[0] < other[2] && other[0] < box[2] && box[1] < other[3] && other[1] < box[3])) continue;
      taken.push(box);
      context.globalAlpha = 1;
      context.lineWidth = 3;
      context.strokeStyle = palette.background;
      context.strokeText(node.label, left, py);
      context.fillStyle = palette.text;
      context.fillText(node.label, left, py);
    }
    context.globalAlpha = 1;
  }

  private weight(i: number, chosen: number): number {
    const node = this.graph.nodes[i];
    return (i === chosen ? 1e6 : 0) + (node === this.hovered ? 1e5 : 0) + (node.entry ? 1e4 : 0) + node.cited;
  }

  /** Screen position of a work inside the canvas, in CSS pixels; null where no such work is drawn. Used by the tests. */
  position(id: string): { x: number; y: number } | null {
    const node = this.graph.nodes.find((candidate) => candidate.id === id);
    if (!node) return null;
    const [x, y] = this.transform.apply([node.x, node.y]);
    return { x, y };
  }
}

/** Draws into `host`, which names its data in data-graph and the root of the site in data-base. */
export async function startGraph(host: HTMLElement): Promise<void> {
  const answer = await fetch(host.dataset.graph!);
  if (!answer.ok) throw new Error(`The graph could not be loaded: ${answer.status}`);
  const view = new GraphView(host, (await answer.json()) as GraphFile, host.dataset.base ?? "");
  Object.assign(host, { zooGraph: view });
  host.dataset.ready = "true";
}
