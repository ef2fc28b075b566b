/**
 * Brings jobs to an end whose program died: pictures that were stored already are delivered, upstream jobs with an id
 * are picked up again, calls whose outcome nobody can know end truthfully, uncharged.
 */
import { type Selectable, sql } from "kysely";
import { z } from "zod";
import type { GivenInputs } from "../catalogue/check-inputs.ts";
import type { AttemptsTable, GenerationsTable } from "../database.ts";
import { PublicError } from "../errors.ts";
import { imageIdOf } from "../ids.ts";
import { inspectStored } from "../images/intake.ts";
import { linkLifeSeconds } from "../images/links.ts";
import { scaledId, scaleStored } from "../images/resize.ts";
import type { InputImage } from "../providers/input.ts";
import type { TakenImage } from "../providers/intake.ts";
import type { AttemptImage, PendingJob } from "../providers/transport.ts";
import type { Attempt, FinishedAttempt } from "./attempts.ts";
import { type Candidate, isExcluded, routesOf, sandboxCandidate } from "./candidates.ts";
import type { Context } from "./context.ts";
import type { FinishedGeneration } from "./finished.ts";
import { checkModels, planPorts } from "./generate.ts";
import { leaseMs } from "./lease.ts";
import type { Plan } from "./plan.ts";
import { credentialLabel, upstreamOf } from "./providers.ts";
import { attemptsOf } from "./records.ts";
import { runRound } from "./run.ts";
import { settle, settleAsFailed } from "./settle.ts";

type Abandoned = Pick<
  Selectable<GenerationsTable>,
  "id" | "key_hash" | "requested" | "quote_nanos" | "created_at" | "operation"
>;
type Row = Selectable<AttemptsTable>;

const scanMs = 1_000;
/** More than any picture has: what was held is the bound of what a given picture may add to the price. */
const unknownSide = 8_192;
/** A claim that had to wait this long: the owners could not renew their leases either, and get time for it. */
const stalledMs = 500;

/** Looks for abandoned jobs, now and every second, until the signal aborts. */
export async function keepRecovering(context: Context, signal: AbortSignal): Promise<void> {
  while (!signal.aborted) {
    await recoverAbandoned(context).catch((error: unknown) =>
      context.logger.warn({ err: error }, "could not look for abandoned jobs"),
    );
    await context.clock.sleep(scanMs, signal);
  }
}

/** Claims every job whose lease has run out and starts bringing it to an end. */
export async function recoverAbandoned(context: Context): Promise<void> {
  const abandoned = await context.database
    .selectFrom("generations")
    .select(["id", "key_hash", "requested", "quote_nanos", "created_at", "operation"])
    // In the words of the partial index: with the statuses as parameters every kept row would be looked at.
    .where(sql<boolean>`status in ('queued', 'running')`)
    .where("lease_until", "<", context.clock.now())
    .execute();
  for (const generation of abandoned) {
    const { id } = generation;
    // Its lease ran out while this program slept or the database was locked, but it runs here and is nobody's yet.
    if (context.jobs.find(id) !== undefined) continue;
    if (!(await claim(context, id))) continue;
    context.logger.warn({ generation: id }, "taking over an abandoned generation");
    context.jobs
      .start(id, (cancel) => bringToEnd(context, generation, cancel))
      .catch(async (error: unknown) => {
        // What cannot even be planned any more (provider or model removed) can only end here.
        if (error instanceof PublicError) await settleAsFailed(context, id, error);
      })
      .catch((error: unknown) => context.logger.warn({ generation: id, err: error }, "could not end a generation"));
  }
}

async function claim(context: Context, id: string): Promise<boolean> {
  const asked = context.clock.now();
  return context.database.transaction().execute(async (transaction) => {
    const now = context.clock.now();
    if (now - asked > stalledMs) return false;
    const claimed = await transaction
      .updateTable("generations")
      .set({ owner: context.instance, lease_until: now + leaseMs, status: "running" })
      .where("id", "=", id)
      .where("status", "in", ["queued", "running"])
      .where("lease_until", "<", now)
      .executeTakeFirst();
    return claimed.numUpdatedRows > 0n;
  });
}

async function bringToEnd(
  context: Context,
  { id, key_hash, requested, quote_nanos, created_at, operation }: Abandoned,
  cancel: AbortSignal,
): Promise<FinishedGeneration> {
  const rows = await attemptsOf(context.database, id);
  const latest = latestOfEachCall(rows);
  const candidate = findCandidate(context, JSON.parse(requested), operation, created_at, latest[0]);
  const pending: Attempt[] = [];
  const ended: FinishedAttempt[] = [];
  for (const row of latest) {
    const attempt = attemptOf(row, candidate);
    const images = await storedImages(context, id, attempt);
    // What is asked of a job again is as good as what is stored, unless that is all of it.
    if (images.length > 0 && (attempt.resume === undefined || images.length === row.image_count)) {
      ended.push(deliveredAttempt(context, attempt, images));
    } else if (row.status === "failed") ended.push(failedAttempt(attempt, row));
    else if (attempt.resume === undefined) ended.push(lostAttempt(context, attempt));
    else pending.push(attempt);
  }
  const outcomes = [...ended, ...(await runRound(context, { id, keyHash: key_hash }, pending, { cancel }))];
  outcomes.sort((one, other) => one.attempt.offset - other.attempt.offset);
  // What was held then for the pictures that came is the most that may be charged now, whatever the model file says.
  const held = BigInt(quote_nanos);
  const { quote, checked } = candidate;
  const charge: typeof quote.charge = (delivered) => {
    const cost = quote.charge(delivered);
    const most = (held * BigInt(Math.min(delivered.images.length, checked.n))) / BigInt(checked.n);
    return cost < most ? cost : most;
  };
  const attempts = outcomes.map((finished) => ({
    ...finished,
    attempt: { ...finished.attempt, candidate: { ...candidate, quote: { ...quote, charge } } },
  }));
  const plan: Plan = { asked: checked, candidates: [candidate], holdNanos: held, fallbackOnRefusal: false };
  return settle(context, { id }, plan, attempts);
}

/** Rounds before the last are over; of a call that was made again only the latest attempt counts. */
function latestOfEachCall(rows: readonly Row[]): Row[] {
  const last = rows.at(-1);
  const own = rows.filter((row) => row.catalogue_model === last?.catalogue_model && row.provider === last?.provider);
  return [...new Map(own.map((row) => [row.image_offset, row])).values()];
}

/**
 * The route that the recorded calls were for, by the prices of the day of admission.
 * @throws PublicError when model or provider are not there any more
 */
function findCandidate(
  context: Context,
  requested: Record<string, unknown>,
  operation: Abandoned["operation"],
  createdAt: number,
  row: Row | undefined,
): Candidate {
  const { images, mask, markup, ...body } = requested;
  const given = operation === "edit" ? { operation, ...recordedPictures({ images, mask, markup }) } : undefined;
  // The prompt may be gone already; it plays no part in coming back to an upstream job.
  const { models } = checkModels(context, {
    body: { prompt: "-", ...body },
    ...(given === undefined ? {} : { given }),
  });
  const settings = { ...planPorts(context, createdAt), today: new Date(createdAt).toISOString().slice(0, 10) };
  for (const { checked } of models) {
    if (row?.provider === "sandbox") {
      if (row.catalogue_model !== null && row.catalogue_model !== checked.model.id) continue;
      return sandboxCandidate(checked, context.providers.sandbox);
    }
    for (const found of routesOf(checked, settings)) {
      const candidate = isExcluded(found) ? null : found;
      if (candidate === null || candidate.provider.adapter.id !== row?.provider) continue;
      if (candidate.calls[0]?.job.model === row.model) return candidate;
    }
  }
  throw new PublicError(
    "provider_not_configured",
    `The provider '${row?.provider}' does not serve this model any more, so its result could not be fetched.`,
  );
}

const recordedPicture = z.object({
  sha256: z.string(),
  bytes: z.number(),
  content_type: z.enum(["image/png", "image/jpeg", "image/webp", "image/gif"]),
});

/** Pictures as the request's record names them. Their bytes are gone; nothing is sent again. */
function recordedPictures(recorded: Record<"images" | "mask" | "markup", unknown>): Omit<GivenInputs, "operation"> {
  const picture = (value: unknown): InputImage => {
    const { content_type: contentType, ...facts } = recordedPicture.parse(value);
    const open = () => {
      throw new Error("the bytes of a client's picture do not outlive the program that took them");
    };
    // Their dimensions have been checked when they came; all alike, they pass again.
    return { contentType, ...facts, width: unknownSide, height: unknownSide, open };
  };
  const optional = (value: unknown) => (value === undefined ? undefined : picture(value));
  const images = z.array(z.unknown()).parse(recorded.images).map(picture);
  return { images, mask: optional(recorded.mask), markup: optional(recorded.markup) };
}

function attemptOf(row: Row, candidate: Candidate): Attempt {
  const { provider, baseUrl } = candidate;
  const { credentials } = provider;
  const credential =
    credentials.find((candidate) => credentialLabel(candidate) === row.credential) ?? credentials[0] ?? "";
  const attempt: Attempt = {
    sequence: row.sequence,
    round: row.round,
    candidate,
    offset: row.image_offset,
    upstream: upstreamOf(provider, baseUrl, credential),
    // Nothing is submitted again, so the parameters play no part any more.
    job: { operation: candidate.checked.operation, model: row.model, parameters: {}, count: row.image_count },
    startedAt: row.started_at,
  };
  if (row.pending === null || row.status === "failed") return attempt;
  const resume: PendingJob = { ...JSON.parse(row.pending), afterMs: 0 };
  return { ...attempt, resume };
}

/** It had ended before the program died, and another round was to come. */
function failedAttempt(attempt: Attempt, row: Row): FinishedAttempt {
  const { class: failureClass, message } = JSON.parse(row.error ?? "{}");
  return {
    attempt,
    finishedAt: row.finished_at ?? attempt.startedAt,
    outcome: {
      kind: "failed",
      upstreamId: row.upstream_id ?? undefined,
      failure: { class: failureClass ?? "upstream_error", message: message ?? "" },
    },
  };
}

/**
 * Pictures that were stored whole before the program died, by their foreseeable ids: they were delivered, so they are
 * the client's. What the reply said beside them, usage and revised prompts, is gone with the program. Only while they
 * can still be shown for a while; the sweeper takes older files without a row.
 */
async function storedImages(context: Context, id: string, attempt: Attempt): Promise<AttemptImage[]> {
  if (context.clock.now() - attempt.startedAt >= linkLifeSeconds * 1000) return [];
  const images: AttemptImage[] = [];
  for (let index = 0; index < attempt.job.count; index += 1) {
    const image = await storedImage(context, imageIdOf(id, attempt.sequence, index), attempt.candidate);
    if (image !== null) images.push({ ...image, revisedPrompt: undefined });
  }
  return images;
}

/** The program may have died before the picture was scaled down, or after that. */
async function storedImage({ images }: Context, id: string, { scaleTo }: Candidate): Promise<TakenImage | null> {
  const stored = await inspectStored(images, id);
  if (scaleTo === null) return stored;
  return stored === null ? inspectStored(images, scaledId(id, scaleTo)) : scaleStored(images, stored, scaleTo);
}

function deliveredAttempt(context: Context, attempt: Attempt, images: AttemptImage[]): FinishedAttempt {
  const { upstreamId, costUsd } = attempt.resume ?? {};
  const said = costUsd === undefined ? {} : { costUsd };
  const outcome = { kind: "done", images, usage: undefined, size: undefined, upstreamId, ...said } as const;
  return { attempt, outcome, finishedAt: context.clock.now() };
}

/** Sent, but never answered before the program died: a billable result may exist at the provider. */
function lostAttempt(context: Context, attempt: Attempt): FinishedAttempt {
  const message = "the router stopped while the call was under way";
  return {
    attempt,
    finishedAt: context.clock.now(),
    outcome: { kind: "failed", upstreamId: undefined, failure: { class: "outcome_unknown", message } },
  };
}
