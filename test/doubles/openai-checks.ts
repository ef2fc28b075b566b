/** The checks of single fields that OpenAI's rules are made of, in OpenAI's words (upstream-apis.md §2.6). */
import { invalid, type OpenAiError } from "./openai-errors.ts";

export type Body = Record<string, unknown>;

/** Thrown by the checks below and caught in one place, so that the order of the checks reads from top to bottom. */
export class Refused extends Error {
  readonly error: OpenAiError;
  constructor(error: OpenAiError) {
    super(error.message);
    this.error = error;
  }
}

/** A multipart text where a number or a boolean belongs, and that is none. */
export class Unconverted {
  readonly wanted: string;
  constructor(wanted: string) {
    this.wanted = wanted;
  }
}

export function refuse(error: OpenAiError): never {
  throw new Refused(error);
}

/** `wording` may have words of its own for a key. */
export function refuseUnknown(
  body: Body,
  known: readonly string[],
  wording?: (key: string) => OpenAiError | undefined,
): void {
  const stranger = Object.keys(body).find((key) => !known.includes(key));
  if (stranger === undefined) return;
  refuse(wording?.(stranger) ?? unknownParameter(stranger));
}

export function unknownParameter(name: string): OpenAiError {
  return invalid("unknown_parameter", name, `Unknown parameter: '${name}'.`);
}

export function missing(field: string): OpenAiError {
  return invalid("missing_required_parameter", field, `Missing required parameter: '${field}'.`); // [U] words
}

export function checkInteger(body: Body, field: string, min: number, max: number): number | undefined {
  const value = given(body, field);
  if (value === undefined) return undefined;
  if (typeof value !== "number" || !Number.isInteger(value)) return refuse(wrongType(field, "an integer", value));
  if (value < min) {
    const message = `Invalid '${field}': integer below minimum value. Expected a value >= ${min}, but got ${value} instead.`;
    refuse(invalid("integer_below_min_value", field, message));
  }
  if (value > max) {
    const message = `Invalid '${field}': integer above maximum value. Expected a value <= ${max}, but got ${value} instead.`;
    refuse(invalid("integer_above_max_value", field, message));
  }
  return value;
}

/** `path`: the field's full name, where it lies within another. */
export function oneOf(body: Body, field: string, allowed: readonly string[], path: string = field): string | undefined {
  const value = given(body, field);
  if (value === undefined) return undefined;
  if (typeof value !== "string") return refuse(wrongType(path, `one of ${listed(allowed, "or")}`, value));
  if (allowed.includes(value)) return value;
  const message = `Invalid value: '${value}'. Supported values are: ${listed(allowed, "and")}.`;
  return refuse(invalid("invalid_value", path, message));
}

/** `'auto' and 'low'`, or `'low', 'medium', 'high', and 'auto'` [M]; a single value is [U]. */
function listed(values: readonly string[], word: "and" | "or"): string {
  const quoted = values.map((value) => `'${value}'`);
  if (quoted.length <= 2) return quoted.join(` ${word} `);
  return `${quoted.slice(0, -1).join(", ")}, ${word} ${quoted.at(-1)}`;
}

export function text(body: Body, field: string): string | undefined {
  const value = given(body, field);
  return value === undefined || typeof value === "string" ? value : refuse(wrongType(field, "a string", value));
}

export function boolean(body: Body, field: string): boolean | undefined {
  const value = given(body, field);
  return value === undefined || typeof value === "boolean" ? value : refuse(wrongType(field, "a boolean", value));
}

/** For these null means omitted: the first row [M], the second by the vendor's own client types [S]. For no other. */
const NULLABLE = [
  ...["n", "quality", "size", "stream", "partial_images", "output_compression", "mask"],
  ...["safety_identifier", "complexity", "frame_count", "frame_duration_ms", "svg", "reasoning", "effort"],
];

export function given(body: Body, field: string): unknown {
  const value = body[field];
  return value === null && NULLABLE.includes(field) ? undefined : value;
}

export function wrongType(field: string, expected: string, value: unknown): OpenAiError {
  const start = `Invalid type for '${field}': expected ${expected}, but got`;
  const end =
    value instanceof Unconverted
      ? `a string value that could not be converted into ${value.wanted}.`
      : `${typeName(value)} instead.`;
  return invalid("invalid_type", field, `${start} ${end}`);
}

function typeName(value: unknown): string {
  if (value === null) return "null";
  if (Array.isArray(value)) return "an array";
  if (typeof value === "number") return Number.isInteger(value) ? "an integer" : "a decimal number";
  return typeof value === "boolean" ? "a boolean" : typeof value === "string" ? "a string" : "an object";
}
