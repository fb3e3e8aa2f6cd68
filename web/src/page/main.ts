// The page: what is chosen and pasted goes in, one glance comes out. The clock is read here, and nowhere deeper.

import type { Bytes } from "../verify/bytes.ts";
import { type KeyStore, StoredMarks } from "../verify/marks.ts";
import type { NotVerified, Verified } from "../verify/outcome.ts";
import type { Root } from "../verify/trust.ts";
import type { Verifier } from "../verify/verify.ts";
import { filesOf, rootAmong, take } from "./folder.ts";
import { type Shape, shape } from "../look/shapes.ts";
import { type Language, WORDS } from "./words.ts";

const PIN = "kangma root";

/** An element of verify.html. */
function part<T extends HTMLElement = HTMLElement>(id: string): T {
  const found = document.getElementById(id);
  if (found === null) throw new Error(id);
  return found as T;
}

interface Page {
  language: Language;
  files: readonly Bytes[];
  root: Root | undefined;
  otherRoot: boolean; // the root of the folder is not the one that is pinned
  verifier: Verifier | undefined;
  refusedLists: number;
  result: Verified | NotVerified | undefined;
  at: number;
}

const page: Page = {
  language: navigator.language.startsWith("zh") ? "zh" : "en",
  files: [],
  root: undefined,
  otherRoot: false,
  verifier: undefined,
  refusedLists: 0,
  result: undefined,
  at: 0,
};

const now = (): number => Math.floor(Date.now() / 1_000);

/** Where pins and marks are kept: for as long as the page is open where the browser keeps nothing. */
function store(): KeyStore {
  try {
    return localStorage;
  } catch {
    return PAGE_ONLY;
  }
}
const shelf = new Map<string, string>();
const PAGE_ONLY: KeyStore = { getItem: (key) => shelf.get(key) ?? null, setItem: (key, value) => void shelf.set(key, value) };

function pinned(): string | null {
  try {
    return store().getItem(PIN);
  } catch {
    return PAGE_ONLY.getItem(PIN);
  }
}

function pin(root: Root): void {
  try {
    store().setItem(PIN, root.fingerprint);
  } catch {
    PAGE_ONLY.setItem(PIN, root.fingerprint);
  }
}

async function folderChosen(chosen: FileList): Promise<void> {
  page.files = await filesOf(chosen);
  page.root = await rootAmong(page.files);
  await believe();
}

/** Takes the folder in, if its root is the pinned one or the first that is ever seen. */
async function believe(): Promise<void> {
  const { root } = page;
  page.verifier = page.result = undefined;
  page.otherRoot = root !== undefined && (pinned() ?? root.fingerprint) !== root.fingerprint;
  if (root !== undefined && !page.otherRoot) {
    const { verifier, refused } = await take(page.files, root, new StoredMarks(store(), root.fingerprint));
    // A root that signed nothing here is not worth remembering.
    if (verifier.trust !== undefined) pin(root);
    page.verifier = verifier;
    page.refusedLists = refused;
  }
  show();
}

async function verify(): Promise<void> {
  const text = part<HTMLTextAreaElement>("text").value.replace(/^[\r\n\t ]+|[\r\n\t]+$/g, "");
  page.at = now();
  page.result = await page.verifier?.verify(text, page.at);
  show();
  if (page.result === undefined) part("folder").focus();
  else part("verdict").scrollIntoView({ block: "nearest" });
}

function show(): void {
  const words = WORDS[page.language];
  document.documentElement.lang = page.language === "zh" ? "zh-CN" : "en";
  document.title = `${words.title} · 康码 Kangma`;
  for (const element of document.querySelectorAll<HTMLElement>("[data-word]")) {
    element.textContent = worded(words, element.dataset["word"] ?? "");
  }
  part("language").textContent = words.other;
  part("language").lang = page.language === "zh" ? "en" : "zh-CN";
  part<HTMLTextAreaElement>("text").placeholder = words.code.hint;
  showVerdict();
  showFolder();
  showSteps();
}

/** "folder.head" → words.folder.head */
function worded(words: object, path: string): string {
  const found = path.split(".").reduce<unknown>((at, name) => (at as Record<string, unknown>)[name], words);
  return String(found);
}

function showVerdict(): void {
  const words = WORDS[page.language];
  const { result } = page;
  const state = part("state");
  let [named, head, line, why]: [Shape, string, string, string] = ["unknown", words.nothing.head, words.nothing.line, ""];
  if (typeof crypto.subtle === "undefined") [head, line] = [words.notVerified.head, words.noCrypto];
  state.className = "state";
  const rows: [string, string][] = [];
  if (result !== undefined && "colour" in result) {
    named = result.colour;
    ({ head, line } = words.colours[result.colour]);
    if (result.staleSince !== undefined) {
      state.classList.add("stale");
      head = words.last(head);
      line = words.staleSince(when(result.staleSince));
    }
    rows.push(
      [words.meta.mask, result.mask],
      [words.meta.kind, words.kinds[result.kind]],
      [words.meta.issuer, issuerName(result.issuer)],
      [words.meta.until, when(result.validUntil)],
      [words.meta.age, words.ago(result.listsAge)],
    );
  } else if (result !== undefined) {
    named = result.outcome === "refused" ? "refused" : "unknown";
    ({ head, line } = result.outcome === "refused" ? words.refused : words.notVerified);
    why = words.reasons[result.reason];
  }
  if (result !== undefined) rows.push([words.meta.clock, when(page.at)]);
  state.classList.add(named);
  part("shape").replaceChildren(shape(named));
  part("head").textContent = head;
  part("line").textContent = line;
  part("why").textContent = why;
  part("why").hidden = why === "";
  part("meta").replaceChildren(...rows.map(([name, value]) => row(name, value)));
}

function row(name: string, value: string): HTMLElement {
  const [made, dt, dd] = [document.createElement("div"), document.createElement("dt"), document.createElement("dd")];
  dt.textContent = name;
  dd.textContent = value;
  made.append(dt, dd);
  return made;
}

function issuerName(id: string): string {
  return page.verifier?.trust?.authorities.find((one) => one.id === id)?.name[page.language] ?? id;
}

/** With the weekday, in the zone of the city whose folder this is. */
function when(moment: number): string {
  const locale = page.language === "zh" ? "zh-CN" : "en-GB";
  const form: Intl.DateTimeFormatOptions = {
    weekday: "short",
    month: "short",
    day: "numeric",
    hour: "2-digit",
    minute: "2-digit",
    hourCycle: "h23",
  };
  const date = new Date(moment * 1_000);
  try {
    const zone = page.verifier?.trust?.authorities[0]?.zone;
    return date.toLocaleString(locale, zone === undefined ? form : { ...form, timeZone: zone });
  } catch {
    return date.toLocaleString(locale, form); // a zone that this browser does not know
  }
}

function showFolder(): void {
  const words = WORDS[page.language];
  const { root, verifier } = page;
  const trust = verifier?.trust;
  let said = words.folder.none;
  if (page.files.length > 0 && root === undefined) said = words.folder.noRoot;
  else if (page.otherRoot) said = words.folder.otherRoot;
  else if (trust !== undefined) said = words.held(trust.version, when(trust.expires), verifier?.held().size ?? 0, page.refusedLists);
  else if (verifier !== undefined) said = words.folder.noTrust;
  part("held").textContent = said;
  part("root").hidden = root === undefined;
  part("forget").hidden = !page.otherRoot;
  part("pin").textContent = words.pinned;
  part("pin").hidden = trust === undefined;
  part("fingerprint").replaceChildren(
    ...(root?.fingerprint.match(/.{4}/g) ?? []).map((group) => {
      const made = document.createElement("span");
      made.textContent = group;
      return made;
    }),
  );
}

function showSteps(): void {
  const { names } = WORDS[page.language].steps;
  const { marks } = WORDS[page.language];
  const { result } = page;
  const reached = result === undefined ? 0 : "step" in result ? result.step : names.length + 1;
  part("steps").replaceChildren(
    ...names.map((name, at) => {
      const how = at + 1 < reached ? "passed" : at + 1 === reached ? "failed" : "unreached";
      const item = document.createElement("li");
      item.className = how;
      for (const [part, text] of [
        ["number", String(at + 1)],
        ["name", name],
        ["said", result === undefined ? "" : `${{ passed: "✓", failed: "✕", unreached: "–" }[how]} ${marks[how]}`],
      ] as const) {
        const made = document.createElement("span");
        made.className = part;
        made.textContent = text;
        item.append(made);
      }
      return item;
    }),
  );
}

part("language").addEventListener("click", () => {
  page.language = page.language === "zh" ? "en" : "zh";
  show();
});
part<HTMLInputElement>("folder").addEventListener("change", (event) => {
  const { files } = event.currentTarget as HTMLInputElement;
  if (files !== null) void folderChosen(files);
});
part("forget").addEventListener("click", () => {
  if (page.root !== undefined) pin(page.root);
  void believe();
});
part("form").addEventListener("submit", (event) => {
  event.preventDefault();
  void verify();
});
show();

