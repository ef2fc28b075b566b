/**
 * The model file: snake_case JSON, strict (an unknown key is an error). `models/schema.json` is generated from here by
 * `scripts/model-schema.ts`; the descriptions, here and in the other `schema-` files, are its documentation.
 */

import { z } from "zod";
import { type ParameterFile, parameterSchema } from "./schema-parameters.ts";
import { routeSchema } from "./schema-routes.ts";
import { isoDate, operation, parameterName, uniqueList } from "./schema-words.ts";

export type { ParameterFile };

const modelId = z
  .string()
  .regex(/^[a-z0-9][a-z0-9._-]*\/[a-z0-9][a-z0-9._-]*$/, "expected an id of the form author/model, in lower case")
  .describe("author/model, in lower case.");

const inputType = z.enum(["image/png", "image/jpeg", "image/webp", "image/gif"]);

const edit = z
  .strictObject({
    max_images: z.int().positive().describe("Most pictures that can be given in one request."),
    mask: z.boolean().describe("Whether a mask can be given."),
    markup: z.boolean().optional().describe("Whether a markup (drawn over the first picture) can be given."),
    input_types: uniqueList(inputType)
      .optional()
      .describe("File types that can be given; without it, PNG, JPEG and WebP."),
  })
  .describe("What an edit can be given.");

const successorMapping = z
  .strictObject({
    values: z
      .record(parameterName, z.record(z.string(), z.string()))
      .describe("Parameter → our value → the successor's; others go as they are."),
    refused: z.array(parameterName).describe("Parameters that the successor cannot honour, if given."),
  })
  .describe("How a request is put to the successor (AROUTER_LEGACY=successor).");

export const modelSchema = z
  .strictObject({
    $schema: z.string().optional().describe("For editors: models/schema.json."),
    id: modelId,
    name: z.string().min(1).describe("The model's name as people write it."),
    description: z.string().min(1).describe("One or two sentences for GET /v1/models and the console."),
    owned_by: z.string().min(1).describe("Who made the model."),
    created: z.int().nonnegative().describe("When the model came out, Unix seconds."),
    aliases: z.array(z.string().min(1)).describe("Other ids under which clients may name it."),
    operations: uniqueList(operation).describe("What the model can do."),
    edit: edit.optional(),
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
        "Everything but model, prompt, n, user, response_format and stream, which every model has, and partial_images, which streaming ones have. Checked in this order, sizes and ratios last.",
      ),
    lifecycle: z
      .strictObject({
        end_date: isoDate.nullable().describe("The vendor's last day for the model, or null."),
        successor: modelId.nullable().describe("The model that takes its place, or null."),
        note: z.string().min(1).nullable().describe("What the operator can do about it; names the setting."),
        successor_mapping: successorMapping.optional(),
      })
      .describe("Whether and when the vendor ends the model."),
    routes: z.array(routeSchema).min(1, "expected at least one route").describe("In order of preference."),
  })
  .describe("A model of ARouter's catalogue: what a request may say, how it travels, what it costs.");

export type ModelFile = z.infer<typeof modelSchema>;
