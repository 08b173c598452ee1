// What the site needs of the style sheets of Material for MkDocs: material.json names what no page has, which is more than
// half of them. tests/site/test_weights.py holds that no page has it.
import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import postcss from "postcss";
import unused from "./material.json" with { type: "json" };

const SELECTOR = new RegExp(`\\.(?:${unused.classes.join("|")})(?![\\w-])|${unused.selectors.join("|")}`);
const VARIABLE = new RegExp(`^--md-(?:${unused.variables.join("|")})(?![a-z])`);

/** main and palette, cut down. `folder` holds the theme's style sheets. */
export async function materialStyles(folder) {
  const names = (await readdir(folder)).filter((name) => /^(?:main|palette)\..*\.css$/.test(name)).sort();
  if (names.length !== 2) throw new Error(`${folder}: main.*.css and palette.*.css expected, found ${names.join(", ") || "none"}`);
  const root = postcss.parse((await Promise.all(names.map((name) => readFile(join(folder, name), "utf8")))).join("\n"));
  const inKeyframes = (rule) => /keyframes$/.test(rule.parent.name ?? "");
  root.walkRules((rule) => {
    if (inKeyframes(rule)) return;
    const kept = rule.selectors.filter((selector) => !SELECTOR.test(selector));
    if (!kept.length) rule.remove();
    // The theme's own script would mark what the keyboard reached; browsers know it.
    else rule.selectors = kept.map((selector) => selector.replaceAll(".focus-visible", ":focus-visible"));
  });
  root.walkDecls(VARIABLE, (declaration) => declaration.remove());
  root.walkComments((comment) => comment.remove());
  const empty = (node) => node.nodes?.length === 0;
  root.walkRules((rule) => empty(rule) && rule.remove());
  root.walkAtRules((rule) => empty(rule) && rule.remove());
  const text = root.toString();
  root.walkAtRules(/keyframes$/, (rule) => {
    if (!new RegExp(`animation(?:-name)?:[^;}]*\\b${rule.params}\\b`).test(text)) rule.remove();
  });
  return root.toString();
}
