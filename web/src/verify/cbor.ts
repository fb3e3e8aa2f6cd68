// CBOR in the one deterministic form of RFC 8949, 4.2.1, and only what Kangma's formats use of it: integers, byte and
// text strings, arrays, maps keyed by integers or text, tags, false, true, null. Everything else is refused, so that
// whatever was decoded has exactly one encoding.

import { type Bytes, joined, utf8 } from "./bytes.ts";
import { Refused } from "./refused.ts";

/** Integers come as numbers where a number holds them exactly, and as bigint beyond. */
export type Cbor = number | bigint | boolean | null | string | Bytes | Tag | CborArray | CborMap;
export type CborArray = readonly Cbor[];
export type CborMap = ReadonlyMap<number | bigint | string, Cbor>;

export class Tag {
  readonly tag: number | bigint;
  readonly value: Cbor;

  constructor(tag: number | bigint, value: Cbor) {
    this.tag = tag;
    this.value = value;
  }
}

export const MAX_DEPTH = 8; // arrays, maps and tags inside each other
export const MAX_ITEMS = 256; // in one message, those inside of others counted; only a trust list has more

const TEXT = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/** The one item that `content` is, with at most `items` in it. Throws Refused: too_many_bytes above `most`, bad_message
 * for anything else. */
export function decode(content: Bytes, most: number, items = MAX_ITEMS): Cbor {
  const [value, end] = decodeFirst(content, most, items);
  if (end !== content.length) throw new Refused("bad_message", "bytes behind the item");
  return value;
}

/** The first item of a CBOR sequence (RFC 8742), and where it ends. Refused as by `decode`. */
export function decodeFirst(content: Bytes, most: number, items = MAX_ITEMS): [value: Cbor, end: number] {
  if (content.length > most) throw new Refused("too_many_bytes");
  const reader = new Reader(content, items);
  return [reader.item(0), reader.at];
}

class Reader {
  at = 0;
  private readonly content: Bytes;
  private left: number; // items that may still come

  constructor(content: Bytes, items: number) {
    this.content = content;
    this.left = items;
  }

  item(depth: number): Cbor {
    if (--this.left < 0) throw new Refused("bad_message", "too many items");
    const first = this.byte();
    const major = first >> 5;
    if (major === 7) {
      if (first === 0xf4) return false;
      if (first === 0xf5) return true;
      if (first === 0xf6) return null;
      throw new Refused("bad_message", "a float, or a simple value that means nothing here");
    }
    const argument = this.argument(first & 0x1f);
    if (major === 0) return argument;
    if (major === 1) return typeof argument === "bigint" || argument >= Number.MAX_SAFE_INTEGER ? -1n - BigInt(argument) : -1 - argument;
    if (major === 6) return new Tag(argument, this.item(deeper(depth)));
    // What is counted must still be there: a count of 2^60 costs nothing.
    if (typeof argument === "bigint" || argument > this.content.length - this.at) throw cutOff();
    if (major === 2) return this.bytes(argument);
    if (major === 3) return this.text(argument);
    return major === 4 ? this.array(argument, deeper(depth)) : this.map(argument, deeper(depth));
  }

  private array(count: number, depth: number): Cbor[] {
    const items: Cbor[] = [];
    for (let n = 0; n < count; n++) items.push(this.item(depth));
    return items;
  }

  private map(count: number, depth: number): CborMap {
    const map = new Map<number | bigint | string, Cbor>();
    let before: Bytes | undefined;
    for (let n = 0; n < count; n++) {
      const begun = this.at;
      const key = this.item(depth);
      if (typeof key !== "number" && typeof key !== "bigint" && typeof key !== "string") {
        throw new Refused("bad_message", "a key that is neither integer nor text");
      }
      const encoded = this.content.subarray(begun, this.at);
      if (before !== undefined && !sorted(before, encoded)) throw new Refused("bad_message", "keys out of order");
      before = encoded;
      map.set(key, this.item(depth));
    }
    return map;
  }

  private argument(info: number): number | bigint {
    if (info < 24) return info;
    if (info > 27) throw new Refused("bad_message", "an indefinite or unknown length");
    const width = 1 << (info - 24);
    const bytes = this.bytes(width);
    let value = 0;
    for (const byte of bytes.subarray(0, 4)) value = value * 256 + byte;
    const least = [24, 0x100, 0x1_0000][info - 24];
    if (least !== undefined) {
      if (value < least) throw longer();
      return value;
    }
    if (value === 0) throw longer();
    let low = 0;
    for (const byte of bytes.subarray(4)) low = low * 256 + byte;
    return value < 0x20_0000 ? value * 0x1_0000_0000 + low : (BigInt(value) << 32n) + BigInt(low);
  }

  private text(length: number): string {
    try {
      return TEXT.decode(this.bytes(length));
    } catch (problem) {
      if (problem instanceof Refused) throw problem;
      throw new Refused("bad_message", "text that is not UTF-8");
    }
  }

  private bytes(length: number): Bytes {
    if (length > this.content.length - this.at) throw cutOff();
    this.at += length;
    return this.content.subarray(this.at - length, this.at);
  }

  private byte(): number {
    const byte = this.content[this.at++];
    if (byte === undefined) throw cutOff();
    return byte;
  }
}

const cutOff = (): Refused => new Refused("bad_message", "cut off");
const longer = (): Refused => new Refused("bad_message", "a longer encoding than needed");

function deeper(depth: number): number {
  if (depth >= MAX_DEPTH) throw new Refused("bad_message", "nested too deep");
  return depth + 1;
}

/** Whether `a` comes before `b`, byte by byte; equal keys do not. */
function sorted(a: Bytes, b: Bytes): boolean {
  for (let at = 0; at < Math.min(a.length, b.length); at++) {
    const x = a[at] ?? 0;
    const y = b[at] ?? 0;
    if (x !== y) return x < y;
  }
  return a.length < b.length;
}

/** Deterministic CBOR of what signatures are made over: unsigned integers, strings, bytes and arrays of them. */
export function encode(value: number | string | Uint8Array | readonly Encodable[]): Bytes {
  if (typeof value === "number") return head(0, value);
  if (typeof value === "string") {
    const text = utf8(value);
    return joined(head(3, text.length), text);
  }
  if (value instanceof Uint8Array) return joined(head(2, value.length), value);
  return joined(head(4, value.length), ...value.map(encode));
}
export type Encodable = number | string | Uint8Array | readonly Encodable[];

function head(major: number, argument: number): Bytes {
  if (argument < 24) return new Uint8Array([(major << 5) | argument]);
  const width = argument < 0x100 ? 1 : argument < 0x1_0000 ? 2 : argument < 0x1_0000_0000 ? 4 : 8;
  const bytes = new Uint8Array(1 + width);
  bytes[0] = (major << 5) | (24 + Math.log2(width));
  for (let at = width, rest = argument; at > 0; at--, rest = Math.floor(rest / 256)) bytes[at] = rest % 256;
  return bytes;
}

// What a format expects where it expects it. Each throws Refused (bad_message) when it is something else.

/** A map with these keys, those of `may` or not, and no other. */
export function mapOf(
  value: Cbor | undefined,
  needed: readonly (number | string)[],
  may: readonly (number | string)[] = [],
): CborMap {
  if (!(value instanceof Map)) throw unexpected();
  if (!needed.every((key) => value.has(key))) throw unexpected();
  if (value.size !== needed.length + may.filter((key) => value.has(key)).length) throw unexpected();
  return value;
}

export function arrayOf(value: Cbor | undefined, least: number, most: number): CborArray {
  if (!Array.isArray(value) || value.length < least || value.length > most) throw unexpected();
  return value as CborArray;
}

/** Bytes of that length, or of any. */
export function bytesOf(value: Cbor | undefined, length?: number): Bytes {
  if (!(value instanceof Uint8Array) || (length !== undefined && value.length !== length)) throw unexpected();
  return value;
}

/** Text of that form, and of at most `most` bytes of UTF-8. */
export function textOf(value: Cbor | undefined, form: RegExp, most = Infinity): string {
  if (typeof value !== "string" || !form.test(value) || (most !== Infinity && utf8(value).length > most)) {
    throw unexpected();
  }
  return value;
}

/** An unsigned integer that a number holds exactly. */
export function uintOf(value: Cbor | undefined): number {
  if (typeof value !== "number" || value < 0) throw unexpected();
  return value;
}

export const unexpected = (): Refused => new Refused("bad_message", "not of the format");
