// The search of the dialog: in a worker, so that reading the index and ranking never hold the page; in the page where
// there are no workers or this one does not start.

import type { Addresses, PackedFile } from "./index-file";
import type { Hit } from "./ranking";
import type { Question } from "./search-worker";

interface Answer {
  hits: Hit[];
  total: number; // how many documents answer, shown or not
}

export interface Engine {
  addresses: Addresses;
  answer(query: string, limit: number): Promise<Answer>;
}

/** Reads the index of the site at `base`. Rejects where it cannot be read. */
export async function startEngine(base: string): Promise<Engine> {
  const index = `${base}assets/zoo/search.json`;
  const worker = await startWorker(`${base}assets/zoo/search-worker.js`);
  return worker ? besidePage(worker, index) : inPage(index);
}

/** The worker, once it has said that it runs; null where it cannot. */
async function startWorker(script: string): Promise<Worker | null> {
  try {
    const worker = new Worker(script, { type: "module" });
    const runs = await new Promise<boolean>((done) => {
      worker.onmessage = () => done(true);
      worker.onerror = () => done(false);
    });
    if (runs) return worker;
    worker.terminate();
  } catch {
    // No workers here, or not from this address.
  }
  return null;
}

/** Asks one question after the other; the dialog never asks the next before it has the answer. */
async function besidePage(worker: Worker, index: string): Promise<Engine> {
  const ask = <Shape>(question: Question) =>
    new Promise<Shape>((done, failed) => {
      worker.onmessage = ({ data }) => ("problem" in data ? failed(new Error(data.problem)) : done(data.answer));
      worker.onerror = (event) => failed(new Error(event.message));
      worker.postMessage(question);
    });
  try {
    const addresses = await ask<Addresses>({ read: index });
    return { addresses, answer: (query, limit) => ask<Answer>({ query, limit }) };
  } catch (problem) {
    worker.terminate();
    throw problem;
  }
}

async function inPage(index: string): Promise<Engine> {
  const [{ Searcher }, { unpacked }, answer] = await Promise.all([
    import("./ranking"), import("./index-file"), fetch(index),
  ]);
  if (!answer.ok) throw new Error(`search.json: ${answer.status}`);
  const file = unpacked((await answer.json()) as PackedFile);
  const searcher = new Searcher(file);
  return { addresses: file.addresses, answer: async (query, limit) => searcher.answer(query, limit) };
}
