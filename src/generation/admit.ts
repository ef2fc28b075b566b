/** Admission: one transaction that makes a generation durable. After it, the job runs to an end whatever happens. */
import { checkModelAllowed, checkProviderAllowed } from "../accounts/allowed.ts";
import { type Key, recheckKey } from "../accounts/keys.ts";
import { hold } from "../accounts/ledger.ts";
import { countJoin, enterLimits } from "../accounts/limits.ts";
import { newId } from "../ids.ts";
import { type Attempt, insertAttempts, newAttempts } from "./attempts.ts";
import type { Context } from "./context.ts";
import { leaseMs } from "./lease.ts";
import type { Plan } from "./plan.ts";
import { withoutPrompts } from "./prompts.ts";
import { claimIdempotencyKey, findRepeat, fingerprintOf, type RepeatHeaders } from "./repeats.ts";

/** Who asked, beside the key. */
export interface Attribution {
  requestId: string;
  referer: string | null;
  title: string | null;
  /** Where the client found us: the origin of links in webhooks. Null for the command line. */
  origin: string | null;
}

/** An admitted generation: what running and settling need. */
export interface AdmittedJob {
  id: string;
  keyHash: string;
  /** Of the first round. */
  attempts: Attempt[];
}

/** Either a new job, or the id of the generation that this request repeats. */
export type Admission = { job: AdmittedJob } | { joins: string };

/**
 * Decides, in one transaction, everything that must be decided before money is spent: whether the request is a repeat,
 * whether the key and the account may spend it, the hold, and the durable job itself.
 * @throws PublicError idempotency_conflict, rate_limit_exceeded, spend_limit_exceeded, insufficient_credit, key_…,
 *   model_not_allowed, provider_not_allowed
 */
export async function admit(
  context: Context,
  key: Key,
  plan: Plan,
  repeat: RepeatHeaders,
  attribution: Attribution,
  webhookUrl: string | null,
): Promise<Admission> {
  const { clock, random, config, database } = context;
  const id = newId("gen", clock, random);
  const [first] = plan.candidates;
  const { provider, quote } = first;
  const { asked } = plan;
  const fingerprint = fingerprintOf(asked);
  const keep = config.keepPrompts !== "never";
  const facts = {
    keyHash: key.hash,
    generationId: id,
    model: first.checked.model.id,
    provider: provider.adapter.id,
    priceRule: quote.rule,
  };
  return database.transaction().execute(async (transaction): Promise<Admission> => {
    // The moment at which the request's turn has come, not the one at which it began to wait for it: so time never runs
    // backwards over a boundary from one transaction to the next.
    const now = clock.now();
    // The key as it is now: what has been changed since the request came in holds.
    const current = await recheckKey(transaction, key.hash, clock);
    const perMinute = perMinuteLimit(current, config);
    const joins = await findRepeat(transaction, key, repeat, fingerprint, now);
    if (joins !== null) {
      await countJoin(transaction, current, perMinute, now);
      return { joins };
    }
    for (const candidate of plan.candidates) {
      checkModelAllowed(current, candidate.named);
      checkProviderAllowed(current, candidate.provider.adapter.id);
    }
    await enterLimits(transaction, current, plan.holdNanos, perMinute, now);
    await hold(transaction, facts, plan.holdNanos, config.creditRequired, context);
    if (repeat.idempotencyKey !== undefined) {
      await claimIdempotencyKey(transaction, key, repeat.idempotencyKey, fingerprint, id, now);
    }
    await transaction
      .insertInto("generations")
      .values({
        id,
        key_hash: key.hash,
        request_id: attribution.requestId,
        status: "running",
        model: first.checked.model.id,
        provider: provider.adapter.id,
        requested: JSON.stringify(keep ? asked.requested : withoutPrompts(asked.requested)),
        has_prompt: keep ? 1 : 0,
        images_requested: asked.n,
        created_at: now,
        quote_nanos: plan.holdNanos,
        cost_nanos: 0n,
        price_rule: quote.rule,
        owner: context.instance,
        lease_until: now + leaseMs,
        fingerprint,
        user: asked.user ?? null,
        referer: attribution.referer,
        title: attribution.title,
        operation: asked.operation,
        webhook_url: webhookUrl,
        origin: attribution.origin,
      })
      .execute();
    const attempts = newAttempts(context, first, first.calls, { round: 0, firstSequence: 0, startedAt: now });
    await insertAttempts(transaction, context, id, attempts);
    return { job: { id, keyHash: key.hash, attempts } };
  });
}

/** Counts a request that joins an earlier generation. @throws PublicError rate_limit_exceeded */
export async function admitJoin(context: Context, key: Key): Promise<void> {
  await context.database.transaction().execute(async (transaction) => {
    const current = await recheckKey(transaction, key.hash, context.clock);
    await countJoin(transaction, current, perMinuteLimit(current, context.config), context.clock.now());
  });
}

/** The key's own limit of requests per minute, else the operator's default. */
export function perMinuteLimit(key: Key, config: Context["config"]): number | null {
  return key.requests_per_minute ?? config.defaultRequestsPerMinute;
}
