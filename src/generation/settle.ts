/** The end of a generation: one transaction with its images, its charge and its outcome. */
import type { Insertable } from "kysely";
import { settleHold } from "../accounts/ledger.ts";
import { leaveLimits } from "../accounts/limits.ts";
import type { CheckedRequest } from "../catalogue/index.ts";
import type { DatabaseTransaction, ImagesTable } from "../database.ts";
import { PublicError } from "../errors.ts";
import { linkLifeSeconds } from "../images/links.ts";
import type { Nanos } from "../money.ts";
import type { AdmittedJob } from "./admit.ts";
import type { Context } from "./context.ts";
import { explainFailure } from "./failures.ts";
import type { FinishedGeneration, FinishedImage } from "./finished.ts";
import { OwnershipLostError } from "./lease.ts";
import { lifeEnd, persist } from "./persist.ts";
import type { Plan } from "./plan.ts";
import { withoutQuotations } from "./prompts.ts";
import type { FinishedAttempt } from "./run.ts";

/** A vendor chooses the pixels of a ratio from a short list; a shape further off than this was not what was asked. */
const ratioTolerance = 0.1;

/**
 * Decides and records how a generation ended: delivered pictures are charged, everything else costs nothing. A database
 * that cannot take it now is tried again for as long as the attempts live.
 * @throws OwnershipLostError when the job belongs to another program by now: nothing has changed then
 * @throws DatabaseUnavailableError when the database could not take it: recovery brings the job to its end later
 */
export async function settle(
  context: Context,
  job: AdmittedJob,
  plan: Plan,
  outcomes: FinishedAttempt[],
): Promise<FinishedGeneration> {
  const images = outcomes.flatMap(({ outcome }): FinishedImage[] => (outcome.kind === "done" ? outcome.images : []));
  const finished = conclude(context, job.id, plan, outcomes, images);
  context.reached("settling");
  const until = lifeEnd(
    context,
    outcomes.map(({ attempt }) => attempt),
  );
  // The client is told what the vendor said; what is kept and logged is that without the client's own words.
  const keepable = (message: string) => withoutQuotations(message, plan.checked.requested);
  await persist(context, until, () => record(context, job, finished, outcomes, keepable));
  context.reached("settled");
  logFailures(context, job, plan, outcomes, keepable);
  return finished;
}

/** One transaction: all of the end, or nothing. */
async function record(
  context: Context,
  job: AdmittedJob,
  finished: FinishedGeneration,
  outcomes: FinishedAttempt[],
  keepable: (message: string) => string,
): Promise<void> {
  const { images } = finished;
  await context.database.transaction().execute(async (transaction) => {
    const { cancel_requested } = await transaction
      .selectFrom("generations")
      .select("cancel_requested")
      .where("id", "=", job.id)
      .executeTakeFirstOrThrow();
    const canceled = cancel_requested !== 0 && images.length === 0;
    if (canceled)
      finished.error = new PublicError("image_expired", "This generation was canceled. Nothing was charged.");
    const settled = await transaction
      .updateTable("generations")
      .set({
        status: canceled ? "canceled" : finished.error === null ? "succeeded" : "failed",
        finished_at: finished.finishedAt,
        cost_nanos: finished.cost,
        error: finished.error === null ? null : JSON.stringify(errorRecord(finished.error, keepable)),
        warnings: finished.warnings.length === 0 ? null : JSON.stringify(finished.warnings),
        usage: finished.usage === undefined ? null : JSON.stringify(finished.usage),
        size: finished.size ?? null,
      })
      .where("id", "=", job.id)
      .where("owner", "=", context.instance)
      .where("status", "=", "running")
      .executeTakeFirst();
    if (settled.numUpdatedRows === 0n) throw new OwnershipLostError();
    await settleMoney(context, transaction, job.id, finished, outcomes);
    for (const attempt of outcomes) await recordAttempt(transaction, job.id, attempt, keepable);
    if (images.length > 0) await transaction.insertInto("images").values(imageRows(context, finished)).execute();
  });
}

/** The ledger's side of the end: the hold becomes a charge for what was delivered and a release of the rest. */
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
    { held, cost, images: images.length, attempts, providerCost: null, now },
    context,
  );
  await leaveLimits(transaction, row, held, cost, now);
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

function conclude(
  context: Context,
  id: string,
  plan: Plan,
  outcomes: FinishedAttempt[],
  images: FinishedImage[],
): FinishedGeneration {
  const { checked, provider } = plan;
  const done = outcomes.flatMap(({ outcome }) => (outcome.kind === "done" ? [outcome] : []));
  const only = outcomes.length === 1 ? done[0] : undefined;
  const mismatch = images.some((image) => !hasAskedShape(image, checked));
  const first = images[0];
  const warnings: string[] = [];
  if (first !== undefined) {
    if (images.length < checked.n) warnings.push("short_delivery");
    if (mismatch) warnings.push("size_mismatch");
    if (checked.format !== null && images.some((image) => image.contentType !== `image/${checked.format}`)) {
      warnings.push("format_mismatch");
    }
  }
  return {
    id,
    model: checked.model.id,
    provider: provider.adapter.id,
    finishedAt: context.clock.now(),
    cost: images.length === 0 ? (0n as Nanos) : plan.price(images),
    images,
    error: first === undefined ? whyNothing(outcomes, plan) : null,
    warnings,
    usage: only?.usage,
    size: mismatch && first !== undefined ? `${first.width}x${first.height}` : only?.size,
  };
}

function hasAskedShape(image: { width: number; height: number }, { size, aspectRatio }: CheckedRequest): boolean {
  if (size !== null) return image.width === size.width && image.height === size.height;
  if (aspectRatio === null) return true;
  const asked = aspectRatio.width / aspectRatio.height;
  return Math.abs(image.width / image.height - asked) <= asked * ratioTolerance;
}

/** Nothing was delivered: the first call's failure speaks for all. */
function whyNothing(outcomes: FinishedAttempt[], plan: Plan): PublicError {
  const provider = plan.provider.adapter.id;
  for (const { outcome } of outcomes) {
    if (outcome.kind === "failed") return explainFailure(outcome.failure, plan.checked.model, provider);
    if (outcome.kind === "broken") {
      return new PublicError("internal_error", "The router failed while it handled this request. Nothing was charged.");
    }
  }
  return new PublicError(
    "upstream_error",
    `The provider '${provider}' answered without an image. Nothing was charged.`,
  );
}

/** A public error as it is kept with its generation. */
export function errorRecord(error: PublicError, keepable: (message: string) => string = (message) => message) {
  return { code: error.code, message: keepable(error.message), param: error.param, retry_after_ms: error.retryAfterMs };
}

async function recordAttempt(
  transaction: DatabaseTransaction,
  generationId: string,
  finished: FinishedAttempt,
  keepable: (message: string) => string,
): Promise<void> {
  const { attempt, outcome, finishedAt } = finished;
  const failure =
    outcome.kind === "failed" ? { class: outcome.failure.class, message: keepable(outcome.failure.message) } : null;
  await transaction
    .updateTable("attempts")
    .set({
      status: outcome.kind === "done" ? "succeeded" : "failed",
      finished_at: finishedAt,
      ...(outcome.kind !== "broken" && outcome.upstreamId !== undefined ? { upstream_id: outcome.upstreamId } : {}),
      error:
        outcome.kind === "broken"
          ? JSON.stringify({ class: "internal", message: "" })
          : failure && JSON.stringify(failure),
    })
    .where("generation_id", "=", generationId)
    .where("sequence", "=", attempt.sequence)
    .execute();
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
  job: AdmittedJob,
  plan: Plan,
  outcomes: FinishedAttempt[],
  keepable: (message: string) => string,
): void {
  for (const { attempt, outcome } of outcomes) {
    if (outcome.kind !== "failed" || outcome.failure.class === "refused") continue;
    const fields = {
      generation: job.id,
      model: plan.checked.model.id,
      provider: plan.provider.adapter.id,
      attempt: attempt.sequence,
      failure: outcome.failure.class,
      vendor: outcome.failure.class === "invalid_request" ? undefined : keepable(outcome.failure.message),
    };
    const lax = outcome.failure.class === "invalid_request";
    context.logger.warn(fields, lax ? "the catalogue is too lax: the provider rejected a parameter" : "attempt failed");
  }
}
