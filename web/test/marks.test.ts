import assert from "node:assert/strict";
import { test } from "node:test";
import { type KeyStore, MemoryMarks, StoredMarks } from "../src/verify/marks.ts";

class Shelf implements KeyStore {
  readonly kept = new Map<string, string>();
  broken = false;

  getItem(key: string): string | null {
    if (this.broken) throw new Error("forbidden");
    return this.kept.get(key) ?? null;
  }

  setItem(key: string, value: string): void {
    if (this.broken) throw new Error("full");
    this.kept.set(key, value);
  }
}

for (const [name, made] of [
  ["in memory", () => new MemoryMarks()],
  ["in the browser's store", () => new StoredMarks(new Shelf(), "ee56")],
] as const) {
  test(`marks ${name} only rise`, () => {
    const marks = made();
    assert.equal(marks.get("trust"), 0);
    marks.raiseTo("trust", 7);
    marks.raiseTo("trust", 3);
    assert.equal(marks.get("trust"), 7);
    assert.equal(marks.get("time"), 0);
  });
}

test("marks outlive the page, and tabs share them", () => {
  const shelf = new Shelf();
  const [one, other] = [new StoredMarks(shelf, "ee56"), new StoredMarks(shelf, "ee56")];
  one.raiseTo("list https://a.example/status/1/0", 1_650_000_000);
  assert.equal(other.get("list https://a.example/status/1/0"), 1_650_000_000);
  other.raiseTo("list https://a.example/status/1/0", 1_650_000_300);
  assert.equal(one.get("list https://a.example/status/1/0"), 1_650_000_300);
  assert.equal(new StoredMarks(shelf, "another root").get("list https://a.example/status/1/0"), 0);
});

test("a store that is full, forbidden or spoilt never lowers a mark", () => {
  const shelf = new Shelf();
  const marks = new StoredMarks(shelf, "ee56");
  marks.raiseTo("time", 5);
  shelf.broken = true;
  marks.raiseTo("time", 6);
  assert.equal(marks.get("time"), 6);
  shelf.broken = false;
  for (const key of shelf.kept.keys()) shelf.kept.set(key, "1e99");
  assert.equal(marks.get("time"), 6);
  assert.equal(new StoredMarks(shelf, "ee56").get("time"), 0);
});
