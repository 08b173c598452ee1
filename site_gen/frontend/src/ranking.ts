// The ranking of the search: which documents answer a query, and in which order. The command line has the same one,
// catalog/ranking.py, where it is told in words; the numbers of both stand in catalog/ranking.json, and a test asks both
// the same questions. Change them together.

import rules from "../../../catalog/ranking.json";

export interface Document {
  id: string; // unique over all kinds
  kind: string;
  name: string;
  summary?: string;
  [field: string]: string | undefined;
}

export interface SearchFile {
  schema: number;
  fields?: Record<string, number>; // name of a field -> its weight; those of ranking.json by default
  synonyms: string[][]; // phrases that mean the same
  documents: Document[];
}

export interface Hit {
  document: Document;
  score: number;
}

interface Phrase {
  meaning: string; // a term of its own, which begins with "="
  start: number;
  length: number;
}

type Unit = Map<string, number>; // term -> how well it fits

/** The documents that have a term, in their order, and its weight in each. */
interface Holders {
  documents: number[] | Int32Array;
  weights: number[] | Float64Array;
  peak: number; // the most it weighs in any of them
}

const STOP = new Set(rules.stop.split(" "));
const BESIDE = new Set(rules.beside.split(" ")); // stand between two things that are compared
const NAMES = ["name", "aliases"]; // the fields that hold names; several stand apart by semicolons
const PROPER = new Set(rules.proper);
const KINDS: Record<string, number> = rules.kinds;
const ASKED: Record<string, number> = rules.asked; // how much more of a kind counts that is called like the query
const COMPARABLE = new Set(rules.comparable);
const ENDINGS = rules.endings as [string, string, number][];
const IRREGULAR = new Map(rules.irregular.flatMap((forms) => forms.split(" ").map((form) => [form, forms.split(" ", 1)[0]])));
const LETTERS = /^[a-z]+$/;
const DIGITS = /[0-9]/g;
const ROUNDED = 1e-8; // scores are compared by nine digits: what is further apart than this is so rounded as well

/** Words of a text in their plain form: 4-bit and 4bit, 2:4 and 2 : 4, quantise and quantize are alike. */
export function words(text: string): string[] {
  const plain = text
    .toLowerCase()
    .normalize("NFKD")
    .replace(/[\u0300-\u036f]/g, "")
    .replace(/([a-z])['\u2019](?:t|s|re|ve|ll|d|m)\b/g, "$1")
    .replace(/([0-9])[ \t\n\r\f\v-]*bits?\b/g, "$1bit")
    .replace(/\b([0-9]+|n)[ \t\n\r\f\v]*:[ \t\n\r\f\v]*([0-9]+|m)\b/g, "$1of$2")
    .replace(/is(e|ed|es|ing|ation|ations)\b/g, "iz$1")
    .replace(/\b(fine|pre)[ \t\n\r\f\v-]+(tun|train)/g, "$1$2")
    .replace(/\b(neighb|behavi|col)our/g, "$1or")
    .replace(/\bmodelling\b/g, "modeling");
  return plain.match(/[a-z0-9]+/g) ?? [];
}

const stems = new Map<string, string>();

/** The part of a word that its forms share; words with digits and short words stay as they are. */
export function stem(word: string): string {
  let found = stems.get(word);
  if (found === undefined) stems.set(word, (found = cut(word)));
  return found;
}

function cut(word: string): string {
  const known = IRREGULAR.get(word);
  if (known !== undefined) return known;
  if (word.length < 4 || !LETTERS.test(word)) return word;
  for (const [ending, instead, least] of ENDINGS) {
    if (!word.endsWith(ending) || word.length - ending.length < least) continue;
    if (ending === "s" && /(ss|us|is)$/.test(word)) continue;
    word = word.slice(0, word.length - ending.length) + instead;
    break;
  }
  return word.length > 3 && word.at(-1) === word.at(-2) ? word.slice(0, -1) : word;
}

const EVERYDAY = new Set(rules.everyday.split(" ").map(stem));
const FILLERS = new Set(rules.fillers.split(" ").map(stem)); // say nothing inside a phrase

/** Neighbouring words written as one, and all of them. */
function together(tokens: string[]): string[] {
  const joined = tokens.slice(1).map((token, i) => tokens[i] + token);
  return tokens.length > 2 ? [...joined, tokens.join("")] : joined;
}

/**
 * The fewest slips between two words (letters put in, left out, changed; neighbours swapped), or `most` + 1 where they
 * are more than `most`.
 */
export function slips(one: string, other: string, most: number): number {
  if (Math.abs(one.length - other.length) > most) return most + 1;
  let [before, last, row] = ROWS;
  const wide = other.length;
  if (wide >= last.length) return most + 1;
  for (let j = 0; j <= wide; j += 1) last[j] = j;
  let leastBefore = 0;
  for (let i = 1; i <= one.length; i += 1) {
    const letter = one.charCodeAt(i - 1);
    let least = (row[0] = i);
    for (let j = 1; j <= wide; j += 1) {
      const next = other.charCodeAt(j - 1);
      let cost = Math.min(last[j] + 1, row[j - 1] + 1, last[j - 1] + (letter === next ? 0 : 1));
      if (i > 1 && j > 1 && letter === other.charCodeAt(j - 2) && one.charCodeAt(i - 2) === next) {
        cost = Math.min(cost, before[j - 2] + 1);
      }
      row[j] = cost;
      if (cost < least) least = cost;
    }
    // A swap reaches over two rows, so that both have to be too far before the rest can be left out.
    if (least > most && leastBefore > most) return most + 1;
    leastBefore = least;
    [before, last, row] = [last, row, before];
  }
  return Math.min(last[wide], most + 1);
}

const ROWS = [new Uint8Array(64), new Uint8Array(64), new Uint8Array(64)];

const digits = (word: string) => (word.match(DIGITS) ?? []).join("");

/** Which letters a word has, as bits; digits share some of them. */
function letters(word: string): number {
  let mask = 0;
  for (let i = 0; i < word.length; i += 1) mask |= 1 << (word.charCodeAt(i) - 97);
  return mask;
}

function bits(mask: number): number {
  let count = 0;
  for (; mask; mask &= mask - 1) count += 1;
  return count;
}

const compare = (a: string, b: string) => (a < b ? -1 : a > b ? 1 : 0);

export class Searcher {
  private readonly documents: Document[];
  private readonly keys: string[] = [];
  private readonly called = new Map<string, number[]>(); // name, written together -> documents
  private readonly leads = new Map<number, number[]>(); // a definition -> what it leads to
  private readonly keyed = new Map<string, Set<number>>(); // key term (its stems, or its meaning) -> documents
  private readonly text: string[] = []; // the stems of its names and its title, in their order
  private readonly meanings = new Map<string, string>(); // stems of a phrase -> its meaning
  private readonly longest: number = 1;
  private readonly spoken = new Set<string>(); // the stems of all phrases that have synonyms
  private readonly weights = new Map<string, Holders>(); // stem or meaning
  private readonly known = new Map<string, string>(); // word -> its stem
  private readonly vocabulary: string[];
  private readonly byLength = new Map<number, { word: string; mask: number }[]>();
  private readonly near = new Map<string, [word: string, distance: number][]>(); // slips that were looked up

  constructor(file: SearchFile) {
    for (const phrases of file.synonyms) {
      const forms = phrases.map((phrase) => words(phrase).map(stem).filter((form) => !FILLERS.has(form)));
      const meaning = `=${forms.map((form) => form.join(" ")).sort()[0]}`;
      for (const form of forms) {
        this.meanings.set(form.join(" "), meaning);
        this.longest = Math.max(this.longest, form.length);
        for (const part of form) this.spoken.add(part);
      }
    }
    this.documents = file.documents;
    const fields = Object.entries(file.fields ?? rules.fields);
    file.documents.forEach((document, number) => this.add(document, number, fields));
    for (const holders of this.weights.values()) {
      holders.documents = Int32Array.from(holders.documents);
      holders.weights = Float64Array.from(holders.weights);
    }
    const numbers = new Map(this.keys.map((key, number) => [key, number]));
    file.documents.forEach((document, number) => {
      const targets = (document.leads ?? "").split("; ").filter((key) => numbers.has(key));
      if (targets.length) this.leads.set(number, targets.map((key) => numbers.get(key)!));
    });
    this.vocabulary = [...this.known.keys()].sort();
    for (const word of this.vocabulary) {
      const group = this.byLength.get(word.length);
      const one = { word, mask: letters(word) };
      if (group) group.push(one);
      else this.byLength.set(word.length, [one]);
    }
  }

  private add(document: Document, number: number, fields: [string, number][]): void {
    this.keys.push(document.id);
    const called = new Set<string>();
    const text: string[] = [];
    const hits = new Map<string, [best: number, total: number]>();
    const titles = fields.find(([field]) => field === "title");
    for (const [field, weight] of fields) {
      const content = document[field] ?? "";
      const tokens = words(content);
      const stems = tokens.map(stem);
      const counts = new Map<string, number>();
      const count = (term: string) => counts.set(term, (counts.get(term) ?? 0) + 1);
      stems.forEach(count);
      const isName = NAMES.includes(field);
      if (field !== "terms" && (!isName || !PROPER.has(document.kind))) this.phrases(stems).forEach((phrase) => count(phrase.meaning));
      if (isName) {
        for (const name of content.split(";")) {
          const parts = words(name);
          called.add(parts.join(""));
          if (parts.length <= rules.words) together(parts).forEach((joined) => count(stem(joined)));
        }
      }
      if (field === "title") {
        for (const title of content.split(";")) called.add(words(title).join(" ").replace(/^(a|an|the) /, "").replaceAll(" ", ""));
      }
      if (field === "terms") {
        for (const one of content.split(";").filter((part) => part.trim())) {
          const parts = words(one).map(stem);
          const whole = this.phrases(parts).filter((phrase) => phrase.length === parts.length);
          for (const key of [parts.join(" "), ...whole.map((phrase) => phrase.meaning)]) {
            const holders = this.keyed.get(key);
            if (holders) holders.add(number);
            else this.keyed.set(key, new Set([number]));
          }
        }
      }
      if (isName || field === "title") text.push(...stems.filter((_, i) => !STOP.has(tokens[i])));
      for (const token of tokens) if (!this.known.has(token)) this.known.set(token, stem(token));
      const length = 1 + Math.log1p(stems.length) / rules.length;
      const sentence = field === "name" && stems.length > rules.words; // in the place of a name
      const worth = sentence ? (titles?.[1] ?? weight) : weight;
      for (const [term, times] of counts) {
        const value = ((worth * times) / (times + rules.saturation)) * 1.5 / length;
        const found = hits.get(term);
        if (found) {
          found[0] = Math.max(found[0], value);
          found[1] += value;
        } else hits.set(term, [value, value]);
      }
    }
    for (const [term, [best, total]] of hits) {
      let holders = this.weights.get(term);
      if (!holders) this.weights.set(term, (holders = { documents: [], weights: [], peak: 0 }));
      const weight = best + rules.echo * (total - best); // the best field counts in full, the others a little
      (holders.documents as number[]).push(number);
      (holders.weights as number[]).push(weight);
      holders.peak = Math.max(holders.peak, weight);
    }
    called.delete("");
    for (const name of called) {
      const same = this.called.get(name);
      if (same) same.push(number);
      else this.called.set(name, [number]);
    }
    this.text.push(` ${text.join(" ")} `);
  }

  /** The documents that answer a query, best first; empty where nothing does. */
  search(query: string, limit: number): Hit[] {
    return this.answer(query, limit).hits;
  }

  /** The best documents that answer a query, and how many do. */
  answer(query: string, limit: number): { hits: Hit[]; total: number } {
    const tokens = words(query).flatMap((token) => this.apart(token));
    const meant = tokens.map((token) => this.meant(token));
    const { units, says, idea } = this.units(tokens, meant);
    const count = this.documents.length;
    const scores = new Float64Array(count);
    const answered = new Float64Array(count);
    const spokenOf = new Float64Array(count); // the same, in passing or not
    const met: number[] = [];
    const best = new Float64Array(count); // of the unit at hand, how far it is answered, and how well its best term fits
    const told = new Float64Array(count);
    const fits = new Float64Array(count);
    let asked = 0;
    units.forEach((unit, place) => {
      const much = says[place];
      const worth = much * this.worth(unit);
      asked += worth;
      const touched: number[] = [];
      for (const [term, quality] of unit) {
        const { documents, weights } = this.weights.get(term)!;
        const rarity = much * this.rarity(term);
        for (let i = 0; i < documents.length; i += 1) {
          const number = documents[i];
          const score = quality * weights[i] * rarity;
          const part = quality * (rules.passing + (1 - rules.passing) * Math.min(weights[i] / rules.told, 1));
          if (!fits[number]) touched.push(number);
          if (score > best[number]) best[number] = score;
          if (part > told[number]) told[number] = part;
          if (quality > fits[number]) fits[number] = quality;
        }
      }
      for (const number of touched) {
        if (!scores[number]) met.push(number);
        scores[number] += best[number];
        answered[number] += told[number] * worth;
        spokenOf[number] += fits[number] * worth;
        best[number] = told[number] = fits[number] = 0;
      }
    });
    // The whole query is a key term.
    for (const key of new Set([tokens.map(stem).join(" "), idea])) {
      const holders = this.keyed.get(key) ?? new Set();
      const value = rules.term * this.rarityOf(holders.size);
      for (const number of holders) {
        if (!scores[number]) met.push(number);
        scores[number] = Math.max(scores[number], value) + rules.echo * Math.min(scores[number], value);
        answered[number] = spokenOf[number] = asked;
      }
    }
    const spoken = meant.filter((token) => !STOP.has(token));
    const wholes = [tokens, tokens.filter((token) => !STOP.has(token)), meant, spoken].map((parts) => parts.join(""));
    const called = new Set(wholes.flatMap((whole) => this.called.get(whole) ?? []));
    const sequence = spoken.length > 1 ? ` ${spoken.map(stem).join(" ")} ` : "";
    const named = this.named(tokens, meant);
    const beside = idea ? [] : this.compared(tokens);
    const compared = new Set(idea || beside.length ? beside : this.compared(meant));
    for (const number of met) {
      const { kind } = this.documents[number];
      let score = scores[number];
      if (!compared.has(number)) score *= (answered[number] / asked) ** rules.coverage;
      const exact = called.has(number);
      if (exact || compared.has(number)) score *= rules.exact * (ASKED[kind] ?? 1);
      else if (named.has(number)) score *= rules.named;
      if (sequence && this.text[number].includes(sequence)) score *= rules.sequence;
      const ofAnyKind = compared.has(number) || (exact && tokens.length > rules.words);
      if (!ofAnyKind) score *= (KINDS[kind] ?? 1) * (idea && kind === "paper" ? rules.mention : 1);
      scores[number] = score;
    }
    // A definition that is asked for brings what it leads to: before it what speaks of the whole term, behind it the rest.
    for (const number of called) {
      const targets = scores[number] ? (this.leads.get(number) ?? []) : [];
      targets.forEach((target, place) => {
        const steps = spokenOf[target] > 0.999 * asked ? targets.length - place : -1 - place;
        if (!scores[target]) met.push(target);
        scores[target] = Math.max(scores[target], scores[number] * rules.lead ** steps);
      });
    }
    return this.ranked(met, scores, limit);
  }

  /** The best of the documents that were met, and how many are more than noise. */
  private ranked(met: number[], scores: Float64Array, limit: number): { hits: Hit[]; total: number } {
    const rounded = (score: number) => Number(score.toPrecision(9)); // Python's logarithm may differ in the last digit
    const most = met.reduce((found, number) => Math.max(found, scores[number]), 0);
    const least = rounded(most) * rules.noise;
    // Rounding costs more than all else, so only what may be shown is rounded, and what is at the edge of noise.
    const heard = met.filter((number) => {
      const score = scores[number];
      return score > least * (1 + ROUNDED) || (score > least * (1 - ROUNDED) && rounded(score) > least);
    });
    const ordered = Float64Array.from(heard, (number) => scores[number]).sort();
    const edge = limit < ordered.length ? ordered[ordered.length - limit] * (1 - ROUNDED) : 0;
    const hits = heard
      .filter((number) => scores[number] >= edge)
      .map((number) => ({ number, score: rounded(scores[number]) }))
      .sort((a, b) => b.score - a.score || compare(this.keys[a.number], this.keys[b.number]))
      .slice(0, limit)
      .map(({ number, score }) => ({ document: this.documents[number], score }));
    return { hits, total: heard.length };
  }

  /** The methods, tools and benchmarks that a query names beside others; none where it names one only. */
  private named(tokens: string[], meant: string[]): Set<number> {
    const found = new Map<string, number[]>();
    for (const words of [tokens, meant]) {
      for (let first = 0; first < words.length; first += 1) {
        for (let end = first + 1; end <= Math.min(first + rules.words, words.length); end += 1) {
          const name = words.slice(first, end).join("");
          const holders = (this.called.get(name) ?? []).filter((number) => COMPARABLE.has(this.documents[number].kind));
          if (holders.length) found.set(name, holders);
        }
      }
    }
    return new Set(found.size > 1 ? [...found.values()].flat() : []);
  }

  /** What a query sets side by side, where both have a name: "A vs B", or "A vs B C" in place of "A C vs B C". */
  private compared(tokens: string[]): number[] {
    const telling = tokens.map((token) => !STOP.has(token) && !EVERYDAY.has(stem(token)));
    const asked = tokens.slice(Math.max(telling.indexOf(true), 0), telling.lastIndexOf(true) + 1);
    for (let place = 0; place < asked.length; place += 1) {
      if (!BESIDE.has(asked[place])) continue;
      const one = asked.slice(0, place);
      const other = asked.slice(place + 1);
      const second = this.called.get(other.join(""));
      for (let last = other.length; second && last > 0; last -= 1) {
        const first = this.called.get([...one, ...other.slice(last)].join(""));
        if (first) return [...first, ...second];
      }
    }
    return [];
  }

  private rarity(term: string): number {
    return this.rarityOf(this.held(term));
  }

  /** How many documents have a term. */
  private held(term: string): number {
    return this.weights.get(term)?.documents.length ?? 0;
  }

  private rarityOf(held: number): number {
    return Math.log(1 + (this.documents.length - held + 0.5) / (held + 0.5)) + rules.floor;
  }

  /** How much it says that a document answers a word of the query: more for rare words and for words of names. */
  private worth(unit: Unit): number {
    let fit = 0;
    for (const quality of unit.values()) fit = Math.max(fit, quality);
    let least = Infinity;
    for (const [term, quality] of unit) {
      if (quality !== fit) continue;
      const told = Math.min(Math.max((this.weights.get(term)?.peak ?? 0) / rules.telling, rules.least), 1);
      least = Math.min(least, this.rarity(term) * told);
    }
    return least === Infinity ? this.rarity("") : least;
  }

  /**
   * A query as units, each a set of terms of which one has to be met; how much each says; and the meaning of the query
   * where it is as a whole a phrase that has synonyms.
   */
  private units(tokens: string[], meant: string[]): { units: Unit[]; says: number[]; idea: string } {
    const stems = meant.map(stem);
    const phrases = new Map(this.phrases(stems).map((one) => [one.start, one]));
    const units: Unit[] = [];
    const says: number[] = [];
    for (let place = 0; place < tokens.length; place += 1) {
      const phrase = phrases.get(place);
      if (phrase) {
        const unit: Unit = new Map();
        if (this.weights.has(phrase.meaning)) unit.set(phrase.meaning, 1);
        const spoken = tokens.slice(place, place + phrase.length).filter((token) => !STOP.has(token));
        const factor = (unit.size ? rules.loose : 1) / Math.max(spoken.length, 1);
        for (const token of spoken) {
          for (const [term, quality] of this.terms(token)) raise(unit, term, factor * quality);
        }
        units.push(unit);
        says.push(1);
        place += phrase.length - 1;
      } else if (!STOP.has(tokens[place])) {
        const unit = this.terms(tokens[place]);
        for (const first of [place - 1, place]) {
          // The word written together with the one before, the one after.
          if (first < 0 || first >= tokens.length - 1) continue;
          if (STOP.has(tokens[first]) || STOP.has(tokens[first + 1])) continue;
          const joined = stem(tokens[first] + tokens[first + 1]);
          if (this.weights.has(joined)) unit.set(joined, 1);
        }
        units.push(unit);
        says.push(EVERYDAY.has(stems[place]) ? rules.faint : 1);
      }
    }
    return {
      units: units.length ? units : tokens.map((token) => this.terms(token)),
      says: units.length ? says : tokens.map(() => 1),
      idea: phrases.get(0)?.length === tokens.length ? phrases.get(0)!.meaning : "",
    };
  }

  /** The meanings of phrases in a text, longest first and without overlaps. */
  private phrases(stems: string[]): Phrase[] {
    const found: Phrase[] = [];
    const at = stems.flatMap((form, place) => (FILLERS.has(form) ? [] : [place]));
    const telling = at.map((place) => stems[place]);
    for (let place = 0; place < at.length; place += 1) {
      for (let length = Math.min(this.longest, at.length - place); length > 0; length -= 1) {
        const meaning = this.meanings.get(telling.slice(place, place + length).join(" "));
        if (meaning === undefined) continue;
        found.push({ meaning, start: at[place], length: at[place + length - 1] - at[place] + 1 });
        place += length - 1;
        break;
      }
    }
    return found;
  }

  private isKnown(token: string): boolean {
    return this.weights.has(stem(token)) || this.spoken.has(stem(token));
  }

  /** A word in its two parts ("kvcache"), where nothing is known that it may be and both parts are. */
  private apart(token: string): string[] {
    if (token.length < 6 || this.isKnown(token)) return [token];
    if (this.beginning(token).length || this.slipsOf(token).length) return [token];
    let best: string[] = [token];
    let most = 0;
    for (let place = 2; place < token.length - 1; place += 1) {
      const parts = [token.slice(0, place), token.slice(place)];
      if (!parts.every((part) => this.known.has(part))) continue;
      const held = Math.min(...parts.map((part) => this.held(this.known.get(part)!)));
      if (held > most) [best, most] = [parts, held];
    }
    return best;
  }

  /** Known words at one or two slips from an unknown one, and at how many; never in their digits; the nearest first. */
  private slipsOf(token: string): [word: string, distance: number][] {
    if (token.length < 4 || token.length > 60 || token.replace(DIGITS, "").length < 3 || this.isKnown(token)) return [];
    const before = this.near.get(token);
    if (before) return before;
    const mask = letters(token);
    const most = token.length < 8 ? 1 : 2;
    const found: [string, number][] = [];
    for (let length = token.length - most; length <= token.length + most; length += 1) {
      for (const { word, mask: other } of this.byLength.get(length) ?? []) {
        if (bits(mask ^ other) > 2 * most) continue; // a slip changes two letters at most
        const distance = slips(token, word, most);
        if (distance <= most && digits(word) === digits(token)) found.push([word, distance]);
      }
    }
    found.sort((a, b) => a[1] - b[1] || compare(a[0], b[0]));
    if (this.near.size > 500) this.near.clear();
    this.near.set(token, found);
    return found;
  }

  /** The word itself where it is known, else the nearest one, the more frequent where two are as near. */
  private meant(token: string): string {
    const frequent = (word: string) => this.held(this.known.get(word)!);
    const near = [...this.slipsOf(token)].sort((a, b) => a[1] - b[1] || frequent(b[0]) - frequent(a[0]) || compare(a[0], b[0]));
    return near.length ? near[0][0] : token;
  }

  /** The terms of the index that a word of the query may mean, with how well each fits. */
  private terms(token: string): Unit {
    const found: Unit = new Map();
    if (this.weights.has(stem(token))) found.set(stem(token), 1);
    if (token.length >= 2) {
      for (const word of this.beginning(token)) {
        if (word !== token) raise(found, this.known.get(word)!, rules.prefix * (0.5 + (0.5 * token.length) / word.length));
      }
    }
    for (const [word, distance] of this.slipsOf(token)) {
      raise(found, this.known.get(word)!, rules.slip * (1 - 0.2 * (distance - 1)));
    }
    return found;
  }

  private beginning(token: string): string[] {
    let low = 0;
    let high = this.vocabulary.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.vocabulary[middle] < token) low = middle + 1;
      else high = middle;
    }
    let end = low;
    while (end < this.vocabulary.length && this.vocabulary[end].startsWith(token)) end += 1;
    return this.vocabulary.slice(low, end);
  }
}

function raise(unit: Unit, term: string, quality: number): void {
  unit.set(term, Math.max(unit.get(term) ?? 0, quality));
}
