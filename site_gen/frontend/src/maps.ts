// The maps: going into a family of the taxonomy and out again, ties of one method of a lineage, notes beside the pointer.
// All pictures are in the page and their links work without this; it moves and marks them.
// The address holds the family, ?map=pruning, what is shown, ?show=entries, and lines of lineages, ?lines=cites,builds_on.

const calm = matchMedia("(prefers-reduced-motion: reduce)");

/** Serves every picture of the page. */
export function startMaps(): void {
  const atlas = document.querySelector<HTMLElement>("[data-atlas]");
  if (atlas) startAtlas(atlas);
  startLineages([...document.querySelectorAll<HTMLElement>("[data-lineage]")]);
  startNotes([...document.querySelectorAll<HTMLElement>(".zoo-map-box")]);
}

function parameter(name: string): string | null {
  return new URLSearchParams(location.search).get(name);
}

/** The address with a parameter set, or without it where the value is empty; commas stay readable. */
function withParameter(name: string, value: string): string {
  const address = new URL(location.href);
  if (value) address.searchParams.set(name, value);
  else address.searchParams.delete(name);
  address.hash = "";
  return address.href.replaceAll("%2C", ",");
}

function startAtlas(atlas: HTMLElement): void {
  const overview = atlas.querySelector<HTMLElement>("[data-map-overview]")!;
  const stage = atlas.querySelector<HTMLElement>("[data-map-stage]")!;
  const way = atlas.querySelector<HTMLElement>(".zoo-map-way")!;
  const name = atlas.querySelector<HTMLElement>("[data-map-name]")!;
  const switches = [...atlas.querySelectorAll<HTMLInputElement>(".zoo-map-switch input")];
  const parts = new Map(
    [...atlas.querySelectorAll<HTMLElement>("[data-map-part]")].map((part) => [part.dataset.mapPart!, part]),
  );
  let shown = "";

  /** Shows a family, or all where it is empty or unknown; the picture grows out of the cell that was chosen. */
  function show(family: string, from?: DOMRect): void {
    const part = parts.get(family);
    if (shown) parts.get(shown)!.prepend(...stage.childNodes);
    shown = part ? family : "";
    if (part) {
      stage.append(part.querySelector("[data-map-picture]")!);
      name.textContent = part.dataset.mapTitle!;
    }
    way.hidden = stage.hidden = !part;
    overview.hidden = !!part;
    if (part && from && !calm.matches) {
      const to = stage.getBoundingClientRect();
      const start = `translate(${from.x - to.x}px, ${from.y - to.y}px) scale(${from.width / to.width}, ${from.height / to.height})`;
      stage.animate([{ transform: start, opacity: 0.3 }, { transform: "none", opacity: 1 }], {
        duration: 260,
        easing: "ease-out",
      });
    }
  }

  function read(): void {
    show(parameter("map") ?? "");
    const wanted = parameter("show") === "entries" ? "entries" : "known";
    for (const input of switches) input.checked = input.value === wanted;
  }

  function leave(): void {
    const last = shown;
    history.pushState(null, "", withParameter("map", ""));
    show("");
    // Several drawings hold the same link; the one that is seen takes the focus.
    const links = [...overview.querySelectorAll<SVGAElement>(`[data-zoom="${last}"]`)];
    links.find((link) => link.getClientRects().length)?.focus();
  }

  overview.addEventListener("click", (event) => {
    const land = (event.target as Element).closest(".land");
    const link = land?.querySelector<SVGAElement>("[data-zoom]");
    if (!land || !link || event.ctrlKey || event.metaKey || event.shiftKey) return;
    event.preventDefault();
    history.pushState(null, "", withParameter("map", link.dataset.zoom!));
    show(link.dataset.zoom!, land.getBoundingClientRect());
    name.focus({ preventScroll: true });
    way.scrollIntoView({ block: "nearest" });
  });
  way.querySelector("[data-map-out]")!.addEventListener("click", leave);
  atlas.addEventListener("keydown", (event) => {
    if (event.key === "Escape" && shown) leave();
  });
  for (const input of switches) {
    input.addEventListener("change", () =>
      history.replaceState(null, "", withParameter("show", input.value === "entries" ? "entries" : "")),
    );
  }
  addEventListener("popstate", read);
  read();
}

function startLineages(figures: HTMLElement[]): void {
  const boxes = figures.flatMap((figure) => [...figure.querySelectorAll<HTMLInputElement>(".zoo-lineage-key input")]);
  const first = new Map(boxes.map((box) => [box.value, box.checked]));

  /** One choice holds for all lineages of the page. */
  function choose(kinds: Set<string>): void {
    for (const box of boxes) box.checked = kinds.has(box.value);
  }

  function read(): void {
    const asked = parameter("lines");
    const usual = [...first].filter(([, on]) => on).map(([kind]) => kind);
    choose(new Set(asked === null ? usual : asked.split(",")));
  }

  for (const box of boxes) {
    box.addEventListener("change", () => {
      const kinds = new Set(boxes.filter((other) => other !== box && other.value !== box.value && other.checked).map((other) => other.value));
      if (box.checked) kinds.add(box.value);
      choose(kinds);
      const usual = [...first].every(([kind, on]) => kinds.has(kind) === on);
      history.replaceState(null, "", withParameter("lines", usual ? "" : [...kinds].sort().join(",") || "none"));
    });
  }
  if (boxes.length) {
    addEventListener("popstate", read);
    read();
  }
  for (const figure of figures) startTies(figure);
}

/** While a method is pointed at or has the focus: its own ties of all kinds, and the methods at their ends. */
function startTies(figure: HTMLElement): void {
  // Listeners are on the box: an SVG element that hears of focus could be focused itself.
  const box = figure.querySelector<HTMLElement>(".zoo-map-box")!;
  const picture = box.querySelector<SVGElement>(".zoo-lineage")!;
  const rows = new Map([...picture.querySelectorAll<SVGElement>("[data-row]")].map((row) => [row.dataset.row!, row]));
  const ties = new Map<string, SVGElement[]>();
  for (const tie of picture.querySelectorAll<SVGElement>("[data-ends]")) {
    for (const end of tie.dataset.ends!.split(" ")) ties.set(end, [...(ties.get(end) ?? []), tie]);
  }
  let marked: SVGElement[] = [];

  function mark(method: string | undefined): void {
    for (const one of marked) one.classList.remove("is-near");
    picture.classList.toggle("is-chosen", !!method);
    marked = [];
    if (!method) return;
    const own = ties.get(method) ?? [];
    const near = new Set([method, ...own.flatMap((tie) => tie.dataset.ends!.split(" "))]);
    marked = [...own, ...[...near].map((one) => rows.get(one)!)];
    for (const one of marked) one.classList.add("is-near");
  }

  const of = (event: Event) => (event.target as Element).closest<SVGElement>("[data-row]")?.dataset.row;
  box.addEventListener("pointerover", (event) => mark(of(event)));
  box.addEventListener("pointerleave", () => mark(undefined));
  box.addEventListener("focusin", (event) => mark(of(event)));
  box.addEventListener("focusout", () => mark(undefined));
}

/** The notes of cells, at once and for the keyboard too, in place of the browser's own. Names stay with the links. */
function startNotes(boxes: HTMLElement[]): void {
  if (!boxes.length) return;
  const note = document.createElement("div");
  note.className = "zoo-map-note";
  note.setAttribute("aria-hidden", "true");
  note.hidden = true;
  document.body.append(note);
  const texts = new WeakMap<Element, string>();
  let focused: Element | null = null;

  function place(owner: Element, x: number, y: number): void {
    note.textContent = texts.get(owner)!;
    note.hidden = false;
    const { width, height } = note.getBoundingClientRect();
    note.style.left = `${Math.max(8, Math.min(x + 12, innerWidth - width - 8))}px`;
    note.style.top = `${y + 18 + height > innerHeight ? Math.max(8, y - height - 10) : y + 18}px`;
  }

  /** The note below the link that has the focus, wherever that is scrolled to. */
  function follow(): void {
    const owner = focused && (texts.has(focused) ? focused : [...focused.children].find((child) => texts.has(child)));
    note.hidden = true;
    if (!owner) return;
    const { left, bottom } = focused!.getBoundingClientRect();
    place(owner, left, bottom - 14);
  }

  for (const box of boxes) {
    for (const title of box.querySelectorAll("title")) {
      const owner = title.parentElement!;
      texts.set(owner, title.textContent!);
      if (owner.matches("a") && !owner.hasAttribute("aria-label")) owner.setAttribute("aria-label", title.textContent!);
      title.remove();
    }
    const owned = (target: EventTarget | null) => {
      for (let at = target as Element | null; at && at !== box; at = at.parentElement) if (texts.has(at)) return at;
      return null;
    };
    box.addEventListener("pointermove", (event) => {
      const owner = event.pointerType === "touch" ? null : owned(event.target);
      if (owner) place(owner, event.clientX, event.clientY);
      else note.hidden = true;
    });
    box.addEventListener("pointerleave", () => (note.hidden = true));
    box.addEventListener("focusin", (event) => {
      focused = (event.target as Element).matches(":focus-visible") ? (event.target as Element) : null;
      follow();
    });
    box.addEventListener("focusout", () => {
      focused = null;
      follow();
    });
  }
  addEventListener("keydown", (event) => {
    if (event.key === "Escape") note.hidden = true;
  });
  addEventListener("scroll", follow, { passive: true });
}
