// A point of P-256 from its x and the sign of its y (SEC 1, 2.3.4): browsers do not import compressed points.

import { type Bytes, hex } from "./bytes.ts";
import { Refused } from "./refused.ts";

const P = 0xffffffff00000001000000000000000000000000ffffffffffffffffffffffffn;
const B = 0x5ac635d8aa3a93e7b3ebbd55769886bc651d06b0cc53b0f63bce3c3e27d2604bn;
const ROOT = (P + 1n) / 4n; // P mod 4 is 3, so that this power of a square is its root

/** The uncompressed point, 65 bytes: 04 ‖ x ‖ y. Throws Refused (bad_value) when the curve has no point at `x`. */
export function uncompressed(x: Bytes, odd: boolean): Bytes {
  const at = x.length === 32 ? BigInt(`0x${hex(x)}`) : P;
  if (at >= P) throw new Refused("bad_value", "not a coordinate of P-256");
  const square = (at * at * at - 3n * at + B) % P;
  let y = power((square + P) % P, ROOT);
  if ((y * y - square) % P !== 0n) throw new Refused("bad_value", "not a point of P-256");
  if ((y % 2n === 1n) !== odd) y = P - y;
  const point = new Uint8Array(65);
  point[0] = 4;
  point.set(x, 1);
  for (let to = 64, rest = y; to > 32; to--, rest >>= 8n) point[to] = Number(rest & 0xffn);
  return point;
}

/** Whether these 65 bytes are 04 ‖ x ‖ y of a point of P-256. */
export function isPoint(raw: Bytes): boolean {
  if (raw.length !== 65 || raw[0] !== 4) return false;
  const x = BigInt(`0x${hex(raw.subarray(1, 33))}`);
  const y = BigInt(`0x${hex(raw.subarray(33))}`);
  return x < P && y < P && (y * y - x * x * x + 3n * x - B) % P === 0n;
}

function power(base: bigint, exponent: bigint): bigint {
  let result = 1n;
  for (; exponent > 0n; exponent >>= 1n, base = (base * base) % P) {
    if (exponent & 1n) result = (result * base) % P;
  }
  return result;
}
