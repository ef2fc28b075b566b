/** The generations that run in this program. They hang on nobody's socket: a client may leave, the job goes on. */
import type { Clock, Logger } from "../ports.ts";
import type { FinishedGeneration } from "./finished.ts";

export interface Jobs {
  /** Runs the job apart from its caller. The returned promise is the job's end; nobody has to wait for it. */
  start(id: string, work: (cancel: AbortSignal) => Promise<FinishedGeneration>): Promise<FinishedGeneration>;
  /** Asks a job that runs here to stop; its end tells what became of it. */
  cancel(id: string): void;
  /** The end of a job that runs here. */
  find(id: string): Promise<FinishedGeneration> | undefined;
  readonly size: number;
  /** Ids of what runs now. */
  ids(): string[];
  /** Counts what is about to become a job: while it is being admitted, a draining program must not end under it. */
  entering<T>(work: () => Promise<T>): Promise<T>;
  /** Waits until nothing runs or is being admitted, at most this long. @returns how many still run */
  drain(timeoutMs: number): Promise<number>;
}

export function createJobs(ports: { clock: Clock; logger: Logger }): Jobs {
  const running = new Map<string, Promise<FinishedGeneration>>();
  const cancels = new Map<string, AbortController>();
  const entering = new Set<Promise<unknown>>();
  return {
    start(id, work) {
      const cancel = new AbortController();
      const job = work(cancel.signal).finally(() => {
        running.delete(id);
        cancels.delete(id);
      });
      running.set(id, job);
      cancels.set(id, cancel);
      // A failure that nobody waits for must not end the program; whoever waits sees it as well.
      job.catch((error: unknown) =>
        ports.logger.error({ generation: id, err: error }, "generation ended unexpectedly"),
      );
      return job;
    },
    cancel: (id) => cancels.get(id)?.abort(),
    find: (id) => running.get(id),
    get size() {
      return running.size;
    },
    ids: () => [...running.keys()],
    async entering(work) {
      const entry = work();
      entering.add(entry);
      try {
        return await entry;
      } finally {
        entering.delete(entry);
      }
    },
    async drain(timeoutMs) {
      const over = new AbortController();
      const timeout = ports.clock.sleep(timeoutMs, over.signal).then(() => "timeout");
      while (running.size + entering.size > 0) {
        const all = Promise.allSettled([...running.values(), ...entering]);
        if ((await Promise.race([all, timeout])) === "timeout") break;
      }
      over.abort();
      return running.size;
    },
  };
}
