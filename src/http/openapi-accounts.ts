/** The Key API and the reports as OpenAPI operations. */
import type { ErrorCode } from "../errors.ts";
import type { OpenApiDocument, Parameter } from "./openapi.ts";
import { answer, authentication, checks, errors, headers, json } from "./openapi-answers.ts";
import { path, query } from "./openapi-parameters.ts";
import { ref, type Schema } from "./openapi-schemas.ts";

const text: Schema = { type: "string" };
const data = (schema: Schema): Schema => ({ type: "object", properties: { data: schema }, required: ["data"] });

/** Of a key's body. */
const bodyChecks: ErrorCode[] = [...checks, "payload_too_large", "unsupported_media_type"];
const managing: ErrorCode[] = [...authentication, "wrong_key_type"];
const keyBody = (schema: string, value: unknown) => ({
  required: true,
  content: { "application/json": { schema: ref(schema), examples: { shop: { value } } } },
});
const hash = path("hash", "The key's `hash`: 64 hexadecimal digits.");

const keys: OpenApiDocument["paths"] = {
  "/api/v1/keys": {
    get: {
      operationId: "listKeys",
      tags: ["Keys"],
      summary: "All keys with their limits and what they have used",
      description: "Newest first, a page at a time. Only `lr_mgmt_` keys manage keys.",
      parameters: [
        query("page_size", "Keys on a page.", { type: "integer", minimum: 1, maximum: 100, default: 50 }),
        query("page_token", "`next_page_token` of the page before.", text),
        query("offset", "Keys to leave out at the beginning; not together with `page_token`.", {
          type: "integer",
          minimum: 0,
          default: 0,
        }),
        query("include_disabled", "Whether disabled keys are listed too.", { type: "boolean", default: false }),
      ],
      responses: {
        "200": answer("One page.", ref("KeyList")),
        ...errors(
          ...managing,
          "unknown_parameter",
          "invalid_type",
          "invalid_value",
          "integer_below_min_value",
          "integer_above_max_value",
        ),
      },
    },
    post: {
      operationId: "createKey",
      tags: ["Keys"],
      summary: "Make a key",
      description: "The secret is in this answer and nowhere else: only its hash is kept.",
      requestBody: keyBody("NewKey", {
        name: "web shop",
        limit: 25,
        limit_reset: "monthly",
        rate_limit: { requests_per_minute: 60 },
      }),
      responses: {
        "201": answer("The key, and its secret.", {
          type: "object",
          properties: { data: ref("Key"), key: { type: "string", description: "The secret: `lr_…`" } },
          required: ["data", "key"],
        }),
        ...errors(...bodyChecks, ...managing),
      },
    },
  },
  "/api/v1/keys/{hash}": {
    get: {
      operationId: "readKey",
      tags: ["Keys"],
      summary: "One key",
      parameters: [hash],
      responses: { "200": answer("The key.", data(ref("Key"))), ...errors(...managing, "not_found") },
    },
    patch: {
      operationId: "changeKey",
      tags: ["Keys"],
      summary: "Change a key",
      description:
        "Only what the body names is changed; null lifts a limit. It holds from the next request on, also for those that are being checked at this moment.",
      parameters: [hash],
      requestBody: keyBody("KeyChanges", { limit: 50, disabled: false }),
      responses: {
        "200": answer("The key as it is now.", data(ref("Key"))),
        ...errors(...bodyChecks, ...managing, "not_found"),
      },
    },
    delete: {
      operationId: "deleteKey",
      tags: ["Keys"],
      summary: "Delete a key",
      description: "It is gone for clients at once. What it has used stays in the reports.",
      parameters: [hash],
      responses: {
        "200": answer(
          "It is gone.",
          data({ type: "object", properties: { deleted: { const: true } }, required: ["deleted"] }),
        ),
        ...errors(...managing, "not_found"),
      },
    },
  },
};

const ownKey = (operationId: string, summary: string): OpenApiDocument["paths"][string] => ({
  get: {
    operationId,
    tags: ["Keys"],
    summary,
    description: "Any key may ask about itself.",
    responses: { "200": answer("The key's limits and use.", data(ref("OwnKey"))), ...errors(...authentication) },
  },
});

const time = (name: string, description: string): Parameter =>
  query(name, `${description} ISO 8601, UTC unless it says otherwise, or Unix seconds.`, text);
const range = [time("start_time", "From here on."), time("end_time", "Up to here, not including it.")];
const keyId = query("key_id", "A key's `hash`. To an inference key every other key's is 404.", {
  type: "string",
  pattern: "^[0-9a-f]{64}$",
});
const model = query("model", "Named as in requests.", text);
const provider = query("provider_id", "For example `openai`.", text);
const format = query("format", "Else what `Accept` asks for: `text/csv` or JSON.", { enum: ["json", "csv"] });
const paging = [
  query("limit", "Rows on a page. Not for CSV, which holds every row.", {
    type: "integer",
    minimum: 1,
    maximum: 100,
    default: 50,
  }),
  query("page_token", "`next_page_token` of the page before; the end is where it is null. Not for CSV.", text),
  format,
];

const seen = "Management keys see everything, others their own.";
const report = (
  operationId: string,
  summary: string,
  description: string,
  parameters: Parameter[],
  schema: string,
  csv = false,
): OpenApiDocument["paths"][string] => ({
  get: {
    operationId,
    tags: ["Reports"],
    summary,
    description: description === "" ? seen : `${seen} ${description}`,
    parameters,
    responses: {
      "200": {
        description: csv ? "The report; as CSV with every row, amounts as exact decimals." : "The report.",
        headers: headers(),
        content: {
          ...json(ref(schema)),
          ...(csv ? { "text/csv": { schema: { type: "string", description: "RFC 4180, with headings." } } } : {}),
        },
      },
      ...errors(
        ...authentication,
        "unknown_parameter",
        "invalid_value",
        ...(parameters.length > 0 ? ["not_found" as const] : []),
      ),
    },
  },
});
const wholeHours = "The range is widened to whole hours, and the answer states it; without one, the last 30 days.";

const reports: OpenApiDocument["paths"] = {
  "/api/v1/generations": report(
    "listGenerations",
    "Generations, newest first",
    "A page can be short, or even empty, and still have a next one.",
    [
      ...range,
      keyId,
      model,
      provider,
      query("status", "`expired`: succeeded, and its bytes are gone.", {
        enum: ["queued", "running", "succeeded", "failed", "canceled", "expired"],
      }),
      query("q", "Text of the prompt, without regard to case, where it is still kept.", text),
      ...paging,
    ],
    "GenerationList",
    true,
  ),
  "/api/v1/balance": report(
    "readBalance",
    "What is left",
    "The account's balance for management keys; what is left of the limit for a key with one; what it has spent, as a negative number, for a key without.",
    [],
    "Balance",
  ),
  "/api/v1/transactions": report(
    "listTransactions",
    "Charges and credits, newest first",
    "",
    [...range, keyId, query("type", "Only these.", { enum: ["usage", "credit"] }), ...paging],
    "TransactionList",
    true,
  ),
  "/api/usage/summary": report(
    "usageSummary",
    "What was used, by provider and by model",
    wholeHours,
    [...range, keyId, model, provider],
    "UsageSummary",
  ),
  "/api/usage/timeseries": report(
    "usageTimeseries",
    "What was used, by hour, day or month",
    `${wholeHours} Days and months are those of UTC; those without any use are left out.`,
    [
      ...range,
      keyId,
      model,
      provider,
      query("granularity", "`hourly` covers at most 366 days.", {
        enum: ["hourly", "daily", "monthly"],
        default: "daily",
      }),
      format,
    ],
    "UsageTimeseries",
    true,
  ),
};

export const accountPaths: OpenApiDocument["paths"] = {
  ...keys,
  "/v1/key": ownKey("readOwnKey", "The key that asks"),
  "/api/v1/key": ownKey("readOwnKeyToo", "The key that asks, at its other address"),
  ...reports,
};
