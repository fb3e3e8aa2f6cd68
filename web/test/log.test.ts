// The public log at /open: whatever its length, its root is worked out here, from a few small files, and held against what this
// device saw before. The tree of these tests is the plain definition of RFC 6962, and knows nothing of tiles.

import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { test } from "node:test";
import { type Log, logOf, type Seen } from "../src/open/log.ts";
import type { Bytes } from "../src/verify/bytes.ts";
import type { Authority } from "../src/verify/trust.ts";

const ORIGIN = "log.example/city";
const AUTHORITY = { origin: ORIGIN, keys: [] } as unknown as Authority;
const sha256 = (...parts: readonly Uint8Array[]): Bytes => {
  const made = createHash("sha256");
  for (const part of parts) made.update(part);
  return new Uint8Array(made.digest()) as Bytes;
};

const turn = (n: number): Bytes => Uint8Array.of(1, ...sha256(Buffer.from(`turn ${n}`)));
const release = (n: number): Bytes => Uint8Array.of(2, ...Buffer.from(JSON.stringify({ type: "release", number: n, at: 1_650_000_000 + n, persons: 9, turns: [0, 1], policy: "00" })));
const entries = (size: number): Bytes[] => Array.from({ length: size }, (_, n) => (n % 100 === 99 ? release(n) : turn(n)));

/** The root of leaves [from, to): RFC 6962, 2.1, word by word. */
function mth(leaves: readonly Bytes[], from = 0, to = leaves.length): Bytes {
  if (to === from) return sha256();
  if (to - from === 1) return leaves[from] as Bytes;
  let k = 1;
  while (2 * k < to - from) k *= 2;
  return sha256(Uint8Array.of(1), mth(leaves, from, from + k), mth(leaves, from + k, to));
}

/** Which of the files of a log: tile/0/x001/067, tile/entries/000.p/17. */
function pathOf(level: number | "entries", index: number, held: number): string {
  const digits = String(index).padStart(Math.ceil(String(index).length / 3) * 3, "0");
  const groups = digits.match(/.{3}/g) as string[];
  return `tile/${level}/${groups.map((group, at) => (at < groups.length - 1 ? `x${group}` : group)).join("/")}${held < 256 ? `.p/${held}` : ""}`;
}

/** A log in files, as somebody publishes it, and what was asked for. */
class Published {
  readonly asked: string[] = [];
  readonly size: number;
  readonly root: string;
  readonly files: Map<string, Bytes>;

  constructor(size: number, root: string, files: Map<string, Bytes>) {
    [this.size, this.root, this.files] = [size, root, files];
  }

  static of(all: readonly Bytes[]): Published {
    const leaves = all.map((entry) => sha256(Uint8Array.of(0), entry));
    const files = new Map<string, Bytes>();
    for (let at = 0; at < all.length; at += 256) {
      const held = all.slice(at, at + 256);
      files.set(pathOf("entries", at / 256, held.length), bytes(...held.flatMap((entry) => [Uint8Array.of(entry.length >> 8, entry.length & 255), entry])));
    }
    for (let [level, under] = [0, 1]; all.length / under >= 1; level++, under *= 256) {
      const hashes = Array.from({ length: Math.floor(all.length / under) }, (_, n) => mth(leaves, n * under, (n + 1) * under));
      for (let at = 0; at < hashes.length; at += 256) files.set(pathOf(level, at / 256, hashes.slice(at, at + 256).length), bytes(...hashes.slice(at, at + 256)));
    }
    const root = Buffer.from(mth(leaves));
    files.set("checkpoint", bytes(Buffer.from(`${ORIGIN}\n${all.length}\n${root.toString("base64")}\n\n— x y\n`)));
    return new Published(all.length, root.toString("hex"), files);
  }

  copy(): Published {
    return new Published(this.size, this.root, new Map(this.files));
  }

  get seen(): Seen {
    return { size: this.size, root: this.root };
  }

  read(since?: Seen, latest?: Seen): Promise<Log> {
    const get = (path: string): Promise<Bytes> => {
      this.asked.push(path);
      const content = this.files.get(path);
      return content === undefined ? Promise.reject(new TypeError(path)) : Promise.resolve(content);
    };
    return logOf(get, AUTHORITY, since, latest);
  }

  /** The same with one bit of that file another one. */
  bent(path: string, at: number): Published {
    const made = this.copy();
    const content = (made.files.get(path) as Bytes).slice();
    content[at] = (content[at] as number) ^ 1;
    made.files.set(path, content);
    return made;
  }
}
const bytes = (...parts: readonly Uint8Array[]): Bytes => new Uint8Array(Buffer.concat(parts)) as Bytes;

const LONG = 70_000; // three levels of tiles
const LEAVES = entries(LONG);
const long = Published.of(LEAVES);
const HASHES = LEAVES.map((entry) => sha256(Uint8Array.of(0), entry));
const roots = new Map<number, Seen>();
/** What somebody saw who looked when the long log had so many entries. */
function before(size: number): Seen {
  const found = roots.get(size) ?? { size, root: Buffer.from(mth(HASHES, 0, size)).toString("hex") };
  roots.set(size, found);
  return found;
}

test("the root of a long log is worked out from a few small files", async () => {
  const at = long.copy();
  const log = await at.read(before(4_097), at.seen);
  assert.equal(log.tree, true);
  assert.equal(log.grown, true);
  assert.equal(log.same, true);
  assert.ok(log.read < 2_000);
  const tiles = at.asked.filter((path) => /^tile\/[0-9]/.test(path));
  assert.ok(tiles.length <= 8, tiles.join(" "));
  assert.ok(at.asked.every((path) => (at.files.get(path) as Bytes).length <= 64 * 1_024));
});

test("of a short log every entry is read, and of a long one the page says how many it read", async () => {
  for (const size of [0, 1, 255, 256, 257, 4_095, 4_096]) {
    const log = await Published.of(entries(size)).read();
    assert.equal(log.tree, true, String(size));
    assert.equal(log.read, size);
  }
});

test("at every shape of the tree the root is the one of the definition", async () => {
  for (const size of [4_097, 4_352, 4_353, 8_192, 65_535, 65_536, 65_537, 65_792]) {
    const log = await Published.of(LEAVES.slice(0, size)).read(before(4_000));
    assert.equal(log.tree, true, String(size));
    assert.equal(log.grown, true, String(size));
  }
});

test("a log begins with what this device saw of it, wherever that ended", async () => {
  for (const size of [0, 1, 255, 256, 257, 4_096, 65_535, 65_536, 65_537, 69_888, 69_999, LONG]) {
    const log = await long.copy().read(before(size), before(size));
    assert.equal(log.grown, true, String(size));
    assert.equal(log.same, true, String(size));
  }
});

test("a log that was written anew, or is shorter than it was, is told", async () => {
  const other = Published.of([...LEAVES.slice(0, 30_000), turn(-1), ...LEAVES.slice(30_001)]);
  assert.equal((await other.read(before(40_000))).grown, false);
  assert.equal((await other.read(before(40_000))).tree, true);
  assert.equal((await other.read(before(30_000))).grown, true);
  assert.equal((await other.read(long.seen)).grown, false);
  assert.equal((await Published.of(LEAVES.slice(0, 69_000)).read(long.seen)).grown, false);
  assert.equal((await Published.of(LEAVES.slice(0, 100)).read(before(200))).grown, false);
});

test("one bit in anything that is read is found", async () => {
  const at = long.copy();
  await at.read(before(30_001), before(45_000));
  const files = [...new Set(at.asked)].filter((path) => path !== "checkpoint");
  assert.ok(files.length >= 12);
  for (const path of files) {
    for (const place of [0, 2, Math.floor((long.files.get(path) as Bytes).length / 2), (long.files.get(path) as Bytes).length - 1]) {
      const found = await long.bent(path, place).read(before(30_001), before(45_000));
      assert.ok(found.tree === false || found.grown === false || found.same === false, `${path} ${place}`);
    }
  }
});

test("nothing is told of a log by entries that do not stand in it", async () => {
  for (const size of [600, LONG]) {
    const log = await (size === LONG ? long : Published.of(LEAVES.slice(0, size))).bent("tile/entries/000", 2_000).read();
    assert.equal(log.tree, false);
    assert.equal(log.releases.length, 0);
  }
});

test("what cannot be fetched is not called wrong", async () => {
  for (const path of ["tile/1/001.p/17", "tile/2/000.p/1", "tile/1/000"]) {
    const at = long.copy();
    assert.ok(at.files.delete(path), path);
    assert.equal((await at.read()).tree, undefined);
  }
});

test("a tile that is full by now is as good as the partial one that it replaced", async () => {
  const now = Published.of(entries(LONG + 300));
  const at = long.copy();
  const [, index] = [LONG, Math.floor(LONG / 256)];
  for (const level of ["entries", 0] as const) {
    assert.ok(at.files.delete(pathOf(level, index, LONG % 256)));
    at.files.set(pathOf(level, index, 256), now.files.get(pathOf(level, index, 256)) as Bytes);
  }
  assert.equal((await at.read()).tree, true);
});

test("a pointer that is a release behind the head is right, and one to another log is not", async () => {
  assert.equal((await long.copy().read(undefined, before(LONG - 40))).same, true);
  assert.equal((await long.copy().read(undefined, { ...before(LONG - 40), root: "00" })).same, false);
  assert.equal((await long.copy().read(undefined, { size: LONG + 1, root: long.root })).same, false);
});

test("a head that names a log without end costs no more than any other", async () => {
  const at = long.copy();
  at.files.set("checkpoint", bytes(Buffer.from(`${ORIGIN}\n${"9".repeat(15)}\n${Buffer.alloc(32).toString("base64")}\n\n— x y\n`)));
  assert.equal((await at.read()).tree, undefined);
  assert.ok(at.asked.length < 10);
});
