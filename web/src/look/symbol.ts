// A QR symbol as it stands on a page.

import { encode, pathOf } from "../qr/encode.ts";

const QUIET = 4; // modules of white around it

/** The QR symbol of a text: black on white in the dark as well, for cameras. */
export function qr(text: string, label: string): SVGSVGElement {
  const grid = encode(text);
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  const side = grid.side + 2 * QUIET;
  svg.setAttribute("viewBox", `${-QUIET} ${-QUIET} ${side} ${side}`);
  svg.setAttribute("role", "img");
  svg.setAttribute("aria-label", label);
  svg.setAttribute("shape-rendering", "crispEdges");
  for (const [d, fill] of [
    [`M${-QUIET} ${-QUIET}h${side}v${side}h${-side}z`, "#fff"],
    [pathOf(grid), "#000"],
  ] as const) {
    const path = document.createElementNS("http://www.w3.org/2000/svg", "path");
    path.setAttribute("d", d);
    path.setAttribute("fill", fill);
    svg.append(path);
  }
  return svg;
}
