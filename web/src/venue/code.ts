// The rotating code of a door: docs/formats/venue-code.md. The door's device draws it, a phone reads it. No network, no clock.

import type { Scan } from "../look/described.ts";

/** A code as a phone read or typed it: eight digits, whole minutes since 1970, eight digits. */
export type { Scan } from "../look/described.ts";

export const STEP = 60; // seconds that a code stands

export interface Key {
  readonly venue: string;
  readonly key: CryptoKey; // HMAC with SHA-256; cannot be taken out
}

const IN_TEXT = /^in\.([0-9]{8})\.([0-9]{1,10})\.([0-9]{8})$/;
const KEY_TEXT = /^KV1\.([0-9]{8})\.([0-9a-f]{64})$/;
const MOST_TEXT = 300;

export const minuteOf = (seconds: number): number => Math.floor(seconds / STEP);

/** Whether it is the number of some venue: ISO/IEC 7064, MOD 11,10. */
export function isNumber(text: string): boolean {
  if (!/^[0-9]{8}$/.test(text)) return false;
  let left = 10;
  for (const digit of text.slice(0, 7)) left = (((left + Number(digit)) % 10 || 10) * 2) % 11;
  return (11 - left) % 10 === Number(text[7]);
}

/** The scan in a QR's text, or after the # of an address; "elsewhere" for a door of another city, undefined for anything else. */
export function scanOf(text: string, origin: string): Scan | "elsewhere" | undefined {
  if (text.length > MOST_TEXT) return undefined;
  const at = text.indexOf("#");
  const found = IN_TEXT.exec(text.slice(at + 1));
  if (found === null || !isNumber(found[1] as string)) return undefined;
  const base = at < 0 ? "" : text.slice(0, at).replace(/\/$/, "");
  if (at > 0 && !/^https?:\/\//.test(base)) return undefined;
  if (at > 0 && base !== origin) return "elsewhere";
  return { venue: found[1] as string, minute: Number(found[2]), code: found[3] as string };
}

export const textOf = (origin: string, { venue, minute, code }: Scan): string => `${origin}/#in.${venue}.${minute}.${code}`;

/** The key in a text as it was handed out; undefined for another text. */
export async function keyOf(text: string): Promise<Key | undefined> {
  const found = KEY_TEXT.exec(text.trim());
  if (found === null || !isNumber(found[1] as string)) return undefined;
  const raw = Uint8Array.from((found[2] as string).match(/../g) as string[], (pair) => parseInt(pair, 16));
  return { venue: found[1] as string, key: await crypto.subtle.importKey("raw", raw, { name: "HMAC", hash: "SHA-256" }, false, ["sign"]) };
}

const signed = async (key: CryptoKey, what: Uint8Array<ArrayBuffer>): Promise<Uint8Array> => new Uint8Array(await crypto.subtle.sign("HMAC", key, what));

/** The eight digits of a minute: RFC 6238 with SHA-256, over RFC 4226, 5.3. */
export async function codeAt(key: CryptoKey, minute: number): Promise<string> {
  const counter = new Uint8Array(8);
  new DataView(counter.buffer).setUint32(0, Math.floor(minute / 2 ** 32));
  new DataView(counter.buffer).setUint32(4, minute >>> 0);
  const said = await signed(key, counter);
  const at = (said[31] as number) & 15;
  const number = new DataView(said.buffer).getUint32(at) & 0x7fffffff;
  return String(number % 1e8).padStart(8, "0");
}

/** What the device sends to be known as the venue's. */
export async function tokenAt({ venue, key }: Key, minute: number): Promise<string> {
  const said = await signed(key, new TextEncoder().encode(`KM1 venue ${venue} ${minute}`) as Uint8Array<ArrayBuffer>);
  return `kv1.${venue}.${minute}.${Array.from(said, (byte) => byte.toString(16).padStart(2, "0")).join("")}`;
}

/** 1234 5678 */
export const inGroups = (digits: string): string => digits.replace(/(.{4})(?=.)/g, "$1\u00a0");
