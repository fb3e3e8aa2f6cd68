// How long a scan takes once the camera has read the text: milliseconds of `Verifier.verify`, and of taking files in.

import type { Bytes } from "../src/verify/bytes.ts";
import { inflate } from "../src/verify/inflate.ts";
import { fromBase64, held, type Vector } from "./replay.ts";

export interface Figures {
  readonly scans: number;
  readonly median: number;
  readonly p99: number;
  readonly most: number;
  readonly takeFiles: number; // trust list and status lists verified and inflated, once
}

export async function bench(vector: Vector, scans: number): Promise<Figures> {
  let begun = performance.now();
  await held(vector);
  const cold = performance.now() - begun;
  const { verifier } = await held(vector);
  const spent: number[] = [];
  for (let n = 0; n < scans; n++) {
    begun = performance.now();
    const found = await verifier.verify(vector.text, vector.now);
    spent.push(performance.now() - begun);
    if (!("colour" in found)) throw new Error(found.reason);
  }
  spent.sort((a, b) => a - b);
  const at = (share: number): number => spent[Math.min(scans - 1, Math.floor(scans * share))] ?? 0;
  return { scans, median: at(0.5), p99: at(0.99), most: at(1), takeFiles: cold };
}

/** Milliseconds to inflate `lst` (base64), and a stream of 300 bytes: ours, and the browser's; medians. */
export async function benchInflate(lst: string, times: number): Promise<Record<string, number>> {
  const large = fromBase64(lst);
  const small = await piped(new CompressionStream("deflate"), new TextEncoder().encode("health code ".repeat(25)));
  const theirs = (stream: Bytes) => (): Promise<unknown> => piped(new DecompressionStream("deflate"), stream);
  return {
    ours: await median(async () => inflate(large, 2 ** 20), times),
    theirs: await median(theirs(large), times),
    oursSmall: await median(async () => inflate(small, 2_048), times, 100),
    theirsSmall: await median(theirs(small), times, 10),
  };
}

async function piped(through: CompressionStream | DecompressionStream, bytes: Bytes): Promise<Bytes> {
  const stream = new Blob([bytes]).stream().pipeThrough(through);
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

/** Of `times` rounds of `each`: browsers tell time in tenths of a millisecond only. */
async function median(work: () => Promise<unknown>, times: number, each = 1): Promise<number> {
  const spent: number[] = [];
  for (let n = 0; n < times; n++) {
    const begun = performance.now();
    for (let again = 0; again < each; again++) await work();
    spent.push((performance.now() - begun) / each);
  }
  return spent.sort((a, b) => a - b)[Math.floor(times / 2)] ?? 0;
}
