// The public page: nothing here is told by us and to be believed. Lists, log and trust list are fetched as anybody can fetch
// them, checked by the same verifier as at doors, and counted on this device.

import { type Child, groups, h, part, put, row } from "../look/dom.ts";
import { Kept } from "../look/kept.ts";
import { language, sayLanguage, turnLanguage } from "../look/language.ts";
import { type Shape, shape } from "../look/shapes.ts";
import { shelf } from "../look/shelf.ts";
import { dateOf, dayOf, now, when } from "../look/when.ts";
import { worker } from "../look/worker.ts";
import { WORDS } from "../page/words.ts";
import { fetchPublic, type Fetched, Lists } from "../scan/lists.ts";
import { hex } from "../verify/bytes.ts";
import { sizeOf, valueAt } from "../verify/status.ts";
import { type Log, logOf, type Seen } from "./log.ts";
import { OPEN } from "./words.ts";

const MOST_ROWS = 21; // days that are shown
const FOLDER = `${location.origin}/public`;
const GREEN = 0x0;
const STATES = [
  ["green", GREEN],
  ["notice", 0x3],
  ["yellow", 0xc],
  ["red", 0xd],
] as const;
const WITHDRAWN = 0x1;
const UNKNOWN = 0xf;

interface Counts {
  readonly of: ReadonlyMap<number, number>;
  readonly at: number;
}
interface Page {
  lists: Lists | undefined;
  fetched: Fetched | undefined;
  log: Log | undefined;
  counts: Counts | undefined;
}
const page: Page = { lists: undefined, fetched: undefined, log: undefined, counts: undefined };
const words = () => OPEN[language()];
const trust = () => page.lists?.verifier?.trust;
const zone = (): string | undefined => trust()?.authorities[0]?.zone;
const number = (n: number): string => n.toLocaleString(language() === "zh" ? "zh-CN" : "en-GB");

/** How many places of today's lists have each value. */
function counted(lists: Lists): Counts | undefined {
  const base = trust()?.authorities[0]?.base ?? "";
  const today = localDay(now());
  const of = new Map<number, number>();
  let at = 0;
  for (const [uri, list] of lists.verifier?.held() ?? []) {
    // The daily family, and those that continue it when the city has grown; not what is issued beside it.
    if (!uri.startsWith(`${base}/status/${today}/`) && !uri.startsWith(`${base}/status/${today}.`)) continue;
    at = Math.max(at, list.iat);
    for (let n = 0; n < sizeOf(list); n++) {
      const value = valueAt(list, n);
      of.set(value, (of.get(value) ?? 0) + 1);
    }
  }
  return at === 0 ? undefined : { of, at };
}

/** Days since 1970 by the city's calendar. */
function localDay(moment: number): number {
  const [year, month, day] = new Intl.DateTimeFormat("en-CA", { ...(zone() === undefined ? {} : { timeZone: zone() as string }), year: "numeric", month: "2-digit", day: "2-digit" })
    .format(moment * 1_000)
    .split("-")
    .map(Number) as [number, number, number];
  return Date.UTC(year, month - 1, day) / 86_400_000;
}

function show(): void {
  sayLanguage(part("language"));
  document.title = `${words().title} · 康码 Kangma`;
  const said = { unreachable: words().away, other_root: words().otherRoot, refused: words().untrusted, fresh: "" }[page.fetched ?? "fresh"];
  const sections = trust() === undefined ? [] : [
          nowCard(),
          stack(countsCard(), turnsCard()),
          stack(checksCard(), policyCard(), trustCard()),
          selfCard(),
        ];
  const { links } = words();
  put(
    part("main"),
    h("div", { class: "intro wide-card" }, h("h1", {}, words().title), h("p", {}, words().line)),
    page.fetched === undefined && h("p", { class: "intro wide-card", role: "status" }, words().loading),
    said !== "" && h("p", { class: page.fetched === "unreachable" ? "intro wide-card" : "warn wide-card", role: "alert" }, said),
    ...sections,
    h("nav", { class: "links wide-card", "aria-label": words().title }, h("a", { href: "/" }, links.code), h("a", { href: "/scan" }, links.scan)),
  );
}

const stack = (...cards: Child[]): HTMLElement => h("div", { class: "stack" }, ...cards);

function fact(name: string, value: Child, whole = false): HTMLElement {
  const made = row(name, value);
  if (whole) made.className = "whole";
  return made;
}

function nowCard(): Child {
  const { log } = page;
  const last = log?.releases[0];
  const { now: say } = words();
  if (log === undefined) return undefined;
  return h(
    "section",
    { class: "wide-card", "aria-label": say.head },
    h(
      "dl",
      { class: "facts" },
      ...(last === undefined
        ? []
        : [fact(say.release, number(last.number)), fact(say.at, when(last.at, language(), zone())), fact(say.persons, number(last.persons))]),
      fact(say.log, number(log.head.size)),
      fact(say.root, h("span", { class: "fingerprint" }, ...groups(hex(log.head.root))), true),
    ),
  );
}

/** A Chinese day in one piece, but for its weekday, which may go below on a small phone. */
function mayBreak(day: string): (string | HTMLElement)[] {
  return day.split(/(?=周)/u).flatMap((part, at) => (at === 0 ? [part] : [h("wbr", {}), part]));
}

/** A bar of a chart, as long as its share; its number stands beside it. */
function bar(share: number, kind = ""): HTMLElement {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  svg.setAttribute("viewBox", "0 0 100 10");
  svg.setAttribute("preserveAspectRatio", "none");
  svg.setAttribute("aria-hidden", "true");
  const rect = document.createElementNS("http://www.w3.org/2000/svg", "rect");
  rect.setAttribute("width", String(share === 0 ? 0 : Math.max(0.8, 100 * share)));
  rect.setAttribute("height", "10");
  if (kind !== "") rect.setAttribute("class", kind);
  svg.append(rect);
  const cell = h("td", { class: "bar" });
  cell.append(svg);
  return cell;
}

/** A button that saves a table. */
function take(text: string, name: string, lines: readonly (readonly (string | number)[])[]): HTMLElement {
  const save = (): void => {
    const address = URL.createObjectURL(new Blob([`${lines.map((line) => line.join(",")).join("\r\n")}\r\n`], { type: "text/csv" }));
    h("a", { href: address, download: name }).click();
    setTimeout(() => URL.revokeObjectURL(address), 10_000);
  };
  return h("button", { type: "button", class: "quiet take", click: save }, text);
}

const head = (...names: string[]): HTMLElement => h("thead", {}, h("tr", {}, ...names.map((name, n) => (name === "" ? h("td", { class: "bar" }) : h("th", { scope: "col", class: n === 0 || names[n + 1] === "" ? "" : "n" }, name)))));

function countsCard(): Child {
  const { counts } = page;
  const say = words().counts;
  if (counts === undefined) return undefined;
  const withdrawn = counts.of.get(WITHDRAWN) ?? 0;
  const unknown = counts.of.get(UNKNOWN) ?? 0;
  // A free place is zero, as green is: green is who is known, by the log, less all the others.
  const others = [...counts.of].reduce((sum, [value, n]) => sum + (value === GREEN ? 0 : n), 0);
  const all = page.log?.releases[0]?.persons;
  if (all === undefined || all < others) return undefined;
  const states = STATES.map(([name, value]) => [name, value === GREEN ? all - others : (counts.of.get(value) ?? 0)] as const);
  const line = (name: string, svg: Shape | undefined, n: number, kind: string): HTMLElement =>
    h(
      "tr",
      {},
      h("th", { scope: "row" }, svg === undefined ? name : named(name, svg)),
      bar(all === 0 ? 0 : n / all, kind),
      h("td", { class: "n" }, number(n)),
      h("td", { class: "n" }, svg === undefined || all === 0 ? "" : `${((100 * n) / all).toFixed(1)} %`),
    );
  const rows = states.map(([name, n]) => line(WORDS[language()].colours[name].head, name, n, name));
  if (unknown > 0) rows.push(line(say.unknown, "unknown", unknown, ""));
  if (withdrawn > 0) rows.push(line(say.withdrawn, undefined, withdrawn, ""));
  return h(
    "section",
    { class: "card" },
    h("h2", {}, say.head),
    h("p", { class: "by" }, `${say.source} ${words().at(when(counts.at, language(), zone()))}`),
    h("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": say.head }, h("table", {}, head(say.state, "", say.people, say.share), h("tbody", {}, ...rows))),
    take(say.take, "kangma-states.csv", [["at", "state", "people"], ...states.map(([name, n]) => [counts.at, name, n]), [counts.at, "unknown", unknown], [counts.at, "withdrawn", withdrawn]]),
  );
}

function named(name: string, svg: Shape): HTMLElement {
  const made = h("span", { class: "name" });
  made.append(shape(svg), h("span", {}, name));
  return made;
}

function turnsCard(): Child {
  const say = words().turns;
  const releases = page.log?.releases ?? [];
  if (releases.length === 0) return undefined;
  // A city releases every few seconds, and most of the time nobody turned: what is worth seeing is a day.
  const days = new Map<number, { at: number; turned: number; turning: number; all: number }>();
  let [quarter, day] = [-1, 0]; // days begin with a quarter of an hour everywhere, and what a day it is takes long to say
  for (const release of releases) {
    const before = release.at - 1; // what a release says came before it: that of midnight closes the day that ends
    if (Math.floor(before / 900) !== quarter) [quarter, day] = [Math.floor(before / 900), localDay(before)];
    const { at, turned, turning, all } = days.get(day) ?? { at: before, turned: 0, turning: 0, all: 0 };
    days.set(day, { at, turned: turned + release.turned, turning: turning + Number(release.turned > 0), all: all + 1 });
  }
  const shown = [...days.values()].slice(0, MOST_ROWS);
  const most = Math.max(1, ...shown.map((day) => day.turned));
  const rows = shown.map((day) =>
    h("tr", {}, h("th", { scope: "row" }, ...mayBreak(dayOf(day.at, language(), zone()))), bar(day.turned / most), h("td", { class: "n" }, number(day.turned)), h("td", { class: "n" }, say.of(number(day.turning), number(day.all)))),
  );
  return h(
    "section",
    { class: "card" },
    h("h2", {}, say.head),
    h("p", { class: "by" }, say.source, isPart(page.log) && (language() === "zh" ? say.part : ` ${say.part}`)),
    h("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": say.head }, h("table", {}, head(say.day, "", say.turned, say.releases), h("tbody", {}, ...rows))),
    take(say.take, "kangma-turns.csv", [["release", "at", "persons", "turned"], ...releases.map((r) => [r.number, r.at, r.persons, r.turned])]),
  );
}

function checksCard(): Child {
  const { lists, log } = page;
  const say = words().checks;
  if (lists === undefined) return undefined;
  const mark = (found: boolean | undefined): string => (found === undefined ? `– ${say.unable}` : found ? `✓ ${say.yes}` : `✕ ${say.no}`);
  const found: (readonly [string, boolean | undefined, string?])[] = [
    [say.names.trust, trust() !== undefined],
    [say.names.lists, lists.count > 0 ? lists.refused === 0 : undefined],
    [say.names.head, log?.head.signed],
    [isPart(log) ? say.part(number(log.read)) : say.names.tree, log?.tree],
    [say.names.same, log?.same],
    log?.since === undefined ? log === undefined ? [say.names.grown, undefined] : [say.names.grown, undefined, say.first] : [say.grown(number(log.since.size)), log.grown],
  ];
  const items = found.map(([name, holds, unseen]) => h("li", {}, h("span", {}, name), h("b", {}, unseen === undefined ? mark(holds) : `– ${unseen}`)));
  return h(
    "section",
    { class: "card checks", id: "checks" },
    h("h2", {}, say.head),
    h("p", { class: "by" }, say.line),
    h("ul", {}, ...items),
    isPart(log) && h("div", { id: "unread" }, h("p", {}, say.unread(number(log.head.size - log.read))), h("code", {}, `kangma audit --public ${FOLDER}`)),
  );
}

/** Whether entries of the log were left unread. */
const isPart = (log: Log | undefined): log is Log => log !== undefined && log.read < log.head.size;

function policyCard(): Child {
  const say = words().policy;
  const { log } = page;
  if (log === undefined) return undefined;
  const current = log.policies.find(({ from }) => from !== undefined && from <= now());
  const items = log.policies.map((policy) =>
    h(
      "li",
      {},
      policy === current && h("p", { class: "tag" }, say.current),
      policy.from !== undefined && policy.from > now() && h("p", { class: "tag" }, say.coming),
      h("b", {}, policy.title?.[language()] ?? `${policy.id} ${policy.version}`),
      h("p", { class: "by" }, `${policy.id} · ${policy.version}${policy.from === undefined ? "" : ` · ${say.from} ${dateOf(policy.from, language(), zone())}`}`),
      h("a", { href: `/public/policy/${policy.digest}.toml`, "aria-label": `${say.file}: ${policy.id} ${policy.version}` }, say.file),
    ),
  );
  const digest = log.releases[0]?.policy;
  return h(
    "section",
    { class: "card policy" },
    h("h2", {}, say.head),
    h("p", { class: "by" }, say.line),
    items.length === 0 ? h("p", {}, say.none) : h("ul", {}, ...items),
    isPart(log) && h("p", { class: "by" }, say.more),
    digest !== undefined && h("p", { class: "by" }, words().inForce(`${digest.slice(0, 16)}…`)),
  );
}

function trustCard(): Child {
  const say = words().trust;
  const { lists } = page;
  const list = trust();
  const authority = list?.authorities[0];
  if (list === undefined || authority === undefined || lists?.root === undefined) return undefined;
  const moment = now();
  const uses = ["credential", "status", "log", "witness"].map((use) => {
    const n = authority.keys.filter((key) => key.use === use && key.revokedAt === undefined && key.notBefore <= moment && moment < key.notAfter).length;
    return n === 0 ? "" : `${words().uses[use] ?? use} ${n}`;
  });
  return h(
    "section",
    { class: "card" },
    h("h2", {}, say.head),
    h(
      "dl",
      {},
      row(say.publisher, authority.name[language()]),
      row(say.version, `${list.version} · ${say.until} ${dateOf(list.expires, language(), zone())}`),
      row(say.keys, uses.filter((use) => use !== "").join(language() === "zh" ? "，" : ", ")),
    ),
    h("h3", {}, say.fingerprint),
    h("p", { class: "fingerprint" }, ...groups(lists.root.fingerprint)),
    h("p", { class: "by" }, say.compare),
  );
}

function selfCard(): Child {
  const say = words().self;
  const items = say.items.map(([who, what, command]) => h("li", {}, h("b", {}, who), language() === "zh" ? `：${what}` : ` ${what}`, h("code", {}, command.replace("https://…", FOLDER))));
  return h("section", { class: "card wide-card" }, h("h2", {}, say.head), h("ul", {}, ...items));
}

part("language").addEventListener("click", () => {
  turnLanguage();
  show();
});

async function begin(): Promise<void> {
  show();
  const kept = await Kept.open("kangma door"); // the door's root and lists: pinned once for both
  const lists = new Lists(kept, shelf);
  await lists.restore();
  page.lists = lists;
  page.counts = counted(lists);
  show();
  page.fetched = await lists.refresh(now());
  page.counts = counted(lists);
  const authority = trust()?.authorities[0];
  if (authority !== undefined && page.fetched !== "other_root") {
    const name = `log ${lists.root?.fingerprint ?? ""} ${authority.origin}`;
    try {
      const log = await logOf(fetchPublic, authority, await kept.get<Seen>(name), lists.latest?.log);
      page.log = log;
      // Only what was found sound is worth holding the next visit against; what is not a continuation stays unremembered.
      const sound = log.head.signed !== false && log.tree === true && (log.since === undefined || log.grown === true);
      if (sound) await kept.set(name, { size: log.head.size, root: hex(log.head.root) } satisfies Seen);
    } catch (problem) {
      // The log could not be read, or is none: what stands on it is left out, and the checks say so.
      if (!(problem instanceof Error)) throw problem;
    }
  }
  show();
}
worker();
void begin();
