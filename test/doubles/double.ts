/**
 * What all upstream doubles share: the server, the recorder, fault injection, result files, the bill.
 *
 * The server is node:http under Bun and not Bun.serve, because only there can an answer be spoilt on the wire:
 * `socket.destroy()` before or in the middle of an answer. Bun's fetch sees both as ECONNRESET (faults.test.ts).
 */
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { readBody } from "./body.ts";
import {
  type Fault,
  type FaultPlace,
  FaultQueue,
  isResultFault,
  type ResultFault,
  type Stage,
  worksFirst,
} from "./faults.ts";
import { FileStore } from "./files.ts";
import { base64Of, type PictureAsk, picture } from "./picture.ts";
import { deliver, sleep } from "./wire.ts";

export type { Fault, FaultPlace, ResultFault, Stage } from "./faults.ts";

export interface DoubleOptions {
  /** The accepted credential. */
  key?: string;
  /** Milliseconds since 1970, for links, lockouts and deadlines. Default Date.now. */
  now?: () => number;
  /** How long the vendor works on a create call before it answers. Default 0. */
  latencyMs?: number;
  /** Whether result files are served by the API's own origin or by another port, which is another origin. */
  fileOrigin?: "same" | "other";
  /** Default one hour: OpenAI 60 min (§2.2), Replicate 1 h (§4.1). */
  linkLifeMs?: number;
  /** What every picture is made of; for benchmarks. Default: `picture` of picture.ts. */
  paint?: (ask: PictureAsk) => Uint8Array;
}

export interface RecordedRequest {
  method: string;
  /** Without the query. */
  path: string;
  /** With its question mark, or empty. */
  query: string;
  /** Names in lower case. */
  headers: Record<string, string>;
  rawBody: Uint8Array;
  /** Parsed JSON; for multipart an object of texts and `File`s (an array where a name came twice); else undefined. */
  body: unknown;
  stage: Stage;
  /** Which server it came to. */
  host: "api" | "files";
  /** open: not yet over. aborted: the client left first. cut: the double closed the connection. */
  outcome: "open" | "answered" | "aborted" | "cut";
  /** The status sent, when one was. */
  status: number | undefined;
  /** The `usage` sent, whole: absent where the answer has none, or was spoilt, or its stream ended before it. */
  usage?: Record<string, unknown>;
}

/** One call, as a vendor's double sees it. */
export interface Call {
  request: RecordedRequest;
  /** Aborts when the client leaves. */
  signal: AbortSignal;
  fault: ResultFault | undefined;
}

export interface Reply {
  status: number;
  headers?: Record<string, string>;
  body: string | Uint8Array;
  /** An event stream: sent instead of `body`, without a length. */
  events?: readonly StreamEvent[];
  /** The pause before every event. */
  pauseMs?: number;
  /** Pictures the vendor charges for with this answer. Of a stream: said by its events. */
  billed?: number;
  /** What the answer says in `usage`. Of a stream: said by its events. */
  usage?: Record<string, unknown>;
}

export interface StreamEvent {
  /** With its empty line. */
  text: string;
  /** Pictures that are charged for from this event on. */
  billed?: number;
  usage?: Record<string, unknown>;
}

/** A vendor's own defaults. */
export interface DoubleDefaults {
  key: string;
  fileOrigin: "same" | "other";
}

export interface Double {
  /** The base a client is given: with /v1 where the vendor's clients have it. */
  readonly url: string;
  readonly origin: string;
  /** Where result files are served: the same as `origin`, or another port. */
  readonly fileOrigin: string;
  readonly key: string;
  /** Everything that arrived, in order of arrival, file downloads included. */
  readonly requests: readonly RecordedRequest[];
  /** The last one that was not a file download. */
  readonly lastRequest: RecordedRequest | undefined;
  /** Pictures the real vendor would have charged for. */
  readonly billed: number;
  /** `authorization` headers that arrived with a file download. Credentials belong to the API origin alone. */
  readonly credentialsAtFiles: readonly string[];
  /** Settable at any time; holds for calls that arrive from then on. */
  latencyMs: number;
  requestsAt(stage: Stage): RecordedRequest[];
  /** Resolves once this many requests of the stage have arrived. Default 1 at create. */
  arrived(count?: number, stage?: Stage): Promise<void>;
  /** Resolves when no request is open any more, so that every `outcome` is final. */
  idle(): Promise<void>;
  next(fault: Fault, place?: FaultPlace): void;
  always(fault: Fault, place?: Pick<FaultPlace, "on">): void;
  /** Ends all faults, the queued ones too. */
  clear(): void;
  /** Every link given out so far is over. */
  expireLinks(): void;
  stop(): Promise<void>;
}

/** The base of all doubles: a vendor's says which stage a call belongs to, and what the answer is. */
export abstract class DoubleServer implements Double {
  readonly requests: RecordedRequest[] = [];
  readonly files: FileStore;
  readonly now: () => number;
  readonly key: string;
  readonly origin: string;
  readonly fileOrigin: string;
  readonly linkLifeMs: number;
  latencyMs: number;
  #billed = 0;
  #pictures = 0;
  #open = 0;
  readonly #faults = new FaultQueue();
  readonly #watchers = new Set<() => void>();
  readonly #servers: ReturnType<typeof createServer>[] = [];
  readonly #paint: (ask: PictureAsk) => Uint8Array;

  /** What the vendor's file host answers for a link that has expired or never was. */
  protected abstract readonly goneFile: Reply;
  protected abstract stage(method: string, path: string): Stage;
  protected abstract answer(call: Call): Promise<Reply> | Reply;

  constructor(defaults: DoubleDefaults, options: DoubleOptions) {
    this.#paint = options.paint ?? picture;
    this.now = options.now ?? Date.now;
    this.key = options.key ?? defaults.key;
    this.latencyMs = options.latencyMs ?? 0;
    this.linkLifeMs = options.linkLifeMs ?? 3_600_000;
    this.files = new FileStore(this.now, this.linkLifeMs);
    this.origin = this.#listen("api");
    const sameOrigin = (options.fileOrigin ?? defaults.fileOrigin) === "same";
    this.fileOrigin = sameOrigin ? this.origin : this.#listen("files");
  }

  get url(): string {
    return this.origin;
  }

  get lastRequest(): RecordedRequest | undefined {
    return this.requests.findLast((request) => request.stage !== "file");
  }

  get billed(): number {
    return this.#billed;
  }

  get credentialsAtFiles(): string[] {
    return this.requestsAt("file").flatMap((request) => request.headers.authorization ?? []);
  }

  requestsAt(stage: Stage): RecordedRequest[] {
    return this.requests.filter((request) => request.stage === stage);
  }

  arrived(count = 1, stage: Stage = "create"): Promise<void> {
    return this.#until(() => this.requestsAt(stage).length >= count);
  }

  idle(): Promise<void> {
    return this.#until(() => this.#open === 0);
  }

  next(fault: Fault, place?: FaultPlace): void {
    this.#faults.next(fault, place);
  }

  always(fault: Fault, place?: Pick<FaultPlace, "on">): void {
    this.#faults.always(fault, place);
  }

  clear(): void {
    this.#faults.clear();
  }

  expireLinks(): void {
    this.files.expireAll();
  }

  async stop(): Promise<void> {
    for (const server of this.#servers) {
      server.close();
      server.closeAllConnections();
    }
    await this.idle();
  }

  /** The picture asked for, or what the call's fault makes of it. Pictures without a seed of their own all differ. */
  paint(ask: PictureAsk, fault: ResultFault | undefined): Uint8Array {
    this.#pictures += 1;
    const spoilt = { seed: this.#pictures, ...ask };
    if (fault?.kind === "dimensions") Object.assign(spoilt, { width: fault.width, height: fault.height });
    if (fault?.kind === "pictureType") spoilt.type = fault.type;
    return this.#paint(spoilt);
  }

  paintBase64(ask: PictureAsk, fault: ResultFault | undefined): string {
    return base64Of(this.paint(ask, fault));
  }

  #listen(host: "api" | "files"): string {
    const server = createServer((incoming, response) => {
      this.#handle(host, incoming, response).catch((error) => {
        // A bug of the double, not a fault it plays: say so loudly, so that no test takes it for an upstream's.
        console.error("upstream double failed:", error);
        response.socket?.destroy();
      });
    });
    this.#servers.push(server);
    // Bun binds at once, so the address is known without waiting for "listening".
    server.listen(0, "127.0.0.1");
    const address = server.address() as AddressInfo | null;
    if (!address) throw new Error("upstream double could not listen");
    return `http://127.0.0.1:${address.port}`;
  }

  async #handle(host: "api" | "files", incoming: IncomingMessage, response: ServerResponse): Promise<void> {
    const left = new AbortController();
    this.#open += 1;
    const request = this.#record(host, incoming);
    response.on("close", () => {
      if (request.outcome === "open") request.outcome = response.writableFinished ? "answered" : "aborted";
      if (request.outcome === "aborted") left.abort();
      this.#open -= 1;
      this.#notify();
    });
    await readBody(request, incoming);
    // As it is when the call arrives: whoever waits for that may change it at once.
    const { latencyMs } = this;
    this.requests.push(request);
    this.#notify();
    if (request.outcome !== "open") return;
    const fault = this.#faults.take(request.stage);
    const call: Call = { request, signal: left.signal, fault: fault && isResultFault(fault) ? fault : undefined };
    let reply: Reply = { status: 500, body: "the double did not work on this call" };
    if (!fault || worksFirst(fault)) {
      reply = await this.#answer(call);
      if (!reply.events) this.#billed += reply.billed ?? 0;
      if (request.stage === "create") await sleep(latencyMs, left.signal);
    }
    await deliver(response, call, reply, fault, (pictures) => {
      this.#billed += pictures;
    });
  }

  #record(host: "api" | "files", incoming: IncomingMessage): RecordedRequest {
    const target = new URL(incoming.url ?? "/", "http://double");
    const headers: Record<string, string> = {};
    for (const [name, value] of Object.entries(incoming.headers)) headers[name] = String(value);
    const method = incoming.method ?? "GET";
    const isFile = host === "files" || (this.fileOrigin === this.origin && this.files.knows(target.pathname));
    const stage = isFile ? "file" : this.stage(method, target.pathname);
    const rawBody = new Uint8Array();
    const path = target.pathname;
    const query = target.search;
    return { method, path, query, headers, rawBody, body: undefined, stage, host, outcome: "open", status: undefined };
  }

  async #answer(call: Call): Promise<Reply> {
    const { request } = call;
    if (request.stage !== "file") return this.answer(call);
    const file = this.files.get(request.path, request.query);
    if (!file) return this.goneFile;
    return { status: 200, headers: { "content-type": file.contentType }, body: file.bytes };
  }

  #notify(): void {
    for (const watcher of [...this.#watchers]) watcher();
  }

  async #until(holds: () => boolean): Promise<void> {
    if (holds()) return;
    await new Promise<void>((resolve) => {
      const watcher = () => {
        if (!holds()) return;
        this.#watchers.delete(watcher);
        resolve();
      };
      this.#watchers.add(watcher);
    });
  }
}

/** Answers are JSON nearly everywhere. */
export function json(status: number, body: unknown, headers: Record<string, string> = {}): Reply {
  return { status, headers: { "content-type": "application/json", ...headers }, body: JSON.stringify(body) };
}

/** A magic word in a prompt, as `[[429]]` or `[[fail:E005]]`: the text between the brackets (§11.7). */
export function magicWord(prompt: unknown): string | undefined {
  return typeof prompt === "string" ? /\[\[([^\]]+)\]\]/.exec(prompt)?.[1] : undefined;
}

/** How many of the pictures asked for are made. */
export function countMade(fault: ResultFault | undefined, asked: number): number {
  if (fault?.kind === "emptyData") return 0;
  return fault?.kind === "fewer" ? Math.min(asked, fault.images) : asked;
}
