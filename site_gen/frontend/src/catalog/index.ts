// The catalog page: every entry is a row of the page; what is chosen in the facets, the box and the sort hides and orders
// them. The address holds all of it: a discrete choice is a step of the history, typing is not.

import { type State, empty, read, written } from "./address";
import { type Bits, add, answer, has, none } from "./choice";
import { type Option, Panel, type Section, sections, within } from "./panel";
import { type EntriesFile, csv, json, save } from "./saving";

interface Row {
  element: HTMLTableRowElement;
  id: string;
  name: string;
  place: number; // in the page as it was written
  values: number[]; // places among all values of all facets
  box: HTMLInputElement;
}

const RANGE = "year";
const MOST = 4; // entries that are compared
const PIECE = 120; // rows; whole lines of one to six cards
const AT_ONCE = 4 * PIECE; // rows that are put in their place together
const PHONE = "(max-width: 59.9375em)"; // as in catalog.css

/** Serves the element that holds facets and list; `base` is the root of the site. */
export function startCatalog(root: HTMLElement, base: string): void {
  const find = <T extends HTMLElement>(name: string) => root.querySelector<T>(`[data-list-${name}]`)!;
  const table = root.querySelector("table")!;
  const rows: Row[] = [...table.tBodies].flatMap((body) => [...body.rows]).map((element, place) => ({
    element, place, id: element.id, name: element.cells[1].querySelector("a")!.textContent!,
    values: element.dataset.values!.split(" ").map(Number),
    box: element.cells[0].firstElementChild as HTMLInputElement,
  }));
  const byId = new Map(rows.map((row) => [row.id, row]));
  const size = rows.length;

  const panelElement = find("facets");
  const facets = sections(panelElement, () => none(size));
  const options = facets.flatMap((facet) => facet.values);
  const facetOf = new Map(options.map((option, i) => [i, option]));
  for (const row of rows) for (const value of row.values) add(options[value].bits, row.place);
  const range = facets.find((facet) => facet.id === RANGE)!;
  const known = {
    values: new Map(facets.map((facet) => [facet.id, new Set(facet.values.map((value) => value.id))])),
    range: RANGE,
    entries: new Set(byId.keys()),
  };

  const text = find<HTMLInputElement>("text");
  const sort = find<HTMLSelectElement>("sort");
  const down = find<HTMLButtonElement>("down");
  const count = find("count");
  const chips = find("chips");
  const nothing = find("none");
  const tray = find("tray");
  const saving = find<HTMLDetailsElement>("save");
  const savingCount = find("save-count");
  const drawerButton = find<HTMLButtonElement>("drawer");
  const views = [...root.querySelectorAll<HTMLInputElement>("input[name=zoo-view]")];
  const narrow = matchMedia(PHONE);

  let state = empty();
  let fits: Bits = none(size);
  for (let i = 0; i < size; i += 1) add(fits, i); // what the page shows as it was written
  let order = rows;
  let ordered = " false"; // how `order` was made: column and direction
  let shownCount = size;

  // --- the words of the box ---------------------------------------------------------------------------------------

  let texts: string[] | null = null;
  let loading: Promise<EntriesFile> | null = null;
  let asked = { text: "", with: null as string[] | null, bits: null as Bits | null };

  function entries(): Promise<EntriesFile> {
    loading ??= fetch(`${base}assets/zoo/entries.json`).then((got) => {
      if (!got.ok) throw new Error(`entries.json: ${got.status}`);
      return got.json() as Promise<EntriesFile>;
    });
    loading.catch(() => (loading = null));
    return loading;
  }

  /** What the rows say; their whole summaries follow as soon as they are loaded. */
  function prepareTexts(): void {
    if (texts) return;
    texts = rows.map(({ element, id, values }) =>
      folded(`${element.textContent} ${id} ${values.map((value) => `${facetOf.get(value)!.name} ${facetOf.get(value)!.id}`).join(" ")}`));
    entries().then(
      (file) => {
        const whole = new Map(file.entries.map((entry) => [entry.id, entry.summary]));
        texts = texts!.map((one, i) => `${one} ${folded(whole.get(rows[i].id) ?? "")}`);
        if (state.text.trim()) show();
      },
      () => undefined, // the rows themselves are still searched
    );
  }

  function matching(): Bits | null {
    const words = folded(state.text).split(/\s+/).filter(Boolean);
    if (!words.length) return null;
    prepareTexts();
    const key = words.join(" ");
    if (asked.text !== key || asked.with !== texts) {
      const bits = none(size);
      texts!.forEach((one, i) => {
        if (words.every((word) => one.includes(word))) add(bits, i);
      });
      asked = { text: key, with: texts, bits };
    }
    return asked.bits;
  }

  // --- what is shown ----------------------------------------------------------------------------------------------

  function show(opened = false): void {
    const also = new Map<string, Bits>();
    const found = matching();
    if (found) also.set("text", found);
    if (state.from || state.to) {
      const years = none(size);
      for (const value of range.values) {
        if (within(value.id, state)) for (let i = 0; i < years.length; i += 1) years[i] |= value.bits[i];
      }
      also.set(RANGE, years);
    }
    const result = answer(facets, state.chosen, size, also);
    const changed = result.fits.some((word, i) => word !== fits[i]);
    fits = result.fits;
    arrange(changed);
    panel.show(state, result, Math.max(1, shownCount), opened);
    if (text.value.trim() !== state.text.trim()) text.value = state.text;
    showCount();
    showChips();
    showNothing(result.without);
    showView();
    showPicked();
  }

  function showCount(): void {
    const all = shownCount === size && !active().length;
    const number = document.createElement("strong");
    number.textContent = shownCount.toLocaleString("en");
    const rest = all ? plural(size) : `of ${size.toLocaleString("en")} ${plural(size)}`;
    const told = `${number.textContent} ${rest}`;
    if (count.textContent !== told) count.replaceChildren(number, ` ${rest}`); // said again only where it changed
  }

  /** Puts the rows that fit, in order, into pieces of their own. A piece that is not on the screen is neither styled nor
   *  laid out. The first rows come at once, the rest of a long list in the moments after; what does not fit stays where
   *  it was, out of sight. */
  function arrange(changed: boolean): void {
    const wanted = `${state.sort} ${state.down}`;
    sort.value = state.sort;
    down.setAttribute("aria-pressed", String(state.down));
    for (const head of heads) {
      const here = head.dataset.column === state.sort && (state.sort !== "" || state.down);
      head.setAttribute("aria-sort", here ? (state.down ? "descending" : "ascending") : "none");
    }
    if (wanted !== ordered) {
      ordered = wanted;
      order = sortedRows();
    } else if (!changed) return;
    const shown = order.filter((row) => has(fits, row.place));
    shownCount = shown.length;
    const left = [...table.tBodies];
    for (const body of left) body.hidden = true;
    clearTimeout(filling);
    fill(shown, 0, table.tHead!, left);
  }

  let filling = 0;

  function fill(shown: Row[], start: number, after: HTMLElement, left: HTMLTableSectionElement[]): void {
    const end = Math.min(shown.length, start + AT_ONCE);
    for (let next = start; next < end; next += PIECE) {
      const piece = document.createElement("tbody");
      const part = shown.slice(next, Math.min(end, next + PIECE));
      piece.append(...part.map((row) => row.element));
      piece.style.setProperty("--rows", String(part.length));
      after.after(piece);
      after = piece;
    }
    if (end < shown.length) {
      filling = window.setTimeout(() => fill(shown, end, after, left), start ? 0 : 30); // a frame is painted first
      return;
    }
    for (const body of left) if (!body.rows.length) body.remove();
    filling = 0;
    tell();
  }

  function sortedRows(): Row[] {
    const sign = state.down ? -1 : 1;
    if (!state.sort) return state.down ? [...rows].reverse() : rows;
    const facet = facets.find((one) => one.id === state.sort)!;
    const start = options.indexOf(facet.values[0]);
    const end = start + facet.values.length;
    const key = (row: Row) => {
      const own = row.values.filter((value) => value >= start && value < end);
      return own.find((value) => options[value].parent !== null) ?? own[0] ?? null;
    };
    const keyed = rows.map((row) => ({ row, key: key(row) }));
    keyed.sort((a, b) => {
      if (a.key === null || b.key === null) return Number(a.key === null) - Number(b.key === null) || a.row.place - b.row.place;
      return sign * (a.key - b.key) || a.row.place - b.row.place; // what has no value comes last, either way
    });
    return keyed.map(({ row }) => row);
  }

  function showView(): void {
    const now = state.view || (narrow.matches ? "cards" : "table");
    document.documentElement.dataset.zooView = now;
    for (const view of views) view.checked = view.value === now;
  }

  // --- what is chosen, as chips -----------------------------------------------------------------------------------

  interface Active {
    facet: string;
    label: string;
    remove: () => void;
  }

  function active(): Active[] {
    const found: Active[] = [];
    if (state.text.trim()) found.push({ facet: "text", label: `“${state.text.trim()}”`, remove: () => (state.text = "") });
    for (const facet of facets) {
      if (facet.id === RANGE) {
        const { from, to } = state;
        const years = from === to ? from : from && to ? `${from} to ${to}` : from ? `from ${from}` : `to ${to}`;
        if (from || to) found.push({ facet: RANGE, label: `${facet.name}: ${years}`, remove: () => (state.from = state.to = "") });
        continue;
      }
      for (const value of facet.values) {
        if (state.chosen.get(facet.id)?.has(value.id)) {
          found.push({ facet: facet.id, label: value.name, remove: () => choose(facet, value, false) });
        }
      }
    }
    return found;
  }

  function showChips(): void {
    const all = active();
    const items = all.map((one, i) => {
      const button = chip(one.label, `Remove ${one.label}`);
      button.addEventListener("click", () => {
        one.remove();
        step();
        const left = chips.querySelectorAll("button");
        (left[Math.min(i, left.length - 1)] ?? text).focus();
      });
      return inItem(button);
    });
    if (all.length > 1) {
      const clear = document.createElement("button");
      clear.type = "button";
      clear.className = "zoo-list__clear";
      clear.textContent = "Clear all";
      clear.addEventListener("click", () => {
        clearAll();
        text.focus();
      });
      items.push(inItem(clear));
    }
    chips.replaceChildren(...items);
    const number = all.length ? `(${all.length})` : "";
    const mark = find("active");
    if (mark) mark.textContent = number;
  }

  function clearAll(): void {
    state = { ...empty(), sort: state.sort, down: state.down, view: state.view, picked: state.picked };
    step();
  }

  /** Where nothing fits: which one choice stands in the way, and how many there would be without it. */
  function showNothing(without: Map<string, number>): void {
    nothing.hidden = shownCount > 0;
    if (shownCount > 0) return nothing.replaceChildren();
    const message = document.createElement("p");
    message.textContent = "No algorithm fits all of this.";
    const list = document.createElement("ul");
    const names = new Map<string, string>([["text", "the words"], ...facets.map((facet): [string, string] => [facet.id, facet.name])]);
    for (const [facet, number] of [...without].sort((a, b) => b[1] - a[1])) {
      if (!number) continue;
      const button = document.createElement("button");
      button.type = "button";
      button.className = "zoo-button zoo-button--quiet";
      button.textContent = `${number} without ${names.get(facet)}`;
      button.addEventListener("click", () => {
        for (const one of active()) if (one.facet === facet) one.remove();
        step();
        text.focus();
      });
      list.append(inItem(button));
    }
    nothing.replaceChildren(message, list);
  }

  // --- changes ----------------------------------------------------------------------------------------------------

  /** A value and what is wider or narrower than it are not chosen together. */
  function choose(facet: Section, value: Option, on: boolean): void {
    const chosen = new Set(state.chosen.get(facet.id));
    if (on) {
      chosen.add(value.id);
      if (value.parent !== null) chosen.delete(value.parent);
      for (const one of facet.values) if (one.parent === value.id) chosen.delete(one.id);
    } else chosen.delete(value.id);
    if (chosen.size) state.chosen.set(facet.id, chosen);
    else state.chosen.delete(facet.id);
  }

  /** After a discrete choice: a step of the history. */
  function step(): void {
    const address = written(state, location.href, known);
    if (address !== location.href) history.pushState(null, "", address);
    show();
    tell();
  }

  function replace(): void {
    history.replaceState(history.state, "", written(state, location.href, known));
  }

  let telling = 0;
  /** Tells the bar that cites what is shown, once the page has been painted. */
  function tell(): void {
    cancelAnimationFrame(telling);
    if (filling) return; // told at its end
    telling = requestAnimationFrame(() => setTimeout(() => table.dispatchEvent(new CustomEvent("zoo-rows", { bubbles: true }))));
  }

  const panel = new Panel(
    facets, RANGE,
    (facet, value, on) => {
      choose(facet, value, on);
      step();
    },
    (from, to) => {
      const turned = from && to && Number(from) > Number(to);
      [state.from, state.to] = turned ? [to, from] : [from, to];
      step();
    },
  );

  text.addEventListener("focus", prepareTexts, { once: true });
  text.addEventListener("input", () => {
    state.text = text.value;
    replace();
    show();
    tell();
  });

  const heads = [...table.tHead!.rows[0].cells].filter((head) => head.dataset.column !== undefined);
  for (const head of heads) {
    const button = document.createElement("button");
    button.type = "button";
    button.className = "zoo-sort";
    button.append(...head.childNodes);
    head.append(button);
    button.addEventListener("click", () => {
      const column = head.dataset.column!;
      if (state.sort !== column) [state.sort, state.down] = [column, column === RANGE];
      else if (state.down === (column === RANGE)) state.down = !state.down;
      else [state.sort, state.down] = ["", false]; // the third time: as it was written
      step();
    });
  }
  sort.addEventListener("change", () => {
    [state.sort, state.down] = [sort.value, sort.value === RANGE];
    step();
  });
  down.addEventListener("click", () => {
    state.down = !state.down;
    step();
  });
  for (const view of views) {
    view.addEventListener("change", () => {
      state.view = view.value as State["view"];
      step();
    });
  }
  narrow.addEventListener("change", showView);

  // --- picked entries ---------------------------------------------------------------------------------------------

  let marked = new Set<string>();

  function showPicked(): void {
    const picked = new Set(state.picked);
    for (const id of new Set([...marked, ...picked])) {
      const { box, element } = byId.get(id)!;
      box.checked = picked.has(id);
      element.toggleAttribute("data-picked", box.checked);
    }
    marked = picked;
    tray.hidden = !picked.size;
    savingCount.textContent = picked.size ? `Save the ${picked.size} chosen:` : `Save the ${shownCount} shown:`;
    if (!picked.size) return tray.replaceChildren();
    const list = document.createElement("ul");
    for (const id of state.picked) {
      const { name } = byId.get(id)!;
      const button = chip(name, `Do not choose ${name}`);
      button.addEventListener("click", () => {
        pick(state.picked.filter((one) => one !== id));
        (tray.querySelector<HTMLElement>("button") ?? text).focus();
      });
      list.append(inItem(button));
    }
    const clear = document.createElement("button");
    clear.type = "button";
    clear.className = "zoo-list__clear";
    clear.textContent = "Choose none";
    clear.addEventListener("click", () => {
      pick([]);
      text.focus();
    });
    tray.replaceChildren(list, compare(), clear);
  }

  function compare(): HTMLElement {
    const few = state.picked.length < 2;
    if (few || state.picked.length > MOST) {
      const hint = document.createElement("span");
      hint.className = "zoo-muted";
      hint.textContent = few ? "Choose one to three more to compare" : `Up to ${MOST} can be compared`;
      return hint;
    }
    const link = document.createElement("a");
    link.className = "zoo-button";
    link.href = `${tray.dataset.compare}?${state.picked.map((id) => `a=${id}`).join("&")}`;
    link.textContent = `Compare ${state.picked.length}`;
    return link;
  }

  function pick(ids: string[]): void {
    state.picked = ids;
    replace();
    showPicked();
    tell();
  }

  table.addEventListener("change", (event) => {
    const box = event.target as HTMLInputElement;
    const id = box.closest("tr")!.id;
    pick(box.checked ? [...state.picked, id] : state.picked.filter((one) => one !== id));
  });
  root.querySelector("[data-cite-none]")?.addEventListener("click", () => pick([]));

  // --- files ------------------------------------------------------------------------------------------------------

  for (const button of root.querySelectorAll<HTMLButtonElement>("[data-list-file]")) {
    button.addEventListener("click", async () => {
      const wanted = state.picked.length ? state.picked : order.filter((row) => has(fits, row.place)).map((row) => row.id);
      try {
        const all = new Map((await entries()).entries.map((entry) => [entry.id, entry]));
        const found = wanted.flatMap((id) => all.get(id) ?? []);
        if (button.dataset.listFile === "csv") save("algorithms.csv", "text/csv", csv(found, base));
        else save("algorithms.json", "application/json", json(found, location.href));
      } catch (error) {
        savingCount.textContent = `That did not work (${error instanceof Error ? error.message : error}).`;
      }
    });
  }
  document.addEventListener("click", (event) => {
    if (saving.open && !saving.contains(event.target as Node)) saving.open = false;
  });
  saving.addEventListener("keydown", (event) => {
    if (event.key !== "Escape" || !saving.open) return;
    saving.open = false;
    saving.querySelector("summary")!.focus();
  });

  // --- facets in a drawer, where there is no room beside the list ---------------------------------------------------

  const home = document.createComment("facets");
  let drawer: HTMLDialogElement | null = null;
  let done: HTMLButtonElement;

  drawerButton.addEventListener("click", () => {
    if (!drawer) [drawer, done] = makeDrawer(() => drawer!.close(), clearAll);
    panelElement.before(home);
    drawer.querySelector(".zoo-drawer__body")!.append(panelElement);
    document.body.append(drawer);
    sayDone();
    drawer.showModal();
    drawer.addEventListener("close", () => {
      home.replaceWith(panelElement);
      drawerButton.focus();
    }, { once: true });
  });
  narrow.addEventListener("change", () => {
    if (!narrow.matches) drawer?.close();
  });
  new MutationObserver(sayDone).observe(count, { childList: true });

  function sayDone(): void {
    if (done) done.textContent = `Show ${count.textContent!.replace(/ of .*? /, " ")}`;
  }

  // --- start ------------------------------------------------------------------------------------------------------

  function fromAddress(): void {
    state = read(location.search, known);
    show(true);
    tell();
  }

  addEventListener("popstate", () => {
    fromAddress();
  });
  for (const row of rows) row.box.checked = false; // a browser that reloads may have ticked them
  fromAddress();
  root.dataset.ready = "";
  delete document.documentElement.dataset.zooWaits;
}

function plural(number: number): string {
  return number === 1 ? "algorithm" : "algorithms";
}

function chip(label: string, action: string): HTMLButtonElement {
  const button = document.createElement("button");
  button.type = "button";
  button.className = "zoo-list__chip";
  button.textContent = label;
  button.setAttribute("aria-label", action);
  return button;
}

function inItem(element: HTMLElement): HTMLLIElement {
  const item = document.createElement("li");
  item.append(element);
  return item;
}

function makeDrawer(close: () => void, clear: () => void): [HTMLDialogElement, HTMLButtonElement] {
  const dialog = document.createElement("dialog");
  dialog.className = "zoo-drawer md-typeset";
  dialog.setAttribute("aria-label", "Filters");
  const head = document.createElement("div");
  head.className = "zoo-drawer__head";
  const title = document.createElement("strong");
  title.textContent = "Filters";
  const button = (text: string, kind: string, action: () => void) => {
    const made = document.createElement("button");
    made.type = "button";
    made.className = kind;
    made.textContent = text;
    made.addEventListener("click", action);
    return made;
  };
  const shut = button("×", "zoo-drawer__close", close);
  shut.setAttribute("aria-label", "Close");
  head.append(title, shut);
  const body = document.createElement("div");
  body.className = "zoo-drawer__body";
  const foot = document.createElement("div");
  foot.className = "zoo-drawer__foot";
  const done = button("", "zoo-button", close);
  foot.append(button("Clear all", "zoo-button zoo-button--quiet", clear), done);
  dialog.append(head, body, foot);
  dialog.addEventListener("click", (event) => {
    if (event.target === dialog) close();
  });
  return [dialog, done];
}

/** Without case and accents, so that "uber" finds "Über". */
function folded(text: string): string {
  return text.normalize("NFD").replace(/\p{M}/gu, "").toLowerCase();
}
