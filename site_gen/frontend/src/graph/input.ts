// Pointer, wheel, touch and keyboard on the canvas: what they ask of the view.

import { drag } from "d3-drag";
import { select } from "d3-selection";
import { zoom, zoomIdentity, type ZoomTransform } from "d3-zoom";

/** What the input needs of the graph. Works are numbers, -1 is none; positions are pixels of the canvas. */
export interface Target {
  workAt(x: number, y: number, reach: number): number; // the nearest one within `reach`
  workUnder(x: number, y: number, slack: number): number; // the nearest one whose mark, grown by `slack`, holds the place
  draggable(work: number, touch: boolean): boolean; // whether a press on it drags it, else it pans
  moved(view: ZoomTransform): void;
  hover(work: number, x: number, y: number): void;
  pick(work: number): void;
  around(work: number): void;
  drag(work: number, dx: number, dy: number): void;
  dragged(): void;
  step(dx: number, dy: number): void; // the keyboard's cursor, towards this side
  walk(by: number): void; // the cursor, along the list of works
  enter(): void;
  back(): void;
  fit(): void;
}

const HOVER = 12; // pixels around the pointer in which a work is taken
const GRAB = 3; // and beyond its mark, to drag it
const FINGER = 10;
const CLICK = 4; // pixels that a press may travel and still be a click
const PAN = 60; // pixels that Shift and an arrow key move
const ZOOM = 1.4;

export class Input {
  private readonly zooming = zoom<HTMLCanvasElement, unknown>().scaleExtent([0.01, 1000]);
  private view: ZoomTransform = zoomIdentity;

  constructor(
    private readonly canvas: HTMLCanvasElement,
    private readonly target: Target,
  ) {
    const surface = select(canvas);
    this.zooming.on("zoom", (event) => {
      this.view = event.transform;
      target.moved(event.transform);
    });
    // A press on a work drags it; a press anywhere else pans. Drag must be bound first, for it to see the press first.
    let travelled = 0;
    surface.call(
      drag<HTMLCanvasElement, unknown, { work: number; x: number; y: number }>()
        .container(() => canvas)
        .clickDistance(CLICK)
        .subject((event) => ({ work: this.grabbed(event.sourceEvent), x: event.x, y: event.y }))
        .filter((event) => {
          if (event.button || event.ctrlKey || event.touches?.length > 1) return false;
          const work = this.grabbed(event);
          return work >= 0 && target.draggable(work, "touches" in event);
        })
        .on("start", () => {
          travelled = 0;
        })
        .on("drag", (event) => {
          travelled += Math.abs(event.dx) + Math.abs(event.dy);
          target.drag(event.subject.work, event.dx / this.view.k, event.dy / this.view.k);
        })
        .on("end", () => {
          if (travelled) target.dragged();
        }) as never,
    );
    surface.call(this.zooming.clickDistance(CLICK)).on("dblclick.zoom", null);
    canvas.addEventListener("pointermove", (event) => {
      if (event.buttons === 0) target.hover(target.workAt(event.offsetX, event.offsetY, HOVER), event.offsetX, event.offsetY);
    });
    canvas.addEventListener("pointerleave", () => target.hover(-1, 0, 0));
    canvas.addEventListener("click", (event) => target.pick(target.workAt(event.offsetX, event.offsetY, HOVER)));
    canvas.addEventListener("dblclick", (event) => {
      const work = target.workAt(event.offsetX, event.offsetY, HOVER);
      if (work >= 0) target.around(work);
    });
    canvas.addEventListener("keydown", (event) => this.key(event));
  }

  /** The work that a press meets. */
  private grabbed(event: MouseEvent | TouchEvent): number {
    const box = this.canvas.getBoundingClientRect();
    const touch = "touches" in event;
    const point = touch ? (event.touches[0] ?? event.changedTouches[0]) : event;
    return this.target.workUnder(point.clientX - box.left, point.clientY - box.top, touch ? FINGER : GRAB);
  }

  private key(event: KeyboardEvent): void {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const { target } = this;
    const sides: Record<string, [number, number]> = {
      ArrowLeft: [-1, 0],
      ArrowRight: [1, 0],
      ArrowUp: [0, -1],
      ArrowDown: [0, 1],
    };
    if (event.key in sides) {
      const [dx, dy] = sides[event.key];
      if (event.shiftKey) this.pan(-dx * PAN, -dy * PAN);
      else target.step(dx, dy);
    } else if (event.key === "PageDown") target.walk(1);
    else if (event.key === "PageUp") target.walk(-1);
    else if (event.key === "Enter" || event.key === " ") target.enter();
    else if (event.key === "+" || event.key === "=") this.scaleBy(ZOOM);
    else if (event.key === "-") this.scaleBy(1 / ZOOM);
    else if (event.key === "0") target.fit();
    else if (event.key === "Escape") target.back();
    else return;
    event.preventDefault();
  }

  zoomIn(): void {
    this.scaleBy(ZOOM);
  }

  zoomOut(): void {
    this.scaleBy(1 / ZOOM);
  }

  private scaleBy(factor: number): void {
    this.zooming.scaleBy(select(this.canvas), factor);
  }

  /** Moves what is seen by so many pixels. */
  pan(dx: number, dy: number): void {
    this.zooming.translateBy(select(this.canvas), dx / this.view.k, dy / this.view.k);
  }

  /** Sets the view; `fitted` is the scale at which everything fits, from which the bounds of zooming follow. */
  set(view: ZoomTransform, fitted: number): void {
    this.zooming.scaleExtent([fitted * 0.5, fitted * 60]);
    this.zooming.transform(select(this.canvas), view);
  }
}
