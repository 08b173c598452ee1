// What the frame around every page does: light or dark, the title in the header, the sections of the page, the menu of
// small screens. It stands in for the script of Material for MkDocs, which is twenty times as large.

const DARK = "(prefers-color-scheme: dark)";
const KEY = "__palette"; // where the theme keeps the choice, and how: {index, color: {media, scheme, ...}}

declare function __md_get(key: string): { index: number } | null;
declare function __md_set(key: string, value: unknown): void;

/** Everything below. */
export function startFrame(): void {
  document.documentElement.classList.replace("no-js", "js");
  startPalette();
  startScrolling();
  startMenu();
  startDetails();
}

/** The switch in the header: as the system has it, light, dark. Each state shows the label that leads to the next. */
function startPalette(): void {
  const inputs = [...document.querySelectorAll<HTMLInputElement>("[data-md-component=palette] input")];
  if (!inputs.length) return;
  const system = matchMedia(DARK);
  let chosen = 0;
  try {
    chosen = Math.min(inputs.length - 1, Math.max(0, __md_get(KEY)?.index ?? 0));
  } catch {
    // No storage, or something else's: as the system has it.
  }

  function show(): void {
    const media = inputs[chosen].dataset.mdColorMedia!;
    const dark = media === DARK || (!media.includes(":") && system.matches);
    document.body.dataset.mdColorScheme = dark ? "slate" : "default";
    inputs.forEach((input, i) => {
      input.checked = i === chosen;
      (input.nextElementSibling as HTMLElement).hidden = i !== chosen;
    });
  }

  inputs.forEach((input, i) =>
    input.addEventListener("change", () => {
      chosen = i;
      show();
      const { mdColorMedia: media, mdColorScheme: scheme, mdColorPrimary: primary, mdColorAccent: accent } = input.dataset;
      __md_set(KEY, { index: i, color: { media, scheme, primary, accent } });
    }),
  );
  system.addEventListener("change", show);
  show();
}

/** Follows the reader: the page's title goes to the header when it has left, the section's link is marked. */
function startScrolling(): void {
  const header = document.querySelector<HTMLElement>("[data-md-component=header]");
  if (!header) return;
  const title = header.querySelector("[data-md-component=header-title]");
  const h1 = document.querySelector(".md-content h1");
  const list = document.querySelector<HTMLElement>(".md-sidebar--secondary .md-sidebar__scrollwrap");
  const found = [...(list?.querySelectorAll<HTMLAnchorElement>("a[href^='#']") ?? [])].map(
    (link) => [link, pointedTo(link.hash)] as const,
  );
  const sections = found.filter((pair): pair is [HTMLAnchorElement, HTMLElement] => pair[1] !== null);
  let active: HTMLAnchorElement | undefined;

  function follow(): void {
    const edge = header!.getBoundingClientRect().bottom;
    if (h1) title?.classList.toggle("md-header__title--active", h1.getBoundingClientRect().bottom < edge);
    const shown = sections.filter(([, heading]) => heading.getClientRects().length);
    const passed = shown.filter(([, heading]) => heading.getBoundingClientRect().top < edge + 48);
    const atEnd = passed.length > 0 && innerHeight + scrollY >= document.documentElement.scrollHeight - 2;
    const now = (atEnd ? shown : passed).at(-1)?.[0];
    if (now === active) return;
    active = now;
    const place = sections.findIndex(([link]) => link === now);
    sections.forEach(([link], i) => {
      link.classList.toggle("md-nav__link--passed", i < place);
      link.classList.toggle("md-nav__link--active", i === place);
      if (i === place) link.setAttribute("aria-current", "location");
      else link.removeAttribute("aria-current");
    });
    if (now && list && list.scrollHeight > list.clientHeight) {
      const [box, at] = [list.getBoundingClientRect(), now.getBoundingClientRect()];
      if (at.top < box.top || at.bottom > box.bottom) list.scrollTop += at.top - box.top - box.height / 2;
    }
  }

  let waiting = false;
  addEventListener(
    "scroll",
    () => {
      if (waiting) return;
      waiting = true;
      requestAnimationFrame(() => {
        waiting = false;
        follow();
      });
    },
    { passive: true },
  );
  new ResizeObserver(() => {
    document.documentElement.style.setProperty("--zoo-header", `${header.offsetHeight}px`);
    follow();
  }).observe(header);
}

/** The menu of small screens: check boxes move it and its parts; the labels that tick them give way to buttons, for the keyboard. */
function startMenu(): void {
  const box = document.querySelector<HTMLInputElement>("#__drawer");
  const opener = document.querySelector<HTMLElement>(".md-header__button[for=__drawer]");
  if (!box || !opener) return;
  const parts = [...document.querySelectorAll<HTMLElement>(".md-nav--primary label.md-nav__link[for]")];
  const [drawer] = [opener, ...parts].map((label) => {
    const ticked = (label as HTMLLabelElement).control as HTMLInputElement;
    const button = document.createElement("button");
    button.type = "button";
    button.className = `${label.className} zoo-turner`;
    const told = () => button.setAttribute("aria-expanded", String(ticked.checked));
    button.append(...label.childNodes);
    label.replaceWith(button);
    ticked.addEventListener("change", told);
    told();
    const turn = (on: boolean) => {
      ticked.checked = on;
      told();
    };
    button.addEventListener("click", () => turn(!ticked.checked));
    return { button, turn };
  });
  document.querySelector(".md-sidebar--primary")?.addEventListener("click", (event) => {
    if ((event.target as Element).closest("a[href]")) drawer.turn(false);
  });
  addEventListener("keydown", (event) => {
    if (event.key !== "Escape" || !box.checked) return;
    drawer.turn(false);
    drawer.button.focus();
  });
}

/** The element that a fragment names; null where there is none, or where it cannot be read. */
function pointedTo(fragment: string): HTMLElement | null {
  try {
    return document.getElementById(decodeURIComponent(fragment.slice(1)));
  } catch {
    return null; // made up by hand, with a stray %
  }
}

/** What an address points into is opened, and on paper everything is. */
function startDetails(): void {
  const reveal = () => {
    const target = location.hash ? pointedTo(location.hash) : null;
    const closed: HTMLDetailsElement[] = [];
    for (let at = target?.closest("details"); at; at = at.parentElement?.closest("details")) if (!at.open) closed.push(at);
    if (!closed.length) return;
    for (const details of closed) details.open = true;
    target!.scrollIntoView();
  };
  addEventListener("hashchange", reveal);
  reveal();
  let opened: HTMLDetailsElement[] = [];
  addEventListener("beforeprint", () => {
    opened = [...document.querySelectorAll<HTMLDetailsElement>("details:not([open])")];
    for (const details of opened) details.open = true;
  });
  addEventListener("afterprint", () => {
    for (const details of opened.splice(0)) details.open = false;
  });
}
