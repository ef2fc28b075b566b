/** The generations that run in this program. They hang on nobody's socket: a client may leave, the job goes on. */
import type { Clock, Logger } from "../ports.ts";
import type { FinishedGeneration } from "./finished.ts";

export interface Jobs {
  /** Runs the job apart from its caller. The returned promise is the job's end; nobody has to wait for it. */
  start(id: string, work: () => Promise<FinishedGeneration>): Promise<FinishedGeneration>;
  readonly size: number;
  /** Ids of what runs now. */
  ids(): string[];
  /** Waits until nothing runs, at most this long. @returns how many still run */
  drain(timeoutMs: number): Promise<number>;
}

export function createJobs(ports: { clock: Clock; logger: Logger }): Jobs {
  const running = new Map<string, Promise<FinishedGeneration>>();
  return {
    start(id, work) {
      const job = work().finally(() => running.delete(id));
      running.set(id, job);
      // A failure that nobody waits for must not end the program; whoever waits sees it as well.
      job.catch((error: unknown) =>
        ports.logger.error({ generation: id, err: error }, "generation ended unexpectedly"),
      );
      return job;
    },
    get size() {
      return running.size;
    },
    ids: () => [...running.keys()],
    async drain(timeoutMs) {
      const over = new AbortController();
      const timeout = ports.clock.sleep(timeoutMs, over.signal).then(() => "timeout");
      while (running.size > 0) {
        const all = Promise.allSettled(running.values());
        if ((await Promise.race([all, timeout])) === "timeout") break;
      }
      over.abort();
      return running.size;
    },
  };
}
