/**
 * Black Forest Labs' own API as upstream-apis.md §5 has it, for the models of bfl-models.ts.
 *
 * Prompts drive it too: `[[402]]`, `[[403]]`, `[[429]]`, `[[500]]`, `[[503]]`; `[[moderate]]` (the input is refused),
 * `[[moderate:output]]`, `[[fail:<status>]]`, `[[fail:<text>]]` (status Error). A refusal is never an HTTP error.
 */
import { Cluster } from "./bfl-cluster.ts";
import { defectsOfBody, type Input, unprocessable } from "./bfl-fastapi.ts";
import { picturesOf } from "./bfl-images.ts";
import { BFL_MODELS, creditsFor, MEGAPIXEL, type Size } from "./bfl-models.ts";
import {
  type BflProgress,
  type BflTask,
  endedAtMs,
  endingAsked,
  isBilled,
  isOver,
  notePoll,
  shown,
} from "./bfl-task.ts";
import { type Call, countMade, type DoubleOptions, DoubleServer, json, magicWord, type Reply } from "./double.ts";
import type { Fault, Stage } from "./faults.ts";
import { unguessable } from "./files.ts";
import type { PictureType } from "./picture.ts";

export { BFL_MODELS } from "./bfl-models.ts";
export type { BflTask } from "./bfl-task.ts";

/** The sources disagree about error bodies: `{"detail":"…"}`, or the agent guide's `{"error","message","details"}`. */
export type BflErrorFamily = "fastapi" | "guide";

export interface BflOptions extends DoubleOptions {
  /** How tasks come along from now on. Default 20 ms. */
  progress?: BflProgress;
  /** Whether `polling_url` is of the API's own origin or of another, as a cluster's (§11.4). Default same. */
  pollOrigin?: "same" | "other";
  errors?: BflErrorFamily;
  /** Tasks active at once. Default 24, and of those at most 6 of flux-kontext-max [M]. */
  maxActive?: number;
  maxActiveKontextMax?: number;
  /** Balance at the start. Default 100,000. */
  credits?: number;
}

export type BflDouble = BflServer;

export function startBfl(options: BflOptions = {}): BflDouble {
  return new BflServer(options);
}

/** Words [U]. A bad key is 403 in one family and 401 in the other. */
const ERRORS = {
  invalid_api_key: { status: 403, guideStatus: 401, message: "Not authenticated - Invalid Authentication" },
  insufficient_credits: { status: 402, guideStatus: 402, message: "Insufficient credits to perform this request" },
  forbidden: { status: 403, guideStatus: 403, message: "API key lacks access to the resource" },
  rate_limit_exceeded: { status: 429, guideStatus: 429, message: "Too many concurrent requests" },
  internal_server_error: { status: 500, guideStatus: 500, message: "Internal Server Error" },
  service_unavailable: { status: 503, guideStatus: 503, message: "Service temporarily unavailable" },
} as const;
type ErrorName = keyof typeof ERRORS;

const WORDS: Record<string, ErrorName> = {
  "402": "insufficient_credits",
  "403": "forbidden",
  "429": "rate_limit_exceeded",
  "500": "internal_server_error",
  "503": "service_unavailable",
};

function failure(name: ErrorName, family: BflErrorFamily): { status: number; body: unknown } {
  const { status, guideStatus, message } = ERRORS[name];
  if (family === "fastapi") return { status, body: { detail: message } };
  const retry = name === "rate_limit_exceeded" ? { retry_after: 5 } : {};
  return { status: guideStatus, body: { error: name, message, details: {}, ...retry } };
}

/** A documented error as a fault: `double.next(bflFault("service_unavailable"))`. */
export function bflFault(name: ErrorName, family: BflErrorFamily = "fastapi"): Fault {
  return { kind: "answer", ...failure(name, family) };
}

class BflServer extends DoubleServer {
  /** Settable at any time; holds for tasks created from then on. */
  progress: BflProgress;
  maxActive: number;
  maxActiveKontextMax: number;
  errors: BflErrorFamily;
  readonly #startCredits: number;
  readonly #cluster: Cluster | undefined;
  readonly #tasks = new Map<string, BflTask>();
  #peakActive = 0;

  /** The delivery host is a blob store; its words are [U]. */
  protected readonly goneFile: Reply = {
    status: 403,
    headers: { "content-type": "application/xml" },
    body: '<?xml version="1.0" encoding="utf-8"?><Error><Code>AuthenticationFailed</Code></Error>',
  };

  constructor(options: BflOptions) {
    super({ key: "bfl_double0123456789", fileOrigin: "other" }, { linkLifeMs: 10 * 60_000, ...options });
    this.progress = options.progress ?? { runMs: 20 };
    this.maxActive = options.maxActive ?? 24;
    this.maxActiveKontextMax = options.maxActiveKontextMax ?? 6;
    this.errors = options.errors ?? "fastapi";
    this.#startCredits = options.credits ?? 100_000;
    this.#cluster = options.pollOrigin === "other" ? new Cluster(this.origin) : undefined;
  }

  override get url(): string {
    return `${this.origin}/v1`;
  }

  /** The origin of every `polling_url`. */
  get pollOrigin(): string {
    return this.#cluster?.origin ?? this.origin;
  }

  /** In order of creation, with the pictures that came along. A router that resumes leaves one per job. */
  get tasks(): readonly BflTask[] {
    return [...this.#tasks.values()];
  }

  /** Counted when read: tasks end by the clock, whether or not anybody asks for them. */
  override get billed(): number {
    return this.#billedTasks().length;
  }

  get billedCredits(): number {
    return this.#billedTasks().reduce((sum, task) => sum + task.cost, 0);
  }

  get activeTasks(): number {
    return this.#active().length;
  }

  /** The most that were active at once. */
  get peakActive(): number {
    return this.#peakActive;
  }

  /** `authorization` and `x-key` headers that arrived with a download: the delivery host must see neither. */
  override get credentialsAtFiles(): string[] {
    return this.requestsAt("file").flatMap(({ headers }) =>
      [headers.authorization, headers["x-key"]].filter((value) => value !== undefined),
    );
  }

  /** `x-key` headers that arrived at a `polling_url` of another origin. */
  get keysAtCluster(): string[] {
    return this.requests.flatMap(({ headers }) => (this.#cluster?.isAt(headers.host) ? (headers["x-key"] ?? []) : []));
  }

  override async stop(): Promise<void> {
    this.#cluster?.stop();
    await super.stop();
  }

  protected stage(method: string, path: string): Stage {
    if (method === "GET") return path === "/v1/get_result" ? "poll" : "other";
    return method === "POST" && path.startsWith("/v1/") ? "create" : "other";
  }

  protected async answer(call: Call): Promise<Reply> {
    const { stage, path, query, headers, method } = call.request;
    const key = headers["x-key"];
    // The polling endpoint asks for no key [S: OpenAPI, `get_result` has no `security`]; a wrong one is wrong there too.
    if (key !== this.key && !(stage === "poll" && key === undefined)) return this.#failure("invalid_api_key");
    if (stage === "poll") return this.#poll(new URLSearchParams(query).get("id") ?? "");
    if (method === "GET" && path === "/v1/credits") return json(200, { credits: this.#credits() });
    if (stage !== "create") return json(404, { detail: "Not Found" });
    return this.#create(call);
  }

  #failure(name: ErrorName): Reply {
    const { status, body } = failure(name, this.errors);
    if (name !== "rate_limit_exceeded" || this.errors === "fastapi") return json(status, body);
    const reset = String(Math.ceil(this.now() / 1000) + 5);
    return json(status, body, {
      "x-ratelimit-limit": String(this.maxActive),
      "x-ratelimit-remaining": "0",
      "x-ratelimit-reset": reset,
    });
  }

  async #create(call: Call): Promise<Reply> {
    const { path, body } = call.request;
    const model = BFL_MODELS.find(({ name }) => path === `/v1/${name}`);
    if (!model) return json(404, { detail: "Not Found" });
    const defects = defectsOfBody(model.fields, body);
    if (defects.length > 0) return unprocessable(defects);
    const input = body as Input;
    const defect = model.defectOf?.(input);
    if (defect) return unprocessable([defect]);
    const pictures = await picturesOf(input, model.pictures.names, model.pictures.form);
    if (!Array.isArray(pictures)) return unprocessable([pictures]);
    if (typeof input.webhook_url === "string") return { status: 501, body: "this double does not deliver webhooks" };
    const word = magicWord(input.prompt);
    const error = WORDS[word ?? ""];
    if (error) return this.#failure(error);
    const size = model.sizeOf(input, pictures);
    const cost = creditsFor(model, size, pictures);
    if (cost > this.#credits()) return this.#failure("insufficient_credits");
    if (this.#isFull(model.name)) return this.#failure("rate_limit_exceeded");
    const now = this.now();
    const ending = endingAsked(word);
    const makes = ending.status === "Ready" && countMade(call.fault, 1) === 1;
    const task: BflTask = {
      id: crypto.randomUUID(),
      model,
      input,
      pictures,
      size,
      cost,
      createdAtMs: now,
      progress: this.progress,
      polls: 0,
      lastPollAtMs: now,
      ending,
      seed: Number(input.seed ?? crypto.getRandomValues(new Uint32Array(1))[0]),
      bytes: makes ? this.paint({ ...size, type: formatOf(model.defaultFormat, input) }, call.fault) : undefined,
      sample: undefined,
    };
    this.#tasks.set(task.id, task);
    this.#peakActive = Math.max(this.#peakActive, this.activeTasks);
    return json(200, {
      id: task.id,
      polling_url: `${this.pollOrigin}/v1/get_result?id=${task.id}`,
      cost,
      input_mp: megapixels(...pictures),
      output_mp: megapixels(size),
    });
  }

  #poll(id: string): Reply {
    const task = this.#tasks.get(id);
    if (!task)
      return json(200, { id, status: "Task not found", result: null, progress: null, details: null, preview: null });
    const now = this.now();
    notePoll(task, now);
    if (isOver(task, now)) this.#sign(task);
    return json(200, shown(task, now));
  }

  /** The link lives ten minutes from the end of the task, not from the poll that finds it. */
  #sign(task: BflTask): void {
    if (task.bytes === undefined || task.sample !== undefined) return;
    const type = formatOf(task.model.defaultFormat, task.input);
    const expiresAtMs = endedAtMs(task) + this.linkLifeMs;
    const path = `/results/${unguessable(8)}/${task.id.replaceAll("-", "")}_${unguessable(32)}/sample.${type}`;
    const expiry = encodeURIComponent(new Date(expiresAtMs).toISOString());
    const query = `?se=${expiry}&sp=r&sv=2024-11-04&sr=b&rsct=image%2F${type}&sig=${unguessable(43)}%3D`;
    this.files.put(path, query, task.bytes, `image/${type}`);
    const file = this.files.get(path, query);
    if (file) file.expiresAtMs = expiresAtMs;
    task.sample = this.fileOrigin + path + query;
  }

  #active(): BflTask[] {
    const now = this.now();
    return this.tasks.filter((task) => !isOver(task, now));
  }

  #isFull(name: string): boolean {
    const active = this.#active();
    if (active.length >= this.maxActive) return true;
    const same = active.filter(({ model }) => model.name === name).length;
    return name === "flux-kontext-max" && same >= this.maxActiveKontextMax;
  }

  #billedTasks(): BflTask[] {
    const now = this.now();
    return this.tasks.filter((task) => isBilled(task, now));
  }

  /** What running tasks will cost is set aside [U]. */
  #credits(): number {
    const held = this.#active().reduce((sum, task) => sum + task.cost, 0);
    return Math.round((this.#startCredits - this.billedCredits - held) * 100) / 100;
  }
}

function formatOf(byDefault: PictureType, input: Input): PictureType {
  const { output_format: format } = input;
  return format === "jpeg" || format === "png" || format === "webp" ? format : byDefault;
}

/** "2 decimal places" [S]. */
function megapixels(...sizes: Size[]): number {
  const pixels = sizes.reduce((sum, { width, height }) => sum + width * height, 0);
  return Math.round((pixels / MEGAPIXEL) * 100) / 100;
}
