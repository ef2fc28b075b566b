/** The JSON Schemas of everything that a response of this router may carry; error codes come from the error table. */
import { errorTable } from "../errors.ts";

/** JSON Schema, as far as it is read again here; the rest is only written. */
export interface Schema {
  $ref?: string;
  type?: string | string[];
  title?: string;
  description?: string;
  default?: unknown;
  const?: unknown;
  properties?: Record<string, Schema>;
  required?: string[];
  items?: Schema;
  allOf?: Schema[];
  anyOf?: Schema[];
  oneOf?: Schema[];
  [keyword: string]: unknown;
}

export const ref = (name: string): Schema => ({ $ref: `#/components/schemas/${name}` });
export const object = (properties: Record<string, Schema>, optional: readonly string[] = []): Schema => ({
  type: "object",
  properties,
  required: Object.keys(properties).filter((name) => !optional.includes(name)),
});
export const list = (items: Schema, extra: Schema = {}): Schema => ({ type: "array", items, ...extra });
export const orNull = (schema: Schema): Schema => ({ anyOf: [schema, { type: "null" }] });
export const text = (description?: string): Schema => ({
  type: "string",
  ...(description === undefined ? {} : { description }),
});
const integer = (description: string): Schema => ({ type: "integer", description });
const milliseconds = (description: string): Schema => ({
  type: ["integer", "null"],
  description: `${description} Milliseconds, null where it did not come to that.`,
});
const unixSeconds = (description: string): Schema => integer(`${description} Unix seconds.`);

/** A generation as a flat record. */
export const summary: Record<string, Schema> = {
  id: text(),
  model: text(),
  provider: text(),
  status: text(),
  created_at: { type: "string", format: "date-time" },
  latency_ms: { type: ["integer", "null"] },
  request_id: text(),
  user: { type: ["string", "null"], description: "The body's `user`." },
  referer: { type: ["string", "null"], description: "The `HTTP-Referer` header." },
  title: { type: ["string", "null"], description: "The `X-Title` header." },
  usage: object({ cost: { type: "number", description: "US dollars." }, images: integer("Delivered images.") }),
  error: orNull(ref("RecordedError")),
};

/** Everything about images, models and the router that a response may carry. */
export const answerSchemas: Record<string, Schema> = {
  Error: {
    ...object({
      error: object({
        message: text("What went wrong and what is allowed, in words."),
        type: { type: "string", enum: [...new Set(Object.values(errorTable).map(({ type }) => type))] },
        param: { type: ["string", "null"], description: "The parameter at fault, where there is one." },
        code: ref("ErrorCode"),
      }),
      code: ref("ErrorCode"),
    }),
    description: "OpenAI's error envelope. The code is repeated at the top for clients that look there.",
  },
  ErrorCode: { type: "string", enum: Object.keys(errorTable), description: "What the program should decide by." },
  Images: object(
    {
      created: unixSeconds("When the pictures were ready."),
      data: list(ref("Image"), { minItems: 1 }),
      background: text("Only where the vendor echoes it."),
      output_format: text("Only where the vendor echoes it."),
      quality: text("Only where the vendor echoes it."),
      safety_identifier: text("Only where the vendor echoes it."),
      size: {
        type: "string",
        pattern: "^\\d+x\\d+$",
        description: "Only where it differs from the one asked for, or the vendor echoes it.",
      },
      usage: { type: "object", description: "Token counts, only where the vendor reports them." },
    },
    ["background", "output_format", "quality", "safety_identifier", "size", "usage"],
  ),
  Image: {
    ...object(
      {
        url: { type: "string", format: "uri", description: "With `response_format: url`: a link that lives one hour." },
        b64_json: {
          type: "string",
          description: "With `response_format: b64_json`: the file's bytes.",
          contentEncoding: "base64",
        },
        revised_prompt: text("The prompt really used, only where the vendor says so."),
      },
      ["url", "b64_json", "revised_prompt"],
    ),
    oneOf: [{ required: ["url"] }, { required: ["b64_json"] }],
  },
  Generation: object({
    id: text("`gen-…`, also in `x-arouter-generation-id`."),
    object: { const: "image.generation" },
    operation: { enum: ["generate", "edit"] },
    status: {
      enum: ["queued", "running", "succeeded", "failed", "canceled", "expired"],
      description: "`expired`: it succeeded, and its bytes are gone.",
    },
    created: unixSeconds("When it was accepted."),
    finished: { ...unixSeconds("When it ended."), type: ["integer", "null"] },
    model: text(),
    provider: text(),
    requested: {
      type: "object",
      description:
        "The parameters as the client gave them; pictures as their SHA-256, size and type. The prompt goes after the hour.",
    },
    sent: {
      description: "What was sent for it: the body of the call that answered, or of the first of the last ones.",
    },
    data: list(
      object(
        {
          url: { type: "string", format: "uri", description: "A fresh link, while the bytes live." },
          revised_prompt: text(),
          size: text("`WIDTHxHEIGHT` of the delivered file."),
          bytes: integer("Size of the file."),
          content_type: text(),
          expires_at: unixSeconds("When the bytes go."),
        },
        ["url", "revised_prompt"],
      ),
    ),
    error: orNull(ref("RecordedError")),
    warnings: list({ type: "string", enum: ["short_delivery", "size_mismatch", "format_mismatch"] }),
    usage: { type: ["object", "null"] },
    cost_usd: { type: "number", description: "What it cost, by what was delivered." },
    price_rule: text("The catalogue's price row that it was charged by."),
    attempts: list(
      object({
        provider: text(),
        model: text("The provider's name of the model."),
        round: integer("From 0; every retry and every fallback is a round of its own."),
        status: { enum: ["running", "succeeded", "failed", "canceled"] },
        started: unixSeconds(""),
        finished: { type: ["integer", "null"] },
        timings: object({
          queued_ms: milliseconds("Until it was sent."),
          first_byte_ms: milliseconds("From then to the answer's first byte."),
          total_ms: milliseconds("From beginning to end."),
        }),
        upstream_id: { type: ["string", "null"], description: "The provider's own id for it." },
        error: orNull(object({ class: text("The class of the failure.") })),
        sent: { description: "The body of this upstream call." },
      }),
    ),
  }),
  RecordedError: object({
    code: ref("ErrorCode"),
    message: text(),
    param: { type: ["string", "null"] },
  }),
  GenerationSummary: object(summary),
  Landing: object({
    name: { const: "arouter" },
    version: text(),
    status: { enum: ["ready", "draining", "not ready"] },
    docs: { type: "string", format: "uri" },
    openapi: { type: "string", format: "uri" },
    base_url: { type: "string", format: "uri", description: "For the official clients." },
    models: list(text("`author/model`.")),
  }),
  ModelList: object({ object: { const: "list" }, data: list(ref("Model")) }),
  Model: object({
    id: text("`author/model`."),
    object: { const: "model" },
    created: unixSeconds("When the model came out."),
    owned_by: text(),
    canonical_slug: text(),
    name: text(),
    description: text(),
    architecture: object({ input_modalities: list(text()), output_modalities: list(text()) }),
    operations: list({ enum: ["generate", "edit"] }),
    edit: {
      ...orNull(
        object({
          max_images: integer("Most pictures in one request."),
          mask: { type: "boolean" },
          markup: { type: "boolean" },
          input_types: list(text()),
        }),
      ),
      description: "What an edit can be given; null for a model that cannot edit.",
    },
    streams: { type: "boolean", description: "Whether a stream can carry previews; a finished picture it always can." },
    pricing: { ...ref("Pricing"), description: "Of the first route." },
    supported_parameters: list(text()),
    default_parameters: { type: "object", description: "What a request without the parameter gets." },
    expiration_date: { type: ["string", "null"], format: "date", description: "The vendor's last day for the model." },
    parameters: {
      type: "object",
      description: "The rule of every parameter, as data and in words.",
      additionalProperties: ref("ParameterRule"),
    },
    lifecycle: object({ end_date: { type: ["string", "null"] }, successor: { type: ["string", "null"] } }),
  }),
  EndpointList: object({ object: { const: "list" }, data: list(ref("Endpoint")) }),
  Endpoint: object(
    {
      provider_id: text(),
      provider_name: text(),
      model: text("The provider's name of the model."),
      operations: list({ enum: ["generate", "edit"] }),
      streams: { type: "boolean", description: "Whether it can send previews." },
      pricing: ref("Pricing"),
      dated_pricing: list(ref("Pricing"), { description: "Prices that have been or will be, oldest first." }),
      supported_parameters: list(text(), {
        description: "What this route can honour, some of it not with every value.",
      }),
    },
    ["dated_pricing"],
  ),
  Quote: object({
    object: { const: "image.quote" },
    operation: { enum: ["generate", "edit"] },
    model: text("The first model that can honour the request."),
    n: integer("How many images."),
    quote_usd: {
      type: "number",
      description: "The most that it can cost: the dearest route's quote. It would be held.",
    },
    unseen_images: integer("Pictures named by links, which are not fetched: each is taken for 2048x2048 pixels."),
    routes: list(
      object({
        provider: text(),
        model: text(),
        upstream_model: text("The provider's name of the model."),
        quote_usd: { type: "number", description: "The most that it can cost by this route." },
        price_rule: text("The price rule that it would be charged by."),
        calls: integer("How many upstream calls it would be."),
        sent: { description: "The body of the first of them." },
      }),
      { description: "In the order in which they would be tried." },
    ),
  }),
};
