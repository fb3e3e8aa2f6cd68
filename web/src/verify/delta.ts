// What changed between two versions of a list, signed as the list is: for a verifier that holds the one before.

import { type Bytes, same, sha256 } from "./bytes.ts";
import { bytesOf, type CborMap, decode, mapOf, uintOf, unexpected } from "./cbor.ts";
import { type Opened, type PublicKey, signedBy } from "./cose.ts";
import { Refused } from "./refused.ts";
import { openTyped, type Place, placeOf, provenList, sizeOf, type StatusList } from "./status.ts";

const CWT = "application/kangma-statusdelta+cwt";
const CHANGES = -65538; // the claim
const MOST_CHANGES = 2 ** 18; // bytes
const MOST_CWT = MOST_CHANGES + 1_000; // bytes
const MOST_LOW = 24; // bits of a gap that are not in unary

/** A delta taken apart, not verified. */
export interface OpenedDelta {
  readonly message: Opened;
  readonly place: Place; // of the result
  readonly baseIat: number;
  readonly base: Bytes; // SHA-256 of the packed bytes before
  readonly result: Bytes; // and behind
  readonly changes: Bytes;
}

/** Throws Refused: too_many_bytes, bad_message. */
export function openDelta(content: Bytes): OpenedDelta {
  const message = openTyped(content, CWT, MOST_CWT);
  const payload = decode(message.payload, MOST_CWT);
  const place = placeOf(payload, CHANGES);
  const inner = mapOf((payload as CborMap).get(CHANGES), [1, 2, 3, 4]);
  const baseIat = uintOf(inner.get(1));
  const changes = bytesOf(inner.get(4));
  if (baseIat >= place.iat) throw unexpected();
  if (changes.length > MOST_CHANGES) throw new Refused("too_many_bytes");
  return { message, place, baseIat, base: bytesOf(inner.get(2), 32), result: bytesOf(inner.get(3), 32), changes };
}

/** The list that `base` becomes, if `key` signed the delta.
 *
 * Throws Refused: bad_signature; wrong_base when `base` is another list or version, or leads elsewhere than the delta
 * says; bad_message when the changes are no changes of such a list. `base` itself never changes.
 */
export async function applied(delta: OpenedDelta, key: PublicKey, base: StatusList): Promise<StatusList> {
  if (!(await signedBy(delta.message, key))) throw new Refused("bad_signature");
  if (base.sub !== delta.place.sub || base.iat !== delta.baseIat || !same(await sha256(base.raw), delta.base)) {
    throw new Refused("wrong_base");
  }
  const raw = base.raw.slice();
  change(raw, delta.changes, sizeOf(base), base.bits);
  if (!same(await sha256(raw), delta.result)) throw new Refused("wrong_base", "leads to another result than it says");
  return provenList(delta.place, base.bits, raw);
}

/** Carries `changes` out on `raw`, a list of `size` values of `bits` bits. Throws Refused (bad_message).
 *
 * The form: k, how many (4 bytes), the number of new values less 1, these values, and three streams of bits, lowest
 * bit of a byte first, each filled up to a whole byte with zeros: the lowest k bits of each gap between changed
 * indices; the rest of each gap in unary; the place of each new value among the new values, in unary.
 */
export function change(raw: Bytes, changes: Bytes, size: number, bits: number): void {
  if (changes.length === 5 && changes.every((byte) => byte === 0)) return;
  const [low = 0, a = 0, b = 0, c = 0, d = 0, less = 0] = changes;
  const count = a * 2 ** 24 + (b << 16) + (c << 8) + d;
  if (changes.length < 6 || count === 0 || count > size || low > MOST_LOW) throw noChanges();
  const values = changes.subarray(6, 7 + less);
  if (values.length !== less + 1 || new Set(values).size !== values.length || Math.max(...values) >> bits !== 0) {
    throw noChanges();
  }
  const stream = new Stream(changes, 7 + less);
  const lows = stream.counted(count, () => stream.bits(low));
  const highs = stream.counted(count, () => stream.unary());
  const places = stream.counted(count, () => stream.unary());
  if (!stream.atEnd()) throw noChanges();
  const each = 8 / bits;
  let index = -1;
  for (let n = 0; n < count; n++) {
    index += (highs[n] ?? 0) * 2 ** low + (lows[n] ?? 0) + 1;
    const value = values[places[n] ?? 0];
    if (index >= size || value === undefined) throw noChanges();
    const at = Math.floor(index / each);
    const place = (index % each) * bits;
    raw[at] = ((raw[at] ?? 0) & ~(((1 << bits) - 1) << place)) | (value << place);
  }
}

const noChanges = (): Refused => new Refused("bad_message", "not the changes of such a list");

class Stream {
  private readonly content: Bytes;
  private at: number; // in bits

  constructor(content: Bytes, byte: number) {
    this.content = content;
    this.at = byte * 8;
  }

  /** A stream of `count` numbers, and the zeros that fill its last byte. */
  counted(count: number, one: () => number): Uint32Array {
    const numbers = new Uint32Array(count);
    for (let n = 0; n < count; n++) numbers[n] = one();
    while (this.at % 8 !== 0) if (this.bit() !== 0) throw noChanges();
    return numbers;
  }

  bits(count: number): number {
    let value = 0;
    for (let n = 0; n < count; n++) value |= this.bit() << n;
    return value;
  }

  unary(): number {
    let zeros = 0;
    while (this.bit() === 0) zeros++;
    return zeros;
  }

  atEnd(): boolean {
    return this.at === this.content.length * 8;
  }

  private bit(): number {
    const byte = this.content[this.at >> 3];
    if (byte === undefined) throw noChanges();
    return (byte >> (this.at++ & 7)) & 1;
  }
}
