// What a check of one code ends in: `Verified`, or `NotVerified` with the step that failed and why.
// Unknown is neither green nor red: nothing that fails ever carries a colour.

import type { Kind } from "./claims.ts";

/**
 * verified; stale: everything holds, but what the lists know is a day old or more; not_verified: we cannot say, and it
 * is no fault of whoever shows the code; refused: no valid code, forged, copied, expired or withdrawn.
 */
export type Outcome = "verified" | "stale" | "not_verified" | "refused";

export type Colour = "green" | "notice" | "yellow" | "red";

export type Step = 1 | 2 | 3 | 4 | 5 | 6 | 7 | 8 | 9;

/** Every reason, by the step that it belongs to. The list is closed. */
export const REASONS = {
  1: ["not_a_code", "too_long", "bad_base45", "inflates_too_much"],
  2: ["bad_cose", "wrong_algorithm"],
  3: [
    "no_trust",
    "wrong_environment",
    "unknown_key",
    "revoked_key",
    "wrong_use",
    "key_not_yet",
    "key_over",
    "wrong_authority",
  ],
  4: ["bad_signature"],
  5: ["bad_claims"],
  6: ["lives_too_long", "not_yet", "expired"],
  7: ["no_proof", "unexpected_proof", "bad_proof", "proof_old", "proof_ahead"],
  8: ["no_list", "bad_list", "rolled_back", "list_over", "no_such_index"],
  9: ["withdrawn", "unknown_status"],
} as const satisfies Record<Step, readonly string[]>;
export type Reason = (typeof REASONS)[Step][number];

const STEPS = new Map<Reason, Step>();
for (const [step, reasons] of Object.entries(REASONS)) {
  for (const reason of reasons) STEPS.set(reason, Number(step) as Step);
}
const NOT_OF_THE_CODE: ReadonlySet<Reason> = new Set(["no_trust", "unknown_key", "unknown_status", ...REASONS[8]]);

/** A code of which nothing is known to hold. */
export interface NotVerified {
  readonly outcome: "not_verified" | "refused";
  readonly step: Step;
  readonly reason: Reason;
}

export function notVerified(reason: Reason): NotVerified {
  const outcome = NOT_OF_THE_CODE.has(reason) ? "not_verified" : "refused";
  return Object.freeze({ outcome, step: STEPS.get(reason) as Step, reason });
}

declare const proven: unique symbol;

/**
 * A code that went through all nine steps. Only `Verifier.verify` makes one: what was merely taken apart (`Opened`) is
 * of another type, and so is what failed. Of paper nobody proved that its bearer is its holder.
 */
export interface Verified {
  readonly [proven]: true;
  readonly outcome: "verified" | "stale";
  readonly colour: Colour;
  readonly kind: Kind;
  readonly mask: string;
  readonly issuer: string;
  readonly validUntil: number;
  readonly listsAge: number; // seconds since the status list was signed
  readonly staleSince: number | undefined; // the last state known is shown, and was current until then
}

/** For verify.ts alone: web/test holds that no other file names it. */
export function seal(found: Omit<Verified, "outcome" | typeof proven>): Verified {
  return Object.freeze({ ...found, outcome: found.staleSince === undefined ? "verified" : "stale" }) as Verified;
}
