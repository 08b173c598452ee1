// Bundles what the browser needs into one folder: node build.mjs OUTPUT_FOLDER FOLDER_OF_THE_THEMES_STYLE_SHEETS
// Entry points are src/zoo.ts and src/zoo.css (every page) and src/more.css (most); parts that only some pages need are split off by import().
import { readFile, rm } from "node:fs/promises";
import { build } from "esbuild";
import { fontStyles } from "./fonts.mjs";
import { materialStyles } from "./material.mjs";

const [out, theme] = process.argv.slice(2);
if (!out || !theme) {
  console.error("usage: node build.mjs OUTPUT_FOLDER FOLDER_OF_THE_THEMES_STYLE_SHEETS");
  process.exit(2);
}

/** Style sheets that are made: @import "zoo:fonts", "zoo:material"; and KaTeX's without its fonts, which the first names. */
const madeStyles = {
  name: "made-styles",
  setup(esbuild) {
    const made = { "zoo:fonts": fontStyles, "zoo:material": () => materialStyles(theme) };
    esbuild.onResolve({ filter: /^zoo:/ }, ({ path }) => ({ path, namespace: "made" }));
    esbuild.onLoad({ filter: /.*/, namespace: "made" }, async ({ path }) => ({
      contents: await made[path](), loader: "css", resolveDir: import.meta.dirname,
    }));
    esbuild.onLoad({ filter: /katex[^/\\]*\.css$/ }, async ({ path }) => ({
      contents: (await readFile(path, "utf8")).replace(/@font-face\{[^}]*\}/g, ""), loader: "css",
    }));
  },
};

await rm(out, { recursive: true, force: true });
await build({
  entryPoints: { zoo: "src/zoo.ts", "search-worker": "src/search-worker.ts", "zoo-style": "src/zoo.css", "zoo-more": "src/more.css" },
  outdir: out,
  absWorkingDir: import.meta.dirname,
  bundle: true,
  format: "esm",
  splitting: true,
  minify: true,
  target: "es2022",
  entryNames: "[name]",
  chunkNames: "chunks/[name]-[hash]",
  assetNames: "fonts/[name]",
  loader: { ".woff2": "file" },
  logLevel: "warning",
  plugins: [madeStyles],
});
