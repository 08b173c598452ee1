// What is compared <-> the address: compare/?a=gptq&a=awq&only=1&on=language-1-s. `see` names the two
// of more that a phone shows, the one asked for last first. The order of `a` is that of the columns.

export interface State {
  entries: string[];
  only: boolean; // only rows that differ
  see: string[]; // of more than two, those that a phone shows; empty: the first two
  on: string; // the protocol whose measurements are shown; empty: the first that most share
}

/** The state of an address. `over` are entries past the `most` that fit, `retired` leads from old ids to new ones. */
export function read(search: string, most: number, retired: Record<string, string>): State & { over: string[] } {
  const given = new URLSearchParams(search);
  const asked = given.getAll("a").map((id) => retired[id] ?? id).filter(Boolean);
  const entries = [...new Set(asked)];
  return {
    entries: entries.slice(0, most), over: entries.slice(most), only: given.has("only"),
    see: given.getAll("see").filter((id) => entries.includes(id)).slice(0, 2), on: given.get("on") ?? "",
  };
}

/** The query of a state; what is not set is left out. */
export function query({ entries, only, see, on }: State): string {
  const given = new URLSearchParams(entries.map((id) => ["a", id]));
  if (only) given.set("only", "1");
  for (const id of see) if (entries.includes(id)) given.append("see", id);
  if (on) given.set("on", on);
  const text = given.toString();
  return text ? `?${text}` : "";
}
