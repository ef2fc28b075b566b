/** The words of refusals, as OpenAI's own API puts them (upstream-apis.md §2.6); where nothing is recorded, in the same pattern. */

import { PublicError } from "../errors.ts";

/** A refusal repeats what the client sent, but not megabytes of it. */
const shownCodePoints = 64;

export function shown(text: string): string {
  // Two UTF-16 units per code point at most: whatever is shorter than the limit needs no counting.
  if (text.length <= shownCodePoints) return text;
  const points = Array.from(text.slice(0, 2 * (shownCodePoints + 1)));
  return points.length <= shownCodePoints ? text : `${points.slice(0, shownCodePoints).join("")}…`;
}

/** `'a'`, `'a' and 'b'`, `'a', 'b', and 'c'`. */
export function quotedList(values: readonly string[]): string {
  const quoted = values.map((value) => `'${value}'`);
  if (quoted.length <= 2) return quoted.join(" and ");
  return `${quoted.slice(0, -1).join(", ")}, and ${quoted.at(-1)}`;
}

function typeInWords(value: unknown): string {
  if (value === null) return "null";
  if (Array.isArray(value)) return "an array";
  if (typeof value === "number") return Number.isInteger(value) ? "an integer" : "a decimal number";
  if (typeof value === "object") return "an object";
  return `a ${typeof value}`;
}

export function missing(param: string): PublicError {
  return new PublicError("missing_required_parameter", `Missing required parameter: '${param}'.`, { param });
}

export function unknownParameter(name: string): PublicError {
  return new PublicError("unknown_parameter", `Unknown parameter: '${shown(name)}'.`, { param: shown(name) });
}

/** `expected` with its article: `an integer`. */
export function invalidType(param: string, expected: string, value: unknown): PublicError {
  const message = `Invalid type for '${param}': expected ${expected}, but got ${typeInWords(value)} instead.`;
  return new PublicError("invalid_type", message, { param });
}

export function notAnObject(body: unknown): PublicError {
  return new PublicError(
    "invalid_type",
    `Invalid type for the request body: expected an object, but got ${typeInWords(body)} instead.`,
  );
}

export function invalidValue(param: string, message: string): PublicError {
  return new PublicError("invalid_value", message, { param });
}

export function notInList(param: string, value: string, values: readonly string[]): PublicError {
  return invalidValue(param, `Invalid value: '${shown(value)}'. Supported values are: ${quotedList(values)}.`);
}

export function conflict(param: string, other: string): PublicError {
  const message = `Invalid '${param}': it cannot be combined with '${other}'. Drop '${other}' to use '${param}', or drop '${param}' to use '${other}'.`;
  return invalidValue(param, message);
}

export function emptyString(param: string): PublicError {
  const message = `Invalid '${param}': empty string. Expected a string with minimum length 1, but got an empty string instead.`;
  return new PublicError("empty_string", message, { param });
}

/** Lengths in Unicode code points. */
export function tooLong(param: string, maxLength: number, length: number): PublicError {
  const message = `Invalid '${param}': string too long. Expected a string with maximum length ${maxLength}, but got a string with length ${length} instead.`;
  return new PublicError("string_above_max_length", message, { param });
}

export function integerBelow(param: string, minimum: number, value: number): PublicError {
  const message = `Invalid '${param}': integer below minimum value. Expected a value >= ${minimum}, but got ${value} instead.`;
  return new PublicError("integer_below_min_value", message, { param });
}

export function integerAbove(param: string, maximum: number, value: number): PublicError {
  const message = `Invalid '${param}': integer above maximum value. Expected a value <= ${maximum}, but got ${value} instead.`;
  return new PublicError("integer_above_max_value", message, { param });
}

/** The error table has no codes of its own for decimals, so a number out of bounds is an `invalid_value`. */
export function numberOutside(param: string, minimum: number, maximum: number, value: number): PublicError {
  const [side, bound] = value < minimum ? ["below minimum", `>= ${minimum}`] : ["above maximum", `<= ${maximum}`];
  return invalidValue(
    param,
    `Invalid '${param}': number ${side} value. Expected a value ${bound}, but got ${value} instead.`,
  );
}

export function emptyArray(param: string): PublicError {
  return invalidValue(
    param,
    `Invalid '${param}': empty array. Expected an array with minimum length 1, but got an empty array instead.`,
  );
}

export function arrayTooLong(param: string, maxLength: number, length: number): PublicError {
  return invalidValue(
    param,
    `Invalid '${param}': array too long. Expected an array with maximum length ${maxLength}, but got an array with length ${length} instead.`,
  );
}

export function invalidImage(param: string, message: string): PublicError {
  return new PublicError("invalid_image_file", message, { param });
}

/** What a value needs beside it: `Invalid 'output_compression': it needs 'output_format' to be 'webp' or 'jpeg', but that is 'png'.` */
export function needsOther(
  param: string,
  value: string | undefined,
  other: string,
  oneOf: readonly (string | number | boolean)[],
  got: unknown,
): PublicError {
  const word = (one: unknown) => (typeof one === "string" ? `'${shown(one)}'` : String(one));
  const what = value === undefined ? "it" : word(value);
  const actual = got === undefined ? "not given" : word(got);
  return invalidValue(
    param,
    `Invalid '${param}': ${what} needs '${other}' to be ${oneOf.map(word).join(" or ")}, but that is ${actual}.`,
  );
}
