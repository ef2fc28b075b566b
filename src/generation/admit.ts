/** Admission: one transaction that makes a generation durable. After it, the job runs to an end whatever happens. */
import type { Insertable } from "kysely";
import { checkModelAllowed, checkProviderAllowed } from "../accounts/allowed.ts";
import { type Key, recheckKey } from "../accounts/keys.ts";
import { hold } from "../accounts/ledger.ts";
import { countJoin, enterLimits } from "../accounts/limits.ts";
import type { AttemptsTable } from "../database.ts";
import { newId } from "../ids.ts";
import type { ProviderJob } from "../providers/provider.ts";
import type { PendingJob, Upstream } from "../providers/transport.ts";
import type { Context } from "./context.ts";
import { leaseMs } from "./lease.ts";
import type { Plan } from "./plan.ts";
import { withoutPrompts } from "./prompts.ts";
import { credentialLabel, upstreamOf } from "./providers.ts";
import { claimIdempotencyKey, findRepeat, fingerprintOf, type RepeatHeaders } from "./repeats.ts";

/** Who asked, beside the key. */
export interface Attribution {
  requestId: string;
  referer: string | null;
  title: string | null;
}

/** An admitted generation: what running and settling need. */
export interface AdmittedJob {
  id: string;
  attempts: AdmittedAttempt[];
}

export interface AdmittedAttempt {
  sequence: number;
  offset: number;
  upstream: Upstream;
  job: ProviderJob;
  /** When the attempt's life began, Unix milliseconds. */
  startedAt: number;
  /** Set when the upstream job exists already: it is picked up again instead of submitted. */
  resume?: PendingJob;
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
): Promise<Admission> {
  const { clock, random, config, database } = context;
  const id = newId("gen", clock, random);
  const { checked, provider, quote } = plan;
  // One credential for the whole generation, chosen evenly from the pool.
  const credential = provider.credentials[(random.bytes(1)[0] ?? 0) % provider.credentials.length] ?? "";
  const upstream = upstreamOf(provider, credential);
  const keep = config.keepPrompts !== "never";

  const fingerprint = fingerprintOf(checked);
  const facts = {
    keyHash: key.hash,
    generationId: id,
    model: checked.model.id,
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
    checkModelAllowed(current, checked.model);
    checkProviderAllowed(current, provider.adapter.id);
    const attempts = plan.calls.map(
      ({ offset, job }, sequence): AdmittedAttempt => ({ sequence, offset, upstream, job, startedAt: now }),
    );
    await enterLimits(transaction, current, quote.totalNanos, perMinute, now);
    await hold(transaction, facts, quote.totalNanos, config.creditRequired, context);
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
        model: checked.model.id,
        provider: provider.adapter.id,
        requested: JSON.stringify(keep ? checked.requested : withoutPrompts(checked.requested)),
        has_prompt: keep ? 1 : 0,
        images_requested: checked.n,
        created_at: now,
        quote_nanos: quote.totalNanos,
        cost_nanos: 0n,
        price_rule: quote.rule,
        owner: context.instance,
        lease_until: now + leaseMs,
        fingerprint,
        user: checked.user ?? null,
        referer: attribution.referer,
        title: attribution.title,
      })
      .execute();
    await transaction
      .insertInto("attempts")
      .values(
        attempts.map(
          ({ sequence, offset, job }): Insertable<AttemptsTable> => ({
            generation_id: id,
            sequence,
            provider: provider.adapter.id,
            model: job.model,
            image_offset: offset,
            image_count: job.count,
            status: "running",
            sent: JSON.stringify(keep ? sentBody(upstream, job) : withoutPrompts(sentBody(upstream, job))),
            credential: credentialLabel(credential),
            started_at: now,
          }),
        ),
      )
      .execute();
    return { job: { id, attempts } };
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

/** The body that goes upstream, to the letter: what is recorded is what the adapter will send. */
function sentBody({ adapter, baseUrl }: Upstream, job: ProviderJob): unknown {
  const { body } = adapter.submit(job, { baseUrl });
  return body?.kind === "multipart" ? body.fields : body?.value;
}
