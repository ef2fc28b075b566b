/** Delivers events in the background: several at a time, few to one host, on as many programs as share the database. */
import { attempt, claim, nextDue } from "./deliver.ts";
import type { DeliveryPorts } from "./ports.ts";
import { sweepSecrets } from "./secrets.ts";

const lookMs = 500;
const atOnce = 8;
const atOncePerHost = 2;
/** One key has as many hosts as it likes, and all of them may hang: the others' events must have room beside. */
const atOncePerKey = 4;
const sweepEveryMs = 60_000;
/** How long the log keeps what has ended, counted from the event. */
export const logLifeMs = 7 * 24 * 3_600_000;
const sweepBatch = 200;
/** Requests that arrive while one batch is at work are served before the next. */
const pauseMs = 10;

/** Delivers what is due, until the signal aborts; then it waits briefly for the answers that are on their way. */
export async function keepDelivering(ports: DeliveryPorts, signal: AbortSignal): Promise<void> {
  const { clock, logger } = ports;
  const running = new Map<string, { host: string; key: string; end: Promise<void> }>();
  let wake = new AbortController();
  let sweepAt = 0;
  signal.addEventListener("abort", () => wake.abort(), { once: true });
  for (;;) {
    // Before looking: an attempt that ends meanwhile must not be missed.
    wake = new AbortController();
    if (signal.aborted) break;
    try {
      await startDue();
      if (clock.now() >= sweepAt) {
        await sweep(ports);
        sweepAt = clock.now() + sweepEveryMs;
      }
    } catch (error) {
      logger.warn({ err: error }, "webhooks could not be looked at; it is tried again");
    }
    await clock.sleep(lookMs, wake.signal);
  }
  await Promise.all([...running.values()].map(({ end }) => end));

  async function startDue(): Promise<void> {
    while (running.size < atOnce && !signal.aborted) {
      const due = await nextDue(ports, { ...busy(), ids: [...running.keys()] });
      if (due === undefined) return;
      const claimed = await claim(ports, due);
      if (claimed === null) continue;
      const { id, host, key_hash: key } = claimed;
      const end = attempt(ports, claimed, signal)
        // What could not be recorded is due again when its claim has run out.
        .catch((error: unknown) => logger.warn({ event: id, err: error }, "a webhook's end could not be recorded"))
        .finally(() => {
          running.delete(id);
          wake.abort();
        });
      running.set(id, { host, key, end });
    }
  }

  function busy(): { hosts: string[]; keys: string[] } {
    const hosts = [...running.values()].map(({ host }) => host);
    const keys = [...running.values()].map(({ key }) => key);
    return { hosts: atLeast(atOncePerHost, hosts), keys: atLeast(atOncePerKey, keys) };
  }
}

/** What occurs so often, once each. */
function atLeast(times: number, values: readonly string[]): string[] {
  const counts = new Map<string, number>();
  for (const value of values) counts.set(value, (counts.get(value) ?? 0) + 1);
  return [...counts].flatMap(([value, count]) => (count >= times ? [value] : []));
}

/** Removes what the log has kept long enough, and secrets that sign no more. */
export async function sweep({ database, clock }: Pick<DeliveryPorts, "database" | "clock">): Promise<void> {
  await sweepSecrets(database, clock.now());
  for (;;) {
    const old = await database
      .selectFrom("webhook_deliveries")
      .select("id")
      .where("created_at", "<=", clock.now() - logLifeMs)
      .where("status", "<>", "pending")
      .limit(sweepBatch)
      .execute();
    if (old.length === 0) return;
    const ids = old.map(({ id }) => id);
    await database.deleteFrom("webhook_deliveries").where("id", "in", ids).execute();
    await clock.sleep(pauseMs);
  }
}
