/** What a client may say about a key: bodies of POST and PATCH, checked in one pass; the first defect refuses. */
import type { KeySettings, NewKey } from "../accounts/keys.ts";
import type { Catalogue } from "../catalogue/index.ts";
import { checkLength } from "../catalogue/parameters.ts";
import {
  emptyString,
  integerAbove,
  integerBelow,
  invalidType,
  invalidValue,
  missing,
  notInList,
  numberOutside,
  quotedList,
  shown,
  unknownParameter,
} from "../catalogue/wording.ts";
import type { KeyKind, LimitReset } from "../database.ts";
import { PublicError } from "../errors.ts";
import { isDay } from "../iso-time.ts";
import { type Nanos, parseJsonUsd } from "../money.ts";
import { readWebhookUrl } from "../webhooks/url.ts";

const maxNameLength = 200;
/** Up to here (2^53 nano-dollars, rounded down) a driver reads amounts exactly. A larger budget is better none. */
const maxLimitUsd = 9_000_000;
const maxRate = 1_000_000;
const kinds = ["live", "test", "management"] as const satisfies readonly KeyKind[];
const resets = ["daily", "weekly", "monthly"] as const satisfies readonly LimitReset[];
/** With a zone: a time without one would mean another moment on every machine. */
const isoTime =
  /^\d{4}-(0[1-9]|1[0-2])-(0[1-9]|[12]\d|3[01])T([01]\d|2[0-3]):[0-5]\d(:[0-5]\d(\.\d+)?)?(Z|[+-]([01]\d|2[0-3]):?[0-5]\d)$/;

/** A parsed body, and the amount in it as it was written. */
export interface KeyBody {
  fields: Record<string, unknown>;
  limitLiteral: string | undefined;
}

/** What decides whether a value makes sense here and now. */
export interface KeyRules {
  catalogue: Catalogue;
  /** Ids of the adapters. */
  providers: readonly string[];
  now: number;
  /** Origins of webhook recipients that may be plain http; none when left out. */
  webhookOrigins?: readonly string[];
}

const settingNames = [
  "name",
  "limit",
  "limit_reset",
  "expires_at",
  "allowed_providers",
  "allowed_models",
  "rate_limit",
  "webhook_url",
];
const newKeyNames = [...settingNames, "type"];
const changeNames = [...settingNames, "disabled"];
const rateNames = ["requests_per_minute", "requests_per_day", "concurrent"];

/** @throws PublicError for the first thing that is wrong */
export function parseNewKey(body: KeyBody, rules: KeyRules): NewKey {
  checkNames(body.fields, newKeyNames);
  if (body.fields.name === undefined) throw missing("name");
  const kind = oneOf("type", body.fields.type ?? "live", kinds);
  const settings = parseSettings(body, kind, rules);
  return { ...settings, kind, name: parseName(body.fields.name) };
}

/**
 * Only what the body names is changed; null lifts.
 * @param kind of the key that is changed
 * @throws PublicError for the first thing that is wrong
 */
export function parseKeyChanges(body: KeyBody, kind: KeyKind, rules: KeyRules): Partial<KeySettings> {
  checkNames(body.fields, changeNames);
  const changes = parseSettings(body, kind, rules);
  const { disabled } = body.fields;
  if (disabled !== undefined) {
    if (typeof disabled !== "boolean") throw invalidType("disabled", "a boolean", disabled);
    changes.disabled = disabled;
  }
  if (Object.keys(changes).length === 0) {
    const message = `Nothing to change. Give at least one of ${quotedList(changeNames)}.`;
    throw new PublicError("missing_required_parameter", message);
  }
  return changes;
}

function checkNames(fields: Record<string, unknown>, known: readonly string[], inside = ""): void {
  for (const name of Object.keys(fields)) if (!known.includes(name)) throw unknownParameter(inside + name);
}

function parseSettings({ fields, limitLiteral }: KeyBody, kind: KeyKind, rules: KeyRules): Partial<KeySettings> {
  if (kind === "management") refuseLimits(fields);
  const { limit_reset: reset, allowed_models: models, allowed_providers: providers } = fields;
  const settings: Partial<KeySettings> = {};
  if (fields.name !== undefined) settings.name = parseName(fields.name);
  if (fields.limit !== undefined) settings.limit = parseLimit(fields.limit, limitLiteral);
  if (reset !== undefined) settings.limitReset = reset === null ? null : oneOf("limit_reset", reset, resets);
  if (fields.expires_at !== undefined) settings.expiresAt = parseExpiry(fields.expires_at, rules.now);
  if (providers !== undefined) {
    const known = (id: string) => rules.providers.includes(id);
    const message = `The providers are ${quotedList(rules.providers)}.`;
    settings.allowedProviders = parseIds("allowed_providers", providers, known, message);
  }
  if (models !== undefined) {
    const known = (id: string) => rules.catalogue.find(id) !== undefined;
    const message = "GET /v1/models lists the models that there are.";
    settings.allowedModels = parseIds("allowed_models", models, known, message);
  }
  if (fields.rate_limit !== undefined) Object.assign(settings, parseRates(fields.rate_limit));
  if (fields.webhook_url !== undefined) {
    settings.webhookUrl = readWebhookUrl(fields.webhook_url, rules.webhookOrigins ?? []);
  }
  return settings;
}

/** A management key makes no images: limits on it would look like protection and be none. */
function refuseLimits(fields: Record<string, unknown>): void {
  for (const name of ["limit", "limit_reset", "allowed_providers", "allowed_models", "rate_limit"]) {
    if (fields[name] === undefined || fields[name] === null) continue;
    throw invalidValue(name, `Invalid '${name}': a management key makes no images, so it would limit nothing.`);
  }
  if (fields.webhook_url === undefined || fields.webhook_url === null) return;
  const message = "Invalid 'webhook_url': a management key makes no images, so nothing would be sent.";
  throw invalidValue("webhook_url", message);
}

function parseName(value: unknown): string {
  if (typeof value !== "string") throw invalidType("name", "a string", value);
  if (value.trim() === "") throw emptyString("name");
  checkLength("name", value, maxNameLength);
  return value;
}

function oneOf<T extends string>(param: string, value: unknown, values: readonly T[]): T {
  if (typeof value !== "string") throw invalidType(param, "a string", value);
  const found = values.find((candidate) => candidate === value);
  if (found === undefined) throw notInList(param, value, values);
  return found;
}

/** @param literal the number as it was written: as a number it may have been rounded already */
function parseLimit(value: unknown, literal: string | undefined): Nanos | null {
  if (value === null) return null;
  if (typeof value !== "number") throw invalidType("limit", "a number of US dollars", value);
  if (value < 0 || value > maxLimitUsd) throw numberOutside("limit", 0, maxLimitUsd, value);
  const nanos = parseJsonUsd(literal ?? String(value));
  if (nanos === null || nanos < 0n) {
    throw invalidValue("limit", `Invalid 'limit': ${shown(literal ?? String(value))} has more than 9 decimals.`);
  }
  return nanos;
}

function parseExpiry(value: unknown, now: number): number | null {
  if (value === null) return null;
  if (typeof value !== "string") throw invalidType("expires_at", "a string", value);
  const time = isoTime.test(value) && isDay(value.slice(0, 10)) ? Date.parse(value) : Number.NaN;
  if (Number.isNaN(time)) {
    const message = `Invalid value: '${shown(value)}'. Expected ISO 8601 with a zone, for example '2027-01-31T00:00:00Z'.`;
    throw invalidValue("expires_at", message);
  }
  if (time <= now) throw invalidValue("expires_at", `Invalid 'expires_at': '${value}' is in the past.`);
  return time;
}

function parseIds(param: string, value: unknown, isKnown: (id: string) => boolean, help: string): string[] | null {
  if (value === null) return null;
  if (!Array.isArray(value)) throw invalidType(param, "an array of strings", value);
  // It could mean "none" as well as "no restriction"; guessing wrong would cost somebody money.
  if (value.length === 0) throw invalidValue(param, `Invalid '${param}': an empty list. Send null to allow all.`);
  const ids = value.map((id: unknown, index) => {
    if (typeof id !== "string") throw invalidType(`${param}[${index}]`, "a string", id);
    return id;
  });
  const unknown = ids.filter((id) => !isKnown(id));
  if (unknown.length > 0) {
    throw invalidValue(param, `Invalid '${param}': unknown ${quotedList(unknown.slice(0, 10).map(shown))}. ${help}`);
  }
  return ids;
}

function parseRates(value: unknown): Partial<KeySettings> {
  if (value === null) return { requestsPerMinute: null, requestsPerDay: null, concurrent: null };
  if (typeof value !== "object" || Array.isArray(value)) throw invalidType("rate_limit", "an object", value);
  const rates = value as Record<string, unknown>;
  checkNames(rates, rateNames, "rate_limit.");
  const { requests_per_minute: perMinute, requests_per_day: perDay, concurrent } = rates;
  return {
    ...(perMinute === undefined ? {} : { requestsPerMinute: parseRate("requests_per_minute", perMinute) }),
    ...(perDay === undefined ? {} : { requestsPerDay: parseRate("requests_per_day", perDay) }),
    ...(concurrent === undefined ? {} : { concurrent: parseRate("concurrent", concurrent) }),
  };
}

function parseRate(name: string, value: unknown): number | null {
  const param = `rate_limit.${name}`;
  if (value === null) return null;
  if (typeof value !== "number" || !Number.isInteger(value)) throw invalidType(param, "an integer", value);
  // Zero would be a key that can do nothing; that is what `disabled` says.
  if (value < 1) throw integerBelow(param, 1, value);
  if (value > maxRate) throw integerAbove(param, maxRate, value);
  return value;
}
