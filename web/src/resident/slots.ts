// What the phone shows while the door answers nobody: its sealed slots, out of any copy of the public folder, one for each
// code that it shows. It asks for a bucket of sixteen slots, without a token and without a name, and shows nothing that the
// city did not sign.

import type { Kept } from "../look/kept.ts";
import { shelf } from "../look/shelf.ts";
import { fetchPublic } from "../scan/lists.ts";
import { newReader } from "../sealed/hpke.ts";
import { answerIn, BUCKET, bucketAt, type Place, slotIn, told } from "../sealed/slot.ts";
import type { Bytes } from "../verify/bytes.ts";
import { StoredMarks, TRUST } from "../verify/marks.ts";
import { Refused } from "../verify/refused.ts";
import { openTrust, type Root, rootOf, type TrustList, verifyTrust } from "../verify/trust.ts";
import type { Code } from "./api.ts";
import { EVERYBODY, type Whose } from "./whose.ts";

const DAYS = 3; // today and the two after it
const DAY = 86_400;
const LATER = 3_600; // seconds after which to ask again for what was not to be had
const SOON = 60; // seconds between two looks for a slot
const PATIENCE = 10_000; // milliseconds for a bucket

type Held = Place & { readonly key: CryptoKey };

/** What is known of one slot, and when it is time again. */
interface One {
  places: readonly Held[];
  learnt: number; // when to ask for places again, at the soonest
  due: number; // when to look for the slot again, at the soonest
}

const nothing = (places: readonly Held[] = []): One => ({ places, learnt: 0, due: 0 });

export class Slots {
  private readonly kept: Kept;
  private readonly ones = new Map<Whose, One>();
  private root: Root | undefined;
  private trust: TrustList | undefined;

  constructor(kept: Kept) {
    this.kept = kept;
  }

  async restore(): Promise<void> {
    for (const whose of EVERYBODY) this.ones.set(whose, nothing(await this.kept.get<readonly Held[]>(`places ${whose}`)));
    const root = await this.kept.get<Bytes>("root");
    const trust = await this.kept.get<Bytes>("trust");
    this.root = root === undefined ? undefined : await rootOf(root);
    this.trust = trust === undefined || this.root === undefined ? undefined : await verifyTrust(openTrust(trust), this.root);
  }

  forget(): void {
    this.ones.clear();
    [this.root, this.trust] = [undefined, undefined];
  }

  /** Nothing of this slot is known any more. */
  async drop(whose: Whose): Promise<void> {
    this.ones.delete(whose);
    await this.kept.delete(`places ${whose}`);
  }

  private of(whose: Whose): One {
    const found = this.ones.get(whose) ?? nothing();
    this.ones.set(whose, found);
    return found;
  }

  /** While the door answers: where the slot stands today and on the days ahead, where that is not known and it is this
   * phone's time (`spread`: seconds after midnight). `ask` brings what the door tells this key. */
  async learn(whose: Whose, now: number, spread: number, ask: (key: CryptoKeyPair) => Promise<string>): Promise<void> {
    const mine = this.of(whose);
    const held = mine.places.filter((one) => now < one.ends);
    const today = held.find((one) => one.begins <= now);
    const turn = today === undefined || held.length < 2 || now - today.begins >= spread;
    if (held.length >= DAYS || !turn || now < mine.learnt) return;
    mine.learnt = now + LATER;
    try {
      await this.renewTrust();
      const base = this.trust?.authorities[0]?.base;
      if (base === undefined) return;
      const keys = (await this.kept.get<CryptoKeyPair>("slot key")) ?? (await newReader());
      await this.kept.set("slot key", keys);
      const fresh = await told(fromBase64url(await ask(keys)), keys, base);
      // The days before stay for a while: where the city is gone, what it wrote last is under one of these.
      const before = mine.places.filter((one) => now - one.ends < DAYS * DAY && !fresh.some(({ begins }) => begins === one.begins));
      mine.places = [...before, ...fresh];
      await this.kept.set(`places ${whose}`, mine.places);
    } catch (problem) {
      ours(problem);
    }
  }

  /** The code in a slot of this phone's, and when the city said it, if it says more than what was shown as at `seen`
   * (release and moment); undefined when it does not, or no copy can be had, or it is not the city's. */
  async look(whose: Whose, now: number, seen: { readonly release: number; readonly at: number }): Promise<{ readonly code: Code; readonly at: number } | undefined> {
    const mine = this.of(whose);
    if (now < mine.due || mine.places.length === 0) return undefined;
    mine.due = now + SOON;
    try {
      await this.renewTrust();
    } catch (problem) {
      ours(problem); // what is kept will do
    }
    if (this.trust === undefined) return undefined;
    // Today's; where that was not written, because nobody writes any more, the newest before it.
    for (const one of mine.places.filter(({ begins }) => begins <= now).sort((a, b) => b.begins - a.begins)) {
      try {
        const bucket = await fetchBucket(one);
        if (bucket === undefined) continue;
        const slot = await slotIn(bucket, one, this.trust, now);
        mine.due = now + Math.max(SOON, slot.said.ttl);
        const code = JSON.parse(new TextDecoder().decode(await answerIn(slot, one.key))) as Code;
        const at = Math.min(now, slot.said.iat);
        const newer = code.release > seen.release || (code.release === seen.release && at > seen.at);
        return newer && code.release >= slot.said.release ? { code, at } : undefined;
      } catch (problem) {
        ours(problem);
      }
    }
    return undefined;
  }

  /** The trust list as it is now, believed under the root that was seen first. */
  private async renewTrust(): Promise<void> {
    const [root, trust] = await Promise.all([this.root === undefined ? fetchPublic("root") : undefined, fetchPublic("trust")]);
    const pinned = this.root ?? (await rootOf(root as Bytes));
    const found = await verifyTrust(openTrust(trust), pinned);
    const marks = new StoredMarks(shelf, pinned.fingerprint);
    if (found.version < marks.get(TRUST)) throw new Refused("rolled_back");
    marks.raiseTo(TRUST, found.version);
    [this.root, this.trust] = [pinned, found];
    if (root !== undefined) await this.kept.set("root", root);
    await this.kept.set("trust", trust);
  }
}

/** A network that is not there, or files that are not the city's: the phone goes on with what it has. */
function ours(problem: unknown): void {
  if (!(problem instanceof Error)) throw problem;
}

/** The bucket around a place; undefined where there is no such file. Throws where nobody answers. */
async function fetchBucket(place: Place): Promise<Bytes | undefined> {
  const gone = new AbortController();
  const timer = setTimeout(() => gone.abort(), PATIENCE);
  const first = bucketAt(place);
  try {
    const asked = { cache: "no-store", credentials: "omit", signal: gone.signal, headers: { Range: `bytes=${first}-${first + BUCKET - 1}` } } as const;
    const answer = await fetch(`/public/${place.path}`, asked);
    if (!answer.ok) return undefined;
    const content = new Uint8Array(await answer.arrayBuffer());
    return answer.status === 206 ? content : content.slice(first, first + BUCKET); // a server without ranges sends all of it
  } finally {
    clearTimeout(timer);
  }
}

export function fromBase64url(text: string): Bytes {
  const plain = atob(text.replaceAll("-", "+").replaceAll("_", "/"));
  return Uint8Array.from(plain, (character) => character.charCodeAt(0)) as Bytes;
}
