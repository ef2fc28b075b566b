/** Whatever fails in whatever order: which calls may follow, played over random plans with the real health. */
import { expect, test } from "bun:test";
import fc from "fast-check";
import { type FinishedAttempt, newAttempts } from "../../src/generation/attempts.ts";
import type { Candidate } from "../../src/generation/candidates.ts";
import type { Context } from "../../src/generation/context.ts";
import { createHealth } from "../../src/generation/health.ts";
import type { Plan } from "../../src/generation/plan.ts";
import { nextRound, type Round } from "../../src/generation/rounds.ts";
import type { Failure, FailureClass } from "../../src/providers/provider.ts";

/** Complete answers without a result, or never sent: told here once more, apart from the program's own list. */
const harmless: readonly FailureClass[] = [
  "auth",
  "quota",
  "rate_limited",
  "model_unavailable",
  "upstream_error",
  "unreachable",
];
const classes: readonly FailureClass[] = [
  ...harmless,
  "refused",
  "invalid_request",
  "contract_changed",
  "outcome_unknown",
  "timeout",
];
const lifeMs = 300_000;

type Ending = { kind: "done"; images: number } | { kind: "broken" } | { kind: "failed"; failure: Failure };

const ending: fc.Arbitrary<Ending> = fc.oneof(
  { weight: 3, arbitrary: fc.record({ kind: fc.constant("done" as const), images: fc.nat(2) }) },
  { weight: 1, arbitrary: fc.constant({ kind: "broken" as const }) },
  {
    weight: 12,
    arbitrary: fc.record({
      kind: fc.constant("failed" as const),
      failure: fc.record(
        {
          class: fc.oneof(
            { weight: 4, arbitrary: fc.constantFrom(...harmless) },
            { weight: 1, arbitrary: fc.constantFrom(...classes) },
          ),
          message: fc.constant("no"),
          retryAfterMs: fc.constantFrom(0, 1_000, 4_900, 5_000, 12_000),
        },
        { requiredKeys: ["class", "message"] },
      ),
    }),
  },
);

const scenario = fc.record({
  candidates: fc.array(
    fc.record({ calls: fc.integer({ min: 1, max: 4 }), credentials: fc.integer({ min: 1, max: 3 }) }),
    {
      minLength: 1,
      maxLength: 4,
    },
  ),
  retries: fc.integer({ min: 0, max: 4 }),
  fallbackOnRefusal: fc.boolean(),
  endings: fc.array(ending, { minLength: 80, maxLength: 80 }),
  /** How long each round lasts. */
  lasts: fc.array(fc.constantFrom(1, 1_000, 100_000), { minLength: 20, maxLength: 20 }),
  /** Never nothing: a pause is longer than none. */
  chance: fc.integer({ min: 1, max: 255 }),
});
type Scenario = typeof scenario extends fc.Arbitrary<infer T> ? T : never;

interface Played {
  round: Round;
  at: number;
  ended: FinishedAttempt[];
}

const candidateOf = ({ calls, credentials }: { calls: number; credentials: number }, index: number): Candidate =>
  ({
    baseUrl: "http://127.0.0.1:1",
    provider: {
      adapter: { id: `provider-${index}`, settings: {} },
      baseUrl: "http://127.0.0.1:1",
      ownBaseUrl: false,
      credentials: Array.from({ length: credentials }, (_, number) => `key-${number}`),
    },
    calls: Array.from({ length: calls }, (_, offset) => ({
      offset,
      job: { operation: "generate", model: "m", parameters: {}, count: 1 },
    })),
  }) as unknown as Candidate;

/** The loop of `run`, without a network and a database. */
function play({ candidates, retries, fallbackOnRefusal, endings, lasts, chance }: Scenario) {
  let now = 1_000_000;
  const clock = { now: () => now, sleep: async () => {} };
  const random = { bytes: (count: number) => new Uint8Array(count).fill(chance) };
  const health = createHealth({ clock, random });
  const context = { clock, random, health, config: { upstreamRetries: retries, upstreamTimeoutMs: lifeMs } };
  const [first, ...others] = candidates.map(candidateOf);
  if (first === undefined) throw new Error("no candidate");
  const plan = { candidates: [first, ...others], fallbackOnRefusal } as unknown as Plan;
  const progress = { candidate: 0, tries: 1, switches: 0, waitedMs: 0, startedAt: now };
  const played: Played[] = [];
  let round: Round | null = { candidate: first, calls: first.calls, delayMs: 0, keep: [] };
  let last: FinishedAttempt[] = [];
  let sequence = 0;
  while (round !== null) {
    now += round.delayMs;
    const at = now;
    const attempts = newAttempts(context as unknown as Context, round.candidate, round.calls, {
      round: played.length,
      firstSequence: sequence,
      startedAt: now,
    });
    sequence += attempts.length;
    now += lasts[played.length] ?? 1;
    const ended = attempts.map((attempt): FinishedAttempt => {
      const told = endings[attempt.sequence] ?? { kind: "broken" };
      const images = told.kind === "done" ? Array.from({ length: told.images }, () => ({})) : [];
      const outcome = told.kind === "done" ? { kind: "done", images } : told;
      return { attempt, outcome: outcome as FinishedAttempt["outcome"], finishedAt: now };
    });
    for (const { attempt, outcome } of ended) {
      if (outcome.kind === "broken") continue;
      health.report(attempt.upstream, attempt.job.model, {
        generationId: "gen",
        outcome: outcome.kind === "done" ? "delivered" : outcome.failure.class,
        retryAfterMs: outcome.kind === "done" ? undefined : outcome.failure.retryAfterMs,
        durationMs: 1,
      });
    }
    played.push({ round, at, ended });
    last = [...round.keep, ...ended];
    if (played.length > 100) throw new Error("it does not end");
    round = nextRound(context as unknown as Context, plan, progress, last);
  }
  return { played, last, plan, startedAt: 1_000_000 };
}

const failureOf = ({ outcome }: FinishedAttempt): Failure | null =>
  outcome.kind === "failed" ? outcome.failure : null;
const isHarmless = (attempt: FinishedAttempt): boolean => {
  const failure = failureOf(attempt);
  return failure !== null && harmless.includes(failure.class);
};

test("no call follows one that may be billed, and there is an end to it", () => {
  let fellBack = 0;
  let retried = 0;
  let elsewhere = 0;
  fc.assert(
    fc.property(scenario, (told) => {
      const { played, last, plan, startedAt } = play(told);
      const switches = told.candidates.reduce((sum, { credentials }) => sum + credentials - 1, 0);
      expect(played.length).toBeLessThanOrEqual(told.candidates.length + told.retries + switches);
      let waitedMs = 0;
      for (const [index, { round, at }] of played.entries()) {
        const before = played[index - 1];
        if (before === undefined) continue;
        const latest = [...before.round.keep, ...before.ended];
        const step = plan.candidates.indexOf(round.candidate) - plan.candidates.indexOf(before.round.candidate);
        waitedMs += round.delayMs;
        expect([round.delayMs <= 5_000, waitedMs <= 10_000]).toEqual([true, true]);
        if (step !== 0) {
          fellBack += 1;
          expect([step, round.delayMs, round.keep, round.calls]).toEqual([1, 0, [], round.candidate.calls]);
          const mayFollow = (attempt: FinishedAttempt) =>
            isHarmless(attempt) || (told.fallbackOnRefusal && failureOf(attempt)?.class === "refused");
          expect(latest.filter((attempt) => !mayFollow(attempt))).toEqual([]);
          continue;
        }
        retried += 1;
        expect(at).toBeLessThan(startedAt + lifeMs);
        const offsets = round.calls.map(({ offset }) => offset);
        const again = latest.filter(({ attempt }) => offsets.includes(attempt.offset));
        expect(again).toHaveLength(offsets.length);
        expect(again.filter((attempt) => !isHarmless(attempt))).toEqual([]);
        expect(round.keep).toEqual(latest.filter(({ attempt }) => !offsets.includes(attempt.offset)));
        const askedMs = Math.max(...again.map((attempt) => failureOf(attempt)?.retryAfterMs ?? 0));
        if (round.delayMs > 0) {
          expect(round.delayMs).toBeGreaterThanOrEqual(askedMs);
          continue;
        }
        // Without a pause only where another credential takes over.
        elsewhere += 1;
        const used = new Set(again.map(({ attempt }) => attempt.upstream.credential));
        const ended = played[index]?.ended ?? [];
        expect(ended.filter(({ attempt }) => used.has(attempt.upstream.credential))).toEqual([]);
      }
      // The end is the end of every call of one candidate, once.
      const final = played.at(-1)?.round.candidate;
      expect(last.map(({ attempt }) => attempt.offset).sort()).toEqual(final?.calls.map(({ offset }) => offset) ?? []);
    }),
    { numRuns: Number(process.env.PROPERTY_RUNS ?? 2_000) },
  );
  // Otherwise nothing of the above has been looked at.
  expect(Math.min(fellBack, retried, elsewhere)).toBeGreaterThan(100);
});
