// Typesets formulas: reads [{tex, display}] as JSON from standard input, writes [{html} or {error}] in the same order.
import { readFileSync } from "node:fs";
import katex from "katex";

const formulas = JSON.parse(readFileSync(0, "utf8"));
const results = formulas.map(({ tex, display }) => {
  try {
    // trust stays off: \href, \url, \includegraphics and \htmlClass are refused.
    return { html: katex.renderToString(tex, { displayMode: display, output: "htmlAndMathml", strict: "error", trust: false, maxExpand: 1000, maxSize: 50 }) };
  } catch (error) {
    return { error: String(error.message) };
  }
});
process.stdout.write(JSON.stringify(results));
