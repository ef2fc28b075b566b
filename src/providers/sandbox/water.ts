import { type Canvas, paintPixel } from "./canvas.ts";
import { blend } from "./palettes.ts";
import { clamp, mix, noise } from "./random.ts";
import type { Scene } from "./scene.ts";

/** Mirrors what stands over the waterline, broken by ripples that grow towards the viewer, and lays the sun's path on it. */
export function paintWater(canvas: Canvas, scene: Scene, waterline: number): void {
  const { palette, unit, random, subject } = scene;
  const { width, height, pixels } = canvas;
  const seed = random.seed();
  const rows = height - waterline;
  const open = subject === "sea";
  for (let y = waterline; y < height; y++) {
    const near = (y - waterline) / rows;
    const far = y - waterline;
    // Ripples are short in the distance and long near by.
    const wave = noise((far / unit) * mix(90, 26, Math.sqrt(near)), 0.5, seed) - 0.5;
    const lift = wave * unit * mix(0.004, open ? 0.07 : 0.03, near);
    const source = clamp(Math.round(waterline - 1 - far * (open ? 1.35 : 1.1) + lift), 0, waterline - 1);
    const swing = noise((far / unit) * mix(140, 40, Math.sqrt(near)), 9.5, seed) - 0.5;
    const shift = Math.round(swing * unit * mix(0.003, 0.02, near));
    const tint = blend(palette.ground, palette.sky[1], open ? 0.5 : 0.3);
    const share = mix(0.1, 0.24, near) + wave * 0.12;
    // Water swallows light; multiplied, its colours stay what they are.
    const keep = (1 - share) * mix(0.92, 0.66, near);
    const [red, green, blue] = [tint[0] * share + 0.5, tint[1] * share + 0.5, tint[2] * share + 0.5];
    for (let x = 0; x < width; x++) {
      const from = (source * width + clamp(x + shift, 0, width - 1)) * 3;
      const at = (y * width + x) * 3;
      pixels[at] = (pixels[from] ?? 0) * keep + red;
      pixels[at + 1] = (pixels[from + 1] ?? 0) * keep + green;
      pixels[at + 2] = (pixels[from + 2] ?? 0) * keep + blue;
    }
  }
  paintSunPath(canvas, scene, waterline);
}

function paintSunPath(canvas: Canvas, scene: Scene, waterline: number): void {
  const { sun, palette, unit, random } = scene;
  const rows = canvas.height - waterline;
  const thick = Math.max(1, Math.round(unit / 700));
  for (let y = waterline; y < canvas.height; y += thick) {
    const near = (y - waterline) / rows;
    const spread = sun.radius * mix(0.5, 2.6, near);
    const dashes = 1 + random.below(4);
    for (let i = 0; i < dashes; i++) {
      const middle = sun.x + (random.next() + random.next() - 1) * spread;
      const half = unit * mix(0.006, 0.03, near) * random.between(0.4, 1.2);
      const alpha = random.between(0.15, 0.55) * (1 - 0.55 * near);
      for (let x = Math.floor(middle - half); x <= middle + half; x++) {
        const edge = 1 - Math.abs(x - middle) / (half + 1);
        for (let line = 0; line < thick; line++)
          paintPixel(canvas, x, y + line, palette.sun, alpha * clamp(edge * 2, 0, 1));
      }
    }
  }
}
