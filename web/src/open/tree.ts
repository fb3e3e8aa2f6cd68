// The log's tree as its tiles hold it (C2SP tlog-tiles; docs/formats/log.md). The hashes at the tree's edge give the root; every
// other tile is the one that a hash of the tile above it names. So whatever a page reads of a log, however long, is held against
// the one root that was signed, by a handful of files of 8 KiB.

import { type Bytes, joined, same, sha256 } from "../verify/bytes.ts";

export const WIDTH = 256; // hashes of a full tile, entries of a full bundle
const HASH = 32; // bytes
const LEVEL_OF_ENTRIES = "entries";

export type Get = (path: string, most: number) => Promise<Bytes>;

/** What stands there is not what the signed root says. */
export class Torn extends Error {}

/** tile/0/x001/067, a partial one with how many it holds. */
function pathOf(level: number | typeof LEVEL_OF_ENTRIES, index: number, width: number): string {
  const groups = [String(index % 1_000).padStart(3, "0")];
  for (let rest = Math.floor(index / 1_000); rest > 0; rest = Math.floor(rest / 1_000)) groups.unshift(`x${String(rest % 1_000).padStart(3, "0")}`);
  return `tile/${level}/${groups.join("/")}${width < WIDTH ? `.p/${width}` : ""}`;
}

/** How many places are taken of a tile, or of a bundle (level 0), in a log of that size. */
function widthOf(level: number, index: number, size: number): number {
  return Math.max(0, Math.min(WIDTH, Math.floor(size / WIDTH ** level) - index * WIDTH));
}

/** A tile or bundle as it is in a log of that size. A partial one is gone once it is full: then the full one is given. */
async function fetched(get: Get, level: number | typeof LEVEL_OF_ENTRIES, index: number, size: number, most: number): Promise<Bytes> {
  const width = widthOf(level === LEVEL_OF_ENTRIES ? 0 : level, index, size);
  try {
    return await get(pathOf(level, index, width), most);
  } catch (problem) {
    if (width === WIDTH) throw problem;
    return get(pathOf(level, index, WIDTH), most);
  }
}

/** The entries of bundle `index` in a log of that size. */
export async function bundleOf(get: Get, index: number, size: number, most: number): Promise<Bytes[]> {
  const bundle = await fetched(get, LEVEL_OF_ENTRIES, index, size, most);
  const entries: Bytes[] = [];
  // Behind each other, each after its length in two bytes.
  for (let at = 0; at < bundle.length; ) {
    const length = ((bundle[at] ?? 0) << 8) | (bundle[at + 1] ?? 0);
    const entry = bundle.slice(at + 2, at + 2 + length);
    if (entry.length !== length || length === 0) throw new Torn("no bundle");
    entries.push(entry);
    at += 2 + length;
  }
  const width = widthOf(0, index, size);
  if (entries.length < width) throw new Torn("a short bundle");
  return entries.slice(0, width);
}

const leafHash = (entry: Bytes): Promise<Bytes> => sha256(joined(new Uint8Array([0]), entry));
const nodeHash = (left: Bytes, right: Bytes): Promise<Bytes> => sha256(joined(new Uint8Array([1]), left, right));

/** The hash above these. An odd one out is carried up as it is: that divides at powers of two (RFC 6962, 2.1). */
async function above(level: readonly Bytes[]): Promise<Bytes> {
  if (level.length === 0) return sha256(new Uint8Array(0));
  while (level.length > 1) {
    const pairs = Array.from({ length: Math.ceil(level.length / 2) }, (_, n) => {
      const [left, right] = [level[2 * n] as Bytes, level[2 * n + 1]];
      return right === undefined ? left : nodeHash(left, right);
    });
    level = await Promise.all(pairs);
  }
  return level[0] as Bytes;
}

/** The hash of the first leaves, as far as somebody can tell it. */
export interface Rooted {
  /** Throws Torn where what would give it is not what the signed root says. */
  rootOf(size: number): Promise<Bytes>;
}

/** All entries of a log. */
export class Whole implements Rooted {
  private readonly leaves: readonly Bytes[];

  private constructor(leaves: readonly Bytes[]) {
    this.leaves = leaves;
  }

  /** Throws Torn where they do not give that root. */
  static async of(entries: readonly Bytes[], root: Bytes): Promise<Whole> {
    const made = new Whole(await Promise.all(entries.map(leafHash)));
    if (!same(await made.rootOf(entries.length), root)) throw new Torn("another root");
    return made;
  }

  rootOf(size: number): Promise<Bytes> {
    return above(this.leaves.slice(0, size));
  }
}

/** The hashes of a log of any length. */
export class Tiles implements Rooted {
  private readonly get: Get;
  private readonly size: number;
  private readonly held = new Map<string, Promise<readonly Bytes[]>>();

  private constructor(get: Get, size: number) {
    this.get = get;
    this.size = size;
  }

  /** Throws Torn where the edge of the tree does not give that root, and what `get` throws. */
  static async of(get: Get, size: number, root: Bytes): Promise<Tiles> {
    const made = new Tiles(get, size);
    // A tile that is not full lies at the edge: all of them together are what the root is made of.
    for (let level = 0; size / WIDTH ** level >= 1; level++) {
      const index = Math.floor(size / WIDTH ** (level + 1));
      if (widthOf(level, index, size) > 0) made.held.set(`${level} ${index}`, made.read(level, index));
    }
    await Promise.all(made.held.values());
    if (!same(await made.rootOf(size), root)) throw new Torn("another root");
    return made;
  }

  async rootOf(size: number): Promise<Bytes> {
    const peaks: Bytes[] = [];
    for (let start = 0; start < size; ) {
      let leaves = 1; // of the largest complete tree that stands next
      while (2 * leaves <= size - start) leaves *= 2;
      let level = 0;
      while (leaves >= WIDTH ** (level + 1)) level++;
      const [first, count] = [start / WIDTH ** level, leaves / WIDTH ** level];
      const tile = await this.tile(level, Math.floor(first / WIDTH));
      peaks.push(await above(tile.slice(first % WIDTH, (first % WIDTH) + count)));
      start += leaves;
    }
    if (peaks.length === 0) return above([]);
    let root = peaks.pop() as Bytes;
    for (const left of peaks.reverse()) root = await nodeHash(left, root);
    return root;
  }

  /** Throws Torn where these are not the entries of bundle `index`. */
  async hold(index: number, entries: readonly Bytes[]): Promise<void> {
    const leaves = await Promise.all(entries.map(leafHash));
    const full = leaves.length === WIDTH;
    const [named] = full ? [(await this.tile(1, Math.floor(index / WIDTH)))[index % WIDTH]] : [await above(await this.tile(0, index))];
    if (named === undefined || !same(await above(leaves), named)) throw new Torn("another entry");
  }

  /** The hashes of a tile, of which it is known that the root is made of them. */
  private tile(level: number, index: number): Promise<readonly Bytes[]> {
    const name = `${level} ${index}`;
    let found = this.held.get(name);
    if (found === undefined) {
      found = this.read(level, index).then(async (hashes) => {
        const named = (await this.tile(level + 1, Math.floor(index / WIDTH)))[index % WIDTH];
        if (named === undefined || hashes.length !== WIDTH || !same(await above(hashes), named)) throw new Torn("another hash");
        return hashes;
      });
      this.held.set(name, found);
    }
    return found;
  }

  private async read(level: number, index: number): Promise<readonly Bytes[]> {
    const width = widthOf(level, index, this.size);
    const content = await fetched(this.get, level, index, this.size, WIDTH * HASH);
    if (content.length < width * HASH) throw new Torn("a short tile");
    return Array.from({ length: width }, (_, n) => content.slice(n * HASH, (n + 1) * HASH));
  }
}
