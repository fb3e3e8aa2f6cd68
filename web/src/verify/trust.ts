// Whom to believe: the root, whose fingerprint a verifier has pinned, and the trust list that its keys sign.

import { type Bytes, hex, joined, sha256 } from "./bytes.ts";
import { arrayOf, bytesOf, type Cbor, type CborMap, decode, mapOf, unexpected } from "./cbor.ts";
import type { Kind } from "./claims.ts";
import { EDDSA, ES256, openMany, type OpenedMany, type PublicKey, signersAmong, TYP } from "./cose.ts";
import { isPoint } from "./point.ts";
import { Refused } from "./refused.ts";

const TYPE = "application/kangma-trust+cose";
const MOST_BYTES = 262_144;
const MOST_ITEMS = 2 ** 16; // of CBOR: a key of all labels has 31 in 145 bytes
const MOST_ROOT_BYTES = 1_024;
const MOST_AUTHORITIES = 512;
const MOST_KEYS = 64; // of one authority
const DAY = 86_400;
const END_MOMENT = 7_289_654_400; // the year 2201: no time in Kangma lies behind it
const LIFE_OF_A_LIST = 90 * DAY;

const ID = /^[a-z][a-z0-9-]{0,15}$/;
const NAME = /^(?:[^\p{C}\p{Z}]| ){1,64}$/u;
const NAMES = "a name is 1 to 64 printable characters in each language";
const BASE = /^(?=.{1,40}$)https?:\/\/[A-Za-z0-9.:[\]-]+(\/[A-Za-z0-9._~-]+)*$/;
const ORIGIN = /^[!-*,-~]{1,64}$/;
const ZONE = /^[A-Za-z][A-Za-z0-9_+/-]{0,39}$/;

export const ENVIRONMENTS = ["production", "test", "development"] as const;
export type Environment = (typeof ENVIRONMENTS)[number];

/** What a key signs, and nothing else; with its algorithm and the longest life of such a key. */
const USES = {
  credential: { algorithm: ES256, longest: 30 * DAY },
  status: { algorithm: ES256, longest: 30 * DAY },
  log: { algorithm: EDDSA, longest: 400 * DAY },
  witness: { algorithm: EDDSA, longest: 400 * DAY },
} as const;
export type Use = keyof typeof USES;

const ALL_KINDS: readonly Kind[] = ["phone", "paper", "proxy"];

/** The keys that trust begins with: of 3 to 7, more than half must sign. */
export interface Root {
  readonly environment: Environment;
  readonly threshold: number;
  readonly keys: ReadonlyMap<string, PublicKey>; // by key id in hex
  readonly fingerprint: string; // SHA-256 of the file in hex: what is printed on paper, and pinned
}

/** A public key with what it may do and when: it signs in [notBefore, notAfter) unless it is revoked. */
export interface TrustedKey extends PublicKey {
  readonly id: string; // hex
  readonly use: Use;
  readonly notBefore: number;
  readonly notAfter: number;
  readonly announcedAt: number;
  readonly revokedAt: number | undefined; // who sees this believes nothing that it signed, whenever it signed
  readonly kinds: readonly Kind[]; // what a credential key may sign
}

/** A city that signs codes. */
export interface Authority {
  readonly id: string;
  readonly name: { readonly zh: string; readonly en: string };
  readonly base: string; // its status lists lie under base + "/status/"
  readonly origin: string; // the name of its log
  readonly keys: readonly TrustedKey[];
  readonly zone: string;
}

declare const proven: unique symbol;

/** A list that the root stands behind: only `verifyTrust` makes one. */
export interface TrustList {
  readonly [proven]: true;
  readonly version: number;
  readonly issued: number;
  readonly expires: number;
  readonly environment: Environment;
  readonly authorities: readonly Authority[]; // the first one publishes the list
  readonly byKey: ReadonlyMap<string, { readonly authority: Authority; readonly key: TrustedKey }>; // by key id in hex
}

/** The root in a file. Nothing makes it believable but its fingerprint. Throws Refused. */
export async function rootOf(content: Bytes): Promise<Root> {
  const item = mapOf(decode(content, MOST_ROOT_BYTES), [1, 2, 3]);
  const environment = oneOf(ENVIRONMENTS, item.get(1));
  const threshold = numberOf(item.get(2), 7, "a threshold is more than half of the keys");
  const raws = arrayOf(item.get(3), 0, 7).map((raw) => pointOf(raw));
  const keys = new Map<string, PublicKey>();
  for (const raw of raws) keys.set(await keyId(environment, raw), { algorithm: ES256, raw });
  if (keys.size < 3 || keys.size !== raws.length) throw bad("a root has 3 to 7 different keys");
  if (keys.size >= 2 * threshold || threshold > keys.size) throw bad("a threshold is more than half of the keys");
  return { environment, threshold, keys, fingerprint: hex(await sha256(content)) };
}

/** A signed list taken apart: nothing in it was looked at but its outer shape. Throws Refused. */
export function openTrust(content: Bytes): OpenedMany {
  const message = openMany(content, MOST_BYTES);
  if (mapOf(message.headers, [TYP]).get(TYP) !== TYPE) throw unexpected();
  return message;
}

/** The list, which `root.threshold` different root keys signed.
 *
 * Throws Refused: untrusted when fewer did, whatever else is wrong with it, or when it is of another environment;
 * bad_message for another shape, bad_trust_list for a rule broken.
 */
export async function verifyTrust(opened: OpenedMany, root: Root): Promise<TrustList> {
  if ((await signersAmong(opened, root.keys)) < root.threshold) throw new Refused("untrusted");
  const list = await listOf(opened.payload);
  if (list.environment !== root.environment) throw new Refused("untrusted", "of another environment");
  return list as TrustList;
}

/** What a payload claims, for `verifyTrust` and for those who are about to sign it. Throws Refused as there. */
export async function listOf(payload: Bytes): Promise<Omit<TrustList, typeof proven>> {
  const item = mapOf(decode(payload, MOST_BYTES, MOST_ITEMS), [1, 2, 3, 4, 6], [5]);
  const environment = oneOf(ENVIRONMENTS, item.get(4));
  const authorities: Authority[] = [];
  const byKey = new Map<string, { authority: Authority; key: TrustedKey }>();
  for (const one of arrayOf(item.get(6), 0, MOST_AUTHORITIES)) {
    const authority = await authorityOf(one, environment);
    if (authorities.some((other) => other.id === authority.id)) throw bad("an authority is listed once");
    authorities.push(authority);
    for (const key of authority.keys) {
      if (byKey.has(key.id)) throw bad("a key is listed once");
      byKey.set(key.id, { authority, key });
    }
  }
  const [version, issued, expires] = [numberOf(item.get(1), 2 ** 32 - 1, "versions count"), momentOf(item.get(2)), momentOf(item.get(3))];
  const previous = item.get(5);
  if (version < 1) throw bad("versions count from 1");
  if (issued >= expires || expires > issued + LIFE_OF_A_LIST) throw bad("a list lives 90 days at most");
  if (item.has(5) !== version > 1) throw bad("every version but the first names the one before it");
  if (previous !== undefined) bytesOf(previous, 32);
  if (authorities.length === 0) throw bad("a list has an authority");
  for (const { key } of byKey.values()) {
    if (key.announcedAt > issued || (key.revokedAt ?? 0) > issued) throw bad("announced or revoked after the list");
  }
  return { version, issued, expires, environment, authorities, byKey };
}

async function authorityOf(value: Cbor, environment: Environment): Promise<Authority> {
  const item = mapOf(value, [1, 2, 3, 4, 5, 6]);
  const name = mapOf(item.get(2), ["zh", "en"]);
  const keys: TrustedKey[] = [];
  for (const one of arrayOf(item.get(5), 0, MOST_KEYS)) keys.push(await trustedKeyOf(one, environment));
  return {
    id: formOf(item.get(1), ID, "an authority's id is 1 to 16 of a-z, 0-9 and -, a letter first"),
    name: { zh: formOf(name.get("zh"), NAME, NAMES), en: formOf(name.get("en"), NAME, NAMES) },
    base: formOf(item.get(3), BASE, "a base is an http(s) address of 40 bytes at most, without / at its end"),
    origin: formOf(item.get(4), ORIGIN, "an origin has no space and no plus"),
    keys,
    zone: formOf(item.get(6), ZONE, "a zone is an IANA name"),
  };
}

async function trustedKeyOf(value: Cbor, environment: Environment): Promise<TrustedKey> {
  const item = mapOf(value, [1, 2, 3, 4, 5, 6, 7], [8, 9, 10]);
  const use = oneOf(Object.keys(USES) as Use[], item.get(4));
  const { algorithm, longest } = USES[use];
  if (item.get(2) !== ES256 && item.get(2) !== EDDSA) throw unexpected();
  if (item.get(2) !== algorithm) throw bad("a key's algorithm is that of its use");
  const raw = algorithm === ES256 ? pointOf(item.get(3)) : bytesOf(item.get(3), 32);
  const id = hex(bytesOf(item.get(1), 8));
  if (id !== (await keyId(environment, raw))) throw bad("the key id is another key's, or another environment's");
  const [notBefore, notAfter, announcedAt] = [momentOf(item.get(5)), momentOf(item.get(6)), momentOf(item.get(7))];
  if (announcedAt > notBefore || notBefore >= notAfter) throw bad("a key is announced, then begins, then ends");
  if (notAfter - notBefore > longest) throw bad("a key of this use lives less long");
  const revokedAt = item.has(8) ? momentOf(item.get(8)) : undefined;
  if (revokedAt !== undefined && revokedAt < announcedAt) throw bad("a key is not revoked before it is announced");
  if (item.has(9) !== (algorithm === ES256)) throw bad("credential and status keys have ceilings, and no other");
  if (item.has(9)) checkCeilings(mapOf(item.get(9), [1, 2, 3]));
  if (item.has(10) !== (use === "credential")) throw bad("credential keys have kinds, and no other");
  const kinds = item.has(10) ? arrayOf(item.get(10), 1, 3).map((kind) => oneOf(ALL_KINDS, kind)) : [];
  if (kinds.join() !== ALL_KINDS.filter((kind) => kinds.includes(kind)).join()) throw bad("kinds have an order");
  return { id, algorithm, raw, use, notBefore, notAfter, announcedAt, revokedAt, kinds };
}

/** They bind signers; a verifier at a door only reads past them. */
function checkCeilings(ceilings: CborMap): void {
  for (const label of [1, 2, 3]) {
    numberOf(ceilings.get(label), label === 2 ? 1_000_000 : 2 ** 32 - 1, "ceilings are whole numbers");
  }
}

/** The environment's letter, then the first seven bytes of SHA-256 over the key, in hex. */
async function keyId(environment: Environment, raw: Bytes): Promise<string> {
  return hex(joined(new Uint8Array([environment.charCodeAt(0)]), (await sha256(raw)).subarray(0, 7)));
}

function pointOf(value: Cbor | undefined): Bytes {
  const raw = bytesOf(value);
  if (!isPoint(raw)) throw bad("not a point of P-256");
  return raw;
}

function momentOf(value: Cbor | undefined): number {
  return numberOf(value, END_MOMENT - 1, "times are whole seconds from 1970 to 2200");
}

function numberOf(value: Cbor | undefined, most: number, rule: string): number {
  if (typeof value !== "number" || value < 0 || value > most) throw bad(rule);
  return value;
}

/** Another type is another shape; another form breaks a rule. */
function formOf(value: Cbor | undefined, form: RegExp, rule: string): string {
  if (typeof value !== "string") throw unexpected();
  if (!form.test(value)) throw bad(rule);
  return value;
}

function oneOf<T extends string>(known: readonly T[], value: Cbor | undefined): T {
  const found = known.find((one) => one === value);
  if (found === undefined) throw unexpected();
  return found;
}

const bad = (hint: string): Refused => new Refused("bad_trust_list", hint);
