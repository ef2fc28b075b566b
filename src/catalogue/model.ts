/**
 * A model as the program uses it: the model file (schema.ts) made ready once, at load, so that a request costs lookups only.
 */

import type { Nanos } from "../money.ts";
import type { ModelFile, ParameterFile } from "./schema.ts";

/** What a parameter has at run time beyond its entry in the file. */
export interface ParameterExtras {
  name: string;
  /** The rule in words, e.g. `integer from 1 to 50`; derived from the data, so that text and rule cannot disagree. */
  rule: string;
  /** Parameters that take this one's place, whichever of the two declares the conflict: its default is then left out. */
  excludedBy: readonly string[];
}

export type Parameter = ParameterFile & ParameterExtras;

/** How one of our parameters travels on a route; see `fields` in schema.ts. */
export type FieldMapping = ModelFile["routes"][number]["fields"][string];

export interface PriceRow {
  /** Selectors: a row applies where every one it has equals the request's parameter. */
  size: string | undefined;
  quality: string | undefined;
  /** Per image. */
  unitNanos: Nanos;
  /** Stable text stamped on a charge. */
  rule: string;
}

export interface RoutePrice {
  unit: "image";
  rows: readonly PriceRow[];
  source: string;
  /** ISO date of the last comparison with the source. */
  checked: string;
}

/** One way to serve a model: provider, upstream model, field mapping, price. */
export interface Route {
  /** The adapter's id, e.g. `openai`. */
  provider: string;
  providerName: string;
  /** The upstream's name of the model. */
  model: string;
  maxImagesPerCall: number;
  fields: ReadonlyMap<string, FieldMapping>;
  constants: Readonly<Record<string, string | number | boolean>>;
  price: RoutePrice;
}

export interface Lifecycle {
  /** ISO date of the last day, or null. */
  endDate: string | null;
  successor: string | null;
  /** What the operator can do about it, in one sentence; names the setting. */
  note: string | null;
}

export interface Model {
  id: string;
  name: string;
  description: string;
  ownedBy: string;
  /** Unix seconds. */
  created: number;
  aliases: readonly string[];
  operations: readonly "generate"[];
  /** Its `max_length` is in Unicode code points; absent where the vendor documents none. */
  promptParameter: Extract<Parameter, { type: "string" }>;
  maxN: number;
  defaultResponseFormat: "url" | "b64_json";
  /** Every parameter but `model` and `prompt`, in the order in which they are checked; `n`, `user`, `response_format` included. */
  parameters: readonly Parameter[];
  /** Every key a request body may have, `model` and `prompt` included. */
  supportedParameters: ReadonlySet<string>;
  lifecycle: Lifecycle;
  /** In order of preference; at least one. */
  routes: readonly [Route, ...Route[]];
}
