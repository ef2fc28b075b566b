/**
 * Replicate's HTTP API as upstream-apis.md §4 has it, for the FLUX models of replicate-schemas.ts.
 *
 * Prompts drive it too: `[[429]]`, `[[402]]`, `[[500]]`, `[[fail:E005]]` and `[[moderate]]` (the refusal of the hosted
 * models), `[[fail:NSFW]]` (of the open-weight ones), `[[fail:<text>]]` (any other error), `[[drop:1]]` (that many
 * flagged pictures are left out). A model's failure is never an HTTP error.
 */
import { type Call, countMade, type DoubleOptions, DoubleServer, json, magicWord, type Reply } from "./double.ts";
import type { Fault, Stage } from "./faults.ts";
import { unguessable } from "./files.ts";
import type { PictureType } from "./picture.ts";
import { imagesOfInput, type PredictionImage } from "./replicate-inputs.ts";
import {
  billedAt,
  cancelAfter,
  type Ending,
  isOver,
  moments,
  type Prediction,
  type Progress,
  preferredWait,
  shown,
  statusAt,
} from "./replicate-prediction.ts";
import {
  defectsOfInput,
  type InvalidField,
  REPLICATE_MODELS,
  type ReplicateModel,
  strangersIn,
} from "./replicate-schemas.ts";
import { sleep } from "./wire.ts";

export { REPLICATE_MODELS } from "./replicate-schemas.ts";

export interface ReplicateOptions extends DoubleOptions {
  /** How predictions come along from now on. Default 5 ms starting, 20 ms processing. */
  progress?: Progress;
  /** How long a second of `Prefer` and `Cancel-After` lasts. Default 1000; tests shorten it. */
  secondMs?: number;
}

export type ReplicateDouble = ReplicateServer;

export function startReplicate(options: ReplicateOptions = {}): ReplicateDouble {
  return new ReplicateServer(options);
}

/** §4.2 [M]; the words after `credit.` are cut there, not_found and internal_error are [U]. */
const ERRORS = {
  unauthenticated: {
    title: "Unauthenticated",
    detail: "You did not pass a valid authentication token",
    status: 401,
  },
  insufficient_credit: {
    title: "Insufficient credit",
    detail:
      "You have insufficient credit to run this model. Go to https://replicate.com/account/billing#billing to purchase credit.",
    status: 402,
  },
  not_found: { detail: "The requested resource could not be found.", status: 404 },
  bad_version: {
    title: "Invalid version or not permitted",
    detail: "The specified version does not exist (or perhaps you don't have permission to use it?)",
    status: 422,
  },
  throttled: { detail: "Request was throttled. Your rate limit resets in ~30s.", status: 429, retry_after: 30 },
  internal_error: { detail: "Internal server error", status: 500 },
};

function failure(name: keyof typeof ERRORS): Reply {
  return json(ERRORS[name].status, ERRORS[name]);
}

/** A documented error as a fault: `double.next(replicateFault("throttled"))`. */
export function replicateFault(name: keyof typeof ERRORS): Fault {
  return { kind: "answer", status: ERRORS[name].status, body: ERRORS[name] };
}

function invalidInput(fields: readonly InvalidField[]): Reply {
  const detail = fields.map(({ field, description }) => `- ${field}: ${description}\n`).join("");
  return json(422, { detail, status: 422, title: "Input validation failed", invalid_fields: fields });
}

export const REFUSALS = {
  E005: "The input or output was flagged as sensitive. Please try again with different inputs. (E005)",
  NSFW: "NSFW content detected. Try running it again, or try a different prompt.",
};

class ReplicateServer extends DoubleServer {
  /** Settable at any time; holds for predictions created from then on. */
  progress: Progress;
  /** Input pictures in order of arrival, of every prediction made. */
  readonly inputImages: PredictionImage[] = [];
  readonly #secondMs: number;
  readonly #predictions = new Map<string, Prediction>();

  protected readonly goneFile: Reply = { status: 404, headers: { "content-type": "text/plain" }, body: "Not Found" };

  constructor(options: ReplicateOptions) {
    super({ key: "r8_double0123456789", fileOrigin: "other" }, options);
    this.progress = options.progress ?? { startMs: 5, runMs: 20 };
    this.#secondMs = options.secondMs ?? 1000;
  }

  override get url(): string {
    return `${this.origin}/v1`;
  }

  /** Counted when read: predictions end by the clock, whether or not anybody asks for them. */
  override get billed(): number {
    const now = this.now();
    return [...this.#predictions.values()].reduce((sum, prediction) => sum + billedAt(prediction, now), 0);
  }

  /** Ids in order of creation. A router that resumes instead of resubmitting leaves one per job. */
  get predictionIds(): string[] {
    return [...this.#predictions.keys()];
  }

  /** The hour is over: links are dead, outputs gone, `data_removed` true (§4.1). */
  override expireLinks(): void {
    super.expireLinks();
    for (const prediction of this.#predictions.values()) prediction.removed = true;
  }

  protected stage(method: string, path: string): Stage {
    if (method === "GET" && /^\/v1\/predictions\/[^/]+$/.test(path)) return "poll";
    if (method !== "POST") return "other";
    if (/^\/v1\/predictions\/[^/]+\/cancel$/.test(path)) return "cancel";
    return path === "/v1/predictions" || /^\/v1\/models\/[^/]+\/[^/]+\/predictions$/.test(path) ? "create" : "other";
  }

  protected async answer(call: Call): Promise<Reply> {
    const { stage, path, headers } = call.request;
    if (headers.authorization !== `Bearer ${this.key}`) return failure("unauthenticated");
    if (stage === "create") return this.#create(call);
    const prediction = this.#predictions.get(/^\/v1\/predictions\/([^/]+)/.exec(path)?.[1] ?? "");
    if (!prediction) return failure("not_found");
    if (stage === "cancel") this.#cancel(prediction);
    else prediction.polls += 1;
    return this.#show(200, prediction);
  }

  #show(status: number, prediction: Prediction): Reply {
    const now = this.now();
    if (now >= prediction.createdAtMs + this.linkLifeMs) prediction.removed = true;
    return json(status, shown(prediction, now, this.url));
  }

  #cancel(prediction: Prediction): void {
    const now = this.now();
    const status = statusAt(prediction, now);
    // Canceling what is over changes nothing [U].
    if (!isOver(status)) prediction.canceled = { atMs: now, afterStart: status === "processing" };
  }

  async #create(call: Call): Promise<Reply> {
    const { path, headers, body } = call.request;
    if (!isObject(body)) return invalidInput([{ type: "invalid_type", field: "(root)", description: "Invalid JSON" }]); // [U]
    const official = /^\/v1\/models\/([^/]+\/[^/]+)\/predictions$/.exec(path)?.[1];
    const model = official === undefined ? modelOfVersion(body.version) : modelNamed(official);
    if (official !== undefined && !model) return failure("not_found");
    const strangers = strangersIn(body, official === undefined);
    if (strangers.length > 0) return invalidInput(strangers);
    if (official === undefined && body.version === undefined) return missing("(root)", "version");
    if (!model) return failure("bad_version");
    if (body.webhook !== undefined) return { status: 501, body: "this double does not deliver webhooks" };
    if (!isObject(body.input)) return missing("(root)", "input");
    const wait = preferredWait(headers.prefer);
    if (wait === "malformed") return malformedHeader("Prefer");
    const deadline = cancelAfter(headers["cancel-after"]);
    if (deadline === "malformed") return malformedHeader("Cancel-After");
    const defects = defectsOfInput(model, body.input);
    if (defects.length > 0) return invalidInput(defects);
    const word = magicWord(body.input.prompt);
    if (word === "429") return failure("throttled");
    if (word === "402") return failure("insufficient_credit");
    if (word === "500") return failure("internal_error");
    const images = await imagesOfInput(model, body.input);
    this.inputImages.push(...images);
    const prediction = this.#begin(call, model, body.input, deadline, images);
    prediction.version =
      official === undefined && /[0-9a-f]{64}$/.test(String(body.version)) ? model.version : "hidden";
    if (wait === undefined) return this.#show(201, prediction);
    await this.#wait(prediction, wait, call.signal);
    // 202 when not all outputs are there yet [S].
    return this.#show(isOver(statusAt(prediction, this.now())) ? 201 : 202, prediction);
  }

  #begin(
    call: Call,
    model: ReplicateModel,
    input: Record<string, unknown>,
    deadline: number | undefined,
    images: readonly PredictionImage[],
  ): Prediction {
    const asked = model.output === "array" ? Number(input.num_outputs ?? 1) : 1;
    const word = magicWord(input.prompt);
    const dropped = word?.startsWith("drop:") ? Number(word.slice("drop:".length)) : 0;
    const made = Math.max(0, countMade(call.fault, asked) - dropped);
    const now = this.now();
    const prediction: Prediction = {
      id: unguessable(26),
      model,
      version: "hidden",
      input,
      createdAtMs: now,
      progress: this.progress,
      polls: 0,
      // Flagged pictures are dropped; when none is left the prediction fails [M].
      ending:
        endingAsked(word) ??
        unreadable(images) ??
        (dropped > 0 && made === 0 ? failed(REFUSALS.NSFW) : { status: "succeeded" }),
      deadlineMs: deadline === undefined ? undefined : now + deadline * this.#secondMs,
      canceled: undefined,
      asked,
      links: [],
      removed: false,
    };
    if (prediction.ending.status === "succeeded") prediction.links = this.#paintAll(call, model, input, made, images);
    this.#predictions.set(prediction.id, prediction);
    return prediction;
  }

  /** Painted at creation, so that links are at hand when the clock says succeeded; no one knows them before. */
  #paintAll(
    call: Call,
    model: ReplicateModel,
    input: Record<string, unknown>,
    count: number,
    images: readonly PredictionImage[],
  ): string[] {
    const extension = String(input.output_format ?? model.defaultFormat);
    const type: PictureType = extension === "jpg" ? "jpeg" : extension === "png" ? "png" : "webp";
    const [first] = images.flatMap(({ width, height }) => (width && height ? [{ width, height }] : []));
    const size = model.sizeOf(input, first);
    const folder = `/xezq/${unguessable(40)}`;
    return Array.from({ length: count }, (_, index) => {
      const path = `${folder}/${model.output === "array" ? `out-${index}` : `tmp${unguessable(8)}`}.${extension}`;
      this.files.put(path, "", this.paint({ ...size, type }, call.fault), `image/${type}`);
      return this.fileOrigin + path;
    });
  }

  async #wait(prediction: Prediction, seconds: number, signal: AbortSignal): Promise<void> {
    const { endedAtMs } = moments(prediction);
    const now = this.now();
    const untilMs = Math.min(endedAtMs, prediction.deadlineMs ?? endedAtMs, now + seconds * this.#secondMs);
    // One more: a timer may fire a fraction of a millisecond before the clock has got there.
    await sleep(untilMs - now + 1, signal);
  }
}

function endingAsked(word: string | undefined): Ending | undefined {
  if (word === "moderate" || word === "fail:E005") return failed(REFUSALS.E005);
  if (word === "fail:NSFW") return failed(REFUSALS.NSFW);
  return word?.startsWith("fail:") ? failed(word.slice("fail:".length)) : undefined;
}

/** Bytes that are no picture fail in the model, not at the door [U]. */
function unreadable(images: readonly PredictionImage[]): Ending | undefined {
  const some = images.some(({ bytes, format }) => bytes !== undefined && format === undefined);
  return some ? failed("cannot identify image file") : undefined;
}

function failed(error: string): Ending {
  return { status: "failed", error };
}

function missing(field: string, name: string): Reply {
  return invalidInput([{ type: "required", field, description: `${name} is required` }]);
}

/** Which status and words a malformed header gets is [U]. */
function malformedHeader(name: string): Reply {
  return invalidInput([{ type: "pattern", field: name, description: `Does not match the pattern of ${name}` }]);
}

function modelNamed(id: string): ReplicateModel | undefined {
  return REPLICATE_MODELS.find((model) => model.id === id);
}

/** 64 hex digits, `owner/name:hex`, or `owner/name` of an official model [S]. */
function modelOfVersion(version: unknown): ReplicateModel | undefined {
  return REPLICATE_MODELS.find(
    (model) => version === model.id || version === model.version || version === `${model.id}:${model.version}`,
  );
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
