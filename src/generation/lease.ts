/**
 * Ownership of running jobs: a lease in the database, renewed while the program lives. A job whose lease has run out
 * belongs to whoever claims it first. Settling checks the owner, so that a program that slept too long changes nothing.
 */
import type { Context } from "./context.ts";

/** Another program has the job: it took over after the lease had run out, or has ended it already. */
export class OwnershipLostError extends Error {
  override readonly name = "OwnershipLostError";
  constructor() {
    super("the generation belongs to another program by now");
  }
}

/** Short enough that a restarted program takes over within ten seconds, long enough to sit out a slow moment. */
export const leaseMs = 7_000;
const renewMs = 2_000;
/** After a renewal that failed every moment counts. */
const renewAgainMs = 100;

/** Renews the leases of everything that runs here, until the signal aborts. */
export async function keepLeases(context: Context, signal: AbortSignal): Promise<void> {
  let pauseMs = renewMs;
  for (;;) {
    await context.clock.sleep(pauseMs, signal);
    pauseMs = renewMs;
    if (signal.aborted) return;
    if (context.jobs.size === 0) continue;
    await context.database
      .updateTable("generations")
      .set({ lease_until: context.clock.now() + leaseMs })
      .where("id", "in", context.jobs.ids())
      .where("owner", "=", context.instance)
      .execute()
      .then(() => hearCancellations(context))
      .catch((error: unknown) => {
        pauseMs = renewAgainMs;
        context.logger.warn({ err: error }, "could not renew leases");
      });
  }
}

/** A cancellation may have been asked of another program on this database. */
async function hearCancellations(context: Context): Promise<void> {
  const asked = await context.database
    .selectFrom("generations")
    .select("id")
    .where("id", "in", context.jobs.ids())
    .where("owner", "=", context.instance)
    .where("cancel_requested", "=", 1)
    .execute();
  for (const { id } of asked) context.jobs.cancel(id);
}
