import type { Canvas } from "./canvas.ts";
import { addContours, newMask, paintMask } from "./coverage.ts";
import type { Contour } from "./font.ts";
import { blend, type Colour } from "./palettes.ts";
import type { Scene } from "./scene.ts";

/** Birds in the air by day and a sail on the sea: small things that give a landscape its scale. */
export function paintLife(canvas: Canvas, scene: Scene): void {
  const { palette, random, unit, subject, horizon, waterline } = scene;
  const dark = blend(palette.ground, palette.sky[1], 0.25);
  if (subject === "sea" && waterline !== undefined) {
    // On the other side of the sun, where the sky is empty.
    const x = canvas.width * (scene.sun.x < canvas.width / 2 ? random.between(0.62, 0.8) : random.between(0.2, 0.38));
    // White sails, unless the sky behind them is nearly white.
    const bright = palette.sky[3][0] + palette.sky[3][1] + palette.sky[3][2] > 640;
    const sail: Colour = bright ? [214, 84, 62] : blend(palette.sun, palette.sky[2], 0.15);
    paintShape(canvas, SAILS, x, waterline + 1, unit * 0.065, sail);
    paintShape(canvas, HULL, x, waterline + 1, unit * 0.065, dark);
  }
  if (palette.night || subject === "space" || random.next() < 0.25) return;
  const flock = 4 + random.below(5);
  const left = canvas.width * random.between(0.2, 0.65);
  // In a city they fly above the roofs.
  const top = horizon * random.between(0.3, 0.5) * (subject === "city" ? 0.6 : 1);
  for (let i = 0; i < flock; i++) {
    const x = left + unit * random.between(-0.02, 0.19);
    const y = top + unit * random.between(-0.05, 0.05);
    paintShape(canvas, [i % 3 === 0 ? GLIDING : BEATING], x, y, unit * random.between(0.006, 0.013), dark);
  }
}

function paintShape(
  canvas: Canvas,
  shape: readonly Contour[],
  x: number,
  y: number,
  size: number,
  colour: Colour,
): void {
  const reach = Math.ceil(size * 1.6) + 1;
  const mask = newMask(Math.floor(x) - reach, Math.floor(y) - reach, reach * 2, reach * 2);
  addContours(mask, shape, x, y, size);
  paintMask(canvas, mask, colour, 0.92);
}

/** A contour from "x y" pairs; pairs with a tilde are control points. */
function contour(text: string): Contour {
  return text.split(", ").map((pair) => {
    const [x = 0, y = 0] = pair.replace("~", "").split(" ").map(Number);
    return { x, y, onCurve: !pair.startsWith("~") };
  });
}

const BEATING = contour("-1 0.2, ~-0.5 0.75, 0 0, ~0.5 0.75, 1 0.2, ~0.5 0.52, 0 -0.2, ~-0.5 0.52");
const GLIDING = contour("-1 0.45, ~-0.45 0.4, 0 0, ~0.45 0.4, 1 0.45, ~0.4 0.2, 0 -0.2, ~-0.4 0.2");
const HULL = [contour("-0.62 0.14, 0.7 0.18, ~0.5 -0.02, 0.4 0, -0.42 0, ~-0.56 0.02")];
const SAILS = [
  contour("0 1.5, ~0.22 0.7, 0.62 0.3, 0.02 0.26"),
  contour("-0.05 1.3, ~-0.2 0.7, -0.5 0.28, -0.05 0.26"),
];
