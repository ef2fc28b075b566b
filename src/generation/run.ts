/** Runs an admitted generation's upstream calls side by side and brings their pictures into the store. */

import { imageIdOf, newId } from "../ids.ts";
import { takeImage } from "../images/intake.ts";
import { type AttemptOutcome, type PendingJob, runAttempt } from "../providers/transport.ts";
import type { AdmittedAttempt, AdmittedJob } from "./admit.ts";
import type { Context } from "./context.ts";
import { OwnershipLostError } from "./lease.ts";
import { lifeEnd, persist } from "./persist.ts";

/** A job that is picked up again gets at least this long, so that a finished picture is never left behind. */
const minResumeMs = 30_000;

/** `broken`: a fault of ours, already in the log. */
export interface FinishedAttempt {
  attempt: AdmittedAttempt;
  outcome: AttemptOutcome | { kind: "broken" };
  finishedAt: number;
}

/** @returns one outcome per attempt, in the order of their pictures */
export async function run(context: Context, job: AdmittedJob, cancel: AbortSignal): Promise<FinishedAttempt[]> {
  const ended = await Promise.allSettled(job.attempts.map((attempt) => runOne(context, job.id, attempt, cancel)));
  return ended.map((result, position): FinishedAttempt => {
    if (result.status === "fulfilled") return result.value;
    // Our own fault (a full disk, a database that does not answer): truthful towards the client, loud in the log.
    context.logger.error({ generation: job.id, err: result.reason }, "attempt failed inside the router");
    const attempt = job.attempts[position] as AdmittedAttempt;
    return { attempt, outcome: { kind: "broken" }, finishedAt: context.clock.now() };
  });
}

async function runOne(
  context: Context,
  generationId: string,
  attempt: AdmittedAttempt,
  cancel: AbortSignal,
): Promise<FinishedAttempt> {
  const { config, clock } = context;
  const { maxImageBytes } = config;
  const { upstream, job, resume } = attempt;
  const timeoutMs =
    resume === undefined
      ? config.upstreamTimeoutMs
      : Math.max(minResumeMs, attempt.startedAt + config.upstreamTimeoutMs - clock.now());
  const outcome = await runAttempt(
    upstream,
    job,
    {
      newImage: (index) => takeImage(context.images, imageIdFor(context, generationId, attempt, index), maxImageBytes),
      onPending: (pending) =>
        persist(context, lifeEnd(context, [attempt]), () => persistPending(context, generationId, attempt, pending)),
    },
    context.transport,
    { timeoutMs, cancel, ...(resume === undefined ? {} : { resume }) },
  );
  context.reached("delivered");
  return { attempt, outcome, finishedAt: clock.now() };
}

/**
 * Recovery looks for the pictures of an attempt that died under their foreseeable ids. An attempt that is picked up
 * again takes new ones: the program that had it before may only sleep, and must find nothing of ours to overwrite.
 */
function imageIdFor(
  { clock, random }: Context,
  generationId: string,
  { sequence, job, resume }: AdmittedAttempt,
  index: number,
): string {
  const foreseeable = resume === undefined && index < job.count;
  return foreseeable ? imageIdOf(generationId, sequence, index) : newId("img", clock, random);
}

/**
 * The upstream's id is on disk before the waiting begins: after a crash the job is resumed, never made twice.
 * @throws OwnershipLostError when another program has ended or taken over the generation, not knowing of this job
 */
async function persistPending(
  context: Context,
  generationId: string,
  { sequence }: AdmittedAttempt,
  pending: PendingJob,
): Promise<void> {
  const kept = await context.database
    .updateTable("attempts")
    .set({
      upstream_id: pending.upstreamId,
      poll_call: JSON.stringify(pending.poll),
      cancel_call: pending.cancel === undefined ? null : JSON.stringify(pending.cancel),
    })
    .where("generation_id", "=", generationId)
    .where("sequence", "=", sequence)
    .where(({ exists, selectFrom }) =>
      exists(
        selectFrom("generations")
          .select("id")
          .where("id", "=", generationId)
          .where("owner", "=", context.instance)
          .where("status", "=", "running"),
      ),
    )
    .executeTakeFirst();
  if (kept.numUpdatedRows === 0n) throw new OwnershipLostError();
  context.reached("pending");
}
