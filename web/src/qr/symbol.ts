// What every QR symbol of one version has in common, for whoever draws one and for whoever reads one (ISO/IEC 18004).

export const LEVELS = ["L", "M", "Q", "H"] as const;
export type Level = (typeof LEVELS)[number];

/** A code has at most 1,200 characters, which is version 22 at level M: larger symbols are none of ours. */
export const MOST_VERSION = 25;

// Table 9, one digit of base 36 a version: check codewords in each block, and how many blocks there are.
const CHECK: Record<Level, string> = {
  L: "7afkqikouikoqumosussssuuq",
  M: "agqiogimmqummoossqqqqssss",
  Q: "dmiqioimkosqokuossqusuuuu",
  H: "hsmgmsqqososmooussqsuouuu",
};
const BLOCKS: Record<Level, string> = {
  L: "11111222244444666678899ac",
  M: "11122444555899aabdeghhikl",
  Q: "11224466888acgchgilknnprt",
  H: "1124445688bbggigjlpppyuwz",
};

export const sideOf = (version: number): number => 17 + 4 * version;
const LEVEL_BITS: Record<Level, number> = { L: 1, M: 0, Q: 3, H: 2 };

export interface Blocks {
  readonly check: number; // check codewords in each block
  readonly data: readonly number[]; // data codewords of each block; the longer ones come last
}

export function blocksOf(version: number, level: Level): Blocks {
  const [check, count] = [CHECK, BLOCKS].map((table) => parseInt(table[level][version - 1] as string, 36)) as [number, number];
  const total = codewordsOf(version);
  const short = Math.floor(total / count);
  const long = total % count;
  return { check, data: Array.from({ length: count }, (_, n) => short - check + (n < count - long ? 0 : 1)) };
}

/** Codewords that a symbol has room for. */
export const codewordsOf = (version: number): number => freeOf(version) >> 3;

/** Modules of data: all but the patterns, the format and the version. */
function freeOf(version: number): number {
  const side = sideOf(version);
  const aligned = alignmentOf(version).length;
  // Three corners with finder, separator and format (9 × 9, 9 × 8, 8 × 9), the dark module among them; two timing lines.
  let free = side * side - 81 - 72 - 72 - 2 * (side - 17);
  if (aligned > 0) free -= 25 * (aligned * aligned - 3) - 10 * (aligned - 2);
  if (version >= 7) free -= 36;
  return free;
}

/** Rows (and columns) of the centres of alignment patterns. */
export function alignmentOf(version: number): number[] {
  if (version === 1) return [];
  const last = sideOf(version) - 7;
  const gaps = Math.floor(version / 7) + 1;
  const step = 2 * Math.ceil((last - 6) / (2 * gaps));
  return [6, ...Array.from({ length: gaps }, (_, n) => last - step * (gaps - 1 - n))];
}

/** A square of modules: 1 dark, 0 light; `fixed` ones carry no data. */
export class Grid {
  readonly version: number;
  readonly side: number;
  readonly dark: Uint8Array;
  readonly fixed: Uint8Array;

  /** With the patterns that have no choice; places of format and version are fixed and still light. */
  constructor(version: number) {
    this.version = version;
    this.side = sideOf(version);
    this.dark = new Uint8Array(this.side * this.side);
    this.fixed = new Uint8Array(this.side * this.side);
    const last = this.side - 1;
    for (let n = 0; n <= last; n++) {
      this.fix(6, n, n % 2 === 0);
      this.fix(n, 6, n % 2 === 0);
    }
    for (const [row, column] of [
      [3, 3],
      [3, last - 3],
      [last - 3, 3],
    ] as const) {
      this.rings(row, column, 4, [true, true, false, true, false]);
    }
    const centres = alignmentOf(version);
    const edge = centres.length - 1;
    centres.forEach((row, a) => {
      centres.forEach((column, b) => {
        if ((a === 0 && (b === 0 || b === edge)) || (a === edge && b === 0)) return; // a finder is there
        this.rings(row, column, 2, [true, false, true]);
      });
    });
    for (const copy of formatPlaces(this.side)) for (const [row, column] of copy) this.fix(row, column, false);
    this.fix(last - 7, 8, true);
    if (version >= 7) for (const copy of versionPlaces(this.side)) for (const [row, column] of copy) this.fix(row, column, false);
  }

  fix(row: number, column: number, dark: boolean): void {
    const at = row * this.side + column;
    this.dark[at] = Number(dark);
    this.fixed[at] = 1;
  }

  /** A square of rings around a module, cut off at the edge of the symbol. */
  private rings(row: number, column: number, radius: number, dark: readonly boolean[]): void {
    for (let y = row - radius; y <= row + radius; y++) {
      for (let x = column - radius; x <= column + radius; x++) {
        if (y < 0 || x < 0 || y >= this.side || x >= this.side) continue;
        this.fix(y, x, dark[Math.max(Math.abs(y - row), Math.abs(x - column))] as boolean);
      }
    }
  }

  /** Indices of the modules that carry data, in their order: pairs of columns from the right, up and down in turn. */
  *path(): Generator<number> {
    let up = true;
    for (let right = this.side - 1; right > 0; right -= 2) {
      if (right === 6) right = 5; // the timing line has a column of its own
      for (let n = 0; n < this.side; n++) {
        const row = up ? this.side - 1 - n : n;
        for (const column of [right, right - 1]) {
          const at = row * this.side + column;
          if (this.fixed[at] === 0) yield at;
        }
      }
      up = !up;
    }
  }
}

type Place = readonly [row: number, column: number];

/** Both copies of the 15 bits of format, the highest bit first. */
export function formatPlaces(side: number): readonly [readonly Place[], readonly Place[]] {
  const first: Place[] = [];
  for (const n of [0, 1, 2, 3, 4, 5, 7, 8]) first.push([8, n]);
  for (const n of [7, 5, 4, 3, 2, 1, 0]) first.push([n, 8]);
  const second: Place[] = [];
  for (let n = 1; n <= 7; n++) second.push([side - n, 8]);
  for (let n = 8; n >= 1; n--) second.push([8, side - n]);
  return [first, second];
}

/** Both copies of the 18 bits of the version, the lowest bit first. */
export function versionPlaces(side: number): readonly [readonly Place[], readonly Place[]] {
  const places = Array.from({ length: 18 }, (_, n): Place => [Math.floor(n / 3), side - 11 + (n % 3)]);
  return [places, places.map(([row, column]): Place => [column, row])];
}

/** The rest of `value` · x^degree, for the two codes that protect format and version. */
function bch(value: number, degree: number, generator: number): number {
  let rest = value << degree;
  for (let bit = 31 - Math.clz32(rest); bit >= degree; bit = 31 - Math.clz32(rest)) rest ^= generator << (bit - degree);
  return (value << degree) | rest;
}

/** 15 bits that say level and mask. */
export const formatOf = (level: Level, mask: number): number => bch((LEVEL_BITS[level] << 3) | mask, 10, 0x537) ^ 0x5412;

/** 18 bits that say the version. */
export const versionBits = (version: number): number => bch(version, 12, 0x1f25);

/** Whether the mask turns the module over (table 10). */
export const MASKS: readonly ((row: number, column: number) => boolean)[] = [
  (y, x) => (y + x) % 2 === 0,
  (y) => y % 2 === 0,
  (_, x) => x % 3 === 0,
  (y, x) => (y + x) % 3 === 0,
  (y, x) => (Math.floor(y / 2) + Math.floor(x / 3)) % 2 === 0,
  (y, x) => ((y * x) % 2) + ((y * x) % 3) === 0,
  (y, x) => (((y * x) % 2) + ((y * x) % 3)) % 2 === 0,
  (y, x) => (((y + x) % 2) + ((y * x) % 3)) % 2 === 0,
];

export const ALPHANUMERIC = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ $%*+-./:";

/** Bits of the number that says how many characters follow, by mode: numeric 1, alphanumeric 2, bytes 4. */
export function countBits(mode: number, version: number): number {
  const more = version < 10 ? 0 : 1;
  return mode === 1 ? 10 + 2 * more : mode === 2 ? 9 + 2 * more : 8 + 8 * more;
}
