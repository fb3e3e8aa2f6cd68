// Step 8: status lists in CWT form (draft-ietf-oauth-status-list-21, sections 4 and 5): a small number a credential.

import type { Bytes } from "./bytes.ts";
import { arrayOf, bytesOf, type Cbor, type CborMap, decode, mapOf, textOf, uintOf, unexpected } from "./cbor.ts";
import { type Opened, onlyHeaders, open1, type PublicKey, signedBy, TYP } from "./cose.ts";
import { inflate } from "./inflate.ts";
import { Refused } from "./refused.ts";

export const MOST_CWT = 540_000; // bytes: 2^20 values of 4 bits that do not deflate
const MOST_RAW = 2 ** 20; // bytes that a list may inflate to: 2^20 values of 8 bits
const PRINTABLE = /^[ -~]{1,256}$/;
const CWT = "application/statuslist+cwt";

// Claims: RFC 8392, the draft's section 14.3, and ours.
const SUB = 2;
const EXP = 4;
const IAT = 6;
const STATUS_LIST = 65533;
const TTL = 65534;
const STANDS = -65537;

/** What lists and their deltas say beside the values. */
export interface Place {
  readonly sub: string; // the URI that credentials name
  readonly iat: number;
  readonly exp: number;
  readonly ttl: number; // seconds after which to look for a newer one
  readonly release: number; // where the newest turn in the list stands
  readonly treeSize: number; // leaves of the log that holds it
}

declare const proven: unique symbol;

/** A list whose signature was verified: only `verifyList` and `applied` (delta.ts, by `provenList`) make one. */
export interface StatusList extends Place {
  readonly [proven]: true;
  readonly bits: number;
  readonly raw: Bytes; // packed, the lowest index in the lowest bits of a byte
}

/** A token taken apart, not verified. */
export interface OpenedList {
  readonly message: Opened;
  readonly place: Place;
  readonly bits: number;
  readonly lst: Bytes; // still deflated
}

/** Throws Refused: too_many_bytes, bad_message. */
export function openList(content: Bytes): OpenedList {
  const message = openTyped(content, CWT, MOST_CWT);
  const payload = decode(message.payload, MOST_CWT);
  const place = placeOf(payload, STATUS_LIST);
  const inner = mapOf((payload as CborMap).get(STATUS_LIST), ["bits", "lst"]);
  const bits = uintOf(inner.get("bits"));
  if (![1, 2, 4, 8].includes(bits)) throw unexpected();
  return { message, place, bits, lst: bytesOf(inner.get("lst")) };
}

/** The list, if `key` signed it. Only behind the signature is it inflated, so that nobody else can make us work.
 *
 * Throws Refused: bad_signature, and then what `inflate` refuses.
 */
export async function verifyList(opened: OpenedList, key: PublicKey): Promise<StatusList> {
  if (!(await signedBy(opened.message, key))) throw new Refused("bad_signature");
  return provenList(opened.place, opened.bits, inflate(opened.lst, MOST_RAW));
}

/** For those who verified a signature over `place` and `raw`. */
export function provenList(place: Place, bits: number, raw: Bytes): StatusList {
  return Object.freeze({ ...place, bits, raw }) as StatusList;
}

/** Indices that the list answers for. */
export const sizeOf = (list: StatusList): number => (list.raw.length * 8) / list.bits;

/** The value at `index`. Throws Refused (bad_number) outside the list. */
export function valueAt(list: StatusList, index: number): number {
  const each = 8 / list.bits;
  const byte = list.raw[Math.floor(index / each)];
  if (byte === undefined) throw new Refused("bad_number", "no such index in the list");
  return (byte >> ((index % each) * list.bits)) & ((1 << list.bits) - 1);
}

/** A COSE_Sign1 of that type (RFC 9596) with exactly our headers. Throws Refused. */
export function openTyped(content: Bytes, typ: string, most: number): Opened {
  const message = open1(content, most);
  onlyHeaders(message.headers, TYP);
  if (message.headers.get(TYP) !== typ) throw unexpected();
  return message;
}

/** The claims that lists and deltas share, of a payload with exactly these and the claim `more`. Throws Refused. */
export function placeOf(payload: Cbor, more: number): Place {
  const claims = mapOf(payload, [SUB, EXP, IAT, TTL, STANDS, more]);
  const [release, treeSize] = arrayOf(claims.get(STANDS), 2, 2);
  const place = {
    sub: textOf(claims.get(SUB), PRINTABLE),
    iat: uintOf(claims.get(IAT)),
    exp: uintOf(claims.get(EXP)),
    ttl: uintOf(claims.get(TTL)),
    release: uintOf(release),
    treeSize: uintOf(treeSize),
  };
  if (place.iat >= place.exp || place.ttl === 0) throw unexpected();
  return place;
}
