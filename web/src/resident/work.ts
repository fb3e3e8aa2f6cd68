// Proof of work, which the door asks for while it is under attack (docs/gateway.md): nothing for a person to do or to read,
// and nothing that leaves the device but a number. It runs in a worker, so that the page goes on meanwhile.

export type { WorkSet as Work } from "../look/described.ts";
import type { WorkSet as Work } from "../look/described.ts";

const K = new Uint32Array(64);
const FIRST = new Uint32Array(8);
// The fractional parts of the cube and square roots of the first primes (FIPS 180-4, 4.2.2 and 5.3.3).
for (let n = 2, found = 0; found < 64; n += 1) {
  let prime = true;
  for (let d = 2; d * d <= n; d += 1) prime &&= n % d !== 0;
  if (!prime) continue;
  const part = (root: number): number => Math.floor((root - Math.floor(root)) * 2 ** 32) >>> 0;
  K[found] = part(Math.cbrt(n));
  if (found < 8) FIRST[found] = part(Math.sqrt(n));
  found += 1;
}
const W = new Uint32Array(64);
const turn = (x: number, n: number): number => (x >>> n) | (x << (32 - n));

/** SHA-256 of the bytes, as eight words, at once: WebCrypto's is a promise for each, which takes longer than the hash. */
export function sha256(bytes: Uint8Array): Uint32Array {
  const blocks = new Uint8Array(Math.ceil((bytes.length + 9) / 64) * 64);
  blocks.set(bytes);
  blocks[bytes.length] = 0x80;
  const view = new DataView(blocks.buffer);
  view.setUint32(blocks.length - 4, bytes.length * 8);
  const state = Uint32Array.from(FIRST);
  for (let at = 0; at < blocks.length; at += 64) {
    for (let i = 0; i < 16; i += 1) W[i] = view.getUint32(at + 4 * i);
    for (let i = 16; i < 64; i += 1) {
      const [x, y] = [W[i - 15] as number, W[i - 2] as number];
      W[i] = (W[i - 16] as number) + (turn(x, 7) ^ turn(x, 18) ^ (x >>> 3)) + (W[i - 7] as number) + (turn(y, 17) ^ turn(y, 19) ^ (y >>> 10));
    }
    let [a, b, c, d, e, f, g, h] = state as unknown as [number, number, number, number, number, number, number, number];
    for (let i = 0; i < 64; i += 1) {
      const one = (h + (turn(e, 6) ^ turn(e, 11) ^ turn(e, 25)) + ((e & f) ^ (~e & g)) + (K[i] as number) + (W[i] as number)) | 0;
      const two = ((turn(a, 2) ^ turn(a, 13) ^ turn(a, 22)) + ((a & b) ^ (a & c) ^ (b & c))) | 0;
      [h, g, f, e, d, c, b, a] = [g, f, e, (d + one) | 0, c, b, a, (one + two) | 0];
    }
    [a, b, c, d, e, f, g, h].forEach((word, i) => (state[i] = ((state[i] as number) + word) | 0));
  }
  return state;
}

export const hexOf = (words: Uint32Array): string => Array.from(words, (word) => word.toString(16).padStart(8, "0")).join("");

/** The number; undefined when there is none, or it is another scheme. */
export function solve({ algorithm, challenge, maxnumber, salt }: Work): number | undefined {
  if (algorithm !== "SHA-256") return undefined;
  const text = new TextEncoder();
  for (let number = 0; number <= maxnumber; number += 1) if (hexOf(sha256(text.encode(`${salt}${number}`))) === challenge) return number;
  return undefined;
}

/** What the door takes for it: base64 of JSON. */
export function solution({ algorithm, challenge, salt, signature }: Work, number: number): string {
  return btoa(JSON.stringify({ algorithm, challenge, number, salt, signature }));
}
