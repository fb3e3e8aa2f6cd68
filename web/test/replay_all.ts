// `node replay_all.mjs < vectors.json`: what our verifier makes of each of a list of vectors, as JSON.

import { readFileSync } from "node:fs";
import { replayAll, type Vector } from "./replay.ts";

const vectors = JSON.parse(readFileSync(0, "utf8")) as Vector[];
process.stdout.write(JSON.stringify(await replayAll(vectors)));
