// Draws and reads QR symbols for tests/web/test_qr_codes.py: tasks as JSON on stdin, answers as JSON on stdout.

import { readFileSync } from "node:fs";
import { encode } from "../src/qr/encode.ts";
import { read } from "../src/qr/read.ts";
import type { Level } from "../src/qr/symbol.ts";

interface Task {
  readonly text?: string;
  readonly level?: Level;
  readonly mask?: number;
  readonly grey?: string; // base64, a byte a pixel
  readonly width?: number;
}

const answers = (JSON.parse(readFileSync(0, "utf8")) as Task[]).map(({ text, level, mask, grey, width }) => {
  if (text !== undefined) {
    const grid = encode(text, level, mask);
    return Array.from({ length: grid.side }, (_, row) => grid.dark.subarray(row * grid.side, (row + 1) * grid.side).join(""));
  }
  const shades = Buffer.from(grey ?? "", "base64");
  const data = new Uint8Array(shades.length * 4);
  shades.forEach((shade, n) => data.fill(shade, 4 * n, 4 * n + 3));
  const wide = width ?? 1;
  const begun = process.cpuUsage();
  const found = read({ data, width: wide, height: shades.length / wide }) ?? null;
  const { user, system } = process.cpuUsage(begun);
  return [found, (user + system) / 1_000];
});
process.stdout.write(JSON.stringify(answers));
