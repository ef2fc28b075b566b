/**
 * A model as the program uses it: the model file (schema.ts) made ready once, at load, so that a request costs lookups only.
 */

import type { Nanos } from "../money.ts";
import type { InputImage } from "../providers/input.ts";
import type { ParameterFile } from "./schema.ts";
import type { RouteFile } from "./schema-routes.ts";

export type Operation = "generate" | "edit";

/** What a parameter has at run time beyond its entry in the file. */
export interface ParameterExtras {
  name: string;
  /** The rule in words, e.g. `integer from 1 to 50`; derived from the data, so that text and rule cannot disagree. */
  rule: string;
  /** Parameters that take this one's place, whichever of the two declares the conflict: its default is then left out. */
  excludedBy: readonly string[];
}

export type Parameter = ParameterFile & ParameterExtras;

/** How one of our parameters travels on a route; see `fields` in schema-routes.ts. */
export type FieldMapping = RouteFile["fields"][string];
/** How pictures travel. */
export type PictureMapping = Extract<FieldMapping, { as: string }>;

interface PriceCommon {
  /** ISO date of its first day; null for always. */
  from: string | null;
  source: string;
  /** ISO date of the last comparison with the source. */
  checked: string;
  /** The provider's own figure is charged where it gives one. */
  reported: boolean;
  /** Parameter → values for which no price is known. */
  unpriced: ReadonlyMap<string, readonly (string | number | boolean)[]>;
}

export interface PriceRow {
  /** Selectors: a row applies where every one it has equals the request's parameter. */
  size: string | undefined;
  quality: string | undefined;
  /** Per image. */
  unitNanos: Nanos;
  /** Stable text stamped on a charge. */
  rule: string;
}

export interface ImagePrice extends PriceCommon {
  unit: "image";
  rows: readonly PriceRow[];
}

/** Nano-dollars per begun megapixel. */
export interface MegapixelPrice extends PriceCommon {
  unit: "megapixel";
  firstNanos: Nanos;
  nanos: Nanos;
  /** Null where edits have no price. */
  inputNanos: Nanos | null;
  maxMegapixels: number;
  rule: string;
}

/** Nano-dollars per token, and upper bounds of tokens. */
export interface TokenPrice extends PriceCommon {
  unit: "token";
  textInputNanos: Nanos;
  imageInputNanos: Nanos;
  imageOutputNanos: Nanos;
  /** Null where the provider has no rate for text of its own: it then counts as image output. */
  textOutputNanos: Nanos | null;
  /** By quality, of one image of a megapixel or less. */
  outputTokens: ReadonlyMap<string, number>;
  autoQuality: string;
  autoPixels: number;
  perPartialImage: number;
  inputImageTokens: number;
  textOutputTokens: number;
  frames: { parameter: string; format: string } | null;
  rule: string;
}

export type RoutePrice = ImagePrice | MegapixelPrice | TokenPrice;

type Scalar = string | number | boolean;

/** One way to serve a model: provider, upstream model, field mapping, prices. */
export interface Route {
  /** The adapter's id, e.g. `openai`. */
  provider: string;
  providerName: string;
  /** The upstream's name of the model. */
  model: string;
  /** Its name for edits, where that is another. */
  editModel: string | undefined;
  /** In place of the provider's own base URL. */
  baseUrl: string | undefined;
  operations: readonly Operation[];
  streams: boolean;
  maxImagesPerCall: number;
  /** Where a call's number of images is sent, if not by the adapter itself. */
  countField: string | undefined;
  /** Of the model's parameters, prompt and user; the client's pictures are in `pictures`. */
  fields: ReadonlyMap<string, FieldMapping>;
  /** How `images`, `mask` and `markup` travel, as far as the route takes them. */
  pictures: ReadonlyMap<string, PictureMapping>;
  constants: Readonly<Record<string, Scalar>>;
  /** Sent with edits, besides. */
  editConstants: Readonly<Record<string, Scalar>>;
  /** Sent with edits where no parameter fills them. */
  editDefaults: Readonly<Record<string, Scalar>>;
  /** Dated, the oldest first; see `priceOn`. */
  prices: readonly [RoutePrice, ...RoutePrice[]];
}

export interface Lifecycle {
  /** ISO date of the last day, or null. */
  endDate: string | null;
  successor: string | null;
  /** What the operator can do about it, in one sentence; names the setting. */
  note: string | null;
  /** How a request is put to the successor; null where no such thing is meant to be. */
  mapping: SuccessorMapping | null;
}

export interface SuccessorMapping {
  /** Parameter → this model's value → the successor's; a value that is not listed stays. */
  values: Readonly<Record<string, Readonly<Record<string, string>>>>;
  /** Parameters that cannot be given. */
  refused: readonly string[];
}

export interface EditRules {
  maxImages: number;
  mask: boolean;
  markup: boolean;
  inputTypes: readonly InputImage["contentType"][];
}

export interface Model {
  id: string;
  name: string;
  description: string;
  ownedBy: string;
  /** Unix seconds. */
  created: number;
  aliases: readonly string[];
  operations: readonly Operation[];
  /** Null for a model that cannot edit. */
  edit: EditRules | null;
  /** Whether a route of it can send previews; then `partial_images` is a parameter. */
  streams: boolean;
  /** Its `max_length` is in Unicode code points; absent where the vendor documents none. */
  promptParameter: Extract<Parameter, { type: "string" }>;
  maxN: number;
  defaultResponseFormat: "url" | "b64_json";
  /**
   * Every parameter but `model` and `prompt`, in the order in which they are checked; `n`, `user`, `response_format`, `stream`
   * included. Those with `operations` are known to these only.
   */
  parameters: readonly Parameter[];
  /** Every key a request body may have for some operation, `model` and `prompt` included, the client's pictures aside. */
  supportedParameters: ReadonlySet<string>;
  /** What the vendor takes for parameters that are not sent, by name. */
  vendorDefaults: Readonly<Record<string, string | number | boolean>>;
  /** Its seed, where it has one. */
  seedParameter: Extract<Parameter, { type: "seed" }> | null;
  /** What is known to each operation: for edits with `images`, and `mask` and `markup` where the model takes them. */
  parametersOf: Readonly<Record<Operation, { all: readonly Parameter[]; names: ReadonlySet<string> }>>;
  lifecycle: Lifecycle;
  /** In order of preference; at least one. */
  routes: readonly [Route, ...Route[]];
}
