// What a state looks like: one glance; then what it means, why, the way out, when it ends, how to object.

import { type Child, h, row } from "../look/dom.ts";
import { language } from "../look/language.ts";
import { shape } from "../look/shapes.ts";
import { ago, dayOf, now, when } from "../look/when.ts";
import type { Code, Hold, Leg, Words } from "./api.ts";
import type { Told } from "./phone.ts";
import { type Named, RESIDENT } from "./words.ts";

const OLD = 3_600; // seconds after which a state is only the last one known
const YOUNG = 150; // seconds in which nothing is said about its age but that it is new

const words = () => RESIDENT[language()];
const at = (iso: string): number => Math.floor(Date.parse(iso) / 1_000);

/** The city's zone as its times are written: "+08:00" is all that an answer says, and all that is needed. */
export function zoneOf(code: Code | undefined): string | undefined {
  return /([+-][0-9]{2}:[0-9]{2})$/.exec(code?.as_of ?? "")?.[1];
}

/** The name of what is shown: a notice stands beside green and has a shape of its own. */
export function named(code: Code): Named {
  if (code.colour !== "green") return code.colour;
  return code.notices.some((notice) => notice.kind === "popup") ? "notice" : "green";
}

/** Whether the state may have changed since it was told. */
function isLast({ code, at: told }: Told, moment: number): boolean {
  return moment - told > OLD || (code.next_change_at !== null && at(code.next_change_at) <= moment);
}

/** The card of the state, and whether it is offline below it. */
export function stateCard(told: Told, moment: number): HTMLElement {
  const { code } = told;
  const name = named(code);
  const last = isLast(told, moment);
  const { head, line } = words().states[name];
  const end = lastOf(code);
  const counted = end === undefined ? "" : `${dayIn(end, moment)} · ${words().ends(dayOf(at(end.until), language(), zoneOf(code)))}`;
  return h(
    "section",
    { class: `state ${name}${last ? " stale" : ""}`, id: "state" },
    h("div", {}, shape(name)),
    h("div", {}, h("h1", {}, last ? words().last(head) : head), h("p", {}, line), counted !== "" && h("p", { id: "ends" }, counted)),
  );
}

/** How old the state is, in words. */
export function ageLine(told: Told, moment: number): string {
  const age = Math.max(0, moment - told.at);
  const since = ago(age, language());
  if (age < YOUNG) return words().updated;
  return words().offline(since) + (isLast(told, moment) ? (language() === "zh" ? "。" : ". ") + words().changed : "");
}

type Ending = Hold & { readonly until: string };

/** The hold that ends last of those that make the colour: with it the state ends. None while one of them has no end. */
function lastOf(code: Code): Ending | undefined {
  const making = code.holds.filter((one) => one.outcome === code.colour);
  if (making.some(({ until }) => until === null)) return undefined;
  return (making as readonly Ending[]).reduce<Ending | undefined>((last, one) => (last === undefined || at(one.until) > at(last.until) ? one : last), undefined);
}

/** Day 3 of 14, by the days of the city's calendar that it touches. */
function dayIn(hold: Ending, moment: number): string {
  const [first, last, today] = [at(hold.since), at(hold.until) - 1, moment].map((one) => Math.floor((one + offsetOf(hold.since)) / 86_400)) as [number, number, number];
  const of = Math.max(1, last - first + 1);
  return words().day(Math.min(of, Math.max(1, today - first + 1)), of);
}

/** Seconds by which the zone of a time that says it is ahead of UTC. */
function offsetOf(iso: string): number {
  const [, sign, hours, minutes] = /([+-])([0-9]{2}):([0-9]{2})$/.exec(iso) ?? ["", "+", "0", "0"];
  return (sign === "-" ? -1 : 1) * (3_600 * Number(hours) + 60 * Number(minutes));
}

/** Test and vaccination, beside the code and never colouring it. */
export function facts({ nat, vaccination }: Code): HTMLElement {
  const { facts: names, nat: said, results, vaccination: states } = words();
  // Of a tube that was positive nobody in it is: said in full, with the way out, and not as a result of theirs.
  const tube = nat?.pooled === true && nat.result === "positive";
  const test = nat === null ? names.none : tube ? words().tube.head : said(results[nat.result] ?? nat.result, nat.days);
  const tested = row(names.nat, test, tube && h("small", {}, words().tube.line));
  if (tube) tested.className = "whole";
  return h("dl", { class: "facts" }, tested, row(names.vaccination, states[vaccination]));
}

/** What it means for me, what comes next, every hold; last, for who checks it, how it was decided. */
export function holds(code: Code, zone: string | undefined, object: (hold: Hold) => Child): HTMLElement[] {
  const parts: HTMLElement[] = [h("p", { class: "means" }, words().means[named(code)])];
  const legs = wayOf(code);
  if (legs.length > 0) parts.push(h("section", { class: "card way" }, h("h2", {}, words().way), ...legs.map(legOf)));
  parts.push(...code.holds.map((hold) => holdCard(hold, zone, object(hold))));
  if ((code.more_holds ?? 0) > 0) parts.push(h("p", { class: "means" }, words().more(code.more_holds ?? 0)));
  if (code.holds.length > 0) parts.push(decided(code));
  return parts;
}

/** The legs of the way out; an answer that a phone kept from before there were any has none. */
const wayOf = (code: Partial<Code>): readonly Leg[] => code.way ?? [];

/** One leg: what is reached and when, then a line a step; what does as well stands below it. */
function legOf(leg: Leg): HTMLElement {
  const others = (or: readonly Words[]): HTMLElement[] => or.map((one) => h("p", { class: "or" }, h("b", {}, words().or), ` ${one[language()]}`));
  const steps = leg.steps.map((step) => h("li", {}, step[language()], ...others(step.or)));
  return h("div", { class: "leg" }, h("h3", {}, leg[language()]), h("ul", {}, ...steps), ...others(leg.or));
}

function holdCard(hold: Hold, zone: string | undefined, object: Child): HTMLElement {
  const said = words().hold;
  const text = (one: Words): string => one[language()];
  const clears = hold.clears.map((one) => h("li", {}, text(one)));
  return h(
    "article",
    { class: `card hold ${hold.outcome}` },
    h("h2", {}, text(hold.reason)),
    h("p", { class: "by" }, text(hold.authority_name)),
    h("h3", {}, said.way),
    h("p", {}, text(hold.way_out)),
    testDays(hold),
    track(hold, zone),
    clears.length > 0 && h("details", {}, h("summary", {}, said.clears), h("ul", {}, ...clears)),
    object,
  );
}

/** The days of the schedule, by their dates; an answer kept from before has only their numbers, which nobody can count from. */
function testDays(hold: Partial<Pick<Hold, "test_dates">>): Child {
  const dates = (hold.test_dates ?? []).map((date) => dayOf(at(`${date}T12:00:00Z`), language(), "UTC"));
  return dates.length > 0 && h("p", {}, h("b", {}, words().hold.tests), ` ${dates.join(language() === "zh" ? "、" : ", ")}`);
}

/** Rules, policy and digest: nothing to read for who wants to get home, and everything for who checks it. */
function decided(code: Code): HTMLElement {
  const { head, policy, digest } = words().decided;
  const rules = new Map(code.holds.map((hold) => [hold.rule, hold.reason[language()]]));
  return h(
    "details",
    { class: "card decided" },
    h("summary", {}, head),
    h("ul", {}, ...[...rules].map(([rule, reason]) => h("li", {}, `${reason} `, h("code", {}, rule)))),
    h("p", {}, `${policy} ${code.policy.id} · ${code.policy.version}`),
    h("p", {}, `${digest} `, h("code", {}, code.policy.digest)),
  );
}

/** From when until when, and how far it is. */
function track(hold: Hold, zone: string | undefined): Child {
  const said = words().hold;
  const since = at(hold.since);
  if (hold.until === null) {
    return h("p", {}, said.open + (hold.cap === null ? "" : said.latest(when(at(hold.cap), language(), zone))));
  }
  const until = at(hold.until);
  const done = Math.min(1, Math.max(0.02, (now() - since) / (until - since)));
  const bar = h("progress", { max: 1, value: done, "aria-label": said.ends });
  return h(
    "div",
    { class: "track" },
    bar,
    h("p", { class: "ends" }, h("span", {}, said.since(dayOf(since, language(), zone))), h("span", {}, `${said.ends} `, h("b", {}, when(until, language(), zone)))),
    hold.capped && h("p", {}, said.capped),
  );
}
