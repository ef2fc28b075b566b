/**
 * OpenAI's images API as upstream-apis.md §2 has it: the live GPT image models, and the legacy DALL·E contract.
 *
 * Prompts drive it too: `[[moderate]]`, `[[429]]`, `[[402]]` (in OpenAI's words: 429 insufficient_quota), `[[500]]`,
 * `[[fail:<code>]]` with a code of `accountErrors`; any other `[[fail:…]]`, E005 for one, is moderation of the output.
 */
import { type Call, countMade, type DoubleOptions, DoubleServer, json, magicWord, type Reply } from "./double.ts";
import type { Stage } from "./faults.ts";
import { unguessable } from "./files.ts";
import {
  accountErrors,
  badKey,
  errorReply,
  invalid,
  legacyModerated,
  moderated,
  noKey,
  type OpenAiError,
  rateHeaders,
} from "./openai-errors.ts";
import { OPENAI_MODELS, outputTokens } from "./openai-models.ts";
import { checkGpt, checkLegacy, checkModel, type GptOrder, type LegacyOrder, Refused } from "./openai-rules.ts";
import type { PictureAsk } from "./picture.ts";

export { accountErrors, openAiFault } from "./openai-errors.ts";
export { liveModelsOn, OPENAI_MODELS } from "./openai-models.ts";

export interface OpenAiOptions extends DoubleOptions {
  /** The models that answer; the others "do not exist". Default all, retired ones included. See `liveModelsOn`. */
  models?: readonly string[];
}

export type OpenAiDouble = OpenAiServer;

export function startOpenAi(options: OpenAiOptions = {}): OpenAiDouble {
  return new OpenAiServer(options);
}

class OpenAiServer extends DoubleServer {
  /** Settable at any time: `double.models = liveModelsOn("2026-12-01")`. */
  models: readonly string[];

  /** What Azure's blob store says to a stale or forged signature [U]; §11.6 asks for 403 or 404. */
  protected readonly goneFile: Reply = {
    status: 403,
    headers: { "content-type": "application/xml" },
    body: '<?xml version="1.0" encoding="utf-8"?><Error><Code>AuthenticationFailed</Code><Message>Server failed to authenticate the request.</Message></Error>',
  };

  constructor(options: OpenAiOptions) {
    super({ key: "sk-proj-double-0123456789", fileOrigin: "same" }, options);
    this.models = options.models ?? OPENAI_MODELS.map(({ id }) => id);
  }

  override get url(): string {
    return `${this.origin}/v1`;
  }

  protected stage(method: string, path: string): Stage {
    return method === "POST" && path === "/v1/images/generations" ? "create" : "other";
  }

  protected answer(call: Call): Reply {
    const startedAt = performance.now();
    const reply = this.#route(call);
    // Response headers [M], §2.1.
    const headers = {
      "x-request-id": `req_${crypto.randomUUID().replaceAll("-", "")}`,
      "openai-organization": "org-double",
      "openai-processing-ms": String(Math.round(performance.now() - startedAt) + this.latencyMs),
      "openai-version": "2020-10-01",
    };
    return { ...reply, headers: { ...headers, ...reply.headers } };
  }

  #route(call: Call): Reply {
    const { method, path, headers } = call.request;
    const known = call.request.stage === "create" || (method === "GET" && path === "/v1/models");
    if (!known) return { status: 404, body: "" }; // [M] an empty body
    const credential = headers.authorization?.replace(/^Bearer\s+/i, "");
    if (!credential) return errorReply(noKey);
    if (headers.authorization !== `Bearer ${this.key}`) return errorReply(badKey(credential));
    if (method === "GET") return this.#listModels();
    const { body } = call.request;
    if (typeof body !== "object" || body === null || Array.isArray(body)) {
      // Also for a body that is JSON but not said to be [U].
      return errorReply(invalid(null, null, "We could not parse the JSON body of your request."));
    }
    try {
      return this.#generate(call, body as Record<string, unknown>);
    } catch (error) {
      if (error instanceof Refused) return errorReply(error.error, rateHeaders());
      throw error;
    }
  }

  #listModels(): Reply {
    const data = OPENAI_MODELS.filter(({ id }) => this.models.includes(id)).map((model) => {
      return {
        id: model.id,
        object: "model",
        created: 1_700_000_000,
        owned_by: "system",
        shutdown_date: model.shutdownDate,
      };
    });
    return json(200, { object: "list", data });
  }

  #generate(call: Call, body: Record<string, unknown>): Reply {
    const model = checkModel(body, new Set(this.models));
    const order = model.kind === "legacy" ? checkLegacy(body, model) : checkGpt(body, model);
    const failure = failureAsked(order.prompt, model.kind === "legacy");
    if (failure) return errorReply(failure, rateHeaders(failure.status === 429));
    return "responseFormat" in order ? this.#legacy(call, order) : this.#gpt(call, order);
  }

  #legacy(call: Call, order: LegacyOrder): Reply {
    const [width, height] = sidesOf(order.size);
    const revised = order.model.id === "dall-e-3" ? { revised_prompt: `${order.prompt}, in rich detail` } : {};
    const ask: PictureAsk = { width, height, type: "png" };
    const data = Array.from({ length: countMade(call.fault, order.n) }, () => {
      if (order.responseFormat === "b64_json") return { b64_json: this.paintBase64(ask, call.fault), ...revised };
      return { url: this.#link(this.paint(ask, call.fault)), ...revised };
    });
    return { ...json(200, { created: this.#created(), data }, rateHeaders()), billed: data.length };
  }

  /** An Azure signed address as OpenAI gave out [M]: valid from an hour before its making to an hour after. */
  #link(bytes: Uint8Array): string {
    const path = `/private/org-double/user-double/img-${unguessable()}.png`;
    const at = (ms: number) => new Date(this.now() + ms).toISOString().replace(/\.\d+Z$/, "Z");
    const signature = { st: at(-3_600_000), se: at(3_600_000), sp: "r", sv: "2024-08-04", sr: "b", sig: unguessable() };
    const query = `?${new URLSearchParams(signature)}`;
    this.files.put(path, query, bytes, "image/png");
    return `${this.fileOrigin}${path}${query}`;
  }

  #gpt(call: Call, order: GptOrder): Reply {
    // Server-sent events (§2.5) are a later issue. Loud, so that nobody takes it for OpenAI's answer.
    if (order.stream) return { status: 501, body: "this double does not stream yet" };
    const { model, outputFormat } = order;
    // `auto` may resolve to a side that is not divisible by 16: 1254x1254 was seen on gpt-image-2 [M].
    const size = order.size !== "auto" ? order.size : model.sizes ? "1024x1024" : "1254x1254";
    const quality = order.quality === "auto" ? "medium" : order.quality; // what auto resolves to is [U]
    const background = order.background === "auto" ? "opaque" : order.background;
    const [width, height] = sidesOf(size);
    const data = Array.from({ length: countMade(call.fault, order.n) }, () => {
      return { b64_json: this.paintBase64({ width, height, type: outputFormat }, call.fault) };
    });
    const tokens = { text: Math.ceil(order.prompt.length / 4) + 6, image: outputTokens(model, quality, width, height) };
    const outputs = tokens.image * data.length;
    const usage = {
      input_tokens: tokens.text,
      input_tokens_details: { text_tokens: tokens.text, image_tokens: 0 },
      output_tokens: outputs,
      output_tokens_details: { image_tokens: outputs, text_tokens: 0 },
      total_tokens: tokens.text + outputs,
    };
    const echo = { created: this.#created(), background, output_format: outputFormat, quality, size };
    const safety = order.safetyIdentifier === undefined ? {} : { safety_identifier: order.safetyIdentifier };
    return { ...json(200, { ...echo, data, usage, ...safety }, rateHeaders()), billed: data.length };
  }

  #created(): number {
    return Math.floor(this.now() / 1000);
  }
}

function sidesOf(size: string): [width: number, height: number] {
  const [width = "", height = ""] = size.split("x");
  return [Number(width), Number(height)];
}

function failureAsked(prompt: string, legacy: boolean): OpenAiError | undefined {
  const word = magicWord(prompt);
  if (word === "moderate") return legacy ? legacyModerated : moderated("input");
  if (word === "429") return accountErrors.rate_limit_exceeded;
  if (word === "402") return accountErrors.insufficient_quota;
  if (word === "500") return accountErrors.server_error;
  if (!word?.startsWith("fail:")) return undefined;
  const byCode: Record<string, OpenAiError> = accountErrors;
  return byCode[word.slice("fail:".length)] ?? (legacy ? legacyModerated : moderated("output"));
}
