// Sealed slots: docs/formats/sealed.md. What a phone was told of its places, a bucket of a packed file, and the answer in it.
// Nothing here knows what time it is or where files come from.

import { type Bytes, hex, joined, same, sha256, utf8 } from "../verify/bytes.ts";
import { arrayOf, bytesOf, type CborMap, decode, textOf, uintOf } from "../verify/cbor.ts";
import { signedBy } from "../verify/cose.ts";
import { inflate } from "../verify/inflate.ts";
import { Refused } from "../verify/refused.ts";
import { openTyped, type Place as Claims, placeOf } from "../verify/status.ts";
import type { TrustList } from "../verify/trust.ts";
import { opened } from "./hpke.ts";

const CWT = "application/kangma-sealed+cwt";
const ROOT = -65539; // the claim
const PLACES = 4_096; // of a part
const EACH = 16; // slots of a bucket
const SLOT = 2_000; // bytes
const NONCE = 12;
const SAID = 512; // bytes for the statement, its length in the first two, zeros behind it
const DEEP = 8; // hashes of 32 bytes from a bucket to the root
const HEAD = SAID + 32 * DEEP;
const DEFLATED = 0x8000;
const MOST_ANSWER = 32_768;
const MOST_TOLD = 4_096;
const PATH = /^sealed\/[0-9]{1,6}(\.[0-9]{1,4})?\/[0-9]{1,5}$/;
const DAY = 86_400;
const LIFE = 7 * DAY;
const TRUST_GRACE = 30 * DAY; // as a door: so long an expired trust list still shows the last state

export const BUCKET = HEAD + EACH * SLOT;

/** Where this phone's slot stands in [begins, ends). */
export interface Place {
  readonly begins: number;
  readonly ends: number;
  readonly path: string;
  readonly place: number;
}

declare const proven: unique symbol;

/** A slot that the city signed for: only `slotIn` makes one. */
export interface Slot {
  readonly [proven]: true;
  readonly said: Claims;
  readonly place: number;
  readonly content: Bytes;
}

/** What the city told this phone: places, and the key to each, which stays where it cannot be taken out. Throws Refused. */
export async function told(content: Bytes, keys: CryptoKeyPair, base: string): Promise<(Place & { readonly key: CryptoKey })[]> {
  const said = decode(await opened(keys, content, utf8(`KM1 sealed ${base}`)), MOST_TOLD);
  return Promise.all(
    arrayOf(said, 1, 8).map(async (one) => {
      const [begins, ends, path, place, key] = arrayOf(one, 5, 5);
      const found = { begins: uintOf(begins), ends: uintOf(ends), path: textOf(path, PATH), place: uintOf(place) };
      if (found.place >= PLACES || found.begins >= found.ends) throw new Refused("bad_message", "no place of a slot");
      return { ...found, key: await slotKey(bytesOf(key, 16)) };
    }),
  );
}

/** A key that opens slots and cannot be taken out. */
export const slotKey = (raw: Bytes): Promise<CryptoKey> => crypto.subtle.importKey("raw", raw, "AES-GCM", false, ["decrypt"]);

/** The first byte of the bucket with this place. */
export const bucketAt = ({ place }: Pick<Place, "place">): number => Math.floor(place / EACH) * BUCKET;

/** The slot of a place in its bucket, if a status key of the city signed for it. Throws Refused: bad_message, untrusted,
 * bad_signature. */
export async function slotIn(content: Bytes, at: Pick<Place, "path" | "place">, trust: TrustList, now: number): Promise<Slot> {
  if (content.length !== BUCKET) throw new Refused("bad_message", "not a bucket");
  const length = numberAt(content);
  if (length > SAID - 2 || content.subarray(2 + length, SAID).some((byte) => byte !== 0)) throw new Refused("bad_message", "not the head of a bucket");
  const message = openTyped(content.slice(2, 2 + length), CWT, SAID);
  const payload = decode(message.payload, SAID);
  const said = placeOf(payload, ROOT);
  const root = bytesOf((payload as CborMap).get(ROOT), 32);
  const city = trust.authorities[0];
  const found = trust.byKey.get(hex(message.keyId));
  const may = found !== undefined && found.authority === city && found.key.use === "status" && found.key.revokedAt === undefined && found.key.notBefore <= said.iat && said.iat < found.key.notAfter;
  if (!may || city === undefined || now >= trust.expires + TRUST_GRACE) throw new Refused("untrusted", "no status key of the city at that time");
  if (!(await signedBy(message, found.key))) throw new Refused("bad_signature");
  if (said.sub !== `${city.base}/${at.path}` || said.exp - said.iat > LIFE || now >= said.exp) throw new Refused("bad_message", "another part, or over");
  let hash = await sha256(joined(new Uint8Array([0]), content.subarray(HEAD)));
  for (let level = 0, index = Math.floor(at.place / EACH); level < DEEP; level++, index >>= 1) {
    const beside = content.subarray(SAID + 32 * level, SAID + 32 * (level + 1));
    hash = await sha256(joined(new Uint8Array([1]), ...(index & 1 ? [beside, hash] : [hash, beside])));
  }
  if (!same(hash, root)) throw new Refused("bad_message", "not the bucket that was signed");
  const from = HEAD + (at.place % EACH) * SLOT;
  return Object.freeze({ said, place: at.place, content: content.slice(from, from + SLOT) }) as Slot;
}

/** The answer in a slot: as GET /v1/me/code gives it. Throws Refused (bad_signature) where the slot is not this key's. */
export async function answerIn({ said, place, content }: Slot, key: CryptoKey): Promise<Bytes> {
  const additionalData = utf8(`${said.sub} ${place} ${said.release}`);
  let padded: Bytes;
  try {
    padded = new Uint8Array(await crypto.subtle.decrypt({ name: "AES-GCM", iv: content.slice(0, NONCE), additionalData }, key, content.slice(NONCE)));
  } catch {
    throw new Refused("bad_signature", "sealed for another");
  }
  const size = numberAt(padded);
  const end = 2 + (size & ~DEFLATED);
  if (end > padded.length || padded.subarray(end).some((byte) => byte !== 0)) throw new Refused("bad_message", "not a padded answer");
  const inner = padded.slice(2, end);
  return size & DEFLATED ? inflate(inner, MOST_ANSWER) : inner;
}

const numberAt = (content: Bytes): number => (content[0] as number) * 256 + (content[1] as number);
