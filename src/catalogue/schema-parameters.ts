/** The part of the model file that says what a request may hold. */

import { z } from "zod";
import { operation, parameterName, scalar, size, uniqueList } from "./schema-words.ts";

const requirement = z
  .strictObject({
    for: uniqueList(scalar).optional().describe("Only these values of this parameter need it; without it, every one."),
    parameter: parameterName.describe(
      "The other parameter; n, stream and partial_images may be named too, and mask and markup (true where one is given).",
    ),
    one_of: uniqueList(scalar).describe("What the other one must be: given, by default, or by the vendor's default."),
    message: z.string().min(1).optional().describe("The vendor's own words for the refusal, where they are recorded."),
  })
  .describe("What else must be true for this parameter to be given.");

const common = {
  description: z.string().min(1).describe("What the parameter does, in one sentence; no rules, they are data."),
  conflicts_with: uniqueList(parameterName)
    .optional()
    .describe("Parameters that cannot be given together with this one; the error names this one."),
  operations: uniqueList(operation).optional().describe("The operations that know this parameter; without it, all."),
  default_for: uniqueList(operation).optional().describe("The operations that `default` is for; without it, all."),
  requires: z.array(requirement).min(1, "expected at least one value").optional().describe("Checked when it is given."),
};

/** `default` is ours: filled in and sent. `vendor_default` is what the vendor does when nothing is sent: for the documentation. */
const defaults = <Value extends z.ZodType>(value: Value) => ({
  default: value.optional().describe("Filled in and sent when omitted: for what decides price, size or file type."),
  vendor_default: value
    .optional()
    .describe("What the vendor takes when nothing is sent; never sent, but `requires` and prices go by it."),
});

const bounds = (number: z.ZodNumber) => ({
  minimum: number.describe("Smallest accepted value."),
  maximum: number.describe("Largest accepted value."),
});

const auto = z.literal(true, "expected true").optional().describe('Takes "auto" too: the vendor chooses the pixels.');
const sizeOrAuto = z.union([size, z.literal("auto")], "expected WIDTHxHEIGHT in pixels, or auto");
const fileType = z.enum(["png", "jpeg", "jpg", "webp", "gif", "svg"]);

const enumShape = { type: z.literal("enum"), ...common, values: uniqueList(z.string()), ...defaults(z.string()) };
const integerShape = { type: z.literal("integer"), ...common, ...bounds(z.int()), ...defaults(z.int()) };
const numberShape = { type: z.literal("number"), ...common, ...bounds(z.number()), ...defaults(z.number()) };
const booleanShape = { type: z.literal("boolean"), ...common, ...defaults(z.boolean()) };
const stringShape = {
  type: z.literal("string"),
  ...common,
  max_length: z.int().positive().optional().describe("In Unicode code points."),
};

/** What an object may hold: plain values, or one more object of plain values. */
const plainFields = [
  z.strictObject(enumShape).omit({ conflicts_with: true, operations: true, default_for: true, requires: true }),
  z.strictObject(integerShape).omit({ conflicts_with: true, operations: true, default_for: true, requires: true }),
  z.strictObject(numberShape).omit({ conflicts_with: true, operations: true, default_for: true, requires: true }),
  z.strictObject(booleanShape).omit({ conflicts_with: true, operations: true, default_for: true, requires: true }),
  z.strictObject(stringShape).omit({ conflicts_with: true, operations: true, default_for: true, requires: true }),
] as const;
const plainField = z.discriminatedUnion("type", plainFields, typeError("enum, integer, number, boolean, string"));
const innerObject = z
  .strictObject({
    type: z.literal("object"),
    description: common.description,
    fields: z.record(parameterName, plainField).describe("What it may hold; nothing else."),
  })
  .describe("An object of plain values.");
const objectField = z.discriminatedUnion(
  "type",
  [...plainFields, innerObject],
  typeError("enum, integer, number, boolean, string, object"),
);

function typeError(types: string) {
  return {
    error: (issue: { code?: string | undefined }) =>
      issue.code === "invalid_union" ? `expected one of ${types}` : undefined,
  };
}

export const parameterSchema = z
  .discriminatedUnion(
    "type",
    [
      z.strictObject(enumShape).describe("One of a list of strings."),
      z.strictObject(integerShape).describe("A whole number within bounds."),
      z.strictObject(numberShape).describe("A number within bounds."),
      z.strictObject(booleanShape).describe("true or false."),
      z.strictObject(stringShape).describe("Free text."),
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
        .strictObject({ type: z.literal("format"), ...common, values: uniqueList(fileType), ...defaults(fileType) })
        .describe("The delivered file's type; jpg and jpeg are the same."),
      z
        .strictObject({
          type: z.literal("size"),
          ...common,
          values: uniqueList(size),
          auto,
          ...defaults(sizeOrAuto),
        })
        .describe("Pixel size, one of a list."),
      z
        .strictObject({
          type: z.literal("size_rule"),
          ...common,
          divisible_by: z.int().positive().describe("Both sides are multiples of this many pixels."),
          min_side: z.int().positive().describe("Shortest accepted side in pixels."),
          max_side: z.int().positive().describe("Longest accepted side in pixels."),
          min_pixels: z.int().positive().optional().describe("Fewest pixels, width times height."),
          max_pixels: z.int().positive().optional().describe("Most pixels, width times height."),
          max_ratio: z.number().min(1).optional().describe("How many times the shorter side the longer one may be."),
          example: size.describe("A valid size for the error of a malformed one."),
          auto,
          ...defaults(sizeOrAuto),
        })
        .describe("Pixel size, any that fits a rule."),
      z
        .strictObject({
          type: z.literal("aspect_ratio"),
          ...common,
          values: uniqueList(z.string().regex(/^[1-9]\d*:[1-9]\d*$/, "expected WIDTH:HEIGHT, for example 16:9")),
          ...defaults(z.string()),
        })
        .describe("Shape without pixels, one of a list."),
      z
        .strictObject({
          type: z.literal("object"),
          ...common,
          fields: z.record(parameterName, objectField).describe("What it may hold; nothing else."),
        })
        .describe("An object with named fields."),
    ],
    typeError("enum, integer, number, boolean, string, image_url, seed, format, size, size_rule, aspect_ratio, object"),
  )
  .describe("A parameter and the values it takes.");

export type ParameterFile = z.infer<typeof parameterSchema>;
export type Requirement = z.infer<typeof requirement>;
/** What an object of a request may hold under one of its names. */
export type ObjectField = z.infer<typeof objectField>;
