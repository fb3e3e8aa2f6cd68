import assert from "node:assert/strict";
import { test } from "node:test";
import { sha256, utf8 } from "../src/verify/bytes.ts";
import { ageOf, holds, newHolder, proofOf, proven } from "../src/verify/holder.ts";
import { contentOf, textOf } from "../src/verify/text.ts";
import { chance, refuses } from "./made_up.ts";

const NOW = 1_651_106_467;

async function pointOf(pair: CryptoKeyPair): Promise<Uint8Array<ArrayBuffer>> {
  return new Uint8Array(await crypto.subtle.exportKey("raw", pair.publicKey));
}

test("a phone proves that it holds the credential, and nobody else's phone does", async () => {
  const [mine, other] = [await newHolder(), await newHolder()];
  const credential = utf8("any bytes stand for a credential here");
  const shown = await proven(credential, mine.privateKey, NOW);
  const proof = proofOf(shown.subarray(credential.length));
  assert.ok(await holds(proof, await pointOf(mine), credential));
  assert.ok(!(await holds(proof, await pointOf(other), credential)));
  assert.ok(!(await holds({ ...proof, step: proof.step + 1 }, await pointOf(mine), credential)));
  assert.ok(!(await holds(proof, await pointOf(mine), await sha256(credential))));
});

test("the private key stays where it is", async () => {
  const { privateKey } = await newHolder();
  assert.equal(privateKey.extractable, false);
  await assert.rejects(crypto.subtle.exportKey("jwk", privateKey));
});

test("a picture of a code dies within a minute", () => {
  const proof = { step: 55_036_882, signature: new Uint8Array(64) };
  const begun = 30 * proof.step;
  const ages = [-31, -30, 0, 59, 60].map((seconds) => ageOf(proof, begun + seconds));
  assert.deepEqual(ages, ["ahead", "now", "now", "now", "old"]);
});

test("a proof has one length and one form", async () => {
  const { privateKey } = await newHolder();
  const proof = await proven(new Uint8Array(0), privateKey, NOW);
  assert.equal(proof.length, 72);
  refuses(() => proofOf(proof.subarray(0, 71)));
  refuses(() => proofOf(Uint8Array.from([...proof, 0])));
  refuses(() => proofOf(new Uint8Array(0)));
});

test("what a phone writes into a code is read from it", () => {
  const dice = chance(6);
  for (let length = 0; length < 300; length++) {
    const content = dice.bytes(length);
    assert.deepEqual(contentOf(textOf(content)), content);
  }
});
