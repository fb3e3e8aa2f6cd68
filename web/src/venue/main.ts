// The page of a door: its code, drawn on this device from its key, a new one each minute; and, with a network, how many came
// and whether they passed. It never knows who.

import type { Calls } from "../look/described.ts";
import { h, part, put, row, worded } from "../look/dom.ts";
import { Kept } from "../look/kept.ts";
import { language, sayLanguage, turnLanguage } from "../look/language.ts";
import { shape } from "../look/shapes.ts";
import { shelf } from "../look/shelf.ts";
import { now } from "../look/when.ts";
import { worker } from "../look/worker.ts";
import { qr } from "../look/symbol.ts";
import { mayNowSound, signal } from "../scan/signal.ts";
import { codeAt, inGroups, type Key, keyOf, minuteOf, STEP, textOf, tokenAt } from "./code.ts";
import { VENUE } from "./words.ts";

const EVERY = 2; // seconds between two looks for who came, while somebody comes
const SHOWN = 12; // seconds that a result stays
const SKEW = 20; // seconds that a clock may be off before it is said
const SOUND = "kangma sound";

type Told = Calls["GET /v1/venue"]["said"];
interface Page {
  kept: Kept | undefined;
  key: Key | undefined;
  name: string;
  told: Told | undefined;
  skew: number;
  state: "begun" | "online" | "away" | "ended";
  wrong: boolean;
  minute: number;
  shown: number; // of the result that stands, by the server's clock
  due: number;
  asking: boolean;
}
const page: Page = { kept: undefined, key: undefined, name: "", told: undefined, skew: 0, state: "begun", wrong: false, minute: 0, shown: 0, due: 0, asking: false };
const words = () => VENUE[language()];
const main = part("main");
const loud = (): boolean => shelf.getItem(SOUND) !== "off";

function show(): void {
  sayLanguage(part("language"));
  document.title = `${words().title} · 康码 Kangma`;
  worded(words());
  page.minute = 0;
  if (typeof crypto.subtle === "undefined") put(main, h("p", { class: "card" }, words().setup.noCrypto));
  else if (page.kept === undefined) put(main);
  else if (page.key === undefined) put(main, setup());
  else put(main, board(page.key), side());
  said();
  tick();
}

function setup(): HTMLElement {
  const { setup: say } = words();
  const field = h("textarea", { id: "key", name: "key", rows: 3, required: true, autocomplete: "off", autocapitalize: "off", spellcheck: "false" });
  const made = h(
    "form",
    { class: "card" },
    h("h1", {}, say.head),
    h("p", {}, say.line),
    h("label", { for: "key" }, say.field),
    field,
    h("button", { type: "submit", class: "button wide" }, say.button),
    h("p", { class: "said", role: "status" }, page.wrong && say.wrong),
    page.kept?.lasting === false && h("p", {}, say.notKept),
  );
  made.addEventListener("submit", (event) => {
    event.preventDefault();
    mayNowSound();
    void take(field.value);
  });
  return made;
}

function board({ venue }: Key): HTMLElement {
  const say = words();
  return h(
    "section",
    { class: "board" },
    h("h1", {}, say.head),
    h("p", { class: "place", id: "place" }, page.name),
    h("div", { id: "qr" }),
    h("div", { class: "ring", "aria-hidden": "true" }, h("i", { id: "ring" })),
    h("p", {}, say.line),
    h("dl", { class: "typed" }, row(say.number, inGroups(venue)), row(say.code, h("span", { id: "digits" }))),
  );
}

function side(): HTMLElement {
  const say = words();
  const sound = h("button", { type: "button", class: "quiet", click: () => turnSound() }, say.sound[loud() ? "on" : "off"]);
  return h(
    "div",
    { class: "side" },
    h("div", { id: "warned", role: "alert" }),
    h("section", { class: "state unknown idle", id: "result", "aria-live": "polite", "aria-atomic": "true" }),
    h("dl", { id: "counts" }),
    h("p", { class: "small" }, `${say.privacy}${language() === "zh" ? "" : " "}${say.exceptions}`),
    h("div", { class: "two" }, sound, change()),
  );
}

function turnSound(): void {
  mayNowSound();
  shelf.setItem(SOUND, loud() ? "off" : "on");
  show();
}

/** Another key: asked twice, for without one there is no code. */
function change(): HTMLElement {
  const say = words().change;
  let asked = false;
  const made = h("button", { type: "button", class: "quiet" }, say.button);
  made.addEventListener("click", () => {
    if (!asked) {
      asked = true;
      made.textContent = say.sure;
      return;
    }
    void page.kept?.clear().then(() => {
      [page.key, page.told, page.name, page.state] = [undefined, undefined, "", "begun"];
      show();
    });
  });
  return made;
}

/** What the network said, in the places that are there. */
function said(): void {
  const say = words();
  part("ready").textContent = page.key === undefined || page.state === "begun" ? "" : page.state === "online" ? say.online : say.offline;
  const result = document.getElementById("result");
  if (result === null) return;
  part("place").textContent = page.name;
  const last = page.told?.recent[0];
  const fresh = page.state === "online" && last !== undefined && page.told !== undefined && now() - page.skew - last.at < SHOWN;
  const named = !fresh ? "unknown" : ({ pass: "green", wait: "yellow", unknown: "unknown" } as const)[last.result];
  const text = fresh ? say.results[last.result] : page.state === "away" ? say.away.head : say.idle.head;
  if (result.dataset["said"] !== `${named} ${text}`) {
    result.dataset["said"] = `${named} ${text}`;
    result.className = `state ${named}${fresh ? "" : " idle"}`;
    put(result, h("div", {}, shape(named)), h("div", {}, h("h2", {}, text), !fresh && h("p", {}, page.state === "away" ? say.away.line : say.idle.line)));
  }
  const counts = page.told?.today;
  const lines = counts === undefined ? [] : (["pass", "wait", "unknown", "left", "late"] as const).filter((one) => one === "pass" || counts[one] > 0).map((one) => row(`${say.today} · ${say.counts[one]}`, String(counts[one])));
  put(part("counts"), ...lines);
  const warning = page.state === "ended" ? say.ended : Math.abs(page.skew) > SKEW ? say.skew(page.skew) : "";
  const place = part("warned");
  if (place.textContent !== warning) put(place, warning !== "" && h("p", { class: "warn" }, warning));
}

/** Once a second: the bar, with each minute a new code, and what the schedule asks for. */
function tick(): void {
  if (page.key === undefined || document.getElementById("ring") === null) return;
  const seconds = now();
  part("ring").className = `n${Math.floor(((seconds % STEP) / STEP) * 10)}`;
  if (minuteOf(seconds) !== page.minute) {
    page.minute = minuteOf(seconds);
    void draw(page.key, page.minute);
  }
  said();
}

async function draw(key: Key, minute: number): Promise<void> {
  const code = await codeAt(key.key, minute);
  const place = document.getElementById("qr");
  if (place === null || minute !== page.minute) return;
  place.replaceChildren(qr(textOf(location.origin, { venue: key.venue, minute, code }), words().label));
  part("digits").textContent = inGroups(code);
}

async function ask(key: Key): Promise<void> {
  page.asking = true;
  try {
    // The token names a minute, and the server may have another one: what it last said of the time counts.
    const token = await tokenAt(key, minuteOf(now() - page.skew));
    const answer = await fetch("/v1/venue", { cache: "no-store", credentials: "omit", headers: { Authorization: `Bearer ${token}` }, signal: AbortSignal.timeout(8_000) });
    if (answer.ok) take_(((await answer.json()) as Told));
    else {
      page.state = answer.status === 401 ? "ended" : "away";
      const told = Date.parse(answer.headers.get("date") ?? "");
      if (!Number.isNaN(told)) page.skew = now() - Math.floor(told / 1_000);
    }
  } catch {
    page.state = "away";
  } finally {
    page.asking = false;
    page.due = now() + (page.state === "online" ? EVERY : 15);
  }
  said();
}

function take_(told: Told): void {
  const before = page.told?.recent[0]?.at ?? told.now;
  [page.told, page.state, page.skew] = [told, "online", now() - told.now];
  if (page.name !== told.name) {
    page.name = told.name;
    void page.kept?.set("name", told.name);
  }
  const last = told.recent[0];
  if (last !== undefined && last.at > before) signal(last.result, loud());
}

async function take(text: string): Promise<void> {
  const key = await keyOf(text);
  page.wrong = key === undefined;
  if (key !== undefined) {
    await page.kept?.clear();
    await page.kept?.set("key", key);
    await (navigator as { storage?: StorageManager }).storage?.persist?.().catch(() => false);
    [page.key, page.due] = [key, 0];
  }
  show();
  main.focus();
}

function scheduled(): void {
  tick();
  if (page.key !== undefined && !page.asking && document.visibilityState === "visible" && now() >= page.due) void ask(page.key);
}

part("language").addEventListener("click", () => {
  turnLanguage();
  show();
});

async function begin(): Promise<void> {
  page.kept = await Kept.open("kangma venue");
  page.key = await page.kept.get<Key>("key");
  page.name = (await page.kept.get<string>("name")) ?? "";
  // The key may come behind the # of the address that registration printed; it is taken out of the history at once.
  const given = location.hash.slice(1);
  if (given !== "") {
    history.replaceState(null, "", location.pathname);
    await take(given);
  } else show();
  setInterval(scheduled, 1_000);
  scheduled();
  // A door's screen does not go dark.
  await (navigator as { wakeLock?: { request(kind: "screen"): Promise<unknown> } }).wakeLock?.request("screen").catch(() => undefined);
}
worker();
void begin();
