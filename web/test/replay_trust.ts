// What our reader makes of a vector of tests/vectors/trust: a list believed, or why not.

import { hex, sha256 } from "../src/verify/bytes.ts";
import { Refused } from "../src/verify/refused.ts";
import { openTrust, rootOf, verifyTrust } from "../src/verify/trust.ts";
import { fromHex } from "./replay_status.ts";

export interface TrustVector {
  readonly name: string;
  readonly what: string;
  readonly root: string; // hex
  readonly list: string; // hex
  readonly before?: string; // the list that it follows on
  readonly at_least?: number; // the highest version seen
  readonly expect: { readonly version?: number; readonly refused?: string };
}

/** Whether it needs no more than a door knows: versions, and nothing of how one list follows on another. */
export const concernsDoors = (vector: TrustVector): boolean =>
  vector.before === undefined || vector.expect.version !== undefined;

/** What is expected here. No number with a fraction is read at all, and so the reason for that one is another. */
export const expectedOf = (vector: TrustVector): unknown =>
  vector.name === "key-time-fraction" ? { refused: "bad_message" } : vector.expect;

export async function replayTrust(vector: TrustVector): Promise<unknown> {
  try {
    const root = await rootOf(fromHex(vector.root));
    const opened = openTrust(fromHex(vector.list));
    const list = await verifyTrust(opened, root);
    if (list.version < (vector.at_least ?? 1)) throw new Refused("rolled_back");
    return {
      version: list.version,
      digest: hex(await sha256(opened.payload)),
      issued: list.issued,
      expires: list.expires,
      authorities: list.authorities.map(({ id, base, keys }) => ({
        id,
        base,
        keys: keys.map((key) => ({
          id: key.id,
          use: key.use,
          not_before: key.notBefore,
          not_after: key.notAfter,
          revoked_at: key.revokedAt ?? null,
          kinds: key.kinds,
        })),
      })),
    };
  } catch (problem) {
    if (!(problem instanceof Refused)) throw problem;
    return { refused: problem.code };
  }
}

export async function replayAllTrust(vectors: readonly TrustVector[]): Promise<unknown[]> {
  const all: unknown[] = [];
  for (const vector of vectors) all.push(await replayTrust(vector));
  return all;
}
