import assert from "node:assert/strict";
import { test } from "node:test";
import { replay } from "./replay.ts";
import { replayStatus } from "./replay_status.ts";
import { concernsDoors, expectedOf, replayTrust } from "./replay_trust.ts";
import { statusVectors, trustVectors, vectors } from "./vectors.ts";

for (const vector of vectors()) {
  test(`${vector.name}: ${vector.title}`, async () => {
    const { root_fingerprint, layers, expected } = vector;
    assert.deepEqual(await replay(vector), { root_fingerprint, layers, expected });
  });
}

for (const vector of statusVectors().filter((one) => one.form !== "jwt")) {
  test(`status/${vector.name}: ${vector.about}`, async () => {
    assert.deepEqual(await replayStatus(vector), vector.expected);
  });
}

for (const vector of trustVectors().filter(concernsDoors)) {
  test(`trust/${vector.name}: ${vector.what}`, async () => {
    assert.deepEqual(await replayTrust(vector), expectedOf(vector));
  });
}
