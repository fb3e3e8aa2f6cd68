// The gateway's API as the page uses it. Nothing personal in an address; a token in a header; what fails says how.

import type { Calls, ProblemSaid } from "../look/described.ts";
import { solution, type Work } from "./work.ts";

export type { Bound, CodeSaid as Code, HoldSaid as Hold, Leg, Named, OtherSaid as Other, ScannedIn, AppealSaid as Appeal, Words } from "../look/described.ts";
/** A call, as the API's description names it: "GET /v1/me/code". */
export type Call = keyof Calls;
/** What the call takes: what its address names, and what is sent. */
export type Given<C extends Call> = Omit<Calls[C], "said">;
export type Said<C extends Call> = Calls[C]["said"];

/** Seconds that a door's `Retry-After` is obeyed at the most: whoever answers in its place cannot send a phone away for a day. */
const LONGEST = 600;

/** away: nobody answered, or said "not now"; refused: this was not taken; unbound: the token is good no more. */
export type Failure = "away" | "refused" | "unbound";
export class Failed extends Error {
  readonly how: Failure;
  readonly after: number; // seconds to wait, where the server said so
  readonly code: string; // why it was refused: docs/reference/refusals.md

  constructor(how: Failure, after = 0, code = "") {
    super(how);
    this.how = how;
    this.after = after;
    this.code = code;
  }
}

const PATIENCE = 15_000; // milliseconds for one call
const WORKING = 60_000; // for work: a second or two on most phones
declare const WORKER: string; // the address of worker.ts as it is built

/** Says "work" when this device has something to work out before it is answered: the door is under attack. */
export const waiting = new EventTarget();

/** The solution of what the door asks for, worked out beside the page. Throws Failed when it takes too long. */
function worked(work: Work): Promise<string> {
  waiting.dispatchEvent(new Event("work"));
  return new Promise((done, fail) => {
    const worker = new Worker(WORKER);
    const end = (number?: number): void => {
      clearTimeout(timer);
      worker.terminate();
      if (number === undefined) fail(new Failed("away"));
      else done(solution(work, number));
    };
    const timer = setTimeout(end, WORKING);
    worker.onmessage = ({ data }: MessageEvent<number | undefined>) => end(data);
    worker.onerror = () => end();
    worker.postMessage(work);
  });
}

/** A call of the API; where the door asks for work first, that is done, once. Throws Failed. */
export async function call<C extends Call>(what: C, given: Given<C>, token?: string, work?: string): Promise<Said<C>> {
  const { at = {}, sent } = given as { readonly at?: Readonly<Record<string, string | number>>; readonly sent?: unknown };
  const [method, path] = what.split(" ") as [string, string];
  const gone = new AbortController();
  const timer = setTimeout(() => gone.abort(), PATIENCE);
  let answer: Response;
  try {
    answer = await fetch(path.replace(/\{(\w+)\}/g, (_, name: string) => encodeURIComponent(String(at[name]))), {
      method,
      cache: "no-store",
      credentials: "omit",
      signal: gone.signal,
      headers: {
        ...(sent === undefined ? {} : { "Content-Type": "application/json" }),
        ...(token === undefined ? {} : { Authorization: `Bearer ${token}` }),
        ...(work === undefined ? {} : { "Kangma-Work": work }),
      },
      ...(sent === undefined ? {} : { body: JSON.stringify(sent) }),
    });
    if (answer.ok) return (answer.status === 204 ? undefined : await answer.json()) as Said<C>;
  } catch {
    throw new Failed("away");
  } finally {
    clearTimeout(timer);
  }
  if (answer.status === 401) throw new Failed("unbound");
  if (answer.status === 429 && work === undefined) {
    const { work: asked } = (await answer.json().catch(() => ({}))) as Partial<ProblemSaid>;
    if (asked != null) return call(what, given, token, await worked(asked));
  }
  if (answer.status === 429 || answer.status >= 500) throw new Failed("away", Math.max(0, Math.min(LONGEST, Number(answer.headers.get("retry-after") ?? 0) || 0)));
  const { code } = (await answer.json().catch(() => ({}))) as Partial<ProblemSaid>;
  throw new Failed("refused", 0, typeof code === "string" ? code : "");
}
