/**
 * Tells a repeat from a new request: by `Idempotency-Key`, or by the official clients' own silent retry. A repeat joins
 * the generation that it repeats; it is never made, and never paid, twice.
 */
import { createHash } from "node:crypto";
import type { Key } from "../accounts/keys.ts";
import type { CheckedRequest } from "../catalogue/index.ts";
import type { Database, DatabaseTransaction } from "../database.ts";
import { type ErrorCode, errorTable, PublicError } from "../errors.ts";

/** Claims are kept this long; the sweeper removes them afterwards. */
export const idempotencyLifeMs = 24 * 3_600_000;
const clientRetryLifeMs = 600_000;

/** How a request says that it may be a repeat. */
export interface RepeatHeaders {
  /** `Idempotency-Key`, checked. */
  idempotencyKey: string | undefined;
  /** `x-stainless-retry-count` ≥ 1: the official clients resend by themselves. */
  clientRetry: boolean;
}

export const notARepeat: RepeatHeaders = { idempotencyKey: undefined, clientRetry: false };

/** @throws PublicError invalid_idempotency_key */
export function readRepeatHeaders(
  header: (name: string) => string | undefined,
  joinClientRetries: boolean,
): RepeatHeaders {
  const idempotencyKey = header("idempotency-key");
  if (idempotencyKey !== undefined && !/^[\x21-\x7e]{1,255}$/.test(idempotencyKey)) {
    throw new PublicError("invalid_idempotency_key", "'Idempotency-Key' must be 1 to 255 visible ASCII characters.");
  }
  const retries = Number(header("x-stainless-retry-count") ?? 0);
  return { idempotencyKey, clientRetry: joinClientRetries && idempotencyKey === undefined && retries >= 1 };
}

/** SHA-256 over what is asked, apart from how the answer is presented. The order of fields plays no part. */
export function fingerprintOf({ requested, model }: CheckedRequest): string {
  const { response_format: _format, stream: _stream, ...asked } = requested;
  const canonical = JSON.stringify(inOrder({ ...asked, model: model.id }));
  return createHash("sha256").update(canonical).digest("hex");
}

/** A JSON value with the fields of every object in one order. */
function inOrder(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(inOrder);
  if (typeof value !== "object" || value === null) return value;
  const fields = Object.entries(value).sort(([one], [other]) => (one < other ? -1 : 1));
  // Pairs, not an object: there, names that look like numbers would come first.
  return fields.map(([name, inner]) => [name, inOrder(inner)]);
}

/**
 * The generation that this request repeats, or null when it is new.
 * @throws PublicError idempotency_conflict when the idempotency key stands for another request
 */
export async function findRepeat(
  database: Database | DatabaseTransaction,
  key: Key,
  { idempotencyKey, clientRetry }: RepeatHeaders,
  fingerprint: string,
  now: number,
): Promise<string | null> {
  if (idempotencyKey !== undefined) {
    const claim = await database
      .selectFrom("idempotency")
      .innerJoin("generations", "generations.id", "idempotency.generation_id")
      .select(["generations.id", "generations.status", "generations.error", "idempotency.fingerprint"])
      .where("idempotency.key_hash", "=", key.hash)
      .where("idempotency_key", "=", idempotencyKey)
      .where("idempotency.created_at", ">", now - idempotencyLifeMs)
      .executeTakeFirst();
    if (claim === undefined) return null;
    if (claim.fingerprint !== fingerprint) {
      throw new PublicError(
        "idempotency_conflict",
        "This 'Idempotency-Key' was used with another request. Use a new key for a new request.",
      );
    }
    return mayTryAnew(claim) ? null : claim.id;
  }
  if (!clientRetry) return null;
  // The latest one is the one it repeats: after a failure it is tried anew, whatever succeeded before that.
  const earlier = await database
    .selectFrom("generations")
    .select(["id", "status"])
    .where("key_hash", "=", key.hash)
    .where("fingerprint", "=", fingerprint)
    .where("created_at", ">", now - clientRetryLifeMs)
    .orderBy("created_at", "desc")
    .orderBy("id", "desc")
    .limit(1)
    .executeTakeFirst();
  const joinable = earlier !== undefined && ["queued", "running", "succeeded"].includes(earlier.status);
  return joinable ? earlier.id : null;
}

/** A retryable failure does not stand in the way of a new attempt; a final one is the answer. */
function mayTryAnew({ status, error }: { status: string; error: string | null }): boolean {
  if (status !== "failed" || error === null) return false;
  const { code } = JSON.parse(error) as { code: ErrorCode };
  return errorTable[code].retry;
}

/** Makes the idempotency key stand for this generation; an earlier claim has run out or failed retryably. */
export async function claimIdempotencyKey(
  transaction: DatabaseTransaction,
  key: Key,
  idempotencyKey: string,
  fingerprint: string,
  generationId: string,
  now: number,
): Promise<void> {
  const claim = { fingerprint, generation_id: generationId, created_at: now };
  await transaction
    .insertInto("idempotency")
    .values({ key_hash: key.hash, idempotency_key: idempotencyKey, ...claim })
    .onConflict((conflict) => conflict.columns(["key_hash", "idempotency_key"]).doUpdateSet(claim))
    .execute();
}
