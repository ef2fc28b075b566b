/** Models and routes as `/v1/models` shows them (service-facts.md "Models"). */

import { formatUsd, type Nanos } from "../money.ts";
import type { Model, Operation, Parameter, Route, RoutePrice } from "./model.ts";
import type { ParameterFile } from "./schema.ts";

interface PricingCommon {
  currency: "USD";
  /** Set where the provider's own figure is charged, never above the quote. */
  charge?: "reported";
  /** ISO date of the first day; absent where it has always been. */
  from?: string;
  /** Values for which no price is known. */
  unpriced?: Record<string, Array<string | number | boolean>>;
  source: string;
  /** ISO date of the last comparison with the source. */
  checked: string;
}

/** Dollars per image: the first row that fits a request is its price. */
export interface ImagePricing extends PricingCommon {
  unit: "image";
  rows: Array<{ size?: string; quality?: string; usd: string }>;
}

/** Dollars per begun megapixel (1,048,576 pixels) of an image. */
export interface MegapixelPricing extends PricingCommon {
  unit: "megapixel";
  first_usd: string;
  usd: string;
  /** Of given pictures; absent where edits have no price. */
  input_usd?: string;
  max_megapixels: number;
}

/** Dollars per million tokens, and the upper bounds that a quote is made of. */
export interface TokenPricing extends PricingCommon {
  unit: "token";
  text_input_usd: string;
  image_input_usd: string;
  image_output_usd: string;
  text_output_usd?: string;
  output_tokens: Array<{ quality: string; tokens: number }>;
  auto_quality: string;
  auto_pixels: number;
  per_partial_image: number;
  input_image_tokens: number;
  text_output_tokens: number;
}

/** A price rule on the wire. */
export type Pricing = ImagePricing | MegapixelPricing | TokenPricing;

/**
 * A parameter's rule on the wire, as in the model file (`models/schema.json` documents every field), with the rule in words.
 * Lengths are Unicode code points. `default` is filled in and sent, `vendor_default` is what the vendor does by itself.
 */
export type ParameterEntry = ParameterFile & { required: boolean; rule: string };

/** An entry of `GET /v1/models`: a superset of OpenAI's. */
export interface ModelEntry {
  id: string;
  object: "model";
  /** Unix seconds. */
  created: number;
  owned_by: string;
  canonical_slug: string;
  name: string;
  description: string;
  architecture: { input_modalities: string[]; output_modalities: string[] };
  operations: Operation[];
  /** What an edit can be given; null for a model that cannot edit. */
  edit: { max_images: number; mask: boolean; markup: boolean; input_types: string[] } | null;
  /** Whether a stream can carry previews. */
  streams: boolean;
  /** Of the first route, the latest it has; `…/endpoints` has every route's. */
  pricing: Pricing;
  /** Every key a request may have, `model` included, the pictures of an edit aside; `parameters` says which are for edits only. */
  supported_parameters: string[];
  /** What a request without the parameter gets, by our default or the vendor's. */
  default_parameters: Record<string, string | number | boolean>;
  /** ISO date or null. */
  expiration_date: string | null;
  /** Every rule but `model`'s, which is to be the entry's id. */
  parameters: Record<string, ParameterEntry>;
  lifecycle: { end_date: string | null; successor: string | null };
}

/** A route in `GET /v1/models/{author}/{slug}/endpoints`. */
export interface EndpointEntry {
  provider_id: string;
  provider_name: string;
  /** The provider's name of the model. */
  model: string;
  operations: Operation[];
  streams: boolean;
  pricing: Pricing;
  /** Prices that have been or will be, oldest first; absent where there is one only. */
  dated_pricing?: Pricing[];
  /** Parameters that this route can honour, some of them not with every value. */
  supported_parameters: string[];
}

/** `today` (ISO date) chooses among dated prices; without it, the latest. */
export function listModel(model: Model, today?: string): ModelEntry {
  const { endDate, successor } = model.lifecycle;
  const takesImages = model.edit !== null || model.parameters.some((parameter) => parameter.type === "image_url");
  return {
    id: model.id,
    object: "model",
    created: model.created,
    owned_by: model.ownedBy,
    canonical_slug: model.id,
    name: model.name,
    description: model.description,
    architecture: { input_modalities: takesImages ? ["text", "image"] : ["text"], output_modalities: ["image"] },
    operations: [...model.operations],
    edit: editEntry(model),
    streams: model.streams,
    pricing: pricing(priceNow(model.routes[0], today)),
    supported_parameters: [...model.supportedParameters],
    default_parameters: defaultParameters(model),
    expiration_date: endDate,
    parameters: Object.fromEntries([
      ["prompt", entry(model.promptParameter, true)],
      ...model.parameters.map((parameter) => [parameter.name, entry(parameter, false)] as const),
    ]),
    lifecycle: { end_date: endDate, successor },
  };
}

export function listEndpoints(model: Model, today?: string): EndpointEntry[] {
  return model.routes.map((route) => ({
    provider_id: route.provider,
    provider_name: route.providerName,
    model: route.model,
    operations: [...route.operations],
    streams: route.streams,
    pricing: pricing(priceNow(route, today)),
    ...(route.prices.length === 1 ? {} : { dated_pricing: route.prices.map(pricing) }),
    supported_parameters: [...model.supportedParameters].filter(
      (name) => route.fields.get(name) !== false && (name !== "partial_images" || route.streams),
    ),
  }));
}

/** Before the first day of the first price, that one: a route always shows one. */
function priceNow(route: Route, today: string | undefined): RoutePrice {
  const current = route.prices.findLast(
    ({ from }) => today === undefined || from === null || from <= today.slice(0, 10),
  );
  return current ?? route.prices[0];
}

function editEntry({ edit }: Model): ModelEntry["edit"] {
  if (edit === null) return null;
  const { maxImages, mask, markup, inputTypes } = edit;
  return { max_images: maxImages, mask, markup, input_types: [...inputTypes] };
}

function entry({ name: _name, excludedBy: _rivals, ...rest }: Parameter, required: boolean): ParameterEntry {
  return { ...rest, required };
}

function defaultParameters(model: Model): Record<string, string | number | boolean> {
  const defaults: Record<string, string | number | boolean> = {};
  for (const parameter of model.parameters) {
    const ours = "default" in parameter ? parameter.default : undefined;
    const value = ours ?? ("vendor_default" in parameter ? parameter.vendor_default : undefined);
    if (value !== undefined) defaults[parameter.name] = value;
  }
  return defaults;
}

const perMillion = (nanosPerToken: Nanos): string => formatUsd(nanosPerToken * 1_000_000n);

/** A price rule as it is shown. */
export function pricing(price: RoutePrice): Pricing {
  const facts = {
    ...(price.reported ? { charge: "reported" as const } : {}),
    ...(price.from === null ? {} : { from: price.from }),
    ...(price.unpriced.size === 0
      ? {}
      : { unpriced: Object.fromEntries([...price.unpriced].map(([name, values]) => [name, [...values]])) }),
    source: price.source,
    checked: price.checked,
  };
  switch (price.unit) {
    case "image":
      return {
        currency: "USD",
        unit: "image",
        rows: price.rows.map((row) => ({
          ...(row.size === undefined ? {} : { size: row.size }),
          ...(row.quality === undefined ? {} : { quality: row.quality }),
          usd: formatUsd(row.unitNanos),
        })),
        ...facts,
      };
    case "megapixel":
      return {
        currency: "USD",
        unit: "megapixel",
        first_usd: formatUsd(price.firstNanos),
        usd: formatUsd(price.nanos),
        ...(price.inputNanos === null ? {} : { input_usd: formatUsd(price.inputNanos) }),
        max_megapixels: price.maxMegapixels,
        ...facts,
      };
    case "token":
      return {
        currency: "USD",
        unit: "token",
        text_input_usd: perMillion(price.textInputNanos),
        image_input_usd: perMillion(price.imageInputNanos),
        image_output_usd: perMillion(price.imageOutputNanos),
        ...(price.textOutputNanos === null ? {} : { text_output_usd: perMillion(price.textOutputNanos) }),
        output_tokens: [...price.outputTokens].map(([quality, tokens]) => ({ quality, tokens })),
        auto_quality: price.autoQuality,
        auto_pixels: price.autoPixels,
        per_partial_image: price.perPartialImage,
        input_image_tokens: price.inputImageTokens,
        text_output_tokens: price.textOutputTokens,
        ...facts,
      };
  }
}
