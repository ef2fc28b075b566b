/**
 * What the doubles of self-hosted OpenAI-compatible servers share (upstream-apis.md §7).
 *
 * These servers pass over much of what they do not know or cannot do and answer 200 all the same. What was passed over
 * is in `ignored`, what was really made is in `made`: a test asks for both, because the answer shows neither.
 */
import { type Call, type DoubleOptions, DoubleServer, type RecordedRequest, type Reply } from "./double.ts";
import { FileStore } from "./files.ts";
import type { PictureAsk, PictureType } from "./picture.ts";
import type { InputImage } from "./selfhosted-inputs.ts";

export interface SelfHostedOptions extends DoubleOptions {
  /** The model the server was started with. */
  model?: string;
}

/** One call that made pictures, as the server understood it. */
export interface Made {
  prompt: string;
  negativePrompt: string | undefined;
  width: number;
  height: number;
  n: number;
  type: PictureType;
  /** undefined: random. */
  seed: number | undefined;
  images: InputImage[];
  mask: InputImage | undefined;
  /** Everything else that had an effect, under the server's own names. */
  settings: Record<string, unknown>;
}

export interface Size {
  width: number;
  height: number;
}

export abstract class SelfHosted extends DoubleServer {
  readonly model: string;
  /** Fields that arrived and had no effect, in order of arrival, each as often as it came. */
  readonly ignored: string[] = [];
  readonly made: Made[] = [];
  override readonly files: GuardedFiles = new GuardedFiles(this.now, this.linkLifeMs, () => this.#mayFetch());

  protected abstract readonly unauthorized: Reply;
  protected abstract readonly noSuchFile: Reply;
  protected abstract route(call: Call): Promise<Reply> | Reply;

  /** Without a key the server is open. Files stay until someone deletes them (`expireLinks`). */
  constructor(model: string, options: SelfHostedOptions) {
    super({ key: "", fileOrigin: "same" }, { linkLifeMs: Number.POSITIVE_INFINITY, ...options });
    this.model = options.model ?? model;
  }

  override get url(): string {
    return `${this.origin}/v1`;
  }

  protected get goneFile(): Reply {
    return this.#mayFetch() ? this.noSuchFile : this.unauthorized;
  }

  protected answer(call: Call): Promise<Reply> | Reply {
    return this.isAuthorized(call.request) ? this.route(call) : this.unauthorized;
  }

  protected isAuthorized(request: RecordedRequest): boolean {
    return this.key === "" || request.headers.authorization === `Bearer ${this.key}`;
  }

  /** Asked while a download is being answered, synchronously: its request is the last one recorded. */
  #mayFetch(): boolean {
    const request = this.requests.at(-1);
    // Another port plays a cloud store, which knows nothing of the server's key.
    return request?.host === "files" || (request !== undefined && this.isAuthorized(request));
  }

  /** Notes the fields nobody will look at. A null says nothing, and `user` is for logs alone. */
  protected passOver(body: Record<string, unknown>, known: readonly string[]): void {
    for (const [name, value] of Object.entries(body)) {
      if (value !== null && name !== "user" && !known.includes(name)) this.ignored.push(name);
    }
  }

  /** The pictures of one call. One seed and prompt give the same bytes again, the next picture has the next seed. */
  protected paintAll(call: Call, made: Made, count: number): Uint8Array[] {
    this.made.push(made);
    const { width, height, type, prompt } = made;
    return Array.from({ length: count }, (_, index) => {
      const ask: PictureAsk = { width, height, type };
      if (made.seed !== undefined) ask.seed = (Bun.hash.crc32(prompt) + made.seed + index) & 0xffffff;
      return this.paint(ask, call.fault);
    });
  }

  protected nowSeconds(): number {
    return Math.floor(this.now() / 1000);
  }
}

/** Result files that want the server's key as every other path does, and of which one path may have several. */
class GuardedFiles extends FileStore {
  readonly #paths = new Set<string>();
  readonly #mayFetch: () => boolean;

  constructor(now: () => number, lifeMs: number, mayFetch: () => boolean) {
    super(now, lifeMs);
    this.#mayFetch = mayFetch;
  }

  override put(path: string, query: string, bytes: Uint8Array, contentType: string): void {
    this.#paths.add(path);
    super.put(path + query, query, bytes, contentType);
  }

  override knows(path: string): boolean {
    return this.#paths.has(path);
  }

  override get(path: string, query: string) {
    return this.#mayFetch() ? super.get(path + query, query) : undefined;
  }
}

export function isFields(body: unknown): body is Record<string, unknown> {
  return typeof body === "object" && body !== null && !Array.isArray(body);
}

/** Bytes of a type the encoders of picture.ts have; `jpg` is how most of these servers say jpeg too. */
export function pictureType(name: string): PictureType | undefined {
  if (name === "jpg" || name === "jpeg") return "jpeg";
  return name === "png" || name === "webp" ? name : undefined;
}
