/** Models and routes as `/v1/models` shows them (service-facts.md "Models"). */

import { formatUsd } from "../money.ts";
import type { Model, Parameter, Route } from "./model.ts";
import type { ParameterFile } from "./schema.ts";

/** A price rule on the wire: the first row that fits a request is its price. */
export interface Pricing {
  currency: "USD";
  unit: "image";
  rows: Array<{ size?: string; quality?: string; usd: string }>;
  source: string;
  /** ISO date of the last comparison with the source. */
  checked: string;
}

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
  /** Of the first route; `…/endpoints` has every route's. */
  pricing: Pricing;
  /** Every key a request may have, `model` included. */
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
  pricing: Pricing;
  supported_parameters: string[];
}

export function listModel(model: Model): ModelEntry {
  const { endDate, successor } = model.lifecycle;
  const takesImages = model.parameters.some((parameter) => parameter.type === "image_url");
  return {
    id: model.id,
    object: "model",
    created: model.created,
    owned_by: model.ownedBy,
    canonical_slug: model.id,
    name: model.name,
    description: model.description,
    architecture: { input_modalities: takesImages ? ["text", "image"] : ["text"], output_modalities: ["image"] },
    pricing: pricing(model.routes[0]),
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

export function listEndpoints(model: Model): EndpointEntry[] {
  return model.routes.map((route) => ({
    provider_id: route.provider,
    provider_name: route.providerName,
    model: route.model,
    pricing: pricing(route),
    supported_parameters: [...model.supportedParameters],
  }));
}

function entry({ name: _name, excludedBy: _excludedBy, ...rest }: Parameter, required: boolean): ParameterEntry {
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

function pricing({ price }: Route): Pricing {
  return {
    currency: "USD",
    unit: price.unit,
    rows: price.rows.map((row) => ({
      ...(row.size === undefined ? {} : { size: row.size }),
      ...(row.quality === undefined ? {} : { quality: row.quality }),
      usd: formatUsd(row.unitNanos),
    })),
    source: price.source,
    checked: price.checked,
  };
}
