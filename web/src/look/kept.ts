// What a page keeps on the device: keys that cannot be taken out, lists, the last state. IndexedDB, for only it holds keys.

/** Values by name. Where the browser keeps nothing they live as long as the page. */
export class Kept {
  private readonly database: IDBDatabase | undefined;
  private readonly here = new Map<string, unknown>();

  private constructor(database: IDBDatabase | undefined) {
    this.database = database;
  }

  static async open(name: string): Promise<Kept> {
    try {
      const asked = indexedDB.open(name, 1);
      asked.onupgradeneeded = () => asked.result.createObjectStore("kept");
      return new Kept(await done(asked));
    } catch {
      return new Kept(undefined); // forbidden, as in some private windows
    }
  }

  /** Whether what is kept outlives the page. */
  get lasting(): boolean {
    return this.database !== undefined;
  }

  async get<T>(key: string): Promise<T | undefined> {
    const value = this.database === undefined ? this.here.get(key) : await done(this.store("readonly").get(key));
    return value as T | undefined;
  }

  async set(key: string, value: unknown): Promise<void> {
    if (this.database === undefined) this.here.set(key, value);
    else await done(this.store("readwrite").put(value, key));
  }

  async delete(key: string): Promise<void> {
    if (this.database === undefined) this.here.delete(key);
    else await done(this.store("readwrite").delete(key));
  }

  async clear(): Promise<void> {
    this.here.clear();
    if (this.database !== undefined) await done(this.store("readwrite").clear());
  }

  private store(mode: IDBTransactionMode): IDBObjectStore {
    if (this.database === undefined) throw new Error("no database");
    return this.database.transaction("kept", mode).objectStore("kept");
  }
}

function done<T>(asked: IDBRequest<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    asked.onsuccess = () => resolve(asked.result);
    asked.onerror = () => reject(asked.error ?? new Error("IndexedDB"));
  });
}
