/** Upstream calls as they are kept: written before they are sent, ended with what became of them. */
import type { Insertable } from "kysely";
import type { AttemptsTable, DatabaseTransaction } from "../database.ts";
import type { ProviderJob } from "../providers/provider.ts";
import type { AttemptOutcome, PendingJob, Upstream } from "../providers/transport.ts";
import type { Candidate, PlannedCall } from "./candidates.ts";
import type { Context } from "./context.ts";
import { addressOf } from "./plan.ts";
import { sentWithoutPrompts } from "./prompts.ts";
import { credentialLabel, upstreamOf } from "./providers.ts";

/** One upstream call of a generation. */
export interface Attempt {
  /** Unique within the generation, counted up over all its rounds. */
  sequence: number;
  /** 0 for what was recorded at admission; every retry and every fallback is a round of its own. */
  round: number;
  candidate: Candidate;
  offset: number;
  upstream: Upstream;
  job: ProviderJob;
  /** When the attempt's life began, Unix milliseconds. */
  startedAt: number;
  /** Set when the upstream job exists already: it is picked up again instead of submitted. */
  resume?: PendingJob;
}

/** `broken`: a fault of ours, already in the log. */
export interface FinishedAttempt {
  attempt: Attempt;
  outcome: AttemptOutcome | { kind: "broken" };
  finishedAt: number;
}

/**
 * The attempts of one round, not yet recorded.
 * @param calls of the candidate: all of them, or those that are tried again
 */
export function newAttempts(
  { health }: Context,
  candidate: Candidate,
  calls: readonly PlannedCall[],
  { round, firstSequence, startedAt }: { round: number; firstSequence: number; startedAt: number },
): Attempt[] {
  const { provider, baseUrl } = candidate;
  // One credential for the whole round.
  const credential = health.choose(addressOf(candidate), provider.credentials, calls.length);
  const upstream = upstreamOf(provider, baseUrl, credential);
  return calls.map(({ offset, job }, index) => ({
    sequence: firstSequence + index,
    round,
    candidate,
    offset,
    upstream,
    job,
    startedAt,
  }));
}

/** Makes attempts durable. Before this has been committed, none of them may be sent. */
export async function insertAttempts(
  transaction: DatabaseTransaction,
  { config }: Context,
  generationId: string,
  attempts: readonly Attempt[],
): Promise<void> {
  const keep = config.keepPrompts !== "never";
  const rows = attempts.map(
    ({ sequence, round, candidate, offset, upstream, job, startedAt }): Insertable<AttemptsTable> => {
      const sent = sentBody(upstream, job);
      return {
        generation_id: generationId,
        sequence,
        round,
        provider: upstream.adapter.id,
        catalogue_model: candidate.checked.model.id,
        model: job.model,
        image_offset: offset,
        image_count: job.count,
        status: "running",
        sent: JSON.stringify(keep ? sent : sentWithoutPrompts(sent, candidate.checked.requested)),
        credential: credentialLabel(upstream.credential),
        started_at: startedAt,
      };
    },
  );
  await transaction.insertInto("attempts").values(rows).execute();
}

/** Records how attempts ended. @param keepable takes the client's own words out of a message */
export async function recordAttempts(
  transaction: DatabaseTransaction,
  generationId: string,
  finished: readonly FinishedAttempt[],
  keepable: (message: string) => string,
): Promise<void> {
  for (const { attempt, outcome, finishedAt } of finished) {
    const failure =
      outcome.kind === "failed" ? { class: outcome.failure.class, message: keepable(outcome.failure.message) } : null;
    const broken = outcome.kind === "broken" ? { class: "internal", message: "" } : null;
    const error = failure ?? broken;
    await transaction
      .updateTable("attempts")
      .set({
        status: outcome.kind === "done" ? "succeeded" : "failed",
        finished_at: finishedAt,
        ...(outcome.kind !== "broken" && outcome.upstreamId !== undefined ? { upstream_id: outcome.upstreamId } : {}),
        ...(outcome.kind === "broken"
          ? {}
          : { sent_at: outcome.timings?.sentAt ?? null, first_byte_at: outcome.timings?.firstByteAt ?? null }),
        error: error === null ? null : JSON.stringify(error),
      })
      .where("generation_id", "=", generationId)
      .where("sequence", "=", attempt.sequence)
      .execute();
  }
}

/** The body that goes upstream, to the letter but for picture bytes: what is recorded is what the adapter will send. */
export function sentBody({ adapter, baseUrl }: Upstream, job: ProviderJob): unknown {
  const { body } = adapter.submit(job, { baseUrl });
  return body?.kind === "multipart" ? body.fields : body?.value;
}
