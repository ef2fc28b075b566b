/** The price rule of a route as a table of docs/reference/models.md. */

import type { RoutePrice } from "../src/catalogue/index.ts";
import { formatUsd, type Nanos } from "../src/money.ts";
import { table } from "./tables.ts";

export function priceTable(price: RoutePrice): string[] {
  return [...(price.from === null ? [] : [`From ${price.from}:`, ""]), ...rows(price), ...notes(price), ""];
}

function rows(price: RoutePrice): string[] {
  switch (price.unit) {
    case "image":
      if (price.rows.length === 0) return ["No price is known: requests are refused (`price_unknown`).", ""];
      return table(
        ["Size", "Quality", "USD per image"],
        price.rows.map((row) => [row.size ?? "any", row.quality ?? "any", formatUsd(row.unitNanos)]),
      );
    case "megapixel":
      return table(
        ["USD for the first megapixel", "each further one", "each given one", "Most megapixels"],
        [
          [
            formatUsd(price.firstNanos),
            formatUsd(price.nanos),
            price.inputNanos === null ? "not known: edits are refused" : formatUsd(price.inputNanos),
            String(price.maxMegapixels),
          ],
        ],
      );
    case "token": {
      const textOutput = price.textOutputNanos === null ? "–" : perMillion(price.textOutputNanos);
      const tokens = [...price.outputTokens].map(([quality, count]) => `${quality} ${count}`).join(", ");
      return [
        ...table(
          ["USD per million text tokens in", "image tokens in", "image tokens out", "text tokens out"],
          [
            [
              perMillion(price.textInputNanos),
              perMillion(price.imageInputNanos),
              perMillion(price.imageOutputNanos),
              textOutput,
            ],
          ],
        ),
        ...table(
          [
            "Quote: output tokens per 1024x1024",
            "auto counts as",
            "per preview",
            "per given picture",
            "text tokens out",
          ],
          [
            [
              tokens,
              `${price.autoQuality}, ${price.autoPixels} pixels`,
              String(price.perPartialImage),
              String(price.inputImageTokens),
              String(price.textOutputTokens),
            ],
          ],
        ),
      ];
    }
  }
}

function notes(price: RoutePrice): string[] {
  const unpriced = [...price.unpriced].map(
    ([name, values]) => `\`${name}\` ${values.map((value) => `\`${value}\``).join(", ")}`,
  );
  return [
    [
      `Price from ${price.source}; checked ${price.checked}.`,
      ...(price.reported ? ["What the provider reports is charged, never above the quote."] : []),
      ...(unpriced.length === 0 ? [] : [`No price is known for ${unpriced.join("; ")}.`]),
    ].join(" "),
  ];
}

const perMillion = (nanosPerToken: Nanos): string => formatUsd(nanosPerToken * 1_000_000n);
