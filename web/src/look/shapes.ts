// The shape that goes with each state: any one of shape, word and colour is enough.

const NAMESPACE = "http://www.w3.org/2000/svg";

/** Outline, and what is drawn inside. */
const SHAPES = {
  green: ["M32 4a28 28 0 1 0 .01 0z", "M19 33l9 9 18-20"],
  notice: ["M32 5l27 27-27 27L5 32z", "M32 19v16M32 44v.5"],
  yellow: ["M32 7l27 48H5z", "M32 25v13M32 46v.5"],
  red: ["M21 5h22l16 16v22L43 59H21L5 43V21z", "M20 32h24"],
  refused: ["M32 4a28 28 0 1 0 .01 0z", "M22 22l20 20M42 22L22 42"],
  unknown: ["M32 4a28 28 0 1 0 .01 0z", ""],
} as const;
export type Shape = keyof typeof SHAPES;

export function shape(name: Shape): SVGSVGElement {
  const svg = document.createElementNS(NAMESPACE, "svg");
  svg.setAttribute("viewBox", "0 0 64 64");
  svg.setAttribute("aria-hidden", "true");
  for (const [at, path] of SHAPES[name].entries()) {
    const drawn = document.createElementNS(NAMESPACE, "path");
    drawn.setAttribute("d", path);
    drawn.setAttribute("class", at === 0 ? "outline" : "inside");
    svg.append(drawn);
  }
  return svg;
}
