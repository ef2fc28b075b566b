/**
 * The model file: snake_case JSON, strict (an unknown key is an error). `models/schema.json` is generated from here by
 * `scripts/model-schema.ts`; the descriptions below are its documentation.
 */

import { z } from "zod";

/** `constructor` is the one lower-case name that every object already has. */
const parameterName = z
  .string()
  .regex(/^(?!constructor$)[a-z][a-z0-9_]*$/, "expected a lower-case parameter name")
  .describe("A parameter's name in the request body.");

const isoDate = z.iso.date("expected a date, YYYY-MM-DD");

const modelId = z
  .string()
  .regex(/^[a-z0-9][a-z0-9._-]*\/[a-z0-9][a-z0-9._-]*$/, "expected an id of the form author/model, in lower case")
  .describe("author/model, in lower case.");

const size = z.string().regex(/^[1-9]\d*x[1-9]\d*$/, "expected WIDTHxHEIGHT in pixels, for example 1024x1024");

const usd = z
  .string()
  .regex(/^\d+(\.\d{1,9})?$/, 'expected a decimal string of US dollars with at most 9 decimals, for example "0.040"')
  .describe("US dollars as a decimal string, at most 9 decimals: never a float.");

const uniqueList = <Item extends z.ZodType>(item: Item) =>
  z
    .array(item)
    .min(1, "expected at least one value")
    .refine((list) => new Set(list).size === list.length, "expected every value once");

const common = {
  description: z.string().min(1).describe("What the parameter does, in one sentence; no rules, they are data."),
  conflicts_with: uniqueList(parameterName)
    .optional()
    .describe("Parameters that cannot be given together with this one; the error names this one."),
};

/** `default` is ours: filled in and sent. `vendor_default` is what the vendor does when nothing is sent: for the documentation. */
const defaults = <Value extends z.ZodType>(value: Value) => ({
  default: value.optional().describe("Filled in and sent when omitted: for what decides price, size or file type."),
  vendor_default: value
    .optional()
    .describe("What the vendor takes when nothing is sent; documentation only, never sent."),
});

const bounds = (number: z.ZodNumber) => ({
  minimum: number.describe("Smallest accepted value."),
  maximum: number.describe("Largest accepted value."),
});

const parameterSchema = z
  .discriminatedUnion(
    "type",
    [
      z
        .strictObject({ type: z.literal("enum"), ...common, values: uniqueList(z.string()), ...defaults(z.string()) })
        .describe("One of a list of strings."),
      z
        .strictObject({ type: z.literal("integer"), ...common, ...bounds(z.int()), ...defaults(z.int()) })
        .describe("A whole number within bounds."),
      z
        .strictObject({ type: z.literal("number"), ...common, ...bounds(z.number()), ...defaults(z.number()) })
        .describe("A number within bounds."),
      z.strictObject({ type: z.literal("boolean"), ...common, ...defaults(z.boolean()) }).describe("true or false."),
      z
        .strictObject({
          type: z.literal("string"),
          ...common,
          max_length: z.int().positive().optional().describe("In Unicode code points."),
        })
        .describe("Free text."),
      z
        .strictObject({ type: z.literal("image_url"), ...common })
        .describe("An https URL of a picture that the vendor fetches."),
      z
        .strictObject({
          type: z.literal("seed"),
          ...common,
          maximum: z.int().positive().describe("Largest accepted value; the smallest is 0."),
          random_value: z
            .int()
            .optional()
            .describe("A value that means random to the vendor, and so is never counted up."),
        })
        .describe("Picture i of a generation uses seed + i; see docs/decisions/0004-seed-and-fan-out.md."),
      z
        .strictObject({
          type: z.literal("format"),
          ...common,
          values: uniqueList(z.enum(["png", "jpeg", "jpg", "webp"])),
          ...defaults(z.enum(["png", "jpeg", "jpg", "webp"])),
        })
        .describe("The delivered file's type; jpg and jpeg are the same."),
      z
        .strictObject({
          type: z.literal("size"),
          ...common,
          values: uniqueList(size),
          default: size.optional().describe("Filled in and sent when omitted."),
        })
        .describe("Pixel size, one of a list."),
      z
        .strictObject({
          type: z.literal("size_rule"),
          ...common,
          divisible_by: z.int().positive().describe("Both sides are multiples of this many pixels."),
          min_side: z.int().positive().describe("Shortest accepted side in pixels."),
          max_side: z.int().positive().describe("Longest accepted side in pixels."),
          example: size.describe("A valid size for the error of a malformed one."),
        })
        .describe("Pixel size, any that fits a rule."),
      z
        .strictObject({
          type: z.literal("aspect_ratio"),
          ...common,
          values: uniqueList(z.string().regex(/^[1-9]\d*:[1-9]\d*$/, "expected WIDTH:HEIGHT, for example 16:9")),
          default: z.string().optional().describe("Filled in and sent when omitted."),
        })
        .describe("Shape without pixels, one of a list."),
    ],
    {
      error: (issue) =>
        issue.code === "invalid_union"
          ? "expected one of enum, integer, number, boolean, string, image_url, seed, format, size, size_rule, aspect_ratio"
          : undefined,
    },
  )
  .describe("A parameter and the values it takes.");

const scalar = z.union([z.string(), z.number(), z.boolean()], "expected a string, a number or a boolean");
const vendorField = z.string().min(1).describe("The vendor's name of the field.");

const fieldMapping = z.union(
  [
    vendorField.describe("Sent as it is, under this name."),
    z.null().describe("Accepted for compatibility, never sent."),
    z
      .strictObject({
        field: vendorField,
        values: z
          .record(z.string(), scalar)
          .describe("The vendor's word for some of our values; others go as they are."),
      })
      .describe("Sent under this name, some values in the vendor's words."),
    z
      .strictObject({
        width: vendorField,
        height: vendorField,
        constants: z.record(z.string(), scalar).optional().describe("Sent along with the two sides."),
      })
      .describe("A size, sent as two numbers."),
  ],
  "expected a field name, null (accepted, not sent), {field, values} or {width, height, constants}",
);

const priceSchema = z
  .strictObject({
    unit: z.literal("image", 'expected "image"').describe("What is paid for: each delivered image."),
    rows: z
      .array(
        z.strictObject({
          size: size.optional().describe("Applies to this size only; without it, to every one."),
          quality: z.string().optional().describe("Applies to this quality only; without it, to every one."),
          usd,
        }),
      )
      .describe(
        "The first row that fits the request is its price. No row that fits: the request is refused (price_unknown).",
      ),
    source: z.string().min(1).describe("Where the price is published."),
    checked: isoDate.describe("When the price was last compared with its source."),
  })
  .describe("The price rule of a route.");

const routeSchema = z
  .strictObject({
    provider: z.string().min(1).describe("The adapter's id: openai, stability, replicate, …"),
    provider_name: z.string().min(1).describe("The provider's name as people write it."),
    model: z.string().min(1).describe("The provider's name of the model."),
    max_images_per_call: z.int().positive().describe("More images are asked of several calls (fan-out)."),
    fields: z
      .record(z.union([z.literal("prompt"), z.literal("user"), parameterName]), fieldMapping)
      .describe(
        "How prompt, user and every parameter travel. Each must be listed: nothing is dropped by forgetting it.",
      ),
    constants: z.record(z.string(), scalar).describe("Vendor fields sent with every call."),
    price: priceSchema,
  })
  .describe("One way to serve the model.");

export const modelSchema = z
  .strictObject({
    $schema: z.string().optional().describe("For editors: models/schema.json."),
    id: modelId,
    name: z.string().min(1).describe("The model's name as people write it."),
    description: z.string().min(1).describe("One or two sentences for GET /v1/models and the console."),
    owned_by: z.string().min(1).describe("Who made the model."),
    created: z.int().nonnegative().describe("When the model came out, Unix seconds."),
    aliases: z.array(z.string().min(1)).describe("Other ids under which clients may name it."),
    operations: uniqueList(z.literal("generate", 'expected "generate"')).describe("What the model can do."),
    prompt: z
      .strictObject({
        max_length: z
          .int()
          .positive()
          .optional()
          .describe("In Unicode code points; omitted where the vendor documents none."),
      })
      .describe("The prompt's rule."),
    max_n: z.int().positive().describe("Most images in one request; fan-out included."),
    response_format: z
      .enum(["url", "b64_json"], 'expected "url" or "b64_json"')
      .describe("What a request without response_format gets."),
    parameters: z
      .record(parameterName, parameterSchema)
      .describe(
        "Everything but model, prompt, n, user and response_format, which every model has. Checked in this order, sizes and ratios last.",
      ),
    lifecycle: z
      .strictObject({
        end_date: isoDate.nullable().describe("The vendor's last day for the model, or null."),
        successor: modelId.nullable().describe("The model that takes its place, or null."),
        note: z.string().min(1).nullable().describe("What the operator can do about it; names the setting."),
      })
      .describe("Whether and when the vendor ends the model."),
    routes: z.array(routeSchema).min(1, "expected at least one route").describe("In order of preference."),
  })
  .describe("A model of ARouter's catalogue: what a request may say, how it travels, what it costs.");

export type ModelFile = z.infer<typeof modelSchema>;
export type ParameterFile = z.infer<typeof parameterSchema>;
