import type { Canvas } from "./canvas.ts";
import { addContours, newMask, paintMask } from "./coverage.ts";
import type { Contour, Font } from "./font.ts";
import type { Typeface } from "./fonts.ts";
import type { Colour } from "./palettes.ts";

/** One character as it will be drawn; `advance` in ems. */
export type Sign = { code: number; font: Font | undefined; glyph: number; advance: number };

export type Line = { signs: readonly Sign[]; width: number };

const SPACE = 32;
/** An empty box, drawn in place of letters that no bundled font has. */
const BOX: Sign = { code: 0x25a1, font: boxFont(), glyph: 1, advance: 0.8 };
const MOST_SIGNS = 1600;

/**
 * The signs of a text. White space is collapsed; what has no shape of its own (controls, marks of direction, emoji parts)
 * is left out; an unknown letter is a box. At most 1,600 signs are made, more than any picture shows.
 */
export function signsOf(text: string, typeface: Typeface): Sign[] {
  const signs: Sign[] = [];
  let unknown = false;
  // The cut bounds the work for prompts of any length.
  for (const character of text.slice(0, 6000).normalize("NFC")) {
    if (signs.length >= MOST_SIGNS) break;
    const code = character.codePointAt(0) ?? SPACE;
    if (/\s/u.test(character)) {
      if (signs.length > 0 && signs.at(-1)?.code !== SPACE) signs.push(signOf(SPACE, typeface));
      unknown = false;
      continue;
    }
    if (/[\p{C}\p{M}\p{Extended_Pictographic}\p{Emoji_Modifier}\p{Regional_Indicator}]/u.test(character)) {
      if (!hasGlyph(code, typeface) || /[\p{C}\p{M}]/u.test(character)) continue;
    }
    if (hasGlyph(code, typeface)) {
      signs.push(signOf(code, typeface));
      unknown = false;
    } else if (!unknown && /[\p{L}\p{N}]/u.test(character)) {
      // One box for a run of them: a row of boxes says no more.
      signs.push(BOX);
      unknown = true;
    }
  }
  while (signs.at(-1)?.code === SPACE) signs.pop();
  return signs;
}

function boxFont(): Font {
  const square = (low: number, high: number): Contour => [
    { x: low, y: low - 100, onCurve: true },
    { x: high, y: low - 100, onCurve: true },
    { x: high, y: high - 100, onCurve: true },
    { x: low, y: high - 100, onCurve: true },
  ];
  // The inner square runs the other way round and so cuts a hole.
  const contours = [square(100, 800), square(165, 735).reverse()];
  return { unitsPerEm: 1000, glyphOf: () => 1, advanceOf: () => 800, contoursOf: () => contours };
}

function hasGlyph(code: number, typeface: Typeface): boolean {
  return typeface.some((font) => font.glyphOf(code) !== 0);
}

function signOf(code: number, typeface: Typeface): Sign {
  for (const font of typeface) {
    const glyph = font.glyphOf(code);
    if (glyph !== 0) return { code, font, glyph, advance: font.advanceOf(glyph) / font.unitsPerEm };
  }
  return { code, font: undefined, glyph: 0, advance: 0.3 };
}

export function lineOf(signs: readonly Sign[], spacing = 0): Line {
  return { signs, width: signs.reduce((sum, sign) => sum + sign.advance + spacing, 0) };
}

/**
 * Breaks signs into lines of at most `width` ems: at spaces and hyphens, between any two Chinese, Japanese or Korean
 * characters unless punctuation forbids it, and anywhere in a word that is longer than a line. When more than `most` lines
 * would be needed, the last one ends in an ellipsis and `complete` is false.
 */
export function breakLines(
  signs: readonly Sign[],
  width: number,
  most: number,
  typeface: Typeface,
): { lines: Line[]; complete: boolean } {
  const lines: Line[] = [];
  let start = 0;
  while (start < signs.length) {
    if (lines.length === most) {
      const last = lines[most - 1];
      const from = start - (last?.signs.length ?? 0);
      lines[most - 1] = shorten(signs.slice(Math.max(0, from)), width, typeface);
      return { lines, complete: false };
    }
    const end = endOfLine(signs, start, width);
    const next = end;
    let trimmed = end;
    while (trimmed > start && signs[trimmed - 1]?.code === SPACE) trimmed--;
    lines.push(lineOf(signs.slice(start, trimmed)));
    start = next;
    while (signs[start]?.code === SPACE) start++;
  }
  return { lines, complete: true };
}

/** As much of the signs as fits `width` ems, with an ellipsis when that is not all. */
export function shorten(signs: readonly Sign[], width: number, typeface: Typeface): Line {
  const whole = lineOf(signs);
  if (whole.width <= width) return whole;
  const ellipsis = signOf(0x2026, typeface);
  const kept: Sign[] = [];
  let sum = ellipsis.advance;
  for (const sign of signs) {
    sum += sign.advance;
    if (sum > width) break;
    kept.push(sign);
  }
  while (kept.at(-1)?.code === SPACE) kept.pop();
  return lineOf([...kept, ellipsis]);
}

function endOfLine(signs: readonly Sign[], start: number, width: number): number {
  let sum = 0;
  let chance = start;
  for (let i = start; i < signs.length; i++) {
    const sign = signs[i];
    if (sign === undefined) break;
    if (i > start && mayBreak(signs[i - 1], sign)) chance = i;
    sum += sign.advance;
    // A space may hang over the edge.
    if (sum > width && sign.code !== SPACE) return chance > start ? chance : Math.max(start + 1, i);
  }
  return signs.length;
}

const CLOSING = new Set(
  [..."、。，．：；！？）」』】》〉〕］｝…—～・ー,.:;!?)]}%’”ぁぃぅぇぉっゃゅょァィゥェォッャュョ々"].map((c) =>
    c.codePointAt(0),
  ),
);
const OPENING = new Set([..."（「『【《〈〔［｛([{‘“"].map((c) => c.codePointAt(0)));

function mayBreak(before: Sign | undefined, after: Sign): boolean {
  if (before === undefined) return false;
  if (before.code === SPACE) return true;
  if (before.code === 0x2d || before.code === 0x2f) return after.code > SPACE;
  if (CLOSING.has(after.code) || OPENING.has(before.code)) return false;
  return isWide(before.code) || isWide(after.code);
}

/** Characters of the scripts that are written without spaces. */
function isWide(code: number): boolean {
  return (
    code >= 0x2e80 &&
    (code <= 0xd7ff || (code >= 0xf900 && code <= 0xfaff) || (code >= 0xff00 && code <= 0xffef) || code >= 0x20000)
  );
}

/** Draws a line with its baseline at `y`; `size` is the em in pixels, `spacing` in ems. */
export function paintLine(
  canvas: Canvas,
  line: Line,
  x: number,
  y: number,
  size: number,
  colour: Colour,
  alpha: number,
  spacing = 0,
): void {
  const left = Math.floor(x - size * 0.2);
  const top = Math.floor(y - size * 1.1);
  const mask = newMask(left, top, Math.ceil(line.width * size + size * 0.6), Math.ceil(size * 1.5));
  let pen = x;
  for (const sign of line.signs) {
    if (sign.font !== undefined && sign.code !== SPACE) {
      addContours(mask, sign.font.contoursOf(sign.glyph), pen, y, size / sign.font.unitsPerEm);
    }
    pen += (sign.advance + spacing) * size;
  }
  paintMask(canvas, mask, colour, alpha);
}
