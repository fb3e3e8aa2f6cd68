// The public log as a page can read it: its head, its entries, whether these are the tree that the head names (RFC 6962;
// docs/formats/log.md), and whether that goes on from what this device saw before. All entries are read where they are few, the
// first and the last where they are many; their tree is checked either way (tree.ts).

import { type Bytes, hex, utf8 } from "../verify/bytes.ts";
import { EDDSA } from "../verify/cose.ts";
import type { Authority } from "../verify/trust.ts";
import { bundleOf, type Get, type Rooted, Tiles, Torn, Whole, WIDTH } from "./tree.ts";

const MOST_WHOLE = 16 * WIDTH; // entries: of a log up to this size each is read
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
/** A log as somebody saw it: so many entries, and the root over them (hex). */
export interface Seen {
  readonly size: number;
  readonly root: string;
}
export interface Log {
  readonly head: Head;
  readonly read: number; // entries that were read: all, or the first and the last
  readonly tree: boolean | undefined; // whether what was read is the tree that the head names; undefined: it could not be had
  readonly since: Seen | undefined; // what this device saw before
  readonly grown: boolean | undefined; // whether the log begins with that, unchanged
  readonly same: boolean | undefined; // whether the pointer to the last release says what it begins with
  readonly releases: readonly Release[]; // the newest first
  readonly policies: readonly Policy[]; // the newest first
}

/** The log of an authority: held against what this device saw of it before, and what the folder's pointer says. Throws what
 * `get` throws, and Error for what is no log. */
export async function logOf(get: Get, authority: Authority, since: Seen | undefined, latest: Seen | undefined): Promise<Log> {
  const head = await headOf(await get("checkpoint", 65_536), authority);
  const bundles = Math.ceil(head.size / WIDTH);
  const whole = head.size <= MOST_WHOLE;
  const wanted = Array.from({ length: Math.min(bundles, whole ? bundles : FIRST + LAST) }, (_, n) => (whole || n < FIRST ? n : bundles - FIRST - LAST + n));
  const read = new Map<number, Bytes[]>();
  const readable = await holds(async () => {
    for (const n of wanted) read.set(n, await bundleOf(get, n, head.size, MOST_BYTES));
    return true;
  });
  const tree = readable === true ? await treeOf(get, head, read, whole) : (readable as false | undefined);
  const entries = readable !== true || tree === false ? [] : [...read.values()].flat(); // nothing is told by what does not stand in the log
  const begins = async (then: Seen | undefined): Promise<boolean | undefined> => {
    if (then === undefined) return undefined;
    if (then.size >= head.size) return then.size === head.size && then.root === hex(head.root);
    return typeof tree === "object" ? holds(async () => hex(await tree.rootOf(then.size)) === then.root) : tree;
  };
  const events = entries.map(eventOf).filter((event) => event !== undefined);
  const releases = events.filter((event) => event["type"] === "release").map(releaseOf);
  const policies = events.filter((event) => event["type"] === "policy" && event["part"] === 0).map(policyOf);
  return {
    head,
    read: entries.length,
    tree: typeof tree === "object" ? true : tree,
    since,
    grown: await begins(since),
    same: await begins(latest),
    releases: releases.reverse(),
    policies: policies.reverse(),
  };
}

/** The tree under the head, in which all that was read stands; false where it is another, undefined where it cannot be had. */
async function treeOf(get: Get, head: Head, read: ReadonlyMap<number, readonly Bytes[]>, whole: boolean): Promise<Rooted | false | undefined> {
  let tree: Rooted | undefined;
  const found = await holds(async () => {
    if (whole) tree = await Whole.of([...read.values()].flat(), head.root);
    else {
      const tiles = await Tiles.of(get, head.size, head.root);
      for (const [n, entries] of read) await tiles.hold(n, entries);
      tree = tiles;
    }
    return true;
  });
  return found === true ? tree : (found as false | undefined);
}

/** False for what is torn, undefined where something could not be fetched. */
async function holds(check: () => Promise<boolean>): Promise<boolean | undefined> {
  try {
    return await check();
  } catch (problem) {
    if (!(problem instanceof Error)) throw problem;
    return problem instanceof Torn ? false : undefined;
  }
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

function base64(text: string): Bytes {
  return Uint8Array.from(atob(text), (character) => character.charCodeAt(0)) as Bytes;
}
