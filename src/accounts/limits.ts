/**
 * What one key may do: spend, requests per minute and day, generations at once. Decided in the admit transaction, by
 * conditional statements on the key's own counters, so that no limit is overshot by a single request.
 */
import { type Selectable, sql } from "kysely";
import type { Database, DatabaseTransaction, KeyCountersTable, LimitReset } from "../database.ts";
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
  const used = usedSince(period);
  const today = requestsSince(dayStart(now));
  let update = transaction
    .updateTable("key_counters")
    .set({
      held_nanos: sql`held_nanos + ${quote}`,
      used_nanos: used,
      period_start: later("period_start", period),
      running: sql`running + 1`,
      day_requests: sql`${today} + 1`,
      day_start: later("day_start", dayStart(now)),
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

// Figures of an earlier period or day count as nothing. Periods never go back: where two machines' clocks differ around a
// boundary, the later period holds, because going back would forget what has been used in it.
const usedSince = (period: number) => sql<bigint>`case when period_start >= ${period} then used_nanos else 0 end`;
const requestsSince = (day: number) => sql<number>`case when day_start >= ${day} then day_requests else 0 end`;
const later = (column: "period_start" | "day_start", start: number) =>
  sql<number>`case when ${sql.ref(column)} > ${start} then ${sql.ref(column)} else ${start} end`;

/** Counts a request that joins a running or finished generation: it costs nothing, but it is a request. */
export async function countJoin(
  transaction: DatabaseTransaction,
  key: Key,
  perMinute: number | null,
  now: number,
): Promise<void> {
  const today = requestsSince(dayStart(now));
  let update = transaction
    .updateTable("key_counters")
    .set({ day_requests: sql`${today} + 1`, day_start: later("day_start", dayStart(now)) })
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
      used_nanos: sql`${usedSince(period)} + ${cost}`,
      period_start: later("period_start", period),
      charged_nanos: sql`charged_nanos + ${cost}`,
      running: sql`running - 1`,
    })
    .where("key_hash", "=", key.hash)
    .execute();
}

/**
 * A key's limit starts anew at other times from now on: what it has used is counted again, from the beginning of the
 * period that now holds. Without this, a new `limit_reset` would forgive what has been spent.
 */
export async function changePeriod(
  transaction: DatabaseTransaction,
  keyHash: string,
  reset: LimitReset | null,
  now: number,
): Promise<void> {
  const period = periodStart(reset, now);
  // Every period begins with an hour, so the sums by hour are exact; all of them together are the key's whole life.
  const used = sql<bigint>`(select coalesce(sum(cost_nanos), 0) from usage_hours where key_hash = ${keyHash} and hour >= ${period})`;
  await transaction
    .updateTable("key_counters")
    .set({ used_nanos: used, period_start: period })
    .where("key_hash", "=", keyHash)
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
  const resetAt = await nextInMinute(transaction, keyHash, perMinute, now);
  throw new PublicError("rate_limit_exceeded", `Rate limit of ${perMinute} requests per minute reached for this key.`, {
    retryAfterMs: Math.max(1, resetAt - now),
  });
}

/**
 * When the next request fits: as soon as enough of the counted ones are a minute old. After the limit has been lowered
 * that takes more than the oldest.
 */
async function nextInMinute(
  transaction: DatabaseTransaction,
  keyHash: string,
  perMinute: number,
  now: number,
): Promise<number> {
  const last = await transaction
    .selectFrom("recent_requests")
    .select("at")
    .where("key_hash", "=", keyHash)
    .where("at", ">", now - minuteMs)
    .orderBy("at", "desc")
    .offset(perMinute - 1)
    .limit(1)
    .executeTakeFirst();
  return Number(last?.at ?? now) + minuteMs;
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
    `This request may cost up to $${formatUsd(quote)}, but this key's ${key.limit_reset ?? "lifetime"} limit is $${formatUsd(spend.limit ?? 0n)}: $${formatUsd(spend.used)} is used and $${formatUsd(spend.held)} is held by running requests, which leaves $${formatUsd(spend.remaining ?? 0n)}. ${resets}`,
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
export function spendState(
  key: Pick<Key, "limit_nanos" | "limit_reset">,
  counters: Pick<Selectable<KeyCountersTable>, "held_nanos" | "used_nanos" | "period_start">,
  now: number,
): SpendState {
  const limit = key.limit_nanos === null ? null : BigInt(key.limit_nanos);
  const used = counters.period_start >= periodStart(key.limit_reset, now) ? BigInt(counters.used_nanos) : 0n;
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
  return counters.day_start >= dayStart(now) ? counters.day_requests : 0;
}

/** @returns null for a key without a limit on requests */
export async function readRateLimit(
  database: Database,
  key: Key,
  perMinute: number | null,
  now: number,
): Promise<RateLimitState | null> {
  if (perMinute !== null) {
    const { count, oldest } = await database
      .selectFrom("recent_requests")
      .select(({ fn }) => [fn.countAll().as("count"), fn.min("at").as("oldest")])
      .where("key_hash", "=", key.hash)
      .where("at", ">", now - minuteMs)
      .executeTakeFirstOrThrow();
    // The window slides: from the moment when the oldest request is a minute old, one more fits.
    const resetAt = Number(count) === 0 ? now : Number(oldest) + minuteMs;
    return { limit: perMinute, remaining: Math.max(0, perMinute - Number(count)), resetAt };
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
