/**
 * Whether calls of one credential to one upstream model get through: closed → open after many failures in a row →
 * half-open, where a single call tries → closed again. Fed by the classes of failures: what a provider says about a
 * request or an account is no outage.
 */
import type { FailureClass } from "../providers/provider.ts";

const outages: ReadonlySet<FailureClass> = new Set(["upstream_error", "unreachable", "timeout", "outcome_unknown"]);
/** A complete answer about the request itself: the provider is well. */
const answers: ReadonlySet<FailureClass> = new Set(["refused", "invalid_request"]);

/** Generations in a row that failed: after so many the route goes to the end of the line, … */
const degradedAfter = 3;
/** … and after so many it is left alone for a while. */
const openAfter = 10;
/** An outage longer ago than this plays no part in the order of routes. */
const outageMemoryMs = 30_000;
const firstOpenMs = 5_000;
const maxOpenMs = 30_000;

export type BreakerState = "closed" | "degraded" | "open" | "half_open";

export interface Breaker {
  state(now: number): BreakerState;
  /** Milliseconds until a call may try again; 0 unless open. */
  waitMs(now: number): number;
  /**
   * A call begins. While half-open its generation is the trial, and no other may begin.
   * @returns to be called when the call is over, also when nothing was learned from it: a trial must not stay open; null
   *   where another generation's trial is under way
   */
  begin(now: number, generationId: string): (() => void) | null;
  /** @param generationId several failed calls of one generation count once */
  end(outcome: FailureClass | "delivered", generationId: string, now: number): void;
}

export function createBreaker(): Breaker {
  /** Generations that failed since the last good answer; no more of them than it takes to open. */
  const failed = new Set<string>();
  let lastFailureAt = 0;
  let openUntil = 0;
  let openMs = 0;
  let trial: { generationId: string } | null = null;

  function state(now: number): BreakerState {
    if (openUntil > now) return "open";
    if (openUntil > 0) return trial === null ? "half_open" : "open";
    return failed.size >= degradedAfter && now - lastFailureAt < outageMemoryMs ? "degraded" : "closed";
  }

  return {
    state,
    waitMs: (now) => Math.max(openUntil - now, trial === null ? 0 : firstOpenMs),
    begin(now, generationId) {
      if (openUntil === 0 || openUntil > now) return () => {};
      if (trial !== null) return trial.generationId === generationId ? () => {} : null;
      const own = { generationId };
      trial = own;
      return () => {
        if (trial === own) trial = null;
      };
    },
    end(outcome, generationId, now) {
      const wasTrial = trial !== null;
      trial = null;
      if (outcome === "delivered" || answers.has(outcome)) {
        failed.clear();
        openUntil = 0;
        openMs = 0;
        return;
      }
      if (!outages.has(outcome)) return;
      lastFailureAt = now;
      if (failed.size < openAfter) failed.add(generationId);
      if (failed.size < openAfter || (openUntil > 0 && !wasTrial)) return;
      openMs = Math.min(openMs === 0 ? firstOpenMs : openMs * 2, maxOpenMs);
      openUntil = now + openMs;
    },
  };
}
