/**
 * Runs an admitted generation's upstream calls and brings their pictures into the store: the calls of a round side by
 * side; then, where nothing billable can exist, calls that failed are made again or the next candidate is tried.
 */
import { imageIdOf, newId } from "../ids.ts";
import { takeImage } from "../images/intake.ts";
import { scaleStored } from "../images/resize.ts";
import type { Failure } from "../providers/provider.ts";
import { type AttemptOutcome, type PartialImage, type PendingJob, runAttempt } from "../providers/transport.ts";
import type { AdmittedJob } from "./admit.ts";
import { type Attempt, type FinishedAttempt, insertAttempts, newAttempts, recordAttempts } from "./attempts.ts";
import type { Context } from "./context.ts";
import { OwnershipLostError } from "./lease.ts";
import { lifeEnd, persist } from "./persist.ts";
import type { Plan } from "./plan.ts";
import { withoutQuotations } from "./prompts.ts";
import { nextRound, type Round } from "./rounds.ts";

/** A job that is picked up again gets at least this long, so that a finished picture is never left behind. */
const minResumeMs = 30_000;

export interface RunPorts {
  cancel: AbortSignal;
  /** Takes previews; absent where nobody watches. */
  onPartial?: ((partial: PartialImage) => void) | undefined;
}

/** @returns the last outcome of every call of the candidate that answers, in the order of their pictures */
export async function run(context: Context, job: AdmittedJob, plan: Plan, ports: RunPorts): Promise<FinishedAttempt[]> {
  const kept: FinishedAttempt[] = [];
  let attempts = job.attempts;
  const progress = { candidate: 0, tries: 1, switches: 0, waitedMs: 0, startedAt: context.clock.now() };
  let previewed = false;
  const watched: RunPorts = { cancel: ports.cancel };
  if (ports.onPartial !== undefined) {
    watched.onPartial = (partial) => {
      previewed = true;
      ports.onPartial?.(partial);
    };
  }
  for (;;) {
    const ended = await runRound(context, job, attempts, watched);
    // A client that has seen previews of one picture must not be given another one.
    if (previewed) return inOrder([...kept, ...ended]);
    const round = nextRound(context, plan, progress, [...kept, ...ended]);
    if (round === null || ports.cancel.aborted) return inOrder([...kept, ...ended]);
    if (round.delayMs > 0) {
      await keepEnds(context, job, plan, ended);
      await context.clock.sleep(round.delayMs, ports.cancel);
    }
    if (ports.cancel.aborted) return inOrder([...kept, ...ended]);
    const next = await beginRound(context, job, plan, round, [...kept, ...ended], ended);
    if (next === null) return inOrder([...kept, ...ended]);
    kept.splice(0, kept.length, ...round.keep);
    attempts = next;
  }
}

const inOrder = (finished: FinishedAttempt[]): FinishedAttempt[] =>
  finished.sort((one, other) => one.attempt.offset - other.attempt.offset);

/** Before a pause: a program that dies in it must not take what is known for unknown. */
async function keepEnds(context: Context, job: AdmittedJob, plan: Plan, ended: readonly FinishedAttempt[]) {
  const keepable = (message: string) => withoutQuotations(message, plan.asked.requested);
  await context.database
    .transaction()
    .execute((transaction) => recordAttempts(transaction, job.id, ended, keepable))
    .catch((error: unknown) =>
      context.logger.warn({ generation: job.id, err: error }, "could not record failed calls"),
    );
}

/** @returns one outcome per attempt */
export async function runRound(
  context: Context,
  job: Pick<AdmittedJob, "id" | "keyHash">,
  attempts: readonly Attempt[],
  ports: RunPorts,
): Promise<FinishedAttempt[]> {
  const ended = await Promise.allSettled(attempts.map((attempt) => runOne(context, job, attempt, ports)));
  return ended.map((result, position): FinishedAttempt => {
    if (result.status === "fulfilled") return result.value;
    // Our own fault (a full disk, a database that does not answer): truthful towards the client, loud in the log.
    context.logger.error({ generation: job.id, err: result.reason }, "attempt failed inside the router");
    const attempt = attempts[position] as Attempt;
    return { attempt, outcome: { kind: "broken" }, finishedAt: context.clock.now() };
  });
}

/**
 * One transaction: how the calls so far ended, and those that come next. A database that cannot take it ends the
 * generation with what there is.
 */
async function beginRound(
  context: Context,
  job: AdmittedJob,
  plan: Plan,
  round: Round,
  all: readonly FinishedAttempt[],
  ended: readonly FinishedAttempt[],
): Promise<Attempt[] | null> {
  const sequences = all.map(({ attempt }) => attempt.sequence);
  const rounds = all.map(({ attempt }) => attempt.round);
  const keepable = (message: string) => withoutQuotations(message, plan.asked.requested);
  const attempts = newAttempts(context, round.candidate, round.calls, {
    round: Math.max(...rounds) + 1,
    firstSequence: Math.max(...sequences) + 1,
    startedAt: context.clock.now(),
  });
  try {
    await context.database.transaction().execute(async (transaction) => {
      const own = await transaction
        .updateTable("generations")
        .set({ model: round.candidate.checked.model.id, provider: round.candidate.provider.adapter.id })
        .where("id", "=", job.id)
        .where("owner", "=", context.instance)
        .where("status", "=", "running")
        .where("cancel_requested", "=", 0)
        .executeTakeFirst();
      if (own.numUpdatedRows === 0n) throw new OwnershipLostError();
      await recordAttempts(transaction, job.id, ended, keepable);
      await insertAttempts(transaction, context, job.id, attempts);
    });
  } catch (error) {
    context.logger.warn({ generation: job.id, err: error }, "could not record another round of calls; it is not made");
    return null;
  }
  countRound(context, all, round);
  context.reached("admitted");
  return attempts;
}

function countRound({ metrics }: Context, all: readonly FinishedAttempt[], { candidate, calls }: Round): void {
  const before = all.at(-1)?.attempt.candidate;
  const provider = candidate.provider.adapter.id;
  if (before === candidate) metrics.retried({ provider, model: calls[0]?.job.model ?? "" });
  else if (before !== undefined) {
    const toModel = candidate.checked.model.id;
    metrics.fellBack({ fromProvider: before.provider.adapter.id, toProvider: provider, toModel });
  }
}

async function runOne(
  context: Context,
  job: Pick<AdmittedJob, "id" | "keyHash">,
  attempt: Attempt,
  { cancel, onPartial }: RunPorts,
): Promise<FinishedAttempt> {
  const { config, clock, health } = context;
  const { upstream, resume } = attempt;
  const begun = clock.now();
  const timeoutMs =
    resume === undefined
      ? config.upstreamTimeoutMs
      : Math.max(minResumeMs, attempt.startedAt + config.upstreamTimeoutMs - begun);
  const leave =
    resume === undefined
      ? await enter(context, job, attempt, cancel, timeoutMs)
      : health.resume(upstream, attempt.job.model);
  const entered = clock.now();
  if (typeof leave === "string") return { attempt, outcome: neverSent(leave), finishedAt: entered };
  try {
    const outcome = await runAttempt(
      upstream,
      attempt.job,
      {
        newImage: (index) =>
          takeImage(context.images, imageIdFor(context, job.id, attempt, index), config.maxImageBytes),
        onPending: (pending) =>
          persist(context, lifeEnd(context, [attempt]), () => persistPending(context, job.id, attempt, pending)),
        ...(onPartial === undefined ? {} : { onPartial }),
      },
      context.transport,
      // What was spent on waiting for a turn is spent.
      { timeoutMs: Math.max(1, timeoutMs - (entered - begun)), cancel, ...(resume === undefined ? {} : { resume }) },
    );
    const result = outcome.kind === "done" ? ("delivered" as const) : outcome.failure.class;
    const durationMs = clock.now() - entered;
    // How a call ends that its client has canceled says nothing about the provider.
    if (outcome.kind === "done" || !cancel.aborted) {
      health.report(upstream, attempt.job.model, {
        generationId: job.id,
        outcome: result,
        retryAfterMs: outcome.kind === "done" ? undefined : outcome.failure.retryAfterMs,
        durationMs,
      });
    }
    context.metrics.attemptEnded({
      provider: upstream.adapter.id,
      model: attempt.job.model,
      outcome: result,
      durationMs,
      queuedMs: entered - begun,
    });
    context.reached("delivered");
    return { attempt, outcome: await scaled(context, attempt, outcome), finishedAt: clock.now() };
  } finally {
    leave();
  }
}

function neverSent(why: "aborted" | "trial"): AttemptOutcome {
  const failure: Failure =
    why === "trial"
      ? { class: "unreachable", message: "another call is finding out whether the provider works again" }
      : // Canceled, or out of time, before its turn at the provider came.
        { class: "rate_limited", message: "the provider takes no more calls at once; this one's turn did not come" };
  return { kind: "failed", upstreamId: undefined, failure };
}

function enter(
  { health }: Context,
  { id, keyHash }: Pick<AdmittedJob, "id" | "keyHash">,
  { upstream, job }: Attempt,
  cancel: AbortSignal,
  timeoutMs: number,
): ReturnType<Context["health"]["enter"]> {
  const who = { keyHash, generationId: id };
  if (upstream.adapter.maxConcurrent === undefined) return health.enter(upstream, job.model, who, cancel);
  return health.enter(upstream, job.model, who, AbortSignal.any([cancel, AbortSignal.timeout(timeoutMs)]));
}

/** Where the vendor cannot make pictures as small as asked, they are scaled down here. */
async function scaled({ images }: Context, { candidate }: Attempt, outcome: AttemptOutcome): Promise<AttemptOutcome> {
  const { scaleTo } = candidate;
  if (scaleTo === null || outcome.kind !== "done") return outcome;
  const smaller: typeof outcome.images = [];
  for (const image of outcome.images) smaller.push({ ...image, ...(await scaleStored(images, image, scaleTo)) });
  return { ...outcome, images: smaller };
}

/**
 * Recovery looks for the pictures of an attempt that died under their foreseeable ids. An attempt that is picked up
 * again takes new ones: the program that had it before may only sleep, and must find nothing of ours to overwrite.
 */
function imageIdFor(
  { clock, random }: Context,
  generationId: string,
  { sequence, job, resume }: Attempt,
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
  { sequence }: Attempt,
  pending: PendingJob,
): Promise<void> {
  const kept = await context.database
    .updateTable("attempts")
    .set({
      upstream_id: pending.upstreamId,
      pending: JSON.stringify(pending),
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
