// COSE messages (RFC 9052) in the one shape that Kangma writes: tagged, deterministic CBOR, key id protected, nothing
// unprotected. The algorithm comes from the key that the id names, never from the message.

import { type Bytes, hex } from "./bytes.ts";
import { arrayOf, bytesOf, type Cbor, type CborMap, decode, encode, mapOf, Tag, unexpected } from "./cbor.ts";
import { Refused } from "./refused.ts";

export const ES256 = -7; // ECDSA on P-256 with SHA-256; a signature is r ‖ s, 64 bytes
export const EDDSA = -8; // Ed25519
export const KEY_ID = 8; // bytes: the environment's letter, then the first seven of SHA-256 over the raw key

const SIGN1 = 18; // CBOR tags
const SIGN = 98;
const ALG = 1; // header parameters: RFC 9052 and RFC 9596
const KID = 4;
export const TYP = 16;
const MOST_HEADERS = 256; // bytes
const MAX_SIGNERS = 8;

/** `raw`: the uncompressed point of SEC 1 (65 bytes) for ES256, 32 bytes for Ed25519. */
export interface PublicKey {
  readonly algorithm: number;
  readonly raw: Bytes;
}

/** A COSE_Sign1 taken apart. Nothing in it is believed before `signedBy` said yes. */
export interface Opened {
  readonly keyId: Bytes;
  readonly headers: CborMap; // protected
  readonly payload: Bytes;
  readonly protectedBytes: Bytes;
  readonly signature: Bytes;
}

/** A COSE_Sign taken apart: one payload, signed by several. Not verified. */
export interface OpenedMany {
  readonly headers: CborMap; // protected, of the body
  readonly payload: Bytes;
  readonly protectedBytes: Bytes;
  readonly signatures: readonly Omit<Opened, "payload">[];
}

/** Throws Refused: as `decode`, and bad_message for any other shape. */
export function open1(content: Bytes, most: number): Opened {
  return shape1(decode(content, most));
}

/** The same of an item already decoded. */
export function shape1(item: Cbor): Opened {
  if (!(item instanceof Tag) || item.tag !== SIGN1) throw unexpected();
  const [protectedBytes, unprotected, payload, signature] = arrayOf(item.value, 4, 4);
  mapOf(unprotected, []);
  return { payload: bytesOf(payload), ...signed(protectedBytes, signature) };
}

/** At most MAX_SIGNERS signatures, one a key, in the order of key ids. Throws Refused as `open1`. */
export function openMany(content: Bytes, most: number): OpenedMany {
  const item = decode(content, most);
  if (!(item instanceof Tag) || item.tag !== SIGN) throw unexpected();
  const [protectedBytes, unprotected, payload, several] = arrayOf(item.value, 4, 4);
  mapOf(unprotected, []);
  const signatures = arrayOf(several, 1, MAX_SIGNERS).map((one) => {
    const [headers, nothing, signature] = arrayOf(one, 3, 3);
    mapOf(nothing, []);
    const made = signed(headers, signature);
    onlyHeaders(made.headers);
    return made;
  });
  const ids = signatures.map((one) => hex(one.keyId));
  if (ids.some((id, at) => at > 0 && id <= (ids[at - 1] ?? ""))) throw unexpected();
  return {
    headers: headersOf(protectedBytes),
    payload: bytesOf(payload),
    protectedBytes: bytesOf(protectedBytes),
    signatures,
  };
}

function signed(protectedBytes: Cbor | undefined, signature: Cbor | undefined): Omit<Opened, "payload"> {
  const headers = headersOf(protectedBytes);
  return {
    keyId: bytesOf(headers.get(KID)),
    headers,
    protectedBytes: bytesOf(protectedBytes),
    signature: bytesOf(signature, 64),
  };
}

function headersOf(protectedBytes: Cbor | undefined): CborMap {
  const headers = decode(bytesOf(protectedBytes), MOST_HEADERS);
  if (!(headers instanceof Map)) throw unexpected();
  return headers;
}

/** Throws Refused unless the protected headers are `alg`, `kid` and `more`, and no others. */
export function onlyHeaders(headers: CborMap, ...more: readonly number[]): void {
  mapOf(headers, [ALG, KID, ...more]);
}

/** The algorithm that the message claims: to be compared with the key's, and for nothing else. */
export const algorithmOf = (opened: Pick<Opened, "headers">): Cbor | undefined => opened.headers.get(ALG);

/** Whether `key` signed it. False as well when the message claims another algorithm than the key's. */
export async function signedBy(opened: Opened, key: PublicKey): Promise<boolean> {
  if (algorithmOf(opened) !== key.algorithm) return false;
  return verifies(key, opened.signature, encode(["Signature1", opened.protectedBytes, NOTHING, opened.payload]));
}

/** How many of `keys` (key id in hex → key) signed it. Signatures by anybody else count for nothing and harm nothing. */
export async function signersAmong(opened: OpenedMany, keys: ReadonlyMap<string, PublicKey>): Promise<number> {
  let count = 0;
  for (const one of opened.signatures) {
    const key = keys.get(hex(one.keyId));
    if (key === undefined || algorithmOf(one) !== key.algorithm) continue;
    const parts = ["Signature", opened.protectedBytes, one.protectedBytes, NOTHING, opened.payload];
    if (await verifies(key, one.signature, encode(parts))) count++;
  }
  return count;
}

const NOTHING = new Uint8Array(0); // no external data is signed along

const imported = new WeakMap<PublicKey, Promise<CryptoKey>>();

/** Whether `signature` (64 bytes) is the key's over `message`. Throws Refused (bad_value) when it is no ES256 key. */
export async function verifies(key: PublicKey, signature: Bytes, message: Bytes): Promise<boolean> {
  let ready = imported.get(key);
  if (ready === undefined) {
    ready = importKey(key);
    imported.set(key, ready);
  }
  return crypto.subtle.verify({ name: "ECDSA", hash: "SHA-256" }, await ready, signature, message);
}

async function importKey(key: PublicKey): Promise<CryptoKey> {
  if (key.algorithm === ES256 && key.raw.length === 65 && key.raw[0] === 4) {
    try {
      return await crypto.subtle.importKey("raw", key.raw, { name: "ECDSA", namedCurve: "P-256" }, false, ["verify"]);
    } catch {
      // Not on the curve: refused like every other non-key.
    }
  }
  throw new Refused("bad_value", "not a public key of its algorithm");
}
