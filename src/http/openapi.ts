/**
 * The OpenAPI 3.1 description of everything this router answers: the routes are written in openapi-paths.ts, the models'
 * rules come from the catalogue and the codes from the error table. A test holds it against the registered routes and
 * real answers.
 */
import type { Catalogue } from "../catalogue/index.ts";
import { errorTable } from "../errors.ts";
import { accountSchemas } from "./openapi-account-schemas.ts";
import { eventSchemas } from "./openapi-events.ts";
import { paths } from "./openapi-paths.ts";
import { priceSchemas } from "./openapi-prices.ts";
import { anyRequestSchema, pictureSchema, requestSchema, requestSchemaName } from "./openapi-requests.ts";
import { formSchema, preferencesSchema, routedSchema } from "./openapi-routing.ts";
import { ruleSchema } from "./openapi-rules.ts";
import { answerSchemas, ref, type Schema } from "./openapi-schemas.ts";
import { webhookEvents, webhookSchemas } from "./openapi-webhooks.ts";

export interface Operation {
  operationId: string;
  tags: string[];
  summary: string;
  description?: string;
  security?: Record<string, string[]>[];
  parameters?: Parameter[];
  requestBody?: {
    required: boolean;
    content: Record<string, { schema: Schema; examples?: Record<string, { value: unknown }> }>;
  };
  responses: Record<string, Answer>;
}

export interface Parameter {
  name: string;
  in: "path" | "query" | "header";
  required?: boolean;
  description: string;
  schema: Schema;
}

export interface Answer {
  description: string;
  headers?: Record<string, { $ref: string }>;
  content?: Record<string, { schema: Schema }>;
}

export interface OpenApiDocument {
  openapi: string;
  info: {
    title: string;
    version: string;
    summary: string;
    description: string;
    license: { name: string; identifier: string };
  };
  servers: { url: string }[];
  security: Record<string, string[]>[];
  tags: { name: string; description: string }[];
  paths: Record<string, Partial<Record<"get" | "head" | "post" | "patch" | "delete" | "options", Operation>>>;
  /** What this router sends, by itself. */
  webhooks: Record<string, { post: Operation }>;
  components: {
    schemas: Record<string, Schema>;
    headers: Record<string, { description: string; schema: Schema }>;
    securitySchemes: Record<string, Record<string, string>>;
  };
  /** Every error code with what belongs to it: src/errors.ts as data. */
  "x-arouter-errors": typeof errorTable;
}

const text: Schema = { type: "string" };

/** By the names that they have on the wire. */
const headers: OpenApiDocument["components"]["headers"] = {
  "x-request-id": { description: "Names this request in the router's log.", schema: text },
  "x-should-retry": {
    description: "Whether the official clients may resend by themselves.",
    schema: { type: "string", enum: ["true", "false"] },
  },
  "retry-after": { description: "Seconds after which it may work, where waiting helps.", schema: { type: "integer" } },
  "retry-after-ms": { description: "The same in milliseconds.", schema: { type: "integer" } },
  "x-arouter-generation-id": { description: "`gen-…`: the generation, to be read again.", schema: text },
  "x-arouter-model": { description: "The model that answered.", schema: text },
  "x-arouter-provider": { description: "The provider that answered; `sandbox` for test keys.", schema: text },
  "x-arouter-cost-usd": {
    description: "What it cost, as a decimal string; `0` on failure and in the sandbox.",
    schema: text,
  },
  "x-arouter-warnings": {
    description: "Comma-separated, only where something differs: `short_delivery`, `size_mismatch`, `format_mismatch`.",
    schema: text,
  },
  "x-ratelimit-limit": {
    description: "Requests per minute, or per day where the key has only that limit; absent without either.",
    schema: { type: "integer" },
  },
  "x-ratelimit-remaining": { description: "How many of them are left.", schema: { type: "integer" } },
  "x-ratelimit-reset": { description: "When one more fits. Unix seconds.", schema: { type: "integer" } },
  location: { description: "Where the generation is.", schema: text },
  "preference-applied": { description: "`respond-async`", schema: text },
  etag: { description: "The image's id in quotes: its bytes never change.", schema: text },
  "cache-control": { description: "Not longer than the link lives.", schema: text },
  "accept-ranges": { description: "`bytes`", schema: text },
  "content-range": { description: "Which bytes of how many.", schema: text },
  deprecation: { description: "RFC 9745, for models with an end date.", schema: text },
  sunset: { description: "RFC 8594, for models with an end date.", schema: text },
  link: { description: 'RFC 8288, for models with a successor: `rel="successor-version"`.', schema: text },
};

const description = [
  "An image-generation router that speaks OpenAI's API: change the base URL (it ends in `/v1`) and the key.",
  "Errors come in OpenAI's envelope. A method that a path does not have is answered 405 `method_not_allowed`, an unknown path 404 `not_found`.",
].join("\n\n");

/** @param origin the router's public origin where the operator set one; else the description's own */
export function openApiDocument(catalogue: Catalogue, version: string, origin: string | undefined): OpenApiDocument {
  const requests = (["generate", "edit"] as const).flatMap((operation) =>
    catalogue.models
      .filter(({ operations }) => operations.includes(operation))
      .map((model) => [requestSchemaName(model, operation), requestSchema(model, operation)] as const),
  );
  return {
    openapi: "3.1.0",
    info: {
      title: "ARouter",
      version,
      summary: "One OpenAI-compatible endpoint in front of every image model",
      description,
      license: { name: "Apache 2.0", identifier: "Apache-2.0" },
    },
    servers: [{ url: origin ?? "/" }],
    security: [{ bearer: [] }, { header: [] }, { query: [] }],
    tags: [
      { name: "Images", description: "Making images and looking at what was made." },
      { name: "Keys", description: "Handing out keys with budgets and limits, and what a key may know of itself." },
      { name: "Reports", description: "What was made and what it cost; all agree with the ledger to the nano-dollar." },
      { name: "Webhooks", description: "What signs the events of finished generations, and whether they arrived." },
      { name: "Models", description: "What there is, with every rule and price." },
      { name: "Router", description: "The router itself; open without a key." },
    ],
    paths,
    webhooks: webhookEvents,
    components: {
      schemas: {
        ImageRequest: { anyOf: [ref("ModelRequest"), ref("RoutedRequest")] },
        ModelRequest: anyRequestSchema(catalogue.models),
        RoutedRequest: routedSchema(false),
        EditRequest: { anyOf: [ref("ModelEdit"), ref("RoutedEdit")] },
        ModelEdit: anyRequestSchema(catalogue.models, "edit"),
        RoutedEdit: routedSchema(true),
        EditForm: formSchema,
        Picture: pictureSchema,
        Preferences: preferencesSchema,
        ...Object.fromEntries(requests),
        ...answerSchemas,
        ParameterRule: ruleSchema,
        ...eventSchemas,
        ...priceSchemas,
        ...accountSchemas,
        ...webhookSchemas,
      },
      headers,
      securitySchemes: {
        bearer: { type: "http", scheme: "bearer", description: "`Authorization: Bearer lr_…`" },
        header: { type: "apiKey", in: "header", name: "X-Api-Key", description: "`X-Api-Key: lr_…`" },
        query: {
          type: "apiKey",
          in: "query",
          name: "key",
          description: "`?key=lr_…`; addresses end up in logs, so prefer a header.",
        },
      },
    },
    "x-arouter-errors": errorTable,
  };
}
