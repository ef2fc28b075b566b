/**
 * Every setting, read once from the environment (Bun has already merged a `.env` file into it).
 * CONTRACT.md "Settings" is the specification. Nothing else in the program reads `process.env`.
 */
import { isAbsolute, resolve } from "node:path";
import { z } from "zod";
import { adapters } from "./providers/index.ts";

/** A provider's credentials and address as the operator set them. */
export interface ProviderConfig {
  /** The credential pool; empty when the provider is not configured. */
  credentials: string[];
  /** Without a trailing slash. */
  baseUrl: string;
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
  keepPrompts: "never" | "hour" | "always";
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
  AROUTER_KEEP_PROMPTS: optional(z.enum(["never", "hour", "always"])).default("hour"),
  AROUTER_BOOTSTRAP_KEYS: optional(z.enum(["on", "off"])).default("on"),
  AROUTER_CREDIT: optional(z.enum(["off", "required"])).default("off"),
  AROUTER_RATE_LIMIT: optional(z.union([z.literal("off").transform(() => null), integer(1, 1_000_000)])).default(null),
  AROUTER_SDK_RETRY_JOIN: optional(z.enum(["on", "off"])).default("on"),
  AROUTER_MAX_IMAGE_BYTES: optional(integer(1024, 1 << 30)).default(64 << 20),
  AROUTER_DRAIN_TIMEOUT_MS: optional(integer(0, 3_600_000)).default(30_000),
  AROUTER_LOG_LEVEL: optional(z.enum(["trace", "debug", "info", "warn", "error", "silent"])).default("info"),
});

/** Settings of the contract that this version does not act on yet. Refused when set, because ignoring one would lie. */
const notYet: Record<string, { neutral: string[]; meaning: string }> = {
  DATABASE_URL: { neutral: [], meaning: "Postgres" },
  AROUTER_IMAGES: { neutral: [], meaning: "an S3 bucket for images" },
  AROUTER_LEGACY: { neutral: ["refuse"], meaning: "successor models" },
  AROUTER_METRICS_TOKEN: { neutral: [], meaning: "metrics" },
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
    keepPrompts: values.AROUTER_KEEP_PROMPTS,
    bootstrapKeys: values.AROUTER_BOOTSTRAP_KEYS === "on",
    creditRequired: values.AROUTER_CREDIT === "required",
    defaultRequestsPerMinute: values.AROUTER_RATE_LIMIT,
    joinClientRetries: values.AROUTER_SDK_RETRY_JOIN === "on",
    maxImageBytes: values.AROUTER_MAX_IMAGE_BYTES,
    drainTimeoutMs: values.AROUTER_DRAIN_TIMEOUT_MS,
    logLevel: values.AROUTER_LOG_LEVEL,
    providers: Object.fromEntries(
      adapters.map((adapter): [string, ProviderConfig] => [adapter.id, readProvider(environment, adapter)]),
    ),
  };
}

function readProvider(
  environment: Record<string, string | undefined>,
  adapter: (typeof adapters)[number],
): ProviderConfig {
  if (adapter.settings === null) return { credentials: [""], baseUrl: "http://sandbox.invalid", ownBaseUrl: false };
  const { keyVariable, baseUrlVariable, defaultBaseUrl } = adapter.settings;
  const given = environment[baseUrlVariable]?.trim() ?? "";
  if (given !== "" && !httpUrl.safeParse(given).success) {
    throw new ConfigError(`Setting ${baseUrlVariable}: expected a URL that starts with http:// or https://`);
  }
  return {
    credentials: list(environment[keyVariable]),
    baseUrl: (given === "" ? defaultBaseUrl : given).replace(/\/+$/, ""),
    ownBaseUrl: given !== "" && given.replace(/\/+$/, "") !== defaultBaseUrl,
  };
}
