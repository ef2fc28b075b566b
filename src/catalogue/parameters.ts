/** One parameter: its rule in words, and the check of a value against it. Nothing is clamped, nothing is coerced. */

import type { Parameter, ParameterExtras } from "./model.ts";
import type { ParameterFile } from "./schema.ts";
import {
  integerAbove,
  integerBelow,
  invalidType,
  invalidValue,
  notInList,
  numberOutside,
  shown,
  tooLong,
} from "./wording.ts";

type SizeRule = Extract<ParameterFile, { type: "size_rule" }>;

export interface Dimensions {
  width: number;
  height: number;
}

/** A parameter of a model file, made ready for checking. */
export function toParameter<File extends ParameterFile>(
  name: string,
  file: File,
  excludedBy: readonly string[] = [],
): File & ParameterExtras {
  return { ...file, name, rule: ruleInWords(file), excludedBy };
}

/** The rule in words, derived from the data so that the two cannot disagree. */
function ruleInWords(parameter: ParameterFile): string {
  switch (parameter.type) {
    case "enum":
    case "format":
    case "size":
    case "aspect_ratio":
      return `${parameter.values.length === 1 ? "only" : "one of"} ${parameter.values.join(", ")}`;
    case "integer":
      return parameter.minimum === parameter.maximum
        ? `only ${parameter.minimum}`
        : `integer from ${parameter.minimum} to ${parameter.maximum}`;
    case "number":
      return `number from ${parameter.minimum} to ${parameter.maximum}`;
    case "boolean":
      return "true or false";
    case "string":
      return parameter.max_length === undefined ? "string" : `string of at most ${parameter.max_length} characters`;
    case "image_url":
      return "https URL";
    case "seed": {
      const random = parameter.random_value === undefined ? "" : `; ${parameter.random_value} means random`;
      return `integer from 0 to ${parameter.maximum}; picture i of n uses seed + i, counted from 0${random}`;
    }
    case "size_rule":
      return `WIDTHxHEIGHT; ${sizeRuleInWords(parameter)}`;
  }
}

function sizeRuleInWords(parameter: SizeRule): string {
  return `width and height must both be divisible by ${parameter.divisible_by} and between ${parameter.min_side} and ${parameter.max_side}`;
}

/** Checks a given value (not null, not undefined); throws the `PublicError` to answer with. */
export function checkValue(parameter: Parameter, value: unknown): void {
  switch (parameter.type) {
    case "enum":
    case "format":
    case "size":
    case "aspect_ratio": {
      const text = asString(parameter.name, value);
      if (!(parameter.values as readonly string[]).includes(text))
        throw notInList(parameter.name, text, parameter.values);
      return;
    }
    case "integer":
      checkInteger(parameter.name, value, parameter.minimum, parameter.maximum);
      return;
    case "seed":
      checkInteger(parameter.name, value, 0, parameter.maximum);
      return;
    case "number":
      checkNumber(parameter.name, value, parameter.minimum, parameter.maximum);
      return;
    case "boolean":
      if (typeof value !== "boolean") throw invalidType(parameter.name, "a boolean", value);
      return;
    case "string":
      checkLength(parameter.name, asString(parameter.name, value), parameter.max_length);
      return;
    case "image_url":
      checkImageUrl(parameter.name, asString(parameter.name, value));
      return;
    case "size_rule":
      checkSizeRule(parameter, asString(parameter.name, value));
      return;
  }
}

export function asString(name: string, value: unknown): string {
  if (typeof value !== "string") throw invalidType(name, "a string", value);
  return value;
}

/** `maxLength` in Unicode code points. */
export function checkLength(name: string, text: string, maxLength: number | undefined): void {
  // A code point takes one or two UTF-16 units: a text no longer than the limit in units needs no counting.
  if (maxLength === undefined || text.length <= maxLength) return;
  let length = 0;
  for (const _codePoint of text) length += 1;
  if (length > maxLength) throw tooLong(name, maxLength, length);
}

function checkInteger(name: string, value: unknown, minimum: number, maximum: number): void {
  if (typeof value !== "number" || !Number.isInteger(value)) throw invalidType(name, "an integer", value);
  if (value < minimum) throw integerBelow(name, minimum, value);
  if (value > maximum) throw integerAbove(name, maximum, value);
}

function checkNumber(name: string, value: unknown, minimum: number, maximum: number): void {
  if (typeof value !== "number" || Number.isNaN(value)) throw invalidType(name, "a number", value);
  if (value < minimum || value > maximum) throw numberOutside(name, minimum, maximum, value);
}

function checkImageUrl(name: string, text: string): void {
  if (!URL.canParse(text) || new URL(text).protocol !== "https:") {
    throw invalidValue(name, `Invalid value: '${shown(text)}'. Expected an https URL.`);
  }
}

function checkSizeRule(parameter: Parameter & SizeRule, text: string): void {
  if (!/^[1-9]\d*x[1-9]\d*$/.test(text)) {
    throw invalidValue(
      parameter.name,
      `Invalid size '${shown(text)}'. Expected WIDTHxHEIGHT, for example '${parameter.example}'; ${sizeRuleInWords(parameter)}.`,
    );
  }
  const { width, height } = parsePair(text, "x");
  const fits = (side: number) =>
    side % parameter.divisible_by === 0 && side >= parameter.min_side && side <= parameter.max_side;
  if (!fits(width) || !fits(height)) {
    const words = sizeRuleInWords(parameter);
    throw invalidValue(parameter.name, `Invalid size '${shown(text)}'. W${words.slice(1)}.`);
  }
}

/** `1024x768` or `16:9` → its two numbers. The text has been checked. */
export function parsePair(text: string, separator: "x" | ":"): Dimensions {
  const [width, height] = text.split(separator);
  return { width: Number(width), height: Number(height) };
}
