// At a door: whom the phone scanned in (its owner, and who is in their care), what it still has to hand in, and where they are
// now. It works with no network: the code of a minute is kept with its minute, and the server can tell later that it was
// the right one.

import type { Kept } from "../look/kept.ts";
import { type Scan, STEP } from "../venue/code.ts";
import { Failed, type Given, type ScannedIn } from "./api.ts";
import type { Phone, Whose } from "./phone.ts";

export const KEPT_FOR = 96 * 3_600; // seconds for which a code is taken late
const LONGEST = 86_400; // seconds after which nobody is still there
const MOST = 60; // scan-ins that wait on the phone
const ALL = ["", "1", "2", "3", "4"] as const;

/** What is to be handed in, or was. Without `whose` it is the phone's owner's. */
type Sending = Given<"POST /v1/me/visits">["sent"] & { readonly whose?: Whose };
/** Where somebody is, as far as the phone knows. `place` and `until` once the server said so. */
export interface Here {
  readonly entered: Scan;
  readonly place?: string;
  readonly until?: number;
}
/** What became of a scan. */
export type Outcome =
  | { readonly how: "in" | "left"; readonly said: ScannedIn }
  | { readonly how: "kept"; readonly left: boolean }
  | { readonly how: "refused"; readonly code: string }
  | { readonly how: "full" };
/** The same of each whom the scan was for. */
export type Outcomes = ReadonlyMap<Whose, Outcome>;

export class Entering {
  private readonly kept: Kept;
  private readonly phone: Phone;
  private waiting: readonly Sending[] = [];
  private handing: Promise<Outcomes> | undefined;
  private readonly here = new Map<Whose, Here>();

  constructor(kept: Kept, phone: Phone) {
    this.kept = kept;
    this.phone = phone;
  }

  async restore(): Promise<void> {
    this.waiting = (await this.kept.get<readonly Sending[]>("scan-ins")) ?? [];
    for (const whose of ALL) {
      const here = await this.kept.get<Here>(placeOf(whose));
      if (here !== undefined) this.here.set(whose, here);
    }
  }

  /** How many wait on this phone, and until when the oldest is taken. */
  get left(): { readonly n: number; readonly until: number } {
    const first = Math.min(...this.waiting.map((one) => one.entered.minute));
    return { n: this.waiting.length, until: first * STEP + KEPT_FOR };
  }

  /** Where somebody is now; nobody stays longer than a day. */
  at(whose: Whose, now: number): Here | undefined {
    const here = this.here.get(whose);
    if (here === undefined) return undefined;
    const since = here.entered.minute * STEP;
    return now - since > LONGEST || (here.until !== undefined && now > here.until + LONGEST) ? undefined : here;
  }

  /** They come in by this scan; where one of them was before, that visit ends by it. */
  async enter(whose: readonly Whose[], scan: Scan, now: number): Promise<Outcomes> {
    const ended: Sending[] = [];
    for (const one of whose) {
      const before = this.at(one, now);
      if (before !== undefined && before.entered.venue !== scan.venue) ended.push({ entered: before.entered, left: scan, whose: one });
      await this.be(one, { entered: scan });
    }
    return this.sent(ended, whose.map((one) => ({ entered: scan, whose: one })), now);
  }

  /** Those of them who are here leave by this scan of the same door. */
  async leave(whose: readonly Whose[], scan: Scan, now: number): Promise<Outcomes> {
    const ended: Sending[] = [];
    for (const one of whose) {
      const before = this.here.get(one);
      if (before === undefined) continue;
      await this.be(one, undefined);
      ended.push({ entered: before.entered, left: scan, whose: one });
    }
    return this.sent([], ended, now);
  }

  private async sent(before: readonly Sending[], those: readonly Sending[], now: number): Promise<Outcomes> {
    if (this.waiting.length + before.length + those.length > MOST) return new Map(those.map((one) => [one.whose ?? "", { how: "full" }]));
    await this.keep([...this.waiting, ...before, ...those]);
    const done = await this.handIn(now);
    return new Map(those.map(({ whose = "", left }) => [whose, done.get(whose) ?? { how: "kept", left: left !== undefined }]));
  }

  /** Hands in what waits, oldest first; what became of the last one of each, as far as the server could be reached. */
  handIn(now: number): Promise<Outcomes> {
    this.handing ??= this.all(now).finally(() => (this.handing = undefined));
    return this.handing;
  }

  private async all(now: number): Promise<Outcomes> {
    const last = new Map<Whose, Outcome>();
    for (let one = this.waiting[0]; one !== undefined; one = this.waiting[0]) {
      const { whose = "", ...sent } = one;
      const here = this.here.get(whose);
      const comes = one.left === undefined && here !== undefined && same(here.entered, one.entered);
      try {
        const said = await (whose === "" ? this.phone.mine("POST /v1/me/visits", { sent }) : this.phone.mine("POST /v1/me/others/{other}/visits", { at: { other: Number(whose) }, sent }));
        last.set(whose, { how: one.left === undefined ? "in" : "left", said });
        if (comes) await this.be(whose, { entered: one.entered, place: said.place, until: Math.floor(Date.parse(said.left_at) / 1_000) });
      } catch (problem) {
        if (!(problem instanceof Failed)) throw problem;
        if (problem.how !== "refused") return last;
        last.set(whose, { how: "refused", code: problem.code });
        if (comes) await this.be(whose, undefined);
      }
      await this.keep(this.waiting.filter((other) => other !== one && now - other.entered.minute * STEP < KEPT_FOR));
    }
    return last;
  }

  private async keep(waiting: readonly Sending[]): Promise<void> {
    this.waiting = waiting;
    await this.kept.set("scan-ins", waiting);
  }

  private async be(whose: Whose, here: Here | undefined): Promise<void> {
    if (here === undefined) {
      this.here.delete(whose);
      await this.kept.delete(placeOf(whose));
    } else {
      this.here.set(whose, here);
      await this.kept.set(placeOf(whose), here);
    }
  }

  /** Somebody who is in this phone's care no more: where they are is not for it to know, and nothing of theirs goes out. */
  async drop(whose: Whose): Promise<void> {
    await this.keep(this.waiting.filter((one) => (one.whose ?? "") !== whose));
    await this.be(whose, undefined);
  }

  async forget(): Promise<void> {
    await this.keep([]);
    for (const whose of ALL) await this.be(whose, undefined);
  }
}

const placeOf = (whose: Whose): string => `here ${whose}`.trim();
const same = (one: Scan, other: Scan): boolean => one.venue === other.venue && one.minute === other.minute;
