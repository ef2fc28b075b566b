import type { Colour } from "./palettes.ts";
import { clamp } from "./random.ts";

/** Pixels without alpha: red, green, blue, row by row from the top. */
export type Canvas = { width: number; height: number; pixels: Uint8Array };

export function newCanvas(width: number, height: number): Canvas {
  return { width, height, pixels: new Uint8Array(width * height * 3) };
}

const DITHER = [0, 4, 2, 6, 1, 5, 3, 7].map((step) => (step + 0.5) / 8);

/**
 * What to add before a channel is cut to a whole number. It changes from row to row only: gradients do not band, and rows
 * still compress as well as without dithering.
 */
export function rowDither(y: number, channel: number): number {
  return DITHER[(y + channel * 3) & 7] ?? 0.5;
}

/** The soft light around a sun or moon. */
export type Glow = { x: number; y: number; colour: Colour; perSquare: number; strength: Float32Array };

const GLOW_STEPS = 4096;

export function newGlow(x: number, y: number, radius: number, colour: Colour, peak: number): Glow {
  const strength = new Float32Array(GLOW_STEPS + 1);
  for (let i = 0; i < GLOW_STEPS; i++) {
    // Indexed by the squared distance, so that painting a pixel takes no square root.
    const distance = Math.sqrt((i + 0.5) / GLOW_STEPS);
    const rest = 1 - distance;
    strength[i] = peak * rest * rest * (0.45 + 0.55 * rest * rest);
  }
  return { x, y, colour, perSquare: GLOW_STEPS / (radius * radius), strength };
}

/** The strength of the glow at a squared distance that is already multiplied by `perSquare`. */
export function glowAt(glow: Glow, scaledSquare: number): number {
  return scaledSquare < GLOW_STEPS ? (glow.strength[scaledSquare | 0] ?? 0) : 0;
}

/** Mixes `colour` into one pixel; outside the canvas nothing happens. */
export function paintPixel(canvas: Canvas, x: number, y: number, colour: Colour, alpha: number): void {
  if (x < 0 || y < 0 || x >= canvas.width || y >= canvas.height) return;
  const { pixels } = canvas;
  const at = (y * canvas.width + x) * 3;
  const keep = 1 - alpha;
  pixels[at] = (pixels[at] ?? 0) * keep + colour[0] * alpha + 0.5;
  pixels[at + 1] = (pixels[at + 1] ?? 0) * keep + colour[1] * alpha + 0.5;
  pixels[at + 2] = (pixels[at + 2] ?? 0) * keep + colour[2] * alpha + 0.5;
}

/** A rectangle on whole pixels. */
export function paintRectangle(
  canvas: Canvas,
  left: number,
  top: number,
  width: number,
  height: number,
  colour: Colour,
  alpha: number,
): void {
  for (let y = top; y < top + height; y++)
    for (let x = left; x < left + width; x++) paintPixel(canvas, x, y, colour, alpha);
}

/** A disc with a smooth edge. */
export function paintDisc(canvas: Canvas, x: number, y: number, radius: number, colour: Colour, alpha: number): void {
  const top = Math.max(0, Math.floor(y - radius - 1));
  const bottom = Math.min(canvas.height, Math.ceil(y + radius + 1));
  const left = Math.max(0, Math.floor(x - radius - 1));
  const right = Math.min(canvas.width, Math.ceil(x + radius + 1));
  for (let row = top; row < bottom; row++) {
    const dy = row + 0.5 - y;
    for (let column = left; column < right; column++) {
      const dx = column + 0.5 - x;
      const cover = clamp(radius + 0.5 - Math.sqrt(dx * dx + dy * dy), 0, 1);
      if (cover > 0) paintPixel(canvas, column, row, colour, cover * alpha);
    }
  }
}
