/** The bytes of one part of a multipart body, for one reader. */
import type { Readable } from "node:stream";

export class PartReader implements AsyncIterable<Uint8Array> {
  /** Arrived and not read yet; null once nobody wants it any more. */
  #waiting: Uint8Array[] | null = [];
  #failure: Error | undefined;
  #ended = false;
  #changed = Promise.withResolvers<void>();

  /** @param part from here on everything that happens to it is seen, also before anybody reads; it is never held up */
  constructor(part: Readable) {
    part.on("data", (chunk: Uint8Array) => {
      this.#waiting?.push(chunk);
      this.#wake();
    });
    part.on("end", () => {
      this.#ended = true;
      this.#wake();
    });
    part.on("error", (error: Error) => this.fail(error));
  }

  /** Nothing more will come: the reader is told this. */
  fail(error: Error): void {
    this.#failure ??= error;
    this.#wake();
  }

  /** Resolves when what has arrived has been read, or will not be. */
  async caughtUp(): Promise<void> {
    while (this.#waiting !== null && this.#waiting.length > 0 && this.#failure === undefined)
      await this.#changed.promise;
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<Uint8Array> {
    try {
      for (;;) {
        if (this.#failure !== undefined) throw this.#failure;
        const chunk = this.#waiting?.shift();
        this.#wake();
        if (chunk !== undefined) yield chunk;
        else if (this.#ended) return;
        else await this.#changed.promise;
      }
    } finally {
      this.#waiting = null;
      this.#wake();
    }
  }

  #wake(): void {
    this.#changed.resolve();
    this.#changed = Promise.withResolvers();
  }
}
