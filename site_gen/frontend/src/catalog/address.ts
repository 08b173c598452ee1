// What is chosen <-> the address: ?q=words&data=none,calibration&year=2020-2023&sort=-year&view=cards&chosen=gptq,awq
// A parameter that is not ours stays; a value that nobody knows is left out.

export interface State {
  text: string;
  chosen: Map<string, Set<string>>; // facet -> values; never an empty set
  from: string; // of the facet that is a range, the first and last value, or ""
  to: string;
  sort: string; // "" is the order of the page
  down: boolean;
  view: "" | "cards" | "table"; // "" leaves it to the width of the window
  picked: string[]; // ids of entries, in the order in which they were picked
}

export interface Known {
  values: ReadonlyMap<string, ReadonlySet<string>>; // facet -> its values
  range: string; // the facet that is a range
  entries: ReadonlySet<string>;
}

const OWN = ["q", "sort", "view", "chosen"];

export function empty(): State {
  return { text: "", chosen: new Map(), from: "", to: "", sort: "", down: false, view: "", picked: [] };
}

export function read(query: string, known: Known): State {
  const given = new URLSearchParams(query);
  const state = empty();
  const list = (name: string) => given.getAll(name).flatMap((text) => text.split(","));
  state.text = given.get("q") ?? "";
  for (const [facet, values] of known.values) {
    if (facet === known.range) continue;
    const chosen = new Set(list(facet).filter((value) => values.has(value)));
    if (chosen.size) state.chosen.set(facet, chosen);
  }
  const range = /^(\d*)(-?)(\d*)$/.exec(given.get(known.range) ?? "");
  if (range) {
    state.from = range[1];
    state.to = range[2] ? range[3] : range[1];
  }
  const sort = given.get("sort") ?? "";
  const column = sort.replace(/^-/, "");
  if (column === "name" || known.values.has(column)) {
    state.sort = column === "name" ? "" : column;
    state.down = sort.startsWith("-");
  }
  const view = given.get("view");
  if (view === "cards" || view === "table") state.view = view;
  state.picked = [...new Set(list("chosen"))].filter((id) => known.entries.has(id));
  return state;
}

/** The address with this state; `from` is the one that is there now. */
export function written(state: State, from: string, known: Known): string {
  const address = new URL(from);
  const set = (name: string, text: string) => {
    if (text) address.searchParams.set(name, text);
    else address.searchParams.delete(name);
  };
  for (const name of [...OWN, ...known.values.keys()]) address.searchParams.delete(name);
  set("q", state.text.trim());
  for (const facet of known.values.keys()) {
    if (facet === known.range) {
      const { from: first, to: last } = state;
      set(facet, first && first === last ? first : first || last ? `${first}-${last}` : "");
    } else set(facet, [...(state.chosen.get(facet) ?? [])].join(","));
  }
  set("sort", state.sort || state.down ? (state.down ? "-" : "") + (state.sort || "name") : "");
  set("view", state.view);
  set("chosen", state.picked.join(","));
  return address.href.replaceAll("%2C", ",").replace(/\?.*?(?=#|$)/, (query) => query.replaceAll("%2F", "/"));
}
