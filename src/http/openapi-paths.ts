/** Every route as OpenAPI operations: what it takes, what it answers, which errors it may give. */
import type { Answer, OpenApiDocument, Operation, Parameter } from "./openapi.ts";
import { accountPaths } from "./openapi-accounts.ts";
import { answer, authentication, errors, headers, json, pictures } from "./openapi-answers.ts";
import { imagePaths } from "./openapi-images.ts";
import { header, path, query } from "./openapi-parameters.ts";
import { ref, type Schema } from "./openapi-schemas.ts";
import { webhookPaths } from "./openapi-webhooks.ts";

const open: Record<string, string[]>[] = [];

const fileHeaders = ["etag", "cache-control", "accept-ranges"];

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
  ...imagePaths,
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
  ...accountPaths,
  ...webhookPaths,
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
  "/api/v1/providers": {
    get: {
      operationId: "listProviders",
      tags: ["Router"],
      summary: "How the providers are doing",
      description:
        "For `lr_mgmt_` keys: what is configured, what runs and waits, which credentials are parked, which routes fail, and how fast they are. As this program has seen it since its start.",
      responses: {
        "200": answer("The providers.", ref("ProviderList")),
        ...errors(...authentication, "wrong_key_type"),
      },
    },
  },
  "/metrics": {
    get: {
      operationId: "metrics",
      tags: ["Router"],
      summary: "Figures for Prometheus",
      description:
        "Open to the machine that the router runs on; from elsewhere with the operator's token (`AROUTER_METRICS_TOKEN`) as bearer, or with an `lr_mgmt_` key.",
      responses: {
        "200": {
          description: "The figures.",
          headers: headers("cache-control"),
          content: { "text/plain": { schema: { type: "string", description: "Prometheus' text format." } } },
        },
        ...errors(...authentication, "wrong_key_type"),
      },
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
