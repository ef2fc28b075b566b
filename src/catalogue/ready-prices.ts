/** Price rules of a model file, made ready: exact integers, and the text that is stamped on a charge. */

import { formatUsd, type Nanos, parseUsd } from "../money.ts";
import type { RoutePrice } from "./model.ts";
import type { PriceFile } from "./schema-prices.ts";

/** Oldest first, as the file has them. */
export function toPrices(
  modelId: string,
  provider: string,
  file: PriceFile | PriceFile[],
): [RoutePrice, ...RoutePrice[]] {
  const [first, ...others] = [file].flat().map((price) => toPrice(`${modelId}@${provider}`, price));
  if (first === undefined) throw new Error(`${modelId}: expected a price`);
  return [first, ...others];
}

function toPrice(owner: string, file: PriceFile): RoutePrice {
  const common = {
    from: file.from ?? null,
    source: file.source,
    checked: file.checked,
    reported: file.charge === "reported",
    unpriced: new Map(Object.entries(file.unpriced ?? {})),
  };
  const dates = `${file.from === undefined ? "" : ` from=${file.from}`} checked=${file.checked}`;
  const ruleOf = (words: string) =>
    `${owner} per_${file.unit} ${words}${common.reported ? " charge=reported" : ""}${dates}`;
  switch (file.unit) {
    case "image": {
      const rows = file.rows.map(({ size, quality, usd }) => {
        const unitNanos = parseUsd(usd);
        const selectors = `${size === undefined ? "" : `size=${size} `}${quality === undefined ? "" : `quality=${quality} `}`;
        return { size, quality, unitNanos, rule: ruleOf(`${selectors}${formatUsd(unitNanos)}`) };
      });
      return { ...common, unit: "image", rows };
    }
    case "megapixel": {
      const nanos = parseUsd(file.usd);
      const firstNanos = file.first_usd === undefined ? nanos : parseUsd(file.first_usd);
      const inputNanos = file.input_usd === undefined ? null : parseUsd(file.input_usd);
      const input = inputNanos === null ? "" : ` input=${formatUsd(inputNanos)}`;
      const rule = ruleOf(`first=${formatUsd(firstNanos)} further=${formatUsd(nanos)}${input}`);
      return { ...common, unit: "megapixel", firstNanos, nanos, inputNanos, maxMegapixels: file.max_megapixels, rule };
    }
    case "token": {
      const textOutput =
        file.text_output_usd === undefined ? "" : ` text_output=${formatUsd(parseUsd(file.text_output_usd))}`;
      const [textIn, imageIn, imageOut] = [file.text_input_usd, file.image_input_usd, file.image_output_usd].map(
        (usd) => formatUsd(parseUsd(usd)),
      );
      return {
        ...common,
        unit: "token",
        textInputNanos: perToken(file.text_input_usd),
        imageInputNanos: perToken(file.image_input_usd),
        imageOutputNanos: perToken(file.image_output_usd),
        textOutputNanos: file.text_output_usd === undefined ? null : perToken(file.text_output_usd),
        outputTokens: new Map(file.output_tokens.map(({ quality, tokens }) => [quality, tokens])),
        autoQuality: file.auto_quality,
        autoPixels: file.auto_pixels,
        perPartialImage: file.per_partial_image,
        inputImageTokens: file.input_image_tokens,
        textOutputTokens: file.text_output_tokens ?? 0,
        frames: file.frames ?? null,
        rule: ruleOf(`text_input=${textIn} image_input=${imageIn} image_output=${imageOut}${textOutput} of_a_million`),
      };
    }
  }
}

/** US dollars per million tokens → nano-dollars per token, which must come out whole. */
export function perToken(usdPerMillion: string): Nanos {
  const nanos = parseUsd(usdPerMillion);
  if (nanos % 1_000_000n !== 0n) throw new Error("expected US dollars per million tokens with at most 3 decimals");
  return nanos / 1_000_000n;
}
