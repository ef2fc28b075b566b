/** Writing what must not be lost although the database cannot take it now: it is tried again while the job lives. */
import { DatabaseUnavailableError } from "../database.ts";
import type { Attempt } from "./attempts.ts";
import type { Context } from "./context.ts";

/** Also at the end of a long attempt: the pictures are there, and a lock or a full disk often passes soon. */
const leastMs = 30_000;
const firstDelayMs = 50;
const maxDelayMs = 2_000;

/** When the attempts' lives are over, Unix milliseconds; never sooner than half a minute from now. */
export function lifeEnd({ clock, config }: Context, attempts: ReadonlyArray<Pick<Attempt, "startedAt">>): number {
  return Math.max(clock.now() + leastMs, ...attempts.map(({ startedAt }) => startedAt + config.upstreamTimeoutMs));
}

/**
 * @param until Unix milliseconds
 * @throws DatabaseUnavailableError when the database could not do it until then; anything else at once
 */
export async function persist<T>(
  { clock, logger }: Pick<Context, "clock" | "logger">,
  until: number,
  work: () => Promise<T>,
): Promise<T> {
  for (let delayMs = firstDelayMs; ; delayMs = Math.min(delayMs * 2, maxDelayMs)) {
    try {
      return await work();
    } catch (error) {
      if (!(error instanceof DatabaseUnavailableError) || clock.now() + delayMs > until) throw error;
      logger.warn({ err: error }, "the database could not take an outcome; it is tried again");
    }
    await clock.sleep(delayMs);
  }
}
