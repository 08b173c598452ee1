// Which methods fit a question, and what a model takes under each: the twin of the second half of catalog/choosing.py.
// It knows no rule of its own; needs, formulas and sentences stand in choose.json. `choose.mjs` asks it without a
// browser, and a test holds both equal.

export type Tree = number | string | [string, ...Tree[]];
type Numbers = Record<string, number>;

export interface NumberKind {
  meaning: string;
  keys: string[];
  kind: "number" | "switch" | "gate";
  most: number;
  least: number;
}

export interface Architecture {
  name: string;
  model_types: string[];
  kind: string;
  only: Record<string, unknown[]>;
  numbers: Record<string, Tree | null>;
  matrices: { role: string; rows: Tree; columns: Tree; count: Tree }[];
  widest: Tree;
  embeddings: Tree;
  head: Tree;
  rest: Tree;
  cached_layers: Tree;
  outputs: Tree;
}

export interface Setting {
  label: string;
  values: Numbers;
  measured?: Numbers;
  stored?: Numbers; // bits a weight of the blocks in the runs that were measured
  weights?: Tree;
  speed?: string;
}

export interface Entry {
  id: string;
  name: string;
  family: string;
  kind: string;
  scale: string;
  data: string;
  training: string;
  gradients: boolean;
  compresses: string[];
  speed: string;
  needs: number;
  settings: Setting[];
  weights?: Tree;
  cache?: Tree;
  scores?: Tree;
  own?: string;
  unchanged?: string;
}

export interface Protocol {
  id: string;
  name: string;
  version: number;
  model: string;
  label: string;
  better: "lower" | "higher";
  small_loss: number; // the value at which the loss still counts as small
  entries: number;
}

export interface Facts {
  texts: Record<string, string>;
  roles: string[];
  attention: string[];
  nested: string[];
  large: number;
  training_bytes: number; // of each parameter, to train all weights in mixed precision with Adam, without activations
  limits: { config: number; tokens: number; batch: number; near: number; small_loss: Record<string, number> };
  training: string[];
  values: Record<string, Record<string, string>>;
  says: Record<string, Record<string, string>>;
  protocols: Protocol[];
  entries: Entry[];
  numbers: Record<string, NumberKind>;
  architectures: Record<string, Architecture>;
  models: { id: string; name: string; aliases: string[]; architecture: string; numbers: Numbers }[];
  hardware: Record<string, { name: string; offers: string[] }>;
  covers: Record<string, string[]>;
  bits: number;
}

export interface Shape {
  architecture: string;
  numbers: Numbers;
}

export interface Question {
  shape: Shape | null;
  tokens: number;
  batch: number;
  memory: number | null;
  size: number | null;
  compress: string[];
  data: string[] | null;
  training: string | null;
  gradients: boolean;
  offers: string[] | null;
  shown: boolean;
  scores: boolean;
  protocol: string | null;
}

export interface Reason {
  of: string;
  holds: boolean | null;
  text: string;
}

export interface Memory {
  weights: number;
  cache: number;
  activations: number;
  total: number;
}

export interface Row {
  id: string;
  stays: boolean;
  reasons: Reason[];
  setting: string;
  takes: Memory | null;
  measured?: number;
}

export interface Answer {
  rows: Row[];
  stay: number;
  model: ({ parameters: number; training: number; block: number; kind: string } & Partial<Memory>) | null;
}

interface Layout {
  kind: string;
  numbers: Numbers;
  matrices: { role: string; rows: number; columns: number; count: number }[];
  block: number;
  other: number;
  parameters: number;
  cached_layers: number;
  widest: number;
  outputs: number;
}

const has = (object: object, name: string): boolean => Object.prototype.hasOwnProperty.call(object, name);

const OPERATIONS: Record<string, (...numbers: number[]) => number> = {
  "+": (a, b) => a + b,
  "-": (a, b) => a - b,
  "*": (a, b) => a * b,
  "/": (a, b) => (b === 0 ? NaN : a / b),
  "//": floorDivided,
  "%": remainder,
  neg: (a) => -a,
  ceil: Math.ceil,
  exp2: (a) => 2 ** a,
  floor: Math.floor,
  log2: (a) => (a > 0 ? Math.log2(a) : NaN),
  max: Math.max,
  min: Math.min,
};

/** As Python: the sign is that of the divisor. */
function remainder(a: number, b: number): number {
  if (b === 0) return NaN;
  const left = a % b;
  return left !== 0 && left < 0 !== b < 0 ? left + b : left;
}

/** As Python's float division, which rounds what the exact quotient would be. */
function floorDivided(a: number, b: number): number {
  if (b === 0) return NaN;
  const quotient = (a - remainder(a, b)) / b;
  const whole = Math.floor(quotient);
  return quotient - whole > 0.5 ? whole + 1 : whole;
}

export function evaluate(tree: Tree, valueOf: (name: string) => number): number {
  if (typeof tree === "string") return valueOf(tree);
  if (typeof tree === "number") return tree;
  const [operation, ...operands] = tree;
  return OPERATIONS[operation](...operands.map((operand) => evaluate(operand, valueOf)));
}

/** A sentence with its blanks filled. What is filled in is not looked at again. */
export function said(text: string, values: Record<string, string>): string {
  return text.replace(/\{([a-z]+)\}/g, (blank, name: string) => (has(values, name) ? values[name] : blank));
}

/** 6.74 billion, 125 million: as the sizes of models are told. */
export function largeNumber(value: number): string {
  return value >= 999_500_000 ? `${digits(value / 1e9)} billion` : `${digits(value / 1e6)} million`;
}

/** A positive number with so many leading digits, half rounded up: 9.40 for 9.396, but 9.4 and 8 for just these. */
export function digits(value: number, places = 3): string {
  if (value === 0) return "0";
  const scale = 10 ** (places - 1);
  let factor = 1;
  while (value * factor >= scale * 10 && factor > 1e-30) factor /= 10;
  while (value * factor < scale && factor < 1e30) factor *= 10;
  let whole = Math.floor(value * factor + 0.5);
  if (factor <= 1) return String(Math.round(whole / factor));
  if (whole === scale * 10) {
    whole = scale;
    factor /= 10;
  }
  const after = Math.round(Math.log10(factor));
  const padded = String(whole).padStart(after + 1, "0");
  const text = `${padded.slice(0, -after)}.${padded.slice(-after)}`;
  const short = text.replace(/0+$/, "").replace(/\.$/, "");
  return Math.abs(Number(short) - value) <= 1e-12 * value ? short : text;
}

/** A number of bytes for people: 13.5 GB, with 1 GB = 1,000,000,000 bytes. */
export function size(value: number): string {
  for (const [unit, bytes] of [["TB", 1e12], ["GB", 1e9], ["MB", 1e6], ["kB", 1e3]] as const) {
    if (value >= 0.9995 * bytes) return `${digits(value / bytes)} ${unit}`;
  }
  return `${digits(value)} bytes`;
}

const UNITS: Record<string, number> = {
  kb: 1e3, mb: 1e6, gb: 1e9, tb: 1e12, kib: 2 ** 10, mib: 2 ** 20, gib: 2 ** 30, tib: 2 ** 40, "": 1e9, b: 1,
};

/** 8 GB, 24 GiB, 900MB or 8 (GB) as bytes; null where that is no positive amount. */
export function bytesOf(text: string): number | null {
  const found = /^([0-9]*\.?[0-9]*) *([a-z]*)$/.exec(text.trim().toLowerCase().replaceAll(",", "."));
  if (!found || !/[0-9]/.test(found[1]) || !has(UNITS, found[2])) return null;
  const bytes = Number(found[1]) * UNITS[found[2]];
  return bytes > 0 && bytes < 1e18 ? bytes : null;
}

export type Read = { architecture: string; numbers: Numbers; note: string } | { error: string };

/** The shape in a config.json, or what is wrong with it, in words that name the key. */
export function readConfig(facts: Facts, text: string): Read {
  const { texts } = facts;
  if (text.length > facts.limits.config) return { error: said(texts.too_long, { most: String(facts.limits.config) }) };
  let config: Record<string, unknown>;
  try {
    config = JSON.parse(text) as Record<string, unknown>;
  } catch {
    return { error: texts.not_json };
  }
  if (!isObject(config)) return { error: said(texts.not_object, { found: shown(config) }) };
  const types = new Map<string, string>();
  for (const [id, one] of Object.entries(facts.architectures)) for (const name of one.model_types) types.set(name, id);
  const known = [...types.keys()].join(", ");
  let note = "";
  if (!types.has(config.model_type as string)) {
    for (const key of facts.nested) {
      const inner = config[key];
      if (isObject(inner)) {
        const named = has(inner, "model_type") || !has(config, "model_type");
        config = named ? inner : { ...inner, model_type: config.model_type };
        note = said(texts.nested, { key });
        break;
      }
    }
  }
  const read = (key: string): unknown => (has(config, key) && config[key] !== null ? config[key] : undefined);
  let type = read("model_type");
  if (type === undefined) return { error: said(texts.no_type, { known }) };
  if (typeof type !== "string") return { error: said(texts.type_not_text, { found: shown(type), known }) };
  if (!types.has(type)) {
    const plain = type.endsWith("_text") ? type.slice(0, -"_text".length) : "";
    if (!types.has(plain)) return { error: said(texts.unknown_type, { found: shown(type), known }) };
    type = plain;
  }
  const architecture = facts.architectures[types.get(type as string)!];
  for (const [key, allowed] of Object.entries(architecture.only)) {
    const value = read(key);
    if (value !== undefined && !allowed.some((one) => same(value, one))) {
      return { error: said(texts.only, { key, found: shown(value), known: allowed.map(shown).join(" or ") }) };
    }
  }
  const keyOf = (name: string): string => {
    const { keys } = facts.numbers[name];
    return keys.find((key) => read(key) !== undefined) ?? keys[0];
  };
  const indivisible = (name: string, by: string): Read => ({
    error: said(texts.not_divisible, {
      key: keyOf(name), found: String(numbers[name]), by: keyOf(by), divisor: String(numbers[by]),
    }),
  });
  const numbers: Numbers = {};
  for (const [name, fallback] of Object.entries(architecture.numbers)) {
    const kind = facts.numbers[name];
    const key = kind.keys.find((one) => read(one) !== undefined);
    if (key === undefined) {
      if (fallback === null) {
        const [first, ...others] = kind.keys;
        const more = others.length ? said(texts.others, { names: others.join(", ") }) : "";
        return { error: said(texts.missing, { key: first, meaning: kind.meaning, others: more }) };
      }
      numbers[name] = evaluate(fallback, (one) => numbers[one]);
      if (!Number.isInteger(numbers[name])) return indivisible("hidden", "heads");
      continue;
    }
    const value = read(key);
    if (kind.kind === "number") {
      if (typeof value !== "number" || !Number.isInteger(value) || value < kind.least || value > kind.most) {
        const { least, most, meaning } = kind;
        return { error: said(texts.not_number, { key, found: shown(value), least: String(least), most: String(most), meaning }) };
      }
      numbers[name] = value;
    } else if (kind.kind === "gate" && typeof value === "string") {
      numbers[name] = value.includes("gated") ? 1 : 0;
    } else if (typeof value === "boolean") {
      numbers[name] = value ? 1 : 0;
    } else {
      return { error: said(texts.not_switch, { key, found: shown(value), meaning: kind.meaning }) };
    }
  }
  if (numbers.heads % numbers.kv_heads) return indivisible("heads", "kv_heads");
  return { architecture: types.get(type as string)!, numbers, note };
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function same(a: unknown, b: unknown): boolean {
  return a === b || (Array.isArray(a) && Array.isArray(b) && JSON.stringify(a) === JSON.stringify(b));
}

/** A value of a config.json as a message shows it. */
function shown(value: unknown): string {
  if (value === null) return "null";
  if (typeof value === "boolean") return String(value);
  if (typeof value === "number") {
    if (!Number.isFinite(value) || Math.abs(value) >= 1e15) return "a number beyond all bounds";
    return `${value < 0 ? "-" : ""}${Number.isInteger(value) ? Math.abs(value) : digits(Math.abs(value), 6)}`;
  }
  if (typeof value === "string") {
    const points = [...value];
    return `"${points.slice(0, 40).join("")}"${points.length > 40 ? " and so on" : ""}`;
  }
  if (Array.isArray(value)) return value.length ? "a list" : "an empty list";
  return "an object";
}

/** A model's matrices, its other numbers, and its totals. Throws where a number without a default is missing. */
export function layout(facts: Facts, shape: Shape): Layout {
  const architecture = facts.architectures[shape.architecture];
  const numbers: Numbers = {};
  for (const [name, fallback] of Object.entries(architecture.numbers)) {
    if (has(shape.numbers, name)) numbers[name] = shape.numbers[name];
    else if (fallback === null) throw new Error(`\`${name}\` is missing`);
    else numbers[name] = evaluate(fallback, (one) => numbers[one]);
  }
  const of = (tree: Tree): number => evaluate(tree, (name) => numbers[name]);
  const matrices = architecture.matrices.map(({ role, rows, columns, count }) => ({
    role, rows: of(rows), columns: of(columns), count: of(count),
  }));
  const block = matrices.reduce((sum, m) => sum + m.rows * m.columns * m.count, 0);
  const other = of(architecture.embeddings) + of(architecture.head) + of(architecture.rest);
  return {
    kind: architecture.kind, numbers, matrices, block, other, parameters: block + other,
    cached_layers: of(architecture.cached_layers), widest: of(architecture.widest), outputs: of(architecture.outputs),
  };
}

/** Bytes under a setting of an entry, or of the uncompressed model (null, null); null where they cannot be computed. */
export function memory(
  facts: Facts, model: Layout, asked: Question, entry: Entry | null, setting: Setting | null,
): Memory | null {
  const { bits } = facts;
  const { tokens, batch } = asked;
  const { numbers } = model;
  const chosen = setting?.values ?? {};
  const value = (formula: Tree, more: Numbers): number =>
    evaluate(formula, (name) =>
      has(more, name) ? more[name] : has(numbers, name) ? numbers[name] : has(chosen, name) ? chosen[name] : NaN,
    );
  if (entry?.own !== undefined) return null;
  const formula = setting?.weights ?? entry?.weights;
  let stored = bits * model.other;
  for (const { role, rows, columns, count } of model.matrices) {
    let each = bits;
    if (formula !== undefined) {
      const roles: Numbers = { attention: facts.attention.includes(role) ? 1 : 0, rows, columns };
      for (const name of ["query", "key", "value"]) roles[name] = role === name ? 1 : 0;
      each = value(formula, roles);
      if (count && !(Number.isFinite(each) && each >= 0)) return null;
    }
    stored += each * rows * columns * count;
  }
  if (!(stored > 0)) return null;
  const dense = 2 * numbers.kv_heads * numbers.head_dim * bits * tokens;
  const cached = entry?.cache !== undefined ? value(entry.cache, { tokens }) : dense;
  if (!(Number.isFinite(cached) && cached >= 0)) return null;
  const cache = cached * model.cached_layers * batch;
  let activations = bits * batch * (tokens * (2 * numbers.hidden + model.widest) + model.outputs);
  if (asked.scores) {
    const full = numbers.heads * tokens * tokens;
    activations += bits * batch * (entry?.scores !== undefined ? value(entry.scores, { tokens }) : full);
  }
  const found = { weights: stored / 8, cache: cache / 8, activations: activations / 8 };
  return { ...found, total: found.weights + found.cache + found.activations };
}

/** Every entry with whether it stays, why, at which setting and what it takes; those that stay first, in order. */
export function answer(facts: Facts, asked: Question): Answer {
  const model = asked.shape ? layout(facts, asked.shape) : null;
  const place = facts.protocols.find((one) => one.id === asked.protocol);
  const kinds = Object.keys(facts.values.data);
  const rows = facts.entries.map((entry, index) => {
    const { row, where } = judged(facts, asked, model, entry, place);
    const broken = row.reasons.filter((reason) => reason.holds === false).length;
    const needs = [entry.needs, kinds.indexOf(entry.data), facts.training.indexOf(entry.training)];
    const order = !row.stays ? [1, broken, 0, 0, 0] : where.length ? [0, ...where, 0] : [0, 2, ...needs];
    return { order: [...order, index], row };
  });
  rows.sort((a, b) => {
    const at = a.order.findIndex((one, i) => one !== b.order[i]);
    return at < 0 ? 0 : a.order[at] - b.order[at];
  });
  return {
    rows: rows.map(({ row }) => row),
    stay: rows.filter(({ row }) => row.stays).length,
    model: model && {
      parameters: model.parameters, block: model.block, kind: model.kind,
      training: facts.training_bytes * model.parameters, ...memory(facts, model, asked, null, null),
    },
  };
}

type Tried = { setting: Setting; takes: Memory | null };

/** The row of an entry, and where it belongs among the measured ones: empty where it is not. */
function judged(
  facts: Facts, asked: Question, model: Layout | null, entry: Entry, place: Protocol | undefined,
): { row: Row; where: number[] } {
  const { texts, says } = facts;
  const reasons: Reason[] = [];
  const reason = (of: string, holds: boolean | null, text: string): void => void reasons.push({ of, holds, text });

  if (asked.compress.length) {
    const own = said(texts.compress, { what: and(entry.compresses.map((one) => facts.values.compresses[one])) });
    const holds = entry.compresses.some((one) => asked.compress.includes(one));
    const wanted = and(asked.compress.map((one) => facts.values.compresses[one]), "or");
    reason("compress", holds, holds ? own : said(texts.compress_falls, { says: own, wanted }));
  }
  if (asked.data !== null) {
    const covered = new Set(["none", ...asked.data, ...asked.data.flatMap((one) => facts.covers[one] ?? [])]);
    const own = says.data[entry.data];
    const holds = covered.has(entry.data);
    const have = and(asked.data.filter((one) => one !== "none").map((one) => facts.values.data[one])) || "none";
    reason("data", holds, holds ? own : said(texts.data_falls, { says: own, have }));
  }
  if (asked.training) {
    const own = says.training[entry.training];
    const holds = facts.training.indexOf(entry.training) <= facts.training.indexOf(asked.training);
    const limit = facts.values.training[asked.training];
    reason("training", holds, holds ? own : said(texts.training_falls, { says: own, limit }));
  }
  if (!asked.gradients) {
    const own = texts[entry.gradients ? "gradients_yes" : "gradients_no"];
    reason("gradients", !entry.gradients, entry.gradients ? said(texts.gradients_falls, { says: own }) : own);
  }
  if (asked.shown && model) {
    const large = model.parameters >= facts.large ? "large" : "medium";
    const own = said(texts.shown, { kind: says.model_kind[entry.kind], scale: says.scale[entry.scale] });
    const holds = ["any", model.kind].includes(entry.kind) && ["both", large].includes(entry.scale);
    const what = `${model.kind.replaceAll("-", " ")} of ${largeNumber(model.parameters)} parameters`;
    const article = "aeiou".includes(what[0]) ? "an" : "a";
    reason("shown", holds, holds ? own : said(texts.shown_falls, { says: own, model: `${article} ${what}` }));
  }

  // What depends on the setting. Each constraint has to hold, and all of them for one setting.
  const tried: Tried[] = [];
  for (const setting of entry.settings) {
    const takes = model ? memory(facts, model, asked, entry, setting) : null;
    if (!model || takes || entry.own !== undefined) tried.push({ setting, takes });
  }
  const checks: [string, (one: Tried) => boolean][] = [];
  const { offers, memory: most, size: limitSize } = asked;
  if (offers) checks.push(["speed", ({ setting }) => ["nothing", ...offers].includes(setting.speed ?? entry.speed)]);
  if (model && limitSize !== null) checks.push(["size", ({ takes }) => !takes || takes.weights <= limitSize]);
  if (model && most !== null) checks.push(["memory", ({ takes }) => !takes || takes.total <= most]);
  const fit = tried.filter((one) => checks.every(([, check]) => check(one)));

  // What was measured, if as much is stored for a weight of this model as was stored there.
  const value = ({ setting, takes }: Tried): number | undefined => {
    const there = place && setting.stored?.[place.id];
    if (there !== undefined && model && takes) {
      const here = (8 * takes.weights - facts.bits * model.other) / model.block;
      if (Math.abs(here - there) > facts.limits.near * there) return undefined;
    }
    return place && setting.measured?.[place.id];
  };
  const level = (one: Tried): number => (place?.better === "lower" ? value(one)! : -value(one)!);
  const weight = (one: Tried): number => one.takes?.total ?? 0;
  const least = (several: Tried[], before: (a: Tried, b: Tried) => boolean): Tried | undefined =>
    several.reduce<Tried | undefined>((best, one) => (best === undefined || before(one, best) ? one : best), undefined);

  // What it leaves: bytes of this model, else bits a weight in the run; unknown counts as most.
  const left = ({ setting, takes }: Tried): number => takes?.total ?? setting.stored?.[place!.id] ?? Infinity;
  const by = (first: (one: Tried) => number, then: (one: Tried) => number) => (a: Tried, b: Tried) =>
    first(a) < first(b) || (first(a) === first(b) && then(a) < then(b));

  const measured = fit.filter((one) => value(one) !== undefined);
  const goal = most !== null || limitSize !== null;
  const bound = !place ? 0 : place.better === "lower" ? place.small_loss : -place.small_loss;
  const small = goal ? [] : measured.filter((one) => level(one) <= bound);
  let chosen: Tried | undefined;
  let where: number[] = [];
  if (small.length) {
    chosen = least(small, by(left, level))!;
    where = [0, left(chosen), level(chosen)];
  } else if (measured.length) {
    chosen = least(measured, by(level, weight))!;
    where = [1, level(chosen), 0];
  } else chosen = least(fit, (a, b) => weight(a) > weight(b)); // the first of the largest: the mildest
  const smallest = least(tried, (a, b) => weight(a) < weight(b));
  for (const [name, check] of checks) {
    const one = chosen ?? tried.find(check) ?? smallest;
    const holds = one !== undefined && check(one);
    if (name === "speed") {
      const need = one?.setting.speed ?? entry.speed;
      const own = says.needs_for_speed[need];
      const text = texts[need === "no-speedup" ? "speed_never" : "speed_falls"];
      reason(name, holds, holds ? own : said(text, { says: own }));
      continue;
    }
    if (!one?.takes) {
      reason(name, entry.own !== undefined ? null : false, said(texts.unknown_size, { why: entry.own ?? "" }));
      continue;
    }
    const label = one.setting.label || texts.only_setting;
    const text = said(texts[holds ? name : `${name}_falls`], {
      setting: label.slice(0, 1).toUpperCase() + label.slice(1),
      most: size((name === "size" ? limitSize : most)!),
      weights: size(one.takes.weights),
      total: size(one.takes.total),
      left: most !== null && most >= one.takes.total ? size(most - one.takes.total) : "",
    });
    reason(name, holds, text + (!holds && entry.unchanged !== undefined ? ` ${entry.unchanged}` : ""));
  }
  const names = checks.map(([name]) => name);
  if (!chosen && checks.length && !reasons.some((one) => one.holds === false && names.includes(one.of))) {
    reason("together", false, texts.together);
  }
  const seen = chosen ?? smallest;
  const row: Row = {
    id: entry.id, stays: !reasons.some((one) => one.holds === false), reasons,
    setting: seen?.setting.label ?? "", takes: seen?.takes ?? null,
  };
  if (chosen && value(chosen) !== undefined) row.measured = value(chosen);
  return { row, where };
}

function and(names: string[], word = "and"): string {
  return names.length < 2 ? names.join("") : `${names.slice(0, -1).join(", ")} ${word} ${names[names.length - 1]}`;
}
