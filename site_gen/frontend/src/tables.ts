// Tables that sort and filter: every table[data-table], with the controls that name it. The rows are all in the page;
// what is chosen stands in the address, so that a view can be linked and comes back with it.

type Kind = "text" | "number";

interface Column {
  name: string; // in the address and in downloads
  kind: Kind;
  head: HTMLTableCellElement;
  button: HTMLButtonElement;
}

interface Row {
  element: HTMLTableRowElement;
  place: number; // in the page as it was written
  text: string;
}

type Chooser = HTMLSelectElement | HTMLInputElement;

const words = new Intl.Collator("en", { sensitivity: "base", numeric: true });

/** Serves every table[data-table] of the page. */
export function startTables(): void {
  for (const table of document.querySelectorAll<HTMLTableElement>("table[data-table]")) serve(table);
}

function serve(table: HTMLTableElement): void {
  const prefix = table.dataset.table ? `${table.dataset.table}.` : "";
  const body = table.tBodies[0];
  const rows: Row[] = [...body.rows].map((element, place) => ({
    element, place, text: folded(`${element.textContent} ${element.id}`),
  }));
  const heads = [...table.tHead!.rows[table.tHead!.rows.length - 1].cells];
  const columns = heads.filter((head) => head.dataset.sort).map(sortable);
  const controls = document.querySelector<HTMLElement>(`[data-table-controls="#${table.id}"]`);
  const search = controls?.querySelector<HTMLInputElement>("input[data-filter-text]") ?? null;
  const choosers = [...(controls?.querySelectorAll<Chooser>("[data-filter-by]") ?? [])];
  const count = controls?.querySelector<HTMLElement>("[data-table-count]") ?? null;
  const reset = controls?.querySelector<HTMLButtonElement>("[data-table-reset]") ?? null;
  const save = controls?.querySelector<HTMLButtonElement>("[data-table-csv]") ?? null;
  let sorted: Column | null = null;
  let down = false;

  /** The value that a cell sorts by: its data-value, else its text. */
  function value(row: Row, column: Column): string {
    return plain(row.element.cells[column.head.cellIndex]);
  }

  function order(): Row[] {
    if (!sorted) return rows;
    const column = sorted;
    const sign = down ? -1 : 1;
    const keyed = rows.map((row) => ({ row, key: value(row, column) }));
    keyed.sort((a, b) => {
      if (!a.key || !b.key) return Number(!a.key) - Number(!b.key) || a.row.place - b.row.place; // nothing comes last
      const apart = column.kind === "number" ? Number(a.key) - Number(b.key) : words.compare(a.key, b.key);
      return sign * apart || a.row.place - b.row.place;
    });
    return keyed.map(({ row }) => row);
  }

  function chosen(): [string, string][] {
    const found: [string, string][] = [];
    for (const chooser of choosers) {
      const on = chooser instanceof HTMLSelectElement || chooser.checked;
      if (on && chooser.value) found.push([chooser.dataset.filterBy!, chooser.value]);
    }
    return found;
  }

  function show(sort: boolean): void {
    if (sort) body.append(...order().map((row) => row.element));
    for (const column of columns) {
      const here = column === sorted;
      column.head.setAttribute("aria-sort", here ? (down ? "descending" : "ascending") : "none");
    }
    const asked = folded(search?.value ?? "").split(/\s+/).filter(Boolean);
    const wanted = chosen();
    let shown = 0;
    for (const { element, text } of rows) {
      const fits =
        asked.every((word) => text.includes(word)) &&
        wanted.every(([name, one]) => (element.getAttribute(`data-has-${name}`) ?? "").split(" ").includes(one));
      element.hidden = !fits;
      if (fits) shown += 1;
    }
    const narrowed = asked.length > 0 || wanted.length > 0;
    const total = rows.length.toLocaleString("en");
    if (count) count.textContent = narrowed ? `${shown.toLocaleString("en")} of ${total}` : total;
    if (reset) reset.hidden = !narrowed && !sorted;
    table.dispatchEvent(new CustomEvent("zoo-rows", { bubbles: true, detail: { shown, of: rows.length } }));
  }

  function names(): string[] {
    return [...new Set(choosers.map((chooser) => chooser.dataset.filterBy!))];
  }

  function write(): void {
    const address = new URL(location.href);
    const state = new Map<string, string>();
    if (search?.value.trim()) state.set("q", search.value.trim());
    for (const [name, one] of chosen()) state.set(name, state.has(name) ? `${state.get(name)},${one}` : one);
    if (sorted) state.set("sort", (down ? "-" : "") + sorted.name);
    for (const name of ["q", "sort", ...names()]) {
      if (state.has(name)) address.searchParams.set(prefix + name, state.get(name)!);
      else address.searchParams.delete(prefix + name);
    }
    history.replaceState(history.state, "", address.href.replaceAll("%2C", ","));
  }

  function read(): void {
    const given = new URLSearchParams(location.search);
    const asked = given.get(`${prefix}sort`) ?? "";
    down = asked.startsWith("-");
    sorted = columns.find((column) => column.name === asked.replace(/^-/, "")) ?? null;
    if (!sorted) down = false;
    if (search) search.value = given.get(`${prefix}q`) ?? "";
    for (const chooser of choosers) {
      const values = given.get(prefix + chooser.dataset.filterBy!)?.split(",") ?? [];
      if (chooser instanceof HTMLSelectElement) {
        const known = [...chooser.options].map((option) => option.value);
        chooser.value = values.find((one) => known.includes(one)) ?? "";
      } else chooser.checked = values.includes(chooser.value);
    }
    show(true);
  }

  for (const column of columns) {
    column.button.addEventListener("click", () => {
      if (sorted !== column) [sorted, down] = [column, false];
      else if (!down) down = true;
      else [sorted, down] = [null, false]; // the third time: as it was written
      write();
      show(true);
    });
  }
  for (const control of [search, ...choosers]) {
    control?.addEventListener("input", () => {
      write();
      show(false);
    });
  }
  reset?.addEventListener("click", () => {
    if (search) search.value = "";
    for (const chooser of choosers) {
      if (chooser instanceof HTMLSelectElement) chooser.value = "";
      else chooser.checked = false;
    }
    [sorted, down] = [null, false];
    write();
    show(true);
    (search ?? choosers[0] ?? columns[0].button).focus();
  });
  save?.addEventListener("click", () => download(save.dataset.tableCsv!, csv(heads, body)));

  for (const element of [controls, save]) element?.removeAttribute("hidden");
  addEventListener("popstate", read);
  read();
}

/** Puts what a header cell holds into a button that sorts by its column. */
function sortable(head: HTMLTableCellElement): Column {
  const name = columnName(head);
  const button = document.createElement("button");
  button.type = "button";
  button.className = "zoo-sort";
  button.append(...head.childNodes);
  head.append(button);
  return { name, kind: head.dataset.sort as Kind, head, button };
}

/** What a column is called in the address and in downloads. */
function columnName(head: HTMLTableCellElement): string {
  return head.dataset.column ?? head.textContent!.toLowerCase().replace(/[^a-z0-9]+/g, "-").replace(/^-|-$/g, "");
}

/** Without case and accents, so that "uber" finds "Über". */
function folded(text: string): string {
  return text.normalize("NFD").replace(/\p{M}/gu, "").toLowerCase();
}

function plain(cell: HTMLTableCellElement | undefined): string {
  return cell?.dataset.value ?? cell?.textContent!.trim().replace(/\s+/g, " ") ?? "";
}

/** The rows that are shown, in their order, as CSV (RFC 4180): what each cell sorts by, under the names of its column. */
function csv(heads: HTMLTableCellElement[], body: HTMLTableSectionElement): string {
  const rows = [...body.rows].filter((row) => !row.hidden);
  const lines = [
    heads.map(columnName),
    ...rows.map((row) => heads.map((head) => plain(row.cells[head.cellIndex]))),
  ];
  const quoted = (text: string) => (/[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text);
  return lines.map((line) => `${line.map(quoted).join(",")}\r\n`).join("");
}

function download(name: string, text: string): void {
  const address = URL.createObjectURL(new Blob([text], { type: "text/csv" }));
  const link = document.createElement("a");
  link.href = address;
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(address), 1000);
}
