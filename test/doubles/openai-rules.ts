/**
 * What OpenAI accepts, in the order in which it looks (upstream-apis.md §2.6 [M]): model, unknown keys, prompt, images,
 * n, the rest with `quality` before `output_compression` and `size` after it. The first defect is the answer.
 */
import {
  type Body,
  boolean,
  checkInteger,
  given,
  missing,
  oneOf,
  refuse,
  refuseUnknown,
  text,
  wrongType,
} from "./openai-checks.ts";
import { imageUserError, invalid, noSuchModel, type OpenAiError } from "./openai-errors.ts";
import { type GptModel, type LegacyModel, OPENAI_MODELS, type OpenAiModel } from "./openai-models.ts";
import type { OutputType } from "./picture.ts";

export { Refused } from "./openai-checks.ts";

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
  outputFormat: OutputType;
  stream: boolean;
  partialImages: number;
  frameCount: number;
  frameDurationMs: number;
  /** Who writes the SVG; undefined for every other format. */
  svgModel: string | undefined;
  /** The effective one: `safety_identifier` where it is not empty, else `user` [S]. */
  safetyIdentifier: string | undefined;
}

/** What an edit has more than a generation. */
export interface EditPart {
  keys: readonly string[];
  unknownKey: (key: string) => OpenAiError | undefined;
  /** Looks at images and mask; after the prompt, before n. */
  checkImages: () => void;
  hasMask: () => boolean;
}

export function checkModel(body: Body, live: ReadonlySet<string>): OpenAiModel {
  const { model } = body;
  if (model === undefined) refuse(missing("model"));
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

const GPT_KEYS = [
  ...["model", "prompt", "n", "size", "quality", "background", "output_format", "output_compression", "moderation"],
  ...["stream", "partial_images", "safety_identifier", "user"],
];
const PREVIEW_KEYS = ["frame_count", "frame_duration_ms", "svg"];

/**
 * gif and svg are gated previews of 2.6 (§2.2). To an account without them their formats are refused as values and
 * their own parameters as unknown [U].
 */
export function checkGpt(body: Body, model: GptModel, previews: boolean, edit?: EditPart): GptOrder {
  const hasPreviews = previews && model.hasPreviews;
  const keys = [...GPT_KEYS, ...(model.hasComplexity ? ["complexity"] : []), ...(hasPreviews ? PREVIEW_KEYS : [])];
  refuseUnknown(body, [...keys, ...(edit?.keys ?? [])], edit?.unknownKey);
  const prompt = checkPrompt(body, 32_000);
  edit?.checkImages();
  const n = checkInteger(body, "n", 1, 10) ?? 1;
  const quality = oneOf(body, "quality", model.qualities) ?? "auto";
  const background = oneOf(body, "background", ["transparent", "opaque", "auto"]) ?? "auto";
  const formats = hasPreviews ? ["png", "webp", "jpeg", "gif", "svg"] : ["png", "webp", "jpeg"];
  const outputFormat = (oneOf(body, "output_format", formats) ?? "png") as OutputType;
  oneOf(body, "moderation", ["auto", "low"]);
  oneOf(body, "complexity", ["low", "medium", "high"]);
  const stream = boolean(body, "stream") ?? false;
  const partialImages = checkInteger(body, "partial_images", 0, 3) ?? 0;
  const identifier = text(body, "safety_identifier");
  const user = text(body, "user");
  if (edit) checkFidelity(body, model);
  const frameCount = checkInteger(body, "frame_count", 2, 16) ?? 9;
  const frameDurationMs = checkInteger(body, "frame_duration_ms", 1, 655_350) ?? 200; // bounds [U], cap of the file [S]
  const svgModel = checkSvg(body, outputFormat);
  const compression = checkInteger(body, "output_compression", 0, 100);
  if (outputFormat !== "webp" && outputFormat !== "jpeg" && compression !== undefined && compression < 100) {
    const message = `Compression less than 100 is not supported for ${outputFormat.toUpperCase()} output format`; // [U] words; the rule is [S]
    refuse(imageUserError("invalid_value", "output_compression", message));
  }
  if (background === "transparent" && outputFormat !== "png" && outputFormat !== "webp") {
    const message = `Transparent background is not supported for ${outputFormat.toUpperCase()} output format`;
    refuse(imageUserError("invalid_value", "background", message));
  }
  // Undocumented what n > 1 would stream [U]: loud, so that nobody relies on it.
  if (stream && n > 1) refuse(notWith("n", "n greater than 1", "stream"));
  checkPreview(body, { outputFormat, stream, partialImages, n, mask: edit?.hasMask() ?? false });
  const size = model.sizes ? (oneOf(body, "size", model.sizes) ?? "auto") : (text(body, "size") ?? "auto");
  if (!model.sizes && size !== "auto") checkFlexibleSize(size);
  const how = { outputFormat, stream, partialImages, frameCount, frameDurationMs, svgModel };
  return { model, prompt, n, size, quality, background, ...how, safetyIdentifier: identifier || user };
}

/** §2.2: 1.5 has both, the mini `low` alone, 2.x neither. The words for the mini are [U]. */
function checkFidelity(body: Body, model: GptModel): void {
  if (body.input_fidelity === undefined) return;
  if (model.fidelities.length > 0) {
    oneOf(body, "input_fidelity", model.fidelities);
    return;
  }
  const message = `The model '${model.id}' does not support the 'input_fidelity' parameter.`;
  refuse(imageUserError("invalid_input_fidelity_model", "input_fidelity", message));
}

const EFFORTS = ["none", "minimal", "low", "medium", "high", "xhigh", "max"];

/** `{model, reasoning: {effort}}` [S]; `model` is required in it. Without the object an author is chosen [U]. */
function checkSvg(body: Body, outputFormat: OutputType): string | undefined {
  const svg = given(body, "svg");
  if (svg === undefined) return outputFormat === "svg" ? "gpt-svg-author" : undefined;
  if (!isObject(svg)) return refuse(wrongType("svg", "an object", svg));
  refuseUnknown(svg, ["model", "reasoning"]);
  if (svg.model === undefined) refuse(missing("svg.model"));
  if (typeof svg.model !== "string") return refuse(wrongType("svg.model", "a string", svg.model));
  const reasoning = given(svg, "reasoning");
  if (reasoning !== undefined) {
    if (!isObject(reasoning)) return refuse(wrongType("svg.reasoning", "an object", reasoning));
    refuseUnknown(reasoning, ["effort"]);
    oneOf(reasoning, "effort", EFFORTS, "svg.reasoning.effort");
  }
  return svg.model;
}

function isObject(value: unknown): value is Body {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

interface Asked {
  outputFormat: OutputType;
  stream: boolean;
  partialImages: number;
  n: number;
  mask: boolean;
}

/** The cross rules of the previews [S, §2.2]; their words are [U]. */
function checkPreview(body: Body, { outputFormat, stream, partialImages, n, mask }: Asked): void {
  for (const field of ["frame_count", "frame_duration_ms"]) {
    if (given(body, field) !== undefined && outputFormat !== "gif") refuse(onlyWith(field, "gif"));
  }
  if (given(body, "svg") !== undefined && outputFormat !== "svg") refuse(onlyWith("svg", "svg"));
  if (outputFormat !== "gif" && outputFormat !== "svg") return;
  if (stream) refuse(notWith("stream", "stream", `output_format '${outputFormat}'`));
  if (partialImages > 0) refuse(notWith("partial_images", "partial_images", `output_format '${outputFormat}'`));
  if (outputFormat === "gif" && mask) refuse(notWith("mask", "mask", "output_format 'gif'"));
  if (outputFormat === "svg" && n > 1) refuse(notWith("n", "n greater than 1", "output_format 'svg'"));
}

function onlyWith(field: string, format: string): OpenAiError {
  return imageUserError("invalid_value", field, `'${field}' is only supported with output_format '${format}'.`);
}

function notWith(field: string, what: string, other: string): OpenAiError {
  return imageUserError("invalid_value", field, `${what} is not supported with ${other}.`);
}

/** §2.3 and the messages of §2.6 [M]; only the ratio's words are [U]. */
function checkFlexibleSize(size: string): void {
  const why = sizeDefect(size);
  if (why) refuse(imageUserError("invalid_value", "size", `Invalid size '${size}'. ${why}`));
}

function sizeDefect(size: string): string | undefined {
  // `0x0` is answered like `bogus` [M].
  const match = /^([1-9]\d*)x([1-9]\d*)$/.exec(size);
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

/** null is not "omitted" here. Whitespace alone is a prompt, and billed [M]. */
function checkPrompt(body: Body, maxLength: number): string {
  const { prompt } = body;
  if (prompt === undefined) refuse(missing("prompt"));
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
