// What a page makes of an answer that turns it away.

import assert from "node:assert/strict";
import { test } from "node:test";
import { call, Failed } from "../src/resident/api.ts";

async function after(status: number, said?: string): Promise<number> {
  const headers = said === undefined ? {} : { "retry-after": said };
  globalThis.fetch = () => Promise.resolve(new Response("{}", { status, headers }));
  const problem = await call("GET /v1/me/code", {}, "token").then(
    () => undefined,
    (thrown: unknown) => thrown,
  );
  assert.ok(problem instanceof Failed && problem.how === "away");
  return problem.after;
}

test("a page comes back when the door says so, and within ten minutes whatever is said", async () => {
  assert.equal(await after(429, "7"), 7);
  assert.equal(await after(503, "120"), 120);
  assert.equal(await after(429, "86400"), 600);
  assert.equal(await after(429, "Infinity"), 600);
});

test("what is no number of seconds is none", async () => {
  for (const said of [undefined, "", "soon", "-5", "Wed, 21 Oct 2026 07:28:00 GMT"]) assert.equal(await after(429, said), 0);
});
