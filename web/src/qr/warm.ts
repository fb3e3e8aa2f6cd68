// A reader that has read: a browser compiles what runs often, and the first picture is the one that somebody waits for.

import { encode } from "./encode.ts";
import { glance, type Picture } from "./read.ts";

const SCALE = 6; // pixels a module
const BORDER = 8; // modules
const ROUNDS = 6;

/** Reads a symbol of its own, of the size that phones show, until the engine knows the way. */
export function warm(): void {
  const picture = drawn(`KM1:${"KANGMA 0123456789".repeat(20)}`);
  for (let round = 0; round < ROUNDS; round++) glance(picture, false);
}

function drawn(text: string): Picture {
  const { side, dark } = encode(text, "M", 0);
  const wide = (side + 2 * BORDER) * SCALE;
  const data = new Uint8ClampedArray(4 * wide * wide).fill(255);
  for (let y = 0; y < side * SCALE; y++) {
    for (let x = 0; x < side * SCALE; x++) {
      if (dark[Math.floor(y / SCALE) * side + Math.floor(x / SCALE)] === 0) continue;
      const at = 4 * ((y + BORDER * SCALE) * wide + x + BORDER * SCALE);
      data.fill(0, at, at + 3);
    }
  }
  return { data, width: wide, height: wide };
}
