/**
 * The way of a request, from a body to a running job: read → plan → admit → run → settle. Presenting is the caller's.
 * Nothing here hangs on a client's socket.
 */
import { checkAllowed, type Key } from "../accounts/keys.ts";
import { type CheckedRequest, checkRequest } from "../catalogue/index.ts";
import { PublicError } from "../errors.ts";
import { type Attribution, admit, admitJoin } from "./admit.ts";
import type { Context } from "./context.ts";
import type { FinishedGeneration } from "./finished.ts";
import { planGeneration } from "./plan.ts";
import { findRepeat, fingerprintOf, notARepeat, type RepeatHeaders } from "./repeats.ts";
import { run } from "./run.ts";
import { settle } from "./settle.ts";
import { waitForGeneration } from "./wait.ts";

export interface StartedGeneration {
  id: string;
  checked: CheckedRequest;
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
export async function generate(
  context: Context,
  key: Key,
  body: Record<string, unknown>,
  attribution: Attribution,
  { onePicture = false, repeat = notARepeat }: GenerateOptions = {},
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
  const join = (id: string) => ({ id, checked, finished: waitForGeneration(context, id) });
  const now = context.clock.now();
  const earlier = await findRepeat(context.database, key, repeat, fingerprintOf(checked), now);
  if (earlier !== null) {
    await admitJoin(context, key);
    return join(earlier);
  }
  const plan = planGeneration(checked, key.kind, context.providers, new Date(now).toISOString().slice(0, 10));
  checkAllowed(key, checked.model.id, plan.provider.adapter.id);
  const admission = await admit(context, key, plan, repeat, attribution);
  if ("joins" in admission) return join(admission.joins);
  const { job } = admission;
  context.reached("admitted");
  const finished = context.jobs.start(job.id, async (cancel) => {
    const outcomes = await run(context, job, cancel);
    return settle(context, job, plan, outcomes);
  });
  return { id: job.id, checked, finished };
}
