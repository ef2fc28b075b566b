/** Prices: an exact upper bound before the run, the charge after it. */

import { type Nanos, parseUsd } from "../money.ts";
import type { CheckedRequest } from "./check.ts";
import type { ImagePrice, MegapixelPrice, PriceRow, Route, RoutePrice } from "./model.ts";
import { quoteTokens } from "./price-tokens.ts";
import { pixelsAsked } from "./routes.ts";
import type { Dimensions } from "./size-rule.ts";

/** What came of a generation, as far as its price goes by it. */
export interface Delivered {
  images: readonly Dimensions[];
  /** Of the whole generation, where the provider counts tokens. */
  usage: Readonly<Record<string, unknown>> | undefined;
  /** Of the whole generation, where the provider says what it takes: decimal US dollars, at most 9 decimals. */
  providerCostUsd: string | undefined;
}

/** The exact upper bound of what a generation can cost on a route. */
export interface Quote {
  /** Per image. */
  unitNanos: Nanos;
  totalNanos: Nanos;
  /** Stable text stamped on the charge: `openai/dall-e-3@openai per_image size=1024x1024 quality=standard 0.04 checked=2026-11-22`. */
  rule: string;
  /** What was delivered costs so much: never above `totalNanos`, and nothing where nothing was. */
  charge(delivered: Delivered): Nanos;
}

/** A price rule's answer to one request; `charge` may be above the quote, and is asked only where something was delivered. */
export interface UnitQuote {
  unitNanos: Nanos;
  rule: string;
  charge(delivered: Delivered): Nanos;
}

const pixelsPerMegapixel = 1_048_576;

/** The price in force on a day (ISO date or timestamp); undefined before the first. */
export function priceOn(route: Route, todayIso: string): RoutePrice | undefined {
  const today = todayIso.slice(0, 10);
  return route.prices.findLast(({ from }) => from === null || from <= today);
}

/**
 * Null where the route has no price for the request; the caller refuses with `price_unknown`. `today` is the day of admission,
 * as an ISO date or timestamp: a price that changes while the pictures are being made does not touch them.
 */
export function quote(route: Route, checked: CheckedRequest, today: string): Quote | null {
  const price = priceOn(route, today);
  if (price === undefined || isUnpriced(price, checked)) return null;
  const found = quoteUnit(price, route, checked);
  if (found === null) return null;
  const { unitNanos, rule } = found;
  const totalNanos = unitNanos * BigInt(checked.n);
  const charge = (delivered: Delivered): Nanos => {
    if (delivered.images.length === 0) return 0n;
    const nanos = (price.reported ? reportedCost(delivered) : null) ?? found.charge(delivered);
    return nanos < totalNanos ? nanos : totalNanos;
  };
  return { unitNanos, totalNanos, rule, charge };
}

function quoteUnit(price: RoutePrice, route: Route, checked: CheckedRequest): UnitQuote | null {
  switch (price.unit) {
    case "image":
      return quoteImages(price, checked);
    case "megapixel":
      return quoteMegapixels(price, route, checked);
    case "token":
      return quoteTokens(price, pixelsAsked(route, checked), checked);
  }
}

function isUnpriced({ unpriced }: RoutePrice, { parameters, model }: CheckedRequest): boolean {
  for (const [name, values] of unpriced) {
    if (values.includes((parameters[name] ?? model.vendorDefaults[name]) as string)) return true;
  }
  return false;
}

function reportedCost({ providerCostUsd }: Delivered): Nanos | null {
  if (providerCostUsd === undefined || !/^\d+(\.\d{1,9})?$/.test(providerCostUsd)) return null;
  return parseUsd(providerCostUsd);
}

/** Each delivered picture by the row of its own size, where there is one, else by the requested size's. */
function quoteImages({ rows }: ImagePrice, checked: CheckedRequest): UnitQuote | null {
  const fitsQuality = ({ quality }: PriceRow) => quality === undefined || quality === checked.parameters.quality;
  const requested = rows.find(
    (row) => (row.size === undefined || row.size === checked.parameters.size) && fitsQuality(row),
  );
  if (requested === undefined) return null;
  const charge = ({ images }: Delivered): Nanos => {
    let nanos = 0n;
    for (const { width, height } of images) {
      const own = rows.find((row) => row.size === `${width}x${height}` && fitsQuality(row)) ?? requested;
      nanos += own.unitNanos;
    }
    return nanos;
  };
  return { unitNanos: requested.unitNanos, rule: requested.rule, charge };
}

/** Each begun megapixel of each picture, given or delivered. */
function quoteMegapixels(price: MegapixelPrice, route: Route, checked: CheckedRequest): UnitQuote | null {
  const given = Object.values(checked.inputs ?? {}).flatMap((pictures) => pictures ?? []);
  if (given.length > 0 && price.inputNanos === null) return null;
  // Whether a call with several results looks at the given pictures once is documented nowhere: each picture pays for its own look.
  const inputNanos = given.reduce((sum, picture) => sum + megapixelsOf(picture) * (price.inputNanos ?? 0n), 0n);
  const imageNanos = (megapixels: bigint) => price.firstNanos + (megapixels - 1n) * price.nanos + inputNanos;
  const asked = pixelsAsked(route, checked);
  const unitNanos = imageNanos(asked === null ? BigInt(price.maxMegapixels) : megapixelsOf(asked));
  const charge = ({ images }: Delivered): Nanos =>
    images.reduce((sum, image) => sum + imageNanos(megapixelsOf(image)), 0n);
  return { unitNanos, rule: price.rule, charge };
}

function megapixelsOf({ width, height }: Dimensions): bigint {
  return BigInt(Math.max(1, Math.ceil((width * height) / pixelsPerMegapixel)));
}
