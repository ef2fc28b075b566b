/** A request body against its model: one pass, the first defect refuses. */

import { PublicError } from "../errors.ts";
import type { Catalogue } from "./load.ts";
import type { Model } from "./model.ts";
import { asString, checkLength, checkValue, parsePair } from "./parameters.ts";
import { checkLastSeed } from "./seed.ts";
import { conflict, emptyString, missing, notAnObject, shown, unknownParameter } from "./wording.ts";

/** A request that its model can honour, to the letter. */
export interface CheckedRequest {
  model: Model;
  prompt: string;
  n: number;
  /** Everything the client gave, as given (nulls dropped): for the record. Includes `model` and `prompt`. */
  requested: Record<string, unknown>;
  /** The model's own parameters (its file's `parameters`) with the catalogue's defaults filled in; `prompt`, `n`, `user` are fields here. */
  parameters: Record<string, unknown>;
  /** Explicit, else the model's default. */
  responseFormat: "url" | "b64_json";
  user: string | undefined;
  /** The exact pixel size the client may expect, where a size was asked or defaulted; else null. */
  size: { width: number; height: number } | null;
  /** `{ width: 16, height: 9 }` where a ratio was asked or defaulted; else null. */
  aspectRatio: { width: number; height: number } | null;
  /** The type the delivered file must have, asked or defaulted; null when the model does not say. */
  format: "png" | "jpeg" | "webp" | null;
}

/**
 * Checks a request body against its model, in the order recorded for OpenAI's API (upstream-apis.md §2.6): model, unknown
 * keys, prompt, n, the rest in the model's order, sizes last. Null means omitted, but for `model` and `prompt`.
 * Throws a `PublicError` for the first defect, and nothing else.
 */
export function checkRequest(catalogue: Catalogue, body: unknown): CheckedRequest {
  if (!isRecord(body)) throw notAnObject(body);
  const model = checkModel(catalogue, body.model);
  for (const key of Object.keys(body)) {
    if (!model.supportedParameters.has(key)) throw unknownParameter(key);
  }
  const prompt = checkPrompt(model, body.prompt);
  const values = checkParameters(model, body);
  const { n, user, response_format: responseFormat, ...parameters } = values;
  return {
    model,
    prompt,
    n: n as number,
    requested: withoutNulls(body),
    parameters,
    responseFormat: responseFormat as CheckedRequest["responseFormat"],
    user: user as string | undefined,
    ...expectations(model, parameters),
  };
}

function isRecord(body: unknown): body is Record<string, unknown> {
  return typeof body === "object" && body !== null && !Array.isArray(body);
}

const isGiven = (value: unknown): boolean => value !== undefined && value !== null;

function withoutNulls(body: Record<string, unknown>): Record<string, unknown> {
  return Object.fromEntries(Object.entries(body).filter(([, value]) => isGiven(value)));
}

/** `model` and `prompt` alike: null is not "omitted" for them, and nothing in them is not a value. */
function checkRequiredText(name: string, value: unknown): string {
  if (value === undefined) throw missing(name);
  const text = asString(name, value);
  if (text === "") throw emptyString(name);
  return text;
}

function checkModel(catalogue: Catalogue, value: unknown): Model {
  const id = checkRequiredText("model", value);
  const model = catalogue.find(id);
  if (model !== undefined) return model;
  const message = `The model '${shown(id)}' does not exist. GET /v1/models lists the models that do.`;
  throw new PublicError("model_not_found", message, { param: "model" });
}

function checkPrompt(model: Model, value: unknown): string {
  const prompt = checkRequiredText("prompt", value);
  checkLength("prompt", prompt, model.promptParameter.max_length);
  return prompt;
}

/** Every parameter's value, given or by default. */
function checkParameters(model: Model, body: Record<string, unknown>): Record<string, unknown> {
  const values: Record<string, unknown> = {};
  for (const parameter of model.parameters) {
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

/** What the delivered files have to be, as far as the request says. */
function expectations(
  model: Model,
  parameters: Record<string, unknown>,
): Pick<CheckedRequest, "size" | "aspectRatio" | "format"> {
  const expected: Pick<CheckedRequest, "size" | "aspectRatio" | "format"> = {
    size: null,
    aspectRatio: null,
    format: null,
  };
  for (const { name, type } of model.parameters) {
    const value = parameters[name];
    if (typeof value !== "string") continue;
    if (type === "size" || type === "size_rule") expected.size = parsePair(value, "x");
    else if (type === "aspect_ratio") expected.aspectRatio = parsePair(value, ":");
    else if (type === "format") expected.format = value === "jpg" ? "jpeg" : (value as "png" | "jpeg" | "webp");
  }
  return expected;
}
