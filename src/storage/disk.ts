/** Picture bytes on the local disk: written beside their place, then renamed into it. */
import { mkdirSync } from "node:fs";
import { access, constants, type FileHandle, open, opendir, rename, unlink } from "node:fs/promises";
import { join } from "node:path";
import { timeOfId } from "../ids.ts";
import type { ImageStore, ImageWriter } from "../ports.ts";
import { type GroupedSync, groupedSync } from "./grouped-sync.ts";

/** Chunks are collected up to this size: every write is a trip to another thread, which costs more than the copy. */
const batchBytes = 256 << 10;

const idPattern = /^img-[0-9a-z]{26}$/;

/** @param folder created when missing, readable by its owner only */
export function openDiskStore(folder: string): ImageStore {
  const unfinished = join(folder, "unfinished");
  mkdirSync(unfinished, { recursive: true, mode: 0o700 });
  const pathOf = (id: string) => {
    // Ids come from our own rows, but a path is never built from anything else, whoever calls.
    if (!idPattern.test(id)) throw new Error("not an image id");
    return join(folder, id);
  };
  const names = groupedSync(folder);
  return {
    async create(id) {
      const finalPath = pathOf(id);
      const temporaryPath = join(unfinished, id);
      const file = await open(temporaryPath, "wx", 0o600);
      // Looked at with the temporary name in hand: nobody else can finish this id from here on.
      if (await Bun.file(finalPath).exists()) {
        await file.close();
        await unlink(temporaryPath);
        throw new Error("an image of this id is there already");
      }
      return writer(file, temporaryPath, finalPath, names);
    },
    async open(id) {
      const file = Bun.file(pathOf(id));
      return (await file.exists()) ? file : null;
    },
    async delete(id) {
      await unlink(pathOf(id)).catch(ignoreMissing);
    },
    async *list() {
      for await (const entry of await opendir(folder)) if (idPattern.test(entry.name)) yield entry.name;
    },
  };
}

/** @throws with the reason when nothing can be written */
export async function checkDiskStore(folder: string): Promise<void> {
  // Executable is what a folder is and a file in its place is not.
  await access(join(folder, "unfinished"), constants.W_OK | constants.X_OK);
}

/** Removes files that a crashed process left half-written. Younger ones may belong to another process on this folder. */
export async function removeUnfinished(folder: string, olderThanMs: number): Promise<void> {
  for await (const entry of await opendir(join(folder, "unfinished"))) {
    // By the time in the id, which is the router's clock; the file's own time is the disk's.
    if (!idPattern.test(entry.name) || timeOfId(entry.name) >= olderThanMs) continue;
    await unlink(join(folder, "unfinished", entry.name)).catch(ignoreMissing);
  }
}

function writer(file: FileHandle, temporaryPath: string, finalPath: string, names: GroupedSync): ImageWriter {
  let batch: Buffer | undefined;
  let filled = 0;
  let closed = false;
  /** A later writer may have the same id: this one touches the names only while they are its own. */
  let owned: string | undefined = temporaryPath;
  const put = async (bytes: Uint8Array) => {
    for (let at = 0; at < bytes.length; ) at += (await file.write(bytes, at)).bytesWritten;
  };
  const flush = async () => {
    if (batch !== undefined) await put(batch.subarray(0, filled));
    filled = 0;
  };
  const close = async () => {
    if (!closed) await file.close();
    closed = true;
  };
  return {
    async write(chunk) {
      if (filled + chunk.length > batchBytes) await flush();
      if (chunk.length >= batchBytes) return put(chunk);
      batch ??= Buffer.allocUnsafeSlow(batchBytes);
      batch.set(chunk, filled);
      filled += chunk.length;
    },
    async finish() {
      await flush();
      // On disk before it has its name, and the name before anybody counts on it: a power cut takes no paid picture.
      await file.datasync();
      await close();
      await rename(temporaryPath, finalPath);
      owned = finalPath;
      await names.flushed();
    },
    async abort() {
      await close().catch(() => {});
      if (owned !== undefined) await unlink(owned).catch(() => {});
      owned = undefined;
    },
  };
}

function ignoreMissing(error: unknown): void {
  if ((error as { code?: string }).code !== "ENOENT") throw error;
}
