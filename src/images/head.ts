/** The beginning of a picture that is still arriving, kept until it tells what the picture is. */
import { inspect, type PictureFacts } from "./inspect.ts";

/** A JPEG may carry colour profiles and previews before its dimensions; nothing honest needs more than this. */
export const maxHeadBytes = 1 << 20;
const firstKeptBytes = 4 << 10;

/**
 * Looks at the first chunk, and then whenever twice as much has arrived: nobody can send single bytes of which each costs
 * as much as all before it.
 */
export class PictureHead {
  #kept: Buffer = Buffer.alloc(0);
  #filled = 0;
  #nextLookBytes = firstKeptBytes;

  /**
   * @param chunk the memory stays the caller's
   * @returns as `inspect` does; null too where the head does not end
   */
  add(chunk: Uint8Array): PictureFacts | "more" | null {
    if (this.#filled === 0) {
      // Nearly always the first chunk tells everything: then nothing is copied.
      const found = inspect(chunk);
      if (found !== "more") return found;
    }
    this.#keep(chunk);
    const isTooLong = this.#filled > maxHeadBytes;
    if (this.#filled < this.#nextLookBytes && !isTooLong) return "more";
    this.#nextLookBytes = 2 * this.#filled;
    const found = inspect(this.#kept.subarray(0, this.#filled));
    return found === "more" && isTooLong ? null : found;
  }

  /** What the bytes tell when no more will come. */
  end(): PictureFacts | null {
    const found = inspect(this.#kept.subarray(0, this.#filled));
    return found === "more" ? null : found;
  }

  #keep(chunk: Uint8Array): void {
    const bytes = this.#filled + chunk.length;
    if (bytes > this.#kept.length) {
      const larger = Buffer.allocUnsafeSlow(Math.max(firstKeptBytes, 2 * this.#kept.length, bytes));
      larger.set(this.#kept.subarray(0, this.#filled));
      this.#kept = larger;
    }
    this.#kept.set(chunk, this.#filled);
    this.#filled = bytes;
  }
}
