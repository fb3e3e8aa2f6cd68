// Chance that repeats itself, and what every parser promises.

import assert from "node:assert/strict";
import type { Bytes } from "../src/verify/bytes.ts";
import { type Code, Refused } from "../src/verify/refused.ts";

export { chance } from "./chance.ts";

export function refuses(work: () => unknown, code?: Code): void {
  assert.throws(work, (problem) => problem instanceof Refused && (code === undefined || problem.code === code));
}

export async function refusesLater(work: () => Promise<unknown>, code?: Code): Promise<void> {
  await assert.rejects(work, (problem) => problem instanceof Refused && (code === undefined || problem.code === code));
}

export const bytes = (hex: string): Bytes => Uint8Array.from(hex.match(/../g) ?? [], (pair) => parseInt(pair, 16));
