import assert from "node:assert/strict";
import { test } from "node:test";
import zlib from "node:zlib";
import type { Bytes } from "../src/verify/bytes.ts";
import { inflate, inflateBare } from "../src/verify/inflate.ts";
import type { Chance } from "./chance.ts";
import { chance, refuses } from "./made_up.ts";

const MOST = 2 ** 20;

/** Something with repeats and runs in it, as lists and credentials have. */
function something(dice: Chance): Bytes {
  const content = dice.bytes(dice.below(3_000));
  for (let n = dice.below(20); n > 0; n--) {
    const from = dice.below(content.length + 1);
    content.copyWithin(dice.below(content.length + 1), from, from + dice.below(400));
    const run = dice.below(content.length + 1);
    content.fill(dice.below(3), run, run + dice.below(900));
  }
  return content;
}

const STRATEGIES = [zlib.constants.Z_DEFAULT_STRATEGY, zlib.constants.Z_RLE, zlib.constants.Z_FIXED, zlib.constants.Z_HUFFMAN_ONLY];

test("whatever zlib deflated is inflated, by every level and strategy", () => {
  const dice = chance(2);
  for (let n = 0; n < 1_000; n++) {
    const content = something(dice);
    const options = { level: dice.below(10), strategy: STRATEGIES[dice.below(4)] ?? 0, windowBits: 9 + dice.below(7) };
    assert.deepEqual(inflate(Uint8Array.from(zlib.deflateSync(content, options)), MOST), content);
    const dictionary = dice.bytes(dice.below(200));
    const raw = zlib.deflateRawSync(Buffer.concat([dictionary, content]), { ...options, dictionary: Buffer.from(dictionary) });
    assert.deepEqual(inflateBare(Uint8Array.from(raw), MOST, dictionary).subarray(dictionary.length), content);
  }
});

test("what zlib refuses is refused, and what it reads is read alike", () => {
  const dice = chance(3);
  let read = 0;
  for (let n = 0; n < 4_000; n++) {
    const stream = Uint8Array.from(zlib.deflateRawSync(something(dice), { level: dice.below(10) }));
    for (let flips = 1 + dice.below(3); flips > 0; flips--) stream[dice.below(Math.min(stream.length, 60))] = dice.below(256);
    let theirs: Bytes | undefined;
    try {
      const { buffer, engine } = zlib.inflateRawSync(stream, { info: true, maxOutputLength: MOST }) as never as {
        buffer: Buffer;
        engine: { bytesWritten: number };
      };
      if (engine.bytesWritten === stream.length) theirs = Uint8Array.from(buffer);
    } catch {
      // Refused there.
    }
    if (theirs === undefined) refuses(() => inflateBare(stream, MOST));
    else {
      read++;
      assert.deepEqual(inflateBare(stream, MOST), theirs);
    }
  }
  assert.ok(read > 50, `only ${read} of them could be read`);
});

test("a bomb is refused at the byte that is too many", () => {
  const bomb = Uint8Array.from(zlib.deflateSync(Buffer.alloc(MOST)));
  assert.equal(inflate(bomb, MOST).length, MOST);
  refuses(() => inflate(bomb, MOST - 1), "inflates_too_much");
  refuses(() => inflate(bomb, 0), "inflates_too_much");
});

test("a stream ends where it ends: cut, continued, or with another checksum it is refused", () => {
  const stream = Uint8Array.from(zlib.deflateSync(Buffer.from("health code ".repeat(20))));
  for (let cut = 0; cut < stream.length; cut++) refuses(() => inflate(stream.subarray(0, cut), MOST), "cut_off");
  refuses(() => inflate(Uint8Array.from([...stream, 0]), MOST), "unreadable");
  refuses(() => inflate(Uint8Array.from([...stream, ...stream]), MOST), "unreadable");
  for (let at = 0; at < 8 * stream.length; at++) {
    const changed = stream.slice();
    changed[at >> 3] = (changed[at >> 3] ?? 0) ^ (1 << (at & 7));
    let found: string | undefined;
    try {
      found = Buffer.from(inflate(changed, MOST)).toString();
    } catch (problem) {
      assert.equal((problem as Error).name, "Refused");
    }
    // The bits that fill the last byte up mean nothing.
    assert.ok(found === undefined || found === "health code ".repeat(20), `bit ${at} changed and nobody saw it`);
  }
});
