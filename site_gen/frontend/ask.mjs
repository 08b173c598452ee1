// Answers questions as the search box does, without a browser: node ask.mjs < {"file": search.json, "queries": [text],
// "limit": n} prints a list of lists of document ids, best first. Tests and `python -m tests.relevance` use it.
import { readFileSync } from "node:fs";
import { build } from "esbuild";

const { file, queries, limit } = JSON.parse(readFileSync(0, "utf8"));
const bundle = await build({
  stdin: { contents: 'export * from "./src/ranking"; export * from "./src/index-file";', resolveDir: import.meta.dirname },
  absWorkingDir: import.meta.dirname,
  bundle: true,
  format: "esm",
  write: false,
});
const { Searcher, unpacked } = await import(`data:text/javascript;base64,${Buffer.from(bundle.outputFiles[0].text).toString("base64")}`);
const searcher = new Searcher(unpacked(file));
const answers = queries.map((query) => searcher.search(query, limit).map((hit) => hit.document.id));
console.log(JSON.stringify(answers));
