import { type Canvas, type Glow, glowAt, newGlow, paintDisc, paintPixel, rowDither } from "./canvas.ts";
import { blend, type Colour, skyColour } from "./palettes.ts";
import { clamp, fractal, mix, noise, smoothstep } from "./random.ts";
import type { Scene } from "./scene.ts";

/** Paints everything down to the horizon that is not land; returns the glow, which also lights the land. */
export function paintSky(canvas: Canvas, scene: Scene): Glow {
  const { sun, palette, unit, random } = scene;
  // The light takes the colour of the air it comes through; pure sunlight over a violet sky would be grey.
  const shine = blend(palette.sun, palette.sky[3], palette.night ? 0.6 : 0.4);
  const glow = newGlow(sun.x, sun.y, unit * (palette.night ? 0.5 : 0.72), shine, palette.night ? 0.5 : 0.85);
  const clouds = newClouds(canvas, scene);
  paintAir(canvas, scene, glow, clouds);
  if (palette.night) paintStars(canvas, scene);
  if (scene.subject === "forest" && palette.night) paintAurora(canvas, scene);
  if (scene.subject !== "space") {
    paintDisc(canvas, sun.x, sun.y, sun.radius, palette.sun, 1);
    if (palette.night) {
      const seed = random.seed();
      paintMoonSeas(canvas, scene, seed);
    }
  }
  return glow;
}

/** Cloud cover on a coarse grid, which the painting of rows then smooths. */
type Clouds = { step: number; columns: number; rows: number; cover: Float32Array };

function newClouds(canvas: Canvas, scene: Scene): Clouds {
  const { unit, random, horizon } = scene;
  const step = Math.max(2, Math.round(unit / 140));
  const columns = Math.ceil(canvas.width / step) + 2;
  const rows = Math.ceil(horizon / step) + 2;
  const cover = new Float32Array(columns * rows);
  const seed = random.seed();
  const nebula = scene.subject === "space";
  const threshold = nebula ? 0.42 : random.between(0.46, 0.6);
  const across = nebula ? 2.6 : random.between(1.5, 2.2);
  const down = nebula ? 2.6 : random.between(6, 9);
  const most = nebula ? 0.5 : scene.palette.night ? 0.3 : 0.62;
  for (let row = 0; row < rows; row++) {
    const y = (row * step) / unit;
    const high = (row * step) / horizon;
    // Clouds thin out at the zenith, and before the horizon so that the land stays clear.
    const fade = nebula ? 1 - 0.7 * high : smoothstep(0, 0.35, high) * (1 - 0.55 * smoothstep(0.75, 1, high));
    for (let column = 0; column < columns; column++) {
      const x = (column * step) / unit;
      const lean = nebula ? y * 1.5 : 0;
      const value = fractal(x * across + lean, y * down, seed, 5);
      cover[row * columns + column] = most * fade * smoothstep(threshold, threshold + 0.26, value);
    }
  }
  return { step, columns, rows, cover };
}

function paintAir(canvas: Canvas, scene: Scene, glow: Glow, clouds: Clouds): void {
  const { palette, horizon, subject } = scene;
  const { width, pixels } = canvas;
  const { step, columns, cover } = clouds;
  const line = new Float32Array(columns);
  const [sunRed, sunGreen, sunBlue] = glow.colour;
  const nebula = subject === "space";
  // A few rows more than needed: ridges and shores are drawn over them.
  const bottom = Math.min(canvas.height, horizon + 2);
  for (let y = 0; y < bottom; y++) {
    const high = y / horizon;
    const [red, green, blue] = skyColour(palette, high);
    // Clouds take the colour of the light below them; at night that of the lower sky.
    const [cloudRed, cloudGreen, cloudBlue] = cloudColour(scene, high, nebula);
    const gridRow = Math.floor(y / step);
    const between = y / step - gridRow;
    for (let i = 0; i < columns; i++) {
      line[i] = mix(cover[gridRow * columns + i] ?? 0, cover[(gridRow + 1) * columns + i] ?? 0, between);
    }
    const dy = y + 0.5 - glow.y;
    const dySquare = dy * dy;
    const ditherRed = rowDither(y, 0);
    const ditherGreen = rowDither(y, 1);
    const ditherBlue = rowDither(y, 2);
    let at = y * width * 3;
    for (let cell = 0, left = 0; left < width; cell++, left += step) {
      let cloud = line[cell] ?? 0;
      const slope = ((line[cell + 1] ?? 0) - cloud) / step;
      const right = Math.min(width, left + step);
      for (let x = left; x < right; x++) {
        const dx = x + 0.5 - glow.x;
        const light = glowAt(glow, (dx * dx + dySquare) * glow.perSquare);
        // Near the sun a cloud shines.
        const veil = cloud * (1 + 0.4 * light);
        const r = red + (cloudRed - red) * veil;
        const g = green + (cloudGreen - green) * veil;
        const b = blue + (cloudBlue - blue) * veil;
        pixels[at] = r + (sunRed - r) * light + ditherRed;
        pixels[at + 1] = g + (sunGreen - g) * light + ditherGreen;
        pixels[at + 2] = b + (sunBlue - b) * light + ditherBlue;
        at += 3;
        cloud += slope;
      }
    }
  }
}

function cloudColour(scene: Scene, high: number, nebula: boolean): Colour {
  const { palette } = scene;
  if (nebula) return blend(palette.sky[3], palette.sun, 0.15);
  if (palette.night) return blend(palette.sky[2], palette.sky[3], 0.6);
  return blend(skyColour(palette, high + 0.35), palette.sun, 0.45);
}

function paintStars(canvas: Canvas, scene: Scene): void {
  const { random, horizon, unit, subject, sun } = scene;
  const wanted = (canvas.width * horizon) / (unit * unit);
  // A star is never smaller than a pixel, so small pictures have fewer.
  const count = Math.round(wanted * (subject === "space" ? 900 : 420) * clamp(unit / 600, 0.08, 1));
  const white: Colour = [255, 255, 255];
  for (let i = 0; i < count; i++) {
    const x = random.next() * canvas.width;
    const height = random.next();
    const y = height * height * horizon * 0.95 + height * horizon * 0.05;
    const bright = random.next();
    const dx = x - sun.x;
    const dy = y - sun.y;
    if (dx * dx + dy * dy < sun.radius * sun.radius * 2) continue;
    const radius = (unit / 1024) * mix(0.35, 1.5, bright * bright * bright * bright);
    const alpha = mix(0.25, 0.95, bright * bright) * (1 - 0.8 * (y / horizon));
    if (radius < 0.8) paintPixel(canvas, Math.floor(x), Math.floor(y), white, alpha);
    else paintDisc(canvas, x, y, radius, white, alpha);
  }
}

/** The grey plains that make a disc a moon. */
function paintMoonSeas(canvas: Canvas, scene: Scene, seed: number): void {
  const { sun, palette } = scene;
  const shade = blend(palette.sun, palette.sky[2], 0.35);
  const { radius } = sun;
  for (let y = Math.floor(sun.y - radius); y <= sun.y + radius; y++) {
    for (let x = Math.floor(sun.x - radius); x <= sun.x + radius; x++) {
      const dx = (x + 0.5 - sun.x) / radius;
      const dy = (y + 0.5 - sun.y) / radius;
      const square = dx * dx + dy * dy;
      if (square > 0.97) continue;
      const sea = smoothstep(0.5, 0.66, fractal(dx * 1.6 + 9, dy * 1.6 + 9, seed, 3));
      paintPixel(canvas, x, y, shade, clamp(0.55 * sea + 0.3 * square * square, 0, 0.7));
    }
  }
}

/** Northern lights: curtains that rise from a wandering line and fade upwards. */
function paintAurora(canvas: Canvas, scene: Scene): void {
  const { horizon, unit, random } = scene;
  const green: Colour = [110, 255, 190];
  const violet: Colour = [150, 110, 255];
  for (let curtain = 0; curtain < 2; curtain++) {
    const seed = random.seed();
    const base = horizon * random.between(0.5, 0.78);
    for (let x = 0; x < canvas.width; x++) {
      const along = x / unit;
      const foot = base + (noise(along * 2.2, 1, seed) - 0.5) * horizon * 0.45;
      const strength = smoothstep(0.25, 0.8, noise(along * 3, 5, seed)) * (0.55 + 0.45 * noise(along * 42, 9, seed));
      const length = horizon * (0.28 + 0.3 * noise(along * 12, 7, seed));
      const top = Math.max(0, Math.floor(foot - length));
      const bottom = Math.min(horizon, Math.ceil(foot + length * 0.08));
      for (let y = top; y < bottom; y++) {
        const up = (foot - y) / length;
        const fade = up < 0 ? 1 + up / 0.08 : (1 - up) * (1 - up);
        if (fade <= 0) continue;
        paintPixel(
          canvas,
          x,
          y,
          up > 0.45 ? violet : blend(green, violet, clamp(up / 0.45, 0, 1)),
          0.5 * strength * fade,
        );
      }
    }
  }
}
