// The view "scan": the camera, a door's code by hand, where I am, and what waits on this phone.

import { type Child, h, put } from "../look/dom.ts";
import { language } from "../look/language.ts";
import { renew } from "../look/renew.ts";
import { type Shape, shape } from "../look/shapes.ts";
import { ago, clock, now, when } from "../look/when.ts";
import { Camera, type Trouble } from "../scan/camera.ts";
import { Reader } from "../scan/reader.ts";
import { inGroups, isNumber, minuteOf, type Scan, scanOf, STEP } from "../venue/code.ts";
import { DOOR } from "./door_words.ts";
import type { Entering, Here, Outcome, Outcomes } from "./entering.ts";
import type { Whose } from "./phone.ts";
import { form, type Saying, Wrong } from "./press.ts";

const AGAIN = 4; // seconds in which the same text before the camera is the same scan

/** Somebody in the care of this phone's owner. */
export interface Cared {
  readonly whose: Whose;
  readonly name: string;
}
const NOTHING: Outcomes = new Map();

/** The view and its camera; `lay` draws it anew. */
export class AtDoor {
  private readonly entering: () => Entering | undefined;
  private readonly zone: () => string | undefined;
  private readonly others: () => readonly Cared[];
  private readonly failed: Saying;
  private readonly apart = new Set<Whose>(); // whom the next scan is not for
  private readonly along = new Set<Whose>(); // and for whom else it is
  private camera: Camera | undefined;
  private reader: Reader | undefined;
  private trouble: Trouble | undefined;
  private outcomes = NOTHING;
  private foreign: "elsewhere" | "none" | undefined;
  private asked: Scan | undefined; // a scan that waits for a yes: it came by a link, or the phone is there already
  private seen = { text: "", at: 0 };
  private working = false;
  private place: HTMLElement | undefined;
  private off: (() => void) | undefined; // the camera's picture says that it is off

  constructor(entering: () => Entering | undefined, zone: () => string | undefined, others: () => readonly Cared[], failed: Saying) {
    this.entering = entering;
    this.zone = zone;
    this.others = others;
    this.failed = failed;
  }

  /** For whom the next scan is: the owner, unless left out, and who was chosen of those in their care. */
  private get chosen(): readonly Whose[] {
    const others = this.others().map(({ whose }) => whose);
    return [...(this.apart.has("") && others.length > 0 ? [] : ([""] as const)), ...others.filter((whose) => this.along.has(whose))];
  }

  /** How they are called; "" for the owner alone. */
  private names(whose: readonly Whose[]): string {
    if (whose.length === 1 && whose[0] === "") return "";
    return whose.map((one) => (one === "" ? this.words.with.me : (this.others().find((other) => other.whose === one)?.name ?? ""))).join(this.words.and);
  }

  /** 16:20, and the day too when it is another one. */
  private time(seconds: number): string {
    const today = Math.abs(seconds - now()) < 12 * 3_600;
    return today ? clock(seconds, language(), this.zone()).slice(0, 5) : when(seconds, language(), this.zone());
  }

  private get words() {
    return DOOR[language()];
  }

  /** The camera is let go, and what was said is forgotten. */
  stop(): void {
    this.camera?.stop();
    [this.camera, this.foreign, this.trouble, this.place, this.off] = [undefined, undefined, undefined, undefined, undefined];
    this.outcomes = NOTHING;
  }

  /** The camera alone is let go: nobody looks at the page. */
  rest(): void {
    this.camera?.stop();
    this.off?.();
  }

  /** A text that came by a link: it is asked about, not acted on. */
  offered(text: string): boolean {
    const scan = scanOf(text, location.origin);
    if (scan === undefined || scan === "elsewhere") return false;
    this.asked = scan;
    return true;
  }

  /** What waited was handed in. */
  handedIn(last: Outcomes | undefined): void {
    this.outcomes = new Map([...this.outcomes].map(([whose, outcome]) => [whose, outcome.how === "kept" ? (last?.get(whose) ?? outcome) : outcome]));
    this.lay();
  }

  view(): Child[] {
    const say = this.words;
    const video = h("video", { playsinline: true, muted: true, "aria-hidden": "true" });
    this.camera?.stop();
    this.camera = new Camera(video, (this.reader ??= new Reader()), (text) => void this.read(text));
    const off = h("div", { class: "off" }, h("p", { role: "status" }, this.trouble === undefined ? say.camera.off : say.camera[this.trouble]), h("button", { type: "button", class: "button", click: () => void start() }, say.camera.start));
    const aim = h("i", { class: "aim", "aria-hidden": "true", hidden: true });
    const box = h("section", { class: "camera", "aria-label": say.camera.start }, video, aim, off);
    const look = (): void => {
      const on = this.camera?.on === true;
      [off.hidden, aim.hidden, video.hidden] = [on, !on, !on];
    };
    this.off = look;
    const start = async (): Promise<void> => {
      this.trouble = await this.camera?.start();
      look();
      if (this.trouble !== undefined) put(off.firstElementChild as Element, say.camera[this.trouble]);
    };
    video.hidden = true;
    this.place = h("div", { class: "list", id: "door", "aria-live": "polite", "data-keep": "door" });
    this.lay();
    return [h("div", { class: "intro" }, h("h1", {}, say.head), h("p", {}, say.line)), this.place, box, this.byHand(), h("p", { class: "means" }, say.privacy)];
  }

  private byHand(): HTMLElement {
    const say = this.words.hand;
    const digits = (id: string, label: string): HTMLElement =>
      h("div", { class: "field" }, h("label", { for: id }, label), h("input", { id, name: id, class: "digits eight", inputmode: "numeric", autocomplete: "off", maxlength: 9, pattern: "[0-9]{4}[ \u00a0]?[0-9]{4}", required: true, "aria-describedby": `${id}-wrong` }), h("p", { class: "wrong", id: `${id}-wrong`, role: "alert" }));
    const work = async (typed: HTMLFormElement): Promise<string> => {
      const given = new FormData(typed);
      const [venue, code] = ["venue", "digits"].map((name) => String(given.get(name) ?? "").replace(/\D/g, "")) as [string, string];
      if (!isNumber(venue)) throw new Wrong("venue", say.wrong);
      await this.scanned({ venue, minute: minuteOf(now()), code });
      this.place?.scrollIntoView({ block: "center" }); // what is said stands above
      return "";
    };
    const given = { name: "send by hand", class: "inner", button: say.button, working: () => this.words.working, failed: this.failed, work };
    return h("details", { class: "card", "data-keep": "by hand" }, h("summary", {}, h("h2", {}, say.head)), form(given, h("p", {}, say.line), digits("venue", say.venue), digits("digits", say.code)));
  }

  private async read(text: string): Promise<void> {
    if (this.working || (text === this.seen.text && now() - this.seen.at < AGAIN)) {
      if (text === this.seen.text) this.seen.at = now();
      return;
    }
    this.seen = { text, at: now() };
    const scan = scanOf(text, location.origin);
    if (scan === undefined || scan === "elsewhere") {
      [this.foreign, this.outcomes] = [scan === undefined ? "none" : "elsewhere", NOTHING];
      return this.lay();
    }
    await this.scanned(scan);
  }

  /** A door's code: in, or asked whether out when the phone is there already. */
  private async scanned(scan: Scan): Promise<void> {
    this.foreign = undefined;
    const chosen = this.chosen;
    const there = this.there(scan);
    if (chosen.length === 0 || there.length === chosen.length) {
      this.asked = scan;
      this.outcomes = NOTHING;
      return this.lay();
    }
    await this.act(scan, "enter");
  }

  /** Who of those whom the scan is for is at this door already. */
  private there(scan: Scan): readonly Whose[] {
    return this.chosen.filter((whose) => this.entering()?.at(whose, now())?.entered.venue === scan.venue);
  }

  private async act(scan: Scan, what: "enter" | "leave"): Promise<void> {
    const entering = this.entering();
    if (entering === undefined || this.working) return;
    const there = this.there(scan);
    const whose = what === "leave" ? there : this.chosen.filter((one) => !there.includes(one));
    this.working = true;
    this.asked = undefined;
    this.lay();
    try {
      this.outcomes = await entering[what](whose, scan, now());
    } finally {
      this.working = false;
    }
    if ("vibrate" in navigator) navigator.vibrate(40);
    this.lay();
  }

  /** What stands above the camera; drawn anew whenever something became of a scan. */
  lay(): void {
    if (this.place === undefined) return;
    const say = this.words;
    const waiting = this.entering()?.left;
    renew(
      this.place,
      this.working && h("p", { class: "means" }, say.working),
      this.foreign !== undefined && this.state("unknown", say.refused.head, say.refused[this.foreign === "elsewhere" ? "unknown_venue" : "none"] ?? ""),
      ...[...this.outcomes].map(([whose, outcome]) => this.card(outcome, this.outcomes.size > 1 || whose !== "" ? this.names([whose]) || say.with.me : "")),
      this.question(),
      ...(this.asked === undefined ? this.places() : []),
      this.choice(),
      waiting !== undefined && waiting.n > 0 && h("p", { class: "means" }, h("b", {}, say.waiting(waiting.n)), ` ${say.until(when(waiting.until, language(), this.zone()))}`),
    );
  }

  /** For whom the next scan is, where there is anybody in the owner's care. */
  private choice(): Child {
    const say = this.words.with;
    const others = this.others();
    if (others.length === 0) return undefined;
    const chosen = this.chosen;
    const box = (whose: Whose, name: string): HTMLElement => {
      const turn = (): void => {
        const [set, has] = whose === "" ? [this.apart, !input.checked] : [this.along, input.checked];
        if (has) set.add(whose);
        else set.delete(whose);
        this.lay(); // what is asked may be another question now
        document.getElementById(`pick${whose}`)?.focus();
      };
      const input = h("input", { type: "checkbox", id: `pick${whose}`, checked: chosen.includes(whose), change: turn });
      return h("label", { class: "pick" }, input, h("span", {}, name));
    };
    const none = chosen.length === 0 && h("p", { class: "said", role: "status" }, say.nobody);
    return h("fieldset", { class: "card" }, h("legend", {}, say.head), h("div", { class: "picks" }, box("", say.me), ...others.map(({ whose, name }) => box(whose, name))), none);
  }

  /** Where the owner and those in their care are, those at one door together. */
  private places(): HTMLElement[] {
    const say = this.words;
    const at = new Map<string, { here: Here; whose: Whose[] }>();
    for (const whose of ["", ...this.others().map((other) => other.whose)] as Whose[]) {
      const here = this.entering()?.at(whose, now());
      if (here === undefined) continue;
      const key = `${here.entered.venue} ${here.entered.minute}`;
      at.set(key, { here: at.get(key)?.here ?? here, whose: [...(at.get(key)?.whose ?? []), whose] });
    }
    return [...at.values()].map(({ here, whose }) =>
      h(
        "section",
        { class: "card here" },
        h("h2", {}, say.here(this.placeOf(here), this.names(whose))),
        h("p", {}, say.since(this.time(here.entered.minute * STEP), here.until === undefined ? "" : this.time(here.until))),
        h("p", {}, say.leaving),
      ),
    );
  }

  private placeOf(here: Here): string {
    return here.place ?? `${this.words.hand.venue} ${inGroups(here.entered.venue)}`;
  }

  private question(): Child {
    const { asked } = this;
    if (asked === undefined) return undefined;
    const say = this.words;
    const whose = this.there(asked);
    const here = whose[0] === undefined ? undefined : this.entering()?.at(whose[0], now());
    const leaves = here !== undefined && whose.length === this.chosen.length;
    const old = now() - asked.minute * STEP;
    const drop = (): void => {
      this.asked = undefined;
      this.lay();
    };
    return h(
      "section",
      { class: "card" },
      h("h2", {}, leaves ? say.here(this.placeOf(here), this.names(whose)) : `${say.hand.venue} ${inGroups(asked.venue)}`),
      h("p", {}, leaves ? say.ask.there : old > 180 ? say.ask.old(ago(old, language())) : say.ask.link),
      h("div", { class: "two" }, h("button", { type: "button", class: "button", id: "yes", click: () => void this.scannedYes() }, leaves ? say.ask.leave : say.ask.enter), h("button", { type: "button", class: "quiet", click: drop }, leaves ? say.ask.stay : say.ask.no)),
    );
  }

  /** Yes, of those who are chosen by now. */
  private async scannedYes(): Promise<void> {
    const scan = this.asked;
    if (scan === undefined) return;
    const there = this.there(scan);
    if (this.chosen.length > 0) await this.act(scan, there.length === this.chosen.length ? "leave" : "enter");
  }

  private state(named: Shape, head: string, ...lines: string[]): HTMLElement {
    return h("section", { class: `state ${named} entered` }, h("div", {}, shape(named)), h("div", {}, h("h2", {}, head), ...lines.filter((one) => one !== "").map((one) => h("p", {}, one))));
  }

  private card(outcome: Outcome, name: string): HTMLElement {
    const say = this.words;
    switch (outcome.how) {
      case "kept":
        return this.state("unknown", say.kept.head, name, outcome.left ? say.kept.left : say.kept.line);
      case "full":
        return this.state("unknown", say.refused.head, name, say.refused["full"] ?? "");
      case "refused":
        return this.state("unknown", say.refused.head, name, say.refused[outcome.code] ?? say.refused["other"] ?? "");
      default: {
        const { said } = outcome;
        const time = (iso: string): string => this.time(Math.floor(Date.parse(iso) / 1_000));
        if (said.result === null) {
          const when = outcome.how === "left" ? `${time(said.entered_at)} – ${time(said.left_at)}` : time(said.entered_at);
          return h("section", { class: "card entered" }, h("h2", {}, outcome.how === "left" ? say.left : say.late), name !== "" && h("p", {}, name), h("p", {}, `${said.place} · ${when}`), h("p", {}, say.sealed));
        }
        const named = ({ pass: "green", wait: "yellow", unknown: "unknown" } as const)[said.result];
        return this.state(named, say.results[said.result], name, `${said.place} · ${time(said.entered_at)}`, said.result === "wait" ? say.exceptions : "", say.sealed);
      }
    }
  }
}
