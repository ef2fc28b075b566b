/**
 * One attempt of one delivery: claimed in the database, made, and its end recorded by whoever claimed it. A program that
 * dies in between leaves a row that becomes due again: recipients see an event at least once, always with the same id.
 */
import { type Selectable, sql } from "kysely";
import type { Random } from "../ports.ts";
import type { DeliveryPorts } from "./ports.ts";
import { attemptLimitMs, type Posted, post } from "./post.ts";
import { readSecrets, signingSecrets } from "./secrets.ts";
import type { WebhookDeliveriesTable } from "./tables.ts";

export type Delivery = Selectable<WebhookDeliveriesTable>;

/** Tried so long after the event; the last attempt is made when this is over. */
export const deliveryLifeMs = 24 * 3_600_000;
/** Waiting after the first, second, … attempt; the last one goes on. */
const delaysMs = [5_000, 30_000, 120_000, 600_000, 1_800_000, 3_600_000, 7_200_000, 14_400_000];
const longestDelayMs = 14_400_000;
/** Each is lengthened or shortened by up to this part, so that what failed together does not come back together. */
const jitter = 0.2;
/** A claimed attempt is sent within this time or not at all: with its time limit it ends before the claim does. */
const claimedFreshMs = 10_000;
/** After that the program that made the claim counts as dead. */
export const claimMs = claimedFreshMs + attemptLimitMs + 5_000;

/** The delivery whose turn it is, first attempts first: hosts that hang must not keep the others waiting. */
export function nextDue(
  { database, clock }: DeliveryPorts,
  except: { hosts: string[]; keys: string[]; ids: string[] },
): Promise<Delivery | undefined> {
  let query = database
    .selectFrom("webhook_deliveries")
    .selectAll()
    // In the words of the partial index.
    .where(sql<boolean>`status = 'pending'`)
    .where("next_attempt_at", "<=", clock.now())
    .orderBy("attempts")
    .orderBy("next_attempt_at")
    .limit(1);
  if (except.hosts.length > 0) query = query.where("host", "not in", except.hosts);
  if (except.keys.length > 0) query = query.where("key_hash", "not in", except.keys);
  if (except.ids.length > 0) query = query.where("id", "not in", except.ids);
  return query.executeTakeFirst();
}

/** @returns the delivery with its attempt counted, or null when another program was faster */
export async function claim({ database, clock }: DeliveryPorts, delivery: Delivery): Promise<Delivery | null> {
  const now = clock.now();
  const claimed = { attempts: delivery.attempts + 1, last_attempt_at: now, next_attempt_at: now + claimMs };
  const { numUpdatedRows } = await database
    .updateTable("webhook_deliveries")
    .set(claimed)
    .where("id", "=", delivery.id)
    .where("status", "=", "pending")
    .where("attempts", "=", delivery.attempts)
    .executeTakeFirst();
  return numUpdatedRows === 0n ? null : { ...delivery, ...claimed };
}

/** Makes the claimed attempt and records its end. @param signal aborts when the program stops */
export async function attempt(ports: DeliveryPorts, delivery: Delivery, signal: AbortSignal): Promise<void> {
  const { database, clock, logger } = ports;
  const { id, attempts, generation_id: generation, host } = delivery;
  const posted = await make(ports, delivery, signal);
  const changes = verdict(delivery, posted, clock.now(), ports.random);
  let update = database
    .updateTable("webhook_deliveries")
    .set(changes)
    .where("id", "=", id)
    .where("status", "=", "pending");
  // Somebody else's attempt may be under way by now: a failure is for that one to record, but delivered is delivered.
  if (changes.status !== "delivered") update = update.where("attempts", "=", attempts);
  const { numUpdatedRows } = await update.executeTakeFirst();
  const { status, problem, reason } = posted;
  // Of the URL only the host: the rest may be a secret.
  const fields = { event: id, generation, host, attempt: attempts, status, outcome: changes.status };
  if (numUpdatedRows === 0n) logger.warn(fields, "another program has taken this webhook over; its record stands");
  else if (problem === null) logger.info(fields, "webhook delivered");
  else logger.warn({ ...fields, problem, reason }, "webhook not delivered");
}

type Made = Omit<Posted, "headers"> & { final?: true; late?: true };

async function make(ports: DeliveryPorts, delivery: Delivery, signal: AbortSignal): Promise<Made> {
  const { database, clock } = ports;
  const without = { status: null, reason: undefined, retryAfterMs: undefined };
  try {
    const key = await database
      .selectFrom("keys")
      .select("deleted_at")
      .where("hash", "=", delivery.key_hash)
      .executeTakeFirst();
    if (key === undefined || key.deleted_at !== null) {
      return { ...without, problem: "the key was deleted", final: true };
    }
    const described = await ports.describe(delivery.generation_id, delivery.origin);
    if (described === null) return { ...without, problem: "the generation's record is gone", final: true };
    const secrets = signingSecrets(await readSecrets(database, delivery.key_hash, ports));
    if (clock.now() - (delivery.last_attempt_at ?? 0) > claimedFreshMs) {
      return { ...without, problem: "the router was too slow to begin the attempt", late: true };
    }
    const body = JSON.stringify({
      type: `generation.${described.outcome}`,
      timestamp: new Date(delivery.created_at).toISOString(),
      data: described.generation,
    });
    return await post(ports, { url: delivery.url, id: delivery.id, body, secrets }, signal);
  } catch (error) {
    ports.logger.error({ event: delivery.id, err: error }, "a webhook's event could not be made");
    return { ...without, problem: "the router failed while it made the event" };
  }
}

/** What the attempt's end makes of the delivery. */
function verdict(delivery: Delivery, made: Made, now: number, random: Random) {
  const seen = { last_status: made.status, last_error: made.problem };
  if (made.problem === null) {
    return { ...seen, status: "delivered" as const, finished_at: now, next_attempt_at: null };
  }
  const end = delivery.created_at + deliveryLifeMs;
  if (made.late) return { ...seen, status: "pending" as const, next_attempt_at: now };
  if (made.final || made.status === 410 || now >= end) {
    return { ...seen, status: "given_up" as const, finished_at: now, next_attempt_at: null };
  }
  const patience = Math.min(made.retryAfterMs ?? 0, longestDelayMs);
  const delayMs = Math.max(delayAfter(delivery.attempts, random), patience);
  return { ...seen, status: "pending" as const, next_attempt_at: Math.min(now + delayMs, end) };
}

function delayAfter(attempts: number, random: Random): number {
  const delayMs = delaysMs[attempts - 1] ?? longestDelayMs;
  const [byte = 0] = random.bytes(1);
  return Math.round(delayMs * (1 + jitter * ((2 * byte) / 255 - 1)));
}
