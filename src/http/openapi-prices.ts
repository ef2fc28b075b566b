/** Prices: as the listing shows them, and in words. */
import { listEndpoints, type Model, type Pricing } from "../catalogue/index.ts";
import { list, object, type Schema, text } from "./openapi-schemas.ts";

type ByUnit<Unit extends Pricing["unit"]> = Extract<Pricing, { unit: Unit }>;

/** Of the first route that has one. */
export function priceInWords(model: Model): string {
  const priced = listEndpoints(model).find(({ pricing }) => pricing.unit !== "image" || pricing.rows.length > 0);
  if (priced === undefined) return "No price is known: requests are refused.";
  const { pricing, provider_name: provider } = priced;
  const at = model.routes.length > 1 ? ` at ${provider}` : "";
  switch (pricing.unit) {
    case "image":
      return `Price per image${at}: ${rowsInWords(pricing)}.`;
    case "megapixel":
      return `Price per image${at}: $${pricing.first_usd} for the first megapixel, $${pricing.usd} for each further one.`;
    case "token":
      return `Price per million tokens${at}: $${pricing.image_output_usd} of image output, $${pricing.text_input_usd} of text and $${pricing.image_input_usd} of given pictures.`;
  }
}

function rowsInWords({ rows }: ByUnit<"image">): string {
  const prices = rows.map(({ size, quality, usd }) => {
    const only = [size, quality].filter((word) => word !== undefined).join(" ");
    return `$${usd}${only === "" ? "" : ` (${only})`}`;
  });
  return prices.join(", ");
}

const usd = text("US dollars, as a decimal string.");
const perMillion = text("US dollars per million tokens, as a decimal string.");
const count = (description: string): Schema => ({ type: "integer", description });

const common: Record<string, Schema> = {
  currency: { const: "USD" },
  charge: { const: "reported", description: "The provider's own figure is charged, never above the quote." },
  from: { type: "string", format: "date", description: "The first day of this price." },
  unpriced: { type: "object", description: "Values of parameters for which no price is known." },
  source: text("Where the price is published."),
  checked: { type: "string", format: "date", description: "When it was last compared with its source." },
};
const absent = ["charge", "from", "unpriced"];
const priced = (
  unit: Pricing["unit"],
  description: string,
  fields: Record<string, Schema>,
  optional: string[] = [],
): Schema => ({
  ...object({ unit: { const: unit }, ...fields, ...common }, [...absent, ...optional]),
  description,
});

export const priceSchemas: Record<string, Schema> = {
  Pricing: {
    description: "A price rule; its `unit` says what is paid for.",
    oneOf: ["ImagePricing", "MegapixelPricing", "TokenPricing"].map((name) => ({
      $ref: `#/components/schemas/${name}`,
    })),
  },
  ImagePricing: priced("image", "So much per delivered image.", {
    rows: list(object({ size: text(), quality: text(), usd }, ["size", "quality"]), {
      description: "The first row that fits a request is its price; without any, requests are refused.",
    }),
  }),
  MegapixelPricing: priced(
    "megapixel",
    "So much per begun megapixel (1,048,576 pixels) of an image.",
    {
      first_usd: { ...usd, description: "The first megapixel of an image." },
      usd: { ...usd, description: "Each further one." },
      input_usd: { ...usd, description: "Each megapixel of a given picture; without it, edits have no price." },
      max_megapixels: count("What an image is quoted at whose pixels are not known before."),
    },
    ["input_usd"],
  ),
  TokenPricing: priced(
    "token",
    "So much per token, as the provider counts them; and the upper bounds that a quote is made of.",
    {
      text_input_usd: perMillion,
      image_input_usd: perMillion,
      image_output_usd: perMillion,
      text_output_usd: perMillion,
      output_tokens: list(object({ quality: text(), tokens: count("Most of one image of a megapixel.") })),
      auto_quality: text("What `auto` is quoted at."),
      auto_pixels: count("How many pixels the size `auto` is quoted at."),
      per_partial_image: count("What each preview adds."),
      input_image_tokens: count("Most of one given picture."),
      text_output_tokens: count("Most text of one image."),
    },
    ["text_output_usd"],
  ),
};
