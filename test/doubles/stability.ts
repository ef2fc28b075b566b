/**
 * Stability AI's v2beta image endpoints as upstream-apis.md §3 has them.
 *
 * Prompts drive it too: `[[moderate]]` (403), `[[filtered]]` and `[[fail:E005]]` (CONTENT_FILTERED at 200), `[[402]]`,
 * `[[429]]` (which, as there, shuts the key out for 60 s), `[[500]]`, `[[language]]` and `[[public_figure]]` (422).
 */
import { type Call, countMade, type DoubleOptions, DoubleServer, json, magicWord, type Reply } from "./double.ts";
import type { Fault, Stage } from "./faults.ts";
import { base64Of, type PictureType } from "./picture.ts";
import { type InputImage, imagesOfPart } from "./selfhosted-inputs.ts";
import { creditsFor, defectOfImage, defectsOf, type Endpoint, type Fields, sidesFor } from "./stability-rules.ts";

/** A picture that another was made from, with what was to be done with it. */
export interface StartingImage extends InputImage {
  endpoint: Endpoint;
  strength: number;
}

export interface StabilityOptions extends DoubleOptions {
  /** What `GET /v1/user/balance` begins with; every billed picture takes its price. Default 1,000. */
  credits?: number;
  /** Requests per 10 s before the key is shut out. Default the documented 150; Infinity for load tests. */
  rateLimit?: number;
}

export type StabilityDouble = StabilityServer;

export function startStability(options: StabilityOptions = {}): StabilityDouble {
  return new StabilityServer(options);
}

/** Errors of §3 by name: [S], but 401 and 402 [M]. The words of public_figure are [U]. */
const ERRORS = {
  bad_request: [400, "bad_request", "prompt: is required"],
  unauthorized: [401, "unauthorized", "authorization: invalid or missing header value"],
  payment_required: [
    402,
    "payment_required",
    "You lack sufficient credits to make this request. Please purchase more credits at https://platform.stability.ai/account/credits and try again.",
  ],
  content_moderation: [
    403,
    "content_moderation",
    "Your request was flagged by our content moderation system, as a result your request was denied and you were not charged.",
  ],
  not_found: [404, "not_found", "The requested resource could not be found."], // [U]
  payload_too_large: [413, "payload_too_large", "body: payloads cannot be larger than 10MiB in size"],
  invalid_language: [422, "invalid_language", "English is the only supported language for this service."],
  public_figure: [
    422,
    "public_figure",
    "Our system detected the likeness of a public figure in your image. To comply with our guidelines, this request cannot be processed.",
  ],
  rate_limit_exceeded: [
    429,
    "rate_limit_exceeded",
    "You have exceeded the rate limit of 150 requests within a 10 second period, and have been timed out for 60 seconds.",
  ],
  internal_error: [500, "internal_error", "An unexpected server error has occurred, please try again later."],
} as const satisfies Record<string, readonly [number, string, string]>;

type ErrorName = keyof typeof ERRORS;

function failure(which: ErrorName, errors?: readonly string[]): Reply {
  const [status, name, message] = ERRORS[which];
  // The id of a rate limit is the name itself [S].
  const id = which === "rate_limit_exceeded" ? name : crypto.randomUUID().replaceAll("-", "");
  return json(status, { id, name, errors: errors ?? [message] });
}

/** A documented error as a fault: `double.next(stabilityFault("internal_error"))`. It shuts nobody out. */
export function stabilityFault(which: ErrorName): Fault {
  const { status, body, headers } = failure(which);
  return { kind: "answer", status, body, headers: { ...headers } };
}

const MAX_BODY_BYTES = 10 * 1024 * 1024;
const WINDOW_MS = 10_000;
const LOCKOUT_MS = 60_000;

const FAILURE_WORDS: Record<string, ErrorName> = {
  moderate: "content_moderation",
  "402": "payment_required",
  "500": "internal_error",
  language: "invalid_language",
  public_figure: "public_figure",
};

class StabilityServer extends DoubleServer {
  /** What is left to spend. Settable. */
  credits: number;
  rateLimit: number;
  /** Every starting picture of a request that passed the checks, in order of arrival. */
  readonly images: StartingImage[] = [];
  #lockedUntilMs = 0;
  #recentMs: number[] = [];

  /** Never asked: results come in the answer itself. */
  protected readonly goneFile: Reply = failure("not_found");

  constructor(options: StabilityOptions) {
    super({ key: "sk-double-stability-0123456789", fileOrigin: "same" }, options);
    this.credits = options.credits ?? 1000;
    this.rateLimit = options.rateLimit ?? 150;
  }

  /** Ends faults, and a lockout. */
  override clear(): void {
    super.clear();
    this.#lockedUntilMs = 0;
    this.#recentMs = [];
  }

  protected stage(method: string, path: string): Stage {
    return method === "POST" && endpointOf(path) ? "create" : "other";
  }

  protected async answer(call: Call): Promise<Reply> {
    const reply = await this.#route(call);
    return { ...reply, headers: { "x-request-id": crypto.randomUUID().replaceAll("-", ""), ...reply.headers } };
  }

  #route(call: Call): Promise<Reply> | Reply {
    const { method, path, headers } = call.request;
    if (headers.authorization !== `Bearer ${this.key}`) {
      // Also for paths that do not exist [M]. v1 has a shape of its own [M].
      const [status, name, message] = ERRORS.unauthorized;
      const isV1 = path.startsWith("/v1/");
      return isV1 ? json(status, { id: crypto.randomUUID(), message, name }) : failure("unauthorized");
    }
    if (this.#isLockedOut()) return failure("rate_limit_exceeded");
    const endpoint = endpointOf(path);
    if (method === "GET" && path === "/v1/user/balance") return json(200, { credits: this.credits });
    if (method !== "POST" || !endpoint) return failure("not_found");
    return this.#generate(call, endpoint);
  }

  #isLockedOut(): boolean {
    const now = this.now();
    this.#recentMs = [...this.#recentMs.filter((ms) => now - ms < WINDOW_MS), now];
    if (this.#recentMs.length > this.rateLimit && now >= this.#lockedUntilMs) this.lockOut();
    return now < this.#lockedUntilMs;
  }

  /** Answers everything with 429 for 60 s, as after too many requests. `clear()` ends it. */
  lockOut(): void {
    this.#lockedUntilMs = this.now() + LOCKOUT_MS;
    this.#recentMs = [];
  }

  async #generate(call: Call, endpoint: Endpoint): Promise<Reply> {
    const { request } = call;
    if (request.rawBody.length > MAX_BODY_BYTES) return failure("payload_too_large");
    if (!/^multipart\/form-data\b/i.test(request.headers["content-type"] ?? "") || !isFields(request.body)) {
      return failure("bad_request", ["content-type: must be multipart/form-data"]); // [U] words
    }
    // `*/*` is what HTTP clients send unasked. What else but the two documented values is refused is [U].
    const accept = request.headers.accept ?? "image/*";
    const asJson = accept === "application/json";
    if (!asJson && accept !== "image/*" && accept !== "*/*") {
      return failure("bad_request", ["accept: must be one of image/*, application/json"]);
    }
    const fields = request.body;
    const defects = defectsOf(endpoint, fields);
    if (defects.length > 0) return failure("bad_request", defects);
    const [image] = await imagesOfPart(fields, "image");
    const defect = image && defectOfImage(image);
    if (defect !== undefined) return failure("bad_request", [defect]);
    if (image) this.images.push({ ...image, endpoint, strength: Number(fields.strength) });
    const word = magicWord(fields.prompt);
    if (word === "429") this.lockOut();
    if (word === "429") return failure("rate_limit_exceeded");
    const failing = word === undefined ? undefined : FAILURE_WORDS[word];
    if (failing) return failure(failing);
    if (this.credits < creditsFor(endpoint, fields)) return failure("payment_required");
    const filtered = word === "filtered" || (word?.startsWith("fail:") ?? false);
    return this.#picture(call, endpoint, fields, image, filtered, asJson);
  }

  #picture(
    call: Call,
    endpoint: Endpoint,
    fields: Fields,
    image: InputImage | undefined,
    filtered: boolean,
    asJson: boolean,
  ): Reply {
    const type = (fields.output_format ?? "png") as PictureType; // checked against the enum before
    const asked = Number(fields.seed ?? 0);
    const seed = asked === 0 ? 1 + ((crypto.getRandomValues(new Uint32Array(1))[0] ?? 0) % 4_294_967_294) : asked;
    // A filtered picture is another one (blurred, there), delivered with 200 and charged for [S].
    const ask = { ...sidesFor(endpoint, fields, image), type, seed: filtered ? seed + 1 : seed };
    const reason = filtered ? "CONTENT_FILTERED" : "SUCCESS";
    const made = countMade(call.fault, 1);
    this.credits -= creditsFor(endpoint, fields) * made;
    const bytes = made === 0 ? new Uint8Array() : this.paint(ask, call.fault);
    if (!asJson) {
      const headers = { "content-type": `image/${type}`, "finish-reason": reason, seed: String(seed) };
      return { status: 200, headers, body: bytes, billed: made };
    }
    // The odd content type is theirs; finish-reason and seed are then no headers [S].
    const body = { image: base64Of(bytes), finish_reason: reason, seed };
    return { ...json(200, body, { "content-type": `application/json; type=image/${type}` }), billed: made };
  }
}

function endpointOf(path: string): Endpoint | undefined {
  const name = /^\/v2beta\/stable-image\/generate\/(ultra|core|sd3)$/.exec(path)?.[1];
  return name === "ultra" || name === "core" || name === "sd3" ? name : undefined;
}

function isFields(body: unknown): body is Fields {
  return typeof body === "object" && body !== null;
}
