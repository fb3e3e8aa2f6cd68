// High-water marks: the newest of everything that a verifier has seen, so that nothing rolls back (I4). Whose marks count
// for whom is said by the trust list in force, and so a mark is worth no more than the key behind it.

import type { Authority, TrustedKey } from "./trust.ts";

export const TRUST = "trust"; // the highest version of the trust list
export const TIME = "time"; // when the newest trust list was issued
export const timeBy = (keyId: string): string => `${TIME} ${keyId}`; // the newest time that this status key signed
export const markOf = (uri: string, keyId: string): string => `list ${uri} ${keyId}`; // the newest of that list that it signed
export const isOfList = (name: string): boolean => name.startsWith("list ");

/** Whole numbers by name that only rise: 0 when never raised, and `raiseTo` below a mark leaves it where it is. */
export interface Marks {
  get(name: string): number;
  raiseTo(name: string, value: number): void;
}

/** The newest time that this authority's status keys signed; 0 without one. What a revoked key signed counts up to its
 * revocation: an honest hand signed nothing with it afterwards. */
export function newestTime(marks: Marks, authority: Authority | undefined): number {
  return Math.max(0, ...statusKeys(authority).map((key) => untilRevoked(marks.get(timeBy(key.id)), key)));
}

/** The same of the one list at `uri`. Marks that were kept before they named a key count for this list as they are. */
export function newestList(marks: Marks, authority: Authority, uri: string): number {
  return Math.max(marks.get(`list ${uri}`), ...statusKeys(authority).map((key) => untilRevoked(marks.get(markOf(uri, key.id)), key)));
}

const statusKeys = (authority: Authority | undefined): TrustedKey[] => authority?.keys.filter(({ use }) => use === "status") ?? [];
const untilRevoked = (mark: number, { revokedAt }: TrustedKey): number => Math.min(mark, revokedAt ?? mark);

/** Marks that end with the page. */
export class MemoryMarks implements Marks {
  private readonly marks: Map<string, number>;

  constructor(marks: Iterable<readonly [string, number]> = []) {
    this.marks = new Map(marks);
  }

  entries(): Iterable<readonly [string, number]> {
    return this.marks.entries();
  }

  get(name: string): number {
    return this.marks.get(name) ?? 0;
  }

  raiseTo(name: string, value: number): void {
    if (value > this.get(name)) this.marks.set(name, value);
  }
}

/** What a browser's localStorage offers. */
export interface KeyStore {
  getItem(key: string): string | null;
  setItem(key: string, value: string): void;
}

/**
 * Marks that outlive the page, those of one root: another root's versions and times mean nothing to it. Tabs may share
 * the store: every look reads it. Where it is full or forbidden, marks hold for as long as the page is open.
 */
export class StoredMarks implements Marks {
  private readonly store: KeyStore;
  private readonly prefix: string;
  private readonly seen = new MemoryMarks();

  constructor(store: KeyStore, rootFingerprint: string) {
    this.store = store;
    this.prefix = `kangma mark ${rootFingerprint} `;
  }

  get(name: string): number {
    let kept: string | null = null;
    try {
      kept = this.store.getItem(this.prefix + name);
    } catch {
      // Forbidden by the browser's settings: `seen` has to do.
    }
    if (kept !== null && /^[0-9]{1,15}$/.test(kept)) this.seen.raiseTo(name, Number(kept));
    return this.seen.get(name);
  }

  raiseTo(name: string, value: number): void {
    if (value <= this.get(name)) return;
    this.seen.raiseTo(name, value);
    try {
      this.store.setItem(this.prefix + name, String(value));
    } catch {
      // As above.
    }
  }
}
