/** The part of the model file that says what a route costs. */

import { z } from "zod";
import { isoDate, parameterName, scalar, size, uniqueList, usd } from "./schema-words.ts";

const common = {
  from: isoDate.optional().describe("The first day of this price; without it, it has always been."),
  charge: z
    .literal("reported", 'expected "reported"')
    .optional()
    .describe(
      "What the provider itself reports is charged, never above the quote; this rule where it reports nothing.",
    ),
  unpriced: z
    .record(parameterName, uniqueList(scalar))
    .optional()
    .describe("Values for which no price is known: such a request is refused (price_unknown)."),
  source: z.string().min(1).describe("Where the price is published, and what in it is an assumption."),
  checked: isoDate.describe("When the price was last compared with its source."),
};

const quality = z.string().min(1);
const perMillion = usd.describe("US dollars per million tokens, as a decimal string.");
const tokens = z.int().nonnegative();

const imagePrice = z
  .strictObject({
    unit: z.literal("image").describe("What is paid for: each delivered image."),
    rows: z
      .array(
        z.strictObject({
          size: size.optional().describe("Applies to this size only; without it, to every one."),
          quality: quality.optional().describe("Applies to this quality only; without it, to every one."),
          usd,
        }),
      )
      .describe(
        "The first row that fits the request is its price. No row that fits: the request is refused (price_unknown).",
      ),
    ...common,
  })
  .describe("So much per image.");

const megapixelPrice = z
  .strictObject({
    unit: z.literal("megapixel").describe("What is paid for: each begun 1,048,576 pixels of each delivered image."),
    first_usd: usd.optional().describe("The first megapixel of an image; without it, like the others."),
    usd: usd.describe("Every further megapixel of an image."),
    input_usd: usd
      .optional()
      .describe("Every begun megapixel of every picture that is given; without it, edits have no price."),
    max_megapixels: z
      .int()
      .positive()
      .describe("Most that one image can have: the quote of a request whose pixels are not known before."),
    ...common,
  })
  .describe("So much per begun megapixel; docs/decisions/0026-token-price-bounds.md says how they are counted.");

const tokenPrice = z
  .strictObject({
    unit: z.literal("token").describe("What is paid for: tokens, as the provider counts them."),
    text_input_usd: perMillion,
    image_input_usd: perMillion,
    image_output_usd: perMillion,
    text_output_usd: perMillion.optional(),
    output_tokens: z
      .array(z.strictObject({ quality, tokens: tokens.positive() }))
      .min(1, "expected at least one value")
      .describe(
        "Most output tokens of one image of 1,048,576 pixels or fewer, by quality; more in proportion to pixels.",
      ),
    auto_quality: quality.describe("The dearest quality that auto, or none, may come to."),
    auto_pixels: z.int().positive().describe("Most pixels that the size auto, or none, may come to."),
    per_partial_image: tokens.describe("Output tokens that each preview adds."),
    input_image_tokens: tokens.describe("Most input tokens of one given picture; mask and markup are one each."),
    text_output_tokens: tokens.optional().describe("Most text output tokens of one image."),
    frames: z
      .strictObject({
        parameter: parameterName.describe("How many frames an image has."),
        format: z.string().min(1).describe("The file type that has frames."),
      })
      .optional()
      .describe("An image of this type is taken to need as many tokens as its frames would as images of their own."),
    ...common,
  })
  .describe(
    "By tokens: an upper bound before, the reported usage afterwards. docs/decisions/0026-token-price-bounds.md.",
  );

const onePrice = z.discriminatedUnion("unit", [imagePrice, megapixelPrice, tokenPrice], {
  error: (issue) => (issue.code === "invalid_union" ? 'expected "image", "megapixel" or "token"' : undefined),
});

export const priceSchema = z
  .union([onePrice, z.array(onePrice).min(1, "expected at least one value")])
  .describe("The price rule of a route; or several, each with the day from which it applies.");

export type PriceFile = z.infer<typeof onePrice>;
