// Base45 (RFC 9285): two bytes in three characters of the QR alphabet, a last single byte in two.

import type { Bytes } from "./bytes.ts";
import { Refused } from "./refused.ts";

const ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ $%*+-./:";

export function encode(bytes: Uint8Array): string {
  let text = "";
  for (let at = 0; at < bytes.length; at += 2) {
    const first = bytes[at] ?? 0;
    const second = bytes[at + 1];
    let value = second === undefined ? first : first * 256 + second;
    for (let digits = second === undefined ? 2 : 3; digits > 0; digits--) {
      text += ALPHABET.charAt(value % 45);
      value = Math.floor(value / 45);
    }
  }
  return text;
}

/** Throws Refused (bad_value): a character outside the alphabet, a group that no bytes give, a lone last character. */
export function decode(text: string): Bytes {
  if (text.length % 3 === 1) throw new Refused("bad_value", "base45 of no length");
  const bytes = new Uint8Array(Math.floor(text.length / 3) * 2 + (text.length % 3 === 2 ? 1 : 0));
  let to = 0;
  for (let at = 0; at < text.length; at += 3) {
    const digits = Math.min(3, text.length - at);
    let value = 0;
    for (let place = digits - 1; place >= 0; place--) {
      const digit = ALPHABET.indexOf(text.charAt(at + place));
      if (digit < 0) throw new Refused("bad_value", "not in the base45 alphabet");
      value = value * 45 + digit;
    }
    if (value > (digits === 3 ? 0xffff : 0xff)) throw new Refused("bad_value", "a base45 group of no bytes");
    if (digits === 3) bytes[to++] = value >> 8;
    bytes[to++] = value & 0xff;
  }
  return bytes;
}
