/**
 * Brings jobs to an end whose program died: upstream jobs with an id are picked up again, calls whose outcome nobody
 * can know end truthfully, uncharged.
 */
import { checkRequest } from "../catalogue/index.ts";
import { PublicError } from "../errors.ts";
import type { AdmittedAttempt, AdmittedJob } from "./admit.ts";
import type { Context } from "./context.ts";
import type { FinishedGeneration } from "./finished.ts";
import { leaseMs } from "./lease.ts";
import { planGeneration } from "./plan.ts";
import { credentialLabel, upstreamOf } from "./providers.ts";
import { type FinishedAttempt, run } from "./run.ts";
import { settle, settleAsFailed } from "./settle.ts";

const scanMs = 1_000;

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
    .select(["id", "key_hash", "requested", "provider"])
    .where("status", "in", ["queued", "running"])
    .where("lease_until", "<", context.clock.now())
    .execute();
  for (const { id, provider, requested } of abandoned) {
    if (!(await claim(context, id))) continue;
    context.logger.warn({ generation: id }, "taking over an abandoned generation");
    context.jobs
      .start(id, (cancel) => bringToEnd(context, { id, provider, requested }, cancel))
      .catch(async (error: unknown) => {
        // What cannot even be planned any more (provider or model removed) can only end here.
        if (error instanceof PublicError) await settleAsFailed(context, id, error);
      });
  }
}

async function claim(context: Context, id: string): Promise<boolean> {
  const now = context.clock.now();
  const claimed = await context.database
    .updateTable("generations")
    .set({ owner: context.instance, lease_until: now + leaseMs, status: "running" })
    .where("id", "=", id)
    .where("status", "in", ["queued", "running"])
    .where("lease_until", "<", now)
    .executeTakeFirst();
  return claimed.numUpdatedRows > 0n;
}

async function bringToEnd(
  context: Context,
  { id, provider, requested }: { id: string; provider: string; requested: string },
  cancel: AbortSignal,
): Promise<FinishedGeneration> {
  // The prompt may be gone already; it plays no part in coming back to an upstream job or in its price.
  const checked = checkRequest(context.catalogue, { prompt: "-", ...JSON.parse(requested) });
  const plan = planGeneration(checked, provider === "sandbox" ? "test" : "live", context.providers, "0000-00-00");
  const rows = await context.database
    .selectFrom("attempts")
    .selectAll()
    .where("generation_id", "=", id)
    .orderBy("sequence")
    .execute();
  const resumable: AdmittedJob = { id, attempts: [] };
  const lost: FinishedAttempt[] = [];
  for (const row of rows) {
    const credentials = plan.provider.credentials;
    const credential =
      credentials.find((candidate) => credentialLabel(candidate) === row.credential) ?? credentials[0] ?? "";
    const attempt: AdmittedAttempt = {
      sequence: row.sequence,
      offset: row.image_offset,
      upstream: upstreamOf(plan.provider, credential),
      // Nothing is submitted again, so the parameters play no part any more.
      job: { model: row.model, parameters: {}, count: row.image_count },
      startedAt: row.started_at,
    };
    if (row.poll_call === null || row.upstream_id === null) {
      lost.push(lostAttempt(context, attempt));
      continue;
    }
    const cancel = row.cancel_call === null ? {} : { cancel: JSON.parse(row.cancel_call) };
    attempt.resume = { upstreamId: row.upstream_id, poll: JSON.parse(row.poll_call), afterMs: 0, ...cancel };
    resumable.attempts.push(attempt);
  }
  const outcomes = [...lost, ...(await run(context, resumable, cancel))];
  outcomes.sort((one, other) => one.attempt.sequence - other.attempt.sequence);
  return settle(context, resumable, plan, outcomes);
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
