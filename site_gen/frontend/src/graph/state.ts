// What is shown, as the address says it: ?work=KEY&depth=2&colour=year&layout=time&family=pruning,sharing&implied=1.
// An address #KEY is understood too, as the neighbourhood of that work.

import { MODES, type Mode, type Model } from "./data";

export type LayoutName = "map" | "time" | "steps";

export interface State {
  work: string | null; // the current work
  depth: number; // 0: the whole graph; 1 to 3: what is so many citations around the current work
  open: string | null; // a work beside the current one whose details are open
  colour: Mode | null; // null: as fits what is shown
  layout: LayoutName | null;
  only: Partial<Record<Mode, string[]>>; // groups to which the drawing is narrowed
  implied: boolean;
  path: boolean;
}

export const MOST_STEPS = 3;
const LAYOUTS: readonly LayoutName[] = ["map", "time", "steps"];

function oneOf<T extends string>(value: string | null, known: readonly T[]): T | null {
  return known.find((name) => name === value) ?? null;
}

/** The state that an address asks for; what it names and is not there is left out. */
export function read(address: URL, model: Model): State {
  const query = address.searchParams;
  const known = (key: string | null) => (key !== null && model.index.has(key) ? key : null);
  let fragment = "";
  try {
    fragment = decodeURIComponent(address.hash.slice(1));
  } catch {
    // Not a fragment of ours.
  }
  const named = known(query.get("work"));
  const work = named ?? known(fragment);
  const asked = Number(query.get("depth") ?? (named ? 0 : 1));
  const depth = work && Number.isInteger(asked) ? Math.min(MOST_STEPS, Math.max(0, asked)) : 0;
  const open = known(query.get("open"));
  const only: State["only"] = {};
  for (const mode of MODES) {
    const ids = (query.get(mode) ?? "").split(",").filter(Boolean);
    const grouping = model.groupings.get(mode);
    const there = mode === "role" ? ids : ids.filter((id) => grouping!.groups.some((group) => group.id === id));
    if (there.length && (mode !== "role" || depth)) only[mode] = there;
  }
  const layout = oneOf(query.get("layout"), LAYOUTS);
  const colour = oneOf(query.get("colour"), MODES);
  return {
    work,
    depth,
    open: depth && open !== work ? open : null,
    colour: colour === "role" && !depth ? null : colour,
    layout: layout === "steps" && !depth ? null : layout,
    only,
    implied: query.get("implied") === "1",
    path: query.get("path") === "1",
  };
}

/** The address of a state: `here` with its query set anew. Parameters of others stay. */
export function write(state: State, here: URL): string {
  const address = new URL(here);
  const query = address.searchParams;
  const set = (name: string, value: string | null) => (value === null ? query.delete(name) : query.set(name, value));
  set("work", state.work);
  set("depth", state.depth ? String(state.depth) : null);
  set("open", state.open);
  set("colour", state.colour);
  set("layout", state.layout);
  for (const mode of MODES) set(mode, state.only[mode]?.length ? state.only[mode].join(",") : null);
  set("implied", state.implied ? "1" : null);
  set("path", state.path ? "1" : null);
  address.hash = "";
  return (address.pathname + address.search).replaceAll("%2C", ",");
}

export function layoutOf(state: State): LayoutName {
  return state.layout ?? (state.depth ? "steps" : "map");
}

export function colourOf(state: State): Mode {
  return state.colour ?? (state.depth ? "role" : "family");
}
