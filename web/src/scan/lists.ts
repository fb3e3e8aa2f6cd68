// The public folder of our own origin, kept on the device: root, trust list, status lists, and those of each other city that
// the trust list names. Fetched on a schedule, never because of what a code says; believed only by signature, under the root
// that was pinned at the first use.

import type { Kept } from "../look/kept.ts";
import type { Bytes } from "../verify/bytes.ts";
import { isOfList, type KeyStore, type Marks, MemoryMarks, newestList, StoredMarks, TRUST } from "../verify/marks.ts";
import { Refused } from "../verify/refused.ts";
import { MOST_CWT, type StatusList } from "../verify/status.ts";
import { type Authority, type Root, rootOf } from "../verify/trust.ts";
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

/** What is here of another city that the trust list names. */
export interface Elsewhere {
  readonly city: Authority;
  readonly count: number;
  readonly signed: number; // when its newest list was; 0 without one
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
  private abroad = false; // whether it is looking for lists of other cities

  constructor(kept: Kept, store: KeyStore) {
    this.kept = kept;
    this.store = store;
  }

  /** When the newest list of the city that publishes was signed; 0 without one. */
  get signed(): number {
    return newest(this.of(this.cities[0]));
  }

  /** How many lists of that city are here. */
  get count(): number {
    return this.of(this.cities[0]).length;
  }

  /** What is here of every other city. */
  get elsewhere(): readonly Elsewhere[] {
    return this.cities.slice(1).map((city) => ({ city, count: this.of(city).length, signed: newest(this.of(city)) }));
  }

  private get cities(): readonly Authority[] {
    return this.verifier?.trust?.authorities ?? [];
  }

  private of(city: Authority | undefined): readonly StatusList[] {
    return [...(this.verifier?.held() ?? [])].filter(([uri]) => city !== undefined && isOf(city, uri)).map(([, list]) => list);
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
      const city = trial.trust?.authorities.find((one) => isOf(one, uri));
      const list = trial.held().get(uri);
      if (city === undefined || list === undefined || list.iat < newestList(stored, city, uri)) chains.delete(uri);
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
    const city = this.cities[0];
    if (city === undefined) return "refused";
    const { reached, refused } = await this.take(latest.lists, city, "");
    this.refused = refused;
    if (reached) {
      this.fetched = now;
      await this.kept.set("fetched", now);
    }
    return this.refused > 0 ? "refused" : reached ? "fresh" : "unreachable";
  }

  /** Looks for newer lists of the other cities, which our server keeps beside its own. Each by itself: one that is missing
   * or cannot be believed leaves what is here of it, and says nothing of any other. */
  async refreshElsewhere(): Promise<void> {
    if (this.abroad) return;
    this.abroad = true;
    try {
      for (const city of this.cities.slice(1)) {
        const folder = `elsewhere/${city.id}/`;
        try {
          const lists = listsOf(parsed(await fetchPublic(`${folder}latest.json`, MOST_LATEST)));
          if (lists !== undefined) await this.take(lists, city, folder);
        } catch (problem) {
          if (!(problem instanceof TypeError || problem instanceof Unreachable)) throw problem;
        }
      }
    } finally {
      this.abroad = false;
    }
  }

  /** Forgets the pinned root and all that it stood behind: the next root that is seen is the pinned one. */
  async forget(): Promise<void> {
    await this.kept.clear();
    this.chains.clear();
    this.verifier = this.root = this.otherRoot = this.fetched = undefined;
  }

  /** Fetches what is newer than what we hold of this city, whose lists lie behind `folder`. `reached`: to the end. */
  private async take(lists: Latest["lists"], city: Authority, folder: string): Promise<{ reached: boolean; refused: number }> {
    const { verifier } = this;
    if (verifier === undefined) return { reached: false, refused: 0 };
    const wanted = Object.entries(lists).filter(([path]) => LIST.test(path)).slice(0, MOST_LISTS);
    const uris = new Set(wanted.map(([path]) => `${city.base}/${path}`));
    const queue = wanted.filter(([path, signed]) => (verifier.held().get(`${city.base}/${path}`)?.iat ?? -1) < signed);
    let [reached, refused] = [true, 0];
    const work = async (): Promise<void> => {
      for (let next = queue.pop(); next !== undefined; next = queue.pop()) {
        try {
          await this.takeOne(verifier, folder + next[0], `${city.base}/${next[0]}`);
        } catch (problem) {
          if (problem instanceof Refused) refused++;
          else if (problem instanceof TypeError || problem instanceof Unreachable) reached = false;
          else throw problem;
        }
      }
    };
    await Promise.all(Array.from({ length: AT_ONCE }, work));
    // What this city names no more, and what is of no city that the trust list names.
    const over = (uri: string): boolean => (isOf(city, uri) ? !uris.has(uri) : !this.cities.some((one) => isOf(one, uri)));
    for (const uri of [...this.chains.keys()].filter(over)) {
      this.chains.delete(uri);
      await this.kept.delete(`list ${uri}`);
    }
    await this.kept.set("uris", [...this.chains.keys()]);
    return { reached, refused };
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

/** The stored marks, but that those of lists begin empty, until `restored`. */
class RisingMarks implements Marks {
  private readonly stored: Marks;
  private first: MemoryMarks | undefined = new MemoryMarks();

  constructor(stored: Marks) {
    this.stored = stored;
  }

  get(name: string): number {
    return this.first !== undefined && isOfList(name) ? this.first.get(name) : this.stored.get(name);
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

const isOf = (city: Authority, uri: string): boolean => uri.startsWith(`${city.base}/status/`);
const newest = (lists: readonly StatusList[]): number => Math.max(0, ...lists.map((list) => list.iat));

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
  const said = parsed(content);
  const lists = listsOf(said);
  const { release, at, log } = said;
  if (lists === undefined || typeof release !== "number" || typeof at !== "number") return undefined;
  if (typeof log?.size !== "number" || typeof log.root !== "string") return undefined;
  return { release, at, lists, log };
}

function listsOf({ lists }: Partial<Latest>): Latest["lists"] | undefined {
  if (typeof lists !== "object" || lists === null) return undefined;
  return Object.values(lists).every((signed) => Number.isSafeInteger(signed)) ? lists : undefined;
}

function parsed(content: Bytes): Partial<Latest> {
  try {
    return (JSON.parse(new TextDecoder().decode(content)) as Partial<Latest> | null) ?? {};
  } catch {
    return {};
  }
}
