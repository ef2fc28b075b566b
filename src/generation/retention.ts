/**
 * Removes what has had its time: picture bytes after the hour, prompts as long as the operator says, files that no
 * generation owns. In small batches, so that requests never wait for it.
 */
import { timeOfId } from "../ids.ts";
import { linkLifeSeconds } from "../images/links.ts";
import type { Context } from "./context.ts";
import { withoutPrompts } from "./prompts.ts";

const batch = 200;
const everyMs = 5_000;
/** A file without a row may belong to a generation that is being settled; after this long it cannot. */
const orphanAgeMs = 2 * linkLifeSeconds * 1000;
const orphansEveryMs = 600_000;

export interface RetentionPorts extends Pick<Context, "config" | "database" | "images" | "clock" | "logger"> {
  /** Takes deleted text out of the database's files, where the database keeps it longer than its rows. */
  scrub(): Promise<void>;
  /** Removes half-written files older than this (Unix milliseconds). */
  removeUnfinished(olderThanMs: number): Promise<void>;
}

const wordless = (json: string): string => JSON.stringify(withoutPrompts(JSON.parse(json)));

/** Sweeps at once and then every few seconds, until the signal aborts. */
export async function keepSweeping(ports: RetentionPorts, signal: AbortSignal): Promise<void> {
  let orphansAt = 0;
  while (!signal.aborted) {
    try {
      await sweepImages(ports);
      await sweepPrompts(ports);
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
        await transaction
          .updateTable("generations")
          .set({ has_prompt: 0, requested: wordless(requested) })
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
            .set({ sent: wordless(sent) })
            .where("generation_id", "=", id)
            .where("sequence", "=", sequence)
            .execute();
        }
      }
    });
  }
  if (removed > 0) await scrub();
}

/** Files without a row, left by a program that died between storing and settling. */
async function sweepOrphans({ database, images, clock, removeUnfinished }: RetentionPorts): Promise<void> {
  const youngest = clock.now() - orphanAgeMs;
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
