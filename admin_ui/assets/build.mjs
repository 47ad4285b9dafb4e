// Builds what the console's pages load: css/ and ts/ and what npm packages bring -> built/.
//
//   built/console-1f2e3d4c.css (.br, .gz)   every name carries the hash of its content: cached for ever
//   built/manifest.json                     {"console.css": "console-1f2e3d4c.css"}
//   built/icons.json                        {"globe": "<circle .../>"}: drawn into the pages by the server
//   built/LICENSES.txt                      of what is shipped
//
// Nothing is fetched here: `npm ci` has brought the packages of package-lock.json. A name that a package
// does not have, or CSS or TypeScript that is wrong, ends the build with the reason. build.py starts it.

import { createHash } from "node:crypto";
import { mkdir, readdir, readFile, rename, rm, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { brotliCompressSync, constants, gzipSync } from "node:zlib";
import { build } from "esbuild";
import subsetFont from "subset-font";

const HERE = dirname(fileURLToPath(import.meta.url));
const BUILT = join(HERE, "built");
const NEW = join(HERE, `.building-${process.pid}`); // takes the place of built/ when all is well
const TARGET = ["chrome109", "firefox115", "safari16.4"];

const LATIN = [[0x20, 0x7e], [0xa0, 0xff], 0x131, [0x152, 0x153], 0x2c6, 0x2da, 0x2dc, [0x2010, 0x2027],
  [0x2030, 0x203a], 0x2044, 0x20ac, 0x2122, [0x2190, 0x2193], 0x2212, 0x2215, 0x2260, [0x2264, 0x2265]];
const LATIN_EXTENDED = [[0x100, 0x130], [0x132, 0x151], [0x154, 0x17f], [0x218, 0x21b], 0x1e9e];

// Ligatures are left out: what is shown is what is copied. The shipped Inter is upright, 400 to 600.
const FONTS = [
  {
    family: "Inter",
    package: "@fontsource-variable/inter",
    file: "inter",
    weights: { min: 400, max: 600 },
    features: ["ccmp", "locl", "mark", "mkmk", "kern", "tnum", "case"],
    // What machines have, stretched to Inter's metrics: text keeps its lines and its place when Inter arrives.
    fallbacks: [
      { name: "Inter Fallback", local: ["Arial", "Liberation Sans", "Arimo", "Helvetica"], adjust: 1.0712 },
      { name: "Inter Fallback Roboto", local: ["Roboto"], adjust: 1.063 },
      { name: "Inter Fallback DejaVu", local: ["DejaVu Sans"], adjust: 0.9347 },
    ],
    metrics: { ascent: 1984, descent: 494, unit: 2048 },
  },
  {
    family: "JetBrains Mono",
    package: "@fontsource-variable/jetbrains-mono",
    file: "jetbrains-mono",
    weights: { min: 400, max: 600 },
    features: ["ccmp", "locl", "mark", "mkmk", "zero"],
    fallbacks: [
      { name: "JetBrains Mono Fallback", local: ["Courier New", "Liberation Mono", "Cousine"], adjust: 0.9998 },
      { name: "JetBrains Mono Fallback DejaVu", local: ["DejaVu Sans Mono"], adjust: 0.9966 },
    ],
    metrics: { ascent: 1020, descent: 300, unit: 1000 },
  },
];

const LICENSES = ["htmx.org", "lucide-static", "@fontsource-variable/inter", "@fontsource-variable/jetbrains-mono"];

const manifest = {};

function codes(ranges) {
  return ranges.flatMap((one) => {
    const [from, to] = Array.isArray(one) ? one : [one, one];
    return Array.from({ length: to - from + 1 }, (_, at) => from + at);
  });
}

function unicodeRange(ranges) {
  const hex = (code) => code.toString(16).toUpperCase();
  return ranges.map((one) => (Array.isArray(one) ? `U+${hex(one[0])}-${hex(one[1])}` : `U+${hex(one)}`)).join(",");
}

/** Under the hash of its content, and compressed beside it where that makes it smaller. */
async function put(name, content) {
  const bytes = Buffer.from(content);
  const hash = createHash("sha256").update(bytes).digest("hex").slice(0, 10);
  const dot = name.lastIndexOf(".");
  const hashed = `${name.slice(0, dot)}-${hash}${name.slice(dot)}`;
  await writeFile(join(NEW, hashed), bytes);
  if (!name.endsWith(".woff2")) await putCompressed(hashed, bytes);
  manifest[name] = hashed;
  return hashed;
}

async function putCompressed(hashed, bytes) {
  const params = { [constants.BROTLI_PARAM_QUALITY]: 11, [constants.BROTLI_PARAM_SIZE_HINT]: bytes.length };
  await writeFile(join(NEW, `${hashed}.br`), brotliCompressSync(bytes, { params }));
  await writeFile(join(NEW, `${hashed}.gz`), gzipSync(bytes, { level: 9 }));
}

async function subset(font, part, ranges) {
  const source = join(HERE, "node_modules", font.package, "files", `${font.file}-${part}-wght-normal.woff2`);
  const text = String.fromCodePoint(...codes(ranges));
  const bytes = await subsetFont(await readFile(source), text, {
    targetFormat: "woff2",
    variationAxes: { wght: font.weights },
    keepFeatures: font.features,
    noHinting: true,
  });
  return put(`${font.file}-${part}.woff2`, bytes);
}

function face(font, url, ranges) {
  const { min, max } = font.weights;
  return `@font-face{font-family:"${font.family}";font-style:normal;font-weight:${min} ${max};font-display:swap;` +
    `src:url("${url}") format("woff2");unicode-range:${unicodeRange(ranges)}}\n`;
}

function fallbackFace({ ascent, descent, unit }, { name, local: names, adjust }) {
  const percent = (share) => `${(share * 100).toFixed(2)}%`;
  const local = names.map((one) => `local("${one}")`).join(",");
  return `@font-face{font-family:"${name}";src:${local};size-adjust:${percent(adjust)};` +
    `ascent-override:${percent(ascent / unit / adjust)};descent-override:${percent(descent / unit / adjust)};` +
    `line-gap-override:0%}\n`;
}

async function fonts() {
  let css = "";
  for (const font of FONTS) {
    css += face(font, await subset(font, "latin", LATIN), LATIN);
    css += face(font, await subset(font, "latin-ext", LATIN_EXTENDED), LATIN_EXTENDED);
    for (const one of font.fallbacks) css += fallbackFace(font.metrics, one);
  }
  return css;
}

/** From what all is made of to what is whole; what is not named here comes after that, by name. */
const ORDER = ["tokens.css", "base.css", "atoms.css", "molecules.css", "organisms.css", "shell.css"];

async function sheets() {
  const found = (await readdir(join(HERE, "css"))).filter((name) => name.endsWith(".css"));
  const names = [...ORDER.filter((name) => found.includes(name)), ...found.filter((name) => !ORDER.includes(name)).sort()];
  return names.map((name) => `@import "./css/${name}";\n`).join("");
}

async function bundle(options) {
  const made = await build({
    bundle: true, minify: true, write: false, target: TARGET, legalComments: "none", logLevel: "warning",
    absWorkingDir: HERE, ...options,
  });
  return made.outputFiles[0].contents;
}

async function styles() {
  const own = await bundle({ stdin: { contents: await sheets(), resolveDir: HERE, loader: "css" } });
  await put("console.css", (await fonts()) + Buffer.from(own).toString());
}

async function scripts() {
  await put("console.js", await bundle({ entryPoints: ["ts/console.ts"], format: "iife" }));
}

/** The drawing within an icon's <svg>; the box around it is the template's. */
async function icon(name) {
  const file = join(HERE, "node_modules", "lucide-static", "icons", `${name}.svg`);
  const svg = await readFile(file, "utf8").catch(() => {
    throw new Error(`icons.txt: lucide-static has no icon "${name}"`);
  });
  return /<svg[^>]*>([\s\S]*)<\/svg>/.exec(svg)[1].replace(/\s*\n\s*/g, "").replaceAll(" />", "/>");
}

async function icons() {
  const lines = (await readFile(join(HERE, "icons.txt"), "utf8")).split("\n");
  const names = lines.map((line) => line.trim()).filter((line) => line && !line.startsWith("#"));
  const drawn = {};
  for (const name of names) drawn[name] = await icon(name);
  await writeFile(join(NEW, "icons.json"), JSON.stringify(drawn));
}

async function licenses() {
  let text = "Parts of others in the console's assets, under their licences.\n";
  for (const name of LICENSES) {
    text += `\n${"=".repeat(20)} ${name}\n\n${await readFile(join(HERE, "node_modules", name, "LICENSE"), "utf8")}`;
  }
  await writeFile(join(NEW, "LICENSES.txt"), text);
}

try {
  await mkdir(NEW);
  await Promise.all([styles(), scripts(), icons(), licenses()]);
  await writeFile(join(NEW, "manifest.json"), JSON.stringify(manifest, Object.keys(manifest).sort(), 1));
  await rm(BUILT, { recursive: true, force: true });
  await rename(NEW, BUILT);
} finally {
  await rm(NEW, { recursive: true, force: true });
}
