// Elements in one expression.

import { seriesMark } from "../curves";

type Child = Node | string | null | undefined | false;

/** An element with attributes (true: without a value; false, null: left out) and children. */
export function el<K extends keyof HTMLElementTagNameMap>(
  tag: K,
  attributes: Record<string, string | number | boolean | null | undefined> = {},
  ...children: Child[]
): HTMLElementTagNameMap[K] {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === true) element.setAttribute(name, "");
    else if (value !== false && value !== null && value !== undefined) element.setAttribute(name, String(value));
  }
  element.append(...children.filter((child): child is Node | string => child !== null && child !== undefined && child !== false));
  return element;
}

/** The same around HTML that the generator made. */
export function made<K extends keyof HTMLElementTagNameMap>(
  tag: K,
  html: string,
  attributes: Record<string, string | number | boolean | null | undefined> = {},
): HTMLElementTagNameMap[K] {
  const element = el(tag, attributes);
  element.innerHTML = html;
  return element;
}

/** The mark of the entry at this place, as it stands in drawings. */
export function mark(place: number): HTMLElement {
  return made("span", seriesMark(place), { class: "zoo-compare__mark" });
}

/** A table in a box of its own, which scrolls and can be reached with the keyboard. */
export function boxed(label: string, table: HTMLTableElement, kind = ""): HTMLElement {
  if (table.classList.contains("zoo-compare__table")) keepRoles(table);
  return el("div", { class: `zoo-scroll ${kind}`.trim(), tabindex: 0, role: "group", "aria-label": label }, table);
}

const ROLES = { thead: "rowgroup", tbody: "rowgroup", tr: "row", td: "cell", "thead th": "columnheader", "tbody th": "rowheader" };

/** Narrow pages lay the rows of these tables out as grids, which takes their roles from the parts of a table. */
function keepRoles(table: HTMLTableElement): void {
  table.setAttribute("role", "table");
  for (const [part, role] of Object.entries(ROLES)) {
    for (const element of table.querySelectorAll(part)) element.setAttribute("role", role);
  }
}

export function button(text: string, act: () => void, attributes: Record<string, string | null> = {}): HTMLButtonElement {
  const element = el("button", { type: "button", ...attributes }, text);
  element.addEventListener("click", act);
  return element;
}
