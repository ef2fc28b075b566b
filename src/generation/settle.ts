/** The end of a generation: one transaction with its images, its charge and its outcome. */
import type { Insertable } from "kysely";
import { settleHold } from "../accounts/ledger.ts";
import { leaveLimits } from "../accounts/limits.ts";
import type { DatabaseTransaction, ImagesTable } from "../database.ts";
import { PublicError } from "../errors.ts";
import { timeOfId } from "../ids.ts";
import { linkLifeSeconds } from "../images/links.ts";
import { type Nanos, parseUsd } from "../money.ts";
import { enqueue } from "../webhooks/enqueue.ts";
import type { AdmittedJob } from "./admit.ts";
import { type FinishedAttempt, recordAttempts } from "./attempts.ts";
import { answeringCandidate, conclude } from "./conclude.ts";
import type { Context } from "./context.ts";
import type { FinishedGeneration } from "./finished.ts";
import { OwnershipLostError } from "./lease.ts";
import { lifeEnd, persist } from "./persist.ts";
import type { Plan } from "./plan.ts";
import { withoutQuotations } from "./prompts.ts";

/**
 * Decides and records how a generation ended: delivered pictures are charged, everything else costs nothing. A database
 * that cannot take it now is tried again for as long as the attempts live.
 * @throws OwnershipLostError when the job belongs to another program by now: nothing has changed then
 * @throws DatabaseUnavailableError when the database could not take it: recovery brings the job to its end later
 */
export async function settle(
  context: Context,
  job: Pick<AdmittedJob, "id">,
  plan: Plan,
  outcomes: FinishedAttempt[],
): Promise<FinishedGeneration> {
  const finished = conclude(plan, outcomes, { id: job.id, now: context.clock.now() });
  context.reached("settling");
  const until = lifeEnd(
    context,
    outcomes.map(({ attempt }) => attempt),
  );
  // The client is told what the vendor said; what is kept and logged is that without the client's own words.
  const keepable = (message: string) => withoutQuotations(message, plan.asked.requested);
  await persist(context, until, () => record(context, plan, finished, outcomes, keepable));
  count(context, finished);
  context.reached("settled");
  logFailures(context, job, outcomes, keepable);
  return finished;
}

function count(
  { metrics }: Context,
  { id, model, provider, operation, error, images, cost, finishedAt }: FinishedGeneration,
): void {
  // Only a cancellation is told as this.
  const status = error === null ? "succeeded" : error.code === "image_expired" ? "canceled" : "failed";
  metrics.generationEnded({
    model,
    provider,
    operation,
    status,
    code: error?.code ?? null,
    durationMs: Math.max(0, finishedAt - timeOfId(id)),
    images: images.length,
    costNanos: cost,
  });
}

/** One transaction: all of the end, or nothing. */
async function record(
  context: Context,
  plan: Plan,
  finished: FinishedGeneration,
  outcomes: FinishedAttempt[],
  keepable: (message: string) => string,
): Promise<void> {
  const { id, images } = finished;
  const { quote } = answeringCandidate(plan, outcomes);
  await context.database.transaction().execute(async (transaction) => {
    const { cancel_requested } = await transaction
      .selectFrom("generations")
      .select("cancel_requested")
      .where("id", "=", id)
      .executeTakeFirstOrThrow();
    const canceled = cancel_requested !== 0 && images.length === 0;
    if (canceled)
      finished.error = new PublicError("image_expired", "This generation was canceled. Nothing was charged.");
    const settled = await transaction
      .updateTable("generations")
      .set({
        status: canceled ? "canceled" : finished.error === null ? "succeeded" : "failed",
        finished_at: finished.finishedAt,
        // What answered, or was tried last: after a fallback another one than was admitted.
        model: finished.model,
        provider: finished.provider,
        price_rule: quote.rule,
        cost_nanos: finished.cost,
        error: finished.error === null ? null : JSON.stringify(errorRecord(finished.error, keepable)),
        warnings: finished.warnings.length === 0 ? null : JSON.stringify(finished.warnings),
        usage: finished.usage === undefined ? null : JSON.stringify(finished.usage),
        size: finished.size ?? null,
        echoed: finished.echoed === undefined ? null : JSON.stringify(finished.echoed),
      })
      .where("id", "=", id)
      .where("owner", "=", context.instance)
      .where("status", "=", "running")
      .executeTakeFirst();
    if (settled.numUpdatedRows === 0n) throw new OwnershipLostError();
    await settleMoney(context, transaction, id, finished, outcomes);
    await recordAttempts(transaction, id, outcomes, keepable);
    if (images.length > 0) await transaction.insertInto("images").values(imageRows(context, finished)).execute();
  });
}

/**
 * The ledger's side of the end: the hold becomes a charge for what was delivered and a release of the rest. A webhook is
 * due from the same moment.
 */
async function settleMoney(
  context: Context,
  transaction: DatabaseTransaction,
  id: string,
  { cost, images }: Pick<FinishedGeneration, "cost" | "images">,
  outcomes: FinishedAttempt[],
): Promise<void> {
  const row = await transaction
    .selectFrom("generations")
    .innerJoin("keys", "keys.hash", "generations.key_hash")
    .innerJoin("key_counters", "key_counters.key_hash", "keys.hash")
    .select(["keys.hash", "keys.limit_reset", "model", "provider", "price_rule", "quote_nanos", "period_start"])
    .select(["generations.webhook_url", "keys.webhook_url as key_webhook_url", "origin"])
    .where("generations.id", "=", id)
    .executeTakeFirstOrThrow();
  const held = BigInt(row.quote_nanos);
  const attempts = outcomes.flatMap(({ attempt, outcome }) => (outcome.kind === "done" ? [attempt.sequence] : []));
  const facts = {
    keyHash: row.hash,
    generationId: id,
    model: row.model,
    provider: row.provider,
    priceRule: row.price_rule,
  };
  // A clock that was set back must not put a charge before the period in which it is counted.
  const now = Math.max(context.clock.now(), Number(row.period_start));
  await settleHold(
    transaction,
    facts,
    { held, cost, images: images.length, attempts, providerCost: providerCostOf(outcomes), now },
    context,
  );
  await leaveLimits(transaction, row, held, cost, now);
  await reportEnd(context, transaction, id, row);
}

/** Whom to tell about the end: as the request names it, else as the key does. */
interface Recipient {
  hash: string;
  webhook_url: string | null;
  key_webhook_url: string | null;
  origin: string | null;
}

async function reportEnd(
  { config, clock }: Context,
  transaction: DatabaseTransaction,
  generationId: string,
  recipient: Recipient,
): Promise<void> {
  const url = recipient.webhook_url ?? recipient.key_webhook_url;
  if (url === null) return;
  const origin = config.publicUrl ?? recipient.origin ?? `http://${config.host}:${config.port}`;
  await enqueue(transaction, { generationId, keyHash: recipient.hash, url, origin, now: clock.now() });
}

/** What the provider itself says it takes, where it says so for any of the calls. */
function providerCostOf(outcomes: readonly FinishedAttempt[]): Nanos | null {
  const costs = outcomes.flatMap(({ outcome }) => (outcome.kind === "done" ? (outcome.costUsd ?? []) : []));
  return costs.length === 0 ? null : costs.reduce<Nanos>((sum, usd) => sum + parseUsd(usd), 0n);
}

/** Ends a job as failed for a reason that lies before its attempts, e.g. a provider that is not configured any more. */
export async function settleAsFailed(context: Context, id: string, error: PublicError): Promise<void> {
  const finished_at = context.clock.now();
  await context.database.transaction().execute(async (transaction) => {
    const settled = await transaction
      .updateTable("generations")
      .set({ status: "failed", finished_at, error: JSON.stringify(errorRecord(error)) })
      .where("id", "=", id)
      .where("owner", "=", context.instance)
      .where("status", "=", "running")
      .executeTakeFirst();
    if (settled.numUpdatedRows === 0n) return;
    await settleMoney(context, transaction, id, { cost: 0n, images: [] }, []);
    await transaction
      .updateTable("attempts")
      .set({ status: "failed", finished_at })
      .where("generation_id", "=", id)
      .where("status", "=", "running")
      .execute();
  });
}

/** A public error as it is kept with its generation. */
export function errorRecord(error: PublicError, keepable: (message: string) => string = (message) => message) {
  return { code: error.code, message: keepable(error.message), param: error.param, retry_after_ms: error.retryAfterMs };
}

function imageRows(context: Context, finished: FinishedGeneration): Insertable<ImagesTable>[] {
  const keepWords = context.config.keepPrompts !== "never";
  const expiresAt = expirySeconds(finished) * 1000;
  return finished.images.map((image, position) => ({
    id: image.id,
    generation_id: finished.id,
    position,
    content_type: image.contentType,
    width: image.width,
    height: image.height,
    bytes: image.bytes,
    revised_prompt: keepWords ? (image.revisedPrompt ?? null) : null,
    created_at: finished.finishedAt,
    expires_at: expiresAt,
  }));
}

/** Unix seconds: one hour from the whole second in which the pictures were ready. */
export function expirySeconds(finished: Pick<FinishedGeneration, "finishedAt">): number {
  return Math.floor(finished.finishedAt / 1000) + linkLifeSeconds;
}

function logFailures(
  context: Context,
  job: Pick<AdmittedJob, "id">,
  outcomes: FinishedAttempt[],
  keepable: (message: string) => string,
): void {
  for (const { attempt, outcome } of outcomes) {
    if (outcome.kind !== "failed" || outcome.failure.class === "refused") continue;
    const fields = {
      generation: job.id,
      model: attempt.candidate.checked.model.id,
      provider: attempt.upstream.adapter.id,
      attempt: attempt.sequence,
      failure: outcome.failure.class,
      vendor: outcome.failure.class === "invalid_request" ? undefined : keepable(outcome.failure.message),
    };
    const lax = outcome.failure.class === "invalid_request";
    context.logger.warn(fields, lax ? "the catalogue is too lax: the provider rejected a parameter" : "attempt failed");
  }
}
