// The door's page. The camera or a hand gives a text; the verifier says what it proves by the lists on this device; the
// verdict fills a third of the screen. Lists are fetched on a schedule, and no scan ever causes a request.

import { Kept } from "../look/kept.ts";
import { groups, h, part, row, worded } from "../look/dom.ts";
import { language, sayLanguage, turnLanguage } from "../look/language.ts";
import { type Shape, shape } from "../look/shapes.ts";
import { shelf } from "../look/shelf.ts";
import { ago, clock, now, when } from "../look/when.ts";
import { worker } from "../look/worker.ts";
import { WORDS } from "../page/words.ts";
import type { NotVerified, Verified } from "../verify/outcome.ts";
import { Camera, textInFile, type Trouble } from "./camera.ts";
import { type Fetched, Lists } from "./lists.ts";
import { Reader } from "./reader.ts";
import { mayNowSound, type Sign, signal } from "./signal.ts";
import { SCAN } from "./words.ts";

const EVERY = 60; // seconds between two looks for newer lists
const SHOWN = 20; // seconds that a verdict stays
const AGAIN = 4; // seconds in which the same text before the camera is the same person
const OLD = 86_400; // seconds after which lists are called old, as the verifier does
const SOUND = "kangma sound";

interface Page {
  lists: Lists | undefined;
  result: Verified | NotVerified | undefined;
  at: number;
  signed: number; // when the list behind the result was
  text: string;
  trouble: Trouble | undefined;
  working: boolean;
  fetched: Fetched | undefined;
  tried: number;
  unread: boolean;
}
const page: Page = {
  lists: undefined,
  result: undefined,
  at: 0,
  signed: 0,
  text: "",
  trouble: undefined,
  working: false,
  fetched: undefined,
  tried: 0,
  unread: false,
};

const reader = new Reader();
const camera = new Camera(part<HTMLVideoElement>("video"), reader, (text) => void seen(text));
const loud = (): boolean => shelf.getItem(SOUND) !== "off";

async function seen(text: string): Promise<void> {
  if (text === page.text && now() - page.at < AGAIN) {
    page.at = now(); // still held there
    return;
  }
  await verify(text);
}

async function verify(text: string): Promise<void> {
  const at = now();
  const result = await page.lists?.verifier?.verify(text, at);
  [page.at, page.text, page.result] = [at, text, result];
  page.signed = result !== undefined && "colour" in result ? at - result.listsAge : 0;
  show();
  if (result !== undefined) signal(signOf(result), loud());
}

function signOf(result: Verified | NotVerified): Sign {
  if (!("colour" in result) || result.staleSince !== undefined) return "unknown";
  return result.colour === "green" ? "pass" : "wait";
}

function clear(): void {
  [page.result, page.text] = [undefined, ""];
  show();
}

async function update(): Promise<void> {
  if (page.working || page.lists === undefined) return;
  [page.working, page.tried] = [true, now()];
  showLists();
  try {
    page.fetched = await page.lists.refresh(now());
  } finally {
    page.working = false;
  }
  show();
  if (page.fetched === "unreachable" || page.fetched === "other_root") return;
  await page.lists.refreshElsewhere();
  showLists();
}

async function start(): Promise<void> {
  page.trouble = await camera.start();
  show();
}

// What is shown

const cities = () => page.lists?.verifier?.trust?.authorities ?? [];
const zone = (): string | undefined => cities()[0]?.zone;

function show(): void {
  const words = SCAN[language()];
  sayLanguage(part("language"));
  document.title = `${words.title} · 康码 Kangma`;
  worded(words);
  showCamera();
  showVerdict();
  showLists();
  showAlarm();
  const { exceptions } = WORDS[language()];
  part("never").replaceChildren(h("b", {}, exceptions.head), h("br"), exceptions.line);
  part("sound").textContent = words.sound[loud() ? "on" : "off"];
  part("unread").textContent = page.unread ? words.hand.nothing : "";
}

function showCamera(): void {
  const words = SCAN[language()].camera;
  part("camera").setAttribute("aria-label", words.start);
  for (const id of ["video", "aim"]) part(id).hidden = !camera.on;
  part("off").hidden = camera.on;
  part("trouble").textContent = page.trouble === undefined ? words.off : words[page.trouble];
}

function showVerdict(): void {
  const [words, common] = [SCAN[language()], WORDS[language()]];
  const { result, lists } = page;
  const state = part("verdict");
  let [named, head, line, why]: [Shape, string, string, string] = ["unknown", words.idle.head, words.idle.line, ""];
  const rows: HTMLElement[] = [];
  state.className = "state";
  if (typeof crypto.subtle === "undefined") [head, line] = [words.unverified, common.noCrypto];
  else if (result === undefined && lists !== undefined && lists.count === 0) ({ head, line } = words.first);
  else if (result === undefined) state.classList.add("idle");
  else if ("colour" in result) {
    named = result.colour;
    head = words.heads[result.colour];
    line = common.colours[result.colour].head;
    why = { green: "", notice: common.colours.notice.line, yellow: common.colours.yellow.line, red: common.colours.red.line }[result.colour];
    if (result.staleSince !== undefined) {
      state.classList.add("stale");
      [head, line, why] = [words.unverified, common.last(line), common.staleSince(when(result.staleSince, language(), zone()))];
    }
    if (result.kind === "paper") why = `${why}${language() === "zh" ? "" : " "}${words.paper}`.trim();
    const city = cities().find(({ id }) => id === result.issuer);
    if (city !== undefined && city !== cities()[0]) rows.push(row(words.meta.issuer, h("b", { id: "issuer" }, city.name[language()])));
    rows.push(row(words.meta.holder, result.mask === "*" ? words.meta.hidden : result.mask, result.kind === "proxy" && ` · ${common.kinds.proxy}`));
  } else {
    named = result.outcome === "refused" ? "refused" : "unknown";
    head = words.unverified;
    line = result.outcome === "refused" ? common.refused.head : common.notVerified.line;
    why = common.reasons[result.reason];
  }
  state.classList.add(named);
  part("shape").replaceChildren(shape(named));
  part("head").textContent = head;
  part("line").textContent = line;
  part("why").textContent = why;
  part("why").hidden = why === "";
  part("next").hidden = result === undefined;
  rows.push(row(words.meta.clock, h("span", { id: "clock" })), row(words.meta.age, h("span", { id: "age" })));
  part("meta").replaceChildren(...rows);
  tick();
}

function showLists(): void {
  const words = SCAN[language()];
  const { lists } = page;
  const trust = lists?.verifier?.trust;
  const said = page.working ? words.lists.working : page.fetched === undefined || page.fetched === "other_root" ? "" : words.lists[page.fetched];
  const held = trust === undefined ? words.lists.never : words.held(lists?.count ?? 0, trust.version, when(trust.expires, language(), zone()));
  const reached = lists?.fetched === undefined ? "" : words.reached(when(lists.fetched, language(), zone()));
  part("held").textContent = [held, reached, said].filter((sentence) => sentence !== "").join(language() === "zh" ? "" : " ");
  part("elsewhere").replaceChildren(
    ...(lists?.elsewhere ?? []).map(({ city, count, signed }) =>
      h("li", { class: count === 0 || now() - signed > OLD ? "old" : "" }, words.elsewhere(city.name[language()], count, when(signed, language(), zone()))),
    ),
  );
  part("root").hidden = lists?.root === undefined;
  part("fingerprint").replaceChildren(...groups(lists?.root?.fingerprint ?? ""));
  part<HTMLButtonElement>("update").disabled = page.working;
  const ready = (lists?.count ?? 0) === 0 ? words.noLists : page.fetched === "fresh" ? words.online : words.offline;
  if (part("ready").textContent !== ready) part("ready").textContent = ready;
}

/** A root that is not the pinned one: said above everything, until somebody has compared both. */
function showAlarm(): void {
  const words = SCAN[language()].other;
  const { lists } = page;
  const [pinned, offered] = [lists?.root, lists?.otherRoot];
  const alarm = part("alarm");
  alarm.hidden = pinned === undefined || offered === undefined;
  if (pinned === undefined || offered === undefined) return alarm.replaceChildren();
  const sure = h("input", { type: "checkbox", id: "sure", change: () => void (use.disabled = !sure.checked) });
  const use = h("button", { type: "button", class: "quiet", id: "use", disabled: true, click: () => void anew() }, words.use);
  alarm.replaceChildren(
    h("h2", {}, words.head),
    h("p", {}, words.line),
    h("h3", {}, words.pinned),
    h("p", { class: "fingerprint" }, ...groups(pinned.fingerprint)),
    h("h3", {}, words.offered),
    h("p", { class: "fingerprint" }, ...groups(offered.fingerprint)),
    h("label", { class: "sure" }, sure, h("span", {}, words.sure)),
    use,
  );
}

async function anew(): Promise<void> {
  await page.lists?.forget();
  clear();
  await update();
}

/** Once a second: the clock, the age of the lists, and what the schedule asks for. */
function tick(): void {
  const [words, at] = [SCAN[language()].meta, now()];
  const signed = page.signed > 0 && page.result !== undefined ? page.signed : (page.lists?.signed ?? 0);
  const age = Math.max(0, at - signed);
  part("clock").textContent = clock(at, language(), zone());
  part("age").textContent = signed === 0 ? words.none : ago(age, language());
  part("age").classList.toggle("old", signed === 0 || age > OLD);
  if (page.result !== undefined && at - page.at > SHOWN && !part<HTMLDetailsElement>("hand").open) clear();
}

function scheduled(): void {
  tick();
  if (document.visibilityState === "visible" && now() - page.tried >= EVERY) void update();
}

part("language").addEventListener("click", () => {
  turnLanguage();
  show();
});
part("start").addEventListener("click", () => {
  mayNowSound();
  void start();
});
part("sound").addEventListener("click", () => {
  mayNowSound();
  shelf.setItem(SOUND, loud() ? "off" : "on");
  show();
});
part("next").addEventListener("click", clear);
part("update").addEventListener("click", () => void update());
part("form").addEventListener("submit", (event) => {
  event.preventDefault();
  mayNowSound();
  page.unread = false;
  void verify(part<HTMLTextAreaElement>("text").value.replace(/^[\r\n\t ]+|[\r\n\t]+$/g, "")).then(() => part("verdict").scrollIntoView({ block: "nearest" }));
});
part<HTMLInputElement>("picture").addEventListener("change", (event) => {
  const input = event.currentTarget as HTMLInputElement;
  const file = input.files?.[0];
  if (file === undefined) return;
  void textInFile(file, reader).then((text) => {
    page.unread = text === undefined;
    input.value = "";
    if (text === undefined) return show();
    return verify(text).then(() => part("verdict").scrollIntoView({ block: "nearest" }));
  });
});
// A page that nobody looks at does not hold the camera.
let wasOn = false;
document.addEventListener("visibilitychange", () => {
  if (document.visibilityState === "hidden") {
    wasOn = camera.on;
    camera.stop();
    show();
  } else if (wasOn) void start();
});

async function begin(): Promise<void> {
  show();
  const lists = new Lists(await Kept.open("kangma door"), shelf);
  await lists.restore();
  page.lists = lists;
  show();
  setInterval(scheduled, 1_000);
  await update();
}
worker();
void begin();
