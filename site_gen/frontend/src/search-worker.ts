// Ranks beside the page, in a worker: reads the index and answers, so that typing never waits for either. `engine.ts`
// asks it. It is a file of its own, search-worker.js, from the same place as every other script of the site.

import { type PackedFile, unpacked } from "./index-file";
import { Searcher } from "./ranking";

export type Question = { read: string } | { query: string; limit: number };

let searcher: Searcher;

// Asked before the reader can: what runs for the first time is slow, and slips most of all.
const FIRST = ["quantizaton awre trainig", "kv cahe without calibraton data", "hinton distilling the knowledge"];

addEventListener("message", async ({ data }: MessageEvent<Question>) => {
  try {
    if ("read" in data) {
      const found = await fetch(data.read);
      if (!found.ok) throw new Error(`search.json: ${found.status}`);
      const file = unpacked((await found.json()) as PackedFile);
      searcher = new Searcher(file);
      for (const query of FIRST) searcher.search(query, 12);
      postMessage({ answer: file.addresses });
    } else postMessage({ answer: searcher.answer(data.query, data.limit) });
  } catch (problem) {
    postMessage({ problem: problem instanceof Error ? problem.message : String(problem) });
  }
});
postMessage({ answer: "runs" });
