// Builds everything into dist/: the verifying page as one file that carries its script, its style and a policy that forbids it
// the network, the pages that the gateway serves, and the tests for Node and for a browser.

import { createHash } from "node:crypto";
import { mkdir, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { build } from "esbuild";

const here = new URL(".", import.meta.url);
const at = (path) => new URL(path, here).pathname;
const common = { bundle: true, charset: "utf8", legalComments: "none", logLevel: "warning", absWorkingDir: at(".") };
// Browsers of autumn 2020 and newer: BigInt, WebCrypto and replaceChildren are all that is asked for.
const browser = { ...common, platform: "browser", format: "iife", target: ["es2020", "chrome86", "safari14.1"] };

await rm(at("dist"), { recursive: true, force: true });
await mkdir(at("dist/test"), { recursive: true });

async function inline(options) {
  const made = await build({ ...browser, ...options, minify: true, write: false });
  return made.outputFiles[0].text.trim().replaceAll("</", "<\\/");
}
const digest = (text) => `'sha256-${createHash("sha256").update(text).digest("base64")}'`;

const verifying = await inline({ entryPoints: ["src/page/main.ts"] });
const style = await inline({ entryPoints: ["src/page/page.css"] });
const policy = `default-src 'none'; script-src ${digest(verifying)}; style-src ${digest(style)}; base-uri 'none'; form-action 'none'`;
const one = (await readFile(at("verify.html"), "utf8"))
  .replace("<!-- policy -->", () => `<meta http-equiv="Content-Security-Policy" content="${policy}">`)
  .replace("<!-- style -->", () => `<style>${style}</style>`)
  .replace("<!-- script -->", () => `<script>${verifying}</script>`);
await writeFile(at("dist/verify.html"), one);

// The pages that the gateway serves, and the worker that keeps them on the device: index.html is /, scan.html is /scan, every
// other file has its own name at the root. They are part of the Python package as the register's script is. Script and style
// are named by their content, so that a browser may keep them for ever and a policy need not know them.
await mkdir(at("dist/pages"), { recursive: true });
const kept = [];
for (const [path, name] of Object.entries({ "/": "resident", "/scan": "scan", "/open": "open", "/venue": "venue" })) {
  const named = async (kind, entry, define = {}, as = name) => {
    const text = `${await inline({ entryPoints: [entry], define })}\n`;
    const file = `${as}-${createHash("sha256").update(text).digest("hex").slice(0, 12)}.${kind}`;
    await writeFile(at(`dist/pages/${file}`), text);
    if (!kept.includes(`/${file}`)) kept.push(`/${file}`);
    return `/${file}`;
  };
  // What a page has worked out beside itself: numbers that the door asks for, and pictures of its camera.
  const beside = { resident: { WORKER: "src/resident/worker.ts", READER: "src/scan/worker.ts" }, scan: { READER: "src/scan/worker.ts" } }[name] ?? {};
  const define = {};
  for (const [as, entry] of Object.entries(beside)) define[as] = JSON.stringify(await named("js", entry, {}, as.toLowerCase()));
  const [script, sheet] = [await named("js", `src/${name}/main.ts`, define), await named("css", `src/${name}/${name}.css`)];
  const frame = (await readFile(at(`${name}.html`), "utf8"))
    .replace("<!-- style -->", `<link rel="stylesheet" href="${sheet}">`)
    .replace("<!-- script -->", `<script src="${script}" defer></script>`);
  await writeFile(at(`dist/pages/${path === "/" ? "index" : name}.html`), frame);
  kept.push(path);
}
// What a person is told at an address that is none: no script, and nothing to keep.
const sheet = `${await inline({ entryPoints: ["src/missing/missing.css"] })}\n`;
const sheetName = `missing-${createHash("sha256").update(sheet).digest("hex").slice(0, 12)}.css`;
await writeFile(at(`dist/pages/${sheetName}`), sheet);
const missing = (await readFile(at("missing.html"), "utf8")).replace("<!-- style -->", () => `<link rel="stylesheet" href="/${sheetName}">`);
await writeFile(at("dist/pages/missing.html"), missing);
for (const file of await readdir(at("public"))) {
  await writeFile(at(`dist/pages/${file}`), await readFile(at(`public/${file}`)));
  kept.push(`/${file}`);
}
const all = createHash("sha256");
for (const file of (await readdir(at("dist/pages"))).sort()) all.update(file).update(await readFile(at(`dist/pages/${file}`)));
const define = { VERSION: JSON.stringify(all.digest("hex").slice(0, 16)), PAGES: JSON.stringify(kept.sort()) };
await writeFile(at("dist/pages/sw.js"), `${await inline({ entryPoints: ["src/look/sw.ts"], define })}\n`);

// The register's own script is part of the Python package, so that who installs that needs no Node: it is committed, and a
// test holds it against what is built here.
await writeFile(at("dist/members.js"), `${await inline({ entryPoints: ["src/register/members.ts"] })}\n`);

await build({ ...browser, entryPoints: ["test/browser.ts"], outfile: "dist/test/browser.js" });
await writeFile(at("dist/test/index.html"), `<!doctype html><meta charset="utf-8"><script src="browser.js"></script>`);

const tests = (await readdir(at("test"))).filter((name) => name.endsWith(".test.ts"));
await build({
  ...common,
  platform: "node",
  format: "esm",
  target: "node20",
  entryPoints: [...tests, "replay_all.ts", "qr_all.ts", "dark_all.ts"].map((name) => `test/${name}`),
  outdir: "dist/test",
  outExtension: { ".js": ".mjs" },
});
