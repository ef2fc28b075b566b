/**
 * Makes writes durable together: commits, and the names of new files. SQLite's `synchronous=FULL` would stop the whole program for each commit's flush;
 * with `NORMAL` it leaves the flush of the write-ahead log to us, and one flush, off the event loop, serves every
 * commit that came before it began. A commit counts as done only after its flush.
 */
import { close, closeSync, fdatasync, fsyncSync, open, openSync } from "node:fs";
import { dirname } from "node:path";
import { promisify } from "node:util";

const openFile = promisify(open);
const flush = promisify(fdatasync);
const closeFile = promisify(close);

export interface GroupedSync {
  /** Resolves once everything written there so far survives a power cut. */
  flushed(): Promise<void>;
  close(): Promise<void>;
}

/** @param path a write-ahead log, which stays the same file while its database is open, or a folder */
export function groupedSync(path: string): GroupedSync {
  let file: Promise<number> | undefined;
  let waiting: { resolve(): void; reject(error: unknown): void }[] = [];
  let flushing = false;

  async function flushAll(): Promise<void> {
    flushing = true;
    while (waiting.length > 0) {
      // Whoever comes from here on has written too late for this flush and waits for the next.
      const served = waiting;
      waiting = [];
      try {
        file ??= openFile(path, "r");
        await flush(await file);
        for (const { resolve } of served) resolve();
      } catch (error) {
        file = undefined;
        for (const { reject } of served) reject(error);
      }
    }
    flushing = false;
  }

  return {
    flushed() {
      const { promise, resolve, reject } = Promise.withResolvers<void>();
      waiting.push({ resolve, reject });
      if (!flushing) void flushAll();
      return promise;
    },
    async close() {
      if (file !== undefined) await closeFile(await file);
    },
  };
}

/** Makes the names of new files in this folder durable: a log without a name would be lost with its commits. */
export function syncFolderOf(path: string): void {
  const folder = openSync(dirname(path), "r");
  try {
    fsyncSync(folder);
  } finally {
    closeSync(folder);
  }
}
