// Lists of works: the records of the rows that are chosen, else of those that are shown, saved as one file or copied.
// The records come from the files of the whole bibliography, so that they are those of every other download.

type Form = "bib" | "ris" | "csl.json";

const TYPES: Record<Form, string> = {
  bib: "application/x-bibtex",
  ris: "application/x-research-info-systems",
  "csl.json": "application/vnd.citationstyles.csl+json",
};

/** The records of `keys`, in that order, cut out of a file of many; those that it does not hold are left out. */
export function records(file: string, form: Form, keys: string[]): string {
  if (form === "csl.json") {
    const items = new Map((JSON.parse(file) as { id: string }[]).map((item) => [item.id, item]));
    return `${JSON.stringify(keys.flatMap((key) => items.get(key) ?? []), null, 2)}\n`;
  }
  const [start, name] = form === "bib" ? [/^(?=@)/m, /^@\w+\{([^,]+),/] : [/^(?=TY {2}- )/m, /^ID {2}- (.*)$/m];
  const found = new Map(file.split(start).map((record) => [name.exec(record)?.[1], record.replace(/\n+$/, "\n")]));
  return keys.flatMap((key) => found.get(key) ?? []).join("\n");
}

/** Serves every [data-cite] bar of the page; `base` is the root of the site. */
export function startCiting(base: string): void {
  const files = new Map<Form, Promise<string>>();

  function file(form: Form): Promise<string> {
    if (!files.has(form)) {
      const loading = fetch(`${base}bibliography.${form}`).then((answer) => {
        if (!answer.ok) throw new Error(`bibliography.${form}: ${answer.status}`);
        return answer.text();
      });
      loading.catch(() => files.delete(form));
      files.set(form, loading);
    }
    return files.get(form)!;
  }

  for (const bar of document.querySelectorAll<HTMLElement>("[data-cite]")) {
    const list = document.querySelector<HTMLElement>(bar.dataset.cite!)!;
    startList(bar, list, file);
  }
}

function startList(bar: HTMLElement, list: HTMLElement, file: (form: Form) => Promise<string>): void {
  const rows = () => [...list.querySelectorAll<HTMLElement>("[data-work]")]; // in the order that a table was sorted to
  const boxes = new Map(rows().map((row) => [row, addBox(row, update)]));
  const count = bar.querySelector<HTMLElement>("[data-cite-count]")!;
  const none = bar.querySelector<HTMLButtonElement>("[data-cite-none]")!;
  const actions = [...bar.querySelectorAll<HTMLButtonElement>("[data-cite-form], [data-cite-copy]")];

  function keys(): string[] {
    const chosen = rows().filter((row) => boxes.get(row)?.checked);
    const wanted = anyChosen() ? chosen : rows().filter((row) => !row.closest("[hidden]"));
    return [...new Set(wanted.map((row) => row.dataset.work!))];
  }

  /** Also where what is chosen has no work to cite. */
  function anyChosen(): boolean {
    return list.querySelector(".zoo-choose:checked") !== null;
  }

  function update(): void {
    const chosen = anyChosen();
    const number = keys().length;
    count.textContent = `Cite the ${number} ${chosen ? "chosen" : "shown"}:`;
    for (const button of actions) button.disabled = number === 0;
    none.hidden = !chosen;
  }

  async function act(form: Form, use: (text: string) => void | Promise<void>): Promise<void> {
    try {
      await use(records(await file(form), form, keys()));
    } catch (error) {
      count.textContent = `That did not work (${error instanceof Error ? error.message : error}).`;
    }
  }

  for (const button of actions) {
    const form = (button.dataset.citeForm ?? "bib") as Form;
    button.addEventListener("click", () =>
      act(form, async (text) => {
        if (button.dataset.citeForm) {
          save(text, form);
        } else {
          await navigator.clipboard.writeText(text);
          count.textContent = `Copied ${keys().length}.`;
          setTimeout(update, 1600);
        }
      }),
    );
  }
  none.addEventListener("click", () => {
    for (const box of boxes.values()) box.checked = false;
    update();
  });
  list.addEventListener("zoo-rows", update);
  bar.hidden = false;
  update();
}

/** The box of the row, where the page has none a new one at the start of the row or of its first cell. */
function addBox(row: HTMLElement, changed: () => void): HTMLInputElement {
  const given = row.querySelector<HTMLInputElement>("input.zoo-choose");
  if (given) return given; // the page that has it tells of its changes
  const box = document.createElement("input");
  box.type = "checkbox";
  box.className = "zoo-choose";
  box.setAttribute("aria-label", `Choose ${row.dataset.work} to cite`);
  box.addEventListener("change", changed);
  (row instanceof HTMLTableRowElement ? row.cells[0] : row).prepend(box);
  return box;
}

function save(text: string, form: Form): void {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([text], { type: TYPES[form] }));
  link.download = `works.${form}`;
  link.click();
  URL.revokeObjectURL(link.href);
}
