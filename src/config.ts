/**
 * Every setting, read once from the environment (Bun has already merged a `.env` file into it).
 * CONTRACT.md "Settings" is the specification. Nothing else in the program reads `process.env`.
 */
import { isAbsolute, resolve } from "node:path";
import { z } from "zod";
import { adapters } from "./providers/index.ts";

/** A provider's credentials and address as the operator set them. */
export interface ProviderConfig {
  /** The credential pool; empty when the provider is not configured. `""` stands for "none needed". */
  credentials: string[];
  /** Without a trailing slash; null where the provider has none of its own and the operator set none. */
  baseUrl: string | null;
  /** The operator set the base URL: its origin is trusted for result links, and end dates do not apply. */
  ownBaseUrl: boolean;
}

export interface Config {
  host: string;
  port: number;
  dataFolder: string;
  /** Origin of links; undefined = from the request. */
  publicUrl: string | undefined;
  /** First signs, all verify; empty = the secret kept in the data folder. */
  linkSecrets: string[];
  modelsFolder: string | undefined;
  upstreamTimeoutMs: number;
  /** How often a call that failed in passing is sent again on the same route. */
  upstreamRetries: number;
  /** Whether models that their vendor has ended are served by their successors. */
  legacy: "refuse" | "successor";
  /** Bearer token for `/metrics` from elsewhere than loopback. */
  metricsToken: string | undefined;
  keepPrompts: "never" | "hour" | "always";
  /** Origins of webhook recipients that the operator vouches for: on private addresses, or without TLS. */
  webhookOrigins: string[];
  bootstrapKeys: boolean;
  /** Whether the account must have the money before a request is admitted. */
  creditRequired: boolean;
  /** For keys without a limit of their own; null: none. */
  defaultRequestsPerMinute: number | null;
  /** Whether the official clients' silent retries join the generation they repeat. */
  joinClientRetries: boolean;
  /** Largest result picture, in bytes. */
  maxImageBytes: number;
  /** How long a draining server waits for running generations. */
  drainTimeoutMs: number;
  /** Upstream calls at once: the runtime's own limit, which it reads before the program begins. */
  upstreamCallsAtOnce: number;
  logLevel: string;
  providers: Record<string, ProviderConfig>;
}

/** A setting that is wrong; the message names it and says what is allowed. */
export class ConfigError extends Error {
  override readonly name = "ConfigError";
}

const text = z.string().trim();
/** An empty value in a `.env` file means "not set". */
const optional = <T extends z.ZodType>(schema: T) =>
  z.preprocess((value) => (value === "" ? undefined : value), schema.optional());
const integer = (min: number, max: number) => z.coerce.number().int().min(min).max(max);
const httpUrl = z.url({ protocol: /^https?$/ });
const list = (value: string | undefined): string[] =>
  (value ?? "")
    .split(",")
    .map((item) => item.trim())
    .filter((item) => item !== "");

const settings = z.object({
  HOST: optional(text).default("127.0.0.1"),
  PORT: optional(integer(0, 65535)).default(8787),
  AROUTER_DATA: optional(text).default("./data"),
  AROUTER_PUBLIC_URL: optional(httpUrl),
  AROUTER_LINK_SECRET: optional(text),
  AROUTER_MODELS: optional(text),
  AROUTER_UPSTREAM_TIMEOUT_MS: optional(integer(1, 86_400_000)).default(300_000),
  AROUTER_UPSTREAM_RETRIES: optional(integer(0, 10)).default(2),
  AROUTER_LEGACY: optional(z.enum(["refuse", "successor"])).default("refuse"),
  AROUTER_METRICS_TOKEN: optional(text),
  AROUTER_KEEP_PROMPTS: optional(z.enum(["never", "hour", "always"])).default("hour"),
  AROUTER_WEBHOOK_ORIGINS: optional(text),
  AROUTER_BOOTSTRAP_KEYS: optional(z.enum(["on", "off"])).default("on"),
  AROUTER_CREDIT: optional(z.enum(["off", "required"])).default("off"),
  AROUTER_RATE_LIMIT: optional(z.union([z.literal("off").transform(() => null), integer(1, 1_000_000)])).default(null),
  AROUTER_SDK_RETRY_JOIN: optional(z.enum(["on", "off"])).default("on"),
  AROUTER_MAX_IMAGE_BYTES: optional(integer(1024, 1 << 30)).default(64 << 20),
  AROUTER_DRAIN_TIMEOUT_MS: optional(integer(0, 3_600_000)).default(30_000),
  BUN_CONFIG_MAX_HTTP_REQUESTS: optional(integer(1, 65_535)).default(256),
  AROUTER_LOG_LEVEL: optional(z.enum(["trace", "debug", "info", "warn", "error", "silent"])).default("info"),
});

/** Settings of the contract that this version does not act on yet. Refused when set, because ignoring one would lie. */
const notYet: Record<string, { neutral: string[]; meaning: string }> = {
  DATABASE_URL: { neutral: [], meaning: "Postgres" },
  AROUTER_IMAGES: { neutral: [], meaning: "an S3 bucket for images" },
};

/**
 * Reads and checks all settings.
 * @throws ConfigError naming the first wrong setting.
 */
export function readConfig(environment: Record<string, string | undefined>): Config {
  for (const [name, { neutral, meaning }] of Object.entries(notYet)) {
    const value = environment[name]?.trim() ?? "";
    if (value !== "" && !neutral.includes(value)) {
      throw new ConfigError(
        `${name} is set, but this version does not support ${meaning} yet. Remove the setting to start.`,
      );
    }
  }
  const parsed = settings.safeParse(environment);
  if (!parsed.success) {
    const issue = parsed.error.issues[0];
    throw new ConfigError(`Setting ${issue?.path.join(".")}: ${issue?.message}`);
  }
  const values = parsed.data;
  return {
    host: values.HOST,
    port: values.PORT,
    dataFolder: isAbsolute(values.AROUTER_DATA) ? values.AROUTER_DATA : resolve(values.AROUTER_DATA),
    publicUrl: values.AROUTER_PUBLIC_URL?.replace(/\/+$/, ""),
    linkSecrets: list(values.AROUTER_LINK_SECRET),
    modelsFolder: values.AROUTER_MODELS,
    upstreamTimeoutMs: values.AROUTER_UPSTREAM_TIMEOUT_MS,
    upstreamRetries: values.AROUTER_UPSTREAM_RETRIES,
    legacy: values.AROUTER_LEGACY,
    metricsToken: values.AROUTER_METRICS_TOKEN,
    keepPrompts: values.AROUTER_KEEP_PROMPTS,
    webhookOrigins: list(values.AROUTER_WEBHOOK_ORIGINS).map(readWebhookOrigin),
    bootstrapKeys: values.AROUTER_BOOTSTRAP_KEYS === "on",
    creditRequired: values.AROUTER_CREDIT === "required",
    defaultRequestsPerMinute: values.AROUTER_RATE_LIMIT,
    joinClientRetries: values.AROUTER_SDK_RETRY_JOIN === "on",
    maxImageBytes: values.AROUTER_MAX_IMAGE_BYTES,
    upstreamCallsAtOnce: values.BUN_CONFIG_MAX_HTTP_REQUESTS,
    drainTimeoutMs: values.AROUTER_DRAIN_TIMEOUT_MS,
    logLevel: values.AROUTER_LOG_LEVEL,
    providers: Object.fromEntries(
      adapters.map((adapter): [string, ProviderConfig] => [adapter.id, readProvider(environment, adapter)]),
    ),
  };
}

/** @throws ConfigError for what is more, or less, than an origin: a path would look like a restriction and be none */
function readWebhookOrigin(value: string): string {
  const url = httpUrl.safeParse(value).success ? new URL(value) : null;
  if (url === null || url.href !== `${url.origin}/`) {
    throw new ConfigError(
      `Setting AROUTER_WEBHOOK_ORIGINS: '${value}' is not an origin such as https://hooks.example.com or http://127.0.0.1:3000`,
    );
  }
  return url.origin;
}

function readProvider(
  environment: Record<string, string | undefined>,
  adapter: (typeof adapters)[number],
): ProviderConfig {
  if (adapter.settings === null) return { credentials: [""], baseUrl: "http://sandbox.invalid", ownBaseUrl: false };
  const { keyVariable, baseUrlVariable, defaultBaseUrl, keyIsOptional } = adapter.settings;
  const given = (environment[baseUrlVariable]?.trim() ?? "").replace(/\/+$/, "");
  if (given !== "" && !httpUrl.safeParse(given).success) {
    throw new ConfigError(`Setting ${baseUrlVariable}: expected a URL that starts with http:// or https://`);
  }
  const credentials = list(environment[keyVariable]);
  return {
    credentials: credentials.length === 0 && keyIsOptional ? [""] : credentials,
    baseUrl: given === "" ? defaultBaseUrl : given,
    ownBaseUrl: given !== "" && given !== defaultBaseUrl,
  };
}
