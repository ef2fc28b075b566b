/**
 * Places for calls of one credential, where its provider takes only so many jobs at once. Who waits is served fairly:
 * the keys take turns, each key's own calls in their order.
 */
export interface Slots {
  readonly running: number;
  readonly waiting: number;
  /**
   * Waits for a place.
   * @param caps most jobs at once, of the credential and of this upstream model; undefined: no limit
   * @returns gives the place back; null when the signal aborted first
   */
  enter(
    who: { keyHash: string; model: string },
    caps: { total: number | undefined; model: number | undefined },
    signal: AbortSignal,
  ): Promise<(() => void) | null>;
  /** A place for a job that runs upstream already, whether there is one or not. @returns gives it back */
  occupy(model: string): () => void;
}

interface Waiter {
  model: string;
  caps: { total: number | undefined; model: number | undefined };
  start(): void;
}

export function createSlots(): Slots {
  let running = 0;
  const runningOf = new Map<string, number>();
  /** In the order of turns: a key that was served goes to the end. */
  const queues = new Map<string, Waiter[]>();

  const fits = ({ model, caps }: Pick<Waiter, "model" | "caps">): boolean =>
    running < (caps.total ?? Number.POSITIVE_INFINITY) &&
    (runningOf.get(model) ?? 0) < (caps.model ?? Number.POSITIVE_INFINITY);

  function take(model: string): () => void {
    running += 1;
    runningOf.set(model, (runningOf.get(model) ?? 0) + 1);
    let given = false;
    return () => {
      if (given) return;
      given = true;
      running -= 1;
      runningOf.set(model, (runningOf.get(model) ?? 1) - 1);
      serve();
    };
  }

  function serve(): void {
    for (let next = takeNext(); next !== undefined; next = takeNext()) next.start();
  }

  /** The first in line that a place fits; its key goes to the end of the turns. */
  function takeNext(): Waiter | undefined {
    for (const [keyHash, queue] of queues) {
      const position = queue.findIndex(fits);
      if (position < 0) continue;
      const [waiter] = queue.splice(position, 1);
      queues.delete(keyHash);
      if (queue.length > 0) queues.set(keyHash, queue);
      return waiter;
    }
    return undefined;
  }

  return {
    get running() {
      return running;
    },
    get waiting() {
      return [...queues.values()].reduce((sum, queue) => sum + queue.length, 0);
    },
    occupy: take,
    enter({ keyHash, model }, caps, signal) {
      const asked = { model, caps };
      if (signal.aborted) return Promise.resolve(null);
      if (!queues.has(keyHash) && fits(asked)) return Promise.resolve(take(model));
      return new Promise((resolve) => {
        const queue = queues.get(keyHash) ?? [];
        const leave = () => {
          const left = queue.filter((other) => other !== waiter);
          queue.splice(0, queue.length, ...left);
          if (queue.length === 0) queues.delete(keyHash);
          resolve(null);
        };
        const waiter: Waiter = {
          ...asked,
          start() {
            signal.removeEventListener("abort", leave);
            resolve(take(model));
          },
        };
        queue.push(waiter);
        queues.set(keyHash, queue);
        signal.addEventListener("abort", leave, { once: true });
        serve();
      });
    },
  };
}
