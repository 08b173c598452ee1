// Runs the search worker of Material for MkDocs outside a browser: reads {worker: its script, index: search_index.json,
// queries: [text]} and prints, for each query, the addresses of the pages that it lists, best first.
import { readFileSync } from "node:fs";
import { runInThisContext } from "node:vm";

const { worker, index, queries } = JSON.parse(readFileSync(0, "utf8"));
let receive;
let answered;
globalThis.self = globalThis;
globalThis.addEventListener = (_, listener) => (receive = listener);
globalThis.postMessage = (message) => answered(message);
runInThisContext(worker);

const ask = (message) =>
  new Promise((resolve) => {
    answered = resolve;
    receive({ data: message });
  });

await ask({ type: 0, data: { config: index.config, docs: index.docs, options: { suggest: false } } });
const pages = [];
for (const query of queries) {
  const { data } = await ask({ type: 2, data: query });
  pages.push(data.items.map((group) => group[0].location.replace(/#.*/, "")));
}
console.log(JSON.stringify(pages));
