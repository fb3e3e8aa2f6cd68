// Elements, made in one expression. Text is always text: nothing here takes HTML.

export type Child = Node | string | undefined | false;
type Given = Record<string, string | number | boolean | ((event: Event) => void) | undefined>;

/** Elements that `h` gave a listener. */
export const heard = new WeakSet<Node>();

/** An element. Functions are listeners, true and false set or leave out, the rest are attributes. */
export function h<K extends keyof HTMLElementTagNameMap>(tag: K, given: Given = {}, ...children: readonly Child[]): HTMLElementTagNameMap[K] {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(given)) {
    if (typeof value === "function") {
      made.addEventListener(name, value);
      heard.add(made);
    } else if (value === true) made.setAttribute(name, "");
    else if (value !== undefined && value !== false) made.setAttribute(name, String(value));
  }
  made.append(...children.filter((child): child is Node | string => child !== undefined && child !== false));
  return made;
}

/** What an element holds from now on. */
export function put(place: Element, ...children: readonly Child[]): void {
  place.replaceChildren(...children.filter((child): child is Node | string => child !== undefined && child !== false));
}

/** The element of that id, which the page's frame has. */
export function part<T extends HTMLElement = HTMLElement>(id: string): T {
  const found = document.getElementById(id);
  if (found === null) throw new Error(id);
  return found as T;
}

/** One line of a description list. */
export const row = (name: string, ...value: readonly Child[]): HTMLElement => h("div", {}, h("dt", {}, name), h("dd", {}, ...value));

/** A fingerprint in groups of four. */
export const groups = (hex: string): HTMLElement[] => (hex.match(/.{4}/g) ?? []).map((group) => h("span", {}, group));

/** Writes the words into every element that names one: data-word="camera.start" is words.camera.start. */
export function worded(words: object): void {
  for (const element of document.querySelectorAll<HTMLElement>("[data-word]")) {
    const path = element.dataset["word"] ?? "";
    element.textContent = String(path.split(".").reduce<unknown>((at, name) => (at as Record<string, unknown>)[name], words));
  }
}
