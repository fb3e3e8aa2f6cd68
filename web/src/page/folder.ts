// A public folder that somebody chose, taken in: which file is what is told by its content, not by its name.

import type { Bytes } from "../verify/bytes.ts";
import { openDelta } from "../verify/delta.ts";
import type { Marks } from "../verify/marks.ts";
import { Refused } from "../verify/refused.ts";
import { MOST_CWT, openList } from "../verify/status.ts";
import { listOf, openTrust, type Root, rootOf } from "../verify/trust.ts";
import { Verifier } from "../verify/verify.ts";

export interface Taken {
  readonly verifier: Verifier;
  readonly refused: number; // status lists that could not be used
}

/** The files of a folder that a verifier may want: not the log's tiles, not policies, nothing larger than a list. */
export async function filesOf(chosen: FileList): Promise<Bytes[]> {
  const wanted = [...chosen].filter((file) => {
    const path = `/${file.webkitRelativePath}`;
    return file.size <= MOST_CWT && !/\/(tile|policy)\//.test(path);
  });
  return Promise.all(wanted.map(async (file) => new Uint8Array(await file.arrayBuffer())));
}

/** The first file that is a root. */
export async function rootAmong(files: readonly Bytes[]): Promise<Root | undefined> {
  for (const file of files) {
    try {
      return await rootOf(file);
    } catch (problem) {
      ours(problem);
    }
  }
  return undefined;
}

/** A verifier that holds what of the files the root stands behind: the newest trust list, the status lists. */
export async function take(files: readonly Bytes[], root: Root, marks: Marks): Promise<Taken> {
  const verifier = new Verifier(root, marks);
  // Older versions lie beside the newest one: they are taken in their order, and refused where a newer one was seen.
  const versions: { version: number; file: Bytes }[] = [];
  const lists: { uri: string; iat: number; file: Bytes; delta: boolean }[] = [];
  for (const file of files) {
    try {
      versions.push({ version: (await listOf(openTrust(file).payload)).version, file });
    } catch (problem) {
      ours(problem);
    }
    for (const [open, delta] of [[openList, false], [openDelta, true]] as const) {
      try {
        const { sub, iat } = open(file).place;
        lists.push({ uri: sub, iat, file, delta });
      } catch (problem) {
        ours(problem);
      }
    }
  }
  versions.sort((a, b) => a.version - b.version);
  for (const { file } of versions) await attempt(() => verifier.takeTrust(file));
  lists.sort((a, b) => a.iat - b.iat || Number(a.delta) - Number(b.delta));
  for (const { uri, file } of lists.filter((one) => !one.delta)) await attempt(() => verifier.takeList(uri, file));
  // A delta helps where its list is not here in full, and is refused where it is.
  for (const { uri, file } of lists.filter((one) => one.delta)) await attempt(() => verifier.takeDelta(uri, file));
  const named = new Set(lists.filter((one) => !one.delta).map((one) => one.uri));
  return { verifier, refused: [...named].filter((uri) => !verifier.held().has(uri)).length };
}

async function attempt(work: () => Promise<void>): Promise<void> {
  try {
    await work();
  } catch (problem) {
    ours(problem);
  }
}

/** A Refused is the file's fault and goes no further; anything else is ours. */
function ours(problem: unknown): void {
  if (!(problem instanceof Refused)) throw problem;
}
