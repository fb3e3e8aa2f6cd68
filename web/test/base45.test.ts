import assert from "node:assert/strict";
import { test } from "node:test";
import { decode, encode } from "../src/verify/base45.ts";
import { utf8 } from "../src/verify/bytes.ts";
import { chance, refuses } from "./made_up.ts";

test("the examples of RFC 9285 are written and read", () => {
  for (const [plain, text] of [
    ["AB", "BB8"],
    ["Hello!!", "%69 VD92EX0"],
    ["base-45", "UJCLQE7W581"],
    ["ietf!", "QED8WEX0"],
    ["", ""],
  ] as const) {
    assert.equal(encode(utf8(plain)), text);
    assert.deepEqual(decode(text), utf8(plain));
  }
});

test("whatever was written is read back", () => {
  const dice = chance(1);
  for (let n = 0; n < 2_000; n++) {
    const bytes = dice.bytes(dice.below(40));
    assert.deepEqual(decode(encode(bytes)), bytes);
  }
});

test("no text is read that nobody wrote", () => {
  // Too large for two bytes, for one; a lone character; a small letter; a character of another script.
  for (const text of ["GGW", ":::", "V5", "A", "BB8A", "bb8", "BB８", "B\u0000", "ÄB8"]) refuses(() => decode(text));
});
