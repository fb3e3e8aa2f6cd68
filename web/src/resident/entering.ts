// At a door: what the phone scanned in, what it still has to hand in, and where it is now. It works with no network: the code
// of a minute is kept with its minute, and the server can tell later that it was the right one.

import type { Kept } from "../look/kept.ts";
import { type Scan, STEP } from "../venue/code.ts";
import { Failed, type Given, type ScannedIn } from "./api.ts";
import type { Phone } from "./phone.ts";

export const KEPT_FOR = 96 * 3_600; // seconds for which a code is taken late
const LONGEST = 86_400; // seconds after which nobody is still there
const MOST = 60; // scan-ins that wait on the phone

/** What is to be handed in, or was. */
type Sending = Given<"POST /v1/me/visits">["sent"];
/** Where the phone is, as far as it knows. `place` and `until` once the server said so. */
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

export class Entering {
  private readonly kept: Kept;
  private readonly phone: Phone;
  private waiting: readonly Sending[] = [];
  private handing: Promise<Outcome | undefined> | undefined;
  here: Here | undefined;

  constructor(kept: Kept, phone: Phone) {
    this.kept = kept;
    this.phone = phone;
  }

  async restore(): Promise<void> {
    this.waiting = (await this.kept.get<readonly Sending[]>("scan-ins")) ?? [];
    this.here = await this.kept.get<Here>("here");
  }

  /** How many wait on this phone, and until when the oldest is taken. */
  get left(): { readonly n: number; readonly until: number } {
    const first = Math.min(...this.waiting.map((one) => one.entered.minute));
    return { n: this.waiting.length, until: first * STEP + KEPT_FOR };
  }

  /** Where the phone is now; nobody stays longer than a day. */
  at(now: number): Here | undefined {
    if (this.here === undefined) return undefined;
    const since = this.here.entered.minute * STEP;
    return now - since > LONGEST || (this.here.until !== undefined && now > this.here.until + LONGEST) ? undefined : this.here;
  }

  /** Comes in by this scan; where the phone was before, that visit ends by it. */
  async enter(scan: Scan, now: number): Promise<Outcome> {
    const before = this.at(now);
    if (before !== undefined && before.entered.venue !== scan.venue) await this.wait({ entered: before.entered, left: scan });
    await this.be({ entered: scan });
    return this.sent({ entered: scan }, now);
  }

  /** Leaves by this scan of the same door. */
  async leave(scan: Scan, now: number): Promise<Outcome> {
    const before = this.here;
    if (before === undefined) return this.enter(scan, now);
    await this.be(undefined);
    return this.sent({ entered: before.entered, left: scan }, now);
  }

  private async sent(one: Sending, now: number): Promise<Outcome> {
    if (this.waiting.length >= MOST) return { how: "full" };
    await this.wait(one);
    return (await this.handIn(now)) ?? { how: "kept", left: one.left !== undefined };
  }

  /** Hands in what waits, oldest first; what became of the last one. undefined while the server cannot be reached. */
  handIn(now: number): Promise<Outcome | undefined> {
    this.handing ??= this.all(now).finally(() => (this.handing = undefined));
    return this.handing;
  }

  private async all(now: number): Promise<Outcome | undefined> {
    let last: Outcome | undefined;
    for (let one = this.waiting[0]; one !== undefined; one = this.waiting[0]) {
      try {
        const said = await this.phone.mine("POST /v1/me/visits", { sent: one });
        last = { how: one.left === undefined ? "in" : "left", said };
        if (one.left === undefined && this.here !== undefined && same(this.here.entered, one.entered))
          await this.be({ entered: one.entered, place: said.place, until: Math.floor(Date.parse(said.left_at) / 1_000) });
      } catch (problem) {
        if (!(problem instanceof Failed)) throw problem;
        if (problem.how !== "refused") return undefined;
        last = { how: "refused", code: problem.code };
        if (one.left === undefined && this.here !== undefined && same(this.here.entered, one.entered)) await this.be(undefined);
      }
      await this.keep(this.waiting.filter((other) => other !== one && now - other.entered.minute * STEP < KEPT_FOR));
    }
    return last;
  }

  private wait(one: Sending): Promise<void> {
    return this.keep([...this.waiting, one]);
  }

  private async keep(waiting: readonly Sending[]): Promise<void> {
    this.waiting = waiting;
    await this.kept.set("scan-ins", waiting);
  }

  private async be(here: Here | undefined): Promise<void> {
    this.here = here;
    if (here === undefined) await this.kept.delete("here");
    else await this.kept.set("here", here);
  }

  async forget(): Promise<void> {
    await this.keep([]);
    await this.be(undefined);
  }
}

const same = (one: Scan, other: Scan): boolean => one.venue === other.venue && one.minute === other.minute;
