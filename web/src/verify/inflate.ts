// Deflate streams (RFC 1951), bare or as zlib (RFC 1950), inflated under a cap, the same on every platform: decision
// 0081 says why the browser's own DecompressionStream is not used.

import type { Bytes } from "./bytes.ts";
import { Refused } from "./refused.ts";

/** What `stream`, one whole zlib stream and nothing behind it, inflates to.
 *
 * Throws Refused: inflates_too_much as soon as there would be more than `most` bytes, cut_off when the end is missing,
 * unreadable for anything that is not such a stream or whose checksum differs. Time grows with the bytes read and
 * written, and with nothing else.
 */
export function inflate(stream: Bytes, most: number): Bytes {
  const [method, flags] = stream;
  if (method === undefined || flags === undefined) throw cutOff();
  if ((method & 0x0f) !== 8 || method >> 4 > 7 || (method * 256 + flags) % 31 !== 0 || (flags & 0x20) !== 0) throw bad();
  const input = new Bits(stream, 2);
  const output = new Output(NO_DICTIONARY, stream.length * 4, most);
  blocks(input, output);
  const sum = input.bytes(4).reduce((value, byte) => value * 256 + byte, 0);
  if (!input.atEnd() || sum !== adler32(output.bytes())) throw bad();
  return output.bytes();
}

/** The same of a bare stream, which may point back into `dictionary` as if that stood before it. */
export function inflateBare(stream: Bytes, most: number, dictionary: Bytes = NO_DICTIONARY): Bytes {
  const input = new Bits(stream, 0);
  const output = new Output(dictionary, stream.length * 4, most);
  blocks(input, output);
  if (!input.atEnd()) throw bad();
  return output.bytes();
}

const NO_DICTIONARY = new Uint8Array(0);

function blocks(input: Bits, output: Output): void {
  for (let last = false; !last; ) {
    last = input.take(1) === 1;
    const kind = input.take(2);
    if (kind === 0) stored(input, output);
    else if (kind === 1) coded(input, output, FIXED_LITERALS, FIXED_DISTANCES);
    else if (kind === 2) coded(input, output, ...codesOf(input));
    else throw bad();
  }
}

const bad = (): Refused => new Refused("unreadable", "not a deflate stream");
const cutOff = (): Refused => new Refused("cut_off", "the stream ends early");

/** Bits from the low end of each byte. */
class Bits {
  private readonly stream: Bytes;
  private at: number;
  private held = 0;
  private count = 0;

  constructor(stream: Bytes, at: number) {
    this.stream = stream;
    this.at = at;
  }

  /** The next `bits` (at most 16) bits as a number. */
  take(bits: number): number {
    while (this.count < bits) {
      const byte = this.stream[this.at++];
      if (byte === undefined) throw cutOff();
      this.held |= byte << this.count;
      this.count += 8;
    }
    const value = this.held & ((1 << bits) - 1);
    this.held >>>= bits;
    this.count -= bits;
    return value;
  }

  /** The next whole bytes; what is left of the byte in hand is skipped. */
  bytes(length: number): Bytes {
    this.at -= this.count >> 3;
    this.held = this.count = 0;
    if (length > this.stream.length - this.at) throw cutOff();
    this.at += length;
    return this.stream.subarray(this.at - length, this.at);
  }

  /** Whether no whole byte is left. */
  atEnd(): boolean {
    return this.at - (this.count >> 3) === this.stream.length;
  }
}

/** Bytes written so far, never more than `most` of them, behind those of a dictionary. */
class Output {
  private held: Bytes;
  private length: number;
  private readonly begin: number;
  private readonly end: number;

  constructor(dictionary: Bytes, guess: number, most: number) {
    this.begin = this.length = dictionary.length;
    this.end = this.begin + most;
    this.held = new Uint8Array(this.begin + Math.min(guess, most));
    this.held.set(dictionary);
  }

  bytes(): Bytes {
    return this.held.subarray(this.begin, this.length);
  }

  add(byte: number): void {
    if (this.length === this.held.length) this.room(1);
    this.held[this.length++] = byte;
  }

  append(bytes: Bytes): void {
    this.room(bytes.length);
    this.held.set(bytes, this.length);
    this.length += bytes.length;
  }

  /** `length` bytes again from `distance` back; they may be bytes that this very copy writes. */
  repeat(length: number, distance: number): void {
    if (distance > this.length) throw bad();
    this.room(length);
    const { held } = this;
    if (distance >= length) held.copyWithin(this.length, this.length - distance, this.length - distance + length);
    else if (distance === 1) held.fill(held[this.length - 1] ?? 0, this.length, this.length + length);
    else for (let to = this.length; to < this.length + length; to++) held[to] = held[to - distance] ?? 0;
    this.length += length;
  }

  private room(more: number): void {
    const needed = this.length + more;
    if (needed > this.end) throw new Refused("inflates_too_much");
    if (needed <= this.held.length) return;
    const wider = new Uint8Array(Math.min(this.end, Math.max(needed, this.held.length * 2)));
    wider.set(this.held);
    this.held = wider;
  }
}

function stored(input: Bits, output: Output): void {
  const [a = 0, b = 0, c = 0, d = 0] = input.bytes(4);
  const length = a | (b << 8);
  if (length !== (~(c | (d << 8)) & 0xffff)) throw bad();
  output.append(input.bytes(length));
}

// RFC 1951, 3.2.5: the least length or distance of each symbol, and how many bits more follow it.
const LENGTHS = [3, 4, 5, 6, 7, 8, 9, 10, 11, 13, 15, 17, 19, 23, 27, 31, 35, 43, 51, 59, 67, 83, 99, 115, 131, 163, 195, 227, 258];
const lengthBits = (symbol: number): number => (symbol < 8 || symbol === 28 ? 0 : (symbol >> 2) - 1);
const distanceBits = (symbol: number): number => (symbol < 4 ? 0 : (symbol >> 1) - 1);
const leastDistance = (symbol: number): number =>
  symbol < 4 ? symbol + 1 : ((2 + (symbol & 1)) << distanceBits(symbol)) + 1;

function coded(input: Bits, output: Output, literals: Code, distances: Code): void {
  for (;;) {
    const symbol = literals.next(input);
    if (symbol < 256) {
      output.add(symbol);
      continue;
    }
    if (symbol === 256) return;
    const least = LENGTHS[symbol - 257];
    if (least === undefined) throw bad();
    const length = least + input.take(lengthBits(symbol - 257));
    const far = distances.next(input);
    if (far > 29) throw bad();
    output.repeat(length, leastDistance(far) + input.take(distanceBits(far)));
  }
}

/** A canonical prefix code (RFC 1951, 3.2.2): symbols sorted by the length of their code, and how many have each. */
class Code {
  private readonly counts = new Uint16Array(16);
  private readonly symbols: Uint16Array;

  /** Throws Refused when no code has these lengths: too many short ones, or too few. A code of one symbol may waste the
   * other bit, unless it must be `whole`. */
  constructor(lengths: readonly number[], whole = false) {
    for (const length of lengths) if (length > 0) this.count(length);
    const starts = new Uint16Array(16);
    let open = 1;
    for (let length = 1; length < 16; length++) {
      const count = this.counts[length] ?? 0;
      open = open * 2 - count;
      if (open < 0) throw bad();
      if (length < 15) starts[length + 1] = (starts[length] ?? 0) + count;
    }
    const used = lengths.filter((length) => length > 0).length;
    if (open > 0 && (whole || used > 1 || this.counts[1] !== used)) throw bad();
    this.symbols = new Uint16Array(used);
    lengths.forEach((length, symbol) => {
      if (length === 0) return;
      const to = starts[length] ?? 0;
      this.symbols[to] = symbol;
      starts[length] = to + 1;
    });
  }

  private count(length: number): void {
    this.counts[length] = (this.counts[length] ?? 0) + 1;
  }

  /** The symbol whose code comes next. */
  next(input: Bits): number {
    let code = 0; // the bits read so far
    let first = 0; // the first code of this length
    let before = 0; // symbols with shorter codes
    for (let length = 1; length < 16; length++) {
      code |= input.take(1);
      const count = this.counts[length] ?? 0;
      if (code - first < count) return this.symbols[before + code - first] ?? 0;
      before += count;
      first = (first + count) << 1;
      code <<= 1;
    }
    throw bad();
  }
}

const FIXED_LITERALS = new Code(Array.from({ length: 288 }, (_, s) => (s < 144 ? 8 : s < 256 ? 9 : s < 280 ? 7 : 8)));
const FIXED_DISTANCES = new Code(Array.from({ length: 32 }, () => 5));

/** Both codes of a block that brings its own (RFC 1951, 3.2.7). */
function codesOf(input: Bits): [literals: Code, distances: Code] {
  const literals = input.take(5) + 257;
  const distances = input.take(5) + 1;
  if (literals > 286 || distances > 30) throw bad();
  const inner = new Array<number>(19).fill(0);
  const given = input.take(4) + 4;
  for (const place of [16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15].slice(0, given)) {
    inner[place] = input.take(3);
  }
  const code = new Code(inner, true);
  const lengths: number[] = [];
  while (lengths.length < literals + distances) {
    const symbol = code.next(input);
    if (symbol < 16) {
      lengths.push(symbol);
      continue;
    }
    const before = lengths[lengths.length - 1];
    if (symbol === 16 && before === undefined) throw bad();
    const times = symbol === 16 ? 3 + input.take(2) : symbol === 17 ? 3 + input.take(3) : 11 + input.take(7);
    for (let n = 0; n < times; n++) lengths.push(symbol === 16 ? (before ?? 0) : 0);
  }
  if (lengths.length > literals + distances || lengths[256] === 0) throw bad();
  return [new Code(lengths.slice(0, literals)), new Code(lengths.slice(literals))];
}

function adler32(bytes: Bytes): number {
  let a = 1;
  let b = 0;
  for (let at = 0; at < bytes.length; ) {
    // 3,800 sums of bytes stay far below 2^32.
    for (const end = Math.min(at + 3800, bytes.length); at < end; at++) {
      a += bytes[at] ?? 0;
      b += a;
    }
    a %= 65_521;
    b %= 65_521;
  }
  return b * 65_536 + a;
}
