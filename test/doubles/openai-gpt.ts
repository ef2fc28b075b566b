/** What OpenAI's own API and Azure's share: the GPT image models, asked for generations and edits. */

import type { RecordedRequest } from "./double.ts";
import {
  type Call,
  countMade,
  type DoubleDefaults,
  type DoubleOptions,
  DoubleServer,
  json,
  type Reply,
} from "./double.ts";
import { type Body, refuse } from "./openai-checks.ts";
import { checkEdit, type EditForm, formOf, type InputFile } from "./openai-edits.ts";
import { invalid, noSuchModel, type OpenAiError } from "./openai-errors.ts";
import { gifPicture, svgPicture } from "./openai-formats.ts";
import { lookAt } from "./openai-inputs.ts";
import { inputTokens, type OpenAiModel, outputTokens, PARTIAL_TOKENS } from "./openai-models.ts";
import { partsOf } from "./openai-multipart.ts";
import { checkGpt, type GptOrder } from "./openai-rules.ts";
import { eventsOf, type StreamHabits } from "./openai-stream.ts";
import { base64Of } from "./picture.ts";

export interface GptOptions extends DoubleOptions, Partial<StreamHabits> {
  /** Whether the account has 2.6's gif and svg previews (§2.2). Default true. */
  previews?: boolean;
}

export type Operation = "generations" | "edits";

/** What a prompt's magic word asks for instead of a picture: an answer, or an `error` event where it streams. */
export interface AskedFailure {
  error: OpenAiError;
  /** The vendor had begun: a stream has its 200 already. */
  afterStart: boolean;
}

export abstract class GptServer extends DoubleServer implements StreamHabits {
  previews: boolean;
  eventDelayMs: number;
  doneMarker: boolean;
  finalFirst: boolean;
  partialsMade: number;
  #made = 0;
  readonly #inputs = new WeakMap<RecordedRequest, readonly InputFile[]>();

  constructor(defaults: DoubleDefaults, options: GptOptions) {
    super(defaults, options);
    this.previews = options.previews ?? true;
    this.eventDelayMs = options.eventDelayMs ?? 0;
    this.doneMarker = options.doneMarker ?? false;
    this.finalFirst = options.finalFirst ?? false;
    this.partialsMade = options.partialsMade ?? Number.POSITIVE_INFINITY;
  }

  /** The pictures of the last request: images in their order, then the mask or the markup. */
  get inputs(): readonly InputFile[] {
    return this.lastRequest ? this.inputsOf(this.lastRequest) : [];
  }

  inputsOf(request: RecordedRequest): readonly InputFile[] {
    return this.#inputs.get(request) ?? [];
  }

  protected abstract failureAsked(prompt: string): AskedFailure | undefined;
  protected abstract failed(error: OpenAiError): Reply;
  protected abstract rateHeaders(): Record<string, string>;

  /** The body as the operation reads it; refuses what it cannot read. */
  protected formOf({ request }: Call, operation: Operation): EditForm {
    const type = request.headers["content-type"] ?? "";
    if (operation === "edits" && /^multipart\/form-data\b/i.test(type)) {
      const parts = partsOf(request.rawBody, type);
      return parts ? formOf(parts) : refuse(invalid(null, null, "Could not parse multipart form.")); // [U] words
    }
    const { body } = request;
    const isObject = typeof body === "object" && body !== null && !Array.isArray(body);
    // Also for a body that is JSON but not said to be [U].
    if (!isObject || !/^application\/json\b/i.test(type))
      return refuse(invalid(null, null, "We could not parse the JSON body of your request."));
    return { multipart: false, body: body as Body };
  }

  protected async answerGpt(call: Call, form: EditForm, model: OpenAiModel, operation: Operation): Promise<Reply> {
    if (model.kind !== "gpt") return refuse(noSuchModel(model.id)); // an edit with a DALL·E model [U]
    if (operation === "generations") {
      const order = checkGpt(form.body, model, this.previews);
      return this.#make(call, order, "image_generation", 0);
    }
    const { order, inputs, highFidelity } = checkEdit(form, model, this.previews, (received) => {
      this.#inputs.set(call.request, received);
    });
    const seen = await lookAt(inputs);
    // What is not fetched counts as one tile.
    const tokens = seen.map((size) => inputTokens(size?.width ?? 512, size?.height ?? 512, highFidelity));
    const imageTokens = tokens.reduce((sum, count) => sum + count, 0);
    return this.#make(call, order, "image_edit", imageTokens);
  }

  #make(call: Call, order: GptOrder, name: "image_generation" | "image_edit", imageTokens: number): Reply {
    const failure = this.failureAsked(order.prompt);
    if (failure && !(order.stream && failure.afterStart)) return this.failed(failure.error);
    const { model, outputFormat } = order;
    // `auto` may resolve to a side that is not divisible by 16: 1254x1254 was seen on gpt-image-2 [M].
    const size = order.size !== "auto" ? order.size : model.sizes ? "1024x1024" : "1254x1254";
    const quality = order.quality === "auto" ? "medium" : order.quality; // what auto resolves to is [U]
    const background = order.background === "auto" ? "opaque" : order.background;
    const [width, height] = sidesOf(size);
    const paint = () => this.#paintAs(order, width, height, call);
    const textTokens = Math.ceil(order.prompt.length / 4) + 6;
    const partials = order.stream ? Math.min(order.partialImages, this.partialsMade) : 0;
    const count = countMade(call.fault, order.n);
    const frames = outputFormat === "gif" ? order.frameCount : 1; // [U] that frames are counted one by one
    const output = outputTokens(model, quality, width, height) * frames * count + PARTIAL_TOKENS * partials;
    const usage = {
      input_tokens: textTokens + imageTokens,
      input_tokens_details: { text_tokens: textTokens, image_tokens: imageTokens },
      output_tokens: output,
      total_tokens: textTokens + imageTokens + output,
    };
    const created = Math.floor(this.now() / 1000);
    const echo = { background, output_format: outputFormat, quality, size };
    const more = order.safetyIdentifier === undefined ? {} : { safety_identifier: order.safetyIdentifier };
    if (order.stream) {
      const events = eventsOf(
        {
          name,
          echo: { created_at: created, ...echo },
          partials: Array.from({ length: partials }, paint),
          final: count > 0 ? { picture: paint(), usage, more } : undefined,
          error: failure?.error,
        },
        this,
      );
      const headers = { "content-type": "text/event-stream; charset=utf-8", "cache-control": "no-cache" };
      return {
        status: 200,
        headers: { ...headers, ...this.rateHeaders() },
        body: "",
        events,
        pauseMs: this.eventDelayMs,
      };
    }
    const data = Array.from({ length: count }, () => ({ b64_json: paint() }));
    const details = { ...usage, output_tokens_details: { image_tokens: output, text_tokens: 0 } };
    const svg = order.svgModel === undefined ? {} : { svg_usage: svgUsage(order.svgModel, textTokens) };
    const body = { created, ...echo, data, usage: details, ...svg, ...more };
    return { ...json(200, body, this.rateHeaders()), billed: data.length, usage: details };
  }

  #paintAs({ outputFormat, frameCount, frameDurationMs }: GptOrder, width: number, height: number, call: Call): string {
    if (outputFormat !== "gif" && outputFormat !== "svg")
      return this.paintBase64({ width, height, type: outputFormat }, call.fault);
    this.#made += 1;
    if (outputFormat === "svg") return base64Of(svgPicture(width, height, this.#made));
    return base64Of(gifPicture({ width, height, frames: frameCount, frameDurationMs, seed: this.#made }));
  }
}

/** The keys are [S], the numbers [U]. */
function svgUsage(model: string, textTokens: number): Record<string, unknown> {
  const output = 900;
  const counts = { input_tokens: textTokens, output_tokens: output, reasoning_tokens: 300 };
  return { model, ...counts, total_tokens: textTokens + output };
}

export function sidesOf(size: string): [width: number, height: number] {
  const [width = "", height = ""] = size.split("x");
  return [Number(width), Number(height)];
}
