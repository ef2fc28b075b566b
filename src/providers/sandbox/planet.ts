import { type Canvas, paintPixel } from "./canvas.ts";
import { blend } from "./palettes.ts";
import { clamp, fractal, mix, smoothstep } from "./random.ts";
import type { Scene } from "./scene.ts";

/** A banded, ringed planet where the other scenes have their sun. */
export function paintPlanet(canvas: Canvas, scene: Scene): void {
  const { random, sun, palette, unit, horizon } = scene;
  const radius = Math.min(unit * random.between(0.15, 0.2), canvas.width * 0.26, horizon * 0.32);
  const x0 = sun.x;
  const y0 = sun.y;
  const seed = random.seed();
  const light = blend(palette.sky[3], palette.sun, 0.65);
  const dark = blend(palette.sky[2], palette.sky[3], 0.5);
  const night = palette.sky[0];
  const side = x0 < canvas.width / 2 ? 1 : -1;
  const outer = radius * 1.95;
  const tilt = random.between(0.16, 0.3) * side;
  const flat = random.between(0.2, 0.3);
  const reach = Math.ceil(outer);
  for (let y = Math.floor(y0 - reach); y <= y0 + reach; y++) {
    for (let x = Math.floor(x0 - reach); x <= x0 + reach; x++) {
      const dx = x + 0.5 - x0;
      const dy = y + 0.5 - y0;
      const distance = Math.sqrt(dx * dx + dy * dy);
      // Lengths along and across the ring's axis, in radii.
      const along = (dx - dy * tilt) / radius;
      const across = (dy + dx * tilt) / radius;
      const cover = clamp(radius + 0.5 - distance, 0, 1);
      if (cover > 0) {
        const depth = Math.sqrt(Math.max(0, 1 - along * along - across * across));
        const day = smoothstep(-0.15, 0.95, side * 0.62 * along - 0.45 * across + 0.62 * depth);
        const band = fractal(along * 0.7 + 4, across * 7 + 20, seed, 3);
        const surface = blend(dark, light, smoothstep(0.3, 0.7, band));
        paintPixel(canvas, x, y, blend(night, surface, mix(0.06, 1, day)), cover);
      }
      // The ring passes behind the upper half and before the lower one.
      const ring = Math.sqrt(along * along + (across * across) / (flat * flat));
      if (ring > 1.25 && ring < 1.95 && (cover < 1 || across > 0)) {
        const edge = smoothstep(1.25, 1.3, ring) * (1 - smoothstep(1.88, 1.95, ring));
        const gap = 1 - 0.8 * (smoothstep(1.6, 1.63, ring) - smoothstep(1.66, 1.69, ring));
        const grain = 0.6 + 0.4 * fractal(ring * 22, 3, seed, 2);
        const hidden = across > 0 ? 1 : 1 - cover;
        paintPixel(canvas, x, y, light, 0.8 * edge * gap * grain * hidden);
      }
    }
  }
}
