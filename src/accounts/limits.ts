/**
 * What one key may do: spend, requests per minute and day, generations at once. Decided in the admit transaction, by
 * conditional statements on the key's own counters, so that no limit is overshot by a single request.
 */
import { type Selectable, sql } from "kysely";
import type { Database, DatabaseTransaction, KeyCountersTable } from "../database.ts";
import { PublicError } from "../errors.ts";
import { formatUsd, type Nanos } from "../money.ts";
import type { Key } from "./keys.ts";
import { dayStart, nextPeriodStart, periodStart } from "./periods.ts";

const minuteMs = 60_000;
const dayMs = 86_400_000;
/** There is no telling when a running generation ends; a client that waits this long does not hammer. */
const concurrentRetryMs = 1_000;

/** `X-RateLimit-*`: the limit per minute, or per day where the key has only that one. */
export interface RateLimitState {
  limit: number;
  remaining: number;
  /** Unix milliseconds. */
  resetAt: number;
}

/**
 * Counts one request and holds its quote against the key's limits, all or nothing.
 * @param key the key's row as read in this transaction
 * @param perMinute the key's own limit or the operator's default
 * @throws PublicError rate_limit_exceeded, spend_limit_exceeded
 */
export async function enterLimits(
  transaction: DatabaseTransaction,
  key: Key,
  quote: Nanos,
  perMinute: number | null,
  now: number,
): Promise<void> {
  const period = periodStart(key.limit_reset, now);
  const day = dayStart(now);
  // The period's and the day's figures as they are now: what belongs to an earlier one counts as nothing.
  const used = sql<bigint>`case when period_start = ${period} then used_nanos else 0 end`;
  const today = sql<number>`case when day_start = ${day} then day_requests else 0 end`;
  let update = transaction
    .updateTable("key_counters")
    .set({
      held_nanos: sql`held_nanos + ${quote}`,
      used_nanos: used,
      period_start: period,
      running: sql`running + 1`,
      day_requests: sql`${today} + 1`,
      day_start: day,
    })
    .where("key_hash", "=", key.hash);
  if (key.limit_nanos !== null)
    update = update.where(sql<boolean>`${used} + held_nanos + ${quote} <= ${BigInt(key.limit_nanos)}`);
  if (key.requests_per_day !== null) update = update.where(sql<boolean>`${today} < ${key.requests_per_day}`);
  if (key.concurrent !== null) update = update.where("running", "<", key.concurrent);
  const { numUpdatedRows } = await update.executeTakeFirst();
  if (numUpdatedRows === 0n) throw await whyNot(transaction, key, quote, now);
  if (perMinute !== null) await enterMinute(transaction, key.hash, perMinute, now);
}

/** Counts a request that joins a running or finished generation: it costs nothing, but it is a request. */
export async function countJoin(
  transaction: DatabaseTransaction,
  key: Key,
  perMinute: number | null,
  now: number,
): Promise<void> {
  const day = dayStart(now);
  const today = sql<number>`case when day_start = ${day} then day_requests else 0 end`;
  let update = transaction
    .updateTable("key_counters")
    .set({ day_requests: sql`${today} + 1`, day_start: day })
    .where("key_hash", "=", key.hash);
  if (key.requests_per_day !== null) update = update.where(sql<boolean>`${today} < ${key.requests_per_day}`);
  const { numUpdatedRows } = await update.executeTakeFirst();
  if (numUpdatedRows === 0n) throw dayExceeded(key, now);
  if (perMinute !== null) await enterMinute(transaction, key.hash, perMinute, now);
}

/** Ends what `enterLimits` began: the hold goes, the charge is counted in the period in which it is made. */
export async function leaveLimits(
  transaction: DatabaseTransaction,
  key: Pick<Key, "hash" | "limit_reset">,
  held: Nanos,
  cost: Nanos,
  now: number,
): Promise<void> {
  const period = periodStart(key.limit_reset, now);
  await transaction
    .updateTable("key_counters")
    .set({
      held_nanos: sql`held_nanos - ${held}`,
      used_nanos: sql`case when period_start = ${period} then used_nanos + ${cost} else ${cost} end`,
      period_start: period,
      charged_nanos: sql`charged_nanos + ${cost}`,
      running: sql`running - 1`,
    })
    .where("key_hash", "=", key.hash)
    .execute();
}

/** The minute slides: a request counts for exactly sixty seconds. */
async function enterMinute(
  transaction: DatabaseTransaction,
  keyHash: string,
  perMinute: number,
  now: number,
): Promise<void> {
  await transaction
    .deleteFrom("recent_requests")
    .where("key_hash", "=", keyHash)
    .where("at", "<=", now - minuteMs)
    .execute();
  const { numInsertedOrUpdatedRows } = await sql`
    insert into recent_requests (key_hash, at) select ${keyHash}, ${now}
    where (select count(*) from recent_requests where key_hash = ${keyHash}) < ${perMinute}`
    .execute(transaction)
    .then(({ numAffectedRows }) => ({ numInsertedOrUpdatedRows: numAffectedRows }));
  if (numInsertedOrUpdatedRows === 1n) return;
  const resetAt = await minuteReset(transaction, keyHash, now);
  throw new PublicError("rate_limit_exceeded", `Rate limit of ${perMinute} requests per minute reached for this key.`, {
    retryAfterMs: Math.max(1, resetAt - now),
  });
}

async function minuteReset(database: Database | DatabaseTransaction, keyHash: string, now: number): Promise<number> {
  const oldest = await database
    .selectFrom("recent_requests")
    .select((select) => select.fn.min("at").as("at"))
    .where("key_hash", "=", keyHash)
    .where("at", ">", now - minuteMs)
    .executeTakeFirst();
  return Number(oldest?.at ?? now) + minuteMs;
}

async function whyNot(transaction: DatabaseTransaction, key: Key, quote: Nanos, now: number): Promise<PublicError> {
  const counters = await readCounters(transaction, key.hash);
  if (counters === undefined)
    return new PublicError("internal_error", "The router failed while it handled this request.");
  if (key.concurrent !== null && counters.running >= key.concurrent) {
    return new PublicError("rate_limit_exceeded", `This key may run ${key.concurrent} generations at once.`, {
      retryAfterMs: concurrentRetryMs,
    });
  }
  if (key.requests_per_day !== null && requestsToday(counters, now) >= key.requests_per_day)
    return dayExceeded(key, now);
  const spend = spendState(key, counters, now);
  const resets =
    spend.resetsAt === null ? "It does not reset." : `It resets at ${new Date(spend.resetsAt).toISOString()}.`;
  return new PublicError(
    "spend_limit_exceeded",
    `This request may cost up to $${formatUsd(quote)}, but of this key's ${key.limit_reset ?? "lifetime"} limit of $${formatUsd(spend.limit ?? 0n)} $${formatUsd(spend.used)} is used and $${formatUsd(spend.held)} is held by running requests, which leaves $${formatUsd(spend.remaining ?? 0n)}. ${resets}`,
  );
}

function dayExceeded(key: Key, now: number): PublicError {
  return new PublicError(
    "rate_limit_exceeded",
    `Rate limit of ${key.requests_per_day} requests per day reached for this key.`,
    {
      retryAfterMs: dayStart(now) + dayMs - now,
    },
  );
}

export interface SpendState {
  limit: Nanos | null;
  /** Charged in the current period. */
  used: Nanos;
  held: Nanos;
  /** Never below zero; null without a limit. */
  remaining: Nanos | null;
  /** Unix milliseconds; null for a limit that never starts anew. */
  resetsAt: number | null;
}

/** A key's spending as it stands now. */
export function spendState(key: Key, counters: Selectable<KeyCountersTable>, now: number): SpendState {
  const limit = key.limit_nanos === null ? null : BigInt(key.limit_nanos);
  const used = counters.period_start === periodStart(key.limit_reset, now) ? BigInt(counters.used_nanos) : 0n;
  const held = BigInt(counters.held_nanos);
  const left = limit === null ? null : limit - used - held;
  return {
    limit,
    used,
    held,
    remaining: left !== null && left < 0n ? 0n : left,
    resetsAt: nextPeriodStart(key.limit_reset, now),
  };
}

export async function readCounters(
  database: Database | DatabaseTransaction,
  keyHash: string,
): Promise<Selectable<KeyCountersTable> | undefined> {
  return database.selectFrom("key_counters").selectAll().where("key_hash", "=", keyHash).executeTakeFirst();
}

function requestsToday(counters: Selectable<KeyCountersTable>, now: number): number {
  return counters.day_start === dayStart(now) ? counters.day_requests : 0;
}

/** @returns null for a key without a limit on requests */
export async function readRateLimit(
  database: Database,
  key: Key,
  perMinute: number | null,
  now: number,
): Promise<RateLimitState | null> {
  if (perMinute !== null) {
    const { count } = await database
      .selectFrom("recent_requests")
      .select((select) => select.fn.countAll().as("count"))
      .where("key_hash", "=", key.hash)
      .where("at", ">", now - minuteMs)
      .executeTakeFirstOrThrow();
    return {
      limit: perMinute,
      remaining: Math.max(0, perMinute - Number(count)),
      resetAt: await minuteReset(database, key.hash, now),
    };
  }
  if (key.requests_per_day === null) return null;
  const counters = await readCounters(database, key.hash);
  const requests = counters === undefined ? 0 : requestsToday(counters, now);
  return {
    limit: key.requests_per_day,
    remaining: Math.max(0, key.requests_per_day - requests),
    resetAt: dayStart(now) + dayMs,
  };
}
