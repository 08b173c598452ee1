// Typesets formulas: reads [{tex, display}] as JSON from standard input, writes [{html} or {error}] in the same order.
import { readFileSync } from "node:fs";
import katex from "katex";

// \href, \url, \includegraphics, \htmlClass and their like.
const refuse = ({ command }) => {
  throw new Error(`${command} is not allowed`);
};

const formulas = JSON.parse(readFileSync(0, "utf8"));
const results = formulas.map(({ tex, display }) => {
  try {
    const options = { displayMode: display, output: "htmlAndMathml", strict: "error", trust: refuse, maxExpand: 1000, maxSize: 50 };
    return { html: katex.renderToString(tex, options) };
  } catch (error) {
    return { error: String(error.message) };
  }
});
process.stdout.write(JSON.stringify(results));
