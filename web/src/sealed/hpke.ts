// HPKE (RFC 9180), base mode, the side that opens: DHKEM(P-256, HKDF-SHA256), HKDF-SHA256, AES-128-GCM. With WebCrypto
// alone, so that the private key need not be one that can be taken out of it.

import { type Bytes, joined, utf8 } from "../verify/bytes.ts";
import { Refused } from "../verify/refused.ts";

const ENC = 65; // bytes of an encapsulated key: an uncompressed point
const TAG = 16;
const EMPTY = new Uint8Array(0);
const VERSION = utf8("HPKE-v1");
const KEM = joined(utf8("KEM"), new Uint8Array([0, 0x10]));
const SUITE = joined(utf8("HPKE"), new Uint8Array([0, 0x10, 0, 1, 0, 1]));

/** A key of its own for this, whose private half never leaves the browser. */
export async function newReader(): Promise<CryptoKeyPair> {
  return (await crypto.subtle.generateKey({ name: "ECDH", namedCurve: "P-256" }, false, ["deriveBits"])) as CryptoKeyPair;
}

/** What a message (encapsulated key, ciphertext) says to the holder of `keys`. Throws Refused (bad_signature) for one that
 * was made for another key or purpose, or changed. */
export async function opened(keys: CryptoKeyPair, message: Bytes, info: Bytes, aad: Bytes = EMPTY): Promise<Bytes> {
  if (message.length < ENC + TAG) throw new Refused("bad_message", "too short for HPKE");
  const enc = message.slice(0, ENC);
  try {
    const them = await crypto.subtle.importKey("raw", enc, { name: "ECDH", namedCurve: "P-256" }, false, []);
    const shared = new Uint8Array(await crypto.subtle.deriveBits({ name: "ECDH", public: them }, keys.privateKey, 256));
    const me = new Uint8Array(await crypto.subtle.exportKey("raw", keys.publicKey));
    const secret = await expand(await extract(EMPTY, KEM, "eae_prk", shared), KEM, "shared_secret", joined(enc, me), 32); // 4.1
    const context = joined(new Uint8Array(1), await extract(EMPTY, SUITE, "psk_id_hash", EMPTY), await extract(EMPTY, SUITE, "info_hash", info)); // 5.1
    const prk = await extract(secret, SUITE, "secret", EMPTY);
    const raw = await expand(prk, SUITE, "key", context, 16);
    const iv = await expand(prk, SUITE, "base_nonce", context, 12);
    const key = await crypto.subtle.importKey("raw", raw, "AES-GCM", false, ["decrypt"]);
    return new Uint8Array(await crypto.subtle.decrypt({ name: "AES-GCM", iv, additionalData: aad }, key, message.slice(ENC)));
  } catch {
    throw new Refused("bad_signature", "not sealed to this key");
  }
}

async function hmac(key: Bytes, said: Bytes): Promise<Bytes> {
  const made = await crypto.subtle.importKey("raw", key, { name: "HMAC", hash: "SHA-256" }, false, ["sign"]);
  return new Uint8Array(await crypto.subtle.sign("HMAC", made, said));
}

// Section 4. A salt of nothing is one of zeros, and one block is all that is ever asked of an expansion here.
const extract = (salt: Bytes, suite: Bytes, label: string, given: Bytes): Promise<Bytes> => hmac(salt.length > 0 ? salt : new Uint8Array(32), joined(VERSION, suite, utf8(label), given));

async function expand(prk: Bytes, suite: Bytes, label: string, info: Bytes, size: number): Promise<Bytes> {
  const said = joined(new Uint8Array([size >> 8, size & 0xff]), VERSION, suite, utf8(label), info, new Uint8Array([1]));
  return (await hmac(prk, said)).slice(0, size);
}
