// Moments and days for people: with the weekday, in the city's zone, as the language writes them.

import type { Language } from "./language.ts";

const LOCALE: Record<Language, string> = { zh: "zh-CN", en: "en-GB" };

export const now = (): number => Math.floor(Date.now() / 1_000);

function written(date: Date, language: Language, zone: string | undefined, form: Intl.DateTimeFormatOptions): string {
  const locale = LOCALE[language];
  try {
    return date.toLocaleString(locale, zone === undefined ? form : { ...form, timeZone: zone });
  } catch {
    return date.toLocaleString(locale, form); // a zone that this browser does not know
  }
}

const DAY = { weekday: "short", month: "short", day: "numeric" } as const;
const TIME = { hour: "2-digit", minute: "2-digit", hourCycle: "h23" } as const;

/** Thu 28 Apr, 08:41 */
export const when = (seconds: number, language: Language, zone?: string): string => written(new Date(seconds * 1_000), language, zone, { ...DAY, ...TIME });

/** Thu 28 Apr */
export const dayOf = (seconds: number, language: Language, zone?: string): string => written(new Date(seconds * 1_000), language, zone, DAY);

/** 08:41:26 */
export const clock = (seconds: number, language: Language, zone?: string): string =>
  written(new Date(seconds * 1_000), language, zone, { ...TIME, second: "2-digit" });

/** Thursday 28 April */
export const longDay = (seconds: number, language: Language, zone?: string): string =>
  written(new Date(seconds * 1_000), language, zone, { weekday: "long", month: "long", day: "numeric" });

/** 2 June 2021 */
export const dateOf = (seconds: number, language: Language, zone?: string): string =>
  written(new Date(seconds * 1_000), language, zone, { year: "numeric", month: "long", day: "numeric" });

/** How long ago, in the largest unit that says it well. */
export function ago(seconds: number, language: Language): string {
  const [n, zh, en] =
    seconds < 60
      ? [Math.max(0, seconds), "秒", "second"]
      : seconds < 7_200
        ? [Math.floor(seconds / 60), "分钟", "minute"]
        : seconds < 172_800
          ? [Math.floor(seconds / 3_600), "小时", "hour"]
          : [Math.floor(seconds / 86_400), "天", "day"];
  return language === "zh" ? `${n} ${zh}前` : `${n} ${en}${n === 1 ? "" : "s"} ago`;
}

/** 2 June 2021, of a date as YYYY-MM-DD. */
export const fullDay = (date: string, language: Language): string =>
  written(new Date(`${date}T12:00:00Z`), language, "UTC", { year: "numeric", month: "long", day: "numeric" });
