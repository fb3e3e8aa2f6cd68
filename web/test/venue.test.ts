import assert from "node:assert/strict";
import { test } from "node:test";
import { codeAt, isNumber, keyOf, scanOf, textOf, tokenAt } from "../src/venue/code.ts";
import { venueVectors } from "./vectors.ts";

interface Vectors {
  readonly base: string;
  readonly codes: readonly { readonly key: string; readonly minute: number; readonly code: string; readonly venue?: string; readonly key_text?: string; readonly text?: string; readonly token?: string }[];
  readonly refused: readonly { readonly why: string; readonly text: string; readonly elsewhere?: boolean }[];
}
const [said] = venueVectors() as [Vectors];

test("a door's codes, texts and tokens are those of the vectors", async () => {
  for (const one of said.codes) {
    const raw = Uint8Array.from(one.key.match(/../g) as string[], (pair) => parseInt(pair, 16));
    const key = await crypto.subtle.importKey("raw", raw, { name: "HMAC", hash: "SHA-256" }, false, ["sign"]);
    assert.equal(await codeAt(key, one.minute), one.code);
    if (one.venue === undefined) continue;
    const held = await keyOf(one.key_text as string);
    assert.ok(held !== undefined && isNumber(one.venue));
    assert.equal(held.venue, one.venue);
    assert.equal(held.key.extractable, false);
    assert.equal(await tokenAt(held, one.minute), one.token);
    const scan = { venue: one.venue, minute: one.minute, code: one.code };
    assert.equal(textOf(said.base, scan), one.text);
    assert.deepEqual(scanOf(one.text as string, said.base), scan);
  }
});

test("what no door shows is not read, and a door of another city is told apart", () => {
  for (const { text, elsewhere } of said.refused) assert.equal(scanOf(text, said.base), elsewhere === true ? "elsewhere" : undefined);
});
