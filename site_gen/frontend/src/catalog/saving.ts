// The rows of entries.json that are shown or picked, as a file: CSV for spreadsheets, JSON as it is.

export interface Entry {
  id: string;
  summary: string;
  [field: string]: unknown;
}

export interface EntriesFile {
  schema: number;
  facets: unknown[];
  entries: Entry[];
}

/** One column a field; parts of facts, bits and code have columns of their own, lists are joined by "; ". */
export function csv(entries: Entry[], root: string): string {
  const rows = entries.map((entry) => {
    const row = new Map<string, string>();
    for (const [name, value] of Object.entries(entry)) {
      if (name === "address") row.set("address", new URL(String(value), root).href);
      else if (value !== null && typeof value === "object" && !Array.isArray(value)) {
        if (name === "bits") row.set("bits", pairs(value));
        else for (const [part, one] of Object.entries(value)) row.set(name === "facts" ? part : `${name}_${part}`, cell(one));
      } else row.set(name, cell(value));
    }
    return row;
  });
  const heads = [...new Set(rows.flatMap((row) => [...row.keys()]))];
  const lines = [heads, ...rows.map((row) => heads.map((head) => row.get(head) ?? ""))];
  return lines.map((line) => `${line.map(quoted).join(",")}\r\n`).join("");
}

export function json(entries: Entry[], address: string): string {
  return `${JSON.stringify({ schema: 1, address, entries }, null, 1)}\n`;
}

function cell(value: unknown): string {
  if (value === null || value === undefined) return "";
  return Array.isArray(value) ? value.join("; ") : String(value);
}

function pairs(widths: object): string {
  return Object.entries(widths).map(([what, found]) => `${what}: ${(found as number[]).join(" ")}`).join("; ");
}

function quoted(text: string): string {
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}

export function save(name: string, type: string, text: string): void {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([text], { type }));
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 1000);
}
