// Step 5: what a credential says, a closed set of claims (RFC 8392, RFC 8747, the Token Status List draft, one of ours).

import type { Bytes } from "./bytes.ts";
import { arrayOf, bytesOf, type Cbor, decode, mapOf, textOf, uintOf, unexpected } from "./cbor.ts";

const FIRST = 2 ** 16; // moments that have exactly four bytes: from 1970 to 2106
const END = 2 ** 32;

/** How the credential is carried. */
export type Kind = "phone" | "paper" | "proxy";
const KINDS: readonly (Kind | undefined)[] = [undefined, "phone", "paper", "proxy"];

const ISS = 1;
const EXP = 4;
const IAT = 6;
const CNF = 8;
const STATUS = 65535;
const ABOUT = -65537; // [kind, mask]

const MOST_BYTES = 512;
const ISSUER = /^[a-z0-9](?:[a-z0-9-]{0,14}[a-z0-9])?$/;
const URI = /^[!-~]{1,128}$/;
const MOST_MASK = 24; // bytes
const SHOWN = /^[^\p{Cc}\p{Cf}\p{Cs}\p{Co}\p{Zl}\p{Zp}]+$/u; // nothing that controls how other text is shown

/** The holder's key as the credential carries it: a coordinate, and whether the other one is odd. */
export interface HolderKey {
  readonly x: Bytes; // 32
  readonly odd: boolean;
}

/** Valid in [issued, expires). */
export interface Claims {
  readonly issuer: string; // an authority's id
  readonly issued: number; // seconds since 1970
  readonly expires: number;
  readonly uri: string; // of the status list
  readonly index: number; // in that list
  readonly kind: Kind;
  readonly mask: string; // as much of a name as many share
  readonly holder: HolderKey | undefined; // undefined for paper, and only for paper
}

/** Throws Refused: too_many_bytes, bad_message for a claim missing, unknown, or of another form. */
export function claimsOf(payload: Bytes): Claims {
  const said = mapOf(decode(payload, MOST_BYTES), [ISS, EXP, IAT, STATUS, ABOUT], [CNF]);
  const status = mapOf(mapOf(said.get(STATUS), ["status_list"]).get("status_list"), ["idx", "uri"]);
  const [number, mask] = arrayOf(said.get(ABOUT), 2, 2);
  const kind = KINDS[uintOf(number)];
  if (kind === undefined || said.has(CNF) !== (kind !== "paper")) throw unexpected();
  const claims: Claims = {
    issuer: textOf(said.get(ISS), ISSUER),
    issued: uintOf(said.get(IAT)),
    expires: uintOf(said.get(EXP)),
    uri: textOf(status.get("uri"), URI),
    index: uintOf(status.get("idx")),
    kind,
    mask: textOf(mask, SHOWN, MOST_MASK),
    holder: kind === "paper" ? undefined : holderOf(said.get(CNF)),
  };
  if (claims.issued < FIRST || claims.issued >= claims.expires || claims.expires >= END) throw unexpected();
  if (claims.index >= 2 ** 32) throw unexpected();
  return claims;
}

/** A COSE_Key (RFC 9052, 7) on P-256 with a compressed point. */
function holderOf(cnf: Cbor | undefined): HolderKey {
  const key = mapOf(mapOf(cnf, [1]).get(1), [1, -1, -2, -3]);
  const odd = key.get(-3);
  if (key.get(1) !== 2 || key.get(-1) !== 1 || typeof odd !== "boolean") throw unexpected();
  return { x: bytesOf(key.get(-2), 32), odd };
}
