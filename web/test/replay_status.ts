// What our reader makes of a vector of tests/vectors/status in CWT form: a list, or a delta applied to one.

import { type Bytes, hex, sha256 } from "../src/verify/bytes.ts";
import { applied, openDelta } from "../src/verify/delta.ts";
import { Refused } from "../src/verify/refused.ts";
import { openList, sizeOf, valueAt, verifyList } from "../src/verify/status.ts";

export interface StatusVector {
  readonly name: string;
  readonly about: string;
  readonly clock: number;
  readonly form: "cwt" | "delta" | "jwt"; // JWTs are for strangers' clients: no page reads them
  readonly key: { readonly alg: number; readonly raw: string };
  readonly base: string;
  readonly content: string;
  readonly ask: readonly number[];
  readonly expected: unknown;
}

export const fromHex = (text: string): Bytes => Uint8Array.from(text.match(/../g) ?? [], (pair) => parseInt(pair, 16));

export async function replayStatus(vector: StatusVector): Promise<unknown> {
  const key = { algorithm: vector.key.alg, raw: fromHex(vector.key.raw) };
  let step = "open";
  try {
    let list;
    if (vector.form === "cwt") {
      const opened = openList(fromHex(vector.content));
      step = "verify";
      list = await verifyList(opened, key);
    } else {
      const opened = openDelta(fromHex(vector.content));
      step = "verify";
      const base = await verifyList(openList(fromHex(vector.base)), key);
      list = await applied(opened, key, base);
    }
    step = "read";
    const statuses = Object.fromEntries(vector.ask.map((index) => [String(index), valueAt(list, index)]));
    return {
      result: "list",
      sub: list.sub,
      iat: list.iat,
      exp: list.exp,
      ttl: list.ttl,
      release: list.release,
      tree_size: list.treeSize,
      size: sizeOf(list),
      sha256: hex(await sha256(list.raw)),
      age: vector.clock - list.iat,
      over: vector.clock >= list.exp,
      statuses,
    };
  } catch (problem) {
    if (!(problem instanceof Refused)) throw problem;
    // Signature and changes of a delta are one call here, two steps in the vectors.
    if (vector.form === "delta" && step === "verify" && problem.code !== "bad_signature") step = "apply";
    return { result: "refused", step, code: problem.code };
  }
}

export async function replayAllStatus(vectors: readonly StatusVector[]): Promise<unknown[]> {
  const all: unknown[] = [];
  for (const vector of vectors) all.push(await replayStatus(vector));
  return all;
}
