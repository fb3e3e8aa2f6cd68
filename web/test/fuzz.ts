// Hostile input for every parser: real bytes, changed. Each parser gives a value or throws Refused, and takes no longer
// than 100 ms. The same in Node and in a browser.

import * as base45 from "../src/verify/base45.ts";
import { type Bytes, joined } from "../src/verify/bytes.ts";
import { decode, decodeFirst, encode } from "../src/verify/cbor.ts";
import { claimsOf } from "../src/verify/claims.ts";
import { open1, openMany } from "../src/verify/cose.ts";
import { change, openDelta } from "../src/verify/delta.ts";
import { proofOf } from "../src/verify/holder.ts";
import { inflate, inflateBare } from "../src/verify/inflate.ts";
import { isPoint, uncompressed } from "../src/verify/point.ts";
import { Refused } from "../src/verify/refused.ts";
import { openList } from "../src/verify/status.ts";
import { contentOf } from "../src/verify/text.ts";
import { listOf, openTrust, rootOf } from "../src/verify/trust.ts";
import { type Chance, chance } from "./chance.ts";
import { fromBase64, held, type Vector } from "./replay.ts";
import { fromHex, type StatusVector } from "./replay_status.ts";

export interface Report {
  readonly parser: string;
  readonly inputs: number;
  readonly read: number; // how many were taken for something
  readonly slowest: number; // ms
  readonly wrong: readonly string[]; // errors that were no Refused
}

type Parser = (input: Bytes) => unknown;

const PARSERS: Readonly<Record<string, Parser>> = {
  base45: (input) => base45.decode(latin1(input)),
  text: (input) => contentOf(latin1(input)),
  inflate: (input) => inflate(input, 2 ** 16),
  inflate_bare: (input) => inflateBare(input, 2_048),
  cbor: (input) => decode(input, 4_096),
  cbor_sequence: (input) => decodeFirst(input, 4_096),
  cose_sign1: (input) => open1(input, 4_096),
  cose_sign: (input) => openMany(input, 2 ** 18),
  claims: claimsOf,
  proof: proofOf,
  point: (input) => (input.length === 65 ? isPoint(input) : uncompressed(input.subarray(0, 32), false)),
  root: rootOf,
  trust_signed: openTrust,
  trust_list: listOf,
  status_list: openList,
  delta: openDelta,
  delta_changes: (input) => change(new Uint8Array(512), input, 1_024, 4),
};

/** `each` inputs for every parser, and as many texts for the whole verifier. */
export async function fuzz(vectors: readonly Vector[], lists: readonly StatusVector[], each: number, seed: number): Promise<Report[]> {
  const seeds = seedsOf(vectors, lists);
  const reports: Report[] = [];
  for (const [parser, parse] of Object.entries(PARSERS)) reports.push(await run(parser, parse, seeds, each, seed));
  const good = vectors.find((one) => one.name === "phone_green");
  if (good === undefined) throw new Error("no vector phone_green");
  const { verifier } = await held(good);
  const texts = vectors.map((one) => latin1Bytes(one.text));
  const scan: Parser = async (input) => {
    const found = await verifier.verify(latin1(input), good.now);
    if (!("colour" in found)) throw new Refused("bad_value");
  };
  reports.push(await run("verify", scan, texts, each, seed));
  return reports;
}

/** Every layer of every vector; the parser under test finds among them those that it reads. */
function seedsOf(vectors: readonly Vector[], lists: readonly StatusVector[]): Bytes[] {
  const seeds = new Map<string, Bytes>();
  const add = (bytes: Bytes): void => void seeds.set(`${bytes.length} ${bytes.subarray(-40).join()}`, bytes);
  for (const { root, trust, lists, layers, text } of vectors) {
    add(fromBase64(root));
    add(latin1Bytes(text));
    if (trust !== null) add(fromBase64(trust));
    for (const list of Object.values(lists)) add(fromBase64(list));
    for (const layer of Object.values(layers as Record<string, unknown>)) {
      if (typeof layer === "string" && layer.length % 2 === 0) {
        add(fromHex(layer));
      }
    }
  }
  for (const made of [...seeds.values()]) {
    try {
      add(openTrust(made).payload);
    } catch {
      // Not a trust list.
    }
    try {
      const { lst } = openList(made);
      add(lst);
      add(lst.subarray(2, -4));
      add(base45.decode(latin1(made).slice(4)).subarray(1));
    } catch {
      // Not a list, or not a text.
    }
  }
  for (const { form, content } of lists) {
    if (form === "jwt") continue;
    const made = fromHex(content);
    add(made);
    try {
      const delta = openDelta(made);
      add(delta.message.payload);
      add(delta.changes);
    } catch {
      // Not a delta.
    }
  }
  add(encode([1, "two", new Uint8Array(3), [[[[]]]]]));
  return [...seeds.values()].filter((one) => one.length < 20_000);
}

async function run(parser: string, parse: Parser, seeds: readonly Bytes[], each: number, seed: number): Promise<Report> {
  const dice = chance(seed);
  const mine: Bytes[] = [];
  for (const one of seeds) if (await reads(parse, one)) mine.push(one);
  const wrong: string[] = [];
  let [read, slowest] = [0, 0];
  for (let n = 0; n < each; n++) {
    const from = mine.length > 0 && dice.below(8) > 0 ? mine : seeds;
    const input = changed(from[dice.below(from.length)] ?? new Uint8Array(0), seeds, dice);
    const begun = performance.now();
    try {
      await parse(input);
      read++;
    } catch (problem) {
      if (!(problem instanceof Refused)) wrong.push(`${String(problem)} for ${input.join()}`.slice(0, 400));
    }
    let spent = performance.now() - begun;
    // Others may have held the processor: what was slow is done again, and the least counts.
    for (let again = 0; again < 20 && spent > 20; again++) spent = Math.min(spent, await timed(parse, input));
    slowest = Math.max(slowest, spent);
  }
  return { parser, inputs: each, read, slowest, wrong: wrong.slice(0, 5) };
}

async function timed(parse: Parser, input: Bytes): Promise<number> {
  const begun = performance.now();
  await reads(parse, input);
  return performance.now() - begun;
}

async function reads(parse: Parser, input: Bytes): Promise<boolean> {
  try {
    await parse(input);
    return true;
  } catch (problem) {
    return !(problem instanceof Refused);
  }
}

/** One to four changes: a byte, a run, a cut, a splice, a number made great. */
function changed(seed: Bytes, all: readonly Bytes[], dice: Chance): Bytes {
  let bytes = seed.slice();
  for (let n = 1 + dice.below(4); n > 0; n--) {
    const at = dice.below(bytes.length + 1);
    const to = Math.min(bytes.length, at + 1 + dice.below(9));
    const kind = dice.below(8);
    if (kind === 0) bytes = bytes.slice(0, at);
    else if (kind === 1) bytes = joined(bytes.subarray(0, at), dice.bytes(dice.below(9)), bytes.subarray(at));
    else if (kind === 2) bytes = joined(bytes.subarray(0, at), bytes.subarray(to));
    else if (kind === 3) bytes = joined(bytes.subarray(0, to), bytes.subarray(at));
    else if (kind === 4) bytes.fill(dice.below(2) === 0 ? 0 : 255, at, to);
    else if (kind === 5) {
      const other = all[dice.below(all.length)] ?? seed;
      const from = dice.below(other.length + 1);
      bytes = joined(bytes.subarray(0, at), other.subarray(from, from + dice.below(40)), bytes.subarray(to));
    } else if (at < bytes.length) bytes[at] = kind === 6 ? dice.below(256) : (bytes[at] ?? 0) ^ (1 << dice.below(8));
  }
  return bytes.length > 30_000 ? bytes.slice(0, 30_000) : bytes;
}

const latin1 = (bytes: Bytes): string => Array.from(bytes, (byte) => String.fromCharCode(byte)).join("");
const latin1Bytes = (text: string): Bytes => Uint8Array.from(text, (character) => character.charCodeAt(0) & 0xff);
