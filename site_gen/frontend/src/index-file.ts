// search.json: one list for each field, which packs better than one object for each document. README.md tells its shape.

import type { Document, SearchFile } from "./ranking";

// Kind -> address of a page from the site's root: * stands for the id, two of them for its two parts.
export type Addresses = Record<string, string>;

export interface PackedFile {
  schema: number;
  addresses: Addresses;
  synonyms: string[][];
  fields: Record<string, string[]>; // field -> its text in each document, or ""
}

/** The documents of a packed file, with ids that are unique over all kinds. */
export function unpacked(file: PackedFile): SearchFile & { addresses: Addresses } {
  const fields = Object.entries(file.fields);
  const { name } = file.fields;
  const ids = file.fields.id.map((id, i) => id || spelled(name[i]));
  const key = (i: number) => `${file.fields.kind[i]} ${ids[i]}`;
  const documents = ids.map((_, i) => {
    const document: Record<string, string> = {};
    for (const [field, texts] of fields) if (texts[i]) document[field] = texts[i];
    document.id = key(i);
    document.title = document.title?.replace(/^~/, () => name[i]);
    document.summary = document.summary?.replace(/^~/, () => `${document.authors!.split(" ", 1)[0]} et al. `);
    if (document.leads) document.leads = document.leads.split(" ").map((place) => key(Number(place))).join("; ");
    return document as unknown as Document;
  });
  return { schema: file.schema, addresses: file.addresses, synonyms: file.synonyms, documents };
}

/** A name as an id: Speculative Decoding is speculative-decoding. */
function spelled(name: string): string {
  return name.toLowerCase().replace(/[^a-z0-9]+/g, "-").replace(/^-|-$/g, "");
}
