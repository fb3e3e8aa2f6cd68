// How long a scan takes once the camera has read the text: milliseconds of `Verifier.verify`, and of taking files in.

import { held, type Vector } from "./replay.ts";

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

