// Answers questions as the page "Choose" does, without a browser: node choose.mjs < {"facts": choose.json,
// "questions": [question], "configs": [text], "sizes": [text], "bytes": [number]} prints {"answers", "configs", "sizes", "bytes"}. Tests use it.
import { readFileSync } from "node:fs";
import { build } from "esbuild";

const { facts, questions, configs, sizes, bytes } = JSON.parse(readFileSync(0, "utf8"));
const bundle = await build({
  entryPoints: ["src/choose/answer.ts"],
  absWorkingDir: import.meta.dirname,
  bundle: true,
  format: "esm",
  write: false,
});
const twin = await import(`data:text/javascript;base64,${Buffer.from(bundle.outputFiles[0].text).toString("base64")}`);
console.log(JSON.stringify({
  answers: questions.map((question) => twin.answer(facts, question)),
  configs: configs.map((text) => twin.readConfig(facts, text)),
  sizes: sizes.map((text) => twin.bytesOf(text)),
  bytes: bytes.map((value) => twin.size(value)),
}));
