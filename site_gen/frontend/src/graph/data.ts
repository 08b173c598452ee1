// The citation graph as graph.json has it, and what is derived from it: neighbours, groups, the surroundings of a work.

export interface Work {
  id: string;
  label: string;
  title: string;
  authors: string;
  year: number;
  family: string | null;
  url: string; // the entry's page, or the work's own where it has no entry; from the root of the site
  entry: string | null; // the id of the entry that describes it
  cited: number;
  cites: number;
  rank: number;
  x: number;
  y: number;
  surveys: string[];
  community: number | null;
  main: boolean; // on the main path
  arxiv?: string;
  doi?: string;
}

export interface GraphFile {
  schema: number;
  nodes: Work[];
  edges: [number, number][];
  implied: [number, number, string][];
  communities: { id: number; label: string; size: number }[];
  main_path: number[]; // from the oldest to the newest
  surveys: Record<string, string>;
}

export const SCHEMA = 2;

/** How a work stands to the current one. `tied`: a relation is declared, and no citation leads there. */
export type Role = "current" | "citing" | "cited" | "both" | "tied";

export type Mode = "role" | "family" | "year" | "survey" | "community";
export const MODES: readonly Mode[] = ["role", "family", "year", "survey", "community"];

/** A group of works: an entry of the legend. `colour` is the name of a custom property. */
export interface Group {
  id: string;
  name: string;
  colour: string;
  count: number;
}

/** One way to sort works into groups. A work may be of several; `of(i)[0]` gives it its colour. */
export interface Grouping {
  mode: Mode;
  name: string;
  groups: Group[];
  of: (work: number) => readonly string[];
}

export interface Tie {
  other: number;
  type: string;
  declares: boolean; // the work itself declares it; else the other one does
}

/** The works up to some citations away from one. `steps[i]` is below 0 where it leads to cited works. */
export interface Surroundings {
  roles: Map<number, Role>;
  steps: Map<number, number>;
}

export const ROLES: Record<Role, { name: string; colour: string }> = {
  current: { name: "Current work", colour: "--zoo-graph-selected" },
  citing: { name: "Cites it", colour: "--zoo-graph-citing" },
  cited: { name: "Cited by it", colour: "--zoo-graph-cited" },
  both: { name: "Both", colour: "--zoo-graph-both" },
  tied: { name: "Related, not by citation", colour: "--zoo-graph-implied" },
};

const SHADES = 7; // of years: --zoo-graph-year-0 to -6
const FAMILIES =
  "quantization pruning distillation low-rank sharing architecture experts dynamic adaptation execution".split(" ");
const REST = "none";
const SEVERAL = "several";
const GREY = "--zoo-graph-work";

/** Colours of groups that have none of their own; the ten families' colours, which are known to stay apart. */
function colourOf(index: number): string {
  return `--zoo-family-${FAMILIES[index % FAMILIES.length]}`;
}

export const PALETTE_SIZE = FAMILIES.length;

export class Model {
  readonly works: Work[];
  readonly index: Map<string, number>;
  readonly citing: number[][];
  readonly cited: number[][];
  readonly ties: Tie[][];
  readonly groupings: Map<Mode, Grouping>;

  /** `names`: what families are called. */
  constructor(
    readonly file: GraphFile,
    names: Map<string, string>,
  ) {
    this.works = file.nodes;
    this.index = new Map(file.nodes.map((work, i) => [work.id, i]));
    this.citing = file.nodes.map(() => []);
    this.cited = file.nodes.map(() => []);
    this.ties = file.nodes.map(() => []);
    for (const [from, to] of file.edges) {
      this.cited[from].push(to);
      this.citing[to].push(from);
    }
    for (const [from, to, type] of file.implied) {
      this.ties[from].push({ other: to, type, declares: true });
      this.ties[to].push({ other: from, type, declares: false });
    }
    const groupings = [this.byFamily(names), this.byYear(), this.bySurvey(), this.byCommunity()];
    this.groupings = new Map(groupings.map((grouping) => [grouping.mode, grouping]));
  }

  private grouping(mode: Mode, name: string, groups: Omit<Group, "count">[], lists: readonly string[][]): Grouping {
    const counts = new Map<string, number>();
    for (const list of lists) for (const id of list) counts.set(id, (counts.get(id) ?? 0) + 1);
    return {
      mode,
      name,
      groups: groups.map((group) => ({ ...group, count: counts.get(group.id) ?? 0 })).filter((group) => group.count),
      of: (work) => lists[work],
    };
  }

  private byFamily(names: Map<string, string>): Grouping {
    const found = new Set(this.works.map((work) => work.family ?? REST));
    const known = [...names.keys(), ...[...found].filter((id) => id !== REST && !names.has(id)).sort()];
    const groups = known.map((id) => ({ id, name: names.get(id) ?? id, colour: `--zoo-family-${id}` }));
    groups.push({ id: REST, name: "No family", colour: GREY });
    return this.grouping("family", "Family", groups, this.works.map((work) => [work.family ?? REST]));
  }

  /** Years in spans with about as many works each. */
  private byYear(): Grouping {
    const years = [...new Set(this.works.map((work) => work.year))].sort((a, b) => a - b);
    const counts = new Map<number, number>();
    for (const work of this.works) counts.set(work.year, (counts.get(work.year) ?? 0) + 1);
    const spans: number[][] = [];
    let left = this.works.length;
    let held = 0;
    for (const year of years) {
      const count = counts.get(year)!;
      const room = left / (SHADES - spans.length + 1);
      if (!spans.length || (spans.length < SHADES && held + count / 2 > room)) {
        spans.push([]);
        left -= held;
        held = 0;
      }
      spans.at(-1)!.push(year);
      held += count;
    }
    const of = new Map<number, string>();
    const groups = spans.map((span, i) => {
      const [first, last] = [span[0], span.at(-1)!];
      for (const year of span) of.set(year, String(first));
      const name = first === last ? String(first) : i === 0 ? `To ${last}` : `${first} to ${last}`;
      const shade = Math.round((i * (SHADES - 1)) / Math.max(1, spans.length - 1));
      return { id: String(first), name, colour: `--zoo-graph-year-${shade}` };
    });
    return this.grouping("year", "Year", groups, this.works.map((work) => [of.get(work.year)!]));
  }

  private bySurvey(): Grouping {
    const keys = Object.keys(this.file.surveys);
    const groups = keys.map((id, i) => ({ id, name: this.file.surveys[id], colour: colourOf(i) }));
    groups.push({ id: SEVERAL, name: "Several of them", colour: "--zoo-graph-several" });
    groups.push({ id: REST, name: "None", colour: GREY });
    const lists = this.works.map(({ surveys }) =>
      surveys.length === 0 ? [REST] : surveys.length === 1 ? surveys : [SEVERAL, ...surveys],
    );
    return this.grouping("survey", "Survey", groups, lists);
  }

  private byCommunity(): Grouping {
    const groups = this.file.communities.map(({ id, label }, i) => ({ id: String(id), name: label, colour: colourOf(i) }));
    groups.push({ id: REST, name: "In none", colour: GREY });
    const lists = this.works.map((work) => [work.community === null ? REST : String(work.community)]);
    return this.grouping("community", "Community", groups, lists);
  }

  /** The roles as a grouping of the works around one. */
  byRole({ roles }: Surroundings): Grouping {
    const lists = this.works.map((_, i) => (roles.has(i) ? [roles.get(i)!] : []));
    const groups = (Object.keys(ROLES) as Role[]).map((id) => ({ id, ...ROLES[id] }));
    return this.grouping("role", "Who cites whom", groups, lists);
  }

  /**
   * The works from which up to `depth` citations lead to `centre`, and those to which as many lead from it. With
   * `implied`, also those to which only a declared relation leads.
   */
  around(centre: number, depth: number, implied: boolean): Surroundings {
    const forward = this.reach(centre, depth, this.citing);
    const back = this.reach(centre, depth, this.cited);
    const roles = new Map<number, Role>([[centre, "current"]]);
    const steps = new Map<number, number>([[centre, 0]]);
    for (const [work, step] of forward) {
      const other = back.get(work);
      roles.set(work, other === undefined ? "citing" : "both");
      steps.set(work, other === undefined ? step : 0);
    }
    for (const [work, step] of back) {
      if (roles.has(work)) continue;
      roles.set(work, "cited");
      steps.set(work, -step);
    }
    if (implied) {
      for (const { other } of this.ties[centre]) {
        if (roles.has(other)) continue;
        roles.set(other, "tied");
        steps.set(other, 0);
      }
    }
    return { roles, steps };
  }

  private reach(centre: number, depth: number, next: number[][]): Map<number, number> {
    const found = new Map<number, number>();
    let edge = [centre];
    for (let step = 1; step <= depth && edge.length; step += 1) {
      const further: number[] = [];
      for (const work of edge) {
        for (const other of next[work]) {
          if (other === centre || found.has(other)) continue;
          found.set(other, step);
          further.push(other);
        }
      }
      edge = further;
    }
    return found;
  }
}
