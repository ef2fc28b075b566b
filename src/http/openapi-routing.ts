/** The fields of routing, which every model accepts, and the bodies that name several models or come as a form. */
import { ref, type Schema } from "./openapi-schemas.ts";

const names = (description: string): Schema => ({
  type: ["array", "null"],
  items: { type: "string", minLength: 1 },
  description,
});
const flag = (description: string, fallback: boolean): Schema => ({
  type: ["boolean", "null"],
  default: fallback,
  description,
});
const mostDollars = 999_999_999;
const dollars: Schema[] = [
  { type: "number", minimum: 0, maximum: mostDollars },
  { type: "string", pattern: "^\\d{1,9}(\\.\\d{1,9})?$" },
];

/** The `provider` object. */
export const preferencesSchema: Schema = {
  type: "object",
  description: "Which providers may answer, and in what order.",
  properties: {
    order: names("Providers to try first, in this order."),
    only: names("Only these providers."),
    ignore: names("Not these providers."),
    allow_fallbacks: flag("Whether anything but the first choice is tried.", true),
    require_parameters: flag(
      "Accepted, and always so: a route that cannot honour the whole request is never tried.",
      true,
    ),
    sort: {
      enum: ["price", "latency", null],
      description: "Cheapest first, or fastest first by what has been measured.",
    },
    max_price: {
      anyOf: [
        ...dollars,
        {
          type: "object",
          properties: { image: { anyOf: [...dollars, { type: "null" }] } },
          additionalProperties: false,
        },
        { type: "null" },
      ],
      description: "The most that one image may cost, in US dollars: a number, a decimal string, or `{image: …}`.",
    },
    fallback_on_refusal: flag("Whether a refusal of the content may be answered by another candidate.", false),
  },
  additionalProperties: false,
};

/** @param models whether the body may name further models; where it does not, null still means omitted */
export function routingProperties({ models }: { models: boolean }): Record<string, Schema> {
  return {
    models: models
      ? {
          type: "array",
          items: { type: "string", minLength: 1 },
          minItems: 1,
          maxItems: 10,
          description: "Further models, tried in this order when the ones before cannot answer.",
        }
      : { type: "null", description: "See RoutedRequest." },
    route: { enum: ["fallback", null], description: "Accepted, and implied." },
    provider: {
      anyOf: [ref("Preferences"), { type: "null" }],
      description: "Which providers may answer, and in what order.",
    },
    webhook_url: {
      type: ["string", "null"],
      minLength: 1,
      maxLength: 2_048,
      format: "uri",
      description: "Where a signed event is sent when the generation has ended: an https URL.",
    },
  };
}

/** A body with `models`: its other parameters are judged by each of them. */
export function routedSchema(edit: boolean): Schema {
  return {
    description:
      "A request that names several models. A model that cannot honour it is skipped when another one can; the parameters are those of the models.",
    type: "object",
    properties: {
      model: { type: "string", minLength: 1, description: "The first model; may be left out." },
      ...routingProperties({ models: true }),
      prompt: { type: "string", minLength: 1 },
      ...(edit ? { images: { type: "array", items: ref("Picture"), minItems: 1, maxItems: 16 } } : {}),
    },
    required: ["models", "prompt", ...(edit ? ["images"] : [])],
  };
}

const file = (description: string): Schema => ({
  type: "string",
  contentMediaType: "application/octet-stream",
  description,
});

export const formSchema: Schema = {
  description:
    "Every other parameter of the model as a text of the same name: numbers and booleans as they are written, objects and lists as JSON.",
  type: "object",
  properties: {
    model: { type: "string", description: "The model; `models` may take its place." },
    prompt: { type: "string", description: "What the picture should become." },
    image: file("A picture; of several, call each `image[]`. By its bytes, not by its name."),
    "image[]": { type: "array", items: file("A picture."), maxItems: 16, description: "Several pictures." },
    mask: file("A PNG of the first picture's size, for models that take one."),
    markup: file("A PNG of the first picture's size, drawn over it, for models that take one."),
  },
  required: ["prompt"],
  anyOf: [{ required: ["image"] }, { required: ["image[]"] }],
};
