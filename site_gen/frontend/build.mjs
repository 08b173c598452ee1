// Bundles what the browser needs into one folder: node build.mjs OUTPUT_FOLDER
// Entry points are src/zoo.ts (every page) and src/zoo.css; parts that only some pages need are split off by import().
import { readFile, rm } from "node:fs/promises";
import { build } from "esbuild";

const out = process.argv[2];
if (!out) {
  console.error("usage: node build.mjs OUTPUT_FOLDER");
  process.exit(2);
}

// KaTeX names each font three times (woff2, woff, ttf); every browser in use reads woff2.
const onlyWoff2 = {
  name: "only-woff2",
  setup(esbuild) {
    esbuild.onLoad({ filter: /katex[^/\\]*\.css$/ }, async ({ path }) => {
      const css = await readFile(path, "utf8");
      return { contents: css.replace(/,\s*url\([^)]*\.(?:woff|ttf)\)\s*format\([^)]*\)/g, ""), loader: "css" };
    });
  },
};

await rm(out, { recursive: true, force: true });
await build({
  entryPoints: { zoo: "src/zoo.ts", "zoo-style": "src/zoo.css" },
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
  plugins: [onlyWoff2],
});
