/**
 * LocalAI's images endpoints as upstream-apis.md §7 [S 2026-08] has them; details of the wire from the server's source
 * (github.com/mudler/LocalAI, core/http). Its habits: links unless base64 is asked for, 512x512 for a size it cannot
 * read, always PNG, what follows a pipe in the prompt is the negative prompt, no edits route, numeric error codes.
 *
 * With a key set, result files want the key too. Prompts drive it as well: `[[500]]`.
 */
import { type Call, countMade, json, magicWord, type Reply } from "./double.ts";
import type { Stage } from "./faults.ts";
import { unguessable } from "./files.ts";
import { base64Of } from "./picture.ts";
import { isFields, type Made, SelfHosted, type SelfHostedOptions, type Size } from "./selfhosted.ts";
import { base64Bytes, type InputImage, imageOfBytes, imagesOfPart } from "./selfhosted-inputs.ts";
import { sleep } from "./wire.ts";

export type LocalAiDouble = LocalAiServer;

export function startLocalAi(options: SelfHostedOptions = {}): LocalAiDouble {
  return new LocalAiServer(options);
}

type Fields = Record<string, unknown>;

/** The fields with an effect, and the Go type they are read into. `quality`, for one, is read and never looked at. */
const TYPES: Record<string, "int" | "string" | "[]string"> = {
  model: "string",
  prompt: "string",
  n: "int",
  size: "string",
  step: "int",
  mode: "int",
  seed: "int",
  file: "string",
  files: "[]string",
  ref_images: "[]string",
};

const PATHS = ["/v1/images/generations", "/v1/images/inpainting"];

class LocalAiServer extends SelfHosted {
  protected readonly unauthorized = failure(401, "An authentication key is required", "invalid_request_error", {
    "www-authenticate": "Bearer",
  });
  protected readonly noSuchFile = failure(404, "Resource not found"); // [U] words

  constructor(options: SelfHostedOptions) {
    super("flux.1-dev", options);
  }

  protected stage(method: string, path: string): Stage {
    return method === "POST" && PATHS.includes(path) ? "create" : "other";
  }

  protected route(call: Call): Promise<Reply> | Reply {
    const { method, path, stage, body } = call.request;
    if (method === "GET" && path === "/v1/models") {
      return json(200, { object: "list", data: [{ id: this.model, object: "model" }] });
    }
    if (stage !== "create") return this.noSuchFile;
    if (!isFields(body)) return failure(400, "code=400, message=Bad Request");
    return path === "/v1/images/inpainting" ? this.#inpaint(call, body) : this.#generate(call, body);
  }

  async #generate(call: Call, body: Fields): Promise<Reply> {
    const mistyped = Object.entries(TYPES).find(([name, type]) => !isOfType(body[name], type));
    if (mistyped) {
      const [field, expected] = mistyped;
      return failure(400, `code=400, message=Unmarshal type error: expected=${expected}, field=${field}`); // [U] words
    }
    if (body.model !== undefined && body.model !== this.model) return this.#noSuchModel(body.model);
    if (typeof body.prompt !== "string") return failure(400, "code=400, message=Bad Request"); // [U]
    const size = sizeOf(body.size);
    if (!size) return failure(500, "invalid value for 'size'");
    if (magicWord(body.prompt) === "500") return failure(500, "rpc error: code = Unknown desc = inference failed"); // [U]
    const images = await this.#inputs(body);
    this.passOver(body, [...Object.keys(TYPES), "response_format"]);
    if (typeof body.size === "string" && !body.size.includes("x")) this.ignored.push("size");
    // Split at every pipe: a third part is lost.
    const [prompt = "", negativePrompt, ...lost] = body.prompt.split("|");
    if (lost.length > 0) this.ignored.push("prompt");
    const settings: Fields = {};
    if (body.step) settings.step = body.step;
    if (body.mode) settings.mode = body.mode;
    const n = Number(body.n || 1);
    const seed = typeof body.seed === "number" ? body.seed : undefined;
    const made: Made = { prompt, negativePrompt, ...size, n, seed, images, settings, type: "png", mask: undefined };
    const base64 = body.response_format === "b64_json";
    return this.#reply(call, made, base64);
  }

  /** Multipart; the size is not asked for and the answer is a link, always. */
  async #inpaint(call: Call, body: Fields): Promise<Reply> {
    if (!body.model || typeof body.prompt !== "string" || body.prompt === "") {
      return failure(400, "code=400, message=Bad Request");
    }
    if (body.model !== this.model) return this.#noSuchModel(body.model);
    const [image] = await imagesOfPart(body, "image");
    if (!image) return failure(400, "code=400, message=missing image file");
    const [mask] = await imagesOfPart(body, "mask");
    if (!mask) return failure(400, "code=400, message=missing mask file");
    this.passOver(body, ["model", "prompt", "steps", "image", "mask"]);
    const settings = { steps: /^\d+$/.test(String(body.steps)) ? Number(body.steps) : 25 };
    const { prompt } = body;
    const common = { prompt, negativePrompt: undefined, width: 512, height: 512, n: 1, type: "png" as const };
    return this.#reply(call, { ...common, seed: undefined, images: [image], mask, settings }, false);
  }

  async #reply(call: Call, made: Made, base64: boolean): Promise<Reply> {
    // One after the other [S]. The first one's time is waited for with the answer.
    await sleep(this.latencyMs * (made.n - 1), call.signal);
    const data = this.paintAll(call, made, countMade(call.fault, made.n)).map((bytes) => {
      if (base64) return { b64_json: base64Of(bytes) };
      const path = `/generated-images/b64${unguessable(12)}.png`;
      this.files.put(path, "", bytes, "image/png");
      return { url: this.fileOrigin + path };
    });
    // Zeros, whatever was made [S]; which of them are there is [U].
    const details = { text_tokens: 0, image_tokens: 0 };
    const usage = { prompt_tokens: 0, completion_tokens: 0, total_tokens: 0, input_tokens_details: details };
    const answer = { id: crypto.randomUUID(), created: this.nowSeconds(), data, usage };
    return { ...json(200, answer), billed: data.length };
  }

  /** Links are not followed here. What is neither a link nor base64, a data URL for one, is dropped in silence. */
  async #inputs(body: Fields): Promise<InputImage[]> {
    const sent = ["file", "files", "ref_images"].flatMap((field) =>
      [body[field] ?? []].flat().map((value, index) => {
        return { name: field, field: field === "file" ? field : `${field}.${index}`, value: String(value) };
      }),
    );
    const images: InputImage[] = [];
    for (const { name, field, value } of sent) {
      const bytes = base64Bytes(value);
      if (/^https?:\/\//.test(value)) images.push({ field, url: value });
      else if (bytes) images.push(await imageOfBytes(field, bytes));
      else this.ignored.push(name);
    }
    return images;
  }

  #noSuchModel(model: unknown): Reply {
    const message = `model "${model}" not found. To see available models, call GET /v1/models`; // [U]
    return failure(404, message, "invalid_request_error");
  }
}

/** OpenAI's envelope, but `code` is the HTTP status as a number and `type` mostly empty [S]. */
function failure(status: number, message: string, type = "", headers: Record<string, string> = {}): Reply {
  return json(status, { error: { code: status, message, type } }, headers);
}

function isOfType(value: unknown, type: "int" | "string" | "[]string"): boolean {
  if (value === undefined || value === null) return true;
  if (type === "int") return Number.isInteger(value);
  if (type === "string") return typeof value === "string";
  return Array.isArray(value) && value.every((member) => typeof member === "string");
}

/** Without an `x` in it 512x512, in silence; with one, but no numbers, an error. That zero is one too is [U]. */
function sizeOf(size: unknown): Size | undefined {
  if (typeof size !== "string" || !size.includes("x")) return { width: 512, height: 512 };
  const match = /^(\d+)x(\d+)$/.exec(size);
  const [width, height] = [Number(match?.[1] ?? 0), Number(match?.[2] ?? 0)];
  return width > 0 && height > 0 ? { width, height } : undefined;
}
