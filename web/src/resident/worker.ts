// The worker: one challenge in, its number out.

import { solve, type Work } from "./work.ts";

const self_ = self as unknown as { onmessage: (event: MessageEvent<Work>) => void; postMessage(number: number | undefined): void };
self_.onmessage = ({ data }) => self_.postMessage(solve(data));
