// The text of a QR symbol in a picture: for doors whose browser has no BarcodeDetector (iPhones, desks).
//
// Shades become dark and light by what is around them; three finders give the corner, an alignment pattern the fourth point;
// the plane is sampled; format, Reed–Solomon and segments say what it means. What is found is a guess until Reed–Solomon
// agrees, and so all likely guesses are tried. It reads what encode.ts and others draw up to version 25, in one piece, dark
// on light, not mirrored.

import { correct } from "./galois.ts";
import {
  ALPHANUMERIC,
  blocksOf,
  codewordsOf,
  countBits,
  formatOf,
  formatPlaces,
  Grid,
  LEVELS,
  type Level,
  MASKS,
  MOST_VERSION,
  sideOf,
} from "./symbol.ts";

/** Like ImageData: four bytes a pixel. */
export interface Picture {
  readonly data: ArrayLike<number>;
  readonly width: number;
  readonly height: number;
}

/** Windows in which dark is told from light, as parts of the picture: a camera brings the next picture soon, a file comes once. */
const ONE_LOOK = [8];
const ALL_LOOKS = [8, 4, 16, 0];

/** The text of the symbol in the picture, undefined where none can be read. */
export function read(picture: Picture, thorough = true): string | undefined {
  const grey = greyOf(picture);
  for (const part of thorough ? ALL_LOOKS : ONE_LOOK) {
    const plane = planeOf(grey, picture.width, picture.height, part);
    const found = inPlane(plane, findersOf(plane));
    if (found !== undefined) return found;
  }
  return undefined;
}

/** The same of one picture of many: first at half its size, a quarter of the work, which is enough for a code that is held
 * close. At its full size only where half of it showed something like a symbol, or `full` says so. */
export function glance(picture: Picture, full: boolean): string | undefined {
  const half = halfOf(picture);
  const plane = planeOf(half.grey, half.width, half.height, 8);
  const finders = findersOf(plane);
  const found = inPlane(plane, finders);
  return found ?? (full || finders.length >= 2 ? read(picture, false) : undefined);
}

interface Plane {
  readonly dark: Uint8Array; // 1 or 0 a pixel
  readonly width: number;
  readonly height: number;
}
interface Point {
  readonly x: number;
  readonly y: number;
}
interface Finder extends Point {
  readonly module: number; // its size in pixels
  readonly seen: number;
}

function greyOf({ data, width, height }: Picture): Uint8Array {
  const grey = new Uint8Array(width * height);
  for (let n = 0, at = 0; n < grey.length; n++, at += 4) {
    grey[n] = (77 * (data[at] as number) + 150 * (data[at + 1] as number) + 29 * (data[at + 2] as number)) >> 8;
  }
  return grey;
}

/** Grey at half the size: each pixel the mean of four. */
function halfOf({ data, width, height }: Picture): { grey: Uint8Array; width: number; height: number } {
  const [across, down] = [width >> 1, height >> 1];
  const grey = new Uint8Array(across * down);
  for (let y = 0, n = 0; y < down; y++) {
    let at = 8 * y * width;
    for (let x = 0, under = at + 4 * width; x < across; x++, n++, at += 8, under += 8) {
      const red = (data[at] as number) + (data[at + 4] as number) + (data[under] as number) + (data[under + 4] as number);
      const green = (data[at + 1] as number) + (data[at + 5] as number) + (data[under + 1] as number) + (data[under + 5] as number);
      const blue = (data[at + 2] as number) + (data[at + 6] as number) + (data[under + 2] as number) + (data[under + 6] as number);
      grey[n] = (77 * red + 150 * green + 29 * blue) >> 10;
    }
  }
  return { grey, width: across, height: down };
}

/** Dark is what is darker than the mean of a window around it, 1/`part` of the picture wide; than the whole's for 0. The
 * window's sum moves along with it: each column's by a row, and along the row by a column. */
function planeOf(grey: Uint8Array, width: number, height: number, part: number): Plane {
  const dark = new Uint8Array(width * height);
  const half = part === 0 ? width + height : Math.max(8, Math.round(Math.min(width, height) / part / 2));
  const columns = new Int32Array(width); // within the rows of the window
  for (let at = 0; at < Math.min(half, height) * width; at++) columns[at % width] = (columns[at % width] as number) + (grey[at] as number);
  for (let y = 0, at = 0; y < height; y++) {
    const [comes, goes] = [(y + half) * width, (y - half - 1) * width];
    if (y + half < height) for (let x = 0; x < width; x++) columns[x] = (columns[x] as number) + (grey[comes + x] as number);
    if (goes >= 0) for (let x = 0; x < width; x++) columns[x] = (columns[x] as number) - (grey[goes + x] as number);
    const rows = Math.min(height, y + half + 1) - Math.max(0, y - half);
    let count = Math.min(half, width) * rows;
    let sum = 0;
    for (let x = 0; x < half && x < width; x++) sum += columns[x] as number;
    for (let x = 0; x < width; x++, at++) {
      if (x + half < width) {
        sum += columns[x + half] as number;
        count += rows;
      }
      if (x > half) {
        sum -= columns[x - half - 1] as number;
        count -= rows;
      }
      dark[at] = ((grey[at] as number) + 4) * count < sum ? 1 : 0;
    }
  }
  return { dark, width, height };
}

const MOST_FINDERS = 10;
const MOST_CORNERS = 12;

function inPlane(plane: Plane, finders: readonly Finder[]): string | undefined {
  for (const corner of cornersOf(finders)) {
    const found = atCorner(plane, corner);
    if (found !== undefined) return found;
  }
  return undefined;
}

// Finders: dark, light, dark, light, dark as 1 : 1 : 3 : 1 : 1, in every direction.

function findersOf(plane: Plane): Finder[] {
  const { dark, width, height } = plane;
  const found: Finder[] = [];
  for (let y = 0; y < height; y += 2) {
    let shade = 0;
    let [first, second, third, fourth, last] = [0, 0, 0, 0, 0]; // the runs that end here
    for (let x = 0, at = y * width; x <= width; x++, at++) {
      const now = x < width ? (dark[at] as number) : 1 - shade;
      if (now === shade) {
        last++;
        continue;
      }
      if (shade === 1 && looksLikeFinder(first, second, third, fourth, last)) {
        const finder = checked(plane, x - last - fourth - third / 2, y, (first + second + third + fourth + last) / 7);
        if (finder !== undefined) gather(found, finder);
      }
      first = second;
      second = third;
      third = fourth;
      fourth = last;
      last = 1;
      shade = now;
    }
  }
  return found.sort((a, b) => b.seen - a.seen).slice(0, MOST_FINDERS);
}

function looksLikeFinder(first: number, second: number, third: number, fourth: number, last: number): boolean {
  if (first === 0 || second === 0 || third === 0 || fourth === 0 || last === 0) return false;
  const module = (first + second + third + fourth + last) / 7;
  const off = 0.75 * module + 0.5;
  return (
    module >= 1 &&
    Math.abs(third - 3 * module) <= 1.5 * module + 0.5 &&
    Math.abs(first - module) <= off &&
    Math.abs(second - module) <= off &&
    Math.abs(fourth - module) <= off &&
    Math.abs(last - module) <= off
  );
}

/** Looks at a likely finder upright, across and aslant; where it is, if it is one. */
function checked(plane: Plane, x: number, y: number, module: number): Finder | undefined {
  const upright = through(plane, Math.floor(x), y, 0, 1);
  if (upright === undefined || upright.module > 2 * module || module > 2 * upright.module) return undefined;
  const across = through(plane, Math.floor(x), Math.round(y + upright.offset), 1, 0);
  if (across === undefined) return undefined;
  const at = { x: Math.floor(x) + across.offset + 0.5, y: y + upright.offset + 0.5 };
  if (through(plane, Math.floor(at.x), Math.floor(at.y), 1, 1) === undefined && through(plane, Math.floor(at.x), Math.floor(at.y), 1, -1) === undefined) {
    return undefined;
  }
  return { ...at, module: (upright.module + across.module) / 2, seen: 1 };
}

/** The five runs through a pixel along a direction: the size of a module, and how far off the middle is. */
function through(plane: Plane, x: number, y: number, dx: number, dy: number): { module: number; offset: number } | undefined {
  const runs = new Int32Array(5);
  const walked = [0, 0];
  for (const [side, sign] of [
    [0, -1],
    [1, 1],
  ] as const) {
    let n = side; // the pixel itself counts once
    for (let ring = 0; ring < 3; ring++) {
      const want = ring % 2 === 0 ? 1 : 0;
      const place = 2 + sign * ring;
      const from = n;
      while (shadeAt(plane, x + sign * n * dx, y + sign * n * dy) === want) n++;
      runs[place] = (runs[place] as number) + n - from;
      if (ring === 0) walked[side] = n;
      if (n - from === 0 && !(ring === 0 && side === 1)) return undefined;
    }
  }
  const [first, second, third, fourth, last] = runs as unknown as [number, number, number, number, number];
  if (!looksLikeFinder(first, second, third, fourth, last)) return undefined;
  return { module: (first + second + third + fourth + last) / 7, offset: ((walked[1] as number) - (walked[0] as number)) / 2 };
}

/** 1 dark, 0 light, −1 outside. */
function shadeAt({ dark, width, height }: Plane, x: number, y: number): number {
  return x < 0 || y < 0 || x >= width || y >= height ? -1 : (dark[y * width + x] as number);
}

function gather(found: Finder[], finder: Finder): void {
  const near = found.findIndex((one) => Math.hypot(one.x - finder.x, one.y - finder.y) < 3 * Math.min(one.module, finder.module));
  const one = found[near];
  if (one === undefined) {
    found.push(finder);
    return;
  }
  const seen = one.seen + 1;
  const mean = (name: "x" | "y" | "module"): number => (one[name] * one.seen + finder[name]) / seen;
  found[near] = { x: mean("x"), y: mean("y"), module: mean("module"), seen };
}

// Corners: three finders, as the hands of a square.

interface Corner {
  readonly topLeft: Finder;
  readonly topRight: Finder;
  readonly bottomLeft: Finder;
}

function cornersOf(finders: readonly Finder[]): Corner[] {
  const scored: { corner: Corner; wrong: number }[] = [];
  for (const [n, a] of finders.entries()) {
    for (const [m, b] of finders.entries()) {
      for (const topLeft of finders) {
        if (n >= m || topLeft === a || topLeft === b) continue;
        const turn = (a.x - topLeft.x) * (b.y - topLeft.y) - (a.y - topLeft.y) * (b.x - topLeft.x);
        const [topRight, bottomLeft] = turn > 0 ? [a, b] : [b, a];
        const wrong = wrongness(topLeft, topRight, bottomLeft);
        if (wrong < 2) scored.push({ corner: { topLeft, topRight, bottomLeft }, wrong });
      }
    }
  }
  scored.sort((a, b) => a.wrong - b.wrong);
  return scored.slice(0, MOST_CORNERS).map(({ corner }) => corner);
}

/** 0 for a right angle with hands and modules of one length; more the less so. */
function wrongness(corner: Finder, a: Finder, b: Finder): number {
  const [toA, toB] = [Math.hypot(a.x - corner.x, a.y - corner.y), Math.hypot(b.x - corner.x, b.y - corner.y)];
  const cosine = ((a.x - corner.x) * (b.x - corner.x) + (a.y - corner.y) * (b.y - corner.y)) / (toA * toB);
  const sizes = [corner.module, a.module, b.module];
  if (Math.min(toA, toB) < 10 * Math.min(...sizes)) return Infinity;
  return Math.abs(cosine) * 2 + Math.abs(Math.log(toA / toB)) * 2 + Math.log(Math.max(...sizes) / Math.min(...sizes));
}

function atCorner(plane: Plane, corner: Corner): string | undefined {
  const { topLeft, topRight, bottomLeft } = corner;
  // The finders were measured along the picture's axes, which is longer where the symbol is turned.
  const modules = (other: Finder): number => {
    const [dx, dy] = [Math.abs(other.x - topLeft.x), Math.abs(other.y - topLeft.y)];
    return (2 * (dx * dx + dy * dy)) / Math.max(dx, dy) / (topLeft.module + other.module);
  };
  const guess = ((modules(topRight) + modules(bottomLeft)) / 2 + 7 - 17) / 4;
  const versions = Array.from({ length: MOST_VERSION }, (_, n) => n + 1)
    .filter((version) => Math.abs(version - guess) <= 1.6)
    .sort((a, b) => Math.abs(a - guess) - Math.abs(b - guess));
  for (const version of versions) {
    const side = sideOf(version);
    for (const fourth of fourthPoints(plane, corner, version)) {
      const map = mapOf(
        [
          [3.5, 3.5, topLeft],
          [side - 3.5, 3.5, topRight],
          [3.5, side - 3.5, bottomLeft],
          [fourth.column, fourth.row, fourth],
        ],
      );
      if (map === undefined || !isTimed(plane, map, side)) continue;
      const text = textOf(sampled(plane, map, version));
      if (text !== undefined) return text;
    }
  }
  return undefined;
}

/** Where the lower right is: as the corner of a parallelogram, which is all it takes where the symbol is seen from straight
 * ahead; then by an alignment pattern, which has to be looked for. */
function* fourthPoints(plane: Plane, corner: Corner, version: number): Generator<Point & { column: number; row: number }> {
  const { topLeft, topRight, bottomLeft } = corner;
  const side = sideOf(version);
  const span = side - 7;
  const right = { x: (topRight.x - topLeft.x) / span, y: (topRight.y - topLeft.y) / span };
  const down = { x: (bottomLeft.x - topLeft.x) / span, y: (bottomLeft.y - topLeft.y) / span };
  const at = (column: number, row: number): Point => ({
    x: topLeft.x + right.x * (column - 3.5) + down.x * (row - 3.5),
    y: topLeft.y + right.y * (column - 3.5) + down.y * (row - 3.5),
  });
  yield { ...at(side - 3.5, side - 3.5), column: side - 3.5, row: side - 3.5 };
  if (version === 1) return;
  const place = side - 6.5;
  const expected = at(place, place);
  const module = (Math.hypot(right.x, right.y) + Math.hypot(down.x, down.y)) / 2;
  const reach = Math.ceil(module * (4 + side / 16));
  const step = Math.max(1, Math.floor(module / 3));
  const scored: (Point & { score: number })[] = [];
  for (let dy = -reach; dy <= reach; dy += step) {
    for (let dx = -reach; dx <= reach; dx += step) {
      const centre = { x: expected.x + dx, y: expected.y + dy };
      let score = 25;
      for (let row = -2; row <= 2 && score >= 22; row++) {
        for (let column = -2; column <= 2; column++) {
          const want = row > -2 && row < 2 && column > -2 && column < 2 && (row !== 0 || column !== 0) ? 0 : 1;
          const x = Math.floor(centre.x + column * right.x + row * down.x);
          const y = Math.floor(centre.y + column * right.y + row * down.y);
          if (shadeAt(plane, x, y) !== want) score--;
        }
      }
      if (score >= 22) scored.push({ ...centre, score });
    }
  }
  // Neighbours of the best place are as good as it: their middle is the pattern's.
  const groups: { x: number; y: number; weight: number; best: number }[] = [];
  scored.sort((a, b) => b.score - a.score);
  for (const one of scored) {
    const group = groups.find((g) => Math.hypot(g.x / g.weight - one.x, g.y / g.weight - one.y) < 1.5 * module);
    const weight = 4 ** (one.score - 22);
    if (group === undefined) groups.push({ x: one.x * weight, y: one.y * weight, weight, best: one.score });
    else {
      group.x += one.x * weight;
      group.y += one.y * weight;
      group.weight += weight;
    }
  }
  for (const g of groups.slice(0, 4)) yield { x: g.x / g.weight, y: g.y / g.weight, column: place, row: place };
}

// From modules to pixels.

type Map = (column: number, row: number) => Point;

/** The projective map that takes each [column, row] to its point; undefined when three of them lie on a line. */
function mapOf(pairs: readonly (readonly [number, number, Point])[]): Map | undefined {
  const rows: number[][] = [];
  for (const [u, v, { x, y }] of pairs) {
    rows.push([u, v, 1, 0, 0, 0, -u * x, -v * x, x], [0, 0, 0, u, v, 1, -u * y, -v * y, y]);
  }
  for (let n = 0; n < 8; n++) {
    const best = rows.slice(n).reduce((top, row, at) => (Math.abs(row[n] as number) > Math.abs(rows[top]?.[n] as number) ? at + n : top), n);
    [rows[n], rows[best]] = [rows[best] as number[], rows[n] as number[]];
    const head = rows[n] as number[];
    const lead = head[n] as number;
    if (Math.abs(lead) < 1e-9) return undefined;
    for (let k = n; k < 9; k++) head[k] = (head[k] as number) / lead;
    for (const [at, row] of rows.entries()) {
      const factor = row[n] as number;
      if (at !== n && factor !== 0) for (let k = n; k < 9; k++) row[k] = (row[k] as number) - factor * (head[k] as number);
    }
  }
  const [a, b, c, d, e, f, g, h] = rows.map((row) => row[8] as number) as [number, number, number, number, number, number, number, number];
  return (u, v) => {
    const w = g * u + h * v + 1;
    return { x: (a * u + b * v + c) / w, y: (d * u + e * v + f) / w };
  };
}

/** Whether dark and light take turns where the timing lines would be: most wrong guesses end here. */
function isTimed(plane: Plane, map: Map, side: number): boolean {
  let right = 0;
  for (let n = 8; n < side - 8; n++) {
    for (const { x, y } of [map(n + 0.5, 6.5), map(6.5, n + 0.5)]) {
      right += Number(shadeAt(plane, Math.floor(x), Math.floor(y)) === 1 - (n % 2));
    }
  }
  return right >= 0.75 * 2 * (side - 16);
}

/** The modules as the picture shows them, each by five points around its middle. */
function sampled(plane: Plane, map: Map, version: number): Grid {
  const grid = new Grid(version);
  for (let row = 0; row < grid.side; row++) {
    for (let column = 0; column < grid.side; column++) {
      let dark = 0;
      for (const [dx, dy] of AROUND) {
        const { x, y } = map(column + 0.5 + dx, row + 0.5 + dy);
        dark += Number(shadeAt(plane, Math.floor(x), Math.floor(y)) === 1);
      }
      grid.dark[row * grid.side + column] = Number(dark >= 3);
    }
  }
  return grid;
}
const AROUND = [
  [0, 0],
  [0.2, 0],
  [-0.2, 0],
  [0, 0.2],
  [0, -0.2],
] as const;

// From modules to text.

function textOf(grid: Grid): string | undefined {
  const format = formatIn(grid);
  if (format === undefined) return undefined;
  const turns = MASKS[format.mask] as (row: number, column: number) => boolean;
  const sent = new Uint8Array(codewordsOf(grid.version));
  let n = 0;
  for (const at of grid.path()) {
    if (n >> 3 >= sent.length) break;
    const bit = (grid.dark[at] as number) ^ Number(turns(Math.floor(at / grid.side), at % grid.side));
    sent[n >> 3] = (sent[n >> 3] as number) | (bit << (7 - (n & 7)));
    n++;
  }
  const data = corrected(sent, grid.version, format.level);
  return data === undefined ? undefined : spoken(data, grid.version);
}

const FORMATS = LEVELS.flatMap((level) => MASKS.map((_, mask) => ({ level, mask, bits: formatOf(level, mask) })));

/** Level and mask, if one of the two copies is at most three bits off. */
function formatIn(grid: Grid): { level: Level; mask: number } | undefined {
  let best: { level: Level; mask: number; off: number } | undefined;
  for (const copy of formatPlaces(grid.side)) {
    const seen = copy.reduce((bits, [row, column]) => (bits << 1) | (grid.dark[row * grid.side + column] as number), 0);
    for (const { level, mask, bits } of FORMATS) {
      let off = 0;
      for (let rest = seen ^ bits; rest !== 0; rest &= rest - 1) off++;
      if (off <= 3 && (best === undefined || off < best.off)) best = { level, mask, off };
    }
  }
  return best;
}

/** The data codewords, when Reed–Solomon holds in every block. */
function corrected(sent: Uint8Array, version: number, level: Level): Uint8Array | undefined {
  const { check, data } = blocksOf(version, level);
  const blocks = data.map((length) => new Uint8Array(length + check));
  let at = 0;
  for (let n = 0; n < Math.max(...data); n++) {
    blocks.forEach((block, which) => {
      if (n < (data[which] as number)) block[n] = sent[at++] as number;
    });
  }
  for (let n = 0; n < check; n++) blocks.forEach((block, which) => (block[(data[which] as number) + n] = sent[at++] as number));
  const out: number[] = [];
  for (const [which, block] of blocks.entries()) {
    if (!correct(block, check)) return undefined;
    out.push(...block.subarray(0, data[which]));
  }
  return Uint8Array.from(out);
}

/** The segments' text: digits, alphanumeric, bytes in UTF-8. Undefined for any other kind. */
function spoken(data: Uint8Array, version: number): string | undefined {
  let at = 0;
  const left = (): number => 8 * data.length - at;
  const take = (bits: number): number => {
    let value = 0;
    for (let n = 0; n < bits; n++, at++) value = (value << 1) | (((data[at >> 3] ?? 0) >> (7 - (at & 7))) & 1);
    return value;
  };
  let text = "";
  while (left() >= 4) {
    const mode = take(4);
    if (mode === 0) return text;
    if (mode !== 1 && mode !== 2 && mode !== 4) return undefined;
    let count = take(countBits(mode, version));
    if (mode === 4) {
      if (8 * count > left()) return undefined;
      const bytes = Uint8Array.from({ length: count }, () => take(8));
      try {
        text += new TextDecoder("utf-8", { fatal: true }).decode(bytes);
      } catch {
        return undefined;
      }
      continue;
    }
    const [most, whole, bits] = mode === 1 ? [3, 10, [0, 4, 7]] : [2, 11, [0, 6]];
    for (; count > 0; count -= most) {
      const here = Math.min(count, most);
      const length = here === most ? whole : (bits[here] as number);
      if (length > left()) return undefined;
      const value = take(length);
      if (mode === 1) {
        if (value >= 10 ** here) return undefined;
        text += String(value).padStart(here, "0");
      } else {
        if (value >= 45 ** here) return undefined;
        text += here === 2 ? `${ALPHANUMERIC[Math.floor(value / 45)]}${ALPHANUMERIC[value % 45]}` : ALPHANUMERIC[value];
      }
    }
  }
  return text;
}
