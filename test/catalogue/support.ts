import {
  type CheckedRequest,
  checkRequest,
  type Delivered,
  type GivenInputs,
  loadCatalogue,
  type Model,
  type Quote,
  quote,
  type Route,
} from "../../src/catalogue/index.ts";
import { PublicError } from "../../src/errors.ts";
import { formatUsd } from "../../src/money.ts";
import type { InputImage } from "../../src/providers/input.ts";

export const catalogue = loadCatalogue();

export const dallE3 = "openai/dall-e-3";
export const dallE2 = "openai/dall-e-2";
export const stableDiffusion = "stability/stable-diffusion-3-large";
export const flux = "black-forest-labs/flux-1-pro";

export type Body = Record<string, unknown>;

/** A request that is fine but for what `extra` adds or changes. */
export const body = (model: string, extra: Body = {}): Body => ({ model, prompt: "a lighthouse", ...extra });

export function check(model: string, extra: Body = {}, given?: GivenInputs): CheckedRequest {
  return checkRequest(catalogue, body(model, extra), given);
}

const open = () => new Blob(["png"]);

/** A picture of a client's, as it is after it was received and checked. */
export function picture(facts: Partial<InputImage> = {}): InputImage {
  return {
    contentType: "image/png",
    width: 1024,
    height: 1024,
    bytes: 3,
    sha256: "ab".repeat(32),
    open,
    ...facts,
  };
}

/** What comes with an edit of one picture, or of as many. */
export const edit = (images: number | InputImage[] = 1, more: Partial<GivenInputs> = {}): GivenInputs => ({
  operation: "edit",
  images: typeof images === "number" ? Array.from({ length: images }, () => picture()) : images,
  ...more,
});

/** A day on which the built-in prices apply. */
export const today = "2026-11-22";

export const delivered = (images: Delivered["images"], facts: Partial<Delivered> = {}): Delivered => ({
  images,
  usage: undefined,
  providerCostUsd: undefined,
  ...facts,
});

export function quoteOf(route: Route, checked: CheckedRequest, day = today): Quote {
  const quoted = quote(route, checked, day);
  if (quoted === null) throw new Error(`no price for ${checked.model.id} at ${route.provider}`);
  return quoted;
}

export const usd = (nanos: bigint): string => formatUsd(nanos);

export interface Refusal {
  code: string;
  param: string | null;
  message: string;
}

/** The refusal of a body; fails where the body is accepted or something else is thrown. */
export function refusalOf(request: unknown, given?: GivenInputs): Refusal {
  try {
    checkRequest(catalogue, request, given);
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

export function route(id: string, provider?: string): Route {
  const { routes } = model(id);
  const found = provider === undefined ? routes[0] : routes.find((candidate) => candidate.provider === provider);
  if (found === undefined) throw new Error(`no route ${id} at ${provider}`);
  return found;
}
