/**
 * fal's API as upstream-apis.md §6.1 has it, for the apps of fal-apps.ts: the queue (`queue.fal.run`, here `url`) and
 * the answer at once (`fal.run`, here `syncUrl`).
 *
 * Prompts drive it too: at the door `[[402]]` or `[[403]]` (out of money is 403 here) and `[[429]]`; and what a queued
 * request ends with, which its `response_url` tells: `[[moderate]]`, `[[fail:<type>]]`, `[[500]]`, `[[504]]` (the
 * client's own timeout), `[[nsfw]]` (every picture black and flagged), `[[nsfw:1]]` (that many).
 */
import { defectsOfBody, type Input, isObject } from "./bfl-fastapi.ts";
import { type InputPicture, picturesOf } from "./bfl-images.ts";
import { type Call, countMade, type DoubleOptions, DoubleServer, json, magicWord, type Reply } from "./double.ts";
import { FAL_APPS, type FalApp } from "./fal-apps.ts";
import { cancelled, errorAsked, invalidInput, platformError, userTimeout } from "./fal-errors.ts";
import { addressesOf, billedAt, type FalProgress, type FalRequest, shown, statusAt } from "./fal-request.ts";
import type { Stage } from "./faults.ts";
import { unguessable } from "./files.ts";
import { picture } from "./picture.ts";
import { sleep } from "./wire.ts";

export { FAL_APPS } from "./fal-apps.ts";
export { falFault } from "./fal-errors.ts";
export type { FalRequest } from "./fal-request.ts";

export interface FalOptions extends DoubleOptions {
  /** How requests come along from now on. Default 5 ms in the queue, 20 ms running. */
  progress?: FalProgress;
  /** Answers `{image}` with the first picture, as some apps do, instead of `{images}`. */
  singleImage?: boolean;
  /** How long a second of `x-fal-request-timeout` lasts. Default 1000; tests shorten it. */
  secondMs?: number;
}

export type FalDouble = FalServer;

export function startFal(options: FalOptions = {}): FalDouble {
  return new FalServer(options);
}

const REQUEST_PATH = /^\/([^/]+\/[^/]+)(\/.+)?\/requests\/([^/]+)(\/status|\/cancel|\/status\/stream)?$/;

interface Outcome {
  reply: Reply;
  made: number;
  pictures: InputPicture[];
}

class FalServer extends DoubleServer {
  /** Settable at any time; holds for requests created from then on. */
  progress: FalProgress;
  singleImage: boolean;
  readonly #secondMs: number;
  readonly #requests = new Map<string, FalRequest>();

  protected readonly goneFile: Reply = { status: 404, headers: { "content-type": "text/plain" }, body: "Not Found" };

  constructor(options: FalOptions) {
    super({ key: "00000000-0000-4000-8000-000000000000:double0123456789", fileOrigin: "other" }, options);
    this.progress = options.progress ?? { queueMs: 5, runMs: 20 };
    this.singleImage = options.singleImage ?? false;
    this.#secondMs = options.secondMs ?? 1000;
  }

  /** The base of the API that answers at once. */
  get syncUrl(): string {
    return `${this.origin}/run`;
  }

  /** Counted when read: requests end by the clock, whether or not anybody asks for them. */
  override get billed(): number {
    const now = this.now();
    return this.jobs.reduce((sum, request) => sum + billedAt(request, now), 0);
  }

  /** All that were taken on, in order, with the pictures that came along. A router that resumes leaves one per job. */
  get jobs(): readonly FalRequest[] {
    return [...this.#requests.values()];
  }

  protected stage(method: string, path: string): Stage {
    const request = REQUEST_PATH.exec(path);
    if (request) {
      if (method === "GET") return "poll";
      return method === "PUT" && request[4] === "/cancel" ? "cancel" : "other";
    }
    return method === "POST" ? "create" : "other";
  }

  protected async answer(call: Call): Promise<Reply> {
    const { authorization } = call.request.headers;
    if (authorization === undefined) return platformError("no_key");
    if (authorization !== `Key ${this.key}`) return platformError("invalid_key");
    if (call.request.stage === "create") return this.#create(call);
    const [, name, beyond, id, action] = REQUEST_PATH.exec(call.request.path) ?? [];
    // The longer address does not exist in the real queue either; what it answers is [U].
    if (name === undefined || beyond !== undefined || call.request.stage === "other")
      return platformError("not_allowed");
    const request = this.#requests.get(id ?? "");
    if (!request?.app.id.startsWith(`${name}/`) && request?.app.id !== name) {
      return action === "/cancel" ? json(404, { status: "NOT_FOUND" }) : platformError("unknown_request");
    }
    if (action === "/status/stream") return { status: 501, body: "this double does not stream statuses" };
    if (action === "/cancel") return this.#cancel(request);
    const reply = action === "/status" ? this.#status(request) : this.#response(request);
    return { ...reply, headers: { ...reply.headers, "x-fal-request-id": request.id } };
  }

  #status(request: FalRequest): Reply {
    request.polls += 1;
    const now = this.now();
    return json(statusAt(request, now) === "COMPLETED" ? 200 : 202, shown(request, now, this.url));
  }

  #response(request: FalRequest): Reply {
    if (statusAt(request, this.now()) !== "COMPLETED") return platformError("in_progress");
    return request.cancelled ? cancelled : request.reply;
  }

  /**
   * Out of the queue it is taken; running, it gets a signal that the FLUX apps pay no heed to [U], so it is finished and
   * charged. The answers are [S].
   */
  #cancel(request: FalRequest): Reply {
    const status = statusAt(request, this.now());
    if (status === "COMPLETED") return json(400, { status: "ALREADY_COMPLETED" });
    request.cancelled = status === "IN_QUEUE";
    return json(202, { status: "CANCELLATION_REQUESTED" });
  }

  async #create(call: Call): Promise<Reply> {
    const { path, headers, body } = call.request;
    const isSync = path.startsWith("/run/");
    const app = FAL_APPS.find(({ id }) => path === `${isSync ? "/run" : ""}/${id}`);
    if (!app) return platformError("unknown_app");
    if (!isObject(body)) return invalidInput(defectsOfBody(app.fields, body)); // [U]
    const word = magicWord(body.prompt);
    if (word === "402" || word === "403") return platformError("exhausted_balance");
    if (word === "429") return platformError("rate_limited");
    const { progress } = this;
    // The queue takes a request on without a look at its input: what is wrong with it, `response_url` tells.
    const outcome = await this.#work(call, app, headers["x-fal-request-timeout"]);
    const createdAtMs = this.now();
    const request: FalRequest = {
      id: crypto.randomUUID(),
      app,
      body,
      createdAtMs,
      progress,
      polls: 0,
      cancelled: false,
      ...outcome,
    };
    this.#requests.set(request.id, request);
    const itsId = { "x-fal-request-id": request.id };
    if (!isSync) {
      const addresses = addressesOf(request, this.url);
      return json(200, { status: "IN_QUEUE", request_id: request.id, ...addresses, queue_position: 0 }, itsId);
    }
    if ("pendingPolls" in progress) request.progress = { pendingPolls: 0 };
    // One more: a timer may fire a fraction of a millisecond before the clock has got there.
    else await sleep(progress.queueMs + progress.runMs + 1, call.signal);
    return { ...request.reply, headers: { ...request.reply.headers, ...itsId } };
  }

  /** Painted at creation, so that the answer is at hand when the clock says COMPLETED; no one knows it before. */
  async #work(call: Call, app: FalApp, timeout: string | undefined): Promise<Outcome> {
    const { body } = call.request;
    const defects = defectsOfBody(app.fields, body);
    if (defects.length > 0) return { reply: invalidInput(defects), made: 0, pictures: [] };
    const input = body as Input;
    const pictures = await picturesOf(input, app.pictures, "data URL or link");
    if (!Array.isArray(pictures)) return { reply: invalidInput([pictures]), made: 0, pictures: [] };
    const isLate = "queueMs" in this.progress && this.progress.queueMs > Number(timeout) * this.#secondMs;
    const error = isLate ? userTimeout : errorAsked(magicWord(input.prompt));
    if (error) return { reply: error, made: 0, pictures };
    const [first] = pictures;
    const size = app.sizeOf(input, first && { width: first.width, height: first.height });
    const made = countMade(call.fault, Number(input.num_images ?? 1));
    const flags = flagsAsked(input, made);
    const images = await Promise.all(flags.map((flagged) => this.#image(call, input, size, flagged)));
    const output = {
      ...(this.singleImage ? { image: images[0] ?? null } : { images }),
      timings: { inference: 0.5 },
      seed: Number(input.seed ?? crypto.getRandomValues(new Uint32Array(1))[0]),
      has_nsfw_concepts: flags,
      prompt: input.prompt,
    };
    return { reply: json(200, output), made: this.singleImage ? Math.min(made, 1) : made, pictures };
  }

  async #image(call: Call, input: Input, size: { width: number; height: number }, flagged: boolean) {
    const type = input.output_format === "png" ? "png" : "jpeg";
    const bytes = flagged ? await blackPicture(size, type) : this.paint({ ...size, type }, call.fault);
    const contentType = `image/${type}`;
    if (input.sync_mode === true) {
      return { url: `data:${contentType};base64,${bytes.toBase64()}`, ...size, content_type: contentType };
    }
    const path = `/files/${unguessable(8)}/${unguessable(24)}.${type === "jpeg" ? "jpg" : "png"}`;
    this.files.put(path, "", bytes, contentType);
    return { url: this.fileOrigin + path, ...size, content_type: contentType };
  }
}

/** A flagged picture comes back black [U]; with the checker off none is flagged. */
function flagsAsked(input: Input, made: number): boolean[] {
  const word = magicWord(input.prompt);
  const isOn = input.enable_safety_checker !== false;
  const count = word === "nsfw" ? made : word?.startsWith("nsfw:") ? Number(word.slice("nsfw:".length)) : 0;
  return Array.from({ length: made }, (_, index) => isOn && index < count);
}

/** Seed 0 is black in png; the hand-made jpegs of picture.ts are never darker than grey. */
async function blackPicture(size: { width: number; height: number }, type: "png" | "jpeg"): Promise<Uint8Array> {
  const black = picture({ ...size, type: "png", seed: 0 });
  return type === "png" ? black : await new Bun.Image(black).jpeg().bytes();
}
