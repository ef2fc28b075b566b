/**
 * Brings jobs to an end whose program died: pictures that were stored already are delivered, upstream jobs with an id
 * are picked up again, calls whose outcome nobody can know end truthfully, uncharged.
 */
import { type Selectable, sql } from "kysely";
import { checkRequest } from "../catalogue/index.ts";
import type { AttemptsTable, GenerationsTable } from "../database.ts";
import { PublicError } from "../errors.ts";
import { imageIdOf } from "../ids.ts";
import { inspectStored } from "../images/intake.ts";
import { linkLifeSeconds } from "../images/links.ts";
import type { AttemptImage } from "../providers/transport.ts";
import type { AdmittedAttempt, AdmittedJob } from "./admit.ts";
import type { Context } from "./context.ts";
import type { FinishedGeneration } from "./finished.ts";
import { leaseMs } from "./lease.ts";
import { type Plan, planGeneration } from "./plan.ts";
import { credentialLabel, type Provider, upstreamOf } from "./providers.ts";
import { attemptsOf } from "./records.ts";
import { type FinishedAttempt, run } from "./run.ts";
import { settle, settleAsFailed } from "./settle.ts";

type Abandoned = Pick<Selectable<GenerationsTable>, "id" | "requested" | "provider" | "quote_nanos">;

const scanMs = 1_000;
/** A claim that had to wait this long: the owners could not renew their leases either, and get time for it. */
const stalledMs = 500;

/** Looks for abandoned jobs, now and every second, until the signal aborts. */
export async function keepRecovering(context: Context, signal: AbortSignal): Promise<void> {
  while (!signal.aborted) {
    await recoverAbandoned(context).catch((error: unknown) =>
      context.logger.warn({ err: error }, "could not look for abandoned jobs"),
    );
    await context.clock.sleep(scanMs, signal);
  }
}

/** Claims every job whose lease has run out and starts bringing it to an end. */
export async function recoverAbandoned(context: Context): Promise<void> {
  const abandoned = await context.database
    .selectFrom("generations")
    .select(["id", "requested", "provider", "quote_nanos"])
    // In the words of the partial index: with the statuses as parameters every kept row would be looked at.
    .where(sql<boolean>`status in ('queued', 'running')`)
    .where("lease_until", "<", context.clock.now())
    .execute();
  for (const generation of abandoned) {
    const { id } = generation;
    // Its lease ran out while this program slept or the database was locked, but it runs here and is nobody's yet.
    if (context.jobs.find(id) !== undefined) continue;
    if (!(await claim(context, id))) continue;
    context.logger.warn({ generation: id }, "taking over an abandoned generation");
    context.jobs
      .start(id, (cancel) => bringToEnd(context, generation, cancel))
      .catch(async (error: unknown) => {
        // What cannot even be planned any more (provider or model removed) can only end here.
        if (error instanceof PublicError) await settleAsFailed(context, id, error);
      })
      .catch((error: unknown) => context.logger.warn({ generation: id, err: error }, "could not end a generation"));
  }
}

async function claim(context: Context, id: string): Promise<boolean> {
  const asked = context.clock.now();
  return context.database.transaction().execute(async (transaction) => {
    const now = context.clock.now();
    if (now - asked > stalledMs) return false;
    const claimed = await transaction
      .updateTable("generations")
      .set({ owner: context.instance, lease_until: now + leaseMs, status: "running" })
      .where("id", "=", id)
      .where("status", "in", ["queued", "running"])
      .where("lease_until", "<", now)
      .executeTakeFirst();
    return claimed.numUpdatedRows > 0n;
  });
}

async function bringToEnd(
  context: Context,
  { id, provider, requested, quote_nanos }: Abandoned,
  cancel: AbortSignal,
): Promise<FinishedGeneration> {
  // The prompt may be gone already; it plays no part in coming back to an upstream job or in its price.
  const checked = checkRequest(context.catalogue, { prompt: "-", ...JSON.parse(requested) });
  const plan = planGeneration(checked, provider === "sandbox" ? "test" : "live", context.providers, "0000-00-00");
  if (plan.provider.adapter.id !== provider) {
    throw new PublicError("provider_not_configured", `The provider '${provider}' does not serve this model any more.`);
  }
  const rows = await attemptsOf(context.database, id);
  const pending: AdmittedJob = { id, attempts: [] };
  const ended: FinishedAttempt[] = [];
  for (const row of rows) {
    const attempt = attemptOf(row, plan.provider);
    const images = await storedImages(context, id, attempt);
    // What is asked of a job again is as good as what is stored, unless that is all of it.
    if (images.length > 0 && (attempt.resume === undefined || images.length === row.image_count)) {
      ended.push(deliveredAttempt(context, attempt, images));
    } else if (attempt.resume === undefined) ended.push(lostAttempt(context, attempt));
    else pending.attempts.push(attempt);
  }
  const outcomes = [...ended, ...(await run(context, pending, cancel))];
  outcomes.sort((one, other) => one.attempt.sequence - other.attempt.sequence);
  // Prices may have changed since; what was held then is the most that may be charged now.
  const held = BigInt(quote_nanos);
  const price: Plan["price"] = (delivered) => {
    const cost = plan.price(delivered);
    return cost < held ? cost : held;
  };
  return settle(context, pending, { ...plan, price }, outcomes);
}

function attemptOf(row: Selectable<AttemptsTable>, provider: Provider): AdmittedAttempt {
  const { credentials } = provider;
  const credential =
    credentials.find((candidate) => credentialLabel(candidate) === row.credential) ?? credentials[0] ?? "";
  const attempt: AdmittedAttempt = {
    sequence: row.sequence,
    offset: row.image_offset,
    upstream: upstreamOf(provider, credential),
    // Nothing is submitted again, so the parameters play no part any more.
    job: { model: row.model, parameters: {}, count: row.image_count },
    startedAt: row.started_at,
  };
  if (row.poll_call === null || row.upstream_id === null) return attempt;
  const cancel = row.cancel_call === null ? {} : { cancel: JSON.parse(row.cancel_call) };
  const resume = { upstreamId: row.upstream_id, poll: JSON.parse(row.poll_call), afterMs: 0, ...cancel };
  return { ...attempt, resume };
}

/**
 * Pictures that were stored whole before the program died, by their foreseeable ids: they were delivered, so they are
 * the client's. What the reply said beside them, usage and revised prompts, is gone with the program. Only while they
 * can still be shown for a while; the sweeper takes older files without a row.
 */
async function storedImages(context: Context, id: string, attempt: AdmittedAttempt): Promise<AttemptImage[]> {
  if (context.clock.now() - attempt.startedAt >= linkLifeSeconds * 1000) return [];
  const images: AttemptImage[] = [];
  for (let index = 0; index < attempt.job.count; index += 1) {
    const stored = await inspectStored(context.images, imageIdOf(id, attempt.sequence, index));
    if (stored !== null) images.push({ ...stored, revisedPrompt: undefined });
  }
  return images;
}

function deliveredAttempt(context: Context, attempt: AdmittedAttempt, images: AttemptImage[]): FinishedAttempt {
  const upstreamId = attempt.resume?.upstreamId;
  const outcome = { kind: "done", images, usage: undefined, size: undefined, upstreamId } as const;
  return { attempt, outcome, finishedAt: context.clock.now() };
}

/** Sent, but never answered before the program died: a billable result may exist at the provider. */
function lostAttempt(context: Context, attempt: AdmittedAttempt): FinishedAttempt {
  const message = "the router stopped while the call was under way";
  return {
    attempt,
    finishedAt: context.clock.now(),
    outcome: { kind: "failed", upstreamId: undefined, failure: { class: "outcome_unknown", message } },
  };
}
