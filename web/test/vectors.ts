// The vectors that every language runs, from where the repository keeps them.

import { readdirSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import type { Vector } from "./replay.ts";
import type { StatusVector } from "./replay_status.ts";
import type { TrustVector } from "./replay_trust.ts";

/** From web/dist/test, where the tests are run. */
const FOLDER = fileURLToPath(new URL("../../../tests/vectors/", import.meta.url));

export const vectors = (): Vector[] => all("verify/") as Vector[];
export const statusVectors = (): StatusVector[] => all("status/") as StatusVector[];
export const trustVectors = (): TrustVector[] => all("trust/") as TrustVector[];
export const sealedVectors = (): unknown[] => all("sealed/");
export const venueVectors = (): unknown[] => all("venue/");

function all(folder: string): unknown[] {
  const names = readdirSync(FOLDER + folder).filter((name) => name.endsWith(".json"));
  return names.sort().map((name) => ({ name: name.slice(0, -5), ...JSON.parse(readFileSync(FOLDER + folder + name, "utf8")) }));
}
