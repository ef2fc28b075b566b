/**
 * OpenAI's images API as upstream-apis.md §2 has it: generations, edits and their streams by the GPT image models, and
 * the legacy DALL·E contract.
 *
 * Prompts drive it too: `[[moderate]]`, `[[429]]`, `[[402]]` (in OpenAI's words: 429 insufficient_quota), `[[500]]`,
 * `[[fail:<code>]]` with a code of `accountErrors`, `[[fail:stream]]` (an `error` event after HTTP 200); any other
 * `[[fail:…]]`, E005 for one, is moderation of the output.
 */
import { type Call, countMade, json, magicWord, type Reply } from "./double.ts";
import type { Stage } from "./faults.ts";
import { unguessable } from "./files.ts";
import {
  accountErrors,
  badKey,
  errorReply,
  legacyModerated,
  moderated,
  noKey,
  type OpenAiError,
  rateHeaders,
} from "./openai-errors.ts";
import { type AskedFailure, type GptOptions, GptServer, type Operation, sidesOf } from "./openai-gpt.ts";
import { OPENAI_MODELS } from "./openai-models.ts";
import { checkLegacy, checkModel, type LegacyOrder, Refused } from "./openai-rules.ts";
import type { PictureAsk } from "./picture.ts";

export type { InputFile } from "./openai-edits.ts";
export { accountErrors, openAiFault, openAiStreamFault } from "./openai-errors.ts";
export { liveModelsOn, OPENAI_MODELS } from "./openai-models.ts";

export interface OpenAiOptions extends GptOptions {
  /** The models that answer; the others "do not exist". Default all, retired ones included. See `liveModelsOn`. */
  models?: readonly string[];
}

export type OpenAiDouble = OpenAiServer;

export function startOpenAi(options: OpenAiOptions = {}): OpenAiDouble {
  return new OpenAiServer(options);
}

class OpenAiServer extends GptServer {
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
    return method === "POST" && operationAt(path) ? "create" : "other";
  }

  protected async answer(call: Call): Promise<Reply> {
    const startedAt = performance.now();
    const reply = await this.#route(call);
    // Response headers [M], §2.1.
    const headers = {
      "x-request-id": `req_${crypto.randomUUID().replaceAll("-", "")}`,
      "openai-organization": "org-double",
      "openai-processing-ms": String(Math.round(performance.now() - startedAt) + this.latencyMs),
      "openai-version": "2020-10-01",
    };
    return { ...reply, headers: { ...headers, ...reply.headers } };
  }

  async #route(call: Call): Promise<Reply> {
    const { method, path, headers } = call.request;
    const operation = method === "POST" ? operationAt(path) : undefined;
    if (!operation && (method !== "GET" || path !== "/v1/models")) return { status: 404, body: "" }; // [M] an empty body
    const credential = headers.authorization?.replace(/^Bearer\s+/i, "");
    if (!credential) return errorReply(noKey);
    if (headers.authorization !== `Bearer ${this.key}`) return errorReply(badKey(credential));
    if (!operation) return this.#listModels();
    try {
      const form = this.formOf(call, operation);
      const model = checkModel(form.body, new Set(this.models));
      if (model.kind === "legacy" && operation === "generations")
        return this.#legacy(call, checkLegacy(form.body, model));
      return await this.answerGpt(call, form, model, operation);
    } catch (error) {
      if (error instanceof Refused) return this.failed(error.error);
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

  protected failed(error: OpenAiError): Reply {
    return errorReply(error, rateHeaders(error.status === 429));
  }

  protected rateHeaders(): Record<string, string> {
    return rateHeaders();
  }

  protected failureAsked(prompt: string): AskedFailure | undefined {
    const word = magicWord(prompt);
    if (word === "fail:stream") return { error: accountErrors.image_generation_failed, afterStart: true };
    const error = failureAsked(prompt, false);
    // That moderation of the output comes as an `error` event where it streams is [U].
    return error && { error, afterStart: error.more?.moderation_details !== undefined && word !== "moderate" };
  }

  #legacy(call: Call, order: LegacyOrder): Reply {
    const failure = failureAsked(order.prompt, true);
    if (failure) return this.failed(failure);
    const [width, height] = sidesOf(order.size);
    const revised = order.model.id === "dall-e-3" ? { revised_prompt: `${order.prompt}, in rich detail` } : {};
    const ask: PictureAsk = { width, height, type: "png" };
    const data = Array.from({ length: countMade(call.fault, order.n) }, () => {
      if (order.responseFormat === "b64_json") return { b64_json: this.paintBase64(ask, call.fault), ...revised };
      return { url: this.#link(this.paint(ask, call.fault)), ...revised };
    });
    return { ...json(200, { created: Math.floor(this.now() / 1000), data }, rateHeaders()), billed: data.length };
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
}

function operationAt(path: string): Operation | undefined {
  if (path === "/v1/images/generations") return "generations";
  return path === "/v1/images/edits" ? "edits" : undefined;
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
