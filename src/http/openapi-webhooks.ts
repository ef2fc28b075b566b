/** Webhooks as OpenAPI operations and schemas. */
import type { ErrorCode } from "../errors.ts";
import type { OpenApiDocument } from "./openapi.ts";
import { answer, authentication, errors } from "./openapi-answers.ts";
import { header, query } from "./openapi-parameters.ts";
import { list, object, orNull, ref, type Schema, text } from "./openapi-schemas.ts";

const keyHash = query(
  "key_hash",
  "A key's `hash`; management keys must name one. To others every other key's is 404.",
  {
    type: "string",
    pattern: "^[0-9a-f]{64}$",
  },
);
const asking: ErrorCode[] = [
  ...authentication,
  "unknown_parameter",
  "invalid_value",
  "missing_required_parameter",
  "not_found",
];
const secret: Schema = object({ data: ref("WebhookSecret") });
const dateTime = (description: string): Schema => ({ type: "string", format: "date-time", description });

export const webhookPaths: OpenApiDocument["paths"] = {
  "/api/v1/webhooks/secret": {
    get: {
      operationId: "readWebhookSecret",
      tags: ["Webhooks"],
      summary: "The secret that signs a key's events",
      description: "Made at its first use. Signed by the Standard Webhooks scheme, `v1`.",
      parameters: [keyHash],
      responses: { "200": answer("The secret.", secret, "cache-control"), ...errors(...asking) },
    },
  },
  "/api/v1/webhooks/secret/rotate": {
    post: {
      operationId: "rotateWebhookSecret",
      tags: ["Webhooks"],
      summary: "Replace the secret",
      description: "For 24 hours the old and the new one both sign. There is no body.",
      parameters: [keyHash],
      responses: {
        "200": answer("The new secret.", secret, "cache-control"),
        ...errors(...asking, "invalid_json", "invalid_type", "payload_too_large", "unsupported_media_type"),
      },
    },
  },
  "/api/v1/webhooks/deliveries": {
    get: {
      operationId: "listWebhookDeliveries",
      tags: ["Webhooks"],
      summary: "What was delivered and what is tried again, newest first",
      description: "Management keys see everything, others their own. Kept for seven days; events themselves are not.",
      parameters: [
        query("generation", "`gen-…`", text()),
        query("status", "Only these.", { enum: ["pending", "delivered", "given_up"] }),
        keyHash,
        query("limit", "Rows on a page.", { type: "integer", minimum: 1, maximum: 100, default: 50 }),
        query("page_token", "`next_page_token` of the page before; the end is where it is null.", text()),
      ],
      responses: {
        "200": answer("One page.", ref("WebhookDeliveryList")),
        ...errors(...authentication, "unknown_parameter", "invalid_value", "not_found"),
      },
    },
  },
};

const always = (name: string, description: string) => ({ ...header(name, description), required: true });

/** The `webhooks` section: what this router sends. */
export const webhookEvents: OpenApiDocument["webhooks"] = {
  generationEnded: {
    post: {
      operationId: "generationEnded",
      tags: ["Webhooks"],
      summary: "A generation has ended",
      description:
        "Sent to the request's `webhook_url`, else the key's. Signed by the Standard Webhooks scheme: HMAC-SHA256 of `{webhook-id}.{webhook-timestamp}.{body}`. Tried for 24 hours; `webhook-id` stays the same.",
      security: [],
      parameters: [
        always("webhook-id", "The event's id, the same at every attempt."),
        always("webhook-timestamp", "When this attempt was made. Unix seconds."),
        always("webhook-signature", "`v1,` and the signature in base64; several, separated by spaces."),
      ],
      requestBody: { required: true, content: { "application/json": { schema: ref("WebhookEvent") } } },
      responses: {
        "2XX": { description: "It was taken, within 15 seconds." },
        "410": { description: "No more of this event." },
        default: { description: "It is tried again." },
      },
    },
  },
};

export const webhookSchemas: Record<string, Schema> = {
  WebhookSecret: object({
    key_hash: text("The key whose events it signs."),
    secret: text("`whsec_` and the secret in base64."),
    created_at: dateTime("When it was made."),
    previous: list(
      object({ created_at: dateTime("When it was made."), signs_until: dateTime("Until then it signs too.") }),
    ),
  }),
  WebhookDelivery: object({
    id: text("The event's id, as in `webhook-id`."),
    object: { const: "webhook.delivery" },
    event: { enum: ["generation.succeeded", "generation.failed", "generation.canceled", null] },
    generation_id: text(),
    key_hash: text("The key that made the generation."),
    url: text(),
    status: { enum: ["pending", "delivered", "given_up"] },
    attempts: { type: "integer", description: "Begun attempts." },
    created_at: dateTime("When the generation ended."),
    last_attempt_at: orNull(dateTime("When the last attempt began.")),
    next_attempt_at: orNull(dateTime("Null once it has ended.")),
    finished_at: orNull(dateTime("When it was delivered or given up.")),
    last_status: {
      type: ["integer", "null"],
      description: "HTTP status of the last answer; null when there was none.",
    },
    last_error: { type: ["string", "null"], description: "Why the last attempt failed." },
  }),
  WebhookDeliveryList: object({
    data: list(ref("WebhookDelivery")),
    next_page_token: { type: ["string", "null"], description: "For `page_token`; null at the end." },
  }),
};
