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
