/** Waiting for a generation that somebody else started: another request, or another program on the same database. */
import { errorTable, PublicError } from "../errors.ts";
import type { Context } from "./context.ts";
import type { FinishedGeneration } from "./finished.ts";
import { imagesOf } from "./records.ts";

const firstDelayMs = 50;
const maxDelayMs = 1_000;

/** The generation's end. Comes when it has ended, wherever it runs. */
export async function waitForGeneration(context: Context, id: string): Promise<FinishedGeneration> {
  for (let delayMs = firstDelayMs; ; delayMs = Math.min(delayMs * 2, maxDelayMs)) {
    // A job that ends unexpectedly here is taken over by recovery; its end is then found in the database.
    const here = await context.jobs.find(id)?.catch(() => undefined);
    const finished = here ?? (await readFinished(context, id));
    if (finished !== null) return finished;
    await context.clock.sleep(delayMs);
  }
}

/**
 * A generation that has ended, as it was kept; null while it runs.
 * @throws PublicError image_expired when it succeeded but its bytes are gone, or when it was canceled
 */
export async function readFinished(context: Context, id: string): Promise<FinishedGeneration | null> {
  const { database, clock } = context;
  const row = await database.selectFrom("generations").selectAll().where("id", "=", id).executeTakeFirstOrThrow();
  if (row.status === "queued" || row.status === "running" || row.finished_at === null) return null;
  const images = await imagesOf(database, id);
  if (images.some((image) => image.deleted_at !== null || image.expires_at <= clock.now())) {
    throw new PublicError("image_expired", "The images of this generation have expired; their bytes are gone.");
  }
  return {
    id,
    operation: row.operation,
    model: row.model,
    provider: row.provider,
    finishedAt: row.finished_at,
    cost: BigInt(row.cost_nanos),
    images: images.map((image) => ({
      id: image.id,
      contentType: image.content_type,
      width: image.width,
      height: image.height,
      bytes: image.bytes,
      revisedPrompt: image.revised_prompt ?? undefined,
    })),
    error: row.error === null ? null : toPublicError(row.error),
    warnings: row.warnings === null ? [] : JSON.parse(row.warnings),
    usage: row.usage === null ? undefined : JSON.parse(row.usage),
    size: row.size ?? undefined,
    echoed: row.echoed === null ? undefined : JSON.parse(row.echoed),
  };
}

function toPublicError(json: string): PublicError {
  const { code, message, param, retry_after_ms } = JSON.parse(json);
  if (!(code in errorTable)) throw new Error(`unknown error code '${code}' in the database`);
  return new PublicError(code, message, { param, retryAfterMs: retry_after_ms });
}
