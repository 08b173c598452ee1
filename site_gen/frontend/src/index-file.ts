// search.json: one list for each field, which packs better than one object for each document. README.md tells its shape.

import type { Document, SearchFile } from "./ranking";

export type Addresses = Record<string, string>; // kind -> address of a page from the site's root, * for the id

export interface PackedFile {
  schema: number;
  addresses: Addresses;
  synonyms: Record<string, string[]>;
  fields: Record<string, string[]>; // field -> its text in each document, or ""
}

/** The documents of a packed file, with ids that are unique over all kinds. */
export function unpacked(file: PackedFile): SearchFile & { addresses: Addresses } {
  const fields = Object.entries(file.fields);
  const key = (i: number) => `${file.fields.kind[i]} ${file.fields.id[i]}`;
  const documents = file.fields.id.map((_, i) => {
    const document: Record<string, string> = {};
    for (const [field, texts] of fields) if (texts[i]) document[field] = texts[i];
    document.id = key(i);
    if (document.leads) document.leads = document.leads.split(" ").map((place) => key(Number(place))).join("; ");
    return document as unknown as Document;
  });
  return { schema: file.schema, addresses: file.addresses, synonyms: file.synonyms, documents };
}
