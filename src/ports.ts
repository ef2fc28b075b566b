/** What the core needs from the outside world. Real implementations come in through `serve.ts`; tests hold their own. */

/** The time, in Unix milliseconds, and waiting. */
export interface Clock {
  now(): number;
  /** Resolves after `milliseconds`, or as soon as the signal aborts. Never rejects. */
  sleep(milliseconds: number, signal?: AbortSignal): Promise<void>;
}

/** Randomness for ids, secrets and jitter. */
export interface Random {
  bytes(count: number): Uint8Array;
}

/** Takes the bytes of one picture while they arrive. Nothing is visible under the id before `finish` has resolved. */
export interface ImageWriter {
  /** The chunk's memory is the caller's again once this has resolved. */
  write(chunk: Uint8Array): Promise<void>;
  /** Makes the bytes durable and visible. */
  finish(): Promise<void>;
  /** Forgets what has been written, finished or not. Never rejects. */
  abort(): Promise<void>;
}

/** Where picture bytes live: local disk, or an S3 bucket. Ids are `img-…`. */
export interface ImageStore {
  create(id: string): Promise<ImageWriter>;
  /** The stored bytes as a lazy Blob (`slice` for ranges), or null when there are none. */
  open(id: string): Promise<Blob | null>;
  /** Removes the bytes; removing what is not there is fine. */
  delete(id: string): Promise<void>;
  /** Ids of all stored pictures, for finding those that no generation owns. */
  list(): AsyncIterable<string>;
}

export interface Logger {
  debug(fields: object, message?: string): void;
  info(fields: object, message?: string): void;
  warn(fields: object, message?: string): void;
  error(fields: object, message?: string): void;
}

/**
 * Counts what happens, for whoever watches the router (`GET /metrics`). What tells the figures apart comes from small sets
 * only: ids of the catalogue, classes, codes and statuses; never a key, a prompt or a path as a client wrote it.
 */
export interface Metrics {
  /** A request has been answered, or its answer has begun. @param request `route` is the pattern; `code` an error's, or null */
  requestEnded(request: {
    method: string;
    route: string;
    status: number;
    code: string | null;
    durationMs: number;
  }): void;
  /** A generation's end is on record. */
  generationEnded(generation: {
    model: string;
    provider: string;
    operation: string;
    status: string;
    code: string | null;
    durationMs: number;
    images: number;
    costNanos: bigint;
  }): void;
  /**
   * An upstream call has ended.
   * @param attempt `model`: the upstream's name; `outcome`: `delivered`, or the class of its failure; `durationMs` without `queuedMs`
   */
  attemptEnded(attempt: {
    provider: string;
    model: string;
    outcome: string;
    durationMs: number;
    queuedMs: number;
  }): void;
  /** Calls that failed in passing are made again on the same route; `model` is the upstream's name. */
  retried(route: { provider: string; model: string }): void;
  /** The next candidate's turn has come; `toModel` is ours. */
  fellBack(change: { fromProvider: string; toProvider: string; toModel: string }): void;
  /** @returns to be called when the stream has ended */
  streamOpened(): () => void;
  /** All figures of this moment, in Prometheus' text format. */
  read(): Promise<{ contentType: string; text: string }>;
}

/** What metrics look up when they are read. */
export interface Watched {
  version: string;
  clock: Clock;
  /** Credentials by the labels that records have. */
  credentials(): Array<{
    provider: string;
    credential: string;
    running: number;
    waiting: number;
    parked: { reason: string; untilMs: number } | null;
    routes: Array<{ model: string; state: string }>;
  }>;
  generationsRunning(): number;
  /** Both of the whole database; null when it does not answer. */
  heldNanos(): Promise<bigint | null>;
  webhooksPending(): Promise<number | null>;
}

export const systemClock: Clock = {
  now: () => Date.now(),
  sleep(milliseconds, signal) {
    return new Promise((resolve) => {
      if (signal?.aborted) return resolve();
      const done = () => {
        clearTimeout(timer);
        signal?.removeEventListener("abort", done);
        resolve();
      };
      const timer = setTimeout(done, milliseconds);
      signal?.addEventListener("abort", done, { once: true });
    });
  },
};

export const systemRandom: Random = {
  bytes: (count) => crypto.getRandomValues(new Uint8Array(count)),
};
