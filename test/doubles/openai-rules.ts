/**
 * What OpenAI accepts, in the order in which it looks (upstream-apis.md §2.6 [M]): model, unknown keys, prompt, n, the
 * rest with `quality` before `output_compression` and `size` after it. The first defect is the answer.
 */
import { imageUserError, invalid, noSuchModel, type OpenAiError } from "./openai-errors.ts";
import { type GptModel, type LegacyModel, OPENAI_MODELS, type OpenAiModel } from "./openai-models.ts";
import type { PictureType } from "./picture.ts";

type Body = Record<string, unknown>;

/** A request that passed, with every default filled in and nothing resolved yet. */
export interface LegacyOrder {
  model: LegacyModel;
  prompt: string;
  n: number;
  size: string;
  responseFormat: "url" | "b64_json";
}

export interface GptOrder {
  model: GptModel;
  prompt: string;
  n: number;
  size: string;
  quality: string;
  background: string;
  outputFormat: PictureType;
  stream: boolean;
  safetyIdentifier: string | undefined;
}

/** Thrown by the checks below and caught in one place, so that the order of the checks reads from top to bottom. */
export class Refused extends Error {
  readonly error: OpenAiError;
  constructor(error: OpenAiError) {
    super(error.message);
    this.error = error;
  }
}

function refuse(error: OpenAiError): never {
  throw new Refused(error);
}

export function checkModel(body: Body, live: ReadonlySet<string>): OpenAiModel {
  const { model } = body;
  if (model === undefined)
    refuse(invalid("missing_required_parameter", "model", "Missing required parameter: 'model'.")); // [U] words
  if (typeof model !== "string") refuse(wrongType("model", "a string", model));
  const facts = OPENAI_MODELS.find(({ id }) => id === model);
  if (!facts || !live.has(model)) refuse(noSuchModel(model));
  return facts;
}

const LEGACY_KEYS = ["model", "prompt", "n", "size", "quality", "response_format", "user"];

export function checkLegacy(body: Body, model: LegacyModel): LegacyOrder {
  // dall-e-2 has no `style` at all, §2.2.
  refuseUnknown(body, model.styles.length > 0 ? [...LEGACY_KEYS, "style"] : LEGACY_KEYS);
  const prompt = checkPrompt(body, model.promptMax);
  const n = checkInteger(body, "n", 1, model.maxImages === 1 ? Number.MAX_SAFE_INTEGER : model.maxImages) ?? 1;
  // dall-e-3 has words of its own [M].
  if (n > model.maxImages) refuse(invalid(null, null, "You must provide n=1 for this model."));
  oneOf(body, "quality", model.qualities);
  if (model.styles.length > 0) oneOf(body, "style", model.styles);
  const responseFormat = oneOf(body, "response_format", ["url", "b64_json"]) ?? "url";
  text(body, "user");
  const size = text(body, "size") ?? "1024x1024";
  if (!model.sizes.includes(size)) refuse(legacySize(model, size));
  return { model, prompt, n, size, responseFormat: responseFormat === "url" ? "url" : "b64_json" };
}

/** Both wordings are captured [M] without saying when which appears: here each model has one. */
function legacySize(model: LegacyModel, size: string): OpenAiError {
  if (model.id === "dall-e-2") return invalid("invalid_size", "size", "The size is not supported by this model.");
  return invalid(null, null, `'${size}' is not one of [${model.sizes.map((name) => `'${name}'`).join(", ")}] - 'size'`);
}

/**
 * gif and svg are gated previews of 2.6 (§2.2): the account this double plays has neither, so their formats are
 * refused as values and their own parameters (`frame_count`, `frame_duration_ms`, `svg`) as unknown.
 */
const GPT_KEYS = [
  ...["model", "prompt", "n", "size", "quality", "background", "output_format", "output_compression", "moderation"],
  ...["stream", "partial_images", "safety_identifier", "user"],
];

export function checkGpt(body: Body, model: GptModel): GptOrder {
  refuseUnknown(body, model.hasComplexity ? [...GPT_KEYS, "complexity"] : GPT_KEYS);
  const prompt = checkPrompt(body, 32_000);
  const n = checkInteger(body, "n", 1, 10) ?? 1;
  const quality = oneOf(body, "quality", model.qualities) ?? "auto";
  const background = oneOf(body, "background", ["transparent", "opaque", "auto"]) ?? "auto";
  const outputFormat = oneOf(body, "output_format", ["png", "webp", "jpeg"]) ?? "png";
  oneOf(body, "moderation", ["auto", "low"]);
  if (model.hasComplexity) oneOf(body, "complexity", ["low", "medium", "high"]);
  const stream = boolean(body, "stream") ?? false;
  checkInteger(body, "partial_images", 0, 3);
  const safetyIdentifier = text(body, "safety_identifier");
  text(body, "user");
  const compression = checkInteger(body, "output_compression", 0, 100);
  if (outputFormat === "png" && compression !== undefined && compression < 100) {
    const message = "Compression less than 100 is not supported for PNG output format"; // [U] words; the rule is [S]
    refuse(imageUserError("invalid_value", "output_compression", message));
  }
  if (background === "transparent" && outputFormat === "jpeg") {
    const message = "Transparent background is not supported for JPEG output format";
    refuse(imageUserError("invalid_value", "background", message));
  }
  const size = model.sizes ? (oneOf(body, "size", model.sizes) ?? "auto") : (text(body, "size") ?? "auto");
  if (!model.sizes && size !== "auto") checkFlexibleSize(size);
  const type = outputFormat === "jpeg" ? "jpeg" : outputFormat === "webp" ? "webp" : "png";
  return { model, prompt, n, size, quality, background, outputFormat: type, stream, safetyIdentifier };
}

/** §2.3 and the messages of §2.6 [M]; only the ratio's words are [U]. */
function checkFlexibleSize(size: string): void {
  const why = sizeDefect(size);
  if (why) refuse(imageUserError("invalid_value", "size", `Invalid size '${size}'. ${why}`));
}

function sizeDefect(size: string): string | undefined {
  const match = /^(\d+)x(\d+)$/.exec(size);
  if (!match) return "Expected WIDTHxHEIGHT, for example '1824x1024'.";
  const width = Number(match[1]);
  const height = Number(match[2]);
  const longest = Math.max(width, height);
  if (width % 16 !== 0 || height % 16 !== 0) return "Width and height must both be divisible by 16.";
  if (longest > 3840) return "The longest edge must be less than or equal to 3840.";
  if (longest > 3 * Math.min(width, height)) return "The aspect ratio must be between 1:3 and 3:1.";
  if (width * height < 655_360) return "Requested resolution is below the current minimum pixel budget.";
  if (width * height > 8_294_400) return "Requested resolution exceeds the current pixel budget.";
  return undefined;
}

function refuseUnknown(body: Body, known: readonly string[]): void {
  const stranger = Object.keys(body).find((key) => !known.includes(key));
  if (stranger !== undefined) refuse(invalid("unknown_parameter", stranger, `Unknown parameter: '${stranger}'.`));
}

/** null is not "omitted" here. Whitespace alone is a prompt, and billed [M]. */
function checkPrompt(body: Body, maxLength: number): string {
  const { prompt } = body;
  if (prompt === undefined)
    refuse(invalid("missing_required_parameter", "prompt", "Missing required parameter: 'prompt'.")); // [U] words
  if (typeof prompt !== "string") refuse(wrongType("prompt", "a string", prompt));
  if (prompt === "") {
    const message =
      "Invalid 'prompt': empty string. Expected a string with minimum length 1, but got an empty string instead."; // [U] words
    refuse(invalid("empty_string", "prompt", message));
  }
  const length = [...prompt].length; // code points [U]: OpenAI's servers count Python characters
  if (length > maxLength) {
    const message = `Invalid 'prompt': string too long. Expected a string with maximum length ${maxLength}, but got a string with length ${length} instead.`;
    refuse(invalid("string_above_max_length", "prompt", message));
  }
  return prompt;
}

function checkInteger(body: Body, field: string, min: number, max: number): number | undefined {
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

function oneOf(body: Body, field: string, allowed: readonly string[]): string | undefined {
  const value = text(body, field);
  if (value === undefined || allowed.includes(value)) return value;
  return refuse(
    invalid("invalid_value", field, `Invalid value: '${value}'. Supported values are: ${listed(allowed)}.`),
  );
}

/** `'auto' and 'low'`, or `'low', 'medium', 'high', and 'auto'` [M]; a single value is [U]. */
function listed(values: readonly string[]): string {
  const quoted = values.map((value) => `'${value}'`);
  if (quoted.length <= 2) return quoted.join(" and ");
  return `${quoted.slice(0, -1).join(", ")}, and ${quoted.at(-1)}`;
}

function text(body: Body, field: string): string | undefined {
  const value = given(body, field);
  return value === undefined || typeof value === "string" ? value : refuse(wrongType(field, "a string", value));
}

function boolean(body: Body, field: string): boolean | undefined {
  const value = given(body, field);
  return value === undefined || typeof value === "boolean" ? value : refuse(wrongType(field, "a boolean", value));
}

/** Only for these does null mean omitted [M]. */
const NULLABLE = ["n", "quality", "size", "stream", "partial_images", "output_compression"];

function given(body: Body, field: string): unknown {
  const value = body[field];
  return value === null && NULLABLE.includes(field) ? undefined : value;
}

function wrongType(field: string, expected: string, value: unknown): OpenAiError {
  const message = `Invalid type for '${field}': expected ${expected}, but got ${typeName(value)} instead.`;
  return invalid("invalid_type", field, message);
}

function typeName(value: unknown): string {
  if (value === null) return "null";
  if (Array.isArray(value)) return "an array";
  if (typeof value === "number") return Number.isInteger(value) ? "an integer" : "a decimal number";
  return typeof value === "boolean" ? "a boolean" : typeof value === "string" ? "a string" : "an object";
}
