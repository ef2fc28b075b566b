/**
 * Which models and routes a client accepts, and in what order (service-facts.md "Routing"): `models`, `route`, the
 * `provider` object, and the suffixes `:floor` and `:nitro`. Read apart from the model's own parameters.
 */
import { isGiven } from "../catalogue/check.ts";
import { emptyString, invalidType, invalidValue, notInList, shown, unknownParameter } from "../catalogue/wording.ts";
import { type Nanos, parseUsd } from "../money.ts";

/** Most models that one request may name. */
const maxCandidates = 10;

export type Sort = "price" | "latency";

/** One of the models that a request names. */
export interface NamedModel {
  /** Without its suffix. */
  id: string;
  sort: Sort | null;
}

export interface Preferences {
  /** Providers to try first, in this order. */
  order: readonly string[];
  /** Null: all. */
  only: readonly string[] | null;
  ignore: readonly string[];
  /** Whether a second candidate may be tried at all. */
  allowFallbacks: boolean;
  /** Whether a refusal of the content may be answered by another candidate. */
  fallbackOnRefusal: boolean;
  sort: Sort | null;
  /** Dearest accepted price of one image. */
  maxPriceNanos: Nanos | null;
}

export interface RoutedRequest {
  /** The models to try, in order; where the request names none, the catalogue's check says so. */
  models: NamedModel[];
  preferences: Preferences;
}

/**
 * @param body the request as parsed; `model` itself is checked by the catalogue
 * @throws PublicError for what is wrong in the fields of routing
 */
export function readPreferences(body: Record<string, unknown>): RoutedRequest {
  if (isGiven(body.route) && body.route !== "fallback") {
    throw typeof body.route === "string"
      ? notInList("route", body.route, ["fallback"])
      : invalidType("route", "a string", body.route);
  }
  const named = isGiven(body.models) ? texts("models", body.models) : [];
  if (isGiven(body.models) && (named.length === 0 || named.length > maxCandidates)) {
    throw invalidValue("models", `Invalid 'models': expected 1 to ${maxCandidates} models, but got ${named.length}.`);
  }
  const models: NamedModel[] = [];
  for (const name of [...(typeof body.model === "string" ? [body.model] : []), ...named]) {
    const model = withoutSuffix(name);
    if (!models.some(({ id }) => id === model.id)) models.push(model);
  }
  return { models, preferences: readProvider(body.provider) };
}

function withoutSuffix(name: string): NamedModel {
  if (name.endsWith(":floor")) return { id: name.slice(0, -":floor".length), sort: "price" };
  if (name.endsWith(":nitro")) return { id: name.slice(0, -":nitro".length), sort: "latency" };
  return { id: name, sort: null };
}

function readProvider(value: unknown): Preferences {
  const given = isGiven(value) ? value : {};
  if (typeof given !== "object" || given === null || Array.isArray(given)) {
    throw invalidType("provider", "an object", given);
  }
  const { order, only, ignore, allow_fallbacks, require_parameters, sort, max_price, fallback_on_refusal, ...unknown } =
    given as Record<string, unknown>;
  for (const name of Object.keys(unknown)) throw unknownParameter(`provider.${name}`);
  // Routes that cannot honour the whole request are never candidates, so both values of this one hold.
  flag("provider.require_parameters", require_parameters, true);
  return {
    order: isGiven(order) ? texts("provider.order", order) : [],
    only: isGiven(only) ? texts("provider.only", only) : null,
    ignore: isGiven(ignore) ? texts("provider.ignore", ignore) : [],
    allowFallbacks: flag("provider.allow_fallbacks", allow_fallbacks, true),
    fallbackOnRefusal: flag("provider.fallback_on_refusal", fallback_on_refusal, false),
    sort: readSort(sort),
    maxPriceNanos: readMaxPrice(max_price),
  };
}

function readSort(value: unknown): Sort | null {
  if (!isGiven(value)) return null;
  if (value === "price" || value === "latency") return value;
  if (typeof value !== "string") throw invalidType("provider.sort", "a string", value);
  throw notInList("provider.sort", value, ["price", "latency"]);
}

/** US dollars for one image: a number, a decimal string, or `{image: …}` as other routers have it. */
function readMaxPrice(value: unknown): Nanos | null {
  if (!isGiven(value)) return null;
  if (typeof value === "object" && value !== null && !Array.isArray(value)) {
    const { image, ...unknown } = value as Record<string, unknown>;
    for (const name of Object.keys(unknown)) throw unknownParameter(`provider.max_price.${name}`);
    if (typeof image === "object" && image !== null) throw invalidType("provider.max_price.image", "a number", image);
    return readMaxPrice(image);
  }
  if (typeof value !== "number" && typeof value !== "string") {
    throw invalidType("provider.max_price", "a number of US dollars", value);
  }
  const text = typeof value === "number" ? decimal(value) : value;
  if (!/^\d{1,9}(\.\d{1,9})?$/.test(text)) {
    const message = `Invalid 'provider.max_price': '${shown(String(value))}'. Expected US dollars for one image, at least 0, with at most 9 decimals.`;
    throw invalidValue("provider.max_price", message);
  }
  return parseUsd(text);
}

/** `1e-7` is a way to write a number, not an amount. */
function decimal(value: number): string {
  return Number.isFinite(value) ? value.toFixed(9) : String(value);
}

function flag(name: string, value: unknown, otherwise: boolean): boolean {
  if (!isGiven(value)) return otherwise;
  if (typeof value !== "boolean") throw invalidType(name, "a boolean", value);
  return value;
}

function texts(name: string, value: unknown): string[] {
  if (!Array.isArray(value)) throw invalidType(name, "an array of strings", value);
  return value.map((item: unknown, index) => {
    if (typeof item !== "string") throw invalidType(`${name}[${index}]`, "a string", item);
    if (item === "") throw emptyString(`${name}[${index}]`);
    return item;
  });
}
