/** The JSON Schemas of keys and reports. */
import { list, object, orNull, ref, type Schema, summary, text } from "./openapi-schemas.ts";

const usd = (description: string): Schema => ({ type: "number", description: `${description} US dollars.` });
const usdOrNull = (description: string): Schema => ({ ...usd(description), type: ["number", "null"] });
const dateTime = (description: string): Schema => ({ type: "string", format: "date-time", description });
const nextPage: Schema = { type: ["string", "null"], description: "For `page_token`; null at the end." };
const used: Record<string, Schema> = {
  requests: { type: "integer", description: "Generations that ended in that time, failed ones included." },
  images: { type: "integer", description: "Delivered images." },
  estimated_cost_usd: usd("What was charged, to the nano-dollar."),
};

const rate = (description: string): Schema => ({
  type: ["integer", "null"],
  minimum: 1,
  maximum: 1_000_000,
  description,
});
const rates = {
  requests_per_minute: rate("Requests in any sixty seconds."),
  requests_per_day: rate("Requests in a UTC day."),
  concurrent: rate("Generations at once."),
};
const ids = (description: string): Schema => ({ type: ["array", "null"], items: text(), minItems: 1, description });
const webhookUrlSetting: Schema = {
  type: ["string", "null"],
  format: "uri",
  minLength: 1,
  maxLength: 2_048,
  description: "Where events of its generations go, unless a request says otherwise; https. Null: nowhere.",
};

/** What a body may say about a key. */
const settings: Record<string, Schema> = {
  name: { type: "string", minLength: 1, maxLength: 200, description: "What the key is for." },
  limit: {
    type: ["number", "null"],
    minimum: 0,
    maximum: 9_000_000,
    description: "The most that it may spend, in US dollars with at most nine decimals; null: no limit.",
  },
  limit_reset: {
    type: ["string", "null"],
    enum: ["daily", "weekly", "monthly", null],
    description: "The limit starts anew at midnight UTC, on Mondays, or on the first; null: never.",
  },
  expires_at: {
    type: ["string", "null"],
    format: "date-time",
    description: "When it stops working: ISO 8601 with a zone, in the future; null: never.",
  },
  allowed_providers: ids("The only providers that it may use; null: all."),
  allowed_models: ids("The only models that it may use, named as in requests; null: all."),
  rate_limit: {
    type: ["object", "null"],
    properties: rates,
    additionalProperties: false,
    description:
      "`requests_per_minute` (in any sixty seconds), `requests_per_day` (UTC), `concurrent` (at once); null lifts.",
  },
  webhook_url: webhookUrlSetting,
};

export const accountSchemas: Record<string, Schema> = {
  NewKey: {
    type: "object",
    properties: {
      ...settings,
      type: {
        type: ["string", "null"],
        enum: ["live", "test", "management", null],
        default: "live",
        description:
          "`live`: real providers; `test`: the sandbox only; `management`: keys and reports. A management key takes no limits.",
      },
    },
    required: ["name"],
    additionalProperties: false,
  },
  KeyChanges: {
    type: "object",
    properties: { ...settings, disabled: { type: "boolean", description: "Whether the key is refused, from now on." } },
    minProperties: 1,
    additionalProperties: false,
  },
  Key: object({
    hash: text("Names the key in this API and in reports."),
    name: text(),
    label: text("The beginning and the end of the secret."),
    key_type: { enum: ["regular", "management"] },
    type: { enum: ["live", "test", "management"] },
    disabled: { type: "boolean" },
    limit: usdOrNull("The most that it may spend; null: no limit."),
    limit_remaining: usdOrNull(
      "Left for new requests: less what is used and what running requests hold, never below zero.",
    ),
    limit_reset: { enum: ["daily", "weekly", "monthly", null] },
    allowed_providers: orNull(list(text())),
    allowed_models: orNull(list(text())),
    usage: usd("Charged in the key's whole life."),
    usage_daily: usd("Charged since midnight UTC."),
    usage_weekly: usd("Charged since Monday."),
    usage_monthly: usd("Charged since the first of the month."),
    rate_limit: object(rates),
    webhook_url: webhookUrlSetting,
    created_at: dateTime("When it was made."),
    updated_at: orNull(dateTime("When it was last changed.")),
    expires_at: orNull(dateTime("When it stops working.")),
  }),
  KeyList: object({ data: list(ref("Key")), next_page_token: nextPage }),
  OwnKey: object({
    label: text("The beginning and the end of the secret."),
    limit: usdOrNull("The most that it may spend; null: no limit."),
    limit_reset: { enum: ["daily", "weekly", "monthly", null] },
    limit_remaining: usdOrNull("Left for new requests."),
    usage: usd("Charged in the key's whole life."),
    usage_daily: usd("Charged since midnight UTC."),
    usage_weekly: usd("Charged since Monday."),
    usage_monthly: usd("Charged since the first of the month."),
    is_free_tier: { type: "boolean", description: "Whether it is a key for the sandbox." },
    expires_at: orNull(dateTime("When it stops working.")),
    rate_limit: {
      ...object({ requests: { type: ["integer", "null"] }, interval: { enum: ["60s", "1d"] } }),
      description: "The limit in force, the operator's default included; the same as `X-RateLimit-Limit`.",
    },
  }),
  ListedGeneration: object({
    ...summary,
    key_id: text("Hash of the key that made it."),
    prompt: { type: ["string", "null"], description: "While it is kept: `AROUTER_KEEP_PROMPTS`." },
  }),
  GenerationList: object({ data: list(ref("ListedGeneration")), next_page_token: nextPage }),
  Balance: object({ balance: usd("May be negative."), currency: { const: "USD" } }),
  Transaction: object({
    id: text(),
    type: { enum: ["usage", "credit"] },
    amount: usd("Negative for usage, and for credit that was taken back."),
    description: text(),
    created_at: dateTime(""),
    generation_id: { type: ["string", "null"] },
  }),
  TransactionList: object({ transactions: list(ref("Transaction")), next_page_token: nextPage }),
  UsageSummary: object({
    start_time: dateTime("From here on."),
    end_time: dateTime("Up to here, not including it."),
    totals: ref("Usage"),
    by_provider: list(object({ provider_id: text(), ...used })),
    by_model: list(object({ model: text(), ...used })),
  }),
  Usage: object(used),
  UsageTimeseries: object({
    granularity: { enum: ["hourly", "daily", "monthly"] },
    start_time: dateTime("From here on."),
    end_time: dateTime("Up to here, not including it."),
    data_points: list(object({ timestamp: dateTime("Where the hour, day or month begins."), ...used })),
  }),
  ProviderList: object({ data: list(ref("Provider")) }),
  Provider: object({
    id: text("As in requests and reports."),
    name: text(),
    configured: { type: "boolean", description: "Whether it has an address and, where it needs one, a key." },
    base_url: { type: ["string", "null"] },
    credentials: list(
      object({
        credential: text("Eight digits of the credential's hash; empty for a server that needs none."),
        running: { type: "integer", description: "Calls under way." },
        waiting: { type: "integer", description: "Calls waiting for a place." },
        parked: {
          ...orNull(object({ reason: text("`quota`, `auth` or `rate_limited`."), until: dateTime("") })),
          description: "Left alone for a while, where there is another.",
        },
        routes: list(
          object({
            model: text("The provider's name of the model."),
            state: { enum: ["closed", "degraded", "open", "half_open"], description: "Of its breaker." },
          }),
        ),
      }),
    ),
    latencies: list(
      object({
        model: text("The provider's name of the model."),
        base_url: text(),
        mean_ms: { type: "integer", description: "Running mean of successful calls." },
      }),
    ),
  }),
};
