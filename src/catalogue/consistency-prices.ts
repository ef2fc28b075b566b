/** Prices of a model file: dates in order, and no price for what nobody can ask for. */

import { checkAccepted, fail, type Parameters } from "./consistency-accepted.ts";
import { perToken } from "./ready-prices.ts";
import type { PriceFile } from "./schema-prices.ts";

export function checkPrices(path: string, file: PriceFile | PriceFile[], parameters: Parameters): void {
  if (!Array.isArray(file)) {
    checkPrice(path, file, parameters);
    return;
  }
  file.forEach((price, index) => {
    const place = `${path}[${index}]`;
    const earlier = file[index - 1];
    if (earlier !== undefined && (price.from === undefined || price.from <= (earlier.from ?? "")))
      fail(`${place}.from`, "expected a later day than the price before it");
    checkPrice(place, price, parameters);
  });
}

function checkPrice(path: string, price: PriceFile, parameters: Parameters): void {
  for (const [name, values] of Object.entries(price.unpriced ?? {})) {
    for (const value of values) checkAccepted(`${path}.unpriced.${name}`, name, value, parameters);
  }
  if (price.unit === "image") {
    price.rows.forEach((row, index) => {
      const place = `${path}.rows[${index}]`;
      if (row.size !== undefined) checkAccepted(`${place}.size`, "size", row.size, parameters);
      if (row.quality !== undefined) checkAccepted(`${place}.quality`, "quality", row.quality, parameters);
    });
  }
  if (price.unit === "token") checkTokens(path, price, parameters);
}

function checkTokens(path: string, price: Extract<PriceFile, { unit: "token" }>, parameters: Parameters): void {
  for (const key of ["text_input_usd", "image_input_usd", "image_output_usd", "text_output_usd"] as const) {
    try {
      perToken(price[key] ?? "0");
    } catch (error) {
      fail(`${path}.${key}`, error instanceof Error ? error.message : String(error));
    }
  }
  if (parameters.has("quality")) {
    price.output_tokens.forEach(({ quality }, index) => {
      checkAccepted(`${path}.output_tokens[${index}].quality`, "quality", quality, parameters);
    });
  }
  if (!price.output_tokens.some(({ quality }) => quality === price.auto_quality))
    fail(`${path}.auto_quality`, "expected a quality of output_tokens");
  const { frames } = price;
  if (frames === undefined) return;
  const parameter = parameters.get(frames.parameter);
  if (parameter?.type !== "integer" || (parameter.default ?? parameter.vendor_default) === undefined)
    fail(`${path}.frames.parameter`, "expected an integer parameter with a default");
}
