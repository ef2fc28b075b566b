/** The client's pictures, checked and kept on disk while they arrive, for as long as their generation runs. */
import { createHash } from "node:crypto";
import { mkdirSync } from "node:fs";
import { type FileHandle, open, opendir, stat, unlink, utimes } from "node:fs/promises";
import { join } from "node:path";
import { PublicError } from "../errors.ts";
import { newId } from "../ids.ts";
import type { Clock, Logger, Random } from "../ports.ts";
import type { InputImage } from "../providers/input.ts";
import { PictureHead } from "./head.ts";
import type { PictureFacts } from "./inspect.ts";
import { PictureEnd } from "./whole.ts";

/** Chunks are collected up to this size: every write is a trip to another thread, which costs more than the copy. */
const batchBytes = 256 << 10;
/** So often a program says of its files that they are in use. */
const sweepEveryMs = 5_000;
/** After this long without a word the program that a file belongs to counts as dead. */
const silentMs = 30_000;

type InputFacts = Pick<InputImage, "contentType" | "width" | "height">;

/** What one picture of a request may be, and what errors call it. */
export interface InputRules {
  /** `image 3`, `the mask`. */
  name: string;
  maxBytes: number;
  /** GIF is accepted beside PNG, JPEG and WebP. Drawings (SVG) never are: they are programs as well. */
  gif?: boolean;
  /** `param` of errors; OpenAI itself names none. */
  param?: string;
}

export interface InputStore {
  /**
   * Checks and keeps a picture while it arrives. When this rejects, nothing of it is left and the source is closed.
   * @throws PublicError `invalid_image_file` when it is too large or no picture; what the source throws
   */
  take(source: AsyncIterable<Uint8Array> | Iterable<Uint8Array>, rules: InputRules): Promise<InputImage>;
  /** Removes pictures of this store; once more is fine. */
  release(images: readonly InputImage[]): Promise<void>;
  /** Says that this store's pictures are in use, and removes those that nobody has said this of for half a minute. */
  sweep(): Promise<void>;
}

/** @param folder created when missing, readable by its owner only */
export function createInputStore(folder: string, { clock, random }: { clock: Clock; random: Random }): InputStore {
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  const paths = new WeakMap<InputImage, string>();
  const inUse = new Set<string>();
  const remove = async (path: string) => {
    await unlink(path).catch(ignoreMissing);
    inUse.delete(path);
  };
  return {
    async take(source, rules) {
      const path = join(folder, newId("img", clock, random));
      inUse.add(path);
      let file: FileHandle | undefined;
      try {
        file = await open(path, "wx", 0o600);
        const spool = new Spool(file, rules);
        for await (const chunk of source) await spool.write(chunk);
        const { facts, bytes, sha256 } = await spool.end();
        await file.close();
        const image = { ...facts, bytes, sha256, open: () => Bun.file(path, { type: facts.contentType }) };
        paths.set(image, path);
        return image;
      } catch (error) {
        await file?.close().catch(() => {});
        await remove(path).catch(() => {});
        throw error;
      }
    },
    async release(images) {
      for (const image of images) {
        const path = paths.get(image);
        if (path !== undefined) await remove(path);
      }
    },
    async sweep() {
      const now = clock.now();
      for (const path of inUse) await utimes(path, now / 1000, now / 1000).catch(ignoreMissing);
      for await (const { name } of await opendir(folder)) {
        const path = join(folder, name);
        if (!/^img-[0-9a-z]{26}$/.test(name) || inUse.has(path)) continue;
        const saidAt = await stat(path).then(({ mtimeMs }) => mtimeMs, ignoreMissing);
        if (saidAt !== undefined && saidAt < now - silentMs) await unlink(path).catch(ignoreMissing);
      }
    },
  };
}

/** Sweeps at once and then every few seconds, until the signal aborts. On its own: it must not wait for a database. */
export async function keepInputs(
  { inputs, clock, logger }: { inputs: InputStore; clock: Clock; logger: Logger },
  signal: AbortSignal,
): Promise<void> {
  while (!signal.aborted) {
    await inputs.sweep().catch((error: unknown) => logger.warn({ err: error }, "could not sweep clients' pictures"));
    await clock.sleep(sweepEveryMs, signal);
  }
}

/** In OpenAI's words (§2.6). @param why ours, where there is more to say */
export function invalidImageFile({ name, param }: Pick<InputRules, "name" | "param">, why?: string): PublicError {
  const message =
    why === undefined
      ? `Invalid image file or mode for ${name}, please check your image file.`
      : `Invalid image file for ${name}: ${why}.`;
  return new PublicError("invalid_image_file", message, { param: param ?? null });
}

/** One picture on its way to disk. */
class Spool {
  private readonly file: FileHandle;
  private readonly rules: InputRules;
  private readonly hash = createHash("sha256");
  private batch: Buffer | undefined;
  private filled = 0;
  private bytes = 0;
  private readonly head = new PictureHead();
  private readonly ending = new PictureEnd();
  private facts: InputFacts | undefined;

  constructor(file: FileHandle, rules: InputRules) {
    this.file = file;
    this.rules = rules;
  }

  async write(chunk: Uint8Array): Promise<void> {
    const { maxBytes } = this.rules;
    this.bytes += chunk.length;
    if (this.bytes > maxBytes) throw invalidImageFile(this.rules, `it is larger than ${shownBytes(maxBytes)}`);
    if (this.facts === undefined) this.judge(this.head.add(chunk));
    this.ending.add(chunk);
    this.hash.update(chunk);
    if (this.filled + chunk.length > batchBytes) await this.flush();
    if (chunk.length >= batchBytes) return this.put(chunk);
    this.batch ??= Buffer.allocUnsafeSlow(batchBytes);
    this.batch.set(chunk, this.filled);
    this.filled += chunk.length;
  }

  async end(): Promise<{ facts: InputFacts; bytes: number; sha256: string }> {
    const facts = this.facts ?? this.judge(this.head.end());
    if (facts === undefined) throw invalidImageFile(this.rules);
    if (!this.ending.isWhole()) throw invalidImageFile(this.rules, "it is cut off");
    await this.flush();
    return { facts, bytes: this.bytes, sha256: this.hash.digest("hex") };
  }

  private judge(found: PictureFacts | "more" | null): InputFacts | undefined {
    if (found === "more") return undefined;
    if (found === null || !this.isInput(found)) throw invalidImageFile(this.rules);
    this.facts = found;
    return found;
  }

  private isInput(found: PictureFacts): found is InputFacts {
    return found.contentType !== "image/svg+xml" && (this.rules.gif || found.contentType !== "image/gif");
  }

  private async flush(): Promise<void> {
    if (this.batch !== undefined) await this.put(this.batch.subarray(0, this.filled));
    this.filled = 0;
  }

  private async put(bytes: Uint8Array): Promise<void> {
    for (let at = 0; at < bytes.length; ) at += (await this.file.write(bytes, at)).bytesWritten;
  }
}

const shownBytes = (bytes: number): string => (bytes % (1 << 20) === 0 ? `${bytes >> 20} MB` : `${bytes} bytes`);

function ignoreMissing(error: unknown): void {
  if ((error as { code?: string }).code !== "ENOENT") throw error;
}
