// The work that the door asks for under attack: our SHA-256 is SHA-256, and what is found is what was hidden.

import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { test } from "node:test";
import { hexOf, sha256, solution, solve, type Work } from "../src/resident/work.ts";

const digest = (bytes: Uint8Array): string => createHash("sha256").update(bytes).digest("hex");

test("our SHA-256 is SHA-256, at every length around the blocks' ends", () => {
  for (let length = 0; length < 200; length += 1) {
    const bytes = Uint8Array.from({ length }, (_, i) => (i * 37 + length) % 256);
    assert.equal(hexOf(sha256(bytes)), digest(bytes));
  }
});

const salt = "00112233445566778899aabb?expires=1650881400&";
const work = (number: number, more: Partial<Work> = {}): Work => ({
  algorithm: "SHA-256",
  challenge: digest(new TextEncoder().encode(`${salt}${number}`)),
  maxnumber: 5_000,
  salt,
  signature: "ab",
  ...more,
});

test("the number is found, the first and the last too, and none where there is none", () => {
  for (const number of [0, 1, 4_711, 5_000]) assert.equal(solve(work(number)), number);
  assert.equal(solve(work(5_001)), undefined);
  assert.equal(solve(work(7, { algorithm: "SHA-512" as "SHA-256" })), undefined);
});

test("what is sent back is what the door takes, and not how much there was to try", () => {
  const said: unknown = JSON.parse(Buffer.from(solution(work(7), 7), "base64").toString());
  const { algorithm, challenge, signature } = work(7);
  assert.deepEqual(said, { algorithm, challenge, number: 7, salt, signature });
});
