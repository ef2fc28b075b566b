import { type CheckedRequest, checkRequest, loadCatalogue, type Model, type Route } from "../../src/catalogue/index.ts";
import { PublicError } from "../../src/errors.ts";

export const catalogue = loadCatalogue();

export const dallE3 = "openai/dall-e-3";
export const dallE2 = "openai/dall-e-2";
export const stableDiffusion = "stability/stable-diffusion-3-large";
export const flux = "black-forest-labs/flux-1-pro";

export type Body = Record<string, unknown>;

/** A request that is fine but for what `extra` adds or changes. */
export const body = (model: string, extra: Body = {}): Body => ({ model, prompt: "a lighthouse", ...extra });

export function check(model: string, extra: Body = {}): CheckedRequest {
  return checkRequest(catalogue, body(model, extra));
}

export interface Refusal {
  code: string;
  param: string | null;
  message: string;
}

/** The refusal of a body; fails where the body is accepted or something else is thrown. */
export function refusalOf(request: unknown): Refusal {
  try {
    checkRequest(catalogue, request);
  } catch (error) {
    if (!(error instanceof PublicError)) throw error;
    return { code: error.code, param: error.param, message: error.message };
  }
  throw new Error(`accepted: ${JSON.stringify(request)}`);
}

export function model(id: string): Model {
  const found = catalogue.find(id);
  if (found === undefined) throw new Error(`no model ${id}`);
  return found;
}

export const route = (id: string): Route => model(id).routes[0];
