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

/** Does the work once, and says what became of it in the line. */
async function once(press: HTMLElement, status: HTMLElement, work: () => Promise<string>, failed: (problem: unknown) => string): Promise<void> {
  if (rests(press)) return;
  rest(press, true);
  try {
    tell(status, await work());
  } catch (problem) {
    tell(status, failed(problem), true);
  } finally {
    rest(press, false);
  }
}

interface Form {
  readonly keep?: string;
  readonly class?: string;
  readonly button: string;
  readonly working: () => string; // while this device works something out for the door
  readonly failed: Saying;
  /** What is said below the button when it is done. Throws Wrong, Failed. */
  readonly work: (form: HTMLFormElement) => Promise<string>;
}

/** A form whose button rests while its work is on its way. */
export function form({ keep, class: kind = "card", button, working, failed, work }: Form, ...children: Child[]): HTMLFormElement {
  const press = h("button", { type: "submit", class: "button wide" }, button);
  const status = line();
  press.setAttribute("aria-describedby", status.id);
  const made = h("form", { class: kind, "data-keep": keep }, ...children, press, status);
  made.addEventListener("submit", (event) => {
    event.preventDefault();
    if (rests(press)) return;
    for (const field of made.querySelectorAll("[aria-invalid]")) right(made, field);
    tell(status, "…");
    const busy = (): void => tell(status, working());
    waiting.addEventListener("work", busy);
    void once(press, status, () => work(made), (problem) => {
      if (!(problem instanceof Wrong)) return failed(problem);
      wrong(made, problem);
      return "";
    }).finally(() => waiting.removeEventListener("work", busy));
  });
  made.addEventListener("input", ({ target }) => target instanceof Element && target.hasAttribute("aria-invalid") && right(made, target));
  return made;
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
  press.addEventListener("click", () => {
    const done = async (): Promise<string> => {
      await work();
      return "";
    };
    void once(press, status, done, failed);
  });
  return h("div", { class: "press", "data-keep": keep }, press, status);
}

/** Buttons that were pressed once, by their names; who turns to another view has let them go. */
export const half = new Set<string>();

/** A button that asks a second time before it does what cannot be undone. A double click is one press. */
export function twice(keep: string, text: string, sure: string, failed: Saying, work: () => Promise<void>): HTMLElement {
  const [press, status] = [h("button", { type: "button", class: "quiet" }, half.has(keep) ? sure : text), line()];
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
      try {
        await work();
      } finally {
        half.delete(keep);
        put(press, text);
      }
      return "";
    };
    void once(press, status, done, failed);
  });
  return h("div", { class: "press", "data-keep": keep }, press, status);
}
