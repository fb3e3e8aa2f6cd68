// What a door does: nine steps from a text to a colour, numbered as in the Python verifier and in the vectors.
//
// Nothing here knows what time it is, where files come from or that there is a network: the clock and the files are
// handed in, and what must outlive the page is kept in `Marks`.

import { type Bytes, hex } from "./bytes.ts";
import { decodeFirst } from "./cbor.ts";
import { type Claims, claimsOf, type Kind } from "./claims.ts";
import { algorithmOf, ES256, KEY_ID, type Opened, shape1, signedBy } from "./cose.ts";
import { applied, openDelta } from "./delta.ts";
import { ageOf, holds, proofOf } from "./holder.ts";
import { type Marks, markOf, newestList, newestTime, TIME, timeBy, TRUST } from "./marks.ts";
import { type Colour, type NotVerified, notVerified, type Reason, seal, type Verified } from "./outcome.ts";
import { uncompressed } from "./point.ts";
import { type Code, Refused } from "./refused.ts";
import { openList, sizeOf, type StatusList, valueAt, verifyList } from "./status.ts";
import { contentOf, MOST_INFLATED } from "./text.ts";
import { type Authority, ENVIRONMENTS, openTrust, type Root, type TrustedKey, type TrustList, verifyTrust } from "./trust.ts";

const HOUR = 3_600;
const DAY = 24 * HOUR;
const LEEWAY = 30; // seconds that two honest clocks may differ
// An hour more than a day, or than 28: the clocks change.
const LONGEST: Record<Kind, number> = { phone: 25 * HOUR, proxy: 25 * HOUR, paper: 28 * DAY + HOUR };
const AHEAD = 3 * DAY; // so long before they begin credentials are issued
const GRACE = 28 * DAY; // so long after its end a key is still needed
const FRESH = DAY; // how old a list may be before its state is called stale
const LIFE_OF_A_STATUS_LIST = 7 * DAY;
const TRUST_GRACE = 30 * DAY; // so long an expired trust list still shows the last state, as stale
const STATUS_BITS = 4;

const OF_TEXT = new Map<Code, Reason>([
  ["too_many_bytes", "too_long"],
  ["bad_value", "bad_base45"],
  ["inflates_too_much", "inflates_too_much"],
]);
const COLOURS = new Map<number, Colour>([
  [0x0, "green"],
  [0x3, "notice"],
  [0xc, "yellow"],
  [0xd, "red"],
]);
const WITHDRAWN = 0x1;
const LETTERS = ENVIRONMENTS.map((environment) => environment.charCodeAt(0));

/** A status key and whose it is. */
interface Signer {
  readonly authority: Authority;
  readonly key: TrustedKey;
}

interface Held {
  readonly list: StatusList;
  readonly signer: string; // id of the key that signed it
}

/**
 * Whoever checks codes: a root that was pinned, the newest trust list and status lists, and marks.
 *
 * Its owner fetches the trust list and the lists of the authorities named there, on its own schedule, and hands the
 * bytes over; what a QR code says is never a reason to fetch anything.
 */
export class Verifier {
  private readonly root: Root;
  private readonly marks: Marks;
  private believed: TrustList | undefined;
  private readonly lists = new Map<string, Held>();
  private readonly refusedLists = new Map<string, Reason>();

  constructor(root: Root, marks: Marks) {
    this.root = root;
    this.marks = marks;
  }

  /** The trust list in force; undefined before one was taken. */
  get trust(): TrustList | undefined {
    return this.believed;
  }

  /** The status lists in force, by URI. */
  held(): ReadonlyMap<string, StatusList> {
    return new Map([...this.lists].map(([uri, held]) => [uri, held.list]));
  }

  /** Believes a signed trust list from now on. Lists signed by keys that it no longer trusts are let go.
   *
   * Throws Refused, and stays with what it has: rolled_back below the highest version seen, else as `verifyTrust`.
   */
  async takeTrust(content: Bytes): Promise<void> {
    const trust = await verifyTrust(openTrust(content), this.root);
    if (trust.version < this.marks.get(TRUST)) throw new Refused("rolled_back");
    this.marks.raiseTo(TRUST, trust.version);
    this.marks.raiseTo(TIME, trust.issued);
    this.believed = trust;
    for (const [uri, { list, signer }] of this.lists) {
      if (this.mayHaveSigned(signer, uri, list.iat) !== undefined) continue;
      this.lists.delete(uri);
      this.refusedLists.set(uri, "bad_list");
    }
  }

  /** Believes a signed status list, the file found at `uri`, from now on.
   *
   * Throws Refused, and stays with the newest it has: rolled_back for one older than was ever seen, untrusted when none
   * of the authority's status keys signed it, else as status.ts.
   */
  async takeList(uri: string, content: Bytes): Promise<void> {
    try {
      const opened = openList(content);
      const signer = hex(opened.message.keyId);
      this.believe(uri, await verifyList(opened, this.signerOf(signer, uri, opened.place.iat).key), signer);
    } catch (problem) {
      this.refusedLists.set(uri, codeOf(problem) === "rolled_back" ? "rolled_back" : "bad_list");
      throw problem;
    }
  }

  /** The same by a signed delta to the list that it holds. Throws Refused and stays with that one: as `takeList`, and
   * wrong_base when the delta is not to it; then the whole list is to be fetched. */
  async takeDelta(uri: string, content: Bytes): Promise<void> {
    const base = this.lists.get(uri);
    if (base === undefined) throw new Refused("wrong_base");
    const opened = openDelta(content);
    const signer = hex(opened.message.keyId);
    this.believe(uri, await applied(opened, this.signerOf(signer, uri, opened.place.iat).key, base.list), signer);
  }

  /** A list whose signature holds, if it is the one for this address, of our form, and not an older one. */
  private believe(uri: string, list: StatusList, signer: string): void {
    const { sub, bits, iat, exp } = list;
    if (sub !== uri || bits !== STATUS_BITS || exp - iat > LIFE_OF_A_STATUS_LIST) {
      throw new Refused("bad_message", "another list, or one of another form");
    }
    const { authority } = this.signerOf(signer, uri, iat); // again: a trust list may have come while the signature was checked
    if (iat < newestList(this.marks, authority, uri)) throw new Refused("rolled_back", "a newer one was seen already");
    this.marks.raiseTo(markOf(uri, signer), iat);
    this.marks.raiseTo(timeBy(signer), iat);
    this.lists.set(uri, { list, signer });
  }

  private signerOf(id: string, uri: string, at: number): Signer {
    const found = this.mayHaveSigned(id, uri, at);
    if (found === undefined) throw new Refused("untrusted", "no status key of its authority at that time");
    return found;
  }

  /** The key of that id, if it may have signed the list at `uri` at that time. */
  private mayHaveSigned(id: string, uri: string, at: number): Signer | undefined {
    const found = this.believed?.byKey.get(id);
    if (found === undefined || !uri.startsWith(`${found.authority.base}/status/`)) return undefined;
    const { key } = found;
    const may = key.use === "status" && key.revokedAt === undefined && key.notBefore <= at && at < key.notAfter;
    return may ? found : undefined;
  }

  /** What `scanned` proves at `clock`, seconds since 1970. Throws nothing for anything that can be scanned. */
  async verify(scanned: string, clock: number): Promise<Verified | NotVerified> {
    // 1 text → bytes, within limits
    let content: Bytes;
    try {
      content = contentOf(scanned);
    } catch (problem) {
      return notVerified(OF_TEXT.get(codeOf(problem)) ?? "not_a_code");
    }

    // 2 one COSE_Sign1, of the one algorithm that keys of credentials have
    let opened: Opened;
    let end: number;
    try {
      [opened, end] = first1(content);
    } catch (problem) {
      codeOf(problem);
      return notVerified("bad_cose");
    }
    if (algorithmOf(opened) !== ES256) return notVerified("wrong_algorithm");
    if (opened.headers.size !== 2 || opened.keyId.length !== KEY_ID) return notVerified("bad_cose");

    // 3 the key in the trust list: environment, use, dates. Time does not fall behind what our own city has signed,
    // whatever our clock says.
    const trust = this.believed;
    if (trust === undefined) return notVerified("no_trust");
    const ours = Math.max(clock, this.marks.get(TIME), newestTime(this.marks, trust.authorities[0]));
    if (ours >= trust.expires + TRUST_GRACE) return notVerified("no_trust");
    const letter = opened.keyId[0] ?? 0;
    if (letter !== trust.environment.charCodeAt(0) && LETTERS.includes(letter)) return notVerified("wrong_environment");
    const issuer = trust.byKey.get(hex(opened.keyId));
    if (issuer === undefined) return notVerified("unknown_key");
    const { authority, key } = issuer;
    if (key.revokedAt !== undefined) return notVerified("revoked_key");
    if (key.use !== "credential") return notVerified("wrong_use");
    const now = Math.max(ours, newestTime(this.marks, authority)); // another city says what time it is for its own codes
    if (now + LEEWAY < key.notBefore) return notVerified("key_not_yet");
    if (now >= key.notAfter + GRACE) return notVerified("key_over");

    // 4 the signature
    if (!(await signedBy(opened, key))) return notVerified("bad_signature");

    // 5 closed claims; and what they say lies within the key's scope, which is still a matter of step 3
    let claims: Claims;
    try {
      claims = claimsOf(opened.payload);
    } catch (problem) {
      codeOf(problem);
      return notVerified("bad_claims");
    }
    if (claims.issuer !== authority.id) return notVerified("wrong_authority");
    if (!claims.uri.startsWith(`${authority.base}/status/`)) return notVerified("wrong_authority");
    if (!key.kinds.includes(claims.kind)) return notVerified("wrong_use");

    // 6 times, by the latest of our clock, what our own city has signed and what the code's city has
    const { issued, expires } = claims;
    if (expires - issued > LONGEST[claims.kind] || issued >= key.notAfter + AHEAD) return notVerified("lives_too_long");
    if (now + LEEWAY < issued) return notVerified("not_yet");
    if (now - LEEWAY >= expires) return notVerified("expired");

    // 7 the holder's proof
    const amiss = await wrongProof(content.subarray(0, end), content.subarray(end), claims, now);
    if (amiss !== undefined) return notVerified(amiss);

    // 8 the status list, whose signature was looked at when it was taken
    const list = this.lists.get(claims.uri)?.list;
    if (list === undefined) return notVerified(this.refusedLists.get(claims.uri) ?? "no_list");
    if (now >= list.exp) return notVerified("list_over");
    if (claims.index >= sizeOf(list)) return notVerified("no_such_index");

    // 9 the verdict, with the age of its data
    const status = valueAt(list, claims.index);
    if (status === WITHDRAWN) return notVerified("withdrawn");
    const colour = COLOURS.get(status);
    if (colour === undefined) return notVerified("unknown_status");
    const ends = Math.min(list.iat + FRESH, trust.expires);
    return seal({
      colour,
      kind: claims.kind,
      mask: claims.mask,
      issuer: claims.issuer,
      validUntil: expires,
      listsAge: now - list.iat,
      staleSince: now > ends ? ends : undefined,
    });
  }
}

/** The COSE_Sign1 at the head of a CBOR sequence, and where it ends. Throws Refused. */
function first1(content: Bytes): [opened: Opened, end: number] {
  const [item, end] = decodeFirst(content, MOST_INFLATED);
  return [shape1(item), end];
}

/** Step 7: what is wrong with the proof; undefined when nothing is. */
async function wrongProof(cose: Bytes, proof: Bytes, claims: Claims, now: number): Promise<Reason | undefined> {
  if (claims.holder === undefined) return proof.length > 0 ? "unexpected_proof" : undefined;
  if (proof.length === 0) return "no_proof";
  try {
    const made = proofOf(proof);
    const age = ageOf(made, now);
    if (age === "old") return "proof_old";
    if (age === "ahead") return "proof_ahead";
    const point = uncompressed(claims.holder.x, claims.holder.odd);
    return (await holds(made, point, cose)) ? undefined : "bad_proof";
  } catch (problem) {
    codeOf(problem);
    return "bad_proof";
  }
}

/** The code of a Refused. Whatever else was thrown is a mistake of ours and goes on. */
function codeOf(problem: unknown): Code {
  if (problem instanceof Refused) return problem.code;
  throw problem;
}
