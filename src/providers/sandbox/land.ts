import { type Canvas, type Glow, glowAt, rowDither } from "./canvas.ts";
import { blend, type Colour } from "./palettes.ts";
import { clamp, fractal, mix, type Random, ridged, smoothstep } from "./random.ts";
import type { Scene } from "./scene.ts";

/** One range of hills: where it begins in every column, and its colours at the crest and in the haze at its foot. */
export type Layer = {
  tops: Float32Array;
  crest: Colour;
  foot: Colour;
  /** The height over which crest turns into foot. */
  fadeHeight: number;
  /** Whether slanting edges are smoothed; upright walls must not be. */
  soft: boolean;
  /** How much each column is turned to the sun, -1 to 1; undefined for land without relief. */
  slopes: Float32Array | undefined;
};

/** The layers of a scene, from far to near. Cities are in city.ts. */
export function landLayers(canvas: Canvas, scene: Scene): Layer[] {
  const { subject, waterline, random } = scene;
  switch (subject) {
    case "dunes":
      return range(canvas, scene, 5, 0.34, 0.95, dune).map((layer) => withRelief(layer, scene));
    case "forest":
      return forest(canvas, scene);
    case "sea":
      return range(canvas, scene, 2, 0.13, 0, island);
    case "space":
      return range(canvas, scene, 3, 0.16, 0.8, (x, depth, seed) => ridged(x * (2 + depth) + 3, seed, 5));
    default: {
      const peaks = random.between(1.5, 2.4);
      return range(
        canvas,
        scene,
        waterline === undefined ? 6 : 5,
        0.66,
        waterline === undefined ? 1 : 0,
        (x, depth, seed) => mountain(x, depth, seed, peaks),
      );
    }
  }
}

type Profile = (x: number, depth: number, seed: number) => number;

/**
 * `count` layers over each other. `rise` is the height of the farthest crest as a share of the space over the horizon;
 * `spread` is how far down the ground the nearest crest stands.
 */
function range(canvas: Canvas, scene: Scene, count: number, rise: number, spread: number, profile: Profile): Layer[] {
  const { horizon, unit, random } = scene;
  const ground = canvas.height - horizon;
  const tall = Math.min(horizon, unit * 0.75);
  // Tall pictures have more ground to cover.
  if (spread > 0) count = clamp(Math.round((count * ground) / (unit * 0.45)), count, 12);
  const layers: Layer[] = [];
  for (let i = 0; i < count; i++) {
    const depth = count === 1 ? 1 : i / (count - 1);
    const seed = random.seed();
    const offset = random.between(0, 50);
    const height = tall * rise * mix(1, spread > 0 ? 0.55 : 0.22, depth);
    const base = horizon + ground * spread * depth * depth * 0.75;
    const tops = new Float32Array(canvas.width);
    for (let x = 0; x < canvas.width; x++) tops[x] = profile(x / unit + offset, depth, seed);
    // Noise keeps to the middle; stretched, every range has its summit and its valley.
    const least = tops.reduce((low, value) => Math.min(low, value), 9);
    const most = tops.reduce((high, value) => Math.max(high, value), -9);
    const gain = Math.min(2.6, 1 / Math.max(0.05, most - least));
    for (let x = 0; x < canvas.width; x++) tops[x] = base - height * ((tops[x] ?? 0) - least) * gain;
    layers.push(layer(scene, tops, depth, height * 0.9 + tall * 0.08, true));
  }
  return layers;
}

export function layer(scene: Scene, tops: Float32Array, depth: number, fadeHeight: number, soft: boolean): Layer {
  const { palette } = scene;
  // Air perspective: far ranges take the colour of the sky near the horizon.
  const haze = blend(palette.sky[3], palette.sky[2], palette.night ? 0.75 : 0.45);
  const shade = blend(palette.ground, palette.sky[1], 0.5);
  // By way of the upper sky's colour: halfway from orange to black lies brown, and hills in the evening are violet.
  const share = mix(0.2, 0.97, depth * (2 - depth));
  const crest = share < 0.6 ? blend(haze, shade, share / 0.6) : blend(shade, palette.ground, (share - 0.6) / 0.4);
  const foot = blend(crest, haze, mix(0.6, 0.14, depth));
  return { tops, crest, foot, fadeHeight: Math.max(1, fadeHeight), soft, slopes: undefined };
}

function mountain(x: number, depth: number, seed: number, peaks: number): number {
  const sharp = ridged(x * peaks * (1 + depth * 0.6), seed, 6);
  const broad = fractal(x * 1.3, 7.5, seed, 2);
  return clamp(sharp * 0.85 + broad * 0.6 - 0.42, 0, 1.1);
}

function dune(x: number, depth: number, seed: number): number {
  const swell = fractal(x * mix(1.8, 0.9, depth), 2.5, seed, 2, 0.25);
  const crest = 1 - Math.abs(2 * fractal(x * 0.8, 6.5, seed + 5, 1) - 1);
  return swell * 0.7 + crest * crest * 0.5;
}

function island(x: number, depth: number, seed: number): number {
  const mass = fractal(x * mix(1.6, 2.4, depth), 3.5, seed, 2);
  const shore = smoothstep(0.5, 0.58, mass);
  return shore * (0.1 + Math.max(0, mass - 0.5) * 2 * (0.6 + 0.6 * ridged(x * 6, seed, 4)));
}

/** Adds the light and shadow of a low sun to smooth hills. */
function withRelief(layer: Layer, scene: Scene): Layer {
  const { tops } = layer;
  const reach = Math.max(1, Math.round(scene.unit * 0.015));
  const slopes = tops.map((_, x) => {
    const before = tops[Math.max(0, x - reach)] ?? 0;
    const after = tops[Math.min(tops.length - 1, x + reach)] ?? 0;
    // Rising to the right means facing left; below the sun neither side is lit more.
    const facing = clamp((x - scene.sun.x) / (scene.unit * 0.3), -1, 1);
    return clamp(((before - after) / (2 * reach)) * 2.4 * facing, -1, 1);
  });
  return { ...layer, slopes };
}

function forest(canvas: Canvas, scene: Scene): Layer[] {
  const { horizon, unit, random } = scene;
  const layers = range(canvas, scene, 3, 0.42, 0.25, (x, depth, seed) => mountain(x, depth, seed, 1.3)).slice(0, 2);
  const tall = Math.min(horizon, unit * 0.7);
  const ground = canvas.height - horizon;
  const rows = clamp(Math.round(ground / (unit * 0.1)), 4, 12);
  for (let i = 0; i < rows; i++) {
    const near = i / (rows - 1);
    const depth = mix(0.45, 1, near);
    const seed = random.seed();
    const base = horizon + ground * (0.02 + 0.3 * near + 0.32 * near * near);
    const tops = new Float32Array(canvas.width);
    for (let x = 0; x < canvas.width; x++) {
      tops[x] = base - tall * 0.2 * (fractal((x / unit) * 2.2, 4.5, seed, 3) - 0.3);
    }
    plantPines(tops, tall * mix(0.07, 0.34, near), random, near);
    layers.push(layer(scene, tops, depth, tall * 0.35, true));
  }
  return layers;
}

/** Raises the tops where pines stand. */
function plantPines(tops: Float32Array, size: number, random: Random, depth: number): void {
  const width = tops.length;
  // Trees stand on the ground, not on other trees.
  const soil = tops.slice();
  let x = -size * 0.2;
  while (x < width + size * 0.2) {
    const high = size * random.between(0.45, 1);
    const half = high * random.between(0.17, 0.23);
    const tiers = 5 + random.below(4);
    const foot = (soil[clamp(Math.round(x), 0, width - 1)] ?? 0) + size * 0.02;
    for (let column = Math.max(0, Math.ceil(x - half)); column < Math.min(width, x + half); column++) {
      const inward = 1 - Math.abs(column - x) / half;
      const tier = inward * tiers;
      // A saw tooth makes tiers of boughs out of a triangle.
      const bough = (tier - Math.floor(tier) - 0.6) * 2.2;
      const top = foot - high * (inward * inward * 0.3 + inward * 0.7 + (bough / tiers) * (1 - inward));
      tops[column] = Math.min(tops[column] ?? 0, top);
    }
    // Nearer trees stand farther apart and leave clearings.
    x += half * random.between(0.7, 1.5) + (random.next() < 0.12 ? size * random.between(0.2, 1 + depth) : 0);
  }
}

/** Paints layers from far to near, down to `bottom`; what a nearer layer hides is not painted. */
export function paintLayers(canvas: Canvas, layers: readonly Layer[], bottom: number, glow: Glow): void {
  let hidden = new Float32Array(canvas.width).fill(bottom);
  const jobs = [...layers].reverse().map((layer) => {
    const limit = hidden;
    hidden = hidden.map((y, x) => Math.min(y, layer.tops[x] ?? y));
    return { layer, limit };
  });
  for (const { layer, limit } of jobs.reverse()) paintLayer(canvas, layer, limit, bottom, glow);
}

function paintLayer(canvas: Canvas, layer: Layer, limit: Float32Array, bottom: number, glow: Glow): void {
  const { width, pixels } = canvas;
  const { tops, slopes } = layer;
  const highest = tops.reduce((least, top) => Math.min(least, top), bottom);
  const sharpness = new Float32Array(width).fill(1);
  if (layer.soft) {
    for (let x = 0; x < width; x++) {
      const slope = Math.abs((tops[Math.min(width - 1, x + 1)] ?? 0) - (tops[Math.max(0, x - 1)] ?? 0)) / 2;
      sharpness[x] = 1 / clamp(slope, 1, 6);
    }
  }
  const [sunRed, sunGreen, sunBlue] = glow.colour;
  const slant = glow.x < width / 2 ? 0.8 : -0.8;
  // Shadow is light taken away, but never so much that a channel leaves its range.
  const darkest = (-0.4 * Math.min(...layer.crest)) / 255;
  for (let y = Math.max(0, Math.floor(highest) - 3); y < bottom; y++) {
    const [red, green, blue] = blend(layer.crest, layer.foot, clamp((y - highest) / layer.fadeHeight, 0, 1));
    const dy = y + 0.5 - glow.y;
    const dySquare = dy * dy;
    const ditherRed = rowDither(y, 0);
    const ditherGreen = rowDither(y, 1);
    const ditherBlue = rowDither(y, 2);
    for (let x = 0; x < width; x++) {
      if ((limit[x] ?? 0) <= y - 3) continue;
      const cover = (y + 0.5 - (tops[x] ?? 0)) * (sharpness[x] ?? 1) + 0.5;
      if (cover <= 0) continue;
      const dx = x + 0.5 - glow.x;
      // Light that comes through the air before the land.
      let light = 0.38 * glowAt(glow, (dx * dx + dySquare) * glow.perSquare);
      if (slopes !== undefined) {
        // The border of light and shadow runs down a dune aslant.
        const below = y - (tops[x] ?? 0);
        const slope = slopes[clamp(Math.round(x + below * slant), 0, width - 1)] ?? 0;
        const down = Math.max(0, 1 - below / layer.fadeHeight);
        light = clamp(light + (slope > 0 ? 0.42 : 0.16) * slope * down, darkest, 0.8);
      }
      const r = red + (sunRed - red) * light;
      const g = green + (sunGreen - green) * light;
      const b = blue + (sunBlue - blue) * light;
      const at = (y * width + x) * 3;
      if (cover >= 1) {
        pixels[at] = r + ditherRed;
        pixels[at + 1] = g + ditherGreen;
        pixels[at + 2] = b + ditherBlue;
      } else {
        pixels[at] = mix(pixels[at] ?? 0, r, cover) + 0.5;
        pixels[at + 1] = mix(pixels[at + 1] ?? 0, g, cover) + 0.5;
        pixels[at + 2] = mix(pixels[at + 2] ?? 0, b, cover) + 0.5;
      }
    }
  }
}
