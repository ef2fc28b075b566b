/**
 * vLLM-Omni's images endpoint as upstream-apis.md §7 [S 2025-12] and the server's own page "Image Generation API" have
 * it: one model per server, pictures as base64 PNG and nothing else, FastAPI's errors. It has no edits route at that
 * date; later versions do.
 *
 * Prompts drive it too: `[[500]]`, and `[[503]]`, an engine that is not ready (`engineReady = false` for every call).
 */
import { type Call, countMade, json, magicWord, type Reply } from "./double.ts";
import type { Stage } from "./faults.ts";
import { base64Of } from "./picture.ts";
import { isFields, SelfHosted, type SelfHostedOptions, type Size } from "./selfhosted.ts";
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

export type VllmOmniDouble = VllmOmniServer;

export function startVllmOmni(options: SelfHostedOptions = {}): VllmOmniDouble {
  return new VllmOmniServer(options);
}

const SIZE_WORDS = "size must be in format 'WIDTHxHEIGHT' (e.g., '1024x1024')";
const text: FieldRule = { type: "string", nullable: true };

/** Everything the server declares. `user` and `model` change nothing; a wrong model is only a line in its log. */
const RULES: Record<string, FieldRule> = {
  prompt: { type: "string", required: true },
  model: text,
  n: { type: "integer", min: 1, max: 10 },
  size: { type: "string", nullable: true, check: (size) => (size.includes("x") ? undefined : SIZE_WORDS) },
  response_format: {
    type: "string",
    check: (format) =>
      format === "b64_json" ? undefined : `Only 'b64_json' response format is supported, got: ${format}`,
  },
  user: text,
  negative_prompt: text,
  num_inference_steps: { type: "integer", nullable: true, min: 1, max: 200 },
  guidance_scale: { type: "number", nullable: true, min: 0, max: 20 },
  true_cfg_scale: { type: "number", nullable: true, min: 0, max: 20 },
  seed: { type: "integer", nullable: true },
};

class VllmOmniServer extends SelfHosted {
  /** Whether the server was started with a diffusion model and has loaded it. Settable. */
  engineReady = true;

  protected readonly unauthorized = unauthorizedReply;
  /** Never asked: there are no links. */
  protected readonly noSuchFile = notFound;

  constructor(options: SelfHostedOptions) {
    super("Qwen/Qwen-Image", options);
  }

  protected stage(method: string, path: string): Stage {
    return method === "POST" && path === "/v1/images/generations" ? "create" : "other";
  }

  protected route(call: Call): Reply {
    const { method, path, stage } = call.request;
    if (method === "GET" && path === "/v1/models") {
      return json(200, { object: "list", data: [{ id: this.model, object: "model", owned_by: "vllm" }] });
    }
    if (stage === "create") return this.#generate(call);
    return path === "/v1/images/generations" ? detail(405, "Method Not Allowed") : notFound;
  }

  #generate(call: Call): Reply {
    const { body } = call.request;
    if (!isFields(body)) return notJson();
    const defects = defectsIn(body, RULES);
    if (defects.length > 0) return unprocessable(defects);
    const prompt = String(body.prompt);
    const word = magicWord(prompt);
    if (!this.engineReady || word === "503") {
      return detail(503, "Diffusion engine not initialized. Start server with a diffusion model.");
    }
    const size = sizeOf(body.size ?? undefined);
    if (typeof size === "string") return detail(400, size);
    if (word === "500") return detail(500, "Image generation failed: CUDA out of memory");
    this.passOver(body, Object.keys(RULES));
    if (typeof body.model === "string" && body.model !== this.model) this.ignored.push("model");
    const settings: Record<string, unknown> = {};
    for (const name of ["num_inference_steps", "guidance_scale", "true_cfg_scale"]) {
      const value = numberIn(body, name);
      if (value !== undefined) settings[name] = value;
    }
    const n = numberIn(body, "n") ?? 1;
    const negativePrompt = typeof body.negative_prompt === "string" ? body.negative_prompt : undefined;
    const seed = numberIn(body, "seed");
    const made = {
      prompt,
      negativePrompt,
      ...size,
      n,
      seed,
      settings,
      type: "png" as const,
      images: [],
      mask: undefined,
    };
    const pictures = this.paintAll(call, made, countMade(call.fault, n));
    const data = pictures.map((bytes) => ({ b64_json: base64Of(bytes), url: null, revised_prompt: null }));
    return { ...json(200, { created: this.nowSeconds(), data }), billed: data.length };
  }
}

/** A text is what is wrong with it. Without a size the model's own holds. */
function sizeOf(size: unknown): Size | string {
  if (size === undefined) return { width: 1024, height: 1024 };
  const match = /^(-?\d+)x(-?\d+)$/.exec(String(size));
  if (!match) return `Invalid size format: '${size}'. Expected format: 'WIDTHxHEIGHT' (e.g., '1024x1024').`;
  const [width, height] = [Number(match[1]), Number(match[2])];
  if (width > 0 && height > 0) return { width, height };
  return `Invalid size: '${size}'. Width and height must be positive integers.`; // [U] words
}
