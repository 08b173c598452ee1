// Which entries fit what is chosen, and how many there would be with each further value. Sets of entries are bits, so that
// one pass over all values answers both for ten thousand entries in about a millisecond.

export type Bits = Uint32Array;

export interface Value {
  id: string;
  parent: string | null; // the wider value that this one narrows
  bits: Bits;
}

export interface Facet {
  id: string;
  values: Value[];
}

export interface Answer {
  fits: Bits;
  /** facet -> value -> entries that fit everything chosen in the other facets, and have the value. */
  counts: Map<string, Map<string, number>>;
  /** facet -> entries that fit everything chosen in the other facets. */
  without: Map<string, number>;
}

export function none(size: number): Bits {
  return new Uint32Array((size + 31) >>> 5);
}

export function add(bits: Bits, place: number): void {
  bits[place >>> 5] |= 1 << (place & 31);
}

export function has(bits: Bits, place: number): boolean {
  return ((bits[place >>> 5] >>> (place & 31)) & 1) === 1;
}

/** How many are in both. */
export function shared(a: Bits, b: Bits): number {
  let count = 0;
  for (let i = 0; i < a.length; i += 1) {
    let word = a[i] & b[i];
    word -= (word >>> 1) & 0x55555555;
    word = (word & 0x33333333) + ((word >>> 2) & 0x33333333);
    count += Math.imul((word + (word >>> 4)) & 0x0f0f0f0f, 0x01010101) >>> 24;
  }
  return count;
}

/** The chosen values that count: a wider one gives way to those chosen below it. */
export function narrowest(facet: Facet, chosen: ReadonlySet<string>): Value[] {
  const narrowed = new Set(facet.values.filter((value) => chosen.has(value.id)).map((value) => value.parent));
  return facet.values.filter((value) => chosen.has(value.id) && !narrowed.has(value.id));
}

/** Any of the chosen values within a facet, all facets together, and `also` (by name) on top. */
export function answer(
  facets: Facet[],
  chosen: ReadonlyMap<string, ReadonlySet<string>>,
  size: number,
  also: ReadonlyMap<string, Bits> = new Map(),
): Answer {
  const everything = none(size);
  for (let i = 0; i < size; i += 1) add(everything, i);
  const masks = new Map<string, Bits>(also);
  for (const facet of facets) {
    const values = narrowest(facet, chosen.get(facet.id) ?? new Set());
    if (!values.length) continue;
    const mask = none(size);
    for (const { bits } of values) for (let i = 0; i < mask.length; i += 1) mask[i] |= bits[i];
    masks.set(facet.id, mask);
  }

  /** Everything that fits, but for one mask. */
  function but(left: string | null): Bits {
    const fits = everything.slice();
    for (const [name, mask] of masks) {
      if (name !== left) for (let i = 0; i < fits.length; i += 1) fits[i] &= mask[i];
    }
    return fits;
  }

  const fits = but(null);
  const counts = new Map<string, Map<string, number>>();
  const without = new Map<string, number>();
  for (const name of masks.keys()) without.set(name, shared(but(name), everything));
  for (const facet of facets) {
    const base = masks.has(facet.id) ? but(facet.id) : fits;
    counts.set(facet.id, new Map(facet.values.map((value) => [value.id, shared(base, value.bits)])));
  }
  return { fits, counts, without };
}
