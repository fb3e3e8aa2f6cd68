// What a browser under test can be asked for: `kangma.replayAll(vectors)` and so on.

import { type Bytes, hex } from "../src/verify/bytes.ts";
import { newHolder, proven } from "../src/verify/holder.ts";
import { textOf } from "../src/verify/text.ts";
import { bench, benchInflate } from "./bench.ts";
import { fuzz } from "./fuzz.ts";
import { replayAll } from "./replay.ts";
import { fromHex, replayAllStatus } from "./replay_status.ts";
import { replayAllTrust } from "./replay_trust.ts";

/** A phone: its key stays in it. */
class Phone {
  private readonly keys: Promise<CryptoKeyPair> = newHolder();

  async point(): Promise<string> {
    const { publicKey } = await this.keys;
    return hex(new Uint8Array(await crypto.subtle.exportKey("raw", publicKey)));
  }

  /** The text that it shows for a credential (hex) at a moment. */
  async shows(credential: string, now: number): Promise<string> {
    const { privateKey } = await this.keys;
    const content: Bytes = await proven(fromHex(credential), privateKey, now);
    return textOf(content);
  }
}

Object.assign(globalThis, { kangma: { bench, benchInflate, fuzz, replayAll, replayAllStatus, replayAllTrust, phone: new Phone() } });
