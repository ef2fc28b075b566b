/** A request body against its model: one pass, the first defect refuses. */

import { PublicError } from "../errors.ts";
import { type CheckedInputs, checkInputs, type GivenInputs, recordOf } from "./check-inputs.ts";
import type { Catalogue } from "./load.ts";
import type { Model, Operation, Parameter } from "./model.ts";
import { asString, checkLength, checkValue } from "./parameters.ts";
import { checkLastSeed } from "./seed.ts";
import { type Dimensions, parsePair, parseSize } from "./size-rule.ts";
import {
  conflict,
  emptyString,
  invalidValue,
  missing,
  needsOther,
  notAnObject,
  quotedList,
  shown,
  unknownParameter,
} from "./wording.ts";

/** Keys that every model accepts and that are checked elsewhere (generation/preferences.ts). */
export const routerParameters: readonly string[] = ["models", "route", "provider", "webhook_url"];
const routerKeys: ReadonlySet<string> = new Set(routerParameters);

/** A request that its model can honour, to the letter. */
export interface CheckedRequest {
  model: Model;
  operation: Operation;
  prompt: string;
  n: number;
  /**
   * Everything the client gave, as given (nulls dropped): for the record. Includes `model` and `prompt`; the pictures of an
   * edit stand in it as `images`, `mask` and `markup`, each as `{sha256, bytes, content_type}`.
   */
  requested: Record<string, unknown>;
  /** The model's own parameters (its file's `parameters`) with the catalogue's defaults filled in; `prompt`, `n`, `user` … are fields here. */
  parameters: Record<string, unknown>;
  /** Explicit, else the model's default. */
  responseFormat: "url" | "b64_json";
  user: string | undefined;
  /** The exact pixel size the client may expect, where a size was asked or defaulted; else null, also for `auto`. */
  size: Dimensions | null;
  /** `{ width: 16, height: 9 }` where a ratio was asked or defaulted; else null. */
  aspectRatio: Dimensions | null;
  /** The type the delivered file must have, asked or defaulted; null when the model does not say. */
  format: "png" | "jpeg" | "webp" | "gif" | "svg" | null;
  /** The client's pictures; null where nothing is edited. */
  inputs: CheckedInputs | null;
  stream: boolean;
  /** Previews asked for; 0 without `stream`. */
  partialImages: number;
}

/**
 * Checks a request body against its model, in the order recorded for OpenAI's API (upstream-apis.md §2.6): model, unknown
 * keys, prompt, pictures, n, the rest in the model's order, sizes last, and then what parameters need of each other.
 * Null means omitted, but for `model` and `prompt`. Throws a `PublicError` for the first defect, and nothing else.
 * @param given the pictures of an edit; without it the request is to generate
 */
export function checkRequest(catalogue: Catalogue, body: unknown, given?: GivenInputs): CheckedRequest {
  if (!isRecord(body)) throw notAnObject(body);
  const operation = given?.operation ?? "generate";
  const model = checkModel(catalogue, body.model, operation);
  const known = model.parametersOf[operation];
  for (const key of Object.keys(body)) {
    if (!known.names.has(key) && !routerKeys.has(key) && !isNoPreview(key, body[key])) throw unknownParameter(key);
  }
  const prompt = checkPrompt(model, body.prompt);
  const inputs =
    given === undefined || model.edit === null
      ? null
      : checkInputs(model, model.edit, given, body[given.field ?? "images"]);
  const values = checkParameters(known.all, body);
  checkStream(values);
  checkRequirements(model, known.all, body, { ...values, ...overlays(inputs) });
  const { n, user, response_format: responseFormat, stream, partial_images: partialImages = 0, ...parameters } = values;
  return {
    model,
    operation,
    prompt,
    n: n as number,
    requested: recordOfRequest(body, inputs),
    parameters,
    responseFormat: responseFormat as CheckedRequest["responseFormat"],
    user: user as string | undefined,
    ...expectations(known.all, parameters),
    inputs,
    stream: stream as boolean,
    partialImages: partialImages as number,
  };
}

function isRecord(body: unknown): body is Record<string, unknown> {
  return typeof body === "object" && body !== null && !Array.isArray(body);
}

/** Null means omitted. */
export const isGiven = (value: unknown): boolean => value !== undefined && value !== null;

/** No previews asked for: every model can do that, so that one client's code serves them all (decision 0031). */
const isNoPreview = (key: string, value: unknown): boolean =>
  key === "partial_images" && (value === 0 || !isGiven(value));

function recordOfRequest(body: Record<string, unknown>, inputs: CheckedInputs | null): Record<string, unknown> {
  const given = Object.fromEntries(Object.entries(body).filter(([, value]) => isGiven(value)));
  if (inputs === null) return given;
  const { images, mask, markup } = inputs;
  // What stood in the body is base64 or a link; what was checked is what these said.
  given.images = images.map(recordOf);
  if (mask !== undefined) given.mask = recordOf(mask);
  if (markup !== undefined) given.markup = recordOf(markup);
  return given;
}

/** `model` and `prompt` alike: null is not "omitted" for them, and nothing in them is not a value. */
function checkRequiredText(name: string, value: unknown): string {
  if (value === undefined) throw missing(name);
  const text = asString(name, value);
  if (text === "") throw emptyString(name);
  return text;
}

function checkModel(catalogue: Catalogue, value: unknown, operation: Operation): Model {
  const id = checkRequiredText("model", value);
  const model = catalogue.find(id);
  if (model === undefined) {
    const message = `The model '${shown(id)}' does not exist. GET /v1/models lists the models that do.`;
    throw new PublicError("model_not_found", message, { param: "model" });
  }
  if (model.operations.includes(operation)) return model;
  const able = catalogue.models.filter(({ operations }) => operations.includes(operation)).map(({ id }) => id);
  const what = operation === "edit" ? "edit pictures" : "make a picture from a prompt alone";
  const others = able.length === 0 ? "No model here can." : `Models that can: ${quotedList(able)}.`;
  throw invalidValue("model", `Invalid value: '${shown(id)}'. This model cannot ${what}. ${others}`);
}

function checkPrompt(model: Model, value: unknown): string {
  const prompt = checkRequiredText("prompt", value);
  checkLength("prompt", prompt, model.promptParameter.max_length);
  return prompt;
}

/** Every parameter's value, given or by default. */
function checkParameters(parameters: readonly Parameter[], body: Record<string, unknown>): Record<string, unknown> {
  const values: Record<string, unknown> = {};
  for (const parameter of parameters) {
    const value = body[parameter.name];
    if (!isGiven(value)) {
      const replaced = parameter.excludedBy.some((name) => isGiven(body[name]));
      if ("default" in parameter && !replaced) values[parameter.name] = parameter.default;
      continue;
    }
    checkValue(parameter, value);
    for (const other of parameter.conflicts_with ?? []) {
      if (isGiven(body[other])) throw conflict(parameter.name, other);
    }
    // `n` stands first in the order, so it is known here.
    if (parameter.type === "seed") checkLastSeed(parameter, value as number, values.n as number);
    values[parameter.name] = value;
  }
  return values;
}

/** How several images of one stream are told apart is documented nowhere (§2.5), so a stream has one. */
function checkStream({ n, stream, partial_images: partialImages }: Record<string, unknown>): void {
  if (stream === true && n !== 1)
    throw invalidValue("n", `Invalid 'n': a stream carries one image. Expected 1, but got ${n} instead.`);
  if (stream !== true && typeof partialImages === "number" && partialImages > 0)
    throw needsOther("partial_images", undefined, "stream", [true], false);
}

/** What a given value needs of other parameters: as given, by our default, or by the vendor's. */
function checkRequirements(
  model: Model,
  parameters: readonly Parameter[],
  body: Record<string, unknown>,
  values: Record<string, unknown>,
): void {
  for (const { name, requires } of parameters) {
    const value = body[name];
    if (requires === undefined || !isGiven(value)) continue;
    for (const { for: only, parameter, one_of: oneOf, message } of requires) {
      if (only !== undefined && !only.includes(value as string)) continue;
      const other = values[parameter] ?? model.vendorDefaults[parameter];
      if (oneOf.includes(other as string)) continue;
      if (message !== undefined) throw invalidValue(name, message);
      throw needsOther(name, only === undefined ? undefined : String(value), parameter, oneOf, other);
    }
  }
}

/** What `requires` may ask about the pictures. */
const overlays = (inputs: CheckedInputs | null): Record<string, boolean> => ({
  mask: inputs?.mask !== undefined,
  markup: inputs?.markup !== undefined,
});

type Expectations = Pick<CheckedRequest, "size" | "aspectRatio" | "format">;

/** What the delivered files have to be, as far as the request says. */
function expectations(parameters: readonly Parameter[], values: Record<string, unknown>): Expectations {
  const expected: Expectations = { size: null, aspectRatio: null, format: null };
  for (const { name, type } of parameters) {
    const value = values[name];
    if (typeof value !== "string") continue;
    if (type === "size" || type === "size_rule") expected.size = parseSize(value);
    else if (type === "aspect_ratio") expected.aspectRatio = parsePair(value, ":");
    else if (type === "format") expected.format = value === "jpg" ? "jpeg" : (value as Expectations["format"]);
  }
  return expected;
}
