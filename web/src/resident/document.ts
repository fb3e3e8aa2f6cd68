// A document as somebody types it: its fields, and what is wrong with a number before anybody is asked.

import { h } from "../look/dom.ts";
import { Failed, type Named } from "./api.ts";
import { field, Wrong } from "./press.ts";
import type { ResidentWords } from "./words.ts";

const TYPES = ["10", "20", "14", "15", "16", "34", "99"] as const;
type Type = (typeof TYPES)[number];

/** GB 11643: digit times weight, summed, modulo 11, picks the last character. */
const WEIGHTS = [7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2];
const CHECKS = "10X98765432";

/** As the city keys it: half-width, upper case, without white space. */
export const plainNumber = (typed: string): string =>
  typed
    .replace(/[\uff01-\uff5e]/g, (wide) => String.fromCharCode(wide.charCodeAt(0) - 0xfee0))
    .replace(/\s+/g, "")
    .replace(/[a-z]/g, (small) => small.toUpperCase());

/** Which rule a plain number breaks; undefined for one that may be right. */
export function fault(type: string, number: string): "form" | "check" | "born" | undefined {
  if (type === "99") return number.length >= 1 && number.length <= 64 ? undefined : "form";
  if (type !== "10") return /^[A-Z0-9]{5,20}$/.test(number) ? undefined : "form";
  if (!/^[0-9]{17}[0-9X]$/.test(number)) return "form";
  if (CHECKS[WEIGHTS.reduce((sum, weight, n) => sum + weight * Number(number[n]), 0) % 11] !== number[17]) return "check";
  const [, year, month, day] = /^.{6}(....)(..)(..)/.exec(number) as unknown as [string, string, string, string];
  const born = new Date(`${year}-${month}-${day}T00:00:00Z`);
  return born.getUTCDate() === Number(day) && Number(year) >= 1800 ? undefined : "born";
}

const rule = ({ number }: ResidentWords, type: string): { readonly hint: string; readonly wrong: string } => number[type === "10" || type === "99" ? type : "permit"];

/** Type, number and name. */
export function documentFields(words: ResidentWords): HTMLElement[] {
  const { bind, types } = words;
  const input = (name: string, given: Record<string, string | number>): HTMLInputElement => h("input", { id: name, name, autocomplete: "off", required: true, ...given });
  const type = h("select", { id: "type", name: "type" }, ...TYPES.map((one) => h("option", { value: one }, types[one])));
  const number = field("number", bind.number, rule(words, "10").hint, input("number", { maxlength: 64, autocapitalize: "characters", spellcheck: "false" }));
  type.addEventListener("change", () => ((number.querySelector("#number-hint") as Element).textContent = rule(words, type.value).hint));
  return [
    h("div", { class: "field" }, h("label", { for: "type" }, bind.type), type),
    number,
    field("name", bind.name, "", input("name", { maxlength: 120, autocomplete: "name" })),
  ];
}

/** What was typed. Throws Wrong where the number is none of its type. */
export function namedIn(form: HTMLFormElement, words: ResidentWords): Named {
  const given = new FormData(form);
  const text = (name: string): string => String(given.get(name) ?? "").trim();
  const named: Named = { id_type: text("type") as Type, id_number: plainNumber(text("number")), name: text("name") };
  const broken = fault(named.id_type, named.id_number);
  if (broken !== undefined) throw wrongNumber(words, named.id_type, broken);
  return named;
}

function wrongNumber(words: ResidentWords, type: string, broken: "form" | "check" | "born"): Wrong {
  return new Wrong("number", broken === "form" ? rule(words, type).wrong : words.number[broken]);
}

/** What the server says of a number is said beside it. Throws what was thrown, or Wrong for it. */
export function beside(problem: unknown, { id_type }: Named, words: ResidentWords): never {
  if (problem instanceof Failed && problem.code === "bad_id_number") throw wrongNumber(words, id_type, "form");
  throw problem;
}
