// The gateway's API as the page uses it. Nothing personal in an address; a token in a header; what fails says how.

import { solution, type Work } from "./work.ts";

export interface Words {
  readonly zh: string;
  readonly en: string;
}
export interface Hold {
  readonly rule: string;
  readonly outcome: "red" | "yellow" | "popup" | "remind" | "unknown";
  readonly since: string;
  readonly until: string | null;
  readonly cap: string | null;
  readonly capped: boolean;
  readonly authority_name: Words;
  readonly reason: Words;
  readonly way_out: Words;
  readonly clears: readonly Words[];
  readonly test_days: readonly number[];
}
export interface Code {
  readonly colour: "green" | "yellow" | "red" | "unknown";
  readonly notices: readonly { readonly code: string; readonly kind: "popup" | "remind"; readonly rule: string }[];
  readonly holds: readonly Hold[];
  readonly more_holds?: number;
  readonly way_to_green: (Words & { readonly earliest: string | null }) | null;
  readonly next_change_at: string | null;
  readonly nat: { readonly result: string; readonly sampled_at: string | null; readonly reported_at: string; readonly days: number | null } | null;
  readonly vaccination: "none" | "partial" | "basic" | "booster";
  readonly policy: { readonly id: string; readonly version: string };
  readonly name_mask: string;
  readonly as_of: string;
  readonly release: number;
}
export interface Named {
  readonly id_type: string;
  readonly id_number: string;
  readonly name: string;
}
export interface Bound {
  readonly token: string;
  readonly expires_at: string;
  readonly resident: string;
  readonly name_mask: string;
}

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
export async function call<T>(method: "GET" | "POST" | "DELETE", path: string, sent?: unknown, token?: string, work?: string): Promise<T> {
  const gone = new AbortController();
  const timer = setTimeout(() => gone.abort(), PATIENCE);
  let answer: Response;
  try {
    answer = await fetch(`/v1${path}`, {
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
    if (answer.ok) return (answer.status === 204 ? undefined : await answer.json()) as T;
  } catch {
    throw new Failed("away");
  } finally {
    clearTimeout(timer);
  }
  if (answer.status === 401) throw new Failed("unbound");
  if (answer.status === 429 && work === undefined) {
    const problem = (await answer.json().catch(() => ({}))) as { readonly work?: Work };
    if (problem.work !== undefined) return call<T>(method, path, sent, token, await worked(problem.work));
  }
  if (answer.status === 429 || answer.status >= 500) throw new Failed("away", Number(answer.headers.get("retry-after") ?? 0) || 0);
  const problem = (await answer.json().catch(() => ({}))) as { code?: unknown };
  throw new Failed("refused", 0, typeof problem.code === "string" ? problem.code : "");
}
