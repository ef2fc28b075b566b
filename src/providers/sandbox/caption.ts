import type { Canvas } from "./canvas.ts";
import { addContours, newMask, paintMask } from "./coverage.ts";
import type { Contour } from "./font.ts";
import type { Typefaces } from "./fonts.ts";
import { blend, type Colour } from "./palettes.ts";
import { clamp, mix, smoothstep } from "./random.ts";
import { breakLines, type Line, lineOf, paintLine, shorten, signsOf } from "./typesetting.ts";

export type CaptionText = { prompt: string; model: string; label: string | undefined };

const WHITE: Colour = [255, 255, 255];
const LEADING = 1.34;
const TRACKING = 0.13;

/** Writes prompt, model and size at the foot of the picture over a darkening of `ground`, and the badge at its head. */
export function paintCaption(canvas: Canvas, text: CaptionText, typefaces: Typefaces, ground: Colour): void {
  const { width, height } = canvas;
  const shorter = Math.min(width, height);
  // Type follows the area, so that narrow pictures keep it readable.
  const scale = Math.sqrt(width * height);
  const margin = Math.round(Math.max(4, Math.min(shorter * 0.06, scale * 0.05)));
  const room = width - 2 * margin;
  const ink = blend(ground, [0, 0, 0], 0.35);

  const footSize = Math.max(8, scale * 0.0175);
  const foot = footLines(text, typefaces, canvas, room / footSize);
  // The smallest pictures have no place for a legible foot.
  const footHeight = shorter < 120 ? 0 : footSize * (0.9 + LEADING * foot.length);
  const block = fitPrompt(text.prompt, typefaces, room, scale, height - footHeight - margin * 2);
  const blockHeight = block.lines.length * block.size * LEADING;
  const top = height - margin - footHeight - blockHeight;

  darken(canvas, top - Math.max(block.size * 2.4, scale * 0.06), top + blockHeight * 0.5, ink);
  block.lines.forEach((line, i) => {
    paintLine(canvas, line, margin, top + block.size * (0.98 + i * LEADING), block.size, WHITE, 0.97);
  });
  if (footHeight > 0) {
    const rule = block.lines.length === 0 ? height : Math.round(top + blockHeight + footSize * 0.35);
    const thickness = Math.max(1, Math.round(scale / 900));
    for (let y = rule; y < Math.min(height, rule + thickness); y++)
      tintRow(canvas, y, WHITE, 0.22, margin, width - margin);
    foot.forEach((line, i) => {
      const baseline = height - margin - footSize * (0.2 + (foot.length - 1 - i) * LEADING);
      paintLine(canvas, line, margin, baseline, footSize, WHITE, 0.72);
    });
  }
  paintBadges(canvas, text.label, typefaces, ink, margin, scale);
}

/** Model and size on one line, or on two when the picture is narrow. */
function footLines(text: CaptionText, typefaces: Typefaces, canvas: Canvas, room: number): Line[] {
  const size = `${canvas.width} × ${canvas.height}`;
  const whole = lineOf(signsOf(`${text.model}  ·  ${size}`, typefaces.text));
  if (whole.width <= room) return [whole];
  return [text.model, size].map((part) => shorten(signsOf(part, typefaces.text), room, typefaces.text));
}

/** The largest type in which the prompt takes a fair share of the picture; in the smallest, the prompt is cut. */
function fitPrompt(
  prompt: string,
  typefaces: Typefaces,
  room: number,
  scale: number,
  space: number,
): { lines: Line[]; size: number } {
  const signs = signsOf(prompt, typefaces.text);
  const smallest = Math.max(8, scale * 0.02);
  const largest = Math.max(smallest, Math.min(scale * 0.046, room / 7));
  for (let size = largest; ; size *= 0.9) {
    const last = size * 0.9 < smallest;
    const share = mix(0.4, 0.2, clamp((size - smallest) / Math.max(1, largest - smallest), 0, 1));
    const most = Math.max(1, Math.floor((space * share) / (size * LEADING)));
    const { lines, complete } = breakLines(signs, room / size, most, typefaces.text);
    if (complete || last) return { lines, size };
  }
}

/** Darkens the canvas from nothing at `from` to the full veil at `to` and below. */
function darken(canvas: Canvas, from: number, to: number, ink: Colour): void {
  for (let y = Math.max(0, Math.floor(from)); y < canvas.height; y++) {
    tintRow(canvas, y, ink, 0.74 * smoothstep(from, to, y), 0, canvas.width);
  }
}

function tintRow(canvas: Canvas, y: number, colour: Colour, alpha: number, from: number, to: number): void {
  const { pixels, width } = canvas;
  const keep = 1 - alpha;
  const red = colour[0] * alpha + 0.5;
  const green = colour[1] * alpha + 0.5;
  const blue = colour[2] * alpha + 0.5;
  const end = (y * width + to) * 3;
  for (let at = (y * width + from) * 3; at < end; at += 3) {
    pixels[at] = (pixels[at] ?? 0) * keep + red;
    pixels[at + 1] = (pixels[at + 1] ?? 0) * keep + green;
    pixels[at + 2] = (pixels[at + 2] ?? 0) * keep + blue;
  }
}

function paintBadges(
  canvas: Canvas,
  label: string | undefined,
  typefaces: Typefaces,
  ink: Colour,
  margin: number,
  scale: number,
): void {
  const word = lineOf(signsOf("SANDBOX", typefaces.bold), TRACKING);
  const room = canvas.width - 2 * margin;
  // 1.5 ems of padding; the badge must fit every width.
  const size = Math.min(Math.max(9, scale * 0.0185), room / (word.width + 1.5));
  const badge = (line: Line, x: number, tracking: number) => {
    const wide = (line.width - tracking + 1.5) * size;
    const left = x < 0 ? canvas.width - margin - wide : x;
    paintPill(canvas, left, margin, wide, size * 1.95, ink, 0.6);
    paintLine(canvas, line, left + size * 0.75, margin + size * 1.335, size, WHITE, 0.95, tracking);
    return wide;
  };
  const taken = badge(word, margin, TRACKING);
  if (label === undefined) return;
  const note = lineOf(signsOf(label, typefaces.bold), 0.03);
  const free = room - taken - size * 0.6;
  if (note.signs.length > 0 && (note.width + 1.5) * size <= free) badge(note, -1, 0.03);
}

/** A rectangle with round ends. */
function paintPill(
  canvas: Canvas,
  x: number,
  y: number,
  width: number,
  height: number,
  colour: Colour,
  alpha: number,
): void {
  const r = height / 2;
  // Two quadratic curves a corner come close enough to a circle.
  const bend = r * 0.4142;
  const corner = (cx: number, cy: number, ax: number, ay: number, bx: number, by: number): Contour => {
    const on = (px: number, py: number) => ({ x: px, y: py, onCurve: true });
    const off = (px: number, py: number) => ({ x: px, y: py, onCurve: false });
    const middle = on(cx + (ax + bx) * Math.SQRT1_2 * r, cy + (ay + by) * Math.SQRT1_2 * r);
    return [
      on(cx + ax * r, cy + ay * r),
      off(cx + ax * r + bx * bend, cy + ay * r + by * bend),
      middle,
      off(cx + bx * r + ax * bend, cy + by * r + ay * bend),
      on(cx + bx * r, cy + by * r),
    ];
  };
  const contour = [
    ...corner(width - r, r, 0, -1, 1, 0),
    ...corner(width - r, height - r, 1, 0, 0, 1),
    ...corner(r, height - r, 0, 1, -1, 0),
    ...corner(r, r, -1, 0, 0, -1),
  ].map((point) => ({ ...point, y: -point.y }));
  const mask = newMask(Math.floor(x) - 1, Math.floor(y) - 1, Math.ceil(width) + 3, Math.ceil(height) + 3);
  addContours(mask, [contour], x, y, 1);
  paintMask(canvas, mask, colour, alpha);
}
