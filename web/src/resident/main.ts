// The resident's page: binding in two steps; then the code, always at once, from what the phone holds. The network brings
// what is new when it can. The clock is read here and in what is shown, and nowhere deeper.

import { type Child, h, part, put, row } from "../look/dom.ts";
import { Kept } from "../look/kept.ts";
import { language, sayLanguage, turnLanguage } from "../look/language.ts";
import { qr } from "../look/symbol.ts";
import { clock, dayOf, fullDay, longDay, now, when } from "../look/when.ts";
import { worker } from "../look/worker.ts";
import { STEP } from "../verify/holder.ts";
import { type Call, Failed, type Named, type Other, type Said, waiting } from "./api.ts";
import { Phone, type Whose } from "./phone.ts";
import { AtDoor } from "./at_door.ts";
import { DOOR, OBJECT } from "./door_words.ts";
import { Entering } from "./entering.ts";
import { Objections } from "./object.ts";
import { ageLine, facts, holds, named, stateCard, zoneOf } from "./view.ts";
import { RESIDENT } from "./words.ts";

const EVERY = 60; // seconds between two looks for a new state, and up to half as many more
const FIRST = 5; // the same while there is nothing to show yet: the first answer is being made
const TABS = ["code", "scan", "others", "looks", "more"] as const;
type Tab = (typeof TABS)[number];

interface Page {
  phone: Phone | undefined;
  entering: Entering | undefined;
  objections: Objections | undefined;
  lasting: boolean;
  binding: string | undefined; // between the two steps
  said: string; // what went wrong or well, below a form
  due: number; // when to look for a new state
  open: boolean; // the QR of who is not green
  ended: boolean;
  whose: Whose;
  asked: { readonly binding: string; readonly name: string } | undefined; // a consent that is awaited
  step: number; // the half minute that the QR shows
  appealsAsked: boolean;
}
const page: Page = {
  phone: undefined,
  entering: undefined,
  objections: undefined,
  lasting: true,
  binding: undefined,
  said: "",
  due: 0,
  open: false,
  ended: false,
  whose: "",
  asked: undefined,
  step: 0,
  appealsAsked: false,
};
const words = () => RESIDENT[language()];
const tab = (): Tab => TABS.find((one) => `#${one}` === location.hash) ?? "code";
const zone = (): string | undefined => zoneOf(page.phone?.last("")?.code);
const main = part("main");
const door = new AtDoor(() => page.entering, zone, () => (page.phone?.others ?? []).map((other) => ({ whose: String(other.other) as Whose, name: nameOf(other) })));

function said(problem: unknown): string {
  if (!(problem instanceof Failed)) throw problem;
  if (problem.how === "unbound") page.ended = true;
  return words().failed[problem.how];
}

// The network

/** Brings what is new, where the network lets it; whatever happens, what is here stays. */
async function refresh(whose: Whose = ""): Promise<void> {
  const { phone } = page;
  if (phone === undefined || !phone.bound) return;
  const held = (): string => JSON.stringify([phone.last(whose)?.code, phone.stockedUntil(whose), page.ended]);
  const before = held();
  let wait = EVERY * (1 + Math.random() / 2);
  try {
    await phone.refresh(whose, now());
    page.ended = false;
    try {
      await phone.stock(whose, now());
    } finally {
      await phone.place(whose, now()); // whatever became of the credentials
    }
  } catch (problem) {
    if (!(problem instanceof Failed)) throw problem;
    if (problem.how === "away" && phone.last(whose) === undefined) wait = FIRST;
    wait = Math.max(wait, problem.after * (1 + Math.random() / 4));
    page.ended ||= problem.how === "unbound";
  }
  // A state that came is shown, whether or not credentials came with it.
  const news = held() !== before;
  if (whose === "" && !page.ended) await behind();
  const change = phone.last("")?.code.next_change_at;
  const next = change === null || change === undefined ? Infinity : Math.floor(Date.parse(change) / 1_000) + 1 - now();
  page.due = now() + Math.max(5, Math.min(wait, next > 0 ? next + phone.own(30) : wait));
  if (news && (tab() === "code" || whose !== "")) show();
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

function show(): void {
  const bound = page.phone?.bound === true;
  sayLanguage(part("language"));
  document.title = `${bound ? words().tabs[tab()] : words().bind.head} · 康码 Kangma`;
  if (tab() !== "scan") door.stop();
  const tabs = part("tabs");
  tabs.hidden = !bound;
  tabs.setAttribute("aria-label", words().title);
  tabs.replaceChildren(...TABS.map((one) => h("a", { href: `#${one}`, "aria-current": tab() === one ? "page" : undefined }, words().tabs[one])));
  if (typeof crypto.subtle === "undefined") main.replaceChildren(h("div", { class: "card" }, h("h1", {}, words().bind.head), h("p", {}, words().noCrypto)));
  else if (page.phone === undefined) main.replaceChildren();
  else if (!bound) put(main, ...bindView());
  else put(main, ...{ code: codeView, scan: scanView, others: othersView, looks: looksView, more: moreView }[tab()]());
  page.step = 0;
  tick();
}

function field(name: string, label: string, given: Record<string, string | number | boolean>): HTMLElement {
  return h("div", { class: "field" }, h("label", { for: name }, label), h("input", { id: name, name, autocomplete: "off", required: true, ...given }));
}

function documentFields(): HTMLElement[] {
  const { bind, types } = words();
  const options = (["10", "20", "14", "15", "16", "34", "99"] as const).map((type) => h("option", { value: type }, types[type]));
  return [
    h("div", { class: "field" }, h("label", { for: "type" }, bind.type), h("select", { id: "type", name: "type" }, ...options)),
    field("number", bind.number, { maxlength: 64, autocapitalize: "characters", spellcheck: "false" }),
    field("name", bind.name, { maxlength: 120, autocomplete: "name" }),
  ];
}

function namedIn(form: HTMLFormElement): Named {
  const given = new FormData(form);
  const text = (name: string): string => String(given.get(name) ?? "").trim();
  return { id_type: text("type"), id_number: text("number").toUpperCase(), name: text("name") };
}

const codeField = (): HTMLElement =>
  field("code", words().bind.code, { inputmode: "numeric", autocomplete: "one-time-code", pattern: "[0-9]{6}", maxlength: 6, class: "digits" });

/** A form whose button rests while its work is on its way; what the work says stands below. */
function form(work: (form: HTMLFormElement) => Promise<string>, button: string, ...children: Child[]): HTMLFormElement {
  const press = h("button", { type: "submit", class: "button wide" }, button);
  const status = h("p", { class: "said", role: "status" }, page.said);
  const made = h("form", { class: "card" }, ...children, press, status);
  made.addEventListener("submit", (event) => {
    event.preventDefault();
    press.disabled = true;
    status.textContent = "…";
    const busy = (): void => {
      status.textContent = words().working;
    };
    waiting.addEventListener("work", busy);
    work(made)
      .catch(said)
      .finally(() => waiting.removeEventListener("work", busy))
      .then((text) => {
        page.said = text;
        status.textContent = text;
        press.disabled = false;
      });
  });
  return made;
}

function bindView(): Child[] {
  const { bind, elsewhere } = words();
  const about = h("p", { class: "means" }, bind.keep);
  const links = h("nav", { class: "links", "aria-label": elsewhere.head }, h("a", { href: "/scan" }, elsewhere.scan), h("a", { href: "/open" }, elsewhere.open));
  const warning = !page.lasting && h("p", { class: "means" }, words().notKept);
  if (page.binding === undefined) {
    const first = async (of: HTMLFormElement): Promise<string> => {
      const { binding } = await (page.phone as Phone).ask(namedIn(of));
      [page.binding, page.said] = [binding, ""];
      show();
      part("code").focus();
      return "";
    };
    return [
      h("div", { class: "intro" }, h("h1", {}, bind.head), h("p", {}, page.ended ? bind.ended : bind.line)),
      form(first, bind.send, h("p", { class: "by" }, bind.step1), ...documentFields()),
      about,
      warning,
      links,
    ];
  }
  const { binding } = page;
  const second = async (of: HTMLFormElement): Promise<string> => {
    try {
      await (page.phone as Phone).confirm(binding, String(new FormData(of).get("code")));
    } catch (problem) {
      if (problem instanceof Failed && problem.how === "refused") return bind.wrong;
      throw problem;
    }
    [page.binding, page.ended, page.said] = [undefined, false, ""];
    location.hash = "#code";
    show();
    main.focus();
    await refresh();
    return "";
  };
  const back = (): void => {
    [page.binding, page.said] = [undefined, ""];
    show();
  };
  return [
    h("div", { class: "intro" }, h("h1", {}, bind.head), h("p", {}, bind.sent)),
    form(second, bind.confirm, h("p", { class: "by" }, bind.step2), codeField()),
    h("button", { type: "button", class: "quiet wide", click: back }, bind.back),
    about,
    warning,
  ];
}

/** A state with its QR: one's own or another's. */
function shown(whose: Whose): Child[] {
  const told = page.phone?.last(whose);
  if (told === undefined) return [h("p", { class: "means", role: "status" }, page.ended ? words().bind.ended : words().lists.loading)];
  const { code } = told;
  const plain = ["green", "notice"].includes(named(code));
  const where = zoneOf(code);
  const codeCard = h(
    "section",
    { class: "qr", id: "code-card", hidden: !plain && !page.open },
    h("div", { id: "qr" }),
    h("div", { class: "ring", "aria-hidden": "true" }, h("i", { id: "ring" })),
    h("p", { class: "who" }, h("b", {}, masked(code.name_mask)), h("span", { id: "until" })),
  );
  const turn = (): void => {
    page.open = !page.open;
    codeCard.hidden = !page.open;
    press.textContent = page.open ? words().qr.hide : words().qr.show;
    press.setAttribute("aria-expanded", String(page.open));
    if (page.open) codeCard.scrollIntoView({ block: "center" });
  };
  const press = h("button", { type: "button", class: "quiet wide", click: turn, "aria-expanded": String(page.open), "aria-controls": "code-card" }, page.open ? words().qr.hide : words().qr.show);
  const glance = h(
    "div",
    { class: "glance" },
    stateCard(told, now()),
    h("p", { class: "clock" }, h("b", { id: "clock" }), h("span", { id: "day" })),
    plain && codeCard,
    facts(code),
    h("p", { class: "age", id: "age" }),
  );
  const rest = h("div", { class: "rest" }, ...holds(code, where, (hold) => (whose === "" ? page.objections?.below(hold) : undefined)));
  return [glance, rest, !plain && h("div", { class: "later" }, press, codeCard)];
}

function codeView(): Child[] {
  page.whose = "";
  return [page.ended && h("div", { class: "card" }, h("p", {}, words().bind.ended), h("button", { type: "button", class: "button", click: () => void leave(false) }, words().bind.head)), ...shown("")];
}

/** A button that asks a second time before it does what cannot be undone. */
function twice(text: string, sure: string, work: () => Promise<void>): HTMLButtonElement {
  let asked = false;
  const made = h("button", { type: "button", class: "quiet" }, text);
  made.addEventListener("click", () => {
    if (!asked) {
      asked = true;
      made.textContent = sure;
      return;
    }
    made.disabled = true;
    work().catch((problem: unknown) => {
      made.disabled = false;
      made.textContent = said(problem);
      asked = false;
    });
  });
  return made;
}

/** Who may come along is asked in the background: what this phone knows of them is enough meanwhile. */
function scanView(): Child[] {
  void page.phone?.askOthers().then(
    (changed) => changed && door.lay(),
    () => undefined,
  );
  return door.view();
}

function othersView(): Child[] {
  const { others: say } = words();
  const { phone } = page;
  if (phone === undefined) return [];
  if (page.whose !== "") {
    const back = (): void => {
      page.whose = "";
      show();
    };
    const other = phone.others.find((one) => String(one.other) === page.whose);
    return [
      h("div", { class: "intro" }, h("h1", { class: "visually" }, say.head), h("button", { type: "button", class: "quiet", click: back }, say.back), h("p", {}, other === undefined ? "" : `${nameOf(other)} · ${say[other.how]}`)),
      ...shown(page.whose),
    ];
  }
  const list = h("div", { class: "list", role: "status" });
  const lay = (nobody: string): void => list.replaceChildren(...(phone.others.length === 0 ? [h("p", { class: "means" }, nobody)] : phone.others.map(otherCard)));
  lay(words().lists.loading);
  void phone.askOthers().then(
    // Cards that say the same stay as they are: somebody may have pressed one of their buttons once already.
    (changed) => (changed || phone.others.length === 0) && lay(say.none),
    (problem: unknown) => phone.others.length === 0 && lay(said(problem)),
  );
  const added = async ({ other }: Other, name: string): Promise<string> => {
    page.asked = undefined;
    await phone.call(String(other) as Whose, name);
    await phone.askOthers();
    page.said = "";
    show();
    return "";
  };
  const child = async (of: HTMLFormElement): Promise<string> => {
    const said = namedIn(of);
    let made: Other;
    try {
      made = await phone.mine("POST /v1/me/children", { sent: said });
    } catch (problem) {
      if (problem instanceof Failed && problem.how === "refused") return say.notYours;
      throw problem;
    }
    return added(made, said.name);
  };
  const elder = async (of: HTMLFormElement): Promise<string> => {
    const said = namedIn(of);
    page.asked = { binding: (await phone.mine("POST /v1/me/others", { sent: said })).binding, name: said.name };
    page.said = "";
    show();
    part("code").focus();
    return "";
  };
  const agreed = async (of: HTMLFormElement): Promise<string> => {
    const { asked } = page;
    if (asked === undefined) return "";
    let made: Other;
    try {
      made = await phone.mine("POST /v1/me/others/{binding}/confirm", { at: { binding: asked.binding }, sent: { code: String(new FormData(of).get("code")) } });
    } catch (problem) {
      if (problem instanceof Failed && problem.how === "refused") return words().bind.wrong;
      throw problem;
    }
    return added(made, asked.name);
  };
  const kinds = { child: [say.child, say.childLine, say.addChild, child], elder: [say.elder, say.elderLine, say.ask, elder] } as const;
  const add = (["child", "elder"] as const).map((kind) => {
    const [head, line, button, work] = kinds[kind];
    const details = h("details", { class: "card", name: "add" }, h("summary", {}, h("h2", {}, head)));
    // Both forms have the same fields: only the open one is on the page.
    details.addEventListener("toggle", () => {
      details.querySelector("form")?.remove();
      page.said = "";
      if (!details.open) return;
      for (const other of document.querySelectorAll<HTMLDetailsElement>('details[name="add"]')) if (other !== details) other.open = false;
      const made = form(work, button, h("p", {}, line), ...documentFields());
      made.className = "inner";
      details.append(made);
    });
    return details;
  });
  return [
    h("div", { class: "intro" }, h("h1", {}, say.head), h("p", {}, say.line)),
    list,
    page.asked === undefined ? false : form(agreed, words().bind.confirm, h("p", {}, say.asked), codeField()),
    phone.others.length < 4 ? h("div", { class: "list" }, ...add) : h("p", { class: "means" }, say.full),
  ];
}

const masked = (mask: string): string => (mask === "*" ? words().hidden : mask);

/** As this phone's owner named them; on another phone only the mask is known, and two of a family often share it. */
const nameOf = (other: Other): string => page.phone?.called(String(other.other) as Whose) ?? masked(other.name_mask);

function otherCard(other: Other): HTMLElement {
  const say = words().others;
  const open = (): void => {
    [page.whose, page.open] = [String(other.other) as Whose, false];
    show();
    void refresh(page.whose);
  };
  const end = async (): Promise<void> => {
    await page.phone?.mine("DELETE /v1/me/others/{other}", { at: { other: other.other } });
    await page.phone?.drop(String(other.other) as Whose);
    await page.entering?.drop(String(other.other) as Whose);
    show();
  };
  return h(
    "section",
    { class: "card" },
    h("h2", {}, nameOf(other)),
    h("p", {}, `${say[other.how]} · ${dayOf(Date.parse(other.since) / 1_000, language(), zone())}`),
    h("div", { class: "two" }, h("button", { type: "button", class: "button", click: open }, say.show), twice(say.remove, say.sure, end)),
  );
}

type Listed = Extract<Call, `GET /v1/me/${"appeals" | "devices" | "looks" | "tests" | "vaccinations" | "visits"}`>;

/** A list that needs the network: what it says while it is on its way, and when it does not come. */
function fetched<C extends Listed>(what: C, lay: (found: Said<C>) => Child[]): HTMLElement {
  const { lists } = words();
  const place = h("div", { class: "list", "aria-live": "polite" }, h("p", { class: "means" }, lists.loading));
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

function looksView(): Child[] {
  const { looks, who, purposes } = words();
  const lay = (found: Said<"GET /v1/me/looks">): Child[] =>
    found.looks.length === 0 ? [h("p", { class: "means" }, looks.none)] : rows(...found.looks.map((one) => row(moment(one.at), `${who[one.who] ?? one.who} · ${purposes[one.purpose] ?? one.purpose}`)));
  return [h("div", { class: "intro" }, h("h1", {}, looks.head), h("p", {}, looks.line)), fetched("GET /v1/me/looks", lay)];
}

/** A part of "more": its content is fetched when it is opened. */
function fold(head: string, content: () => Child[]): HTMLElement {
  const made = h("details", { class: "card" }, h("summary", {}, h("h2", {}, head)));
  made.addEventListener("toggle", () => {
    if (made.open && made.children.length === 1) made.append(...content().filter((child): child is Node => child instanceof Node));
  });
  return made;
}

function moreView(): Child[] {
  const { lists, results, pooled, tube, products, dose, sources, paper, devices, export: take, leave: end, elsewhere, tabs } = words();
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
    h(
      "div",
      { class: "list" },
      fold(lists.tests, () => [tests()]),
      fold(lists.vaccinations, () => [shots()]),
      fold(lists.visits, () => [visits()]),
      fold(OBJECT[language()].list, () => [appealsList()]),
      fold(paper.head, paperPart),
      fold(devices.head, devicesPart),
      fold(take.head, () => [h("p", {}, take.line), exportButton()]),
      fold(end.head, () => [h("p", {}, end.line), twice(end.button, end.sure, () => leave(true))]),
    ),
    h("nav", { class: "links", "aria-label": elsewhere.head }, h("a", { href: "/scan" }, elsewhere.scan), h("a", { href: "/open" }, elsewhere.open)),
  ];
}

/** Every appeal, of holds that are gone too. */
function appealsList(): HTMLElement {
  return fetched("GET /v1/me/appeals", (found) => found.appeals.map((one) => page.objections?.told(one)));
}

function paperPart(): Child[] {
  const { paper } = words();
  const sheet = h("div", { class: "sheet", role: "status" });
  const make = async (): Promise<void> => {
    press.disabled = true;
    try {
      const made = await page.phone?.mine("POST /v1/me/paper", { sent: {} });
      if (made === undefined) return;
      const mask = page.phone?.last("")?.code.name_mask ?? "";
      // Drawn here as well: a picture of ours prints sharp at any size.
      sheet.replaceChildren(
        h("div", { id: "printed" }, h("div", { class: "drawn" }, qr(made.text, words().qr.label)), h("p", {}, h("b", {}, masked(mask))), h("p", {}, `${paper.until} ${moment(made.valid_until)}`), h("p", {}, h("b", {}, paper.check))),
        h("p", {}, paper.next),
        h(
          "div",
          { class: "two" },
          h("button", { type: "button", class: "quiet", click: () => print() }, paper.print),
          h("button", { type: "button", class: "quiet", click: () => download([bytesOf(made.pdf)], "application/pdf", "kangma.pdf") }, paper.pdf),
          h("button", { type: "button", class: "quiet", click: () => download([bytesOf(made.png)], "image/png", "kangma.png") }, paper.png),
        ),
      );
    } catch (problem) {
      sheet.replaceChildren(h("p", {}, said(problem)));
    }
    press.disabled = false;
  };
  const press = h("button", { type: "button", class: "button", click: () => void make() }, paper.make);
  return [h("p", {}, paper.line), press, sheet];
}

function devicesPart(): Child[] {
  const { devices } = words();
  const lay = (found: Said<"GET /v1/me/devices">): Child[] =>
    found.devices.map(({ device, bound_at, seen_at }) => {
      const end = async (): Promise<void> => {
        await page.phone?.mine("DELETE /v1/me/devices/{device}", { at: { device } });
        show();
        await refresh();
      };
      return h("div", { class: "device" }, h("p", {}, `${devices.bound} ${moment(bound_at)}`, h("br"), `${devices.seen} ${moment(seen_at)}`), twice(devices.end, devices.sure, end));
    });
  return [h("p", {}, devices.line), fetched("GET /v1/me/devices", lay)];
}

/** A file of this device's own making, as if it had been fetched. */
function download(content: BlobPart[], type: string, name: string): void {
  const address = URL.createObjectURL(new Blob(content, { type }));
  h("a", { href: address, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(address), 10_000);
}

const bytesOf = (base64: string): Uint8Array<ArrayBuffer> => Uint8Array.from(atob(base64), (character) => character.charCodeAt(0));

function exportButton(): HTMLElement {
  const { button } = words().export;
  const take = async (): Promise<void> => {
    try {
      const found = await page.phone?.mine("GET /v1/me/export", {});
      download([JSON.stringify(found, null, 2)], "application/json", "kangma.json");
    } catch (problem) {
      press.textContent = said(problem);
    }
  };
  const press = h("button", { type: "button", class: "button", click: () => void take() }, button);
  return press;
}

/** Bound no more: told to the server, where it is not the one who said so. */
async function leave(tell: boolean): Promise<void> {
  if (tell) await page.phone?.mine("DELETE /v1/me", {});
  await page.phone?.forget();
  await page.entering?.forget();
  [page.ended, page.whose] = [false, ""];
  history.replaceState(null, "", location.pathname);
  show();
  main.focus();
}

// The clock

/** Once a second: the clock and the bar; with each half minute a new proof. */
function tick(): void {
  const face = document.getElementById("clock");
  const told = page.phone?.last(page.whose);
  if (face === null || told === undefined) return;
  const seconds = now();
  face.textContent = clock(seconds, language(), zone());
  part("day").textContent = longDay(seconds, language(), zone());
  const age = ageLine(told, seconds);
  const alone = page.phone?.stockedUntil(page.whose) ?? 0;
  const said = alone > seconds ? `${age}${/[。.]$/.test(age) ? " " : " · "}${words().alone(dayOf(alone - 1, language(), zone()))}` : age;
  if (part("age").textContent !== said) part("age").textContent = said;
  // The bar is the half minute; its width is set by a class, for the policy allows no style in the page.
  part("ring").className = `n${Math.floor(((seconds % STEP) / STEP) * 10)}`;
  const step = Math.floor(seconds / STEP);
  if (step === page.step) return;
  page.step = step;
  void draw(page.whose, seconds);
}

async function draw(whose: Whose, at: number): Promise<void> {
  const shows = await page.phone?.shows(whose, at);
  const place = document.getElementById("qr");
  if (place === null || whose !== page.whose) return;
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
    void refresh(page.phone.last(page.whose) === undefined ? page.whose : "");
  }
}

part("language").addEventListener("click", () => {
  turnLanguage();
  show();
});
addEventListener("hashchange", () => {
  byLink();
  [page.whose, page.said, page.asked] = ["", "", undefined];
  show();
  main.focus();
  scrollTo(0, 0);
});
addEventListener("online", () => void refresh());
// A page that nobody looks at does not hold the camera.
document.addEventListener("visibilitychange", () => {
  if (document.visibilityState === "hidden" && tab() === "scan") show();
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
  [page.phone, page.entering, page.lasting] = [phone, entering, kept.lasting];
  page.objections = new Objections(phone, zone, said, () => {
    if (tab() === "code" && document.querySelector(".objection form") === null) show();
  });
  byLink();
  show();
  setInterval(scheduled, 1_000);
  await refresh();
}
worker();
void begin();
