/** Keys with what they have used: for the Key API, the command and the key's own holder (service-facts.md "Key API"). */
import { sql } from "kysely";
import type { Database, KeyKind, LimitReset } from "../database.ts";
import { type Nanos, toUsdNumber } from "../money.ts";
import { idList } from "./allowed.ts";
import { type Key, ofCommandLine } from "./keys.ts";
import { type SpendState, spendState } from "./limits.ts";
import { periodStart } from "./periods.ts";

/** A key with its figures, all of one moment. */
export interface KeyFigures {
  key: Key;
  spend: SpendState;
  /** Charged in the key's whole life, and since the last UTC midnight, Monday and first of the month. */
  usage: Nanos;
  usageDaily: Nanos;
  usageWeekly: Nanos;
  usageMonthly: Nanos;
}

/** The Key of the API. Amounts are USD numbers, times ISO 8601. */
export interface KeyObject {
  hash: string;
  name: string;
  label: string;
  key_type: "regular" | "management";
  type: KeyKind;
  disabled: boolean;
  limit: number | null;
  /** Left for new requests: what is used and what running requests hold is taken off. Never below zero. */
  limit_remaining: number | null;
  limit_reset: LimitReset | null;
  allowed_providers: string[] | null;
  allowed_models: string[] | null;
  usage: number;
  usage_daily: number;
  usage_weekly: number;
  usage_monthly: number;
  rate_limit: { requests_per_minute: number | null; requests_per_day: number | null; concurrent: number | null };
  /** Where events of its generations go, unless a request says otherwise. */
  webhook_url: string | null;
  created_at: string;
  updated_at: string | null;
  expires_at: string | null;
}

/** The place between two keys of the list, newest first. */
export interface KeyPosition {
  createdAt: number;
  hash: string;
}

export interface KeyPage {
  includeDisabled: boolean;
  /** Keys after this one; the position stays where it is when keys are made or deleted. */
  after?: KeyPosition | undefined;
  offset?: number;
  /** Everything when left out. */
  size?: number;
}

/** @returns undefined when there is no such key (any more) */
export async function readKeyFigures(database: Database, hash: string, now: number): Promise<KeyFigures | undefined> {
  const row = await keysWithSums(database, now).where("hash", "=", hash).executeTakeFirst();
  return row === undefined ? undefined : toFigures(row, now);
}

/** Newest first. `next` is null on the last page. One query, however many keys. */
export async function listKeyFigures(
  database: Database,
  { includeDisabled, after, offset = 0, size }: KeyPage,
  now: number,
): Promise<{ keys: KeyFigures[]; next: KeyPosition | null }> {
  let query = keysWithSums(database, now).orderBy("created_at", "desc").orderBy("hash");
  if (!includeDisabled) query = query.where("disabled", "=", 0);
  if (after !== undefined) {
    const { createdAt, hash } = after;
    query = query.where(({ or, and, eb }) =>
      or([eb("created_at", "<", createdAt), and([eb("created_at", "=", createdAt), eb("hash", ">", hash)])]),
    );
  }
  // One more than the page holds tells whether there is another page. SQLite takes an offset only with a limit.
  if (size !== undefined) query = query.limit(size + 1).offset(offset);
  const rows = await query.execute();
  const page = size === undefined ? rows : rows.slice(0, size);
  const last = page.at(-1);
  const more = last !== undefined && rows.length > page.length;
  return {
    keys: page.map((row) => toFigures(row, now)),
    next: more ? { createdAt: Number(last.created_at), hash: last.hash } : null,
  };
}

type KeyRow = Awaited<ReturnType<ReturnType<typeof keysWithSums>["executeTakeFirstOrThrow"]>>;

function keysWithSums(database: Database, now: number) {
  // As text: a sum beyond 2^53 nano-dollars is no exact JavaScript number.
  const since = (start: number) =>
    sql<string>`(select cast(coalesce(sum(cost_nanos), 0) as text) from usage_hours
      where usage_hours.key_hash = keys.hash and hour >= ${start})`;
  return database
    .selectFrom("keys")
    .innerJoin("key_counters", "key_counters.key_hash", "keys.hash")
    .selectAll("keys")
    .select(["held_nanos", "used_nanos", "period_start", "charged_nanos"])
    .select([
      since(periodStart("daily", now)).as("daily"),
      since(periodStart("weekly", now)).as("weekly"),
      since(periodStart("monthly", now)).as("monthly"),
    ])
    .where("deleted_at", "is", null)
    .where("hash", "not like", ofCommandLine);
}

function toFigures(row: KeyRow, now: number): KeyFigures {
  return {
    key: row,
    spend: spendState(row, row, now),
    usage: BigInt(row.charged_nanos),
    usageDaily: BigInt(row.daily),
    usageWeekly: BigInt(row.weekly),
    usageMonthly: BigInt(row.monthly),
  };
}

export function keyObject({ key, spend, ...usage }: KeyFigures): KeyObject {
  return {
    hash: key.hash,
    name: key.name,
    label: key.label,
    key_type: key.kind === "management" ? "management" : "regular",
    type: key.kind,
    disabled: key.disabled !== 0,
    limit: spend.limit === null ? null : toUsdNumber(spend.limit),
    limit_remaining: spend.remaining === null ? null : toUsdNumber(spend.remaining),
    limit_reset: key.limit_reset,
    allowed_providers: idList(key.allowed_providers),
    allowed_models: idList(key.allowed_models),
    usage: toUsdNumber(usage.usage),
    usage_daily: toUsdNumber(usage.usageDaily),
    usage_weekly: toUsdNumber(usage.usageWeekly),
    usage_monthly: toUsdNumber(usage.usageMonthly),
    rate_limit: {
      requests_per_minute: key.requests_per_minute,
      requests_per_day: key.requests_per_day,
      concurrent: key.concurrent,
    },
    webhook_url: key.webhook_url,
    created_at: iso(key.created_at),
    updated_at: key.updated_at === null ? null : iso(key.updated_at),
    expires_at: key.expires_at === null ? null : iso(key.expires_at),
  };
}

const iso = (milliseconds: number): string => new Date(milliseconds).toISOString();
