/** The rule of a parameter, as the listing shows it; models/schema.json documents every field. */
import { list, object, type Schema, text } from "./openapi-schemas.ts";

const whole = (description: string): Schema => ({ type: "integer", description });
const scalar: Schema = { anyOf: [{ type: "string" }, { type: "number" }, { type: "boolean" }] };

const fields: Record<string, Schema> = {
  values: list(text(), { description: "The accepted words." }),
  auto: { const: true, description: "Takes `auto` too." },
  minimum: { type: "number" },
  maximum: { type: "number" },
  max_length: whole("In Unicode code points."),
  default: { ...scalar, description: "Filled in and sent when the parameter is omitted." },
  default_for: list(text(), { description: "The operations that have the default; without it, all." }),
  vendor_default: { ...scalar, description: "What the vendor takes when nothing is sent." },
  random_value: whole("A value that means random to the vendor."),
  conflicts_with: list(text(), { description: "Not together with these." }),
  operations: list({ enum: ["generate", "edit"] }, { description: "Without it, all of the model's." }),
  requires: list(
    object(
      {
        for: list(scalar, { description: "Only these values need it." }),
        parameter: text("The other parameter."),
        one_of: list(scalar, { description: "What it must be, given or by default." }),
        message: text(),
      },
      ["for", "message"],
    ),
    { description: "What else must be true for it to be given." },
  ),
  divisible_by: whole("Both sides are multiples of this many pixels."),
  min_side: whole("Pixels."),
  max_side: whole("Pixels."),
  min_pixels: whole("Width times height."),
  max_pixels: whole("Width times height."),
  max_ratio: { type: "number", description: "How many times the shorter side the longer one may be." },
  example: text("A valid size."),
  fields: { type: "object", description: "What an object may hold, each with a rule of its own." },
};

export const ruleSchema: Schema = object(
  { type: text(), description: text(), required: { type: "boolean" }, rule: text("The rule in words."), ...fields },
  Object.keys(fields),
);
