// A text as a QR symbol (ISO/IEC 18004): one segment, alphanumeric where the text allows it, the smallest version that holds
// it, the mask with the least penalty.

import { checkOf } from "./galois.ts";
import {
  ALPHANUMERIC,
  blocksOf,
  countBits,
  formatOf,
  formatPlaces,
  Grid,
  type Level,
  MASKS,
  MOST_VERSION,
  versionBits,
  versionPlaces,
} from "./symbol.ts";

/** The symbol of a text. Throws RangeError for a text that no version up to 25 holds. `mask` is for tests. */
export function encode(text: string, level: Level = "M", mask?: number): Grid {
  const [version, data] = dataOf(text, level);
  const grid = new Grid(version);
  if (version >= 7) {
    const bits = versionBits(version);
    for (const copy of versionPlaces(grid.side)) copy.forEach(([row, column], n) => grid.fix(row, column, ((bits >> n) & 1) === 1));
  }
  const places = [...grid.path()];
  const sent = interleaved(data, version, level);
  places.forEach((at, n) => {
    grid.dark[at] = ((sent[n >> 3] ?? 0) >> (7 - (n & 7))) & 1;
  });
  let best = { mask: 0, penalty: Infinity };
  if (mask === undefined) {
    for (let tried = 0; tried < MASKS.length; tried++) {
      masked(grid, places, level, tried);
      const penalty = penaltyOf(grid);
      if (penalty < best.penalty) best = { mask: tried, penalty };
      masked(grid, places, level, tried); // a second time takes it off
    }
  }
  masked(grid, places, level, mask ?? best.mask);
  return grid;
}

/** The dark modules as the data of an SVG path in units of a module, each run of a row one rectangle. */
export function pathOf(grid: Grid): string {
  let path = "";
  for (let row = 0; row < grid.side; row++) {
    for (let column = 0; column < grid.side; column++) {
      if (grid.dark[row * grid.side + column] === 0) continue;
      const from = column;
      while (column < grid.side && grid.dark[row * grid.side + column] === 1) column++;
      path += `M${from} ${row}h${column - from}v1h${from - column}z`;
    }
  }
  return path;
}

/** The smallest version that holds the text, and the data codewords, filled up. */
function dataOf(text: string, level: Level): [version: number, data: Uint8Array] {
  const alphanumeric = [...text].every((character) => ALPHANUMERIC.includes(character));
  const bytes = new TextEncoder().encode(text);
  const [mode, count] = alphanumeric ? [2, text.length] : [4, bytes.length];
  const length = alphanumeric ? 11 * (count >> 1) + 6 * (count & 1) : 8 * count;
  for (let version = 1; version <= MOST_VERSION; version++) {
    const room = blocksOf(version, level).data.reduce((sum, block) => sum + block, 0);
    if (4 + countBits(mode, version) + length > 8 * room) continue;
    const out = new Bits(room);
    out.add(mode, 4);
    out.add(count, countBits(mode, version));
    if (!alphanumeric) for (const byte of bytes) out.add(byte, 8);
    else {
      for (let n = 0; n < count; n += 2) {
        const [a, b] = [ALPHANUMERIC.indexOf(text[n] as string), text[n + 1]];
        if (b === undefined) out.add(a, 6);
        else out.add(45 * a + ALPHANUMERIC.indexOf(b), 11);
      }
    }
    out.fill();
    return [version, out.bytes];
  }
  throw new RangeError("too long for a QR code of ours");
}

class Bits {
  readonly bytes: Uint8Array;
  private length = 0;

  constructor(room: number) {
    this.bytes = new Uint8Array(room);
  }

  add(value: number, bits: number): void {
    for (let n = bits - 1; n >= 0; n--, this.length++) {
      const at = this.length >> 3;
      this.bytes[at] = (this.bytes[at] as number) | (((value >> n) & 1) << (7 - (this.length & 7)));
    }
  }

  /** Up to four zeros, zeros to the next byte, then 11101100 and 00010001 in turn. */
  fill(): void {
    this.length = Math.min(this.length + 4, 8 * this.bytes.length);
    for (let at = (this.length + 7) >> 3, n = 0; at < this.bytes.length; at++, n++) this.bytes[at] = n % 2 === 0 ? 0xec : 0x11;
  }
}

/** The blocks' codewords in turn, data first, then check. */
function interleaved(data: Uint8Array, version: number, level: Level): Uint8Array {
  const { check, data: lengths } = blocksOf(version, level);
  let from = 0;
  const blocks = lengths.map((length) => {
    const block = data.subarray(from, (from += length));
    return { block, check: checkOf(block, check) };
  });
  const sent: number[] = [];
  for (let n = 0; n < Math.max(...lengths); n++) for (const { block } of blocks) if (n < block.length) sent.push(block[n] as number);
  for (let n = 0; n < check; n++) for (const one of blocks) sent.push(one.check[n] as number);
  return Uint8Array.from(sent);
}

/** Turns over what the mask says, and writes level and mask. */
function masked(grid: Grid, places: readonly number[], level: Level, mask: number): void {
  const turns = MASKS[mask] as (row: number, column: number) => boolean;
  for (const at of places) {
    if (turns(Math.floor(at / grid.side), at % grid.side)) grid.dark[at] = 1 - (grid.dark[at] as number);
  }
  const bits = formatOf(level, mask);
  for (const copy of formatPlaces(grid.side)) copy.forEach(([row, column], n) => grid.fix(row, column, ((bits >> (14 - n)) & 1) === 1));
}

/** How hard a symbol is to read (7.8.3): long runs, blocks, what looks like a finder, and more of one shade. */
function penaltyOf({ dark, side }: Grid): number {
  let penalty = 0;
  for (const [along, across] of [
    [1, side],
    [side, 1],
  ] as const) {
    for (let line = 0; line < side; line++) {
      let run = 0;
      let seen = 0; // the last eleven modules
      for (let n = 0; n < side; n++) {
        const at = line * across + n * along;
        run = n > 0 && dark[at] === dark[at - along] ? run + 1 : 1;
        if (run === 5) penalty += 3;
        else if (run > 5) penalty++;
        seen = ((seen << 1) | (dark[at] as number)) & 0x7ff;
        if (n >= 10 && (seen === 0b10111010000 || seen === 0b00001011101)) penalty += 40;
      }
    }
  }
  for (let row = 0; row + 1 < side; row++) {
    for (let column = 0; column + 1 < side; column++) {
      const at = row * side + column;
      const sum = (dark[at] as number) + (dark[at + 1] as number) + (dark[at + side] as number) + (dark[at + side + 1] as number);
      if (sum === 0 || sum === 4) penalty += 3;
    }
  }
  const share = (100 * dark.reduce((sum, one) => sum + one, 0)) / (side * side);
  return penalty + 10 * Math.floor(Math.abs(share - 50) / 5);
}
