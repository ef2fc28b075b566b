/**
 * The way of a request, from a body to a running job: read → plan → admit → run → settle. Presenting is the caller's.
 * Nothing here hangs on a client's socket.
 */
import type { Key } from "../accounts/keys.ts";
import type { GivenInputs } from "../catalogue/check-inputs.ts";
import { type CheckedRequest, checkRequest } from "../catalogue/index.ts";
import { DatabaseUnavailableError } from "../database.ts";
import { PublicError } from "../errors.ts";
import type { InputImage } from "../providers/input.ts";
import type { PartialImage } from "../providers/transport.ts";
import { readWebhookUrl } from "../webhooks/url.ts";
import { type Attribution, admit, admitJoin } from "./admit.ts";
import type { Context } from "./context.ts";
import type { FinishedGeneration } from "./finished.ts";
import { OwnershipLostError } from "./lease.ts";
import { createPartials } from "./partials.ts";
import { type CheckedModel, type Plan, planGeneration } from "./plan.ts";
import { type Preferences, readPreferences } from "./preferences.ts";
import { findRepeat, fingerprintOf, notARepeat, type RepeatHeaders } from "./repeats.ts";
import { run } from "./run.ts";
import { settle } from "./settle.ts";
import { waitForGeneration } from "./wait.ts";

/** After this long a client may ask again when the database could not take its request. */
const busyRetryMs = 1_000;

/** What a client asks: its parameters, and for an edit the pictures that came with them. */
export interface GenerationRequest {
  /** The parameters as parsed, without pictures. */
  body: Record<string, unknown>;
  /** Set for an edit. They are the generation's from here on: it removes their bytes when it has ended or is refused. */
  given?: GivenInputs;
}

export interface StartedGeneration {
  id: string;
  checked: CheckedRequest;
  /** Null where the request joined an earlier generation. */
  plan: Plan | null;
  /** Previews as they come, for one reader; null where none are asked for. Leave it when nobody watches any more. */
  partials: (AsyncIterable<PartialImage> & { leave(): void }) | null;
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
 * @throws PublicError for everything that is refused before anything is spent
 */
export function generate(
  context: Context,
  key: Key,
  request: GenerationRequest,
  attribution: Attribution,
  options: GenerateOptions = {},
): Promise<StartedGeneration> {
  return context.jobs.entering(async () => {
    const pictures = picturesOf(request);
    const release = async () => {
      if (pictures.length > 0) await context.inputs.release(pictures);
    };
    try {
      const started = await enter(context, key, request, attribution, options);
      if (started.plan === null) await release();
      else started.finished.then(release, release);
      return started;
    } catch (error) {
      await release();
      throw error;
    }
  });
}

const picturesOf = ({ given }: GenerationRequest): InputImage[] =>
  given === undefined ? [] : [...given.images, given.mask ?? [], given.markup ?? []].flat();

async function enter(
  context: Context,
  key: Key,
  request: GenerationRequest,
  attribution: Attribution,
  { onePicture = false, repeat = notARepeat }: GenerateOptions,
): Promise<StartedGeneration> {
  if (key.kind === "management") {
    throw new PublicError("wrong_key_type", "Management keys cannot generate images. Use an lr_live_ or lr_test_ key.");
  }
  const { models, preferences } = checkModels(context, request);
  const webhookUrl = readWebhookUrl(request.body.webhook_url, context.config.webhookOrigins);
  const [{ checked }] = models;
  if (onePicture && checked.n !== 1) {
    throw new PublicError("invalid_value", "With 'Accept: image/*' the answer is one image; 'n' must be 1.", {
      param: "n",
    });
  }
  const join = (id: string) => ({ id, checked, plan: null, partials: null, finished: waitForGeneration(context, id) });
  const now = context.clock.now();
  const earlier = await orOverloaded(findRepeat(context.database, key, repeat, fingerprintOf(checked), now));
  if (earlier !== null) {
    await orOverloaded(admitJoin(context, key));
    return join(earlier);
  }
  const plan = planGeneration(key, models, preferences, planPorts(context, now));
  const admission = await orOverloaded(admit(context, key, plan, repeat, attribution, webhookUrl));
  if ("joins" in admission) return join(admission.joins);
  const { job } = admission;
  context.reached("admitted");
  const partials = checked.partialImages > 0 ? createPartials() : null;
  const finished = context.jobs
    .start(job.id, async (cancel) => {
      const outcomes = await run(context, job, plan, { cancel, onPartial: partials?.push });
      return settle(context, job, plan, outcomes);
    })
    .catch((error: unknown) => endedElsewhere(context, job.id, error))
    .finally(() => partials?.end());
  // The job has logged its failure; whoever waits sees it as well, and nobody has to wait.
  finished.catch(() => {});
  return { id: job.id, checked, plan, partials, finished };
}

/** What routing needs to know, at one moment. */
export function planPorts({ catalogue, providers, config, health, random }: Context, now: number) {
  return {
    catalogue,
    providers,
    legacy: config.legacy,
    health,
    random,
    today: new Date(now).toISOString().slice(0, 10),
  };
}

/**
 * The request against every model that it names. One that cannot honour it is no candidate; where none can, the first
 * one's objection is the answer.
 * @throws PublicError for what is wrong with the request
 */
export function checkModels(
  { catalogue }: Pick<Context, "catalogue">,
  { body, given }: GenerationRequest,
): { models: [CheckedModel, ...CheckedModel[]]; preferences: Preferences } {
  const { models, preferences } = readPreferences(body);
  const [first = null, ...others] = models;
  // `model` may be absent beside `models`, but what stands there must be a model: the catalogue says what is wrong.
  const isNamed = body.model === undefined || (typeof body.model === "string" && body.model !== "");
  if (first === null || !isNamed) throw refusalOf(() => checkRequest(catalogue, body, given));
  const able: CheckedModel[] = [];
  let objection: unknown;
  for (const { id, sort } of [first, ...others]) {
    try {
      able.push({ checked: checkRequest(catalogue, { ...body, model: id }, given), sort });
    } catch (error) {
      // A name that does not exist is a mistake, not a model that cannot.
      if (!(error instanceof PublicError) || error.code === "model_not_found") throw error;
      objection ??= error;
    }
  }
  const [best, ...rest] = able;
  if (best === undefined) throw objection;
  return { models: [best, ...rest], preferences };
}

function refusalOf(check: () => unknown): unknown {
  try {
    check();
  } catch (error) {
    return error;
  }
  return new Error("a request without a model has been accepted");
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
