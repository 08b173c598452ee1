// What the comparison loads, algorithms/<id>/compare.json, as site_gen/emit/compare_files.py writes it; and how lists of
// several entries are laid beside each other. Which things compare, and why others do not, stands in the files.

import type { CurveAxis, CurveDot } from "../curves";

export interface Row {
  key: string;
  name: string;
  html: string;
  token: string | null; // equal tokens are equal facts; null: a text, which is never equal
  meaning: string;
  link: string;
}

interface Axis extends CurveAxis {
  ratio: boolean; // to the uncompressed model
}

export interface Drawn {
  x: Axis;
  y: Axis;
  limit: number | null; // dots past it are drawn at the edge
  joined: boolean;
  dots: CurveDot[];
}

export interface Column {
  key: string;
  name: string;
  better: "lower" | "higher" | "neither";
}

type Cells = Record<string, string[]>; // column -> median, and from least to greatest where the seeds differ

export interface Section {
  id: string;
  order: number;
  title: string;
  url: string;
  says: string;
  date: string;
  stale: boolean;
  seeds: number;
  columns: Column[];
  dense: Cells | null;
  rows: { name: string; declared: boolean; cells: Cells }[];
  plots: Record<string, Drawn | { missing: string }>;
}

export type Part = [label: string, shown: string, tokens: string[], soft: number];

export interface Line {
  what: string;
  model: string;
  better: Column["better"];
  value: string;
  baseline: string;
  form: string;
  setting: string;
  group: string | null; // lines of one group compare
  rank: string;
  source: string;
  parts: Part[];
}

export interface Group {
  protocol: string;
  source: string;
  methods: number;
  ranked: boolean;
  url: string;
}

interface Place {
  id: string;
  name: string;
  url: string;
}

export interface Partner {
  id: string;
  name: string;
  family: string;
  why: string;
}

export interface Entry {
  schema: number;
  id: string;
  name: string;
  url: string;
  family: Place & { icon: string };
  group: Place;
  year: string;
  rows: Row[];
  relations: { to: string; html: string }[];
  paper: string | null;
  cites: { known: string; works: { key: string; name: string; url: string }[] };
  surveys: { key: string; name: string; url: string; path: string; depth: string }[];
  measured: { says: string; sections: Section[] };
  combined: { says: string; pairs: Record<string, string> };
  reported: { groups: Record<string, Group>; lines: Line[] };
  code: { path: string; lines: number };
  cite: { text: string; work: string | null; files?: string };
  partners: Partner[];
}

export const SCHEMA = 1;

/** Several lists in the order that they share; what only one has stands behind its neighbour there. */
export function union(lists: string[][]): string[] {
  const order: string[] = [];
  for (const list of lists) {
    let at = -1;
    for (const one of list) {
      const found = order.indexOf(one);
      at = found >= 0 ? found : at + 1;
      if (found < 0) order.splice(at, 0, one);
    }
  }
  return order;
}

/** Items under what `key` says of them, in the order in which each is first seen. */
export function grouped<T>(items: T[], key: (item: T) => string): Map<string, T[]> {
  const found = new Map<string, T[]>();
  for (const item of items) found.set(key(item), [...(found.get(key(item)) ?? []), item]);
  return found;
}

/** Each pair of a list once. */
export function pairs<T>(items: T[]): [T, T][] {
  return items.flatMap((one, i) => items.slice(i + 1).map((other): [T, T] => [one, other]));
}

/** The parts in which two numbers differ, as `differing` of site_gen/enrich/reported.py finds them. */
export function differing(here: Part[], there: Part[]): [label: string, here: string, there: string][] {
  const [mine, its] = [here, there].map((parts) => new Map(parts.map((part) => [part[0], part])));
  const hard: [string, string, string][] = [];
  const soft: [string, string, string][] = [];
  for (const label of new Set([...mine.keys(), ...its.keys()])) {
    const [one, other] = [mine.get(label), its.get(label)];
    const [left, right] = [one?.[2] ?? [], other?.[2] ?? []];
    if (left.some((token) => right.includes(token)) || !(left.length || right.length)) continue;
    const weak = (one ?? other)![3] && !(left.length && right.length);
    (weak ? soft : hard).push([label, one?.[1] ?? "none given", other?.[1] ?? "none given"]);
  }
  return hard.length ? hard : soft;
}

export class Missing extends Error {}

/** Loads entries, each once. */
export class Loader {
  private readonly files = new Map<string, Promise<Entry>>();

  /** base: the root of the site. */
  constructor(private readonly base: string) {}

  /** Rejects with Missing where there is no such entry, else with what went wrong in words. */
  load(id: string): Promise<Entry> {
    if (!/^[a-z0-9-]+$/.test(id)) return Promise.reject(new Missing(id));
    if (!this.files.has(id)) {
      const loading = this.fetch(id);
      loading.catch(() => this.files.delete(id));
      this.files.set(id, loading);
    }
    return this.files.get(id)!;
  }

  private async fetch(id: string): Promise<Entry> {
    const answer = await fetch(`${this.base}algorithms/${id}/compare.json`);
    if (answer.status === 404) throw new Missing(id);
    if (!answer.ok) throw new Error(`the server answered ${answer.status}`);
    const entry = (await answer.json()) as Entry;
    if (entry.schema !== SCHEMA) throw new Error("the site was built anew; load the page again");
    return entry;
  }
}
