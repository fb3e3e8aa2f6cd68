// What our verifier makes of a vector of tests/vectors/verify: the layers of the text, and what is expected of it. The
// same in Node and in a browser.

import { type Bytes, hex, sha256 } from "../src/verify/bytes.ts";
import { decodeFirst, encode } from "../src/verify/cbor.ts";
import { claimsOf } from "../src/verify/claims.ts";
import { shape1 } from "../src/verify/cose.ts";
import { proofOf } from "../src/verify/holder.ts";
import { MemoryMarks } from "../src/verify/marks.ts";
import { Refused } from "../src/verify/refused.ts";
import { contentOf, MOST_INFLATED } from "../src/verify/text.ts";
import { rootOf } from "../src/verify/trust.ts";
import { Verifier } from "../src/verify/verify.ts";

export interface Vector {
  readonly name: string;
  readonly title: string;
  readonly now: number;
  readonly marks: Readonly<Record<string, number>>;
  readonly root: string; // base64, as all files here
  readonly root_fingerprint: string;
  readonly trust: string | null;
  readonly lists: Readonly<Record<string, string>>; // by URI
  readonly text: string;
  readonly layers: unknown;
  readonly expected: unknown;
}

export interface Observed {
  readonly root_fingerprint: string;
  readonly layers: unknown;
  readonly expected: unknown;
}

export const fromBase64 = (text: string): Bytes => Uint8Array.from(atob(text), (character) => character.charCodeAt(0));

/** Whether `work` was done; false when it was refused. */
async function taken(work: () => unknown): Promise<boolean> {
  try {
    await work();
    return true;
  } catch (problem) {
    if (problem instanceof Refused) return false;
    throw problem;
  }
}

/** A verifier that holds what the vector says; and what of it was taken. */
export async function held(vector: Vector): Promise<{ verifier: Verifier; marks: MemoryMarks; taken: unknown }> {
  const root = await rootOf(fromBase64(vector.root));
  const marks = new MemoryMarks(Object.entries(vector.marks));
  const verifier = new Verifier(root, marks);
  const said = (yes: boolean): string => (yes ? "taken" : "refused");
  const { trust } = vector;
  const trusted = trust === null ? null : said(await taken(() => verifier.takeTrust(fromBase64(trust))));
  const lists: Record<string, string> = {};
  for (const [uri, content] of Object.entries(vector.lists).sort(([a], [b]) => (a < b ? -1 : 1))) {
    lists[uri] = said(await taken(() => verifier.takeList(uri, fromBase64(content))));
  }
  return { verifier, marks, taken: { trust: trusted, lists } };
}

export async function replay(vector: Vector): Promise<Observed> {
  const { verifier, marks, taken: took } = await held(vector);
  const found = await verifier.verify(vector.text, vector.now);
  const seen = "colour" in found ? found : undefined;
  return {
    root_fingerprint: (await rootOf(fromBase64(vector.root))).fingerprint,
    layers: await layers(vector.text),
    expected: {
      taken: took,
      outcome: found.outcome,
      step: "step" in found ? found.step : null,
      reason: "reason" in found ? found.reason : null,
      colour: seen?.colour ?? null,
      mask: seen?.mask ?? null,
      kind: seen?.kind ?? null,
      issuer: seen?.issuer ?? null,
      valid_until: seen?.validUntil ?? null,
      lists_age: seen?.listsAge ?? null,
      stale_since: seen?.staleSince ?? null,
      marks: Object.fromEntries(marks.entries()),
    },
  };
}

/** Every layer of the text, as far as it can be taken apart; nothing of it is verified. */
async function layers(text: string): Promise<Record<string, unknown>> {
  const names = ["content", "sign1", "proof", "protected", "key_id", "payload", "signature", "signed", "claims", "step"];
  const found: Record<string, unknown> = Object.fromEntries(names.map((name) => [name, null]));
  let payload: Bytes = new Uint8Array(0);
  await taken(async () => {
    const content = contentOf(text);
    found["content"] = hex(content);
    const [item, end] = decodeFirst(content, MOST_INFLATED);
    const opened = shape1(item);
    const [cose, proof] = [content.subarray(0, end), content.subarray(end)];
    payload = opened.payload;
    found["sign1"] = hex(cose);
    found["proof"] = hex(proof) || null;
    found["protected"] = hex(opened.protectedBytes);
    found["key_id"] = hex(opened.keyId);
    found["payload"] = hex(payload);
    found["signature"] = hex(opened.signature);
    found["signed"] = hex(encode(["Signature1", opened.protectedBytes, new Uint8Array(0), payload]));
    if (proof.length === 0) return;
    const { step, signature } = proofOf(proof);
    const signed = hex(encode(["KM1 holder", step, await sha256(cose)]));
    found["step"] = { step, signature: hex(signature), signed };
  });
  await taken(() => {
    const { issuer, issued, expires, uri, index, kind, mask, holder } = claimsOf(payload);
    const point = holder === undefined ? null : (holder.odd ? "03" : "02") + hex(holder.x);
    found["claims"] = { issuer, issued, expires, uri, index, kind, mask, holder: point };
  });
  return found;
}

export async function replayAll(vectors: readonly Vector[]): Promise<Observed[]> {
  const all: Observed[] = [];
  for (const vector of vectors) all.push(await replay(vector));
  return all;
}

