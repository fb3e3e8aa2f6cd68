// Small things that outlive the page, where the browser keeps anything; else they live as long as the page.

import type { KeyStore } from "../verify/marks.ts";

const here = new Map<string, string>();

export const shelf: KeyStore = {
  getItem(key) {
    try {
      return localStorage.getItem(key) ?? here.get(key) ?? null;
    } catch {
      return here.get(key) ?? null;
    }
  },
  setItem(key, value) {
    here.set(key, value);
    try {
      localStorage.setItem(key, value);
    } catch {
      // Full or forbidden: `here` has to do.
    }
  },
};
