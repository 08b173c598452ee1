// Answers questions as the search box does, without a browser: node ask.mjs < {"file": search.json, "queries": [text],
// "limit": n} prints a list of lists of document ids, best first; with "cpu": true instead the milliseconds of processor
// time that each question took, whatever else the machine did; with "documents": true the documents that the browser makes
// of the file. Tests and `python -m tests.relevance` use it.
import { readFileSync } from "node:fs";
import { build } from "esbuild";

const { file, queries, limit, cpu, documents } = JSON.parse(readFileSync(0, "utf8"));
const bundle = await build({
  stdin: { contents: 'export * from "./src/ranking"; export * from "./src/index-file";', resolveDir: import.meta.dirname },
  absWorkingDir: import.meta.dirname,
  bundle: true,
  format: "esm",
  write: false,
});
const { Searcher, unpacked } = await import(`data:text/javascript;base64,${Buffer.from(bundle.outputFiles[0].text).toString("base64")}`);
const searcher = new Searcher(unpacked(file));
const ask = (query) => searcher.search(query, limit).map((hit) => hit.document.id);
const time = (query) => {
  const begun = process.cpuUsage();
  ask(query);
  const { user, system } = process.cpuUsage(begun);
  return (user + system) / 1000;
};
console.log(JSON.stringify(documents ? unpacked(file).documents : queries.map(cpu ? time : ask)));
