/** Limits of a new key on the command line: the options, and the same checks as the Key API makes. */
import { type Command, InvalidArgumentError, Option } from "commander";
import type { NewKey } from "../accounts/keys.ts";
import type { KeyKind } from "../database.ts";
import { PublicError } from "../errors.ts";
import { parseNewKey } from "../http/key-body.ts";
import type { Parts } from "../parts.ts";

export interface LimitOptions {
  /** US dollars, as written. */
  limit?: string;
  limitReset?: string;
  allowedModels?: string[];
  allowedProviders?: string[];
  requestsPerMinute?: number;
  requestsPerDay?: number;
  concurrent?: number;
}

export function addLimitOptions(command: Command): Command {
  return command
    .option("--limit <usd>", "most it may spend, e.g. 5 or 0.25; see --limit-reset", usd)
    .addOption(
      new Option("--limit-reset <when>", "the limit starts anew at midnight UTC, on Mondays, or on the first").choices([
        "daily",
        "weekly",
        "monthly",
      ]),
    )
    .option("--allowed-models <ids>", "comma-separated; the only models it may use", list)
    .option("--allowed-providers <ids>", "comma-separated; the only providers it may use", list)
    .option("--requests-per-minute <n>", "most requests in any sixty seconds", count)
    .option("--requests-per-day <n>", "most requests in a UTC day", count)
    .option("--concurrent <n>", "most generations at once", count);
}

/** @throws PublicError for what makes no sense */
export function newKeyOf(
  options: { name: string; type: KeyKind; expiresAt?: number } & LimitOptions,
  { catalogue, providers, clock }: Parts,
): NewKey {
  const { limit, limitReset, expiresAt, requestsPerMinute, requestsPerDay, concurrent } = options;
  // On the wire a reset may wait for a limit that comes later; here nothing comes later.
  if (limitReset !== undefined && limit === undefined) {
    throw new PublicError("invalid_value", "--limit-reset needs --limit: without a limit nothing can start anew.");
  }
  const rates = { requests_per_minute: requestsPerMinute, requests_per_day: requestsPerDay, concurrent };
  const given = Object.entries(rates).filter(([, value]) => value !== undefined);
  const fields = {
    name: options.name,
    type: options.type,
    limit: limit === undefined ? undefined : Number(limit),
    limit_reset: limitReset,
    expires_at: expiresAt === undefined ? undefined : new Date(expiresAt).toISOString(),
    allowed_models: options.allowedModels,
    allowed_providers: options.allowedProviders,
    rate_limit: given.length === 0 ? undefined : Object.fromEntries(given),
  };
  const rules = {
    catalogue,
    providers: providers.all.map(({ adapter }) => adapter.id),
    now: clock.now(),
  };
  return parseNewKey({ fields, limitLiteral: limit }, rules);
}

function usd(value: string): string {
  if (!/^\d+(\.\d+)?$/.test(value)) throw new InvalidArgumentError("Use US dollars, e.g. 5 or 0.25.");
  return value;
}

function list(value: string): string[] {
  return value
    .split(",")
    .map((id) => id.trim())
    .filter((id) => id !== "");
}

function count(value: string): number {
  if (!/^[1-9]\d{0,6}$/.test(value)) throw new InvalidArgumentError("Use a whole number from 1.");
  return Number(value);
}
