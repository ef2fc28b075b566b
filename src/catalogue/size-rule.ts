/** Pixel sizes that fit a rule: in words, and checked. */

import type { ParameterFile } from "./schema.ts";
import { invalidValue, shown } from "./wording.ts";

export type SizeRule = Extract<ParameterFile, { type: "size_rule" }>;

export interface Dimensions {
  width: number;
  height: number;
}

const form = /^[1-9]\d*x[1-9]\d*$/;

/** `1024x768` or `16:9` → its two numbers. The text has been checked. */
export function parsePair(text: string, separator: "x" | ":"): Dimensions {
  const [width, height] = text.split(separator);
  return { width: Number(width), height: Number(height) };
}

/** A size as two numbers; null for `auto`, and for what is no size. */
export function parseSize(value: unknown): Dimensions | null {
  return typeof value === "string" && form.test(value) ? parsePair(value, "x") : null;
}

export function sizeRuleInWords(rule: SizeRule): string {
  const { min_pixels: fewest, max_pixels: most, max_ratio: ratio } = rule;
  const pixels =
    fewest !== undefined && most !== undefined
      ? `; from ${fewest} to ${most} pixels in all`
      : most !== undefined
        ? `; at most ${most} pixels in all`
        : fewest !== undefined
          ? `; at least ${fewest} pixels in all`
          : "";
  return `width and height must both be divisible by ${rule.divisible_by} and between ${rule.min_side} and ${rule.max_side}${ratio === undefined ? "" : `; from 1:${ratio} to ${ratio}:1`}${pixels}`;
}

/** Throws the `PublicError` to answer with. */
export function checkSizeRule(name: string, rule: SizeRule, text: string): void {
  if (rule.auto === true && text === "auto") return;
  // Rules with pixels are OpenAI's kind, and refused in its words: one sentence for each (upstream-apis.md §2.6).
  const inVendorsWords = rule.min_pixels !== undefined || rule.max_pixels !== undefined || rule.max_ratio !== undefined;
  const refuse = (sentence: string) => invalidValue(name, `Invalid size '${shown(text)}'. ${sentence}`);
  if (!form.test(text)) {
    const example = `Expected WIDTHxHEIGHT, for example '${rule.example}'`;
    throw refuse(inVendorsWords ? `${example}.` : `${example}; ${sizeRuleInWords(rule)}.`);
  }
  const size = parsePair(text, "x");
  if (inVendorsWords) {
    const sentence = firstDefect(rule, size);
    if (sentence !== null) throw refuse(sentence);
    return;
  }
  const fits = (side: number) => side % rule.divisible_by === 0 && side >= rule.min_side && side <= rule.max_side;
  if (!fits(size.width) || !fits(size.height)) throw refuse(`W${sizeRuleInWords(rule).slice(1)}.`);
}

function firstDefect(rule: SizeRule, { width, height }: Dimensions): string | null {
  const longest = Math.max(width, height);
  const shortest = Math.min(width, height);
  const pixels = width * height;
  if (width % rule.divisible_by !== 0 || height % rule.divisible_by !== 0)
    return `Width and height must both be divisible by ${rule.divisible_by}.`;
  if (longest > rule.max_side) return `The longest edge must be less than or equal to ${rule.max_side}.`;
  if (shortest < rule.min_side) return `The shortest edge must be greater than or equal to ${rule.min_side}.`;
  if (rule.max_ratio !== undefined && longest > shortest * rule.max_ratio)
    return `The aspect ratio must be between 1:${rule.max_ratio} and ${rule.max_ratio}:1.`;
  if (rule.min_pixels !== undefined && pixels < rule.min_pixels)
    return "Requested resolution is below the current minimum pixel budget.";
  if (rule.max_pixels !== undefined && pixels > rule.max_pixels)
    return "Requested resolution exceeds the current pixel budget.";
  return null;
}
