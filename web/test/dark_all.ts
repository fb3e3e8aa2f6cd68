// `node dark_all.mjs < phones.json`: what the resident's page shows in every hour given, when nothing answers any more. The
// page's own phone and the page's own view, with what a phone had kept; a few lines stand in for the browser's elements.

import { readFileSync } from "node:fs";
import type { Kept } from "../src/look/kept.ts";
import type { Code } from "../src/resident/api.ts";
import { Phone } from "../src/resident/phone.ts";
import { ageLine, stateCard } from "../src/resident/view.ts";

interface Asked {
  readonly hours: readonly number[]; // moments
  readonly phones: Readonly<Record<string, { readonly told: Code; readonly at: number; readonly credentials: readonly Credential[] }>>;
}
interface Credential {
  readonly cose: string; // base64, as the key, which is PKCS #8
  readonly key: string;
  readonly issued: number;
  readonly expires: number;
}

/** As much of an element as the view asks of one. */
class Stand {
  private readonly given = new Map<string, string>();
  private readonly inside: (Stand | string)[] = [];
  readonly tag: string;

  constructor(tag: string) {
    this.tag = tag;
  }
  setAttribute(name: string, value: string): void {
    this.given.set(name, value);
  }
  append(...children: (Stand | string)[]): void {
    this.inside.push(...children);
  }
  get className(): string {
    return this.given.get("class") ?? "";
  }
  get textContent(): string {
    return this.inside.map((one) => (typeof one === "string" ? one : one.textContent)).join("");
  }
  find(tag: string): Stand | undefined {
    const stands = this.inside.filter((one): one is Stand => typeof one !== "string");
    return stands.find((one) => one.tag === tag) ?? stands.map((one) => one.find(tag)).find((one) => one !== undefined);
  }
}

const made = (...[last]: string[]): Stand => new Stand(last ?? "");
const put = (name: string, value: unknown): void => {
  Object.defineProperty(globalThis, name, { value, configurable: true, writable: true });
};
put("document", { createElement: made, createElementNS: (_: string, tag: string) => new Stand(tag) });
put("navigator", { language: "zh-CN" });
let asked = 0;
put("fetch", () => {
  asked += 1;
  return Promise.reject(new TypeError("nobody is there"));
});

const bytes = (text: string): Uint8Array<ArrayBuffer> => Uint8Array.from(atob(text), (one) => one.charCodeAt(0));

async function phoneOf(told: Code, at: number, credentials: readonly Credential[]): Promise<Phone> {
  const kept = new Map<string, unknown>();
  kept.set("device", { resident: "0".repeat(32), token: "t", expires: at + 30 * 86_400 });
  kept.set("told ", { code: told, at });
  const ready = credentials.map(async ({ cose, key, issued, expires }) => {
    const holder = await crypto.subtle.importKey("pkcs8", bytes(key), { name: "ECDSA", namedCurve: "P-256" }, false, ["sign"]);
    return { cose: bytes(cose), holder, issued, expires };
  });
  kept.set("credentials ", await Promise.all(ready));
  const shelf = {
    get: (name: string) => Promise.resolve(kept.get(name)),
    set: (name: string, value: unknown) => Promise.resolve(void kept.set(name, value)),
    delete: (name: string) => Promise.resolve(void kept.delete(name)),
    clear: () => Promise.resolve(kept.clear()),
  };
  const phone = new Phone(shelf as unknown as Kept);
  await phone.restore();
  return phone;
}

const given = JSON.parse(readFileSync(0, "utf8")) as Asked;
const said: Record<string, unknown[]> = {};
for (const [name, { told, at, credentials }] of Object.entries(given.phones)) {
  const phone = await phoneOf(told, at, credentials);
  said[name] = [];
  for (const now of given.hours) {
    // As the page does: it asks, nobody answers, it shows what it has.
    const away = await phone.refresh("", now).then(
      () => "told",
      (problem: { how?: string }) => problem.how ?? String(problem),
    );
    await phone.stock("", now).catch(() => undefined);
    const last = phone.last("");
    if (last === undefined) throw new Error("the phone forgot");
    const card = stateCard(last, now) as unknown as Stand;
    const shows = await phone.shows("", now);
    said[name].push({ now, away, state: card.className, head: card.find("h1")?.textContent, age: ageLine(last, now), text: shows?.text ?? null });
  }
}
process.stdout.write(JSON.stringify({ said, asked }));
