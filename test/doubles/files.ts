/** Result files behind unguessable addresses that expire. */

export interface StoredFile {
  bytes: Uint8Array;
  contentType: string;
  expiresAtMs: number;
}

export class FileStore {
  readonly #files = new Map<string, { query: string; file: StoredFile }>();
  readonly #now: () => number;
  readonly #lifeMs: number;

  constructor(now: () => number, lifeMs: number) {
    this.#now = now;
    this.#lifeMs = lifeMs;
  }

  /** `path` must be unguessable. A link is only good together with its whole query (a signature, say). */
  put(path: string, query: string, bytes: Uint8Array, contentType: string): void {
    this.#files.set(path, { query, file: { bytes, contentType, expiresAtMs: this.#now() + this.#lifeMs } });
  }

  /** Whether a file was ever given out under this path. */
  knows(path: string): boolean {
    return this.#files.has(path);
  }

  get(path: string, query: string): StoredFile | undefined {
    const entry = this.#files.get(path);
    if (entry?.query !== query) return undefined;
    return entry.file.expiresAtMs > this.#now() ? entry.file : undefined;
  }

  expireAll(): void {
    for (const { file } of this.#files.values()) file.expiresAtMs = 0;
  }
}

/** Letters and digits no one guesses. */
export function unguessable(length = 24): string {
  const bytes = crypto.getRandomValues(new Uint8Array(length));
  return Array.from(bytes, (byte) => "abcdefghijklmnopqrstuvwxyz234567"[byte & 31]).join("");
}
