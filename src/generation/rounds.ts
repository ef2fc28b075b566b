/**
 * What comes after a round of calls: nothing, the failed calls again, or the next candidate. Never where a billable result
 * may exist (a cut, a timeout, a body that cannot be read), and never after a refusal unless the client opted in.
 */
import type { FailureClass } from "../providers/provider.ts";
import type { FinishedAttempt } from "./attempts.ts";
import type { Candidate, PlannedCall } from "./candidates.ts";
import type { Context } from "./context.ts";
import type { Plan } from "./plan.ts";

export interface Round {
  candidate: Candidate;
  calls: PlannedCall[];
  delayMs: number;
  /** Ended attempts of this candidate that stay as they are. */
  keep: FinishedAttempt[];
}

/** Where a generation stands in its plan; `nextRound` moves it on. */
export interface Progress {
  /** Index of the candidate being tried. */
  candidate: number;
  /** Rounds of this candidate so far, those with another credential aside. */
  tries: number;
  /** Rounds of this candidate for which only the credential was changed. */
  switches: number;
  waitedMs: number;
  /** When the first round began, Unix milliseconds. */
  startedAt: number;
}

/** Never sent, or answered completely and without a result. */
const nothingBillable: ReadonlySet<FailureClass> = new Set([
  "auth",
  "quota",
  "rate_limited",
  "model_unavailable",
  "upstream_error",
  "unreachable",
]);
/** Of those, what may pass by itself. */
const passing: ReadonlySet<FailureClass> = new Set(["rate_limited", "upstream_error", "unreachable"]);
/** Of those, what another credential of the pool may not meet with. */
const ofTheCredential: ReadonlySet<FailureClass> = new Set(["auth", "quota", "rate_limited"]);

const firstDelayMs = 500;
const maxDelayMs = 5_000;
/** All waiting between rounds of one generation together. */
const maxWaitedMs = 10_000;

/**
 * One route is tried again within the life of one attempt, counted from the first: a client waits for the sum.
 * @param ended the latest attempt of every call of the current candidate
 */
export function nextRound(
  { random, health, config, clock }: Pick<Context, "random" | "health" | "config" | "clock">,
  plan: Plan,
  progress: Progress,
  ended: readonly FinishedAttempt[],
): Round | null {
  const candidate = plan.candidates[progress.candidate];
  if (candidate === undefined) return null;
  // The pool's other credentials first: the same model, at once. Never more often than there are credentials.
  const elsewhere = ended.filter((attempt) => hasOtherCredential(attempt, health));
  const left = progress.startedAt + config.upstreamTimeoutMs - clock.now();
  if (elsewhere.length > 0 && left > 0 && progress.switches + 1 < candidate.provider.credentials.length) {
    progress.switches += 1;
    return callsAgain(candidate, elsewhere, ended, 0);
  }
  const next = plan.candidates[progress.candidate + 1];
  if (next !== undefined && ended.every((attempt) => mayFallBack(attempt, plan))) {
    progress.candidate += 1;
    progress.tries = 1;
    progress.switches = 0;
    return { candidate: next, calls: next.calls, delayMs: 0, keep: [] };
  }
  const again = ended.filter((attempt) => passing.has(failureOf(attempt)?.class ?? "refused"));
  if (again.length === 0 || progress.tries > config.upstreamRetries) return null;
  const delayMs = pauseMs(again, progress.tries, random.bytes(2));
  if (delayMs === null || progress.waitedMs + delayMs > maxWaitedMs) return null;
  if (delayMs >= left) return null;
  progress.tries += 1;
  progress.waitedMs += delayMs;
  return callsAgain(candidate, again, ended, delayMs);
}

function callsAgain(
  candidate: Candidate,
  again: readonly FinishedAttempt[],
  ended: readonly FinishedAttempt[],
  delayMs: number,
): Round {
  const offsets = new Set(again.map(({ attempt }) => attempt.offset));
  return {
    candidate,
    calls: candidate.calls.filter(({ offset }) => offsets.has(offset)),
    delayMs,
    keep: ended.filter(({ attempt }) => !offsets.has(attempt.offset)),
  };
}

const failureOf = ({ outcome }: FinishedAttempt) => (outcome.kind === "failed" ? outcome.failure : null);

function mayFallBack(attempt: FinishedAttempt, { fallbackOnRefusal }: Plan): boolean {
  const failure = failureOf(attempt);
  if (failure === null) return false;
  return nothingBillable.has(failure.class) || (fallbackOnRefusal && failure.class === "refused");
}

/** Whether the pool has a credential that is not parked, where the failure was the credential's own. */
function hasOtherCredential(attempt: FinishedAttempt, health: Context["health"]): boolean {
  const failure = failureOf(attempt);
  if (failure === null || !ofTheCredential.has(failure.class)) return false;
  const { candidate, upstream, job } = attempt.attempt;
  const others = candidate.provider.credentials.filter((credential) => credential !== upstream.credential);
  const address = { provider: upstream.adapter.id, baseUrl: upstream.baseUrl, model: job.model };
  const state = health.state(address, others);
  return others.length > 0 && (state === "healthy" || state === "degraded");
}

/** Full jitter over a doubling range, beginning where the provider asks for. Null when it asks for too long. */
function pauseMs(again: readonly FinishedAttempt[], tries: number, chance: Uint8Array): number | null {
  const asked = Math.max(0, ...again.map((attempt) => failureOf(attempt)?.retryAfterMs ?? 0));
  if (asked > maxDelayMs) return null;
  const [high = 0, low = 0] = chance;
  const uniform = ((high << 8) | low) / 65_536;
  return asked + Math.ceil(uniform * Math.min(maxDelayMs - asked, firstDelayMs * 2 ** (tries - 1)));
}
