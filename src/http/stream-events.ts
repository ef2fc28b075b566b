/** The events themselves, with the fields of the official clients' types in their order (upstream-apis.md §2.5). */
import type { CheckedRequest } from "../catalogue/index.ts";
import type { PublicError } from "../errors.ts";
import type { FinishedGeneration, FinishedImage } from "../generation/finished.ts";
import { inspect } from "../images/inspect.ts";
import { toUsdNumber } from "../money.ts";
import type { PartialImage } from "../providers/transport.ts";
import { base64Of } from "./answer.ts";

const names = { generate: "image_generation", edit: "image_edit" } as const;

/** What the official clients' types know; of a model with other words for it, the events say `auto`. */
const qualities: readonly unknown[] = ["low", "medium", "high", "xhigh", "max"];
const backgrounds: readonly unknown[] = ["transparent", "opaque"];
const formats: readonly unknown[] = ["png", "jpeg", "webp", "gif", "svg"];
const isSize = (value: unknown): boolean => typeof value === "string" && /^\d{1,6}x\d{1,6}$/.test(value);

/** What the vendor reports no tokens for has none. */
const noUsage = {
  total_tokens: 0,
  input_tokens: 0,
  output_tokens: 0,
  input_tokens_details: { image_tokens: 0, text_tokens: 0 },
};

/** What an event says about its picture beside the bytes. */
interface Facts {
  size?: unknown;
  quality?: unknown;
  background?: unknown;
  output_format?: unknown;
}

/** @param now Unix milliseconds */
export function partialEvent(
  checked: CheckedRequest,
  { bytes, index, facts }: PartialImage,
  now: number,
): AsyncGenerator<string> {
  const real = inspect(bytes);
  const known = real === null || real === "more" ? {} : realFacts(real);
  const createdAt = typeof facts.created_at === "number" ? facts.created_at : Math.floor(now / 1000);
  return event(`${names[checked.operation]}.partial_image`, base64Of(bytes), {
    created_at: createdAt,
    ...described(checked, facts, known),
    partial_image_index: index,
  });
}

export function completedEvent(
  checked: CheckedRequest,
  finished: FinishedGeneration,
  picture: Blob,
): AsyncGenerator<string> {
  const image = finished.images[0] as FinishedImage;
  const real = realFacts(image);
  const { quality, background, safety_identifier } = finished.echoed ?? {};
  return event(`${names[finished.operation]}.completed`, base64Of(picture), {
    created_at: Math.floor(finished.finishedAt / 1000),
    ...described(checked, { size: finished.size, quality, background }, real),
    usage: finished.usage ?? noUsage,
    ...(safety_identifier === undefined ? {} : { safety_identifier }),
    arouter: {
      generation_id: finished.id,
      model: finished.model,
      provider: finished.provider,
      cost_usd: toUsdNumber(finished.cost),
      warnings: finished.warnings,
      ...(image.revisedPrompt === undefined ? {} : { revised_prompt: image.revisedPrompt }),
    },
  });
}

/** An error after HTTP 200 (§2.5). */
export function errorEvent(error: PublicError): string {
  const { message, type, param, code } = error.toEnvelope().error;
  return `event: error\ndata: ${JSON.stringify({ type: "error", error: { message, type, param, code } })}\n\n`;
}

/** The base64 in pieces: no picture is ever one string. */
async function* event(name: string, base64: AsyncIterable<string>, facts: object): AsyncGenerator<string> {
  yield `event: ${name}\ndata: {"type":${JSON.stringify(name)},"b64_json":"`;
  yield* base64;
  yield `",${JSON.stringify(facts).slice(1)}\n\n`;
}

/** What the vendor says, as far as it is an answer to the question; else what is seen, or was asked. */
function described({ parameters }: CheckedRequest, facts: Facts, seen: Pick<Facts, "size" | "output_format">) {
  const known = (values: readonly unknown[], ...found: unknown[]) => found.find((value) => values.includes(value));
  return {
    size: [facts.size, seen.size].find(isSize) ?? "auto",
    quality: known(qualities, facts.quality, parameters.quality) ?? "auto",
    background: known(backgrounds, facts.background, parameters.background) ?? "auto",
    output_format: known(formats, facts.output_format, seen.output_format) ?? "png",
  };
}

const realFacts = ({ contentType, width, height }: Pick<FinishedImage, "contentType" | "width" | "height">) => ({
  size: `${width}x${height}`,
  output_format: contentType.replace(/^image\//, "").replace(/\+xml$/, ""),
});
