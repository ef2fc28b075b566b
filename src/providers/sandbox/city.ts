import { type Canvas, type Glow, paintRectangle } from "./canvas.ts";
import { type Layer, layer, paintLayers } from "./land.ts";
import { blend, type Colour } from "./palettes.ts";
import { clamp, mix, pick, type Random } from "./random.ts";
import type { Scene } from "./scene.ts";

type Building = { left: number; width: number; top: number; roof: number };

/** Rows of towers before each other, with lit windows in the nearer ones. */
export function paintCity(canvas: Canvas, scene: Scene, glow: Glow): void {
  const { random, unit, palette } = scene;
  const bottom = scene.waterline ?? canvas.height;
  const tall = Math.min(bottom * 0.78, unit * 0.62);
  const rows = 4;
  // Towers crowd beside the sun, not before it.
  const centre =
    canvas.width * (scene.sun.x < canvas.width / 2 ? random.between(0.6, 0.72) : random.between(0.28, 0.4));
  for (let row = 0; row < rows; row++) {
    const depth = row / (rows - 1);
    const tops = new Float32Array(canvas.width).fill(bottom - tall * mix(0.14, 0.03, depth));
    const buildings = raiseRow(tops, random, { bottom, tall, depth, centre, unit });
    const towers: Layer = layer(scene, tops, mix(0.12, 0.92, depth), tall * mix(0.7, 0.9, depth), false);
    paintLayers(canvas, [towers], bottom, glow);
    const lit: Colour = palette.night ? [255, 214, 140] : blend(palette.sun, [255, 205, 130], 0.5);
    if (row > 0) lightWindows(canvas, random, buildings, { bottom, unit, depth, lit, night: palette.night });
  }
}

type Row = { bottom: number; tall: number; depth: number; centre: number; unit: number };

function raiseRow(tops: Float32Array, random: Random, row: Row): Building[] {
  const { bottom, tall, depth, centre, unit } = row;
  const buildings: Building[] = [];
  const span = tops.length;
  let left = -Math.round(unit * 0.02);
  while (left < span) {
    const width = Math.max(3, Math.round(unit * random.between(0.024, 0.056) * mix(0.8, 1.1, depth)));
    const away = (left + width / 2 - centre) / (unit * 0.5);
    // A bell around the centre, without an exponential: the same bits everywhere.
    const bell = 1 / (1 + away * away * 2.2);
    const chance = random.next();
    const tower = chance * chance * bell;
    const height = tall * mix(0.16, mix(0.98, 0.56, depth), clamp(tower + 0.22 * bell * random.next(), 0, 1));
    const top = Math.round(bottom - height);
    const roof = roofOf(tops, random, left, width, top, height, unit);
    buildings.push({ left, width, top, roof });
    left += width + (random.next() < 0.3 ? Math.round(unit * random.between(0.002, 0.02)) : random.below(3));
  }
  return buildings;
}

/** Draws one outline into `tops`; returns how far below the top the windows may begin. */
function roofOf(
  tops: Float32Array,
  random: Random,
  left: number,
  width: number,
  top: number,
  height: number,
  unit: number,
): number {
  const kind = pick(random, ["flat", "flat", "flat", "steps", "steps", "slant", "dome", "spire", "taper"]);
  const mirrored = random.next() < 0.5;
  const grand = height > unit * 0.2;
  const half = width / 2;
  let roof = unit * 0.012;
  for (let i = 0; i < width; i++) {
    const x = left + i;
    if (x < 0 || x >= tops.length) continue;
    const inward = 1 - Math.abs(i + 0.5 - half) / half;
    let drop = 0;
    if (kind === "steps") drop = inward < 0.25 ? height * 0.16 : inward < 0.5 ? height * 0.07 : 0;
    if (kind === "slant") drop = (mirrored ? i : width - i) * 0.4;
    if (kind === "dome") drop = (1 - Math.sqrt(1 - (1 - inward) * (1 - inward))) * half * 0.9;
    if (kind === "spire") drop = inward < 0.5 ? half * 0.9 + (0.5 - inward) * half * 0.5 : (1 - inward) * half * 1.8;
    if (kind === "taper") drop = inward < 0.3 ? (0.3 - inward) * height * 0.9 : 0;
    roof = Math.max(roof, kind === "taper" || kind === "steps" ? roof : drop);
    tops[x] = Math.min(tops[x] ?? top, top + drop);
  }
  if (grand && random.next() < 0.6) {
    const mast = Math.max(1, Math.round(unit / 500));
    const length = height * random.between(0.08, 0.2);
    for (let i = 0; i < mast; i++) {
      const x = Math.round(left + half) + i;
      if (x >= 0 && x < tops.length) tops[x] = Math.min(tops[x] ?? top, top - length);
    }
  }
  return roof + unit * 0.008;
}

type Lights = { bottom: number; unit: number; depth: number; lit: Colour; night: boolean };

function lightWindows(canvas: Canvas, random: Random, buildings: readonly Building[], lights: Lights): void {
  const { bottom, unit, depth, lit, night } = lights;
  const size = Math.round((unit / 1024) * mix(2, 3.4, depth));
  // In small pictures windows would be noise.
  if (size < 1) return;
  const alpha = (night ? 0.85 : 0.6) * mix(0.6, 1, depth);
  for (const building of buildings) {
    const across = size * (1.9 + random.below(3) * 0.4);
    const down = size * (2.1 + random.below(3) * 0.6);
    const share = random.between(0.2, night ? 0.75 : 0.6);
    const wide = random.next() < 0.25 ? Math.round(size * 1.6) : size;
    const columns = Math.floor((building.width - size) / across);
    const indent = (building.width - (columns - 1) * across - wide) / 2;
    for (let y = building.top + building.roof; y < bottom - size * 2; y += down) {
      // Whole floors are dark now and then.
      const floor = random.next() < 0.16 ? 0 : share;
      for (let i = 0; i < columns; i++) {
        if (random.next() > floor) continue;
        const x = Math.round(building.left + indent + i * across);
        const glare = alpha * random.between(0.45, 1);
        // Towers that taper or step are narrower at the top: stay inside.
        if (i > 0 && i < columns - 1) paintRectangle(canvas, x, Math.round(y), wide, size, lit, glare);
      }
    }
  }
}
