// A small generator of chance (xorshift32), so that a run can be repeated in any browser.

import type { Bytes } from "../src/verify/bytes.ts";

export interface Chance {
  below(end: number): number;
  bytes(length: number): Bytes;
}

export function chance(seed: number): Chance {
  let state = (seed * 2_654_435_761) >>> 0 || 1;
  const next = (): number => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    state >>>= 0;
    return state;
  };
  return {
    below: (end) => next() % end,
    bytes: (length) => Uint8Array.from({ length }, () => next() >>> 24),
  };
}
