/** Every route as OpenAPI operations: what it takes, what it answers, which errors it may give. */
import type { Answer, OpenApiDocument, Operation, Parameter } from "./openapi.ts";
import { accountPaths } from "./openapi-accounts.ts";
import { answer, authentication, checks, errors, errorsWith, headers, json, upstream } from "./openapi-answers.ts";
import { header, path, query } from "./openapi-parameters.ts";
import { ref, type Schema } from "./openapi-schemas.ts";

const open: Record<string, string[]>[] = [];

const picture = { schema: { type: "string", contentMediaType: "image/png", description: "The file's bytes." } };
const pictures = Object.fromEntries(["png", "jpeg", "webp", "gif"].map((type) => [`image/${type}`, picture]));
const fileHeaders = ["etag", "cache-control", "accept-ranges"];
const generationHeaders = [
  ...["x-arouter-generation-id", "x-arouter-model", "x-arouter-provider", "x-arouter-cost-usd"],
  ...["x-arouter-warnings", "deprecation", "sunset"],
  ...["x-ratelimit-limit", "x-ratelimit-remaining", "x-ratelimit-reset"],
];

const generating = {
  post: {
    operationId: "createImage",
    tags: ["Images"],
    summary: "Make images",
    description:
      "Waits until the images are ready, however long that takes. A client that hangs up does not stop the generation: it can be read by its id, or had again with the same `Idempotency-Key`; `DELETE` on the generation stops it. `Accept: image/*` with one image answers the file itself. Only `lr_live_` and `lr_test_` keys generate; `lr_test_` reaches the sandbox only and costs nothing.",
    parameters: [
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
      header("HTTP-Referer", "Your application's address; recorded with the generation."),
      header("X-Title", "Your application's name; recorded with the generation."),
    ],
    requestBody: {
      required: true,
      content: {
        "application/json": {
          schema: ref("ImageRequest"),
          examples: {
            skyline: {
              value: {
                model: "openai/dall-e-3",
                prompt: "A futuristic city skyline at sunset, photorealistic",
                n: 1,
                size: "1024x1024",
              },
            },
          },
        },
      },
    },
    responses: {
      "200": {
        description: "The images, as links or base64; fewer than asked with the warning `short_delivery`, never none.",
        headers: headers(...generationHeaders),
        content: { ...json(ref("Images")), ...pictures },
      },
      ...errorsWith(generationHeaders, [
        ...checks,
        ...authentication,
        ...upstream,
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
      ]),
    },
  },
} satisfies OpenApiDocument["paths"][string];

const serveFile = {
  tags: ["Images"],
  description:
    "Open to whoever has the link: its signature is the permission. `Range`, `If-None-Match` and `If-Range` work.",
  security: open,
  parameters: [
    path("file", "`img-….png`, as the link says."),
    query("expires", "Unix seconds, as the link says.", { type: "string" }, true),
    query("signature", "As the link says.", { type: "string" }, true),
    header("Range", "One range of bytes."),
  ],
  responses: {
    "200": { description: "The file.", headers: headers(...fileHeaders), content: pictures },
    "206": {
      description: "The asked part of the file.",
      headers: headers(...fileHeaders, "content-range"),
      content: pictures,
    },
    "304": { description: "The client's copy is the same.", headers: headers(...fileHeaders) },
    "416": {
      description: "The range lies outside the file.",
      headers: headers(...fileHeaders, "content-range", "x-should-retry"),
    },
    ...errors("invalid_link", "image_expired"),
  },
};

const openOperation = (operationId: string, summary: string, responses: Record<string, Answer>): Operation => ({
  operationId,
  tags: ["Router"],
  summary,
  security: open,
  responses,
});
const page = { "text/html": { schema: { type: "string" } } };
const state = (...values: string[]): Schema => ({
  type: "object",
  properties: { status: { enum: values } },
  required: ["status"],
});

const readModel = (operationId: string, summary: string, schema: Schema, ...parameters: Parameter[]) => ({
  get: {
    operationId,
    tags: ["Models"],
    summary,
    parameters,
    responses: { "200": answer("The model.", schema), ...errors(...authentication, "model_not_found") },
  },
});
const author = path("author", "The first half of the id.");
const slug = path("slug", "The second half of the id. After a bare id, `endpoints` gives its routes.");

export const paths: OpenApiDocument["paths"] = {
  "/v1/images/generations": generating,
  "/v1/images/generations/{id}": {
    get: {
      operationId: "readGeneration",
      tags: ["Images"],
      summary: "One generation, in any state",
      description:
        "With fresh links while the files live. To keys other than the one that made it, and other than management keys, it does not exist.",
      parameters: [path("id", "`gen-…`")],
      responses: { "200": answer("The generation.", ref("Generation")), ...errors(...authentication, "not_found") },
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
  "/v1/images/files/{file}": {
    get: { operationId: "readFile", summary: "An image's file, by its signed link", ...serveFile },
    head: { operationId: "headFile", summary: "The headers of an image's file", ...serveFile },
    delete: {
      operationId: "deleteFile",
      tags: ["Images"],
      summary: "Remove an image's bytes at once",
      description: "With the key that made it, or a management key; no signature needed.",
      parameters: [path("file", "`img-….png`")],
      responses: {
        "200": answer("The bytes are gone.", {
          type: "object",
          properties: { deleted: { const: true } },
          required: ["deleted"],
        }),
        ...errors(...authentication, "not_found", "image_expired"),
      },
    },
    options: {
      operationId: "fileOptions",
      tags: ["Images"],
      summary: "What pages of other origins may do",
      security: open,
      parameters: [path("file", "`img-….png`")],
      responses: { "204": { description: "GET and HEAD, from everywhere.", headers: headers() } },
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
  ...accountPaths,
  "/v1/models": {
    get: {
      operationId: "listModels",
      tags: ["Models"],
      summary: "All models with their rules and prices",
      parameters: [
        query("output_modalities", "Only models that make these.", { enum: ["image", "text", "all"], default: "all" }),
      ],
      responses: { "200": answer("The models.", ref("ModelList")), ...errors(...authentication, "invalid_value") },
    },
  },
  "/v1/models/{id}": readModel(
    "readModelById",
    "One model, by a single name",
    ref("Model"),
    path("id", "A bare id (`dall-e-3` is `openai/dall-e-3`), or a full one with its slash encoded."),
  ),
  "/v1/models/{author}/{slug}": readModel(
    "readModel",
    "One model",
    { anyOf: [ref("Model"), ref("EndpointList")] },
    author,
    slug,
  ),
  "/v1/models/{author}/{slug}/endpoints": {
    get: {
      operationId: "listEndpoints",
      tags: ["Models"],
      summary: "The routes by which a model is served",
      parameters: [author, slug],
      responses: { "200": answer("The routes.", ref("EndpointList")), ...errors(...authentication, "model_not_found") },
    },
  },
  "/healthz": {
    get: openOperation("health", "Whether the program runs", {
      "200": answer("It does.", {
        type: "object",
        properties: { status: { const: "ok" }, version: { type: "string" } },
        required: ["status", "version"],
      }),
    }),
  },
  "/readyz": {
    get: openOperation("ready", "Whether it takes requests", {
      "200": answer("It does.", state("ready")),
      "503": answer("It is stopping, or rows or files cannot be written.", state("draining", "not ready")),
    }),
  },
  "/": {
    get: openOperation("landing", "What this is; a page, or JSON for programs", {
      "200": {
        description: "The page or its facts.",
        headers: headers(),
        content: { ...page, ...json(ref("Landing")) },
      },
    }),
  },
  "/docs": {
    get: openOperation("reference", "This reference as a page", {
      "200": { description: "The page.", headers: headers(), content: page },
    }),
  },
  "/openapi.json": {
    get: openOperation("openapi", "This description", { "200": answer("OpenAPI 3.1.", { type: "object" }) }),
  },
};
