import assert from "node:assert/strict";
import { test } from "node:test";
import { type Cbor, decode, decodeFirst, encode, Tag } from "../src/verify/cbor.ts";
import { bytes, refuses } from "./made_up.ts";

const read = (hex: string): Cbor => decode(bytes(hex), 1_000);

test("what Kangma writes is read", () => {
  assert.equal(read("00"), 0);
  assert.equal(read("1864"), 100);
  assert.equal(read("1a000f4240"), 1_000_000);
  assert.equal(read("1b001fffffffffffff"), Number.MAX_SAFE_INTEGER);
  assert.equal(read("1b0020000000000000"), 2n ** 53n);
  assert.equal(read("1bffffffffffffffff"), 2n ** 64n - 1n);
  assert.equal(read("20"), -1);
  assert.equal(read("3a00010000"), -65_537);
  assert.equal(read("3bffffffffffffffff"), -(2n ** 64n));
  assert.deepEqual(read("43010203"), bytes("010203"));
  assert.equal(read("63e5bca0"), "张");
  assert.equal(read("63efbbbf"), "\ufeff"); // a byte order mark is a character like any other
  assert.deepEqual(read("83f4f5f6"), [false, true, null]);
  // Keys in the order of their bytes: 1, 300, -1, "a".
  assert.deepEqual([...(read("a4010219012c03200461610d") as Map<unknown, unknown>)], [[1, 2], [300, 3], [-1, 4], ["a", 13]]);
});

test("one value has one encoding", () => {
  const others = {
    "a longer number": ["1817", "190018", "1900ff", "1a0000ffff", "1b00000000ffffffff", "3817"],
    "a longer length": ["580100", "780161", "9800", "b800", "d812" + "00"],
    "an indefinite length": ["5f4100ff", "7f6161ff", "9f00ff", "bf0000ff"],
    "keys out of order": ["a201000000", "a2616100" + "0000", "a2190100001818" + "00"],
    "a key twice": ["a200000001", "a2616100616101"],
    "bytes behind": ["0000", "8000"],
    "a cut": ["", "18", "19ff", "42ff", "62c3", "8200", "a100", "c1"],
    "no UTF-8": ["61ff", "62c328", "63eda080", "64f4908080"],
    "what has no meaning here": ["f7", "f0", "f820", "ff", "f93c00", "fb3ff8000000000000", "1c", "1f", "a1410000", "a1800000"],
    "a count of what is not there": ["9bffffffffffffffff", "bb7fffffffffffffff", "5b0000000100000000", "9a7fffffff00"],
  };
  for (const all of Object.values(others)) for (const hex of all) refuses(() => read(hex), "bad_message");
});

test("nesting ends at eight, and length at what the caller allows", () => {
  assert.ok(read("81".repeat(8) + "00"));
  for (const one of ["81", "a100", "c1"]) refuses(() => read(one.repeat(9) + "00"));
  refuses(() => read("81".repeat(999) + "00"));
  refuses(() => decode(bytes("000000"), 2), "too_many_bytes");
});

test("a message has 256 items at most, unless its reader expects more", () => {
  const array = (n: number) => bytes(`98${n.toString(16)}` + "00".repeat(n));
  assert.equal((decode(array(255), 1_000) as unknown[]).length, 255);
  refuses(() => decode(bytes("990100" + "00".repeat(256)), 1_000), "bad_message");
  assert.equal((decode(bytes("990100" + "00".repeat(256)), 1_000, 257) as unknown[]).length, 256);
});

test("a tag keeps its number, and a sequence tells where its first item ends", () => {
  const tag = read("d28100");
  assert.ok(tag instanceof Tag);
  assert.equal(tag.tag, 18);
  assert.deepEqual(decodeFirst(bytes("8201028103"), 9), [[1, 2], 3]);
});

test("what is signed over is written in the shortest form", () => {
  const text = "KM1 holder";
  for (const n of [0, 23, 24, 255, 256, 65_535, 65_536, 2 ** 32 - 1, 2 ** 32, 2 ** 53 - 1]) {
    assert.deepEqual(decode(encode([text, n, new Uint8Array(300)]), 1_000), [text, n, new Uint8Array(300)]);
  }
});
