// The view "scan": the camera, a door's code by hand, where I am, and what waits on this phone.

import { type Child, h, put } from "../look/dom.ts";
import { language } from "../look/language.ts";
import { type Shape, shape } from "../look/shapes.ts";
import { ago, clock, now, when } from "../look/when.ts";
import { Camera, type Trouble } from "../scan/camera.ts";
import { Reader } from "../scan/reader.ts";
import { inGroups, isNumber, minuteOf, type Scan, scanOf, STEP } from "../venue/code.ts";
import { DOOR } from "./door_words.ts";
import type { Entering, Outcome } from "./entering.ts";

const AGAIN = 4; // seconds in which the same text before the camera is the same scan

/** The view and its camera; `refresh` draws it anew. */
export class AtDoor {
  private readonly entering: () => Entering | undefined;
  private readonly zone: () => string | undefined;
  private camera: Camera | undefined;
  private reader: Reader | undefined;
  private trouble: Trouble | undefined;
  private outcome: Outcome | undefined;
  private foreign: "elsewhere" | "none" | undefined;
  private asked: Scan | undefined; // a scan that waits for a yes: it came by a link, or the phone is there already
  private seen = { text: "", at: 0 };
  private working = false;
  private place: HTMLElement | undefined;

  constructor(entering: () => Entering | undefined, zone: () => string | undefined) {
    this.entering = entering;
    this.zone = zone;
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
    [this.camera, this.outcome, this.foreign, this.trouble, this.place] = [undefined, undefined, undefined, undefined, undefined];
  }

  /** A text that came by a link: it is asked about, not acted on. */
  offered(text: string): boolean {
    const scan = scanOf(text, location.origin);
    if (scan === undefined || scan === "elsewhere") return false;
    this.asked = scan;
    return true;
  }

  /** What waited was handed in. */
  handedIn(last: Outcome | undefined): void {
    if (last !== undefined && this.outcome?.how === "kept") this.outcome = last;
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
    const start = async (): Promise<void> => {
      this.trouble = await this.camera?.start();
      const on = this.camera?.on === true;
      [off.hidden, aim.hidden, video.hidden] = [on, !on, !on];
      if (this.trouble !== undefined) put(off.firstElementChild as Element, say.camera[this.trouble]);
    };
    video.hidden = true;
    this.place = h("div", { class: "list", id: "door", "aria-live": "polite" });
    this.lay();
    return [h("div", { class: "intro" }, h("h1", {}, say.head), h("p", {}, say.line)), this.place, box, this.byHand(), h("p", { class: "means" }, say.privacy)];
  }

  private byHand(): HTMLElement {
    const say = this.words.hand;
    const digits = (id: string, label: string): HTMLElement =>
      h("div", { class: "field" }, h("label", { for: id }, label), h("input", { id, name: id, class: "digits", inputmode: "numeric", autocomplete: "off", maxlength: 9, pattern: "[0-9]{4}[ \u00a0]?[0-9]{4}", required: true }));
    const status = h("p", { class: "said", role: "status" });
    const form = h("form", { class: "inner" }, h("p", {}, say.line), digits("venue", say.venue), digits("digits", say.code), h("button", { type: "submit", class: "button wide" }, say.button), status);
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      const given = new FormData(form);
      const [venue, code] = ["venue", "digits"].map((name) => String(given.get(name) ?? "").replace(/\D/g, "")) as [string, string];
      if (!isNumber(venue)) return put(status, say.wrong);
      put(status);
      void this.scanned({ venue, minute: minuteOf(now()), code });
    });
    return h("details", { class: "card" }, h("summary", {}, h("h2", {}, say.head)), form);
  }

  private async read(text: string): Promise<void> {
    if (this.working || (text === this.seen.text && now() - this.seen.at < AGAIN)) {
      if (text === this.seen.text) this.seen.at = now();
      return;
    }
    this.seen = { text, at: now() };
    const scan = scanOf(text, location.origin);
    if (scan === undefined || scan === "elsewhere") {
      [this.foreign, this.outcome] = [scan === undefined ? "none" : "elsewhere", undefined];
      return this.lay();
    }
    await this.scanned(scan);
  }

  /** A door's code: in, or asked whether out when the phone is there already. */
  private async scanned(scan: Scan): Promise<void> {
    this.foreign = undefined;
    const here = this.entering()?.at(now());
    if (here !== undefined && here.entered.venue === scan.venue) {
      this.asked = scan;
      this.outcome = undefined;
      return this.lay();
    }
    await this.act(scan, "enter");
  }

  private async act(scan: Scan, what: "enter" | "leave"): Promise<void> {
    const entering = this.entering();
    if (entering === undefined || this.working) return;
    this.working = true;
    this.asked = undefined;
    this.lay();
    try {
      this.outcome = await entering[what](scan, now());
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
    const entering = this.entering();
    const here = entering?.at(now());
    const waiting = entering?.left;
    put(
      this.place,
      this.working && h("p", { class: "means" }, say.working),
      this.card(),
      this.question(),
      here !== undefined &&
        this.asked === undefined &&
        h(
          "section",
          { class: "card here" },
          h("h2", {}, say.here(here.place ?? `${say.hand.venue} ${inGroups(here.entered.venue)}`)),
          h("p", {}, say.since(this.time(here.entered.minute * STEP), here.until === undefined ? "" : this.time(here.until))),
          h("p", {}, say.leaving),
        ),
      waiting !== undefined && waiting.n > 0 && h("p", { class: "means" }, h("b", {}, say.waiting(waiting.n)), ` ${say.until(when(waiting.until, language(), this.zone()))}`),
    );
  }

  private question(): Child {
    const { asked } = this;
    if (asked === undefined) return undefined;
    const say = this.words;
    const here = this.entering()?.at(now());
    const there = here !== undefined && here.entered.venue === asked.venue;
    const old = now() - asked.minute * STEP;
    const drop = (): void => {
      this.asked = undefined;
      this.lay();
    };
    return h(
      "section",
      { class: "card" },
      h("h2", {}, there ? say.here(here.place ?? `${say.hand.venue} ${inGroups(asked.venue)}`) : `${say.hand.venue} ${inGroups(asked.venue)}`),
      h("p", {}, there ? say.ask.there : old > 180 ? say.ask.old(ago(old, language())) : say.ask.link),
      h("div", { class: "two" }, h("button", { type: "button", class: "button", id: "yes", click: () => void this.act(asked, there ? "leave" : "enter") }, there ? say.ask.leave : say.ask.enter), h("button", { type: "button", class: "quiet", click: drop }, there ? say.ask.stay : say.ask.no)),
    );
  }

  private card(): Child {
    const say = this.words;
    const { outcome } = this;
    const state = (named: Shape, head: string, ...lines: string[]): HTMLElement =>
      h("section", { class: `state ${named}`, id: "entered" }, h("div", {}, shape(named)), h("div", {}, h("h2", {}, head), ...lines.filter((one) => one !== "").map((one) => h("p", {}, one))));
    if (this.foreign !== undefined) return state("unknown", say.refused.head, say.refused[this.foreign === "elsewhere" ? "unknown_venue" : "none"] ?? "");
    if (outcome === undefined) return undefined;
    switch (outcome.how) {
      case "kept":
        return state("unknown", say.kept.head, outcome.left ? say.kept.left : say.kept.line);
      case "full":
        return state("unknown", say.refused.head, say.refused["full"] ?? "");
      case "refused":
        return state("unknown", say.refused.head, say.refused[outcome.code] ?? say.refused["other"] ?? "");
      default: {
        const { said } = outcome;
        const time = (iso: string): string => this.time(Math.floor(Date.parse(iso) / 1_000));
        if (said.result === null) {
          const when = outcome.how === "left" ? `${time(said.entered_at)} – ${time(said.left_at)}` : time(said.entered_at);
          return h("section", { class: "card", id: "entered" }, h("h2", {}, outcome.how === "left" ? say.left : say.late), h("p", {}, `${said.place} · ${when}`), h("p", {}, say.sealed));
        }
        const named = ({ pass: "green", wait: "yellow", unknown: "unknown" } as const)[said.result];
        return state(named, say.results[said.result], `${said.place} · ${time(said.entered_at)}`, said.result === "wait" ? say.exceptions : "", say.sealed);
      }
    }
  }
}
