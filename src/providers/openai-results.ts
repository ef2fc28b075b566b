/** What the OpenAI protocol delivers, in bodies and in event streams (upstream-apis.md §2.4, §2.5). */
import { z } from "zod";
import { type ErrorShape, failureInStream, parseError } from "./openai-errors.ts";
import {
  type DeliveredImage,
  InlineImage,
  type Reply,
  type ServerEvent,
  type Step,
  type StreamStep,
} from "./provider.ts";
import { describe, failed, linkSchema, nameOf, optional, requestId } from "./replies.ts";

/** Beside the pictures: the same in a body and in a final event. */
const factsSchema = z.object({
  usage: optional(z.record(z.string(), z.unknown())),
  size: optional(z.string().regex(/^\d+x\d+$/)),
  quality: optional(z.string()),
  background: optional(z.string()),
  output_format: optional(z.string()),
  safety_identifier: optional(z.string()),
});
/** The GPT models send `b64_json`; `url` and `revised_prompt` are the legacy DALL·E contract (§2.2) and LocalAI's (§7). */
const successSchema = factsSchema.extend({
  data: z.array(
    z
      .object({
        b64_json: z.instanceof(InlineImage).nullish(),
        url: linkSchema.nullish(),
        revised_prompt: optional(z.string()),
      })
      .refine((item) => item.b64_json || item.url),
  ),
});
const completedSchema = factsSchema.extend({ b64_json: z.instanceof(InlineImage) });
const partialSchema = z.looseObject({
  b64_json: z.instanceof(InlineImage),
  partial_image_index: z.number().int().nonnegative(),
});
const typeSchema = z.object({ type: z.string() });

const partialNames = ["image_generation.partial_image", "image_edit.partial_image"];
const completedNames = ["image_generation.completed", "image_edit.completed"];

/** What a server is called in messages, and whether the usage it sends means anything. */
export interface Teller {
  name: string;
  countsTokens: boolean;
}

export function readSuccess(reply: Reply, teller: Teller): Step {
  const upstreamId = requestId(reply.headers);
  const parsed = successSchema.safeParse(reply.body.kind === "json" ? reply.body.value : undefined);
  if (!parsed.success) {
    const where = reply.body.kind === "json" ? ` (at ${parsed.error.issues[0]?.path.join(".") || "the top"})` : "";
    return failed(
      "contract_changed",
      `${teller.name} answered ${reply.status} without the documented list of pictures${where}: ${describe(reply.body)}.`,
      { upstreamId },
    );
  }
  const images: DeliveredImage[] = [];
  for (const { b64_json, url, revised_prompt } of parsed.data.data) {
    const source = b64_json ?? (url ? { url } : undefined);
    if (source) images.push(revised_prompt ? { source, revisedPrompt: revised_prompt } : { source });
  }
  return done(images, parsed.data, upstreamId, teller);
}

/** One event (§2.5). Names that nobody has documented are passed over; a final picture that cannot be read never is. */
export function readEvent(event: ServerEvent, shapes: readonly ErrorShape[], teller: Teller): StreamStep {
  const type = typeSchema.safeParse(event.data).data?.type;
  // By the `event:` line or, where a server leaves that out, by the document itself.
  const names = [event.name, type ?? ""];
  const isOneOf = (known: readonly string[]) => names.some((name) => known.includes(name));

  if (isOneOf(completedNames)) return readCompleted(event, teller);
  if (isOneOf(partialNames)) return readPartial(event);
  const error = parseError(event.data, shapes);
  if (error || isOneOf(["error"]))
    return failureInStream(error ?? { message: `an error event without words: ${shape(event)}` }, event.headers);
  const final = names.find((name) => name.endsWith(".completed"));
  if (final !== undefined)
    return changed(event, `${teller.name} ended its event stream with ${nameOf(final)}, which is not documented.`);
  // A whole body as the only event: the picture is there, but not as the protocol has it.
  if (names.every((name) => name === "") && successSchema.safeParse(event.data).success)
    return changed(event, `${teller.name} sent pictures in an event without a name: ${shape(event)}.`);
  return { kind: "ignored" };
}

function readCompleted(event: ServerEvent, teller: Teller): StreamStep {
  const parsed = completedSchema.safeParse(event.data);
  if (!parsed.success)
    return changed(event, `${teller.name} sent a final event without the documented picture: ${shape(event)}.`);
  return done([{ source: parsed.data.b64_json }], parsed.data, requestId(event.headers), teller);
}

/** A preview that cannot be read is only a preview: the paid picture is still to come. */
function readPartial(event: ServerEvent): StreamStep {
  const parsed = partialSchema.safeParse(event.data);
  if (!parsed.success) return { kind: "ignored" };
  const { b64_json, partial_image_index, type: _type, ...facts } = parsed.data;
  return { kind: "partial", image: b64_json, index: partial_image_index, facts };
}

type Done = Extract<Step, { kind: "done" }>;

function done(
  images: DeliveredImage[],
  { usage, size, quality, background, output_format, safety_identifier }: z.infer<typeof factsSchema>,
  upstreamId: string | undefined,
  teller: Teller,
): Done {
  const step: Done = { kind: "done", images };
  if (usage && teller.countsTokens) step.usage = usage;
  if (upstreamId) step.upstreamId = upstreamId;
  if (size) step.size = size;
  const echoed = Object.entries({ quality, background, output_format, safety_identifier }).flatMap(
    ([name, value]): [string, string][] => (value ? [[name, value]] : []),
  );
  if (echoed.length > 0) step.echoed = Object.fromEntries(echoed);
  return step;
}

function changed(event: ServerEvent, message: string): StreamStep {
  return failed("contract_changed", message, { upstreamId: requestId(event.headers) }) as Exclude<
    StreamStep,
    { kind: "partial" | "ignored" }
  >;
}

const shape = ({ data }: ServerEvent): string =>
  describe(typeof data === "string" ? { kind: "text", text: data } : { kind: "json", value: data });
