// Builds everything into dist/: the page as one file that carries its script, its style and a policy that forbids it the
// network, and the tests for Node and for a browser.

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

const script = await inline({ entryPoints: ["src/page/main.ts"] });
const style = (await inline({ entryPoints: ["src/page/page.css"] }));
const policy = `default-src 'none'; script-src ${digest(script)}; style-src ${digest(style)}; base-uri 'none'; form-action 'none'`;
const page = (await readFile(at("verify.html"), "utf8"))
  .replace("<!-- policy -->", () => `<meta http-equiv="Content-Security-Policy" content="${policy}">`)
  .replace("<!-- style -->", () => `<style>${style}</style>`)
  .replace("<!-- script -->", () => `<script>${script}</script>`);
await writeFile(at("dist/verify.html"), page);

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
  entryPoints: [...tests, "replay_all.ts", "qr_all.ts"].map((name) => `test/${name}`),
  outdir: "dist/test",
  outExtension: { ".js": ".mjs" },
});
