// What is pressed: forms, buttons that do something once, buttons that ask a second time. Whatever is pressed while its work is
// on its way is not done again, and what became of it is said beside it.

import { type Child, h, put } from "../look/dom.ts";
import { waiting } from "./api.ts";

const TWICE = 500; // milliseconds after the first press in which a second one is the same hand's double click

/** What is wrong with a field: said beside it. */
export class Wrong extends Error {
  readonly field: string;

  constructor(field: string, text: string) {
    super(text);
    this.field = field;
  }
}

/** What failed, in words; throws what is not ours to say. */
export type Saying = (problem: unknown) => string;

/** A line below what was pressed. What went wrong is read out at once. */
function tell(line: HTMLElement, text: string, wrong = false): void {
  line.setAttribute("role", wrong ? "alert" : "status");
  put(line, text);
}

let lines = 0;
const line = (): HTMLElement => h("p", { class: "said", role: "status", id: `said-${(lines += 1)}` });

/** Resting, a button keeps the focus, which a disabled one would lose. */
const rest = (press: HTMLElement, rests: boolean): void => (rests ? press.setAttribute("aria-disabled", "true") : press.removeAttribute("aria-disabled"));
const rests = (press: HTMLElement): boolean => press.hasAttribute("aria-disabled");

/** What was pressed, and the line below it. */
interface Place {
  readonly press: HTMLElement;
  readonly status: HTMLElement;
  readonly after?: () => void; // when the work is done, well or not
}

/** What is on its way, by its name, and wherever it was laid since: a page in another language does not send it again. */
const underway = new Map<string, Place[]>();

/** Whether this is on its way already. */
function laid(name: string, place: Place): boolean {
  const places = underway.get(name);
  if (places === undefined) return false;
  places.push(place);
  rest(place.press, true);
  return true;
}

/** Does the work once, and says what became of it in the line. */
async function once(name: string, place: Place, work: () => Promise<string>, failed: (problem: unknown, at: Place) => string): Promise<void> {
  if (rests(place.press)) return;
  const places = [place];
  underway.set(name, places);
  rest(place.press, true);
  try {
    const told = await work();
    for (const at of places) tell(at.status, told);
  } catch (problem) {
    for (const at of places) tell(at.status, failed(problem, at), true);
  } finally {
    underway.delete(name);
    for (const at of places) {
      rest(at.press, false);
      at.after?.();
    }
  }
}

interface Form {
  readonly name: string; // of what it sends, whatever the language
  readonly alone?: boolean; // it lives by itself, and no fold around it does
  readonly class?: string;
  readonly button: string;
  readonly working: () => string; // while this device works something out for the door
  readonly failed: Saying;
  /** What is said below the button when it is done. Throws Wrong, Failed. */
  readonly work: (form: HTMLFormElement) => Promise<string>;
}

/** A form whose button rests while its work is on its way. */
export function form({ name, alone = false, class: kind = "card", button, working, failed, work }: Form, ...children: Child[]): HTMLFormElement {
  const press = h("button", { type: "submit", class: "button wide" }, button);
  const status = line();
  press.setAttribute("aria-describedby", status.id);
  const made = h("form", { class: kind, "data-keep": alone ? name : undefined }, ...children, press, status);
  const place: Place = { press, status };
  const busy = (): void => (underway.get(name) ?? []).forEach((at) => tell(at.status, working()));
  made.addEventListener("submit", (event) => {
    event.preventDefault();
    if (rests(press)) return;
    for (const field of made.querySelectorAll("[aria-invalid]")) right(made, field);
    tell(status, "…");
    waiting.addEventListener("work", busy);
    const notDone = (problem: unknown, at: Place): string => {
      if (!(problem instanceof Wrong)) return failed(problem);
      wrong(at.press.closest("form") as HTMLFormElement, problem);
      return "";
    };
    const sending = async (): Promise<string> => {
      const told = await work(made);
      for (const at of underway.get(name) ?? []) if (at !== place) emptied(at.press.closest("form") as HTMLFormElement);
      return told;
    };
    void once(name, place, sending, notDone).finally(() => waiting.removeEventListener("work", busy));
  });
  made.addEventListener("input", ({ target }) => target instanceof Element && target.hasAttribute("aria-invalid") && right(made, target));
  if (laid(name, place)) tell(status, "…");
  return made;
}

/** A form that was sent, as it was before. */
export function emptied(sent: HTMLFormElement): void {
  sent.reset();
  for (const one of sent.querySelectorAll("select")) one.dispatchEvent(new Event("change"));
  const fold = sent.closest("details");
  if (fold !== null) fold.open = false;
}

/** A field with its label, what helps to fill it in, and room for what is wrong with it. */
export function field(name: string, label: string, hint: string, input: HTMLInputElement): HTMLElement {
  input.setAttribute("aria-describedby", `${name}-hint ${name}-wrong`);
  return h("div", { class: "field" }, h("label", { for: name }, label), input, h("p", { class: "by", id: `${name}-hint` }, hint), h("p", { class: "wrong", id: `${name}-wrong`, role: "alert" }));
}

function wrong(form: HTMLFormElement, { field, message }: Wrong): void {
  const input = form.querySelector<HTMLInputElement>(`#${field}`);
  input?.setAttribute("aria-invalid", "true");
  put(form.querySelector(`#${field}-wrong`) as Element, message);
  input?.focus();
}

function right(form: HTMLFormElement, input: Element): void {
  input.removeAttribute("aria-invalid");
  put(form.querySelector(`#${input.id}-wrong`) as Element);
}

/** A button that does something once at a time; what went wrong stands below it. */
export function button(keep: string, kind: string, text: string, failed: Saying, work: () => Promise<void>): HTMLElement {
  const [press, status] = [h("button", { type: "button", class: kind }, text), line()];
  const place: Place = { press, status };
  press.addEventListener("click", () => {
    const done = async (): Promise<string> => {
      await work();
      return "";
    };
    void once(keep, place, done, failed);
  });
  laid(keep, place);
  return h("div", { class: "press", "data-keep": keep }, press, status);
}

/** Buttons that were pressed once, by their names; who turns to another view has let them go. */
export const half = new Set<string>();

/** A button that asks a second time before it does what cannot be undone. A double click is one press. */
export function twice(keep: string, text: string, sure: string, failed: Saying, work: () => Promise<void>): HTMLElement {
  const [press, status] = [h("button", { type: "button", class: "quiet" }, half.has(keep) ? sure : text), line()];
  const after = (): void => {
    half.delete(keep);
    put(press, text);
  };
  const place: Place = { press, status, after };
  press.addEventListener("click", () => {
    if (rests(press)) return;
    if (!half.has(keep)) {
      half.add(keep);
      put(press, sure);
      rest(press, true);
      setTimeout(() => rest(press, false), TWICE);
      return;
    }
    const done = async (): Promise<string> => {
      await work();
      return "";
    };
    void once(keep, place, done, failed);
  });
  laid(keep, place);
  return h("div", { class: "press", "data-keep": keep }, press, status);
}
