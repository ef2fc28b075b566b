/** Prices: an exact upper bound before the run, the charge after it. */

import type { Nanos } from "../money.ts";
import type { CheckedRequest } from "./check.ts";
import type { PriceRow, Route } from "./model.ts";

/** The exact upper bound of what a generation can cost on a route. */
export interface Quote {
  unitNanos: Nanos;
  totalNanos: Nanos;
  /** Stable text stamped on the charge: `openai/dall-e-3@openai per_image size=1024x1024 quality=standard 0.04 checked=2026-11-22`. */
  rule: string;
}

/** Null where the route has no price for the request; the caller refuses with `price_unknown`. */
export function quote(route: Route, checked: CheckedRequest): Quote | null {
  const row = requestedRow(route, checked);
  if (row === undefined) return null;
  return { unitNanos: row.unitNanos, totalNanos: row.unitNanos * BigInt(checked.n), rule: row.rule };
}

/**
 * What the delivered pictures cost: each by the row of its own size, where there is one, else by the requested size's row;
 * in all never above the quote. Throws for a request without a quote, which never runs.
 */
export function priceDelivered(
  route: Route,
  checked: CheckedRequest,
  delivered: ReadonlyArray<{ width: number; height: number }>,
): Nanos {
  const requested = requestedRow(route, checked);
  if (requested === undefined)
    throw new Error(`${checked.model.id} has no price at ${route.provider} for this request`);
  let totalNanos = 0n;
  for (const { width, height } of delivered) {
    const row =
      route.price.rows.find((row) => row.size === `${width}x${height}` && fitsQuality(row, checked)) ?? requested;
    totalNanos += row.unitNanos;
  }
  const quotedNanos = requested.unitNanos * BigInt(checked.n);
  return totalNanos < quotedNanos ? totalNanos : quotedNanos;
}

function requestedRow(route: Route, checked: CheckedRequest): PriceRow | undefined {
  return route.price.rows.find(
    (row) => (row.size === undefined || row.size === checked.parameters.size) && fitsQuality(row, checked),
  );
}

function fitsQuality(row: PriceRow, checked: CheckedRequest): boolean {
  return row.quality === undefined || row.quality === checked.parameters.quality;
}
