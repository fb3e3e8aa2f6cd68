// The holder's proof: the phone signs the 30-second step that it is in, so that a copied picture dies within a minute.

import { type Bytes, joined, sha256 } from "./bytes.ts";
import { arrayOf, bytesOf, decode, encode, uintOf, unexpected } from "./cbor.ts";
import { ES256, verifies } from "./cose.ts";

export const STEP = 30; // seconds
const LENGTH = 72; // bytes: array of two, four-byte step, 64-byte signature
const AHEAD = 30; // seconds that the phone's clock may be ahead of the verifier's
const OLD = 60; // seconds after which a proof is a copy

export interface Proof {
  readonly step: number; // floor(unix time / 30)
  readonly signature: Bytes;
}

/** The proof that these bytes are. Throws Refused (bad_message): it has one length and no other form, for its step has
 * four bytes from January 1970 to the year 6053. */
export function proofOf(bytes: Bytes): Proof {
  const [step, signature] = arrayOf(decode(bytes, LENGTH), 2, 2);
  if (bytes.length !== LENGTH) throw unexpected();
  return { step: uintOf(step), signature: bytesOf(signature, 64) };
}

export type Age = "now" | "old" | "ahead";

/** Where the proof's step lies for a verifier whose clock says `now`. */
export function ageOf(proof: Proof, now: number): Age {
  const age = now - STEP * proof.step;
  return age < -AHEAD ? "ahead" : age < OLD ? "now" : "old";
}

/** Whether the holder of `point` (65 bytes) made it for the credential of which `cose` are the bytes. */
export async function holds(proof: Proof, point: Bytes, cose: Bytes): Promise<boolean> {
  return verifies({ algorithm: ES256, raw: point }, proof.signature, await signedPart(proof.step, cose));
}

async function signedPart(step: number, cose: Bytes): Promise<Bytes> {
  return encode(["KM1 holder", step, await sha256(cose)]);
}

// The phone's side.

/** A key whose private half never leaves the browser's own store. */
export async function newHolder(): Promise<CryptoKeyPair> {
  return crypto.subtle.generateKey({ name: "ECDSA", namedCurve: "P-256" }, false, ["sign", "verify"]);
}

/** The credential's bytes with a fresh proof behind them: what `textOf` puts into the QR. */
export async function proven(cose: Bytes, holder: CryptoKey, now: number): Promise<Bytes> {
  const step = Math.floor(now / STEP);
  const part = await signedPart(step, cose);
  const signature = await crypto.subtle.sign({ name: "ECDSA", hash: "SHA-256" }, holder, part);
  return joined(cose, encode([step, new Uint8Array(signature)]));
}
