/** Making pictures, in every way, as OpenAPI operations. */
import type { ErrorCode } from "../errors.ts";
import type { Answer, OpenApiDocument, Operation, Parameter } from "./openapi.ts";
import {
  answer,
  authentication,
  checks,
  errors,
  errorsWith,
  headers,
  json,
  pictureChecks,
  pictures,
  upstream,
} from "./openapi-answers.ts";
import { header, path, query } from "./openapi-parameters.ts";
import { ref, type Schema } from "./openapi-schemas.ts";

const generationHeaders = [
  ...["x-arouter-generation-id", "x-arouter-model", "x-arouter-provider", "x-arouter-cost-usd"],
  ...["x-arouter-warnings", "deprecation", "sunset", "link"],
  ...["x-ratelimit-limit", "x-ratelimit-remaining", "x-ratelimit-reset"],
];
const repeats: Parameter[] = [
  header(
    "Idempotency-Key",
    "Makes the request safe to repeat for 24 hours: the same key with the same request answers with the same generation; with another request it is 409. A failure that may be tried again is tried anew.",
    { type: "string", pattern: "^[\\x21-\\x7e]{1,255}$" },
  ),
  header(
    "x-stainless-retry-count",
    "Sent by the official clients with their silent retries. At 1 or more, without an `Idempotency-Key`, the request joins the same key's generation of the same request of the last ten minutes, unless that one failed.",
    { type: "integer" },
  ),
];
const views: Parameter[] = [
  header("Accept", "`image/*`, with one image: the answer is the file itself."),
  header("Prefer", "`respond-async`: the answer is 202 with the generation, at once."),
];
const attribution: Parameter[] = [
  header("HTTP-Referer", "Your application's address; recorded with the generation."),
  header("X-Title", "Your application's name; recorded with the generation."),
];

const refusals: ErrorCode[] = [
  "invalid_idempotency_key",
  "spend_limit_exceeded",
  "insufficient_credit",
  "model_not_allowed",
  "provider_not_allowed",
  "wrong_key_type",
  "model_not_found",
  "payload_too_large",
  "unsupported_media_type",
  "idempotency_conflict",
  "image_expired",
  "rate_limit_exceeded",
  "overloaded",
  "shutting_down",
];

const made = (extra: ErrorCode[]): Record<string, Answer> => ({
  "200": {
    description:
      "The images, as links or base64; fewer than asked with the warning `short_delivery`, never none. With `stream` an event stream without `[DONE]`; it has no `x-arouter-cost-usd`.",
    headers: headers(...generationHeaders),
    content: {
      ...json(ref("Images")),
      ...pictures,
      "text/event-stream": {
        schema: {
          description:
            "`data` of the events; `event` is the same as `type`. Comments in between keep the connection alive.",
          anyOf: [ref("PartialImageEvent"), ref("CompletedEvent"), ref("ErrorEvent")],
        },
      },
    },
  },
  "202": answer(
    "With `Prefer: respond-async`: the generation as it stands.",
    ref("Generation"),
    ...generationHeaders,
    ...["location", "preference-applied", "retry-after"],
  ),
  ...errorsWith(generationHeaders, [...checks, ...extra, ...authentication, ...upstream, ...refusals]),
});

const example = (value: unknown) => ({ examples: { example: { value } } });
const jsonBody = (schema: Schema, value: unknown) => ({ "application/json": { schema, ...example(value) } });

const createImage: Operation = {
  operationId: "createImage",
  tags: ["Images"],
  summary: "Make images",
  description:
    "Waits until the images are ready, however long that takes; `stream` and `Prefer: respond-async` are other views of the same job. A client that hangs up does not stop the generation: it can be read by its id, or had again with the same `Idempotency-Key`; `DELETE` on the generation stops it. Only `lr_live_` and `lr_test_` keys generate; `lr_test_` reaches the sandbox only and costs nothing.",
  parameters: [...views, ...repeats, ...attribution],
  requestBody: {
    required: true,
    content: jsonBody(ref("ImageRequest"), {
      model: "openai/gpt-image-2",
      prompt: "A futuristic city skyline at sunset, photorealistic",
      n: 1,
      size: "1024x1024",
    }),
  },
  responses: made([]),
};

const editImage: Operation = {
  operationId: "editImage",
  tags: ["Images"],
  summary: "Make images out of others",
  description:
    "As a form, at most 850 MB and 50 MB a picture; or as JSON, at most 32 MB, with data URLs and links. The pictures are removed when the job has ended. Everything else is as for generations.",
  parameters: [...views, ...repeats, ...attribution],
  requestBody: {
    required: true,
    content: {
      "multipart/form-data": { schema: ref("EditForm") },
      ...jsonBody(ref("EditRequest"), {
        model: "openai/gpt-image-2",
        prompt: "Give the cat a red hat",
        images: [{ image_url: "https://pictures.example/cat.png" }],
      }),
    },
  },
  responses: made(pictureChecks),
};

const quoteImage: Operation = {
  operationId: "quoteImage",
  tags: ["Images"],
  summary: "What a request would cost, and what would be sent to whom",
  description:
    "Takes the JSON of a generation, or with `images` of an edit, checks it as that would be checked, and spends nothing. Limits of the key are not looked at, and links are not fetched.",
  requestBody: {
    required: true,
    content: jsonBody(
      { anyOf: [ref("ImageRequest"), ref("EditRequest")] },
      {
        model: "openai/gpt-image-2",
        prompt: "A lighthouse",
        quality: "high",
      },
    ),
  },
  responses: {
    "200": answer("The quote.", ref("Quote")),
    ...errors(
      ...checks,
      ...pictureChecks,
      ...authentication,
      "wrong_key_type",
      "model_not_allowed",
      "provider_not_allowed",
      "model_not_found",
      "model_unavailable",
      "payload_too_large",
      "unsupported_media_type",
      "price_unknown",
      "provider_not_configured",
      "no_available_provider",
    ),
  },
};

export const imagePaths: OpenApiDocument["paths"] = {
  "/v1/images/generations": { post: createImage },
  "/v1/images/edits": { post: editImage },
  "/v1/images/quote": { post: quoteImage },
  "/v1/images/variations": {
    post: {
      operationId: "retiredVariations",
      tags: ["Images"],
      summary: "Retired",
      description:
        "OpenAI has ended it. Whatever the body says, the answer is `endpoint_retired`: use `/v1/images/edits`.",
      responses: errors(...authentication, "wrong_key_type", "endpoint_retired"),
    },
  },
  "/v1/images/generations/{id}": {
    get: {
      operationId: "readGeneration",
      tags: ["Images"],
      summary: "One generation, in any state",
      description:
        "With fresh links while the files live, and every attempt with what was sent. To keys other than the one that made it, and other than management keys, it does not exist.",
      parameters: [path("id", "`gen-…`")],
      responses: {
        "200": answer("The generation; with `Retry-After` while it runs.", ref("Generation"), "retry-after"),
        ...errors(...authentication, "not_found"),
      },
    },
    delete: {
      operationId: "cancelGeneration",
      tags: ["Images"],
      summary: "Stop a generation",
      description:
        "Upstream where it can be stopped. What the provider delivered all the same is charged and kept; without any image the generation ends as `canceled`, costs nothing, and who waits for it is answered 410 `image_expired`. One that has ended stays as it is. With the key that made it, or a management key.",
      parameters: [path("id", "`gen-…`")],
      responses: {
        "200": answer("It has ended; how, it says itself.", ref("Generation")),
        "202": answer("It is still ending; ask again.", ref("Generation")),
        ...errors(...authentication, "not_found"),
      },
    },
  },
  "/api/v1/generation": {
    get: {
      operationId: "readGenerationSummary",
      tags: ["Images"],
      summary: "One generation as a flat record",
      parameters: [query("id", "`gen-…`", { type: "string" }, true)],
      responses: {
        "200": answer("The record.", ref("GenerationSummary")),
        ...errors(...authentication, "missing_required_parameter", "not_found"),
      },
    },
  },
};
