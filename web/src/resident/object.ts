// An appeal against a hold: its form, and what became of it.

import { type Child, h } from "../look/dom.ts";
import { language } from "../look/language.ts";
import { filled } from "../look/renew.ts";
import { now, when } from "../look/when.ts";
import { type Appeal, Failed, type Given, type Hold } from "./api.ts";
import { OBJECT } from "./door_words.ts";
import type { Phone } from "./phone.ts";
import { emptied, form, type Saying, twice } from "./press.ts";

type Why = Given<"POST /v1/me/appeals">["sent"]["why"];
const WHYS: readonly Why[] = ["not_me", "not_there", "wrong_result", "done", "wrong_place", "other"];
/** The kind of evidence that a reason speaks of. */
const KINDS: Record<string, string> = { wrong_result: "tests", not_there: "visits", done: "tests", wrong_place: "area_stays" };

const at = (iso: string): number => Math.floor(Date.parse(iso) / 1_000);
const words = () => OBJECT[language()];

/** The appeals of this phone's resident, as they were told last. */
export class Objections {
  private readonly phone: Phone;
  private readonly zone: () => string | undefined;
  private readonly failed: Saying;
  private readonly working: () => string;
  private readonly changed: () => void;
  known: readonly Appeal[] = [];

  constructor(phone: Phone, zone: () => string | undefined, failed: Saying, working: () => string, changed: () => void) {
    this.phone = phone;
    this.zone = zone;
    this.failed = failed;
    this.working = working;
    this.changed = changed;
  }

  /** Asks what became of them. Throws Failed. */
  async refresh(): Promise<void> {
    const before = JSON.stringify(this.known);
    this.known = (await this.phone.mine("GET /v1/me/appeals", {})).appeals;
    if (JSON.stringify(this.known) !== before) this.changed();
  }

  get open(): boolean {
    return this.known.some(({ state }) => state === "open" || state === "proposed");
  }

  /** Below a hold: the newest appeal against it, or the form for one. */
  below(hold: Hold): Child {
    const mine = this.known.find((one) => one.rule === hold.rule && at(one.since) === at(hold.since) && one.state !== "withdrawn");
    const closed = mine !== undefined && mine.state !== "open" && mine.state !== "proposed";
    return h("div", { class: "objection" }, mine !== undefined && this.told(mine), (mine === undefined || closed) && this.form(hold));
  }

  private form(hold: Hold): HTMLElement {
    const say = words();
    const name = `${hold.rule}-${at(hold.since)}`;
    const id = (field: string): string => `${field}-${name}`;
    const made = h("details", { "data-keep": `object ${name}` }, h("summary", { class: "object" }, say.head));
    const failed = (problem: unknown): string => (problem instanceof Failed && say.refused[problem.code]) || this.failed(problem);
    const work = async (given: HTMLFormElement): Promise<string> => {
      await this.file(hold, new FormData(given));
      emptied(given);
      await this.refresh(); // the page is drawn anew
      return "";
    };
    return filled(made, () => [
      form(
        { name: `send ${name}`, class: "inner", button: say.send, working: this.working, failed, work },
        h("p", {}, say.line),
        h("div", { class: "field" }, h("label", { for: id("why") }, say.why), h("select", { id: id("why"), name: "why" }, ...WHYS.map((why) => h("option", { value: why }, say.whys[why] ?? why)))),
        h("div", { class: "field" }, h("label", { for: id("what") }, say.what), h("input", { id: id("what"), name: "what", maxlength: 64, autocomplete: "off" })),
        h("div", { class: "field" }, h("label", { for: id("text") }, say.text), h("textarea", { id: id("text"), name: "text", rows: 4, maxlength: 500, "aria-describedby": id("hint") }), h("p", { class: "by", id: id("hint") }, say.hint)),
      ),
    ]);
  }

  private async file(hold: Hold, given: FormData): Promise<void> {
    const text = (name: string): string => String(given.get(name) ?? "").replace(/\s+/g, " ").trim();
    const [why, what] = [text("why") as Why, text("what")];
    const evidence = what === "" ? {} : { evidence: { kind: KINDS[why] ?? "other", what } };
    await this.phone.mine("POST /v1/me/appeals", { sent: { rule: hold.rule, since: hold.since, why, text: text("text"), ...evidence } });
  }

  /** What became of one. */
  told(one: Appeal): HTMLElement {
    const say = words();
    const time = (iso: string): string => when(at(iso), language(), this.zone());
    const waits = one.state === "open" || one.state === "proposed";
    const late = one.late || (waits && now() > at(one.answer_by));
    const end = (): HTMLElement =>
      twice(`withdraw ${one.appeal}`, say.withdraw, say.sure, this.failed, async () => {
        await this.phone.mine("DELETE /v1/me/appeals/{appeal}", { at: { appeal: one.appeal } });
        await this.refresh();
        const after = this.known.find(({ appeal }) => appeal === one.appeal);
        if (made.isConnected && after !== undefined) made.replaceWith(this.told(after)); // in the list of all of them
      });
    const made: HTMLElement = h(
      "section",
      { class: "appeal" },
      h("h3", {}, `${say.mine} · ${say.states[one.state] ?? one.state}`),
      h("p", {}, say.whys[one.why] ?? one.why, one.text !== null && one.text !== "" && `${language() === "zh" ? "：" : ": "}${one.text}`),
      waits && h("p", {}, say.machine[one.machine] ?? ""),
      waits && h("p", {}, h("b", {}, late ? say.overdue : say.by(time(one.answer_by)))),
      one.answer !== null && h("p", {}, h("b", {}, `${say.answer}${language() === "zh" ? "：" : ": "}`), one.answer),
      one.follows !== null && h("p", {}, say.follows[one.follows] ?? ""),
      h("details", {}, h("summary", {}, say.steps), h("ol", { class: "steps" }, ...one.steps.map((step) => h("li", {}, `${time(step.at)} · ${say.who[step.who] ?? step.who} ${say.did[step.what] ?? step.what}`)))),
      waits && end(),
    );
    return made;
  }
}
