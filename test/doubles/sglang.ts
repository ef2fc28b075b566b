/**
 * SGLang's diffusion server as upstream-apis.md §7 [S] has it; details from its source (github.com/sgl-project/sglang,
 * multimodal_gen/runtime/entrypoints/openai). Its habits: links by default, and these are paths on the server itself
 * unless a cloud store is configured; edits answer base64 by default; seed 1024 unless another is given, so that the
 * same request makes the same picture; JPEG unless another format is asked for; n cut to 1–10 in silence.
 *
 * Prompts drive it too: `[[500]]`.
 */
import { type Call, countMade, json, magicWord, type Reply } from "./double.ts";
import type { Stage } from "./faults.ts";
import { unguessable } from "./files.ts";
import { base64Of } from "./picture.ts";
import { isFields, type Made, pictureType, SelfHosted, type SelfHostedOptions, type Size } from "./selfhosted.ts";
import {
  defectsIn,
  detail,
  type FieldRule,
  notFound,
  notJson,
  numberIn,
  unauthorizedReply,
  unprocessable,
} from "./selfhosted-fastapi.ts";
import { type InputImage, imagesOfPart } from "./selfhosted-inputs.ts";

export interface SglangOptions extends SelfHostedOptions {
  /** `path`: `/v1/images/{id}/content`. `cloud`: a whole address at another origin. Default `path`, as without a store. */
  links?: "path" | "cloud";
}

export type SglangDouble = SglangServer;

export function startSglang(options: SglangOptions = {}): SglangDouble {
  return new SglangServer(options);
}

type Fields = Record<string, unknown>;

const text: FieldRule = { type: "string", nullable: true };
const whole: FieldRule = { type: "integer", nullable: true };
const fraction: FieldRule = { type: "number", nullable: true };

const EFFECTIVE: Record<string, FieldRule> = {
  prompt: { type: "string", required: true },
  model: text,
  n: whole,
  response_format: text,
  size: text,
  background: text,
  output_format: text,
  output_compression: whole,
  num_inference_steps: whole,
  guidance_scale: fraction,
  true_cfg_scale: fraction,
  seed: whole,
  negative_prompt: text,
};
/** Declared for compatibility, read, and never looked at again. */
const DECLARED: Record<string, FieldRule> = { quality: text, style: text, user: text };
const SETTINGS = ["num_inference_steps", "guidance_scale", "true_cfg_scale", "output_compression"];
const IMAGE_PARTS = ["image", "image[]", "url", "url[]"];
const PATHS = ["/v1/images/generations", "/v1/images/edits"];

class SglangServer extends SelfHosted {
  readonly #links: "path" | "cloud";
  protected readonly unauthorized = unauthorizedReply;
  protected readonly noSuchFile = detail(404, "Image not found");

  constructor(options: SglangOptions) {
    const links = options.links ?? "path";
    super("Qwen/Qwen-Image", { ...options, fileOrigin: links === "cloud" ? "other" : "same" });
    this.#links = links;
  }

  protected stage(method: string, path: string): Stage {
    return method === "POST" && PATHS.includes(path) ? "create" : "other";
  }

  protected route(call: Call): Promise<Reply> | Reply {
    const { method, path, stage, body, headers } = call.request;
    if (method === "GET" && path === "/v1/models") {
      return json(200, { object: "list", data: [{ id: this.model, object: "model", owned_by: "sglang" }] });
    }
    if (/^\/v1\/images\/[^/]+\/content$/.test(path)) return this.noSuchFile;
    if (stage !== "create") return PATHS.includes(path) ? detail(405, "Method Not Allowed") : notFound;
    const isForm = /^multipart\/form-data\b/i.test(headers["content-type"] ?? "");
    const isEdit = path === "/v1/images/edits";
    if (!isFields(body) || isForm !== isEdit) return isEdit ? missingPrompt() : notJson();
    const defects = defectsIn(body, { ...EFFECTIVE, ...DECLARED });
    if (defects.length > 0) return unprocessable(defects);
    return isEdit ? this.#edit(call, body) : this.#make(call, body, []);
  }

  async #edit(call: Call, body: Fields): Promise<Reply> {
    const files = [...(await imagesOfPart(body, "image")), ...(await imagesOfPart(body, "image[]"))];
    const sent = ["url", "url[]"].flatMap((field) => [body[field] ?? []].flat().map((url) => [field, url] as const));
    const links = sent.map(([field, url]): InputImage => ({ field, url: String(url) }));
    const images = [...files, ...links];
    if (images.length === 0) return detail(422, "Field 'image' or 'url' is required");
    if (files.some(({ width }) => width === undefined)) {
      return detail(400, "Failed to process image source: cannot identify image file");
    }
    return this.#make(call, body, images);
  }

  async #make(call: Call, body: Fields, images: InputImage[]): Promise<Reply> {
    const isEdit = images.length > 0;
    const prompt = String(body.prompt);
    if (magicWord(prompt) === "500") {
      // What Starlette says when nobody caught it; SGLang's own error bodies are [U].
      return { status: 500, headers: { "content-type": "text/plain; charset=utf-8" }, body: "Internal Server Error" };
    }
    const format = String(body.response_format ?? (isEdit ? "b64_json" : "url")).toLowerCase();
    if (format !== "url" && format !== "b64_json") return detail(400, `response_format=${format} is not supported`);
    const made = this.#understand(body, images);
    const answer = await this.#answerOf(call, made, format);
    return { ...json(200, answer), billed: answer.data.length };
  }

  /** Fills in what was not said or cannot be read, as the server does: without a word. */
  #understand(body: Fields, images: InputImage[]): Made {
    this.passOver(body, [...Object.keys(EFFECTIVE), ...(images.length > 0 ? IMAGE_PARTS : [])]);
    if (typeof body.model === "string" && body.model !== this.model) this.ignored.push("model");
    const askedCount = numberIn(body, "n") ?? 1;
    const n = Math.max(1, Math.min(askedCount || 1, 10));
    if (n !== askedCount) this.ignored.push("n");
    const size = sizeOf(body.size ?? undefined);
    if (body.size && !size) this.ignored.push("size");
    const askedType = pictureType(String(body.output_format ?? "").toLowerCase());
    if (body.output_format && !askedType) this.ignored.push("output_format");
    const type = askedType ?? (body.background === "transparent" ? "png" : "jpeg");
    const settings: Fields = {};
    for (const name of SETTINGS) if (numberIn(body, name) !== undefined) settings[name] = numberIn(body, name);
    const [first] = images;
    const { width, height } = size ?? { width: first?.width ?? 1024, height: first?.height ?? 1024 };
    const negativePrompt = typeof body.negative_prompt === "string" ? body.negative_prompt : undefined;
    const seed = numberIn(body, "seed") ?? 1024;
    const prompt = String(body.prompt);
    return { prompt, negativePrompt, width, height, n, type, seed, images, mask: undefined, settings };
  }

  async #answerOf(call: Call, made: Made, format: "url" | "b64_json") {
    const id = crypto.randomUUID();
    const extension = made.type === "jpeg" ? "jpg" : made.type;
    const pictures = this.paintAll(call, made, countMade(call.fault, made.n));
    const data = pictures.map((bytes, index) => {
      const suffix = pictures.length > 1 ? `_${index}` : "";
      const common = { revised_prompt: made.prompt, file_path: `/sgl-workspace/outputs/${id}${suffix}.${extension}` };
      if (format === "b64_json") return { b64_json: base64Of(bytes), url: null, ...common };
      const query = pictures.length > 1 ? `?variant=${index}` : "";
      return { b64_json: null, url: this.#link(id, query, bytes, made), ...common };
    });
    return { id, created: this.nowSeconds(), data, peak_memory_mb: 30_412.5, inference_time_s: 1.25 };
  }

  #link(id: string, query: string, bytes: Uint8Array, made: Made): string {
    if (this.#links === "path") {
      const path = `/v1/images/${id}/content`;
      this.files.put(path, query, bytes, `image/${made.type}`);
      return path + query;
    }
    const path = `/sglang-outputs/${unguessable()}.${made.type}`;
    this.files.put(path, "", bytes, `image/${made.type}`);
    return this.fileOrigin + path;
  }
}

/** A JSON body at the edits route is a form without fields. */
function missingPrompt(): Reply {
  return unprocessable([{ type: "missing", loc: ["body", "prompt"], msg: "Field required", input: null }]);
}

/** What becomes of a zero is [U]. */
function sizeOf(size: unknown): Size | undefined {
  const match = /^(\d+)x(\d+)$/.exec(String(size).toLowerCase().replaceAll(" ", ""));
  const [width, height] = [Number(match?.[1] ?? 0), Number(match?.[2] ?? 0)];
  return width > 0 && height > 0 ? { width, height } : undefined;
}
