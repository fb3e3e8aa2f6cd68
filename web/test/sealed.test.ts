// Sealed slots: the vectors, and HPKE's own.

import assert from "node:assert/strict";
import { test } from "node:test";
import { newReader, opened } from "../src/sealed/hpke.ts";
import { answerIn, slotIn, slotKey, told } from "../src/sealed/slot.ts";
import type { Bytes } from "../src/verify/bytes.ts";
import { Refused } from "../src/verify/refused.ts";
import { openTrust, rootOf, verifyTrust } from "../src/verify/trust.ts";
import { sealedVectors } from "./vectors.ts";

interface Message {
  readonly info: string;
  readonly aad: string;
  readonly private: string;
  readonly public: string;
  readonly plain: string;
  readonly message: string;
}
interface Changed {
  readonly why?: string;
  readonly path?: string;
  readonly place?: number;
  readonly key?: string;
  readonly change?: number;
  readonly head?: string;
  readonly cut?: number;
  readonly now?: number;
}
interface Bucket {
  readonly base: string;
  readonly now: number;
  readonly root: string;
  readonly trust: string;
  readonly phone: { readonly private: string; readonly public: string };
  readonly told: string;
  readonly bucket: string;
  readonly shows: readonly { readonly path: string; readonly place: number; readonly key: string; readonly answer: string }[];
  readonly refused: readonly Changed[];
}
const [one, { messages }] = sealedVectors() as [Bucket, { readonly messages: readonly Message[] }];

const raw = (text: string): Bytes => Uint8Array.from(text.match(/../g) ?? [], (pair) => parseInt(pair, 16));
const base64url = (bytes: Uint8Array): string => Buffer.from(bytes).toString("base64url");

/** Keys as a phone holds them: the private half cannot be taken out. */
async function keysOf(secret: string, open: string): Promise<CryptoKeyPair> {
  const point = raw(open);
  const at = { name: "ECDH", namedCurve: "P-256" };
  const jwk = { kty: "EC", crv: "P-256", d: base64url(raw(secret)), x: base64url(point.subarray(1, 33)), y: base64url(point.subarray(33)) };
  return {
    privateKey: await crypto.subtle.importKey("jwk", jwk, at, false, ["deriveBits"]),
    publicKey: await crypto.subtle.importKey("raw", point, at, true, []),
  };
}

test("HPKE opens what the RFC sealed", async () => {
  for (const { info, aad, plain, message, ...keys } of messages) {
    const pair = await keysOf(keys.private, keys.public);
    assert.deepEqual(await opened(pair, raw(message), raw(info), raw(aad)), raw(plain));
    const wrong = raw(message);
    wrong[80] = (wrong[80] as number) ^ 1;
    for (const [other, what] of [[pair, wrong], [await newReader(), raw(message)], [pair, raw(message).subarray(0, 70)]] as const) {
      await assert.rejects(opened(other, what as Bytes, raw(info), raw(aad)), Refused);
    }
  }
});

test("a reader's key cannot be taken out", async () => {
  const { privateKey } = await newReader();
  assert.equal(privateKey.extractable, false);
  await assert.rejects(crypto.subtle.exportKey("pkcs8", privateKey));
  assert.equal((await slotKey(new Uint8Array(16))).extractable, false);
});

test("a phone is told its place, and no other phone is", async () => {
  const [mine] = await told(raw(one.told), await keysOf(one.phone.private, one.phone.public), one.base);
  assert.ok(mine !== undefined && mine.begins <= one.now && one.now < mine.ends);
  assert.deepEqual([mine.path, mine.place, mine.key.extractable], [one.shows[0]?.path, one.shows[0]?.place, false]);
  await assert.rejects(told(raw(one.told), await newReader(), one.base), Refused);
  await assert.rejects(told(raw(one.told), await keysOf(one.phone.private, one.phone.public), "https://other.example"), Refused);
});

async function read(changed: Changed): Promise<string> {
  const { path, place, key, change, head, cut, now } = { ...one.shows[0], now: one.now, ...changed };
  const content = Uint8Array.from(Buffer.from(one.bucket, "base64"));
  if (change !== undefined) content[change] = (content[change] as number) ^ 1;
  if (head !== undefined) content.set(Buffer.from(head, "base64"));
  const trust = await verifyTrust(openTrust(raw(one.trust)), await rootOf(raw(one.root)));
  const slot = await slotIn(content.slice(0, content.length - (cut ?? 0)), { path: path as string, place: place as number }, trust, now);
  return new TextDecoder().decode(await answerIn(slot, await slotKey(raw(key as string))));
}

test("what was sealed is shown, and nothing else", async () => {
  for (const shown of one.shows) assert.equal(await read(shown), shown.answer);
  for (const { why, ...changed } of one.refused) await assert.rejects(read(changed), Refused, why);
});
