/**
 * The way of a request, from a body to a running job: read → plan → admit → run → settle. Presenting is the caller's.
 * Nothing here hangs on a client's socket.
 */
import { checkModelAllowed } from "../accounts/allowed.ts";
import type { Key } from "../accounts/keys.ts";
import { type CheckedRequest, checkRequest } from "../catalogue/index.ts";
import { DatabaseUnavailableError } from "../database.ts";
import { PublicError } from "../errors.ts";
import { type Attribution, admit, admitJoin } from "./admit.ts";
import type { Context } from "./context.ts";
import type { FinishedGeneration } from "./finished.ts";
import { OwnershipLostError } from "./lease.ts";
import { type Plan, planGeneration } from "./plan.ts";
import { findRepeat, fingerprintOf, notARepeat, type RepeatHeaders } from "./repeats.ts";
import { run } from "./run.ts";
import { settle } from "./settle.ts";
import { waitForGeneration } from "./wait.ts";

/** After this long a client may ask again when the database could not take its request. */
const busyRetryMs = 1_000;

export interface StartedGeneration {
  id: string;
  checked: CheckedRequest;
  /** Null where the request joined an earlier generation. */
  plan: Plan | null;
  /** The end of the job, good or bad; it comes whether somebody waits or not. */
  finished: Promise<FinishedGeneration>;
}

export interface GenerateOptions {
  /** The answer will be the picture itself, so there can be only one. */
  onePicture?: boolean;
  /** Whether the request may repeat an earlier one, and how it says so. */
  repeat?: RepeatHeaders;
}

/**
 * Starts one generation, or joins the one that this request repeats. When this returns, the job is durable.
 * @param body the request as parsed from JSON
 * @throws PublicError for everything that is refused before anything is spent
 */
export function generate(
  context: Context,
  key: Key,
  body: Record<string, unknown>,
  attribution: Attribution,
  options: GenerateOptions = {},
): Promise<StartedGeneration> {
  return context.jobs.entering(() => enter(context, key, body, attribution, options));
}

async function enter(
  context: Context,
  key: Key,
  body: Record<string, unknown>,
  attribution: Attribution,
  { onePicture = false, repeat = notARepeat }: GenerateOptions,
): Promise<StartedGeneration> {
  if (key.kind === "management") {
    throw new PublicError("wrong_key_type", "Management keys cannot generate images. Use an lr_live_ or lr_test_ key.");
  }
  const checked = checkRequest(context.catalogue, body);
  if (onePicture && checked.n !== 1) {
    throw new PublicError("invalid_value", "With 'Accept: image/*' the answer is one image; 'n' must be 1.", {
      param: "n",
    });
  }
  const join = (id: string) => ({ id, checked, plan: null, finished: waitForGeneration(context, id) });
  const now = context.clock.now();
  const earlier = await orOverloaded(findRepeat(context.database, key, repeat, fingerprintOf(checked), now));
  if (earlier !== null) {
    await orOverloaded(admitJoin(context, key));
    return join(earlier);
  }
  // Before the plan: how a model is served here is nobody's business who may not use it.
  checkModelAllowed(key, checked.model);
  const plan = planGeneration(checked, key.kind, context.providers, new Date(now).toISOString().slice(0, 10));
  const admission = await orOverloaded(admit(context, key, plan, repeat, attribution));
  if ("joins" in admission) return join(admission.joins);
  const { job } = admission;
  context.reached("admitted");
  const finished = context.jobs
    .start(job.id, async (cancel) => {
      const outcomes = await run(context, job, cancel);
      return settle(context, job, plan, outcomes);
    })
    .catch((error: unknown) => endedElsewhere(context, job.id, error));
  // The job has logged its failure; whoever waits sees it as well, and nobody has to wait.
  finished.catch(() => {});
  return { id: job.id, checked, plan, finished };
}

/** Before anything has been sent, a client may simply ask again. */
async function orOverloaded<T>(asked: Promise<T>): Promise<T> {
  try {
    return await asked;
  } catch (error) {
    if (!(error instanceof DatabaseUnavailableError)) throw error;
    const message =
      "The router's database cannot take this request now. Nothing was sent or charged; please ask again.";
    throw new PublicError("overloaded", message, { retryAfterMs: busyRetryMs, cause: error });
  }
}

/** The truth about a job that could not be ended here: as another program recorded it, or that it is open still. */
async function endedElsewhere(context: Context, id: string, error: unknown): Promise<FinishedGeneration> {
  if (error instanceof OwnershipLostError) return waitForGeneration(context, id);
  if (!(error instanceof DatabaseUnavailableError)) throw error;
  throw new PublicError(
    "internal_error",
    `The router could not record how generation ${id} ended. It is recorded, and charged if it has images, as soon as the database answers: look it up by its id, or repeat the request with the same 'Idempotency-Key'.`,
    { cause: error },
  );
}
