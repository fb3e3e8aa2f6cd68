// The public folder of our own origin, kept on the device: root, trust list, status lists. Fetched on a schedule, never
// because of what a code says; believed only by signature, under the root that was pinned at the first use.

import type { Kept } from "../look/kept.ts";
import type { Bytes } from "../verify/bytes.ts";
import { type KeyStore, markOf, MemoryMarks, type Marks, StoredMarks, TRUST, TIME } from "../verify/marks.ts";
import { Refused } from "../verify/refused.ts";
import { MOST_CWT } from "../verify/status.ts";
import { type Root, rootOf } from "../verify/trust.ts";
import { Verifier } from "../verify/verify.ts";

const FOLDER = "/public/";
const LIST = /^status\/x?[0-9]{1,6}(\.[0-9]{1,4})?\/[0-9]{1,4}$/;
const MOST_LISTS = 4_096;
const MOST_LATEST = 2 ** 20; // bytes of latest.json
const MOST_DELTAS = 24; // behind one list, before the list is fetched whole again
const AT_ONCE = 4;

/** A list as it was fetched, and the deltas to it in their order. */
type Chain = readonly Bytes[];

export interface Latest {
  readonly release: number;
  readonly at: number;
  readonly lists: Readonly<Record<string, number>>;
  readonly log: { readonly size: number; readonly root: string };
}

/** What came of looking for newer lists. */
export type Fetched = "fresh" | "unreachable" | "other_root" | "refused";

export class Lists {
  verifier: Verifier | undefined;
  root: Root | undefined;
  otherRoot: Root | undefined; // what the server offers instead of the pinned one; nothing of it was used
  fetched: number | undefined; // when the folder was last reached
  latest: Latest | undefined; // what the folder pointed to when it was last reached
  refused = 0; // lists that were offered last time and not believed
  private readonly kept: Kept;
  private readonly store: KeyStore;
  private chains = new Map<string, Chain>();

  constructor(kept: Kept, store: KeyStore) {
    this.kept = kept;
    this.store = store;
  }

  /** When the newest list was signed; 0 without one. */
  get signed(): number {
    return Math.max(0, ...[...(this.verifier?.held().values() ?? [])].map((list) => list.iat));
  }

  get count(): number {
    return this.verifier?.held().size ?? 0;
  }

  /** Takes in what was kept. */
  async restore(): Promise<void> {
    const root = await this.kept.get<Bytes>("root");
    if (root === undefined) return;
    this.root = await rootOf(root);
    this.fetched = await this.kept.get<number>("fetched");
    const stored = new StoredMarks(this.store, this.root.fingerprint);
    const chains = new Map<string, Chain>();
    for (const uri of (await this.kept.get<readonly string[]>("uris")) ?? []) {
      const chain = await this.kept.get<Chain>(`list ${uri}`);
      if (chain !== undefined) chains.set(uri, chain);
    }
    // A list with deltas behind it begins below its mark: the marks are looked at when all of it is together.
    const trust = await this.kept.get<Bytes>("trust");
    const trial = await replayed(this.root, new MemoryMarks(), trust, chains);
    for (const uri of chains.keys()) {
      if ((trial.held().get(uri)?.iat ?? -1) < stored.get(markOf(uri))) chains.delete(uri);
    }
    const marks = new RisingMarks(stored);
    this.verifier = (trial.trust?.version ?? 0) < stored.get(TRUST) ? new Verifier(this.root, stored) : await replayed(this.root, marks, trust, chains);
    marks.restored();
    this.chains = chains;
  }

  /** Looks for newer ones at `now`. What it cannot believe it leaves, and stays with what it has. */
  async refresh(now: number): Promise<Fetched> {
    let [root, trust, latest]: [Bytes, Bytes, Latest | undefined] = [NOTHING, NOTHING, undefined];
    try {
      [root, trust] = await Promise.all([fetchPublic("root"), fetchPublic("trust")]);
      latest = latestOf(await fetchPublic("latest.json", MOST_LATEST));
    } catch (problem) {
      if (problem instanceof TypeError || problem instanceof Unreachable) return "unreachable";
      throw problem;
    }
    try {
      const offered = await rootOf(root);
      if (this.root !== undefined && offered.fingerprint !== this.root.fingerprint) {
        this.otherRoot = offered;
        return "other_root";
      }
      this.otherRoot = undefined;
      const verifier = this.verifier ?? new Verifier(offered, new StoredMarks(this.store, offered.fingerprint));
      await verifier.takeTrust(trust);
      // Only a root that stands behind a trust list is worth remembering.
      [this.root, this.verifier] = [offered, verifier];
      await this.kept.set("root", root);
      await this.kept.set("trust", trust);
    } catch (problem) {
      if (problem instanceof Refused) return "refused";
      throw problem;
    }
    if (latest === undefined) return "refused";
    this.latest = latest;
    const reached = await this.take(latest);
    if (reached) {
      this.fetched = now;
      await this.kept.set("fetched", now);
    }
    return this.refused > 0 ? "refused" : reached ? "fresh" : "unreachable";
  }

  /** Forgets the pinned root and all that it stood behind: the next root that is seen is the pinned one. */
  async forget(): Promise<void> {
    await this.kept.clear();
    this.chains.clear();
    this.verifier = this.root = this.otherRoot = this.fetched = undefined;
  }

  /** Fetches what is newer than what we hold. False when the folder could not be reached to the end. */
  private async take(latest: Latest): Promise<boolean> {
    const { verifier } = this;
    const base = verifier?.trust?.authorities[0]?.base;
    if (verifier === undefined || base === undefined) return false;
    const wanted = Object.entries(latest.lists).filter(([path]) => LIST.test(path)).slice(0, MOST_LISTS);
    const uris = new Set(wanted.map(([path]) => `${base}/${path}`));
    const queue = wanted.filter(([path, signed]) => (verifier.held().get(`${base}/${path}`)?.iat ?? -1) < signed);
    let [reached, refused] = [true, 0];
    const work = async (): Promise<void> => {
      for (let next = queue.pop(); next !== undefined; next = queue.pop()) {
        try {
          await this.takeOne(verifier, next[0], `${base}/${next[0]}`);
        } catch (problem) {
          if (problem instanceof Refused) refused++;
          else if (problem instanceof TypeError || problem instanceof Unreachable) reached = false;
          else throw problem;
        }
      }
    };
    await Promise.all(Array.from({ length: AT_ONCE }, work));
    this.refused = refused;
    for (const uri of [...this.chains.keys()].filter((one) => !uris.has(one))) {
      this.chains.delete(uri);
      await this.kept.delete(`list ${uri}`);
    }
    await this.kept.set("uris", [...this.chains.keys()]);
    return reached;
  }

  private async takeOne(verifier: Verifier, path: string, uri: string): Promise<void> {
    const chain = this.chains.get(uri);
    if (chain !== undefined && chain.length <= MOST_DELTAS && verifier.held().has(uri)) {
      try {
        const delta = await fetchPublic(`${path}.delta`);
        await verifier.takeDelta(uri, delta);
        return await this.keep(uri, [...chain, delta]);
      } catch (problem) {
        // No delta, or not to the version that is here: the whole list, then.
        if (!(problem instanceof Refused || problem instanceof Unreachable)) throw problem;
      }
    }
    const list = await fetchPublic(path);
    await verifier.takeList(uri, list);
    await this.keep(uri, [list]);
  }

  private async keep(uri: string, chain: Chain): Promise<void> {
    this.chains.set(uri, chain);
    await this.kept.set(`list ${uri}`, chain);
  }
}

/** Marks that begin empty and are the stored ones from `restored` on. */
class RisingMarks implements Marks {
  private readonly stored: Marks;
  private first: MemoryMarks | undefined = new MemoryMarks();

  constructor(stored: Marks) {
    this.stored = stored;
  }

  get(name: string): number {
    // Time never falls behind, whatever is being taken in.
    return this.first === undefined || name === TIME ? this.stored.get(name) : this.first.get(name);
  }

  raiseTo(name: string, value: number): void {
    this.first?.raiseTo(name, value);
    this.stored.raiseTo(name, value);
  }

  restored(): void {
    this.first = undefined;
  }
}

async function replayed(root: Root, marks: Marks, trust: Bytes | undefined, chains: ReadonlyMap<string, Chain>): Promise<Verifier> {
  const verifier = new Verifier(root, marks);
  try {
    if (trust !== undefined) await verifier.takeTrust(trust);
  } catch (problem) {
    if (!(problem instanceof Refused)) throw problem;
  }
  for (const [uri, [list, ...deltas]] of chains) {
    try {
      if (list !== undefined) await verifier.takeList(uri, list);
      for (const delta of deltas) await verifier.takeDelta(uri, delta);
    } catch (problem) {
      if (!(problem instanceof Refused)) throw problem;
    }
  }
  return verifier;
}

class Unreachable extends Error {}
const NOTHING = new Uint8Array(0);
const PATIENCE = 10_000; // milliseconds for one file

/** A file of the folder. Throws TypeError or Unreachable where there is none, or one larger than any of its kind. */
export async function fetchPublic(path: string, most = MOST_CWT): Promise<Bytes> {
  const gone = new AbortController();
  const timer = setTimeout(() => gone.abort(), PATIENCE);
  try {
    const answer = await fetch(FOLDER + path, { cache: "no-cache", credentials: "omit", signal: gone.signal });
    if (!answer.ok || Number(answer.headers.get("content-length") ?? 0) > most) throw new Unreachable(path);
    const content = new Uint8Array(await answer.arrayBuffer());
    if (content.length > most) throw new Unreachable(path);
    return content;
  } catch (problem) {
    throw problem instanceof DOMException ? new Unreachable(path) : problem;
  } finally {
    clearTimeout(timer);
  }
}

/** Nobody signs latest.json: it only points, so that all that can be wrong is not to find something. */
function latestOf(content: Bytes): Latest | undefined {
  try {
    const said = JSON.parse(new TextDecoder().decode(content)) as Partial<Latest>;
    const { release, at, lists, log } = said;
    if (typeof release !== "number" || typeof at !== "number" || typeof lists !== "object" || lists === null) return undefined;
    if (typeof log?.size !== "number" || typeof log.root !== "string") return undefined;
    if (!Object.values(lists).every((signed) => Number.isSafeInteger(signed))) return undefined;
    return { release, at, lists, log };
  } catch {
    return undefined;
  }
}

