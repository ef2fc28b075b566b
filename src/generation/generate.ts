/**
 * The way of a request, from a body to a running job: read → plan → admit → run → settle. Presenting is the caller's.
 * Nothing here hangs on a client's socket.
 */
import type { Key } from "../accounts/keys.ts";
import { checkRequest } from "../catalogue/index.ts";
import { PublicError } from "../errors.ts";
import { type Attribution, admit } from "./admit.ts";
import type { Context } from "./context.ts";
import type { FinishedGeneration } from "./finished.ts";
import { type Plan, planGeneration } from "./plan.ts";
import { run } from "./run.ts";
import { settle } from "./settle.ts";

export interface StartedGeneration {
  id: string;
  plan: Plan;
  /** The end of the job, good or bad; it comes whether somebody waits or not. */
  finished: Promise<FinishedGeneration>;
}

/**
 * Starts one generation. When this returns, the job is durable.
 * @param body the request as parsed from JSON
 * @param options `onePicture`: the answer will be the picture itself, so there can be only one
 * @throws PublicError for everything that is refused before anything is spent
 */
export async function generate(
  context: Context,
  key: Key,
  body: Record<string, unknown>,
  attribution: Attribution,
  options: { onePicture?: boolean } = {},
): Promise<StartedGeneration> {
  if (key.kind === "management") {
    throw new PublicError("wrong_key_type", "Management keys cannot generate images. Use an lr_live_ or lr_test_ key.");
  }
  const checked = checkRequest(context.catalogue, body);
  if (options.onePicture && checked.n !== 1) {
    throw new PublicError("invalid_value", "With 'Accept: image/*' the answer is one image; 'n' must be 1.", {
      param: "n",
    });
  }
  const today = new Date(context.clock.now()).toISOString().slice(0, 10);
  const plan = planGeneration(checked, key.kind, context.providers, today);
  const job = await admit(context, key, plan, attribution);
  const finished = context.jobs.start(job.id, async () => {
    const outcomes = await run(context, job);
    return settle(context, job, plan, outcomes);
  });
  return { id: job.id, plan, finished };
}
