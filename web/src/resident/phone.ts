// The phone: keys that never leave it, its token, the credentials of three days, and the last state it was told.

import type { Kept } from "../look/kept.ts";
import { type Bytes, hex, utf8 } from "../verify/bytes.ts";
import { claimsOf } from "../verify/claims.ts";
import { open1 } from "../verify/cose.ts";
import { newHolder, proven } from "../verify/holder.ts";
import { textOf } from "../verify/text.ts";
import { type Call, call, type Code, Failed, type Given, type Named, type Other, type Said } from "./api.ts";
import { fromBase64url, Slots } from "./slots.ts";
import { EVERYBODY, type Whose } from "./whose.ts";

export type { Whose } from "./whose.ts";

const DAYS = 3; // today and the two after it
const MOST_CREDENTIAL = 2_048; // bytes
const RENEW = 7 * 86_400; // a token is renewed when it has less than this left
const SPREAD = 18 * 3_600; // phones fetch a new third day over so many hours of a day, each at its own time

interface Device {
  readonly resident: string;
  readonly token: string;
  readonly expires: number;
  readonly device?: string; // how the list of devices calls this one; a phone that was bound before it was told learns it later
}
export interface Told {
  readonly code: Code;
  readonly at: number; // when the phone was told, by its own clock
}
interface Credential {
  readonly cose: Bytes;
  readonly holder: CryptoKey;
  readonly issued: number;
  readonly expires: number;
}

const seconds = (iso: string): number => Math.floor(Date.parse(iso) / 1_000);

export class Phone {
  private readonly kept: Kept;
  private readonly slots: Slots;
  private device: Device | undefined;
  private readonly told = new Map<Whose, Told>();
  private readonly credentials = new Map<Whose, readonly Credential[]>();
  private readonly names = new Map<Whose, string>(); // of others, as they were typed here
  private cared: readonly Other[] = []; // as the server last said
  private renewing: Promise<void> | undefined;

  constructor(kept: Kept) {
    this.kept = kept;
    this.slots = new Slots(kept);
  }

  get bound(): boolean {
    return this.device !== undefined;
  }

  /** How the list of devices calls this one, where it was told. */
  get itself(): string | undefined {
    return this.device?.device;
  }

  /** Takes up what was kept. */
  async restore(): Promise<void> {
    this.device = await this.kept.get<Device>("device");
    if (this.device === undefined) return;
    for (const whose of EVERYBODY) {
      const told = await this.kept.get<Told>(`told ${whose}`);
      if (told !== undefined) this.told.set(whose, told);
      const name = await this.kept.get<string>(`name ${whose}`);
      if (name !== undefined) this.names.set(whose, name);
      this.credentials.set(whose, (await this.kept.get<readonly Credential[]>(`credentials ${whose}`)) ?? []);
    }
    this.cared = (await this.kept.get<readonly Other[]>("others")) ?? [];
    await this.slots.restore();
  }

  /** Those in this resident's care, as they were when the server was asked last, which takes no network. */
  get others(): readonly Other[] {
    return this.cared;
  }

  /** Asks the server who they are; true if that is another answer than the last. */
  async askOthers(): Promise<boolean> {
    const before = JSON.stringify(this.cared);
    await this.keepOthers((await this.mine("GET /v1/me/others", {})).others);
    return JSON.stringify(this.cared) !== before;
  }

  private async keepOthers(others: readonly Other[]): Promise<void> {
    this.cared = others;
    await this.kept.set("others", others);
  }

  // Binding

  /** The first step: whoever it is, a code goes to the phone on record if document and name agree. */
  ask(named: Named): Promise<Said<"POST /v1/bindings">> {
    return call("POST /v1/bindings", { sent: named });
  }

  /** The second: this device's key is bound. Throws Failed (refused) for another code. */
  async confirm(binding: string, code: string): Promise<void> {
    const keys = await newHolder();
    const bound = await call("POST /v1/bindings/{binding}/confirm", { at: { binding }, sent: { code, device_key: await point(keys) } });
    await this.kept.clear();
    await this.kept.set("key", keys);
    for (const kept of [this.told, this.credentials, this.names]) kept.clear();
    this.cared = [];
    this.slots.forget();
    await this.keep({ resident: bound.resident, token: bound.token, expires: seconds(bound.expires_at), device: bound.device });
    // Ask the browser not to throw keys away when room is short; some ask the person, most decide alone.
    await (navigator as { storage?: StorageManager }).storage?.persist?.().catch(() => false);
  }

  /** Everything here is forgotten. */
  async forget(): Promise<void> {
    await this.kept.clear();
    this.device = undefined;
    for (const kept of [this.told, this.credentials, this.names]) kept.clear();
    this.cared = [];
    this.slots.forget();
  }

  private async keep(device: Device): Promise<void> {
    this.device = device;
    await this.kept.set("device", device);
  }

  // Calls

  /** A call with the token; one that is good no more is renewed once by the device's key. Throws Failed. */
  async mine<C extends Call>(what: C, given: Given<C>): Promise<Said<C>> {
    if (this.device === undefined) throw new Failed("unbound");
    const { token } = this.device;
    try {
      return await call(what, given, token);
    } catch (problem) {
      if (!(problem instanceof Failed && problem.how === "unbound")) throw problem;
      if (token === this.device.token) await this.renew(Math.floor(Date.now() / 1_000)); // else it was renewed meanwhile
      return call(what, given, this.device.token);
    }
  }

  /** A new token, signed for by the device's key; one for all who ask meanwhile, for a signature is taken once. */
  private renew(at: number): Promise<void> {
    this.renewing ??= this.renewed(at).finally(() => (this.renewing = undefined));
    return this.renewing;
  }

  private async renewed(at: number): Promise<void> {
    const keys = await this.kept.get<CryptoKeyPair>("key");
    if (this.device === undefined || keys === undefined) throw new Failed("unbound");
    const { resident } = this.device;
    const signature = await signed(keys, `KM1 token ${resident} ${at}`);
    const { token, expires_at, device } = await call("POST /v1/tokens", { sent: { resident, at, signature } });
    await this.keep({ resident, token, expires: seconds(expires_at), device });
  }

  /** The code as it is now; and before the token ends, a new one. Where the door does not answer, what stands sealed in the
   * public folder, if that is newer. Throws Failed all the same. */
  async refresh(whose: Whose, now: number): Promise<void> {
    try {
      const code = await (whose === "" ? this.mine("GET /v1/me/code", {}) : this.mine("GET /v1/me/others/{other}/code", { at: { other: Number(whose) } }));
      await this.hear(whose, { code, at: now });
    } catch (problem) {
      if (problem instanceof Failed && problem.how === "away") await this.unseal(whose, now);
      throw problem;
    }
    if (whose === "" && this.device !== undefined && this.device.expires - now < RENEW) await this.renew(now);
  }

  private async hear(whose: Whose, told: Told): Promise<void> {
    this.told.set(whose, told);
    await this.kept.set(`told ${whose}`, told);
  }

  private async unseal(whose: Whose, now: number): Promise<void> {
    const last = this.told.get(whose);
    const found = await this.slots.look(whose, now, { release: last?.code.release ?? 0, at: last?.at ?? 0 });
    if (found !== undefined) await this.hear(whose, found);
  }

  /** Where a sealed slot of this phone's stands, today and on the days ahead. A door that knows of none changes nothing. */
  async place(whose: Whose, now: number): Promise<void> {
    await this.slots.learn(whose, now, this.own(SPREAD), async (reader) => {
      const keys = await this.kept.get<CryptoKeyPair>("key");
      if (this.device === undefined || keys === undefined) throw new Failed("unbound");
      const key = await point(reader);
      const of = whose === "" ? this.device.resident : `${this.device.resident}/${whose}`;
      const sent = { key, at: now, signature: await signed(keys, `KM1 slots ${of} ${key} ${now}`) };
      return (await (whose === "" ? this.mine("POST /v1/me/slots", { sent }) : this.mine("POST /v1/me/others/{other}/slots", { at: { other: Number(whose) }, sent }))).sealed;
    });
  }

  /** What was told last. */
  last(whose: Whose): Told | undefined {
    return this.told.get(whose);
  }

  // Credentials

  /** Fetches credentials for three days, each for a key of its own, where one is missing and it is this phone's time. */
  async stock(whose: Whose, now: number): Promise<void> {
    const held = (this.credentials.get(whose) ?? []).filter((one) => now < one.expires);
    const today = held.find((one) => one.issued <= now);
    const full = held.length >= DAYS;
    const turn = today === undefined || held.length < 2 || now - today.issued >= this.own(SPREAD);
    if (full || !turn) return;
    const keys = await Promise.all(Array.from({ length: DAYS }, newHolder));
    const sent = { holders: await Promise.all(keys.map(point)) };
    const answer = await (whose === "" ? this.mine("POST /v1/me/credentials", { sent }) : this.mine("POST /v1/me/others/{other}/credentials", { at: { other: Number(whose) }, sent }));
    const made = answer.credentials.map(({ text }, n): Credential => {
      const cose = fromBase64url(text);
      const { issued, expires } = claimsOf(open1(cose, MOST_CREDENTIAL).payload);
      return { cose, holder: (keys[n] as CryptoKeyPair).privateKey, issued, expires };
    });
    this.credentials.set(whose, made);
    await this.kept.set(`credentials ${whose}`, made);
  }

  /** What the QR of the half minute says, and until when its credential is good; undefined without one for today. */
  async shows(whose: Whose, now: number): Promise<{ readonly text: string; readonly until: number } | undefined> {
    const one = this.credentials.get(whose)?.find(({ issued, expires }) => issued <= now && now < expires);
    return one === undefined ? undefined : { text: textOf(await proven(one.cose, one.holder, now)), until: one.expires };
  }

  /** Until when this phone can go on alone. */
  stockedUntil(whose: Whose): number {
    return Math.max(0, ...(this.credentials.get(whose) ?? []).map((one) => one.expires));
  }

  /** How this phone's owner calls somebody: kept here, and sent to nobody. */
  async call(whose: Whose, name: string): Promise<void> {
    await this.drop(whose); // somebody else may have had this place
    this.names.set(whose, name);
    await this.kept.set(`name ${whose}`, name);
  }

  called(whose: Whose): string | undefined {
    return this.names.get(whose);
  }

  async drop(whose: Whose): Promise<void> {
    await this.keepOthers(this.cared.filter((one) => String(one.other) !== whose));
    this.told.delete(whose);
    this.credentials.delete(whose);
    this.names.delete(whose);
    await this.kept.delete(`name ${whose}`);
    await this.kept.delete(`told ${whose}`);
    await this.kept.delete(`credentials ${whose}`);
    await this.slots.drop(whose);
  }

  /** A number below `most` that is this resident's: evenly spread over everybody, the same every day. */
  own(most: number): number {
    return parseInt(this.device?.resident.slice(0, 8) ?? "0", 16) % most;
  }
}

/** A public key as the API takes it: compressed, hex. */
async function point(keys: CryptoKeyPair): Promise<string> {
  const raw = new Uint8Array(await crypto.subtle.exportKey("raw", keys.publicKey));
  return `${(raw[64] as number) % 2 === 0 ? "02" : "03"}${hex(raw.subarray(1, 33))}`;
}

/** The device's signature over a text, hex. */
async function signed(keys: CryptoKeyPair, said: string): Promise<string> {
  return hex(new Uint8Array(await crypto.subtle.sign({ name: "ECDSA", hash: "SHA-256" }, keys.privateKey, utf8(said))));
}
