// High-water marks: the newest of everything that a verifier has seen, so that nothing rolls back (I4).

export const TRUST = "trust"; // the highest version of the trust list
export const TIME = "time"; // the newest signed time
export const markOf = (uri: string): string => `list ${uri}`; // the newest time of that status list

/** Whole numbers by name that only rise: 0 when never raised, and `raiseTo` below a mark leaves it where it is. */
export interface Marks {
  get(name: string): number;
  raiseTo(name: string, value: number): void;
}

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
