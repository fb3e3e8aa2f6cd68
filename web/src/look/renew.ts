// Drawing anew without taking anything out of somebody's hands: what is typed, the focus and its caret, what is unfolded, a
// button that was pressed once. Elements that say the same stay as they are, with whatever is going on in them.

import { type Child, heard } from "./dom.ts";

// `data-keep` names an element that lives by itself: a form, a fold, a button that asks twice, the clock. While the new view
// has one of that name, the old one stays whole. Names are unique on a page, and say everything that the element's
// listeners hold: another binding is another form. Who adds a listener without `h` names the element.

/** What an element holds from now on; what of it is there already is not touched. */
export function renew(place: Element, ...children: readonly Child[]): void {
  const focus = document.activeElement;
  const wanted = nodes(children);
  const kept: Kept = { there: new Map(keptIn(place).map((one) => [keyOf(one), one])), wanted: new Set(wanted.flatMap((node) => keptIn(node)).map(keyOf)) };
  level(place, wanted, kept);
  if (!(focus instanceof HTMLElement) || document.activeElement === focus || !(place.contains(focus) || !focus.isConnected)) return;
  const now = focus.isConnected ? focus : focus.id === "" ? null : document.getElementById(focus.id);
  now?.focus({ preventScroll: true });
}

const nodes = (children: readonly Child[]): Node[] =>
  children.filter((child): child is Node | string => child !== undefined && child !== false).map((child) => (typeof child === "string" ? document.createTextNode(child) : child));

/** What is kept by its name: elements that are there, and names that the new view has. */
interface Kept {
  readonly there: ReadonlyMap<string, HTMLElement>;
  readonly wanted: ReadonlySet<string>;
}

const keepOf = (node: Node): string | undefined => (node instanceof HTMLElement ? node.dataset["keep"] : undefined);
const keyOf = (one: HTMLElement): string => one.dataset["keep"] as string;
const within = (node: Element): HTMLElement[] => [...node.querySelectorAll<HTMLElement>("[data-keep]")];
const keptIn = (node: Node): HTMLElement[] => (node instanceof HTMLElement ? [...(keepOf(node) === undefined ? [] : [node]), ...within(node)] : []);

function level(place: Element, wanted: readonly Node[], kept: Kept): void {
  const before = [...place.childNodes];
  const used = new Set<Node>();
  const laid = wanted.map((node) => {
    const key = keepOf(node);
    const found = key === undefined ? before.find((old) => !used.has(old) && old.parentNode === place && twins(old, node, kept)) : kept.there.get(key);
    if (found === undefined) return adopting(node, kept);
    used.add(found);
    if (key === undefined) same(found, node, kept);
    return found;
  });
  for (const old of before) if (!used.has(old) && old.parentNode === place) old.remove();
  // What stands right is not moved: moving takes the focus.
  let at = place.firstChild;
  for (const node of laid) {
    if (node === at) at = at.nextSibling;
    else place.insertBefore(node, at);
  }
}

/** Whether the old node can become the new one. */
function twins(old: Node, node: Node, kept: Kept): boolean {
  if (old.nodeName !== node.nodeName || keepOf(old) !== undefined) return false;
  if (!(old instanceof Element && node instanceof Element)) return true;
  if (old.id !== node.id) return false;
  // Listeners cannot be moved from one to the other.
  if (heard.has(old) || heard.has(node)) return old.isEqualNode(node);
  // What is kept stays where it is: the card whose form somebody fills in becomes no other card.
  const [has, wants] = [within(old).map(keyOf), within(node).map(keyOf)];
  return wants.every((key) => has.includes(key) || !kept.there.has(key)) && has.every((key) => wants.includes(key) || !kept.wanted.has(key));
}

function same(old: Node, node: Node, kept: Kept): void {
  if (!(old instanceof Element && node instanceof Element)) {
    if (old.nodeValue !== node.nodeValue) old.nodeValue = node.nodeValue;
    return;
  }
  if (old.isEqualNode(node)) return;
  for (const { name } of [...old.attributes]) if (!node.hasAttribute(name) && !(name === "open" && old.nodeName === "DETAILS")) old.removeAttribute(name);
  for (const { name, value } of node.attributes) if (old.getAttribute(name) !== value) old.setAttribute(name, value);
  level(old, [...node.childNodes], kept);
}

/** A new element, with what is kept in the place of its new ones. */
function adopting(node: Node, kept: Kept): Node {
  for (const one of node instanceof Element ? within(node) : []) {
    const there = kept.there.get(keyOf(one));
    if (there !== undefined) one.replaceWith(there);
  }
  return node;
}

// What is typed and unfolded, where a view has to be made from nothing: in another language, or after another view.

/** What somebody typed, by its fold or form and its field; and which folds are open. It never leaves the page's memory. */
export interface Draft {
  readonly typed: ReadonlyMap<string, string>;
  readonly open: readonly string[];
}

type Field = HTMLInputElement | HTMLSelectElement | HTMLTextAreaElement;
const fieldsOf = (place: Element): Field[] => [...place.querySelectorAll<Field>("input[id]:not([type=checkbox]), select[id], textarea[id]")];
const homeOf = (field: Element): string => field.closest<HTMLElement>("[data-keep]")?.dataset["keep"] ?? "";
const first = (field: Field): string => (field instanceof HTMLSelectElement ? (field.options[0]?.value ?? "") : field.defaultValue);

export function draftOf(place: Element): Draft {
  const typed = fieldsOf(place).filter((field) => field.value !== first(field));
  const open = [...place.querySelectorAll<HTMLElement>("details[open][data-keep]")];
  return {
    typed: new Map(typed.map((field) => [`${homeOf(field)}\n${field.id}`, field.value])),
    open: open.map((one) => one.dataset["keep"] as string),
  };
}

/** Takes up a draft: what was typed, in the folds where it was typed; with `unfolded`, whatever else was open too. */
export function takeUp(place: Element, { typed, open }: Draft, unfolded: boolean): void {
  const homes = new Set([...typed.keys()].map((key) => key.split("\n")[0]));
  for (const fold of place.querySelectorAll<HTMLDetailsElement>("details[data-keep]")) {
    const key = fold.dataset["keep"] as string;
    if (!open.includes(key) || !(unfolded || homes.has(key))) continue;
    for (let up: HTMLDetailsElement | null | undefined = fold; up != null; up = up.parentElement?.closest("details")) up.open = true;
    filling.get(fold)?.();
  }
  for (const field of fieldsOf(place)) {
    const value = typed.get(`${homeOf(field)}\n${field.id}`);
    if (value === undefined) continue;
    field.value = value;
    field.dispatchEvent(new Event("change"));
  }
}

const filling = new WeakMap<HTMLDetailsElement, () => void>();

/** The content of this fold is made when it is opened first, and stays. */
export function filled(fold: HTMLDetailsElement, content: () => readonly Child[]): HTMLDetailsElement {
  let made = false;
  const fill = (): void => {
    if (made) return;
    made = true;
    fold.append(...nodes(content()));
  };
  filling.set(fold, fill);
  fold.addEventListener("toggle", () => fold.open && fill());
  return fold;
}
