// What the verifier never does. The types say most of it (src/verify/platform.d.ts); this says the rest.

import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { test } from "node:test";
import { fileURLToPath } from "node:url";

const FOLDER = fileURLToPath(new URL("../../src/verify/", import.meta.url));
const FILES = readdirSync(FOLDER).filter((name) => name.endsWith(".ts") && name !== "platform.d.ts");
const textOf = (name: string): string => readFileSync(FOLDER + name, "utf8").replace(/\/\/.*|\/\*[^]*?\*\//g, "");

test("the verifier has no clock, no chance, no network and no store of its own", () => {
  assert.ok(FILES.length > 15);
  const forbidden = /\b(Date|Intl|fetch|XMLHttpRequest|WebSocket|EventSource|navigator|localStorage|indexedDB|document|window|globalThis|setTimeout|eval|console|getRandomValues)\b|Math\.random|\bimport\(|\bnew Function\b|\bas any\b|@ts-/;
  for (const name of FILES) assert.doesNotMatch(textOf(name), forbidden, name);
});

test("the verifier imports nothing but itself", () => {
  for (const name of FILES) {
    for (const [, from] of textOf(name).matchAll(/from "([^"]+)"/g)) assert.match(from ?? "", /^\.\/\w+\.ts$/, name);
  }
});

test("parsers throw Refused and nothing else", () => {
  for (const name of FILES) assert.doesNotMatch(textOf(name), /throw new (?!Refused\b)\w+/, name);
});

test("a Verified is sealed in one place, and a StatusList and a TrustList where their signatures are checked", () => {
  const using = (word: RegExp): string[] => FILES.filter((name) => word.test(textOf(name)));
  assert.deepEqual(using(/\bseal\b/), ["outcome.ts", "verify.ts"]);
  assert.deepEqual(using(/\bprovenList\b/), ["delta.ts", "status.ts"]);
  assert.deepEqual(using(/\bas (Verified|StatusList|TrustList)\b/), ["outcome.ts", "status.ts", "trust.ts"]);
});
