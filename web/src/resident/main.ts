// The resident's page: binding in two steps; then the code, always at once, from what the phone holds. The network brings
// what is new when it can. The clock is read here and in what is shown, and nowhere deeper.

import { type Child, h, part, put, row } from "../look/dom.ts";
import { Kept } from "../look/kept.ts";
import { language, sayLanguage, turnLanguage } from "../look/language.ts";
import { type Draft, draftOf, filled, renew, takeUp } from "../look/renew.ts";
import { qr } from "../look/symbol.ts";
import { clock, dayOf, fullDay, longDay, now, when } from "../look/when.ts";
import { worker } from "../look/worker.ts";
import { STEP } from "../verify/holder.ts";
import { type Call, Failed, type Other, type Said } from "./api.ts";
import { Phone, type Whose } from "./phone.ts";
import { AtDoor } from "./at_door.ts";
import { beside, documentFields, namedIn } from "./document.ts";
import { DOOR, OBJECT } from "./door_words.ts";
import { Entering } from "./entering.ts";
import { Objections } from "./object.ts";
import { button, emptied, field, form, half, twice, Wrong } from "./press.ts";
import { ageLine, facts, holds, named, stateCard, zoneOf } from "./view.ts";
import { EVERYBODY } from "./whose.ts";
import { RESIDENT } from "./words.ts";

const EVERY = 60; // seconds between two looks for a new state, and up to half as many more
const FIRST = 5; // the same while there is nothing to show yet: the first answer is being made
const TABS = ["code", "scan", "others", "looks", "more"] as const;
type Tab = (typeof TABS)[number];

const DIGITS = "#digits"; // where the second step of binding stands in the history
const DIGITS_LIVE = 600; // seconds for which the six digits are good

/** Six digits that are on their way to somebody's phone. It is kept, for who reads them there may find this page closed. */
interface Awaited {
  readonly binding: string;
  readonly until: number;
  readonly name: string; // of whom, as this phone's owner calls them; "" for the owner
}
interface Page {
  kept: Kept | undefined;
  phone: Phone | undefined;
  entering: Entering | undefined;
  objections: Objections | undefined;
  binding: Awaited | undefined; // between the two steps
  asked: Awaited | undefined; // a consent that is awaited
  due: number; // when to look for a new state
  open: Whose | undefined; // of whom, who is not green, the QR is shown
  ended: boolean;
  others: "asking" | "known" | Failed; // whether this phone was told who is in its care
  paper: Said<"POST /v1/me/paper"> | undefined;
  step: number; // the half minute that the QR shows
  appealsAsked: boolean;
  drawn: string; // which view stands there, and in which language
  spoken: string;
}
const page: Page = {
  kept: undefined,
  phone: undefined,
  entering: undefined,
  objections: undefined,
  binding: undefined,
  asked: undefined,
  due: 0,
  open: undefined,
  ended: false,
  others: "asking",
  paper: undefined,
  step: 0,
  appealsAsked: false,
  drawn: "",
  spoken: "",
};
/** What was typed into a view and not sent, while another one is looked at. */
const drafts = new Map<string, Draft>();
const words = () => RESIDENT[language()];

/** What the address names: "#others.2" is the second of those in the owner's care, where there is one. */
const tab = (): Tab => TABS.find((one) => one === location.hash.slice(1).split(".")[0]) ?? "code";
function whose(): Whose {
  const named = tab() === "others" ? location.hash.split(".")[1] : undefined;
  const there = page.phone?.others.some(({ other }) => String(other) === named) === true;
  return (there ? EVERYBODY.find((one) => one === named) : undefined) ?? "";
}
/** The view that belongs there now. */
function view(): string {
  if (page.phone?.bound !== true) return page.binding !== undefined && location.hash === DIGITS ? `digits ${page.binding.binding}` : "bind";
  return `${tab()} ${whose()}`;
}

const zone = (): string | undefined => zoneOf(page.phone?.last("")?.code);
const main = part("main");
const door = new AtDoor(() => page.entering, zone, () => (page.phone?.others ?? []).map((other) => ({ whose: String(other.other) as Whose, name: nameOf(other) })), said);

function said(problem: unknown): string {
  if (!(problem instanceof Failed)) throw problem;
  if (problem.how === "unbound") page.ended = true;
  return words().failed[problem.how];
}

// The network

const looking = new Map<Whose, Promise<void>>();

/** Brings what is new, where the network lets it; whatever happens, what is here stays. One look at a time. */
function refresh(of: Whose = ""): Promise<void> {
  const going = looking.get(of) ?? looked(of).finally(() => looking.delete(of));
  looking.set(of, going);
  return going;
}

async function looked(of: Whose): Promise<void> {
  const { phone } = page;
  if (phone === undefined || !phone.bound) return;
  const held = (): string => JSON.stringify([phone.last(of)?.code, phone.stockedUntil(of), page.ended]);
  const before = held();
  let wait = EVERY * (1 + Math.random() / 2);
  try {
    await phone.refresh(of, now());
    page.ended = false;
    try {
      await phone.stock(of, now());
    } finally {
      await phone.place(of, now()); // whatever became of the credentials
    }
  } catch (problem) {
    if (!(problem instanceof Failed)) throw problem;
    if (problem.how === "away" && phone.last(of) === undefined) wait = FIRST;
    wait = Math.max(wait, problem.after * (1 + Math.random() / 4));
    page.ended ||= problem.how === "unbound";
  }
  // A state that came is shown, whether or not credentials came with it.
  const news = held() !== before;
  if (of === "" && !page.ended) await behind();
  const change = phone.last("")?.code.next_change_at;
  const next = change === null || change === undefined ? Infinity : Math.floor(Date.parse(change) / 1_000) + 1 - now();
  page.due = now() + Math.max(5, Math.min(wait, next > 0 ? next + phone.own(30) : wait));
  if (news) show();
  tick();
}

/** What else a network is good for: scan-ins that wait, and what became of appeals. */
async function behind(): Promise<void> {
  try {
    if ((page.entering?.left.n ?? 0) > 0) {
      door.handedIn(await page.entering?.handIn(now()));
    }
    const holding = (page.phone?.last("")?.code.holds.length ?? 0) > 0;
    if (holding && page.objections !== undefined && (page.objections.open || !page.appealsAsked)) {
      await page.objections.refresh();
      page.appealsAsked = true;
    }
  } catch (problem) {
    if (!(problem instanceof Failed)) throw problem;
  }
}

// Views

/** What the address names. What stands there already stays as it is; what is made anew, because it is another view or another
 * language, has in it what was typed. */
function show(): void {
  const bound = page.phone?.bound === true;
  sayLanguage(part("language"));
  document.title = `${bound ? words().tabs[tab()] : words().bind.head} · 康码 Kangma`;
  const tabs = part("tabs");
  tabs.hidden = !bound;
  tabs.setAttribute("aria-label", words().title);
  renew(tabs, ...TABS.map((one) => h("a", { href: `#${one}`, "aria-current": tab() === one ? "page" : undefined }, words().tabs[one])));
  if (page.phone === undefined && typeof crypto.subtle !== "undefined") return put(main);
  const [at, before] = [view(), page.drawn];
  const turned = at !== before;
  if (turned || page.spoken !== language()) {
    drafts.set(before, draftOf(main));
    [page.drawn, page.spoken] = [at, language()];
    if (turned) half.clear();
    if (tab() !== "scan") door.stop();
    put(main, ...laid());
    takeUp(main, drafts.get(at) ?? { typed: new Map(), open: [] }, !turned);
    if (turned && bound) entered();
  } else if (bound && tab() === "scan") door.lay();
  else renew(main, ...laid());
  page.step = 0;
  tick();
}

function laid(): Child[] {
  if (typeof crypto.subtle === "undefined") return [h("div", { class: "card" }, h("h1", {}, words().bind.head), h("p", {}, words().noCrypto))];
  if (page.phone?.bound !== true) return bindView();
  return { code: codeView, scan: door.view.bind(door), others: othersView, looks: looksView, more: moreView }[tab()]();
}

/** Another view stands there: what it needs to know is asked for. */
function entered(): void {
  if (tab() === "others" || tab() === "scan") void askOthers();
  if (whose() !== "") void refresh(whose());
}

/** Who is in the owner's care; what this phone knows of them is enough meanwhile. */
async function askOthers(): Promise<void> {
  try {
    await page.phone?.askOthers();
    page.others = "known";
  } catch (problem) {
    if (!(problem instanceof Failed)) throw problem;
    page.others = problem;
  }
  if (tab() === "others" || tab() === "scan") show();
}

/** Opens a view, from which "back" leads here. */
function go(hash: string): void {
  history.pushState("opened", "", hash);
  show();
  main.focus({ preventScroll: true });
  scrollTo(0, 0);
}

/** Back to where this view was opened; who came by its address goes to what stands above it. */
function up(to: string): void {
  if (history.state === "opened") return history.back();
  history.replaceState(null, "", to);
  show();
}

/** The focus, where that element is there: somebody may have gone to another view since. */
const focusOn = (id: string): void => document.getElementById(id)?.focus();

const working = (): string => words().working;

/** The six digits that are awaited, kept as long as they are good. */
async function awaiting(key: "binding" | "asked", awaited: Awaited | undefined): Promise<void> {
  page[key] = awaited;
  await (awaited === undefined ? page.kept?.delete(key) : page.kept?.set(key, awaited));
}

const codeField = (): HTMLElement =>
  field("code", words().bind.code, "", h("input", { id: "code", name: "code", autocomplete: "one-time-code", required: true, inputmode: "numeric", pattern: "[0-9]{6}", maxlength: 6, class: "digits" }));

/** Sends the digits that were typed; throws Wrong when it is not them. */
async function withDigits<T>(of: HTMLFormElement, send: (code: string) => Promise<T>): Promise<T> {
  try {
    return await send(String(new FormData(of).get("code")));
  } catch (problem) {
    if (problem instanceof Failed && problem.how === "refused") throw new Wrong("code", words().bind.wrong);
    throw problem;
  }
}

function bindView(): Child[] {
  const { phone, kept, binding } = page;
  if (phone === undefined || kept === undefined) return [];
  const { bind, elsewhere } = words();
  const about = h("p", { class: "means" }, bind.keep);
  const links = h("nav", { class: "links", "aria-label": elsewhere.head }, h("a", { href: "/scan" }, elsewhere.scan), h("a", { href: "/open" }, elsewhere.open));
  const warning = !kept.lasting && h("p", { class: "means" }, words().notKept);
  const rest = { working, failed: said };
  if (binding === undefined || location.hash !== DIGITS) {
    const work = async (of: HTMLFormElement): Promise<string> => {
      const named = namedIn(of, words());
      const asked = await phone.ask(named).catch((problem: unknown) => beside(problem, named, words()));
      await awaiting("binding", { binding: asked.binding, until: now() + DIGITS_LIVE, name: "" });
      go(DIGITS);
      focusOn("code");
      return "";
    };
    return [
      h("div", { class: "intro" }, h("h1", {}, bind.head), h("p", {}, page.ended ? bind.ended : bind.line)),
      form({ name: "bind", alone: true, button: bind.send, work, ...rest }, h("p", { class: "by" }, bind.step1), ...documentFields(words())),
      about,
      warning,
      links,
    ];
  }
  const work = async (of: HTMLFormElement): Promise<string> => {
    await withDigits(of, (code) => phone.confirm(binding.binding, code));
    await awaiting("binding", undefined);
    page.ended = false;
    drafts.clear();
    history.replaceState(null, "", "#code");
    show();
    main.focus();
    await refresh();
    return "";
  };
  const again = async (): Promise<void> => {
    await awaiting("binding", undefined);
    up(location.pathname);
    show();
  };
  return [
    h("div", { class: "intro" }, h("h1", {}, bind.head), h("p", {}, bind.sent)),
    form({ name: `digits ${binding.binding}`, alone: true, button: bind.confirm, work, ...rest }, h("p", { class: "by" }, bind.step2), codeField()),
    button("again", "quiet wide", bind.back, said, again),
    about,
    warning,
  ];
}

/** A state with its QR, one's own or another's. The state and what shows the code come first, whatever stands below. */
function shown(of: Whose): Child[] {
  const told = page.phone?.last(of);
  if (told === undefined) return [h("p", { class: "means", role: "status" }, page.ended ? words().bind.ended : words().lists.loading)];
  const { code } = told;
  const plain = ["green", "notice"].includes(named(code));
  const time = h("p", { class: "clock", "data-keep": "clock" }, h("b", { id: "clock" }), h("span", { id: "day" }));
  const card = h(
    "section",
    { class: "qr", id: "code-card", hidden: !plain && page.open !== of },
    h("div", { id: "qr", "data-keep": `qr ${of}` }),
    h("div", { class: "ring", "aria-hidden": "true" }, h("i", { id: "ring", "data-keep": "ring" })),
    h("p", { class: "who" }, h("b", {}, masked(code.name_mask)), h("span", { id: "until", "data-keep": `until ${of}` })),
    !plain && time, // who is green has it above the code; else it waits with the code, and why comes sooner
  );
  const open = page.open === of;
  const turn = (): void => {
    page.open = open ? undefined : of;
    show();
    if (!open) part("code-card").scrollIntoView({ block: "nearest" });
  };
  const press = h("button", { type: "button", class: "button wide", id: "show", click: turn, "aria-expanded": String(open), "aria-controls": "code-card" }, open ? words().qr.hide : words().qr.show);
  const glance = h(
    "div",
    { class: "glance" },
    stateCard(told, now()),
    !plain && press,
    !plain && card,
    plain && time,
    plain && card,
    plain && facts(code),
    h("p", { class: "age", id: "age", "data-keep": "age" }),
  );
  const parts = holds(code, zoneOf(code), (hold) => (of === "" ? page.objections?.below(hold) : undefined));
  return [glance, h("div", { class: "rest" }, ...(plain ? parts : sorted(parts, code.colour))), !plain && h("div", { class: "later" }, facts(code))];
}

/** What makes the colour, and folded below it what stands beside. */
function sorted(parts: readonly HTMLElement[], colour: string): Child[] {
  const beside = parts.filter((one) => one.matches("article.hold") && !one.classList.contains(colour));
  const [first] = beside;
  if (first === undefined) return [...parts];
  const at = parts.indexOf(first);
  const fold = h("details", { class: "beside" }, h("summary", {}, h("h2", {}, words().lesser(beside.length))), h("div", { class: "list" }, ...beside));
  return [...parts.slice(0, at), fold, ...parts.slice(at).filter((one) => !beside.includes(one))];
}

function codeView(): Child[] {
  return [page.ended && h("div", { class: "card" }, h("p", {}, words().bind.ended), button("anew", "button", words().bind.head, said, () => leave(false))), ...shown("")];
}

function othersView(): Child[] {
  const { others: say } = words();
  const { phone } = page;
  if (phone === undefined) return [];
  const of = whose();
  if (of !== "") {
    const other = phone.others.find((one) => String(one.other) === of);
    return [
      h("div", { class: "intro" }, h("h1", { class: "visually" }, say.head), h("button", { type: "button", class: "quiet", click: () => up("#others") }, say.back), h("p", {}, other === undefined ? "" : `${nameOf(other)} · ${say[other.how]}`)),
      ...shown(of),
    ];
  }
  const nobody = page.others === "asking" ? words().lists.loading : page.others === "known" ? say.none : said(page.others);
  const added = async ({ other }: Other, name: string): Promise<string> => {
    await awaiting("asked", undefined);
    await phone.call(String(other) as Whose, name);
    await phone.askOthers();
    show();
    return "";
  };
  const child = async (of: HTMLFormElement): Promise<string> => {
    const typed = namedIn(of, words());
    let made: Other;
    try {
      made = await phone.mine("POST /v1/me/children", { sent: typed }).catch((problem: unknown) => beside(problem, typed, words()));
    } catch (problem) {
      if (problem instanceof Failed && problem.how === "refused") throw new Wrong("number", say.notYours);
      throw problem;
    }
    emptied(of);
    return added(made, typed.name);
  };
  const elder = async (of: HTMLFormElement): Promise<string> => {
    const typed = namedIn(of, words());
    const { binding } = await phone.mine("POST /v1/me/others", { sent: typed }).catch((problem: unknown) => beside(problem, typed, words()));
    emptied(of);
    await awaiting("asked", { binding, until: now() + DIGITS_LIVE, name: typed.name });
    show();
    if (tab() === "others") focusOn("code");
    return "";
  };
  const agreed = (of: HTMLFormElement): Promise<string> => {
    const { asked } = page;
    if (asked === undefined) return Promise.resolve("");
    return withDigits(of, (code) => phone.mine("POST /v1/me/others/{binding}/confirm", { at: { binding: asked.binding }, sent: { code } })).then((made) => added(made, asked.name));
  };
  const again = async (): Promise<void> => {
    await awaiting("asked", undefined);
    show();
  };
  const rest = { working, failed: said };
  const kinds = { child: [say.child, say.childLine, say.addChild, child], elder: [say.elder, say.elderLine, say.ask, elder] } as const;
  const add = (["child", "elder"] as const).map((kind) => {
    const [head, line, press, work] = kinds[kind];
    const fold = h("details", { class: "card", name: "add", "data-keep": `add ${kind}` }, h("summary", {}, h("h2", {}, head)));
    let made: HTMLFormElement | undefined;
    filled(fold, () => [(made = form({ name: `send ${kind}`, class: "inner", button: press, work, ...rest }, h("p", {}, line), ...documentFields(words())))]);
    // Both forms have the same fields: only the open one is on the page.
    fold.addEventListener("toggle", () => {
      if (!fold.open) return made?.remove();
      for (const other of document.querySelectorAll<HTMLDetailsElement>('details[name="add"]')) if (other !== fold) other.open = false;
      if (made !== undefined && !made.isConnected) fold.append(made);
    });
    return fold;
  });
  const { asked } = page;
  return [
    h("div", { class: "intro" }, h("h1", {}, say.head), h("p", {}, say.line)),
    h("div", { class: "list", role: "status" }, ...(phone.others.length === 0 ? [h("p", { class: "means" }, nobody)] : phone.others.map(otherCard))),
    asked !== undefined &&
      h("div", { class: "card" }, form({ name: `digits ${asked.binding}`, alone: true, class: "inner", button: words().bind.confirm, work: agreed, ...rest }, h("p", {}, h("b", {}, asked.name)), h("p", {}, say.asked), codeField()), button("again", "quiet wide", words().bind.back, said, again)),
    phone.others.length < 4 ? h("div", { class: "list" }, ...add) : h("p", { class: "means" }, say.full),
  ];
}

const masked = (mask: string): string => (mask === "*" ? words().hidden : mask);

/** As this phone's owner named them; on another phone only the mask is known, and two of a family often share it. */
const nameOf = (other: Other): string => page.phone?.called(String(other.other) as Whose) ?? masked(other.name_mask);

function otherCard(other: Other): HTMLElement {
  const say = words().others;
  const of = String(other.other) as Whose;
  const since = `${of} ${other.since}`; // somebody else may have this place later
  const end = async (): Promise<void> => {
    await page.phone?.mine("DELETE /v1/me/others/{other}", { at: { other: other.other } });
    await page.phone?.drop(of);
    await page.entering?.drop(of);
    show();
  };
  const open = async (): Promise<void> => go(`#others.${of}`);
  return h(
    "section",
    { class: "card" },
    h("h2", {}, nameOf(other)),
    h("p", {}, `${say[other.how]} · ${dayOf(Date.parse(other.since) / 1_000, language(), zone())}`),
    h("div", { class: "two" }, button(`show ${since}`, "button", say.show, said, open), twice(`drop ${since}`, say.remove, say.sure, said, end)),
  );
}

type Listed = Extract<Call, `GET /v1/me/${"appeals" | "devices" | "looks" | "tests" | "vaccinations" | "visits"}`>;

/** A list that needs the network: what it says while it is on its way, and when it does not come. */
function fetched<C extends Listed>(what: C, lay: (found: Said<C>) => Child[]): HTMLElement {
  const { lists } = words();
  const place = h("div", { class: "list", "aria-live": "polite", "data-keep": what }, h("p", { class: "means" }, lists.loading));
  void page.phone?.mine<Listed>(what, {}).then(
    (found) => {
      const children = lay(found as Said<C>);
      put(place, ...(children.length > 0 ? children : [h("p", { class: "means" }, lists.none)]));
    },
    (problem: unknown) => put(place, h("p", { class: "means" }, problem instanceof Failed && problem.how === "away" && problem.after === 0 ? lists.away : said(problem))),
  );
  return place;
}

const moment = (iso: string): string => when(Date.parse(iso) / 1_000, language(), zone());
const rows = (...lines: HTMLElement[]): HTMLElement[] => (lines.length === 0 ? [] : [h("dl", {}, ...lines)]);

function looksList(): HTMLElement {
  const { looks, who, purposes } = words();
  return fetched("GET /v1/me/looks", (found) =>
    found.looks.length === 0 ? [h("p", { class: "means" }, looks.none)] : rows(...found.looks.map((one) => row(moment(one.at), `${who[one.who] ?? one.who} · ${purposes[one.purpose] ?? one.purpose}`))),
  );
}

function looksView(): Child[] {
  const { looks } = words();
  return [h("div", { class: "intro" }, h("h1", {}, looks.head), h("p", {}, looks.line)), looksList()];
}

/** A part of "more": its content is fetched when it is opened. */
function fold(head: string, content: () => readonly Child[]): HTMLElement {
  return filled(h("details", { "data-keep": `fold ${head}` }, h("summary", {}, h("h3", {}, head))), () => [h("div", { class: "inner" }, ...content())]);
}

/** Parts that belong together, as one card. */
const group = (head: string, ...folds: readonly HTMLElement[]): HTMLElement => h("section", { class: "group" }, h("h2", {}, head), h("div", { class: "card" }, ...folds));

function moreView(): Child[] {
  const { lists, results, pooled, tube, products, dose, sources, paper, devices, export: take, leave: end, elsewhere, tabs, groups, looks } = words();
  const dot = (...parts: (string | null | false)[]): string => parts.filter((one) => typeof one === "string" && one !== "").join(" · ");
  // Kinds that everybody has, in words; with a maker's mark behind it ("inactivated-a"); whatever else it is called, as it is.
  const productOf = (name: string): string => name.replace(/^(inactivated|subunit|vector|mrna)(?:-(\w))?$/, (_, kind: string, mark?: string) => `${products[kind] ?? kind}${mark === undefined ? "" : ` ${mark.toUpperCase()}`}`);
  const tests = (): HTMLElement =>
    fetched("GET /v1/me/tests", (found) => rows(...found.tests.map((one) => row(moment(one.sampled_at ?? one.reported_at), dot(...(one.pooled && one.result === "positive" ? [tube.head] : [results[one.result] ?? one.result, one.pooled && pooled]), one.lab)))));
  const shots = (): HTMLElement =>
    fetched("GET /v1/me/vaccinations", (found) =>
      rows(...found.vaccinations.map((one) => row(fullDay(one.given_on, language()), dot(dose(one.dose), productOf(one.product))))),
    );
  const visits = (): HTMLElement =>
    fetched("GET /v1/me/visits", (found) => rows(...found.visits.map((one) => row(moment(one.entered_at), dot(one.place, one.district, one.sealed ? `${sources[one.source] ?? one.source}，${DOOR[language()].came}`.replace("，", language() === "zh" ? "，" : ", ") : (sources[one.source] ?? one.source))))));
  return [
    h("div", { class: "intro" }, h("h1", {}, tabs.more)),
    group(
      groups.records,
      fold(lists.tests, () => [tests()]),
      fold(lists.vaccinations, () => [shots()]),
      fold(lists.visits, () => [visits()]),
      fold(OBJECT[language()].list, () => [appealsList()]),
    ),
    group(groups.paper, fold(paper.head, paperPart)),
    group(
      groups.devices,
      fold(devices.head, devicesPart),
      fold(looks.head, () => [h("p", {}, looks.line), looksList()]),
      fold(take.head, () => [h("p", {}, take.line), button("export", "button", take.button, said, exported)]),
      fold(end.head, () => [h("p", {}, end.line), twice("leave", end.button, end.sure, said, () => leave(true))]),
    ),
    h("nav", { class: "links", "aria-label": elsewhere.head }, h("a", { href: "/scan" }, elsewhere.scan), h("a", { href: "/open" }, elsewhere.open)),
  ];
}

/** Every appeal, of holds that are gone too. */
function appealsList(): HTMLElement {
  return fetched("GET /v1/me/appeals", (found) => found.appeals.map((one) => page.objections?.told(one)));
}

/** For who reads the sheet, not for who makes it. */
const inBoth = (what: "title" | "until" | "check"): Child[] => [h("b", { lang: "zh-CN" }, RESIDENT.zh.paper[what]), " ", h("b", { lang: "en" }, RESIDENT.en.paper[what])];

function paperPart(): Child[] {
  const { paper } = words();
  const sheet = h("div", { class: "sheet", role: "status" });
  const lay = (made: Said<"POST /v1/me/paper">): void => {
    const mask = page.phone?.last("")?.code.name_mask ?? "";
    const press = (text: string, work: () => void): HTMLElement => h("button", { type: "button", class: "quiet", click: work }, text);
    // Drawn here as well: a picture of ours prints sharp at any size.
    put(
      sheet,
      h(
        "div",
        { id: "printed" },
        h("p", { class: "title" }, ...inBoth("title")),
        h("div", { class: "drawn" }, qr(made.text, words().qr.label)),
        h("p", {}, h("b", {}, masked(mask))),
        h("p", {}, ...inBoth("until"), ` ${moment(made.valid_until)}`),
        h("p", {}, ...inBoth("check")),
      ),
      h("p", {}, paper.next),
      h(
        "div",
        { class: "two" },
        press(paper.print, () => print()),
        press(paper.pdf, () => download([bytesOf(made.pdf)], "application/pdf", "kangma.pdf")),
        press(paper.png, () => download([bytesOf(made.png)], "image/png", "kangma.png")),
      ),
    );
  };
  const make = async (): Promise<void> => {
    page.paper = await page.phone?.mine("POST /v1/me/paper", { sent: {} });
    if (page.paper !== undefined) lay(page.paper);
  };
  if (page.paper !== undefined) lay(page.paper);
  return [h("p", {}, paper.line), button("paper", "button", paper.make, said, make), sheet];
}

function devicesPart(): Child[] {
  const { devices } = words();
  const lay = (found: Said<"GET /v1/me/devices">): Child[] => {
    const mine = page.phone?.itself;
    const first = [...found.devices].sort((a, b) => Number(b.device === mine) - Number(a.device === mine));
    return first.map(({ device, bound_at, seen_at }) => {
      const end = async (): Promise<void> => {
        await page.phone?.mine("DELETE /v1/me/devices/{device}", { at: { device } });
        made.remove();
        await refresh();
      };
      const said_ = [device === mine && h("b", { class: "mine" }, devices.mine), `${devices.bound} ${moment(bound_at)}`, h("br"), `${devices.seen} ${moment(seen_at)}`];
      const made = h("div", { class: "device" }, h("p", {}, ...said_), twice(`device ${device}`, devices.end, devices.sure, said, end));
      return made;
    });
  };
  return [h("p", {}, devices.line), fetched("GET /v1/me/devices", lay)];
}

/** A file of this device's own making, as if it had been fetched. */
function download(content: BlobPart[], type: string, name: string): void {
  const address = URL.createObjectURL(new Blob(content, { type }));
  h("a", { href: address, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(address), 10_000);
}

const bytesOf = (base64: string): Uint8Array<ArrayBuffer> => Uint8Array.from(atob(base64), (character) => character.charCodeAt(0));

async function exported(): Promise<void> {
  const found = await page.phone?.mine("GET /v1/me/export", {});
  download([JSON.stringify(found, null, 2)], "application/json", "kangma.json");
}

/** Bound no more: told to the server, where it is not the one who said so. */
async function leave(tell: boolean): Promise<void> {
  if (tell) await page.phone?.mine("DELETE /v1/me", {});
  await page.phone?.forget();
  await page.entering?.forget();
  [page.ended, page.paper, page.asked, page.others] = [false, undefined, undefined, "asking"];
  drafts.clear();
  history.replaceState(null, "", location.pathname);
  show();
  drafts.clear(); // what was typed belongs to who left
  main.focus();
}

// The clock

/** Once a second: the clock and the bar; with each half minute a new proof. */
function tick(): void {
  const face = document.getElementById("clock");
  const told = page.phone?.last(whose());
  if (face === null || told === undefined) return;
  const seconds = now();
  face.textContent = clock(seconds, language(), zone());
  part("day").textContent = longDay(seconds, language(), zone());
  const age = ageLine(told, seconds);
  const alone = page.phone?.stockedUntil(whose()) ?? 0;
  const said = alone > seconds ? `${age}${/[。.]$/.test(age) ? " " : " · "}${words().alone(dayOf(alone - 1, language(), zone()))}` : age;
  if (part("age").textContent !== said) part("age").textContent = said;
  // The bar is the half minute; its width is set by a class, for the policy allows no style in the page.
  part("ring").className = `n${Math.floor(((seconds % STEP) / STEP) * 10)}`;
  const step = Math.floor(seconds / STEP);
  if (step === page.step) return;
  page.step = step;
  void draw(whose(), seconds);
}

async function draw(of: Whose, at: number): Promise<void> {
  const shows = await page.phone?.shows(of, at);
  const place = document.getElementById("qr");
  if (place === null || of !== whose()) return;
  if (shows === undefined) {
    place.replaceChildren(h("p", { class: "means" }, words().qr.none));
    part("until").textContent = "";
    return;
  }
  place.replaceChildren(qr(shows.text, words().qr.label));
  part("until").textContent = `${words().qr.today} ${when(shows.until, language(), zone())}`;
}

function scheduled(): void {
  tick();
  if (document.visibilityState === "visible" && now() >= page.due && page.phone?.bound === true) {
    page.due = now() + EVERY; // until this look has said when the next one is
    // Of somebody else only what was never told: each look at them is noted.
    void refresh(page.phone.last(whose()) === undefined ? whose() : "");
  }
}

part("language").addEventListener("click", () => {
  turnLanguage();
  show();
});
// A hand that clicks twice means it once.
addEventListener(
  "click",
  (event) => {
    if (event.detail < 2 || !(event.target instanceof Element) || event.target.closest("button, a, summary") === null) return;
    event.preventDefault();
    event.stopImmediatePropagation();
  },
  true,
);
addEventListener("hashchange", () => {
  byLink();
  // Who goes back to the first step has done with the second; who comes forward has not.
  if (page.binding !== undefined) void (location.hash === DIGITS ? page.kept?.set("binding", page.binding) : page.kept?.delete("binding"));
  show();
  main.focus({ preventScroll: true });
  scrollTo(0, 0);
});
addEventListener("online", () => void refresh());
// A page that nobody looks at does not hold the camera.
document.addEventListener("visibilitychange", () => {
  if (document.visibilityState === "hidden") door.rest();
});

/** A door's code that a camera opened as an address: it becomes a question in the view "scan", and leaves the history. */
function byLink(): void {
  if (location.hash.startsWith("#in.") && door.offered(location.hash)) history.replaceState(null, "", "#scan");
}

async function begin(): Promise<void> {
  const kept = await Kept.open("kangma resident");
  const phone = new Phone(kept);
  await phone.restore();
  const entering = new Entering(kept, phone);
  await entering.restore();
  [page.kept, page.phone, page.entering] = [kept, phone, entering];
  page.objections = new Objections(phone, zone, said, working, () => tab() === "code" && show());
  for (const key of ["binding", "asked"] as const) {
    const awaited = await kept.get<Awaited>(key);
    if (awaited !== undefined) await awaiting(key, now() < awaited.until ? awaited : undefined);
  }
  byLink();
  if (!phone.bound && page.binding !== undefined) history.replaceState(history.state, "", DIGITS);
  show();
  setInterval(scheduled, 1_000);
  await refresh();
}
worker();
void begin();
