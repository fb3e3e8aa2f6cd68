// KANGMA_FUZZ inputs a parser; 10,000 unless it says otherwise.

import assert from "node:assert/strict";
import { env } from "node:process";
import { test } from "node:test";
import { fuzz } from "./fuzz.ts";
import { statusVectors, vectors } from "./vectors.ts";

const EACH = Number(env["KANGMA_FUZZ"] ?? 10_000);

test(`no parser throws anything but Refused, or thinks long: ${EACH} hostile inputs each`, async (t) => {
  const reports = await fuzz(vectors(), statusVectors(), EACH, Number(env["KANGMA_SEED"] ?? 1));
  for (const { parser, inputs, read, slowest, wrong } of reports) {
    t.diagnostic(`${parser}: ${inputs} inputs, ${read} read, slowest ${slowest.toFixed(2)} ms`);
    assert.deepEqual(wrong, [], parser);
    assert.ok(slowest < 100, `${parser} took ${slowest} ms`);
    assert.ok(read > 0, `${parser} read none: the inputs test nothing`);
  }
});
