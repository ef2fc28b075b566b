/** Canceling: upstream where it can be; what the upstream says it delivered is charged, nothing else. */
import type { Context } from "./context.ts";

/** How long a cancellation is waited for before the answer says that it is under way. */
const patienceMs = 5_000;

/** Asks for the end of a generation that runs; one that has ended stays as it is. */
export async function cancelGeneration(context: Context, id: string): Promise<void> {
  const asked = await context.database
    .updateTable("generations")
    .set({ cancel_requested: 1 })
    .where("id", "=", id)
    .where("status", "in", ["queued", "running"])
    .executeTakeFirst();
  if (asked.numUpdatedRows === 0n) return;
  const job = context.jobs.find(id);
  context.jobs.cancel(id);
  const enough = new AbortController();
  // Elsewhere it is heard within a few seconds.
  await Promise.race([job?.catch(() => {}) ?? new Promise(() => {}), context.clock.sleep(patienceMs, enough.signal)]);
  enough.abort();
}
