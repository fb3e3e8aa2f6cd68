// The public log as a page can read it: its head, its entries, and whether these are the tree that the head names
// (RFC 6962; docs/formats/log.md). All of them where they are few, the first and the last where they are many.

import { type Bytes, hex, joined, sha256, utf8 } from "../verify/bytes.ts";
import { EDDSA } from "../verify/cose.ts";
import type { Authority } from "../verify/trust.ts";

const BUNDLE = 256; // entries
const MOST_WHOLE = 16 * BUNDLE; // a log up to this size is recomputed to its root
const FIRST = 2; // bundles that are read of a larger one, from its beginning and its end
const LAST = 4;
const EVENT = 2; // the first byte of an entry that says something in words
const MOST_BYTES = 2 ** 24 + 512; // of one bundle

export interface Release {
  readonly number: number;
  readonly at: number;
  readonly persons: number;
  readonly turned: number;
  readonly policy: string;
}
export interface Policy {
  readonly id: string;
  readonly version: string;
  readonly digest: string;
  readonly title: { readonly zh: string; readonly en: string } | undefined;
  readonly from: number | undefined;
}
export interface Head {
  readonly origin: string;
  readonly size: number;
  readonly root: Bytes;
  readonly signed: boolean | undefined; // undefined where this browser cannot tell
}
export interface Log {
  readonly head: Head;
  readonly recomputed: boolean | undefined; // undefined where there are too many entries
  readonly releases: readonly Release[]; // the newest first
  readonly policies: readonly Policy[]; // the newest first
}

type Get = (path: string, most: number) => Promise<Bytes>;

/** The log of an authority. Throws what `get` throws, and Error for what is no log. */
export async function logOf(get: Get, authority: Authority): Promise<Log> {
  const head = await headOf(await get("checkpoint", 65_536), authority);
  const bundles = Math.ceil(head.size / BUNDLE);
  const whole = head.size <= MOST_WHOLE;
  const wanted = Array.from({ length: bundles }, (_, n) => n).filter((n) => whole || n < FIRST || n >= bundles - LAST);
  const entries: Bytes[] = [];
  for (const n of wanted) entries.push(...entriesOf(await get(pathOf(n, head.size), MOST_BYTES)));
  const events = entries.map(eventOf).filter((event) => event !== undefined);
  const releases = events.filter((event) => event["type"] === "release").map(releaseOf);
  const policies = events.filter((event) => event["type"] === "policy" && event["part"] === 0).map(policyOf);
  const recomputed = whole ? hex(await rootOf(entries)) === hex(head.root) && entries.length === head.size : undefined;
  return { head, recomputed, releases: releases.reverse(), policies: policies.reverse() };
}

/** A signed note: origin, size, root, an empty line, signatures. */
async function headOf(content: Bytes, authority: Authority): Promise<Head> {
  const text = new TextDecoder().decode(content);
  const end = text.indexOf("\n\n");
  const [origin = "", size = "", root = ""] = text.slice(0, end).split("\n");
  if (end < 0 || !/^(0|[1-9][0-9]{0,14})$/.test(size)) throw new Error("no checkpoint");
  const signed = await isSigned(utf8(text.slice(0, end + 1)), text.slice(end + 2), authority);
  return { origin, size: Number(size), root: base64(root), signed: origin === authority.origin ? signed : false };
}

async function isSigned(note: Bytes, signatures: string, authority: Authority): Promise<boolean | undefined> {
  const keys = authority.keys.filter((key) => key.use === "log" && key.algorithm === EDDSA && key.revokedAt === undefined);
  for (const line of signatures.split("\n")) {
    const [dash, name, content] = line.split(" ");
    if (dash !== "—" || name !== authority.origin || content === undefined) continue;
    const signature = base64(content).slice(4); // before it, a hint which key it is
    for (const key of keys) {
      try {
        const raw = await crypto.subtle.importKey("raw", key.raw, "Ed25519", false, ["verify"]);
        if (await crypto.subtle.verify("Ed25519", raw, signature, note)) return true;
      } catch {
        return undefined; // a browser without Ed25519
      }
    }
  }
  return false;
}

/** tile/entries/x001/067, the last one with how many it has so far. */
function pathOf(n: number, size: number): string {
  const groups = [String(n % 1_000).padStart(3, "0")];
  for (let rest = Math.floor(n / 1_000); rest > 0; rest = Math.floor(rest / 1_000)) groups.unshift(`x${String(rest % 1_000).padStart(3, "0")}`);
  const here = Math.min(BUNDLE, size - n * BUNDLE);
  return `tile/entries/${groups.join("/")}${here < BUNDLE ? `.p/${here}` : ""}`;
}

/** Entries behind each other, each after its length in two bytes. */
function entriesOf(bundle: Bytes): Bytes[] {
  const entries: Bytes[] = [];
  for (let at = 0; at < bundle.length; ) {
    const length = ((bundle[at] ?? 0) << 8) | (bundle[at + 1] ?? 0);
    const entry = bundle.slice(at + 2, at + 2 + length);
    if (entry.length !== length || length === 0) throw new Error("no bundle");
    entries.push(entry);
    at += 2 + length;
  }
  return entries;
}

type Event = Readonly<Record<string, unknown>>;

function eventOf(entry: Bytes): Event | undefined {
  return entry[0] === EVENT ? (JSON.parse(new TextDecoder().decode(entry.subarray(1))) as Event) : undefined;
}

function releaseOf(said: Event): Release {
  const turns = said["turns"] as readonly unknown[];
  return {
    number: Number(said["number"]),
    at: Number(said["at"]),
    persons: Number(said["persons"]),
    turned: Number(turns[1]),
    policy: String(said["policy"]),
  };
}

/** What a policy file calls itself; the file is TOML, of which these three lines are enough. */
function policyOf(said: Event): Policy {
  const text = String(said["text"]);
  const line = (name: string): string | undefined => new RegExp(`^${name} = "?([^"\n]*)"?$`, "m").exec(text)?.[1];
  const [zh, en, from] = [line("title\\.zh"), line("title\\.en"), Date.parse(line("effective_from") ?? "")];
  return {
    id: String(said["id"]),
    version: String(said["version"]),
    digest: String(said["digest"]),
    title: zh === undefined || en === undefined ? undefined : { zh, en },
    from: Number.isNaN(from) ? undefined : Math.floor(from / 1_000),
  };
}

/** The root over all entries (RFC 6962, 2.1). */
async function rootOf(entries: readonly Bytes[]): Promise<Bytes> {
  let level = await Promise.all(entries.map((entry) => sha256(joined(new Uint8Array([0]), entry))));
  if (level.length === 0) return sha256(new Uint8Array(0));
  // An odd one out is carried up as it is: that divides at powers of two.
  while (level.length > 1) {
    const pairs = Array.from({ length: Math.ceil(level.length / 2) }, async (_, n) => {
      const [left, right] = [level[2 * n] as Bytes, level[2 * n + 1]];
      return right === undefined ? left : sha256(joined(new Uint8Array([1]), left, right));
    });
    level = await Promise.all(pairs);
  }
  return level[0] as Bytes;
}

function base64(text: string): Bytes {
  return Uint8Array.from(atob(text), (character) => character.charCodeAt(0)) as Bytes;
}
