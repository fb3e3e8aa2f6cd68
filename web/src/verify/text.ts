// Step 1: the text of a QR and the bytes in it.

import * as base45 from "./base45.ts";
import { type Bytes, joined } from "./bytes.ts";
import { inflateBare } from "./inflate.ts";
import { Refused } from "./refused.ts";

const PREFIX = "KM1:";
const MOST_TEXT = 1_200; // characters; more is no QR code but an attempt to keep a door busy
export const MOST_INFLATED = 2_048; // bytes
const PLAIN = 0;
const DEFLATED = 1;

/** What deflate may point back to: what stands in every credential. Part of the format, never changed under `KM1:`. */
const DICTIONARY = bytesOfLatin1(
  "\x19\xff\xff\xa1kstatus_list\xa2cidx\x1a\x00\x0fcurix8https://.gov.cn/status/x205" +
    ":\x00\x01\x00\x00\x83\x82\x01X@\x82\x1a\x03\xd2\x84M\xa2\x01&\x04H\xa0X\xb1\xa6\x01ecn-" +
    '\x04\x1ab\x06\x1ab\x08\xa1\x01\xa4\x01\x02 \x01!X "\xf5',
);

function bytesOfLatin1(text: string): Bytes {
  return Uint8Array.from(text, (character) => character.charCodeAt(0));
}

/** The content that a text carries.
 *
 * Throws Refused: too_many_bytes (more characters than any code has), unreadable (no code of ours, or a damaged
 * stream), bad_value (bad base45), inflates_too_much.
 */
export function contentOf(text: string): Bytes {
  if (lengthOf(text) > MOST_TEXT) throw new Refused("too_many_bytes");
  if (!text.startsWith(PREFIX)) throw new Refused("unreadable", "not a Kangma code");
  const bytes = base45.decode(text.slice(PREFIX.length));
  if (bytes[0] === PLAIN) return bytes.subarray(1);
  if (bytes[0] !== DEFLATED) throw new Refused("unreadable", "not a Kangma code");
  try {
    return inflateBare(bytes.subarray(1), MOST_INFLATED, DICTIONARY);
  } catch (problem) {
    if (problem instanceof Refused && problem.code !== "inflates_too_much") throw new Refused("unreadable", "a damaged stream");
    throw problem;
  }
}

/** Characters as the other verifier counts them: a pair of surrogates is one. */
function lengthOf(text: string): number {
  return text.length > MOST_TEXT && text.length <= 2 * MOST_TEXT ? [...text].length : text.length;
}

/** `content` as text, as it is. (What the authority hands out may come deflated; a fresh proof shrinks nothing.) */
export const textOf = (content: Bytes): string => PREFIX + base45.encode(joined(new Uint8Array([PLAIN]), content));
