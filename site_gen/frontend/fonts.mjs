// The fonts of the site: each is cut into parts by its characters, so that a page loads little more than what it shows.
// Nothing is lost by it: what stands outside the first part is in a further file, which unicode-range brings in.
import { createHash } from "node:crypto";
import { existsSync } from "node:fs";
import { mkdir, readFile, rename, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import subsetFont from "subset-font";

const here = import.meta.dirname;
const MODULES = join(here, "node_modules");

// Characters of English text and of code; what is left of Latin 1, letters and signs; letters of further European languages.
const TEXT = "20-7E A0 AD B7 D7 2002 2009 200B 2013-2014 2018-2019 201C-201D 2022 2026 203A 2191 2193 2212";
const LATIN = "C0-D6 D8-F6 F8-FF 131 152-153";
const SIGNS = "A1-AC AE-B6 B8-BF F7 2BB-2BC 2C6 2DA 2DC 2032-2033 2039 201A 201E 2044 20AC 2122";
const EUROPEAN = "100-130 132-151 154-17F 218-21B";
const OTHERS = "180-217 21C-2BA 2BD-2C5 2C7-2D9 2DB 2DD-2FF 1D00-1DBF 1E00-1EFF 2020 20A0-20AB 20AD-20C0 2113 2C60-2C7F A720-A7FF";
const SHAPING = ["kern", "ccmp", "liga", "tnum", "mark", "mkmk", "locl"];

/** A face of the text: parts in the order [name, file of the package, characters]. */
function text(family, style, weight, axes, parts) {
  return parts.map(([name, file, characters]) => ({
    name, file, characters, family, style, weight,
    display: "optional", // never moves text that stands already; styles/fonts.css gives the stand-ins the same measures
    options: { keepFeatures: SHAPING, variationAxes: axes },
  }));
}

const inter = "@fontsource-variable/inter/files/inter-";
const serif = "@fontsource-variable/source-serif-4/files/source-serif-4-";
const mono = "@fontsource/ibm-plex-mono/files/ibm-plex-mono-";
const SANS_WEIGHTS = { wght: { min: 400, max: 700 } };
const SERIF_WEIGHTS = { wght: { min: 400, max: 600 } };
const TEXT_FACES = [
  ...text("Inter", "normal", "400 700", SANS_WEIGHTS, [
    ["inter", `${inter}latin-wght-normal.woff2`, TEXT],
    ["inter-latin", `${inter}latin-wght-normal.woff2`, LATIN],
    ["inter-signs", `${inter}latin-wght-normal.woff2`, SIGNS],
    ["inter-european", `${inter}latin-ext-wght-normal.woff2`, EUROPEAN],
    ["inter-others", `${inter}latin-ext-wght-normal.woff2`, OTHERS],
  ]),
  ...text("Inter", "italic", "400", { wght: 400 }, [
    ["inter-italic", `${inter}latin-wght-italic.woff2`, TEXT],
    ["inter-italic-latin", `${inter}latin-wght-italic.woff2`, LATIN],
    ["inter-italic-signs", `${inter}latin-wght-italic.woff2`, SIGNS],
  ]),
  ...text("Source Serif", "normal", "400 600", SERIF_WEIGHTS, [
    ["serif", `${serif}latin-wght-normal.woff2`, TEXT],
    ["serif-latin", `${serif}latin-wght-normal.woff2`, LATIN],
    ["serif-signs", `${serif}latin-wght-normal.woff2`, SIGNS],
    ["serif-european", `${serif}latin-ext-wght-normal.woff2`, EUROPEAN],
    ["serif-others", `${serif}latin-ext-wght-normal.woff2`, OTHERS],
  ]),
  ...text("Plex Mono", "normal", "400", undefined, [
    ["mono", `${mono}latin-400-normal.woff2`, TEXT],
    ["mono-latin", `${mono}latin-400-normal.woff2`, LATIN],
    ["mono-signs", `${mono}latin-400-normal.woff2`, SIGNS],
  ]),
];

// KaTeX's fonts in up to three: what most formulas need, what some do, and the rest. Those not named here stay whole.
const ASCII = "20-7E A0 200B";
const PARTS = {
  "KaTeX_Main-Regular": [
    `${ASCII} D7 393-394 398 39B 3A3 3A6 3A9 2C6 2C9 2DC 2026 2032 2113 2190 2192 2202 2207-2208 220F 2211-2212 2217 221A ` +
      "221E 2223 2225 223C 2248 2260 2264-2265 2297 2299 22A4-22A5 22C5 22EF 2308-230B E020",
    "AC B1 39E 3A0 3A8 2C7 2D9 20D7 2191 2193-2194 21A6 21D0 21D2 21D4 2200 2203 2205 2216 2218-2219 221D 2227-222B 2245 " +
      "2261 226A-226B 2282-2283 2286-2287 2295-2296 2298 22C6 27E8-27E9 27F6 27FA",
  ],
  "KaTeX_Main-Bold": [ASCII],
  "KaTeX_Main-Italic": [ASCII],
  "KaTeX_Math-Italic": [ASCII, "3B1-3B5 3B7-3B8 3BB-3BC 3C0-3C1 3C3-3C4 3C6 3C9 3D5 3F5"],
  "KaTeX_AMS-Regular": ["45 4E 52 5A", "20-44 46-4D 4F-51 53-59 A0"],
  "KaTeX_Caligraphic-Regular": ["44 48 4C 4E-4F 51"],
  "KaTeX_Typewriter-Regular": [ASCII],
};

/** The faces that katex.min.css names. A formula waits for its fonts: others would show wrong signs. */
function formulaFaces(css) {
  return [...css.matchAll(/@font-face\{([^}]*)\}/g)].flatMap(([, rule]) => {
    const value = (key) => rule.match(new RegExp(`${key}:\\s*"?([^;"]*)`))[1];
    const name = rule.match(/fonts\/([\w-]+)\.woff2/)[1];
    const face = {
      file: `katex/dist/fonts/${name}.woff2`, family: value("font-family"), style: value("font-style"),
      weight: value("font-weight"), display: "block", options: {},
    };
    const parts = PARTS[name];
    if (!parts) return [{ ...face, name, options: { keepAllGlyphs: true } }];
    const all = [...parts, complement(parts.join(" "))];
    return all.map((characters, i) => ({ ...face, name: i ? `${name}-${i + 1}` : name, characters }));
  });
}

/** [first, last] of each range of "20-7E A0". */
function ranges(characters) {
  return characters.split(" ").map((part) => part.split("-").map((code) => parseInt(code, 16))).map(([a, b = a]) => [a, b]);
}

/** All that KaTeX's fonts have (the basic plane) and `characters` does not name. */
function complement(characters) {
  const found = [];
  let next = 0x20;
  for (const [first, last] of ranges(characters).sort(([a], [b]) => a - b)) {
    if (first > next) found.push([next, first - 1]);
    next = last + 1;
  }
  return [...found, [next, 0xffff]].map(([a, b]) => `${a.toString(16)}-${b.toString(16)}`.toUpperCase()).join(" ");
}

function spelled(characters) {
  const surrogate = (code) => code >= 0xd800 && code <= 0xdfff;
  return ranges(characters)
    .map(([first, last]) => Array.from({ length: last - first + 1 }, (_, i) => first + i))
    .flat().filter((code) => !surrogate(code)).map((code) => String.fromCodePoint(code)).join("");
}

/**
 * Cuts all fonts, where that is not done yet, and gives the style sheet that names them.
 * Kept in node_modules by what they are made from, so that a change of a style does not cut them again.
 */
export async function fontStyles() {
  const katex = await readFile(join(MODULES, "katex/dist/katex.min.css"), "utf8");
  const faces = [...TEXT_FACES, ...formulaFaces(katex)];
  const made = createHash("sha256");
  for (const file of [import.meta.filename, join(here, "package-lock.json")]) made.update(await readFile(file));
  const folder = join(MODULES, ".zoo-fonts", made.digest("hex").slice(0, 16));
  if (!existsSync(folder)) {
    const beside = `${folder}.${process.pid}`;
    await mkdir(beside, { recursive: true });
    for (const { name, file, characters, options } of faces) {
      const whole = await readFile(join(MODULES, file));
      const cut = await subsetFont(whole, options.keepAllGlyphs ? undefined : spelled(characters), {
        targetFormat: "woff2", preserveNameIds: [0, 13, 14], noHinting: true, ...options,
      });
      await writeFile(join(beside, `${name}.woff2`), cut);
    }
    await rename(beside, folder).catch(async (error) => {
      await rm(beside, { recursive: true, force: true });
      if (!existsSync(folder)) throw error;
    });
  }
  return faces.map(({ name, family, style, weight, display, characters }) => {
    const range = characters ? `unicode-range:${characters.split(" ").map((part) => `U+${part}`).join(",")};` : "";
    return `@font-face{font-family:"${family}";font-style:${style};font-weight:${weight};font-display:${display};` +
      `src:url("${join(folder, name)}.woff2") format("woff2");${range}}`;
  }).join("\n");
}
