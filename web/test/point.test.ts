import assert from "node:assert/strict";
import { createECDH, ECDH } from "node:crypto";
import { test } from "node:test";
import { isPoint, uncompressed } from "../src/verify/point.ts";
import { chance, refuses } from "./made_up.ts";

test("a compressed point becomes the point that it was made from", () => {
  for (let n = 0; n < 200; n++) {
    const key = createECDH("prime256v1");
    const point = Uint8Array.from(key.generateKeys());
    assert.deepEqual(uncompressed(point.slice(1, 33), (point[64] ?? 0) % 2 === 1), point);
    assert.ok(isPoint(point));
    point[64] = (point[64] ?? 0) ^ 1;
    assert.ok(!isPoint(point));
  }
});

test("half of all coordinates are no point, and another implementation says which", () => {
  const dice = chance(4);
  for (let n = 0; n < 200; n++) {
    const x = dice.bytes(32);
    let theirs: Uint8Array | undefined;
    try {
      theirs = Uint8Array.from(ECDH.convertKey(Buffer.from([3, ...x]), "prime256v1", undefined, undefined, "uncompressed") as Buffer);
    } catch {
      // No point there.
    }
    if (theirs === undefined) refuses(() => uncompressed(x, true), "bad_value");
    else assert.deepEqual(uncompressed(x, true), theirs);
  }
});

test("a coordinate beyond the field is no second name of a point", () => {
  const P = "ffffffff00000001000000000000000000000000ffffffffffffffffffffffff";
  // x = 5 is a point of the curve; P + 5 is the same number modulo P.
  const five = new Uint8Array(32).fill(0, 0, 31).fill(5, 31);
  const beyond = Uint8Array.from((BigInt(`0x${P}`) + 5n).toString(16).match(/../g) ?? [], (pair) => parseInt(pair, 16));
  assert.equal(uncompressed(five, false).length, 65);
  refuses(() => uncompressed(beyond, false));
  refuses(() => uncompressed(new Uint8Array(31), false));
});
