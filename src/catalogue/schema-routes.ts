/** The part of the model file that says how a request travels to a provider. */

import { z } from "zod";
import { priceSchema } from "./schema-prices.ts";
import { operation, parameterName, scalar, uniqueList, vendorField } from "./schema-words.ts";

const vendorFields = z.record(
  z.string().min(1),
  z.union(
    [scalar, z.record(z.string().min(1), scalar)],
    "expected a string, a number, a boolean or an object of these",
  ),
);

const within = z
  .strictObject({
    divisible_by: z.int().positive().optional().describe("Both sides are multiples of this many pixels."),
    min_side: z.int().positive().optional().describe("Shortest side in pixels."),
    max_side: z.int().positive().optional().describe("Longest side in pixels."),
    max_pixels: z.int().positive().optional().describe("Most pixels, width times height."),
  })
  .describe("What this route takes of the sizes that the model takes.");

const one = z
  .strictObject({
    field: vendorField,
    values: z
      .record(z.string(), scalar)
      .optional()
      .describe("The vendor's word for some of our values; others go as they are."),
    only: uniqueList(scalar).optional().describe("The values that this route can honour; without it, all."),
    omit: uniqueList(scalar).optional().describe("Values that are said by sending nothing."),
    minimum: z.number().optional().describe("Smallest number that this route can honour."),
    maximum: z.number().optional().describe("Largest number that this route can honour."),
  })
  .describe("Sent under this name, some values in the vendor's words.");

const twoSides = z
  .strictObject({
    width: vendorField,
    height: vendorField,
    constants: z.record(z.string(), scalar).optional().describe("Sent along with the two sides."),
    within: within.optional(),
  })
  .describe("A size, sent as two numbers.");

const sizeObject = z
  .strictObject({
    object: vendorField.describe("The vendor's field that holds the two sides."),
    width: vendorField,
    height: vendorField,
    within: within.optional(),
  })
  .describe("A size, sent as an object of two numbers.");

const expand = z
  .strictObject({ expand: z.record(z.string(), vendorFields).describe("Our value → the vendor's fields.") })
  .describe("Each value becomes several of the vendor's fields; a value that is not listed cannot be honoured.");

const pictures = z
  .strictObject({
    field: vendorField,
    as: z.enum(["file", "base64", "data_url"]).describe("A part of a multipart body, or text in a JSON body."),
    list: z
      .enum(["one", "array", "repeat", "numbered"])
      .describe("One picture; a list; a repeated part; or numbered fields: input_image, input_image_2, …"),
    max: z.int().positive().optional().describe("Most pictures that this route takes; without it, the model's number."),
    max_bytes: z.int().positive().optional().describe("Size of the largest picture that this route takes."),
  })
  .describe("Pictures that the client gives; for images, mask and markup.");

const fieldMapping = z.union(
  [
    vendorField.describe("Sent as it is, under this name."),
    z.null().describe("Accepted for compatibility, never sent."),
    z.literal(false).describe("This route cannot honour the parameter: it does not serve requests that have it."),
    pictures,
    one,
    sizeObject,
    twoSides,
    expand,
  ],
  "expected a field name, null (accepted, not sent), false (cannot be honoured), {field, values, only, omit}, {width, height, constants}, {object, width, height}, {expand} or {field, as, list}",
);

export const routeSchema = z
  .strictObject({
    provider: z.string().min(1).describe("The adapter's id: openai, stability, replicate, …"),
    provider_name: z.string().min(1).describe("The provider's name as people write it."),
    model: z.string().min(1).describe("The provider's name of the model."),
    edit_model: z
      .string()
      .min(1)
      .optional()
      .describe("The provider's name of the model for edits, where it is another."),
    base_url: z
      .string()
      .refine((text) => URL.canParse(text) && /^https?:$/.test(new URL(text).protocol), "expected an http or https URL")
      .optional()
      .describe("Where this route's server is, in place of the provider's own base URL; in operators' files."),
    operations: uniqueList(operation)
      .optional()
      .describe("What this route can do; without it, all that the model can."),
    streams: z.boolean().optional().describe("Whether it can send previews and the result as an event stream."),
    max_images_per_call: z.int().positive().describe("More images are asked of several calls (fan-out)."),
    count_field: vendorField
      .optional()
      .describe("Where the number of images of a call is sent, if the adapter does not."),
    fields: z
      .record(parameterName, fieldMapping)
      .describe(
        "How prompt, user and every parameter travel, and images, mask and markup where they can be given. Each must be listed: nothing is dropped by forgetting it.",
      ),
    constants: z.record(z.string(), scalar).describe("Vendor fields sent with every call."),
    edit_constants: z.record(z.string(), scalar).optional().describe("Vendor fields sent with every edit besides."),
    edit_defaults: z
      .record(z.string(), scalar)
      .optional()
      .describe("Vendor fields sent with edits where no parameter fills them."),
    price: priceSchema,
  })
  .describe("One way to serve the model.");

export type RouteFile = z.infer<typeof routeSchema>;
