/** Picture bytes on the local disk: written beside their place, then renamed into it. */
import { mkdirSync } from "node:fs";
import { type FileHandle, open, opendir, rename, stat, unlink } from "node:fs/promises";
import { join } from "node:path";
import type { ImageStore, ImageWriter } from "../ports.ts";

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
  return {
    create: async (id) => writer(await open(join(unfinished, id), "wx", 0o600), join(unfinished, id), pathOf(id)),
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

/** Removes files that a crashed process left half-written. Younger ones may belong to another process on this folder. */
export async function removeUnfinished(folder: string, olderThanMs: number): Promise<void> {
  for await (const entry of await opendir(join(folder, "unfinished"))) {
    const path = join(folder, "unfinished", entry.name);
    const { mtimeMs } = await stat(path).catch(() => ({ mtimeMs: Number.POSITIVE_INFINITY }));
    if (mtimeMs < olderThanMs) await unlink(path).catch(ignoreMissing);
  }
}

function writer(file: FileHandle, temporaryPath: string, finalPath: string): ImageWriter {
  let closed = false;
  const close = async () => {
    if (!closed) await file.close();
    closed = true;
  };
  return {
    async write(chunk) {
      for (let at = 0; at < chunk.length; ) at += (await file.write(chunk, at)).bytesWritten;
    },
    async finish() {
      // On disk before it has its name, so that a power cut never leaves a paid picture empty.
      await file.datasync();
      await close();
      await rename(temporaryPath, finalPath);
    },
    async abort() {
      await close().catch(() => {});
      await unlink(temporaryPath).catch(() => {});
      await unlink(finalPath).catch(() => {});
    },
  };
}

function ignoreMissing(error: unknown): void {
  if ((error as { code?: string }).code !== "ENOENT") throw error;
}
