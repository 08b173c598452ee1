// Typesets formulas: reads [{tex, display}] as JSON from standard input, writes [{html} or {error}] in the same order.
import { readFileSync } from "node:fs";
import katex from "katex";

// \href, \url, \includegraphics, \htmlClass and their like.
const refuse = ({ command }) => {
  throw new Error(`${command} is not allowed`);
};

// What KaTeX writes and HTML forbids: heights below zero, which browsers drop; the letters of \bmod as elements in <mo>; a
// function's name with the invisible sign of its application in a place for one element.
const valid = (html) =>
  html
    .replace(/height:-[\d.]+em;/g, "")
    .replace(/<mo>\u2061<\/mo>(?=<\/m(?:sub|sup|subsup|under|over|underover|frac)>)/g, "")
    .replace(/(<mo\b[^>]*>)<mrow>((?:<mi\b[^>]*>[^<]+<\/mi>)+)<\/mrow><\/mo>/g, (_, opened, letters) => `${opened}${letters.replace(/<[^>]*>/g, "")}</mo>`);

const formulas = JSON.parse(readFileSync(0, "utf8"));
const results = formulas.map(({ tex, display }) => {
  try {
    const options = { displayMode: display, output: "htmlAndMathml", strict: "error", trust: refuse, maxExpand: 1000, maxSize: 50 };
    return { html: valid(katex.renderToString(tex, options)) };
  } catch (error) {
    return { error: String(error.message) };
  }
});
process.stdout.write(JSON.stringify(results));
