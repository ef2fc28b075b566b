/**
 * Removes what has had its time: picture bytes after the hour, prompts as long as the operator says, generations after
 * 90 days, idempotency claims after a day, files that no generation owns. In small batches with pauses in between, so
 * that requests never wait for it. The ledger, the hourly sums and the audit are kept for ever.
 */
import { generationLifeMs } from "../accounts/check-generations.ts";
import { timeOfId } from "../ids.ts";
import { linkLifeSeconds } from "../images/links.ts";
import type { Context } from "./context.ts";
import { sentWithoutPrompts, withoutPrompts } from "./prompts.ts";
import { idempotencyLifeMs } from "./repeats.ts";

const batch = 200;
const everyMs = 5_000;
/** A file without a row may belong to a generation that is being settled; this long after its attempt's life it cannot. */
const orphanAgeMs = 2 * linkLifeSeconds * 1000;
const orphansEveryMs = 600_000;
/** Requests that arrive while one batch is at work are served before the next. */
const pauseMs = 10;
/** A request counts against a limit per minute for this long; `limits.ts` looks at the times by itself. */
const recentMs = 60_000;
/** Generations removed at once: each takes its attempts and images with it. */
const recordBatch = 100;

export interface RetentionPorts extends Pick<Context, "config" | "database" | "images" | "clock" | "logger"> {
  /** Takes deleted text out of the database's files, where the database keeps it longer than its rows. */
  scrub(): Promise<void>;
  /** Removes half-written files older than this (Unix milliseconds). */
  removeUnfinished(olderThanMs: number): Promise<void>;
}

/** Sweeps at once and then every few seconds, until the signal aborts. */
export async function keepSweeping(given: RetentionPorts, signal: AbortSignal): Promise<void> {
  let orphansAt = 0;
  let scrubDue = false;
  const ports: RetentionPorts = {
    ...given,
    async scrub() {
      scrubDue = true;
      await given.scrub();
      scrubDue = false;
    },
  };
  while (!signal.aborted) {
    try {
      // One that failed: what it was for is deleted already and would not ask again.
      if (scrubDue) await ports.scrub();
      await sweepImages(ports);
      await sweepPrompts(ports);
      await sweepGenerations(ports);
      await sweepClaims(ports);
      await sweepRecentRequests(ports);
      if (ports.clock.now() >= orphansAt) {
        orphansAt = ports.clock.now() + orphansEveryMs;
        await sweepOrphans(ports);
      }
    } catch (error) {
      ports.logger.warn({ err: error }, "sweeping failed; it is tried again");
    }
    await ports.clock.sleep(everyMs, signal);
  }
}

/** Bytes of pictures whose hour is over. */
export async function sweepImages({ database, images, clock }: RetentionPorts): Promise<void> {
  for (;;) {
    const over = await database
      .selectFrom("images")
      .select("id")
      .where("deleted_at", "is", null)
      .where("expires_at", "<=", clock.now())
      .limit(batch)
      .execute();
    if (over.length === 0) return;
    const ids = over.map(({ id }) => id);
    await Promise.all(ids.map((id) => images.delete(id)));
    await database.updateTable("images").set({ deleted_at: clock.now() }).where("id", "in", ids).execute();
    await clock.sleep(pauseMs);
  }
}

/** Prompts of generations older than an hour, unless they are kept for ever. */
export async function sweepPrompts({ config, database, clock, scrub }: RetentionPorts): Promise<void> {
  if (config.keepPrompts === "always") return;
  let removed = 0;
  for (;;) {
    const over = await database
      .selectFrom("generations")
      .select(["id", "requested"])
      .where("has_prompt", "=", 1)
      .where("created_at", "<=", clock.now() - linkLifeSeconds * 1000)
      .where("status", "not in", ["queued", "running"])
      .limit(batch)
      .execute();
    if (over.length === 0) break;
    removed += over.length;
    await database.transaction().execute(async (transaction) => {
      for (const { id, requested } of over) {
        const request = JSON.parse(requested) as Record<string, unknown>;
        await transaction
          .updateTable("generations")
          .set({ has_prompt: 0, requested: JSON.stringify(withoutPrompts(request)) })
          .where("id", "=", id)
          .execute();
        await transaction.updateTable("images").set({ revised_prompt: null }).where("generation_id", "=", id).execute();
        const attempts = await transaction
          .selectFrom("attempts")
          .select(["sequence", "sent"])
          .where("generation_id", "=", id)
          .execute();
        for (const { sequence, sent } of attempts) {
          await transaction
            .updateTable("attempts")
            .set({ sent: JSON.stringify(sentWithoutPrompts(JSON.parse(sent), request)) })
            .where("generation_id", "=", id)
            .where("sequence", "=", sequence)
            .execute();
        }
      }
    });
    await clock.sleep(pauseMs);
  }
  if (removed > 0) await scrub();
}

/** Records of generations that ended 90 days ago, with their attempts and images. What they cost stays in the ledger. */
export async function sweepGenerations({ config, database, clock, scrub }: RetentionPorts): Promise<void> {
  let removed = 0;
  for (;;) {
    const cutoff = clock.now() - generationLifeMs;
    const over = await database
      .selectFrom("generations")
      .select("id")
      .where("created_at", "<=", cutoff)
      // A generation without an end is still running, whatever its age.
      .where("finished_at", "<=", cutoff)
      .orderBy("created_at")
      .limit(recordBatch)
      .execute();
    if (over.length === 0) break;
    removed += over.length;
    const ids = over.map(({ id }) => id);
    await database.transaction().execute(async (transaction) => {
      await transaction.deleteFrom("images").where("generation_id", "in", ids).execute();
      await transaction.deleteFrom("attempts").where("generation_id", "in", ids).execute();
      await transaction.deleteFrom("generations").where("id", "in", ids).execute();
    });
    await clock.sleep(pauseMs);
  }
  // Only here do prompts live as long as their records.
  if (removed > 0 && config.keepPrompts === "always") await scrub();
}

/** Claims of idempotency keys that no request can repeat any more. */
export async function sweepClaims({ database, clock }: RetentionPorts): Promise<void> {
  for (;;) {
    const cutoff = clock.now() - idempotencyLifeMs;
    const over = await database
      .selectFrom("idempotency")
      .select("created_at")
      .where("created_at", "<=", cutoff)
      .orderBy("created_at")
      .limit(batch)
      .execute();
    const last = over.at(-1);
    if (last === undefined) return;
    await database.deleteFrom("idempotency").where("created_at", "<=", last.created_at).execute();
    await clock.sleep(pauseMs);
  }
}

/** Requests that count for no minute any more, of keys that have gone quiet; a busy key clears its own. */
export async function sweepRecentRequests({ database, clock }: RetentionPorts): Promise<void> {
  for (;;) {
    const cutoff = clock.now() - recentMs;
    const over = await database
      .selectFrom("recent_requests")
      .select("at")
      .where("at", "<=", cutoff)
      .orderBy("at")
      .limit(batch)
      .execute();
    const last = over.at(-1);
    if (last === undefined) return;
    await database.deleteFrom("recent_requests").where("at", "<=", last.at).execute();
    await clock.sleep(pauseMs);
  }
}

/** Files without a row, left by a program that died between storing and settling. */
async function sweepOrphans({ config, database, images, clock, removeUnfinished }: RetentionPorts): Promise<void> {
  // A picture's id carries the time at which its generation began.
  const youngest = clock.now() - orphanAgeMs - config.upstreamTimeoutMs;
  await removeUnfinished(youngest);
  for await (const id of images.list()) {
    if (timeOfId(id) > youngest) continue;
    const row = await database
      .selectFrom("images")
      .select("id")
      .where("id", "=", id)
      .where("deleted_at", "is", null)
      .executeTakeFirst();
    if (row === undefined) await images.delete(id);
  }
}
