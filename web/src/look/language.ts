// Chinese or English: what the reader chose, else what the browser says.

import { shelf } from "./shelf.ts";

export type Language = "zh" | "en";
const KEPT = "kangma language";

export function language(): Language {
  const kept = shelf.getItem(KEPT);
  if (kept === "zh" || kept === "en") return kept;
  return navigator.language.startsWith("zh") ? "zh" : "en";
}

/** The other one from now on, on every page. */
export function turnLanguage(): void {
  shelf.setItem(KEPT, language() === "zh" ? "en" : "zh");
}

/** The document says in which language it is, and the button offers the other one in that one's own word. */
export function sayLanguage(button: HTMLElement): void {
  const now = language();
  document.documentElement.lang = now === "zh" ? "zh-CN" : "en";
  button.textContent = now === "zh" ? "English" : "中文";
  button.lang = now === "zh" ? "en" : "zh-CN";
}
