// A traveller from a city that ours recognises, at the door's page: by the lists that our server keeps of that city.

import assert from "node:assert/strict";
import { createECDH, createHash, createPrivateKey, sign } from "node:crypto";
import { beforeEach, test } from "node:test";
import { deflateSync, inflateSync } from "node:zlib";
import { Kept } from "../src/look/kept.ts";
import { Lists } from "../src/scan/lists.ts";
import { type Bytes, joined } from "../src/verify/bytes.ts";
import { encode } from "../src/verify/cbor.ts";
import type { KeyStore } from "../src/verify/marks.ts";
import type { NotVerified, Verified } from "../src/verify/outcome.ts";
import { openList } from "../src/verify/status.ts";
import { fromBase64 } from "./replay.ts";
import { vectors } from "./vectors.ts";

const [TRAVELLER, AT_HOME] = ["another_authority", "phone_green"].map((name) => vectors().find((one) => one.name === name)) as [Vector, Vector];
type Vector = ReturnType<typeof vectors>[number];
const NOW = TRAVELLER.now;
const [OURS, THEIRS] = ["https://code.kangma.example/", "https://jkm.tianjin.example/"];
const THEIR_LIST = Object.keys(TRAVELLER.lists).find((uri) => uri.startsWith(THEIRS)) as string;
const KEPT = "elsewhere/cn-tj/";
const PATH = THEIR_LIST.slice(THEIRS.length);
const GREEN = 7; // the index of both codes, as tests/vectors/make_verify.py has it

/** Their list signed at `iat` by a key of the vectors, with another value at the code's index. */
function list(iat: number, value: number, signer = "tianjin status"): Bytes {
  const { message, place, lst } = openList(fromBase64(TRAVELLER.lists[THEIR_LIST] as string));
  const raw = inflateSync(lst);
  raw[GREEN >> 1] = ((raw[GREEN >> 1] as number) & 0x0f) | (value << 4);
  const payload = Buffer.from(message.payload);
  const written = (moment: number): Buffer => Buffer.from([0x1a, moment >>> 24, (moment >>> 16) & 255, (moment >>> 8) & 255, moment & 255]);
  const swapped = (before: Uint8Array, old: Uint8Array, now: Uint8Array): Bytes => {
    const at = Buffer.from(before).indexOf(old);
    assert.ok(at >= 0);
    return joined(before.slice(0, at), now, before.slice(at + old.length));
  };
  const timed = swapped(swapped(payload, written(place.iat), written(iat)), written(place.exp), written(iat + place.exp - place.iat));
  const said = swapped(timed, encode(lst), encode(new Uint8Array(deflateSync(raw))));
  const d = createHash("sha256").update(`kangma vector key ${signer}`).digest();
  const pair = createECDH("prime256v1");
  pair.setPrivateKey(d);
  const [x, y] = [pair.getPublicKey().subarray(1, 33), pair.getPublicKey().subarray(33)].map((part) => part.toString("base64url")) as [string, string];
  const key = createPrivateKey({ key: { kty: "EC", crv: "P-256", d: d.toString("base64url"), x, y }, format: "jwk" });
  const signature = sign("sha256", encode(["Signature1", message.protectedBytes, new Uint8Array(0), said]), { key, dsaEncoding: "ieee-p1363" });
  return joined(Uint8Array.of(0xd2, 0x84), encode(message.protectedBytes), Uint8Array.of(0xa0), encode(said), encode(new Uint8Array(signature)));
}

/** What our server has, by path below /public/; and what was asked of it. */
let files: Map<string, Bytes>;
let asked: string[];
let down = false;
globalThis.fetch = (address: string | URL | Request): Promise<Response> => {
  const path = String(address).replace("/public/", "");
  asked.push(path);
  const content = files.get(path);
  if (down) return Promise.reject(new TypeError("no network"));
  return Promise.resolve(content === undefined ? new Response(null, { status: 404 }) : new Response(content));
};

function put(path: string, content: Bytes | object): void {
  files.set(path, content instanceof Uint8Array ? content : (new TextEncoder().encode(JSON.stringify(content)) as Bytes));
}

/** Their list is here, as `kangma mirror` puts it. */
function mirrored(content: Bytes, signed = openList(content).place.iat): void {
  put(KEPT + PATH, content);
  put(`${KEPT}latest.json`, { lists: { [PATH]: signed } });
}

let kept: Kept;
let marks: KeyStore;
let values: Map<string, string>; // what is in it
beforeEach(async () => {
  [files, asked, down] = [new Map(), [], false];
  put("root", fromBase64(TRAVELLER.root));
  put("trust", fromBase64(TRAVELLER.trust as string));
  const ours = Object.entries(TRAVELLER.lists).filter(([uri]) => uri.startsWith(OURS));
  const signed: Record<string, number> = {};
  for (const [uri, content] of ours) {
    const path = uri.slice(OURS.length);
    put(path, fromBase64(content));
    signed[path] = openList(fromBase64(content)).place.iat;
  }
  put("latest.json", { release: 42, at: NOW, lists: signed, log: { size: 1_337, root: "" } });
  kept = await Kept.open("door"); // without IndexedDB, as here, it lives as long as it is held
  values = new Map();
  marks = { getItem: (name) => values.get(name) ?? null, setItem: (name, value) => void values.set(name, value) };
});

/** A door that looked for newer lists, its page opened anew. */
async function door(): Promise<Lists> {
  const lists = new Lists(kept, marks);
  await lists.restore();
  await lists.refresh(NOW);
  await lists.refreshElsewhere();
  return lists;
}

const shown = async (lists: Lists, vector: Vector, now = NOW): Promise<Verified | NotVerified> =>
  (await lists.verifier?.verify(vector.text, now)) as Verified | NotVerified;
const colour = async (lists: Lists, vector = TRAVELLER): Promise<string> => {
  const result = await shown(lists, vector);
  return "colour" in result ? result.colour : result.reason;
};

const SIGNED = NOW - 127;
const [GREEN_CODE, WITHDRAWN] = [0x0, 0x1];

test("a traveller passes, and after their city's next release does not", async () => {
  const first = await door();
  assert.equal(await colour(first), "no_list");
  assert.deepEqual(first.elsewhere.map(({ city, count }) => [city.name.en, count]), [["Tianjin", 0]]);
  mirrored(list(SIGNED, GREEN_CODE));
  const lists = await door();
  const result = (await shown(lists, TRAVELLER)) as Verified;
  assert.deepEqual([result.colour, result.issuer, result.listsAge, result.outcome], ["green", "cn-tj", 127, "verified"]);
  assert.deepEqual(lists.elsewhere.map(({ count, signed }) => [count, signed]), [[1, SIGNED]]);
  assert.deepEqual([lists.count, lists.refused], [2, 0]); // ours alone
  mirrored(list(SIGNED + 60, WITHDRAWN));
  await lists.refreshElsewhere();
  assert.equal(await colour(lists), "withdrawn");
  asked = [];
  await lists.refreshElsewhere();
  assert.deepEqual(asked, [`${KEPT}latest.json`]); // nothing is fetched twice
});

test("an older list takes nothing back, after a restart neither", async () => {
  mirrored(list(SIGNED + 60, WITHDRAWN));
  const lists = await door();
  mirrored(list(SIGNED, GREEN_CODE), SIGNED + 120);
  await lists.refreshElsewhere();
  assert.equal(await colour(lists), "withdrawn");
  assert.equal(await colour(await door()), "withdrawn");
});

test("a list that is broken, a stranger's or our own key's is not believed and leaves ours alone", async () => {
  const broken = list(SIGNED, GREEN_CODE);
  broken[broken.length - 1] = (broken[broken.length - 1] as number) ^ 1;
  for (const content of [broken, list(SIGNED, GREEN_CODE, "stranger"), list(SIGNED, GREEN_CODE, "status"), fromBase64(TRAVELLER.lists[`${OURS}${PATH}`] as string)]) {
    mirrored(content, SIGNED);
    const lists = await door();
    assert.equal(await colour(lists), "bad_list");
    assert.equal(await colour(lists, AT_HOME), "green");
    assert.equal(await lists.refresh(NOW), "fresh");
    assert.equal(lists.refused, 0);
  }
  for (const nonsense of ["[]", "null", "{", '{"lists": 7}', '{"lists": {"status/1/0": "x"}}']) {
    put(`${KEPT}latest.json`, new TextEncoder().encode(nonsense) as Bytes);
    assert.equal(await colour(await door(), AT_HOME), "green");
  }
});

test("the lists are gone and the network too: the door goes on, and says since when", async () => {
  mirrored(list(SIGNED, GREEN_CODE));
  await door();
  files.delete(`${KEPT}latest.json`); // the server lost them; the device has them
  files.delete(KEPT + PATH);
  assert.equal(await colour(await door()), "green");
  down = true;
  const lists = await door();
  assert.equal(await colour(lists), "green");
  assert.equal(await lists.refresh(NOW), "unreachable");
});

test("a city that has been away for a day is shown as last known, and ours as ever", async () => {
  const signed = NOW - 25 * 3_600;
  mirrored(list(signed, GREEN_CODE));
  const lists = await door();
  const result = (await shown(lists, TRAVELLER)) as Verified;
  assert.deepEqual([result.outcome, result.colour, result.staleSince], ["stale", "green", signed + 86_400]);
  assert.equal(lists.elsewhere[0]?.signed, signed);
  assert.equal(((await shown(lists, AT_HOME)) as Verified).outcome, "verified");
  assert.equal(lists.signed, SIGNED);
});

test("what a city names no more is let go, and its neighbour's is not", async () => {
  mirrored(list(SIGNED, GREEN_CODE));
  await door();
  put(`${KEPT}latest.json`, { lists: {} });
  const lists = await door();
  assert.equal(await colour(lists, AT_HOME), "green");
  const uris = (await kept.get<readonly string[]>("uris")) ?? [];
  assert.deepEqual([uris.includes(THEIR_LIST), uris.length], [false, 2]);
});

test("a city that signs three weeks ahead ends its own codes and nobody else's, after a restart neither", async () => {
  mirrored(list(NOW + 20 * 86_400, GREEN_CODE));
  for (const lists of [await door(), await door()]) {
    assert.equal(lists.elsewhere[0]?.signed, NOW + 20 * 86_400);
    const [ours, theirs] = [(await shown(lists, AT_HOME)) as Verified, (await shown(lists, TRAVELLER)) as NotVerified];
    assert.deepEqual([ours.outcome, ours.colour, ours.listsAge], ["verified", "green", 127]);
    assert.equal(theirs.reason, "expired");
  }
});

test("marks that an earlier page kept, which name no key, still let nothing back", async () => {
  mirrored(list(SIGNED, GREEN_CODE));
  const { root } = await door();
  const of = `kangma mark ${root?.fingerprint} `;
  const [trust, uri] = [values.get(`${of}trust`), Object.keys(AT_HOME.lists).find((one) => one.startsWith(OURS) && one.endsWith(PATH))];
  values.clear();
  for (const [name, value] of [["trust", trust], ["time", NOW + 3_600], [`list ${uri}`, SIGNED + 300]] as const) values.set(of + name, String(value));
  const lists = await door();
  assert.equal(await colour(lists, AT_HOME), "proof_old"); // an hour ago by the time that was seen
  assert.equal(lists.refused, 1); // the list of SIGNED, five minutes older than one that was seen
  values.set(`${of}time`, "1");
  assert.equal(await colour(await door(), AT_HOME), "rolled_back");
  assert.equal(await colour(lists, TRAVELLER), "proof_old");
});

test("no code that is scanned asks for anything", async () => {
  mirrored(list(SIGNED, GREEN_CODE));
  const lists = await door();
  asked = [];
  await shown(lists, TRAVELLER);
  await shown(lists, AT_HOME);
  assert.deepEqual(asked, []);
});
